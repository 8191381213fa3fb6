"""Upserting rows into a table of a million: orm_ext's doors, and what is written by hand.

All ways are tried; then the best of them meet again, and take turns for longer.
"""

import itertools
import os
import random
from typing import NamedTuple

from . import report
from .upsert_lanes import LANES, Tables, median, take_turns
from .upsert_rows import MIXES, batches
from .upsert_ways import HAND, LIMIT, OURS, WAYS

FULL = bool(os.environ.get('FULL'))


class Size(NamedTuple):
    """How much is measured of a size of batches."""
    warm: tuple         # batches before
    in_a_row: int       # by one way, before it is another one's turn
    tried: int          # turns of all ways; none where those are taken that are best with smaller batches
    turns: int          # and of the best
    rounds: int = 1     # of these, each with fresh tables
    room: int = LANES   # tables of a round; shared_buffers limit them


MORE = 3 if FULL else 1
SIZES = {
    1: Size((1,) * 10, 100, 3 * MORE, 9 * MORE),
    10: Size((10,) * 10, 40, 3 * MORE, 9 * MORE),
    100: Size((100,) * 8, 10, 3 * MORE, 9 * MORE),
    1000: Size((1000,) * 2, 3, 3 * MORE, 7 * MORE),
    10000: Size((100,) * 8, 1, 3, 10 if FULL else 5),
    100000: Size((100,) * 8, 1, 0, 1, 3 * MORE),
    1000000: Size((), 1, 0, 1, 3, 2),        # as many as there are, so no others are left
}
EVERY = (1, 10, 100, 1000, 10000)
CELLS = {mix: (*EVERY, 100000, *([1000000] if mix in ('new', 'half', 'few') else [])) for mix in MIXES} if FULL else {
    'new': (*EVERY, 100000),
    'appended': (100, 10000),
    'half': EVERY,
    'changed': (100, 10000),
    'few': (*EVERY, 100000),
    'same': (100, 10000),
}

# At most so much of the other one's time, or of its part of the log.
BY_HAND = 1 / 0.95
TEMPORARY = {('half', 100): 1 / 3, ('half', 10000): 1 / 1.2, ('few', 10000): 1 / 3, ('few', 100000): 1 / 3}
LIMITS = {(mix, size): 1.6 for mix in ('new', 'appended') for size in (10000, 100000)}
LOG = {('few', 100000): 1 / 20}


class Cell(NamedTuple):
    """Inputs of one kind."""
    mix: str
    size: int

    @property
    def name(self):
        """What the figures call it."""
        return f'{MIXES[self.mix].name}, {self.size:,} a batch'

    def sizes(self, turns):
        """Sizes of the batches of an input."""
        size = SIZES[self.size]
        return [*size.warm, *[self.size] * (turns * size.in_a_row)]

    def measure(self, lanes, rows):
        """What each turn of each lane has cost."""
        size = SIZES[self.size]
        return take_turns(lanes, rows, len(size.warm), size.in_a_row)


def inputs(cells):
    """An input for each cell to be tried; no key is in two of them."""
    sizes = [cell.sizes(SIZES[cell.size].tried) for cell in cells]
    rows = iter(batches(MIXES[cells[0].mix], sum(sizes, []), 1))
    return [list(itertools.islice(rows, len(some))) for some in sizes]


def spent_by(ways):
    """Nothing yet."""
    return {way: [] for way in ways}


def ways_of(cell):
    """The ways that can be tried."""
    return [name for name, way in WAYS.items()
            if cell.size in way.sizes and (way.always or FULL) and (name not in LIMIT or MIXES[cell.mix].new == 100)]


