/*-------------------------------------------------------------------------
 *
 * answers.c
 *		What the statement of a bulk upsert asks back while it runs.
 *
 * upsert_found() whether an existing row differs, upsert_takes() whether the row
 * is to be written at all, upsert_conflicts() whether the row that INSERT met is
 * to be updated (statement.c).  The executor pulls a row from the store, writes
 * it and returns it before it pulls the next, so the run follows with a read
 * pointer of its own and knows which row it is asked about.
 *
 * An existing row that does not differ is read and left alone: no lock, no
 * WAL, as if it had been upserted just before whoever changes it now.  What is
 * written is decided again under its lock, by upsert_conflicts().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/typcache.h"

#include "compat.h"
#include "run.h"
#include "util/names.h"

/* Follow the executor to the row that it has pulled. */
static void
advance(OrmUpsertRun *run, int64 ordinal)
{
	if (run->ordinal == ordinal)
		return;
	if (!orm_next_row(run) || run->ordinal != ordinal)
		elog(ERROR, "bulk upsert asks for another row than the next, %lld", (long long) ordinal);
}

/* Anybody can call these functions from a trigger: what they are given is checked. */
static void
report_misuse(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("function is not called as a bulk upsert calls it")));
}

/* The run that asks; its functions are nothing to call from elsewhere. */
static OrmUpsertRun *
current_run(void)
{
	if (orm_running_upsert == NULL || orm_running_upsert->trigger_depth != orm_trigger_depth())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function can only be called by a bulk upsert"),
				 errhint("SELECT * FROM orm_ext.bulk_upsert('my_table', '[{...}]');")));
	return orm_running_upsert;
}

/* The run and the row that a function is asked about. */
static OrmUpsertRun *
current_row(void)
{
	OrmUpsertRun *run = current_run();

	if (run->ordinal == 0)
		report_misuse();
	return run;
}

/* A column of the table. */
static AttrNumber
checked_column(const OrmUpsertRun *run, int32 attno)
{
	if (attno < 1 || attno > run->target->rowtype->natts)
		report_misuse();
	return attno;
}

/* Check that a row has the columns that are compared. */
static void
check_compared(OrmUpsertRun *run, HeapTupleHeader row)
{
	TupleDesc	desc;
	bool		fits;

	if (HeapTupleHeaderGetTypeId(row) == RECORDOID &&
		HeapTupleHeaderGetTypMod(row) == run->compared_typmod)
		return;
	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	fits = desc->natts == run->target->ncompared;
	for (int i = 0; fits && i < desc->natts; i++)
		fits = TupleDescAttr(desc, i)->atttypid ==
			TupleDescAttr(run->target->compared_type, i)->atttypid;
	ReleaseTupleDesc(desc);
	if (!fits)
		report_misuse();
	if (HeapTupleHeaderGetTypeId(row) == RECORDOID)
		run->compared_typmod = HeapTupleHeaderGetTypMod(row);
}

/* Read the columns of an existing row that were passed as a row. */
static void
read_existing(OrmUpsertRun *run, NullableDatum row)
{
	HeapTupleHeader header;
	HeapTupleData tuple;

	if (row.isnull)
		report_misuse();
	header = DatumGetHeapTupleHeader(row.value);
	check_compared(run, header);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, run->target->compared_type, run->existing, run->existing_nulls);
}

/* Keep the existing row to return, if rows are returned. */
static void
keep_existing(OrmUpsertRun *run, NullableDatum row)
{
	if (row.isnull || !run->target->returning)
		return;
	if (HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(row.value)) != run->target->rowtype->tdtypeid)
		report_misuse();
	orm_keep_result(run, row.value);
}

/*
 * orm_ext.upsert_found(ordinal, compared, existing): does the existing row
 * with the key differ, so that it is to be updated?
 */
PG_FUNCTION_INFO_V1(orm_upsert_found);

Datum
orm_upsert_found(PG_FUNCTION_ARGS)
{
	OrmUpsertRun *run = current_run();

	advance(run, PG_GETARG_INT64(0));
	read_existing(run, fcinfo->args[1]);
	run->verdict = orm_judge(run);
	keep_existing(run, fcinfo->args[2]);
	PG_RETURN_BOOL(run->verdict == ORM_VERDICT_WRITE);
}

/*
 * orm_ext.upsert_takes(ordinal, found): is the row to be written?  "found" says
 * that the row that is to be updated is still there.
 */
PG_FUNCTION_INFO_V1(orm_upsert_takes);

Datum
orm_upsert_takes(PG_FUNCTION_ARGS)
{
	OrmUpsertRun *run = current_run();
	bool		outrun;

	advance(run, PG_GETARG_INT64(0));
	/* deleted while we waited for its lock? */
	outrun = run->verdict == ORM_VERDICT_WRITE && PG_ARGISNULL(1);
	if (outrun || run->verdict == ORM_VERDICT_NEW)
	{
		run->verdict = ORM_VERDICT_NEW;
		run->has_result = false;
		if (run->deleted && orm_settle_deleted(run, outrun))
			PG_RETURN_BOOL(false);
		orm_check_identity(run);
	}
	PG_RETURN_BOOL(run->verdict == ORM_VERDICT_NEW || run->verdict == ORM_VERDICT_WRITE);
}

/*
 * orm_ext.upsert_conflicts(compared, existing): is the row that INSERT has met
 * and locked to be updated?
 */
PG_FUNCTION_INFO_V1(orm_upsert_conflicts);

Datum
orm_upsert_conflicts(PG_FUNCTION_ARGS)
{
	OrmUpsertRun *run = current_row();

	read_existing(run, fcinfo->args[0]);
	run->verdict = orm_judge(run);
	keep_existing(run, fcinfo->args[1]);
	if (run->verdict == ORM_VERDICT_DELETED)
	{
		if (run->target->options.on_deleted == ORM_DELETED_REVIVE)
			run->revived = true;
		else if (run->target->options.on_deleted == ORM_DELETED_SKIP)
			run->verdict = ORM_VERDICT_SKIP;
		else
			orm_report_deleted(run);
	}
	run->conflicted = run->verdict == ORM_VERDICT_WRITE || run->verdict == ORM_VERDICT_DELETED;
	PG_RETURN_BOOL(run->conflicted);
}

/* orm_ext.upsert_has(attnum): does the row that is being written supply a column? */
PG_FUNCTION_INFO_V1(orm_upsert_has);

Datum
orm_upsert_has(PG_FUNCTION_ARGS)
{
	OrmUpsertRun *run = current_row();

	PG_RETURN_BOOL(orm_row_supplies(run, checked_column(run, PG_GETARG_INT32(0))));
}

/* orm_ext.upsert_default(attnum, NULL::type): the default of a column. */
PG_FUNCTION_INFO_V1(orm_upsert_default);

Datum
orm_upsert_default(PG_FUNCTION_ARGS)
{
	OrmUpsertRun *run = current_row();
	AttrNumber	attno = checked_column(run, PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0));
	bool		isnull;
	Datum		value;

	if (get_fn_expr_argtype(fcinfo->flinfo, 1) !=
		TupleDescAttr(run->target->rowtype, attno - 1)->atttypid)
		report_misuse();
	value = orm_default_value(run->rows, attno, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/* Does the row that is being written supply a column of this name? */
static bool
assigns(const char *column)
{
	return orm_running_upsert != NULL && orm_running_upsert->ordinal > 0 &&
		orm_row_supplies(orm_running_upsert, orm_find_column(orm_running_upsert->target->rowtype, column));
}

/* Tell other features which columns a row assigns. */
void
orm_upsert_init(void)
{
	orm_upsert_assigns = assigns;
}
