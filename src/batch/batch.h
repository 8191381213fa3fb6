/*-------------------------------------------------------------------------
 *
 * batch.h
 *		UPDATE and DELETE of many rows, a transaction for each batch; and the
 *		purge of rows that have been deleted softly.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_BATCH_H
#define ORM_BATCH_H

#include "postgres.h"

#include "access/attnum.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "tcop/dest.h"
#include "utils/rel.h"

/* What the batches of a table are ranges of. */
typedef enum OrmBatchBy
{
	ORM_BATCH_BY_AUTO,			/* to be chosen */
	ORM_BATCH_BY_CTID,			/* places in the table */
	ORM_BATCH_BY_KEY			/* values of a unique key */
} OrmBatchBy;

typedef enum OrmBatchState
{
	ORM_BATCH_RUNNING,
	ORM_BATCH_PAUSED,
	ORM_BATCH_CANCELLED,
	ORM_BATCH_DONE,
	ORM_BATCH_FAILED,
	ORM_BATCH_INTERRUPTED
} OrmBatchState;

/* How a job is to go about it; times in milliseconds, -1 where there is none. */
typedef struct OrmBatchOptions
{
	OrmBatchBy	by;
	int			batch_size;
	double		pause;
	double		target_time;
	double		lock_timeout;
	int			max_retries;
	double		max_replica_lag;
	int64		max_wal_rate;	/* bytes per second */
	bool		verify;
	bool		progress;
} OrmBatchOptions;

/* What is to be done, and what is known of it. */
typedef struct OrmBatchStatement
{
	bool		is_delete;
	Oid			relid;			/* the table that was named */
	const char *set;			/* NULL for DELETE */
	const char *condition;		/* NULL: all rows */
	List	   *touched;		/* char *: columns that SET assigns */
	bool		is_guarded;		/* a row that is done meets the condition no
								 * more */
	bool		is_purge;		/* a DELETE, and of what refers to the rows */
	TimestampTz cutoff;			/* ... that were deleted by then */
	bool		cascade;		/* ... to tables not under soft delete too */
} OrmBatchStatement;

/* How many rows something has happened to. */
typedef struct OrmBatchTally
{
	const char *kind;			/* "purged" or "kept" */
	const char *label;			/* which table, or for what reason */
	int64		count;
} OrmBatchTally;

/* How far a job has come; a copy is in its row. */
typedef struct OrmBatchProgress
{
	OrmBatchState state;
	int			pass;			/* 1; 2 is the one that verifies */
	int			member;			/* index in the list of members */
	OrmBatchBy	by;				/* of that member, AUTO: not begun */
	List	   *columns;		/* char *: its key */
	List	   *after;			/* char *: the last position that is done */
	List	   *bound;			/* char *: where the pass ends */
	Oid			filenode;		/* that positions by ctid are of */
	int64		rows;
	int64		batches;
	int64		retries;
	int64		visited;		/* rows in ranges that are done, roughly */
	int64		still;			/* rows done that meet the condition still */
	double		worked;			/* milliseconds, waits included */
	List	   *tallies;		/* OrmBatchTally: of a purge */
} OrmBatchProgress;

typedef struct OrmBatchJob
{
	int64		id;
	OrmBatchStatement statement;
	OrmBatchOptions options;
	const char *target;			/* name of the table when the job began */
	Oid			owner;
	List	   *settings;		/* char *: name=value, under which SET and
								 * condition are read */
	List	   *members;		/* Oid: tables that hold the rows, in order */
	double		estimate;		/* rows in them */
	OrmBatchProgress progress;
} OrmBatchJob;

/* How an end of a range is compared with a key: operators, to be pasted into a statement. */
typedef struct OrmBatchEnd
{
	const char *whole;			/* for keys as rows; NULL: column by column */
	const char *strict[INDEX_MAX_KEYS];
	const char *loose[INDEX_MAX_KEYS];	/* the same, or equal */
	bool		is_strict;
} OrmBatchEnd;

/* A unique key whose index can be walked. */
typedef struct OrmBatchKey
{
	Oid			index;
	int			ncolumns;
	AttrNumber	attnos[INDEX_MAX_KEYS];
	const char *names[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];
	int16		typlen[INDEX_MAX_KEYS];
	bool		typbyval[INDEX_MAX_KEYS];
	OrmBatchEnd greater;
	OrmBatchEnd at_most;
} OrmBatchKey;

