/*-------------------------------------------------------------------------
 *
 * batch.c
 *		Batched jobs: the procedures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "batch.h"
#include "compat.h"
#include "util/names.h"

/* A dry run shows so many tables. */
#define SHOWN_MEMBERS 3

/* What SET and condition may mean depends on these. */
static const char *const kept_settings[] = {"search_path", "DateStyle", "IntervalStyle", "TimeZone"};

/*
 * Refuse to run where no transaction can be committed.  Errors: 25001.
 */
static void
check_context(FunctionCallInfo fcinfo, const char *procedure)
{
	bool		atomic = fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
	((CallContext *) fcinfo->context)->atomic;

	if (!atomic && !IsSubTransaction())
		return;
	if (IsTransactionBlock() && !IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", procedure),
				 errdetail("Each batch is committed by itself."),
				 errhint("Send the CALL as a statement of its own, outside BEGIN and COMMIT; most drivers call that autocommit.")));
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("%s cannot be called where no transaction may be committed", procedure),
			 errdetail("Each batch is committed by itself."),
			 errhint("Call it from a client, or from a procedure or DO block without an EXCEPTION clause, SET clause or SECURITY DEFINER that was itself called outside a transaction.")));
}

/* The settings that are kept (char *). */
static List *
current_settings(void)
{
	List	   *settings = NIL;

	for (int i = 0; i < lengthof(kept_settings); i++)
		settings = lappend(settings, psprintf("%s=%s", kept_settings[i],
											  GetConfigOption(kept_settings[i], false, false)));
	return settings;
}

/* The result of a procedure with one INOUT argument. */
static Datum
job_result(FunctionCallInfo fcinfo, int64 id, bool isnull)
{
	TupleDesc	desc;
	Datum		value = Int64GetDatum(id);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value, &isnull));
}

/* Run a job, whose lock we have, and give the lock back however that ends. */
static void
run_locked(OrmBatchJob *job)
{
	PG_TRY();
	{
		SPI_commit();
		orm_batch_run(job);
	}
	PG_FINALLY();
	{
		orm_batch_unlock_job(job->id);
	}
	PG_END_TRY();
}

/* Tell what a job would do. */
static void
show_job(OrmBatchJob *job)
{
	ListCell   *lc;

	ereport(NOTICE,
			(errmsg_plural("about %.0f rows in %d table, in batches of %d",
						   "about %.0f rows in %d tables, in batches of %d",
						   list_length(job->members),
						   job->estimate, list_length(job->members), job->options.batch_size),
			 errdetail("%s", orm_batch_statement_text(&job->statement))));
	foreach(lc, job->members)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);
		OrmBatchCursor *cursor = orm_batch_open_cursor(job, rel, CurrentMemoryContext);
		OrmBatchPlan *plan = orm_batch_make_plan(&job->statement, rel, cursor, CurrentMemoryContext);
		OrmBatchRange range;

		if (foreach_current_index(lc) < SHOWN_MEMBERS)
		{
			if (orm_batch_next_range(cursor, rel, job->options.batch_size, &range))
				ereport(NOTICE,
						(errmsg("table \"%s\": by %s, first batch", RelationGetRelationName(rel), orm_batch_by_label(cursor->by)),
						 errdetail("%s", orm_batch_show(plan, cursor, &range))));
			else
				ereport(NOTICE, (errmsg("table \"%s\": empty", RelationGetRelationName(rel))));
		}
		table_close(rel, NoLock);
	}
}

/* Find the tables and see that each can be done.  Errors: 42809, 0A000, 55000. */
static void
find_members(OrmBatchJob *job)
{
	ListCell   *lc;

	job->members = orm_batch_members(job->statement.relid);
	job->estimate = orm_batch_estimate(job->members);
	foreach(lc, job->members)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		(void) orm_batch_choose(&job->statement, job->options.by, rel);
		table_close(rel, NoLock);
	}
}

