/*-------------------------------------------------------------------------
 *
 * returning.c
 *		RETURNING shows the row as it was.
 *
 * A DELETE returns the row that it removes; the UPDATE that it became would
 * return the marked one.  Since 18 an UPDATE can return the old row.  Before,
 * the marker is replaced by the value that it has in a live row, deleted_by by
 * null, and generated columns are computed from that; old_row.c sees to tables
 * with triggers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "soft_delete.h"

typedef struct ReturningContext
{
	Index		target;			/* range table index of the target */
	Oid			relid;
	const OrmMarker *marker;
	AttrNumber	deleted_by;		/* InvalidAttrNumber unless it is set to null */
	int			depth;			/* levels of sub-selects around the node */
	bool		merge;
} ReturningContext;

static Node *returning_mutator(Node *node, ReturningContext *context);

#ifdef ORM_HAVE_MERGE_RETURNING
/* merge_action() */
static Expr *
merge_action_call(void)
{
	MergeSupportFunc *call = makeNode(MergeSupportFunc);

	call->msftype = TEXTOID;
	call->msfcollid = DEFAULT_COLLATION_OID;
	call->location = -1;
	return (Expr *) call;
}

/* Constant of type text. */
static Expr *
text_const(const char *value)
{
	return (Expr *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
							  CStringGetTextDatum(value), false, false);
}

/*
 * Was the row of a MERGE deleted softly?  That is what an UPDATE did which
 * left it marked.
 */
static Expr *
merge_deleted_condition(ReturningContext *context)
{
	Expr	   *is_update = make_opclause(TextEqualOperator, BOOLOID, false,
										  merge_action_call(),
										  text_const("UPDATE"),
										  InvalidOid, DEFAULT_COLLATION_OID);
	Expr	   *is_marked = orm_deleted_condition(context->marker, context->target);

	((OpExpr *) is_update)->opfuncid = F_TEXTEQ;
	IncrementVarSublevelsUp((Node *) is_marked, context->depth, 0);
	return makeBoolExpr(AND_EXPR, list_make2(is_update, is_marked), -1);
}

/* CASE WHEN the row was deleted THEN deleted ELSE otherwise END */
static Node *
merge_case(ReturningContext *context, Expr *deleted, Expr *otherwise)
{
	CaseExpr   *expr = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = merge_deleted_condition(context);
	when->result = deleted;
	when->location = -1;

	expr->casetype = exprType((Node *) otherwise);
	expr->casecollid = exprCollation((Node *) otherwise);
	expr->args = list_make1(when);
	expr->defresult = otherwise;
	expr->location = -1;
	return (Node *) expr;
}
#endif

#ifdef ORM_HAVE_RETURNING_OLD

/* Null of the type of an expression. */
static Expr *
null_like(Node *node)
{
	return (Expr *) makeNullConst(exprType(node), exprTypmod(node),
								  exprCollation(node));
}

/* A reference to the target: what it means in a DELETE. */
static Node *
replace_target_var(Var *var, ReturningContext *context)
{
	Var		   *old = copyObject(var);

	if (var->varreturningtype == VAR_RETURNING_OLD)
		return (Node *) old;
	old->varreturningtype = VAR_RETURNING_OLD;
	if (context->merge)
		return merge_case(context,
						  var->varreturningtype == VAR_RETURNING_NEW ?
						  null_like((Node *) var) : (Expr *) old,
						  copyObject((Expr *) var));
	if (var->varreturningtype == VAR_RETURNING_NEW)
		return (Node *) null_like((Node *) var);
	return (Node *) old;
}

#else

/* A column of the target as it is outside of RETURNING's old and new. */
static Var *
target_column(ReturningContext *context, AttrNumber attno)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(context->relid, attno, &type, &typmod, &collation);
	return makeVar(context->target, attno, type, typmod, collation, context->depth);
}

/* Is a column the one that names who has deleted the row? */
static bool
is_deleted_by(AttrNumber attno, const ReturningContext *context)
{
	return attno == context->deleted_by && attno != InvalidAttrNumber;
}

/* A null of the type of a column. */
static Expr *
null_column(AttrNumber attno, const ReturningContext *context)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(context->relid, attno, &type, &typmod, &collation);
	return (Expr *) makeNullConst(type, typmod, collation);
}

/*
 * The expression of a stored generated column if it depends on the marker or on
 * who has deleted the row, else NULL.
 */
