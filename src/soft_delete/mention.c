/*-------------------------------------------------------------------------
 *
 * mention.c
 *		Mention the marker and you are in charge.
 *
 * Where the WHERE or ON conditions of a query level name the marker column of
 * a table reference, or an UPDATE assigns it, the author has deleted rows in
 * mind, and the reference is not filtered.  That is a matter of what is
 * written, so it has to be found out before the planner simplifies conditions
 * and merges query levels; and it has to be known when the planner gets to the
 * relation.  In between it is kept in the range table entry.
 *
 * Rules:
 *	- The conditions are those of the level that the reference stands in, with
 *	  everything inside them, sub-selects included.  Those of a view do not
 *	  count for the query that uses the view, nor the other way round.
 *	- Row-level security policies are not the author's conditions; those of a
 *	  security-barrier view that is updated through are.
 *	- A NATURAL JOIN names no column.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rowsecurity.h"

#include "compat.h"
#include "soft_delete.h"

typedef struct MentionContext
{
	Query	   *query;
	int			depth;			/* levels of sub-selects around the node */
	Bitmapset **columns;		/* mentioned columns by range table index */
} MentionContext;

/*
 * The columns that are mentioned, as a list of attribute numbers.  A field
 * that has no meaning in a table's entry carries them: it is copied wherever
 * the planner copies the entry, to inheritance children too, and is cleared
 * in the finished plan.
 */
#define RTE_MENTIONS(rte) ((rte)->coltypmods)

/* Note every column of the query level that stands in an expression. */
static bool
mention_walker(Node *node, MentionContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;

		if (var->varlevelsup != context->depth || var->varattno <= 0)
			return false;
		rte = rt_fetch(var->varno, context->query->rtable);
		if (rte->rtekind == RTE_JOIN)
		{
			/* a merged column stands for the columns that it was made of */
			int			depth = context->depth;

			context->depth = 0;
			mention_walker(list_nth(rte->joinaliasvars, var->varattno - 1), context);
			context->depth = depth;
		}
		else
			context->columns[var->varno] =
				bms_add_member(context->columns[var->varno], var->varattno);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		query_tree_walker((Query *) node, mention_walker, context, 0);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, mention_walker, context);
}

/* Note what the WHERE and ON conditions of a join tree mention. */
static void
walk_join_tree(Node *node, MentionContext *context)
{
	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		ListCell   *lc;

		foreach(lc, from->fromlist)
			walk_join_tree(lfirst(lc), context);
		mention_walker(from->quals, context);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		walk_join_tree(join->larg, context);
		walk_join_tree(join->rarg, context);
		if (!join->isNatural)
			mention_walker(join->quals, context);
	}
}

/*
 * Conditions of security-barrier views on the way to the target of an UPDATE,
 * DELETE or MERGE.  They share a list with those of row-level security, which
 * come first.
 */
List *
orm_barrier_view_conditions(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	List	   *policies = NIL;

	if (rte->securityQuals != NIL && query->hasRowSecurity)
	{
		List	   *checks = NIL;
		bool		has_row_security;
		bool		has_sublinks;

		get_row_security_policies(query, rte, query->resultRelation,
								  &policies, &checks,
								  &has_row_security, &has_sublinks);
	}
	return list_copy_tail(rte->securityQuals, list_length(policies));
}

/* Note the columns that are assigned in a target list. */
static void
note_assigned(List *targetlist, MentionContext *context)
{
	int			target = context->query->resultRelation;
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk)
			context->columns[target] = bms_add_member(context->columns[target],
													  tle->resno);
	}
}

/* Note what an UPDATE, DELETE or MERGE mentions of its target. */
static void
walk_target(MentionContext *context)
{
	Query	   *query = context->query;
	ListCell   *lc;

	switch (query->commandType)
	{
		case CMD_UPDATE:
			note_assigned(query->targetList, context);
			break;
		case CMD_MERGE:
			mention_walker(orm_merge_condition(query), context);
			foreach(lc, query->mergeActionList)
			{
				MergeAction *action = lfirst_node(MergeAction, lc);

				if (action->commandType == CMD_UPDATE)
					note_assigned(action->targetList, context);
			}
			break;
		case CMD_DELETE:
			break;
		default:
			return;
	}
	mention_walker((Node *) orm_barrier_view_conditions(query), context);
}

/* Note in its range table what the conditions of a query level mention. */
void
orm_note_mentions(Query *query)
{
	int			nrelations = list_length(query->rtable);
	MentionContext context = {.query = query};

	context.columns = palloc0_array(Bitmapset *, nrelations + 1);
	walk_join_tree((Node *) query->jointree, &context);
	walk_target(&context);

	for (int i = 1; i <= nrelations; i++)
	{
		RangeTblEntry *rte = rt_fetch(i, query->rtable);
		int			attno = -1;

		if (rte->rtekind != RTE_RELATION)
			continue;
		RTE_MENTIONS(rte) = NIL;
		while ((attno = bms_next_member(context.columns[i], attno)) >= 0)
			RTE_MENTIONS(rte) = lappend_int(RTE_MENTIONS(rte), attno);
	}
}

/* Count a column among those that the conditions around a reference mention. */
void
orm_set_mentioned(RangeTblEntry *rte, AttrNumber attno)
{
	RTE_MENTIONS(rte) = list_append_unique_int(RTE_MENTIONS(rte), attno);
}

/* Do the conditions around a table reference mention one of its columns? */
bool
orm_is_mentioned(const RangeTblEntry *rte, AttrNumber attno)
{
	return list_member_int(RTE_MENTIONS(rte), attno);
}

PG_FUNCTION_INFO_V1(orm_with_deleted);

/*
 * orm_ext.with_deleted(marker "any") → boolean, always true
 *
 * A way to mention the marker that says what it is for.
 */
Datum
orm_with_deleted(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(true);
}
