"""A random table: its columns, keys, triggers and policies, as the statements that make it on either side.

Both sides get the same table but for soft delete: the twin's marker is an ordinary column, and what
is written by hand says itself which rows it means.
"""

from dataclasses import dataclass, field

from .kinds import (BIGINT, BOOLEAN, INT, Kind, KEYS, KINDS, literal, name, POSITIVE, quote, TEXT, TIMESTAMP,
                    TIMESTAMPTZ, UUID)

SIDES = ('bulk', 'twin')
TABLES = ('t', 't', 'Order Lines', 'select', 'tbl"x')
NAMES = ('a', 'b', 'c', 'd', 'Odd Name', 'select', 'e,f', "it's", 'ünï', 'x"y', 'g', 'h', 'i', 'j', 'k', 'l')
REFERENCE = Kind('int', (*(str(number) for number in range(1, 41)), '99'), 'bare')
REGIONS = ('a', 'b', 'c', 'd')
LIVE = {'timestamptz': '{} IS NULL', 'timestamp': '{} IS NULL', 'boolean': 'NOT {}', 'bigint': '{} = 0'}
ALIVE = {'timestamptz': None, 'timestamp': None, 'boolean': 'f', 'bigint': '0'}
DEAD = {'timestamptz': ('2023-01-01 00:00:00+00', '2023-01-02 00:00:00+00'),
        'timestamp': ('2023-01-01 00:00:00', '2023-01-02 00:00:00'), 'boolean': ('t', 't'),
        'bigint': ('1700000000000000', '1700000000000001')}

LOG = '''CREATE FUNCTION {s}.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
$$
BEGIN
    INSERT INTO {s}.log (what, old, new) VALUES (TG_WHEN || ' ' || TG_OP || ' ' || TG_LEVEL,
        CASE WHEN TG_LEVEL = 'ROW' AND TG_OP = 'UPDATE' THEN to_jsonb(OLD) END,
        CASE WHEN TG_LEVEL = 'ROW' THEN to_jsonb(NEW) END);
    RETURN NEW;
END;
$$'''
TRANSITION = '''CREATE FUNCTION {s}.note_%s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
$$
BEGIN
    INSERT INTO {s}.log (what, new) SELECT 'TRANSITION %s', to_jsonb(x) FROM new_rows x;
    RETURN NULL;
END;
$$'''
TIDY = '''CREATE FUNCTION {s}.tidy() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    NEW.%(c)s := btrim(NEW.%(c)s, ' o');
    RETURN NEW;
END;
$$'''

QUIET = '''CREATE FUNCTION {s}.quiet() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    RETURN NULL;
END;
$$'''
REFUSE = '''CREATE FUNCTION {s}.refuse() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    RETURN NULL;
END;
$$'''


@dataclass
class Column:
    """A column of the table."""

    name: str
    kind: Kind
    role: str = 'payload'       # key, region, payload, marker, version, created, updated
    not_null: bool = False
    default: str = ''           # as SQL
    varies: str = ''            # what the default depends on: sequence, call, transaction
    identity: str = ''          # ALWAYS, BY DEFAULT
    generated: str = ''         # expression over bare columns

    @property
    def sql(self):
        """The quoted name."""
        return name(self.name)

    @property
    def has_default(self):
        """Whether a new row gets something that is not null where nothing is given."""
        return bool(self.default or self.identity)

    @property
    def fills_nulls(self):
        """Whether a null in an array counts as absent."""
        return self.not_null and self.has_default

    def definition(self):
        """The column in CREATE TABLE."""
        words = [self.sql, self.kind.declared]
        if self.varies == 'sequence' and not self.identity:
            words[1] = {'int': 'serial', 'bigint': 'bigserial'}[self.kind.sql]
        elif self.identity:
            words.append(f'GENERATED {self.identity} AS IDENTITY')
        elif self.generated:
            words.append(f'GENERATED ALWAYS AS ({self.generated}) STORED')
        elif self.default:
            words.append(f'DEFAULT {self.default}')
        if self.not_null:
            words.append('NOT NULL')
        return ' '.join(words)


