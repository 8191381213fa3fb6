"""Plays what clients send, as transcripts of psql in two sessions.

usage: python3 test/orm/statements [CLIENT...]

Each CLIENT.md shows the statements of a client that is not run here itself.
Its blocks fenced as sql are transcripts.  The first one, before any heading,
makes the tables; it is run on an empty schema before each of the others.
Every heading is a test:

  one=# SELECT 1;           a statement to the first session, up to a semicolon
  1                         and everything that psql -tA prints to it
  two=# UPDATE ...;         a second session
  (waits)                   ... which has to wait for a lock
  one=# COMMIT;
  COMMIT
  two:                      what the statement that waited has to print then
  UPDATE 0

Errors and warnings show their SQLSTATE only.  A heading that ends in
"(from PostgreSQL 17)" is left out on older servers.

CLIENT can also be readme: the declarations that doc/orms.md recommends.
"""

import pathlib
import re
import subprocess
import sys
import time

import readme

DATABASE = 'statements_managed'
PSQL = ['stdbuf', '-oL', 'psql', '-XtA', '--dbname', DATABASE]
END = '-- end of answer --'
WAITS = '(waits)'
LONGEST_WAIT = 20  # seconds


class Session:
    """A psql that is fed statement by statement."""

    def __init__(self):
        self.psql = subprocess.Popen(
            PSQL, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.send('\\set VERBOSITY sqlstate')
        self.answer()
        self.send('SELECT pg_backend_pid();')
        self.pid, = self.answer()

    def send(self, statement):
        self.psql.stdin.write('%s\n\\echo %s\n' % (statement, END))
        self.psql.stdin.flush()

    def answer(self):
        lines = []
        for line in self.psql.stdout:
            line = line.rstrip('\n')
            if line == END:
                return lines
            lines.append(line)
        raise EOFError('psql ended: %s' % lines)

    def waits(self, observer):
        """Whether the session comes to wait for a lock."""
        for _ in range(LONGEST_WAIT * 100):
            observer.send("SELECT coalesce(wait_event_type, '')"
                          ' FROM pg_stat_activity WHERE pid = %s;' % self.pid)
            if observer.answer() == ['Lock']:
                return True
            time.sleep(0.01)
        return False

    def close(self):
        self.psql.kill()
        self.psql.wait()
        self.psql.stdin.close()
        self.psql.stdout.close()


def tests_of(path):
    """Yields (title, lines of the transcript); the first has no title."""
    title, lines, inside = None, [], False
    for line in path.read_text().splitlines():
        if inside:
            inside = line != '```'
            if inside:
                lines.append(line)
        elif line == '```sql':
            inside = True
        elif line.startswith('## '):
            yield title, lines
            title, lines = line[3:], []
    yield title, lines


def read(folder, name):
    if name == 'readme':
        return [(None, [])] + [(client, readme.transcript(calls))
                               for client, calls in readme.recommended()]
    return tests_of(folder / (name + '.md'))


def steps_of(lines):
    """Yields [session, statement or None, expected lines]."""
    step, is_open = None, False
    for line in lines:
        prompt = re.match(r'(one|two)(?:=# (.*)|:)$', line)
        if is_open:
            step[1] += '\n' + line
            is_open = not line.endswith(';')
        elif prompt:
            if step:
                yield step
            step = [prompt[1], prompt[2], []]
            is_open = bool(prompt[2]) and not prompt[2].endswith(';')
        elif line and not line.startswith('--'):
            step[2].append(line)
    if step:
        yield step


def play(lines, observer):
    """Returns None, or what was wrong."""
    sessions = {'one': Session(), 'two': Session()}
    try:
        for name, statement, expected in steps_of(lines):
            session = sessions[name]
            if statement:
                session.send(statement)
            if expected == [WAITS]:
                if not session.waits(observer):
                    return 'this does not wait:\n%s' % statement
                continue
            answer = session.answer()
            if answer != expected:
                return '%s=# %s\nexpected:\n  %s\ngot:\n  %s' % (
                    name, statement or '(what waited)',
                    '\n  '.join(expected), '\n  '.join(answer))
    finally:
        for session in sessions.values():
            session.close()


def set_up(script):
    subprocess.run(
        PSQL + ['--quiet', '--set', 'ON_ERROR_STOP=1'], check=True, text=True,
        input='SET client_min_messages = warning;'
              'DROP SCHEMA public CASCADE; CREATE SCHEMA public;' + script)


def is_for(title, major):
    since = re.search(r'\(from PostgreSQL (\d+)\)$', title)
    return not since or int(since[1]) <= major


def main():
    folder = pathlib.Path(__file__).parent
    names = sys.argv[1:] or sorted(
        path.stem for path in folder.glob('*.md')) + ['readme']
    passed = failed = 0
    observer = Session()
    observer.send('SHOW server_version_num;')
    major = int(observer.answer()[0]) // 10000
    for name in names:
        (_, script), *tests = read(folder, name)
        if not tests:
            failed += 1
            print('not ok - %s: there is nothing to run' % name)
        for title, lines in tests:
            if not is_for(title, major):
                print('skip - %s: %s' % (name, title))
                continue
            try:
                set_up('\n'.join(script))
                complaint = play(lines, observer)
            except (subprocess.CalledProcessError, EOFError) as error:
                complaint = str(error)
            if complaint:
                failed += 1
                print('not ok - %s: %s' % (name, title))
                print('\n'.join('# ' + line for line in complaint.split('\n')))
            else:
                passed += 1
                print('ok - %s: %s' % (name, title))
    observer.close()
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
