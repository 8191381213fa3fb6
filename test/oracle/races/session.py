"""Two sessions and an onlooker, who can tell when one of them waits for the other."""

import time

import psycopg2

from twin.compare import connect

POLL = 0.001
PATIENCE = 20               # seconds that a statement may run without waiting for the other session


class Stuck(Exception):
    """A statement neither ends nor waits for the other session."""


class Session:
    """A connection that does not wait for the answers to what it asks."""

    def __init__(self, dsn, schema):
        connect(dsn, schema).close()    # waits for a server that recovers
        self.connection = psycopg2.connect(dsn, async_=True)
        self.wait()
        self.cursor = self.connection.cursor()
        self.run(f"SET search_path = {schema}; SET TimeZone = 'UTC'; SET client_min_messages = error; SET jit = off;"
                 " SET deadlock_timeout = '1h'")
        self.run('SELECT pg_backend_pid()')
        self.pid = self.cursor.fetchone()[0]
        self.answer = ''

    def wait(self):
        """Waits for the end of what is going on."""
        end = time.time() + PATIENCE
        while self.connection.poll() != psycopg2.extensions.POLL_OK:
            if time.time() > end:
                raise Stuck
            time.sleep(POLL)

    def run(self, sql):
        """A statement that has to work, at once."""
        self.cursor.execute(sql)
        self.wait()

    def send(self, sql):
        """Begins a statement."""
        self.answer = None
        self.cursor.execute(sql)

    def is_done(self):
        """Has the statement ended?  Its answer stands in self.answer then."""
        if self.answer is not None:
            return True
        try:
            if self.connection.poll() != psycopg2.extensions.POLL_OK:
                return False
            # The count alone: an UPDATE may stand for a DELETE or an INSERT.
            self.answer = 'rows ' + self.cursor.statusmessage.split()[-1]
        except psycopg2.Error as error:
            if error.pgcode is None:
                raise
            self.answer = f'ERROR {error.pgcode}'
        return True


class Pair:
    """Both sessions of a side."""

    def __init__(self, dsn, schema):
        self.schema = schema
        self.sessions = [Session(dsn, schema) for _ in (0, 1)]
        self.onlooker = connect(dsn, schema).cursor()
        self.events = []

    def close(self):
        """Ends all three."""
        for session in self.sessions:
            session.connection.close()
        self.onlooker.connection.close()

    def waits(self, number):
        """Does a session wait for a lock of the other one?"""
        self.onlooker.execute('SELECT %s = ANY (pg_blocking_pids(%s))',
                              (self.sessions[1 - number].pid, self.sessions[number].pid))
        return self.onlooker.fetchone()[0] in (True, 't')

    def settle(self, number):
        """Waits until a session's statement has ended (True) or waits for the other one (False)."""
        session, end = self.sessions[number], time.time() + PATIENCE
        for look in range(10 ** 9):
            if session.is_done():
                return True
            # A lock is taken and given back within the twinkling of an eye; most statements are as quick.
            if look > 2 and self.waits(number) and not session.is_done() and self.waits(number):
                return session.is_done()
            if time.time() > end:
                raise Stuck
            time.sleep(POLL)
        return False

    def play(self, steps):
        """Runs the steps as their order and their waiting allow; returns what happened, in words."""
        self.events = []
        queues, waiting = [[], []], None
        for step in [*steps, None]:
            if step is not None:
                queues[step.session].append(step)
            for number in (0, 1):
                while queues[number] and waiting != number:
                    waiting = self.begin(number, queues[number].pop(0), waiting)
        return self.events

    def begin(self, number, step, waiting):
        """Runs a step; returns who waits then."""
        session = self.sessions[number]
        session.send(step.twin if self.schema == 'twin' else step.soft)
        if self.settle(number):
            self.events.append(f'{number}: {step.kind}: {session.answer}')
        elif waiting is None:
            self.events.append(f'{number}: {step.kind}: waits')
            return number
        else:
            # Both wait, each for the other: the one that has come last is to give up, as after a deadlock.
            self.events.append(f'{number}: {step.kind}: deadlock')
            self.onlooker.execute('SELECT pg_cancel_backend(%s)', (session.pid,))
            while not session.is_done():
                time.sleep(POLL)
        if waiting is not None and self.settle(waiting):
            self.events.append(f'{waiting}: ... {self.sessions[waiting].answer}')
            return None
        return waiting
