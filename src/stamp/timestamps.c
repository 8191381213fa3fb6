/*-------------------------------------------------------------------------
 *
 * timestamps.c
 *		When a row was created and when it was updated.
 *
 * Points in time are counted in units of the column's type: microseconds of
 * timestamps, days of dates, and what the option "unit" says of a bigint.  An
 * update is at least one unit of the column's precision later than the one
 * before, even if the clock was not, so that "updated since" misses nothing
 * and no two states of a row share a time.  Dates alone may stand still.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "stamp.h"

/* Microseconds in a unit of a timestamp's precision, as its typmod has it. */
static int64
microseconds_of_precision(int32 typmod)
{
	static const int64 units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};

	return typmod >= 0 && typmod < lengthof(units) ? units[typmod] : 1;
}

/* Round to a precision as the server does for the column. */
static int64
round_to_precision(int64 time, int32 typmod)
{
	int64		unit = microseconds_of_precision(typmod);

	if (unit == 1)
		return time;
	return time >= 0 ? (time + unit / 2) / unit * unit :
		-((-time + unit / 2) / unit * unit);
}

/* The least difference between two updates of a row. */
static int64
least_step(const OrmStampColumn *column)
{
	switch (column->type)
	{
		case DATEOID:
			return 0;
		case INT8OID:
			return 1;
		default:
			return microseconds_of_precision(column->typmod);
	}
}

/* Microseconds since 1970 in units of a bigint column, rounded down. */
static int64
epoch_of_clock(TimestampTz clock, int unit)
{
	static const int64 units[] = {
		[ORM_UNIT_MICROSECONDS] = 1,
		[ORM_UNIT_MILLISECONDS] = 1000,
		[ORM_UNIT_SECONDS] = USECS_PER_SEC
	};

	return (clock + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / units[unit];
}

/* A reading of the clock in units of a column. */
static int64
column_time(const OrmStampColumn *column, const OrmStampDeclaration *options,
			TimestampTz clock)
{
	bool		utc = options->zone == ORM_ZONE_UTC;

	switch (column->type)
	{
		case TIMESTAMPOID:
			if (!utc)
				clock = DatumGetTimestamp(DirectFunctionCall1(timestamptz_timestamp,
															  TimestampTzGetDatum(clock)));
			return round_to_precision(clock, column->typmod);
		case DATEOID:
			if (utc)
				return clock / USECS_PER_DAY - (clock % USECS_PER_DAY < 0);
			return DatumGetDateADT(DirectFunctionCall1(timestamptz_date,
													   TimestampTzGetDatum(clock)));
		case INT8OID:
			return epoch_of_clock(clock, options->unit);
		default:
			return round_to_precision(clock, column->typmod);
	}
}

/* A time in units of a column as its value, and the other way round. */
static Datum
time_datum(Oid type, int64 time)
{
	return type == DATEOID ? DateADTGetDatum((DateADT) time) : Int64GetDatum(time);
}

static int64
datum_time(Oid type, Datum value)
{
	return type == DATEOID ? DatumGetDateADT(value) : DatumGetInt64(value);
}

/* The clock that the declaration asks for. */
static TimestampTz
read_clock(const OrmStampPass *pass)
{
	switch (pass->plan->options.clock)
	{
		case ORM_CLOCK_STATEMENT:
			return GetCurrentStatementStartTimestamp();
		case ORM_CLOCK_WALL:
			return GetCurrentTimestamp();
		default:
			return GetCurrentTransactionStartTimestamp();
	}
}

/* The clock in units of a column; worked out anew when it, or the zone, changes. */
static int64
clock_time(OrmStampPass *pass, OrmStampRole role)
{
	const OrmStampColumn *column = &pass->plan->columns[role];
	OrmStampValue *cached = &pass->plan->cached[role];
	TimestampTz clock = read_clock(pass);

	if (!cached->valid || cached->clock != clock || cached->zone != session_timezone)
	{
		cached->time = column_time(column, &pass->plan->options, clock);
		cached->clock = clock;
		cached->zone = session_timezone;
		cached->valid = true;
	}
	return cached->time;
}

/* The clock as a value of a column. */
Datum
orm_clock_value(OrmStampPass *pass, OrmStampRole role)
{
	return time_datum(pass->plan->columns[role].type, clock_time(pass, role));
}

/* The same, but later than a time that is stored; the end of time stays. */
Datum
orm_next_clock_value(OrmStampPass *pass, OrmStampRole role, Datum stored)
{
	const OrmStampColumn *column = &pass->plan->columns[role];
	int64		time = clock_time(pass, role);
	int64		before = datum_time(column->type, stored);
	int64		next;

	if (likely(before < time && time - before >= least_step(column)))
		return time_datum(column->type, time);
	if (pg_add_s64_overflow(before, least_step(column), &next))
		next = before;
	if ((column->type == TIMESTAMPTZOID || column->type == TIMESTAMPOID) &&
		!IS_VALID_TIMESTAMP(next))
		next = before;
	return time_datum(column->type, Max(time, next));
}

/* Have the time of a row move on. */
static void
move_updated(OrmStampPass *pass)
{
	bool		isnull;
	Datum		stored = orm_stamp_stored(pass, ORM_STAMP_UPDATED, &isnull);

	orm_stamp_set(pass, ORM_STAMP_UPDATED,
				  isnull ? orm_clock_value(pass, ORM_STAMP_UPDATED) :
				  orm_next_clock_value(pass, ORM_STAMP_UPDATED, stored), false);
}

/*
 * Give an updated row its time.  A value in the SET list wins, also one that
 * is already stored, with which a statement keeps the time from moving; the
 * option resent=move takes that for the habit of a client to send all columns.
 */
void
orm_stamp_updated(OrmStampPass *pass)
{
	bool		listed = orm_stamp_lists(pass, ORM_STAMP_UPDATED);

	if (listed && orm_is_touch())
		move_updated(pass);
	else if (listed && (pass->plan->options.resent == ORM_RESENT_KEEP ||
						!orm_stamp_same(pass, ORM_STAMP_UPDATED)))
		return;
	else if (orm_stamp_row_changed(pass))
		move_updated(pass);
	else
		orm_stamp_keep(pass, ORM_STAMP_UPDATED);
}