def try_all(tables, mix, sizes):
    """What each turn of each way has cost, by size of the batches; one table for each way."""
    cells = [Cell(mix, size) for size in sizes if SIZES[size].tried]
    tried = {cell.size: spent_by(ways_of(cell)) for cell in cells}
    ways = {way: None for cell in cells for way in tried[cell.size]}
    ways = random.Random(mix).sample(list(ways), len(ways))
    for start in range(0, len(ways), LANES):
        some = ways[start:start + LANES]
        with tables.lanes([WAYS[way] for way in some]) as lanes:
            for cell, rows in zip(cells, inputs(cells)):
                taking = [(way, lane) for way, lane in zip(some, lanes) if way in tried[cell.size]]
                costs = cell.measure([lane for _, lane in taking], rows)
                for (way, _), cost in zip(taking, costs):
                    tried[cell.size][way] += cost
    return tried


def meet(tables, cell, ways):
    """What each turn of some ways has cost, by way; fresh tables for them."""
    size, spent = SIZES[cell.size], spent_by(ways)
    for number in range(size.rounds):
        rows = batches(MIXES[cell.mix], cell.sizes(size.turns), number)
        for start in range(0, len(ways), size.room):
            some = ways[start:start + size.room]
            with tables.lanes([WAYS[way] for way in some]) as lanes:
                for way, cost in zip(some, cell.measure(lanes, rows)):
                    spent[way] += cost
    return spent


def best(spent, among, count=1):
    """The ways that have cost least."""
    return sorted((way for way in spent if way in among), key=lambda way: median(spent[way]))[:count]


def finalists(cell, tried):
    """The best of those that were tried, and those that there are targets for."""
    chosen = [way for way in LIMIT if way in tried]
    if cell.size >= 100:
        chosen.append('temporary')
    ours = best(tried, OURS, 2)
    theirs = [way for way in best(tried, HAND, LANES) if way not in chosen]
    return [*chosen, *theirs[:LANES - len(chosen) - len(ours)], *ours]


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
    """The figures of the finalists."""
    ours, = best(spent, OURS)
    theirs, = best(spent, HAND)
    figures = [paired(cell, spent, ours, theirs, BY_HAND)]
    if 'temporary' in spent and theirs != 'temporary':
        figures.append(paired(cell, spent, ours, 'temporary', TEMPORARY.get(cell)))
    figures += [paired(cell, spent, ours, limit, LIMITS.get(cell)) for limit in LIMIT if limit in spent]
    if cell in LOG:
        figures.append(logged(cell, spent, ours, 'temporary', at_most=LOG[cell]))
    return figures


def after_checkpoint(tables, cell, ours):
    """The log where each page is written as a whole when it is changed for the first time."""
    tables.log_images(True)
    spent = meet(tables, cell, [ours, 'temporary'])
    tables.log_images(False)
    return logged(cell, spent, ours, 'temporary', 'log after a checkpoint')


def survey(mix, spent):
    """All ways of one mix: rows in a second of the backend's processor time, and bytes of the log for each row."""
    lines = [f'{MIXES[mix].name}: thousands of rows a second (bytes of the log for each), by size of the batches', '',
             '| |' + ''.join(f' {size:,} |' for size in spent), '|---|' + '---:|' * len(spent)]
    for way in WAYS:
        cells = [f"{report.number(1000 / median(costs[way]))} ({median(costs[way], 'wal'):.0f})" if way in costs else ''
                 for costs in spent.values()]
        if any(cells):
            lines.append('| ' + ' | '.join([WAYS[way].name, *cells]) + ' |')
    return [*lines, '']


def measure(tables, mix, sizes):
    """The figures of one mix."""
    tried, figures = try_all(tables, mix, sizes), []
    for size in sizes:
        cell = Cell(mix, size)
        spent = meet(tables, cell, finalists(cell, tried.get(size, tried[10000])))
        figures += figures_of(cell, spent)
        if cell in LOG:
            figures.append(after_checkpoint(tables, cell, *best(spent, OURS)))
        tried[size] = {**tried.get(size, {}), **spent}
    return [*figures[:-1], figures[-1]._replace(notes=survey(mix, tried))]


def run(server):
    """Tries all ways with all kinds of input, and compares the best."""
    tables = Tables(server, 'upsert')
    try:
        return [figure for mix, sizes in CELLS.items() for figure in measure(tables, mix, sizes)]
    finally:
        tables.close()
