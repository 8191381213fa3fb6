"""Models with a version, as SQLAlchemy's manual declares them, and their databases.

In the plain database nobody but SQLAlchemy looks after versions and times.  In
the managed one triggers of orm_ext do, and must not be noticed by any client
that does it all by itself.
"""

import datetime
import functools
import subprocess
import threading
import time
import unittest
import uuid

from sqlalchemy import (BigInteger, Column, DateTime, FetchedValue, ForeignKey,
                        Integer, SmallInteger, String, func, select, text)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Session, declarative_base, relationship

import twin
from twin import Database, Outcome

Base = declarative_base()


class Stamps:
    """The usual mixin: defaults of the server, and onupdate in the client."""

    created_at = Column(DateTime(timezone=True), nullable=False,
                        server_default=func.now())
    updated_at = Column(DateTime(timezone=True), nullable=False,
                        server_default=func.now(), onupdate=func.now())


class Document(Stamps, Base):
    """The client counts."""

    __tablename__ = 'documents'

    id = Column(Integer, primary_key=True)
    title = Column(String, nullable=False, unique=True)
    views = Column(Integer, nullable=False, default=0)
    version_id = Column(Integer, nullable=False)

    notes = relationship('Note', back_populates='document',
                         cascade='all, delete-orphan', order_by='Note.id')

    __mapper_args__ = {'version_id_col': version_id}


class Note(Base):
    __tablename__ = 'notes'

    id = Column(Integer, primary_key=True)
    document_id = Column(ForeignKey('documents.id'), nullable=False)
    body = Column(String)
    version_id = Column(SmallInteger, nullable=False)

    document = relationship('Document', back_populates='notes')

    __mapper_args__ = {'version_id_col': version_id}


class Letter(Base):
    """Under soft delete as well."""

    __tablename__ = 'letters'

    id = Column(Integer, primary_key=True)
    title = Column(String, nullable=False)
    version_id = Column(Integer, nullable=False)

    __mapper_args__ = {'version_id_col': version_id}


class Asset(Base):
    """Joined-table inheritance; the version is in the first table."""

    __tablename__ = 'assets'

    id = Column(Integer, primary_key=True)
    kind = Column(String, nullable=False)
    name = Column(String, nullable=False)
    version_id = Column(Integer, nullable=False)

    __mapper_args__ = {'polymorphic_on': kind, 'polymorphic_identity': 'asset',
                       'version_id_col': version_id}


class Film(Asset):
    __tablename__ = 'films'

    id = Column(ForeignKey('assets.id'), primary_key=True)
    minutes = Column(Integer, nullable=False)

    __mapper_args__ = {'polymorphic_identity': 'film'}


class Leaflet(Base):
    """A generator of the client's: any new token."""

    __tablename__ = 'leaflets'

    id = Column(Integer, primary_key=True)
    title = Column(String, nullable=False)
    token = Column(UUID(as_uuid=True), nullable=False)

    __mapper_args__ = {'version_id_col': token,
                       'version_id_generator': lambda _: uuid.uuid4()}


class Memo(Base):
    """A generator of the client's: its clock."""

    __tablename__ = 'memos'

    id = Column(Integer, primary_key=True)
    title = Column(String, nullable=False)
    stamp = Column(DateTime(timezone=True), nullable=False)

    __mapper_args__ = {
        'version_id_col': stamp,
        'version_id_generator':
            lambda _: datetime.datetime.now(datetime.timezone.utc)}


class Ticket(Base):
    """The server counts: "Server Side Version Counters" of the manual."""

    __tablename__ = 'tickets'

    id = Column(Integer, primary_key=True)
    title = Column(String, nullable=False)
    created_at = Column(DateTime(timezone=True), nullable=False,
                        server_default=FetchedValue())
    updated_at = Column(DateTime(timezone=True), nullable=False,
                        server_default=FetchedValue(),
                        server_onupdate=FetchedValue())
    version = Column(BigInteger, nullable=False, server_default=FetchedValue(),
                     server_onupdate=FetchedValue())

    __mapper_args__ = {'version_id_col': version,
                       'version_id_generator': False,
                       'eager_defaults': True}


class Pass(Base):
    """The server makes the token."""

    __tablename__ = 'passes'

    id = Column(Integer, primary_key=True)
    holder = Column(String)
    token = Column(UUID(as_uuid=True), nullable=False,
                   server_default=FetchedValue())

    __mapper_args__ = {'version_id_col': token, 'version_id_generator': False}


