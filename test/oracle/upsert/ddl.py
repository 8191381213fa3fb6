"""Changes of the tables between batches: what is kept of a table from one call to the next has to follow."""

from .kinds import BIGINT, INT, KINDS, literal, name
from .schema import Column


class Changes:
    """Makes up changes, and tells them to what is known of the table."""

    def __init__(self, rng, table):
        self.rng = rng
        self.table = table

    def change(self):
        """Statements for either side, none if nothing fits."""
        ways = (self.add, self.drop, self.rename, self.retype, self.default, self.drop_key, self.analyze, self.move)
        return self.rng.choice(ways)()

    def free(self):
        """Columns that nothing else depends on."""
        return [column for column in self.table.columns
                if column.role == 'payload' and column.name not in ('n', 'note') and not column.generated
                and not column.varies and not any(column in key.columns or column.sql in key.predicate
                                                  or column.sql in key.include for key in self.table.keys)]

    def alter(self, what):
        """ALTER TABLE."""
        return [f'ALTER TABLE {{s}}.{self.table.sql} {what}']

    def add(self):
        """A new column."""
        used = {column.name for column in self.table.columns}
        fresh = next(word for word in (f'new {number}' for number in range(100)) if word not in used)
        column = Column(fresh, self.rng.choice(KINDS))
        if self.rng.random() < 0.5:
            column.default = literal(self.rng.choice(column.kind.samples))
            column.not_null = self.rng.random() < 0.5
        self.table.columns.append(column)
        return self.alter(f'ADD COLUMN {column.definition()}')

    def drop(self):
        """A column less."""
        columns = self.free()
        if not columns:
            return []
        column = self.rng.choice(columns)
        self.table.columns.remove(column)
        return self.alter(f'DROP COLUMN {column.sql}')

    def rename(self):
        """Another name."""
        columns = self.free()
        if not columns:
            return []
        column = self.rng.choice(columns)
        old, column.name = column.sql, f'{column.name[:20]} {len(self.table.statements)}'
        return self.alter(f'RENAME COLUMN {old} TO {column.sql}')

    def retype(self):
        """A longer integer."""
        columns = [column for column in self.free() if column.kind == INT]
        if not columns:
            return []
        column = self.rng.choice(columns)
        column.kind = BIGINT
        return self.alter(f'ALTER COLUMN {column.sql} TYPE bigint')

    def default(self):
        """Another default."""
        columns = [column for column in self.free() if not column.not_null]
        if not columns:
            return []
        column = self.rng.choice(columns)
        column.default = '' if column.default else literal(self.rng.choice(column.kind.samples))
        what = f'SET DEFAULT {column.default}' if column.default else 'DROP DEFAULT'
        return self.alter(f'ALTER COLUMN {column.sql} {what}')

    def drop_key(self):
        """A key less."""
        keys = [key for key in self.table.keys if key.constraint != 'PRIMARY KEY']
        if not keys or len(self.table.keys) < 2:
            return []
        key = self.rng.choice(keys)
        self.table.keys.remove(key)
        if key.constraint:
            return self.alter(f'DROP CONSTRAINT {name(key.index)}')
        return [f'DROP INDEX {{s}}.{name(key.index)}']

    def analyze(self):
        """Other plans."""
        return [f'ANALYZE {{s}}.{self.table.sql}']

    def move(self):
        """The table gets another name."""
        old = self.table.sql
        self.table.name = f't {len(self.table.statements)}'
        return [f'ALTER TABLE {{s}}.{old} RENAME TO {self.table.sql}']
