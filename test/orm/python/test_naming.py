"""Names that SQLAlchemy chooses, and the server by the same convention.

Random tables, constraints and indexes are made by SQLAlchemy, where the server
must find nothing wrong, and by plain SQL without names, which must come to the
same catalog.  Alembic's autogenerate must find nothing to do after either.
"""

import re
import unittest

import sqlalchemy
from sqlalchemy import (CheckConstraint, Column, Date, ForeignKeyConstraint,
                        Index, Integer, MetaData, PrimaryKeyConstraint, Table,
                        Text, UniqueConstraint, and_, case, cast, extract,
                        func, text)
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.schema import CreateIndex

import twin
from naming_plain import statements
from naming_random import (LONGEST, Shape, quote, random_convention,
                           rendered_name)

if not twin.IS_ASYNC:
    from naming_database import Database

FIRST_COLUMN = {
    'pk': '%(table_name)s_pkey',
    'uq': '%(table_name)s_%(column_0_name)s_key',
    'fk': '%(table_name)s_%(column_0_name)s_fkey',
    'ck': '%(table_name)s_%(constraint_name)s_check',
    'ix': '%(column_0_label)s_idx',
}
ALL_COLUMNS = dict(
    FIRST_COLUMN,
    uq='%(table_name)s_%(column_0_N_name)s_key',
    fk='%(table_name)s_%(column_0_N_name)s_fkey',
    ix='%(table_name)s_%(column_0_N_name)s_idx')
# From SQLAlchemy's documentation.
DOCUMENTED = {
    'ix': 'ix_%(column_0_label)s',
    'uq': 'uq_%(table_name)s_%(column_0_name)s',
    'ck': 'ck_%(table_name)s_%(constraint_name)s',
    'fk': 'fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s',
    'pk': 'pk_%(table_name)s',
}
KINDS = {'pk': PrimaryKeyConstraint, 'uq': UniqueConstraint,
         'fk': ForeignKeyConstraint, 'ck': CheckConstraint, 'ix': Index}
CATALOG_KINDS = {'pk': 'p', 'uq': 'u', 'fk': 'f', 'ck': 'c', 'ix': 'i'}


def kind_of(item):
    return next(kind for kind, class_ in KINDS.items()
                if isinstance(item, class_))


def numbered(name, expected):
    """Whether it is the expected name, or that with the server's digits."""
    return name == expected or any(
        name[-digits:].isdigit()
        and name[:-digits] == expected[:LONGEST - digits]
        for digits in (1, 2))


@unittest.skipIf(twin.IS_ASYNC, 'names do not depend on the driver')
class NamingTestCase(unittest.TestCase):
    maxDiff = None

    def database(self, kind='named', schema='naming', **options):
        database = Database(kind, schema, **options)
        self.addCleanup(database.dispose)
        database.create_schema()
        if kind == 'named':
            database.no_convention()
        return database


