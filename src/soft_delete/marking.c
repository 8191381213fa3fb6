/*-------------------------------------------------------------------------
 *
 * marking.c
 *		Will the UPDATE of a MERGE or an upsert mark a row?
 *
 * That has to be known before the executor locks the row, thus before it
 * evaluates what is assigned.  So the expression for the marker is evaluated
 * once more, where that makes no difference.  It is taken to mark the row where
 * it would make one: where a function is volatile, or a sub-select may call one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"

#include "row_lock.h"
#include "soft_delete.h"

/* Is an expression a constant that the marker has in live rows? */
static bool
is_live_constant(const OrmMarker *marker, const Expr *expr)
{
	const Const *constant = (const Const *) expr;

	return IsA(expr, Const) &&
		orm_marker_is_live(marker, constant->constvalue, constant->constisnull);
}

/* Does it make no difference whether an expression is evaluated once more? */
bool
orm_may_evaluate_twice(Node *expr)
{
	return !contain_volatile_functions(expr) && !contain_subplans(expr);
}

/*
 * Find out what a list of assignments makes of the marker, with the columns that
 * they are for.  False if it leaves the marker alone, or makes all rows live.
 */
bool
orm_find_marking(OrmMarking *marking, const OrmMarker *marker, List *assignments, List *columns)
{
	bool		is_whole = true;
	Expr	   *expr = NULL;
	ListCell   *lc;

	marking->marker = *marker;
	marking->expr = NULL;
	marking->value = NULL;
	if (orm_is_soft_delete_list(assignments))
		return true;
	foreach(lc, columns)
	{
		if (lfirst_int(lc) == marker->attno)
			expr = list_nth_node(TargetEntry, assignments, foreach_current_index(lc))->expr;
	}
	if (expr == NULL || is_live_constant(marker, expr))
		return false;

	/*
	 * SET (a, b) = (SELECT ...) has an entry of its own, which the others
	 * read
	 */
	foreach(lc, assignments)
		is_whole &= !lfirst_node(TargetEntry, lc)->resjunk;
	if (is_whole && orm_may_evaluate_twice((Node *) expr))
		marking->expr = expr;
	return true;
}

/* Prepare to evaluate what is assigned. */
void
orm_prepare_marking(OrmMarking *marking, ModifyTableState *mtstate)
{
	marking->value = ExecInitExpr(marking->expr, &mtstate->ps);
}

/* Is the marker assigned a value that it has in deleted rows, as far as can be told? */
bool
orm_assigns_deletion(const OrmMarking *marking, ExprContext *econtext)
{
	bool		isnull;
	Datum		value;

	if (marking->value == NULL)
		return true;
	value = ExecEvalExprSwitchContext(marking->value, econtext, &isnull);
	return !orm_marker_is_live(&marking->marker, value, isnull);
}

/* Is a row a live one? */
bool
orm_is_live_row(const OrmMarker *marker, TupleTableSlot *row)
{
	bool		isnull;
	Datum		value = slot_getattr(row, marker->attno, &isnull);

	return orm_marker_is_live(marker, value, isnull);
}

/* A condition that calls a function of ours when the executor evaluates it. */
ExprState *
orm_make_condition(ExprStateEvalFunc function, void *arg)
{
	ExprState  *condition = makeNode(ExprState);

	condition->flags = EEO_FLAG_IS_QUAL;
	condition->expr = (Expr *) makeBoolConst(true, false);
	condition->evalfunc = function;
	condition->evalfunc_private = arg;
	return condition;
}
