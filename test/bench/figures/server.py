"""The throw-away server, as it is and under valgrind."""

import contextlib
import os
import platform
import shlex
import shutil
import subprocess
import time

import psycopg2

from .counts import Counter

ENVIRONMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'env')

# Nothing in the background, no compilation of expressions whose time varies; locks for partitions.
SETTINGS = ['autovacuum=off', 'jit=off', 'shared_buffers=1GB', 'max_wal_size=8GB', 'checkpoint_timeout=1h',
            'max_locks_per_transaction=1024']


def machine():
    """Processors, memory and kernel."""
    with open('/proc/cpuinfo', encoding='ascii') as file:
        model = next((line.split(':')[1].strip() for line in file if line.startswith('model name')), platform.machine())
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2 ** 30
    return f'{os.cpu_count()} processors ({model}), {memory:.0f} GB, {platform.system()} {platform.release()}'


class Server:
    """A server with one database for each benchmark; sessions have the library as they ask."""

    def __init__(self):
        self.directory = self._as_postgres('mktemp', '-d', '/tmp/orm_ext-bench.XXXXXX').strip()
        self.data = os.path.join(self.directory, 'data')
        self.values = {}

    def __enter__(self):
        settings = [word for setting in SETTINGS for word in ('-c', setting)]
        try:
            subprocess.run([os.path.join(ENVIRONMENT, 'server'), 'start', self.directory, *settings], check=True)
        except BaseException:
            self.__exit__()
            raise
        with open(os.path.join(self.directory, 'env'), encoding='utf-8') as file:
            for line in file:
                name, value = line[len('export '):].strip().split('=', 1)
                self.values[name] = value.split(':"$PATH"')[0].strip("'")
        self.bin = self.values.pop('PATH')
        return self

    def __exit__(self, *_):
        subprocess.run([os.path.join(ENVIRONMENT, 'server'), 'stop', self.directory], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _as_postgres(self, *command):
        return subprocess.run([os.path.join(ENVIRONMENT, 'as-postgres'), *command], check=True, cwd='/',
                              stdout=subprocess.PIPE, text=True).stdout

    def _pg_ctl(self, *arguments):
        log = os.path.join(self.directory, 'server.log')
        self._as_postgres(os.path.join(self.bin, 'pg_ctl'), '--silent', '--wait', f'--pgdata={self.data}',
                          f'--log={log}', *arguments)

    def create_database(self, name):
        """A database with the extension."""
        connection = self.connect('postgres')
        connection.cursor().execute(f'CREATE DATABASE {name} TEMPLATE template0')
        connection.close()
        connection = self.connect(name)
        connection.cursor().execute('CREATE EXTENSION orm_ext')
        connection.close()

    def compile(self, name):
        """Builds a C file of the benchmarks into a library that the server can load; its path, without extension."""
        library = os.path.join(self.directory, name.removesuffix('.c'))
        if not os.path.exists(library + '.so'):
            flags = []
            for option in ('--cppflags', '--cflags', '--cflags_sl'):
                flags += shlex.split(self._pg_config(option))
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', name)
            subprocess.run(['cc', *flags, '-I', self._pg_config('--includedir-server'), '-shared',
                            '-o', library + '.so', source], check=True)
        return library

    @staticmethod
    def _pg_config(option):
        """What pg_config says."""
        path = subprocess.run([os.path.join(ENVIRONMENT, 'pg-config')], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.strip()
        return subprocess.run([path, option], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    @staticmethod
    def options(library):
        """Start-up options of a session, with or without the library; equally many either way."""
        return '-c session_preload_libraries=' + ('orm_ext' if library else '')

    def connect(self, database, library=False):
        """A new session."""
        connection = psycopg2.connect(host=self.values['PGHOST'], port=self.values['PGPORT'],
                                      user=self.values['PGUSER'], dbname=database, options=self.options(library))
        connection.autocommit = True
        return connection

    def describe(self):
        """One line on what is measured, and where."""
        connection = self.connect('postgres')
        cursor = connection.cursor()
        cursor.execute("""SELECT current_setting('server_version'),
            (SELECT default_version FROM pg_available_extensions WHERE name = 'orm_ext')""")
        server, extension = cursor.fetchone()
        connection.close()
        return f'orm_ext {extension} on PostgreSQL {server}; {machine()}'

    @staticmethod
    def processor_time(connection):
        """Milliseconds that the backend of a session has been running, without the time it had to wait."""
        with open(f'/proc/{connection.info.backend_pid}/schedstat', encoding='ascii') as file:
            return int(file.read().split()[0]) / 1e6

    def pgbench(self, database, library, script, transactions):
        """Milliseconds that a transaction takes in the client's eyes, with prepared statements."""
        environment = {**os.environ, **self.values, 'PGOPTIONS': self.options(library)}
        command = [os.path.join(self.bin, 'pgbench'), '--no-vacuum', '--protocol=prepared',
                   f'--transactions={transactions}', f'--file={script}', database]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd='/').stdout
        rate = next(line for line in output.splitlines() if line.startswith('tps ='))
        return 1000 / float(rate.split()[2])

    @contextlib.contextmanager
    def counting(self, function=None):
        """Restarts the server under callgrind; with a function, only what is done inside it is counted."""
        if shutil.which('valgrind') is None:
            raise RuntimeError('valgrind is missing; run test/env/install bench')
        folder = os.path.join(self.directory, 'counts')
        self._as_postgres('mkdir', '-p', folder)
        self._pg_ctl('stop', '--mode=fast')
        command = ['valgrind', '--tool=callgrind', f'--dump-before={Counter.MARK}',
                   f'--callgrind-out-file={folder}/%p', f'--log-file={folder}/log.%p',
                   *([f'--toggle-collect={function}'] if function else []),
                   os.path.join(self.bin, 'postgres'), '-D', self.data]
        with open(os.path.join(self.directory, 'valgrind.log'), 'w', encoding='utf-8') as log:
            process = subprocess.Popen([os.path.join(ENVIRONMENT, 'as-postgres'), *command], cwd='/',
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._await(process)
            yield Counter(self, folder)
        finally:
            if process.poll() is None:
                self._pg_ctl('stop', '--mode=fast')
            process.wait()
            self._pg_ctl('start')

    def _await(self, process):
        """Waits until the server takes connections."""
        end = time.time() + 120
        while True:
            try:
                self.connect('postgres').close()
                return
            except psycopg2.OperationalError:
                if process.poll() is not None or time.time() > end:
                    with open(os.path.join(self.directory, 'valgrind.log'), encoding='utf-8') as log:
                        raise RuntimeError(f'the server does not start under valgrind:\n{log.read()}') from None
                time.sleep(0.2)
