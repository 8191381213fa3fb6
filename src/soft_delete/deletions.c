/*-------------------------------------------------------------------------
 *
 * deletions.c
 *		orm_ext.list_deletions(), which the view orm_ext.deletions shows.
 *
 * Each table under soft delete that the reader may read is asked for its
 * deleted rows, with the reader's rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "deletion.h"
#include "restore.h"
#include "soft_delete.h"
#include "util/names.h"
#include "util/privileges.h"

/* May the reader know of the deletions of a table? */
static bool
may_read(Oid relid, const OrmMarker *marker, AttrNumber deleted_by)
{
	/* the transaction that marked a row is a system column */
	if (marker->kind == ORM_MARKER_BOOLEAN)
		return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	return orm_has_column_privilege(relid, marker->attno, ACL_SELECT) &&
		(deleted_by == InvalidAttrNumber ||
		 orm_has_column_privilege(relid, deleted_by, ACL_SELECT));
}

/* The query for the deletions of a table: marker, who, and how many rows. */
static char *
deletions_query(Oid relid, AttrNumber deleted_by)
{
	OrmMarker	marker;
	char	   *column = orm_marker_name(relid, &marker);
	const char *by = "NULL::pg_catalog.text";

	if (deleted_by != InvalidAttrNumber)
		by = psprintf("%s::pg_catalog.text", quote_identifier(get_attname(relid, deleted_by, false)));
	return psprintf("SELECT %s, %s, pg_catalog.count(*) FROM %s%s WHERE %s GROUP BY 1, 2%s",
					column, by, orm_only(relid), orm_relid_name(relid),
					orm_deleted_condition_sql(&marker, column),
					marker.kind == ORM_MARKER_BOOLEAN ? ", xmin" : "");
}

/* Add the deletions of a table to the result. */
static void
list_table(ReturnSetInfo *rsinfo, Oid relid, const OrmMarker *marker, const char *query)
{
	SPI_connect();
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", query);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		TimestampTz stamp = 0;
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = SPI_getbinval(tuple, desc, 1, &nulls[0]);
		nulls[0] = nulls[0] || !orm_deletion_time(marker, values[0], &stamp);
		values[0] = TimestampTzGetDatum(stamp);
		values[1] = SPI_getbinval(tuple, desc, 2, &nulls[1]);
		values[2] = ObjectIdGetDatum(relid);
		values[3] = SPI_getbinval(tuple, desc, 3, &nulls[3]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	SPI_finish();
}

PG_FUNCTION_INFO_V1(orm_list_deletions);

/*
 * orm_ext.list_deletions() → setof (deleted_at timestamptz, deleted_by text,
 * rel regclass, rows bigint)
 *
 * One row for each deletion and table.  Errors: none of its own.
 */
Datum
orm_list_deletions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, orm_managed_tables())
	{
		Oid			relid = lfirst_oid(lc);
		bool		nullable;
		AttrNumber	deleted_by = orm_deleted_by_column(relid, &nullable);
		OrmMarker	marker;

		if (orm_soft_delete_marker(relid, &marker) && may_read(relid, &marker, deleted_by))
			list_table(rsinfo, relid, &marker, deletions_query(relid, deleted_by));
	}
	return (Datum) 0;
}
