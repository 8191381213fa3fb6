/*-------------------------------------------------------------------------
 *
 * engine.c
 *		The run of a bulk upsert, and what is decided about each row.
 *
 * The statement (statement.c) asks back while it runs: upsert_found() whether
 * an existing row differs, upsert_takes() whether the row is to be written at
 * all, upsert_conflicts() whether the row that INSERT met is to be updated.
 * The executor pulls a row from the store, writes it and returns it before it
 * pulls the next, so the engine follows with a read pointer of its own and
 * knows which row it is asked about; a row's fate is settled when the next one
 * comes.
 *
 * An existing row that does not differ is read and left alone: no lock, no
 * WAL, as if it had been upserted just before whoever changes it now.  What is
 * written is decided again under its lock, by upsert_conflicts().
 *
 * Whether a row differs is asked of the stored images, not of the type's
 * equality: 1.0 and 1.00 are equal and yet not the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_attribute.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "run.h"
#include "util/names.h"
#include "util/spi.h"

/* A deleted row that others change all the time is left to the insert. */
#define MAX_REVIVALS 10

/* Receives what RETURNING gives. */
typedef struct RunReceiver
{
	DestReceiver pub;
	OrmUpsertRun *run;
} RunReceiver;

/* The innermost run: a trigger may begin one inside another. */
static OrmUpsertRun *running = NULL;

/* The fate of the row that was written last. */
static OrmUpsertAction
action_of(const OrmUpsertRun *run)
{
	if (run->revived)
		return ORM_ROW_REVIVED;
	if (run->written)
		return run->conflicted ? ORM_ROW_UPDATED : ORM_ROW_INSERTED;
	switch (run->verdict)
	{
		case ORM_VERDICT_SAME:
			return ORM_ROW_UNCHANGED;
		case ORM_VERDICT_STALE:
			return ORM_ROW_STALE;
		default:
			/* DO NOTHING, or a trigger that returned null */
			return ORM_ROW_SKIPPED;
	}
}

/* Note the fate of the row that is through. */
void
orm_settle_row(OrmUpsertRun *run)
{
	ListCell   *lc;

	if (run->ordinal == 0)
		return;
	orm_add_result(run->results, run->ordinal, action_of(run), run->result, !run->has_result);
	foreach(lc, orm_duplicates_of(run->rows, run->ordinal))
		orm_add_result(run->results, *(int64 *) lfirst(lc), ORM_ROW_DUPLICATE,
					   run->result, !run->has_result);
	run->ordinal = 0;
}

/* Go on to the next row of the store; false at the end. */
bool
orm_next_row(OrmUpsertRun *run)
{
	MemoryContext oldcontext;
	bool		found;
	bool		isnull;

	orm_settle_row(run);
	MemoryContextReset(run->row_context);
	orm_forget_defaults(run->rows);

	/* a row from disk is the slot's to free, later than the executor's row */
	oldcontext = MemoryContextSwitchTo(run->context);
	tuplestore_select_read_pointer(run->store, run->read_pointer);
	found = tuplestore_gettupleslot(run->store, true, false, run->row);
	MemoryContextSwitchTo(oldcontext);
	if (!found)
		return false;
	run->ordinal = DatumGetInt64(slot_getattr(run->row, ORM_STORE_ORDINAL, &isnull));
	run->verdict = ORM_VERDICT_NEW;
	run->conflicted = run->written = run->revived = run->has_result = false;
	return true;
}

/* Bytes of the row as it is stored. */
Size
orm_stored_size(const OrmUpsertRun *run)
{
	return ((MinimalTupleTableSlot *) run->row)->mintuple->t_len;
}

/* Follow the executor to the row that it has pulled. */
static void
advance(OrmUpsertRun *run, int64 ordinal)
{
	if (run->ordinal == ordinal)
		return;
	if (!orm_next_row(run) || run->ordinal != ordinal)
		elog(ERROR, "bulk upsert asks for another row than the next, %lld", (long long) ordinal);
}

/* The run that asks; its functions are nothing to call from elsewhere. */
static OrmUpsertRun *
current_run(void)
{
	if (running == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function can only be called by a bulk upsert"),
				 errhint("SELECT * FROM orm_ext.bulk_upsert('my_table', '[{...}]');")));
	return running;
}

/* The run and the row that a function is asked about. */
static OrmUpsertRun *
current_row(void)
{
	OrmUpsertRun *run = current_run();

	if (run->ordinal == 0)
		elog(ERROR, "bulk upsert writes no row now");
	return run;
}

/* Read the columns of an existing row that were passed as a row. */
static void
read_existing(OrmUpsertRun *run, Datum row)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(row);
	HeapTupleData tuple;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, run->target->compared_type, run->existing, run->existing_nulls);
}

