/*-------------------------------------------------------------------------
 *
 * deleted_by.c
 *		Who has deleted a row.
 *
 * Where a table under soft delete has a column deleted_by that can name
 * somebody, a DELETE fills it in along with the marker, by the rule of
 * created_by and updated_by: orm_ext.actor, else the session's user.  An UPDATE
 * of the marker that an application writes itself names whom it likes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "soft_delete.h"
#include "util/names.h"

#define DELETED_BY "deleted_by"

/*
 * The column of a table that names who has deleted a row, InvalidAttrNumber if
 * there is none; "nullable" tells whether it may be empty.
 */
AttrNumber
orm_deleted_by_column(Oid relid, bool *nullable)
{
	Relation	rel = relation_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	attno = orm_find_column(desc, DELETED_BY);
	OrmMarker	marker;

	if (attno != InvalidAttrNumber &&
		(TupleDescAttr(desc, attno - 1)->attgenerated != '\0' ||
		 !orm_stamps.names_actor(getBaseType(TupleDescAttr(desc, attno - 1)->atttypid)) ||
		 (orm_soft_delete_marker(relid, &marker) && marker.attno == attno)))
		attno = InvalidAttrNumber;
	if (attno != InvalidAttrNumber)
		*nullable = !orm_column_is_not_null(desc, attno);
	relation_close(rel, NoLock);
	return attno;
}

/*
 * The value that a DELETE gives the column: orm_ext.deletion_actor(rel, attno,
 * NULL::type), asked once for all rows.
 */
Expr *
orm_deleted_by_value(Oid relid, AttrNumber attno)
{
	Oid			argtypes[] = {REGCLASSOID, INT2OID, ANYELEMENTOID};
	Oid			type;
	int32		typmod;
	Oid			collation;
	int32		base_typmod;
	Oid			base;
	Node	   *expr;

	get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
	base_typmod = typmod;
	base = getBaseTypeAndTypmod(type, &base_typmod);
	expr = (Node *)
		makeFuncExpr(orm_function("deletion_actor", 3, argtypes), base,
					 list_make3(makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
										  ObjectIdGetDatum(relid), false, true),
								makeConst(INT2OID, -1, InvalidOid, sizeof(int16),
										  Int16GetDatum(attno), false, true),
								makeNullConst(base, -1, get_typcollation(base))),
					 get_typcollation(base), InvalidOid, COERCE_EXPLICIT_CALL);
	expr = coerce_to_target_type(NULL, expr, base, type, typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	return orm_scalar_subselect((Expr *) expr);
}

/* Check the arguments of a call that nobody but rewrite.c is to make.  Error: 22023. */
static void
check_column(Relation rel, AttrNumber attno, Oid type)
{
	TupleDesc	desc = RelationGetDescr(rel);

	if (attno <= 0 || attno > desc->natts ||
		TupleDescAttr(desc, attno - 1)->attisdropped ||
		getBaseType(TupleDescAttr(desc, attno - 1)->atttypid) != type ||
		!orm_stamps.names_actor(type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column %d of table \"%s\" cannot name who has deleted a row",
						attno, RelationGetRelationName(rel)),
				 errdetail("The function is called by a DELETE that is soft."),
				 errhint("SELECT * FROM orm_ext.deletions;")));
}

PG_FUNCTION_INFO_V1(orm_deletion_actor);

/*
 * orm_ext.deletion_actor(rel regclass, attno smallint, type anyelement) →
 * anyelement
 *
 * orm_ext.actor as a value of the column, or the session's user; null where
 * the type cannot name a role.  The rule is that of created_by.
 *
 * Errors: 22023 the column is none that names somebody, or of another type;
 * those of the type, if orm_ext.actor is no value of it.
 */
Datum
orm_deletion_actor(PG_FUNCTION_ARGS)
{
	Relation	rel;
	Datum		value;
	bool		isnull;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	rel = orm_open_relation(PG_GETARG_OID(0), AccessShareLock);
	check_column(rel, PG_GETARG_INT16(1), get_fn_expr_rettype(fcinfo->flinfo));
	value = orm_stamps.actor(rel, PG_GETARG_INT16(1), &isnull);
	relation_close(rel, AccessShareLock);
	if (isnull)
		PG_RETURN_NULL();
	return value;
}
