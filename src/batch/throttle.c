/*-------------------------------------------------------------------------
 *
 * throttle.c
 *		Waiting between batches: as asked, for replicas, and for the WAL rate.
 *
 * The lag of replicas is measured here rather than read from
 * pg_stat_replication, whose figure stands still with a replica that does:
 * after a batch a place in the WAL is noted.  As long as some replica has not
 * replayed it, the lag is at least the time since.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "batch.h"

/* How often replicas are looked at, made to tell, and how often it is asked whether to stop. */
#define LAG_INTERVAL_MS 50
#define NUDGE_INTERVAL_MS 250
#define STOP_INTERVAL_MS 1000

/* Sleep, and let interrupts in. */
static void
sleep_a_while(double milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max((long) milliseconds, 1), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Milliseconds since a time. */
static double
elapsed(TimestampTz since)
{
	return (GetCurrentTimestamp() - since) / 1000.0;
}

/* Sleep; false if told to stop meanwhile. */
bool
orm_batch_sleep(double milliseconds, OrmBatchIsStopped is_stopped, void *state)
{
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz asked = began;
	double		left;

	while ((left = milliseconds - elapsed(began)) > 0)
	{
		sleep_a_while(Min(left, STOP_INTERVAL_MS));
		if (elapsed(asked) >= STOP_INTERVAL_MS)
		{
			if (is_stopped(state))
				return false;
			asked = GetCurrentTimestamp();
		}
	}
	return true;
}

/* Have all replicas that tell what they have replayed come so far? */
static bool
is_replayed(XLogRecPtr place)
{
	for (int i = 0; i < max_wal_senders; i++)
	{
		WalSnd	   *walsnd = &WalSndCtl->walsnds[i];
		bool		is_behind;

		SpinLockAcquire(&walsnd->mutex);
		is_behind = walsnd->pid != 0 &&
			(walsnd->state == WALSNDSTATE_STREAMING || walsnd->state == WALSNDSTATE_CATCHUP) &&
			!XLogRecPtrIsInvalid(walsnd->apply) && walsnd->apply < place;
		SpinLockRelease(&walsnd->mutex);
		if (is_behind)
			return false;
	}
	return true;
}

/*
 * Have replicas tell how far they are.  They do so when something arrives, and
 * else every ten seconds: nothing may arrive while we wait.
 */
static void
nudge_replicas(void)
{
	uint32		nothing = 0;

	XLogBeginInsert();
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	XLogRegisterData((char *) &nothing, sizeof(nothing));
	XLogFlush(XLogInsert(RM_XLOG_ID, XLOG_NOOP));
}

/* Wait until no replica lags behind by more than it may; false if told to stop. */
static bool
wait_for_replicas(OrmBatchThrottle *throttle, double max_lag, OrmBatchIsStopped is_stopped, void *state)
{
	TimestampTz asked = GetCurrentTimestamp();
	TimestampTz nudged = asked;

	for (;;)
	{
		if (is_replayed(throttle->probe))
		{
			throttle->probe = GetXLogInsertRecPtr();
			throttle->probed = GetCurrentTimestamp();
			return true;
		}
		if (elapsed(throttle->probed) <= max_lag)
			return true;
		sleep_a_while(LAG_INTERVAL_MS);
		if (elapsed(nudged) >= NUDGE_INTERVAL_MS)
		{
			nudge_replicas();
			nudged = GetCurrentTimestamp();
		}
		if (elapsed(asked) >= STOP_INTERVAL_MS)
		{
			if (is_stopped(state))
				return false;
			asked = GetCurrentTimestamp();
		}
	}
}

/* Begin to watch what this session writes. */
void
orm_batch_begin_throttle(OrmBatchThrottle *throttle)
{
	throttle->probe = InvalidXLogRecPtr;
	throttle->probed = GetCurrentTimestamp();
	throttle->wal_bytes = pgWalUsage.wal_bytes;
	throttle->last = throttle->probed;
}

/* Wait as long as is asked for after a batch; false if told to stop meanwhile. */
bool
orm_batch_throttle(OrmBatchThrottle *throttle, const OrmBatchOptions *options,
				   OrmBatchIsStopped is_stopped, void *state)
{
	double		wait = Max(options->pause, 0);

	if (options->max_wal_rate > 0)
	{
		double		due = (pgWalUsage.wal_bytes - throttle->wal_bytes) * 1000.0 / options->max_wal_rate;

		wait = Max(wait, due - elapsed(throttle->last));
	}
	if (wait > 0 && !orm_batch_sleep(wait, is_stopped, state))
		return false;
	if (options->max_replica_lag >= 0 &&
		!wait_for_replicas(throttle, options->max_replica_lag, is_stopped, state))
		return false;
	throttle->wal_bytes = pgWalUsage.wal_bytes;
	throttle->last = GetCurrentTimestamp();
	return true;
}
