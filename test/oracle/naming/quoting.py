"""Names and strings as SQL."""

import re

SIMPLE = re.compile(r'[a-z_][a-z0-9_]*\Z')
RESERVED = {'unique', 'order', 'table', 'select', 'user', 'check', 'primary', 'end', 'all', 'key', 'default'}


def quote(name):
    """An identifier as SQL."""
    if SIMPLE.match(name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    """A string constant."""
    return "'" + text.replace("'", "''") + "'"
