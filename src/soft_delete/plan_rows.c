/*-------------------------------------------------------------------------
 *
 * plan_rows.c
 *		A look at the rows of a plan before they are used.
 *
 * The function by which a plan node hands out its rows is put behind one of
 * ours, for one execution.  The node's instrumentation stays around both, so
 * EXPLAIN ANALYZE counts what is done here for the node.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "lib/ilist.h"

#include "plan_rows.h"

/* A plan node that is watched. */
typedef struct WatchedPlan
{
	dlist_node	node;
	PlanState  *state;
	ExecProcNodeMtd next_row;	/* what it does by itself */
	OrmRowWatcher watcher;
	void	   *arg;
	MemoryContextCallback at_end;
} WatchedPlan;

/* Those in execution. */
static dlist_head watched_plans = DLIST_STATIC_INIT(watched_plans);

/* An execution has ended, or failed. */
static void
forget_plan(void *arg)
{
	dlist_delete(&((WatchedPlan *) arg)->node);
}

/* What there is to know of a plan node. */
static WatchedPlan *
find_plan(PlanState *state)
{
	dlist_iter	iter;

	dlist_foreach(iter, &watched_plans)
	{
		WatchedPlan *plan = dlist_container(WatchedPlan, node, iter.cur);

		if (plan->state == state)
			return plan;
	}
	elog(ERROR, "watched plan not found");
}

/* The next row of a plan node, after it was looked at. */
static TupleTableSlot *
next_watched_row(PlanState *state)
{
	WatchedPlan *plan = find_plan(state);
	TupleTableSlot *row = plan->next_row(state);

	if (!TupIsNull(row))
		plan->watcher(plan->arg, row);
	return row;
}

/*
 * Have "watcher" called for every row that a plan node hands out.  For a
 * statement that is about to be executed.
 */
void
orm_watch_rows(PlanState *state, OrmRowWatcher watcher, void *arg)
{
	MemoryContext context = state->state->es_query_cxt;
	WatchedPlan *plan = MemoryContextAllocZero(context, sizeof(WatchedPlan));

	plan->state = state;
	plan->next_row = state->ExecProcNodeReal;
	plan->watcher = watcher;
	plan->arg = arg;
	ExecSetExecProcNode(state, next_watched_row);
	plan->at_end.func = forget_plan;
	plan->at_end.arg = plan;
	dlist_push_head(&watched_plans, &plan->node);
	MemoryContextRegisterResetCallback(context, &plan->at_end);
}
