"""Makes up a schema, and the statements that make it.

What a soft schema and its twin cannot agree on is not made up:
- an unmanaged table that refers with CASCADE to a managed one: its rows stay;
- a foreign key that keeps a deleted row's parent where a real delete may come by, because the server
  counts deleted rows: from a managed table to one that real deletes reach, NO ACTION and RESTRICT.
"""

import random

from .model import Column, GROUPS, HOLDING, KEEPING, MARKERS, Reference, ROCK, Schema, Table

ACTIONS = ('NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT')
RANGES = ('FROM (MINVALUE) TO (15)', 'FROM (15) TO (60)', 'FROM (60) TO (MAXVALUE)')

# What an application's trigger may do to the row that it is fired for.
WRITE_AGAIN = """CREATE FUNCTION write_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        EXECUTE format('UPDATE %I.%I SET n = n WHERE id = $1', tg_table_schema, tg_table_name) USING new.id;
    END IF;
    RETURN NULL;
END$$"""


class Builder:
    """Makes up tables, then foreign keys, then mends what would not be comparable."""

    def __init__(self, rng):
        self.rng = rng
        self.keeping = self.chance(0.6)     # SET NULL and SET DEFAULT

    def chance(self, probability):
        """True that often."""
        return self.rng.random() < probability

    def build(self):
        """The schema."""
        tables = [self.table(number) for number in range(1, self.rng.choice((2, 3, 3, 4, 4, 5, 6)) + 1)]
        schema = Schema(tables, [])
        for number in range(1, len(tables) + self.rng.randint(0, 3) + 1):
            reference = self.reference(schema, f'f{number}')
            if reference:
                schema.references.append(reference)
        mend(schema)
        return schema

    # Tables

    def table(self, number):
        """A table with its keys."""
        rng = self.rng
        columns = [Column('id', rng.choice(('int', 'bigint')), not_null=True), Column('g', 'int', 1, True),
                   Column('n', 'int')]
        table = Table(f't{number}', number, ('id',), columns, place=rng.randrange(9), dropped=self.chance(0.1))
        if self.chance(0.82):
            table.marker = rng.choice(tuple(MARKERS))
            table.acting = self.chance(0.9)
        # The server's own triggers are called RI_...: one comes before them, the other after.
        table.again = rng.choice(('A', 'z')) if self.chance(0.15) else ''
        if self.chance(0.3):
            table.key = rng.choice((('g', 'id'), ('id', 'g')))
        if self.chance(0.22):
            self.divide(table)
        if table.key == ('id',) and self.chance(0.3):
            if table.partition or self.chance(0.5):
                table.other_keys.append(('id', 'g'))
            else:
                columns.append(Column('code', rng.choice(('int', 'bigint'))))
                table.other_keys.append(('code',))
        return table

    def divide(self, table):
        """Partitions a table."""
        name = table.name
        if len(table.key) > 1 and self.chance(0.5):
            table.partition = 'PARTITION BY LIST (g)'
            bounds = [f'IN ({value})' for value in GROUPS]
        elif self.chance(0.5):
            table.partition = 'PARTITION BY RANGE (id)'
            bounds = RANGES
        else:
            table.partition = 'PARTITION BY HASH (id)'
            bounds = [f'WITH (MODULUS 2, REMAINDER {number})' for number in (0, 1)]
        table.leaves = {f'{name}_{number}': f'FOR VALUES {bound}' for number, bound in enumerate(bounds, 1)}
        table.attached = tuple(leaf for leaf in table.leaves if self.chance(0.4))

    # Foreign keys

    def reference(self, schema, name):
        """A foreign key; None where the idea came to nothing."""
        rng = self.rng
        child = rng.choice(schema.tables)
        parent = child if self.chance(0.2) else rng.choice(schema.tables)
        referenced = rng.choice((parent.key, parent.key, *parent.other_keys))
        form = self.form(schema, child, parent, referenced)
        reference = Reference(name, child, parent, (), referenced, form)
        columns = []
        for column in referenced:
            if form == 'tenant' and column == 'g' or form == 'owner':
                columns.append(column)
                continue
            columns.append(f"r{name[1:]}{'g' if column == 'g' else ''}")
        reference.columns = tuple(columns)
        self.act(reference)
        for column, target in zip(columns, referenced):
            if column.startswith('r'):
                default = ROCK[target] if 'SET DEFAULT' in (reference.on_delete, reference.on_update) else None
                child.columns.append(Column(column, rng.choice(('int', 'bigint')), default))
        # Within a partitioned table the server does not let a partition be referred to.
        if parent.leaves and child is not parent and not default_needed(reference) and self.chance(0.25):
            reference.parent_leaf = rng.choice(tuple(parent.leaves))
        if child.leaves and child is not parent and self.chance(0.12):
            reference.child_leaf = rng.choice(tuple(child.leaves))
        return reference

    def form(self, schema, child, parent, referenced):
        """Whether the reference has all of its columns for itself."""
        if 'g' in referenced and child is not parent and self.chance(0.45):
            return 'tenant'
        if (referenced == ('id',) and child.key == ('id',) and child.number > parent.number and self.chance(0.15)
                and not any(reference.form == 'owner' for reference in schema.of(child))):
            return 'owner'
        return 'plain'

    def act(self, reference):
        """Chooses the actions, MATCH and when it is checked."""
        rng = self.rng
        reference.on_delete = rng.choices(ACTIONS, (3, 2, 5, 3, 1.5) if self.keeping else (3, 2, 5, 0, 0))[0]
        reference.on_update = rng.choices(ACTIONS, (5, 1, 4, 1, 1))[0]
        if reference.form == 'plain':
            reference.full = self.chance(0.3)
            if reference.on_delete == 'SET NULL' and len(reference.columns) > 1 and not reference.full \
                    and self.chance(0.4):
                reference.only = (rng.choice(reference.columns),)
        else:
            if reference.on_update in KEEPING:
                reference.on_update = 'CASCADE'
            if reference.on_delete in (('SET DEFAULT',) if reference.form == 'tenant' else KEEPING):
                reference.on_delete = 'CASCADE'
        reference.deferrable = self.chance(0.45)
        reference.deferred = reference.deferrable and self.chance(0.5)


