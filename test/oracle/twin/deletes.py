"""DELETE in every form."""

from .expressions import Source
from .model import DEAD_TEST, DEAD_VALUE, IDS, LIVE_TEST, Step
from .values import EMAILS, email
from .writes import Writes

# Tables that do not share rows with each other.
ROOTS = ('t_a', 't_b', 't_c', 't_d', 't_gen', 't_bump', 't_nokey', 't_rls', 'p_range', 'p_list', 'p_mark', 'inh',
         'u_one')


class Deletes(Writes):
    """The part of the transaction generator that writes DELETE."""

    def delete(self):
        """DELETE with conditions and sub-queries."""
        text, target = self.target('d')
        self.seen[f'delete {target.relation.kind}'] += 1
        where = f' WHERE {self.where(target)}' if self.chance(0.98) else ''
        sql = f'DELETE FROM {text}{where}{self.old_and_new(target)}'
        steps = [Step(sql, 'delete')]
        if self.chance(0.15):
            steps.append(Step(sql, 'delete again'))
        return steps

    def old_and_new(self, target):
        """RETURNING old and new (18 on): a deleted row has no new version."""
        if self.version < 180000 or not self.chance(0.3):
            return self.returning(target)
        self.seen['returning old/new'] += 1
        name = self.rng.choice(target.columns).name
        return ' RETURNING ' + self.rng.choice((
            'old.*, new.*', f'old.{name}, new.{name}', 'new', 'old', f'coalesce(new.{name}::text, old.{name}::text)',
            f'new.{name} IS NULL, {target.alias}.{name}'))

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
        form = rng.randrange(8)
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
        if form == 7:
            # Rows move to another table; the total order makes their new ids comparable.
            names = [name for name in ('t_a', 't_b', 't_c', 't_d', 'u_one') if name != first]
            other_text, other = self.root(rng.choice(names))
            return [Step(f'{common} INSERT INTO {other_text} (id, grp, name, qty)'
                         f' SELECT {self.fresh} + row_number() OVER (ORDER BY grp, name, qty), grp, name, qty FROM d'
                         f' ORDER BY 1 LIMIT 50{self.returning(other)}', 'delete and insert')]
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

    def batch(self):
        """The batch of a clean-up job: some rows by their physical place."""
        text, target = self.target('d', lambda item: item.kind == 'table' and item.key == 'id'
                                   and not item.name.startswith('p_') and not item.inherited)
        inner = (f'SELECT ctid FROM {target.relation.name} WHERE {self.small_condition()} ORDER BY id'
                 f' LIMIT {self.rng.randint(1, 6)}')
        return [Step(f'DELETE FROM {text} WHERE {target.alias}.ctid = ANY (ARRAY({inner})){self.returning(target)}',
                     'batch by ctid')]

    def small_condition(self):
        """A condition on columns that every table has."""
        rng = self.rng
        return rng.choice((f'grp = {rng.randrange(7)}', f'qty > {rng.randint(3, 8)}', 'name IS NOT NULL'))

    def replace(self):
        """A unique value is deleted and used again, once by INSERT and once by an upsert."""
        text, target = self.target('d', lambda item: 'i' in item.writes and item.unique and item.has('email'))
        address = email(self.rng.randint(1, EMAILS))
        steps = []
        for number in range(2):
            steps.append(Step(f'DELETE FROM {text} WHERE {target.alias}.email = {address}{self.returning(target)}',
                              'delete by unique key'))
            names, rows = self.values(target.relation, 1, address)
            conflict = f' ON CONFLICT {self.conflict_target(target)} DO UPDATE SET qty = excluded.qty' if number else ''
            steps.append(Step(f'INSERT INTO {text} ({names}) VALUES {rows}{conflict}{self.returning(target)}',
                              'insert again'))
            self.fresh += 1
        return steps

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
                     twin=f'DELETE FROM {table} AS {alias} WHERE {where}{returning}', compare='count')]

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
