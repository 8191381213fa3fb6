/*-------------------------------------------------------------------------
 *
 * stamp.c
 *		One value for all rows that a statement deletes.
 *
 * The value tells one deletion from another, so a session never gives the same
 * one to two statements.  The rewritten DELETE calls the functions below in an
 * uncorrelated sub-select, which is evaluated once per execution.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "soft_delete.h"

/* Microseconds from the epoch of Unix to that of PostgreSQL. */
#define EPOCH_DIFFERENCE \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* A timestamp that this session has not used for a deletion yet. */
static TimestampTz
next_stamp(void)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	last = Max(now, last + 1);
	return last;
}

/* The stamp of a statement in execution, which its command number identifies. */
typedef struct StatementStamp
{
	dlist_node	node;
	CommandId	command;
	TimestampTz stamp;
	MemoryContextCallback at_end;
} StatementStamp;

/* Those in execution: few, since one is nested in the other. */
static dlist_head statements = DLIST_STATIC_INIT(statements);

/* A statement has ended, or failed. */
static void
forget_statement(void *arg)
{
	dlist_delete(&((StatementStamp *) arg)->node);
}

/* The stamp of a statement in execution, NULL if it has none yet. */
static StatementStamp *
find_stamp(CommandId command)
{
	dlist_iter	iter;

	dlist_foreach(iter, &statements)
	{
		StatementStamp *statement = dlist_container(StatementStamp, node, iter.cur);

		if (statement->command == command)
			return statement;
	}
	return NULL;
}

/*
 * Give the statement with a command number its stamp.  "query" is a memory
 * context that lives as long as its execution.
 */
void
orm_set_stamp(MemoryContext query, CommandId command, TimestampTz stamp)
{
	StatementStamp *statement = MemoryContextAlloc(query, sizeof(StatementStamp));

	statement->command = command;
	statement->stamp = stamp;
	statement->at_end.func = forget_statement;
	statement->at_end.arg = statement;
	dlist_push_head(&statements, &statement->node);
	MemoryContextRegisterResetCallback(query, &statement->at_end);
}

/*
 * The stamp of the statement that is being executed.  It may ask several
 * times, for each DELETE in WITH and each action of a MERGE, and statements in
 * triggers may ask in between.  "query" is a memory context that lives as long
 * as the execution.
 */
TimestampTz
orm_deletion_stamp_of_statement(MemoryContext query)
{
	CommandId	command = GetActiveSnapshot()->curcid;
	StatementStamp *statement = find_stamp(command);

	if (statement == NULL)
	{
		orm_set_stamp(query, command, next_stamp());
		statement = find_stamp(command);
	}
	return statement->stamp;
}

/* The time that a marker's value stands for, if it does for any. */
static bool
read_stamp(const OrmMarker *marker, Datum value, TimestampTz *stamp)
{
	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
			*stamp = DatumGetTimestampTz(value);
			break;
		case ORM_MARKER_TIMESTAMP:
			*stamp = DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, value));
			break;
		case ORM_MARKER_BIGINT:
			if (pg_sub_s64_overflow(DatumGetInt64(value), EPOCH_DIFFERENCE, stamp))
				return false;
			break;
		case ORM_MARKER_BOOLEAN:
			return false;
	}
	return !TIMESTAMP_NOT_FINITE(*stamp) && IS_VALID_TIMESTAMP(*stamp);
}

/* Is it the statement's stamp that stands in a marker, as precisely as that can be? */
static bool
is_stamp_of_statement(const OrmMarker *marker, TimestampTz stamp, TimestampTz of_statement)
{
	bool		rounded = marker->typmod >= 0 && marker->typmod < MAX_TIMESTAMP_PRECISION;

	return Max(stamp - of_statement, of_statement - stamp) <= (rounded ? USECS_PER_SEC : 0);
}

/*
 * The stamp of the deletion that gives a marker this value: the time that it
 * says, or the statement's where it says that less precisely, or none.
 */
TimestampTz
orm_stamp_of_deletion(MemoryContext query, const OrmMarker *marker, Datum value)
{
	StatementStamp *statement = find_stamp(GetActiveSnapshot()->curcid);
	TimestampTz stamp = 0;

	if (!read_stamp(marker, value, &stamp))
		return orm_deletion_stamp_of_statement(query);
	if (statement && is_stamp_of_statement(marker, stamp, statement->stamp))
		return statement->stamp;
	return stamp;
}

/* The marker's value for a deletion at "stamp", of full precision. */
Datum
orm_deletion_datum(const OrmMarker *marker, TimestampTz stamp)
{
	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
			return TimestampTzGetDatum(stamp);
		case ORM_MARKER_TIMESTAMP:
			return DirectFunctionCall1(timestamptz_timestamp,
									   TimestampTzGetDatum(stamp));
		case ORM_MARKER_BOOLEAN:
			return BoolGetDatum(true);
		case ORM_MARKER_BIGINT:
			return Int64GetDatum(stamp + EPOCH_DIFFERENCE);
	}
	pg_unreachable();
}

PG_FUNCTION_INFO_V1(orm_deletion_stamp);
PG_FUNCTION_INFO_V1(orm_deletion_stamp_micros);

/*
 * orm_ext.deletion_stamp() → timestamptz
 *
 * The clock when a statement first asks, but at least one microsecond after
 * the value of any statement before; always the same within a statement.
 */
Datum
orm_deletion_stamp(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(orm_deletion_stamp_of_statement(fcinfo->flinfo->fn_mcxt));
}

/*
 * orm_ext.deletion_stamp_micros() → bigint
 *
 * The same in microseconds since 1970-01-01 00:00:00 UTC.
 */
Datum
orm_deletion_stamp_micros(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(orm_deletion_stamp_of_statement(fcinfo->flinfo->fn_mcxt) + EPOCH_DIFFERENCE);
}
