"""A random table group: its statements, its columns, and its triggers as the contract sees them."""

from dataclasses import dataclass, field

from . import types
from .contract import Leaf, Stamps, UserTrigger
from .types import name, quote, SqlError, Type

REGIONS = ('a', 'b', 'c', 'd')
ROLES = ('version', 'created', 'updated', 'created_by', 'updated_by', 'change_id')
NAMES = {
    'version': ('version_id', 'lock_version', 'Version', 'v'),
    'created': ('created_at', 'createdAt'),
    'updated': ('updated_at', 'updatedAt', 'odd, name'),
    'created_by': ('created_by', 'maker'),
    'updated_by': ('updated_by', 'updatedBy'),
    'change_id': ('change_id', 'seq'),
}
INTS = ('id', 'n', 'm', 'ref')


@dataclass
class Column:
    """A column of the group's root table."""

    key: str            # of rows; stays when the column is renamed
    name: str
    type: Type
    role: str = 'payload'   # key, region, payload, marker, or what a stamp trigger keeps
    default: object = None
    not_null: bool = False
    generated: bool = False
    storage: str = ''

    @property
    def sql(self):
        """The quoted name."""
        return name(self.name)

    def definition(self):
        """The column in CREATE TABLE."""
        words = [self.sql, self.type.sql]
        if self.default is not None:
            words.append(f'DEFAULT {self.type.literal(self.default)}')
        if self.not_null:
            words.append('NOT NULL')
        return ' '.join(words)


@dataclass
class Schema:
    """What the generator and the model know of the tables."""

    kind: str = 'plain'             # plain, partitioned, inheritance
    columns: dict = field(default_factory=dict)
    leaves: dict = field(default_factory=dict)      # name → Leaf
    routes: dict = field(default_factory=dict)      # region → name of a leaf
    statements: list = field(default_factory=list)
    declarations: list = field(default_factory=list)    # (table, Stamps): what a fault may change
    parent: object = None           # table p, which column ref refers to
    by_leaf: bool = False           # each partition has triggers of its own, the root none
    soft: bool = False
    view: str = ''                  # how it is made
    owner: str = 'postgres'
    next_name: int = 0

    @property
    def primary_key(self):
        """Keys of the primary key's columns."""
        return ('id', 'region') if self.kind == 'partitioned' else ('id',)

    def by_role(self, role):
        """The column of that role, or None."""
        return next((column for column in self.columns.values() if column.role == role), None)

    def payload(self):
        """Columns that belong to the application."""
        return [column for column in self.columns.values() if column.role == 'payload' and not column.generated]

    def stamps(self, table='t'):
        """The trigger objects of a table, enabled ones only; partitions have their root's."""
        if table not in self.leaves and self.by_leaf:
            return []
        leaf = self.leaves.get(table) or next(iter(self.leaves.values()))
        return [trigger for trigger in leaf.triggers if isinstance(trigger, Stamps) and trigger.enabled]

    def option(self, role, option, default, table='t'):
        """An option of the trigger that keeps the column of a role."""
        for stamps in self.stamps(table):
            if getattr(stamps, role):
                return stamps.option(option, default)
        return default

    def versioned(self, table='t'):
        """Whether a trigger keeps a version."""
        return any(stamps.version for stamps in self.stamps(table))

    def notes_parents(self, context):
        """Whether changes of t touch p: not in a restore, nor in a backfill."""
        if not self.parent or not self.parent.touching or context.replica:
            return False
        return not (context.bypass and context.role in ('postgres', self.owner))

    def route(self, row, leaf):
        """The leaf that stores a row which came by way of another."""
        return self.leaves[self.routes[row['region']]] if self.kind == 'partitioned' else leaf

    def finish(self, row, leaf):
        """What the server adds after the triggers: generated columns, NOT NULL."""
        row = dict(row, leaf=leaf, own=True)
        if 'twice' in self.columns:
            row['twice'] = None if row['n'] is None else row['n'] * 2
        for key, column in self.columns.items():
            if column.not_null and row[key] is None:
                raise SqlError('23502')
        return row


