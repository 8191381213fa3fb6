/*-------------------------------------------------------------------------
 *
 * restore.h
 *		Deleted rows on their way back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_RESTORE_H
#define ORM_RESTORE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "deletion.h"
#include "nodes/params.h"
#include "nodes/pg_list.h"
#include "references.h"
#include "utils/hsearch.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"

/* Names of stores in statements. */
#define ORM_FRONTIER_NAME "orm_frontier"
#define ORM_DELETION_NAME "orm_deletion"
#define ORM_PLACE_NAME "orm_place"

/* What comes back of one table. */
typedef struct OrmRestoredTable
{
	Oid			relid;
	int64		rows;
} OrmRestoredTable;

/* A foreign key that a deletion followed, and so does its restore. */
typedef struct OrmRestoreStep
{
	OrmReference *reference;
	List	   *members;		/* tables whose rows it refers to, NIL: all */
	int			columns[INDEX_MAX_KEYS];	/* of the frontier: the key */
} OrmRestoreStep;

/* Rows that are back, or will be, whose followers are still to be seen to. */
typedef struct OrmFrontier
{
	Oid			relid;
	List	   *steps;			/* OrmRestoreStep * */
	List	   *columns;		/* names (char *) of those that steps need */
	TupleDesc	desc;			/* deletion, rel, tid, and the columns */
	Tuplestorestate *rows;
} OrmFrontier;

/* A restore in progress, or the preview of one. */
typedef struct OrmRestore
{
	bool		preview;
	MemoryContext context;
	OrmDeletion *deletions;		/* by number */
	int			ndeletions;
	int			max_deletions;
	HTAB	   *deletion_numbers;
	HTAB	   *seen;			/* places of rows, in a preview ... */
	Tuplestorestate *places;	/* ... and as a store */
	List	   *tables;			/* OrmRestoredTable *, in the order of coming
								 * back */
	List	   *frontiers;		/* OrmFrontier * */
	List	   *stores;			/* those to be closed at the end */
} OrmRestore;

/* Which rows of a table to begin with. */
typedef struct OrmSeeds
{
	Oid			relid;
	const char *only;			/* "ONLY ", or empty */
	const char *alias;			/* " AS t", or empty */
	const char *condition;
	ParamListInfo params;
	Tuplestorestate *rows;		/* deletion, rel, tid */
} OrmSeeds;

/* restore_run.c: statements over stores */
extern OrmRestore *orm_begin_restore(bool preview);
extern void orm_end_restore(OrmRestore *restore);
extern Tuplestorestate *orm_open_restore_store(OrmRestore *restore);
extern void orm_close_restore_store(OrmRestore *restore, Tuplestorestate *store);
extern EphemeralNamedRelation orm_name_store(const char *name, TupleDesc desc,
											 Tuplestorestate *rows);
extern uint64 orm_run_restore(OrmRestore *restore, Oid user, const char *command,
							  List *stores, ParamListInfo params, Tuplestorestate *result);
extern OrmRestoredTable *orm_restored_table(OrmRestore *restore, Oid relid);
extern TupleDesc orm_place_desc(void);
extern char *orm_collated_value(const OrmReference *reference, int i, const char *value);
extern char *orm_collated_key(const OrmReference *reference, int i, const char *key);

/* restore_frontier.c: where to go on from */
extern OrmFrontier *orm_pending_frontier(OrmRestore *restore, Oid relid);
extern uint64 orm_take_new_rows(OrmRestore *restore, OrmFrontier *frontier,
								Tuplestorestate *rows);

/* restore_deletion.c: the deletions that rows are of */
extern int	orm_deletion_number(OrmRestore *restore, const OrmDeletion *deletion);
extern EphemeralNamedRelation orm_name_deletions(OrmRestore *restore, const OrmMarker *marker,
												 bool stamped, const char *column,
												 char **condition);

/* restore_walk.c: along the foreign keys */
extern void orm_restore_seeds(OrmRestore *restore, const OrmSeeds *seeds);
extern void orm_restore_followers(OrmRestore *restore);

/* restore_seeds.c: the rows to begin with */
extern TupleDesc orm_seeds_desc(void);
extern int64 orm_find_seeds(OrmRestore *restore, OrmSeeds *seeds);

/* Something that a restore would fail by. */
typedef struct OrmRestoreProblem
{
	Oid			relid;			/* the table that the rows are of */
	int64		rows;			/* how many of them it concerns */
	const char *message;		/* of the error to come */
	const char *detail;			/* NULL if the caller must not see it */
	const char *constraint;
	Oid			parent;			/* the table of a missing parent */
	const char *parent_condition;	/* by which to find it, if it is deleted */
	const char *remedy;			/* the call that brings it back */
} OrmRestoreProblem;

extern bool orm_may_see_values(Oid relid);

/* restore_parents.c: rows that are referred to and deleted */
extern List *orm_find_missing_parents(OrmRestore *restore);

/* restore_clashes.c: keys that are taken */
extern List *orm_find_clashes(OrmRestore *restore);

#endif							/* ORM_RESTORE_H */
