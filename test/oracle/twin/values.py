"""Literals: random constants of a domain, and random rows."""

from .model import GROUPS, IDS, NAMES, ZONES

EMAILS = 90
BUCKETS = 40


def quote(text):
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def email(number):
    """The literal of one of the addresses that rows compete for."""
    return quote(f'm{number}@example.org')


def literal(rng, column):
    """A constant that is likely to occur in the column."""
    domain = column.domain or column.name
    if domain == 'id' or domain == 'ref':
        return str(rng.randint(1, IDS))
    if domain == 'grp':
        return str(rng.randrange(GROUPS))
    if domain == 'bucket':
        return str(rng.randrange(BUCKETS))
    if domain == 'email':
        return email(rng.randint(1, EMAILS))
    if domain == 'zone':
        return quote(rng.choice(ZONES))
    return constant(rng, column.type)


def constant(rng, kind):
    """A constant of a type."""
    if kind in ('int', 'bigint'):
        return str(rng.randint(0, 9))
    if kind == 'text':
        return quote(rng.choice(NAMES))
    if kind == 'bool':
        return rng.choice(('true', 'false'))
    if kind == 'numeric':
        return f'{rng.randint(0, 40) / 4:.2f}::numeric(8,2)'
    if kind == 'date':
        return f"'2024-01-{rng.randint(1, 9):02d}'::date"
    if kind == 'int[]':
        return "'{" + ','.join(str(rng.randrange(5)) for _ in range(rng.randrange(4))) + "}'::int[]"
    if kind == 'jsonb':
        return f"""'{{"a": {rng.randrange(5)}, "b": "{rng.choice(NAMES)}"}}'::jsonb"""
    if kind == 'timestamptz':
        return f"'2024-01-{rng.randint(1, 9):02d} 12:00:00+00'::timestamptz"
    if kind == 'timestamp':
        return f"'2024-01-{rng.randint(1, 9):02d} 12:00:00'::timestamp"
    raise ValueError(f'no constants of type {kind}')


def row(rng, columns, key, poison=None):
    """A new row as a dict of literals; generated columns and the marker are left to the server.

    poison is 0 in deleted rows and nowhere else, so that a condition which divides by it fails
    if it is ever evaluated on a row that ought to be invisible.
    """
    values = {}
    for column in columns:
        if column.generated or column.marker:
            continue
        if column.name == 'id':
            values['id'] = str(key)
        elif column.name == 'poison':
            if poison is not None:
                values['poison'] = str(poison)
        elif not column.not_null and rng.random() < 0.15:
            values[column.name] = 'NULL'
        else:
            values[column.name] = literal(rng, column)
    return values
