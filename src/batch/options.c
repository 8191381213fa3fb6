/*-------------------------------------------------------------------------
 *
 * options.c
 *		The arguments that say how a job is to go about it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "batch.h"

#define DEFAULT_BATCH_SIZE 10000
#define DEFAULT_PURGE_SIZE 1000
#define GREATEST_BATCH_SIZE 1000000
#define DEFAULT_LOCK_TIMEOUT_MS 1000
#define DEFAULT_MAX_RETRIES 10

/* Complain of an argument that is out of range.  Error: 22023. */
static void
report_bad_argument(const char *name, const char *allowed)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\"", name),
			 errdetail("It must be %s.", allowed)));
}

/* An argument in milliseconds. */
static double
get_time(FunctionCallInfo fcinfo, int number, double otherwise, const char *name)
{
	Interval   *interval;
	double		result;

	if (PG_ARGISNULL(number))
		return otherwise;
	interval = PG_GETARG_INTERVAL_P(number);
	result = interval->time / 1000.0 +
		(interval->month * (double) DAYS_PER_MONTH + interval->day) * SECS_PER_DAY * 1000.0;
	if (result < 0 || result > INT_MAX)
		report_bad_argument(name, "between 0 and 24 days");
	return result;
}

/* An argument that is an integer. */
static int
get_int(FunctionCallInfo fcinfo, int number, int otherwise, int least, int greatest, const char *name)
{
	int			result = PG_ARGISNULL(number) ? otherwise : PG_GETARG_INT32(number);

	if (result < least || result > greatest)
		report_bad_argument(name, psprintf("between %d and %d", least, greatest));
	return result;
}

/* An argument that is true or false. */
bool
orm_batch_get_bool(FunctionCallInfo fcinfo, int number, bool otherwise)
{
	return PG_ARGISNULL(number) ? otherwise : PG_GETARG_BOOL(number);
}

/* What the ranges are to be of.  Error: 22023. */
static OrmBatchBy
get_by(FunctionCallInfo fcinfo, int number)
{
	char	   *label = PG_ARGISNULL(number) ? "auto" : text_to_cstring(PG_GETARG_TEXT_PP(number));

	for (OrmBatchBy by = ORM_BATCH_BY_AUTO; by <= ORM_BATCH_BY_KEY; by++)
	{
		if (strcmp(label, orm_batch_by_label(by)) == 0)
			return by;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"by\": \"%s\"", label),
			 errhint("Available values: auto, ctid, key.")));
}

/* The options that all jobs have from the throttle on, the first of which has this number. */
static void
get_throttle(FunctionCallInfo fcinfo, int first, OrmBatchOptions *options)
{
	options->target_time = get_time(fcinfo, first, -1, "target_time");
	if (options->target_time == 0)
		report_bad_argument("target_time", "more than 0");
	options->lock_timeout = get_time(fcinfo, first + 1, DEFAULT_LOCK_TIMEOUT_MS, "lock_timeout");
	options->max_retries = get_int(fcinfo, first + 2, DEFAULT_MAX_RETRIES, 0, INT_MAX, "max_retries");
	options->max_replica_lag = get_time(fcinfo, first + 3, -1, "max_replica_lag");
	options->max_wal_rate = PG_ARGISNULL(first + 4) ? -1 : PG_GETARG_INT64(first + 4);
	if (options->max_wal_rate == 0 || options->max_wal_rate < -1)
		report_bad_argument("max_wal_rate", "more than 0, in bytes per second");
}

/* Read the options, the first of which has this number.  Error: 22023. */
void
orm_batch_get_options(FunctionCallInfo fcinfo, int first, OrmBatchOptions *options)
{
	options->batch_size = get_int(fcinfo, first, DEFAULT_BATCH_SIZE, 1, GREATEST_BATCH_SIZE, "batch_size");
	options->pause = get_time(fcinfo, first + 1, 0, "pause");
	options->by = get_by(fcinfo, first + 2);
	get_throttle(fcinfo, first + 3, options);
	options->verify = orm_batch_get_bool(fcinfo, first + 8, true);
	options->progress = orm_batch_get_bool(fcinfo, first + 9, false);
}

/*
 * Read those of purge().  A row that is kept would be kept in a second pass as
 * well, so there is none.  Error: 22023.
 */
void
orm_batch_get_purge_options(FunctionCallInfo fcinfo, OrmBatchOptions *options)
{
	options->batch_size = get_int(fcinfo, 2, DEFAULT_PURGE_SIZE, 1, GREATEST_BATCH_SIZE, "batch_size");
	options->pause = get_time(fcinfo, 5, 0, "pause");
	options->by = ORM_BATCH_BY_AUTO;
	get_throttle(fcinfo, 6, options);
	options->verify = false;
	options->progress = orm_batch_get_bool(fcinfo, 11, false);
}
