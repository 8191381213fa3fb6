"""Random tables, constraints and indexes, and conventions to name them by.

A Shape says what there is, and names tables, columns and CHECKs only.  Its
metadata() lets SQLAlchemy name the rest; naming_plain leaves it to the server.
"""

import collections
import random

from sqlalchemy import (CheckConstraint, Column, Date, ForeignKeyConstraint,
                        Index, Integer, MetaData, PrimaryKeyConstraint,
                        Table, Text, UniqueConstraint, cast, func)
from sqlalchemy.dialects import postgresql

TYPES = {'integer': Integer, 'text': Text, 'date': Date}
WORDS = ('account', 'amount', 'billing', 'channel', 'code', 'currency',
         'customer', 'id', 'invoice', 'kind', 'ledger', 'line', 'market',
         'month', 'n', 'order', 'owner', 'parent', 'period', 'price',
         'product', 'region', 'renewal', 'report', 'sku', 'state',
         'subscription', 'summary', 'tag', 'total', 'user', 'x')
LONGEST = 63

UniqueKey = collections.namedtuple('UniqueKey', 'columns')
Reference = collections.namedtuple(
    'Reference', 'columns referred referred_columns')
Check = collections.namedtuple('Check', 'name left operator right')
IndexOf = collections.namedtuple(
    'IndexOf', 'elements unique where include ordering opclass')
# SQL text, and the same made of the columns of a Table.
Element = collections.namedtuple('Element', 'sql build')


def quote(name):
    return '"%s"' % name.replace('"', '""')


class TableShape:
    """A table; parts are what it has besides columns and a primary key."""

    def __init__(self, name, columns, primary_key):
        self.name = name
        self.columns = columns
        self.primary_key = primary_key
        self.parts = []

    def of_type(self, *types):
        return [name for name, type_ in self.columns.items()
                if type_ in types]


