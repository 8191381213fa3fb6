"""The command line: servers, jobs, the sum of the results."""

import argparse
from concurrent import futures
import os
import shutil
import signal
import subprocess
import sys
import time

import psycopg2

from foreign_keys import faults as foreign_key_faults, unit as foreign_keys
from naming import faults as naming_faults, unit as naming
from races import faults as races_faults, unit as races
from stamps import unit as stamps
from stamps.faults import self_test
from upsert import faults as upsert_faults, unit as upsert

from .compare import connect
from .report import summary
from .unit import ITEMS, Options, Result, Unit

ENVIRONMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'env')


def arguments(description):
    """The command line."""
    parser = argparse.ArgumentParser(prog='test/oracle/run', description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--selects', type=int, metavar='N', help='how many SELECT items (2000)')
    parser.add_argument('--transactions', type=int, metavar='N', help='how many transactions (1000)')
    parser.add_argument('--stamps', type=int, metavar='N', help='how many transactions on stamped tables (1500)')
    parser.add_argument('--naming', type=int, metavar='N', help='how many transactions of DDL (700)')
    parser.add_argument('--upserts', type=int, metavar='N', help='how many batches of bulk upsert (300)')
    parser.add_argument('--foreign-keys', type=int, metavar='N', help='how many transactions on foreign keys (1500)')
    parser.add_argument('--races', type=int, metavar='N', help='how many pairs of transactions at once (300)')
    parser.add_argument('--seed', default='1', help='any text; the same seed generates the same statements (1)')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='processes (one for each processor)')
    parser.add_argument('--dsn', help='connection string of a superuser, without a database')
    parser.add_argument('--pg-config', help='which server to start')
    parser.add_argument('--repeat', metavar='KIND:UNIT:ITEM', help='run one item again, after those before it')
    parser.add_argument('--alone', action='store_true',
                        help='with --repeat: without those before it; of foreign keys: made into a small script')
    parser.add_argument('--verbose', action='store_true', help='print each statement with both answers')
    parser.add_argument('--plain', action='store_true', help='without the extension and without deleted rows')
    parser.add_argument('--self-test', action='store_true', help='prove that planted faults are found')
    parser.add_argument('--failures', type=int, default=20, metavar='N', help='how many mismatches to print (20)')
    parser.add_argument('--keep', action='store_true', help='leave the server running')
    options = parser.parse_args()
    small = options.self_test
    if options.selects is None:
        options.selects = 100 if small else 1500
    if options.transactions is None:
        options.transactions = 20 if small else 1000
    if options.stamps is None:
        options.stamps = 0 if small else 1500
    if options.naming is None:
        options.naming = 0 if small else 700
    if options.upserts is None:
        options.upserts = 0 if small else 300
    if options.foreign_keys is None:
        options.foreign_keys = 0 if small else 1500
    if options.races is None:
        options.races = 0 if small else 300
    return options


