/*-------------------------------------------------------------------------
 *
 * plan.c
 *		A query before and after the planner.
 *
 * Before: look at every query level, whether it concerns a table under soft
 * delete at all; open up inlinable functions; note which references the
 * author is in charge of; turn deletes into updates.  After: give the
 * statement its DELETE back, which is what the client is told.
 *
 * The tree is changed in place, as the planner itself does with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"

#include "cascade.h"
#include "soft_delete.h"

typedef struct PrepareContext
{
	OrmPlan    *plan;
	ParamListInfo params;
	PlannerInfo *root;			/* for the inlining of functions */
} PrepareContext;

static void prepare_query(Query *query, PrepareContext *context);

/* A planner state that holds just what the inlining of functions looks at. */
static PlannerInfo *
make_inline_root(ParamListInfo params)
{
	PlannerInfo *root = makeNode(PlannerInfo);

	root->glob = makeNode(PlannerGlobal);
	root->glob->boundParams = params;
	root->parse = makeNode(Query);
	root->query_level = 1;
	root->planner_cxt = CurrentMemoryContext;
	return root;
}

/* Prepare the queries inside an expression. */
static bool
prepare_walker(Node *node, PrepareContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		prepare_query((Query *) node, context);
		return false;
	}
	return expression_tree_walker(node, prepare_walker, context);
}

/* Open a function's entry up if possible, and prepare what comes out. */
static void
prepare_function(RangeTblEntry *rte, PrepareContext *context)
{
	if (context->root == NULL)
		context->root = make_inline_root(context->params);
	if (orm_inline_function(rte, context->root))
		prepare_query(rte->subquery, context);
}

/* Prepare one query level and those below it. */
static void
prepare_query(Query *query, PrepareContext *context)
{
	bool		concerned = false;
	ListCell   *lc;

	check_stack_depth();

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION)
		{
			/* a foreign table can be a partition of a managed one */
			if (rte->relkind == RELKIND_RELATION ||
				rte->relkind == RELKIND_PARTITIONED_TABLE ||
				rte->relkind == RELKIND_FOREIGN_TABLE)
				concerned |= orm_policy_concerns(rte->relid, rte->inh);
		}
		else if (rte->rtekind == RTE_SUBQUERY)
			prepare_query(rte->subquery, context);
		else if (rte->rtekind == RTE_FUNCTION)
			prepare_function(rte, context);
	}
	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		Query	   *ctequery = castNode(Query, cte->ctequery);

		/* the planner does not look at a SELECT that nobody refers to */
		if (cte->cterefcount > 0 || ctequery->commandType != CMD_SELECT)
			prepare_query(ctequery, context);
	}
	if (query->hasSubLinks)
		query_tree_walker(query, prepare_walker, context,
						  QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES);

	if (concerned)
	{
		context->plan->filter = true;
		orm_note_mentions(query);
		orm_rewrite_query(query);
	}
}

/*
 * Prepare a statement for the planner; "plan" comes zeroed.  On return plan->filter tells whether
 * its relations have to be filtered while it is planned.
 */
void
orm_plan_prepare(OrmPlan *plan, Query *parse, const char *query_string,
				 ParamListInfo params)
{
	PrepareContext context = {plan, params, NULL};
	CmdType		command = parse->commandType;
	bool		cascading;

	if (command == CMD_UTILITY)
		return;
	if (orm_is_referential_query(query_string))
	{
		orm_rewrite_referential_query(parse);
		return;
	}

	cascading = orm_set_cascading(orm_is_cascade(query_string));
	plan->rows = orm_visible_rows();

	/* a reader who sees everything needs no further look */
	if (plan->rows != ORM_DELETED_ROWS_SHOW ||
		command != CMD_SELECT || parse->hasModifyingCTE)
		prepare_query(parse, &context);
	(void) orm_set_cascading(cascading);

	if (plan->rows == ORM_DELETED_ROWS_SHOW)
		plan->filter = false;
	plan->was_delete = command == CMD_DELETE && parse->commandType == CMD_UPDATE;
	if (context.root)
	{
		plan->inval_items = context.root->glob->invalItems;
		plan->depends_on_role = context.root->glob->dependsOnRole;
	}
}

/*
 * Finish a planned statement.  A DELETE that became an UPDATE inside is a
 * DELETE to everyone who looks at the statement from outside: command tag, row
 * count, SPI result, read-only check.
 */
void
orm_plan_finish(const OrmPlan *plan, PlannedStmt *stmt)
{
	if (plan->was_delete)
		stmt->commandType = CMD_DELETE;
	stmt->invalItems = list_concat(stmt->invalItems, plan->inval_items);
	stmt->dependsOnRole |= plan->depends_on_role;
}
