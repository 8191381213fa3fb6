/*-------------------------------------------------------------------------
 *
 * marker.c
 *		Expressions over the marker column.
 *
 * The conditions are built as a hand-written "deleted_at IS NULL", "NOT
 * deleted" or "deleted_at = 0" comes out of the planner's own preprocessing,
 * so that they match the predicates of partial indexes and cost what those
 * cost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "soft_delete.h"
#include "util/names.h"

/* int8 = int4 and int8 <> int4, for which pg_operator has no symbols. */
#define INT84_EQUAL_OPERATOR 416
#define INT84_NOT_EQUAL_OPERATOR 417

/* Type of the marker column. */
Oid
orm_marker_type(const OrmMarker *marker)
{
	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
			return TIMESTAMPTZOID;
		case ORM_MARKER_TIMESTAMP:
			return TIMESTAMPOID;
		case ORM_MARKER_BOOLEAN:
			return BOOLOID;
		case ORM_MARKER_BIGINT:
			return INT8OID;
	}
	pg_unreachable();
}

/* The marker column of a range table entry. */
static Var *
marker_var(const OrmMarker *marker, Index varno)
{
	return makeVar(varno, marker->attno, orm_marker_type(marker), marker->typmod,
				   InvalidOid, 0);
}

/* marker IS [NOT] NULL */
static Expr *
null_test(const OrmMarker *marker, Index varno, NullTestType type)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) marker_var(marker, varno);
	test->nulltesttype = type;
	test->argisrow = false;
	test->location = -1;
	return (Expr *) test;
}

/* marker = 0, marker <> 0, with the 0 of type integer as the parser has it */
static Expr *
compare_with_zero(const OrmMarker *marker, Index varno, Oid operator, Oid function)
{
	Expr	   *zero = (Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
										  Int32GetDatum(0), false, true);
	Expr	   *expr = make_opclause(operator, BOOLOID, false,
									 (Expr *) marker_var(marker, varno), zero,
									 InvalidOid, InvalidOid);

	((OpExpr *) expr)->opfuncid = function;
	return expr;
}

/* Condition that holds for the live rows of a relation. */
Expr *
orm_live_condition(const OrmMarker *marker, Index varno)
{
	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
		case ORM_MARKER_TIMESTAMP:
			return null_test(marker, varno, IS_NULL);
		case ORM_MARKER_BOOLEAN:
			return makeBoolExpr(NOT_EXPR, list_make1(marker_var(marker, varno)), -1);
		case ORM_MARKER_BIGINT:
			return compare_with_zero(marker, varno, INT84_EQUAL_OPERATOR, F_INT84EQ);
	}
	pg_unreachable();
}

/* Condition that holds for the deleted rows of a relation. */
Expr *
orm_deleted_condition(const OrmMarker *marker, Index varno)
{
	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
		case ORM_MARKER_TIMESTAMP:
			return null_test(marker, varno, IS_NOT_NULL);
		case ORM_MARKER_BOOLEAN:
			return (Expr *) marker_var(marker, varno);
		case ORM_MARKER_BIGINT:
			return compare_with_zero(marker, varno, INT84_NOT_EQUAL_OPERATOR, F_INT84NE);
	}
	pg_unreachable();
}

/* The value that the marker has in a live row. */
Expr *
orm_live_value(const OrmMarker *marker)
{
	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
		case ORM_MARKER_TIMESTAMP:
			return (Expr *) makeNullConst(orm_marker_type(marker), marker->typmod,
										  InvalidOid);
		case ORM_MARKER_BOOLEAN:
			return (Expr *) makeBoolConst(false, false);
		case ORM_MARKER_BIGINT:
			return (Expr *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
									  Int64GetDatum(0), false,
									  FLOAT8PASSBYVAL);
	}
	pg_unreachable();
}

/* The marker of a table under soft delete, and the name of its column, quoted. */
char *
orm_marker_name(Oid relid, OrmMarker *marker)
{
	if (!orm_soft_delete_marker(relid, marker))
		elog(ERROR, "relation %u is not under soft delete", relid);
	return pstrdup(quote_identifier(get_attname(relid, marker->attno, false)));
}

/* The condition, as SQL, that the marker column, quoted, meets in deleted rows. */
char *
orm_deleted_condition_sql(const OrmMarker *marker, const char *column)
{
	switch (marker->kind)
	{
		case ORM_MARKER_BOOLEAN:
			return pstrdup(column);
		case ORM_MARKER_BIGINT:
			return psprintf("%s OPERATOR(pg_catalog.<>) 0", column);
		default:
			return psprintf("%s IS NOT NULL", column);
	}
}

/* The condition that it meets in live rows. */
char *
orm_live_condition_sql(const OrmMarker *marker, const char *column)
{
	switch (marker->kind)
	{
		case ORM_MARKER_BOOLEAN:
			return psprintf("NOT %s", column);
		case ORM_MARKER_BIGINT:
			return psprintf("%s OPERATOR(pg_catalog.=) 0", column);
		default:
			return psprintf("%s IS NULL", column);
	}
}

/* The conditions for the deleted and for the live rows of a table that has an alias. */
char *
orm_deleted_rows_sql(Oid relid, const char *alias)
{
	OrmMarker	marker;
	char	   *column = psprintf("%s.%s", alias, orm_marker_name(relid, &marker));

	return orm_deleted_condition_sql(&marker, column);
}

char *
orm_live_rows_sql(Oid relid, const char *alias)
{
	OrmMarker	marker;
	char	   *column = psprintf("%s.%s", alias, orm_marker_name(relid, &marker));

	return orm_live_condition_sql(&marker, column);
}

/* The value, as SQL, that the marker has in a live row. */
const char *
orm_live_value_sql(const OrmMarker *marker)
{
	switch (marker->kind)
	{
		case ORM_MARKER_BOOLEAN:
			return "false";
		case ORM_MARKER_BIGINT:
			return "0";
		default:
			return "NULL";
	}
}

/* (SELECT expr), which the executor evaluates once per execution. */
Expr *
orm_scalar_subselect(Expr *expr)
{
	Query	   *query = makeNode(Query);
	SubLink    *sublink = makeNode(SubLink);

	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(makeTargetEntry(expr, 1, pstrdup("stamp"), false));

	sublink->subLinkType = EXPR_SUBLINK;
	sublink->subselect = (Node *) query;
	sublink->location = -1;
	return (Expr *) sublink;
}

/*
 * The value that a DELETE gives the marker: the same for all rows of one
 * execution of the statement.
 */
Expr *
orm_deletion_value(const OrmMarker *marker)
{
	const char *function = "deletion_stamp";
	Oid			type = TIMESTAMPTZOID;
	Node	   *expr;

	if (marker->kind == ORM_MARKER_BOOLEAN)
		return (Expr *) makeBoolConst(true, false);
	if (marker->kind == ORM_MARKER_BIGINT)
	{
		function = "deletion_stamp_micros";
		type = INT8OID;
	}

	expr = (Node *) makeFuncExpr(orm_function(function, 0, NULL), type, NIL,
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	expr = coerce_to_target_type(NULL, expr, type,
								 orm_marker_type(marker), marker->typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	return orm_scalar_subselect((Expr *) expr);
}
