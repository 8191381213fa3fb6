/*-------------------------------------------------------------------------
 *
 * upsert.h
 *		What the files of bulk upsert offer each other and those above them.
 *
 * One engine, four doors.  A door (json.c, array.c, copy.c) reads rows of a
 * table, and rows.c puts them in the order of the key and drops duplicates.
 * engine.c has them written: by direct.c, or by one INSERT ... ON CONFLICT that
 * takes them from there (statement.c, execute.c) and asks back about each
 * (answers.c).  judge.c decides about existing rows, contest.c about those that
 * others delete or bring back meanwhile, results.c counts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_UPSERT_H
#define ORM_UPSERT_H

#include "postgres.h"

#include "access/attnum.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "tcop/cmdtag.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"

#include "guc.h"
#include "policy.h"

typedef enum OrmOnDuplicate
{
	ORM_DUPLICATE_LAST,
	ORM_DUPLICATE_FIRST,
	ORM_DUPLICATE_ERROR
} OrmOnDuplicate;

typedef enum OrmOnDeleted
{
	ORM_DELETED_INSERT,
	ORM_DELETED_REVIVE,
	ORM_DELETED_SKIP,
	ORM_DELETED_ERROR
} OrmOnDeleted;

/* What a caller asks for. */
typedef struct OrmUpsertOptions
{
	List	   *conflict;		/* names (char *); NIL: the primary key */
	bool		update_all;		/* no list of columns to update was given */
	List	   *update_columns; /* names (char *) */
	OrmOnConflict on_conflict;
	OrmOnDuplicate on_duplicate;
	OrmOnDeleted on_deleted;
	const char *version_column; /* or NULL */
} OrmUpsertOptions;

/* What becomes of a row of the input. */
typedef enum OrmUpsertAction
{
	ORM_ROW_INSERTED,
	ORM_ROW_UPDATED,
	ORM_ROW_UNCHANGED,
	ORM_ROW_REVIVED,
	ORM_ROW_SKIPPED,
	ORM_ROW_STALE,
	ORM_ROW_DUPLICATE
} OrmUpsertAction;

#define ORM_UPSERT_ACTIONS 7

/* The unique index that decides which row a row of the input means. */
typedef struct OrmArbiter
{
	Oid			index;
	int			nkeys;
	AttrNumber	columns[INDEX_MAX_KEYS];	/* 0: an expression */
	Oid			types[INDEX_MAX_KEYS];	/* what the operators take */
	Oid			collations[INDEX_MAX_KEYS];
	Oid			opclasses[INDEX_MAX_KEYS];
	Oid			equals[INDEX_MAX_KEYS]; /* operators */
	Oid			less[INDEX_MAX_KEYS];
	Node	   *expressions[INDEX_MAX_KEYS];	/* as the index has them */
	Node	   *computed[INDEX_MAX_KEYS];	/* the same over columns that are
											 * given; generated ones too */
	List	   *predicate;		/* implicitly ANDed */
	List	   *computed_predicate;
	Bitmapset  *referenced;		/* columns that key and predicate depend on */
	bool		nulls_not_distinct;
} OrmArbiter;

/*
 * All that is known before the first row is read: a cache entry.  The store is
 * the tuplestore from which the statement reads; its columns are the row's
 * ordinal, whether it has a key, which columns it supplies, the supplied
 * columns, and what else the key needs.
 */
