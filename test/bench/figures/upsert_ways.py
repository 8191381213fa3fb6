"""Ways to upsert rows: orm_ext's doors, and what is written by hand."""

from typing import Callable, NamedTuple

from . import upsert_rows as rows_as
from .upsert_libpq import Parameters
from .upsert_rows import COLUMNS, TYPES

NAMES = ', '.join(COLUMNS)
VALUES = COLUMNS[1:]
SET = ', '.join(f'{column} = EXCLUDED.{column}' for column in VALUES)
CONFLICT = f'ON CONFLICT (id) DO UPDATE SET {SET}'
UNLIKE = f"({', '.join(f'item.{column}' for column in VALUES)}) IS DISTINCT FROM ({{}})"
IF_CHANGED = 'WHERE ' + UNLIKE.format(', '.join(f'EXCLUDED.{column}' for column in VALUES))
ARRAYS = ', '.join(f'${number}::{kind}[]' for number, kind in enumerate(TYPES, 1))
INPUT = f'unnest({ARRAYS}) AS input ({NAMES})'
INSERT = f'INSERT INTO item ({NAMES})'
INSERT_ROW = f"{INSERT} VALUES ({', '.join(f'${number}' for number in range(1, len(COLUMNS) + 1))}) {CONFLICT}"
TYPED = ', '.join(map(' '.join, zip(COLUMNS, TYPES)))

SORTED = f'(SELECT * FROM {INPUT} ORDER BY id) AS input'

# By an index look-up for each key, in their order: whatever the planner knows of the input.
BY_INDEX = 'SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off'
DIFFERENT = UNLIKE.format(', '.join(f'input.{column}' for column in VALUES))
MISSING = f'SELECT input.* FROM {SORTED} LEFT JOIN item ON item.id = input.id WHERE item.id IS NULL OR {DIFFERENT}'
MERGE = f"""
MERGE INTO item USING {SORTED} ON item.id = input.id
WHEN MATCHED {{}} THEN UPDATE SET {', '.join(f'{column} = input.{column}' for column in VALUES)}
WHEN NOT MATCHED THEN INSERT ({NAMES}) VALUES ({', '.join(f'input.{column}' for column in COLUMNS)})
"""

TEMPORARY = 'CREATE TEMPORARY TABLE input (LIKE item)'


class Way(NamedTuple):
    """One of the ways: how a batch is made ready, and how it is sent then."""
    name: str
    encode: Callable            # (rows, lane) → what send() takes
    send: Callable              # (lane, what encode() made)
    setup: str = ''
    ours: bool = False
    sizes: range = range(1, 10 ** 7)        # of the batches for which it is not far too slow
    always: bool = True                     # measured in a short run, too


def prepared(name, sql, encode, setup='', ours=False):
    """One prepared statement for a batch, a transaction of its own."""
    def send(lane, parameters):
        lane.client.prepare(b'batch', sql)
        lane.client.run(b'batch', parameters)

    return Way(name, lambda rows, lane: Parameters(encode(rows, lane)), send, setup, ours)


def arrays(name, sql, setup=''):
    """The same with arrays of the columns' values."""
    return prepared(name, sql, lambda rows, _: rows_as.binary_arrays(rows), setup)


def send_rows(lane, all_parameters):
    """Row by row, in a transaction where there are many."""
    lane.client.prepare(b'row', INSERT_ROW)
    if len(all_parameters) > 1:
        lane.client.execute('BEGIN')
    for parameters in all_parameters:
        lane.client.run(b'row', parameters)
    if len(all_parameters) > 1:
        lane.client.execute('COMMIT')


def send_pipeline(lane, all_parameters):
    """Row by row, without waiting for each answer."""
    lane.client.prepare(b'row', INSERT_ROW)
    lane.client.run_in_pipeline(b'row', all_parameters)


def each_row(rows, _):
    """Parameters of each row."""
    return [Parameters(rows_as.texts(row)) for row in rows]


def all_values(rows, _):
    """Parameters of a statement that has all rows."""
    return len(rows), Parameters([value for row in rows for value in rows_as.texts(row)])


