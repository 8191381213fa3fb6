"""A random batch: rows, options, and what is wrong with it, if anything is."""

from dataclasses import dataclass, field
import re

from .kinds import literal, name
from .schema import ALIVE, DEAD, REGIONS

# What rows are like: full ones fit every door; those for arrays have nulls that count as absent;
# those of some columns are for COPY with a list and JSON; ragged ones are for JSON alone.
SHAPES = ('full', 'array', 'columns', 'ragged')
DOORS = {
    'full': ('json', 'json returning', 'array', 'array returning', 'copy text', 'copy csv', 'copy binary',
             'copy by setting'),
    'array': ('json', 'json returning', 'array', 'array returning'),
    'columns': ('json', 'json returning', 'copy text', 'copy csv', 'copy binary', 'copy by setting'),
    'ragged': ('json', 'json returning'),
}


@dataclass
class Batch:
    """What one call is given."""

    shape: str
    rows: list                  # dicts from name of column to value; absent is absent
    key: object                 # Key, or None where the table has none that can be used
    conflict: list = None       # as given
    update: list = None
    on_conflict: str = 'update'
    on_duplicate: str = 'last'
    on_deleted: str = 'insert'
    version: str = None
    odd: str = ''               # something that is no row
    refused: str = ''           # SQLSTATE that the options are to meet with
    wrong: bool = False         # a value that its type does not take
    options: dict = field(default_factory=dict)     # that spoil the call
    seen: list = field(default_factory=list)

    def columns(self, table):
        """Columns that some row supplies, in the order of the table."""
        given = {column for row in self.rows for column in row}
        return [column for column in table.columns if column.name in given]

    def settable(self, table):
        """Names of columns that an existing row takes over."""
        if self.update is not None:
            names = set(self.update)
        else:
            kept = {column.name for column in self.key.own_columns}
            names = {column.name for column in table.columns
                     if column.name not in kept and column.role != 'created' and not column.generated
                     and column.identity != 'ALWAYS'}
        return names - {self.version}

    def given(self):
        """The options by name as they are told to a function, but for those that are what they would be anyway."""
        told = {}
        if self.conflict is not None:
            told['conflict'] = self.conflict
        if self.update is not None:
            told['update_columns'] = self.update
        for option, default in (('on_conflict', 'update'), ('on_duplicate', 'last'), ('on_deleted', 'insert')):
            if getattr(self, option) != default:
                told[option] = getattr(self, option)
        if self.version is not None:
            told['version_column'] = self.version
        return {**told, **self.options}

    def doors(self):
        """Doors that the batch fits."""
        doors = DOORS[self.shape]
        if self.wrong:
            # Values have to get as far as the server's conversion.
            doors = [door for door in doors if door in ('json', 'json returning', 'copy text', 'copy csv')]
        for sign, fits in (('no array', lambda door: not door.startswith('array')),
                           ('array only', lambda door: door.startswith('array')),
                           ('copy only', lambda door: door in ('copy text', 'copy csv'))):
            doors = [door for door in doors if sign not in self.seen or fits(door)]
        return [door for door in doors if door != 'copy by setting'
                or not self.options and not set(self.given()) - {'on_conflict', 'conflict'}]


