/*-------------------------------------------------------------------------
 *
 * purge.h
 *		What the files of the purge offer each other and the engine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_PURGE_H
#define ORM_PURGE_H

#include "postgres.h"

#include "batch.h"
#include "nodes/bitmapset.h"
#include "policy.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"

/* What is to become of a row that refers to one that is to go. */
typedef enum OrmPurgeState
{
	ORM_PURGE_DUE,				/* it goes along */
	ORM_PURGE_LIVE,				/* it stays */
	ORM_PURGE_LATER,			/* it was deleted too late */
	ORM_PURGE_UNMANAGED			/* it is of a table not under soft delete */
}			OrmPurgeState;

/* Rows of a leaf that are found in a batch. */
typedef struct OrmPurgeRows
{
	int			count;
	int			capacity;
	int			done;			/* so many have been asked what refers to them */
	ItemPointerData *places;
	int		   *blame;			/* 0, or a number for the reason why a row is
								 * kept */
	bool	   *goes;
} OrmPurgeRows;

/* A table that holds rows. */
typedef struct OrmPurgeLeaf
{
	Oid			relid;
	Oid			named;			/* the table whose rights count: it, or a
								 * parent that has the foreign key */
	bool		is_managed;
	OrmMarker	marker;
	int			ways_to;		/* in how many ways its rows can be met */
	bool		is_locked;		/* are its rows to be locked, lest others come
								 * to refer to them? */
	SPIPlanPtr	plan;			/* kept: the DELETE; NULL: to be made */
	OrmPurgeRows rows;
} OrmPurgeLeaf;

/* A foreign key between two leaves. */
typedef struct OrmPurgeWay
{
	int			referenced;
	int			referencing;
	const char *label;			/* of the constraint */
	bool		is_cascade;
	int			nkeys;
	AttrNumber	referenced_columns[INDEX_MAX_KEYS];
	AttrNumber	referencing_columns[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];
	SPIPlanPtr	plan;			/* kept; NULL: to be made */
} OrmPurgeWay;

struct OrmPurgeGraph
{
	const OrmBatchStatement *statement;
	MemoryContext context;
	uint64		generation;		/* of the policies when it was made */
	List	   *leaves;			/* OrmPurgeLeaf, first the members of the job */
	List	   *ways;			/* OrmPurgeWay */
	SPIPlanPtr	circle_plan;	/* kept: the DELETE of the leaves in "circle" */
	Bitmapset  *circle;
	HTAB	   *counted;		/* rows that a dry run has counted */
};

/* purge_graph.c */
extern OrmPurgeGraph *orm_purge_open(const OrmBatchJob *job, MemoryContext parent);
extern bool orm_purge_is_current(const OrmPurgeGraph *graph);
extern void orm_purge_check_rights(const OrmPurgeGraph *graph);
extern void orm_purge_close(OrmPurgeGraph *graph);

/* purge_rows.c: the rows that go together */
extern uint64 orm_purge_range(OrmPurgeGraph *graph, Oid member, OrmBatchPlan *plan,
							  const OrmBatchCursor *cursor, const OrmBatchRange *range,
							  bool dry_run, OrmBatchProgress *progress);

/* purge_plan.c: the statements */
extern SPIPlanPtr orm_purge_way_plan(OrmPurgeGraph *graph, OrmPurgeWay *way);
extern SPIPlanPtr orm_purge_delete_plan(OrmPurgeGraph *graph, OrmPurgeLeaf *leaf);
extern SPIPlanPtr orm_purge_circle_plan(OrmPurgeGraph *graph, Bitmapset *leaves);

/* purge.c: what is due, and what is told */
extern char *orm_purge_live_condition(Oid relid, const OrmMarker *marker, const char *alias);
extern char *orm_purge_due_condition(Oid relid, const OrmMarker *marker, const char *alias,
									 TimestampTz cutoff);
extern void orm_purge_tell(const OrmBatchJob *job, bool dry_run);

#endif							/* ORM_PURGE_H */
