"""Shapes of naming_random as SQL that names nothing but tables and columns."""

from naming_random import IndexOf, Reference, UniqueKey, quote


def statements(shape, schema):
    """CREATE TABLE, ALTER TABLE and CREATE INDEX, in an order that runs."""
    for table in shape.tables:
        yield from _Table(shape.random, table, schema).statements()


def _listed(names):
    return ', '.join(map(quote, names))


class _Table:
    def __init__(self, random, table, schema):
        self.random = random
        self.table = table
        self.schema = schema
        self.columns = {name: '%s %s' % (quote(name), type_)
                        for name, type_ in table.columns.items()}
        self.clauses = []
        self.additions = []
        self.indexes = []

    def statements(self):
        if self.table.primary_key:
            self.place('PRIMARY KEY (%s)' % _listed(self.table.primary_key),
                       'PRIMARY KEY', self.table.primary_key)
        for part in self.table.parts:
            if isinstance(part, IndexOf):
                self.indexes.append(self.create_index(part))
            elif isinstance(part, UniqueKey):
                self.place('UNIQUE (%s)' % _listed(part.columns), 'UNIQUE',
                           part.columns)
            elif isinstance(part, Reference):
                self.place_reference(part)
            else:
                self.place_check(part)

        name = self.qualified(self.table.name)
        yield 'CREATE TABLE %s (%s)' % (
            name, ', '.join([*self.columns.values(), *self.clauses]))
        if self.additions and self.random.random() < 0.5:
            self.additions = [', '.join(self.additions)]
        for addition in self.additions:
            yield 'ALTER TABLE %s %s' % (name, addition)
        yield from self.indexes

    def qualified(self, table):
        return '%s.%s' % (quote(self.schema), quote(table))

    def place(self, clause, inline, columns, later=False):
        """At the column, in the table, or afterwards."""
        place = 1 if later else self.random.random()
        if place < 0.35 and len(columns) == 1:
            self.columns[columns[0]] += ' ' + inline
        elif place < 0.7:
            self.clauses.append(clause)
        else:
            self.additions.append('ADD ' + clause)

    def place_reference(self, part):
        target = 'REFERENCES %s (%s)' % (
            self.qualified(part.referred), _listed(part.referred_columns))
        # Its own primary key may come afterwards.
        self.place('FOREIGN KEY (%s) %s' % (_listed(part.columns), target),
                   target, part.columns,
                   later=part.referred == self.table.name)

    def place_check(self, part):
        right = (part.right if isinstance(part.right, int)
                 else quote(part.right))
        clause = 'CHECK (%s %s %s)' % (quote(part.left), part.operator, right)
        self.place(clause, clause, [part.left])

    def create_index(self, part):
        elements = [
            element.sql + ' text_pattern_ops' if part.opclass
            and element.sql == quote(part.opclass) else element.sql
            for element in part.elements]
        if part.ordering:
            elements[-1] += ' DESC'
        return 'CREATE %sINDEX ON %s (%s)%s%s' % (
            'UNIQUE ' if part.unique else '', self.qualified(self.table.name),
            ', '.join(elements),
            ' INCLUDE (%s)' % quote(part.include) if part.include else '',
            ' WHERE %s > 0' % quote(part.where) if part.where else '')
