/*-------------------------------------------------------------------------
 *
 * row_lock.c
 *		A soft DELETE locks its rows as a real one does.
 *
 * A DELETE is in the way of whoever inserts a reference to the row, and of
 * whoever looks whether it refers to one that is to go: both want FOR KEY SHARE.
 * An UPDATE of a column that is in no key is not.  So a row that is about to be
 * marked is locked FOR UPDATE first, as it comes out of the plan and before the
 * executor touches it: to take a weaker lock first and a stronger one later would
 * deadlock with one who has inserted a reference and goes on to update the row.
 *
 * No more is done about a row that has changed: to find that out, and what to
 * do about it, is left to the executor.
 *
 * Here is what UPDATEs and soft DELETEs need; of a MERGE or an upsert it is not
 * known that early what becomes of a row (row_lock_merge.c, row_lock_upsert.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "utils/rel.h"

#include "compat.h"
#include "plan_rows.h"
#include "references.h"
#include "row_lock.h"
#include "soft_delete.h"

/* A soft DELETE, or an UPDATE of the marker. */
typedef struct LockingStatement
{
	ModifyTableState *target;
	AttrNumber	marker_column;	/* in its plan's rows, 0 if all are to be
								 * deleted */
	OrmMarker	marker;
} LockingStatement;

/* Will the row be a deleted one? */
static bool
becomes_deleted(const LockingStatement *statement, TupleTableSlot *row)
{
	bool		isnull;
	Datum		value;

	if (statement->marker_column == 0)
		return true;
	value = slot_getattr(row, statement->marker_column, &isnull);
	return !orm_marker_is_live(&statement->marker, value, isnull);
}

/* The table, among those of the statement, that a row of the plan stands for. */
static ResultRelInfo *
table_of_row(ModifyTableState *target, TupleTableSlot *row)
{
	bool		isnull;
	Datum		relid;

	if (target->mt_resultOidAttno == 0)
		return target->resultRelInfo;
	relid = slot_getattr(row, target->mt_resultOidAttno, &isnull);
	return isnull ? NULL : ExecLookupResultRelByOid(target, DatumGetObjectId(relid), true, false);
}

/*
 * Lock a row before the executor does: the one at "place" or, if asked for, what
 * others have made of it by now.  A DELETE locks with LockTupleExclusive.
 */
TM_Result
orm_lock_row(EState *estate, ResultRelInfo *rri, ItemPointer place,
			 LockTupleMode mode, bool last_version)
{
	TupleTableSlot *slot = ExecGetTriggerOldSlot(estate, rri);
	ItemPointerData tid = *place;
	TM_FailureData failure;
	TM_Result	result;

	result = table_tuple_lock(rri->ri_RelationDesc, &tid, estate->es_snapshot, slot,
							  estate->es_output_cid, mode, LockWaitBlock,
							  last_version ? TUPLE_LOCK_FLAG_FIND_LAST_VERSION : 0, &failure);
	ExecClearTuple(slot);
	return result;
}

/* Lock the row that a row of the plan stands for. */
static void
lock_row(ModifyTableState *target, TupleTableSlot *row)
{
	ResultRelInfo *rri = table_of_row(target, row);
	bool		isnull;
	Datum		place;

	if (rri == NULL || rri->ri_RelationDesc->rd_rel->relkind != RELKIND_RELATION ||
		!AttributeNumberIsValid(rri->ri_RowIdAttNo))
		return;
	place = slot_getattr(row, rri->ri_RowIdAttNo, &isnull);
	if (!isnull)
		(void) orm_lock_row(target->ps.state, rri, (ItemPointer) DatumGetPointer(place),
							LockTupleExclusive, !IsolationUsesXactSnapshot());
}

/* Lock what a row of the plan stands for, if that is to be deleted. */
static void
lock_if_deleted(void *arg, TupleTableSlot *row)
{
	LockingStatement *statement = arg;

	if (becomes_deleted(statement, row))
		lock_row(statement->target, row);
}

/*
 * The column of the plan's rows that becomes the marker; -1 if the statement
 * does not assign that.
 */
static int
marker_column(ModifyTableState *mtstate, const OrmMarker *marker)
{
	int			column = 0;
	ListCell   *lc;

	foreach(lc, (List *) linitial(orm_update_colnos(mtstate)))
	{
		column++;
		if (lfirst_int(lc) == marker->attno)
			return column;
	}
	return -1;
}

/* Does a table refer to others, or others to it, by an enforced foreign key? */
static bool
takes_part_in_references(const ResultRelInfo *rri)
{
	Oid			relid = RelationGetRelid(rri->ri_RelationDesc);

	return orm_is_referred_to(rri->ri_TrigDesc, relid) || orm_refers(rri->ri_TrigDesc, relid);
}

/* Are rows of a table locked before they are marked?  If so, which is its marker? */
bool
orm_locks_like_delete(const ResultRelInfo *rri, OrmMarker *marker)
{
	Oid			relid = RelationGetRelid(rri->ri_RelationDesc);

	return orm_soft_delete_foreign_keys(relid) && orm_soft_delete_marker(relid, marker) &&
		takes_part_in_references(rri);
}

/* Have the rows of an UPDATE locked that it deletes softly. */
static void
lock_for_update(ModifyTableState *mtstate)
{
	LockingStatement *statement;
	OrmMarker	marker;
	int			column = 0;

	if (mtstate->mt_nrels == 0 || !orm_locks_like_delete(mtstate->resultRelInfo, &marker))
		return;
	if (!orm_is_soft_delete((ModifyTable *) mtstate->ps.plan))
		column = marker_column(mtstate, &marker);
	if (column < 0)
		return;

	statement = palloc_object(LockingStatement);
	statement->target = mtstate;
	statement->marker_column = column;
	statement->marker = marker;
	orm_watch_rows(outerPlanState(mtstate), lock_if_deleted, statement);
}

/* Have the rows of a part of a statement locked that it marks. */
static void
lock_for_part(ModifyTableState *mtstate)
{
	switch (mtstate->operation)
	{
		case CMD_UPDATE:
			lock_for_update(mtstate);
			break;
		case CMD_MERGE:
			orm_lock_for_merge(mtstate);
			break;
		case CMD_INSERT:
			/* the partitions come one by one (transition.c) */
			if (mtstate->mt_partition_tuple_routing == NULL)
				orm_lock_for_upsert(mtstate, mtstate->resultRelInfo);
			break;
		default:
			break;
	}
}

/* See to the locks of a statement that is about to be executed. */
void
orm_lock_like_delete(QueryDesc *query_desc)
{
	MemoryContext oldcontext;
	ListCell   *lc;

	if (query_desc->plannedstmt->resultRelations == NIL)
		return;
	oldcontext = MemoryContextSwitchTo(query_desc->estate->es_query_cxt);
	if (query_desc->planstate && IsA(query_desc->planstate, ModifyTableState))
		lock_for_part((ModifyTableState *) query_desc->planstate);
	foreach(lc, query_desc->estate->es_auxmodifytables)
	{
		if (lfirst(lc) != query_desc->planstate)
			lock_for_part(lfirst(lc));
	}
	MemoryContextSwitchTo(oldcontext);
}
