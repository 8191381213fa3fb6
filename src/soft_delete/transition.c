/*-------------------------------------------------------------------------
 *
 * transition.c
 *		Rows that a statement deletes softly, or brings back.
 *
 * What a foreign key asks for follows from a row's change from live to deleted
 * or back, whoever makes it: a DELETE, a MERGE, an application's own UPDATE of
 * the marker, a trigger.  All of them are an UPDATE to the executor.  So when a
 * statement begins that may change a marker of a table with foreign keys, the
 * trigger that declares soft delete is told to fire before its updates too, as
 * the last one, when the row is what it will be.  (To declare it so for good
 * would have every UPDATE pay.)  It notes each row, and at the end of the
 * statement, where the server looks after foreign keys, actions.c does.
 *
 * Statements that run inside another note their rows apart, but for those that
 * actions.c runs itself: what they do is done to the end of the queue that is
 * being worked off, as in the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "lib/ilist.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "cascade.h"
#include "plan_rows.h"
#include "references.h"
#include "row_lock.h"
#include "soft_delete.h"
#include "transition.h"

/* A statement in execution that may change markers. */
typedef struct WatchedStatement
{
	dlist_node	node;
	MemoryContext query;		/* of its executor */
	OrmTransitions *transitions;
	Oid			along;			/* foreign key along which it brings rows back */
	OrmTransitions own;
	Oid			relid;			/* the relation whose rows it changes now */
	TupleTableSlot *slot;		/* to lock them by, NULL if there is no need */
	MemoryContextCallback at_end;
} WatchedStatement;

/* Those in execution: few, since one is nested in the other. */
static dlist_head statements = DLIST_STATIC_INIT(statements);

/* Where rows are noted while they are held back, NULL if they are not. */
static OrmTransitions *held = NULL;

/* Is the next statement one that brings rows back?  And along which foreign key? */
static bool next_returns = false;
static Oid	next_along = InvalidOid;

/* A statement has ended, or failed. */
static void
forget_statement(void *arg)
{
	dlist_delete(&((WatchedStatement *) arg)->node);
}

/* The watched statement whose executor has a memory context; NULL if there is none. */
static WatchedStatement *
find_statement(MemoryContext query)
{
	dlist_iter	iter;

	dlist_foreach(iter, &statements)
	{
		WatchedStatement *statement = dlist_container(WatchedStatement, node, iter.cur);

		if (statement->query == query)
			return statement;
	}
	return NULL;
}

/* Begin to watch a statement.  What it does goes to "transitions", or a list of its own. */
static void
watch_statement(MemoryContext query, OrmTransitions *transitions)
{
	WatchedStatement *statement = MemoryContextAllocZero(query, sizeof(WatchedStatement));

	statement->query = query;
	statement->own.context = query;
	statement->transitions = transitions ? transitions : &statement->own;
	statement->along = next_along;
	statement->at_end.func = forget_statement;
	statement->at_end.arg = statement;
	dlist_push_head(&statements, &statement->node);
	MemoryContextRegisterResetCallback(query, &statement->at_end);
}

/* May the updates that a statement makes to a relation change its marker? */
static bool
may_change_marker(EState *estate, ResultRelInfo *rri, const OrmMarker *marker)
{
	return bms_is_member(marker->attno - FirstLowInvalidHeapAttributeNumber,
						 ExecGetUpdatedCols(rri, estate)) ||
		orm_rewritten_by_triggers(RelationGetRelid(rri->ri_RelationDesc));
}

/* Have the declaration of soft delete fire before updates, after all other triggers. */
static void
fire_before_updates(TriggerDesc *triggers)
{
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger		declaration = triggers->triggers[i];

		if (!orm_is_soft_delete_trigger(&declaration) ||
			!orm_trigger_fires(declaration.tgenabled))
			continue;
		memmove(&triggers->triggers[i], &triggers->triggers[i + 1],
				(triggers->numtriggers - i - 1) * sizeof(Trigger));
		declaration.tgtype |= TRIGGER_TYPE_UPDATE;
		triggers->triggers[triggers->numtriggers - 1] = declaration;
		triggers->trig_update_before_row = true;
		return;
	}
}

/* May a statement change the marker of a relation whose foreign keys hold for live rows? */
static bool
may_delete_rows(EState *estate, ResultRelInfo *rri)
{
	Oid			relid = RelationGetRelid(rri->ri_RelationDesc);
	OrmMarker	marker;

	return rri->ri_TrigDesc != NULL &&
		orm_soft_delete_foreign_keys(relid) &&
		orm_soft_delete_marker(relid, &marker) &&
		may_change_marker(estate, rri, &marker);
}

/*
 * Watch the marker of a relation that a statement changes, if it matters.  Where
 * rows are only deleted, what they refer to does not.
 */
