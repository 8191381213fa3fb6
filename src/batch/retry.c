/*-------------------------------------------------------------------------
 *
 * retry.c
 *		What to do about errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "utils/elog.h"

#include "batch.h"
#include "compat.h"
#include "util/names.h"

/* Waits between attempts double from the first to the last of these. */
#define FIRST_BACKOFF_MS 50.0
#define LAST_BACKOFF_MS 5000.0

/* What is to be done about an error of a batch? */
OrmBatchRemedy
orm_batch_remedy(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			return ORM_BATCH_RETRY;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			/* rights were checked before: a policy refuses a row */
			return ORM_BATCH_SPLIT;
	}
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
			/* the statement, what it names, or who runs it */
		case MAKE_SQLSTATE('0', 'A', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '5', '0', '0', '0'):
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '5', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):
		case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):
			return ORM_BATCH_FAIL;
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):
			return ORM_BATCH_INTERRUPT;
		default:
			return ORM_BATCH_SPLIT;
	}
}

/* Milliseconds to wait before an attempt, not the same for two sessions. */
double
orm_batch_backoff(int attempt)
{
	double		wait = Min(FIRST_BACKOFF_MS * (1 << Min(attempt, 16)), LAST_BACKOFF_MS);

	return wait * (0.5 + pg_prng_double(&pg_global_prng_state) / 2);
}

/* Raise the error that ended a job, with where that was and how it goes on. */
void
orm_batch_rethrow(const OrmBatchJob *job, ErrorData *error, const char *position)
{
	char	   *where = psprintf("batched job " INT64_FORMAT " on %s%s%s", job->id, job->target,
								 position ? ", row with " : "", position ? position : "");

	if (error->hint == NULL)
		error->hint = psprintf("What is done stays done. To go on: CALL orm_ext.batch_resume(" INT64_FORMAT ");",
							   job->id);
	error->context = error->context ? psprintf("%s\n%s", error->context, where) : where;
	ReThrowError(error);
}
