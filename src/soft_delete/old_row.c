/*-------------------------------------------------------------------------
 *
 * old_row.c
 *		RETURNING of a soft DELETE on a table with BEFORE UPDATE triggers.
 *
 * Before 18, RETURNING of an UPDATE reads the row as it was stored, and a
 * trigger may have changed any column of it, an updated_at say.  returning.c
 * cannot know that from the query.  But where there are such triggers, the
 * executor keeps the row that they were given, in its latest version, so here
 * the RETURNING list of a soft DELETE is compiled anew to read that.
 *
 * A soft DELETE is told from other updates by a field of its first target
 * entry, which has no meaning for an UPDATE, and which the planner copies to
 * the plan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"

#include "compat.h"
#include "soft_delete.h"

/* Mark the target entry of an UPDATE as that of a soft DELETE. */
void
orm_set_soft_delete_entry(TargetEntry *tle, Oid relid)
{
	tle->resorigtbl = relid;
	tle->resorigcol = tle->resno;
}

/* Is this the target list of a soft DELETE? */
bool
orm_is_soft_delete_list(List *targetlist)
{
	return targetlist != NIL &&
		OidIsValid(linitial_node(TargetEntry, targetlist)->resorigtbl);
}

/* Does a plan node do a soft DELETE? */
bool
orm_is_soft_delete(const ModifyTable *node)
{
	return node->operation == CMD_UPDATE &&
		orm_is_soft_delete_list(outerPlan(node)->targetlist);
}

#ifdef ORM_HAVE_RETURNING_OLD

/* 18 and later: the query says it all. */
void
orm_return_old_rows(QueryDesc *query_desc)
{
}

#else

/* Have references to a relation read the inner tuple. */
static Node *
old_row_mutator(Node *node, Index *varno)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == *varno)
	{
		Var		   *var = copyObject((Var *) node);

		var->varno = INNER_VAR;
		return (Node *) var;
	}
	return expression_tree_mutator(node, old_row_mutator, varno);
}

/*
 * Compile the RETURNING list for one result relation to read its old row.  The
 * expression context is the node's own, with that row in a place of its own.
 */
static void
return_old_row(ModifyTableState *mtstate, ResultRelInfo *rri, List *returning)
{
	EState	   *estate = mtstate->ps.state;
	ExprContext *econtext = palloc_object(ExprContext);
	Index		varno = rri->ri_RangeTableIndex;

	*econtext = *mtstate->ps.ps_ExprContext;
	econtext->ecxt_innertuple = ExecGetTriggerOldSlot(estate, rri);
	returning = (List *) old_row_mutator((Node *) returning, &varno);
	rri->ri_projectReturning =
		ExecBuildProjectionInfo(returning, econtext,
								mtstate->ps.ps_ResultTupleSlot, &mtstate->ps,
								RelationGetDescr(rri->ri_RelationDesc));
}

/* Do so for all result relations of a soft DELETE that have such triggers. */
static void
return_old_rows(PlanState *planstate)
{
	ModifyTableState *mtstate = (ModifyTableState *) planstate;
	ModifyTable *node;

	if (planstate == NULL || !IsA(planstate, ModifyTableState))
		return;
	node = (ModifyTable *) planstate->plan;
	if (node->returningLists == NIL || !orm_is_soft_delete(node))
		return;
	for (int i = 0; i < mtstate->mt_nrels; i++)
	{
		ResultRelInfo *rri = &mtstate->resultRelInfo[i];

		if (rri->ri_TrigDesc && rri->ri_TrigDesc->trig_update_before_row)
			return_old_row(mtstate, rri, list_nth(node->returningLists, i));
	}
}

/*
 * Look for soft DELETEs in a query that is about to be executed: at the top,
 * and in WITH, where the plans of data-modifying statements are sub-plans.
 */
void
orm_return_old_rows(QueryDesc *query_desc)
{
	EState	   *estate = query_desc->estate;
	MemoryContext oldcontext;
	ListCell   *lc;

	if (!query_desc->plannedstmt->hasReturning &&
		!query_desc->plannedstmt->hasModifyingCTE)
		return;

	oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	return_old_rows(query_desc->planstate);
	foreach(lc, estate->es_subplanstates)
		return_old_rows(lfirst(lc));
	MemoryContextSwitchTo(oldcontext);
}

#endif							/* ORM_HAVE_RETURNING_OLD */
