"""What a client gets to see of a statement, notices and all, and whether two of these are the same."""

from collections import namedtuple
import re

import psycopg2

from twin.compare import LOST

FIELDS = ('severity', 'message_primary', 'message_detail', 'message_hint', 'context', 'schema_name', 'table_name',
          'column_name', 'datatype_name', 'constraint_name')
OURS = re.compile(r'name "(.*)" of (primary key|(?:unique|foreign key|check|exclusion) constraint|index)'
                  r' on table "(.*)" does not follow the naming convention', re.DOTALL)
QUOTED = re.compile(r'"(?:[^"]|"")*"')
# CREATE INDEX IF NOT EXISTS whose name may have been cut: said in addition to what PostgreSQL says.
EXISTING = re.compile(r'index ".*" exists already, but not with these columns of table', re.DOTALL)
# Numbers of schemas and objects, which are each side's own.
NUMBERS = re.compile(r'(?<=pg_temp_)[0-9]+|\b[0-9]{5,}\b')
DATABASE = re.compile(r'\boracle_([0-9]+)')
REFUSED = '42602'


class Answer(namedtuple('Answer', 'tag sqlstate fields position notices')):
    """The answer to one statement."""

    @property
    def message(self):
        """The primary message."""
        return self.fields.get('message_primary') or ''

    def describe(self):
        """Some words about it."""
        notices = ''.join(f' [{notice.strip()}]' for notice in self.notices)
        if not self.sqlstate:
            return f'{self.tag}{notices}'
        more = ''.join(f' {name}: {self.fields[name]}' for name in FIELDS[2:] if self.fields.get(name))
        return f'ERROR {self.sqlstate}: {self.message}{more}{notices}'

    def refusal(self):
        """(name, what it is, table) if a naming convention is the reason of the error."""
        match = OURS.fullmatch(self.message) if self.sqlstate == REFUSED else None
        return match.groups() if match else None

    def skipped(self):
        """Whether nothing was made because something of that name was there."""
        return any('already exists, skipping' in notice for notice in self.notices)


def ask(session, sql):
    """Runs one statement."""
    cursor = session.cursor()
    session.notices.clear()
    try:
        cursor.execute(sql)
        return Answer(cursor.statusmessage, '', {}, None, list(session.notices))
    except psycopg2.Error as error:
        if session.closed or error.pgcode is None:
            return Answer('', LOST, {'message_primary': str(error).strip()}, None, [])
        fields = {name: getattr(error.diag, name) for name in FIELDS}
        return Answer('', error.pgcode, fields, error.diag.statement_position, list(session.notices))
    finally:
        cursor.close()


def split_notices(notices):
    """Warnings about names that do not conform as (name, what, table, notice), warnings after a rename, the rest."""
    warnings, renamed, rest = [], [], []
    for notice in notices:
        severity, _, text = notice.partition(':  ')
        match = OURS.match(text.split('\n')[0]) or OURS.match(text)
        if severity == 'WARNING' and match:
            warnings.append((*match.groups(), text))
        elif 'no longer follow' in text or 'naming_plan' in text:
            renamed.append(text)
        elif severity == 'WARNING' and EXISTING.match(text):
            continue
        else:
            rest.append(notice)
    return warnings, renamed, rest


def translate(text, names):
    """A text of the managed side with its names replaced by the plain side's."""
    if not text or not names:
        return text
    longest_first = sorted(names, key=len, reverse=True)
    return re.sub('|'.join(map(re.escape, longest_first)), lambda match: names[match.group()], text)


def blurred(text, names):
    """A text without any name, where a name may be one that was to be made."""
    return QUOTED.sub('"?"', translate(text, dict.fromkeys(names, '?'))) if text else text


def compare(plain, managed, names, loose, same_text):
    """Why two answers disagree, or an empty string.

    names leads from names of the managed side to those of the plain one; loose: the statement makes
    something unnamed, so that messages may have names that never came to be.
    """
    if LOST in (plain.sqlstate, managed.sqlstate):
        return LOST
    if plain.sqlstate != managed.sqlstate:
        return 'SQLSTATE'
    if plain.tag != managed.tag:
        return 'command tag'
    if same_text and plain.position != managed.position:
        return 'position'
    known = set(names) | set(names.values())
    for field in FIELDS:
        if differ(plain.fields.get(field), managed.fields.get(field), names, known, loose):
            return field
    if len(plain.notices) != len(managed.notices) or any(
            differ(one, other, names, known, loose) for one, other in zip(plain.notices, managed.notices)):
        return 'notices'
    return ''


def differ(one, other, names, known, loose):
    """Whether two texts differ in more than names."""
    if one == other or one == translate(other, names):
        return False
    if one is None or other is None:
        return True
    other = DATABASE.sub(r'oracle_plain_\1', other)
    one, other = NUMBERS.sub('', one), NUMBERS.sub('', other)
    if one == other:
        return False
    return blurred(one, known) != blurred(other, known) or not (loose or known)
