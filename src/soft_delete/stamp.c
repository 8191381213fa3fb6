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

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
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

/* The stamp of one statement, which the number of its command identifies. */
typedef struct CommandStamp
{
	LocalTransactionId transaction;
	CommandId	command;
	TimestampTz stamp;
}			CommandStamp;

/*
 * The stamp of the statement that is being executed.  It may ask several
 * times: for each DELETE in WITH, each action of a MERGE.  Statements in
 * triggers may come in between, so the last few are kept.
 */
TimestampTz
orm_deletion_stamp_of_statement(void)
{
	static CommandStamp recent[8];
	static int	next = 0;
	LocalTransactionId transaction = orm_local_transaction_id();
	CommandId	command = GetActiveSnapshot()->curcid;

	for (int i = 0; i < lengthof(recent); i++)
	{
		if (recent[i].transaction == transaction && recent[i].command == command)
			return recent[i].stamp;
	}
	next = (next + 1) % lengthof(recent);
	recent[next].transaction = transaction;
	recent[next].command = command;
	recent[next].stamp = next_stamp();
	return recent[next].stamp;
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
	PG_RETURN_TIMESTAMPTZ(orm_deletion_stamp_of_statement());
}

/*
 * orm_ext.deletion_stamp_micros() → bigint
 *
 * The same in microseconds since 1970-01-01 00:00:00 UTC.
 */
Datum
orm_deletion_stamp_micros(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(orm_deletion_stamp_of_statement() + EPOCH_DIFFERENCE);
}
