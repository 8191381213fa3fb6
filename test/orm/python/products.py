"""The tables of ../products.sql, mapped, and what scenarios need with them."""

import functools
import os
import subprocess
import unittest

from sqlalchemy import (BigInteger, Boolean, Column, Date, DateTime, Identity,
                        Integer, LargeBinary, Numeric, Text, text)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import declarative_base

from twin import IS_ASYNC, twins

Base = declarative_base()
HERE = os.path.dirname(os.path.abspath(__file__))

# Tables with such a trigger are written in another way than those without.
STATEMENT_TRIGGERS = """
    CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER statement AFTER INSERT ON products
        EXECUTE FUNCTION nothing();
    CREATE TRIGGER statement AFTER INSERT ON customers
        EXECUTE FUNCTION nothing();
    CREATE TRIGGER statement AFTER INSERT ON drafts
        EXECUTE FUNCTION nothing();"""


class Columns:
    id = Column(BigInteger, Identity(), primary_key=True)
    sku = Column(Text, nullable=False, unique=True)
    name = Column(Text, nullable=False)
    price = Column(Numeric(10, 2), nullable=False, server_default='1')
    stock = Column(Integer, nullable=False, server_default='0')
    active = Column(Boolean, nullable=False, server_default='true')
    tags = Column(ARRAY(Text))
    details = Column(JSONB(none_as_null=True))
    photo = Column(LargeBinary)
    released = Column(Date)
    seen_at = Column(DateTime(timezone=True))
    note = Column(Text)
    created_at = Column(DateTime(timezone=True))


class Product(Columns, Base):
    __tablename__ = 'products'


class Twin(Columns, Base):
    __tablename__ = 'twins'


class Customer(Base):
    __tablename__ = 'customers'

    id = Column(BigInteger, Identity(), primary_key=True)
    email = Column(Text, nullable=False, unique=True)
    name = Column(Text, nullable=False)


class Draft(Base):
    __tablename__ = 'drafts'

    id = Column(BigInteger, Identity(), primary_key=True)
    title = Column(Text, nullable=False)
    lock_version = Column(Integer, nullable=False)

    __mapper_args__ = {'version_id_col': lock_version}


@functools.lru_cache(maxsize=None)
def database():
    """The managed one of the twins, with these tables as well."""
    managed = twins()[1]
    subprocess.run(
        ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', managed.name,
         '-f', os.path.join(HERE, '..', 'products.sql'),
         '-c', STATEMENT_TRIGGERS if IS_ASYNC else ''],
        check=True, stdout=subprocess.DEVNULL)
    return managed


class ProductsTestCase(unittest.TestCase):
    """Each test starts from the same rows; its tables are equal at the end."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.db = database()

    def _sql(self, statement):
        with self.db.engine.begin() as connection:
            result = connection.execute(text(statement))
            return result.all() if result.returns_rows else None

    def setUp(self):
        self.db.run(lambda: self._sql('SELECT reset_products()'))

    def tearDown(self):
        self.assertEqual(self.db.run(
            lambda: self._sql('SELECT * FROM differences')), [])