class Shape:
    """So many tables, with a handful of constraints and indexes each.

    odd_characters  what some names contain
    expressions     whether indexes have expressions and included columns
    comparable      leaves out expressions that the server writes in its own
                    way, which newer Alembic would take for a change
    """

    def __init__(self, seed, tables=12, odd_characters=" -%$'",
                 expressions=True, comparable=True):
        self.random = random.Random(seed)
        self.odd_characters = odd_characters
        self.expressions = expressions
        self.comparable = comparable
        self.tables = []
        self._names = set()
        for _ in range(tables):
            self.tables.append(self._table())
            for _ in range(self.random.randint(3, 9)):
                self._add_part(self.tables[-1])

    # Names

    def _name(self, taken):
        """Short or up to 63 characters long; now and then hard to quote."""
        while True:
            words = self.random.choice((1, 1, 2, 2, 3, 5, 9))
            name = '_'.join(self.random.choices(WORDS, k=words))[:LONGEST]
            style = self.random.random()
            if style < 0.1:
                name = name.title().replace('_', '')
            elif style < 0.15:
                # Never a dot, at which SQLAlchemy splits what it refers to.
                place = self.random.randint(0, len(name))
                name = (name[:place] + self.random.choice(self.odd_characters)
                        + name[place:])[:LONGEST]
            elif style < 0.2:
                name = (name * 9)[:self.random.randint(50, LONGEST)]
            if name not in taken and name.strip() == name:
                taken.add(name)
                return name

    # What there is

    def _table(self):
        taken = set()
        columns = {}
        for type_ in ['integer'] * self.random.randint(3, 5) + [
                'text'] * self.random.randint(1, 3) + ['date']:
            columns[self._name(taken)] = type_
        integers = [name for name, type_ in columns.items()
                    if type_ == 'integer']
        key = self.random.sample(integers, self.random.choice((1, 1, 1, 2)))
        return TableShape(self._name(self._names), columns, key)

    def _add_part(self, table):
        make = self.random.choices(
            (self._unique_key, self._reference, self._check, self._index),
            (2, 3, 2, 5))[0]
        part = make(table)
        if part and part not in table.parts:
            table.parts.append(part)

    def _some(self, names, most=3):
        return self.random.sample(
            names, self.random.randint(1, min(most, len(names))))

    def _unique_key(self, table):
        columns = self._some(list(table.columns))
        keys = [part.columns for part in table.parts
                if isinstance(part, UniqueKey)] + [table.primary_key]
        # The server makes one key of two alike in one statement.
        if set(columns) not in map(set, keys):
            return UniqueKey(tuple(columns))

    def _reference(self, table):
        referred = self.random.choice(self.tables + [table])
        columns = self.random.sample(
            table.of_type('integer'), len(referred.primary_key))
        return Reference(tuple(columns), referred.name,
                         tuple(referred.primary_key))

    def _check(self, table):
        left, right = (self.random.choice(table.of_type('integer'))
                       for _ in range(2))
        if left == right:
            right = self.random.randint(0, 9)
        return Check(self._name(set()), left,
                     self.random.choice(('<', '>=')), right)

    def _index(self, table):
        if self.expressions and self.random.random() < 0.4:
            elements = tuple(self._expression(table) for _ in range(
                self.random.choice((1, 1, 1, 2, 3))))
            ordering = opclass = None
        else:
            names = self._some(list(table.columns))
            elements = tuple(map(self._column, names))
            opclass = self.random.choice(
                [None] + [name for name in names
                          if table.columns[name] == 'text'])
            ordering = opclass is None and self.random.random() < 0.3
        where = include = None
        if self.random.random() < 0.2:
            where = self.random.choice(table.of_type('integer'))
        if self.expressions and self.random.random() < 0.2:
            include = self.random.choice(list(table.columns))
        return IndexOf(elements, self.random.random() < 0.25, where, include,
                       ordering, opclass)

    def _column(self, name):
        return Element(quote(name), lambda table: table.c[name])

    def _expression(self, table):
        """One whose first column SQLAlchemy 1.4 and 2.0 agree upon."""
        integers = table.of_type('integer')
        a, b = self.random.sample(integers, 2)
        text = self.random.choice(table.of_type('text'))
        expressions = [
            self._column(a),
            Element('lower(%s)' % quote(text),
                    lambda t: func.lower(t.c[text])),
            Element('(%s + %s)' % (quote(a), quote(b)),
                    lambda t: t.c[a] + t.c[b]),
            Element('((%s - %s) * %s)' % (quote(a), quote(b), quote(a)),
                    lambda t: (t.c[a] - t.c[b]) * t.c[a]),
            Element('upper(substr(%s, %s))' % (quote(text), quote(b)),
                    lambda t: func.upper(func.substr(t.c[text], t.c[b]))),
            Element('coalesce(%s, %s)' % (quote(b), quote(a)),
                    lambda t: func.coalesce(t.c[b], t.c[a])),
            Element('CAST(%s AS text)' % quote(a),
                    lambda t: cast(t.c[a], Text)),
            # The nearest column is the first one, not the leftmost.
            Element('(abs(%s) + %s)' % (quote(a), quote(b)),
                    lambda t: func.abs(t.c[a]) + t.c[b]),
            Element("(%s || 'x')" % quote(text), lambda t: t.c[text] + 'x'),
        ]
        if not self.comparable:
            # What is within a call is further away than it looks.
            expressions += [
                Element('lower(CAST(%s AS text))' % quote(b),
                        lambda t: func.lower(cast(t.c[b], Text))),
                Element('(abs(%s) - (-%s))' % (quote(a), quote(b)),
                        lambda t: func.abs(t.c[a]) - -t.c[b]),
                Element('(coalesce(%s, 0) - CAST(%s AS integer))' % (
                    quote(b), quote(a)),
                        lambda t: func.coalesce(t.c[b], 0)
                        - cast(t.c[a], Integer)),
                Element('(abs(%s) + (%s - %s))' % (
                    quote(a), quote(b), quote(a)),
                        lambda t: func.abs(t.c[a]) + (t.c[b] - t.c[a])),
                Element('(abs(%s) + %s * 2)' % (quote(b), quote(a)),
                        lambda t: func.abs(t.c[b]) + t.c[a] * 2),
            ]
        return self.random.choice(expressions)

    # As SQLAlchemy has it

    def metadata(self, convention, schema=None):
        """MetaData, and what was made of each: {(table, part): object}."""
        metadata = MetaData(schema=schema, naming_convention=convention)
        made = {}
        wrap = 'constraint_name' in convention.get('ck', '')
        for shape in self.tables:
            table = Table(shape.name, metadata, *(
                Column(name, TYPES[type_], autoincrement=False)
                for name, type_ in shape.columns.items()))
            if shape.primary_key:
                made[shape.name, None] = PrimaryKeyConstraint(
                    *(table.c[name] for name in shape.primary_key))
                table.append_constraint(made[shape.name, None])
            for part in shape.parts:
                made[shape.name, part] = self._made(
                    part, table, metadata, schema, wrap)
        return metadata, made

    def _made(self, part, table, metadata, schema, wrap):
        if isinstance(part, IndexOf):
            return self._made_index(part, table)
        if isinstance(part, UniqueKey):
            constraint = UniqueConstraint(*(table.c[name]
                                            for name in part.columns))
        elif isinstance(part, Reference):
            referred = metadata.tables[
                '%s.%s' % (schema, part.referred) if schema
                else part.referred]
            constraint = ForeignKeyConstraint(
                [table.c[name] for name in part.columns],
                [referred.c[name] for name in part.referred_columns])
        else:
            right = (part.right if isinstance(part.right, int)
                     else table.c[part.right])
            constraint = CheckConstraint(
                table.c[part.left].op(part.operator)(right),
                name=part.name if wrap else None)
        table.append_constraint(constraint)
        return constraint

    def _made_index(self, part, table):
        expressions = [element.build(table) for element in part.elements]
        options = {}
        if part.opclass:
            options['postgresql_ops'] = {part.opclass: 'text_pattern_ops'}
        if part.ordering:
            expressions[-1] = expressions[-1].desc()
        if part.where:
            options['postgresql_where'] = table.c[part.where] > 0
        if part.include:
            options['postgresql_include'] = [part.include]
        return Index(None, *expressions, unique=part.unique, **options)

    def without_clashes(self, convention, schema=None):
        """Leaves out what SQLAlchemy would name like something else.

        Also what it would send longer than the server's names are.
        """
        while True:
            _, made = self.metadata(convention, schema)
            taken = {shape.name for shape in self.tables}
            dropped = set()
            for key, item in made.items():
                name = rendered_name(item)
                if name is None:
                    continue
                if name in taken or len(name.encode()) > LONGEST:
                    dropped.add(key)
                taken.add(name)
            if not dropped:
                return self
            self._drop(dropped)

    def _drop(self, dropped):
        keyless = set()
        for shape in self.tables:
            shape.parts = [part for part in shape.parts
                           if (shape.name, part) not in dropped]
            if (shape.name, None) in dropped:
                shape.primary_key = None
                keyless.add(shape.name)
        for shape in self.tables:
            shape.parts = [part for part in shape.parts
                           if not isinstance(part, Reference)
                           or part.referred not in keyless]


