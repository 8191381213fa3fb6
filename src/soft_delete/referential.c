/*-------------------------------------------------------------------------
 *
 * referential.c
 *		The server's own foreign-key queries, about live rows.
 *
 * The server makes sure of a foreign key by two kinds of queries, which it
 * writes itself and plans once:
 *	- is the row there that a new row refers to?
 *		SELECT 1 FROM ONLY pk x WHERE key = $1 FOR KEY SHARE OF x
 *	- are there rows that refer to one that goes?
 *		SELECT 1 FROM ONLY fk x WHERE $1 = reference FOR KEY SHARE OF x
 * (With PERIOD, the first one is a subquery, of which the ranges are put together,
 * and the second one has such a subquery too.)
 * Neither says why it is asked: the second one is the same for a real DELETE,
 * which no row may be left behind by, be it deleted, and for a soft one, which
 * is about live rows.  So each gets a condition that is true for a live row as
 * it is, and asks a function about a deleted one:
 *	- a deleted row may be referred to as long as no live row does
 *	- a deleted row counts as referring if what it refers to is not there
 *
 * Cascades of real deletes are left alone: they remove deleted rows too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/typcache.h"

#include "reference_plan.h"
#include "references.h"
#include "soft_delete.h"
#include "util/names.h"

/* What decides on deleted rows. */
#define REFERENCED_ROW_FUNCTION "deleted_row_is_free"
#define REFERRING_ROW_FUNCTION "deleted_row_refers"

/* Is the row that the server looks about one that is being deleted softly? */
bool		orm_checking_deletion = false;

/* Does a query look for the row that is referred to?  Then the column comes first. */
static bool
looks_for_referenced_row(Query *query)
{
	List	   *conditions = make_ands_implicit((Expr *) query->jointree->quals);
	OpExpr	   *first = conditions ? linitial(conditions) : NULL;

	return first != NULL && IsA(first, OpExpr) && list_length(first->args) == 2 &&
		contain_vars_of_level(linitial(first->args), 0);
}

/* live condition OR function(row, xmin) */
static Node *
live_or(const OrmMarker *marker, Relation rel, const char *function)
{
	Oid			argtypes[] = {RECORDOID, XIDOID};
	Var		   *row = makeVar(1, InvalidAttrNumber, rel->rd_rel->reltype, -1, InvalidOid, 0);
	Var		   *xmin = makeVar(1, MinTransactionIdAttributeNumber, XIDOID, -1, InvalidOid, 0);
	Expr	   *call = (Expr *) makeFuncExpr(orm_function(function, 2, argtypes), BOOLOID,
											 list_make2(row, xmin), InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL);

	return (Node *) makeBoolExpr(OR_EXPR, list_make2(orm_live_condition(marker, 1), call), -1);
}

/* Have a query about one table tell live rows from deleted ones, if that is under soft delete. */
static void
tell_live_rows(Query *query, const char *function)
{
	RangeTblEntry *rte = rt_fetch(1, query->rtable);
	OrmMarker	marker;
	Relation	rel;

	if (rte->rtekind != RTE_RELATION || !orm_soft_delete_marker(rte->relid, &marker) ||
		!orm_soft_delete_foreign_keys(rte->relid))
		return;
	rel = RelationIdGetRelation(rte->relid);
	query->jointree->quals = make_and_qual(query->jointree->quals,
										   live_or(&marker, rel, function));
	RelationClose(rel);
}

/* Do so for what subqueries look for, which are rows that are referred to. */
static bool
tell_live_rows_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		if (((Query *) node)->rtable != NIL)
			tell_live_rows((Query *) node, REFERENCED_ROW_FUNCTION);
		return query_tree_walker((Query *) node, tell_live_rows_walker, context, 0);
	}
	return expression_tree_walker(node, tell_live_rows_walker, context);
}

/*
 * Have a query of the server's foreign keys tell live rows from deleted ones,
 * where its tables are under soft delete.
 */
