"""Tables and foreign keys, and what they are called on either side.

Every table has an id that no other row of the schema ever had, a small group g, and a payload n.
Row 0 of each table, the rock, is never written: it is what SET DEFAULT refers to.
"""

from dataclasses import dataclass, field

MARKER = 'gone'
MARKERS = {
    'timestamptz': 'timestamptz',
    'timestamp': 'timestamp',
    'boolean': 'boolean NOT NULL DEFAULT false',
    'bigint': 'bigint NOT NULL DEFAULT 0',
}
# Microseconds since 1970 of a marker, 0 for a live row; in sessions whose time zone is UTC.
STAMP = {
    'timestamptz': 'coalesce((extract(epoch FROM {0}) * 1000000)::bigint, 0)',
    'timestamp': 'coalesce((extract(epoch FROM {0}) * 1000000)::bigint, 0)',
    'boolean': '{0}::int::bigint',
    'bigint': '{0}',
}
# The marker of such a stamp.
UNSTAMP = {
    'timestamptz': "nullif('epoch'::timestamptz + {0} * interval '1 microsecond', 'epoch')",
    'timestamp': "nullif('epoch'::timestamp + {0} * interval '1 microsecond', 'epoch')",
    'boolean': '({0} <> 0)',
    'bigint': '{0}',
}
LIVE = {'timestamptz': 'NULL', 'timestamp': 'NULL', 'boolean': 'false', 'bigint': '0'}
NOW = {
    'timestamptz': 'clock_timestamp()',
    'timestamp': 'now()',
    'boolean': 'true',
    'bigint': '(extract(epoch FROM now()) * 1000000)::bigint',
}
ROCK = {'id': 0, 'g': 1, 'n': 0, 'code': 0}
GROUPS = (1, 2, 3)
KEEPING = ('SET NULL', 'SET DEFAULT')       # actions that leave the reference where deletes are soft
HOLDING = ('NO ACTION', 'RESTRICT')


@dataclass
class Column:
    """A column of a table."""

    name: str
    type: str
    default: object = None
    not_null: bool = False

    def definition(self):
        """The column as CREATE TABLE has it."""
        default = '' if self.default is None else f' DEFAULT {self.default}'
        return f"{self.name} {self.type}{' NOT NULL' if self.not_null else ''}{default}"


@dataclass(eq=False)
class Table:
    """A table, which may be partitioned."""

    name: str
    number: int
    key: tuple
    columns: list
    marker: str = ''            # its type, if the table is managed
    acting: bool = True         # foreign_keys=on
    other_keys: list = field(default_factory=list)
    partition: str = ''         # PARTITION BY ...
    leaves: dict = field(default_factory=dict)      # name → FOR VALUES ...
    attached: tuple = ()        # leaves that were tables of their own, with columns in another order
    place: int = 0              # where the marker stands
    dropped: bool = False       # a column was dropped
    again: str = ''             # name of a trigger that writes each row a second time

    @property
    def managed(self):
        """Whether deletes are soft."""
        return bool(self.marker)

    @property
    def names(self):
        """Columns but for the marker."""
        return [column.name for column in self.columns]

    def at(self, name):
        """The position of a column in a row."""
        return self.names.index(name)

    def column(self, name):
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def definitions(self, soft, order=None):
        """All columns of a side."""
        items = [column.definition() for column in self.columns]
        if soft and self.managed:
            items.insert(self.place % (len(items) + 1), f'{MARKER} {MARKERS[self.marker]}')
        if order:
            order.shuffle(items)
        return items


@dataclass(eq=False)
class Reference:
    """A foreign key."""

    name: str
    child: Table
    parent: Table
    columns: tuple
    referenced: tuple
    form: str = 'plain'         # tenant: shares the child's g; owner: is the child's id
    on_delete: str = 'NO ACTION'
    on_update: str = 'NO ACTION'
    only: tuple = ()            # SET NULL (these columns)
    full: bool = False
    deferrable: bool = False
    deferred: bool = False
    child_leaf: str = ''        # the partition that has the foreign key, if it is not the whole table's
    parent_leaf: str = ''       # the partition that is referred to, if it is not the whole table

    @property
    def enforced(self):
        """Whether soft deletes act on it."""
        return self.parent.managed and self.parent.acting and (not self.child.managed or self.child.acting)

    @property
    def of_twin(self):
        """Whether the twin has it: foreign_keys=off takes all meaning from it but for real deletes."""
        return self.enforced or not self.parent.managed

    @property
    def keeps(self):
        """Whether a live row may refer to a deleted one."""
        return self.enforced and self.on_delete in KEEPING

    @property
    def own(self):
        """The columns that are the reference's alone."""
        return [column for column in self.columns if column.startswith('r')]

    def statement(self):
        """ALTER TABLE ... ADD."""
        action = self.on_delete + (f" ({', '.join(self.only)})" if self.only else '')
        return (f"ALTER TABLE {self.child_leaf or self.child.name} ADD CONSTRAINT {self.name}"
                f" FOREIGN KEY ({', '.join(self.columns)})"
                f" REFERENCES {self.parent_leaf or self.parent.name} ({', '.join(self.referenced)})"
                f"{' MATCH FULL' if self.full else ''} ON DELETE {action} ON UPDATE {self.on_update}"
                f"{' DEFERRABLE' if self.deferrable else ''}{' INITIALLY DEFERRED' if self.deferred else ''}")


@dataclass
class Schema:
    """Tables and the foreign keys between them."""

    tables: list
    references: list

    def table(self, number):
        """The table of that number."""
        return next(table for table in self.tables if table.number == number)

    def into(self, table):
        """Foreign keys that refer to a table."""
        return [reference for reference in self.references if reference.parent is table]

    def of(self, table):
        """Foreign keys of a table."""
        return [reference for reference in self.references if reference.child is table]
