"""The summary that shows that the comparison was no empty one."""

from collections import Counter
import textwrap


def listed(title, counter):
    """A paragraph of name count pairs, most frequent first."""
    items = ', '.join(f'{name} {count}' for name, count in counter.most_common())
    return textwrap.fill(f'{title}: {items}', 118, subsequent_indent='  ', break_on_hyphens=False)


def share(part, whole):
    """A percentage."""
    return f'{100 * part / whole:.0f} %' if whole else '-'


def summary(result):
    """Statements of each kind, rows, errors and features, as text."""
    queries = Counter({kind: count for kind, count in result.statements.items()
                       if kind in ('select', 'set operation', 'with', 'recursive', 'whole table', 'union all', 'copy',
                                   'execute')})
    total, some = sum(queries.values()), sum(result.with_rows[kind] for kind in queries)
    statements = sum(result.statements.values())
    errors = sum(result.errors.values())
    lines = [
        '', f'{statements} statements on both sides, {result.rows} rows returned, {result.touched} rows written',
        f'{total} queries, {share(some, total)} of them returned rows; {errors} statements failed on both sides'
        f' ({share(errors, statements)}), {result.timeouts} left out after a time-out',
        listed('statements', result.statements),
        listed('returned or changed rows', result.with_rows),
        listed('agreed errors', Counter({f'{kind} {state}': count for (kind, state), count in result.errors.items()})),
        listed('features', result.seen), '',
    ]
    return '\n'.join(lines)
