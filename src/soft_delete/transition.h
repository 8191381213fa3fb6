/*-------------------------------------------------------------------------
 *
 * transition.h
 *		Rows that a statement deletes softly, or brings back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_TRANSITION_H
#define ORM_TRANSITION_H

#include "postgres.h"

#include "commands/trigger.h"
#include "datatype/timestamp.h"
#include "executor/execdesc.h"
#include "policy.h"
#include "storage/itemptr.h"

/* A row whose marker a statement has changed from one side to the other. */
typedef struct OrmTransition
{
	Oid			relid;
	ItemPointerData old;		/* place of the row as it was */
	bool		deleted;		/* or brought back? */
	TimestampTz stamp;			/* of the deletion */
	Oid			along;			/* foreign key by which it came back with its
								 * parent */
} OrmTransition;

/* Those of a statement and of what follows from it, first come, first served. */
typedef struct OrmTransitions
{
	MemoryContext context;
	OrmTransition *rows;
	int			count;
	int			size;
	int			next;			/* to be seen to next */
} OrmTransitions;

/* transition.c */
extern void orm_watch_markers(QueryDesc *query_desc);
extern void orm_note_transition(const TriggerData *trigdata, const OrmMarker *marker);
extern void orm_settle_transitions(QueryDesc *query_desc);
extern void orm_hold_transitions(void);
extern void orm_release_transitions(void);
extern void orm_begin_return(Oid along);
extern void orm_end_return(void);
extern bool orm_is_return(void);

/* actions.c: what follows from them */
extern void orm_act_on_transitions(OrmTransitions *transitions, EState *estate);
extern void orm_note_constraints_set(void);
extern bool orm_may_be_deferred(const Trigger *trigger);

#endif							/* ORM_TRANSITION_H */
