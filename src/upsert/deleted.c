/*-------------------------------------------------------------------------
 *
 * deleted.c
 *		Deleted rows whose key comes again.
 *
 * A unique key among live rows does not know the deleted ones, so no look into
 * an index finds them.  They are looked for once, for all rows of the store;
 * the planner may read the whole table for it.  A row is brought back when its
 * turn comes, so that rows are locked in the order of the key.  When all are
 * written, they are looked for once more, for the rows that were inserted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "upsert.h"
#include "util/spi.h"

/* The row that was deleted last, for a row of the input. */
typedef struct DeletedRow
{
	int64		ordinal;		/* hash key */
	ItemPointerData tid;
	Oid			tableoid;
} DeletedRow;

struct OrmTombstones
{
	HTAB	   *rows;
	Tuplestorestate *inserted;	/* rows beside which there must be none, or
								 * NULL */
};

/* Receives what the query finds. */
typedef struct DeletedReceiver
{
	DestReceiver pub;
	OrmTombstones *deleted;
	int64		ordinal;		/* of a row that others have deleted */
} DeletedReceiver;

/* Keep the first row for each ordinal. */
static bool
receive_deleted(TupleTableSlot *slot, DestReceiver *self)
{
	OrmTombstones *deleted = ((DeletedReceiver *) self)->deleted;
	bool		isnull;
	bool		found;
	int64		ordinal = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	DeletedRow *row = hash_search(deleted->rows, &ordinal, HASH_ENTER, &found);

	if (!found)
	{
		ItemPointerCopy((ItemPointer) DatumGetPointer(slot_getattr(slot, 2, &isnull)), &row->tid);
		row->tableoid = DatumGetObjectId(slot_getattr(slot, 3, &isnull));
	}
	return true;
}

/* Note a row that others have deleted, or changed since. */
static bool
receive_beside(TupleTableSlot *slot, DestReceiver *self)
{
	bool		isnull;

	if (!TransactionIdIsCurrentTransactionId(DatumGetTransactionId(slot_getattr(slot, 4, &isnull))))
		((DeletedReceiver *) self)->ordinal = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	return true;
}

/* Nothing to do before and after. */
static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
receiver_end(DestReceiver *self)
{
}

/* A receiver of what the query finds. */
static DeletedReceiver
make_receiver(OrmTombstones *deleted, bool (*receive) (TupleTableSlot *, DestReceiver *))
{
	DeletedReceiver receiver = {0};

	receiver.pub.receiveSlot = receive;
	receiver.pub.rStartup = receiver_startup;
	receiver.pub.rShutdown = receiver_end;
	receiver.pub.rDestroy = receiver_end;
	receiver.pub.mydest = DestNone;
	receiver.deleted = deleted;
	return receiver;
}

/* Run the query that finds deleted rows; it takes the snapshot that is active, or a new one. */
static void
look_for_deleted(OrmUpsertTarget *target, DeletedReceiver *receiver, bool active_snapshot)
{
	SPIExecuteOptions options = {0};

	options.dest = &receiver->pub;
	options.read_only = active_snapshot;
	if (SPI_execute_extended(target->deleted_query, &options) < 0)
		elog(ERROR, "could not run \"%s\"", target->deleted_query);
}

/*
 * Find the deleted rows that have a key of the store.  SPI is connected and
 * knows the store.  NULL where nobody asks for them.
 */
