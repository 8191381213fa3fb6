"""Makes a mismatch small: leaves out statements, foreign keys, tables and rows as long as it stays the same.

What is left is a script that stands alone, for psql or a report.
"""

from dataclasses import replace

import psycopg2

from twin.unit import Mismatch

from .model import MARKER, Schema, UNSTAMP
from .schema import statements
from .sides import ask, describe, difference, Sides, SIDES

# What tables and foreign keys may be without, and what it is then.
PLAINER = {
    'dropped': False, 'again': '', 'attached': (), 'place': 99, 'leaves': {}, 'other_keys': [],
    'full': False, 'on_update': 'NO ACTION', 'only': (), 'deferred': False, 'deferrable': False,
}


class Reducer:
    """One mismatch, getting smaller."""

    def __init__(self, unit):
        self.sides = Sides(unit.options.dsn, unit.options.plain)
        self.schema = unit.sides.schema
        self.steps = list(unit.history)
        self.stamps, self.twin = dict(unit.before.stamps), set(unit.before.twin)
        self.loaded = []            # statements that load the soft side's rows
        self.answers = []
        self.reason = None

    # Trying

    def load(self, schema):
        """Gives both sides their rows, past all checks."""
        for side, items in (('soft', self.stamps), ('twin', self.twin)):
            rows = ['SET session_replication_role = replica']
            for item in sorted(items):
                table = schema.table(item[0])
                if not self.sides.row(item)[table.at('id')]:
                    continue
                names, values = list(table.names), ['NULL' if value is None else str(value)
                                                    for value in self.sides.row(item)]
                if side == 'soft' and self.stamps[item]:
                    names.append(MARKER)
                    values.append(UNSTAMP[table.marker].format(self.stamps[item]))
                rows.append(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(values)})")
            rows.append('RESET session_replication_role')
            self.sides.cursors[side].execute('; '.join(rows))
            self.loaded = self.loaded or rows

    def is_sound(self, state):
        """Whether every row that is referred to is there."""
        for reference in self.sides.schema.references:
            parents = [item for item in state.stamps if item[0] == reference.parent.number]
            children = [item for item in state.stamps if item[0] == reference.child.number]
            there = set(self.sides.keys(parents, reference.parent, reference.referenced))
            if any(None not in key and key not in there
                   for key in self.sides.keys(children, reference.child, reference.columns)):
                return False
        return True

    def attempt(self, schema, steps):
        """The mismatch that comes of it in a few words, or nothing."""
        self.loaded, self.answers = [], []
        try:
            self.sides.build(schema)
            self.load(schema)
            state = self.sides.look()
            self.sides.compare(state, 'to begin with')
            return self.replay(steps, state) if self.is_sound(state) else None
        except (psycopg2.Error, Mismatch):
            return None

    def replay(self, steps, state):
        """Runs the statements again."""
        queued = any(step.kind == 'set constraints' for step in steps)
        for step in steps:
            answers = [ask(self.sides.cursors[side], 'SAVEPOINT guard; ' * step.guarded
                           + step.on(side, self.sides.plain)) for side in SIDES]
            self.answers.append(answers)
            soft, twin = (answer.error for answer in answers)
            reason = difference(step, *answers, queued)
            if reason:
                return reason, step.kind, soft.state, twin.state, soft.constraint
            if step.guarded:
                for cursor in self.sides.cursors.values():
                    cursor.execute('ROLLBACK TO guard' if soft.state else 'RELEASE guard')
            elif soft.state and steps[0].sql.startswith('BEGIN') and step.kind != 'frame':
                return None
            if not step.frame or step.kind == 'rollback to':
                before, state = state, self.sides.look()
                try:
                    self.sides.compare(state, f'after {step.kind}', step.mere and not soft.state and before)
                except Mismatch as mismatch:
                    return mismatch.args[0][0].split(':')[0]
        return None

    # Leaving out

    def accept(self, schema, steps):
        """Takes what is left if the mismatch is still the same."""
        if not steps or self.attempt(schema, steps) != self.reason:
            return False
        self.schema, self.steps = schema, steps
        return True

    def fewer_steps(self):
        """Without a statement."""
        for number in reversed(range(len(self.steps))):
            rest = self.steps[:number] + self.steps[number + 1:]
            if number == 0:
                rest = [replace(step, guarded=False) for step in rest]
            yield self.accept(self.schema, rest)

    def fewer_references(self):
        """Without a foreign key."""
        for reference in list(self.schema.references):
            rest = [one for one in self.schema.references if one is not reference]
            yield self.accept(Schema(self.schema.tables, rest), self.steps)

    def fewer_rows(self, gone):
        """Without some rows, if that changes nothing."""
        stamps, twin = self.stamps, self.twin
        self.stamps = {item: stamp for item, stamp in stamps.items() if not gone(item)}
        self.twin = {item for item in twin if not gone(item)}
        return stamps, twin

    def fewer_tables(self):
        """Without a table."""
        for table in list(self.schema.tables):
            kept = self.fewer_rows(lambda item, number=table.number: item[0] == number)
            rest = Schema([one for one in self.schema.tables if one is not table],
                          [one for one in self.schema.references if table not in (one.child, one.parent)])
            done = bool(rest.tables) and self.accept(rest, self.steps)
            if not done:
                self.stamps, self.twin = kept
            yield done

    def identity(self, item):
        """The table and id of a row."""
        return item[0], self.sides.row(item)[self.schema.table(item[0]).at('id')]

    def single_rows(self):
        """Without a row."""
        for identity in sorted({self.identity(item) for item in self.stamps}):
            if identity[1]:
                kept = self.fewer_rows(lambda item, gone=identity: self.identity(item) == gone)
                done = self.accept(self.schema, self.steps)
                if not done:
                    self.stamps, self.twin = kept
                yield done

    def plainer(self):
        """Without what is special of a table or a foreign key."""
        for thing in [*self.schema.tables, *self.schema.references]:
            for name, value in PLAINER.items():
                kept = vars(thing).copy()
                if kept.get(name, value) == value:
                    continue
                setattr(thing, name, value)
                if name == 'leaves':
                    thing.partition = ''
                if not self.accept(self.schema, self.steps):
                    vars(thing).update(kept)

    def run(self):
        """The script, as lines."""
        self.reason = self.attempt(self.schema, self.steps)
        if not self.reason:
            return ['not reduced: it depends on more than the rows and the statements of the item']
        while any([*self.fewer_steps(), *self.fewer_references(), *self.fewer_tables(), *self.single_rows()]):
            pass
        self.plainer()
        self.attempt(self.schema, self.steps)
        lines = ['reduced:', *(f'  {sql};' for sql in statements(self.schema, not self.sides.plain)),
                 *(f'  {sql};' for sql in self.loaded)]
        for step, (soft, twin) in zip(self.steps, self.answers):
            lines.append(f'  {step.sql};' + (f'  -- twin: {step.twin}' if step.twin else ''))
            lines += [f'    -- soft: {describe(soft)}', f'    -- twin: {describe(twin)}']
        self.sides.close()
        return lines