@dataclass
class Parent:
    """Table p: what rows of t refer to."""

    columns: dict
    stamps: Stamps              # its trigger, or what a touch does without one
    managed: bool
    touching: bool              # rows of t touch it
    bump: bool                  # with the version

    @property
    def versioned(self):
        """Whether a trigger keeps its version."""
        return self.managed and bool(self.stamps.version)

    def statements(self):
        """What makes it."""
        columns = ', '.join(column.definition() for column in self.columns.values())
        made = [f'CREATE TABLE p ({columns}, PRIMARY KEY (id))',
                'INSERT INTO p (id, v) SELECT i, NULLIF(i, 3) FROM generate_series(1, 6) i']
        return made + [declaration('p', self.stamps)] if self.managed else made

    def touch_trigger(self):
        """What has rows of t touch it."""
        option = ", 'version=bump'" if self.bump else ''
        return ('CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW'
                f" EXECUTE FUNCTION orm_ext.touch_parent('ref', 'at'{option})")

    def update(self, old, new, context):
        """A client's UPDATE of the key."""
        new = self.stamps.update(old, new, {'id'}, context) if self.managed else new
        return dict(new, own=True)

    def delete(self, old, context):
        """A client's DELETE."""
        if self.managed:
            self.stamps.delete(old, context)

    def touch(self, old, context):
        """What happens to it at the end of a transaction."""
        return self.stamps.touch(old, self.bump, context)


def make_parent(rng, owner, plain):
    """A random table p."""
    columns = {'id': Column('id', 'id', types.INT4, 'key', not_null=True), 'v': Column('v', 'v', types.INT4),
               'at': Column('at', 'at', rng.choice(types.TIMES))}
    managed, touching = not plain and rng.random() < 0.7, not plain and rng.random() < 0.5
    stamps = Stamps('zz_orm_stamp', columns, updated='at', owner=owner, managed=frozenset({'at'}))
    if managed:
        if rng.random() < 0.6:
            stamps.version, stamps.managed = 'v', frozenset({'at', 'v'})
        if rng.random() < 0.5:
            stamps.options['clock'] = rng.choice(('transaction', 'statement', 'wall'))
    return Parent(columns, stamps, managed, touching, stamps.version is not None and rng.random() < 0.5)


