"""Figures and the table of them."""

import statistics
from typing import NamedTuple, Optional


class Figure(NamedTuple):
    """One line of the table."""
    name: str
    against: str                # what it is compared with
    ours: str
    theirs: str
    ratio: str
    target: str
    passed: Optional[bool]      # None where there is no target
    notes: list = []            # lines below the table


def number(value):
    """A measured value with three or more digits that mean something."""
    return f'{value:,.0f}' if value >= 1000 else f'{value:.3g}'


def measured(name, against, unit, ours, theirs, at_most=None):
    """A figure that is the better the smaller it is."""
    ratio = ours / theirs
    target = '' if at_most is None else f'{at_most:.2f}'
    return Figure(name, against, f'{number(ours)} {unit}', f'{number(theirs)} {unit}', f'{ratio:.3f}', target,
                  None if at_most is None else ratio <= at_most)


def timed(name, against, ours, theirs, at_most=None):
    """A figure in milliseconds: of many pairs of neighbours in time, the one whose ratio is the median."""
    pairs = sorted(zip(ours, theirs), key=lambda pair: pair[0] / pair[1])
    return measured(name, against, 'ms', *pairs[len(pairs) // 2], at_most)


def added(name, against, ours, theirs, without, at_most=None):
    """A figure in milliseconds on top of those of a neighbour in time; medians of the differences."""
    ours, theirs = (statistics.median(time - base for time, base in zip(times, without)) for times in (ours, theirs))
    return measured(name, against, 'ms', ours, theirs, at_most)


def counted(name, against, ours, theirs, at_most=None):
    """A figure in instructions."""
    return measured(name, against, 'instr.', ours, theirs, at_most)


def table(figures):
    """All figures as a Markdown table, and their notes."""
    rows = [('what', 'compared with', 'ratio', 'at most', '', 'orm_ext', 'the other')]
    for figure in figures:
        verdict = {True: 'ok', False: '**missed**', None: ''}[figure.passed]
        rows.append((figure.name, figure.against, figure.ratio, figure.target, verdict, figure.ours, figure.theirs))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = [str.ljust, str.ljust, str.rjust, str.rjust, str.ljust, str.rjust, str.rjust]

    def line(row):
        return '| ' + ' | '.join(align(cell, width) for align, cell, width in zip(aligned, row, widths)) + ' |'

    rule = '|' + '|'.join('-' * (width + 1) + (':' if align is str.rjust else '-')
                          for align, width in zip(aligned, widths)) + '|'
    notes = [note for figure in figures for note in figure.notes]
    return '\n'.join([line(rows[0]), rule, *map(line, rows[1:]), *([''] if notes else []), *notes])
