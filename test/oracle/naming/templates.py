"""The rules for names, written down independently of the extension: templates, cutting, conformity.

A name is a list of parts: text, and whether the text comes from a token, so that it may be cut.
"""

from dataclasses import dataclass, replace
import hashlib
import re

from .quoting import quote

LIMIT = 63      # bytes
KINDS = ('pk', 'uq', 'fk', 'ck', 'ix', 'ex')
TOKEN = re.compile(r'%(?:%|\((\w+)\)s)')
COLUMNS = re.compile(r'(referred_)?column_(\d+)(N|_N)?_(name|key|label)')
DIGITS = re.compile(r'[0-9]+\Z')

FIRST_COLUMN = {
    'pk': '%(table_name)s_pkey',
    'uq': '%(table_name)s_%(column_0_name)s_key',
    'fk': '%(table_name)s_%(column_0_name)s_fkey',
    'ck': '%(table_name)s_%(constraint_name)s_check',
    'ix': '%(column_0_label)s_idx',
    'ex': '%(table_name)s_%(column_0_N_name)s_excl',
}
ALL_COLUMNS = {
    **FIRST_COLUMN,
    'uq': '%(table_name)s_%(column_0_N_name)s_key',
    'fk': '%(table_name)s_%(column_0_N_name)s_fkey',
    'ix': '%(table_name)s_%(column_0_N_name)s_idx',
}
NONE = dict.fromkeys(KINDS)
PRESETS = {'first_column': FIRST_COLUMN, 'all_columns': ALL_COLUMNS, 'none': NONE}


@dataclass(frozen=True)
class Thing:
    """A constraint or an index that has a name or gets one."""

    kind: str
    schema: str
    table: str
    columns: tuple = ()
    constraint_name: str = None
    referred: str = None            # the table that a foreign key refers to
    referred_columns: tuple = ()
    unique: bool = False            # a unique index without a constraint
    native: tuple = ()              # the columns' names as PostgreSQL's own chooser has them

    def but(self, **changes):
        """The same with something changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Rule:
    """A row of orm_ext.naming_template."""

    template: str
    overflow: str = 'sqlalchemy'
    schema_in_label: bool = False


class Config:
    """The rows of orm_ext.naming_template, and one of orm_ext.naming_exemption."""

    def __init__(self, rows=None, exempt=None):
        self.rows = rows or {}      # (schema or None, kind) → Rule
        self.exempt = exempt        # a regular expression that identities are matched against

    def rule(self, schema, kind):
        """The rule for a kind in a schema."""
        default = Rule(FIRST_COLUMN[kind])
        return self.rows.get((schema, kind), self.rows.get((None, kind), default))


    def is_exempt(self, thing, name):
        """Whether a name is left alone."""
        return bool(self.exempt and re.search(self.exempt, '.'.join(map(quote, (thing.schema, thing.table, name)))))


def size(text):
    """Length in bytes."""
    return len(text.encode())


def clip(text, limit):
    """The beginning of a text, of that many bytes at most, without a broken character."""
    return text.encode()[:max(limit, 0)].decode(errors='ignore')


# Expanding

def expand(rule, thing):
    """The parts of the name that a template gives; None where it needs a name that is not there."""
    parts, end = [], 0
    for match in TOKEN.finditer(rule.template):
        if match.start() > end:
            parts.append((rule.template[end:match.start()], False))
        end = match.end()
        if match.group() == '%%':
            parts.append(('%', False))
            continue
        found = token(match.group(1), rule, thing)
        if found is None:
            return None
        parts += found
    if end < len(rule.template):
        parts.append((rule.template[end:], False))
    return parts


def token(name, rule, thing):
    """The parts that a token stands for."""
    if name == 'table_name':
        return [(thing.table, True)]
    if name == 'referred_table_name':
        return [(thing.referred or '', True)]
    if name == 'constraint_name':
        return None if thing.constraint_name is None else [(thing.constraint_name, True)]
    referred, position, form, what = COLUMNS.fullmatch(name).groups()
    columns = thing.referred_columns if referred else thing.columns
    if not form:
        columns = columns[int(position):int(position) + 1]
    joint = '_' if form == '_N' else ''
    if what != 'label':
        return [(joint.join(columns), True)]
    parts = []
    for number, column in enumerate(columns):
        parts += [(joint, False)] * bool(number) + label(rule, thing, column)
    return parts


def label(rule, thing, column):
    """Schema, table and column, each of which may be cut."""
    schema = [(thing.schema.replace('.', '_'), True), ('_', False)] if rule.schema_in_label else []
    return [*schema, (thing.table, True), ('_', False), (column, True)]


def whole(parts):
    """The name before it is cut."""
    return ''.join(text for text, _ in parts)


# Cutting

def cut(parts, overflow, digits=''):
    """A name of at most 63 bytes, with digits behind it."""
    if overflow == 'postgres':
        return cut_postgres(parts, digits)
    name = cut_sqlalchemy(whole(parts))
    return clip(name, LIMIT - len(digits)) + digits


def cut_sqlalchemy(name):
    """The first 55 bytes and a piece of the hash."""
    if size(name) <= LIMIT:
        return name
    return f'{clip(name, 55)}_{hashlib.md5(name.encode()).hexdigest()[-4:]}'


def sizes_postgres(parts, digits):
    """How much of each part that comes from a token remains: the longest gets shorter until all fits.

    Of equals it is the last one.
    """
    available = LIMIT - len(digits) - sum(size(text) for text, variable in parts if not variable)
    sizes = [size(text) for text, variable in parts if variable]
    while sizes and sum(sizes) > max(available, 0):
        longest = max(sizes)
        sizes[len(sizes) - 1 - sizes[::-1].index(longest)] -= 1
    return sizes


def cut_postgres(parts, digits=''):
    """Cuts where makeObjectName() does."""
    rest = iter(sizes_postgres(parts, digits))
    return clip(''.join(clip(text, next(rest)) if variable else text for text, variable in parts),
                LIMIT - len(digits)) + digits


def numbered(parts, overflow, is_free):
    """The first free one among name, name1, name2 and so on."""
    number = 0
    while True:
        name = cut(parts, overflow, str(number or ''))
        if is_free(name):
            return name
        number += 1


# PostgreSQL's own names

SUFFIXES = {'pk': 'pkey', 'uq': 'key', 'fk': 'fkey', 'ck': 'check', 'ix': 'idx', 'ex': 'excl', 'nn': 'not_null'}


def native(thing):
    """The parts of the name that PostgreSQL would choose."""
    parts = [(thing.table, True)]
    columns = thing.native if thing.kind != 'ck' or len(thing.native) == 1 else ()
    if thing.kind != 'pk' and columns:
        parts += [('_', False), ('_'.join(columns), True)]
    return [*parts, (f'_{SUFFIXES[thing.kind]}', False)]


# Choosing and judging

def choice(config, thing):
    """(parts, overflow) of the name of something unnamed."""
    rule = config.rule(thing.schema, thing.kind)
    own = native(thing), 'postgres'
    if rule.template is None or thing.kind == 'ix' and not thing.columns:
        return own
    if thing.kind == 'ck' and len(thing.columns) == 1:
        thing = thing.but(constraint_name=thing.columns[0])
    elif thing.kind == 'ck' and wants_name(rule.template):
        return own
    parts = expand(rule, thing)
    return (parts, rule.overflow) if parts is not None else own


def wants_name(template):
    """Whether a template has the token constraint_name."""
    return 'constraint_name' in (match.group(1) for match in TOKEN.finditer(template))


def expected(config, thing, name):
    """(parts, overflow) of what a name ought to be; None where there is no convention."""
    rule = config.rule(thing.schema, thing.kind)
    if rule.template is None:
        return None
    parts = expand(rule, thing.but(constraint_name=core(thing, name)))
    return parts, rule.overflow


def core(thing, name):
    """A name without what conventions have put around it; what ends in a CHECK's only column is that column."""
    for beginning in ('ck_', 'chk_', f'{thing.table}_'):
        if name.startswith(beginning) and name != beginning:
            name = name[len(beginning):]
    for ending in ('_check', '_chk', '_ck'):
        name = re.sub(f'(?s)(.){ending}[0-9]*\\Z', r'\1', name)
    column = thing.columns[0] if thing.kind == 'ck' and len(thing.columns) == 1 else name
    return column if name.endswith(f'_{column}') and name != f'_{column}' else name