class Builder:
    """Makes up a schema; every choice depends on the random generator alone."""

    def __init__(self, rng, version, plain=False, want=()):
        self.rng = rng
        self.version = version      # of the server
        self.plain = plain          # no triggers of the extension
        self.want = set(want)       # roles and options that a self-test needs
        self.schema = Schema()
        self.restored = self.chance(0.15)   # numbers of transactions come from elsewhere
        self.late = []      # columns that are added after the first rows
        self.holes = []     # columns that are dropped
        self.body = ''      # of the application's trigger function
        self.meddled = []   # kept columns that it changes

    def chance(self, probability):
        """True that often."""
        return self.rng.random() < probability

    def build(self):
        """The whole schema."""
        rng, schema = self.rng, self.schema
        schema.kind = rng.choice(('plain', 'plain', 'partitioned', 'partitioned', 'inheritance'))
        schema.owner = 'oracle_app' if self.chance(0.2) else 'postgres'
        schema.soft = self.chance(0.3) and not self.plain
        if schema.kind != 'inheritance' and self.chance(0.5):
            schema.parent = make_parent(rng, schema.owner, self.plain)
        with_view = self.chance(0.6)
        self.choose_columns()
        self.create_tables()
        self.first_rows()
        self.alter_tables()
        self.create_triggers()
        self.finish(with_view)
        return schema

    def say(self, sql):
        """Adds a statement."""
        self.schema.statements.append(sql)

    # Columns

    def choose_columns(self):
        """Key, payload and managed columns in random order."""
        rng, schema = self.rng, self.schema
        columns = [Column('id', 'id', rng.choice((types.INT4, types.INT8)), 'key', not_null=True),
                   Column('n', 'n', types.INT4), Column('note', 'note', types.TEXT)]
        if schema.kind == 'partitioned':
            columns.append(Column('region', 'region', types.TEXT, 'region', not_null=True))
        if schema.parent:
            columns.append(Column('ref', 'ref', types.INT4))
        if self.chance(0.5):
            columns.append(Column('twice', 'twice', types.INT4, generated=True))
        if self.chance(0.4):
            columns.append(Column('big', 'big', Type('text', 'big'), storage=rng.choice(('', 'EXTERNAL', 'EXTENDED'))))
        if self.chance(0.5):
            columns.append(Column('m', 'counter, x' if self.chance(0.2) else 'counter', types.INT8))
        for number, kind in enumerate(rng.sample(types.PAYLOADS, rng.randint(1, 4))):
            columns.append(Column(f'p{number}', f'p{number}', kind))
        columns += self.managed_columns()
        if schema.soft:
            columns.append(Column('deleted', 'deleted_at', rng.choice(types.TIMESTAMPTZ[:1]), 'marker'))
        if self.chance(0.05):
            columns += [Column(f'w{number}', f'w{number}', types.INT4) for number in range(150)]
        rng.shuffle(columns)
        schema.columns = {column.key: column for column in columns}

    def managed_columns(self):
        """Columns for the stamp triggers."""
        rng, columns = self.rng, []
        for role in ROLES:
            if role not in self.want and not self.chance({'version': 0.85, 'updated': 0.75}.get(role, 0.45)):
                continue
            if role == 'version':
                kind = rng.choice(types.VERSIONS)
            elif role in ('created', 'updated'):
                kind = rng.choice(types.TIMES)
            else:
                kind = types.INT8 if role == 'change_id' else rng.choice(types.ACTORS)
            column = Column(role, rng.choice(NAMES[role]), kind, role)
            if role == 'version' and kind.family == 'int' and self.chance(0.4):
                column.default = rng.choice((0, 1, 5))
            columns.append(column)
        return columns

    # Tables

    def create_tables(self):
        """The root table and what stores its rows."""
        schema = self.schema
        for statement in types.DOMAINS:
            self.say(statement)
        if schema.parent:
            for statement in schema.parent.statements():
                self.say(statement)
        columns = [column for column in schema.columns.values() if not column.generated]
        late = [column for column in columns if column.key not in (*schema.primary_key, 'n') and self.chance(0.15)]
        self.late = late
        early = [column for column in columns if column not in late]
        key = ', '.join(schema.columns[key].sql for key in schema.primary_key)
        if schema.kind == 'partitioned':
            self.say(f'CREATE TABLE t ({self.definitions(early)}, PRIMARY KEY ({key})) PARTITION BY LIST (region)')
            schema.routes = {'a': 't_a', 'b': 't_b', 'c': 't_other', 'd': 't_other'}
            self.create_partition('t_a', "FOR VALUES IN ('a')", early)
            self.create_partition('t_b', "FOR VALUES IN ('b')", early)
            if self.chance(0.4):
                # Another level.
                schema.routes['c'] = 't_c'
                self.create_partition('t_rest', 'DEFAULT', early, 'PARTITION BY LIST (region)')
                self.create_partition('t_c', "FOR VALUES IN ('c')", early, parent='t_rest')
                self.create_partition('t_other', 'DEFAULT', early, parent='t_rest')
            else:
                self.create_partition('t_other', 'DEFAULT', early)
        elif schema.kind == 'inheritance':
            self.say(f'CREATE TABLE t ({self.definitions(early)}, PRIMARY KEY ({key}))')
            schema.leaves['t'] = Leaf('t')
            shuffled = self.rng.sample(early, len(early))
            self.say(f'CREATE TABLE t_child (extra int, {self.definitions(shuffled)}, PRIMARY KEY ({key}))')
            self.say('ALTER TABLE t_child INHERIT t')
            schema.leaves['t_child'] = Leaf('t_child')
        else:
            self.say(f'CREATE TABLE t ({self.definitions(early, holes=True)}, PRIMARY KEY ({key}))')
            self.drop_holes('t')
            schema.leaves['t'] = Leaf('t')

    def definitions(self, columns, holes=False):
        """Column definitions, with some columns in between that will be dropped."""
        self.holes = []
        words = []
        for column in columns:
            if holes and self.chance(0.2):
                self.holes.append(f'hole_{len(self.holes)}')
                words.append(f"{self.holes[-1]} {self.rng.choice(('int DEFAULT 3', 'text', 'numeric', 'bool'))}")
            words.append(column.definition())
        return ', '.join(words)

    def drop_holes(self, table):
        """Drops the columns in between."""
        for hole in self.holes:
            self.say(f'ALTER TABLE {table} DROP COLUMN {hole}')

    def create_partition(self, leaf, bound, columns, partitioned='', parent='t'):
        """A partition, often with its columns in another order."""
        if not partitioned:
            self.schema.leaves[leaf] = Leaf(leaf)
        if self.chance(0.4):
            self.say(f'CREATE TABLE {leaf} PARTITION OF {parent} {bound} {partitioned}'.rstrip())
            return
        shuffled = self.rng.sample(columns, len(columns))
        self.say(f'CREATE TABLE {leaf} ({self.definitions(shuffled, holes=True)}) {partitioned}'.rstrip())
        self.drop_holes(leaf)
        self.say(f'ALTER TABLE {parent} ATTACH PARTITION {leaf} {bound}')

    def first_rows(self):
        """Rows from before the triggers; some of what they will keep is NULL."""
        rng, schema = self.rng, self.schema
        columns = [column for column in schema.columns.values() if not column.generated and column not in self.late]
        for number in range(1, rng.randint(8, 14)):
            values = []
            for column in columns:
                values.append(self.first_value(column, number))
            table = 't_child' if schema.kind == 'inheritance' and self.chance(0.4) else 't'
            names = ', '.join(column.sql for column in columns)
            self.say(f"INSERT INTO {table} ({names}) VALUES ({', '.join(values)})")

    def first_value(self, column, number):
        """A literal for a row from before the triggers."""
        rng = self.rng
        if column.key == 'id':
            return str(number)
        if column.key == 'region':
            return quote(rng.choice(REGIONS))
        if column.role == 'change_id' and self.restored:
            return str(10 ** 12 + number)
        if column.role == 'marker' or (not column.not_null and self.chance(0.15)):
            return 'NULL'
        return literal(rng, column)

    def alter_tables(self):
        """Columns added after the rows were written, owners and privileges."""
        rng, schema = self.rng, self.schema
        for column in self.late:
            if column.default is None and column.role == 'payload' and column.type.family == 'int' and self.chance(0.6):
                column.default = rng.choice((None, 4)) if column.key != 'ref' else None
            self.say(f'ALTER TABLE t ADD COLUMN {column.definition()}')
        if 'twice' in schema.columns:
            stored = 'STORED' if self.version < 180000 or self.chance(0.5) else 'VIRTUAL'
            self.say(f'ALTER TABLE t ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) {stored}')
        if 'big' in schema.columns and schema.columns['big'].storage:
            self.say(f"ALTER TABLE t ALTER COLUMN big SET STORAGE {schema.columns['big'].storage}")
        if schema.parent:
            self.say('ALTER TABLE t ADD FOREIGN KEY (ref) REFERENCES p ON UPDATE CASCADE ON DELETE SET NULL')
            if schema.parent.touching:
                self.say(schema.parent.touch_trigger())
        for column in schema.columns.values():
            if column.role in ROLES and self.chance(0.3):
                value = literal(rng, column)
                self.say(f'UPDATE t SET {column.sql} = {value} WHERE {column.sql} IS NULL')
                self.say(f'ALTER TABLE t ALTER COLUMN {column.sql} SET NOT NULL')
                column.not_null = True

    # Triggers

    def create_triggers(self):
        """Triggers of the extension and of the application."""
        schema = self.schema
        schema.by_leaf = schema.kind == 'partitioned' and not self.want and self.chance(0.15)
        tables = list(schema.leaves) if schema.kind == 'inheritance' or schema.by_leaf else ['t']
        self.user_function()
        for table in tables:
            stamps = [] if self.plain else self.choose_stamps()
            managed = frozenset(key for trigger in stamps for key in (getattr(trigger, role) for role in ROLES) if key)
            for trigger in stamps:
                trigger.managed = managed
                schema.declarations.append((table, trigger))
                self.say(declaration(table, trigger))
            users = self.user_triggers(table)
            for leaf in schema.leaves.values():
                if table in (leaf.name, 't') and (leaf.name == table or schema.kind == 'partitioned'):
                    leaf.triggers = sorted([*stamps, *users], key=lambda trigger: trigger.name)
        if schema.soft:
            for table in ['t'] if schema.kind == 'partitioned' else tables:
                self.say(f'CREATE TRIGGER orm_soft_delete BEFORE DELETE ON {table} FOR EACH ROW'
                         " EXECUTE FUNCTION orm_ext.soft_delete('deleted_at')")

    def choose_stamps(self):
        """One trigger for everything, or one for each part."""
        roles = [role for role in ROLES if self.schema.by_role(role)]
        if self.want or self.chance(0.6):
            groups = [roles]
        else:
            groups = [[role for role in roles if role == 'version'],
                      [role for role in roles if role in ('created', 'updated')],
                      [role for role in roles if role in ('created_by', 'updated_by', 'change_id')]]
        prefixes = self.rng.sample(('zz_orm_stamp', 'zz_orm_a', 'orm_stamp'), 3)
        return [self.stamps(prefix, group) for prefix, group in zip(prefixes, groups) if group]

    def stamps(self, trigger, roles):
        """A trigger with random options."""
        rng, schema = self.rng, self.schema
        stamps = Stamps(trigger, schema.columns, owner=schema.owner, **{role: role for role in roles})
        choose_options(rng, schema, stamps, roles, self.want)
        return stamps

    def user_function(self):
        """A function for the application's own triggers."""
        columns = self.schema.columns
        lines = ["    NEW.note := NULLIF(btrim(NEW.note, '!'), '');"]
        if 'm' in columns:
            m = columns['m'].sql
            lines.append(f"    IF TG_OP = 'UPDATE' THEN NEW.{m} := coalesce(OLD.{m}, 0) + 1; END IF;")
        else:
            lines.append("    IF TG_OP = 'UPDATE' AND OLD.n = 3 THEN NEW.n := OLD.n; END IF;")
        # It meddles with what ours keep, too.
        for role in ('version', 'created', 'updated', 'updated_by'):
            if role in columns and not columns[role].not_null and self.chance(0.3):
                self.meddled.append(role)
                lines.append(f"    IF TG_OP = 'UPDATE' AND OLD.n = 4 THEN NEW.{columns[role].sql} := NULL; END IF;")
        self.body = '\n'.join(lines)

    def user_triggers(self, table):
        """Triggers of the application before ours, or after."""
        if not self.chance(0.35):
            return []
        trigger = UserTrigger(self.rng.choice(('aa_user', 'aa_user', 'zzz_user')))
        counts, meddled = 'm' in self.schema.columns, self.meddled

        def on_insert(new):
            if new['note'] is not None:
                new['note'] = new['note'].strip('!') or None
            return new

        def on_update(old, new):
            new = on_insert(new)
            if counts:
                new['m'] = (old['m'] or 0) + 1
            elif old['n'] == 3:
                new['n'] = old['n']
            if old['n'] == 4:
                new.update(dict.fromkeys(meddled))
            return new

        trigger.on_insert, trigger.on_update = on_insert, on_update
        self.say(f'CREATE OR REPLACE FUNCTION user_trigger() RETURNS trigger LANGUAGE plpgsql AS\n'
                 f'$$\nBEGIN\n{self.body}\n    RETURN NEW;\nEND;\n$$')
        self.say(f'CREATE TRIGGER {trigger.name} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW'
                 ' EXECUTE FUNCTION user_trigger()')
        return [trigger]

    def finish(self, with_view):
        """The view, owners and privileges."""
        schema = self.schema
        if with_view:
            columns = list(schema.columns.values())
            schema.view = create_view(self.rng.sample(columns, len(columns)))
            self.say(schema.view)
        if schema.owner != 'postgres':
            for table in ('t', *(leaf for leaf in schema.leaves if leaf != 't'), *(['p'] if schema.parent else [])):
                self.say(f'ALTER TABLE {table} OWNER TO {schema.owner}')
        self.say('CREATE TABLE poke (id bigint)')
        self.say('CREATE FUNCTION poked() RETURNS trigger LANGUAGE plpgsql AS\n$$\nBEGIN\n'
                 '    UPDATE t SET n = coalesce(n, 0) + 1 WHERE id BETWEEN NEW.id AND NEW.id;\n'
                 '    RETURN NULL;\nEND;\n$$')
        self.say('CREATE TRIGGER poke AFTER INSERT ON poke FOR EACH ROW EXECUTE FUNCTION poked()')
        self.say('GRANT USAGE ON SCHEMA stamps TO oracle_app')
        self.say('GRANT ALL ON ALL TABLES IN SCHEMA stamps TO oracle_app')


