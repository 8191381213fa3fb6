/*-------------------------------------------------------------------------
 *
 * deleted.c
 *		Deleted rows whose key comes again.
 *
 * A unique key among live rows does not know the deleted ones, so no look into
 * an index finds them.  They are looked for once, for all rows of the store;
 * the planner may read the whole table for it.  A row is brought back when its
 * turn comes, so that rows are locked in the order of the key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

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
};

/* Receives what the query finds. */
typedef struct DeletedReceiver
{
	DestReceiver pub;
	OrmTombstones *deleted;
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

/* Nothing to do before and after. */
static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
receiver_end(DestReceiver *self)
{
}

/* Run the query that finds deleted rows. */
static void
look_for_deleted(OrmTombstones *deleted, OrmUpsertTarget *target)
{
	DeletedReceiver receiver = {0};
	SPIExecuteOptions options = {0};

	receiver.pub.receiveSlot = receive_deleted;
	receiver.pub.rStartup = receiver_startup;
	receiver.pub.rShutdown = receiver_end;
	receiver.pub.rDestroy = receiver_end;
	receiver.pub.mydest = DestNone;
	receiver.deleted = deleted;
	options.dest = &receiver.pub;
	if (SPI_execute_extended(target->deleted_query, &options) < 0)
		elog(ERROR, "could not run \"%s\"", target->deleted_query);
}

/* A store with one row alone. */
static Tuplestorestate *
store_of_one(TupleTableSlot *row)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);

	tuplestore_puttupleslot(rows, row);
	return rows;
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

	if (target->deleted_query == NULL)
		return NULL;
	deleted = palloc_object(OrmTombstones);
	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(DeletedRow);
	ctl.hcxt = CurrentMemoryContext;
	deleted->rows = hash_create("orm_ext deleted rows", 256, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	look_for_deleted(deleted, target);
	return deleted;
}

/* Look once more for the deleted row that has the key of one row of the store. */
void
orm_find_deleted_row(OrmTombstones *deleted, OrmUpsertTarget *target, TupleTableSlot *row)
{
	EphemeralNamedRelationData store;
	Tuplestorestate *rows;
	int64		ordinal;
	bool		isnull;

	if (deleted == NULL)
		return;
	ordinal = DatumGetInt64(slot_getattr(row, ORM_STORE_ORDINAL, &isnull));
	hash_search(deleted->rows, &ordinal, HASH_REMOVE, NULL);
	rows = store_of_one(row);
	(void) orm_connect_to_store(&store, target, rows);
	look_for_deleted(deleted, target);
	SPI_finish();
	tuplestore_end(rows);
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
	Oid			types[] = {TIDOID, OIDOID};
	EphemeralNamedRelationData store;
	Tuplestorestate *rows = store_of_one(revival->row);
	QueryEnvironment *environment = orm_connect_to_store(&store, target, rows);

	orm_execute_upsert_plan(orm_plan_upsert(&target->revival_plan, target->revival, 2, types),
							target->revival, environment,
							place_parameters(revival->tid, revival->tableoid), revival->dest);
	SPI_finish();
	tuplestore_end(rows);
	return true;
}

/* Does an error say that a live row has the key? */
static bool
is_of_key(const OrmUpsertTarget *target, const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->constraint_name != NULL &&
		strcmp(error->constraint_name, get_rel_name(target->arbiter.index)) == 0;
}

/*
 * Bring a deleted row back and have it take over what the row of the store
 * supplies.  It goes to "dest", unless it is no longer there, or no longer
 * deleted, or a live one has appeared beside it.
 */
void
orm_revive_row(OrmUpsertTarget *target, ItemPointer tid, Oid tableoid,
			   TupleTableSlot *row, DestReceiver *dest)
{
	Revival		revival = {target, tid, tableoid, row, dest};
	ErrorData  *error;

	if (orm_try(run_revival, &revival, &error))
		return;
	if (!is_of_key(target, error))
		ReThrowError(error);
	FreeErrorData(error);
}
