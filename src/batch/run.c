/*-------------------------------------------------------------------------
 *
 * run.c
 *		A job, batch by batch.
 *
 * A batch that fails is tried again, after a while, or in halves; what cannot
 * be done at all ends the job.  Where a job has come to is held in memory as
 * well as in its row, and only brought up to date once a step is committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"
#include "purge.h"

/* Adapting to a target time never asks for more rows than this. */
#define MAX_BATCH_SIZE 1000000

/* Batches in which nothing is found grow so many times in the pass that verifies. */
#define MAX_GROWTH 16

/* How often a job tells of its progress. */
#define TELL_INTERVAL_US (1000 * 1000)

/* Copy a list of strings (char *). */
static List *
copy_texts(List *texts)
{
	List	   *copy = NIL;
	ListCell   *lc;

	foreach(lc, texts)
		copy = lappend(copy, pstrdup(lfirst(lc)));
	return copy;
}

/* Keep the job's progress, whose lists are of a step, for the next ones. */
static void
keep_progress(OrmBatchRun *run, const OrmBatchProgress *progress)
{
	OrmBatchProgress *kept = &run->job->progress;
	MemoryContext context = AllocSetContextCreate(run->context, "orm_ext batch progress", ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	MemoryContext old = run->progress_context;

	*kept = *progress;
	kept->columns = copy_texts(progress->columns);
	kept->after = copy_texts(progress->after);
	kept->bound = copy_texts(progress->bound);
	kept->tallies = orm_batch_copy_tallies(progress->tallies);
	run->progress_context = context;
	if (old)
		MemoryContextDelete(old);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Save a job's progress in a transaction of its own.  That sees what others
 * have asked of the job, whatever isolation the batches have.
 */
static void
save(OrmBatchRun *run, const char *error)
{
	OrmBatchJob *job = run->job;

	SPI_commit();
	XactIsoLevel = XACT_READ_COMMITTED;
	MemoryContextSwitchTo(run->step_context);
	job->progress.state = orm_batch_save_job(job, &job->progress, error);
	MemoryContextSwitchTo(run->context);
	run->saved = GetCurrentTimestamp();
	SPI_commit();
}

/* Has somebody asked the job to pause or to end? */
static bool
is_stopped(void *state)
{
	OrmBatchRun *run = state;
	bool		is_asked;

	MemoryContextSwitchTo(run->step_context);
	is_asked = orm_batch_is_asked(run->job->id);
	MemoryContextSwitchTo(run->context);
	SPI_commit();
	if (is_asked)
		save(run, NULL);
	return run->job->progress.state != ORM_BATCH_RUNNING;
}

/* Tell the client how far the job has come, now and then. */
static void
tell_progress(OrmBatchRun *run)
{
	const OrmBatchJob *job = run->job;
	const OrmBatchProgress *progress = &job->progress;
	double		share = job->estimate > 0 ? Min(progress->visited / job->estimate, 1) : 1;

	if (!job->options.progress || GetCurrentTimestamp() - run->told < TELL_INTERVAL_US)
		return;
	run->told = GetCurrentTimestamp();
	ereport(NOTICE,
			(errmsg("batched job " INT64_FORMAT ": " INT64_FORMAT " rows in " INT64_FORMAT " batches, %.0f %%",
					job->id, progress->rows, progress->batches, progress->pass > 1 ? 100 : share * 100)));
}

/* How many rows to start with: what refers to the rows of a purge goes in the same batch. */
static int64
first_size(const OrmBatchJob *job)
{
	return job->statement.is_purge ? Max(job->options.batch_size / 8, 1) : job->options.batch_size;
}

/* The number of rows of a purge's next batch, so that it comes to batch_size with those that refer to them. */
static void
adapt_purge(OrmBatchRun *run, const OrmBatchStep *step)
{
	int64		wanted = run->job->options.batch_size;
	int64		rows = Max(step->rows, 1);

	if (rows > wanted)
		run->base_size = Max(run->base_size * wanted / rows, 1);
	else
		run->base_size = Min(run->base_size * 2, wanted);
}

/* The number of rows for the next batch, after one that took so long. */
static void
adapt_size(OrmBatchRun *run, const OrmBatchStep *step)
{
	const OrmBatchOptions *options = &run->job->options;

	if (run->job->statement.is_purge && run->trouble == 0 &&
		(options->target_time <= 0 || step->rows == 0 || run->base_size > options->batch_size))
		adapt_purge(run, step);

	if (options->target_time > 0 && step->rows > 0 && run->trouble == 0)
	{
		double		factor = options->target_time / Max(step->took, 0.01);

		run->base_size = run->base_size * Min(Max(factor, 0.5), 2);
		run->base_size = Min(Max(run->base_size, 1), MAX_BATCH_SIZE);
	}
	if (run->trouble > 0)
	{
		/*
		 * what is left of a range that has failed is halved until it is
		 * through
		 */
		run->trouble = Max(run->trouble - run->size, 0);
		run->size = run->trouble > 0 ? Max(run->trouble / 2, 1) : run->base_size;
	}
	else if (run->job->progress.pass > 1 && step->rows == 0)
		run->size = Min(run->size * 2, run->base_size * MAX_GROWTH);
	else
		run->size = run->base_size;
}

/* A step is done. */
static void
note_success(OrmBatchRun *run, const OrmBatchStep *step)
{
	if (step->ends_member)
	{
		orm_batch_close_member(run);
		run->trouble = 0;
		run->size = run->base_size;
	}
	else
		orm_batch_advance(run->cursor, &run->range);
	keep_progress(run, &step->progress);
	run->keep = NULL;
	if (step->ended != 0)
		run->clock = step->ended;
	run->attempts = 0;
	if (!step->ends_member)
		adapt_size(run, step);
	tell_progress(run);
}

/* The row at which a job has failed, NULL where it is not of one. */
static char *
failed_row(OrmBatchRun *run)
{
	Relation	rel;
	char	   *result;

	if (!run->has_range || run->cursor == NULL || !run->range.is_single)
		return NULL;
	rel = try_relation_open(list_nth_oid(run->job->members, run->job->progress.member), AccessShareLock);
	if (rel == NULL)
		return NULL;
	result = orm_batch_position(run->cursor, rel, &run->range);
	relation_close(rel, NoLock);
	return result;
}

/* End the run by an error. */
static void
give_up(OrmBatchRun *run, ErrorData *error, OrmBatchRemedy remedy)
{
	OrmBatchJob *job = run->job;
	const char *position = remedy == ORM_BATCH_INTERRUPT ? NULL : failed_row(run);

	job->progress.state = remedy == ORM_BATCH_INTERRUPT ? ORM_BATCH_INTERRUPTED : ORM_BATCH_FAILED;
	save(run, position ? psprintf("%s (row with %s)", error->message, position) : error->message);
	orm_batch_rethrow(job, error, position);
}

/* Is the one row of a purge's range to stay, since a constraint would not hold without it? */
static bool
is_to_keep(const OrmBatchRun *run, const ErrorData *error)
{
	return run->job->statement.is_purge && run->has_range && run->keep == NULL &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

/* A step has failed: wait and try again, try half of it, or give up. */
static void
note_failure(OrmBatchRun *run, ErrorData *error)
{
	OrmBatchJob *job = run->job;
	OrmBatchRemedy remedy = orm_batch_remedy(error);
	bool		is_split = run->trouble > 0;

	if (remedy == ORM_BATCH_RETRY && run->attempts < (is_split ? Min(1, job->options.max_retries) : job->options.max_retries))
	{
		job->progress.retries++;
		save(run, error->message);
		if (job->progress.state == ORM_BATCH_RUNNING)
			(void) orm_batch_sleep(orm_batch_backoff(run->attempts), is_stopped, run);
		run->attempts++;
		FreeErrorData(error);
		return;
	}
	if (remedy == ORM_BATCH_SPLIT && run->size <= 1 && is_to_keep(run, error))
	{
		const char *name = error->constraint_name ? error->constraint_name : error->column_name;

		run->keep = psprintf("%s (violated)", name
							 ? psprintf("%s.%s", quote_qualified_identifier(error->schema_name, error->table_name), quote_identifier(name))
							 : error->message);
		run->attempts = 0;
		FreeErrorData(error);
		return;
	}
	if ((remedy != ORM_BATCH_RETRY && remedy != ORM_BATCH_SPLIT) || !run->has_range || run->size <= 1)
		give_up(run, error, remedy);

	/* where it is bound to fail again is known to be in there */
	run->trouble = run->size;
	run->size = Max(run->size / 2, 1);
	run->attempts = 0;
	FreeErrorData(error);
}

/* Go through all batches. */
static void
run_steps(OrmBatchRun *run)
{
	OrmBatchJob *job = run->job;

	while (job->progress.state == ORM_BATCH_RUNNING)
	{
		OrmBatchStep step = {0};
		ErrorData  *error;

		CHECK_FOR_INTERRUPTS();
		run->has_range = false;
		error = orm_batch_try_step(run, &step);
		if (error)
		{
			note_failure(run, error);
			continue;
		}
		note_success(run, &step);
		if (job->progress.state == ORM_BATCH_RUNNING && !step.ends_member)
			(void) orm_batch_throttle(&run->throttle, &job->options, is_stopped, run);
	}
}

/* Tell the client how the job has ended. */
static void
tell_end(const OrmBatchJob *job)
{
	const OrmBatchProgress *progress = &job->progress;

	if (job->statement.is_purge && progress->state == ORM_BATCH_DONE)
		orm_purge_tell(job, false);
	if (progress->state == ORM_BATCH_PAUSED)
		ereport(NOTICE,
				(errmsg("batched job " INT64_FORMAT " is paused after " INT64_FORMAT " rows", job->id, progress->rows),
				 errhint("CALL orm_ext.batch_resume(" INT64_FORMAT ");", job->id)));
	else if (progress->state == ORM_BATCH_CANCELLED)
		ereport(NOTICE,
				(errmsg("batched job " INT64_FORMAT " is cancelled after " INT64_FORMAT " rows", job->id, progress->rows)));
	else if (job->options.progress)
		ereport(NOTICE,
				(errmsg("batched job " INT64_FORMAT " is done: " INT64_FORMAT " rows in " INT64_FORMAT " batches",
						job->id, progress->rows, progress->batches)));
}

/*
 * Run a job until it is done, or told to stop.  The caller has its lock, and is
 * connected to SPI so that it may commit.  Errors: those of the statement.
 */
void
orm_batch_run(OrmBatchJob *job)
{
	MemoryContext caller = CurrentMemoryContext;
	OrmBatchRun run = {.job = job,.base_size = first_size(job),.size = first_size(job)};

	run.context = AllocSetContextCreate(PortalContext, "orm_ext batched job", ALLOCSET_DEFAULT_SIZES);
	run.step_context = AllocSetContextCreate(run.context, "orm_ext batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(run.context);
	orm_batch_begin_throttle(&run.throttle);
	run.clock = run.told = GetCurrentTimestamp();
	PG_TRY();
	{
		run_steps(&run);
	}
	PG_FINALLY();
	{
		orm_batch_close_member(&run);
		if (run.graph)
			orm_purge_close(run.graph);
	}
	PG_END_TRY();
	tell_end(job);

	/* what the caller may want to know */
	MemoryContextSwitchTo(PortalContext);
	job->progress.tallies = orm_batch_copy_tallies(job->progress.tallies);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(run.context);
}