def create_view(columns):
    """An updatable view of the root table."""
    return f"CREATE VIEW shown AS SELECT {', '.join(column.sql for column in columns)} FROM t"


def choose_options(rng, schema, stamps, roles, want=()):
    """Gives a trigger random options; those that a self-test needs in any case."""
    def chance(probability):
        return rng.random() < probability

    kinds = {schema.columns[role].type.family for role in roles if role in ('created', 'updated')}
    candidates = []
    if 'version' in roles:
        candidates.append(('mode', ('auto', 'auto', 'strict', 'echo')))
        if schema.columns['version'].type.family == 'int':
            candidates.append(('overflow', ('error', 'wrap')))
    if kinds or ('version' in roles and len(roles) > 1):
        candidates.append(('clock', ('transaction', 'statement', 'wall')))
    if 'created' in roles:
        candidates.append(('immutable', ('keep', 'error')))
    if 'updated' in roles or 'version' in roles:
        candidates.append(('resent', ('keep', 'move')))
    if 'int' in kinds:
        candidates.append(('unit', ('microseconds', 'milliseconds', 'seconds')))
    if kinds & {'ts', 'date'}:
        candidates.append(('zone', ('session', 'utc')))
    for option, values in candidates:
        if option in want or chance(0.5):
            stamps.options[option] = rng.choice(values)
    if 'ignore' in want or chance(0.4):
        payload = schema.payload()
        picked = rng.sample(payload, min(len(payload), rng.randint(1, 2)))
        stamps.ignore = frozenset(column.key for column in picked)
    stamps.on_delete = 'version' in roles and chance(0.4)


