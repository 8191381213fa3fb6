/*-------------------------------------------------------------------------
 *
 * stamp.h
 *		What the files of versions and timestamps offer each other and those
 *		above them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_STAMP_H
#define ORM_STAMP_H

#include "postgres.h"

#include "access/htup.h"
#include "commands/trigger.h"
#include "executor/execdesc.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "pgtime.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/timestamp.h"

/* What a column is kept for; the order is that in which a row is stamped. */
typedef enum OrmStampRole
{
	ORM_STAMP_VERSION,
	ORM_STAMP_CREATED,
	ORM_STAMP_CREATED_BY,
	ORM_STAMP_UPDATED,
	ORM_STAMP_UPDATED_BY,
	ORM_STAMP_CHANGE_ID
} OrmStampRole;

#define ORM_STAMP_ROLES 6

/* Values of options, in the order in which declaration.c names them. */
enum OrmVersionMode
{
	ORM_MODE_AUTO, ORM_MODE_STRICT, ORM_MODE_ECHO
};
enum OrmOverflow
{
	ORM_OVERFLOW_ERROR, ORM_OVERFLOW_WRAP
};
enum OrmClock
{
	ORM_CLOCK_TRANSACTION, ORM_CLOCK_STATEMENT, ORM_CLOCK_WALL
};
enum OrmImmutable
{
	ORM_IMMUTABLE_KEEP, ORM_IMMUTABLE_ERROR
};
enum OrmUnit
{
	ORM_UNIT_MICROSECONDS, ORM_UNIT_MILLISECONDS, ORM_UNIT_SECONDS
};
enum OrmZone
{
	ORM_ZONE_SESSION, ORM_ZONE_UTC
};
enum OrmResent
{
	ORM_RESENT_KEEP, ORM_RESENT_MOVE
};

/* The arguments of a stamp trigger, as they are written. */
typedef struct OrmStampDeclaration
{
	const char *columns[ORM_STAMP_ROLES];	/* NULL where there is none */
	List	   *ignore;			/* names of columns (char *) */
	int			mode;
	int			overflow;
	int			clock;
	int			immutable;
	int			unit;
	int			zone;
	int			resent;
	int			given;			/* bits of the options that are written */
} OrmStampDeclaration;

/* A column that a stamp trigger keeps, as the relation has it. */
typedef struct OrmStampColumn
{
	AttrNumber	attno;			/* InvalidAttrNumber where there is none */
	Oid			type;			/* base type */
	int32		typmod;
	Oid			domain;			/* InvalidOid unless it is of a domain */
} OrmStampColumn;

/* A value that is costly to make, and what it was made from. */
typedef struct OrmStampValue
{
	TimestampTz clock;
	pg_tz	   *zone;
	uint64		generation;
	Oid			user;
	bool		valid;
	bool		isnull;
	int64		time;			/* of a clock, in units of the column */
	Datum		value;			/* of an actor */
} OrmStampValue;

/* All that the row pass has to know of a trigger: a cache of plan.c. */
typedef struct OrmStampPlan
{
	MemoryContext context;
	uint64		generation;		/* of the policies, when this was made */
	OrmStampDeclaration options;
	OrmStampColumn columns[ORM_STAMP_ROLES];
	OrmStampValue cached[ORM_STAMP_ROLES];
	void	   *domain_checks[ORM_STAMP_ROLES];
	Bitmapset  *watched;		/* columns whose change counts ... */
	Bitmapset  *contents;		/* ... and those that count for change_id */
	bool		others_edit;	/* may others change a row before this
								 * trigger? */
} OrmStampPlan;

typedef enum OrmAnswer
{
	ORM_UNKNOWN, ORM_NO, ORM_YES
} OrmAnswer;

/* One row on its way through a stamp trigger. */
typedef struct OrmStampPass
{
	OrmStampPlan *plan;
	TriggerData *trigdata;
	Relation	rel;
	HeapTuple	old;			/* NULL for INSERT */
	HeapTuple	new;			/* NULL for DELETE */
	TupleTableSlot *old_slot;	/* the same as slots */
	TupleTableSlot *new_slot;
	OrmAnswer	changed;		/* ask orm_stamp_row_changed() */
	int			nchanges;		/* what is to be changed in the new row */
	int			columns[ORM_STAMP_ROLES];
	Datum		values[ORM_STAMP_ROLES];
	bool		nulls[ORM_STAMP_ROLES];
} OrmStampPass;

/* SQL names of the trigger functions; their symbols are orm_ and the name. */
typedef enum OrmStampFunction
{
	ORM_FUNCTION_VERSION = 1,
	ORM_FUNCTION_TIMESTAMPS = 2,
	ORM_FUNCTION_STAMP = 4
} OrmStampFunction;

/* declaration.c: arguments of the trigger functions */
extern char *orm_stamp_declaration(Relation rel, const Trigger *trigger,
								   const char *option);
extern bool orm_is_stamp_trigger(const Trigger *trigger, OrmStampFunction *function);
extern void orm_read_stamp_declaration(const Trigger *trigger, OrmStampFunction function,
									   OrmStampDeclaration *declaration);
