/*-------------------------------------------------------------------------
 *
 * job.c
 *		The rows of orm_ext.batch_job.
 *
 * A job's row is written in the transaction of each batch, so that what it says
 * is true whenever the server stops.  Nobody has rights on the table but its
 * owner, in whose name it is read and written here; who may do what to a job is
 * checked before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"
#include "util/names.h"

#define JOB_TABLE "batch_job"

static const char *const by_labels[] = {"auto", "ctid", "key"};
static const char *const state_labels[] = {"running", "paused", "cancelled", "done", "failed", "interrupted"};

/* An argument of a statement. */
typedef struct Arguments
{
	int			count;
	Oid			types[32];
	Datum		values[32];
	char		nulls[33];
} Arguments;

const char *
orm_batch_by_label(OrmBatchBy by)
{
	return by_labels[by];
}

/* The number of a label. */
static int
label_number(const char *const *labels, int count, const char *label)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(labels[i], label) == 0)
			return i;
	}
	elog(ERROR, "unknown label \"%s\"", label);
}

static void
add(Arguments *args, Oid type, Datum value, bool isnull)
{
	args->types[args->count] = type;
	args->values[args->count] = value;
	args->nulls[args->count] = isnull ? 'n' : ' ';
	args->nulls[++args->count] = '\0';
}

static void
add_text(Arguments *args, const char *value)
{
	add(args, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

static void
add_texts(Arguments *args, List *values)
{
	add(args, TEXTARRAYOID, PointerGetDatum(orm_text_array(values)), values == NIL);
}

/*
 * Run a statement on the table as its owner, who alone may.  Where "plan" is
 * given, a plan is kept there, for what is run often.
 */
static void
run_kept_as_owner(const char *command, Arguments *args, int expected, SPIPlanPtr *plan)
{
	Oid			relid = orm_extension_table(JOB_TABLE);
	Oid			user;
	int			context;
	HeapTuple	tuple;
	Oid			owner;
	int			result;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s.%s does not exist", ORM_SCHEMA, JOB_TABLE),
				 errhint("ALTER EXTENSION orm_ext UPDATE;")));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	if (plan && *plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(command, args->count, args->types);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not prepare \"%s\"", command);
		*plan = prepared;
	}
	result = plan ? SPI_execute_plan(*plan, args->values, args->nulls, false, 0)
		: SPI_execute_with_args(command, args->count, args->types, args->values, args->nulls, false, 0);
	if (result != expected)
		elog(ERROR, "could not run \"%s\"", command);
	SetUserIdAndSecContext(user, context);
}

static void
run_as_owner(const char *command, Arguments *args, int expected)
{
	run_kept_as_owner(command, args, expected, NULL);
}

/* Insert a new job, and set its id. */
void
orm_batch_insert_job(OrmBatchJob *job)
{
	const OrmBatchOptions *options = &job->options;
	Arguments	args = {0};
	Datum	   *members = palloc_array(Datum, list_length(job->members));
	ListCell   *lc;
	bool		isnull;

	foreach(lc, job->members)
		members[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	SPI_connect();
	add_text(&args, job->statement.is_purge ? "purge" : job->statement.is_delete ? "delete" : "update");
	add(&args, OIDOID, ObjectIdGetDatum(job->statement.relid), false);
	add_text(&args, job->target);
	add_text(&args, job->statement.set);
	add_text(&args, job->statement.condition);
	add_text(&args, by_labels[options->by]);
	add(&args, INT4OID, Int32GetDatum(options->batch_size), false);
	add(&args, FLOAT8OID, Float8GetDatum(options->pause), false);
	add(&args, FLOAT8OID, Float8GetDatum(options->target_time), options->target_time < 0);
	add(&args, FLOAT8OID, Float8GetDatum(options->lock_timeout), options->lock_timeout < 0);
	add(&args, INT4OID, Int32GetDatum(options->max_retries), false);
	add(&args, FLOAT8OID, Float8GetDatum(options->max_replica_lag), options->max_replica_lag < 0);
	add(&args, INT8OID, Int64GetDatum(options->max_wal_rate), options->max_wal_rate < 0);
	add(&args, BOOLOID, BoolGetDatum(options->verify), false);
	add(&args, BOOLOID, BoolGetDatum(options->progress), false);
	add(&args, OIDOID, ObjectIdGetDatum(job->owner), false);
	add_texts(&args, job->settings);
	add(&args, OIDARRAYOID, PointerGetDatum(construct_array(members, list_length(job->members), OIDOID,
															sizeof(Oid), true, TYPALIGN_INT)), false);
	add(&args, FLOAT8OID, Float8GetDatum(job->estimate), false);
	add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(job->statement.cutoff), !job->statement.is_purge);
	add(&args, BOOLOID, BoolGetDatum(job->statement.cascade), !job->statement.is_purge);
	run_as_owner("INSERT INTO orm_ext.batch_job (kind, relid, target, set_list, condition, by, batch_size, pause,"
				 " target_time, lock_timeout, max_retries, max_replica_lag, max_wal_rate, verify, progress,"
				 " owner, settings, members, estimate, cutoff, cascade)"
				 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"
				 " RETURNING id", &args, SPI_OK_INSERT_RETURNING);
	job->id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
}

