/*-------------------------------------------------------------------------
 *
 * run.c
 *		A job, batch by batch.
 *
 * Each batch is a transaction: its rows, and how far the job has come, are
 * committed together or not at all.  Inside is a subtransaction, so that an
 * error can be caught and looked at; whatever it is of, the transaction commits
 * nothing then, and the same range is tried again, or half of it.
 *
 * Where a job has come to is held in memory as well, which is only brought up
 * to date once the transaction is committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"
#include "util/names.h"

/* Adapting to a target time never asks for more rows than this. */
#define MAX_BATCH_SIZE 1000000

/* Batches in which nothing is found grow so many times in the pass that verifies. */
#define MAX_GROWTH 16

/* How often a job that finds nothing is saved, and tells of its progress. */
#define SAVE_INTERVAL_US (1000 * 1000)

typedef struct Run
{
	OrmBatchJob *job;
	MemoryContext context;		/* of the run */
	MemoryContext step_context; /* of one batch */
	OrmBatchCursor *cursor;		/* NULL: to be opened */
	OrmBatchPlan *plan;
	OrmBatchThrottle throttle;
	int64		base_size;		/* rows in a batch, as adapted */
	int64		size;			/* ... in the next one */
	int64		trouble;		/* rows left in a range that has failed */
	int			attempts;		/* that have failed, of this range */
	TimestampTz clock;			/* up to when time is counted */
	TimestampTz saved;
	TimestampTz told;
	MemoryContext progress_context; /* of the lists in the job's progress */
	OrmBatchRange range;		/* of the last step */
	bool		has_range;
} Run;

/* How far the job will have come once the step is committed. */
typedef struct Step
{
	OrmBatchProgress progress;
	bool		ends_member;
	uint64		rows;
	double		took;			/* milliseconds */
	TimestampTz ended;
} Step;

/* Make the settings under which SET and condition are read, and the lock_timeout. */
void
orm_batch_make_settings(const OrmBatchJob *job)
{
	ListCell   *lc;

	foreach(lc, job->settings)
	{
		char	   *name = pstrdup(lfirst(lc));
		char	   *value = strchr(name, '=');
		const char *current;

		*value++ = '\0';
		current = GetConfigOption(name, false, false);
		if (strcmp(current, value) != 0)
			(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	}
	if (job->options.lock_timeout >= 0)
		(void) set_config_option("lock_timeout", psprintf("%.0f", job->options.lock_timeout),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* Leave a member. */
static void
close_member(Run *run)
{
	if (run->plan)
		orm_batch_free_plan(run->plan);
	run->plan = NULL;
	if (run->cursor)
		MemoryContextDelete(run->cursor->context);
	run->cursor = NULL;
}

/* Open the table that is to be done now; NULL if it is gone, or no longer part of the target. */
static Relation
open_member(Run *run)
{
	OrmBatchJob *job = run->job;
	Oid			relid = list_nth_oid(job->members, job->progress.member);
	Relation	rel;

	if (get_rel_name(job->statement.relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" of batched job " INT64_FORMAT " does not exist any more",
						job->target, job->id)));
	rel = try_relation_open(relid, RowExclusiveLock);
	if (rel != NULL && run->cursor == NULL && !orm_batch_is_member(job->statement.relid, relid))
	{
		relation_close(rel, NoLock);
		return NULL;
	}
	return rel;
}

/* Is there a second pass to be made, for rows that were missed or came late? */
static bool
is_to_verify(const OrmBatchJob *job, const OrmBatchProgress *progress)
{
	if (!job->options.verify || progress->pass > 1)
		return false;
	return job->statement.is_guarded || (job->statement.condition && progress->still == 0);
}

/* Go on to the next member, the next pass, or the end. */
static void
end_member(const OrmBatchJob *job, OrmBatchProgress *progress)
{
	if (++progress->member == list_length(job->members))
	{
		if (!is_to_verify(job, progress))
		{
			progress->state = ORM_BATCH_DONE;
			return;
		}
		progress->pass++;
		progress->member = 0;
	}
	progress->by = ORM_BATCH_BY_AUTO;
	progress->columns = progress->after = progress->bound = NIL;
	progress->filenode = InvalidOid;
}

/* Complain that a row may be met again.  Error: 55000. */
static void
report_still(const OrmBatchJob *job)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rows of table \"%s\" meet the condition still once they are done",
					get_rel_name(job->statement.relid)),
			 errdetail("The new version of a row may be put further on, where it would be met again."),
			 errhint("Say by => 'key', or write a condition that rows no longer meet once they are done, such as a IS NULL for a = 1.")));
}

/* Do the next range of a member, if there is one. */
static void
do_range(Run *run, Relation rel, Step *step)
{
	OrmBatchJob *job = run->job;
	TimestampTz began = GetCurrentTimestamp();
	int64		still = 0;

	if (run->cursor == NULL)
		run->cursor = orm_batch_open_cursor(job, rel, run->context);
	if (run->plan == NULL)
		run->plan = orm_batch_make_plan(&job->statement, rel, run->cursor, run->cursor->context);
	run->has_range = orm_batch_next_range(run->cursor, rel, run->size, &run->range);
	if (!run->has_range)
	{
		step->ends_member = true;
		return;
	}
	step->rows = orm_batch_execute(run->plan, run->cursor, &run->range, &still);
	if (still > 0 && run->cursor->by == ORM_BATCH_BY_CTID)
		report_still(job);
	orm_batch_note_range(run->cursor, &run->range, &step->progress);
	step->ended = GetCurrentTimestamp();
	step->took = (step->ended - began) / 1000.0;
	step->progress.rows += step->rows;
	step->progress.batches++;
	step->progress.still += still;
	step->progress.worked += (step->ended - run->clock) / 1000.0;
	step->ends_member = run->range.is_last;
}