class Vehicle(Base):
    """Joined-table inheritance, and the server counts."""

    __tablename__ = 'vehicles'

    id = Column(Integer, primary_key=True)
    kind = Column(String, nullable=False)
    name = Column(String, nullable=False)
    version = Column(Integer, nullable=False, server_default=FetchedValue())

    __mapper_args__ = {'polymorphic_on': kind,
                       'polymorphic_identity': 'vehicle',
                       'version_id_col': version,
                       'version_id_generator': False}


class Truck(Vehicle):
    __tablename__ = 'trucks'

    id = Column(ForeignKey('vehicles.id'), primary_key=True)
    load = Column(Integer, nullable=False)

    __mapper_args__ = {'polymorphic_identity': 'truck'}


# What the managed database declares.
TRIGGERS = {
    'documents': "stamp('version=version_id', 'created=created_at',"
                 " 'updated=updated_at', 'ignore=views')",
    'notes': "version('version_id')",
    'letters': "version('version_id')",
    'assets': "version('version_id')",
    'leaflets': "version('token')",
    'memos': "version('stamp')",
    'tickets': "stamp('version=version', 'created=created_at',"
               " 'updated=updated_at')",
    'passes': "version('token')",
    # What is changed may stand in the other table.
    'vehicles': "version('version', 'resent=move')",
}


class VersionedDatabase(Database):
    """One of the twins, with the tables of this module."""

    def create(self):
        Base.metadata.drop_all(self.engine)
        Base.metadata.create_all(self.engine)
        if not self.managed:
            return
        with self.engine.begin() as connection:
            for table, function in TRIGGERS.items():
                connection.execute(text(
                    'CREATE TRIGGER zz_stamp BEFORE INSERT OR UPDATE ON %s'
                    ' FOR EACH ROW EXECUTE FUNCTION orm_ext.%s' % (
                        table, function)))
            connection.execute(text(
                "SELECT orm_ext.enable_soft_delete('letters')"))

    def reset(self):
        with self.engine.begin() as connection:
            if self.managed:
                connection.execute(
                    text("SET LOCAL orm_ext.delete_mode = 'hard'"))
                connection.execute(
                    text("SET LOCAL orm_ext.deleted_rows = 'show'"))
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())
                if not table.c.id.foreign_keys:
                    connection.execute(text(
                        "SELECT setval('%s_id_seq', 1, false)" % table.name))
        with Session(self.engine, future=True) as session:
            session.add_all([
                Document(title='one', notes=[Note(body='first'),
                                             Note(body='second')]),
                Document(title='two'), Document(title='three'),
                Letter(title='dear'), Film(name='sunset', minutes=90),
                Leaflet(title='red'), Memo(title='hello')])
            if self.managed:
                session.add_all([
                    Ticket(title='leak'), Ticket(title='noise'),
                    Pass(holder='ann'), Truck(name='blue', load=7)])
            session.commit()

    def contents(self):
        """Everything that does not hold a time or a token."""
        with self.engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(
                    select(*[column for column in table.c if not isinstance(
                        column.type, (DateTime, UUID))]).order_by(table.c.id))]
                for table in Base.metadata.sorted_tables
                if table.name not in ('tickets', 'passes', 'vehicles',
                                      'trucks')}

    def tombstones(self):
        return {}

    def meanwhile(self, work):
        """Lets another session do what has to wait for a lock."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(work()))
        thread.start()
        for _ in range(500):
            if self.psql("SELECT count(*) FROM pg_stat_activity"
                         " WHERE wait_event_type = 'Lock'") == '1':
                break
            time.sleep(0.02)

        def answer():
            thread.join()
            return answers[0]
        return answer

    def psql(self, statement):
        """What somebody writes in between, who knows of no ORM."""
        return subprocess.run(
            ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', statement,
             self.name],
            check=True, text=True, capture_output=True).stdout.strip()


@functools.lru_cache(maxsize=None)
def databases():
    pair = [VersionedDatabase('sqlalchemy_%s_%s' % (twin.DRIVER, kind),
                              kind == 'managed')
            for kind in ('plain', 'managed')]
    for database in pair:
        database.run(database.create)
    return pair


class VersionTestCase(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.plain, cls.managed = databases()


def twin_test(scenario):
    """Plays a scenario on both databases, which must not differ."""
    @functools.wraps(scenario)
    def test(self):
        expected = self.plain.play(scenario, self)
        outcome = self.managed.play(scenario, self)
        self.assertEqual(outcome.answer, expected.answer)
        self.assertEqual(sorted(outcome.log), sorted(expected.log))
        self.assertEqual(outcome.contents, expected.contents)
    return test


def managed_test(scenario):
    """Plays a scenario where triggers are what it is about."""
    @functools.wraps(scenario)
    def test(self):
        self.assertIsInstance(self.managed.play(scenario, self), Outcome)
    return test
