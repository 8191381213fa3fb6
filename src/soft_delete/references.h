/*-------------------------------------------------------------------------
 *
 * references.h
 *		Foreign keys that hold for live rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_REFERENCES_H
#define ORM_REFERENCES_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

/* A foreign key. */
typedef struct OrmReference
{
	Oid			constraint;
	Oid			parent;			/* of which it is the partition's share */
	char	   *name;
	Oid			referencing;	/* the table that has the constraint */
	Oid			referenced;
	char		action;			/* its pg_constraint.confdeltype */
	bool		deferrable;
	bool		temporal;		/* its last columns are ranges that overlap */
	int			nkeys;
	AttrNumber	referencing_columns[INDEX_MAX_KEYS];
	AttrNumber	referenced_columns[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];	/* referenced = referencing */
	Oid			same_operators[INDEX_MAX_KEYS]; /* referencing = referencing */
} OrmReference;

extern bool orm_is_kept(const OrmReference *reference);
extern bool orm_is_enforced(Oid referencing, Oid referenced);
extern bool orm_is_delete_action(const Trigger *trigger);
extern bool orm_is_reference_check(const Trigger *trigger);
extern bool orm_is_referred_to(const TriggerDesc *triggers, Oid relid);
extern bool orm_refers(const TriggerDesc *triggers, Oid relid);
extern Oid	orm_topmost_constraint(Oid constraint);
extern OrmReference *orm_read_reference(Oid constraint);
extern List *orm_references_to(Oid relid);
extern List *orm_references_of(Oid relid);
extern List *orm_all_references_of(Oid relid);
extern char *orm_reference_condition(const OrmReference *reference, int i,
									 const char *referenced, const char *referencing);
extern const char *orm_only(Oid relid);

#endif							/* ORM_REFERENCES_H */