/* Refuse to begin a job where it cannot run.  Errors: 25001, 25006. */
void
orm_batch_check_context(FunctionCallInfo fcinfo, const OrmBatchStatement *statement)
{
	check_context(fcinfo, orm_batch_procedure(statement));
	PreventCommandIfReadOnly(psprintf("CALL %s", orm_batch_procedure(statement)));
}

/* Check a new job and find out what it needs.  Errors: those of the statement, 42809, 0A000, 55000. */
void
orm_batch_prepare_job(OrmBatchJob *job)
{
	(void) orm_batch_members(job->statement.relid);
	orm_batch_check_statement(&job->statement);
	find_members(job);
	job->target = orm_relid_name(job->statement.relid);
	job->owner = GetUserId();
	job->settings = current_settings();
	job->progress.pass = 1;
}

/* Begin a job and run it to its end. */
void
orm_batch_begin_job(OrmBatchJob *job)
{
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	orm_batch_insert_job(job);
	if (!orm_batch_lock_job(job->id))
		elog(ERROR, "could not lock batched job " INT64_FORMAT, job->id);
	if (job->members == NIL)
	{
		job->progress.state = ORM_BATCH_DONE;
		orm_batch_save_job(job, &job->progress, NULL);
	}
	run_locked(job);
	SPI_finish();
}

/* batch_update() and batch_delete(), whose options begin at an argument. */
static Datum
begin_job(FunctionCallInfo fcinfo, OrmBatchStatement *statement, int options)
{
	OrmBatchJob job = {.statement = *statement};
	bool		dry_run = orm_batch_get_bool(fcinfo, options + 10, false);

	if (!dry_run)
		orm_batch_check_context(fcinfo, statement);
	orm_batch_get_options(fcinfo, options, &job.options);
	orm_batch_prepare_job(&job);
	if (dry_run)
	{
		show_job(&job);
		return job_result(fcinfo, 0, true);
	}
	orm_batch_begin_job(&job);
	return job_result(fcinfo, job.id, false);
}

