"""A unit of work: two databases that are told the same, one of them with the extension, and a row of items.

An item is a transaction, or some statements without one.  After each statement the answers of both
sides and their catalogs are compared, and the names of what is new with the model's choice.
"""

import random

import psycopg2
from psycopg2 import extensions

from twin.compare import LOST, patient_connect, TEXT_OIDS
from twin.unit import Mismatch, Result

from .alterations import Alterations
from .answer import ask, compare, split_notices
from .catalog import Catalog, pair, QUERY, relation_rows
from .known import Known
from .model import judge_all, origin, possible_names, source, Told
from .settings import Settings
from .statement import quote
from .words import SCHEMAS
from . import audit, follow

ITEMS = 14
ROUNDS = 8          # how often a statement is tried with the hint's name
PLAIN = 'oracle_plain_'
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
        self.sides = {}             # plain and managed → session
        self.history = []
        self.told = []              # all that was said before the item

    def random(self, *parts):
        """A generator that depends on the seed and the position alone."""
        return random.Random('/'.join(str(part) for part in (self.options.seed, self.kind, self.number, *parts)))

    def run(self, first, last):
        """Runs the items first..last; stops at the first mismatch, after which the sides would differ."""
        number = 0
        try:
            self.build()
            for number in range(first, last):
                self.history = []
                self.item(number)
                self.result.passed += 1
                self.told += self.history
            self.history = []
            number = last
            if not self.options.plain:
                audit.Audit(self).run()
        except Mismatch as mismatch:
            self.fail(number, mismatch.args[0])
        except psycopg2.Error as error:
            self.fail(number, [f'{LOST}: {error}'])
        for session in self.sides.values():
            session.close()
        return self.result

    def fail(self, number, lines):
        """Keeps a failure with all that is needed to repeat it."""
        repeat = (f'  repeat with: test/oracle/run --seed {self.options.seed}'
                  f' --repeat {self.kind}:{self.number}:{number}' + (' --plain' if self.options.plain else ''))
        before = [f'  {sql};' for sql in self.told] if self.options.verbose else []
        self.result.failures.append('\n'.join([
            f'MISMATCH in {self.kind}:{self.number}:{number}: {lines[0]}', f'  settings: {self.settings}', *before,
            '  item:', *[f'  {sql};' for sql in self.history], *lines[1:], repeat]))

    # Setting up

    def build(self):
        """Empties both databases and sets the conventions."""
        rng = self.random('settings')
        self.settings = Settings.choose(rng, self.options, self.fault)
        self.known = Known(self.settings.config)
        self.connect()
        for side in ('plain', 'managed'):
            cursor = self.sides[side].cursor()
            cursor.execute("""SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
                              AND nspname NOT IN ('information_schema', 'orm_ext')""")
            for name, in cursor.fetchall():
                cursor.execute(f'DROP SCHEMA {quote(name)} CASCADE')
            cursor.execute("SELECT count(*) FROM pg_foreign_server WHERE srvname = 'nowhere'")
            if cursor.fetchone()[0] == 0:
                for sql in SETUP:
                    cursor.execute(sql)
            cursor.execute(f'CREATE SCHEMA {SCHEMAS[0]}')
            cursor.execute(f'CREATE SCHEMA {SCHEMAS[1]}; GRANT USAGE, CREATE ON SCHEMA {SCHEMAS[1]} TO oracle_app')
            cursor.execute(f'SET search_path = {SCHEMAS[0]}, {SCHEMAS[1]}')
        if not self.options.plain:
            for sql in self.settings.statements():
                self.told.append(sql)
                self.sides['managed'].cursor().execute(sql)
            if self.fault:
                self.fault.plant(self)
        self.known.plain, self.known.managed = self.look('plain'), self.look('managed')
        for name in self.settings.seen():
            self.result.seen[name] += 1

    def connect(self):
        """A session on each side."""
        managed = self.options.dsn
        number = managed.rsplit('_', 1)[1]
        plain = managed.rsplit(' ', 1)[0] + f' dbname={PLAIN}{number}'
        for side, dsn in (('plain', plain), ('managed', managed)):
            session = patient_connect(dsn)
            session.autocommit = True
            extensions.register_type(extensions.new_type(TEXT_OIDS[:-1], 'AS_PRINTED', lambda value, cursor: value)
                                     if False else extensions.JSON, session)
            session.cursor().execute("SET statement_timeout = '20s'; SET lock_timeout = '10s'; SET jit = off;"
                                     " SET TimeZone = 'UTC'")
            self.sides[side] = session

    def look(self, side):
        """A snapshot of a side's catalog."""
        cursor = self.sides[side].cursor()
        cursor.execute(QUERY)
        return Catalog(*cursor.fetchone())

    # Running

    def item(self, number):
        """Generates and runs one item."""
        rng, known = self.random(number), self.known
        known.rng, known.transaction = rng, rng.random() < 0.5
        generator = Alterations(rng, self.result.seen, known, number)
        generator.explicit = self.settings.explicit
        role = rng.random() < 0.08
        if known.transaction:
            self.command('BEGIN')
        if role:
            self.command(f"SET {'LOCAL ' if known.transaction else ''}ROLE oracle_app")
            self.result.seen['as a role with few privileges'] += 1
        savepoints = []
        for _ in range(rng.choice((1, 2, 3, 5))):
            if known.transaction and rng.random() < 0.2:
                self.savepoint(rng, savepoints)
            self.step(generator.statement())
        if known.transaction:
            commit = rng.random() < 0.85
            self.command('COMMIT' if commit else 'ROLLBACK')
            self.result.seen['commit' if commit else 'rollback'] += 1
        if role:
            self.command('RESET ROLE')
        known.transaction = False
        self.settle('the end of the item', savepoints[0][1] if savepoints else None)

    def savepoint(self, rng, savepoints):
        """SAVEPOINT or ROLLBACK TO."""
        if not savepoints or rng.random() < 0.5:
            savepoints.append((f's{len(savepoints)}', dict(self.known.pairs)))
            self.command(f'SAVEPOINT {savepoints[-1][0]}')
        else:
            name, pairs = savepoints[-1]
            self.command(f'ROLLBACK TO {name}')
            self.settle('ROLLBACK TO', pairs)
            self.result.seen['rollback to'] += 1

    def command(self, sql):
        """Runs what belongs to the frame, on both sides; it has to work."""
        self.history.append(sql)
        for side, session in self.sides.items():
            answer = ask(session, sql)
            if answer.sqlstate:
                raise Mismatch(['a command of the frame failed', f'  {side}: {answer.describe()}'])

    def settle(self, when, more=None):
        """After something was rolled back: objects that were known earlier may be back."""
        plain, managed = self.look('plain'), self.look('managed')
        pairs, lines = pair({**(more or {}), **self.known.pairs}, plain, managed)
        self.compare_catalogs(plain, managed, lines, when)
        self.known.plain, self.known.managed, self.known.pairs = plain, managed, pairs

    def sql(self, statement, managed):
        """A statement's text for a side."""
        return statement.sql(self.known.name_on(managed))

    def step(self, statement):
        """One statement on both sides, and all comparisons."""
        known, settings = self.known, self.settings
        if not settings.strict and not all(known.occupants(named.thing.schema, named.name)
                                           for named in statement.named):
            self.result.seen['left out: name taken on one side'] += 1
            return
        if settings.check == 'error' and statement.named and not self.conform(statement):
            return
        verdicts = judge_all(self.config, statement, known.managed)
        self.history.append(self.sql(statement, True))
        answers = {}
        for side, session in self.sides.items():
            self.guard('SAVEPOINT guard')
            answers[side] = ask(session, self.sql(statement, side == 'managed'))
            self.guard('ROLLBACK TO guard' if answers[side].sqlstate else 'RELEASE guard', side)
        if self.options.verbose:
            print(f"{self.history[-1]};\n    -- plain: {answers['plain'].describe()}\n"
                  f"    -- managed: {answers['managed'].describe()}", flush=True)
        self.result.statements[statement.kind] += 1
        self.verify(statement, answers['plain'], answers['managed'], verdicts)

    @property
    def config(self):
        """The conventions, if there are any on the managed side."""
        return None if self.options.plain else self.settings.config

    def guard(self, sql, side=None):
        """A savepoint around a statement within a transaction."""
        if self.known.transaction:
            for name in (side,) if side else self.sides:
                if not side and name == 'managed' and False:
                    continue
                self.sides[name].cursor().execute(sql)
