"""A database where the library names things, and one where nobody does.

sqlalchemy_psycopg2_named has the extension, and new sessions load the library;
sqlalchemy_psycopg2_native has neither.  test/orm/run makes both.
"""

import contextlib
import os
import re
import warnings

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import NullPool

from naming_random import quote

SUPERUSER = os.environ.get('ORM_EXT_SUPERUSER', 'postgres')

# What a table's constraints and indexes are called and what they do.
CATALOG = '''
    SELECT con.contype::text AS kind, rel.relname AS table,
           con.conname AS name, pg_get_constraintdef(con.oid) AS definition
      FROM pg_constraint con JOIN pg_class rel ON rel.oid = con.conrelid
     WHERE con.connamespace = CAST(:schema AS regnamespace)
       AND con.contype IN ('p', 'u', 'f', 'c', 'x')
    UNION ALL
    SELECT 'i', rel.relname, ind.relname,
           format('%s %s', indisunique, substring(
               pg_get_indexdef(indexrelid) FROM ' USING .*'))
      FROM pg_index JOIN pg_class ind ON ind.oid = indexrelid
      JOIN pg_class rel ON rel.oid = indrelid
     WHERE ind.relnamespace = CAST(:schema AS regnamespace)
       AND NOT EXISTS (SELECT FROM pg_constraint con
                        WHERE con.conindid = indexrelid
                          AND con.contype IN ('p', 'u', 'x'))'''


def _run(engine, *statements):
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace('%', '%%'))


class Messages:
    """Of the server; the driver and SQLAlchemy would soon empty a list."""

    def __init__(self):
        self.all = []

    def append(self, message):
        self.all.append(message)


class Database:
    """Works in one schema, which is the sessions' own or which they name."""

    def __init__(self, kind, schema, own=True, **settings):
        self.kind = kind
        self.schema = schema
        self.messages = Messages()
        self.engine = self._engine()
        self._superuser = self._engine(SUPERUSER)
        if own:
            settings['search_path'] = quote(schema)

        # First of all: SQLAlchemy is to take the schema for the default one.
        @event.listens_for(self.engine, 'connect', insert=True)
        def prepare(connection, _record):
            connection.notices = self.messages
            with connection.cursor() as cursor:
                for name, value in settings.items():
                    cursor.execute('SET %s = %s' % (name, value))
            connection.commit()

    def _engine(self, user=''):
        url = 'postgresql+psycopg2://%s/sqlalchemy_psycopg2_%s' % (
            user and user + '@', self.kind)
        return create_engine(url, future=True, poolclass=NullPool)

    def create_schema(self):
        # By an engine that has not looked which schema is the default one.
        _run(self._engine(),
             'DROP SCHEMA IF EXISTS %s CASCADE' % quote(self.schema),
             'CREATE SCHEMA %s' % quote(self.schema))
        del self.messages.all[:]

    def run(self, *statements):
        _run(self.engine, *statements)

    # The conventions of the schema, which only a superuser can change.

    def no_convention(self):
        with self._superuser.begin() as connection:
            connection.execute(text(
                'DELETE FROM orm_ext.naming_template WHERE schema = :schema'),
                {'schema': self.schema})

    def convention(self, templates, **options):
        self.no_convention()
        rows = [dict(options, schema=self.schema, kind=kind,
                     template=templates.get(kind))
                for kind in ('pk', 'uq', 'fk', 'ck', 'ix')]
        columns = list(rows[0])
        with self._superuser.begin() as connection:
            connection.execute(text(
                'INSERT INTO orm_ext.naming_template (%s) VALUES (%s)' % (
                    ', '.join(columns),
                    ', '.join(':' + column for column in columns))), rows)

    def preset(self, preset, **options):
        arguments = dict(options, preset=preset, schema=self.schema)
        with self._superuser.begin() as connection:
            connection.execute(
                text('SELECT orm_ext.use_naming(%s)' % ', '.join(
                    '%s => :%s' % (name, name) for name in arguments)),
                arguments)

    def catalog(self):
        """{(kind, table, name): definition}"""
        with self.engine.connect() as connection:
            return {tuple(row)[:3]: row.definition for row in
                    connection.execute(text(CATALOG),
                                       {'schema': quote(self.schema)})}

    def violations(self):
        with self.engine.connect() as connection:
            return connection.execute(text(
                'SELECT kind, "table", name, expected'
                '  FROM orm_ext.naming_violations WHERE schema = :schema'),
                {'schema': self.schema}).all()

    def warnings(self):
        """What the server said since the schema was made, but for NOTICEs."""
        return [message for message in self.messages.all
                if not re.match('(NOTICE|INFO):', message)]

    @contextlib.contextmanager
    def migration_context(self, **options):
        with self.engine.connect() as connection:
            yield MigrationContext.configure(
                connection, opts=dict(options, compare_type=True))
            connection.commit()

    def differences(self, metadata):
        """What Alembic's autogenerate would do."""
        with warnings.catch_warnings():
            # What it cannot reflect, or compare, on this release.
            warnings.simplefilter('ignore')
            with self.migration_context(
                    include_schemas=metadata.schema is not None,
                    include_name=lambda name, type_, _names:
                    type_ != 'schema' or name == metadata.schema) as context:
                return compare_metadata(context, metadata)

    def dispose(self):
        self.engine.dispose()
        self._superuser.dispose()