typedef struct OrmUpsertTarget
{
	char	   *cache_key;		/* bytes */
	int			key_length;
	MemoryContext context;
	uint64		generation;		/* of the policies, when this was made */
	int			uses;			/* by calls that are running */
	bool		obsolete;		/* to be dropped by the last of them */

	Oid			relid;
	OrmUpsertOptions options;	/* on_* only */
	bool		returning;		/* rows are to be returned */
	TupleDesc	rowtype;		/* of the table */
	OrmArbiter	arbiter;

	int			ncolumns;		/* that are supplied */
	AttrNumber *columns;
	int		   *positions;		/* among them, by number of the column, or -1 */
	Bitmapset  *partial;		/* ... by some rows only, as numbers */
	Bitmapset  *kept;			/* ... those that stamp triggers keep */
	Bitmapset  *update;			/* ... those that an existing row takes over */
	AttrNumber	version;		/* of version_column, or InvalidAttrNumber */
	bool		version_is_kept;	/* by a trigger, or nobody can raise it */
	bool		soft_delete;
	bool		live_key;		/* the key holds among live rows alone */
	OrmMarker	marker;

	int			ncompared;		/* columns of an existing row that are read */
	AttrNumber *compared;
	TupleDesc	compared_type;
	Bitmapset  *filled;			/* columns that a new row gets from an
								 * existing one */

	bool		direct;			/* may rows be written without a statement? */
	bool		locks_first;	/* ... and is one to be locked before that? */
	Bitmapset  *selected;		/* columns whose privileges are then checked,
								 * offset as those are */
	Bitmapset  *inserted;
	Bitmapset  *updated;
	bool		locks;			/* is an existing row locked when it is found? */

	TupleDesc	store;
	int			key_positions[INDEX_MAX_KEYS];	/* in the store */
	bool		may_lack_key;	/* can a row be without a key? */
	Node	  **defaults;		/* by column, where they are evaluated here */
	Bitmapset  *volatile_defaults;

	const char *alias;			/* of the table, in statements */
	char	   *statement;
	SPIPlanPtr	plan;
	char	   *deleted_query;	/* finds deleted rows by key, or NULL */
	char	   *revival;		/* brings one back, or NULL */
	SPIPlanPtr	revival_plan;
	char	   *live_query;		/* looks for the live row once more */
	SPIPlanPtr	live_query_plan;
	char	   *live_update;	/* has it take over what is supplied */
	SPIPlanPtr	live_update_plan;
} OrmUpsertTarget;

/* Columns of the store, and the numbers of those that come first. */
#define ORM_STORE_ORDINAL 1
#define ORM_STORE_KEYED 2
#define ORM_STORE_PRESENT 3
#define ORM_STORE_FIXED 3

/* Name of the store in statements. */
#define ORM_STORE_NAME "orm_upsert_rows"

/* One row of the input, by columns of the table. */
typedef struct OrmInputRow
{
	int64		ordinal;
	Datum	   *values;
	bool	   *nulls;
	bool	   *present;
	ExprContext *econtext;		/* its memory is that of the row */
} OrmInputRow;

/* Where rows come from. */
typedef struct OrmUpsertSource
{
	List	   *columns;		/* numbers of those that are supplied,
								 * ascending */
	Bitmapset  *partial;		/* those that not every row supplies */
	bool		(*next) (struct OrmUpsertSource *source, OrmInputRow *row);
	void	   *state;
} OrmUpsertSource;

/* What became of the rows. */
typedef struct OrmUpsertResults
{
	int64		counts[ORM_UPSERT_ACTIONS];
	int64		input;
	Tuplesortstate *rows;		/* in the order of the input, or NULL */
	TupleDesc	row_type;
	TupleTableSlot *slot;
	ResourceOwner owner;
} OrmUpsertResults;

/* The rows between the door and the statement. */
typedef struct OrmUpsertRows OrmUpsertRows;

/* Is a column among those that a row supplies, a bit for each? */
static inline bool
orm_has_bit(const bytea *bits, AttrNumber attno)
{
	return (VARDATA_ANY(bits)[(attno - 1) / 8] & (1 << ((attno - 1) % 8))) != 0;
}

/* options.c: the words that callers use */
extern void orm_upsert_default_options(OrmUpsertOptions *options);
extern OrmOnConflict orm_read_on_conflict(const char *value);
extern OrmOnDuplicate orm_read_on_duplicate(const char *value);
extern OrmOnDeleted orm_read_on_deleted(const char *value);
extern const char *orm_upsert_action_name(OrmUpsertAction action);

/* arbiter.c: which row is meant */
extern void orm_find_arbiter(Relation rel, List *conflict, OrmArbiter *arbiter);

/* target.c: all that is known before the first row is read */
extern Relation orm_open_upsert_target(Oid relid);
extern OrmUpsertTarget *orm_begin_upsert_target(Relation rel, const OrmUpsertSource *source,
												const OrmUpsertOptions *options,
												bool returning);
extern void orm_end_upsert_target(OrmUpsertTarget *target);

/* columns.c: what is written, compared and filled */
extern void orm_choose_columns(Relation rel, const OrmUpsertSource *source,
							   const OrmUpsertOptions *options, OrmUpsertTarget *target);
extern int	orm_supplied_position(const OrmUpsertTarget *target, AttrNumber attno);
extern bool orm_is_key_column(const OrmUpsertTarget *target, AttrNumber attno);
extern int	orm_store_column(const OrmUpsertTarget *target, AttrNumber attno);

