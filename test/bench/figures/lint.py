"""Judging the names and the schema of a large database."""

import statistics
import sys
import time

from psycopg2.errors import QueryCanceled

from . import report

# Each table has five names to judge; those of every other table are the hashes that some ORMs give.
# Every other one of either kind has no index on its foreign key.  Functions and views mention names.
TABLES = """
CREATE PROCEDURE build(first int, last int) LANGUAGE plpgsql AS $build$
DECLARE
    t text;
    named text;
    hashed bool;
BEGIN
    FOR i IN first..last LOOP
        t := format('table_%s', i);
        hashed := i % 2 = 0;
        named := CASE WHEN hashed THEN 'CONSTRAINT "%s_' || substr(md5(t), 1, 27) || '" ' ELSE '' END;
        EXECUTE format('CREATE TABLE %I (id int %sPRIMARY KEY, code int %sUNIQUE, parent_id int %sREFERENCES table_%s,'
                       ' amount int %sCHECK (amount > 0))', t, format(named, 'PK'), format(named, 'UQ'),
                       format(named, 'FK'), greatest(1, i / 2), format(named, 'CHK'));
        EXECUTE format('CREATE INDEX %s ON %I (%I)',
                       CASE WHEN hashed THEN quote_ident('IDX_' || substr(md5(t), 1, 26)) END, t,
                       CASE WHEN i % 4 < 2 THEN 'parent_id' ELSE 'amount' END);
        IF i % 20 = 0 THEN
            EXECUTE format('CREATE FUNCTION store_%s() RETURNS void LANGUAGE plpgsql AS'
                           ' $$BEGIN INSERT INTO %I VALUES (1, 2) ON CONFLICT ON CONSTRAINT %I DO NOTHING; END$$',
                           i, t, 'UQ_' || substr(md5(t), 1, 27));
            EXECUTE format('CREATE VIEW view_%s AS SELECT id, code FROM %I WHERE amount > 10', i, t);
        END IF;
        IF i % 100 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END $build$;
"""
PER_TABLE = 5
SIZES = (200, 2000, 10000, 20000)       # tables
LIMITED = 10000                         # of these, what has to be ready in LIMIT
LIMIT = 3000                            # milliseconds
FRESH = 2000                            # also measured in a database that was never analyzed
PAIRS = ((200, 2000), (2000, 20000))    # to see that ten times as much takes ten times as long
RUNS = 3
GIVE_UP = 120000                        # milliseconds

# Whole rows are asked for, so that no column is left out.
QUERIES = {
    name: f'SELECT count(*), sum(length(found::text)) FROM orm_ext.{name} AS found'
    for name in ('naming_audit()', 'naming_violations', 'naming_plan()', 'lint()')
}
BASELINES = {
    'naming_violations': 'naming_baseline()',
    'lint()': 'lint_baseline()',
}


def measure(server, database, query):
    """Milliseconds that the backend of a new session spends on a query; the median of some runs."""
    values = []
    for _ in range(RUNS):
        session = server.connect(database, library=True)
        cursor = session.cursor()
        cursor.execute(f'SET max_parallel_workers_per_gather = 0; SET statement_timeout = {GIVE_UP}')
        started = server.processor_time(session)
        try:
            cursor.execute(query)
            values.append(server.processor_time(session) - started)
        except QueryCanceled:
            print(f'lint: given up after {GIVE_UP / 1000:.0f} s: {query}', file=sys.stderr, flush=True)
            return GIVE_UP
        finally:
            session.close()
    return statistics.median(values)


def grow(server, database, first, last):
    """More tables, which have not been analyzed."""
    cursor = server.connect(database).cursor()
    if first == 1:
        cursor.execute(TABLES)
    cursor.execute(f'CALL build({first}, {last})')
    cursor.connection.close()


def execute(server, database, *statements):
    """Runs statements, and says what the last one finds."""
    cursor = server.connect(database, library=True).cursor()
    for statement in statements:
        cursor.execute(statement)
    rows = cursor.fetchall() if cursor.description else None
    cursor.connection.close()
    return rows


def with_baselines(server):
    """Milliseconds by what is asked for, when all that there is to find is an exemption."""
    tables = ('naming_exemption', 'lint_exemption')
    for baseline in BASELINES.values():
        if execute(server, 'lint', f'SELECT orm_ext.{baseline}')[0][0] == 0:
            raise RuntimeError(f'{baseline} has found nothing')
    for table in tables:
        execute(server, 'lint', f'VACUUM ANALYZE orm_ext.{table}')
    values = {}
    for name in BASELINES:
        if execute(server, 'lint', f'SELECT count(*) FROM orm_ext.{name}') != [(0,)]:
            raise RuntimeError(f'{name} finds something in spite of the baseline')
        values[f'{name}, all in a baseline'] = measure(server, 'lint', QUERIES[name])
    for table in tables:
        execute(server, 'lint', f'DELETE FROM orm_ext.{table}')
        execute(server, 'lint', f'VACUUM ANALYZE orm_ext.{table}')
    return values