OrmTombstones *
orm_find_deleted_rows(OrmUpsertTarget *target)
{
	HASHCTL		ctl = {0};
	OrmTombstones *deleted;
	DeletedReceiver receiver;

	if (target->deleted_query == NULL)
		return NULL;
	deleted = palloc0_object(OrmTombstones);
	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(DeletedRow);
	ctl.hcxt = CurrentMemoryContext;
	deleted->rows = hash_create("orm_ext deleted rows", 256, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (target->live_key)
		deleted->inserted = tuplestore_begin_heap(true, false, work_mem);

	receiver = make_receiver(deleted, receive_deleted);
	look_for_deleted(target, &receiver, false);
	return deleted;
}

/* Look once more for the deleted row that has the key of one row of the store. */
void
orm_find_deleted_row(OrmTombstones *deleted, OrmUpsertTarget *target, TupleTableSlot *row)
{
	DeletedReceiver receiver = make_receiver(deleted, receive_deleted);
	EphemeralNamedRelationData store;
	Tuplestorestate *rows = orm_store_of_one(row);
	bool		isnull;
	int64		ordinal = DatumGetInt64(slot_getattr(row, ORM_STORE_ORDINAL, &isnull));

	hash_search(deleted->rows, &ordinal, HASH_REMOVE, NULL);
	(void) orm_connect_to_store(&store, target, rows);
	look_for_deleted(target, &receiver, false);
	SPI_finish();
	tuplestore_end(rows);
}

/* Keep a row that was inserted, since there is no deleted one. */
void
orm_note_inserted(OrmTombstones *deleted, TupleTableSlot *row)
{
	if (deleted && deleted->inserted)
		tuplestore_puttupleslot(deleted->inserted, row);
}

/*
 * Have others deleted a row with the key of one that was inserted, since we
 * looked?  They can no longer.  Ordinal of that row, or 0.  What the transaction's
 * own snapshot does not see counts as well.
 */
int64
orm_deleted_beside(OrmTombstones *deleted, OrmUpsertTarget *target)
{
	DeletedReceiver receiver = make_receiver(deleted, receive_beside);
	EphemeralNamedRelationData store;

	if (deleted == NULL || deleted->inserted == NULL)
		return 0;
	if (tuplestore_tuple_count(deleted->inserted) > 0)
	{
		(void) orm_connect_to_store(&store, target, deleted->inserted);
		PushActiveSnapshot(GetLatestSnapshot());
		look_for_deleted(target, &receiver, true);
		PopActiveSnapshot();
		SPI_finish();
	}
	tuplestore_end(deleted->inserted);
	deleted->inserted = NULL;
	return receiver.ordinal;
}

/* Is there a deleted row with the key of a row of the input? */
bool
orm_deleted_row(OrmTombstones *deleted, int64 ordinal, ItemPointer tid, Oid *tableoid)
{
	DeletedRow *row = deleted ? hash_search(deleted->rows, &ordinal, HASH_FIND, NULL) : NULL;

	if (row == NULL)
		return false;
	ItemPointerCopy(&row->tid, tid);
	*tableoid = row->tableoid;
	return true;
}

/* The parameters of the statement that brings a row back: its place. */
static ParamListInfo
place_parameters(ItemPointer tid, Oid tableoid)
{
	ParamListInfo params = makeParamList(2);

	for (int i = 0; i < 2; i++)
	{
		params->params[i].ptype = i == 0 ? TIDOID : OIDOID;
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].value = i == 0 ? PointerGetDatum(tid) : ObjectIdGetDatum(tableoid);
	}
	return params;
}

/* What it takes to bring a row back. */
typedef struct Revival
{
	OrmUpsertTarget *target;
	ItemPointer tid;
	Oid			tableoid;
	TupleTableSlot *row;
	DestReceiver *dest;
} Revival;

/* Run the statement that brings a deleted row back. */
static bool
run_revival(void *arg)
{
	Revival    *revival = arg;
	OrmUpsertTarget *target = revival->target;

	orm_execute_for_row(target, revival->row, &target->revival_plan, target->revival,
						place_parameters(revival->tid, revival->tableoid), revival->dest);
	return true;
}

/* Does an error say that a live row has the key?  That of a partition has a name of its own. */
static bool
is_of_key(const OrmUpsertTarget *target, const ErrorData *error)
{
	Oid			index;

	if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION || error->schema_name == NULL ||
		error->constraint_name == NULL)
		return false;
	index = get_relname_relid(error->constraint_name, get_namespace_oid(error->schema_name, true));
	return index == target->arbiter.index ||
		(get_rel_relispartition(index) &&
		 list_member_oid(get_partition_ancestors(index), target->arbiter.index));
}

/*
 * Bring a deleted row back and have it take over what the row of the store
 * supplies.  It goes to "dest", unless it is no longer there, or no longer
 * deleted, or a trigger prevents it.  False if a live row has the key.
 */
bool
orm_revive_row(OrmUpsertTarget *target, ItemPointer tid, Oid tableoid,
			   TupleTableSlot *row, DestReceiver *dest)
{
	Revival		revival = {target, tid, tableoid, row, dest};
	ErrorData  *error;

	if (orm_try(run_revival, &revival, &error))
		return true;
	if (!is_of_key(target, error))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}
