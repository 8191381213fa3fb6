/*-------------------------------------------------------------------------
 *
 * cascade.h
 *		ON DELETE CASCADE among live rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_CASCADE_H
#define ORM_CASCADE_H

#include "postgres.h"

#include "executor/execdesc.h"
#include "executor/tuptable.h"
#include "references.h"
#include "transition.h"

/* A cascade from some rows. */
typedef struct OrmCascade OrmCascade;

extern OrmCascade *orm_make_cascade(Oid constraint, int max_rows);
extern void orm_add_to_cascade(OrmCascade *cascade, TupleTableSlot *row);
extern void orm_run_cascade(OrmCascade *cascade, TimestampTz stamp, OrmTransitions *transitions);
extern bool orm_is_cascade(const char *query_string);
extern OrmTransitions *orm_begin_cascade(QueryDesc *query_desc);

#endif							/* ORM_CASCADE_H */