def default_needed(reference):
    """Whether the rock has to be among the rows that can be referred to."""
    return 'SET DEFAULT' in (reference.on_delete, reference.on_update) or reference.form == 'owner'


def mend(schema):
    """Changes what would not be comparable."""
    for reference in schema.references:
        if reference.form == 'tenant' and reference.on_delete == 'SET NULL':
            reference.only = tuple(column for column in reference.columns if column != 'g')
        if reference.enforced and not reference.child.managed and reference.on_delete == 'CASCADE':
            reference.on_delete = 'NO ACTION'
    schema.references = [reference for reference in schema.references
                         if reference.of_twin or reference.form == 'plain']
    while spare_deleted_rows(schema):
        pass
    reached = really_deleted(schema)
    schema.references = [reference for reference in schema.references
                         if reference.of_twin or reference.parent not in reached]
    for table in schema.tables:
        # A change of g would change references that only one side still has.
        if is_fixed(schema, table):
            for reference in schema.of(table):
                if reference.form == 'tenant' and reference.on_update == 'CASCADE':
                    reference.on_update = 'NO ACTION'


def really_deleted(schema):
    """Tables whose rows may really leave: unmanaged ones, and what cascades from there."""
    reached = {table for table in schema.tables if not table.managed}
    while True:
        more = {reference.child for reference in schema.references
                if reference.on_delete == 'CASCADE' and reference.parent in reached} - reached
        if not more:
            return reached
        reached |= more


def spare_deleted_rows(schema):
    """Whether a reference had to be changed by which a deleted row would keep its parent."""
    reached = really_deleted(schema)
    for reference in schema.references:
        if reference.child.managed and reference.parent in reached and reference.on_delete in HOLDING:
            reference.on_delete = 'SET NULL' if reference.form == 'plain' else 'CASCADE'
            return True
    return False


def is_fixed(schema, table):
    """Whether g of a table may not change, since rows may have lost a reference in which it takes part."""
    return any(reference.form == 'tenant' and reference.on_delete in KEEPING for reference in schema.of(table))


# Statements

def create_table(table, soft):
    """A table with its partitions and its declaration."""
    keys = [f"PRIMARY KEY ({', '.join(table.key)})", *(f"UNIQUE ({', '.join(key)})" for key in table.other_keys)]
    columns = table.definitions(soft)
    junk = ['junk int'] if table.dropped else []
    yield f"CREATE TABLE {table.name} ({', '.join([*junk, *columns, *keys])}) {table.partition}".strip()
    for leaf, bound in table.leaves.items():
        if leaf in table.attached:
            shuffled = table.definitions(soft, random.Random(leaf))
            yield f"CREATE TABLE {leaf} ({', '.join(shuffled + junk)})"
            yield f'ALTER TABLE {table.name} ATTACH PARTITION {leaf} {bound}'
        else:
            yield f'CREATE TABLE {leaf} PARTITION OF {table.name} {bound}'
    if junk:
        yield f'ALTER TABLE {table.name} DROP COLUMN junk'
    if table.again:
        yield (f'CREATE TRIGGER "{table.again}" AFTER INSERT OR UPDATE ON {table.name}'
               ' FOR EACH ROW EXECUTE FUNCTION write_again()')
    if soft and table.managed:
        arguments = "'gone'" if table.acting else "'gone', 'foreign_keys=off'"
        yield (f'CREATE TRIGGER soft_delete BEFORE DELETE ON {table.name}'
               f' FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete({arguments})')


def statements(schema, soft):
    """All that makes a side; soft: the one with markers."""
    yield WRITE_AGAIN
    for table in schema.tables:
        yield from create_table(table, soft)
    for reference in schema.references:
        if soft or reference.of_twin:
            yield reference.statement()
        # Rows are met in the order of their ids on both sides: see PLANS.
        yield f"CREATE INDEX ON {reference.child.name} ({', '.join([*reference.columns, 'id'])})"
    for table in schema.tables:
        values = ', '.join(str(ROCK.get(name, 'NULL')) for name in table.names)
        yield f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES ({values})"
