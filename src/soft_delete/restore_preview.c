/*-------------------------------------------------------------------------
 *
 * restore_preview.c
 *		orm_ext.restore_preview(), restore_preview_where() and
 *		restore_preview_deletion().
 *
 * They take the way of a restore, read only, and then look for what would
 * stand in its way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "restore_call.h"
#include "util/spi.h"

/* Take the way of a restore, without changing anything. */
OrmRestore *
orm_preview_call(OrmRestoreCall *call)
{
	OrmRestore *restore = orm_begin_restore(true);
	ListCell   *lc;

	restore->places = orm_open_restore_store(restore);
	foreach(lc, call->seeds)
	{
		orm_find_rows_of_call(call, restore, lfirst(lc));
		orm_restore_seeds(restore, lfirst(lc));
		orm_restore_followers(restore);
	}
	return restore;
}

/* The same for rows of a table that meet a condition. */
OrmRestore *
orm_preview_rows(Oid relid, const char *condition)
{
	OrmRestoreCall call;

	orm_begin_call_of_rows(&call, relid, condition);
	return orm_preview_call(&call);
}

/* What a restore would fail by (OrmRestoreProblem *). */
static List *
problems(OrmRestore *restore)
{
	int			level = orm_pin_settings();
	List	   *result = list_concat(orm_find_missing_parents(restore), orm_find_clashes(restore));

	AtEOXact_GUC(true, level);
	return result;
}

/* Return what would be back, and what is in the way. */
static void
preview(FunctionCallInfo fcinfo, OrmRestoreCall *call)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	OrmRestore *restore;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	restore = orm_preview_call(call);
	foreach(lc, restore->tables)
	{
		OrmRestoredTable *table = lfirst(lc);
		Datum		values[4] = {ObjectIdGetDatum(table->relid), Int64GetDatum(table->rows)};
		bool		nulls[] = {false, false, true, true};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	foreach(lc, problems(restore))
	{
		OrmRestoreProblem *problem = lfirst(lc);
		Datum		values[4] = {ObjectIdGetDatum(problem->relid), Int64GetDatum(problem->rows)};
		bool		nulls[] = {false, false, false, problem->detail == NULL};

		values[2] = CStringGetTextDatum(problem->message);
		if (problem->detail)
			values[3] = CStringGetTextDatum(problem->detail);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	orm_end_restore(restore);
	orm_end_call(call);
}

PG_FUNCTION_INFO_V1(orm_restore_preview);
PG_FUNCTION_INFO_V1(orm_restore_preview_where);
PG_FUNCTION_INFO_V1(orm_restore_preview_deletion);

/*
 * orm_ext.restore_preview(rel regclass, key anyelement) → setof (rel regclass,
 * rows bigint, problem text, detail text)
 *
 * Errors: those of orm_ext.restore() before it begins to change anything.
 */
Datum
orm_restore_preview(PG_FUNCTION_ARGS)
{
	OrmRestoreCall call;

	orm_begin_call_by_key(&call, fcinfo);
	preview(fcinfo, &call);
	return (Datum) 0;
}

/* orm_ext.restore_preview_where(rel regclass, condition text), likewise */
Datum
orm_restore_preview_where(PG_FUNCTION_ARGS)
{
	OrmRestoreCall call;

	orm_begin_call_by_condition(&call, fcinfo);
	preview(fcinfo, &call);
	return (Datum) 0;
}

/* orm_ext.restore_preview_deletion(stamp timestamptz), likewise */
Datum
orm_restore_preview_deletion(PG_FUNCTION_ARGS)
{
	OrmRestoreCall call;

	orm_begin_call_by_stamp(&call, fcinfo);
	preview(fcinfo, &call);
	return (Datum) 0;
}
