/*-------------------------------------------------------------------------
 *
 * purge.c
 *		orm_ext.purge(): rows that were deleted softly leave for good.
 *
 * A purge is a batched DELETE whose condition is "deleted by then".  The time
 * is fixed when the job begins, so that no row becomes due while it runs.
 *
 * A row goes together with all that refers to it, in one transaction, or it is
 * kept: purge_rows.c says how.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"
#include "purge.h"
#include "util/names.h"

/* The marker column as it is written. */
static char *
marker_name(Oid relid, const OrmMarker *marker, const char *alias)
{
	const char *column = quote_identifier(get_attname(relid, marker->attno, false));

	return alias ? psprintf("%s.%s", alias, column) : pstrdup(column);
}

/* Condition, as SQL, that holds for live rows. */
char *
orm_purge_live_condition(Oid relid, const OrmMarker *marker, const char *alias)
{
	char	   *name = marker_name(relid, marker, alias);

	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
		case ORM_MARKER_TIMESTAMP:
			return psprintf("%s IS NULL", name);
		case ORM_MARKER_BOOLEAN:
			return psprintf("NOT %s", name);
		case ORM_MARKER_BIGINT:
			return psprintf("%s OPERATOR(pg_catalog.=) 0", name);
	}
	pg_unreachable();
}

/* Condition, as SQL, that holds for rows that were deleted by then. */
char *
orm_purge_due_condition(Oid relid, const OrmMarker *marker, const char *alias, TimestampTz cutoff)
{
	char	   *name = marker_name(relid, marker, alias);

	switch (marker->kind)
	{
		case ORM_MARKER_TIMESTAMPTZ:
			return psprintf("%s OPERATOR(pg_catalog.<=) '%s'::pg_catalog.timestamptz", name,
							DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(cutoff))));
		case ORM_MARKER_TIMESTAMP:
			return psprintf("%s OPERATOR(pg_catalog.<=) '%s'::pg_catalog.timestamp", name,
							DatumGetCString(DirectFunctionCall1(timestamp_out,
																DirectFunctionCall1(timestamptz_timestamp,
																					TimestampTzGetDatum(cutoff)))));
		case ORM_MARKER_BOOLEAN:
			return name;
		case ORM_MARKER_BIGINT:
			return psprintf("%s OPERATOR(pg_catalog.<>) 0 AND %s OPERATOR(pg_catalog.<=) '" INT64_FORMAT "'::pg_catalog.int8",
							name, name,
							cutoff + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
	}
	pg_unreachable();
}

/* Since when rows must have been deleted.  Errors: 22023, 22008. */
static TimestampTz
cutoff_of(Interval *older_than)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz cutoff = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(now),
																 IntervalPGetDatum(older_than)));

	if (cutoff > now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\"", "older_than"),
				 errdetail("It must not be negative.")));
	return cutoff;
}

/* The marker of the table, which has to tell when a row was deleted.  Errors: 55000, 0A000. */
static OrmMarker
timed_marker(Oid relid)
{
	Relation	rel = orm_open_relation(relid, AccessShareLock);
	const char *name = orm_relation_name(rel);
	OrmMarker	marker;

	if (!orm_soft_delete_declared(relid, &marker))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not under soft delete", RelationGetRelationName(rel)),
				 errhint("SELECT orm_ext.enable_soft_delete(%s);", quote_literal_cstr(name))));
	if (marker.kind == ORM_MARKER_BOOLEAN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" does not tell when its rows were deleted", RelationGetRelationName(rel)),
				 errdetail("Column \"%s\" is of type boolean.", get_attname(relid, marker.attno, false)),
				 errhint("All of its deleted rows, whatever their age: DELETE FROM %s WHERE %s;", name,
						 marker_name(relid, &marker, NULL))));
	table_close(rel, NoLock);
	return marker;
}

/* Count the rows of one table that would be purged, and those that would be kept. */
static void
count_member(OrmBatchJob *job, OrmPurgeGraph *graph, Relation rel)
{
	OrmBatchCursor *cursor = orm_batch_open_cursor(job, rel, CurrentMemoryContext);
	OrmBatchPlan *plan = orm_batch_make_selection(&job->statement, rel, cursor, cursor->context);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext purge range", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = CurrentMemoryContext;
	OrmBatchRange range;

	for (;;)
	{
		List	   *tallies;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		if (!orm_batch_next_range(cursor, rel, job->options.batch_size, &range))
			break;
		orm_purge_range(graph, RelationGetRelid(rel), plan, cursor, &range, true, &job->progress);
		orm_batch_advance(cursor, &range);
		MemoryContextSwitchTo(caller);
		tallies = job->progress.tallies;
		job->progress.tallies = orm_batch_copy_tallies(tallies);
		if (range.is_last)
			break;
	}
	MemoryContextSwitchTo(caller);
	orm_batch_free_plan(plan);
	MemoryContextDelete(context);
	MemoryContextDelete(cursor->context);
}

