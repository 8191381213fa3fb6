/*-------------------------------------------------------------------------
 *
 * row_lock_merge.c
 *		A MERGE locks the rows that it marks as a DELETE does.
 *
 * Which action is taken on a row is known when the executor has found the first
 * one whose condition is true, and what it does next is to lock the row.  So
 * the condition of an action that may mark rows, or the lack of one, is put
 * behind one of ours: where it is true, a row that will be marked is locked
 * FOR UPDATE.  The executor evaluates it anew for a row that others have
 * changed meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "utils/rel.h"

#include "compat.h"
#include "row_lock.h"

/* An action that may mark rows of a table. */
typedef struct LockingAction
{
	EState	   *estate;
	ResultRelInfo *rri;
	ExprState  *condition;		/* as written, NULL if there is none */
	OrmMarking	marking;
} LockingAction;

/* Is the condition of an action true?  Then lock the row, if it will be marked. */
static Datum
meets_condition(ExprState *state, ExprContext *econtext, bool *isnull)
{
	LockingAction *action = state->evalfunc_private;
	TupleTableSlot *row = econtext->ecxt_scantuple;

	*isnull = false;
	if (!ExecQual(action->condition, econtext))
		return BoolGetDatum(false);
	if (orm_is_live_row(&action->marking.marker, row) &&
		orm_assigns_deletion(&action->marking, econtext))
		(void) orm_lock_row(action->estate, action->rri, &row->tts_tid,
							LockTupleExclusive, !IsolationUsesXactSnapshot());
	return BoolGetDatum(true);
}

/* See to one action on rows of a table. */
static void
lock_for_action(ModifyTableState *mtstate, ResultRelInfo *rri,
				MergeActionState *state, const OrmMarker *marker)
{
	const MergeAction *action = state->mas_action;
	LockingAction *locking;
	OrmMarking	marking;

	if (action->commandType != CMD_UPDATE ||
		!orm_find_marking(&marking, marker, action->targetList, action->updateColnos))
		return;
	orm_prepare_marking(&marking, mtstate);
	locking = palloc_object(LockingAction);
	locking->estate = mtstate->ps.state;
	locking->rri = rri;
	locking->condition = state->mas_whenqual;
	locking->marking = marking;
	state->mas_whenqual = orm_make_condition(meets_condition, locking);
}

/* See to all of them. */
void
orm_lock_for_merge(ModifyTableState *mtstate)
{
	for (int i = 0; i < mtstate->mt_nrels; i++)
	{
		ResultRelInfo *rri = &mtstate->resultRelInfo[i];
		OrmMarker	marker;
		ListCell   *lc;

		if (rri->ri_RelationDesc->rd_rel->relkind != RELKIND_RELATION ||
			!orm_locks_like_delete(rri, &marker))
			continue;
		foreach(lc, orm_merge_actions_on_rows(rri))
			lock_for_action(mtstate, rri, lfirst_node(MergeActionState, lc), &marker);
	}
}
