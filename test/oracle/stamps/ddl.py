"""Changes of the tables between items: the triggers have to follow, and caches to be renewed."""

from . import types
from .schema import choose_options, Column, create_view, declaration, ROLES, value
from .types import Type
from .contract import UserTrigger

RENAMES = ('renamed', 'Re, named', 'select', 'x y', "it's")


class Changes:
    """Makes up a change of a schema: what to say, and what the model then has to know."""

    def __init__(self, rng, schema):
        self.rng = rng
        self.schema = schema

    def change(self):
        """(statements, function that tells the model, whether all columns stay as they are), or None."""
        kinds = (self.rename, self.rename, self.drop, self.add, self.declare, self.declare, self.retype, self.detach,
                 self.switch)
        kind = self.rng.choice(kinds)
        made = kind()
        if made is None:
            return None
        statements, learn = made
        if self.schema.view:
            statements = ['DROP VIEW shown', *statements]
        return statements, learn, kind in (self.declare, self.detach, self.switch)

    def restore_view(self):
        """Makes the view again."""
        if not self.schema.view:
            return []
        columns = list(self.schema.columns.values())
        self.schema.view = create_view(self.rng.sample(columns, len(columns)))
        return [self.schema.view, 'GRANT ALL ON shown TO oracle_app']

    def has_user_trigger(self):
        """Whether a function of the application names columns."""
        return any(isinstance(trigger, UserTrigger) for leaf in self.schema.leaves.values()
                   for trigger in leaf.triggers)

    def rename(self):
        """RENAME COLUMN of any column that nobody else names."""
        fixed = {'id', 'region', 'twice', 'n', 'note'}
        if self.has_user_trigger():
            fixed |= {'m', *ROLES}
        taken = {other.name for other in self.schema.columns.values()}
        columns = [column for key, column in self.schema.columns.items() if key not in fixed and key[0] != 'w']
        names = [name for name in RENAMES if name not in taken]
        if not columns or not names:
            return None
        column, name = self.rng.choice(columns), self.rng.choice(names)

        def learn():
            column.name = name
        return [f'ALTER TABLE t RENAME COLUMN {column.sql} TO {types.name(name)}'], learn

    def drop(self):
        """DROP COLUMN of a column that no trigger keeps, though one may ignore it."""
        columns = [column for column in self.schema.payload() if column.key.startswith('p')]
        if not columns:
            return None
        column = self.rng.choice(columns)

        def learn():
            del self.schema.columns[column.key]
            for _, stamps in self.schema.declarations:
                stamps.ignore -= {column.key}
        return [f'ALTER TABLE t DROP COLUMN {column.sql}'], learn

    def add(self):
        """ADD COLUMN."""
        self.schema.next_name += 1
        key = f'p_{self.schema.next_name}'
        column = Column(key, key, self.rng.choice(types.PAYLOADS))
        if self.rng.random() < 0.5:
            column.default = value(self.rng, column)

        def learn():
            self.schema.columns[key] = column
        return [f'ALTER TABLE t ADD COLUMN {column.definition()}'], learn

    def declare(self):
        """Declares a trigger again with other options."""
        if not self.schema.declarations:
            return None
        table, stamps = self.rng.choice(self.schema.declarations)
        roles = [role for role in ROLES if getattr(stamps, role)]
        before = dict(stamps.options), stamps.ignore, stamps.on_delete
        stamps.options, stamps.ignore = {}, frozenset()
        choose_options(self.rng, self.schema, stamps, roles)
        after = dict(stamps.options), stamps.ignore, stamps.on_delete
        sql = declaration(table, stamps)
        stamps.options, stamps.ignore, stamps.on_delete = before

        def learn():
            stamps.options, stamps.ignore, stamps.on_delete = after
            stamps.enabled = True
        return [f'DROP TRIGGER {stamps.name} ON {table}', sql], learn

    def retype(self):
        """ALTER COLUMN TYPE of a column that a trigger keeps."""
        others = {'int': types.INT8, 'd_int': types.INT4, 'uuid': types.D_UUID,
                  'timestamptz': types.TIMESTAMPTZ[1], 'timestamptz(3)': types.TIMESTAMPTZ[0],
                  'timestamptz(0)': types.D_TZ3, 'timestamp': types.TIMESTAMP[1], 'timestamp(0)': types.D_TS1,
                  'date': types.D_DATE, 'varchar(30)': types.TEXT}
        columns = [column for column in self.schema.columns.values() if column.role in ROLES
                   and column.role != 'change_id' and column.default is None and column.type.sql in others]
        if not columns:
            return None
        column = self.rng.choice(columns)
        kind = others[column.type.sql]
        assert isinstance(kind, Type)

        def learn():
            column.type = kind
        return [f'ALTER TABLE t ALTER COLUMN {column.sql} TYPE {kind.sql}'], learn

    def detach(self):
        """A partition leaves and comes back."""
        if self.schema.kind != 'partitioned':
            return None
        leaf, bound = self.rng.choice((('t_a', "FOR VALUES IN ('a')"), ('t_b', "FOR VALUES IN ('b')")))
        statements = [f'ALTER TABLE t DETACH PARTITION {leaf}', f'ALTER TABLE t ATTACH PARTITION {leaf} {bound}']
        return statements, lambda: None

    def switch(self):
        """A trigger is disabled, or enabled again."""
        tables = [table for table, _ in self.schema.declarations]
        alone = [(table, stamps) for table, stamps in self.schema.declarations if tables.count(table) == 1]
        if not alone:
            return None
        table, stamps = self.rng.choice(alone)

        def learn():
            stamps.enabled = not stamps.enabled
        return [f"ALTER TABLE {table} {'DISABLE' if stamps.enabled else 'ENABLE'} TRIGGER {stamps.name}"], learn
