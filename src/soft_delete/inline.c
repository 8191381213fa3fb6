/*-------------------------------------------------------------------------
 *
 * inline.c
 *		Set-returning SQL functions, opened up before the planner does it.
 *
 * The planner replaces a simple set-returning SQL function in FROM by its
 * body.  No hook sees that body before its conditions are mixed with those of
 * the query around it.  So we ask the planner's own function to do it a
 * little earlier; the result is what the planner would have made of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/syscache.h"

#include "soft_delete.h"
#include "util/names.h"

/* Is this a call of one set-returning SQL function?  Nothing else is inlined. */
static bool
is_sql_function(RangeTblEntry *rte)
{
	FuncExpr   *call;
	HeapTuple	tuple;
	bool		is_sql;

	if (rte->funcordinality || list_length(rte->functions) != 1)
		return false;
	call = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || !call->funcretset)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	if (!HeapTupleIsValid(tuple))
		return false;
	is_sql = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	return is_sql;
}

/*
 * Turn a function's range table entry into a sub-select, if the function can
 * be inlined.  "root" takes note of the plan's dependency on the function.
 * This mirrors preprocess_function_rtes().
 */
bool
orm_inline_function(RangeTblEntry *rte, PlannerInfo *root)
{
	Query	   *body;

	if (!is_sql_function(rte) || !orm_schema_exists())
		return false;

	rte->functions = (List *) eval_const_expressions(root, (Node *) rte->functions);
	body = inline_set_returning_function(root, rte);
	if (body == NULL)
		return false;

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = body;
	rte->security_barrier = false;
	rte->funcordinality = false;
	return true;
}
