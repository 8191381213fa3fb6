"""Makes a random pair of schemas: tables with soft-deleted rows, and the twin without them.

Both sides get the same statements but for these:
- the soft side declares its tables with orm_ext.soft_delete() or orm_ext.enable_soft_delete();
- it also holds rows which the twin never had: inserted with a marker that is set, or removed
  by a DELETE which runs on both sides and is a real one on the twin;
- its unique keys are unique among live rows: partial indexes where the twin has full ones.

Left out, because plain PostgreSQL legitimately differs there:
- foreign keys between these tables (the server's own queries see every row);
- reuse of a primary key: a deleted row keeps it, so the generators only take fresh ones;
- user triggers on DELETE, which do not fire, and INSERT of a row whose marker is set;
- DELETE from an unmanaged parent with managed children, and from a single partition of a table
  that is partitioned by its marker: both are refused;
- before 18, RETURNING tableoid of a table that is partitioned by its marker: the row's new home;
- COPY table TO, which writes every row as pg_dump needs, and TRUNCATE, which is refused.
"""

from . import objects
from .model import (Column, DEAD_TEST, DEAD_VALUE, LIVE_TEST, LIVE_VALUE, MARKER_TYPES, Relation, Schema, ZONES)
from .values import BUCKETS, EMAILS, email, row

MARKER_NAME = {'timestamptz': 'deleted_at', 'timestamp': 'removed_on', 'boolean': 'is_deleted', 'bigint': 'deleted_ms'}
OPTIONAL = (
    Column('amount', 'numeric'), Column('day', 'date'), Column('tags', 'int[]'),
    Column('doc', 'jsonb'), Column('flag', 'bool'),
)
TYPE_NAME = {'numeric': 'numeric(8,2)', 'bool': 'boolean'}