/* Keep a row to return. */
void
orm_keep_result(OrmUpsertRun *run, Datum row)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(run->row_context);

	run->result = datumCopy(row, false, -1);
	run->has_result = true;
	MemoryContextSwitchTo(oldcontext);
}

/* Complain of a deleted row that has the key.  Error: 23505. */
static void
report_deleted(OrmUpsertRun *run)
{
	const char *table = orm_relid_name(run->target->relid);
	Relation	rel = table_open(run->target->relid, NoLock);

	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("a deleted row of \"%s\" has the key", run->table),
			 errdetail("Row %lld of the input means a row that is deleted.", (long long) run->ordinal),
			 errhint("on_deleted => 'revive' brings such rows back, 'skip' passes them over; SELECT * FROM %s WHERE %s; shows them.",
					 table,
					 psprintf("orm_ext.with_deleted(%s)",
							  quote_identifier(NameStr(TupleDescAttr(run->target->rowtype,
																	 run->target->marker.attno - 1)->attname)))),
			 errtableconstraint(rel, get_rel_name(run->target->arbiter.index))));
}

/* Complain of a value for a new row's identity column.  Error: 428C9. */
void
orm_check_identity(OrmUpsertRun *run)
{
	const OrmUpsertTarget *target = run->target;

	for (int i = 0; i < target->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(target->rowtype, target->columns[i] - 1);

		if (att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS && orm_row_supplies(run, att->attnum))
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("cannot insert a non-DEFAULT value into column \"%s\"",
							NameStr(att->attname)),
					 errdetail("Column \"%s\" is an identity column defined as GENERATED ALWAYS, and no row has the key.",
							   NameStr(att->attname)),
					 errhint("Leave the column out of new rows, or ALTER TABLE %s ALTER COLUMN %s SET GENERATED BY DEFAULT;",
							 orm_relid_name(target->relid), quote_identifier(NameStr(att->attname)))));
	}
}