def conforms(config, thing, name, others=()):
    """Whether a name follows the convention; None where the contract leaves it open.

    others are names of CHECK constraints of other tables.
    """
    rule = config.rule(thing.schema, thing.kind)
    verdict = follows(rule, thing, name)
    if not verdict and thing.kind == 'ix' and thing.unique:
        verdict = either(verdict, follows(config.rule(thing.schema, 'uq'), thing.but(kind='uq'), name))
    if not verdict and thing.kind == 'ck':
        if name in others or wants_name(rule.template) and numbers(native(thing.but(native=())), name):
            return True
    return verdict


def either(one, other):
    """Three-valued or."""
    if one or other:
        return True
    return None if one is None or other is None else False


def follows(rule, thing, name):
    """Whether a name follows one template."""
    if rule.template is None or thing.kind == 'ix' and not thing.columns:
        return True
    if wants_name(rule.template):
        return follows_open(rule, thing, name)
    return numbers(expand(rule, thing), name)


def numbers(parts, name):
    """Whether a name is the expected one in either rule, perhaps with digits."""
    return any(name == cut(parts, overflow, digits) for overflow in ('sqlalchemy', 'postgres')
               for digits in endings(name))


def follows_open(rule, thing, name):
    """Whether a name follows a template that takes any constraint_name; None where it nearly may."""
    parts = expand(rule, thing.but(constraint_name='\0'))
    for digits in endings(name):
        core_name = name[:len(name) - len(digits)]
        pattern = ''.join('.+' if text == '\0' else re.escape(text) for text, _ in parts)
        if re.fullmatch(pattern, core_name, re.DOTALL):
            return True
        before = whole(parts).partition('\0')[0]
        match = re.fullmatch('(.*)_[0-9a-f]{4}', core_name, re.DOTALL)
        if match and 52 <= size(match[1]) <= 55 and (match[1].startswith(before) or before.startswith(match[1])):
            return True
        if any(is_cut_like(parts, length, name, digits) for length in range(1, LIMIT + 1)):
            return True
    return None if size(name) >= 58 else False


def is_cut_like(parts, length, name, digits):
    """Whether PostgreSQL's rule can give a name from a constraint_name of so many bytes."""
    filled = [('c' * length if text == '\0' else text, variable) for text, variable in parts]
    if size(whole(filled)) + len(digits) <= LIMIT:
        return False
    before, after, room, shares = '', '', 0, iter(sizes_postgres(filled, digits))
    for text, variable in parts:
        kept = clip(text, next(shares)) if variable and text != '\0' else text
        if text == '\0':
            room = next(shares)
        elif room:
            after += kept
        else:
            before += kept
    after += digits
    middle = size(name) - size(before) - size(after)
    return name.startswith(before) and name.endswith(after) and max(room - 3, 1) <= middle <= room


def endings(name):
    """The digits that may have been added to a name."""
    tail = DIGITS.search(name)
    digits = [name[position:] for position in range(tail.start(), len(name))] if tail else []
    return ['', *(text for text in digits if not text.startswith('0'))]
