/*-------------------------------------------------------------------------
 *
 * actions.c
 *		What foreign keys ask for when rows are deleted softly, or come back.
 *
 * The triggers by which the server keeps a foreign key are not fired by a soft
 * DELETE, which is an UPDATE of a column outside the key.  So they are gone
 * through here, for each row and in the order in which the server would have
 * fired them:
 *	- CASCADE is cascade.c's, and what it deletes comes to the end of the queue
 *	- RESTRICT and NO ACTION are the server's own functions, called as by a
 *	  DELETE; referential.c has their queries see live rows only
 *	- SET NULL and SET DEFAULT leave the reference as it is: the row it refers
 *	  to may come back
 *	- a row that comes back is checked as a new one is, but for references that
 *	  stay
 * A check that may be deferred is handed to the server's queue, as an event of
 * its real trigger, and the server does with it what SET CONSTRAINTS says.
 *
 * Where a cascade is all that there is to do, it is done for many rows at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cascade.h"
#include "references.h"
#include "soft_delete.h"
#include "transition.h"

/* So many rows are cascaded from at once. */
#define ROWS_AT_ONCE 1000

/* The rows of one table that are seen to together. */
typedef struct Round
{
	OrmTransitions *transitions;	/* the queue, for what comes of it */
	EState	   *estate;
	Relation	rel;
	List	   *actions;		/* those that apply (Trigger *) */
	OrmTransition *rows;
	int			nrows;
	TupleTableSlot *row;		/* the one at hand */
	ResultRelInfo *queue;		/* stands for the table in the server's queue */
} Round;

/* The transaction that has used SET CONSTRAINTS, by when it began. */
static TimestampTz constraints_set_in = 0;

/* Somebody changes when constraints are checked. */
void
orm_note_constraints_set(void)
{
	constraints_set_in = GetCurrentTransactionStartTimestamp();
}

/* May a check have to wait until the end of the transaction? */
bool
orm_may_be_deferred(const Trigger *trigger)
{
	return trigger->tgdeferrable &&
		(trigger->tginitdeferred ||
		 constraints_set_in == GetCurrentTransactionStartTimestamp());
}

/* Does a trigger's action apply when a row of the table is deleted softly? */
static bool
acts_on_deletion(const Trigger *trigger, Oid relid)
{
	if (!orm_is_delete_action(trigger) || !orm_trigger_fires(trigger->tgenabled) ||
		!orm_is_enforced(trigger->tgconstrrelid, relid))
		return false;
	switch (trigger->tgfoid)
	{
		case F_RI_FKEY_SETNULL_DEL:
		case F_RI_FKEY_SETDEFAULT_DEL:
			return false;
		case F_RI_FKEY_CASCADE_DEL:
			return orm_soft_delete_active(trigger->tgconstrrelid);
		default:
			return true;
	}
}

/*
 * Does a trigger check a row of the table that is brought back?  Not where live
 * rows keep their references: it may have been live with this one before.
 */
static bool
checks_return(const Trigger *trigger, Oid relid)
{
	OrmReference *reference;

	if (!orm_is_reference_check(trigger) || !orm_trigger_fires(trigger->tgenabled) ||
		!orm_is_enforced(relid, trigger->tgconstrrelid))
		return false;
	reference = orm_read_reference(trigger->tgconstraint);
	return reference != NULL && !orm_is_kept(reference);
}

/* The triggers of a table whose part it is to do something, in their order. */
static List *
applicable_actions(TriggerDesc *triggers, Oid relid, bool deleted)
{
	List	   *actions = NIL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (deleted ? acts_on_deletion(trigger, relid) : checks_return(trigger, relid))
			actions = lappend(actions, trigger);
	}
	return actions;
}

/*
 * Call one of the server's functions for foreign keys, as its trigger would.
 * That the row is deleted softly need not be found out by its queries.
 */