static Node *
generated_from_marker(AttrNumber attno, ReturningContext *context)
{
	Relation	rel = table_open(context->relid, NoLock);
	Bitmapset  *columns = NULL;
	Node	   *expr = NULL;

	if (TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated != '\0')
	{
		expr = build_column_default(rel, attno);
		pull_varattnos(expr, 1, &columns);
		if (!bms_is_member(context->marker->attno - FirstLowInvalidHeapAttributeNumber,
						   columns) &&
			!bms_is_member(context->deleted_by - FirstLowInvalidHeapAttributeNumber,
						   columns))
			expr = NULL;
	}
	table_close(rel, NoLock);
	if (expr)
	{
		ChangeVarNodes(expr, 1, context->target, 0);
		IncrementVarSublevelsUp(expr, context->depth, 0);
	}
	return expr;
}

static Node *replace_target_column(AttrNumber attno, ReturningContext *context);

/* The whole row of the target, put together from its columns. */
static Node *
whole_row(Var *var, ReturningContext *context)
{
	Relation	rel = table_open(context->relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	RowExpr    *row = makeNode(RowExpr);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node	   *field;

		if (att->attisdropped)
			field = (Node *) makeNullConst(INT4OID, -1, InvalidOid);
		else
			field = replace_target_column(att->attnum, context);
		row->args = lappend(row->args, field);
		row->colnames = lappend(row->colnames,
								makeString(pstrdup(NameStr(att->attname))));
	}
	row->row_typeid = var->vartype;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->location = -1;
	table_close(rel, NoLock);
	return (Node *) row;
}

/* A column of the target, as it is in the live row. */
static Node *
replace_target_column(AttrNumber attno, ReturningContext *context)
{
	Node	   *expr;

	if (attno == context->marker->attno || is_deleted_by(attno, context))
	{
		Expr	   *live = attno == context->marker->attno ?
		orm_live_value(context->marker) : null_column(attno, context);

#ifdef ORM_HAVE_MERGE_RETURNING
		if (context->merge)
			return merge_case(context, live, (Expr *) target_column(context, attno));
#endif
		return (Node *) live;
	}

	expr = generated_from_marker(attno, context);
	if (expr)
		return returning_mutator(expr, context);
	return (Node *) target_column(context, attno);
}

/* A reference to the target: what it means in a DELETE. */
static Node *
replace_target_var(Var *var, ReturningContext *context)
{
	if (var->varattno == InvalidAttrNumber)
		return whole_row(var, context);
	if (var->varattno < 0)
		return (Node *) copyObject(var);
	if (var->varattno == context->marker->attno ||
		is_deleted_by(var->varattno, context) ||
		generated_from_marker(var->varattno, context))
		return replace_target_column(var->varattno, context);
	return (Node *) copyObject(var);
}

#endif							/* ORM_HAVE_RETURNING_OLD */

/* Replace references to the target row in an expression. */
static Node *
returning_mutator(Node *node, ReturningContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == context->target && var->varlevelsup == context->depth)
			return replace_target_var(var, context);
		return (Node *) copyObject(var);
	}
#ifdef ORM_HAVE_RETURNING_OLD
	if (IsA(node, ReturningExpr) && !context->merge)
	{
		ReturningExpr *expr = (ReturningExpr *) node;

		/* a view's column as new.column: a DELETE has no new row */
		if (!expr->retold && expr->retlevelsup == context->depth)
			return (Node *) null_like((Node *) expr->retexpr);
	}
#endif
#ifdef ORM_HAVE_MERGE_RETURNING
	if (IsA(node, MergeSupportFunc) && context->merge)
		return merge_case(context, text_const("DELETE"), merge_action_call());
#endif
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, returning_mutator, context, 0);
		context->depth--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, returning_mutator, context);
}

/* Rewrite the RETURNING list of a query. */
static void
rewrite_returning(Query *query, const OrmMarker *marker, bool merge)
{
	ReturningContext context = {
		.target = query->resultRelation,
		.relid = rt_fetch(query->resultRelation, query->rtable)->relid,
		.marker = marker,
		.merge = merge
	};
	bool		nullable = false;

	context.deleted_by = orm_deleted_by_column(context.relid, &nullable);
	if (!nullable)
		context.deleted_by = InvalidAttrNumber;
	query->returningList = (List *)
		returning_mutator((Node *) query->returningList, &context);
}

/* Let the RETURNING list of a soft DELETE show the rows as they were. */
void
orm_rewrite_delete_returning(Query *query, const OrmMarker *marker)
{
	rewrite_returning(query, marker, false);
}

/* The same for those rows of a MERGE that are deleted; merge_action() too. */
void
orm_rewrite_merge_returning(Query *query, const OrmMarker *marker)
{
	rewrite_returning(query, marker, true);
}