class ConventionTest(NamingTestCase):

    def check(self, seed, convention, schema='naming', in_label=False,
              alembic=True, naming_check='warn', **options):
        with self.subTest(seed=seed, convention=convention):
            own = {'own': not in_label}
            named = self.database(schema=schema, **own, **{
                'orm_ext.naming_check': naming_check})
            named.convention(convention, schema_in_label=in_label)
            label = schema if in_label else None
            shape = Shape(seed, comparable=alembic, **options)
            shape = shape.without_clashes(convention, label)
            metadata, made = shape.metadata(convention, label)

            metadata.create_all(named.engine)
            by_sqlalchemy = named.catalog()
            self.check_names(by_sqlalchemy, made, convention)
            self.check_expected_names(named, made)
            self.check_nothing_to_do(named, alembic and metadata)

            named.create_schema()
            plain = list(statements(shape, schema))
            named.run(*plain)
            by_server = named.catalog()
            native = self.database('native', schema=schema, **own)
            native.run(*plain)
            self.check_the_same(by_server, by_sqlalchemy, native.catalog(),
                                convention, named)
            self.check_nothing_to_do(named, alembic and metadata)

    def check_names(self, catalog, made, convention):
        """What is in the catalog is what SQLAlchemy believes in."""
        self.assertEqual(
            sorted(name for name in map(rendered_name, made.values())
                   if name is not None),
            sorted(name for kind, _, name in catalog
                   if any(CATALOG_KINDS[mnemonic] == kind
                          for mnemonic in convention)))

    def check_expected_names(self, database, made):
        with database.engine.connect() as connection:
            for (table, part), item in made.items():
                kind = kind_of(item)
                referred = columns = None
                if kind == 'fk':
                    columns = list(part.referred_columns)
                    referred = '%s.%s' % (quote(database.schema),
                                          quote(part.referred))
                answer = connection.execute(text(
                    'SELECT orm_ext.expected_name(:kind, :rel, :columns,'
                    ' CAST(:constraint_name AS text), :referred,'
                    ' CAST(:referred_columns AS text[]))'), {
                        'kind': kind,
                        'rel': '%s.%s' % (quote(database.schema),
                                          quote(table)),
                        'columns': [column.name for column in item.columns],
                        'constraint_name': part.name if kind == 'ck'
                        else None,
                        'referred': referred, 'referred_columns': columns})
                self.assertEqual(answer.scalar_one(), rendered_name(item))

    def check_the_same(self, by_server, by_sqlalchemy, native, convention,
                       database):
        """The same names for the same things."""
        unnamed = [CATALOG_KINDS[kind] for kind in CATALOG_KINDS
                   if kind not in convention]
        by_name = set(by_server)
        if 'constraint_name' in convention['ck']:
            checks = {key for key in by_server if key[0] == 'c'}
            self.check_unnamed_checks(
                {key: by_server[key] for key in checks}, native, database)
            self.assertEqual(
                sorted(by_server[key] for key in checks),
                sorted(definition for key, definition
                       in by_sqlalchemy.items() if key[0] == 'c'))
            by_name -= checks
        self.assertEqual(
            {key: by_server[key] for key in by_name},
            {key: definition for key, definition in by_sqlalchemy.items()
             if key[0] != 'c' or 'constraint_name' not in convention['ck']})
        # Where there is no convention, nobody is in the server's way.
        self.assertEqual(
            {key for key in by_server if key[0] in unnamed},
            {key for key in native if key[0] in unnamed})

    def check_unnamed_checks(self, checks, native, database):
        """After their one column, or else as PostgreSQL names them."""
        with database.engine.connect() as connection:
            for (kind, table, name), definition in checks.items():
                columns = connection.execute(text(
                    'SELECT array_agg(attname::text) FROM pg_constraint con'
                    '  JOIN pg_attribute ON attrelid = conrelid'
                    '   AND attnum = ANY (conkey)'
                    ' WHERE conname = :name'
                    '   AND conrelid = CAST(:rel AS regclass)'),
                    {'name': name, 'rel': '%s.%s' % (
                        quote(database.schema), quote(table))}).scalar_one()
                if len(columns) > 1:
                    self.assertIn((kind, table, name), native)
                    continue
                expected = connection.execute(text(
                    "SELECT orm_ext.expected_name('ck', :rel, :columns,"
                    ' :constraint_name)'), {
                        'rel': '%s.%s' % (quote(database.schema),
                                          quote(table)),
                        'columns': columns,
                        'constraint_name': columns[0]}).scalar_one()
                self.assertTrue(numbered(name, expected), (name, expected))

    def check_nothing_to_do(self, database, metadata):
        self.assertEqual(database.warnings(), [])
        self.assertEqual(database.violations(), [])
        if metadata:
            self.assertEqual(database.differences(metadata), [])

    def test_first_column(self):
        for seed in range(3):
            self.check(seed, FIRST_COLUMN)

    def test_all_columns(self):
        for seed in range(2):
            self.check(seed, ALL_COLUMNS)

    def test_documented_convention(self):
        for seed in range(2):
            self.check(seed, DOCUMENTED)

    def test_all_tokens(self):
        for seed in range(10, 18):
            self.check(seed, random_convention(seed))

    def test_schema_in_label(self):
        for seed in range(30, 33):
            self.check(seed, random_convention(seed), in_label=True,
                       schema='My schema')
        # SQLAlchemy cannot reflect what refers to such a schema.
        self.check(34, FIRST_COLUMN, in_label=True, schema='naming.east',
                   alembic=False)

    def test_nothing_raises_an_error(self):
        for seed, convention in ((40, FIRST_COLUMN), (41, ALL_COLUMNS),
                                 (42, random_convention(42))):
            self.check(seed, convention, naming_check='error', alembic=False)

    def test_names_that_are_hard_to_quote(self):
        """Among them some that SQLAlchemy cannot reflect."""
        self.check(50, FIRST_COLUMN, alembic=False, odd_characters='"(),%')
        self.check(51, random_convention(51), alembic=False,
                   odd_characters='\\:;"')


