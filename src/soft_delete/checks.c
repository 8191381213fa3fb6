/*-------------------------------------------------------------------------
 *
 * checks.c
 *		SQL functions that rewrite.c adds to conditions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "soft_delete.h"
#include "util/names.h"

/* The assignment that makes a row live, deleted_at = NULL; NULL where rows have no marker. */
static const char *
live_assignment(Relation rel)
{
	OrmMarker	marker;

	if (!orm_soft_delete_marker(RelationGetRelid(rel), &marker))
		return NULL;
	return psprintf("%s = %s", orm_marker_name(RelationGetRelid(rel), &marker),
					orm_live_value_sql(&marker));
}

PG_FUNCTION_INFO_V1(orm_conflicting_row_is_live);

/*
 * orm_ext.conflicting_row_is_live(live boolean, index regclass) → boolean
 *
 * Condition of ON CONFLICT DO UPDATE on a table under soft delete, where the
 * key is unique over live and deleted rows.  True for a live row.  A deleted
 * one raises 23505, as a plain INSERT would: the key is taken, and updating
 * the row would lose the new values in the bin.
 *
 * Errors, where it is called by hand: 42P01, 42809 no index.
 */
Datum
orm_conflicting_row_is_live(PG_FUNCTION_ARGS)
{
	Relation	rel;
	Relation	index;
	const char *assignment;

	if (PG_GETARG_BOOL(0))
		PG_RETURN_BOOL(true);

	index = orm_open_relation(PG_GETARG_OID(1), AccessShareLock);
	if (index->rd_index == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an index", RelationGetRelationName(index))));
	rel = table_open(index->rd_index->indrelid, AccessShareLock);
	assignment = live_assignment(rel);
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("duplicate key value violates unique constraint \"%s\"",
					RelationGetRelationName(index)),
			 errdetail("The row that has this key (%s) already is deleted.",
					   pg_get_indexdef_columns(RelationGetRelid(index), false)),
			 assignment ? errhint("To bring the row back, assign its marker as well: DO UPDATE SET ..., %s.",
								  assignment) : 0,
			 errtableconstraint(rel, RelationGetRelationName(index))));
	PG_RETURN_NULL();			/* not reached */
}

PG_FUNCTION_INFO_V1(orm_check_row_policy);

/*
 * orm_ext.check_row_policy(passes boolean, rel regclass, policy text) → boolean
 *
 * Condition of an action of MERGE on a table under soft delete with row-level
 * security.  True where the row passes; raises 42501 otherwise, in the words of
 * the server (ExecWithCheckOptions()).  A null policy stands for several.
 */
Datum
orm_check_row_policy(PG_FUNCTION_ARGS)
{
	const char *table = get_rel_name(PG_GETARG_OID(1));

	if (!PG_ARGISNULL(0) && PG_GETARG_BOOL(0))
		PG_RETURN_BOOL(true);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("target row violates row-level security policy (USING expression) for table \"%s\"",
						table)));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("target row violates row-level security policy \"%s\" (USING expression) for table \"%s\"",
					text_to_cstring(PG_GETARG_TEXT_PP(2)), table)));
	PG_RETURN_NULL();			/* not reached */
}