/* Find out what a purge would do. */
static void
count_only(OrmBatchJob *job, OrmPurgeGraph *graph)
{
	MemoryContext caller = CurrentMemoryContext;
	ListCell   *lc;

	SPI_connect();
	foreach(lc, job->members)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		count_member(job, graph, rel);
		table_close(rel, NoLock);
	}
	MemoryContextSwitchTo(caller);	/* what was counted outlives SPI's */
	job->progress.tallies = orm_batch_copy_tallies(job->progress.tallies);
	SPI_finish();
}

/* The result: number of the job, rows purged and kept, the report. */
static Datum
purge_result(FunctionCallInfo fcinfo, const OrmBatchJob *job)
{
	List	   *tallies = job->progress.tallies;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(job->id);
	nulls[0] = job->id == 0;
	values[1] = Int64GetDatum(orm_batch_total(tallies, "purged"));
	values[2] = Int64GetDatum(orm_batch_total(tallies, "kept"));
	values[3] = DirectFunctionCall1(jsonb_in, CStringGetDatum(orm_batch_report(tallies)));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* Why a row was kept, as the end of a label has it, and as a sentence. */
static const char *
reason(const char *label)
{
	if (strstr(label, " (live)"))
		return "Live rows refer to what would have to go";
	if (strstr(label, " (deleted later)"))
		return "Rows that were deleted later refer to what would have to go";
	if (strstr(label, " (not under soft delete)"))
		return "Rows of a table that is not under soft delete refer to what would have to go";
	return "A constraint would be violated";
}

/* Tell which rows are kept. */
void
orm_purge_tell(const OrmBatchJob *job, bool dry_run)
{
	ListCell   *lc;

	foreach(lc, job->progress.tallies)
	{
		const OrmBatchTally *tally = lfirst(lc);

		if (strcmp(tally->kind, "kept") == 0)
			ereport(NOTICE,
					(errmsg_plural(INT64_FORMAT " row of table %s %s kept: %s",
								   INT64_FORMAT " rows of table %s %s kept: %s",
								   tally->count, tally->count, job->target,
								   dry_run ? "would be" : tally->count == 1 ? "is" : "are", tally->label),
					 errdetail("%s.", reason(tally->label))));
	}
}

PG_FUNCTION_INFO_V1(orm_purge);

/*
 * orm_ext.purge(rel, older_than, batch_size, dry_run, cascade, options...),
 * INOUT job bigint, purged bigint, kept bigint, report jsonb
 *
 * Errors: 25001 in a transaction, 25006 read-only, 22023 and 22004 arguments,
 * 42809 not a table, 55000 not under soft delete, 0A000 boolean marker, 42501
 * rights or row-level security.
 */
Datum
orm_purge(PG_FUNCTION_ARGS)
{
	OrmBatchJob job = {.statement = {.is_delete = true,.is_purge = true}};
	bool		dry_run = orm_batch_get_bool(fcinfo, 3, false);
	OrmPurgeGraph *graph;
	OrmMarker	marker;

	orm_batch_refuse_null(fcinfo, 0, "rel");
	orm_batch_refuse_null(fcinfo, 1, "older_than");
	if (!dry_run)
		orm_batch_check_context(fcinfo, &job.statement);
	job.statement.relid = PG_GETARG_OID(0);
	job.statement.cutoff = cutoff_of(PG_GETARG_INTERVAL_P(1));
	job.statement.cascade = orm_batch_get_bool(fcinfo, 4, false);
	orm_batch_get_purge_options(fcinfo, &job.options);
	(void) orm_batch_members(job.statement.relid);
	marker = timed_marker(job.statement.relid);
	job.statement.condition = orm_purge_due_condition(job.statement.relid, &marker, NULL, job.statement.cutoff);
	orm_batch_prepare_job(&job);

	graph = orm_purge_open(&job, CurrentMemoryContext);
	orm_purge_check_rights(graph);
	if (dry_run)
		count_only(&job, graph);
	orm_purge_close(graph);
	if (!dry_run)
		orm_batch_begin_job(&job);
	else
		orm_purge_tell(&job, true);
	return purge_result(fcinfo, &job);
}
