"""Tries the declarations that the table of doc/orms.md recommends."""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[3] / 'doc' / 'orms.md'
CALL = r'`(?:orm_ext\.)?((?:stamp|version|timestamps)\(.*?\))`'
POSITIONS = {'stamp': [], 'version': ['version'],
             'timestamps': ['created', 'updated']}


def recommended():
    """Yields (ORM, declarations) of each row that shows some."""
    inside = False
    for line in PAGE.read_text().splitlines():
        if not line.startswith('|'):
            inside = False
        elif 'what to declare' in line:
            inside = True
        elif inside:
            cells = re.split(r'(?<!\\)\|', line)
            calls = re.findall(CALL, cells[2])
            if calls:
                yield cells[1].strip(), calls


def options_of(call):
    """The columns and options of a declaration."""
    name, arguments = call.split('(')
    options = re.findall(r"'([^']*)'", arguments)
    named = dict(zip(POSITIONS[name], options))
    named.update(option.split('=') for option in options if '=' in option)
    return named


def transcript(calls):
    """A test as in the other files: declare, insert, update, look."""
    named = {}
    for call in calls:
        named.update(options_of(call))
    time = 'timestamp' if named.get('zone') == 'utc' else 'timestamptz'
    columns = ['id int PRIMARY KEY', 'body text']
    for key, column in named.items():
        if key in ('version', 'created', 'updated'):
            columns.append('"%s" %s' % (
                column, 'int' if key == 'version' else time))
        elif key == 'ignore':
            columns.extend('"%s" int' % name for name in column.split(','))
    version = '"%s"' % named['version']
    listed = ', %s = 1' % version if named.get('mode') == 'echo' else ''
    moved = '"%s" > "%s"' % (named['updated'], named['created']) \
        if 'created' in named else 'true'
    triggers = [
        ['one=# CREATE TRIGGER zz_stamp_%d BEFORE INSERT OR UPDATE ON t'
         ' FOR EACH ROW EXECUTE FUNCTION orm_ext.%s;' % (number, call),
         'CREATE TRIGGER'] for number, call in enumerate(calls)]
    return [
        'one=# CREATE TABLE t (%s);' % ', '.join(columns), 'CREATE TABLE',
        *[line for lines in triggers for line in lines],
        "one=# INSERT INTO t (id, body) VALUES (1, 'a') RETURNING %s;"
        % version, '1', 'INSERT 0 1',
        "one=# UPDATE t SET body = 'b'%s RETURNING %s, %s;" % (
            listed, version, moved), '2|t', 'UPDATE 1',
        "two=# UPDATE t SET body = 'c' WHERE id = 1 AND %s = 1;" % version,
        'UPDATE 0']
