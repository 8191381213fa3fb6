"""Statements that make tables, indexes and what else occupies names."""

from .elements import Elements, WITHOUT_ORDER
from .quoting import literal, quote
from .statement import joined, Named, Statement
from .templates import clip, cut, choice, LIMIT, Thing
from .words import COLUMNS, SCHEMAS, TABLES

LIKE_OPTIONS = ('ALL', 'ALL', 'INDEXES', 'CONSTRAINTS', 'CONSTRAINTS INCLUDING INDEXES', 'DEFAULTS',
                'ALL EXCLUDING INDEXES', 'INDEXES INCLUDING COMMENTS')
PERSISTENCE = {'p': '', 't': 'TEMP ', 'u': 'UNLOGGED '}
PARTITIONABLE = ('integer', 'bigint', 'int', 'serial')


class Creations(Elements):
    """The part of the generator that creates."""

    def __init__(self, rng, seen, context, number):
        super().__init__(rng, seen, context)
        self.counter = number * 1000        # for partition bounds

    # What is there

    def some(self, kinds='rp', condition=None):
        """A table that is there, or None."""
        rows = [row for row in self.context.plain.tables(kinds)
                if row['columns'] and (condition is None or condition(row))]
        return self.rng.choice(rows) if rows else None

    @staticmethod
    def columns(row):
        """Names and types of a table's columns."""
        return [(column[1], column[2]) for column in row['columns']]

    def partition_key(self, row):
        """The columns that a partition key has, as far as its text shows."""
        return [name for name, _ in self.columns(row) if row['key'] and quote(name) in row['key']]

    # New names of relations

    def new_place(self, names, persistence='p', attempts=12):
        """(schema, name, text) for something new; the name is seldom taken."""
        rng, catalog = self.rng, self.context.plain
        text = rng.choice(names)
        name = clip(text, LIMIT)
        path = self.context.path
        if persistence == 't':
            return 'pg_temp', name, quote(text)
        schemas = self.context.schemas()
        if (path and self.chance(0.6)) or not schemas:
            schema, place = path[0] if path else 'nowhere', quote(text)
        else:
            schema = rng.choice(schemas) if not self.chance(0.02) else 'nowhere'
            place = f'{quote(schema)}.{quote(text)}'
        if name in catalog.relation_names[schema] and attempts and not self.chance(0.06):
            return self.new_place(names, persistence, attempts - 1)
        return schema, name, place

    # Tables

    def create_table(self):
        """CREATE TABLE."""
        rng = self.rng
        persistence = rng.choices('ptu', (20, 2, 1))[0]
        target = self.new_place(TABLES, persistence)
        columns = self.new_columns(rng.randint(1, 5))
        forms = {'plain': 10, 'like': 4, 'inherits': 3, 'partitioned': 4, 'type': 1}
        form = rng.choices(list(forms), list(forms.values()))[0]
        self.feature(f'table: {form}')
        if form == 'type':
            return self.typed_table(*target, persistence)
        elements, tail, like = getattr(self, f'{form}_table')(*target[:2], columns)
        exists = 'IF NOT EXISTS ' if self.chance(0.05) else ''
        drop = persistence == 't' and self.context.transaction and self.chance(0.2)
        return Statement([f'CREATE {PERSISTENCE[persistence]}TABLE {exists}{target[2]} (', *elements,
                          f"){tail}{' ON COMMIT DROP' if drop else ''}"], 'create table', like)

    # Forms of a table: (elements, what is behind them, relations that LIKE copies)

    def plain_table(self, schema, table, columns):
        """A table by itself."""
        return self.new_table_elements(schema, table, columns), '', []

    def partitioned_table(self, schema, table, columns):
        """PARTITION BY."""
        keys = [name for name, kind in columns if kind in PARTITIONABLE]
        if not keys:
            return self.plain_table(schema, table, columns)
        strategy = self.rng.choice(('LIST', 'RANGE', 'HASH'))
        return (self.new_table_elements(schema, table, columns, tuple(keys[:1])),
                f' PARTITION BY {strategy} ({quote(keys[0])})', [])

    def like_table(self, schema, table, columns):
        """LIKE, with elements before and after it."""
        source = self.some('rpfv')
        if not source:
            return self.plain_table(schema, table, columns)
        taken = {name for name, _ in self.columns(source)}
        columns = [column for column in columns if clip(column[0], LIMIT) not in taken][:2]
        options = self.rng.choice(LIKE_OPTIONS)
        parts = [[f'LIKE {self.context.place(source)} INCLUDING {options}']]
        if columns:
            own = self.new_table_elements(schema, table, columns)
            parts.insert(self.rng.randint(0, 1), own)
        if self.chance(0.4):
            parts.append(self.table_constraint(schema, table, self.columns(source)))
        return joined(', ', parts), '', [source]

    def inherits_table(self, schema, table, columns):
        """INHERITS, from one or two."""
        parents = [self.some('r', lambda row: not row['partition']) for _ in range(self.rng.randint(1, 2))]
        if not all(parents):
            return self.plain_table(schema, table, columns)
        taken = {name for row in parents for name, _ in self.columns(row)}
        columns = [column for column in columns if clip(column[0], LIMIT) not in taken or self.chance(0.1)]
        parts = [self.new_table_elements(schema, table, columns)] if columns else []
        if self.chance(0.5):
            parts.append(self.table_constraint(schema, table, self.columns(parents[0])))
        places = dict.fromkeys(self.context.place(row) for row in parents)
        return joined(', ', parts), f" INHERITS ({', '.join(places)})", []

    def typed_table(self, schema, table, place, persistence):
        """CREATE TABLE … OF type."""
        types = self.some('c')
        if not types:
            name = self.rng.choice(('kind_a', 'kind_b'))
            return Statement([f'CREATE TYPE {name} AS (id int, a text, b int)'], 'create type')
        columns, parts = self.columns(types), []
        for name, kind in columns:
            pieces = self.inline(schema, table, name, kind)
            if pieces:
                parts.append([f'{quote(name)} WITH OPTIONS', *pieces])
        for _ in range(self.rng.randint(0, 2)):
            parts.append(self.table_constraint(schema, table, columns))
        elements = ['(', *joined(', ', parts), ')'] if parts else []
        head = f'CREATE {PERSISTENCE[persistence]}TABLE {place} OF {self.context.place(types)} '
        return Statement([head, *elements], 'create table')

    def bound(self, parent):
        """A bound for a new partition."""
        self.counter += 1
        number = self.counter
        if self.chance(0.05) and not parent['key'].startswith('HASH'):
            return 'DEFAULT'
        if parent['key'].startswith('LIST'):
            return f'FOR VALUES IN ({number})'
        if parent['key'].startswith('RANGE'):
            return f'FOR VALUES FROM ({number}) TO ({number + 1})'
        return f'FOR VALUES WITH (MODULUS 16, REMAINDER {self.rng.randrange(16)})'

    def partition(self):
        """CREATE TABLE … PARTITION OF, perhaps partitioned again."""
        parent = self.some('p')
        if not parent:
            return self.create_table()
        schema, table, place = self.new_place(TABLES)
        columns, parts, tail = self.columns(parent), [], ''
        must = self.partition_key(parent)
        if must and self.chance(0.25):
            tail = f" PARTITION BY {self.rng.choice(('LIST', 'RANGE', 'HASH'))} ({quote(must[0])})"
        for name, kind in columns:
            pieces = self.inline(schema, table, name, kind) if self.chance(0.2) else []
            if pieces:
                parts.append([quote(name), *pieces])
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            parts.append(self.table_constraint(schema, table, columns, must if tail else ()))
        elements = ['(', *joined(', ', parts), ') '] if parts else []
        return Statement([f'CREATE TABLE {place} PARTITION OF {self.context.place(parent)} ', *elements,
                          f'{self.bound(parent)}{tail}'], 'partition of')

    def foreign_table(self):
        """CREATE FOREIGN TABLE."""
        schema, table, place = self.new_place(TABLES)
        columns = [column for column in self.new_columns(self.rng.randint(1, 4)) if column[1] != 'serial']
        if not columns:
            columns = [('id', 'int')]
        elements = self.new_table_elements(schema, table, columns, foreign=True)
        return Statement([f'CREATE FOREIGN TABLE {place} (', *elements, ') SERVER nowhere'], 'foreign table')

    def create_schema(self):
        """CREATE SCHEMA with elements."""
        missing = [name for name in (*SCHEMAS, 'extra') if name not in self.context.schemas()]
        if not missing:
            return self.create_table()
        schema, parts = self.rng.choice(missing), []
        for table in self.rng.sample(TABLES, self.rng.randint(0, 2)):
            columns = [column for column in self.new_columns(self.rng.randint(1, 3))]
            name = clip(table, LIMIT)
            parts += [f' CREATE TABLE {quote(table)} (', *self.new_table_elements(schema, name, columns), ')']
            if self.chance(0.4):
                index, _ = self.index_on(schema, name, columns)
                parts += [' CREATE INDEX ', *index]
        self.feature('schema with elements' if parts else 'schema')
        return Statement([f'CREATE SCHEMA {quote(schema)}', *parts], 'create schema')

    # Indexes

    def index_on(self, schema, table, columns, place=None, named=None):
        """([name] ON table (…), columns) of an index; the caller writes what is before."""
        rng = self.rng
        method, keys, found = '', [], []
        boxes = [name for name, kind in columns if kind == 'box']
        if boxes and self.chance(0.3):
            method = ' USING gist'
            keys, found = [quote(boxes[0])], [boxes[0]]
        else:
            chosen = self.keyed(columns, self.how_many())
            for name in chosen:
                if self.chance(0.25) and self.feature('expression in an index'):
                    text, names = self.expression([column for column in columns if column[1] not in WITHOUT_ORDER]
                                                  or columns)
                    keys.append(text)
                    found += names[:1]
                else:
                    keys.append(quote(name))
                    found.append(name)
                keys[-1] += rng.choice(('',) * 8 + (' DESC', ' NULLS FIRST', ' DESC NULLS LAST'))
            if self.chance(0.04):
                keys.append(keys[0])
            if self.chance(0.1):
                method = rng.choice((' USING btree', ' USING hash', ' USING brin'))
        only = 'ONLY ' if self.chance(0.06) else ''
        tail = '' if 'hash' in method or 'brin' in method else self.included(columns)
        tail += ' WITH (fillfactor = 80)' if self.chance(0.05) else ''
        tail += f' WHERE {self.condition(columns)[0]}' if self.chance(0.15) else ''
        thing = Thing('ix', schema, table, tuple(dict.fromkeys(found)))
        if named is None:
            named = self.chance(self.explicit + 0.05)
        return ([*([self.name(thing)] if named else []),
                 f" ON {only}{place or quote(table)}{method} ({', '.join(keys)}){tail}"], thing)

    def create_index(self):
        """CREATE INDEX."""
        row = self.some('rpm')
        if not row:
            return self.create_table()
        schema = row['schema']
        unique = self.chance(0.25)
        exists = self.chance(0.06)
        concurrently = self.chance(0.12) and not self.context.transaction
        pieces, _ = self.index_on(schema, row['name'], self.columns(row), self.context.place(row),
                                  True if exists else None)
        if unique:
            for piece in pieces:
                if isinstance(piece, Named):
                    piece.thing = piece.thing.but(unique=True)
        head = f"CREATE {'UNIQUE ' if unique else ''}INDEX {'CONCURRENTLY ' if concurrently else ''}"
        head += 'IF NOT EXISTS ' if exists else ''
        if concurrently:
            self.feature('concurrently')
        return Statement([head, *pieces], 'create index', alone=concurrently)

    # What occupies names

    def occupant(self):
        """A view, sequence, type, domain or matview under a name that something unnamed may want."""
        rng, row, catalog = self.rng, self.some(), self.context.plain
        if not row:
            return self.create_table()
        kind = rng.choice(('pk', 'uq', 'ix', 'fk', 'ck', 'ex'))
        columns = tuple(rng.sample([name for name, _ in self.columns(row)], 1))
        thing = Thing(kind, row['schema'], row['name'], columns, None, 'account', ('id',), native=columns)
        name = cut(*choice(self.context.config, thing))
        if row['schema'] == 'pg_temp' or (name in catalog.relation_names[row['schema']] and self.chance(0.9)):
            name = rng.choice(COLUMNS)
        place = f"{quote(row['schema'])}.{quote(name)}"
        forms = [f'CREATE VIEW {place} AS SELECT 1 AS id', f'CREATE SEQUENCE {place}',
                 f'CREATE TYPE {place} AS (id int)', f'CREATE TABLE {place} (id int)',
                 f'CREATE MATERIALIZED VIEW {place} AS SELECT 1 AS id, 2 AS a']
        if row['schema'] == 'pg_temp':
            forms = forms[:2]
        if rng.random() < 0.4 and row['schema'] != 'pg_temp':
            text = [f"CREATE DOMAIN {quote(row['schema'])}.{quote('d_' + rng.choice('abcd'))} AS int CONSTRAINT ",
                    quote(name), ' CHECK (VALUE > 0) CHECK (VALUE < 9)']
            return Statement([''.join(text)], 'domain')
        return Statement([rng.choice(forms)], 'occupant')

    # Wrappers

    def block(self, statement):
        """A statement within a DO block."""
        if any(isinstance(piece, str) and '$x$' in piece for piece in statement.pieces):
            return statement
        return statement.wrapped('DO $x$ BEGIN ', '; END $x$', 'do')

    def function(self):
        """A function that makes the same unnamed index twice, from a cached plan."""
        row = self.some('r', lambda row: row['schema'] != 'pg_temp')
        if not row:
            return self.create_table()
        pieces, _ = self.index_on(row['schema'], row['name'], self.columns(row), self.context.place(row), False)
        return Statement(['CREATE OR REPLACE FUNCTION pg_temp.ddl() RETURNS void LANGUAGE plpgsql AS '
                          '$x$ BEGIN FOR i IN 1..2 LOOP CREATE INDEX ', *pieces, '; END LOOP; END $x$;'
                          ' SELECT pg_temp.ddl()'], 'function')

    def dynamic(self):
        """EXECUTE of a string with an unnamed constraint."""
        row = self.some('r')
        if not row:
            return self.create_table()
        name = quote(self.rng.choice(self.columns(row))[0])
        sql = f'ALTER TABLE {self.context.place(row)} ADD UNIQUE ({name}), ADD CHECK ({name} IS NOT NULL)'
        return Statement([f'DO $x$ BEGIN EXECUTE {literal(sql)}; END $x$'], 'execute')
