/*-------------------------------------------------------------------------
 *
 * reference_plan.h
 *		Prepared queries along foreign keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_REFERENCE_PLAN_H
#define ORM_REFERENCE_PLAN_H

#include "postgres.h"

#include "references.h"

/* What a query is for. */
typedef enum OrmReferencePurpose
{
	ORM_CASCADE_FROM_ROW,		/* delete what refers to a row */
	ORM_CASCADE_FROM_ROWS,		/* ... to some rows */
	ORM_FIND_REFERRING_ROW,		/* is there a live row that refers to a row? */
	ORM_FIND_OWN_REFERRING_ROW, /* ... that this transaction has written? */
	ORM_FIND_REFERENCED_ROW,	/* is the row there that a row refers to? */
	ORM_LOCK_REFERENCED_ROW		/* ... and will it stay? */
} OrmReferencePurpose;

extern Oid	orm_reference_array_type(const OrmReference *reference, int i);
extern uint64 orm_run_reference_plan(const OrmReference *reference, OrmReferencePurpose purpose,
									 Datum *values,
									 void (*about_to_run) (const char *query, void *arg),
									 void *arg);

#endif							/* ORM_REFERENCE_PLAN_H */
