/*-------------------------------------------------------------------------
 *
 * reference_check.c
 *		No check of a reference that has not changed.
 *
 * When a row is updated, the server checks its references only where they
 * change, but for a row that the same transaction has written before: that one
 * it always checks.  For a row that goes with the one that it refers to, or that
 * lives on and has kept its reference (ON DELETE SET NULL, SET DEFAULT), the
 * check would fail, although nobody touches the reference.  So for the statement
 * at hand, the trigger of the check is off if the reference is not assigned, and
 * otherwise gets a condition: WHEN the reference changes.
 *
 * That is right where the check of the row, as it was written before, has been
 * made.  It has not where constraints can be deferred, nor inside another
 * statement that changes rows, or a trigger: what that has written is checked at
 * its end, unless it is no more by then.  Rows that are restored are all checked
 * once they are back, so there it is right in any case, but for references that
 * stay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/nodes.h"
#include "rewrite/prs2lock.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "references.h"
#include "soft_delete.h"
#include "transition.h"

/* OLD.column or NEW.column */
static Expr *
column_of_row(Relation rel, Index row, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	return (Expr *) makeVar(row, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
}

/* OLD.column IS DISTINCT FROM NEW.column, for any column of a foreign key. */
static char *
changed_condition(Relation rel, const OrmReference *reference)
{
	List	   *conditions = NIL;

	for (int i = 0; i < reference->nkeys; i++)
	{
		AttrNumber	attno = reference->referencing_columns[i];
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
		DistinctExpr *distinct = makeNode(DistinctExpr);

		distinct->opno = reference->same_operators[i];
		set_opfuncid((OpExpr *) distinct);
		distinct->opresulttype = BOOLOID;
		distinct->inputcollid = att->attcollation;
		distinct->args = list_make2(column_of_row(rel, PRS2_OLD_VARNO, attno),
									column_of_row(rel, PRS2_NEW_VARNO, attno));
		distinct->location = -1;
		conditions = lappend(conditions, distinct);
	}
	return nodeToString(list_length(conditions) == 1 ? linitial(conditions) :
						make_orclause(conditions));
}

/* May a statement change a reference of a row that it updates? */
static bool
may_change_reference(EState *estate, ResultRelInfo *rri, const OrmReference *reference)
{
	Bitmapset  *assigned = ExecGetUpdatedCols(rri, estate);

	for (int i = 0; i < reference->nkeys; i++)
	{
		if (bms_is_member(reference->referencing_columns[i] - FirstLowInvalidHeapAttributeNumber,
						  assigned))
			return true;
	}
	return orm_rewritten_by_triggers(RelationGetRelid(rri->ri_RelationDesc));
}

/* How many statements that change rows are being executed? */
static int	running_changes = 0;

/* One of them has ended, or failed. */
static void
end_change(void *arg)
{
	running_changes--;
}

/* Count a statement that changes rows, while it is executed. */
static void
begin_change(EState *estate)
{
	MemoryContextCallback *at_end = MemoryContextAllocZero(estate->es_query_cxt,
														   sizeof(MemoryContextCallback));

	at_end->func = end_change;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, at_end);
	running_changes++;
}

/*
 * Is nothing pending that was written before the statement at hand?  It is alone,
 * or follows from a DELETE that is, which leaves nothing to be checked.
 */
static bool
is_nothing_pending(void)
{
	if (orm_acting_for_delete)
		return running_changes == 2 && orm_trigger_depth() == 1;
	return running_changes == 1 && orm_trigger_depth() == 0;
}

/* The foreign key whose check can be spared in the statement at hand; NULL if it can not. */
static OrmReference *
spared_reference(const Trigger *trigger)
{
	bool		is_made_already = !trigger->tgdeferrable && is_nothing_pending();
	OrmReference *reference;

	if (!is_made_already && !orm_is_return())
		return NULL;
	reference = orm_read_reference(trigger->tgconstraint);
	if (reference && (reference->temporal || (!is_made_already && orm_is_kept(reference))))
		return NULL;
	return reference;
}

/* Spare the checks of references that an UPDATE of one table leaves as they are. */
static void
spare_checks_of(EState *estate, ResultRelInfo *rri)
{
	Relation	rel = rri->ri_RelationDesc;
	TriggerDesc *triggers = rri->ri_TrigDesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		OrmReference *reference;

		if (trigger->tgfoid != F_RI_FKEY_CHECK_UPD ||
			!orm_is_enforced(RelationGetRelid(rel), trigger->tgconstrrelid))
			continue;
		reference = spared_reference(trigger);
		if (reference == NULL)
			continue;
		if (may_change_reference(estate, rri, reference))
			trigger->tgqual = changed_condition(rel, reference);
		else
			trigger->tgenabled = TRIGGER_DISABLED;
	}
}

/* Do so for all tables that a statement updates, when it is about to be executed. */
void
orm_spare_reference_checks(QueryDesc *query_desc)
{
	EState	   *estate = query_desc->estate;
	MemoryContext oldcontext;
	ListCell   *lc;

	if (query_desc->plannedstmt->resultRelations == NIL)
		return;
	begin_change(estate);
	oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	foreach(lc, estate->es_opened_result_relations)
		spare_checks_of(estate, lfirst(lc));
	MemoryContextSwitchTo(oldcontext);
	orm_end_return();
}
