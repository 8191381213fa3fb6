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

extern void orm_cascade(const OrmReference *reference, TupleTableSlot **rows, int nrows,
						TimestampTz stamp, OrmTransitions *transitions);
extern bool orm_is_cascade(const char *query_string);
extern OrmTransitions *orm_begin_cascade(QueryDesc *query_desc);

#endif							/* ORM_CASCADE_H */