void
orm_rewrite_referential_query(Query *query)
{
	if (query->commandType != CMD_SELECT || list_length(query->rtable) != 1)
		return;
	(void) query_tree_walker(query, tell_live_rows_walker, NULL, 0);
	tell_live_rows(query, looks_for_referenced_row(query) ? REFERENCED_ROW_FUNCTION : REFERRING_ROW_FUNCTION);
}

/* The row that one of the functions below is given. */
typedef struct GivenRow
{
	Oid			relid;
	HeapTupleData tuple;
	TupleDesc	desc;
} GivenRow;

/* Take a row apart. */
static void
read_row(HeapTupleHeader header, GivenRow *row)
{
	Oid			type = HeapTupleHeaderGetTypeId(header);

	row->relid = get_typ_typrelid(type);
	row->desc = lookup_rowtype_tupdesc(type, HeapTupleHeaderGetTypMod(header));
	row->tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&row->tuple.t_self);
	row->tuple.t_tableOid = InvalidOid;
	row->tuple.t_data = header;
}

/*
 * Take the row apart that one of the server's queries has found.  The answers
 * would tell a role of rows that it may not see, so they are given to these
 * queries alone.  Error: 42501.
 */
static void
read_row_of_query(FunctionCallInfo fcinfo, GivenRow *row)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);

	if (!InNoForceRLSOperation() ||
		!OidIsValid(get_typ_typrelid(HeapTupleHeaderGetTypeId(header))))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s",
						get_func_name(fcinfo->flinfo->fn_oid)),
				 errdetail("It is called by the server's checks of foreign keys only."),
				 errhint("Look at the tables themselves: SELECT * FROM orm_ext.managed;")));
	read_row(header, row);
}

/* Does a search along a foreign key find a row?  The key is taken from the given one. */
static bool
finds_row(GivenRow *row, const OrmReference *reference, OrmReferencePurpose purpose,
		  const AttrNumber *columns)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull;

	for (int i = 0; i < reference->nkeys; i++)
		values[i] = heap_getattr(&row->tuple, columns[i], row->desc, &isnull);
	return orm_run_reference_plan(reference, purpose, values, NULL, NULL) > 0;
}

/* Is one of some columns of a row null? */
static bool
has_null(GivenRow *row, int nkeys, const AttrNumber *columns)
{
	for (int i = 0; i < nkeys; i++)
	{
		if (heap_attisnull(&row->tuple, columns[i], row->desc))
			return true;
	}
	return false;
}

/*
 * Does a live row refer to the given one by a foreign key?  With "own", one that
 * this transaction has written.
 */
static bool
is_referred_to_by(GivenRow *row, const OrmReference *reference, bool own)
{
	return !has_null(row, reference->nkeys, reference->referenced_columns) &&
		finds_row(row, reference, own ? ORM_FIND_OWN_REFERRING_ROW : ORM_FIND_REFERRING_ROW,
				  reference->referenced_columns);
}

/*
 * Is the row there, live or deleted, that the given one refers to by a foreign
 * key?  Of the several that a PERIOD may need, the server has just found some
 * missing.
 */
static bool
referenced_row_exists(GivenRow *row, const OrmReference *reference)
{
	if (has_null(row, reference->nkeys, reference->referencing_columns))
		return true;
	return !reference->temporal &&
		finds_row(row, reference, ORM_FIND_REFERENCED_ROW, reference->referencing_columns);
}

/*
 * Is a deleted row spoken for by a foreign key, so that a check must not pass?
 *
 * RESTRICT and NO ACTION look whether the row is there again before they look
 * who refers to it, by the query that checks references; where somebody does, it
 * is not.  By other foreign keys, the row that is being checked is one that this
 * transaction has written.  Where live rows keep their references, a check
 * that was deferred may be of a row that has referred to the deleted one all the
 * time, and may go on with that; the other foreign keys count only where a new
 * reference may be checked.
 */
