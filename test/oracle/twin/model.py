"""What the generators know of the schema: relations, functions and their columns.

A column carries a type and a domain.  The type says which expressions fit, the domain which
constants are likely to hit a row (`grp` is 0..6, `id` 1..60, and so on).
"""

from dataclasses import dataclass, field, replace

# Live value of each marker type, and the condition that a row is live.
MARKER_TYPES = ('timestamptz', 'timestamp', 'boolean', 'bigint')
LIVE_VALUE = {'timestamptz': 'NULL', 'timestamp': 'NULL', 'boolean': 'false', 'bigint': '0'}
LIVE_TEST = {'timestamptz': '{} IS NULL', 'timestamp': '{} IS NULL', 'boolean': 'NOT {}', 'bigint': '{} = 0'}
DEAD_TEST = {'timestamptz': '{} IS NOT NULL', 'timestamp': '{} IS NOT NULL', 'boolean': '{}', 'bigint': '{} <> 0'}
DEAD_VALUE = {
    'timestamptz': "'2024-05-06 07:08:09.123456+00'",
    'timestamp': "'2024-05-06 07:08:09.123456'",
    'boolean': 'true',
    'bigint': '1714979289123456',
}

NAMES = ('ann', 'bob', 'cy', 'dee', 'eve', 'Ann', '')
ZONES = ('a', 'b', 'c', 'd')
GROUPS = 7
IDS = 60


@dataclass(frozen=True)
class Column:
    """A column of a relation or of a query's output."""

    name: str
    type: str           # int, bigint, text, bool, numeric, date, int[], jsonb, timestamp[tz], row
    domain: str = ''    # which constants hit; the name of the base column by default
    marker: bool = False    # conditions on it would put the query in charge: never generated
    not_null: bool = False
    generated: bool = False

    def renamed(self, name):
        """The same column under an alias."""
        return replace(self, name=name)


@dataclass
class Relation:
    """A table, partition, view or materialized view that statements may name."""

    name: str
    columns: list
    kind: str = 'table'         # table, partition, view, matview
    marker: Column = None       # of a managed table, and of a view that shows it
    managed: bool = False
    key: str = 'id'             # column that is unique among live rows; None where there is none
    unique: tuple = ()          # expressions of ON CONFLICT that are unique among live rows
    writes: str = 'iud'         # which of INSERT, UPDATE and DELETE the generator may use
    lockable: bool = True       # FOR UPDATE is allowed
    sampled: bool = True        # TABLESAMPLE is allowed
    inherited: bool = False     # ONLY makes a difference
    merge: bool = True          # MERGE is allowed
    partition_key: str = None
    fixed: dict = field(default_factory=dict)   # values that every row of the relation must have
    bound: tuple = ()           # of a partition: its parent and FOR VALUES ...
    weight: int = 4
    rows: int = 30              # roughly how many live rows it has

    def plain_columns(self):
        """Columns that conditions may mention."""
        return [column for column in self.columns if not column.marker]

    def column(self, name):
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def has(self, *names):
        """Whether all of these columns exist."""
        return all(self.column(name) for name in names)


@dataclass
class Function:
    """A function that SELECTs may call in FROM, or that DML transactions call for its effect."""

    name: str
    arguments: tuple        # domains of the arguments
    columns: list           # of the result set; empty for a scalar function
    returns: str = ''       # type of a scalar function


@dataclass
class Schema:
    """Everything the generators may use, and the statements that make it."""

    relations: list = field(default_factory=list)
    functions: list = field(default_factory=list)   # set-returning, read only
    scalars: list = field(default_factory=list)     # scalar, read only
    actions: list = field(default_factory=list)     # functions that delete or update
    matviews: list = field(default_factory=list)
    contents: list = field(default_factory=list)    # tables whose rows are compared after a transaction
    kept: list = field(default_factory=list)        # managed ones among them: no row ever leaves
    soft: list = field(default_factory=list)        # statements for the schema of managed tables
    twin: list = field(default_factory=list)        # statements for the twin

    def both(self, *statements):
        """Adds statements that are the same on both sides."""
        self.soft.extend(statements)
        self.twin.extend(statements)

    def relation(self, name):
        """The relation of that name."""
        return next(relation for relation in self.relations if relation.name == name)

    def readable(self):
        """What a SELECT may name."""
        return [relation for relation in self.relations if relation.weight]

    def writable(self, letter):
        """What an INSERT (i), UPDATE (u) or DELETE (d) may name."""
        return [relation for relation in self.relations if letter in relation.writes]


@dataclass
class Step:
    """One statement of an item."""

    sql: str
    kind: str               # for the summary
    twin: str = ''          # where the twin needs another statement to do the same
    ordered: bool = False   # the order of rows is part of the answer
    copy: bool = False      # COPY ... TO STDOUT
    noise: bool = False     # soft side only, answer ignored
    compare: str = 'all'    # 'count': of the tag only the number of rows; 'state': only the SQLSTATE; 'rows': no tag
    reference: str = ''     # instead of the twin: what the soft side says to this while it shows every row
    visible: str = ''       # with reference: the setting of orm_ext.deleted_rows for the statement


@dataclass
class Item:
    """What is generated, run and repeated as one: a SELECT with its frame, or a transaction."""

    steps: list
    settings: list = field(default_factory=list)
    begin: str = 'BEGIN'
    after: list = field(default_factory=list)   # steps after COMMIT
    role: bool = False          # run as the role with few privileges
    commit: bool = False
    guarded: bool = False       # a savepoint around each statement
    really_deletes: bool = False    # rows may physically leave the soft side
