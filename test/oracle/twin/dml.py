"""Random transactions: deletes in every form among inserts, updates, upserts and merges.

What keeps both sides comparable, beyond the rules for expressions:
- new rows take ids that were never used, as a deleted row keeps its primary key;
- a row is never joined with several partners where the choice of the partner would show;
- updates of a unique column give one constant, so that a clash does not depend on the order;
- data-modifying CTEs of one statement touch different tables.
"""

from .ddl import Definitions
from .deletes import Deletes
from .merge import Merges
from .model import Item, Step
from .queries import order_all
from .selects import settings, unprivileged
from .writes import IDS_PER_STEP

LEVELS = ('REPEATABLE READ', 'SERIALIZABLE', 'READ COMMITTED, READ WRITE')


class Transactions(Deletes, Merges, Definitions):
    """Generates transactions of several statements."""

    def item(self):
        """One transaction."""
        rng = self.rng
        forms = (
            (self.delete, 24), (self.delete_using, 10), (self.delete_by_key, 6), (self.delete_view, 8),
            (self.delete_in_cte, 12), (self.current_of, 6), (self.prepared_delete, 5), (self.call, 7),
            (self.copy_delete, 2), (self.own_soft_delete, 3), (self.hard_delete, 2), (self.purge, 1), (self.batch, 3),
            (self.replace, 3), (self.update, 9), (self.update_from, 6), (self.update_view, 3), (self.move, 3),
            (self.insert, 8), (self.insert_select, 5), (self.upsert, 8), (self.upsert_key, 3), (self.insert_view, 2),
            (self.merge, 10), (self.refresh, 1), (self.read, 8), (self.savepoint, 4), (self.queue, 3),
            (self.moving, 1), (self.definition, 3), (self.peek, 2), (self.discard, 1),
        )
        steps = []
        for _ in range(rng.randint(2, 6)):
            form = rng.choices([form for form, _ in forms], [weight for _, weight in forms])[0]
            steps += form()
            self.fresh += IDS_PER_STEP
        item = Item(self.explained(steps), settings(rng, self.version, self.seen, parallel=0.03),
                    role=self.chance(0.25) and not self.privileged and unprivileged(steps),
                    commit=self.chance(0.6), guarded=self.chance(0.7),
                    really_deletes=self.really_deletes)
        if self.chance(0.15):
            self.seen['isolation level'] += 1
            item.begin += f' ISOLATION LEVEL {rng.choice(LEVELS)}'
        if item.commit and not item.role and self.chance(0.15) and not any(step.kind == 'ddl' for step in steps):
            self.hold(item)     # not with DDL, which open cursors forbid
        return item

    def hold(self, item):
        """A cursor that outlives the transaction."""
        name, block = self.alias('h'), self.block(1)
        # Not in the middle, where a setting may show deleted rows for a moment.
        position = self.rng.choice((0, len(item.steps)))
        item.steps.insert(position, Step(f'DECLARE {name} CURSOR WITH HOLD FOR {block.text}{order_all(block.columns)}',
                                         'declare'))
        item.after = [Step(f'FETCH {count} FROM {name}', 'fetch', ordered=True) for count in ('3', 'ALL')]
        item.after.append(Step(f'CLOSE {name}', 'close'))

    def moving(self):
        """A cursor whose rows are deleted under it, and which goes on with what it saw."""
        name = self.alias('h')
        text, target = self.target('d', lambda item: item.key == 'id')
        return [Step(f'DECLARE {name} CURSOR FOR SELECT * FROM {text} ORDER BY 1, {target.alias}.id', 'declare'),
                Step(f'FETCH 2 FROM {name}', 'fetch', ordered=True),
                Step(f'DELETE FROM {text} WHERE {self.where(target)}', 'delete'),
                Step(f'FETCH ALL FROM {name}', 'fetch', ordered=True), Step(f'CLOSE {name}', 'close')]

    def peek(self):
        """A function that shows deleted rows to itself, between two uses of plans that must not."""
        if self.unmanaged:
            return self.read()
        self.seen['function with a setting'] += 1
        use = Step('SELECT s_sum(3), s_count(2), s_name(5)', 'select')
        return [use, Step('SELECT peek()', 'peek', noise=True), use]

    def discard(self):
        """DISCARD PLANS."""
        return [Step('DISCARD PLANS', 'discard')] + self.read()

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
