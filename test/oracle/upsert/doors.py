"""The doors of bulk upsert: a batch as a statement, and what came of it."""

from dataclasses import dataclass, field
import io
import json

import psycopg2

from twin.compare import LOST

from .batch import copy_options, sql_array
from .kinds import literal, name, quote

COUNTS = ('inserted', 'updated', 'unchanged', 'skipped')
LAST = ('input', *COUNTS, 'revived', 'stale', 'duplicates')
RETURNING = 'SELECT ordinal, action, to_jsonb(result)::text FROM orm_ext.bulk_upsert_returning'


@dataclass
class Outcome:
    """What came of a batch, through a door or by hand."""

    states: set = field(default_factory=set)        # SQLSTATEs, none where it went well
    message: str = ''
    actions: list = None        # in the order of the input
    results: list = None        # rows as JSON, the same
    counts: dict = None
    sql: str = ''

    def describe(self):
        """The outcome in a line."""
        if self.states:
            return f"ERROR {', '.join(sorted(self.states))}: {self.message}"
        return ', '.join(f'{count} {title}' for title, count in self.counts.items() if count) or 'no rows'


@dataclass
class Statement:
    """A call, with the data that COPY reads."""

    sql: str
    data: bytes = None
    source: str = ''            # the query that makes binary data
    before: list = field(default_factory=list)      # settings
    after: list = field(default_factory=list)

    def text(self):
        """As psql takes it."""
        lines = [f'{sql};' for sql in self.before]
        if self.source:
            copy = self.sql.replace('FROM STDIN', "FROM '/tmp/rows.bin'")
            lines += [f"\\copy ({self.source}) TO '/tmp/rows.bin' (FORMAT binary)", f'\\{copy[:1].lower()}{copy[1:]}']
        elif self.data is not None:
            lines += [f'{self.sql};', self.data.decode() + '\\.']
        else:
            lines.append(f'{self.sql};')
        return '\n'.join(lines + [f'{sql};' for sql in self.after])


class Door:
    """Writes the statements of a door."""

    def __init__(self, title, table, batch, rng, side='bulk'):
        self.title = title
        self.table = table
        self.batch = batch
        self.rng = rng
        self.target = f'{side}.{table.sql}'

    def statement(self, ask):
        """The statement."""
        if self.title.startswith('copy'):
            return self.copy(ask)
        rows = self.json() if self.title.startswith('json') else self.array()
        function = f'{RETURNING}(' if self.title.endswith('returning') else 'SELECT * FROM orm_ext.bulk_upsert('
        arguments = [rows, *self.arguments()]
        if self.title == 'json':
            typed = self.rng.random() < 0.7
            arguments[0] = f"{rows}{'::jsonb' if typed else ''}"
            arguments.insert(0, f"{quote(self.target)}{'::regclass' if typed else ''}")
        elif self.title == 'json returning':
            arguments[0] = f'{rows}::jsonb'
            arguments.insert(0, f'NULL::{self.target}')
        return Statement(f"{function}{', '.join(arguments)})")

    def arguments(self):
        """The options of a function."""
        given = self.batch.given()
        return [f'{option} => {sql_array(value) if isinstance(value, list) else literal(value)}'
                for option, value in given.items()]

    def json(self):
        """The rows as JSON."""
        texts = []
        for row in self.batch.rows:
            pairs = list(row.items())
            self.rng.shuffle(pairs)
            texts.append('{%s}' % ', '.join(f'{json.dumps(column)}: {self.json_value(column, value)}'
                                            for column, value in pairs))
        texts += [self.batch.odd] if self.batch.odd else []
        text = f"[{', '.join(texts)}]"
        if len(texts) == 1 and not self.batch.odd and self.rng.random() < 0.5:
            text = texts[0]
        return literal(text).strip()

    def json_value(self, column, value):
        """One value."""
        if column not in [other.name for other in self.table.columns]:
            return json.dumps(value)
        return self.table.column(column).kind.as_json(value, self.rng)

    def array(self):
        """The rows as an array of the table's row type."""
        elements = []
        for row in self.batch.rows:
            values = []
            for column in self.table.columns:
                value = row.get(column.name)
                if column.generated and self.rng.random() < 0.3:
                    value = '5'
                values.append(literal(value))
            elements.append(f"ROW({', '.join(values)})::{self.target}")
        elements += [self.batch.odd] if self.batch.odd else []
        return f"ARRAY[{', '.join(elements)}]::{self.target}[]"

    def copy(self, ask):
        """COPY with the options or under the setting."""
        table, batch, form = self.table, self.batch, self.title.split()[1]
        columns = batch.columns(table) or [column for column in table.columns if not column.generated]
        before, after, words = [], [], []
        if form == 'by':
            form = self.rng.choice(('text', 'csv'))
            before = [f'SET orm_ext.copy_on_conflict = {batch.on_conflict}']
            after = ['RESET orm_ext.copy_on_conflict', 'RESET orm_ext.copy_conflict_columns']
            if batch.conflict is not None:
                names = ', '.join(name(item) for item in batch.conflict)
                before.append(f'SET orm_ext.copy_conflict_columns = {quote(names)}')
        else:
            words = copy_options(batch.given(), self.rng)
        everything = [column for column in table.columns if not column.generated]
        listed = ', '.join(column.sql for column in columns)
        target = self.target if columns == everything and self.rng.random() < 0.4 else f'{self.target} ({listed})'
        data, source = b'', ''
        if form == 'binary':
            source = self.typed_rows(columns)
            data = ask.binary(source)
            words.append('FORMAT binary')
        elif form == 'csv':
            delimiter, null = self.rng.choice(((',', ''), (';', 'NULL'), (',', '\\N')))
            header = self.rng.random() < 0.3
            words += ['FORMAT csv', f'DELIMITER {quote(delimiter)}', f'NULL {quote(null)}', *(['HEADER'] * header)]
            lines = [delimiter.join(quoted(column.name) for column in columns)] if header else []
            lines += [delimiter.join(null if row[column.name] is None else quoted(row[column.name])
                                     for column in columns) for row in batch.rows]
            data = ''.join(f'{line}\n' for line in lines).encode()
        else:
            lines = ['\t'.join('\\N' if row[column.name] is None else escaped(row[column.name]) for column in columns)
                     for row in batch.rows]
            data = ''.join(f'{line}\n' for line in lines).encode()
        self.rng.shuffle(words)
        options = f" WITH ({', '.join(words)})" if words else ''
        return Statement(f'COPY {target} FROM STDIN{options}', data, source, before, after)

    def typed_rows(self, columns):
        """A query that gives the rows."""
        rows = [', '.join(f'CAST({literal(row[column.name])} AS {column.kind.sql})' for column in columns)
                for row in self.batch.rows]
        if rows:
            return f"VALUES {', '.join(f'({row})' for row in rows)}"
        return f"SELECT {', '.join(f'CAST(NULL AS {column.kind.sql})' for column in columns)} WHERE false"