static bool
watch_relation(EState *estate, ResultRelInfo *rri, bool only_deletes)
{
	Oid			relid = RelationGetRelid(rri->ri_RelationDesc);

	if (rri->ri_RelationDesc->rd_rel->relkind != RELKIND_RELATION ||
		!may_delete_rows(estate, rri) ||
		!(orm_is_referred_to(rri->ri_TrigDesc, relid) ||
		  (!only_deletes && orm_refers(rri->ri_TrigDesc, relid))))
		return false;
	fire_before_updates(rri->ri_TrigDesc);
	return true;
}

/*
 * The partitions that an INSERT gets to become known one by one, when there is a
 * row for them, so with ON CONFLICT DO UPDATE find each out before its first row
 * does.
 */
static void
watch_partition(void *arg, TupleTableSlot *row)
{
	ModifyTableState *mtstate = arg;
	EState	   *estate = mtstate->ps.state;
	int			known = list_length(estate->es_tuple_routing_result_relations);
	ResultRelInfo *rri = ExecFindPartition(mtstate, mtstate->rootResultRelInfo,
										   mtstate->mt_partition_tuple_routing, row, estate);
	MemoryContext oldcontext;

	if (list_length(estate->es_tuple_routing_result_relations) == known)
		return;
	oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	if (watch_relation(estate, rri, false))
		orm_lock_for_upsert(mtstate, rri);
	orm_spare_checks_of(estate, rri);
	MemoryContextSwitchTo(oldcontext);
}

/* Does it matter which partitions an upsert gets to: for their marker, or their references? */
static bool
concerns_partitions(EState *estate, ResultRelInfo *root)
{
	return may_delete_rows(estate, root) ||
		orm_refers(root->ri_TrigDesc, RelationGetRelid(root->ri_RelationDesc));
}

/* Watch the partitions that an upsert may change. */
static bool
watch_upsert(PlanState *state)
{
	ModifyTableState *mtstate = (ModifyTableState *) state;

	if (state == NULL || !IsA(state, ModifyTableState) ||
		((ModifyTable *) state->plan)->onConflictAction != ONCONFLICT_UPDATE ||
		mtstate->mt_partition_tuple_routing == NULL ||
		!concerns_partitions(state->state, mtstate->rootResultRelInfo))
		return false;
	orm_watch_rows(outerPlanState(state), watch_partition, mtstate);
	return true;
}

/* Watch the markers that a statement may change, when it is about to be executed. */
void
orm_watch_markers(QueryDesc *query_desc)
{
	EState	   *estate = query_desc->estate;
	OrmTransitions *transitions;
	bool		only_deletes;
	bool		watched = false;
	ListCell   *lc;

	if (query_desc->plannedstmt->resultRelations == NIL)
		return;
	only_deletes = query_desc->operation == CMD_DELETE && !query_desc->plannedstmt->hasModifyingCTE;
	transitions = orm_begin_cascade(query_desc);
	foreach(lc, estate->es_opened_result_relations)
		watched |= watch_relation(estate, lfirst(lc), only_deletes);
	watched |= watch_upsert(query_desc->planstate);
	foreach(lc, estate->es_auxmodifytables)
		watched |= lfirst(lc) != query_desc->planstate && watch_upsert(lfirst(lc));
	if (watched)
		watch_statement(estate->es_query_cxt, transitions ? transitions : held);
}

/*
 * Tell that all rows of the next statement come back, while transitions are held
 * back: they are checked when these are released.  If their parents by a foreign
 * key are back already, that reference need not be checked: should somebody
 * delete a parent again, the rows go with it upon the release.
 */
void
orm_begin_return(Oid along)
{
	next_returns = true;
	next_along = along;
}

/* The statement has begun, or failed before. */
void
orm_end_return(void)
{
	next_returns = false;
	next_along = InvalidOid;
}

/* Is the statement that is about to be executed such a one? */
bool
orm_is_return(void)
{
	return next_returns;
}

/* Append a row to those that are to be seen to. */
static void
add_transition(OrmTransitions *transitions, const OrmTransition *transition)
{
	if (transitions->count == transitions->size)
	{
		transitions->size = Max(64, transitions->size * 2);
		if (transitions->rows == NULL)
			transitions->rows = MemoryContextAlloc(transitions->context,
												   transitions->size * sizeof(OrmTransition));
		else
			transitions->rows = repalloc_huge(transitions->rows,
											  transitions->size * sizeof(OrmTransition));
	}
	transitions->rows[transitions->count++] = *transition;
}