/* An argument that is a text, NULL if it is null. */
static char *
get_text(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* Complain of an argument that is null.  Error: 22004. */
void
orm_batch_refuse_null(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

PG_FUNCTION_INFO_V1(orm_batch_update);
PG_FUNCTION_INFO_V1(orm_batch_delete);

/*
 * orm_ext.batch_update(rel, set, where, options...), INOUT job bigint
 *
 * Errors: 25001 in a transaction, 25006 read-only, 42601 set or where, 22023
 * options, 22004, 42809 not a table, 0A000 foreign tables, 55000 no way to do
 * each row once; whatever the UPDATE raises.
 */
Datum
orm_batch_update(PG_FUNCTION_ARGS)
{
	OrmBatchStatement statement = {0};

	orm_batch_refuse_null(fcinfo, 0, "rel");
	orm_batch_refuse_null(fcinfo, 1, "set");
	statement.relid = PG_GETARG_OID(0);
	statement.set = get_text(fcinfo, 1);
	statement.condition = get_text(fcinfo, 2);
	return begin_job(fcinfo, &statement, 3);
}

/*
 * orm_ext.batch_delete(rel, where, options...), INOUT job bigint
 *
 * Errors: those of batch_update(), as far as they apply.
 */
Datum
orm_batch_delete(PG_FUNCTION_ARGS)
{
	OrmBatchStatement statement = {.is_delete = true};

	orm_batch_refuse_null(fcinfo, 0, "rel");
	statement.relid = PG_GETARG_OID(0);
	statement.condition = get_text(fcinfo, 1);
	return begin_job(fcinfo, &statement, 2);
}

PG_FUNCTION_INFO_V1(orm_batch_resume);
PG_FUNCTION_INFO_V1(orm_batch_pause);
PG_FUNCTION_INFO_V1(orm_batch_cancel);

/* Complain of a job that has ended.  Error: 55000. */
static void
refuse_ended(const OrmBatchJob *job)
{
	if (job->progress.state == ORM_BATCH_DONE || job->progress.state == ORM_BATCH_CANCELLED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("batched job " INT64_FORMAT " is %s", job->id,
						job->progress.state == ORM_BATCH_DONE ? "done" : "cancelled")));
}

/*
 * orm_ext.batch_resume(job bigint)
 *
 * Only the owner may: SET and condition are run with the rights of who calls.
 * Errors: 42704, 42501, 55006 it runs, 55000 it has ended, and those of
 * batch_update().
 */
Datum
orm_batch_resume(PG_FUNCTION_ARGS)
{
	OrmBatchJob *job;
	int64		id;

	orm_batch_refuse_null(fcinfo, 0, "job");
	id = PG_GETARG_INT64(0);
	check_context(fcinfo, "orm_ext.batch_resume()");
	PreventCommandIfReadOnly("CALL orm_ext.batch_resume()");
	job = orm_batch_load_job(id);
	if (job->owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of batched job " INT64_FORMAT, id),
				 errdetail("Its statement runs with the rights of who resumes it."),
				 errhint("SET ROLE %s;", quote_identifier(GetUserNameFromId(job->owner, true) ?
														  GetUserNameFromId(job->owner, true) : "?"))));
	if (!orm_batch_lock_job(id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("batched job " INT64_FORMAT " is running", id),
				 errhint("SELECT * FROM orm_ext.batch_jobs WHERE job = " INT64_FORMAT ";", id)));
	PG_TRY();
	{
		/* as it is now that nobody else runs it */
		job = orm_batch_load_job(id);
		refuse_ended(job);
		if (get_rel_name(job->statement.relid) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("table %s of batched job " INT64_FORMAT " does not exist any more", job->target, id)));
		orm_batch_make_settings(job);
		orm_batch_check_statement(&job->statement);
		job->progress.state = ORM_BATCH_RUNNING;
		SPI_connect_ext(SPI_OPT_NONATOMIC);
		orm_batch_request(id, NULL, ORM_BATCH_RUNNING);
	}
	PG_CATCH();
	{
		orm_batch_unlock_job(id);
		PG_RE_THROW();
	}
	PG_END_TRY();
	run_locked(job);
	SPI_finish();
	PG_RETURN_VOID();
}

/* Load a job to ask something of it.  Errors: 22004, 42704, 42501. */
static OrmBatchJob *
job_to_ask(FunctionCallInfo fcinfo, const char *command)
{
	OrmBatchJob *job;

	orm_batch_refuse_null(fcinfo, 0, "job");
	PreventCommandIfReadOnly(command);
	job = orm_batch_load_job(PG_GETARG_INT64(0));
	if (!has_privs_of_role(GetUserId(), job->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of batched job " INT64_FORMAT, job->id)));
	return job;
}

/*
 * orm_ext.batch_pause(job bigint)
 *
 * Errors: 22004, 42704, 42501, 55000 it does not run.
 */
Datum
orm_batch_pause(PG_FUNCTION_ARGS)
{
	OrmBatchJob *job = job_to_ask(fcinfo, "CALL orm_ext.batch_pause()");

	if (orm_batch_lock_job(job->id))
	{
		orm_batch_unlock_job(job->id);
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("batched job " INT64_FORMAT " is not running", job->id)));
	}
	orm_batch_request(job->id, "paused", ORM_BATCH_RUNNING);
	PG_RETURN_VOID();
}

/*
 * orm_ext.batch_cancel(job bigint)
 *
 * Errors: 22004, 42704, 42501, 55000 it has ended.
 */
Datum
orm_batch_cancel(PG_FUNCTION_ARGS)
{
	OrmBatchJob *job = job_to_ask(fcinfo, "CALL orm_ext.batch_cancel()");
	bool		is_idle = orm_batch_lock_job(job->id);

	if (is_idle)
	{
		orm_batch_unlock_job(job->id);
		refuse_ended(job);
		orm_batch_request(job->id, NULL, ORM_BATCH_CANCELLED);
	}
	else
		orm_batch_request(job->id, "cancelled", ORM_BATCH_RUNNING);
	PG_RETURN_VOID();
}
