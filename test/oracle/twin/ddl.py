"""DDL in the middle of a transaction: plans and policies have to follow it."""

from .model import Step
from .writes import Writes


class Definitions(Writes):
    """The part of the transaction generator that changes tables, and changes them back."""

    def definition(self):
        """A change, statements that meet it, and the way back."""
        self.privileged = True
        forms = (self.add_column, self.rename_marker, self.detach, self.rewrite, self.index, self.switch)
        return self.rng.choice(forms)()

    def managed_name(self):
        """A managed table without relatives."""
        names = [name for name in ('t_a', 't_b', 't_c', 't_d', 't_gen', 't_nokey', 'p_range', 'p_list')]
        return self.schema.relation(self.rng.choice(names))

    def touched(self, relation):
        """Statements that meet the change; none of them names the marker."""
        rng, name = self.rng, relation.name
        steps = [Step(f'SELECT * FROM {name} WHERE qty > {rng.randrange(6)}', 'select'),
                 Step(f'DELETE FROM {name} WHERE grp = {rng.randrange(7)} AND id % 2 = 0 RETURNING *', 'delete'),
                 Step(f'SELECT * FROM {rng.choice(self.schema.actions).name}({rng.randrange(7)})', 'call'),
                 Step(f'UPDATE {name} SET qty = 3 WHERE grp = {rng.randrange(7)} AND id % 3 = 0 RETURNING *', 'update'),
                 Step('SELECT s_sum(3), s_count(2), s_name(5)', 'select')]
        return rng.sample(steps, rng.randint(1, 4))

    def change(self, relation, there, back):
        """The steps of a change with statements before, in between and after."""
        steps = self.touched(relation) if self.chance(0.3) else []
        steps += [Step(f'ALTER TABLE {relation.name} {there}', 'ddl')] + self.touched(relation)
        return steps + [Step(f'ALTER TABLE {relation.name} {back}', 'ddl')] + self.touched(relation)

    def add_column(self):
        """A column comes and goes."""
        relation, name = self.managed_name(), self.alias('extra')
        default = self.rng.choice(('', ' DEFAULT 7', " DEFAULT length('four')"))
        self.seen['ddl: add column'] += 1
        return self.change(relation, f'ADD COLUMN {name} int{default}', f'DROP COLUMN {name}')

    def rename_marker(self):
        """The marker changes its name, and the policy's argument with it."""
        relation, name = self.managed_name(), self.alias('marker')
        marker = relation.marker.name
        self.seen['ddl: rename marker'] += 1
        return self.change(relation, f'RENAME COLUMN {marker} TO {name}', f'RENAME COLUMN {name} TO {marker}')

    def detach(self):
        """A partition leaves and comes back."""
        parts = [item for item in self.schema.relations if item.bound and item.bound[0] in ('p_range', 'p_list')]
        part = self.rng.choice(parts)
        parent, bound = part.bound
        self.seen['ddl: detach and attach'] += 1
        return self.change(self.schema.relation(parent), f'DETACH PARTITION {part.name}',
                           f'ATTACH PARTITION {part.name} {bound}')

    def rewrite(self):
        """The whole table is written anew, deleted rows included."""
        relation = self.managed_name()
        name = relation.name
        forms = [f'ALTER TABLE {name} ALTER COLUMN email TYPE text USING lower(email)',
                 f'ALTER TABLE {name} ADD CHECK (poison >= 0)', f'ALTER TABLE {name} ALTER COLUMN poison SET NOT NULL']
        if relation.partition_key is None and relation.key == 'id':
            forms += [f'CLUSTER {name} USING {name}_pkey'] * 2
        self.seen['ddl: rewrite'] += 1
        return [Step(self.rng.choice(forms), 'ddl')] + self.touched(relation)

    def index(self):
        """An index comes and goes."""
        relation, name = self.managed_name(), self.alias('i')
        columns = self.rng.choice(('qty', 'name, grp', 'grp) WHERE (qty > 2', 'ref) INCLUDE (id'))
        self.seen['ddl: index'] += 1
        return [Step(f'CREATE INDEX {name} ON {relation.name} ({columns})', 'ddl'), *self.touched(relation),
                Step(f'DROP INDEX {name}', 'ddl'), *self.touched(relation)]

    def switch(self):
        """The policy is off for a moment, on the soft side, and plans are made meanwhile."""
        relation = self.managed_name()
        self.seen['ddl: policy off and on'] += 1
        return [*self.touched(relation), Step(f'ALTER TABLE {relation.name} DISABLE TRIGGER USER', 'ddl', noise=True),
                Step('SELECT s_sum(3), s_count(2), s_name(5)', 'select', noise=True),
                Step(f'ALTER TABLE {relation.name} ENABLE TRIGGER USER', 'ddl', noise=True), *self.touched(relation)]