def literal(rng, column):
    """A random value of a column in SQL."""
    return column.type.literal(value(rng, column))


def value(rng, column):
    """A random value of a column, which may occur more than once."""
    kind = column.type
    if kind.family == 'big':
        return rng.choice(types.BIG)
    if column.role == 'version' and kind.family == 'int':
        return rng.choice((1, 2, 3, 3, 7, kind.high, kind.high - 1))
    if column.role in ('created', 'updated') and kind.family == 'int':
        return rng.choice((5, 1_700_000_000, 1_710_000_000_000))
    if column.role == 'change_id':
        return rng.randint(1, 3)
    if column.role in ('created_by', 'updated_by'):
        if kind.sql == 'regrole':
            return rng.choice(('postgres', 'oracle_app'))
        return rng.choice(('ann', 'bob')) if kind.family == 'text' else kind.random(rng)
    if column.key == 'ref':
        return rng.randint(1, 6)
    return kind.random(rng)


def declaration(table, stamps):
    """The CREATE TRIGGER of a stamp trigger."""
    roles = [role for role in ROLES if getattr(stamps, role)]

    def column(role):
        return stamps.columns[getattr(stamps, role)].name if getattr(stamps, role) else ''

    if roles == ['version']:
        function, arguments = 'version', [column('version')]
    elif set(roles) <= {'created', 'updated'}:
        function, arguments = 'timestamps', [column('created'), column('updated')]
    else:
        function, arguments = 'stamp', [f'{role}={column(role)}' for role in roles]
    arguments += [f'{option}={choice}' for option, choice in stamps.options.items()]
    if stamps.ignore:
        names = [stamps.columns[key].name for key in sorted(stamps.ignore)]
        arguments.append('ignore=' + ', '.join(f'"{text}"' if ',' in text or '"' in text else text for text in names))
    events = 'INSERT OR UPDATE OR DELETE' if stamps.on_delete else 'INSERT OR UPDATE'
    return (f'CREATE TRIGGER {stamps.name} BEFORE {events} ON {table} FOR EACH ROW'
            f" EXECUTE FUNCTION orm_ext.{function}({', '.join(quote(text) for text in arguments)})")