/* Where a job is in one of its members. */
typedef struct OrmBatchCursor
{
	OrmBatchBy	by;
	MemoryContext context;
	double		density;		/* rows in a block */

	/* by key: what follows "after", up to "bound" */
	OrmBatchKey *key;
	Datum	   *after;			/* NULL: from the start */
	Datum	   *bound;			/* NULL: there is none */

	/* by ctid: from "next", before "end" */
	Oid			filenode;
	uint64		next;			/* block and offset in one number */
	uint64		end;
} OrmBatchCursor;

/* The range of one batch. */
typedef struct OrmBatchRange
{
	Datum	   *high;			/* by key: the last one in it */
	uint64		end;			/* by ctid: the first one after it */
	int64		visited;		/* rows in it, roughly */
	bool		is_single;		/* cannot be split */
	bool		is_last;		/* nothing comes after it */
} OrmBatchRange;

/* A kept plan for the batches of one member. */
typedef struct OrmBatchPlan OrmBatchPlan;

/* statement.c: SET and condition as they were given */
extern void orm_batch_check_statement(OrmBatchStatement *statement);
extern const char *orm_batch_end_of(const char *text);
extern char *orm_batch_statement_text(const OrmBatchStatement *statement);
extern const char *orm_batch_procedure(const OrmBatchStatement *statement);

/* guard.c: do rows that are done drop out of the condition? */
extern bool orm_batch_is_guarded(Query *query);

/* target.c: the tables that hold the rows */
extern List *orm_batch_members(Oid relid);
extern double orm_batch_estimate(List *members);
extern bool orm_batch_is_member(Oid relid, Oid member);
extern bool orm_batch_goes_direct(const OrmBatchStatement *statement, Relation member);
extern const char *orm_batch_source(const OrmBatchStatement *statement, Relation member,
									const char *alias, const char **scope);
extern OrmBatchBy orm_batch_choose(const OrmBatchStatement *statement, OrmBatchBy by,
								   Relation member);
extern bool orm_batch_checks_rows(const OrmBatchStatement *statement, Relation member);

/* key.c: unique keys and their indexes */
extern OrmBatchKey *orm_batch_find_key(const OrmBatchStatement *statement, Relation rel,
									   List *columns);
extern Datum *orm_batch_last_key(Relation rel, const OrmBatchKey *key);
extern int64 orm_batch_walk_key(Relation rel, const OrmBatchKey *key, const Datum *after,
								const Datum *bound, int64 count, Datum **last);
extern Datum *orm_batch_copy_key(const OrmBatchKey *key, const Datum *values);
extern List *orm_batch_key_texts(const OrmBatchKey *key, const Datum *values);
extern Datum *orm_batch_key_values(const OrmBatchKey *key, List *texts);

/* cursor.c: the ranges of a member, one after another */
extern OrmBatchCursor *orm_batch_open_cursor(const OrmBatchJob *job, Relation rel,
											 MemoryContext parent);
extern bool orm_batch_next_range(const OrmBatchCursor *cursor, Relation rel, int64 size,
								 OrmBatchRange *range);
extern void orm_batch_note_range(const OrmBatchCursor *cursor, const OrmBatchRange *range,
								 OrmBatchProgress *progress);
extern void orm_batch_advance(OrmBatchCursor *cursor, const OrmBatchRange *range);
extern char *orm_batch_position(const OrmBatchCursor *cursor, Relation rel,
								const OrmBatchRange *range);
extern void orm_batch_tid(uint64 position, ItemPointer tid);

/* plan.c: the statement of a batch */
extern OrmBatchPlan *orm_batch_make_plan(const OrmBatchStatement *statement, Relation member,
										 const OrmBatchCursor *cursor, MemoryContext context);
extern uint64 orm_batch_execute(OrmBatchPlan *plan, const OrmBatchCursor *cursor,
								const OrmBatchRange *range, int64 *still);
extern OrmBatchPlan *orm_batch_make_selection(const OrmBatchStatement *statement, Relation member,
											  const OrmBatchCursor *cursor, MemoryContext context);
extern void orm_batch_select(OrmBatchPlan *plan, const OrmBatchCursor *cursor,
							 const OrmBatchRange *range, DestReceiver *dest);
extern char *orm_batch_show(OrmBatchPlan *plan, const OrmBatchCursor *cursor,
							const OrmBatchRange *range);
extern void orm_batch_free_plan(OrmBatchPlan *plan);

/* job.c: the rows of orm_ext.batch_job */
extern void orm_batch_insert_job(OrmBatchJob *job);
extern OrmBatchJob *orm_batch_load_job(int64 id);
extern OrmBatchState orm_batch_save_job(const OrmBatchJob *job, const OrmBatchProgress *progress,
										const char *error);
