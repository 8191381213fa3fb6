/*-------------------------------------------------------------------------
 *
 * run.h
 *		One run of a bulk upsert: for the files that write its rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_UPSERT_RUN_H
#define ORM_UPSERT_RUN_H

#include "postgres.h"

#include "upsert.h"

/* What is thought of the row that is being written. */
typedef enum OrmVerdict
{
	ORM_VERDICT_NEW,			/* no row has its key, as far as was seen */
	ORM_VERDICT_SAME,
	ORM_VERDICT_STALE,
	ORM_VERDICT_SKIP,
	ORM_VERDICT_DELETED,		/* the row that has its key is deleted */
	ORM_VERDICT_WRITE			/* an existing row is to be updated */
} OrmVerdict;

typedef struct OrmUpsertRun
{
	OrmUpsertTarget *target;
	OrmUpsertRows *rows;
	OrmUpsertResults *results;
	OrmTombstones *deleted;
	int64		nrows;			/* to be written */
	Tuplestorestate *store;		/* of them, NULL as long as one row is enough */
	int			read_pointer;
	bool		is_read;		/* that row, where there is no store */
	const char *table;			/* for messages */
	int			trigger_depth;	/* in which the run began */

	MemoryContext context;		/* lives as long as the run */
	MemoryContext row_context;	/* of a row to return, or NULL */
	TupleTableSlot *row;		/* the one that is being written ... */
	int64		ordinal;		/* ... and its number, 0 if there is none */
	OrmVerdict	verdict;
	bool		conflicted;		/* INSERT met a row, which was updated */
	bool		written;
	bool		revived;
	bool		reviving;		/* upsert_conflicts() is asked by a revival */
	bool		outrun;			/* others were faster: to be run once more */
	Datum		result;			/* the row to return */
	bool		has_result;
	int32		compared_typmod;	/* of rows that were checked */
	Datum	   *existing;		/* compared columns of an existing row */
	bool	   *existing_nulls;
} OrmUpsertRun;

/* Receives what RETURNING gives. */
typedef struct OrmRunReceiver
{
	DestReceiver pub;
	OrmUpsertRun *run;
	bool		nested;			/* of a statement about one row */
} OrmRunReceiver;

/* engine.c */
extern OrmUpsertRun *orm_running_upsert;

/* execute.c: what the statements return */
extern OrmRunReceiver orm_make_receiver(OrmUpsertRun *run, bool nested);

/* run.c: row by row */
extern void orm_open_store(OrmUpsertRun *run);
extern void orm_rewind_rows(OrmUpsertRun *run);
extern void orm_settle_row(OrmUpsertRun *run);
extern bool orm_next_row(OrmUpsertRun *run);
extern Size orm_stored_size(const OrmUpsertRun *run);
extern void orm_check_identity(OrmUpsertRun *run);
extern void orm_keep_result(OrmUpsertRun *run, Datum row);

/* contest.c: what others do to a row meanwhile */
extern void orm_report_deleted(OrmUpsertRun *run);
extern bool orm_settle_deleted(OrmUpsertRun *run, bool outrun);
extern void orm_check_inserted(OrmUpsertRun *run);

/* judge.c: what is to be done about an existing row */
extern bool orm_row_supplies(const OrmUpsertRun *run, AttrNumber attno);
extern Datum orm_row_value(const OrmUpsertRun *run, AttrNumber attno, bool *isnull);
extern OrmVerdict orm_judge(const OrmUpsertRun *run);
extern Datum orm_next_version(const OrmUpsertTarget *target, Datum version);

/* lookup.c: the row that has a key */
typedef struct OrmLookup OrmLookup;

extern OrmLookup *orm_begin_lookup(const OrmUpsertTarget *target, Relation rel, Relation index,
								   Snapshot snapshot, TupleTableSlot *slot, int64 nrows);
extern bool orm_look_up(OrmLookup *lookup, TupleTableSlot *row);
extern void orm_end_lookup(OrmLookup *lookup);

/* buffer.c: new rows, several at a time */
typedef struct OrmInsertBuffer OrmInsertBuffer;

extern OrmInsertBuffer *orm_begin_buffer(OrmUpsertRun *run, EState *estate, ResultRelInfo *result);
extern void orm_buffer_row(OrmInsertBuffer *buffer, TupleTableSlot *slot);
extern void orm_flush_buffer(OrmInsertBuffer *buffer);
extern void orm_end_buffer(OrmInsertBuffer *buffer);

/* direct.c: without a statement */
extern void orm_prepare_direct(Relation rel, OrmUpsertTarget *target);
extern bool orm_write_directly(OrmUpsertRun *run, Relation rel);

#endif							/* ORM_UPSERT_RUN_H */