/* A statement goes on to another relation: prepare to lock its rows. */
static void
enter_relation(WatchedStatement *statement, Relation rel)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(statement->query);
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	statement->relid = RelationGetRelid(rel);
	statement->slot = NULL;
	if (orm_is_referred_to(triggers, statement->relid) || orm_refers(triggers, statement->relid))
		/* with a descriptor of its own, which nobody has to release */
		statement->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)),
												   table_slot_callbacks(rel));
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Lock a row that is to be marked as a DELETE would.  As a rule that is done,
 * before the executor took a weaker lock (row_lock.c); but that a trigger marks
 * the row, or that an upsert meets one which has only just been inserted, nobody
 * could tell before.
 */
static void
lock_row(WatchedStatement *statement, Relation rel, ItemPointerData tid)
{
	TM_FailureData failure;

	if (statement->relid != RelationGetRelid(rel))
		enter_relation(statement, rel);
	if (statement->slot == NULL)
		return;
	if (table_tuple_lock(rel, &tid, GetActiveSnapshot(), statement->slot,
						 GetCurrentCommandId(false), LockTupleExclusive,
						 LockWaitBlock, 0, &failure) != TM_Ok)
		elog(ERROR, "could not lock a row of \"%s\" that is to be marked",
			 RelationGetRelationName(rel));
	ExecClearTuple(statement->slot);
}

/* Note a row of an UPDATE that becomes a deleted one, or a live one. */
void
orm_note_transition(const TriggerData *trigdata, const OrmMarker *marker)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	MemoryContext query = trigdata->tg_trigslot->tts_mcxt;
	WatchedStatement *statement;
	OrmTransition transition;
	bool		isnull;
	bool		was_live;
	Datum		value;

	value = heap_getattr(trigdata->tg_trigtuple, marker->attno, desc, &isnull);
	was_live = orm_marker_is_live(marker, value, isnull);
	value = heap_getattr(trigdata->tg_newtuple, marker->attno, desc, &isnull);
	if (was_live == orm_marker_is_live(marker, value, isnull))
		return;

	statement = find_statement(query);
	if (statement == NULL)
		elog(ERROR, "nobody watches the marker of table \"%s\"",
			 RelationGetRelationName(trigdata->tg_relation));
	if (was_live)
		lock_row(statement, trigdata->tg_relation, trigdata->tg_trigtuple->t_self);
	transition.relid = RelationGetRelid(trigdata->tg_relation);
	transition.old = trigdata->tg_trigtuple->t_self;
	transition.deleted = was_live;
	transition.stamp = was_live ? orm_stamp_of_deletion(query, marker, value) : 0;
	transition.along = was_live ? InvalidOid : statement->along;
	add_transition(statement->transitions, &transition);
}

/*
 * Have the data-modifying statements in WITH do what nobody has read of them,
 * which the server would do next (ExecPostprocessPlan()).
 */
static void
finish_modifying_ctes(EState *estate)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	ListCell   *lc;

	estate->es_direction = ForwardScanDirection;
	foreach(lc, estate->es_auxmodifytables)
	{
		TupleTableSlot *row;

		do
		{
			ResetPerTupleExprContext(estate);
			row = ExecProcNode(lfirst(lc));
		} while (!TupIsNull(row));
	}
	MemoryContextSwitchTo(oldcontext);
}

/* See to the rows that a statement has noted, when it ends. */
void
orm_settle_transitions(QueryDesc *query_desc)
{
	EState	   *estate = query_desc->estate;
	WatchedStatement *statement;

	if (likely(dlist_is_empty(&statements)))
		return;
	statement = find_statement(estate->es_query_cxt);
	if (statement == NULL)
		return;
	finish_modifying_ctes(estate);
	if (statement->own.count > 0)
		orm_act_on_transitions(&statement->own, estate);
}

/* The memory of what was held back is gone, by error at the latest. */
static void
forget_held(void *arg)
{
	held = NULL;
}

/*
 * Hold back what follows from the statements to come, until
 * orm_release_transitions(): rows that refer to each other can then be brought
 * back one table after the other.  What is noted lives as long as the current
 * memory context.
 */
void
orm_hold_transitions(void)
{
	MemoryContextCallback *at_end = palloc(sizeof(MemoryContextCallback));

	if (held)
		elog(ERROR, "transitions are held back already");
	held = palloc0_object(OrmTransitions);
	held->context = CurrentMemoryContext;
	at_end->func = forget_held;
	at_end->arg = NULL;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, at_end);
}

/* See to all that was held back. */
void
orm_release_transitions(void)
{
	OrmTransitions *transitions = held;
	EState	   *estate;

	held = NULL;
	if (transitions == NULL || transitions->count == 0)
		return;
	estate = CreateExecutorState();

	/* checks that are deferred are handed to the server's queue */
	AfterTriggerBeginQuery();
	orm_act_on_transitions(transitions, estate);
	AfterTriggerEndQuery(estate);
	ExecCloseResultRelations(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
}