@dataclass
class Key:
    """A unique key; expressions are over columns whose names are written {p}"name"."""

    index: str                  # name
    parts: list
    columns: list               # that make it up; with expressions those that they mention
    plain: bool = True          # no expressions
    predicate: str = ''
    live: bool = False          # the predicate says that the row is not deleted
    not_distinct: bool = False
    constraint: str = ''        # PRIMARY KEY, UNIQUE, or an index
    deferrable: bool = False
    include: str = ''

    @property
    def own_columns(self):
        """Columns that are the key's as they are, not in an expression."""
        return [column for column in self.columns if f'{{p}}{column.sql}' in self.parts]

    def definition(self, table):
        """What makes it."""
        parts = ', '.join(part.format(p='') if part.startswith('{p}') else f"({part.format(p='')})"
                          for part in self.parts)
        nulls = ' NULLS NOT DISTINCT' if self.not_distinct else ''
        include = f' INCLUDE ({self.include})' if self.include else ''
        if self.constraint:
            later = ' DEFERRABLE' if self.deferrable else ''
            return (f'ALTER TABLE {{s}}.{table} ADD CONSTRAINT {name(self.index)} {self.constraint}{nulls} ({parts})'
                    f'{include}{later}')
        where = f" WHERE {self.predicate.format(p='')}" if self.predicate else ''
        return f'CREATE UNIQUE INDEX {name(self.index)} ON {{s}}.{table} ({parts}){include}{nulls}{where}'


@dataclass
class Table:
    """What is known of the table."""

    name: str = 't'
    columns: list = field(default_factory=list)
    keys: list = field(default_factory=list)
    marker: Column = None
    stamps: dict = field(default_factory=dict)      # role → Column
    logged: bool = False
    transitions: bool = False
    tidy: bool = False          # a trigger changes what is given
    refusing: bool = False      # another one does not let every row in
    partitioned: str = ''
    rls: bool = False
    statements: list = field(default_factory=list)  # {s} is the side
    bulk_only: list = field(default_factory=list)

    @property
    def sql(self):
        """The quoted name."""
        return name(self.name)

    def column(self, wanted):
        """The column of a name."""
        return next(column for column in self.columns if column.name == wanted)

    def sequences(self):
        """Columns that take from a sequence."""
        return [column for column in self.columns if column.varies == 'sequence']

    def alive(self, prefix=''):
        """The condition for live rows; true where nothing is ever deleted."""
        return LIVE[self.marker.kind.sql].format(f'{prefix}{self.marker.sql}') if self.marker else 'true'

    def on_side(self, side):
        """The statements for a side."""
        made = self.statements + (self.bulk_only if side == 'bulk' else [])
        return [sql.replace('{s}', side) for sql in made]


