"""A unit of work: two databases that are told the same, one of them with the extension, and a row of items.

An item is a transaction, or some statements without one.  After each statement the answers of both
sides and their catalogs are compared, and the names of what is new with the model's choice.
"""

import random

import psycopg2

from twin.compare import LOST, patient_connect
from twin.unit import Mismatch, Result

from . import audit, check
from .alterations import Alterations
from .answer import ask
from .catalog import Catalog, pair, QUERY
from .known import Known
from .model import judge_all
from .settings import Settings
from .quoting import quote
from .words import SCHEMAS

ITEMS = 14
ROUNDS = 12         # how often a statement is tried with the hint's name
PLAIN = 'oracle_plain_'
SIDES = ('plain', 'managed')
SETUP = ('CREATE FOREIGN DATA WRAPPER nowhere', 'CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere',
         'GRANT USAGE ON FOREIGN SERVER nowhere TO oracle_app')


class Unit:
    """Makes both databases empty and runs the items."""

    def __init__(self, kind, number, options, fault=None):
        self.kind = kind
        self.number = number
        self.options = options
        self.fault = fault
        self.result = Result()
        self.settings = None
        self.known = None
        self.sessions = {}          # by side
        self.history = []           # what the sides were told since the item began
        self.told = []              # and before
        self.operators = {}         # names by oid
        self.alike = True           # names are the same on both sides so far

    def random(self, *parts):
        """A generator that depends on the seed and the position alone."""
        return random.Random('/'.join(str(part) for part in (self.options.seed, self.kind, self.number, *parts)))

    def run(self, first, last):
        """Runs the items first..last; stops at the first mismatch, after which the sides would differ."""
        number = first
        try:
            self.build()
            for number in range(first, last):
                self.told, self.history = self.told + self.history, []
                self.item(number)
                self.result.passed += 1
            if self.config:
                self.told, self.history = self.told + self.history, []
                audit.Audit(self).run()
        except check.Diverged:
            self.result.seen['unit given up'] += 1
        except Mismatch as mismatch:
            self.fail(number, mismatch.args[0])
        except psycopg2.Error as error:
            self.fail(number, [f'{LOST}: {error}'])
        for session in self.sessions.values():
            session.close()
        return self.result

    def fail(self, number, lines):
        """Keeps a failure with all that is needed to repeat it."""
        repeat = (f'  repeat with: test/oracle/run --seed {self.options.seed}'
                  f' --repeat {self.kind}:{self.number}:{number}' + (' --plain' if self.options.plain else ''))
        before = ['  before:', *(f'  {sql};' for sql in self.told)] if self.options.verbose else []
        self.result.failures.append('\n'.join([
            f'MISMATCH in {self.kind}:{self.number}:{number}: {lines[0]}', f'  settings: {self.settings}', *before,
            '  item:', *[f'  {sql};' for sql in self.history], *lines[1:], repeat]))

    @property
    def config(self):
        """The conventions, if there are any on the managed side."""
        return None if self.options.plain else self.settings.config

    # Setting up

    def build(self):
        """Empties both databases and sets the conventions."""
        self.settings = Settings.choose(self.random('settings'))
        if self.fault:
            self.fault.prepare(self.settings)
        self.known = Known(self.settings.config, self.options.version)
        number = self.options.dsn.rsplit('_', 1)[1]
        plain = f"{self.options.dsn.rsplit(' ', 1)[0]} dbname={PLAIN}{number}"
        for side, dsn in zip(SIDES, (plain, self.options.dsn)):
            self.sessions[side] = patient_connect(dsn)
            self.sessions[side].autocommit = True
            self.empty(self.sessions[side].cursor())
        if self.fault:
            # What an earlier fault has left.
            self.sessions['managed'].cursor().execute(
                'DROP EXTENSION IF EXISTS orm_ext CASCADE; CREATE EXTENSION orm_ext')
        cursor = self.sessions['plain'].cursor()
        cursor.execute('SELECT oid::bigint, oprname::text FROM pg_operator')
        self.operators = dict(cursor.fetchall())
        if self.config:
            for sql in self.settings.statements():
                self.told.append(sql)
                self.sessions['managed'].cursor().execute(sql)
        if self.fault:
            for sql in self.fault.statements(self.settings):
                self.sessions['managed'].cursor().execute(sql)
        self.known.plain, self.known.managed = (self.look(side) for side in SIDES)
        for name in self.settings.seen():
            self.result.seen[name] += 1

    @staticmethod
    def empty(cursor):
        """Leaves two empty schemas and a foreign server."""
        cursor.execute("SET statement_timeout = '20s'; SET lock_timeout = '10s'; SET jit = off; SET TimeZone = 'UTC';"
                       ' SET client_min_messages = warning')
        cursor.execute("""SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
                          AND nspname NOT IN ('information_schema', 'orm_ext')""")
        for name, in cursor.fetchall():
            cursor.execute(f'DROP SCHEMA {quote(name)} CASCADE')
        cursor.execute("SELECT count(*) FROM pg_foreign_server WHERE srvname = 'nowhere'")
        if cursor.fetchone()[0] == 0:
            for sql in SETUP:
                cursor.execute(sql)
        one, two = SCHEMAS[:2]
        cursor.execute(f'CREATE SCHEMA {one}; CREATE SCHEMA {two}; GRANT USAGE, CREATE ON SCHEMA {two} TO oracle_app;'
                       f' SET search_path = {one}, {two}; SET client_min_messages = notice')

    def look(self, side):
        """A snapshot of a side's catalog."""
        cursor = self.sessions[side].cursor()
        cursor.execute(QUERY)
        return Catalog(self.operators, *cursor.fetchone())

    # Running

    def item(self, number):
        """Generates and runs one item."""
        rng, known = self.random(number), self.known
        known.rng, known.transaction = rng, rng.random() < 0.5
        generator = Alterations(rng, self.result.seen, known, number)
        generator.explicit = self.settings.explicit
        role, savepoints = rng.random() < 0.08, []
        if known.transaction:
            self.command('BEGIN')
        if role:
            self.command(f"SET {'LOCAL ' if known.transaction else ''}ROLE oracle_app")
            self.result.seen['as a role with few privileges'] += 1
            self.settle('after SET ROLE')
        for _ in range(rng.choice((1, 2, 3, 5))):
            if known.transaction and rng.random() < 0.2:
                self.savepoint(rng, savepoints)
            self.step(generator.statement())
        if known.transaction:
            self.command('COMMIT' if rng.random() < 0.85 else 'ROLLBACK')
        if role:
            self.command('RESET ROLE')
        known.transaction = False
        self.settle('at the end of the item')

    def savepoint(self, rng, savepoints):
        """SAVEPOINT or ROLLBACK TO."""
        if not savepoints or rng.random() < 0.5:
            savepoints.append(f's{len(savepoints)}')
            self.command(f'SAVEPOINT {savepoints[-1]}')
        else:
            self.command(f'ROLLBACK TO {savepoints[-1]}')
            self.settle('after ROLLBACK TO')

    def command(self, sql):
        """Runs what belongs to the frame, on both sides; it has to work."""
        self.history.append(sql)
        self.result.seen[sql.rstrip('0123456789')] += 1
        for side, session in self.sessions.items():
            answer = ask(session, sql)
            if answer.sqlstate:
                raise Mismatch(['a command of the frame failed', f'  {side}: {answer.describe()}'])

    def settle(self, when):
        """After a transaction or a part of it: what is there now."""
        plain, managed = (self.look(side) for side in SIDES)
        pairs, lines = pair(self.known.pairs, plain, managed)
        self.known.pairs.update(pairs)
        self.known.plain, self.known.managed = plain, managed
        check.catalogs(plain, managed, lines, self.settings, when)

    def tell(self, statement, side):
        """Runs a statement on one side, within a savepoint if there is a transaction."""
        session = self.sessions[side]
        if self.known.transaction:
            session.cursor().execute('SAVEPOINT guard')
        answer = ask(session, statement.sql(self.known.name_on(side == 'managed')))
        if self.known.transaction and answer.sqlstate != LOST:
            session.cursor().execute('ROLLBACK TO guard' if answer.sqlstate else 'RELEASE guard')
        return answer

    def is_comparable(self, statement):
        """Whether the names that a statement gives are as free on one side as on the other."""
        return all(self.known.occupants(named.thing.schema, named.name) for named in statement.named)

    def step(self, statement):
        """One statement on both sides, and all comparisons."""
        if not self.is_comparable(statement):
            self.result.seen['left out: name taken on one side'] += 1
            return
        managed, verdicts = self.managed(statement)
        if managed is None:
            self.result.seen['left out: hint taken on one side'] += 1
            return
        self.history.append(statement.sql(self.known.name_on(True)))
        plain = self.tell(statement, 'plain')
        if self.options.verbose:
            print(f'{self.history[-1]};\n    -- plain: {plain.describe()}\n    -- managed: {managed.describe()}',
                  flush=True)
        self.result.statements[statement.kind] += 1
        if plain.sqlstate:
            self.result.errors[self.kind, plain.sqlstate] += 1
        check.Check(self, statement, verdicts).run(plain, managed)

    def managed(self, statement):
        """The managed side's answer and the verdicts on the names, once the hints were followed.

        Where naming_check = error, a statement is refused for one name after the other.
        """
        for _ in range(ROUNDS):
            verdicts = judge_all(self.config, statement, self.known)
            answer = self.tell(statement, 'managed')
            refused = answer.refusal()
            if not refused:
                return answer, verdicts
            self.history.append(f'-- refused: {statement.sql(self.known.name_on(True))}')
            if self.settings.check != 'error':
                raise Mismatch(['refused without naming_check = error', f'  {answer.describe()}'])
            verdict = next((one for one in verdicts if one.conforms is not True and one.text == refused), None)
            if not verdict:
                raise Mismatch(['a name was refused that conforms', f'  {answer.describe()}'])
            check.hint(verdict, answer.fields['message_hint'], answer.fields['message_detail'])
            self.result.seen['refused, then with the name of the hint'] += 1
            verdict.named.text = check.hinted_name(verdict, answer.fields['message_hint'])
            if not self.is_comparable(statement):
                return None, verdicts
        raise Mismatch(['refused again and again', f'  {answer.describe()}'])
