"""Values that the model knows only by rule: they are checked against what the server made of them.

`Instants` holds what is known of the clocks and of the transaction's number while one statement is
looked at.  Each value that was seen narrows it: all stamps of a transaction or statement have to
come from one instant.
"""

from dataclasses import dataclass, field
import uuid

from .types import DAY, Unsure, UNITS


@dataclass
class Instants:
    """Ranges, ends included, in microseconds since 1970, and of the change number."""

    transaction: tuple
    statement: tuple
    wall: tuple
    change: tuple
    marker: tuple = ()              # of the soft delete's stamp
    tokens: set = field(default_factory=set)    # random versions of this unit

    def narrow(self, kind, low, high):
        """Takes in what a value says; False where it contradicts the others."""
        if kind == 'wall':
            return True
        mine = getattr(self, kind)
        both = max(mine[0], low), min(mine[1], high)
        if both[0] > both[1]:
            return False
        setattr(self, kind, both)
        return True

    def copied(self):
        """A copy to try something on."""
        return Instants(self.transaction, self.statement, self.wall, self.change, self.marker, self.tokens)


@dataclass(frozen=True, eq=False)
class Moment:
    """A clock's reading in a column, at least `floor`."""

    kind: str           # transaction, statement, wall
    type: object
    unit: str = ''      # of an integer column
    shift: int = 0      # of local time
    floor: object = None    # None, a value or a Moment
    extra: int = 0      # to be added to a floor that is a Moment

    def stamp(self, instant):
        """What the column holds if the clock says so."""
        if self.type.family == 'int':
            return instant // UNITS[self.unit]
        if self.type.family == 'date':
            return (instant + self.shift) // DAY
        return self.type.round(instant + self.shift)

    def origin(self, value):
        """The instants that give the value."""
        if self.type.family == 'int':
            return value * UNITS[self.unit], (value + 1) * UNITS[self.unit] - 1
        if self.type.family == 'date':
            return value * DAY - self.shift, (value + 1) * DAY - self.shift - 1
        low = value - self.type.step // 2 - self.shift
        return low, low + self.type.step - 1

    def bounds(self, instants):
        """The smallest and the largest value."""
        low, high = (self.stamp(instant) for instant in getattr(instants, self.kind))
        if isinstance(self.floor, Moment):
            below, above = self.floor.bounds(instants)
            return max(low, below + self.extra), max(high, above + self.extra)
        if self.floor is not None:
            return max(low, self.floor), max(high, self.floor)
        return low, high

    def problem(self, actual, instants):
        """Why the value cannot be, or None."""
        if actual is None:
            return 'is NULL'
        low, high = self.bounds(instants)
        if not low <= actual <= high:
            return f'is not between {low} and {high} ({self.kind} clock)'
        if self.type.family in ('tz', 'ts') and self.type.round(actual) != actual:
            return f'has more than {self.type.digits} digits'
        if isinstance(self.floor, Moment):
            return None
        first, last = self.origin(actual)
        if self.floor is not None and actual == self.floor:
            first = 0
        if not instants.narrow(self.kind, first, last):
            return f'comes from another instant than the other stamps ({self.kind} clock)'
        return None


@dataclass(frozen=True, eq=False)
class Token:
    """A random uuid."""

    def problem(self, actual, instants):
        """Why the value cannot be, or None."""
        try:
            parsed = uuid.UUID(actual or '')
        except ValueError:
            return 'is no uuid'
        if parsed.version != 4:
            return 'is not a random uuid of version 4'
        if actual in instants.tokens:
            return 'was there before'
        return None


@dataclass(frozen=True, eq=False)
class Change:
    """The number of the transaction."""

    def problem(self, actual, instants):
        """Why the value cannot be, or None."""
        if actual is None or not instants.narrow('change', actual, actual):
            return f'is not the number of the transaction, {instants.change}'
        return None


@dataclass(frozen=True, eq=False)
class Marker:
    """The stamp of a soft delete: one for each statement."""

    def problem(self, actual, instants):
        """Why the value cannot be, or None."""
        if actual is None or not instants.narrow('marker', actual, actual):
            return f'is not the stamp of the statement, {instants.marker}'
        return None


@dataclass(frozen=True, eq=False)
class OneOf:
    """Any of several values, where the contract leaves it open."""

    values: tuple

    def problem(self, actual, instants):
        """Why the value cannot be, or None."""
        for value in self.values:
            attempt = instants.copied()
            if problem(value, actual, attempt) is None:
                return None
        return f'is none of {self.values}'


UNKNOWN = (Moment, Token, Change, Marker, OneOf)


def problem(expected, actual, instants):
    """Why an actual value is not what was expected, or None."""
    if isinstance(expected, UNKNOWN):
        return expected.problem(actual, instants)
    return None if expected == actual else f'should be {expected!r}'


def alike(left, right):
    """Whether two values are the same; None where the model cannot tell."""
    if left is right:
        return True
    if not isinstance(left, UNKNOWN) and not isinstance(right, UNKNOWN):
        return left == right
    if isinstance(right, Moment):
        left, right = right, left
    if not isinstance(left, Moment) or right is None:
        return False
    if isinstance(right, Moment):
        mine, other = ((moment.kind, moment.type, moment.unit, moment.shift, moment.floor) for moment in (left, right))
        return True if mine == other and left.kind != 'wall' else None
    if isinstance(left.floor, int) and isinstance(right, int) and left.floor > right:
        return False
    return None


def same(left, right):
    """Whether two values are the same, where the model has to know."""
    answer = alike(left, right)
    if answer is None:
        raise Unsure
    return answer


def differ(pairs):
    """Whether any of some pairs of values are not the same."""
    answers = [alike(left, right) for left, right in pairs]
    if False in answers:
        return True
    if None in answers:
        raise Unsure
    return False
