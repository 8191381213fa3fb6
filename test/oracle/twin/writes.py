"""UPDATE and INSERT, upserts among them, and what all writes have in common."""

from .expressions import Scope, Source
from .model import IDS, LIVE_TEST, Step
from .selects import Selects
from .values import email, EMAILS, literal, row

IDS_PER_ITEM = 2000
IDS_PER_STEP = 60


class Writes(Selects):
    """The part of the transaction generator that writes UPDATE and INSERT."""

    def __init__(self, rng, schema, seen, options, number):
        super().__init__(rng, schema, seen, options)
        self.fresh = 2000 + number * IDS_PER_ITEM
        self.really_deletes = False     # rows may physically leave the soft side
        self.privileged = False         # the role with few privileges could not do this

    # What all writes have in common

    def target(self, letter, predicate=None):
        """A relation to write, as (text, Source)."""
        chosen = [item for item in self.schema.writable(letter)
                  if item.kind != 'view' and (predicate is None or predicate(item))]
        relation = self.rng.choices(chosen, [max(item.weight, 1) for item in chosen])[0]
        text = relation.name
        if relation.inherited and letter != 'i' and self.chance(0.3):
            self.seen['only'] += 1
            text = f'ONLY {text}'
        alias = self.alias('t')
        return f'{text} AS {alias}', Source(alias, relation.columns, relation)

    def root(self, name):
        """A named table as (text, Source)."""
        alias = self.alias('t')
        relation = self.schema.relation(name)
        return f'{name} AS {alias}', Source(alias, relation.columns, relation)

    def where(self, target, extra=()):
        """A condition that holds for a few rows of the target."""
        rng, alias = self.rng, target.alias
        scope = Scope([target, *extra])
        form = rng.randrange(8)
        has = {column.name for column in target.columns}
        if form == 0 and 'id' in has:
            return f"{alias}.id IN ({', '.join(str(rng.randint(1, 2 * IDS)) for _ in range(12))})"
        if form in (1, 2) and 'grp' in has:
            return f'{alias}.grp = {rng.randrange(7)}'
        parts = [self.expressions.condition(scope, 1)]
        if 'id' in has:
            parts.append(f'{alias}.id % {rng.choice((2, 3, 5, 7))} = {rng.randrange(2)}')
        if form == 3 and target.relation and target.relation.managed and target.relation.kind != 'view':
            # The application's own filter; the query is in charge and says the same.
            parts.append(self.live(target))
        return ' AND '.join(parts)

    def returning(self, target, extra=()):
        """RETURNING in one of its forms, or nothing."""
        rng, alias = self.rng, target.alias
        if self.chance(0.35):
            return ''
        self.seen['returning'] += 1
        names = [f'{alias}.{column.name}' for column in target.columns]
        listed = ', '.join(rng.sample(names, rng.randint(1, min(4, len(names)))))
        forms = [f'{alias}.*', listed, listed, alias, f'to_jsonb({alias})']
        if not extra:
            forms += ['*', '*']
        # Before 18 a row that moved to the partition of deleted ones shows that one.
        moves = target.relation.name == 'p_mark' and self.version < 180000
        if target.relation.kind in ('table', 'partition') and not moves:
            forms += [f'{alias}.tableoid::regclass::text, {listed}']
        if self.chance(0.15):
            forms = [f"{listed}, {self.expressions.value('int', Scope([target, *extra]), 1)} AS v"]
        for source in extra:
            if self.chance(0.5):
                forms = [f'{form}, {source.alias}.*' for form in forms if form != '*']
        return f' RETURNING {rng.choice(forms)}'

    # UPDATE and INSERT

    def assignments(self, target, extra=(), merge=False):
        """A SET list over the target's columns, and over those of unique partners."""
        rng, scope = self.rng, Scope([target, *extra])
        names = [column for column in target.columns if not column.marker and not column.generated
                 and column.name not in ('id', 'poison', 'email', 'bucket', 'zone', 'version', 'more')]
        # Plain PostgreSQL fails on sub-queries in a MERGE that also moves rows to a pruned partition.
        depth = 0 if merge and target.relation.name == 'p_mark' else 1
        result = []
        for column in rng.sample(names, rng.randint(1, min(2, len(names)))):
            if column.name == 'qty':
                result.append(f"qty = 1 + abs(coalesce({self.expressions.value('int', scope, depth)}, 1)) % 9")
            elif column.type in ('int', 'text', 'bool'):
                result.append(f'{column.name} = {self.expressions.value(column.type, scope, depth)}')
            else:
                result.append(f'{column.name} = {literal(rng, column)}')
        if depth and target.relation.has('grp', 'ref') and self.chance(0.08):
            text, source, _ = self.table_source(self.alias(), self.relation(
                lambda item: item.key == 'id' and item.has('id', 'grp', 'ref') and item.kind != 'view'))
            self.seen['row assigned from a sub-query'] += 1
            result = [f'(grp, ref) = (SELECT {source.alias}.ref, {source.alias}.grp FROM {text}'
                      f' WHERE {source.alias}.id = {target.alias}.ref)']
        if target.relation.has('email') and self.chance(0.08):
            result.append(f'email = {email(rng.randint(1, EMAILS))}')
        return ', '.join(result)

    def update(self):
        """UPDATE with conditions and sub-queries."""
        text, target = self.target('u')
        return [Step(f'UPDATE {text} SET {self.assignments(target)} WHERE {self.where(target)}{self.returning(target)}',
                     'update')]

    def update_from(self):
        """UPDATE ... FROM a source with at most one partner for each row."""
        text, target = self.target('u', lambda item: item.has('ref'))
        other_text, other, _ = self.table_source(self.alias(), self.relation(
            lambda item: item.key == 'id' and item.kind != 'view' and not item.inherited))
        return [Step(f'UPDATE {text} SET {self.assignments(target, [other])} FROM {other_text}'
                     f' WHERE {other.alias}.id = {target.alias}.ref AND {self.where(target, [other])}'
                     f'{self.returning(target, [other])}', 'update from')]

    def update_view(self):
        """UPDATE through a view."""
        relation = self.rng.choice([item for item in self.schema.writable('u') if item.kind == 'view'])
        alias = self.alias('t')
        target = Source(alias, relation.columns, relation)
        return [Step(f'UPDATE {relation.name} AS {alias} SET {self.assignments(target)} WHERE {self.where(target)}'
                     f'{self.returning(target)}', 'update view')]

    def move(self):
        """UPDATE of a partition key: rows move, which the server does with a DELETE and an INSERT."""
        text, target = self.target('u', lambda item: item.partition_key is not None)
        key = target.relation.column(target.relation.partition_key)
        return [Step(f'UPDATE {text} SET {key.name} = {literal(self.rng, key)} WHERE {self.where(target)}'
                     f'{self.returning(target)}', 'move')]

    def values(self, relation, number, address=None):
        """Column names and VALUES rows with fresh ids; address: the unique value of all of them."""
        rng, rows = self.rng, []
        for offset in range(number):
            values = row(rng, relation.columns, self.fresh + offset)
            for column, choices in relation.fixed.items():
                if column:
                    values[column] = rng.choice(choices)
            if address:
                values['email'] = address
            rows.append(values)
        names = list(rows[0])
        if relation.marker and relation.managed and self.chance(0.1):
            names.append(relation.marker.name)
            for values in rows:
                values[relation.marker.name] = 'DEFAULT'
        return ', '.join(names), ', '.join('(' + ', '.join(values[name] for name in names) + ')' for values in rows)

    def insert(self):
        """INSERT ... VALUES; addresses may clash with live rows, never with deleted ones."""
        text, target = self.target('i')
        names, rows = self.values(target.relation, self.rng.randint(1, 3))
        return [Step(f'INSERT INTO {text} ({names}) VALUES {rows}{self.returning(target)}', 'insert')]

    def copied(self, target, source_text, source):
        """INSERT ... SELECT with fresh ids in a total order."""
        names = [column for column in target.relation.plain_columns() if not column.generated
                 and column.name not in ('id', 'email', 'poison', 'version')]
        outputs = [f'{self.fresh} + row_number() OVER (ORDER BY {source.alias})']
        scope = Scope([source])
        for column in names:
            if column.name in target.relation.fixed:
                outputs.append(self.rng.choice(target.relation.fixed[column.name]))
            elif column.not_null:
                outputs.append(literal(self.rng, column))
            elif column.type in ('int', 'text'):
                outputs.append(self.expressions.value(column.type, scope, 1))
            else:
                outputs.append('NULL')
        where = self.expressions.condition(scope, 1)
        listed = ', '.join(['id'] + [column.name for column in names])
        return (f"({listed}) SELECT {', '.join(outputs)} FROM {source_text} WHERE {where}"
                f' ORDER BY 1 LIMIT {self.rng.randint(1, 20)}')

    def insert_select(self):
        """INSERT ... SELECT: only live rows are copied."""
        text, target = self.target('i')
        source_text, source, _ = self.table_source(self.alias())
        return [Step(f'INSERT INTO {text} {self.copied(target, source_text, source)}{self.returning(target)}',
                     'insert select')]

    def conflict_target(self, target):
        """ON CONFLICT (...), now and then with the predicate of the live rows."""
        relation = target.relation
        expression = self.rng.choice(relation.unique)
        predicate = ''
        if relation.marker and self.chance(0.3):
            predicate = f' WHERE {LIVE_TEST[relation.marker.type].format(relation.marker.name)}'
            self.seen['on conflict with predicate'] += 1
        return f'({expression}){predicate}'

    def upsert(self):
        """INSERT ... ON CONFLICT against a key that is unique among live rows."""
        rng = self.rng
        if self.chance(0.2) and self.schema.relation('v_plain').unique:
            self.seen['upsert through a view'] += 1
            text, target = self.root('v_plain')
        else:
            text, target = self.target('i', lambda item: item.unique)
        names, rows = self.values(target.relation, rng.randint(1, 4))
        action = rng.choice(('DO NOTHING', 'DO NOTHING', 'DO UPDATE', 'DO UPDATE', 'DO UPDATE'))
        conflict = self.conflict_target(target)
        if action == 'DO NOTHING':
            self.seen['on conflict do nothing'] += 1
            conflict = rng.choice((conflict, conflict, ''))
        else:
            self.seen['on conflict do update'] += 1
            action += rng.choice((' SET qty = excluded.qty', f' SET name = {target.alias}.name || excluded.qty',
                                  ' SET (grp, ref) = (excluded.grp, excluded.ref)',
                                  f" SET grp = {self.expressions.value('int', Scope([target]), 1)}"))
            if self.chance(0.4):
                action += f' WHERE {self.expressions.condition(Scope([target]), 0)}'
        return [Step(f'INSERT INTO {text} ({names}) VALUES {rows} ON CONFLICT {conflict} {action}'
                     f'{self.returning(target)}', 'upsert')]

    def upsert_key(self):
        """An upsert of live rows through the primary key, which is a full one on both sides."""
        text, target = self.target('i', lambda item: item.key == 'id' and item.kind == 'table')
        relation = target.relation
        key = f', {relation.partition_key}' if relation.partition_key else ''
        if relation.name in ('p_mark', 'inh'):
            return self.upsert()
        return [Step(f'INSERT INTO {text} (id{key}, qty, grp) SELECT id{key}, 1 + qty % 8, ref FROM {relation.name}'
                     f' WHERE grp = {self.rng.randrange(7)} ON CONFLICT (id{key}) DO UPDATE SET qty = excluded.qty'
                     f'{self.returning(target)}', 'upsert by key')]

    def insert_view(self):
        """INSERT through a view, perhaps against its check option."""
        relation = self.rng.choice([item for item in self.schema.writable('i') if item.kind == 'view'])
        target = Source(self.alias('t'), relation.columns, relation)
        names, rows = self.values(relation, 2)
        return [Step(f'INSERT INTO {relation.name} AS {target.alias} ({names}) VALUES {rows}{self.returning(target)}',
                     'insert view')]