/* statement.c: the SQL */
extern void orm_write_upsert_statement(Relation rel, OrmUpsertTarget *target);

/* rows.c: in the order of the key, each key once */
extern OrmUpsertRows *orm_begin_rows(OrmUpsertTarget *target, OrmUpsertResults *results);
extern OrmInputRow *orm_input_row(OrmUpsertRows *rows);
extern void orm_scan_input_row(OrmInputRow *row, TupleTableSlot *slot);
extern void orm_put_row(OrmUpsertRows *rows);
extern int64 orm_finish_rows(OrmUpsertRows *rows);
extern TupleTableSlot *orm_stored_row(OrmUpsertRows *rows);
extern bool orm_is_only_row(const OrmUpsertRows *rows);
extern Tuplestorestate *orm_store_rows(OrmUpsertRows *rows);
extern EState *orm_rows_estate(OrmUpsertRows *rows);
extern Datum orm_default_value(OrmUpsertRows *rows, AttrNumber attno, bool *isnull);
extern List *orm_duplicates_of(OrmUpsertRows *rows, int64 ordinal);
extern void orm_forget_defaults(OrmUpsertRows *rows);
extern void orm_end_rows(OrmUpsertRows *rows);

/* deleted.c: deleted rows with a key of the input */
typedef struct OrmTombstones OrmTombstones;

extern OrmTombstones *orm_find_deleted_rows(OrmUpsertTarget *target);
extern void orm_find_deleted_row(OrmTombstones *deleted, OrmUpsertTarget *target,
								 TupleTableSlot *row);
extern bool orm_deleted_row(OrmTombstones *deleted, int64 ordinal, ItemPointer tid, Oid *tableoid);
extern bool orm_revive_row(OrmUpsertTarget *target, ItemPointer tid, Oid tableoid,
						   TupleTableSlot *row, DestReceiver *dest);
extern void orm_note_inserted(OrmTombstones *deleted, TupleTableSlot *row);
extern int64 orm_deleted_beside(OrmTombstones *deleted, OrmUpsertTarget *target);

/* execute.c: the statements */
extern QueryEnvironment *orm_connect_to_store(EphemeralNamedRelation store,
											  OrmUpsertTarget *target, Tuplestorestate *rows);
extern void orm_execute_upsert_plan(CachedPlan *plan, const char *source,
									QueryEnvironment *environment, ParamListInfo params,
									DestReceiver *dest);
extern CachedPlan *orm_plan_upsert(SPIPlanPtr *plan, const char *statement,
								   int nargs, Oid *argtypes);
extern Tuplestorestate *orm_store_of_one(TupleTableSlot *row);
extern void orm_execute_for_row(OrmUpsertTarget *target, TupleTableSlot *row, SPIPlanPtr *plan,
								const char *statement, ParamListInfo params, DestReceiver *dest);

/* answers.c: what a statement asks back */
extern void orm_upsert_init(void);

/* engine.c: all of it */
extern void orm_upsert(Relation rel, OrmUpsertSource *source,
					   const OrmUpsertOptions *options, OrmUpsertResults *results);

/* results.c: what is told of it */
extern void orm_begin_results(OrmUpsertResults *results, Oid row_type);
extern void orm_restart_results(OrmUpsertResults *results, const OrmUpsertResults *before);
extern void orm_add_result(OrmUpsertResults *results, int64 ordinal, OrmUpsertAction action,
						   Datum row, bool isnull);
extern void orm_finish_results(OrmUpsertResults *results, Oid relid);

/* json.c and array.c: two doors */
extern void orm_open_json(OrmUpsertSource *source, Relation rel, Datum rows);
extern void orm_open_array(OrmUpsertSource *source, Relation rel, Datum rows);

/* copy.c: the door of COPY; copy_options.c: its options */
extern bool orm_is_upsert_copy(Node *stmt);
extern PlannedStmt *orm_call_copy(PlannedStmt *pstmt, const char *query_string,
								  QueryEnvironment *query_env, QueryCompletion *qc);
extern void orm_forget_copy(void);
extern List *orm_take_upsert_options(CopyStmt *stmt, OrmUpsertOptions *options);
extern bool orm_has_upsert_option(const CopyStmt *stmt);

#endif							/* ORM_UPSERT_H */
