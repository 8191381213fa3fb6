"""Random MERGE statements."""

from .expressions import Scope, Source
from .model import Column, IDS, Step
from .values import literal
from .writes import Writes


class Merges(Writes):
    """The part of the transaction generator that writes MERGE."""

    def merge(self):
        """MERGE with one to four actions."""
        rng = self.rng
        text, target = self.target('iud'[rng.randrange(3)], lambda item: item.merge and item.has('grp', 'qty'))
        source_text, source, unique = self.merge_source()
        key = 'id' if target.relation.has('id') and rng.random() < 0.7 else 'grp'
        # Where two errors are possible, which comes first depends on the order of rows.
        unique = unique or target.relation.name == 't_rls'
        name = 'k' if unique else rng.choice([column.name for column in source.columns if column.type == 'int'])
        condition = f'{target.alias}.{key} = {source.alias}.{name}'
        if rng.random() < 0.2:
            condition += f' AND {self.expressions.condition(Scope([target, source]), 0)}'
        actions = []
        for action in [self.merge_action(target, source) for _ in range(rng.randint(1, 4))]:
            # What follows an unconditional clause of its kind could not be reached, a syntax error.
            kinds = [other.split(' THEN ')[0] for other in actions if ' AND ' not in other.split(' THEN ')[0]]
            if not any(action.startswith(f'{kind} ') and not action.startswith(f'{kind} BY') for kind in kinds):
                actions.append(action)
        sql = f"MERGE INTO {text} USING {source_text} ON {condition} {' '.join(actions)}"
        if self.version >= 170000 and rng.random() < 0.4:
            self.seen['merge returning'] += 1
            returned = rng.choice(('merge_action()', f'merge_action(), {target.alias}.*',
                                   f'merge_action(), {target.alias}.qty, {source.alias}.k'))
            # A known limit of 17, see doc/soft-delete.md: what a BEFORE UPDATE trigger made of the row shows.
            if self.version < 180000 and target.relation.name == 't_bump':
                returned = f'merge_action(), {source.alias}.k'
            sql += f' RETURNING {returned}'
        return [Step(sql, 'merge')]

    def merge_source(self):
        """The source: its column k is unique, so that a target row has at most one partner."""
        rng, alias = self.rng, self.alias()
        form = rng.randrange(4)
        columns = [Column('k', 'int', 'id'), Column('n', 'int'), Column('grp', 'int'), Column('qty', 'int')]
        if form == 0:
            keys = rng.sample(range(1, IDS), rng.randint(1, 8))
            rows = ', '.join(f'({key}, {number}, {rng.randrange(7)}, {rng.randint(1, 9)})'
                             for number, key in enumerate(keys))
            self.seen['merge using values'] += 1
            return f'(VALUES {rows}) AS {alias} (k, n, grp, qty)', Source(alias, columns), True
        relation = self.relation(lambda item: item.has('id', 'grp', 'qty'))
        if form == 1 and relation.key == 'id' and relation.kind != 'view':
            query = f'SELECT id AS k, row_number() OVER (ORDER BY id)::int AS n, grp, qty FROM {relation.name}'
        else:
            key = rng.choice(('ref', 'grp')) if relation.has('ref') else 'grp'
            query = (f'SELECT {key} AS k, row_number() OVER (ORDER BY {key})::int AS n, max(grp) AS grp,'
                     f' min(qty) AS qty FROM {relation.name} WHERE {key} IS NOT NULL GROUP BY {key}')
        # Without a unique key the same row may be hit twice, an error on both sides.
        return f'({query} ORDER BY 1 LIMIT 40) AS {alias}', Source(alias, columns), rng.random() < 0.93

    def merge_action(self, target, source):
        """One WHEN clause."""
        rng, scope = self.rng, Scope([target, source])
        forms = ['MATCHED'] * 5 + ['NOT MATCHED'] * 2
        if self.version >= 170000:
            forms += ['NOT MATCHED BY SOURCE'] * 2
        form = rng.choice(forms)
        self.seen[f'merge when {form.lower()}'] += 1
        if form == 'NOT MATCHED':
            where = f' AND {self.expressions.condition(Scope([source]), 0)}' if rng.random() < 0.5 else ''
            return f'WHEN NOT MATCHED{where} THEN {self.merge_insert(target, source)}'
        if form == 'NOT MATCHED BY SOURCE':
            scope = Scope([target])
        where = f' AND {self.expressions.condition(scope, 1)}' if rng.random() < 0.7 else ''
        if form == 'NOT MATCHED BY SOURCE':
            where += f' AND {target.alias}.grp = {rng.randrange(7)}'
        what = rng.choice(('DELETE', 'DELETE', 'DELETE', 'UPDATE', 'UPDATE', 'DO NOTHING'))
        self.seen[f'merge {what.lower()}'] += 1
        if what == 'UPDATE':
            what = f"UPDATE SET {self.assignments(target, scope.sources[1:], merge=True)}"
        return f'WHEN {form}{where} THEN {what}'

    def merge_insert(self, target, source):
        """INSERT of a row with an id that nobody had: the number of the source's row, from an offset of this step."""
        rng, relation = self.rng, target.relation
        if 'i' not in relation.writes or rng.random() < 0.2:
            return 'DO NOTHING'
        names, values = ['id', 'qty', 'grp'], [f'{self.fresh} + {source.alias}.n', '3', f'{source.alias}.grp']
        for column in relation.plain_columns():
            if column.name in ('bucket', 'zone'):
                names.append(column.name)
                values.append(rng.choice(relation.fixed.get(column.name) or [literal(rng, column)]))
        self.seen['merge insert'] += 1
        return f"INSERT ({', '.join(names)}) VALUES ({', '.join(values)})"