# Of a dialect that need not double percent signs for its driver.
_PREPARER = postgresql.dialect(paramstyle='named').identifier_preparer


def rendered_name(item):
    """The name that SQLAlchemy sends; None where it sends none."""
    if item.name is None:
        return None
    if isinstance(item, Index):
        name = _PREPARER.format_index(item)
    else:
        name = _PREPARER.format_constraint(item)
    if name.startswith('"'):
        name = name[1:-1].replace('""', '"')
    return name


# Conventions

COLUMN_TOKENS = tuple('%%(column_%s)s' % token for token in (
    '0_name', '0N_name', '0_N_name', '0_key', '0N_key', '0_N_key',
    '0_label', '0N_label', '0_N_label'))
REFERRED_TOKENS = tuple('%%(referred_%s)s' % token for token in (
    'table_name', 'column_0_name', 'column_0N_name', 'column_0_N_name'))
TABLE = '%(table_name)s'


def random_convention(seed, dotted_schema=False):
    """Templates of all tokens that SQLAlchemy implements."""
    choice = random.Random(seed).choice
    chance = random.Random(-seed - 1).random
    columns = choice(COLUMN_TOKENS)
    referred = choice(REFERRED_TOKENS[1:] if dotted_schema
                      else REFERRED_TOKENS)
    separator = choice(('_', '__', '-', ' of ', '%%', '', '.'))
    convention = {
        'pk': choice(('pk_' + TABLE, TABLE + separator + 'pkey',
                      'PK ' + TABLE + '%%' + columns)),
        'uq': choice(('uq_' + TABLE + '_%(column_0_N_name)s',
                      TABLE + separator + columns + '%(column_1_name)s',
                      columns + '_is_unique_in_' + TABLE)),
        'fk': choice(('fk_' + TABLE + separator + columns + '_' + referred,
                      TABLE + '_' + '%(column_0_N_name)s' + separator
                      + '%(referred_column_0_N_name)s',
                      columns + '_to_' + referred)),
        'ck': choice(('ck_' + TABLE + '_%(constraint_name)s',
                      '%(constraint_name)s' + separator + columns,
                      'ck' + separator + TABLE + '_' + columns)),
        'ix': choice(('ix_%(column_0N_label)s', 'ix_' + columns,
                      TABLE + separator + '%(column_0_N_name)s',
                      columns + separator + '%(column_2_name)s_100%%')),
    }
    for kind in ('pk', 'uq', 'fk'):
        if chance() < 0.1:
            del convention[kind]
    return convention
