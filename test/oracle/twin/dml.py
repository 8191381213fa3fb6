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
