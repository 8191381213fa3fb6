/*-------------------------------------------------------------------------
 *
 * step.c
 *		One batch of a job, which is one transaction.
 *
 * Its rows, and how far the job has come, are committed together or not at
 * all.  Inside is a subtransaction, so that an error can be caught and looked
 * at; whatever it is of, the transaction commits nothing then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"
#include "purge.h"
#include "util/spi.h"

/* How often a job that finds nothing is saved. */
#define SAVE_INTERVAL_US (1000 * 1000)

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
void
orm_batch_close_member(OrmBatchRun *run)
{
	if (run->plan)
		orm_batch_free_plan(run->plan);
	run->plan = NULL;
	if (run->cursor)
		MemoryContextDelete(run->cursor->context);
	run->cursor = NULL;
}

/*
 * Nobody waits for a commit of a purge but for the last, which brings those
 * before it to disk too: what a crash undoes is done again, and a batch and how
 * far the job has come are lost together.
 */
static void
make_purge_settings(const OrmBatchProgress *progress)
{
	if (progress->state == ORM_BATCH_RUNNING)
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
}

/* Do the rows of a range, in the way of the job; returns their number. */
static uint64
do_rows(OrmBatchRun *run, Relation rel, OrmBatchStep *step, int64 *still)
{
	OrmBatchProgress *progress = &step->progress;
	uint64		rows = 0;

	if (run->keep)
		progress->tallies = orm_batch_count(progress->tallies, "kept", run->keep, 1);
	else if (run->graph && run->graph->ways != NIL)
		rows = orm_purge_range(run->graph, RelationGetRelid(rel), run->plan, run->cursor,
							   &run->range, false, progress);
	else
	{
		rows = orm_batch_execute(run->plan, run->cursor, &run->range, still);
		if (run->graph && rows > 0)
			progress->tallies = orm_batch_count(progress->tallies, "purged", run->job->target, rows);
	}
	return rows;
}

/* Open the table that is to be done now; NULL if it is gone, or no longer part of the target. */
static Relation
open_member(OrmBatchRun *run)
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
	return job->options.verify && progress->pass == 1 && progress->still == 0 &&
		(job->statement.is_guarded || job->statement.condition);
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
do_range(OrmBatchRun *run, Relation rel, OrmBatchStep *step)
{
	OrmBatchJob *job = run->job;
	TimestampTz began = GetCurrentTimestamp();
	int64		still = 0;

	if (run->cursor == NULL)
		run->cursor = orm_batch_open_cursor(job, rel, run->context);
	if (run->plan == NULL)
		run->plan = run->graph && run->graph->ways != NIL
			? orm_batch_make_selection(&job->statement, rel, run->cursor, run->cursor->context)
			: orm_batch_make_plan(&job->statement, rel, run->cursor, run->cursor->context);
	run->has_range = orm_batch_next_range(run->cursor, rel, run->size, &run->range);
	if (!run->has_range)
	{
		step->ends_member = true;
		return;
	}
	step->rows = do_rows(run, rel, step, &still);
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

/* See to it that the graph of a purge is there, and as the catalogs have it now. */
static void
open_graph(OrmBatchRun *run)
{
	if (run->graph && orm_purge_is_current(run->graph))
		return;
	if (run->graph)
	{
		orm_purge_close(run->graph);
		run->graph = NULL;
		orm_batch_close_member(run);
	}
	run->graph = orm_purge_open(run->job, run->context);
	orm_purge_check_rights(run->graph);
}

/* A run and the step that it is to take. */
typedef struct Attempt
{
	OrmBatchRun *run;
	OrmBatchStep *step;
} Attempt;

/* One transaction's work. */
static bool
take_step(void *arg)
{
	OrmBatchRun *run = ((Attempt *) arg)->run;
	OrmBatchStep *step = ((Attempt *) arg)->step;
	OrmBatchJob *job = run->job;
	Relation	rel;

	MemoryContextSwitchTo(run->step_context);
	orm_batch_make_settings(job);
	PreventCommandIfReadOnly(psprintf("CALL %s", orm_batch_procedure(&job->statement)));
	step->progress = job->progress;
	step->progress.tallies = orm_batch_copy_tallies(job->progress.tallies);
	if (job->statement.is_purge)
		open_graph(run);
	rel = open_member(run);
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
	if (job->statement.is_purge)
		make_purge_settings(&step->progress);
	return true;
}

/* Commit; returns the error if there was one. */
static ErrorData *
try_commit(OrmBatchRun *run)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		SPI_commit();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(run->context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return error;
}

/* Try one step and commit it; returns the error if there was one. */
ErrorData *
orm_batch_try_step(OrmBatchRun *run, OrmBatchStep *step)
{
	Attempt		attempt = {run, step};
	ErrorData  *error;

	MemoryContextReset(run->step_context);
	MemoryContextSwitchTo(run->context);

	/*
	 * what refers to a row is looked for once the row is locked, and is to be
	 * seen
	 */
	if (run->job->statement.is_purge)
		XactIsoLevel = XACT_READ_COMMITTED;

	/* keys may be of types whose functions run SQL */
	EnsurePortalSnapshotExists();
	if (!orm_try(take_step, &attempt, &error))
		return error;
	return try_commit(run);
}
