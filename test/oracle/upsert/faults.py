"""The self-test: faults that are planted behind the model's back have to be noticed."""

from copy import deepcopy
from dataclasses import dataclass, replace

from twin.planted import Planted

from .unit import ITEMS, Unit

UNITS = 25      # how many are tried for one fault
SOUND = 1       # and how many without it


def as_it_is(batch, _rng):
    """The batch, unchanged."""
    return batch


def nothing(*_):
    """Nothing at all."""
    return ()


@dataclass
class Fault:
    """One fault: what it needs, and what it spoils."""

    title: str
    want: tuple = ()            # features of the table
    batch: str = ''             # form of the batch
    spoil: object = as_it_is    # (batch, rng) → what the door is given
    after: object = nothing     # (unit, outcome): done after the door
    statements: object = nothing    # table → statements once the table is there


def told(**options):
    """The door is told something else."""
    def spoil(batch, _rng):
        return replace(batch, **options)
    return spoil


def without_a_row(batch, rng):
    """A row is lost."""
    rows = list(batch.rows)
    if rows:
        del rows[rng.randrange(len(rows))]
    return replace(batch, rows=rows)


def absent_as_null(batch, _rng):
    """What is absent is null."""
    names = {column for row in batch.rows for column in row}
    return replace(batch, rows=[{**dict.fromkeys(sorted(names)), **row} for row in batch.rows])


def null_as_absent(batch, _rng):
    """Nulls are left out."""
    return replace(batch, rows=[{column: value for column, value in row.items() if value is not None}
                                for row in batch.rows])


def turned_round(batch, _rng):
    """The rows come from the last to the first."""
    return replace(batch, rows=list(reversed(batch.rows)))


def other_value(batch, _rng):
    """A value is another one."""
    rows = deepcopy(batch.rows)
    for row in rows:
        if row.get('note'):
            row['note'] += '.'
    return replace(batch, rows=rows)


def miscounted(unit, outcome):
    """A count is one too many."""
    if outcome.counts and unit.table:
        title = sorted(outcome.counts)[0]
        outcome.counts[title] += 1


def misnamed(_unit, outcome):
    """The action of a row is another one."""
    if outcome.actions:
        outcome.actions[-1] = 'updated' if outcome.actions[-1] == 'inserted' else 'inserted'


def other_results(_unit, outcome):
    """Results belong to other rows."""
    if outcome.results:
        outcome.results.append(outcome.results.pop(0))


def other_state(_unit, outcome):
    """Another SQLSTATE."""
    if outcome.states:
        outcome.states = {'XX000'}


def swallowed(_unit, outcome):
    """An error is not told."""
    if outcome.states:
        outcome.states, outcome.counts = set(), {}


def written_anyway(unit, outcome):
    """Something stays of what failed."""
    if outcome.states:
        unit.session.run(f"UPDATE bulk.{unit.table.sql} SET note = 'left over'{unit.everything()}")


def touched(unit, outcome):
    """Rows that are as they were are written, for triggers to see."""
    if not outcome.states:
        unit.session.run(f'UPDATE bulk.{unit.table.sql} SET note = note{unit.everything()}')


def used_up(unit, _outcome):
    """A value of a sequence is lost."""
    for column in unit.table.sequences():
        unit.session.run(f"SELECT nextval({unit.sequence('bulk', column)})")


def silent(table):
    """Triggers see nothing."""
    return [f'ALTER TABLE bulk.{table.sql} DISABLE TRIGGER USER']


FAULTS = [
    Fault('the first of several rows wins', batch='duplicates', spoil=told(on_duplicate='first')),
    Fault('the last of several rows wins', batch='first', spoil=told(on_duplicate='last')),
    Fault('rows are taken the wrong way round', batch='duplicates', spoil=turned_round),
    Fault('a row is lost', batch='full', spoil=without_a_row),
    Fault('a value is another one', batch='full', spoil=other_value),
    Fault('what is absent is null', batch='ragged', spoil=absent_as_null),
    Fault('what is null is absent', batch='ragged', spoil=null_as_absent),
    Fault('existing rows are left alone', batch='update', spoil=told(on_conflict='nothing')),
    Fault('all columns are updated', batch='update', spoil=told(update=None)),
    Fault('versions are not compared', ('version',), 'version', told(version=None)),
    Fault('deleted rows are not brought back', ('soft',), 'revive', told(on_deleted='insert')),
    Fault('deleted rows are passed over', ('soft',), 'revive', told(on_deleted='skip')),
    Fault('a miscount', after=miscounted),
    Fault('an action is misnamed', after=misnamed),
    Fault('results belong to other rows', after=other_results),
    Fault('another SQLSTATE', after=other_state),
    Fault('an error is swallowed', after=swallowed),
    Fault('something stays of what failed', after=written_anyway),
    Fault('rows are written that are as they were', ('log',), 'update', after=touched),
    Fault('triggers do not fire', ('log',), 'update', statements=silent),
    Fault('a value of a sequence is lost', ('sequence',), 'update', after=used_up),
]


PLANTED = Planted('upsert', Unit, FAULTS, lambda fault: Fault(fault.title, fault.want, fault.batch),
                  items=ITEMS, units=UNITS, sound=SOUND)


def self_test(settings):
    """Plants one fault after the other; returns how many were found and how many were not."""
    return PLANTED.test(settings)
