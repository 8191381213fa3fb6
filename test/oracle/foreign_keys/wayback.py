"""Restore: what was deleted at random comes back in random order, and everything is as it was.

It is the soft side's alone.  Each call has to bring back what went with the rows that it names along
the foreign keys with CASCADE, in the same statement, or to raise 23503 where one of them would refer
to a deleted row.  When all is back, every row is what it was before, its marker included, so that the
twin can go on as if nothing had happened.
"""

from collections import Counter

from twin.unit import Mismatch

from .sides import ask, describe
from .statement import Step

CALLS = 30      # at random, before the rest is brought back from the last deletion to the first
STAMP = "'epoch'::timestamptz + {} * interval '1 microsecond'"


class Call:
    """A call of restore and what is to come of it."""

    def __init__(self, arguments, seeds, name):
        self.arguments = arguments      # what follows "orm_ext.restore"
        self.seeds = seeds              # rows that it names
        self.name = name


class WayBack:
    """Deletes, then restores."""

    def __init__(self, unit, rng):
        self.unit = unit
        self.sides = unit.sides
        self.schema = unit.sides.schema
        self.generator = unit.generator
        self.rng = rng
        self.before = unit.state
        self.state = unit.state
        self.deletions = []             # sets of rows, in the order in which they went
        self.columns = {}               # of foreign keys: positions

    def run(self):
        """The whole item."""
        for _ in range(self.rng.randint(1, 5)):
            self.delete()
        self.list_deletions()
        for _ in range(CALLS):
            if not self.left():
                break
            self.call(self.rng.choice((self.by_stamp, self.by_key, self.by_key, self.by_condition))())
        for deletion in reversed(self.deletions):
            self.finish(deletion)
        if self.state.stamps != self.before.stamps:
            raise Mismatch(['restored rows are not what they were', *self.changes(self.before.stamps)])
        if self.deletions:
            self.unit.result.seen['way back'] += 1
            self.unit.result.seen['way back: rows'] += sum(map(len, self.deletions))

    def changes(self, expected):
        """Rows that are not as expected, as lines."""
        for item in sorted(expected.keys() | self.state.stamps.keys()):
            was, now = expected.get(item), self.state.stamps.get(item)
            if was != now:
                yield f'    {self.sides.shown(item)}: marker {was} before, {now} now'

    def tell(self, sql, kind):
        """A statement on the soft side."""
        self.unit.history.append(Step(sql, kind))
        step = self.unit.history[-1]
        answer = ask(self.sides.cursors['soft'], sql)
        if self.unit.fault:
            answer = self.unit.fault.answer(self.unit, step, answer)
        if self.unit.options.verbose:
            print(f'{sql};\n    -- soft: {describe(answer)}', flush=True)
        self.unit.result.statements[kind] += 1
        return answer

    def look(self):
        """The rows as they are now."""
        self.state = self.generator.state = self.sides.look()

    def left(self):
        """Deleted rows that are still to come back."""
        return sorted(set().union(*self.deletions) & self.state.dead) if self.deletions else []

    # Deleting

    def delete(self):
        """One statement and what it takes along."""
        tables = [table for table in self.schema.tables if table.managed and self.generator.live(table)]
        if not tables:
            return
        table = self.rng.choice(tables)
        step = self.generator.mark_of(table) if self.rng.random() < 0.3 else None
        self.tell(step.sql if step else self.generator.delete_text(table), 'delete to restore')
        dead = self.state.dead
        self.look()
        if self.state.dead - dead:
            self.deletions.append(self.state.dead - dead)

    def list_deletions(self):
        """The view of deletions has to tell what lies in the tables."""
        answer = self.tell("SELECT coalesce(extract(epoch FROM deleted_at) * 1000000, 1)::bigint, rel::text, rows"
                           ' FROM orm_ext.deletions', 'deletions')
        if answer.error.state:
            raise Mismatch([f'deletions: {describe(answer)}'])
        told, expected = Counter(), Counter()
        for stamp, name, rows in answer.rows:
            told[int(stamp), self.root(name)] += int(rows)
        for item in self.state.dead:
            expected[self.state.stamps[item], self.schema.table(item[0]).name] += 1
        if told != expected:
            raise Mismatch(['deletions are listed that are none, or others', f'  told: {told - expected}',
                            f'  expected: {expected - told}'])

    # What is to come of a call

    def at(self, table, names):
        """Positions of columns."""
        key = table.number, tuple(names)
        if key not in self.columns:
            self.columns[key] = [table.at(name) for name in names]
        return self.columns[key]

    def key(self, item, names):
        """Some columns of a row."""
        row = self.sides.row(item)
        return tuple(row[i] for i in self.at(self.schema.table(item[0]), names))

    def parents(self, item, reference, rows):
        """The row that a row refers to by a foreign key, if it is among some rows."""
        if item[0] != reference.child.number or reference.child_leaf not in ('', item[1]):
            return []
        key = self.key(item, reference.columns)
        if None in key:
            return []
        return [other for other in rows if other[0] == reference.parent.number
                and self.key(other, reference.referenced) == key]

    def of_one_deletion(self, item, other):
        """Whether two rows of a statement went together: by their stamps, if both have one."""
        if 'boolean' in (self.schema.table(item[0]).marker, self.schema.table(other[0]).marker):
            return True
        return self.state.stamps[item] == self.state.stamps[other]

    def closure(self, seeds):
        """Rows that come back with others: those of the same deletion that refer to them with CASCADE."""
        back, queue = set(seeds), list(seeds)
        while queue:
            item = queue.pop()
            deletion = next(one for one in self.deletions if item in one)
            for reference in self.schema.into(self.schema.table(item[0])):
                if not reference.enforced or reference.on_delete != 'CASCADE':
                    continue
                for other in sorted((deletion & self.state.dead) - back):
                    if self.of_one_deletion(item, other) and self.parents(other, reference, [item]):
                        back.add(other)
                        queue.append(other)
        return back

    def missing(self, back):
        """Whether one of some rows refers to one that stays dead; SET NULL and SET DEFAULT would let it."""
        return any(self.parents(item, reference, self.state.dead - back)
                   for item in back for reference in self.schema.of(self.schema.table(item[0]))
                   if reference.enforced and not reference.keeps)

    # Calls

    def by_stamp(self):
        """Everything that has a stamp."""
        stamps = sorted({self.state.stamps[item] for item in self.left()
                         if self.schema.table(item[0]).marker != 'boolean'})
        if not stamps:
            return self.by_key()
        stamp = self.rng.choice(stamps)
        seeds = {item for item in self.left() if self.state.stamps[item] == stamp
                 and self.schema.table(item[0]).marker != 'boolean'}
        return Call(f'_deletion({STAMP.format(stamp)})', seeds, 'restore_deletion')

    def named(self, item):
        """The table of a row, or its partition."""
        leaf = item[1].split('.')[-1]
        return leaf if leaf and self.rng.random() < 0.3 else self.schema.table(item[0]).name

    def by_key(self):
        """One row."""
        item = self.rng.choice(self.left())
        table = self.schema.table(item[0])
        key = self.key(item, table.key)
        if len(key) > 1:
            pairs = ', '.join(f'"{name}": {value}' for name, value in zip(table.key, key))
            argument = f"'{{{pairs}}}'::jsonb"
        else:
            argument = self.rng.choice((f'{key[0]}', f"'{key[0]}'", f"{key[0]}::{table.column('id').type}"))
        return Call(f"('{self.named(item)}', {argument})", {item}, 'restore')

    def by_condition(self):
        """Some rows of a table, of whatever deletions."""
        item = self.rng.choice(self.left())
        items = [other for other in self.left() if other[0] == item[0]]
        chosen = self.rng.sample(items, self.rng.randint(1, len(items)))
        return self.where(self.schema.table(item[0]), chosen)

    def where(self, table, items):
        """A call for some rows of a table."""
        ids = ', '.join(str(self.key(item, ('id',))[0]) for item in sorted(items))
        return Call(f"_where('{table.name}', 'id IN ({ids})')", set(items), 'restore_where')

    def follows(self, item, rows):
        """Whether a row went because of one of some rows."""
        return any(self.parents(item, reference, rows) for reference in self.schema.of(self.schema.table(item[0]))
                   if reference.enforced and reference.on_delete == 'CASCADE')

    def finish(self, deletion):
        """Brings back what is left of a deletion."""
        while deletion & self.state.dead:
            left = deletion & self.state.dead
            tops = [item for item in sorted(left) if not self.follows(item, left - {item})] or sorted(left)
            first = tops[0]
            self.call(self.where(self.schema.table(first[0]), [item for item in tops if item[0] == first[0]]),
                      must=True)

    def call(self, call, must=False):
        """Restores, and compares with what was to come."""
        back = self.closure(call.seeds)
        fails = self.missing(back)
        if must and fails:
            raise Mismatch(['the oracle does not know how to bring back the rest'])
        if self.rng.random() < 0.3:
            self.preview(call, back, fails)
        answer = self.tell(f'SELECT rel::text, rows FROM orm_ext.restore{call.arguments}', call.name)
        expected = dict(self.state.stamps)
        state = answer.error.state
        if state != ('23503' if fails else ''):
            raise Mismatch([f'{call.name}: {describe(answer)}', f"  expected: {'23503' if fails else 'success'}"])
        if not state:
            expected.update((item, 0) for item in back)
            self.counts(call, answer, back)
        else:
            self.unit.result.errors[self.unit.kind, state] += 1
        self.look()
        if self.state.stamps != expected:
            raise Mismatch([f'{call.name} did not bring back what it should', *self.changes(expected)])

    def root(self, name):
        """The table that a partition is of."""
        return next((table.name for table in self.schema.tables if name in table.leaves), name)

    def counts(self, call, answer, back):
        """How many rows of each table were told to be back."""
        told = Counter()
        for name, count in answer.rows:
            told[self.root(name)] += int(count)
        expected = Counter(self.schema.table(item[0]).name for item in back)
        if +told != expected:
            raise Mismatch([f'{call.name} counts other rows', f'  told: {answer.rows}',
                            f'  expected: {dict(expected)}'])

    def preview(self, call, back, fails):
        """What would come back; it has to change nothing."""
        answer = self.tell(f'SELECT rel::text, rows, problem FROM orm_ext.restore_preview{call.arguments}',
                           'restore_preview')
        if answer.error.state:
            raise Mismatch([f'restore_preview: {describe(answer)}'])
        problems = [row for row in answer.rows if row[2] is not None]
        if fails != bool(problems):
            raise Mismatch([f'restore_preview tells other problems: {answer.rows}'])
        self.counts(call, answer._replace(rows=[row[:2] for row in answer.rows if row[2] is None]), back)
        expected = self.state.stamps
        self.look()
        if self.state.stamps != expected:
            raise Mismatch(['restore_preview changed rows', *self.changes(expected)])
