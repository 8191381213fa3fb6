"""Whole schemas: named by a preset, or made to conform after another one.

Needs the databases schemas_native, without the library, and schemas_named,
with the extension; test/orm/run makes them.  The schemas beside this file
leave every name to the server; conventions.py gives them the names that other
ORMs would have given.
"""

import os
import pathlib
import re
import subprocess
import sys
import unittest

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from conventions import CONVENTIONS

HERE = pathlib.Path(__file__).parent
SCHEMAS = ('forum', 'shop', 'tickets')
PRESETS = ('first_column', 'all_columns')
SUPERUSER = os.environ.get('ORM_EXT_SUPERUSER', 'postgres')

# What somebody has named: not what a partition or a child has from its parent.
OBJECTS = '''
    SELECT con.contype::text AS kind, con.conrelid::regclass::text AS rel,
           rel.relname::text AS table, con.conname::text AS name,
           ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS k
                   JOIN pg_attribute ON attrelid = conrelid AND attnum = k.k
                  ORDER BY ordinality) AS columns,
           referred.relname::text AS referred,
           pg_get_constraintdef(con.oid) AS definition
      FROM pg_constraint con JOIN pg_class rel ON rel.oid = con.conrelid
      LEFT JOIN pg_class referred ON referred.oid = confrelid
     WHERE connamespace = %(schema)s::regnamespace
       AND contype IN ('p', 'u', 'f', 'c', 'x')
       AND conparentid = 0 AND conislocal
    UNION ALL
    SELECT 'i', indrelid::regclass::text, rel.relname, ind.relname,
           ARRAY(SELECT pg_get_indexdef(indexrelid, n, true)
                   FROM generate_series(1, indnkeyatts) AS n),
           NULL, pg_get_indexdef(indexrelid)
      FROM pg_index JOIN pg_class ind ON ind.oid = indexrelid
      JOIN pg_class rel ON rel.oid = indrelid
     WHERE ind.relnamespace = %(schema)s::regnamespace
       AND NOT ind.relispartition
       AND NOT EXISTS (SELECT FROM pg_constraint
                        WHERE conindid = indexrelid
                          AND contype IN ('p', 'u', 'x'))
     ORDER BY 1, 2, 4'''


class Messages:
    """Of the server; in a list, the driver would keep no more than 50."""

    def __init__(self):
        self.all = []

    def append(self, message):
        self.all.append(message)


class Database:
    def __init__(self, kind):
        self.name = 'schemas_' + kind
        self.connection = psycopg2.connect(dbname=self.name)
        self.connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        self.messages = self.connection.notices = Messages()

    def run(self, statement, **parameters):
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def empty(self, schema):
        self.run('DROP SCHEMA IF EXISTS %s CASCADE' % schema)
        self.run('CREATE SCHEMA ' + schema)
        self.messages.all.clear()

    def create(self, schema):
        self.empty(schema)
        self.run('SET search_path = ' + schema)
        self.run((HERE / (schema + '.sql')).read_text())

    def convention(self, call):
        """Which only a superuser can change."""
        subprocess.run(
            ['psql', '-XAtqU', SUPERUSER, '-c',
             'SELECT orm_ext.use_naming(%s)' % call, self.name],
            check=True, stdout=subprocess.DEVNULL)

    def objects(self, schema):
        with self.connection.cursor() as cursor:
            cursor.execute(OBJECTS, {'schema': schema})
            columns = [column.name for column in cursor.description]
            return [dict(zip(columns, row)) for row in cursor]

    def names(self, schema):
        return sorted((row['kind'], row['table'], row['name'])
                      for row in self.objects(schema))

    def rename(self, schema, convention):
        """Gives everything the names of another convention."""
        self.run('SET orm_ext.naming_check = off')
        taken = set()
        for row in self.objects(schema):
            name = CONVENTIONS[convention](row, taken)
            taken.add(name)
            if name == row['name']:
                continue
            if row['kind'] == 'i':
                self.run('ALTER INDEX "%s" RENAME TO "%s"' % (
                    row['name'], name))
            else:
                self.run('ALTER TABLE %s RENAME CONSTRAINT "%s" TO "%s"' % (
                    row['rel'], row['name'], name))
        self.run('RESET orm_ext.naming_check')

    def dump(self, schema):
        return subprocess.run(
            ['pg_dump', '--schema-only', '--schema', schema, self.name],
            check=True, text=True, stdout=subprocess.PIPE).stdout

    def warnings(self):
        return [message for message in self.messages.all
                if message.startswith('WARNING:')]

    def violations(self, schema):
        return self.run(
            'SELECT name, expected FROM orm_ext.naming_violations'
            ' WHERE schema = %(schema)s', schema=schema)

    def plan(self, schema):
        return self.run('SELECT * FROM orm_ext.naming_plan(%(schema)s)',
                        schema=schema)


def statements(dump, renamed=()):
    """A dump's statements, in an order that does not depend on names."""
    renamed = dict(renamed)
    text = re.sub('^(--|SET |SELECT |[\\\\]).*\n', '', dump, flags=re.M)
    text = re.sub('"(?:[^"]|"")+"|\\w+', lambda match: renamed.get(
        match[0], match[0]), text)
    return sorted(
        sorted(line.strip().rstrip(',') for line in statement.splitlines()
               if line.strip())
        for statement in text.split(';\n'))


class SchemaTestCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.native, self.named = Database('native'), Database('named')

    def tearDown(self):
        self.native.connection.close()
        self.named.connection.close()