class ExpressionTest(NamingTestCase):
    """An index is called after the first column of its expressions."""

    def expressions(self, c):
        yield from (
            func.abs(c.a) + c.b,
            func.abs(c.a) + (c.b - c.a),
            func.abs(c.a) + cast(c.b, Integer),
            func.abs(c.a) - -c.b,
            func.abs(c.a) + func.abs(func.abs(c.b)),
            func.coalesce(func.lower(c.x), c.y),
            func.coalesce(c.x, c.y) + c.z,
            func.lower(c.x) + c.y,
            func.greatest(c.a, c.b) - c.c,
            extract('year', c.d) + c.b,
            1 - case((c.a > 0, c.b), else_=c.c),
            and_(func.abs(c.a) > 0, c.b > 0),
            c.a - c.b - c.c,
            c.a * c.b + c.c,
            (c.a - c.b) * 2,
            c.x.collate('C') + c.y,
            c.x.is_(None),
            c.a.in_([1, 2]),
            c.a.between(c.b, c.c),
            cast(c.a, Text) + c.x,
            c.x + (c.y + c.z),
        )
        if sqlalchemy.__version__ >= '2':
            # Chains of one operator, which 1.4 does not see as one.
            yield from (
                c.a + c.b + c.c,
                c.x + '-' + c.y,
                (c.a + 1) + c.b,
                func.abs(c.a) + c.b + c.c,
                c.a * c.b * c.c + c.a,
            )

    def test_first_column(self):
        database = self.database()
        database.convention(FIRST_COLUMN)
        metadata = MetaData(naming_convention=FIRST_COLUMN)
        table = Table('t', metadata, Column('d', Date), *(
            Column(name, Integer) for name in 'abc'), *(
            Column(name, Text) for name in 'xyz'))
        metadata.create_all(database.engine)
        for expression in self.expressions(table.c):
            index = Index(None, expression)
            create = str(CreateIndex(index).compile(database.engine))
            with self.subTest(create):
                name = rendered_name(index)
                database.run(create.replace(name + ' ', '', 1))
                names = [row[2] for row in database.catalog()]
                violations = database.violations()
                database.run('DROP INDEX ' + ', '.join(names))
                self.assertEqual(names, [name])
                # The same as it is read from the catalog.
                self.assertEqual(violations, [])


class PresetTest(NamingTestCase):

    def test_first_column_is_the_default(self):
        self.check_preset('naming', FIRST_COLUMN)

    def test_presets(self):
        for preset, convention in (('first_column', FIRST_COLUMN),
                                   ('all_columns', ALL_COLUMNS)):
            self.check_preset('naming_' + preset, convention, preset)

    def check_preset(self, schema, convention, preset=None):
        database = self.database(schema=schema)
        if preset:
            database.preset(preset)
        shape = Shape(60).without_clashes(convention)
        _, made = shape.metadata(convention)
        database.run(*statements(shape, schema))
        names = {name for kind, _, name in database.catalog() if kind != 'c'}
        self.assertEqual(names, {
            rendered_name(item) for item in made.values()
            if not isinstance(item, CheckConstraint)})

    def test_all_columns_is_how_postgresql_names(self):
        """But for expressions and included columns; with its own digits."""
        for seed in range(61, 65):
            with self.subTest(seed=seed):
                named, native = map(self.database, ('named', 'native'))
                named.preset('all_columns', overflow='postgres')
                plain = list(statements(
                    Shape(seed, expressions=False), 'naming'))
                for database in named, native:
                    database.run(*plain)
                self.assertEqual(named.catalog(), native.catalog())
                self.assertEqual(named.violations(), [])


class OtherConventionTest(NamingTestCase):
    """Names of a convention that is not the server's."""

    def setUp(self):
        self.metadata, _ = Shape(70).without_clashes(
            DOCUMENTED).metadata(DOCUMENTED)

    def test_each_is_reported(self):
        database = self.database()
        database.convention(FIRST_COLUMN)
        self.metadata.create_all(database.engine)
        reported = {}
        for warning in database.warnings():
            name = re.match('WARNING:  name "(.*?)" of ', warning)[1]
            reported[name] = warning
        violations = database.violations()
        self.assertEqual(sorted(reported),
                         sorted(row.name for row in violations))
        self.assertEqual(len(reported), len(database.catalog()))
        for row in violations:
            self.assertIn(row.expected, reported[row.name])

    def test_first_one_is_an_error(self):
        database = self.database(**{'orm_ext.naming_check': 'error'})
        database.convention(FIRST_COLUMN)
        with self.assertRaises(ProgrammingError) as caught:
            self.metadata.create_all(database.engine)
        self.assertEqual(twin.sqlstate(caught.exception), '42602')
        self.assertEqual(database.catalog(), {})

    def test_off(self):
        database = self.database(**{'orm_ext.naming_check': 'off'})
        database.convention(FIRST_COLUMN)
        self.metadata.create_all(database.engine)
        self.assertEqual(database.warnings(), [])
        self.assertEqual(database.differences(self.metadata), [])
