"""Upserting rows into a table of a million: orm_ext's doors, and what is written by hand.

All ways are tried; then the best of them meet again, and take turns for longer.
"""

import os
import random
from typing import NamedTuple

from . import report
from .upsert_lanes import LANES, Lanes, median
from .upsert_rows import MIXES, batches
from .upsert_ways import HAND, LIMIT, OURS, WAYS

FULL = bool(os.environ.get('FULL'))


class Size(NamedTuple):
    """How much is measured of a size of batches."""
    warm: tuple         # batches before
    in_a_row: int       # by one way, before it is another one's turn
    tried: int          # turns of all ways
    turns: int          # and of the best
    rounds: int = 1     # with new tables


SIZES = {
    1: Size((1,) * 10, 100, 3, 15),
    10: Size((10,) * 10, 40, 3, 15),
    100: Size((100,) * 8, 10, 3, 15),
    1000: Size((1000,) * 2, 3, 3, 9),
    10000: Size((100,) * 8, 1, 3, 7),
    100000: Size((100,) * 8, 1, 1, 1, 3),
    1000000: Size((100,) * 8, 1, 1, 1, 3),
}
EVERY = (1, 10, 100, 1000, 10000)
CELLS = {mix: (*EVERY, 100000, 1000000) for mix in MIXES} if FULL else {
    'new': (1, 100, 10000, 100000),
    'appended': (10000,),
    'half': EVERY,
    'changed': (100, 10000),
    'few': (*EVERY, 100000),
    'same': (10000,),
}

# How much of the other one's time, or of its log.
BY_HAND = 1 / 0.95
TEMPORARY = {('half', 100): 1 / 3, ('half', 10000): 1 / 1.2, ('few', 10000): 1 / 3, ('few', 100000): 1 / 3}
LIMITS = {('new', 10000): 1.6, ('new', 100000): 1.6, ('appended', 10000): 1.6, ('appended', 100000): 1.6}
LOG = {('few', 100000): 1 / 20}


class Cell(NamedTuple):
    """Inputs of one kind."""
    mix: str
    size: int

    @property
    def name(self):
        """What the figures call it."""
        return f'{MIXES[self.mix].name}, {self.size:,} a batch'

    def ways(self):
        """What can be compared here."""
        return [way for way in WAYS if self.size in WAYS[way].sizes and (way not in LIMIT or MIXES[self.mix].new == 100)]

    def compare(self, lanes, ways, turns):
        """What each turn of some ways has cost, by way."""
        size, spent = SIZES[self.size], {way: [] for way in ways}
        room = 2 if self.size > 100000 else LANES
        for number in range(size.rounds):
            rows = batches(MIXES[self.mix], [*size.warm, *[self.size] * (turns * size.in_a_row)], number)
            for start in range(0, len(ways), room):
                some = ways[start:start + room]
                costs = lanes.compare([WAYS[way] for way in some], rows, len(size.warm), size.in_a_row)
                for way, cost in zip(some, costs):
                    spent[way] += cost
        return spent


def best(spent, among, count=1):
    """The ways that have cost least."""
    return sorted((way for way in spent if way in among), key=lambda way: median(spent[way]))[:count]


def finals(lanes, cell, tried):
    """The best ways again; and those that there are targets for."""
    fixed = ['temporary', *(way for way in LIMIT if way in tried)]
    theirs = [way for way in best(tried, HAND, len(HAND)) if way not in fixed][:3 - len(fixed)]
    return cell.compare(lanes, [*fixed, *theirs, *best(tried, OURS, 2)], SIZES[cell.size].turns)


def paired(cell, spent, our_way, their_way, at_most=None):
    """A figure of processor time: of neighbours in time, those whose ratio is the median."""
    pairs = sorted(((ours.backend, theirs.backend) for ours, theirs in zip(spent[our_way], spent[their_way])),
                   key=lambda pair: pair[0] / pair[1])
    return report.measured(f'{cell.name}: {WAYS[our_way].name}', WAYS[their_way].name, 'µs a row',
                           *pairs[len(pairs) // 2], at_most)


def logged(cell, spent, our_way, their_way, what='log', at_most=None):
    """A figure of what is written to the write-ahead log."""
    return report.measured(f'{cell.name}, {what}: {WAYS[our_way].name}', WAYS[their_way].name, 'bytes a row',
                           median(spent[our_way], 'wal'), median(spent[their_way], 'wal'), at_most)


def figures_of(cell, spent):
    """The figures of the best ways."""
    key = tuple(cell)
    ours, = best(spent, OURS)
    theirs, = best(spent, HAND)
    figures = [paired(cell, spent, ours, theirs, BY_HAND)]
    if theirs != 'temporary' and cell.size >= 100:
        figures.append(paired(cell, spent, ours, 'temporary', TEMPORARY.get(key)))
    figures += [paired(cell, spent, ours, limit, LIMITS.get(key)) for limit in LIMIT if limit in spent]
    if key in LOG:
        figures.append(logged(cell, spent, ours, 'temporary', at_most=LOG[key]))
    return figures


def with_images(lanes, cell, ways):
    """The log where each page that is changed is written as a whole, as after a checkpoint."""
    lanes.log_images(True)
    spent = cell.compare(lanes, ways, SIZES[cell.size].tried)
    lanes.log_images(False)
    return logged(cell, spent, *ways, what='log after a checkpoint')


def survey(mix, tried):
    """All ways of one mix: rows in a second of the backend's processor time, and bytes of the log for each row."""
    sizes = list(tried)
    lines = [f'{MIXES[mix].name}: thousand rows a second (bytes of the write-ahead log for each row), by size of the batches',
             '', '| |' + ''.join(f' {size:,} |' for size in sizes), '|---|' + '---:|' * len(sizes)]
    for way in WAYS:
        cells = [f"{report.number(1000 / median(tried[size][way]))} ({median(tried[size][way], 'wal'):.0f})"
                 if way in tried[size] else '' for size in sizes]
        if any(cells):
            lines.append('| ' + ' | '.join([WAYS[way].name, *cells]) + ' |')
    return [*lines, '']


def run(server):
    """Tries all ways with all kinds of input, and compares the best."""
    lanes, figures = Lanes(server, 'upsert'), []
    order = random.Random(1)
    try:
        for mix, sizes in CELLS.items():
            tried = {}
            for size in sizes:
                cell = Cell(mix, size)
                ways = cell.ways()
                tried[size] = cell.compare(lanes, order.sample(ways, len(ways)), SIZES[size].tried)
                figures += figures_of(cell, finals(lanes, cell, tried[size]) if SIZES[size].rounds == 1 else tried[size])
                if (mix, size) == ('few', 10000):
                    figures.append(with_images(lanes, cell, best(tried[size], OURS) + ['temporary']))
            figures[-1] = figures[-1]._replace(notes=survey(mix, tried))
    finally:
        lanes.close()
    return figures
