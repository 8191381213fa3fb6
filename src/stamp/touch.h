/*-------------------------------------------------------------------------
 *
 * touch.h
 *		What the files of touch_parent() offer each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_TOUCH_H
#define ORM_TOUCH_H

#include "postgres.h"

#include "access/attnum.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

/* Whose rows to touch, and how they are found. */
typedef struct OrmTouchTarget
{
	Oid			parent;
	int			nkeys;
	AttrNumber	columns[INDEX_MAX_KEYS];	/* that the foreign key refers to */
	Oid			types[INDEX_MAX_KEYS];	/* of the columns that refer to them
										 * ... */
	bool		byval[INDEX_MAX_KEYS];
	int16		len[INDEX_MAX_KEYS];
	Oid			collations[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];	/* referred to = referring */
	AttrNumber	touched;
	bool		bump;			/* the version as well? */
	Oid			role;			/* to do it as */
} OrmTouchTarget;

/* What a trigger does. */
typedef struct OrmTouchRule
{
	OrmTouchTarget target;
	AttrNumber	child_columns[INDEX_MAX_KEYS];
} OrmTouchRule;

/* touch_declaration.c */
extern void orm_read_touch_rule(Relation rel, const Trigger *trigger, OrmTouchRule *rule);

/* touch_plan.c */
extern void orm_touch_plan_init(void);
extern void orm_touch_plan_reset(void);
extern void orm_touch_row(const OrmTouchTarget *target, const Datum *values, bool touch);

#endif							/* ORM_TOUCH_H */
