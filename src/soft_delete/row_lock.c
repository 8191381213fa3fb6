/*-------------------------------------------------------------------------
 *
 * row_lock.c
 *		A soft DELETE locks its rows as a real one does.
 *
 * A DELETE is in the way of whoever inserts a reference to the row, who holds
 * or wants FOR KEY SHARE; an UPDATE of a column that is in no key is not.  So
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
#include "lib/ilist.h"
#include "utils/rel.h"

#include "compat.h"
#include "references.h"
#include "soft_delete.h"

/* The plan below a soft DELETE, or below an UPDATE of the marker. */
typedef struct LockingPlan
{
	dlist_node	node;
	PlanState  *state;
	ExecProcNodeMtd next_row;	/* what it does by itself */
	ModifyTableState *target;
	AttrNumber	marker_column;	/* in its rows, 0 if all are to be deleted */
	OrmMarker	marker;
	MemoryContextCallback at_end;
} LockingPlan;

/* Those in execution. */
static dlist_head locking_plans = DLIST_STATIC_INIT(locking_plans);

/* An execution has ended, or failed. */
static void
forget_plan(void *arg)
{
	dlist_delete(&((LockingPlan *) arg)->node);
}

/* What there is to know of a plan. */
static LockingPlan *
find_locking_plan(PlanState *state)
{
	dlist_iter	iter;

	dlist_foreach(iter, &locking_plans)
	{
		LockingPlan *plan = dlist_container(LockingPlan, node, iter.cur);

		if (plan->state == state)
			return plan;
	}
	elog(ERROR, "plan below a soft DELETE not found");
}

/* Will the row be a deleted one? */
static bool
becomes_deleted(const LockingPlan *plan, TupleTableSlot *row)
{
	bool		isnull;
	Datum		value;

	if (plan->marker_column == 0)
		return true;
	value = slot_getattr(row, plan->marker_column, &isnull);
	return !orm_marker_is_live(&plan->marker, value, isnull);
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
lock_row(LockingPlan *plan, TupleTableSlot *row)
{
	EState	   *estate = plan->state->state;
	ResultRelInfo *rri = table_of_row(plan->target, row);
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

/* The next row of the plan, after what it stands for is locked. */
static TupleTableSlot *
next_locked_row(PlanState *state)
{
	LockingPlan *plan = find_locking_plan(state);
	TupleTableSlot *row = plan->next_row(state);

	if (!TupIsNull(row) && becomes_deleted(plan, row))
		lock_row(plan, row);
	return row;
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

/* Have the rows of an UPDATE locked that it deletes softly. */
static void
lock_rows_of(ModifyTableState *mtstate)
{
	ModifyTable *node = (ModifyTable *) mtstate->ps.plan;
	ResultRelInfo *first = mtstate->resultRelInfo;
	EState	   *estate = mtstate->ps.state;
	LockingPlan *plan;
	OrmMarker	marker;
	int			column = 0;

	if (node->operation != CMD_UPDATE || mtstate->mt_nrels == 0 ||
		!orm_soft_delete_foreign_keys(RelationGetRelid(first->ri_RelationDesc)) ||
		!orm_soft_delete_marker(RelationGetRelid(first->ri_RelationDesc), &marker) ||
		!orm_is_referred_to(first->ri_TrigDesc,
							RelationGetRelid(first->ri_RelationDesc)))
		return;
	if (!orm_is_soft_delete(node))
		column = marker_column(mtstate, &marker);
	if (column < 0)
		return;

	plan = MemoryContextAllocZero(estate->es_query_cxt, sizeof(LockingPlan));
	plan->state = outerPlanState(mtstate);
	plan->next_row = plan->state->ExecProcNodeReal;
	plan->target = mtstate;
	plan->marker_column = column;
	plan->marker = marker;
	ExecSetExecProcNode(plan->state, next_locked_row);
	plan->at_end.func = forget_plan;
	plan->at_end.arg = plan;
	dlist_push_head(&locking_plans, &plan->node);
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &plan->at_end);
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
