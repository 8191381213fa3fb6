/*-------------------------------------------------------------------------
 *
 * restore_call.c
 *		What a caller wants to have restored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "restore_call.h"
#include "soft_delete.h"
#include "util/given_text.h"
#include "util/names.h"
#include "util/privileges.h"
#include "util/spi.h"

/* Complain of an argument that is null.  Error: 22004. */
static void
check_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name),
				 errdetail("Nothing is restored unless it is said what."),
				 errhint("SELECT * FROM orm_ext.deletions;")));
}

/* Open a table under soft delete.  Errors: 22004, 42P01, 55000. */
static Relation
open_managed_table(FunctionCallInfo fcinfo)
{
	Relation	rel;
	OrmMarker	marker;

	check_argument(fcinfo, 0, "rel");
	rel = orm_open_relation(PG_GETARG_OID(0), AccessShareLock);
	if (!orm_soft_delete_marker(RelationGetRelid(rel), &marker))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not under soft delete", RelationGetRelationName(rel)),
				 errdetail("No enabled trigger declares it."),
				 errhint("SELECT * FROM orm_ext.managed WHERE \"table\" = %s::regclass;",
						 quote_literal_cstr(orm_relation_name(rel))),
				 errtable(rel)));
	return rel;
}

/* Rows of a table to begin with. */
static OrmSeeds *
make_seeds(Oid relid, const char *only, const char *alias, const char *condition)
{
	OrmSeeds   *seeds = palloc0_object(OrmSeeds);

	seeds->relid = relid;
	seeds->only = only;
	seeds->alias = alias;
	seeds->condition = condition;
	return seeds;
}

/* A parameter, $1. */
static ParamListInfo
make_parameter(Oid type, Datum value)
{
	ParamListInfo params = makeParamList(1);

	params->params[0].ptype = type;
	params->params[0].value = value;
	params->params[0].isnull = false;
	params->params[0].pflags = PARAM_FLAG_CONST;
	return params;
}

/* Begin a call for one row: rel, key.  Errors: 22004, 55000, 42P16, 22023. */
void
orm_begin_call_by_key(OrmRestoreCall *call, FunctionCallInfo fcinfo)
{
	OrmSeeds   *seeds;

	memset(call, 0, sizeof(*call));
	call->rel = open_managed_table(fcinfo);
	check_argument(fcinfo, 1, "key");
	call->by_key = true;
	orm_read_row_key(&call->key, call->rel, fcinfo, 1);
	seeds = make_seeds(RelationGetRelid(call->rel), "", " AS t", call->key.condition.data);
	seeds->params = make_parameter(call->key.type, call->key.value);
	call->seeds = list_make1(seeds);
	call->preview = psprintf("orm_ext.restore_preview(%s, %s)",
							 quote_literal_cstr(orm_relation_name(call->rel)),
							 call->key.literal);
}

/* Begin a call for rows of a table under soft delete, for a look at it. */
void
orm_begin_call_of_rows(OrmRestoreCall *call, Oid relid, const char *condition)
{
	memset(call, 0, sizeof(*call));
	call->seeds = list_make1(make_seeds(relid, orm_only(relid), "", condition));
}

/* Begin a call for rows that meet a condition: rel, condition.  Errors: 22004, 55000, 42601. */
void
orm_begin_call_by_condition(OrmRestoreCall *call, FunctionCallInfo fcinfo)
{
	char	   *condition;

	memset(call, 0, sizeof(*call));
	call->rel = open_managed_table(fcinfo);
	check_argument(fcinfo, 1, "condition");
	condition = text_to_cstring(PG_GETARG_TEXT_PP(1));
	(void) orm_parse_condition("condition", condition,
							   psprintf("SELECT * FROM orm_ext.restore_where(%s, 'true');",
										quote_literal_cstr(orm_relation_name(call->rel))));
	call->seeds = list_make1(make_seeds(RelationGetRelid(call->rel), "", "", condition));
	call->preview = psprintf("orm_ext.restore_preview_where(%s, %s)",
							 quote_literal_cstr(orm_relation_name(call->rel)),
							 quote_literal_cstr(condition));
}