/* RETURNING gives a row: it is written. */
static bool
receive_written(TupleTableSlot *slot, DestReceiver *self)
{
	OrmUpsertRun *run = ((RunReceiver *) self)->run;
	bool		isnull;

	run->written = true;
	if (run->target->returning)
	{
		Datum		row = slot_getattr(slot, 1, &isnull);

		if (!isnull)
			orm_keep_result(run, row);
	}
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

/* All rows are through; triggers at the end of the statement are no row's. */
static void
receiver_shutdown(DestReceiver *self)
{
	OrmUpsertRun *run = ((RunReceiver *) self)->run;

	if (!run->reviving)
		orm_settle_row(run);
}

static void
receiver_destroy(DestReceiver *self)
{
}

/* A receiver for one execution. */
static RunReceiver
make_receiver(OrmUpsertRun *run)
{
	RunReceiver receiver = {0};

	receiver.pub.receiveSlot = receive_written;
	receiver.pub.rStartup = receiver_startup;
	receiver.pub.rShutdown = receiver_shutdown;
	receiver.pub.rDestroy = receiver_destroy;
	receiver.pub.mydest = DestNone;
	receiver.run = run;
	return receiver;
}

/* Bring the deleted row back that has the key; false if it is gone by now. */
static bool
revive(OrmUpsertRun *run, ItemPointer tid, Oid tableoid)
{
	RunReceiver receiver = make_receiver(run);

	run->reviving = true;
	run->written = false;
	orm_revive_row(run->target, tid, tableoid, run->row, &receiver.pub);
	run->reviving = false;
	run->revived = run->written;
	if (!run->revived)
	{
		run->conflicted = run->written = run->has_result = false;
		if (run->verdict != ORM_VERDICT_STALE)
			run->verdict = ORM_VERDICT_NEW;
	}
	return run->revived;
}

/*
 * Bring back the deleted row that has the key, or the one that others have put
 * in its place meanwhile.  True if there is nothing to insert: it is done, or
 * the row is stale.
 */
static bool
revive_at_last(OrmUpsertRun *run, ItemPointer tid, Oid tableoid)
{
	int			tries = 0;

	do
	{
		CHECK_FOR_INTERRUPTS();
		if (revive(run, tid, tableoid) || run->verdict == ORM_VERDICT_STALE)
			return true;
		orm_find_deleted_row(run->deleted, run->target, run->row);
	} while (orm_deleted_row(run->deleted, run->ordinal, tid, &tableoid) &&
			 !IsolationUsesXactSnapshot() && ++tries < MAX_REVIVALS);
	return false;
}

/* A deleted row has the key, and no live one: is the row to be inserted? */
static bool
takes_in_spite_of(OrmUpsertRun *run, ItemPointer tid, Oid tableoid)
{
	switch (run->target->options.on_deleted)
	{
		case ORM_DELETED_REVIVE:
			return !revive_at_last(run, tid, tableoid);
		case ORM_DELETED_SKIP:
			run->verdict = ORM_VERDICT_SKIP;
			return false;
		case ORM_DELETED_ERROR:
			report_deleted(run);
			return false;
		default:
			return true;
	}
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
	read_existing(run, PG_GETARG_DATUM(1));
	run->verdict = orm_judge(run);
	if (!PG_ARGISNULL(2))
		orm_keep_result(run, PG_GETARG_DATUM(2));
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
	ItemPointerData tid;
	Oid			tableoid;

	advance(run, PG_GETARG_INT64(0));
	if (run->verdict == ORM_VERDICT_WRITE && PG_ARGISNULL(1))
	{
		/* deleted while we waited for its lock; maybe it is in the bin now */
		run->verdict = ORM_VERDICT_NEW;
		orm_find_deleted_row(run->deleted, run->target, run->row);
	}
	if (run->verdict == ORM_VERDICT_NEW)
	{
		run->has_result = false;
		if (orm_deleted_row(run->deleted, run->ordinal, &tid, &tableoid) &&
			!takes_in_spite_of(run, &tid, tableoid))
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

	read_existing(run, PG_GETARG_DATUM(0));
	run->verdict = orm_judge(run);
	if (!PG_ARGISNULL(1))
		orm_keep_result(run, PG_GETARG_DATUM(1));
	if (run->verdict == ORM_VERDICT_DELETED)
	{
		if (run->target->options.on_deleted == ORM_DELETED_REVIVE)
			run->revived = true;
		else if (run->target->options.on_deleted == ORM_DELETED_SKIP)
			run->verdict = ORM_VERDICT_SKIP;
		else
			report_deleted(run);
	}
	run->conflicted = run->verdict == ORM_VERDICT_WRITE || run->verdict == ORM_VERDICT_DELETED;
	PG_RETURN_BOOL(run->conflicted);
}

/* orm_ext.upsert_has(attnum): does the row that is being written supply a column? */
PG_FUNCTION_INFO_V1(orm_upsert_has);

Datum
orm_upsert_has(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(orm_row_supplies(current_row(), PG_GETARG_INT32(0)));
}

/* orm_ext.upsert_default(attnum, NULL::type): the default of a column. */
PG_FUNCTION_INFO_V1(orm_upsert_default);

Datum
orm_upsert_default(PG_FUNCTION_ARGS)
{
	OrmUpsertRun *run = current_row();
	AttrNumber	attno = PG_GETARG_INT32(0);
	bool		isnull;
	Datum		value;

	if (attno < 1 || attno > run->target->rowtype->natts ||
		get_fn_expr_argtype(fcinfo->flinfo, 1) !=
		TupleDescAttr(run->target->rowtype, attno - 1)->atttypid)
		elog(ERROR, "bulk upsert asks for no such default");
	value = orm_default_value(run->rows, attno, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/* Does the row that is being written supply a column of this name? */
static bool
assigns(const char *column)
{
	return running != NULL && running->ordinal > 0 &&
		orm_row_supplies(running, orm_find_column(running->target->rowtype, column));
}

/* Tell other features which columns a row assigns. */
void
orm_upsert_init(void)
{
	orm_upsert_assigns = assigns;
}

/* Name the row that is being written in the context of errors. */
static void
describe_row(void *arg)
{
	OrmUpsertRun *run = arg;

	if (run->ordinal > 0)
		errcontext("row %lld of the input of bulk upsert into \"%s\"",
				   (long long) run->ordinal, run->table);
}

/*
 * Plan the statement, unless there is a plan.  The settings hold while it is
 * planned: a look into the index for each row, however few rows the table
 * seems to have.
 */
static CachedPlan *
plan_statement(OrmUpsertTarget *target)
{
	CachedPlan *plan;
	int			level;

	if (target->plan && SPI_plan_is_valid(target->plan))
		return SPI_plan_get_cached_plan(target->plan);

	level = orm_pin_settings();
	orm_set_for_level("enable_seqscan", "off");
	orm_set_for_level("enable_material", "off");
	orm_set_for_level("jit", "off");
	if (target->plan == NULL)
	{
		target->plan = SPI_prepare(target->statement, 0, NULL);
		if (target->plan == NULL || SPI_keepplan(target->plan) != 0)
			elog(ERROR, "could not prepare \"%s\"", target->statement);
	}
	plan = SPI_plan_get_cached_plan(target->plan);
	AtEOXact_GUC(true, level);
	return plan;
}

/*
 * Execute a plan as SPI would, but without SPI's context of errors: users have
 * not written the statement and need not see it.  SPI is connected.
 */
void
orm_execute_upsert_plan(CachedPlan *plan, const char *source, QueryEnvironment *environment,
						ParamListInfo params, DestReceiver *dest)
{
	QueryDesc  *query_desc;

	if (plan == NULL || list_length(plan->stmt_list) != 1)
		elog(ERROR, "bulk upsert is no single statement");
	CommandCounterIncrement();
	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	query_desc = CreateQueryDesc(linitial(plan->stmt_list), source, GetActiveSnapshot(),
								 InvalidSnapshot, dest, params, environment, 0);
	ExecutorStart(query_desc, 0);
	orm_stamps.label_upsert(query_desc->estate);
	orm_executor_run(query_desc);
	ExecutorFinish(query_desc);
	ExecutorEnd(query_desc);
	FreeQueryDesc(query_desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
	ReleaseCachedPlan(plan, CurrentResourceOwner);
}

/* Connect to SPI, with a store that statements can name. */
QueryEnvironment *
orm_connect_to_store(EphemeralNamedRelation store, OrmUpsertTarget *target, Tuplestorestate *rows)
{
	QueryEnvironment *environment = create_queryEnv();

	memset(store, 0, sizeof(*store));
	store->md.name = ORM_STORE_NAME;
	store->md.tupdesc = target->store;
	store->md.enrtype = ENR_NAMED_TUPLESTORE;
	store->md.enrtuples = tuplestore_tuple_count(rows);
	store->reldata = rows;
	register_ENR(environment, store);
	SPI_connect();
	if (SPI_register_relation(store) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register \"%s\"", ORM_STORE_NAME);
	return environment;
}

/* Run the statement over the rows of the store. */
static void
run_statement(OrmUpsertRun *run)
{
	EphemeralNamedRelationData store;
	QueryEnvironment *environment = orm_connect_to_store(&store, run->target, run->store);
	RunReceiver receiver = make_receiver(run);

	run->deleted = orm_find_deleted_rows(run->target);
	orm_execute_upsert_plan(plan_statement(run->target), run->target->statement, environment,
							NULL, &receiver.pub);
	SPI_finish();
}

/* Go back to before the first row of the store. */
static void
rewind_rows(OrmUpsertRun *run)
{
	tuplestore_select_read_pointer(run->store, run->read_pointer);
	tuplestore_rescan(run->store);
}

/*
 * Write the rows: directly where the table allows it and nobody else touches
 * them at the same time, otherwise by the statement.
 */
static void
write_rows(OrmUpsertRun *run, Relation rel)
{
	ErrorContextCallback callback;

	run->read_pointer = tuplestore_alloc_read_pointer(run->store, EXEC_FLAG_REWIND);
	rewind_rows(run);
	callback.callback = describe_row;
	callback.arg = run;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (!run->target->direct || !orm_write_directly(run, rel))
	{
		rewind_rows(run);
		run_statement(run);
	}
	error_context_stack = callback.previous;
}

/* Read all rows of the input. */
static void
read_rows(OrmUpsertRows *rows, OrmUpsertSource *source)
{
	while (source->next(source, orm_input_row(rows)))
	{
		CHECK_FOR_INTERRUPTS();
		orm_put_row(rows);
	}
}

/* A run of rows that were read into a target. */
static void
run_target(Relation rel, OrmUpsertTarget *target, OrmUpsertSource *source,
		   OrmUpsertResults *results)
{
	OrmUpsertRun run = {0};

	run.target = target;
	run.results = results;
	run.table = RelationGetRelationName(rel);
	run.rows = orm_begin_rows(target, results);
	read_rows(run.rows, source);
	run.store = orm_finish_rows(run.rows);

	run.context = CurrentMemoryContext;
	run.row_context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext bulk upsert row",
											ALLOCSET_SMALL_SIZES);
	run.row = MakeSingleTupleTableSlot(target->store, &TTSOpsMinimalTuple);
	run.existing = palloc_array(Datum, target->ncompared + 1);
	run.existing_nulls = palloc_array(bool, target->ncompared + 1);

	running = &run;
	write_rows(&run, rel);
	ExecDropSingleTupleTableSlot(run.row);
	orm_end_rows(run.rows);
}

/*
 * Upsert the rows of a source into a table, which the caller has locked.
 * Errors: 42P10, 55000 (no arbiter), 42703, 21000 (duplicates), 23505, 428C9;
 * whatever the INSERT raises.
 */
void
orm_upsert(Relation rel, OrmUpsertSource *source,
		   const OrmUpsertOptions *options, OrmUpsertResults *results)
{
	OrmUpsertTarget *target = orm_begin_upsert_target(rel, source, options, results->rows != NULL);
	OrmUpsertRun *outer = running;

	PG_TRY();
	{
		run_target(rel, target, source, results);
	}
	PG_FINALLY();
	{
		running = outer;
		orm_end_upsert_target(target);
	}
	PG_END_TRY();
	orm_finish_results(results, RelationGetRelid(rel));
}