class PresetTest(SchemaTestCase):
    """Made without a name, as always."""

    def check(self, schema, preset):
        self.named.convention("'%s', '%s'" % (preset, schema))
        self.named.create(schema)
        self.assertEqual(self.named.warnings(), [])
        audit = self.named.run(
            'SELECT kind, "table", name, conforms, exempt'
            '  FROM orm_ext.naming_audit(%(schema)s)', schema=schema)
        # Everything is judged, once, and nothing else.
        self.assertEqual(sorted(row[1:3] for row in audit), sorted(
            (table, name) for _, table, name in self.named.names(schema)))
        self.assertEqual([row for row in audit if not row[3] or row[4]], [])
        self.assertEqual(self.named.violations(schema), [])
        self.assertEqual(self.named.plan(schema), [])

    def test_first_column(self):
        for schema in SCHEMAS:
            with self.subTest(schema):
                self.check(schema, 'first_column')

    def test_all_columns(self):
        for schema in SCHEMAS:
            with self.subTest(schema):
                self.check(schema, 'all_columns')

    def test_none_is_postgresql(self):
        for schema in SCHEMAS:
            with self.subTest(schema):
                self.named.convention("'none', '%s'" % schema)
                for database in self.native, self.named:
                    database.create(schema)
                self.assertEqual(statements(self.named.dump(schema)),
                                 statements(self.native.dump(schema)))
                self.assertEqual(self.named.warnings(), [])
                self.assertEqual(self.named.violations(schema), [])

    def test_only_names_differ(self):
        """What is made under a convention is what PostgreSQL makes."""
        for schema in SCHEMAS:
            with self.subTest(schema):
                self.named.convention("'first_column', '%s'" % schema)
                shapes = []
                for database in self.native, self.named:
                    database.create(schema)
                    database.rename(schema, 'typeorm')
                    # What came by LIKE had a name before it was attached.
                    shapes.append(statements(re.sub(
                        'event_2026_\\w+_idx', 'event_2026_idx',
                        database.dump(schema))))
                self.assertEqual(shapes[1], shapes[0])


class OtherConventionTest(SchemaTestCase):
    """Names of Rails, Django and TypeORM, in a schema that is to conform."""

    def check(self, schema, convention, preset):
        named = self.named
        named.convention("'%s', '%s'" % (preset, schema))
        named.create(schema)
        named.rename(schema, convention)
        before = named.dump(schema)
        names = named.names(schema)
        violations = named.violations(schema)
        self.assertGreater(len(violations), 30)

        plan = named.run('SELECT name, new_name, quote_ident(name),'
                         ' quote_ident(new_name)'
                         '  FROM orm_ext.naming_plan(%(schema)s)',
                         schema=schema)
        self.assertEqual(sorted(row[0] for row in plan),
                         sorted(row[0] for row in violations))
        self.assertEqual(len({row[1] for row in plan}), len(plan))

        named.messages.all.clear()
        named.run("CALL orm_ext.apply_naming('%s')" % schema)
        self.assertEqual(len(named.messages.all), len(plan))
        self.assertEqual(named.names(schema), names)
        # In one transaction, all or nothing.
        named.run('BEGIN')
        named.run("CALL orm_ext.apply_naming('%s', dry_run => false)" % schema)
        self.assertEqual(named.violations(schema), [])
        named.run('ROLLBACK')
        self.assertEqual(named.names(schema), names)

        named.run("CALL orm_ext.apply_naming('%s', dry_run => false)" % schema)
        self.assertEqual(named.violations(schema), [])
        self.assertEqual(named.plan(schema), [])
        self.assertEqual(
            statements(named.dump(schema)),
            statements(before, [row[2:] for row in plan]))
        return before, violations

    def check_reported(self, schema, dump, violations):
        """The same as plain statements: each name is reported as it comes."""
        self.named.run('DROP SCHEMA %s CASCADE' % schema)
        self.named.messages.all.clear()
        self.named.run(re.sub('^(SET |SELECT |[\\\\]).*\n', '', dump,
                              flags=re.M))
        # What a dump makes for itself before it is attached, is named by it.
        attached = {row[0] for row in self.named.run(
            "SELECT relname::text FROM pg_class"
            " WHERE relispartition AND relkind IN ('i', 'I')")}
        reported = {
            name: warning for name, warning in (
                (re.match('WARNING:  name "(.*?)" of ', warning)[1], warning)
                for warning in self.named.warnings())
            if name not in attached}
        self.assertEqual(sorted(reported),
                         sorted(name for name, _ in violations))
        for name, expected in violations:
            # Without the digits that PostgreSQL gives.
            self.assertIn(expected.rstrip('0123456789'), reported[name])

    def check_all(self, convention):
        for number, schema in enumerate(SCHEMAS):
            preset = PRESETS[(number + len(convention)) % 2]
            with self.subTest(schema=schema, preset=preset):
                self.check_reported(schema, *self.check(
                    schema, convention, preset))

    def test_rails(self):
        self.check_all('rails')

    def test_django(self):
        self.check_all('django')

    def test_typeorm(self):
        self.check_all('typeorm')


def main():
    print('# psycopg2 %s' % psycopg2.__version__.split()[0])
    suite = unittest.TestLoader().loadTestsFromModule(
        sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    # Of a test that has several parts, more than one may have failed.
    failed = len({getattr(test, 'test_case', test)
                  for test, _ in result.failures + result.errors})
    print('%d passed, %d failed' % (result.testsRun - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