/* One transaction's work. */
static void
take_step(Run *run, Step *step)
{
	OrmBatchJob *job = run->job;
	Relation	rel;

	orm_batch_make_settings(job);
	PreventCommandIfReadOnly(job->statement.is_delete ? "CALL orm_ext.batch_delete()" : "CALL orm_ext.batch_update()");
	rel = open_member(run);
	step->progress = job->progress;
	if (rel == NULL)
		step->ends_member = true;
	else
	{
		do_range(run, rel, step);
		relation_close(rel, NoLock);
	}
	if (step->ends_member)
		end_member(job, &step->progress);

	/* where nothing was found, nothing is lost if it is looked for again */
	if (step->rows > 0 || step->ends_member || GetCurrentTimestamp() - run->saved >= SAVE_INTERVAL_US)
	{
		step->progress.state = orm_batch_save_job(job, &step->progress, NULL);
		run->saved = GetCurrentTimestamp();
	}
}

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
keep_progress(Run *run, const OrmBatchProgress *progress)
{
	OrmBatchProgress *kept = &run->job->progress;
	MemoryContext context = AllocSetContextCreate(run->context, "orm_ext batch progress", ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	MemoryContext old = run->progress_context;

	*kept = *progress;
	kept->columns = copy_texts(progress->columns);
	kept->after = copy_texts(progress->after);
	kept->bound = copy_texts(progress->bound);
	run->progress_context = context;
	if (old)
		MemoryContextDelete(old);
	MemoryContextSwitchTo(oldcontext);
}

/* Try one step and commit it; returns the error if there was one. */
static ErrorData *
try_step(Run *run, Step *step)
{
	ResourceOwner oldowner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;
	volatile bool in_subtransaction = false;
	volatile bool in_commit = false;

	MemoryContextReset(run->step_context);
	PG_TRY();
	{
		BeginInternalSubTransaction(NULL);
		in_subtransaction = true;
		MemoryContextSwitchTo(run->step_context);
		take_step(run, step);
		ReleaseCurrentSubTransaction();
		in_subtransaction = false;
		MemoryContextSwitchTo(run->context);
		CurrentResourceOwner = oldowner;
		in_commit = true;
		SPI_commit();
	}
	PG_CATCH();
	{
		if (!in_subtransaction && !in_commit)
			PG_RE_THROW();
		MemoryContextSwitchTo(run->context);
		error = CopyErrorData();
		FlushErrorState();
		if (in_subtransaction)
		{
			RollbackAndReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(run->context);
			CurrentResourceOwner = oldowner;
		}
	}
	PG_END_TRY();
	return error;
}

/* Save a job's progress in a transaction of its own. */
static void
save(Run *run, const char *error)
{
	OrmBatchJob *job = run->job;

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
	Run		   *run = state;

	save(run, NULL);
	return run->job->progress.state != ORM_BATCH_RUNNING;
}

/* Tell the client how far the job has come, now and then. */
static void
tell_progress(Run *run)
{
	const OrmBatchJob *job = run->job;
	const OrmBatchProgress *progress = &job->progress;
	double		share = job->estimate > 0 ? Min(progress->visited / job->estimate, 1) : 1;

	if (!job->options.progress || GetCurrentTimestamp() - run->told < SAVE_INTERVAL_US)
		return;
	run->told = GetCurrentTimestamp();
	ereport(NOTICE,
			(errmsg("batched job " INT64_FORMAT ": " INT64_FORMAT " rows in " INT64_FORMAT " batches, %.0f %%",
					job->id, progress->rows, progress->batches, progress->pass > 1 ? 100 : share * 100)));
}

/* The number of rows for the next batch, after one that took so long. */
static void
adapt_size(Run *run, const Step *step)
{
	const OrmBatchOptions *options = &run->job->options;

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
note_success(Run *run, const Step *step)
{
	if (step->ends_member)
	{
		close_member(run);
		run->trouble = 0;
		run->size = run->base_size;
	}
	else
		orm_batch_advance(run->cursor, &run->range);
	keep_progress(run, &step->progress);
	if (step->ended != 0)
		run->clock = step->ended;
	run->attempts = 0;
	if (!step->ends_member)
		adapt_size(run, step);
	tell_progress(run);
}

/* End the run by an error. */
static void
give_up(Run *run, ErrorData *error, OrmBatchRemedy remedy)
{
	OrmBatchJob *job = run->job;
	const char *position = NULL;

	if (run->has_range && run->cursor && run->range.is_single && remedy != ORM_BATCH_INTERRUPT)
		position = orm_batch_position(run->cursor, &run->range);
	job->progress.state = remedy == ORM_BATCH_INTERRUPT ? ORM_BATCH_INTERRUPTED : ORM_BATCH_FAILED;
	save(run, position ? psprintf("%s (row with %s)", error->message, position) : error->message);
	orm_batch_rethrow(job, error, position);
}

/* A step has failed: wait and try again, try half of it, or give up. */
static void
note_failure(Run *run, ErrorData *error)
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
run_steps(Run *run)
{
	OrmBatchJob *job = run->job;

	while (job->progress.state == ORM_BATCH_RUNNING)
	{
		Step		step = {0};
		ErrorData  *error;

		CHECK_FOR_INTERRUPTS();
		run->has_range = false;
		error = try_step(run, &step);
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
	Run			run = {.job = job,.base_size = job->options.batch_size,.size = job->options.batch_size};

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
		close_member(&run);
	}
	PG_END_TRY();
	tell_end(job);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(run.context);
}
