"""Chooses statements, and makes up what stands between them."""

from .deletes import Deletes
from .statement import Step


class Statements(Deletes):
    """The generator of statements."""

    def __init__(self, rng, sides):
        super().__init__(rng, sides)
        self.level = 0
        self.savepoints = []        # that are open

    def statement(self):
        """A statement; None where the idea came to nothing."""
        rng, rows = self.rng, len(self.state.twin) / len(self.schema.tables)
        writers = (
            (self.insert, 30 if rows < 4 else 12 if rows < 9 else 5),
            (self.insert_select, 2), (self.update_reference, 9), (self.update_key, 5), (self.update_rest, 3),
            (self.delete, 14 if rows > 3 else 6), (self.delete_with, 3), (self.mark, 6), (self.upsert, 4),
            (self.mark_by_upsert, 1.5), (self.merge, 5), (self.restore, 3), (self.restamp, 0.7),
            (self.write_deleted, 0.7))
        return rng.choices([form for form, _ in writers], [weight for _, weight in writers])[0]()

    # The frame

    def control(self):
        """SAVEPOINT, ROLLBACK TO, RELEASE or SET CONSTRAINTS."""
        form = self.rng.choice(('savepoint', 'rollback', 'rollback', 'release', 'constraints', 'constraints'))
        if form == 'constraints':
            return self.set_constraints()
        if form == 'savepoint' or not self.savepoints:
            self.level += 1
            self.savepoints.append(f's{self.level}')
            return Step(f'SAVEPOINT s{self.level}', 'savepoint', frame=True)
        at = self.rng.randrange(len(self.savepoints))
        name = self.savepoints[at]
        if form == 'release':
            del self.savepoints[at:]
            return Step(f'RELEASE {name}', 'release', frame=True)
        del self.savepoints[at + 1:]
        return Step(f'ROLLBACK TO {name}', 'rollback to', frame=True)

    def is_dangling(self):
        """Whether a deleted row refers to nothing at all, or is half null, which is soon to be checked.

        The twin has forgotten the row.  In a table it may not stay like that, for a dump could not be restored.
        """
        for reference in self.schema.references:
            if reference.deferrable and reference.of_twin and reference.child.managed:
                there = set(self.all_keys(reference))
                for row in self.dead(reference.child):
                    key = tuple(row[name] for name in reference.columns)
                    if key not in there if None not in key else reference.full and key != (None,) * len(key):
                        return True
        return False

    def set_constraints(self):
        """Now, or later."""
        when = self.rng.choice(('DEFERRED', 'DEFERRED', 'IMMEDIATE'))
        if when == 'IMMEDIATE' and self.is_dangling():
            return None
        names = [one.name for one in self.schema.references if one.deferrable and one.of_twin]
        if not names or self.chance(0.4):
            return Step(f'SET CONSTRAINTS ALL {when}', 'set constraints')
        chosen = self.rng.sample(names, self.rng.randint(1, min(2, len(names))))
        return Step(f"SET CONSTRAINTS {', '.join(chosen)} {when}", 'set constraints')
