/*-------------------------------------------------------------------------
 *
 * row_lock.h
 *		Locks of rows that are about to be marked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_ROW_LOCK_H
#define ORM_ROW_LOCK_H

#include "postgres.h"

#include "access/tableam.h"
#include "nodes/execnodes.h"
#include "policy.h"

/* What the UPDATE of a MERGE or an upsert makes of the marker. */
typedef struct OrmMarking
{
	OrmMarker	marker;
	Expr	   *expr;			/* what is assigned; NULL if any row is taken
								 * to be marked */
	ExprState  *value;			/* ... to be evaluated */
} OrmMarking;

/* row_lock.c */
extern bool orm_locks_like_delete(const ResultRelInfo *rri, OrmMarker *marker);
extern TM_Result orm_lock_row(EState *estate, ResultRelInfo *rri, ItemPointer place,
							  LockTupleMode mode, bool last_version);

/* marking.c */
extern bool orm_may_evaluate_twice(Node *expr);
extern bool orm_find_marking(OrmMarking *marking, const OrmMarker *marker,
							 List *assignments, List *columns);
extern void orm_prepare_marking(OrmMarking *marking, ModifyTableState *mtstate);
extern bool orm_assigns_deletion(const OrmMarking *marking, ExprContext *econtext);
extern bool orm_is_live_row(const OrmMarker *marker, TupleTableSlot *row);
extern ExprState *orm_make_condition(ExprStateEvalFunc function, void *arg);

/* row_lock_merge.c, row_lock_upsert.c */
extern void orm_lock_for_merge(ModifyTableState *mtstate);
extern void orm_lock_for_upsert(ModifyTableState *mtstate, ResultRelInfo *rri);

#endif							/* ORM_ROW_LOCK_H */
