/*-------------------------------------------------------------------------
 *
 * deletion.c
 *		What tells one deletion from another.
 *
 * All rows that a statement deletes carry its stamp, each as its marker can:
 * rounded to the marker's precision, in the time zone that the session had
 * where the marker has none.  So two markers are of one deletion if they are
 * equal up to the coarser precision and, between those with and without time
 * zone, up to the offset of a time zone: whole quarters of an hour.
 *
 * A boolean carries no stamp.  Rows belong together then that were marked by
 * the same transaction, which the row version knows until it is rewritten.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "deletion.h"

#define EXACT MAX_TIMESTAMP_PRECISION
#define QUARTER_OF_AN_HOUR (15 * USECS_PER_MINUTE)
#define QUARTERS (ORM_MARKER_RANGES / 2)

/* Microseconds from the epoch of Unix to that of PostgreSQL. */
#define EPOCH_DIFFERENCE \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Digits of a second that a marker holds. */
static int
marker_precision(const OrmMarker *marker)
{
	return marker->kind == ORM_MARKER_BIGINT || marker->typmod < 0 ? EXACT : marker->typmod;
}

/* Microseconds between values of a precision. */
static int64
unit(int precision)
{
	int64		result = 1;

	for (; precision < EXACT; precision++)
		result *= 10;
	return result;
}

/* Round as the server does, AdjustTimestampForTypmod(). */
static Timestamp
round_stamp(Timestamp stamp, int precision)
{
	int64		step = unit(precision);

	if (stamp >= 0)
		return (stamp + step / 2) / step * step;
	return -((-stamp + step / 2) / step * step);
}

/* The stamp that a marker of a deleted row holds, if it is one. */
static bool
read_stamp(const OrmMarker *marker, Datum value, Timestamp *stamp)
{
	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
		case ORM_MARKER_TIMESTAMP:
			*stamp = DatumGetTimestamp(value);
			return true;
		case ORM_MARKER_BOOLEAN:
			return false;
		case ORM_MARKER_BIGINT:
			return !pg_sub_s64_overflow(DatumGetInt64(value), EPOCH_DIFFERENCE, stamp) &&
				IS_VALID_TIMESTAMP(*stamp);
	}
	pg_unreachable();
}

/* The deletion of a stamp. */
OrmDeletion
orm_deletion_at(TimestampTz stamp)
{
	OrmDeletion deletion = {.has_stamp = true,.precision = EXACT,.stamp = stamp};

	return deletion;
}

/* The deletion of a row that a transaction has marked. */
OrmDeletion
orm_deletion_of(const OrmMarker *marker, Datum value, TransactionId transaction)
{
	OrmDeletion deletion = {.transaction = transaction};

	deletion.has_stamp = read_stamp(marker, value, &deletion.stamp);
	if (deletion.has_stamp)
	{
		deletion.local = marker->kind == ORM_MARKER_TIMESTAMP;
		deletion.precision = marker_precision(marker);
	}
	return deletion;
}

/* When was a row deleted?  False if its marker does not say. */
bool
orm_deletion_time(const OrmMarker *marker, Datum value, TimestampTz *stamp)
{
	int			overflow = 0;

	if (!read_stamp(marker, value, stamp))
		return false;
	if (marker->kind == ORM_MARKER_TIMESTAMP)
		*stamp = timestamp2timestamptz_opt_overflow(*stamp, &overflow);
	return overflow == 0;
}

/* Does the stamp tell which rows of a table are of a deletion, or the transaction? */
bool
orm_deletion_is_stamped(const OrmDeletion *deletion, const OrmMarker *marker)
{
	return deletion->has_stamp && marker->kind != ORM_MARKER_BOOLEAN;
}

/* A stamp as a value of a marker. */
static Datum
stamp_datum(const OrmMarker *marker, Timestamp stamp)
{
	if (marker->kind == ORM_MARKER_BIGINT)
		return Int64GetDatum(stamp + EPOCH_DIFFERENCE);
	return TimestampGetDatum(stamp);
}

/*
 * The values that the marker has in rows of a deletion whose stamp, as read
 * from another marker, is the given one.  If one of the two precisions is
 * exact, or both are the same, there is but one value.
 */
static OrmMarkerRange
range_around(const OrmMarker *marker, Timestamp stamp, int precision)
{
	int			own = marker_precision(marker);
	int64		slack = 0;
	OrmMarkerRange range;

	if (precision == EXACT && own != EXACT)
		stamp = round_stamp(stamp, own);
	else if (precision != own)
		slack = unit(precision) / 2 + unit(own) / 2;
	range.from = stamp_datum(marker, stamp - slack);
	range.to = stamp_datum(marker, stamp + slack);
	return range;
}

/*
 * The values that a marker has in rows of a deletion that has a stamp; returns
 * how many ranges there are, ORM_MARKER_RANGES at most.
 */
int
orm_deletion_ranges(const OrmDeletion *deletion, const OrmMarker *marker,
					OrmMarkerRange *ranges)
{
	bool		local = marker->kind == ORM_MARKER_TIMESTAMP;
	int			n = 0;

	if (TIMESTAMP_NOT_FINITE(deletion->stamp))
	{
		if (marker->kind == ORM_MARKER_BIGINT)
			return 0;
		ranges[0].from = ranges[0].to = TimestampGetDatum(deletion->stamp);
		return 1;
	}
	if (local == deletion->local)
	{
		ranges[0] = range_around(marker, deletion->stamp, deletion->precision);
		return 1;
	}
	for (int i = -QUARTERS; i <= QUARTERS; i++)
	{
		Timestamp	stamp = deletion->stamp + i * QUARTER_OF_AN_HOUR;

		if (IS_VALID_TIMESTAMP(stamp))
			ranges[n++] = range_around(marker, stamp, deletion->precision);
	}
	return n;
}
