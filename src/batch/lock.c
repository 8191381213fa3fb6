/*-------------------------------------------------------------------------
 *
 * lock.c
 *		Locks of batched jobs.
 *
 * A job runs as long as a session holds its lock.  The lock is the session's
 * rather than a transaction's, and goes away with it however that ends.  The
 * view orm_ext.batch_jobs looks for it in pg_locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"

#include "batch.h"

/* Tells our locks from those of pg_advisory_lock(), which has 1 and 2. */
#define JOB_LOCK_KIND 3

/* The lock of a job. */
static LOCKTAG
job_lock(int64 id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (id >> 32), (uint32) id, JOB_LOCK_KIND);
	return tag;
}

/* Take the lock of a job for this session; false if another one has it, or this one. */
bool
orm_batch_lock_job(int64 id)
{
	LOCKTAG		tag = job_lock(id);

	switch (LockAcquire(&tag, ExclusiveLock, true, true))
	{
		case LOCKACQUIRE_NOT_AVAIL:
			return false;
		case LOCKACQUIRE_ALREADY_HELD:
			/* a trigger of the job's, say, is calling */
			(void) LockRelease(&tag, ExclusiveLock, true);
			return false;
		default:
			return true;
	}
}

/* Give it back. */
void
orm_batch_unlock_job(int64 id)
{
	LOCKTAG		tag = job_lock(id);

	(void) LockRelease(&tag, ExclusiveLock, true);
}
