/*-------------------------------------------------------------------------
 *
 * change_id.c
 *		A change cursor that loses nothing.
 *
 * Whoever polls a table for what has changed since the last time loses rows if
 * the cursor is a timestamp or a value of a sequence: a transaction that got
 * its value early can commit late, when the poller has passed it already.
 *
 * A change_id is the number of the transaction that stored the row, so the
 * poller's own snapshot knows which of them are finished:
 *
 *	- Every transaction below the xmin of a snapshot is finished, and what it
 *	  committed is visible in the snapshot.
 *	- Every other one has an id of at least xmin.
 *
 * So the rows between the last bound and this one, read in one statement, are
 * each committed change once.  The bound comes from the snapshot that the
 * statement reads with, hence the function is STABLE and holds on a standby
 * and in REPEATABLE READ as well.  Compared with a sequence there is nothing
 * to contend for, nothing to crash, and nothing to keep in shared memory.
 *
 * Transaction numbers start anew in a cluster that a dump is restored into.
 * There, change_id_base.c lifts the ids above those that came along.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "stamp.h"

/* The last transaction that wrote, and the id that stands for it. */
static FullTransactionId last_transaction;
static int64 last_change_id;

/* Work the id out anew next time, since the base has changed. */
void
orm_forget_change_id(void)
{
	last_transaction = InvalidFullTransactionId;
}

/* Give a row the number of the transaction that stores it. */
void
orm_stamp_change_id(OrmStampPass *pass)
{
	FullTransactionId transaction = GetTopFullTransactionId();

	if (!FullTransactionIdEquals(transaction, last_transaction))
	{
		last_change_id = orm_change_id_base_to_write() +
			(int64) U64FromFullTransactionId(transaction);
		last_transaction = transaction;
	}
	orm_stamp_set(pass, ORM_STAMP_CHANGE_ID, Int64GetDatum(last_change_id), false);
}

/* A subtransaction that aborts gives up the lock that holds the base still. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		orm_forget_change_id();
}

/* Have ourselves told of the end of subtransactions. */
void
orm_change_id_init(void)
{
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

PG_FUNCTION_INFO_V1(orm_min_active_change_id);

/*
 * orm_ext.min_active_change_id() → bigint
 *
 * The least change_id that a transaction not visible in this statement's
 * snapshot may have given or give.
 */
Datum
orm_min_active_change_id(PG_FUNCTION_ARGS)
{
	Datum		snapshot = DirectFunctionCall1(pg_current_snapshot, (Datum) 0);
	Datum		xmin = DirectFunctionCall1(pg_snapshot_xmin, snapshot);

	PG_RETURN_INT64(orm_change_id_base_to_read() + (int64) DatumGetUInt64(xmin));
}