/* The values that a marker has in the rows of a deletion, as an array. */
static Datum
marker_values(const OrmDeletion *deletion, const OrmMarker *marker)
{
	OrmMarkerRange ranges[ORM_MARKER_RANGES];
	int			n = orm_deletion_ranges(deletion, marker, ranges);
	Datum		values[ORM_MARKER_RANGES];

	for (int i = 0; i < n; i++)
		values[i] = ranges[i].from;
	return PointerGetDatum(construct_array(values, n, orm_marker_type(marker), sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* The rows of a deletion in one table. */
static OrmSeeds *
seeds_of_deletion(Oid relid, const OrmMarker *marker, const OrmDeletion *deletion)
{
	OrmSeeds   *seeds = make_seeds(relid, orm_only(relid), "",
								   psprintf("%s OPERATOR(pg_catalog.=) ANY ($1)",
											quote_identifier(get_attname(relid, marker->attno, false))));

	seeds->params = make_parameter(get_array_type(orm_marker_type(marker)),
								   marker_values(deletion, marker));
	return seeds;
}

/* May the caller restore rows of a table? */
static bool
may_restore(Oid relid, const OrmMarker *marker)
{
	bool		nullable;
	AttrNumber	deleted_by = orm_deleted_by_column(relid, &nullable);

	return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		orm_has_column_privilege(relid, marker->attno, ACL_UPDATE) &&
		(deleted_by == InvalidAttrNumber || !nullable ||
		 orm_has_column_privilege(relid, deleted_by, ACL_UPDATE));
}

/* Does a table refer to another one by a foreign key that deletions follow? */
static bool
refers_to(Oid relid, Oid referenced)
{
	ListCell   *lc;

	foreach(lc, orm_references_of(relid))
	{
		if (((OrmReference *) lfirst(lc))->referenced == referenced)
			return true;
	}
	return false;
}

/* Does a table refer to one of others? */
static bool
refers_to_any(const OrmSeeds *seeds, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		if (lfirst(lc) != seeds && refers_to(seeds->relid, ((OrmSeeds *) lfirst(lc))->relid))
			return true;
	}
	return false;
}

/* Put parents before their children, as far as there are no cycles. */
static List *
parents_first(List *seeds)
{
	List	   *rest = list_copy(seeds);
	List	   *result = NIL;

	while (rest != NIL)
	{
		OrmSeeds   *next = linitial(rest);
		ListCell   *lc;

		foreach(lc, rest)
		{
			if (!refers_to_any(lfirst(lc), rest))
			{
				next = lfirst(lc);
				break;
			}
		}
		rest = list_delete_ptr(rest, next);
		result = lappend(result, next);
	}
	return result;
}

/* Begin a call for a deletion: stamp.  Error: 22004. */
void
orm_begin_call_by_stamp(OrmRestoreCall *call, FunctionCallInfo fcinfo)
{
	OrmDeletion deletion;
	ListCell   *lc;

	memset(call, 0, sizeof(*call));
	check_argument(fcinfo, 0, "stamp");
	call->by_stamp = true;
	call->stamp = PG_GETARG_TIMESTAMPTZ(0);
	deletion = orm_deletion_at(call->stamp);
	foreach(lc, orm_managed_tables())
	{
		Oid			relid = lfirst_oid(lc);
		OrmMarker	marker;
		OrmSeeds   *seeds;

		if (!orm_soft_delete_marker(relid, &marker) || !orm_deletion_is_stamped(&deletion, &marker))
			continue;
		seeds = seeds_of_deletion(relid, &marker, &deletion);
		if (may_restore(relid, &marker))
			call->seeds = lappend(call->seeds, seeds);
		else
			call->refused = lappend(call->refused, seeds);
	}
	call->seeds = parents_first(call->seeds);
	call->preview = psprintf("orm_ext.restore_preview_deletion(%s)",
							 quote_literal_cstr(DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(call->stamp)))));
}

/* Done with a call; the locks stay. */
void
orm_end_call(OrmRestoreCall *call)
{
	if (call->rel)
		relation_close(call->rel, NoLock);
}

/* Is the row that a call names there, and live? */
static bool
row_is_live(OrmRestoreCall *call, OrmRestore *restore)
{
	const OrmSeeds *seeds = linitial(call->seeds);

	return orm_run_restore(restore, InvalidOid,
						   psprintf("SELECT FROM %s AS t WHERE %s AND %s",
									orm_relid_name(seeds->relid), seeds->condition,
									orm_live_rows_sql(seeds->relid, "t")),
						   NIL, seeds->params, NULL) > 0;
}

/*
 * Find rows of one table that a call names.  Error: P0002 the row does not
 * exist, which is no error where several may be meant.
 */
void
orm_find_rows_of_call(OrmRestoreCall *call, OrmRestore *restore, OrmSeeds *seeds)
{
	OrmMarker	marker;
	char	   *column;

	if (orm_find_seeds(restore, seeds) > 0 || !call->by_key || row_is_live(call, restore))
		return;
	column = orm_marker_name(RelationGetRelid(call->rel), &marker);
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("row of table \"%s\" with %s does not exist",
					RelationGetRelationName(call->rel), call->key.lookup.data),
			 errdetail("It was deleted for good, or is not there for this role."),
			 errhint("SELECT * FROM %s AS t WHERE %s AND orm_ext.with_deleted(t.%s);",
					 orm_relation_name(call->rel), call->key.lookup.data,
					 column),
			 errtable(call->rel)));
}

/*
 * Are there rows left of the deletion that a call names, in tables that the
 * caller has no rights on?  All or nothing.  Error: 42501.
 */
void
orm_check_rest_of_call(OrmRestoreCall *call, OrmRestore *restore)
{
	ListCell   *lc;

	foreach(lc, call->refused)
	{
		OrmSeeds   *seeds = lfirst(lc);
		Relation	rel = relation_open(seeds->relid, AccessShareLock);

		if (orm_run_restore(restore, rel->rd_rel->relowner,
							psprintf("SELECT FROM %s%s WHERE %s LIMIT 1", seeds->only,
									 orm_relid_name(seeds->relid), seeds->condition),
							NIL, seeds->params, NULL) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for table %s", RelationGetRelationName(rel)),
					 errdetail("The deletion has rows there too, and is restored as a whole."),
					 errhint("GRANT SELECT, UPDATE ON %s TO %s;", orm_relation_name(rel),
							 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
		relation_close(rel, NoLock);
	}
}