class Generator:
    """Makes up batches for a table."""

    def __init__(self, rng, table, rows, alternative=''):
        self.rng = rng
        self.table = table
        self.stored = rows          # dicts of all columns, deleted rows too
        self.fresh = 100_000        # numbers that no sequence gives
        self.want = alternative     # a form that a fault needs
        self.crowded = []           # columns of keys that do not decide

    def batch(self):
        """One batch."""
        rng, table = self.rng, self.table
        key, conflict = self.choose_key()
        always = any(column.identity == 'ALWAYS' for column in table.columns)
        shape = rng.choices(SHAPES, (1, 3, 3, 4) if always else (5, 1, 2, 4))[0]
        batch = Batch(shape, [], key, conflict)
        if self.want in SHAPES:
            batch.shape = self.want
        names = self.common_columns(batch.shape, key)
        self.crowded = [column for other in table.keys if other is not key for column in other.columns
                        if not key or column not in key.columns]
        for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 5, 6, 8, 12, 40)) or rng.choice((0, 1))):
            batch.rows.append(self.row(batch, names))
        self.duplicates(batch)
        self.choose_options(batch)
        if rng.random() < 0.2 and not self.want and batch.rows:
            self.spoil(batch)
        return batch

    # Options

    def choose_key(self):
        """(Key, as conflict)."""
        rng, table = self.rng, self.table
        keys = [key for key in table.keys if not key.deferrable]
        primary = next((key for key in keys if key.constraint == 'PRIMARY KEY'), None)
        if not keys or primary and rng.random() < 0.4:
            return primary, None
        key = rng.choice(keys)
        twins = [other for other in keys if other is not key and set(other.parts) == set(key.parts)]
        if any((other.predicate, other.not_distinct) != (key.predicate, key.not_distinct) for other in twins):
            # ON CONFLICT would take the other one, too.
            return primary, None
        plain = [column.name for column in key.columns]
        by_name = rng.random() < 0.3 and key.index not in [column.name for column in table.columns]
        if not key.plain or key.predicate and twins or by_name:
            return key, [key.index]
        rng.shuffle(plain)
        return key, plain

    def choose_options(self, batch):
        """Everything but the rows."""
        rng, table = self.rng, self.table
        if rng.random() < 0.25:
            usable = [column.name for column in table.columns if not column.generated and column.role != 'region'
                      and column.identity != 'ALWAYS']
            if rng.random() < 0.8:
                kept = [column.name for column in batch.key.columns] if batch.key else []
                usable = [other for other in usable if other not in kept]
            batch.update = rng.sample(usable, rng.randint(min(1, len(usable)), len(usable)))
        if rng.random() < 0.2:
            batch.on_conflict = 'nothing'
        batch.on_duplicate = rng.choices(('last', 'first', 'error'), (6, 3, 1))[0]
        if table.marker:
            batch.on_deleted = rng.choice(('insert', 'revive', 'skip', 'error', 'revive'))
        version = next((column.name for column in table.columns if column.role == 'version'), None)
        if version and rng.random() < 0.7:
            batch.version = version
        if self.want == 'version':
            batch.version, batch.on_conflict = version, 'update'
        elif self.want == 'revive':
            batch.on_deleted = 'revive'
        elif self.want == 'first':
            batch.on_duplicate = 'first'
        elif self.want in ('duplicates', 'update', *SHAPES):
            batch.on_conflict, batch.on_duplicate = 'update', 'last'

    # Rows

    def common_columns(self, shape, key):
        """Names of columns that all rows supply, or may supply."""
        rng = self.rng
        columns = [column for column in self.table.columns if not column.generated]
        if shape in ('columns', 'ragged'):
            needed = key.columns if key else []
            columns = [column for column in columns if column in needed or rng.random() < 0.75
                       or column.not_null and not column.has_default and rng.random() < 0.95]
        return [column.name for column in columns]

    def row(self, batch, names):
        """One row: a new one, or one whose key is there."""
        rng, table = self.rng, self.table
        model = rng.choice(self.stored) if self.stored and rng.random() < 0.6 else None
        same = rng.choice((0.2, 0.5, 0.8, 1, 1)) if model else 0
        row = {}
        for column in table.columns:
            if column.name not in names:
                continue
            in_key = batch.key and column in batch.key.columns
            value = self.value(column, model, same, in_key)
            if batch.shape == 'ragged' and self.leave_out(column, in_key, model):
                continue
            if value is None and column.fills_nulls:
                if batch.shape == 'array' or batch.shape == 'ragged' and rng.random() < 0.7:
                    continue
                value = self.number() if column.varies == 'sequence' else self.fresh_value(column)
            row[column.name] = value
        if batch.shape == 'array':
            for column in table.columns:
                if column.fills_nulls and column.name in row and rng.random() < 0.4:
                    del row[column.name]
        return row

    def leave_out(self, column, in_key, model):
        """Whether a ragged row lacks a column."""
        if in_key:
            return self.rng.random() < (0.15 if column.has_default else 0.02)
        if column.not_null and not column.has_default and not model:
            return self.rng.random() < 0.05
        return self.rng.random() < 0.35

    def value(self, column, model, same, in_key):
        """A value for a column; model is a stored row that the new one is like."""
        rng = self.rng
        if column.role == 'marker':
            return self.marker_value(column)
        if model and (in_key and rng.random() < 0.97 or not in_key and rng.random() < same):
            if in_key:
                return self.alike(column, model[column.name])
            return model[column.name]
        if column.role == 'version':
            return self.version_value(column, model)
        if column.varies == 'sequence' and model and rng.random() < 0.9:
            return model[column.name]
        return self.fresh_value(column)

    def alike(self, column, value):
        """The value, or an equal one that looks different."""
        forms = {'1': ('1.0', '1.00'), '1.0': ('1', '1.00'), '2.50': ('2.5',), '1000': ('1e3',)}
        if column.kind.sql == 'numeric' and value in forms and self.rng.random() < 0.5:
            return self.rng.choice(forms[value])
        if column.kind.collation and column.kind.collation != '"C"' and value and self.rng.random() < 0.5:
            return value.swapcase() if value.isascii() else value
        return value

    def fresh_value(self, column):
        """A random value."""
        rng = self.rng
        if column.varies == 'sequence':
            return self.number() if rng.random() < 0.3 and column.identity != 'ALWAYS' else None
        if column.role == 'region':
            return rng.choice(REGIONS)
        if column.name == 'n' and column.kind.sql == 'int' and rng.random() < 0.02:
            return '13'
        if not (column.not_null and rng.random() < 0.98) and rng.random() < 0.15:
            return None
        if column.role in ('created', 'updated') and rng.random() < 0.5:
            return None
        if column in self.crowded and column.kind.sql in ('int', 'bigint', 'text', 'd_pos') and rng.random() < 0.8:
            # Other keys than the one that decides are not to be in the way all the time.
            return str(rng.randint(20, 99_999))
        return rng.choice(column.kind.samples)

    def number(self):
        """A number that no sequence gives."""
        self.fresh += 1
        return str(self.fresh)

    def marker_value(self, column):
        """Mostly live."""
        if self.rng.random() < 0.06:
            return DEAD[column.kind.sql][0]
        return ALIVE[column.kind.sql]

    def version_value(self, column, model):
        """The stored one, another one, or none."""
        draw = self.rng.random()
        if model and draw < 0.5:
            return model[column.name]
        if draw < 0.75 and not column.not_null:
            return None
        return self.rng.choice(('1', '2', '3', '7'))

    def duplicates(self, batch):
        """Rows whose key is that of another one."""
        rng = self.rng
        if not batch.rows or not batch.key or rng.random() > 0.4 and self.want not in ('duplicates', 'first'):
            return
        for _ in range(rng.choice((1, 1, 2, 4))):
            source = rng.choice(batch.rows)
            names = self.common_columns(batch.shape, batch.key)
            if batch.shape == 'columns':
                names = list(source)
            row = self.row(batch, names)
            for column in batch.key.columns:
                row.pop(column.name, None)
                if column.name in source:
                    row[column.name] = self.alike(column, source[column.name])
            if batch.shape in ('full', 'columns'):
                row = {column: row.get(column, source[column]) for column in source}
            batch.rows.insert(rng.randint(0, len(batch.rows)), row)

    # What is wrong

    def spoil(self, batch):
        """Makes something wrong with the batch."""
        ways = (self.wrong_value, self.wrong_value, self.wrong_value, self.null, self.generated, self.unknown_option,
                self.unknown_column, self.no_row, self.unknown_key, self.deferrable,
                self.unknown_update, self.unknown_version)
        self.rng.choice(ways)(batch)

    def wrong_value(self, batch):
        """A value that its type refuses."""
        row = self.rng.choice(batch.rows)
        columns = [self.table.column(column) for column in row]
        columns = [column for column in columns if column.kind.wrong
                   and (column.kind.json != 'raw' or batch.shape in ('columns', 'full'))]
        if not columns:
            return
        column = self.rng.choice(columns)
        row[column.name] = self.rng.choice(column.kind.wrong)
        batch.wrong = True
        if column.kind.json == 'raw':
            # Any text is JSON once it is quoted.
            batch.seen.append('copy only')

    def null(self, batch):
        """A null where none may be."""
        row = self.rng.choice(batch.rows)
        columns = [column for column in self.table.columns if column.not_null and column.name in row]
        if columns and batch.shape != 'array':
            row[self.rng.choice(columns).name] = None
            batch.seen.append('no array')

    def generated(self, batch):
        """A value for a generated column."""
        columns = [column for column in self.table.columns if column.generated]
        if columns and batch.shape == 'ragged':
            self.rng.choice(batch.rows)[columns[0].name] = '4'

    def unknown_option(self, batch):
        """A word that no option knows."""
        option = self.rng.choice(('on_conflict', 'on_duplicate', 'on_deleted'))
        batch.options[option] = self.rng.choice(('Update', 'merge', ''))
        batch.refused = '22023'

    def unknown_column(self, batch):
        """A key of JSON that is no column."""
        if batch.shape == 'ragged':
            self.rng.choice(batch.rows)['no such'] = '1'
            batch.refused = '42703'

    def no_row(self, batch):
        """Something among the rows that is none."""
        if batch.shape == 'array':
            batch.odd, batch.refused = 'NULL', '22004'
            batch.seen.append('array only')
        elif batch.shape == 'ragged':
            batch.odd, batch.refused = self.rng.choice(('5', 'null', '"x"', '[]', 'true')), '22023'

    def unknown_key(self, batch):
        """Columns that are no key."""
        batch.options['conflict'] = self.rng.choice((['note', 'n'], ['no such key'], ['n', 'note', 'no such']))
        if batch.options['conflict'] == ['note', 'n'] and any(
                {column.name for column in key.columns} == {'note', 'n'} and key.plain for key in self.table.keys):
            batch.options['conflict'] = ['no such key']
        batch.refused = '42P10' if batch.options['conflict'] == ['note', 'n'] else '42703'

    def deferrable(self, batch):
        """A key that is checked later."""
        for key in self.table.keys:
            if key.deferrable:
                batch.options['conflict'] = [key.index]
                batch.refused = '55000'

    def unknown_update(self, batch):
        """A column to update that is not there."""
        batch.options['update_columns'] = ['no such']
        batch.refused = '42703'

    def unknown_version(self, batch):
        """A version that is not there."""
        batch.options['version_column'] = 'no such'
        batch.refused = '42703'


def sql_array(values):
    """A text array."""
    return f"ARRAY[{', '.join(literal(value) for value in values)}]::text[]"


def copy_options(given, rng):
    """The options in COPY."""
    words = []
    for option, value in given.items():
        if option in ('conflict', 'update_columns'):
            word = 'conflict_columns' if option == 'conflict' else option
            # A list in a string is read as SQL reads names.
            if all(re.fullmatch('[a-z_][a-z0-9_]*', item) and item != 'select' for item in value) \
                    and rng.random() < 0.4:
                words.append(f"{word} {literal(', '.join(value))}")
            else:
                words.append(f"{word} ({', '.join(name(item) for item in value)})")
        elif option == 'version_column':
            words.append(f'{option} {name(value)}')
        else:
            words.append(f'{option} {literal(value)}')
    return words or ["on_conflict 'update'"]