class Server:
    """The throw-away server, or the one that was named."""

    def __init__(self, options):
        self.directory = None
        self.dsn = options.dsn
        self.keep = options.keep
        if options.pg_config:
            os.environ['PG_CONFIG'] = options.pg_config

    def __enter__(self):
        if self.dsn is None:
            command = [os.path.join(ENVIRONMENT, 'as-postgres'), 'mktemp', '-d', '/tmp/orm_ext-oracle.XXXXXX']
            self.directory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            subprocess.run([os.path.join(ENVIRONMENT, 'server'), 'start', self.directory,
                            '-c', 'autovacuum=off', '-c', 'max_wal_size=4GB'], check=True)
            with open(os.path.join(self.directory, 'env'), encoding='utf-8') as file:
                lines = [line[len('export '):].strip() for line in file if line.startswith('export PG')]
            values = {name: value.strip("'") for name, value in (line.split('=', 1) for line in lines)}
            self.dsn = f"host={values['PGHOST']} port={values['PGPORT']} user={values['PGUSER']}"
        return self

    def __exit__(self, *_):
        if self.directory is None:
            return
        if self.keep:
            print(f'the server is left in {self.directory}: psql "{self.dsn} dbname=oracle_1"')
            return
        subprocess.run([os.path.join(ENVIRONMENT, 'server'), 'stop', self.directory], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def prepare(self, jobs, plain):
        """Makes a database for each job; returns the server's version number."""
        connection = psycopg2.connect(f'{self.dsn} dbname=postgres')
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("""DO $$ BEGIN CREATE ROLE oracle_app;
                          EXCEPTION WHEN duplicate_object THEN NULL; END $$""")
        for job in range(1, jobs + 1):
            cursor.execute(f'DROP DATABASE IF EXISTS oracle_{job}')
            cursor.execute(f'CREATE DATABASE oracle_{job} TEMPLATE template0')
            if not plain:
                cursor.execute(f"ALTER DATABASE oracle_{job} SET session_preload_libraries = 'orm_ext'")
                database = connect(f'{self.dsn} dbname=oracle_{job}', 'public')
                database.cursor().execute('CREATE EXTENSION orm_ext')
                database.close()
            cursor.execute(f'DROP DATABASE IF EXISTS {naming.PLAIN}{job}')
            cursor.execute(f'CREATE DATABASE {naming.PLAIN}{job} TEMPLATE template0')
        version = connection.server_version
        connection.close()
        return version


def units(options):
    """(kind, number, first item, last item) of all units."""
    if options.repeat:
        kind, number, item = options.repeat.split(':')
        return [(kind, int(number), int(item) if options.alone else 0, int(item) + 1)]
    work = []
    for kind, total, size in (('select', options.selects, ITEMS['select']),
                              ('transaction', options.transactions, ITEMS['transaction']),
                              ('stamps', options.stamps, stamps.ITEMS),
                              ('naming', options.naming, naming.ITEMS),
                              ('upsert', options.upserts, upsert.ITEMS),
                              ('foreign_keys', options.foreign_keys, foreign_keys.ITEMS),
                              ('races', options.races, races.ITEMS)):
        for number, start in enumerate(range(0, total, size)):
            work.append((kind, number, 0, min(size, total - start)))
    return work


def run_job(job, work, settings):
    """One process: runs every unit that it gets, in a database of its own."""
    results, makers = [], {'stamps': stamps.Unit, 'naming': naming.Unit, 'upsert': upsert.Unit,
                           'foreign_keys': foreign_keys.Unit, 'races': races.Unit}
    for kind, number, first, last in work:
        unit = makers.get(kind, Unit)(kind, number, settings._replace(dsn=f'{settings.dsn} dbname=oracle_{job}'))
        results.append(unit.run(first, last))
    return results


def run_all(options, settings, jobs, work):
    """Runs all units over the jobs and adds up the results."""
    total, started, shown = Result(), time.time(), 0
    with futures.ProcessPoolExecutor(jobs) as pool:
        pending, idle, queue = {}, list(range(1, jobs + 1)), list(work)
        done = 0
        while queue or pending:
            while queue and idle:
                job = idle.pop()
                pending[pool.submit(run_job, job, [queue.pop(0)], settings)] = job
            finished, _ = futures.wait(pending, return_when=futures.FIRST_COMPLETED)
            for future in finished:
                idle.append(pending.pop(future))
                for result in future.result():
                    total.add(result)
                done += 1
            for failure in total.failures[shown:]:
                shown += 1
                if shown <= options.failures and not options.self_test:
                    print(f'\n{failure}\n', flush=True)
            if done % max(1, len(work) // 8) == 0 or not (queue or pending):
                print(f'{done} of {len(work)} units, {total.passed} passed, {len(total.failures)} failed,'
                      f' {time.time() - started:.0f} s', flush=True)
    return total


def main(description):
    """Runs the comparison; the last line is `N passed, N failed`."""
    options = arguments(description)
    # So that the server is stopped when somebody stops us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = units(options)
    jobs = max(1, min(options.jobs, len(work)))
    with Server(options) as server:
        version = server.prepare(jobs, options.plain)
        settings = Options(server.dsn, options.seed, version, options.plain, options.self_test, options.verbose)
        print(f'seed {options.seed}, server {version // 10000}.{version % 10000}, {jobs} jobs', flush=True)
        total = run_all(options, settings, jobs, work)
        if options.self_test:
            settings = settings._replace(dsn=f'{settings.dsn} dbname=oracle_1')
            planted = [test(settings) for test in (self_test, naming_faults.self_test, upsert_faults.self_test,
                                                   foreign_key_faults.self_test, races_faults.self_test)]
            found, missed = (sum(figures) for figures in zip(*planted))
    if not options.repeat:
        print(summary(total))
    passed, failed = total.passed, len(total.failures)
    if options.self_test:
        print(f'self-test: {failed} mismatches found with the policy of one table switched off')
        passed, failed = (1 + found, missed) if failed else (found, 1 + missed)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0