def send_values(lane, batch):
    """One prepared statement with a VALUES list as long as the batch."""
    count, parameters = batch
    name = f'values_{count}'.encode()
    if name not in lane.client.prepared:
        width = len(COLUMNS)
        lists = ', '.join('(' + ', '.join(f'${width * number + place}' for place in range(1, width + 1)) + ')'
                          for number in range(count))
        lane.client.prepare(name, f'{INSERT} VALUES {lists} {CONFLICT}')
    lane.client.run(name, parameters)


def through_table(name, insert, create=True):
    """COPY into a temporary table, and from there into the other one."""
    def send(lane, data):
        lane.client.execute('BEGIN')
        if create:
            lane.client.execute(TEMPORARY + ' ON COMMIT DROP')
        else:
            lane.client.execute('TRUNCATE input')
        lane.client.copy('COPY input FROM STDIN', data)
        lane.client.execute(insert)
        lane.client.execute('COMMIT')

    return Way(name, lambda rows, _: rows_as.copy_text(rows), send, '' if create else TEMPORARY)


def copied(name, options='', encode=rows_as.copy_text, ours=False):
    """COPY into the table itself."""
    return Way(name, lambda rows, _: encode(rows),
               lambda lane, data: lane.client.copy(f'COPY item FROM STDIN {options}', data), ours=ours)


HAND = {
    'row': Way('prepared statement for each row', each_row, send_rows, sizes=range(1, 101)),
    'pipeline': Way('the same in a pipeline', each_row, send_pipeline, sizes=range(2, 1001)),
    'values': Way('VALUES list, prepared', all_values, send_values, sizes=range(1, 1001)),
    'text': prepared('unnest, arrays as text', f'{INSERT} SELECT * FROM {INPUT} {CONFLICT}',
                     lambda rows, _: rows_as.text_arrays(rows))._replace(always=False),
    'unnest': arrays('unnest', f'{INSERT} SELECT * FROM {INPUT} {CONFLICT}'),
    'sorted': arrays('unnest, sorted', f'{INSERT} SELECT * FROM {INPUT} ORDER BY id {CONFLICT}'),
    'distinct': arrays('unnest, sorted, IS DISTINCT FROM',
                       f'{INSERT} SELECT * FROM {INPUT} ORDER BY id {CONFLICT} {IF_CHANGED}'),
    'missing': arrays('unnest, sorted, looked up before', f'{INSERT} {MISSING} {CONFLICT} {IF_CHANGED}', BY_INDEX),
    'json': prepared('json_to_recordset', f'{INSERT} SELECT * FROM json_to_recordset($1) AS input ({TYPED}) {CONFLICT}',
                     lambda rows, _: [rows_as.as_json(rows)]),
    'merge': arrays('MERGE, sorted', MERGE.format(''), BY_INDEX),
    'merge_changed': arrays('MERGE, sorted, IS DISTINCT FROM', MERGE.format(f'AND {DIFFERENT}'), BY_INDEX),
    'temporary': through_table('COPY to a temporary table, ON CONFLICT', f'{INSERT} SELECT * FROM input {CONFLICT}'),
    'kept': through_table('COPY to a temporary table that is kept', f'{INSERT} SELECT * FROM input {CONFLICT}',
                          False)._replace(always=False),
}

# Not an upsert: what new rows cost at least.
LIMIT = {'copy': copied('COPY')}

UPSERT = "SELECT * FROM orm_ext.bulk_upsert('item'::regclass, $1::jsonb)"
UPSERT_ARRAY = 'SELECT * FROM orm_ext.bulk_upsert($1::item[])'

OURS = {
    'jsonb': prepared('bulk_upsert(jsonb)', UPSERT, lambda rows, _: [rows_as.as_json(rows)], ours=True),
    'array_text': prepared('bulk_upsert(array), as text', UPSERT_ARRAY, lambda rows, _: [rows_as.text_records(rows)],
                           ours=True)._replace(always=False),
    'array': prepared('bulk_upsert(array)', UPSERT_ARRAY,
                      lambda rows, lane: [rows_as.binary_records(rows, lane.type_oid)], ours=True),
    'copy_upsert': copied('COPY … on_conflict', "WITH (on_conflict 'update')", ours=True),
    'copy_binary': copied('COPY … on_conflict, binary', "WITH (format binary, on_conflict 'update')",
                          rows_as.copy_binary, ours=True)._replace(always=False),
}

WAYS = {**HAND, **LIMIT, **OURS}
