/*-------------------------------------------------------------------------
 *
 * policy.h
 *		What the triggers of a relation make of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_POLICY_H
#define ORM_POLICY_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

/* How a marker column tells live rows from deleted ones. */
typedef enum OrmMarkerKind
{
	ORM_MARKER_TIMESTAMPTZ,		/* live: NULL */
	ORM_MARKER_TIMESTAMP,		/* live: NULL */
	ORM_MARKER_BOOLEAN,			/* live: false */
	ORM_MARKER_BIGINT			/* live: 0; deleted: microseconds since 1970 */
} OrmMarkerKind;

typedef struct OrmMarker
{
	AttrNumber	attno;
	int32		typmod;
	OrmMarkerKind kind;
} OrmMarker;

/* Symbol of the C function that makes a trigger the declaration. */
#define ORM_SOFT_DELETE_SYMBOL "orm_soft_delete"

/* What a stamp trigger keeps a column for. */
typedef enum OrmKeptAs
{
	ORM_NOT_KEPT,
	ORM_KEPT_AS_VERSION,
	ORM_KEPT_AS_ECHO,			/* a version that each update has to repeat */
	ORM_KEPT_AS_CREATION,
	ORM_KEPT_AS_OTHER
} OrmKeptAs;

/*
 * What the stamp triggers do for features that may not know them; they fill
 * it in when the library is loaded.
 */
typedef struct OrmStampService
{
	OrmKeptAs	(*kept_as) (Relation rel, AttrNumber attno);

	/*
	 * Tell the triggers of an upsert's rows that they are such: which columns
	 * a row is meant to assign is then asked of orm_upsert_assigns.
	 */
	void		(*label_upsert) (EState *estate);

	/*
	 * Can a column of this base type name who acts?  And who is it, as a
	 * value?
	 */
	bool		(*names_actor) (Oid type);
	Datum		(*actor) (Relation rel, AttrNumber attno, bool *isnull);
} OrmStampService;

extern OrmStampService orm_stamps;

/* Does the row that a bulk upsert writes supply a column?  Set by the upserts. */
extern bool (*orm_upsert_assigns) (const char *column);

/* How many actions of foreign keys we are in.  Set by soft delete. */
extern int	orm_action_depth;

extern void orm_policy_init(void);

extern uint64 orm_policy_generation(void);
extern void orm_policy_watch(Oid relid);
extern void orm_watch_relation(Oid relid);
extern uint64 orm_watched_changes(void);
extern bool orm_trigger_fires(char enabled);
extern int	orm_trigger_depth(void);

extern bool orm_soft_delete_marker(Oid relid, OrmMarker *marker);
extern bool orm_soft_delete_sound(Oid relid, OrmMarker *marker);
extern bool orm_soft_delete_declared(Oid relid, OrmMarker *marker);
extern bool orm_soft_delete_foreign_keys(Oid relid);
extern bool orm_rewritten_by_triggers(Oid relid);
extern bool orm_soft_delete_active(Oid relid);
extern bool orm_policy_concerns(Oid relid, bool with_children);
extern bool orm_soft_delete_in_tree(Oid relid, Oid *member);

extern bool orm_is_soft_delete_trigger(const Trigger *trigger);
extern void orm_check_soft_delete_trigger(Relation rel, const Trigger *trigger,
										  OrmMarker *marker);
extern AttrNumber orm_find_column(TupleDesc desc, const char *name);
extern bool orm_marker_is_live(const OrmMarker *marker, Datum value, bool isnull);

#endif							/* ORM_POLICY_H */