class Builder:
    """Collects the statements of one random pair of schemas."""

    def __init__(self, rng, version, plain):
        self.rng = rng
        self.version = version
        self.plain = plain      # nothing is managed and no row is deleted: checks the generator itself
        self.schema = Schema()
        self.next_id = 1

    def build(self):
        """The schema, with the statements of both sides."""
        rng = self.rng
        markers = list(MARKER_TYPES)
        rng.shuffle(markers)
        large = rng.choice(('t_a', 't_b', 'p_range', ''))
        for name, marker_type in zip(('t_a', 't_b', 't_c', 't_d'), markers):
            self.table(name, marker_type, rows=250 if name == large else 0)
        self.generated_table()
        self.bumped_table()
        self.table('t_nokey', rng.choice(MARKER_TYPES), key=None, unique=False)
        self.ruled_table()
        self.table('t_rls', rng.choice(MARKER_TYPES))
        self.partitioned('p_range', rng.choice(MARKER_TYPES), 'range', rows=250 if large == 'p_range' else 0)
        self.partitioned('p_list', rng.choice(MARKER_TYPES), rng.choice(('list', 'hash')))
        self.partitioned('p_mark', rng.choice(('timestamptz', 'boolean')), 'marker')
        self.inherited('inh', rng.choice(MARKER_TYPES))
        self.table('u_one', None)
        self.table('u_two', None, unique=False)
        self.archive()
        objects.add(self)
        self.privileges()
        if rng.random() < 0.6:
            self.schema.both('ANALYZE')
        return self.schema

    # Columns and rows

    def columns(self, marker_type, extra=()):
        """A random column list; the marker stands anywhere."""
        rng = self.rng
        columns = [
            Column('id', 'int', not_null=True), Column('grp', 'int'), Column('ref', 'int'), Column('name', 'text'),
            Column('qty', 'int', not_null=True), Column('poison', 'int', not_null=True), Column('email', 'text'),
        ]
        columns += [column for column in OPTIONAL if rng.random() < 0.7]
        columns += extra
        rng.shuffle(columns)
        if rng.random() < 0.4:
            columns.sort(key=lambda column: column.name != 'id')
        if marker_type:
            marker = Column(MARKER_NAME[marker_type], marker_type, marker=True)
            columns.insert(rng.choice((0, len(columns), rng.randint(0, len(columns)))), marker)
        return columns

    @staticmethod
    def definition(column):
        """A column of CREATE TABLE."""
        text = f'{column.name} {TYPE_NAME.get(column.type, column.type)}'
        if column.marker:
            if column.type in ('boolean', 'bigint'):
                text += f' NOT NULL DEFAULT {LIVE_VALUE[column.type]}'
            return text
        if column.name in ('poison', 'version'):
            return text + ' NOT NULL DEFAULT 1'
        return text + ' NOT NULL' if column.not_null else text

    def create(self, name, columns, tail='', generated=None, pristine=False):
        """CREATE TABLE on both sides, sometimes with columns that are dropped at once."""
        definitions = [self.definition(column) + (generated or {}).get(column.name, '') for column in columns]
        dropped = []
        if not pristine:
            for number in range(self.rng.choice((0, 0, 1, 1, 3))):
                dropped.append(f'gone_{number}')
                definitions.insert(self.rng.randint(0, len(definitions)), f'gone_{number} text')
        self.schema.both(f'CREATE TABLE {name} ({", ".join(definitions)}){tail}')
        for column in dropped:
            self.schema.both(f'ALTER TABLE {name} DROP COLUMN {column}')

    def fill(self, name, columns, live, dead=0, fixed=None, marker=None):
        """Inserts live rows on both sides, and dead ones among them on the soft side."""
        rng = self.rng
        addresses = rng.sample(range(1, EMAILS + 1), min(EMAILS, live))
        rows = []
        for number in range(live + (0 if self.plain else dead)):
            values = row(rng, columns, self.next_id, poison=rng.randint(1, 5) if number < live else 0)
            if number < live and 'email' in values:
                values['email'] = email(addresses[number]) if number < len(addresses) else 'NULL'
            for column, choices in (fixed or {}).items():
                values[column] = rng.choice(choices)
            if marker:
                values[marker.name] = (LIVE_VALUE if number < live else DEAD_VALUE)[marker.type]
            self.next_id += 1
            rows.append((number < live, values))
        rng.shuffle(rows)
        for side, dead_too in ((self.schema.soft, True), (self.schema.twin, False)):
            chosen = [values for is_live, values in rows if is_live or dead_too]
            if chosen:
                names = list(chosen[0])
                tuples = ', '.join('(' + ', '.join(values[key] for key in names) + ')' for values in chosen)
                side.append(f'INSERT INTO {name} ({", ".join(names)}) VALUES {tuples}')

    def counts(self, rows):
        """How many live and dead rows a table gets; now and then one of them is none."""
        live = rows or self.rng.choice((0, 12, 25, 25, 40, 40, 40, 40, 50, 50, 50))
        return live, int(live * self.rng.choice((0.3, 1, 2))) + self.rng.choice((0, 5))

    # Policies and keys

    def manage(self, relation, unique=(), enable=True):
        """Attaches the policy on the soft side; unique lists (name, columns) of its keys."""
        marker = relation.marker
        by_function = enable and self.rng.random() < 0.4 and not self.plain
        for name, columns in unique:
            include = ' INCLUDE (qty)' if self.rng.random() < 0.2 else ''
            full = f'ALTER TABLE {relation.name} ADD CONSTRAINT {name} UNIQUE ({columns}){include}'
            if '(' in columns:
                full = f'CREATE UNIQUE INDEX {name} ON {relation.name} ({columns}){include}'
            self.schema.twin.append(full)
            if by_function or self.plain:
                self.schema.soft.append(full)
            else:
                live = LIVE_TEST[marker.type].format(marker.name)
                self.schema.soft.append(
                    f'CREATE UNIQUE INDEX {name} ON {relation.name} ({columns}){include} WHERE {live}')
        if self.plain:
            return
        if by_function:
            self.schema.soft.append(
                f"SELECT * FROM orm_ext.enable_soft_delete('{relation.name}', '{marker.name}', '{marker.type}')")
        else:
            self.schema.soft.append(
                f'CREATE TRIGGER {self.rng.choice(("orm_soft_delete", "a_policy", "z"))} BEFORE DELETE'
                f" ON {relation.name} FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('{marker.name}')")

    def indexes(self, relation):
        """Random indexes, the same on both sides; some mention the marker, some are partial."""
        name, marker = relation.name, relation.marker
        candidates = [
            '(grp)', '(ref)', '(name text_pattern_ops)', '(grp, qty)', '(lower(name))', '(grp) WHERE qty > 3',
            '(name, id)', '(qty DESC NULLS LAST) INCLUDE (grp)', 'USING hash (name)', 'USING brin (qty)',
        ]
        if relation.has('tags'):
            candidates.append('USING gin (tags)')
        if relation.has('doc'):
            candidates.append('USING gin (doc)')
        if marker:
            live = LIVE_TEST[marker.type].format(marker.name)
            candidates += [f'(grp) WHERE {live}', f'(name, qty) WHERE {live}', f'({marker.name})',
                           f'(ref, {marker.name})']
        for index in self.rng.sample(candidates, self.rng.randint(1, 4)):
            columns = index if index.startswith('USING') else f'USING btree {index}'
            self.schema.both(f'CREATE INDEX ON {name} {columns}')

    def delete_some(self, relation):
        """A DELETE on both sides, so that rows also die the way the application kills them."""
        marker = relation.marker
        self.schema.both(f'DELETE FROM {relation.name} WHERE id % {self.rng.choice((3, 4, 7))} = 0')
        if marker and not self.plain:
            dead = DEAD_TEST[marker.type].format(marker.name)
            self.schema.soft.append(f'UPDATE {relation.name} SET poison = 0 WHERE {dead}')

    def remember(self, relation):
        """Lists a table among those whose rows are compared and counted."""
        self.schema.contents.append(relation.name)
        if relation.managed:
            self.schema.kept.append(relation.name)

    # Tables

    def table(self, name, marker_type, key='id', unique=True, rows=0, extra=(), generated=None, enable=True):
        """An ordinary table, managed if it has a marker."""
        rng = self.rng
        columns = self.columns(marker_type, extra)
        marker = next((column for column in columns if column.marker), None)
        relation = Relation(name, columns, marker=marker, managed=bool(marker), key=key, weight=4 if marker else 2,
                            rows=max(rows, 40))
        self.schema.relations.append(relation)
        self.remember(relation)
        self.next_id = 1
        self.create(name, columns, generated=generated)
        if key:
            self.schema.both(f'ALTER TABLE {name} ADD PRIMARY KEY (id)')
        keys = [(f'{name}_email_key', 'email')]
        if rng.random() < 0.3:
            keys = [(f'{name}_email_lower_key', 'lower(email)')]
        keys = keys if unique else []
        relation.unique = tuple(columns for _, columns in keys)
        self.indexes(relation)
        live, dead = self.counts(rows)
        if not marker:
            for key_name, key_columns in keys:
                self.schema.both(f'CREATE UNIQUE INDEX {key_name} ON {name} ({key_columns})')
            self.fill(name, columns, live)
            return relation
        self.manage(relation, keys, enable)
        self.fill(name, columns, live, dead, marker=marker)
        if rng.random() < 0.7:
            self.delete_some(relation)
        return relation

    def generated_table(self):
        """A table with generated columns, one of them computed from the marker."""
        marker_type = self.rng.choice(MARKER_TYPES)
        live = LIVE_TEST[marker_type].format(MARKER_NAME[marker_type])
        kind = 'VIRTUAL' if self.version >= 180000 and self.rng.random() < 0.5 else 'STORED'
        extra = (Column('twice', 'int', 'qty', generated=True), Column('state', 'text', generated=True))
        self.table('t_gen', marker_type, extra=extra, generated={
            'twice': f' GENERATED ALWAYS AS (qty * 2) {kind}',
            'state': f" GENERATED ALWAYS AS (CASE WHEN {live} THEN 'ann' ELSE 'dead' END) {kind}",
        })

    def bumped_table(self):
        """A table whose BEFORE UPDATE trigger changes the row: RETURNING of a DELETE must not show it."""
        self.table('t_bump', self.rng.choice(MARKER_TYPES), extra=(Column('version', 'int', 'qty', not_null=True),))
        self.schema.both(
            """CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN NEW.version := OLD.version + 1; RETURN NEW; END $$""",
            'CREATE TRIGGER bump BEFORE UPDATE ON t_bump FOR EACH ROW EXECUTE FUNCTION bump()')

    def ruled_table(self):
        """A table with rules: they belong to DELETE and UPDATE as the application wrote them."""
        relation = self.table('t_rule', self.rng.choice(MARKER_TYPES), enable=False)
        relation.merge = False
        self.schema.contents.append('rule_log')
        self.schema.both('CREATE TABLE rule_log (what text, id int, name text)')
        self.schema.both("""CREATE RULE log_delete AS ON DELETE TO t_rule
                            DO ALSO INSERT INTO rule_log VALUES ('delete', OLD.id, OLD.name)""")
        if self.rng.random() < 0.5:
            # Without an UPDATE rule ON CONFLICT is still allowed on the table.
            relation.unique = ()
            self.schema.both("""CREATE RULE log_update AS ON UPDATE TO t_rule
                                DO ALSO INSERT INTO rule_log VALUES ('update', NEW.id, OLD.name)""")

    def archive(self):
        """A table that takes whole rows of the first managed one."""
        source = self.schema.relation('t_a')
        columns = list(source.columns)
        self.schema.both('CREATE TABLE archive (LIKE t_a)')
        self.schema.relations.append(
            Relation('archive', columns, marker=source.marker, key=None, writes='ud', weight=1))
        self.schema.contents.append('archive')

    def partitioned(self, name, marker_type, strategy, rows=0):
        """A partitioned table whose partitions have other column orders."""
        rng = self.rng
        extra = {'range': (Column('bucket', 'int', not_null=True),), 'list': (Column('zone', 'text', not_null=True),)}
        columns = self.columns(marker_type, extra.get(strategy, ()))
        marker = next(column for column in columns if column.marker)
        key = {'range': 'bucket', 'list': 'zone', 'hash': 'id', 'marker': marker.name}[strategy]
        method = {'marker': 'range' if marker_type == 'timestamptz' else 'list'}.get(strategy, strategy)
        relation = Relation(name, columns, marker=marker, managed=True, rows=max(rows, 40))
        if strategy in ('range', 'list'):
            relation.partition_key = key
        self.schema.relations.append(relation)
        self.remember(relation)
        self.next_id = 1
        self.create(name, columns, f' PARTITION BY {method} ({key})')
        early = rng.random() < 0.5
        # A unique key of a partitioned table has to contain the partition key.
        keys = [(f'{name}_email_key', f'email, {key}')] if strategy in ('range', 'list') else []
        relation.unique = tuple(key_columns for _, key_columns in keys)
        if early:
            self.manage(relation, keys)
        for partition in self.bounds(strategy, marker_type):
            self.partition(relation, *partition)
        if not early:
            self.manage(relation, keys)
        if strategy != 'marker':
            self.schema.both(f'ALTER TABLE {name} ADD PRIMARY KEY ({"id" if key == "id" else "id, " + key})')
        self.indexes(relation)
        live, dead = self.counts(rows)
        fixed = {'bucket': [str(number) for number in range(BUCKETS)]} if strategy == 'range' else None
        self.fill(name, columns, live, dead, marker=marker, fixed=fixed)
        if rng.random() < 0.7:
            self.delete_some(relation)

    @staticmethod
    def bounds(strategy, marker_type):
        """(suffix, bound, values of the key, bounds of sub-partitions) of each partition."""
        buckets = [str(number) for number in range(BUCKETS)]
        if strategy == 'range':
            return (('1', 'FOR VALUES FROM (0) TO (10)', buckets[:10], ()),
                    ('2', 'FOR VALUES FROM (10) TO (20)', buckets[10:20], ()),
                    ('3', 'FOR VALUES FROM (20) TO (30)', buckets[20:30],
                     (('3a', 'FOR VALUES FROM (20) TO (25)', buckets[20:25], ()),
                      ('3b', 'DEFAULT', buckets[25:30], ()))),
                    ('d', 'DEFAULT', buckets[30:], ()))
        if strategy == 'list':
            zones = [f"'{zone}'" for zone in ZONES]
            return (('1', f'FOR VALUES IN ({zones[0]})', zones[:1], ()),
                    ('2', f'FOR VALUES IN ({zones[1]}, {zones[2]})', zones[1:3], ()),
                    ('d', 'DEFAULT', zones[3:], ()))
        if strategy == 'hash':
            return tuple((str(number), f'FOR VALUES WITH (MODULUS 3, REMAINDER {number})', None, ())
                         for number in range(3))
        if marker_type == 'boolean':
            return (('live', 'FOR VALUES IN (false)', None, ()), ('dead', 'DEFAULT', None, ()))
        return (('dead', 'FOR VALUES FROM (MINVALUE) TO (MAXVALUE)', None, ()), ('live', 'DEFAULT', None, ()))

    def partition(self, parent, suffix, bound, key_values, children):
        """One partition, made in place or attached with its columns in another order."""
        rng = self.rng
        name = f'{parent.name.split("_")[0]}_{parent.name.split("_")[1]}_{suffix}'
        columns = list(parent.columns)
        tail = f' PARTITION BY RANGE ({parent.partition_key})' if children else ''
        if rng.random() < 0.6:
            rng.shuffle(columns)
            self.create(name, columns, tail)
            self.schema.both(f'ALTER TABLE {parent.name} ATTACH PARTITION {name} {bound}')
        else:
            self.schema.both(f'CREATE TABLE {name} PARTITION OF {parent.name} {bound}{tail}')
        fixed = {parent.partition_key: key_values} if key_values else {}
        relation = Relation(
            name, columns, kind='partition', marker=parent.marker, managed=True, fixed=fixed, weight=1,
            partition_key=parent.partition_key if children else None, bound=(parent.name, bound),
            writes='iud' if key_values else 'ud')
        if parent.name == 'p_mark' and not self.plain:
            # A deleted row belongs to another partition, so that a DELETE has to name the whole table.
            relation.writes, relation.merge = 'u', False
        self.schema.relations.append(relation)
        for child in children:
            self.partition(relation, *child)

    def inherited(self, name, marker_type):
        """Legacy inheritance; triggers are not inherited there, so any part may be managed."""
        rng = self.rng
        mode = rng.choice(('all', 'parent', 'child'))
        self.next_id = 1
        columns = self.columns(marker_type)
        marker = next(column for column in columns if column.marker)
        parent = Relation(name, columns, marker=marker, managed=mode != 'child', inherited=True)
        if mode == 'child' and not self.plain:
            # Rows of the parent would really go and those of the child not: such a DELETE is refused.
            parent.writes, parent.merge = 'iu', False
        own = list(columns)
        rng.shuffle(own)
        first = Relation(f'{name}_a', columns + [Column('more', 'text', 'name')], marker=marker, managed=mode == 'all')
        second = Relation(f'{name}_b', own, marker=marker, managed=mode != 'parent')
        self.create(name, columns)
        self.schema.both(f'CREATE TABLE {first.name} (more text) INHERITS ({name})')
        self.create(second.name, own)
        self.schema.both(f'ALTER TABLE {second.name} INHERIT {name}')
        for relation in (parent, first, second):
            self.schema.both(f'ALTER TABLE {relation.name} ADD PRIMARY KEY (id)')
            self.indexes(relation)
            if relation.managed:
                self.manage(relation, enable=False)
            live, dead = self.counts(0)
            # With only the parent managed, its policy decides for rows of its children, too.
            dead = dead if relation.managed or mode == 'parent' else 0
            self.fill(relation.name, relation.columns, live, dead, marker=marker)
            relation.weight = 2
            if mode == 'parent' and relation is not parent:
                # Named directly, an unmanaged child shows all its rows, as it has no policy.
                relation.weight, relation.writes = 0, ''
            self.schema.relations.append(relation)
        self.schema.contents.append(name)
        self.schema.kept.append(second.name if mode == 'child' else name)

    # Roles

    def privileges(self):
        """What the role oracle_app may do; what it may not must raise the same on both sides."""
        rng, schema = self.rng, self.schema
        schema.both('GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO oracle_app',
                    'GRANT USAGE ON SCHEMA {schema} TO oracle_app')
        hidden = schema.relation('t_c')
        shown = ', '.join(column.name for column in hidden.plain_columns())
        schema.both('REVOKE ALL ON t_c FROM oracle_app',
                    f'GRANT SELECT ({shown}), UPDATE (grp, name, qty), INSERT, DELETE ON t_c TO oracle_app',
                    f'REVOKE {rng.choice(("UPDATE", "DELETE"))} ON t_d, p_list FROM oracle_app',
                    'ALTER TABLE t_rls ENABLE ROW LEVEL SECURITY',
                    'CREATE POLICY see ON t_rls FOR SELECT USING (grp IS DISTINCT FROM 3)',
                    'CREATE POLICY add ON t_rls FOR INSERT WITH CHECK (qty < 9)',
                    'CREATE POLICY edit ON t_rls FOR UPDATE USING (qty > 2) WITH CHECK (qty > 1)',
                    'CREATE POLICY kill ON t_rls FOR DELETE USING (qty % 2 = 0)')