def inspector(server, tables):
    """What SQLAlchemy takes to read the same names, and its version; in the client's eyes."""
    try:
        import sqlalchemy       # pylint: disable=import-outside-toplevel
    except ImportError:
        print('lint: left out: python3-sqlalchemy is missing', file=sys.stderr)
        return None
    engine = sqlalchemy.create_engine('postgresql+psycopg2://', creator=lambda: server.connect('lint'))
    readers = ('pk_constraint', 'unique_constraints', 'foreign_keys', 'check_constraints', 'indexes')
    started = time.monotonic()
    inspected = sqlalchemy.inspect(engine)
    if hasattr(inspected, 'get_multi_indexes'):
        found = [getattr(inspected, f'get_multi_{reader}')() for reader in readers]
        seen = len(found[0])
    else:
        names = inspected.get_table_names()
        seen = len(names)
        for table in names:
            for reader in readers:
                getattr(inspected, f'get_{reader}')(table)
    spent = 1000 * (time.monotonic() - started)
    if seen != tables:
        raise RuntimeError(f'SQLAlchemy has seen {seen} of {tables} tables')
    return f'SQLAlchemy {sqlalchemy.__version__}', spent


def waited(server, query):
    """The same in the client's eyes, all rows being fetched."""
    session = server.connect('lint', library=True)
    started = time.monotonic()
    session.cursor().execute(query)
    spent = 1000 * (time.monotonic() - started)
    session.close()
    return spent


def renaming(server, tables):
    """Renaming whatever does not conform, and the same statements sent by hand."""
    for side in ('called', 'by_hand'):
        execute(server, 'postgres', f'CREATE DATABASE lint_{side} TEMPLATE lint')
    plan = [sql for sql, in execute(server, 'lint_by_hand', 'SELECT sql FROM orm_ext.naming_plan()')]
    times = {}
    for side, statements in (('called', ['CALL orm_ext.apply_naming(dry_run => false)']), ('by_hand', plan)):
        session = server.connect(f'lint_{side}')
        cursor = session.cursor()
        for statement in statements:
            cursor.execute(statement)
        times[side] = server.processor_time(session)
        cursor.execute('SELECT count(*) FROM orm_ext.naming_violations')
        if cursor.fetchone() != (0,) or len(plan) != tables * PER_TABLE // 2:
            raise RuntimeError(f'{len(plan)} renames of {tables} tables have left violations')
        session.close()
    return report.measured(f'apply_naming(), {len(plan):,} names', 'the same statements by hand', 'ms', *times.values())


def never_analyzed(server, tables):
    """Milliseconds by what is asked for, in a database of which PostgreSQL has no statistics."""
    server.create_database('lint_fresh')
    grow(server, 'lint_fresh', 1, tables)
    return {name: measure(server, 'lint_fresh', query) for name, query in QUERIES.items()}


def one_rename(server, tables):
    """Renaming a column and back, judged and not."""
    def spent(setting):
        session = server.connect('lint', library=True)
        cursor = session.cursor()
        cursor.execute(f'SET orm_ext.naming_check = {setting}')
        values = []
        for _ in range(RUNS):
            started = server.processor_time(session)
            for names in (('amount', 'other'), ('other', 'amount')):
                cursor.execute('ALTER TABLE table_1 RENAME {} TO {}'.format(*names))
            values.append((server.processor_time(session) - started) / 2)
        session.close()
        return statistics.median(values)

    return report.measured(f'RENAME COLUMN among {tables:,} tables', 'naming_check = off', 'ms',
                           spent('warn'), spent('off'))


def measure_all(server):
    """Milliseconds by number of tables and what is asked for; figures that belong to one number only."""
    times, figures, last = {}, [], 0
    for tables in SIZES:
        grow(server, 'lint', last + 1, tables)
        last = tables
        execute(server, 'lint', 'VACUUM ANALYZE')
        found, = execute(server, 'lint', 'SELECT count(*) FROM orm_ext.naming_violations')
        if found != (tables * PER_TABLE // 2,):
            raise RuntimeError(f'{found[0]} of the names of {tables} tables are violations')
        times[tables] = {name: measure(server, 'lint', query) for name, query in QUERIES.items()}
        times[tables].update(with_baselines(server))
        if tables == FRESH:
            figures += [report.measured(f'{name}, {tables:,} tables never analyzed', 'analyzed', 'ms', spent,
                                        times[tables][name], 2)
                        for name, spent in never_analyzed(server, tables).items()]
            figures.append(renaming(server, tables))
        if tables == LIMITED:
            figures.append(one_rename(server, tables))
            client = inspector(server, tables)
            if client:
                figures.append(report.measured(f'naming_audit(), {tables:,} tables', f'{client[0]} reads them', 'ms',
                                               waited(server, 'SELECT * FROM orm_ext.naming_audit()'), client[1]))
    return times, figures


def run(server):
    """Measures while the database grows."""
    times, others = measure_all(server)
    figures = [report.measured(f'{name}, {LIMITED:,} tables, {LIMITED * PER_TABLE:,} names', 'the limit', 'ms',
                                spent, LIMIT, 1)
               for name, spent in times[LIMITED].items()]
    for name in times[LIMITED]:
        for few, many in PAIRS:
            figures.append(report.measured(
                f'{name}, each of {many * PER_TABLE:,} names', f'of {few * PER_TABLE:,} names', 'µs',
                *(1000 * times[tables][name] / tables / PER_TABLE for tables in (many, few)), 1.5))
    figures += [report.measured(f'{name}, {LIMITED:,} tables', 'no baseline', 'ms', spent,
                                times[LIMITED][name.split(',')[0]])
                for name, spent in times[LIMITED].items() if 'baseline' in name]
    return figures + others
