/*-------------------------------------------------------------------------
 *
 * row_lock.c
 *		A soft DELETE locks its rows as a real one does.
 *
 * A DELETE is in the way of whoever inserts a reference to the row, and of
 * whoever looks whether it refers to one that is to go: both want FOR KEY SHARE.
 * An UPDATE of a column that is in no key is not.  So
 * a row that is about to be marked is locked FOR UPDATE first, as it comes out
 * of the plan and before the executor touches it: to take a weaker lock first
 * and a stronger one later would deadlock with one who has inserted a reference
 * and goes on to update the row.
 *
 * No more is done about a row that has changed: to find that out, and what to
 * do about it, is left to the executor.
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

/* Lock the row that a row of the plan stands for. */
static void
lock_row(ModifyTableState *target, TupleTableSlot *row)
{
	EState	   *estate = target->ps.state;
	ResultRelInfo *rri = table_of_row(target, row);
	bool		last_version = !IsolationUsesXactSnapshot();
	bool		isnull;
	Datum		place;
	TupleTableSlot *slot;
	ItemPointerData tid;
	TM_FailureData failure;

	if (rri == NULL || rri->ri_RelationDesc->rd_rel->relkind != RELKIND_RELATION ||
		!AttributeNumberIsValid(rri->ri_RowIdAttNo))
		return;
	place = slot_getattr(row, rri->ri_RowIdAttNo, &isnull);
	if (isnull)
		return;

	tid = *(ItemPointer) DatumGetPointer(place);
	slot = ExecGetTriggerOldSlot(estate, rri);
	(void) table_tuple_lock(rri->ri_RelationDesc, &tid, estate->es_snapshot, slot,
							estate->es_output_cid, LockTupleExclusive, LockWaitBlock,
							last_version ? TUPLE_LOCK_FLAG_FIND_LAST_VERSION : 0, &failure);
	ExecClearTuple(slot);
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

/* Have the rows of an UPDATE locked that it deletes softly. */
static void
lock_rows_of(ModifyTableState *mtstate)
{
	ModifyTable *node = (ModifyTable *) mtstate->ps.plan;
	ResultRelInfo *first = mtstate->resultRelInfo;
	LockingStatement *statement;
	OrmMarker	marker;
	int			column = 0;

	if (node->operation != CMD_UPDATE || mtstate->mt_nrels == 0 ||
		!orm_soft_delete_foreign_keys(RelationGetRelid(first->ri_RelationDesc)) ||
		!orm_soft_delete_marker(RelationGetRelid(first->ri_RelationDesc), &marker) ||
		!takes_part_in_references(first))
		return;
	if (!orm_is_soft_delete(node))
		column = marker_column(mtstate, &marker);
	if (column < 0)
		return;

	statement = MemoryContextAlloc(mtstate->ps.state->es_query_cxt, sizeof(LockingStatement));
	statement->target = mtstate;
	statement->marker_column = column;
	statement->marker = marker;
	orm_watch_rows(outerPlanState(mtstate), lock_if_deleted, statement);
}

/* See to the locks of a statement that is about to be executed. */
void
orm_lock_like_delete(QueryDesc *query_desc)
{
	ListCell   *lc;

	if (query_desc->plannedstmt->resultRelations == NIL)
		return;
	if (query_desc->planstate && IsA(query_desc->planstate, ModifyTableState))
		lock_rows_of((ModifyTableState *) query_desc->planstate);
	foreach(lc, query_desc->estate->es_auxmodifytables)
	{
		if (lfirst(lc) != query_desc->planstate)
			lock_rows_of(lfirst(lc));
	}
}