/* Fields of the row that a query has returned. */
static Datum
field(const char *name, bool *isnull)
{
	int			number = SPI_fnumber(SPI_tuptable->tupdesc, name);

	if (number <= 0)
		elog(ERROR, "table %s.%s has no column \"%s\"", ORM_SCHEMA, JOB_TABLE, name);
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, isnull);
}

static char *
text_field(const char *name)
{
	bool		isnull;
	Datum		value = field(name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static List *
texts_field(const char *name)
{
	bool		isnull;
	Datum		value = field(name, &isnull);

	return isnull ? NIL : orm_text_list(DatumGetArrayTypeP(value));
}

static double
time_field(const char *name)
{
	bool		isnull;
	Datum		value = field(name, &isnull);

	return isnull ? -1 : DatumGetFloat8(value);
}

static int64
bigint_field(const char *name)
{
	bool		isnull;
	Datum		value = field(name, &isnull);

	return isnull ? -1 : DatumGetInt64(value);
}

static int
int_field(const char *name)
{
	bool		isnull;

	return DatumGetInt32(field(name, &isnull));
}

static Oid
oid_field(const char *name)
{
	bool		isnull;
	Datum		value = field(name, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

static bool
bool_field(const char *name)
{
	bool		isnull;

	return DatumGetBool(field(name, &isnull));
}

/* The list of members. */
static List *
members_field(void)
{
	bool		isnull;
	ArrayType  *array = DatumGetArrayTypeP(field("members", &isnull));
	Datum	   *elements;
	int			count;
	List	   *members = NIL;

	deconstruct_array(array, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		members = lappend_oid(members, DatumGetObjectId(elements[i]));
	return members;
}

/* Fill in how far a job has come. */
static void
load_progress(OrmBatchProgress *progress)
{
	progress->state = label_number(state_labels, lengthof(state_labels), text_field("state"));
	progress->pass = int_field("pass");
	progress->member = int_field("member");
	progress->by = label_number(by_labels, lengthof(by_labels), text_field("member_by"));
	progress->columns = texts_field("key_columns");
	progress->after = texts_field("position");
	progress->bound = texts_field("bound");
	progress->filenode = oid_field("filenode");
	progress->rows = bigint_field("rows_done");
	progress->batches = bigint_field("batches");
	progress->retries = bigint_field("retries");
	progress->visited = bigint_field("visited");
	progress->still = bigint_field("still");
	progress->worked = time_field("worked");
	progress->tallies = orm_batch_read_tallies(texts_field("tallies"));
}

/* Load a job, as it is now, into the current memory context.  Error: 42704. */
OrmBatchJob *
orm_batch_load_job(int64 id)
{
	OrmBatchJob *job;
	OrmBatchOptions *options;
	Arguments	args = {0};
	MemoryContext context = CurrentMemoryContext;

	SPI_connect();
	add(&args, INT8OID, Int64GetDatum(id), false);
	run_as_owner("SELECT j.*, ARRAY(SELECT pg_catalog.concat_ws(' ', k.key, r.value, r.key)"
				 " FROM pg_catalog.jsonb_each(j.report) AS k, pg_catalog.jsonb_each_text(k.value) AS r) AS tallies"
				 " FROM orm_ext.batch_job AS j WHERE j.id OPERATOR(pg_catalog.=) $1", &args, SPI_OK_SELECT);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("batched job " INT64_FORMAT " does not exist", id),
				 errhint("SELECT * FROM orm_ext.batch_jobs;")));
	MemoryContextSwitchTo(context);
	job = palloc0_object(OrmBatchJob);
	options = &job->options;
	job->id = id;
	job->statement.is_purge = strcmp(text_field("kind"), "purge") == 0;
	job->statement.is_delete = job->statement.is_purge || strcmp(text_field("kind"), "delete") == 0;
	job->statement.cutoff = job->statement.is_purge ? bigint_field("cutoff") : 0;
	job->statement.cascade = job->statement.is_purge && bool_field("cascade");
	job->statement.relid = oid_field("relid");
	job->statement.set = text_field("set_list");
	job->statement.condition = text_field("condition");
	job->target = text_field("target");
	options->by = label_number(by_labels, lengthof(by_labels), text_field("by"));
	options->batch_size = int_field("batch_size");
	options->pause = time_field("pause");
	options->target_time = time_field("target_time");
	options->lock_timeout = time_field("lock_timeout");
	options->max_retries = int_field("max_retries");
	options->max_replica_lag = time_field("max_replica_lag");
	options->max_wal_rate = bigint_field("max_wal_rate");
	options->verify = bool_field("verify");
	options->progress = bool_field("progress");
	job->owner = oid_field("owner");
	job->settings = texts_field("settings");
	job->members = members_field();
	job->estimate = time_field("estimate");
	load_progress(&job->progress);
	SPI_finish();
	return job;
}

/*
 * Save how far a job has come, and heed what was asked of it meanwhile.
 * Returns the state that it is in then.  Error: 42704.
 */
OrmBatchState
orm_batch_save_job(const OrmBatchJob *job, const OrmBatchProgress *progress, const char *error)
{
	static SPIPlanPtr plan = NULL;
	Arguments	args = {0};
	OrmBatchState result;

	SPI_connect();
	add(&args, INT8OID, Int64GetDatum(job->id), false);
	add_text(&args, state_labels[progress->state]);
	add(&args, INT4OID, Int32GetDatum(progress->pass), false);
	add(&args, INT4OID, Int32GetDatum(progress->member), false);
	add_text(&args, by_labels[progress->by]);
	add_texts(&args, progress->columns);
	add_texts(&args, progress->after);
	add_texts(&args, progress->bound);
	add(&args, OIDOID, ObjectIdGetDatum(progress->filenode), false);
	add(&args, INT8OID, Int64GetDatum(progress->rows), false);
	add(&args, INT8OID, Int64GetDatum(progress->batches), false);
	add(&args, INT8OID, Int64GetDatum(progress->retries), false);
	add(&args, INT8OID, Int64GetDatum(progress->visited), false);
	add(&args, INT8OID, Int64GetDatum(progress->still), false);
	add(&args, FLOAT8OID, Float8GetDatum(progress->worked), false);
	add_text(&args, error);
	add_text(&args, progress->tallies ? orm_batch_report(progress->tallies) : NULL);
	run_kept_as_owner("UPDATE orm_ext.batch_job SET pass = $3, member = $4, member_by = $5, key_columns = $6,"
					  " position = $7, bound = $8, filenode = $9, rows_done = $10, batches = $11, retries = $12,"
					  " visited = $13, still = $14, worked = $15, last_error = $16, report = $17::pg_catalog.jsonb, updated = pg_catalog.clock_timestamp(),"
					  " request = NULL, state = CASE WHEN $2 OPERATOR(pg_catalog.=) 'running'"
					  " THEN coalesce(request, $2) ELSE $2 END"
					  " WHERE id OPERATOR(pg_catalog.=) $1 RETURNING state", &args, SPI_OK_UPDATE_RETURNING, &plan);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("batched job " INT64_FORMAT " does not exist", job->id),
				 errdetail("Its row in %s.%s was deleted.", ORM_SCHEMA, JOB_TABLE)));
	result = label_number(state_labels, lengthof(state_labels), text_field("state"));
	SPI_finish();
	return result;
}

/* Has something been asked of a job, or has its row gone? */
bool
orm_batch_is_asked(int64 id)
{
	Arguments	args = {0};
	bool		result;
	bool		isnull = false;

	SPI_connect();
	add(&args, INT8OID, Int64GetDatum(id), false);
	run_as_owner("SELECT request FROM orm_ext.batch_job WHERE id OPERATOR(pg_catalog.=) $1", &args, SPI_OK_SELECT);
	if (SPI_processed > 0)
		(void) field("request", &isnull);
	result = !isnull;
	SPI_finish();
	return result;
}

/* Ask something of a job that runs, or put one that does not into a state. */
void
orm_batch_request(int64 id, const char *request, OrmBatchState state)
{
	Arguments	args = {0};

	SPI_connect();
	add(&args, INT8OID, Int64GetDatum(id), false);
	add_text(&args, request);
	add_text(&args, state_labels[state]);
	run_as_owner("UPDATE orm_ext.batch_job SET request = $2, state = $3"
				 " WHERE id OPERATOR(pg_catalog.=) $1", &args, SPI_OK_UPDATE);
	SPI_finish();
}
