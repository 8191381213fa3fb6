/*-------------------------------------------------------------------------
 *
 * plan_rows.h
 *		A look at the rows of a plan before they are used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_PLAN_ROWS_H
#define ORM_PLAN_ROWS_H

#include "postgres.h"

#include "nodes/execnodes.h"

/* What is done with a row, or because of it. */
typedef void (*OrmRowWatcher) (void *arg, TupleTableSlot *row);

extern void orm_watch_rows(PlanState *state, OrmRowWatcher watcher, void *arg);

#endif							/* ORM_PLAN_ROWS_H */