extern bool orm_batch_is_asked(int64 id);
extern void orm_batch_request(int64 id, const char *request, OrmBatchState state);
extern const char *orm_batch_by_label(OrmBatchBy by);

/* lock.c: who runs a job? */
extern bool orm_batch_lock_job(int64 id);
extern void orm_batch_unlock_job(int64 id);

/* options.c: arguments of the procedures */
extern void orm_batch_get_options(FunctionCallInfo fcinfo, int first, OrmBatchOptions *options);
extern void orm_batch_get_purge_options(FunctionCallInfo fcinfo, OrmBatchOptions *options);
extern bool orm_batch_get_bool(FunctionCallInfo fcinfo, int number, bool otherwise);

/* throttle.c: waiting */
typedef struct OrmBatchThrottle
{
	XLogRecPtr	probe;			/* replicas are to confirm this */
	TimestampTz probed;			/* ... since */
	uint64		wal_bytes;		/* this session had written at the last batch */
	TimestampTz last;			/* batch began */
} OrmBatchThrottle;

/* Asked every second of a wait: is it to end? */
typedef bool (*OrmBatchIsStopped) (void *state);

extern void orm_batch_begin_throttle(OrmBatchThrottle *throttle);
extern bool orm_batch_throttle(OrmBatchThrottle *throttle, const OrmBatchOptions *options,
							   OrmBatchIsStopped is_stopped, void *state);
extern bool orm_batch_sleep(double milliseconds, OrmBatchIsStopped is_stopped, void *state);

/* retry.c: what to do about errors */
typedef enum OrmBatchRemedy
{
	ORM_BATCH_RETRY,			/* it may go away by itself */
	ORM_BATCH_SPLIT,			/* it is of some row */
	ORM_BATCH_INTERRUPT,		/* the session or server is to stop */
	ORM_BATCH_FAIL
} OrmBatchRemedy;

extern OrmBatchRemedy orm_batch_remedy(const ErrorData *error);
extern double orm_batch_backoff(int attempt);
extern void orm_batch_rethrow(const OrmBatchJob *job, ErrorData *error, const char *position);

/* tally.c: how many rows of which kind */
extern List *orm_batch_copy_tallies(List *tallies);
extern List *orm_batch_count(List *tallies, const char *kind, const char *label, int64 count);
extern int64 orm_batch_total(List *tallies, const char *kind);
extern char *orm_batch_report(List *tallies);
extern List *orm_batch_read_tallies(List *texts);

/* purge_graph.c, with what is in purge.h: the tables that a purge goes through */
typedef struct OrmPurgeGraph OrmPurgeGraph;

/* step.c: one transaction's work */
typedef struct OrmBatchRun
{
	OrmBatchJob *job;
	MemoryContext context;		/* of the run */
	MemoryContext step_context; /* of one batch */
	MemoryContext progress_context; /* of the lists in the job's progress */
	OrmBatchCursor *cursor;		/* NULL: to be opened */
	OrmBatchPlan *plan;
	OrmPurgeGraph *graph;		/* of a purge; NULL: to be made */
	char	   *keep;			/* the row of the next range is to be kept,
								 * for this reason */
	OrmBatchRange range;		/* of the last step */
	bool		has_range;
	OrmBatchThrottle throttle;
	int64		base_size;		/* rows in a batch, as adapted */
	int64		size;			/* ... in the next one */
	int64		trouble;		/* rows left in a range that has failed */
	int			attempts;		/* that have failed, of this range */
	TimestampTz clock;			/* up to when time is counted */
	TimestampTz saved;
	TimestampTz told;
} OrmBatchRun;

/* How far the job will have come once a step is committed. */
typedef struct OrmBatchStep
{
	OrmBatchProgress progress;
	bool		ends_member;
	uint64		rows;
	double		took;			/* milliseconds */
	TimestampTz ended;
} OrmBatchStep;

extern void orm_batch_make_settings(const OrmBatchJob *job);
extern void orm_batch_close_member(OrmBatchRun *run);
extern ErrorData *orm_batch_try_step(OrmBatchRun *run, OrmBatchStep *step);

/* run.c: a job, batch by batch */
extern void orm_batch_run(OrmBatchJob *job);

/* batch.c: beginning a job */
extern void orm_batch_refuse_null(FunctionCallInfo fcinfo, int number, const char *name);
extern void orm_batch_check_context(FunctionCallInfo fcinfo, const OrmBatchStatement *statement);
extern void orm_batch_prepare_job(OrmBatchJob *job);
extern void orm_batch_begin_job(OrmBatchJob *job);

#endif							/* ORM_BATCH_H */