static void
call_trigger(Round *round, Trigger *trigger, TriggerEvent event)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	function;
	TriggerData trigdata = {.type = T_TriggerData};

	trigdata.tg_event = event | TRIGGER_EVENT_ROW | TRIGGER_EVENT_AFTER;
	trigdata.tg_relation = round->rel;
	trigdata.tg_trigger = trigger;
	trigdata.tg_trigslot = round->row;
	trigdata.tg_trigtuple = ExecFetchSlotHeapTuple(round->row, false, NULL);
	fmgr_info(trigger->tgfoid, &function);
	InitFunctionCallInfoData(*fcinfo, &function, 0, InvalidOid, (Node *) &trigdata, NULL);

	orm_checking_deletion = event == TRIGGER_EVENT_DELETE;
	PG_TRY();
	{
		FunctionCallInvoke(fcinfo);
	}
	PG_FINALLY();
	{
		orm_checking_deletion = false;
	}
	PG_END_TRY();
}

/* What the server's queue is to know of a table: one trigger at a time. */
static ResultRelInfo *
make_queue(Relation rel)
{
	ResultRelInfo *queue = makeNode(ResultRelInfo);

	InitResultRelInfo(queue, rel, 0, NULL, 0);
	queue->ri_TrigDesc = palloc0_object(TriggerDesc);
	queue->ri_TrigDesc->numtriggers = 1;
	queue->ri_TrigDesc->trig_insert_after_row = true;
	queue->ri_TrigDesc->trig_delete_after_row = true;
	return queue;
}

/* Hand an event of one trigger to the server's queue. */
static void
queue_trigger(Round *round, Trigger *trigger, TriggerEvent event)
{
	if (round->queue == NULL)
		round->queue = make_queue(round->rel);
	round->queue->ri_TrigDesc->triggers = trigger;
	if (event == TRIGGER_EVENT_INSERT)
		ExecARInsertTriggers(round->estate, round->queue, round->row, NIL, NULL);
	else
		ExecARDeleteTriggers(round->estate, round->queue, &round->row->tts_tid, NULL, NULL, false);
}

/*
 * Have the server's check of the row at hand made, now or when its time comes.
 * There is nothing to check of a row that has a null in its key.
 */
static void
check_row(Round *round, Trigger *trigger, TriggerEvent event)
{
	if (event == TRIGGER_EVENT_DELETE &&
		!RI_FKey_pk_upd_check_required(trigger, round->rel, round->row, NULL))
		return;
	if (orm_may_be_deferred(trigger))
		queue_trigger(round, trigger, event);
	else
		call_trigger(round, trigger, event);
}

/* Fetch a version of a row. */
static void
fetch_version(Round *round, ItemPointerData tid)
{
	if (!table_tuple_fetch_row_version(round->rel, &tid, SnapshotAny, round->row))
		elog(ERROR, "failed to fetch a row of \"%s\" that was marked",
			 RelationGetRelationName(round->rel));
}

/*
 * Fetch a row that was brought back, as it is now.  False if it is no more, or
 * has moved to another partition, where it is a new row that the server checks
 * itself.
 */
static bool
fetch_returned_row(Round *round, const OrmTransition *transition)
{
	ItemPointerData tid = transition->old;

	for (;;)
	{
		HeapTupleHeader version;

		fetch_version(round, tid);
		if (table_tuple_satisfies_snapshot(round->rel, round->row, SnapshotSelf))
			return true;
		version = ExecFetchSlotHeapTuple(round->row, false, NULL)->t_data;
		if (HeapTupleHeaderIndicatesMovedPartitions(version) ||
			ItemPointerEquals(&version->t_ctid, &tid))
			return false;
		tid = version->t_ctid;
	}
}

/* Do what applies to deleted rows, one after the other. */
static void
act_row_by_row(Round *round)
{
	ListCell   *lc;

	for (int i = 0; i < round->nrows; i++)
	{
		fetch_version(round, round->rows[i].old);
		foreach(lc, round->actions)
		{
			Trigger    *trigger = lfirst(lc);

			if (trigger->tgfoid == F_RI_FKEY_CASCADE_DEL)
			{
				OrmCascade *cascade = orm_make_cascade(trigger->tgconstraint, 1);

				orm_add_to_cascade(cascade, round->row);
				orm_run_cascade(cascade, round->rows[i].stamp, round->transitions);
			}
			else
				check_row(round, trigger, TRIGGER_EVENT_DELETE);
		}
	}
}