extern void orm_check_stamp_trigger(Relation rel, const Trigger *trigger);
extern void orm_resolve_stamp_trigger(Relation rel, const Trigger *trigger,
									  OrmStampDeclaration *declaration,
									  OrmStampColumn *columns);
extern List *orm_stamp_trigger_columns(const Trigger *trigger);
extern char *orm_rename_in_stamp_argument(const Trigger *trigger, int argument,
										  const char *oldname, const char *newname);
extern const char *orm_stamp_role_name(OrmStampRole role);
extern bool orm_stamp_role_accepts(OrmStampRole role, Oid type);
extern bool orm_is_actor_type(Oid type);
extern const char *orm_kept_column(const Trigger *trigger, OrmStampRole role);
extern List *orm_stamp_trigger_options(const Trigger *trigger);

/* plan.c: what is known of a trigger */
extern void orm_stamp_init(void);
extern OrmStampPlan *orm_stamp_plan(Relation rel, const Trigger *trigger);
extern AttrNumber orm_version_column(Relation rel, int *mode);

/* statement.c: what kind of statement fires a trigger */
extern void orm_label_statement(QueryDesc *query_desc,
								bool (*is_soft_delete) (const ModifyTable *node));
extern void orm_label_upsert(EState *estate);
extern bool orm_is_upsert(const TriggerData *trigdata);
extern bool orm_may_be_merge(const TriggerData *trigdata);
extern bool orm_may_be_soft_delete(const TriggerData *trigdata);

/* row.c: the row pass */
extern HeapTuple orm_stamp_row(OrmStampPlan *plan, TriggerData *trigdata);
extern bool orm_stamp_lists(const OrmStampPass *pass, OrmStampRole role);
extern bool orm_stamp_row_changed(OrmStampPass *pass);
extern bool orm_stamp_contents_changed(OrmStampPass *pass);
extern Datum orm_stamp_given(const OrmStampPass *pass, OrmStampRole role, bool *isnull);
extern Datum orm_stamp_stored(const OrmStampPass *pass, OrmStampRole role, bool *isnull);
extern Datum orm_stamp_input(Oid type, int32 typmod, const char *text,
							 void (*describe) (void *arg), void *arg);
extern void orm_stamp_set(OrmStampPass *pass, OrmStampRole role, Datum value, bool isnull);
extern void orm_stamp_keep(OrmStampPass *pass, OrmStampRole role);
extern bool orm_stamp_same(const OrmStampPass *pass, OrmStampRole role);
extern bool orm_same_datum(Datum a, bool a_isnull, Datum b, bool b_isnull,
						   bool byval, int16 len);
extern bool orm_rows_differ(TupleTableSlot *old, TupleTableSlot *new,
							const Bitmapset *columns);

/* change.c: the new row */
extern HeapTuple orm_changed_row(OrmStampPass *pass);

/* version.c: optimistic locking */
extern bool orm_checking_row;
extern bool orm_is_version_expected(void);
extern void orm_stamp_first_version(OrmStampPass *pass);
extern void orm_stamp_version(OrmStampPass *pass);
extern void orm_check_expected_version(OrmStampPass *pass);

/* timestamps.c: created and updated */
extern Datum orm_clock_value(OrmStampPass *pass, OrmStampRole role);
extern Datum orm_next_clock_value(OrmStampPass *pass, OrmStampRole role, Datum stored);
extern void orm_stamp_updated(OrmStampPass *pass);

/* actor.c: created_by and updated_by */
extern Datum orm_actor_of_column(Relation rel, AttrNumber attno, bool *isnull);
extern void orm_stamp_actor(OrmStampPass *pass, OrmStampRole role);
extern void orm_stamp_updated_by(OrmStampPass *pass);

/* change_id.c: a cursor that loses nothing */
extern void orm_stamp_change_id(OrmStampPass *pass);
extern void orm_forget_change_id(void);
extern void orm_change_id_init(void);

/* change_id_base.c: ... after a restore into another cluster */
extern int64 orm_change_id_base_to_write(void);
extern int64 orm_change_id_base_to_read(void);
extern void orm_note_foreign_change_id(int64 id);
extern void orm_change_id_base_init(void);
extern void orm_lift_change_ids(Oid relid, const char *column);

/* stale.c: errors of optimistic locking */
#define ERRCODE_ORM_VERSION_REQUIRED MAKE_SQLSTATE('O', 'E', '0', '0', '2')

extern void orm_report_stale(OrmStampPass *pass, const char *given);
extern void orm_report_version_required(OrmStampPass *pass);
extern int	orm_stale_errcode(void);

/* trigger.c */
extern void orm_watch_deletes(QueryDesc *query_desc);

/* guard.c: statements that forget the version */
extern void orm_guard_versions(Query *query);

/* touch.c: parents of changed rows */
typedef enum OrmTouch
{
	ORM_TOUCH_NONE,
	ORM_TOUCH_KEEP_VERSION,
	ORM_TOUCH_BUMP_VERSION
} OrmTouch;

extern OrmTouch orm_touching;
extern bool orm_is_touch(void);
extern void orm_touch_init(void);
extern Oid	orm_touch_parent_of(Relation rel, const Trigger *trigger);
extern void orm_check_touch_trigger(Relation rel, const Trigger *trigger);

#endif							/* ORM_STAMP_H */
