/*-------------------------------------------------------------------------
 *
 * engine.c
 *		The run of a bulk upsert: read the rows, write them, count.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "run.h"
#include "util/spi.h"

/* Others that are faster each time do not keep us for ever. */
#define MAX_RUNS 20

/* The innermost run: a trigger may begin one inside another. */
OrmUpsertRun *orm_running_upsert = NULL;

/* Name the row that is being written in the context of errors. */
static void
describe_row(void *arg)
{
	OrmUpsertRun *run = arg;

	if (run->ordinal > 0)
		errcontext("row %lld of the input of bulk upsert into \"%s\"",
				   (long long) run->ordinal, run->table);
}

/* Run the statement over the rows of the store. */
static void
run_statement(OrmUpsertRun *run)
{
	EphemeralNamedRelationData store;
	QueryEnvironment *environment = orm_connect_to_store(&store, run->target, run->store);
	OrmRunReceiver receiver = orm_make_receiver(run, false);

	run->deleted = orm_find_deleted_rows(run->target);
	orm_execute_upsert_plan(orm_plan_upsert(&run->target->plan, run->target->statement, 0, NULL), run->target->statement, environment,
							NULL, &receiver.pub);
	SPI_finish();
}

/* The same for orm_try(). */
static bool
try_statement(void *arg)
{
	run_statement(arg);
	return true;
}

/*
 * Run the statement; if others have deleted rows with the keys of those that it
 * inserted, once more.
 */
static void
run_until_settled(OrmUpsertRun *run)
{
	const OrmUpsertResults before = *run->results;
	ErrorData  *error;

	for (int runs = 1; !orm_try(try_statement, run, &error); runs++)
	{
		if (!run->outrun || IsolationUsesXactSnapshot() || runs == MAX_RUNS)
			ReThrowError(error);
		FreeErrorData(error);
		run->ordinal = 0;
		run->deleted = NULL;
		run->outrun = false;
		orm_restart_results(run->results, &before);
		orm_rewind_rows(run);
	}
}

/*
 * Write the rows: directly where the table allows it and nobody else touches
 * them at the same time, otherwise by the statement.
 */
static void
write_rows(OrmUpsertRun *run, Relation rel)
{
	ErrorContextCallback callback;

	callback.callback = describe_row;
	callback.arg = run;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (!run->target->direct || !orm_write_directly(run, rel))
	{
		orm_open_store(run);
		orm_rewind_rows(run);
		if (run->target->live_key)
			run_until_settled(run);
		else
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
	run.nrows = orm_finish_rows(run.rows);
	run.row = orm_stored_row(run.rows);

	run.context = CurrentMemoryContext;
	if (target->returning)
		run.row_context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext bulk upsert row",
												ALLOCSET_SMALL_SIZES);
	run.compared_typmod = -1;
	run.trigger_depth = orm_trigger_depth();
	run.existing = palloc_array(Datum, target->ncompared + 1);
	run.existing_nulls = palloc_array(bool, target->ncompared + 1);

	orm_running_upsert = &run;
	if (!orm_is_only_row(run.rows))
		orm_open_store(&run);
	write_rows(&run, rel);
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
	OrmUpsertRun *outer = orm_running_upsert;

	PG_TRY();
	{
		run_target(rel, target, source, results);
	}
	PG_FINALLY();
	{
		orm_running_upsert = outer;
		orm_end_upsert_target(target);
	}
	PG_END_TRY();
	orm_finish_results(results, RelationGetRelid(rel));
}