/* Delete what refers to deleted rows, where nothing else applies to them. */
static void
act_on_all_rows(Round *round)
{
	const Trigger *trigger = linitial(round->actions);
	OrmCascade *cascade = orm_make_cascade(trigger->tgconstraint, round->nrows);

	for (int i = 0; i < round->nrows; i++)
	{
		fetch_version(round, round->rows[i].old);
		orm_add_to_cascade(cascade, round->row);
	}
	orm_run_cascade(cascade, round->rows[0].stamp, round->transitions);
}

/* See to rows that were deleted. */
static void
act_on_deleted_rows(Round *round)
{
	if (round->actions == NIL)
		return;
	if (list_length(round->actions) == 1 &&
		((Trigger *) linitial(round->actions))->tgfoid == F_RI_FKEY_CASCADE_DEL)
		act_on_all_rows(round);
	else
		act_row_by_row(round);
}

/* Leave the check of a foreign key out, by which rows came back with their parents. */
static List *
leave_out_reference(List *actions, Oid along)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (!OidIsValid(along))
		return actions;
	foreach(lc, actions)
	{
		if (orm_topmost_constraint(((Trigger *) lfirst(lc))->tgconstraint) !=
			orm_topmost_constraint(along))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* Check the references of rows that were brought back. */
static void
check_returned_rows(Round *round)
{
	ListCell   *lc;

	if (round->actions == NIL)
		return;
	for (int i = 0; i < round->nrows; i++)
	{
		if (!fetch_returned_row(round, &round->rows[i]))
			continue;
		foreach(lc, round->actions)
			check_row(round, lfirst(lc), TRIGGER_EVENT_INSERT);
	}
}

/* How many rows at the head of the queue can be seen to together? */
static int
rows_of_round(const OrmTransitions *transitions)
{
	const OrmTransition *first = &transitions->rows[transitions->next];
	int			left = Min(transitions->count - transitions->next, ROWS_AT_ONCE);
	int			count = 1;

	while (count < left && first[count].relid == first->relid &&
		   first[count].deleted == first->deleted && first[count].stamp == first->stamp &&
		   first[count].along == first->along)
		count++;
	return count;
}

/* See to the rows at the head of the queue. */
static void
run_round(OrmTransitions *transitions, EState *estate)
{
	const OrmTransition *first = &transitions->rows[transitions->next];
	Oid			relid = first->relid;
	bool		deleted = first->deleted;
	Oid			along = first->along;
	Round		round = {.transitions = transitions,.estate = estate};
	TriggerDesc *triggers;

	/* the queue may grow, and move */
	round.nrows = rows_of_round(transitions);
	round.rows = palloc_array(OrmTransition, round.nrows);
	memcpy(round.rows, first, round.nrows * sizeof(OrmTransition));
	transitions->next += round.nrows;

	round.rel = table_open(relid, RowExclusiveLock);
	round.row = table_slot_create(round.rel, NULL);
	triggers = CopyTriggerDesc(round.rel->trigdesc);
	round.actions = applicable_actions(triggers, relid, deleted);
	if (deleted)
		act_on_deleted_rows(&round);
	else
	{
		round.actions = leave_out_reference(round.actions, along);
		check_returned_rows(&round);
	}
	ExecDropSingleTupleTableSlot(round.row);
	table_close(round.rel, NoLock);
}

/*
 * See to all rows of a queue, and to what comes of it.  "estate" is that of the
 * statement whose end it is.
 */
void
orm_act_on_transitions(OrmTransitions *transitions, EState *estate)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext foreign keys",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);

	CommandCounterIncrement();	/* the rows as they are now are to be seen */
	orm_action_depth++;
	PG_TRY();
	{
		while (transitions->next < transitions->count)
		{
			CHECK_FOR_INTERRUPTS();
			run_round(transitions, estate);
			MemoryContextReset(context);
		}
	}
	PG_FINALLY();
	{
		orm_action_depth--;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}
