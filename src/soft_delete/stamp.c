/*-------------------------------------------------------------------------
 *
 * stamp.c
 *		One value for all rows that a statement deletes.
 *
 * The value tells one deletion from another, so a session never hands the same
 * one out twice.  The rewritten DELETE calls the functions below in an
 * uncorrelated sub-select, which is evaluated once per execution.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "soft_delete.h"

/* Microseconds from the epoch of Unix to that of PostgreSQL. */
#define EPOCH_DIFFERENCE \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* A timestamp that this session has not used for a deletion yet. */
TimestampTz
orm_next_deletion_stamp(void)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	last = Max(now, last + 1);
	return last;
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
 * The clock, but at least one microsecond after the last value that this
 * session was given.
 */
Datum
orm_deletion_stamp(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(orm_next_deletion_stamp());
}

/*
 * orm_ext.deletion_stamp_micros() → bigint
 *
 * The same in microseconds since 1970-01-01 00:00:00 UTC.
 */
Datum
orm_deletion_stamp_micros(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(orm_next_deletion_stamp() + EPOCH_DIFFERENCE);
}
