"""Prepared statements and COPY as libpq's own clients send them, over the connection of a psycopg2 session.

psycopg2 itself writes parameters into the statement's text; here they are made before the clock starts.
"""

import ctypes
import ctypes.util

from psycopg2 import Error

COMMAND_OK, TUPLES_OK, COPY_IN, PIPELINE_SYNC = 1, 2, 4, 10
IN_A_PIPELINE = 500         # so that the answers fit into the socket's buffer while statements are sent

LIBPQ = ctypes.CDLL(ctypes.util.find_library('pq') or 'libpq.so.5')
POINTER = ctypes.c_void_p
for function in ('PQprepare', 'PQexec', 'PQexecPrepared', 'PQgetResult'):
    getattr(LIBPQ, function).restype = POINTER
for function in ('PQerrorMessage', 'PQresultErrorMessage', 'PQgetvalue'):
    getattr(LIBPQ, function).restype = ctypes.c_char_p


class Parameters:
    """Values of a prepared statement, as libpq wants them; text, or bytes in the binary format."""

    def __init__(self, values):
        given = [value.encode() if isinstance(value, str) else value for value in values]
        size = len(given)
        self.arguments = (size, (ctypes.c_char_p * size)(*given), (ctypes.c_int * size)(*map(len, given)),
                          (ctypes.c_int * size)(*(isinstance(value, bytes) for value in values)))


class Client:
    """One session."""

    def __init__(self, connection):
        self.pointer = POINTER(connection.pgconn_ptr)
        self.prepared = set()

    def _check(self, result, *wanted):
        """Frees a result; says what its first value is."""
        status = LIBPQ.PQresultStatus(POINTER(result))
        value = LIBPQ.PQgetvalue(POINTER(result), 0, 0) if status == TUPLES_OK else None
        message = LIBPQ.PQresultErrorMessage(POINTER(result)).decode()
        LIBPQ.PQclear(POINTER(result))
        if status not in wanted:
            raise Error(message or f'unexpected status {status} of a result')
        return value

    def execute(self, sql):
        """Sends a statement by the simple protocol."""
        return self._check(LIBPQ.PQexec(self.pointer, sql.encode()), COMMAND_OK, TUPLES_OK)

    def prepare(self, name, sql):
        """Prepares a statement, once in a session."""
        if name not in self.prepared:
            self._check(LIBPQ.PQprepare(self.pointer, name, sql.encode(), 0, None), COMMAND_OK)
            self.prepared.add(name)

    def run(self, name, parameters):
        """Executes a prepared statement; a round trip."""
        return self._check(LIBPQ.PQexecPrepared(self.pointer, name, *parameters.arguments, 0), COMMAND_OK, TUPLES_OK)

    def run_in_pipeline(self, name, all_parameters):
        """Executes a prepared statement many times with few round trips; a transaction if they are few."""
        LIBPQ.PQenterPipelineMode(self.pointer)
        for start in range(0, len(all_parameters), IN_A_PIPELINE):
            some = all_parameters[start:start + IN_A_PIPELINE]
            for parameters in some:
                LIBPQ.PQsendQueryPrepared(self.pointer, name, *parameters.arguments, 0)
            LIBPQ.PQpipelineSync(self.pointer)
            for _ in some:
                self._check(LIBPQ.PQgetResult(self.pointer), COMMAND_OK, TUPLES_OK)
                LIBPQ.PQgetResult(self.pointer)
            self._check(LIBPQ.PQgetResult(self.pointer), PIPELINE_SYNC)
        LIBPQ.PQexitPipelineMode(self.pointer)

    def copy(self, sql, data):
        """COPY FROM STDIN of some bytes."""
        self._check(LIBPQ.PQexec(self.pointer, sql.encode()), COPY_IN)
        if LIBPQ.PQputCopyData(self.pointer, data, len(data)) != 1 or LIBPQ.PQputCopyEnd(self.pointer, None) != 1:
            raise Error(LIBPQ.PQerrorMessage(self.pointer).decode())
        self._check(LIBPQ.PQgetResult(self.pointer), COMMAND_OK)
        LIBPQ.PQgetResult(self.pointer)
