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

#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"

#include "soft_delete.h"
#include "util/names.h"

/*
 * Turn a function's range table entry into a sub-select, if the function can
 * be inlined.  "root" takes note of the plan's dependency on the function.
 * This mirrors preprocess_function_rtes().
 */
bool
orm_inline_function(RangeTblEntry *rte, PlannerInfo *root)
{
	Query	   *body;

	if (!orm_schema_exists())
		return false;			/* nothing to look for in this database */

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