static bool
is_spoken_for(GivenRow *row, const OrmReference *reference)
{
	if (orm_is_kept(reference) && (reference->deferrable || !orm_may_check_at_once()))
		return false;
	return is_referred_to_by(row, reference, orm_is_kept(reference) ||
							 reference->action == FKCONSTR_ACTION_CASCADE);
}

PG_FUNCTION_INFO_V1(orm_deleted_row_is_free);
PG_FUNCTION_INFO_V1(orm_deleted_row_refers);

/*
 * orm_ext.deleted_row_is_free(referenced record, xmin xid) → boolean
 *
 * May the check of a reference pass by a deleted row?  The row that is being
 * checked was written by this transaction, but the server does not say which
 * one it is.  So: yes while no such row that is live refers to the deleted one;
 * then the one being checked is deleted itself.
 *
 * Under row_security = off, which pg_dump sets for the session that loads its
 * output, it passes too, unless this transaction has deleted the row: what was
 * dumped can be loaded.
 */
Datum
orm_deleted_row_is_free(PG_FUNCTION_ARGS)
{
	GivenRow	row;
	bool		is_free = true;
	ListCell   *lc;

	if (orm_checking_deletion)
		PG_RETURN_BOOL(false);
	if (!row_security && !TransactionIdIsCurrentTransactionId(PG_GETARG_TRANSACTIONID(1)))
		PG_RETURN_BOOL(true);
	read_row_of_query(fcinfo, &row);
	foreach(lc, orm_references_to(row.relid))
		is_free = is_free && !is_spoken_for(&row, lfirst(lc));
	ReleaseTupleDesc(row.desc);
	PG_RETURN_BOOL(is_free);
}

PG_FUNCTION_INFO_V1(orm_is_own_change);

/*
 * orm_ext.is_own_change(xmin xid) → boolean
 *
 * Has the transaction, or a subtransaction of it, written a row with this xmin?
 */
Datum
orm_is_own_change(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(TransactionIdIsCurrentTransactionId(PG_GETARG_TRANSACTIONID(0)));
}

/*
 * orm_ext.deleted_row_refers(referencing record, xmin xid) → boolean
 *
 * Does a deleted row stand in the way of what is done to a row that it refers
 * to?  Yes if that row is not there any more, or not under that key: a real
 * DELETE or an UPDATE of the key would leave the reference dangling.
 */
Datum
orm_deleted_row_refers(PG_FUNCTION_ARGS)
{
	GivenRow	row;
	bool		dangles = false;
	ListCell   *lc;

	if (orm_checking_deletion)
		PG_RETURN_BOOL(false);
	read_row_of_query(fcinfo, &row);
	foreach(lc, orm_all_references_of(row.relid))
		dangles = dangles || !referenced_row_exists(&row, lfirst(lc));
	ReleaseTupleDesc(row.desc);
	PG_RETURN_BOOL(dangles);
}

PG_FUNCTION_INFO_V1(orm_is_dangling);

/*
 * orm_ext.is_dangling(referencing record, foreign_key internal) → boolean
 *
 * Is the row not there, live or deleted, that a row refers to by a foreign key
 * (OrmReference)?  If it is, it is locked so that it stays.  Of a row that has a
 * null in its key, it is left to the server to say.  For conditions of triggers
 * (reference_check.c).
 */
Datum
orm_is_dangling(PG_FUNCTION_ARGS)
{
	const OrmReference *reference = (OrmReference *) PG_GETARG_POINTER(1);
	GivenRow	row;
	bool		result;

	read_row(PG_GETARG_HEAPTUPLEHEADER(0), &row);
	result = has_null(&row, reference->nkeys, reference->referencing_columns) ||
		!finds_row(&row, reference, ORM_LOCK_REFERENCED_ROW, reference->referencing_columns);
	ReleaseTupleDesc(row.desc);
	PG_RETURN_BOOL(result);
}
