"""Random transactions: deletes in every form among inserts, updates, upserts and merges.

What keeps both sides comparable, beyond the rules for expressions:
- new rows take ids that were never used, as a deleted row keeps its primary key;
- a row is never joined with several partners where the choice of the partner would show;
- updates of a unique column give one constant, so that a clash does not depend on the order;
- data-modifying CTEs of one statement touch different tables.
"""

from .expressions import Scope, Source
from .merge import Merges
from .model import DEAD_TEST, DEAD_VALUE, IDS, Item, LIVE_TEST, Step
from .queries import order_all
from .selects import Selects, settings
from .values import email, literal, row, EMAILS

# Tables that do not share rows with each other.
ROOTS = ('t_a', 't_b', 't_c', 't_d', 't_gen', 't_bump', 't_nokey', 't_rls', 'p_range', 'p_list', 'p_mark', 'inh',
         'u_one')
IDS_PER_ITEM = 2000
IDS_PER_STEP = 60


class Transactions(Merges, Selects):
    """Generates transactions of several statements."""

    def __init__(self, rng, schema, seen, version, number):
        super().__init__(rng, schema, seen, version)
        self.fresh = 2000 + number * IDS_PER_ITEM
        self.really_deletes = False
        self.privileged = False

    def item(self):
        """One transaction."""
        rng = self.rng
        forms = (
            (self.delete, 24), (self.delete_using, 10), (self.delete_by_key, 6), (self.delete_view, 7),
            (self.delete_in_cte, 12), (self.current_of, 6), (self.prepared_delete, 5), (self.call, 7),
            (self.copy_delete, 2), (self.own_soft_delete, 3), (self.hard_delete, 2), (self.purge, 1),
            (self.update, 9), (self.update_from, 6), (self.update_view, 3), (self.move, 3),
            (self.insert, 8), (self.insert_select, 5), (self.upsert, 8), (self.upsert_key, 3), (self.insert_view, 2),
            (self.merge, 10), (self.refresh, 1), (self.read, 8), (self.savepoint, 4), (self.queue, 3), (self.held, 1),
        )
        steps = []
        for _ in range(rng.randint(2, 6)):
            form = rng.choices([form for form, _ in forms], [weight for _, weight in forms])[0]
            steps += form()
            self.fresh += IDS_PER_STEP
        return Item(steps, settings(rng, self.version, self.seen, parallel=0.03),
                    role=not self.privileged and self.chance(0.2), commit=self.chance(0.6), guarded=self.chance(0.7),
                    really_deletes=self.really_deletes)

    # Parts

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

    def old_and_new(self, target):
        """RETURNING old and new (18 on): a deleted row has no new version."""
        if self.version < 180000 or not self.chance(0.3):
            return self.returning(target)
        self.seen['returning old/new'] += 1
        name = self.rng.choice(target.columns).name
        return ' RETURNING ' + self.rng.choice((
            'old.*, new.*', f'old.{name}, new.{name}', 'new', 'old', f'coalesce(new.{name}::text, old.{name}::text)',
            f'new.{name} IS NULL, {target.alias}.{name}'))

    # DELETE

    def delete(self):
        """DELETE with conditions and sub-queries."""
        text, target = self.target('d')
        self.seen[f'delete {target.relation.kind}'] += 1
        sql = f'DELETE FROM {text} WHERE {self.where(target)}{self.old_and_new(target)}'
        steps = [Step(sql, 'delete')]
        if self.chance(0.15):
            steps.append(Step(sql, 'delete again'))
        return steps

    def delete_by_key(self):
        """What an ORM sends: one row by its key, sometimes after locking it."""
        text, target = self.target('d', lambda item: item.key == 'id')
        steps, key = [], self.rng.randint(1, IDS)
        if self.chance(0.3):
            steps.append(Step(f'SELECT * FROM {text} WHERE {target.alias}.id = {key} FOR UPDATE', 'select for update'))
        where = f'WHERE {target.alias}.id = {key}'
        steps.append(Step(f'DELETE FROM {text} {where}{self.returning(target)}', 'delete by key'))
        if self.chance(0.3):
            steps.append(Step(f'UPDATE {text} SET qty = 5 {where}', 'update after delete'))
        return steps

    def delete_using(self):
        """DELETE ... USING; a source that may match several times stays out of RETURNING."""
        text, target = self.target('d')
        other_text, other, _ = self.table_source(self.alias())
        unique = other.relation.key == 'id' and target.relation.has('ref') and self.chance(0.6)
        if self.chance(0.2):
            other_text = f'{target.relation.name} AS {other.alias}'
            other = Source(other.alias, target.relation.columns, target.relation)
            self.seen['delete using itself'] += 1
        if unique and other.relation.key == 'id':
            join = f'{other.alias}.id = {target.alias}.ref'
        else:
            unique = False
            join = self.expressions.equality([target], [other]) or 'true'
        more = ''
        if self.chance(0.2):
            third_text, third, _ = self.table_source(self.alias())
            link = self.expressions.equality([other], [third])
            if link:
                more, unique = f' LEFT JOIN {third_text} ON {link}', False
        returning = self.returning(target, [other] if unique else [])
        if not unique and returning in (' RETURNING *',):
            returning = f' RETURNING {target.alias}.*'
        where = f'{target.alias}.qty % 2 = 0' if self.chance(0.6) else self.where(target)
        return [Step(f'DELETE FROM {text} USING {other_text}{more} WHERE {join} AND {where}{returning}',
                     'delete using')]

    def delete_view(self):
        """DELETE through views: auto-updatable, with rules, with INSTEAD OF triggers."""
        relation = self.rng.choice([item for item in self.schema.writable('d') if item.kind == 'view'])
        alias = self.alias('t')
        target = Source(alias, relation.columns, relation)
        self.seen[f'delete {relation.name}'] += 1
        return [Step(f'DELETE FROM {relation.name} AS {alias} WHERE {self.where(target)}{self.returning(target)}',
                     'delete view')]

    def delete_in_cte(self):
        """DELETE in WITH: archived, counted, joined, or the reason for another write."""
        rng = self.rng
        form = rng.randrange(7)
        first, second = rng.sample([name for name in ROOTS if 'd' in self.schema.relation(name).writes], 2)
        first = 't_a' if form == 0 else first
        text, target = self.root(first)
        where = self.where(target)
        if form == 0:
            sql = (f'WITH d AS (DELETE FROM {text} WHERE {where} RETURNING {target.alias}.*)'
                   f' INSERT INTO archive SELECT * FROM d{rng.choice(("", " RETURNING *"))}')
            return [Step(sql, 'archive')]
        common = f'WITH d AS (DELETE FROM {text} WHERE {where} RETURNING {target.alias}.*)'
        other_text, other = self.root(second if second != first else 'u_two')
        if form == 1:
            return [Step(f'{common} SELECT * FROM d', 'delete in cte')]
        if form == 2:
            # The outer query still sees the rows as they were before the statement.
            return [Step(f'{common} SELECT count(*), count(d.id), sum(x.qty)'
                         f' FROM {first} AS x LEFT JOIN d ON d.id = x.id', 'delete in cte')]
        if form == 3:
            return [Step(f'{common} DELETE FROM {other_text} WHERE {other.alias}.ref IN (SELECT id FROM d)'
                         f'{self.returning(other)}', 'two deletes')]
        if form == 4:
            return [Step(f'{common}, e AS (UPDATE {other_text} SET qty = 3 WHERE {other.alias}.grp IN'
                         f' (SELECT grp FROM d) RETURNING {other.alias}.id), f AS (INSERT INTO rule_log'
                         f" SELECT 'cte', d.id, d.name FROM d RETURNING id) SELECT 'd', id FROM d"
                         f" UNION ALL SELECT 'e', id FROM e UNION ALL SELECT 'f', id FROM f", 'three writes')]
        if form == 5:
            return [Step(f'{common} UPDATE {other_text} SET qty = 4 FROM (SELECT DISTINCT grp FROM d) AS g'
                         f' WHERE {other.alias}.grp = g.grp{self.returning(other)}', 'delete and update')]
        return [Step(f'{common}, n AS (SELECT grp, count(*) AS n FROM d GROUP BY grp) SELECT x.grp, x.n, count(y.id)'
                     f' FROM n AS x LEFT JOIN {first} AS y ON y.grp = x.grp GROUP BY x.grp, x.n', 'delete in cte')]

    def queue(self):
        """The job queue: take the first rows, locked, and delete them."""
        text, target = self.target('d', lambda item: item.key == 'id' and item.name != 'archive')
        alias, limit = target.alias, self.rng.randint(1, 4)
        skip = self.rng.choice(('', ' SKIP LOCKED'))
        inner = f'SELECT id FROM {target.relation.name} WHERE qty > 2 ORDER BY id LIMIT {limit} FOR UPDATE{skip}'
        if self.chance(0.5):
            # Not IN: plain PostgreSQL may run that sub-query again, and then locks and takes further rows.
            return [Step(f'DELETE FROM {text} WHERE {alias}.id = ANY (ARRAY({inner}))'
                         f'{self.returning(target)}', 'queue')]
        return [Step(f'WITH q AS ({inner}) DELETE FROM {text} USING q WHERE q.id = {alias}.id'
                     f' RETURNING {alias}.*', 'queue')]

    def current_of(self):
        """A cursor, and writes at its position, also after the row is gone."""
        rng, name = self.rng, self.alias('c')
        _, target = self.target('d', lambda item: item.key == 'id' and item.kind != 'view')
        table = target.relation.name
        if self.chance(0.3):
            query = f'SELECT * FROM {table} WHERE id = {rng.randint(1, IDS)}'
        else:
            query = f'SELECT * FROM {table} WHERE grp >= {rng.randrange(5)} ORDER BY id FOR UPDATE'
        steps = [Step(f'DECLARE {name} CURSOR FOR {query}', 'declare')]
        for _ in range(rng.randint(1, 4)):
            if self.chance(0.8):
                steps.append(Step(f"FETCH {rng.choice(('NEXT', '1', '2'))} FROM {name}", 'fetch', ordered=True))
            returning = rng.choice(('', ' RETURNING id, qty', ' RETURNING *'))
            if self.chance(0.25):
                steps.append(Step(f'UPDATE {table} SET qty = 7 WHERE CURRENT OF {name}{returning}',
                                  'update current of'))
            if self.chance(0.8):
                steps.append(Step(f'DELETE FROM {table} WHERE CURRENT OF {name}{returning}', 'delete current of'))
        return steps + [Step(f'CLOSE {name}', 'close')]

    def held(self):
        """A cursor whose rows are deleted under it, and which goes on with what it saw."""
        name = self.alias('h')
        text, target = self.target('d', lambda item: item.key == 'id')
        return [Step(f'DECLARE {name} CURSOR FOR SELECT * FROM {text} ORDER BY 1, {target.alias}.id', 'declare'),
                Step(f'FETCH 2 FROM {name}', 'fetch', ordered=True),
                Step(f'DELETE FROM {text} WHERE {self.where(target)}', 'delete'),
                Step(f'FETCH ALL FROM {name}', 'fetch', ordered=True), Step(f'CLOSE {name}', 'close')]

    def prepared_delete(self):
        """DELETE (or UPDATE) as a prepared statement, executed until the plan is generic."""
        rng, name = self.rng, self.alias('q')
        text, target = self.target('d', lambda item: item.has('grp', 'qty'))
        returning = self.returning(target)
        verb = f'UPDATE {text} SET qty = 1 + qty % 8' if self.chance(0.2) else f'DELETE FROM {text}'
        sql = f'{verb} WHERE {target.alias}.grp = $1 AND {target.alias}.qty >= $2{returning}'
        steps = [Step(f'PREPARE {name} (int, int) AS {sql}', 'prepare')]
        for _ in range(rng.choice((2, 3, 7))):
            steps.append(Step(f'EXECUTE {name} ({rng.randrange(7)}, {rng.randint(3, 9)})', 'execute delete'))
            if self.chance(0.1):
                steps += self.toggle()
        return steps + [Step(f'DEALLOCATE {name}', 'deallocate')]

    def call(self):
        """A function that deletes, once or for each row of something."""
        function = self.rng.choice(self.schema.actions)
        argument = self.rng.randrange(7)
        self.seen[f'call {function.name}'] += 1
        if self.chance(0.2):
            return [Step(f'SELECT g, {function.name}(g) FROM generate_series(0, 3) AS g', 'call')]
        return [Step(f'SELECT * FROM {function.name}({argument})', 'call')]

    def copy_delete(self):
        """COPY (DELETE ... RETURNING ...) TO STDOUT."""
        text, target = self.target('d')
        names = ', '.join(f'{target.alias}.{column.name}' for column in target.columns)
        return [Step(f'COPY (DELETE FROM {text} WHERE {self.where(target)} RETURNING {names}) TO STDOUT',
                     'copy delete', copy=True)]

    def managed_target(self):
        """A managed table for statements that differ between the sides."""
        return self.target('d', lambda item: item.managed and item.kind in ('table', 'partition')
                           and item.name not in ('t_rule', 'archive') and not item.inherited
                           and not item.name.startswith('p_mark_'))

    def own_soft_delete(self):
        """The application marks rows itself; on the twin that is a DELETE."""
        self.privileged = True
        _, target = self.managed_target()
        marker, table, alias = target.relation.marker, target.relation.name, target.alias
        where = self.where(target)
        live = LIVE_TEST[marker.type].format(f'{alias}.{marker.name}')
        returning = self.rng.choice(('', f' RETURNING {alias}.id'))
        return [Step(f'UPDATE {table} AS {alias} SET {marker.name} = {DEAD_VALUE[marker.type]}'
                     f' WHERE {where} AND {live}{returning}', 'own soft delete',
                     twin=f'DELETE FROM {table} AS {alias} WHERE {where}{returning}', tag=False)]

    def hard_delete(self):
        """A real DELETE on both sides."""
        self.really_deletes = self.privileged = True
        text, target = self.target('d')
        return [Step("SET LOCAL orm_ext.delete_mode = 'hard'", 'delete mode', noise=True),
                Step(f'DELETE FROM {text} WHERE {self.where(target)}{self.returning(target)}', 'hard delete'),
                Step("SET LOCAL orm_ext.delete_mode = 'soft'", 'delete mode', noise=True)]

    def purge(self):
        """Empties the bin of one table: nothing that the twin could notice."""
        self.really_deletes = self.privileged = True
        _, target = self.managed_target()
        dead = DEAD_TEST[target.relation.marker.type].format(target.relation.marker.name)
        return [Step(f'DELETE FROM {target.relation.name} WHERE {dead} AND grp = 2', 'purge', noise=True)]

    # UPDATE

    def assignments(self, target, extra=()):
        """A SET list over the target's columns, and over those of unique partners."""
        rng, scope = self.rng, Scope([target, *extra])
        names = [column for column in target.columns if not column.marker and not column.generated
                 and column.name not in ('id', 'poison', 'email', 'bucket', 'zone', 'version', 'more')]
        result = []
        for column in rng.sample(names, rng.randint(1, min(2, len(names)))):
            if column.name == 'qty':
                result.append(f"qty = 1 + abs(coalesce({self.expressions.value('int', scope, 1)}, 1)) % 9")
            elif column.type in ('int', 'text', 'bool'):
                result.append(f'{column.name} = {self.expressions.value(column.type, scope, 1)}')
            else:
                result.append(f'{column.name} = {literal(rng, column)}')
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

    # INSERT

    def values(self, relation, number):
        """Column names and VALUES rows with fresh ids."""
        rng, rows = self.rng, []
        for offset in range(number):
            values = row(rng, relation.columns, self.fresh + offset)
            for column, choices in relation.fixed.items():
                if column:
                    values[column] = rng.choice(choices)
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
                                  ' SET (grp, ref) = (excluded.grp, excluded.ref)'))
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

    # The rest

    def refresh(self):
        """REFRESH MATERIALIZED VIEW, and what it holds."""
        self.privileged = True
        return [Step('REFRESH MATERIALIZED VIEW mv', 'refresh'), Step('SELECT * FROM mv', 'select')]

    def read(self):
        """A SELECT in the middle of the transaction."""
        block = self.block(1)
        ordered = self.chance(0.5)
        return [Step(block.text + (order_all(block.columns) if ordered else ''), 'select', ordered=ordered)]

    def savepoint(self):
        """A savepoint around some writes, rolled back or released."""
        steps = self.delete() + self.rng.choice((self.insert, self.update, self.delete_by_key, self.merge))()
        end = 'ROLLBACK TO' if self.chance(0.6) else 'RELEASE'
        return [Step('SAVEPOINT a', 'savepoint')] + steps + [Step(f'{end} a', end.lower())] + self.read()