def quoted(text):
    """A field of CSV."""
    return '"' + text.replace('"', '""') + '"'


def escaped(text):
    """A field of COPY's text format."""
    return text.replace('\\', '\\\\').replace('\t', '\\t').replace('\n', '\\n')


class Session:
    """One connection: runs statements, keeps the history."""

    def __init__(self, connection):
        self.connection = connection

    def rows(self, sql):
        """The rows of a query, all values as text; raises psycopg2's errors."""
        cursor = self.connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []

    def run(self, sql):
        """Runs something that has to work."""
        self.connection.cursor().execute(sql)

    def attempt(self, sql):
        """(SQLSTATE, message), both empty if it went well."""
        try:
            self.run(sql)
        except psycopg2.Error as error:
            return error.pgcode or LOST, first_line(error)
        return '', ''

    def binary(self, source):
        """A query's rows in COPY's binary format."""
        output = io.BytesIO()
        self.connection.cursor().copy_expert(f'COPY ({source}) TO STDOUT (FORMAT binary)', output)
        return output.getvalue()

    def call(self, statement, table):
        """The outcome of a door's statement."""
        outcome, cursor = Outcome(sql=statement.text()), self.connection.cursor()
        try:
            for sql in statement.before:
                self.run(sql)
            if statement.data is not None:
                cursor.copy_expert(statement.sql, io.BytesIO(statement.data))
                outcome.counts = {'input': cursor.rowcount}
            else:
                cursor.execute(statement.sql)
                rows = cursor.fetchall()
                if statement.sql.startswith(RETURNING):
                    if [int(row[0]) for row in rows] != list(range(1, len(rows) + 1)):
                        outcome.message = f'ordinals are {[row[0] for row in rows]}'
                    outcome.actions = [row[1] for row in rows]
                    outcome.results = [row[2] for row in rows]
                    outcome.counts = {'input': len(rows)}
                else:
                    outcome.counts = dict(zip(COUNTS, map(int, rows[0])))
            for sql in statement.after:
                self.run(sql)
        except psycopg2.Error as error:
            outcome.states, outcome.message = {error.pgcode or LOST}, first_line(error)
            outcome.counts = None
            for sql in statement.after:
                # In a transaction there is nothing to be put back: it will be rolled back.
                self.attempt(sql)
            return outcome
        last = self.rows(f"SELECT {', '.join(LAST)}, target = {quote('bulk.' + table.sql)}::regclass"
                         ' FROM orm_ext.last_bulk_result()')
        if len(last) == 1:
            outcome.counts = {**outcome.counts, **{f'last {title}': int(count) for title, count in zip(LAST, last[0])}}
            if last[0][-1] not in (True, 't', 'true'):
                outcome.message = 'last_bulk_result() names another table'
        else:
            outcome.message = f'last_bulk_result() has {len(last)} rows'
        return outcome


def first_line(error):
    """The primary message."""
    return (str(error).strip().splitlines() or [''])[0]
