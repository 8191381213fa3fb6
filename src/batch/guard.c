/*-------------------------------------------------------------------------
 *
 * guard.c
 *		Does a row that an UPDATE has changed meet its condition no more?
 *
 * Where that can be proved, a row cannot be done twice, wherever its new
 * version is put.  The proof: write the assigned values in place of the columns
 * in the condition; what comes out, together with the condition itself, must be
 * a contradiction.  "x = 1" where "x IS NULL" becomes "1 IS NULL".
 *
 * What is not proved may well be so: then it is found out row by row, or there
 * is a key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "batch.h"
#include "compat.h"

/* What is known of the UPDATE. */
typedef struct Update
{
	Index		target;
	Relation	rel;
	List	   *assigned;		/* TargetEntry */
	bool		is_beyond_us;
} Update;

/* Functions without arguments that always have a value. */
static bool
always_has_value(Oid funcid)
{
	return funcid == F_NOW || funcid == F_TRANSACTION_TIMESTAMP ||
		funcid == F_STATEMENT_TIMESTAMP || funcid == F_CLOCK_TIMESTAMP ||
		funcid == F_GEN_RANDOM_UUID;
}

/* Can an expression never be null? */
static bool
is_never_null(const Update *update, Node *node)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Const:
			return !((Const *) node)->constisnull;
		case T_Var:
			return ((Var *) node)->varattno > 0 &&
				orm_column_is_not_null(RelationGetDescr(update->rel), ((Var *) node)->varattno);
		case T_SQLValueFunction:
			return ((SQLValueFunction *) node)->op != SVFOP_CURRENT_SCHEMA;
		case T_FuncExpr:
			/* a cast, now(), or unknown */
			if (((FuncExpr *) node)->args == NIL)
				return always_has_value(((FuncExpr *) node)->funcid);
			return false;
		case T_RelabelType:
			return is_never_null(update, (Node *) ((RelabelType *) node)->arg);
		case T_CoalesceExpr:
			foreach(lc, ((CoalesceExpr *) node)->args)
			{
				if (is_never_null(update, lfirst(lc)))
					return true;
			}
			return false;
		default:
			return false;
	}
}

/* The value that a column has afterwards, in terms of what it was before. */
static Node *
value_afterwards(Update *update, Var *var)
{
	ListCell   *lc;

	if (var->varattno <= 0 ||
		TupleDescAttr(RelationGetDescr(update->rel), var->varattno - 1)->attgenerated != '\0')
		update->is_beyond_us = true;
	foreach(lc, update->assigned)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resno == var->varattno && !tle->resjunk)
			return copyObject((Node *) tle->expr);
	}
	return (Node *) copyObject(var);
}

/* Write the values afterwards in place of columns. */
static Node *
substitute(Node *node, Update *update)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == update->target &&
		((Var *) node)->varlevelsup == 0)
		return value_afterwards(update, (Var *) node);
	if (IsA(node, SubLink) || IsA(node, Query) || IsA(node, CurrentOfExpr))
	{
		update->is_beyond_us = true;
		return node;
	}
	node = expression_tree_mutator(node, substitute, (void *) update);
	if (IsA(node, NullTest) && !((NullTest *) node)->argisrow &&
		is_never_null(update, (Node *) ((NullTest *) node)->arg))
		return makeBoolConst(((NullTest *) node)->nulltesttype == IS_NOT_NULL, false);
	if (IsA(node, DistinctExpr) &&
		equal(linitial(((DistinctExpr *) node)->args), lsecond(((DistinctExpr *) node)->args)) &&
		!contain_mutable_functions(node))
		return makeBoolConst(false, false);
	return node;
}

/* The parts of a condition that all have to be true. */
static List *
conjuncts(Node *condition)
{
	return make_ands_implicit(canonicalize_qual((Expr *) eval_const_expressions(NULL, condition),
												false));
}

/* Is a conjunct the constant false or null? */
static bool
is_false(Node *node)
{
	return node != NULL && IsA(node, Const) &&
		(((Const *) node)->constisnull || !DatumGetBool(((Const *) node)->constvalue));
}

/* Does one of the conjuncts contradict the rest, or what held before? */
static bool
contradict(List *before, List *afterwards)
{
	List	   *known = NIL;
	ListCell   *lc;

	/* what may change between two looks proves nothing */
	foreach(lc, before)
	{
		if (!contain_mutable_functions(lfirst(lc)))
			known = lappend(known, lfirst(lc));
	}
	foreach(lc, afterwards)
	{
		if (!contain_mutable_functions(lfirst(lc)))
			known = lappend(known, lfirst(lc));
	}
	foreach(lc, afterwards)
	{
		Node	   *conjunct = lfirst(lc);

		if (is_false(conjunct))
			return true;
		if (!contain_mutable_functions(conjunct) &&
			predicate_refuted_by(list_make1(conjunct), list_difference_ptr(known, list_make1(conjunct)), true))
			return true;
	}
	return false;
}

/* Do the rows that an UPDATE (analyzed, not rewritten) changes meet its condition no more? */
bool
orm_batch_is_guarded(Query *query)
{
	Update		update = {.target = query->resultRelation,.assigned = query->targetList};
	Node	   *condition = query->jointree->quals;
	Node	   *afterwards;
	bool		result;

	if (condition == NULL)
		return false;
	update.rel = table_open(rt_fetch(query->resultRelation, query->rtable)->relid, NoLock);
	afterwards = substitute(copyObject(condition), &update);
	result = !update.is_beyond_us &&
		contradict(conjuncts(copyObject(condition)), conjuncts(afterwards));
	table_close(update.rel, NoLock);
	return result;
}