class Builder:
    """Makes up a table."""

    def __init__(self, rng, plain, want=()):
        self.rng = rng
        self.plain = plain          # without the extension
        self.want = want            # features that there have to be
        self.table = Table()
        self.names = list(NAMES)
        rng.shuffle(self.names)

    def chance(self, share, feature=''):
        """Whether something random happens, or a fault needs it."""
        # Drawn in any case, so that a wish changes as little as possible.
        drawn = self.rng.random() < share
        return drawn or feature in self.want

    def build(self):
        """The table with all statements that make it."""
        table, rng = self.table, self.rng
        table.name = rng.choice(TABLES)
        if self.chance(0.25) and 'plain' not in self.want:
            table.partitioned = rng.choice(('HASH', 'LIST', 'RANGE'))
        self.primary_key()
        self.payload()
        if self.chance(0.35, 'soft'):
            self.marker()
        if self.chance(0.3, 'stamps'):
            self.stamps()
        elif self.chance(0.3, 'version'):
            self.add(Column(self.named('version', 'Version', 'v'), INT, 'version', True, '1'))
        self.other_keys()
        self.create()
        self.triggers()
        if self.chance(0.12, 'rls') and not table.refusing:
            self.policies()
        return table

    def add(self, column):
        """Takes a column into the table."""
        self.table.columns.append(column)
        return column

    def named(self, *names):
        """A name for a column with a role."""
        return self.rng.choice(names)

    def next_name(self):
        """A name that no column has."""
        return self.names.pop()

    # Columns

    def primary_key(self):
        """The primary key's columns, and that of the partition."""
        rng, table = self.rng, self.table
        form = rng.choices(('serial', 'always', 'by default', 'plain', 'composite', 'uuid', 'none'),
                           (3, 2, 2, 4, 3, 1, 1))[0]
        if 'sequence' in self.want:
            form = 'serial'
        columns = []
        if form in ('serial', 'always', 'by default'):
            # An identity is taken from where rows are inserted: from 17 on partitioned tables have some.
            if table.partitioned:
                form = 'serial'
            identity = '' if form == 'serial' else form.upper()
            columns.append(Column(rng.choice(('id', 'ID')), rng.choice((INT, BIGINT)), 'key', True, varies='sequence',
                                  identity=identity, default='' if identity else 'nextval'))
        elif form == 'uuid':
            columns.append(Column('id', UUID, 'key', True, 'gen_random_uuid()', 'call'))
        else:
            for _ in range(rng.choice((2, 2, 3)) if form == 'composite' else 1):
                column = Column(self.next_name(), rng.choice(KEYS), 'key', True)
                if form == 'composite' and columns and rng.random() < 0.3:
                    column.default = literal(rng.choice(column.kind.samples))
                columns.append(column)
        for column in columns:
            self.add(column)
        if table.partitioned:
            columns.append(self.add(Column('region', TEXT, 'region', True, *rng.choice((('',), ("'a'",))))))
            rng.shuffle(columns)
        if form != 'none':
            self.key('pk', columns, constraint='PRIMARY KEY')
        elif not table.partitioned:
            columns[0].not_null = rng.random() < 0.5
            self.key('no pk', columns, constraint='UNIQUE', not_distinct=rng.random() < 0.5)
        else:
            self.key('no pk', columns)

    def payload(self):
        """Columns with defaults and without."""
        rng = self.rng
        for _ in range(rng.choice((2, 3, 4, 5, 6))):
            column = Column(self.next_name(), rng.choice(KINDS), not_null=rng.random() < 0.25)
            draw = rng.random()
            if draw < 0.2:
                column.default = literal(rng.choice(column.kind.samples))
            elif draw < 0.28:
                column.default, column.varies, column.kind = self.varying()
            elif draw < 0.32 and not self.table.partitioned:
                column.kind, column.default, column.varies, column.not_null = INT, 'nextval', 'sequence', True
            self.add(column)
        number = self.add(Column('n', INT, not_null=rng.random() < 0.2))
        self.add(Column('note', TEXT))
        if self.chance(0.15):
            self.add(Column(self.next_name(), REFERENCE, 'reference'))
        if self.chance(0.3):
            self.add(Column('twice', INT, generated=f'{number.sql} * 2'))
        if self.chance(0.25):
            self.add(Column(rng.choice(('slug', 'Slug')), TEXT, generated='lower(note)'))
        rng.shuffle(self.table.columns)

    def varying(self):
        """(default, what it depends on, type) of a default that is another one each time."""
        return self.rng.choice((
            ('clock_timestamp()', 'call', TIMESTAMPTZ), ('now()', 'transaction', TIMESTAMPTZ),
            ('gen_random_uuid()', 'call', UUID), ('(random() * 1000000)::int + 1', 'call', POSITIVE),
            ('CURRENT_TIMESTAMP', 'transaction', TIMESTAMP)))

    def marker(self):
        """What says that a row is deleted."""
        kind = self.rng.choice((TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMP, BOOLEAN, BIGINT))
        fixed = kind in (BOOLEAN, BIGINT)
        default = {'boolean': 'false', 'bigint': '0'}.get(kind.sql, '')
        self.table.marker = self.add(Column(self.named('deleted_at', 'Gone', 'is deleted'), kind, 'marker', fixed,
                                            default))

    def stamps(self):
        """Columns that a stamp trigger keeps."""
        rng, table = self.rng, self.table
        for role, names in (('version', ('version_id', 'lock')), ('created', ('created_at', 'made')),
                            ('updated', ('updated_at', 'Changed'))):
            if rng.random() < 0.7 or role in self.want:
                kind = INT if role == 'version' else rng.choice((TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMP))
                table.stamps[role] = self.add(Column(self.named(*names), kind, role))
        if 'created' not in table.stamps and rng.random() < 0.5:
            self.add(Column('created_on', TEXT, 'created'))

    # Keys

    def key(self, title, columns, **options):
        """A key of columns."""
        made = Key(f'{self.table.name} {title}', [f'{{p}}{column.sql}' for column in columns], list(columns), **options)
        self.table.keys.append(made)
        return made

    def other_keys(self):
        """Further keys, some of them partial or over expressions."""
        rng, table = self.rng, self.table
        region = [column for column in table.columns if column.role == 'region']
        usable = [column for column in table.columns if column.kind in KEYS and not column.varies
                  and column.role in ('payload', 'key') and not column.generated]
        slugs = [column for column in table.columns if column.generated]
        forms = ('plain', 'plain', 'not distinct', 'expression', 'expressions', 'partial', 'partial', 'two partial',
                 'generated', 'deferrable', 'include')
        for number in range(rng.choice((0, 1, 1, 2, 3))):
            form, columns = rng.choice(forms), rng.sample(usable, min(len(usable), rng.choice((1, 1, 2)))) + region
            note, count = table.column('note'), table.column('n')
            title, options = f'key {number}', {}
            if table.marker and rng.random() < 0.5:
                options = {'predicate': table.alive('{p}'), 'live': True}
            if form == 'expression':
                self.expression(title, ['lower({p}note)'], [note], region, options)
            elif form == 'expressions':
                self.expression(title, [f'abs({{p}}{count.sql} - 5)', '{p}note'], [count, note], region, options)
            elif form in ('partial', 'two partial') and not options:
                self.key(title, columns, predicate=f'{{p}}{count.sql} > 4')
                if form == 'two partial':
                    self.key(f'{title} too', columns, predicate=f'{{p}}{count.sql} < 3 AND {{p}}note IS NOT NULL')
            elif form == 'generated' and slugs:
                self.key(title, [rng.choice(slugs), *region], **options)
            elif form == 'deferrable' and not options:
                self.key(title, columns, constraint='UNIQUE', deferrable=True)
            elif form == 'include' and not options:
                self.key(title, columns, constraint=rng.choice(('UNIQUE', '')), include=note.sql)
            elif columns:
                constraint = '' if options else rng.choice(('UNIQUE', ''))
                self.key(title, columns, constraint=constraint,
                         not_distinct=form == 'not distinct', **options)

        # ON CONFLICT cannot tell a key from a deferrable one on the same columns.
        table.keys = [key for key in table.keys if not key.deferrable or not any(
            other is not key and set(other.parts) == set(key.parts) for other in table.keys)]

    def expression(self, title, parts, columns, region, options):
        """A unique index over expressions."""
        self.table.keys.append(Key(f'{self.table.name} {title}',
                                   parts + [f'{{p}}{column.sql}' for column in region], columns + region, False,
                                   **options))

    # Statements

    def create(self):
        """CREATE TABLE and all keys."""
        rng, table = self.rng, self.table
        lines = [column.definition() for column in table.columns]
        if rng.random() < 0.3:
            lines.append('CHECK (n <> 13)')
        for column in table.columns:
            if column.role == 'reference':
                lines.append(f'FOREIGN KEY ({column.sql}) REFERENCES {{s}}.parent')
        junk = self.rng.random() < 0.25
        if junk:
            lines.insert(self.rng.randint(0, len(table.columns)), 'junk int')
        by = f' PARTITION BY {table.partitioned} (region)' if table.partitioned else ''
        table.statements += ['CREATE SCHEMA {s}', 'GRANT USAGE ON SCHEMA {s} TO oracle_app',
                             'CREATE TABLE {s}.parent (id int PRIMARY KEY)',
                             'INSERT INTO {s}.parent SELECT generate_series(1, 40)',
                             f"CREATE TABLE {{s}}.{table.sql} ({', '.join(lines)}){by}"]
        if junk:
            table.statements.append(f'ALTER TABLE {{s}}.{table.sql} DROP COLUMN junk')
        bounds = {'HASH': ('WITH (MODULUS 2, REMAINDER 0)', 'WITH (MODULUS 2, REMAINDER 1)'),
                  'LIST': ("IN ('a', 'c')", "IN ('b')", 'DEFAULT'), 'RANGE': ("FROM (MINVALUE) TO ('b')", 'DEFAULT')}
        for number, bound in enumerate(bounds.get(table.partitioned, ())):
            word = '' if bound == 'DEFAULT' else 'FOR VALUES '
            table.statements.append(f'CREATE TABLE {{s}}.part_{number} PARTITION OF {{s}}.{table.sql} {word}{bound}')
        table.statements += [key.definition(table.sql) for key in table.keys]
        if table.partitioned and rng.random() < 0.5:
            # Partitions whose columns stand in another order.
            table.statements += self.rebuilt('part_0', bounds[table.partitioned][0])

    def rebuilt(self, part, bound):
        """Another partition in the place of one, with its columns in another order."""
        table, columns = self.table, list(self.table.columns)
        self.rng.shuffle(columns)
        lines = []
        for column in columns:
            words = column.definition()
            if column.varies == 'sequence':
                sequence = quote(f'{{s}}.{name(f"{table.name}_{column.name}_seq")}')
                words = f'{column.sql} {column.kind.sql} DEFAULT nextval({sequence}) NOT NULL'
            lines.append(words)
        if any('CHECK (n' in statement for statement in table.statements):
            lines.append(f'CONSTRAINT {name(f"{table.name}_n_check")} CHECK (n <> 13)')
        return [f'DROP TABLE {{s}}.{part}', f"CREATE TABLE {{s}}.{part} ({', '.join(lines)})",
                f'ALTER TABLE {{s}}.{table.sql} ATTACH PARTITION {{s}}.{part} FOR VALUES {bound}']

    def triggers(self):
        """Stamps, soft delete, logs."""
        rng, table = self.rng, self.table
        # Whether a statement is needed to write a row depends on triggers like this.
        table.bulk_only += [QUIET, f'CREATE TRIGGER quiet AFTER INSERT ON {{s}}.{table.sql} FOR EACH STATEMENT'
                            ' EXECUTE FUNCTION {s}.quiet()']
        if table.stamps and not self.plain:
            words = ', '.join(quote(f'{role}={column.name}') for role, column in table.stamps.items())
            table.statements.append(f'CREATE TRIGGER orm_stamp BEFORE INSERT OR UPDATE ON {{s}}.{table.sql}'
                                    f' FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp({words})')
        if table.marker and not self.plain:
            table.bulk_only.append(f'CREATE TRIGGER gone BEFORE DELETE ON {{s}}.{table.sql} FOR EACH ROW EXECUTE'
                                   f' FUNCTION orm_ext.soft_delete({quote(table.marker.name)})')
        if self.chance(0.12) and 'log' not in self.want and not self.in_some_key(table.column('note')):
            table.tidy = True
            table.statements += [TIDY % {'c': 'note'}, f'CREATE TRIGGER a_tidy BEFORE INSERT OR UPDATE ON'
                                 f' {{s}}.{table.sql} FOR EACH ROW EXECUTE FUNCTION {{s}}.tidy()']
        if self.rng.random() < 0.12 and 'log' not in self.want and not table.stamps:
            table.refusing = True
            table.statements += [REFUSE, f'CREATE TRIGGER zz_refuse BEFORE INSERT OR UPDATE ON {{s}}.{table.sql}'
                                 ' FOR EACH ROW WHEN (NEW.n = 12) EXECUTE FUNCTION {s}.refuse()']
        elif self.chance(0.35, 'log'):
            table.logged = True
            table.statements += ['CREATE TABLE {s}.log (id serial, what text, old jsonb, new jsonb)', LOG]
            for when in ('BEFORE', 'AFTER'):
                for level in ('ROW', 'STATEMENT'):
                    table.statements.append(
                        f'CREATE TRIGGER {rng.choice("bz")}_{when.lower()}_{level.lower()} {when} INSERT OR UPDATE ON'
                        f' {{s}}.{table.sql} FOR EACH {level} EXECUTE FUNCTION {{s}}.note()')
            if rng.random() < 0.5:
                table.transitions = True
                for event in ('insert', 'update'):
                    table.statements += [
                        TRANSITION % (event, event.upper()), f'CREATE TRIGGER rows_{event} AFTER {event.upper()} ON'
                        f' {{s}}.{table.sql} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT'
                        f' EXECUTE FUNCTION {{s}}.note_{event}()']
        table.statements += [f'GRANT SELECT, INSERT, UPDATE ON {{s}}.{table.sql} TO oracle_app',
                             'GRANT USAGE ON ALL SEQUENCES IN SCHEMA {s} TO oracle_app']

    def in_some_key(self, column):
        """Whether a key depends on a column."""
        return any(column in key.columns or column.name in key.predicate
                   or any(other.generated and column.name in other.generated for other in key.columns)
                   for key in self.table.keys)

    def policies(self):
        """Row-level security: some rows are not to be seen, others not to be written."""
        table = self.table
        table.rls = True
        table.statements += [
            f'ALTER TABLE {{s}}.{table.sql} ENABLE ROW LEVEL SECURITY',
            f'CREATE POLICY seen ON {{s}}.{table.sql} FOR SELECT TO oracle_app USING (n IS DISTINCT FROM 7)',
            f'CREATE POLICY made ON {{s}}.{table.sql} FOR INSERT TO oracle_app WITH CHECK (n IS DISTINCT FROM 8)',
            f'CREATE POLICY changed ON {{s}}.{table.sql} FOR UPDATE TO oracle_app USING (n IS DISTINCT FROM 6)'
            ' WITH CHECK (n IS DISTINCT FROM 8)']
