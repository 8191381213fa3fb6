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
 * at hand, the trigger of the check gets a condition, or is off.  It is fired
 *	- WHEN the reference changes, or what was written before may not have been
 *	  checked yet,
 *	- AND the row is live, or what it refers to is not there at all.  A deleted
 *	  row may refer to a deleted one, and whoever removes that for good looks for
 *	  it.
 *
 * What a statement has written is checked at its end, so it is what the
 * outermost one has written, and those inside, that may not have been checked;
 * and everything where constraints may be deferred.  Rows that are restored are
 * all checked once they are back, but for references that stay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/nodes.h"
#include "rewrite/prs2lock.h"
#include "tcop/pquery.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "references.h"
#include "soft_delete.h"
#include "transition.h"
#include "util/names.h"

/* How many statements that change rows are being executed, one inside the other? */
static int	running_changes = 0;

/* The first one of them. */
static struct
{
	QueryDesc  *query_desc;
	CommandId	command;		/* that it writes rows with */
	bool		is_alone;		/* or inside a statement that we do not know? */
}			outermost;

/* One of them has ended, or failed. */
static void
end_change(void *arg)
{
	running_changes--;
}

/* Count a statement that changes rows, while it is executed. */
static void
begin_change(QueryDesc *query_desc)
{
	EState	   *estate = query_desc->estate;
	MemoryContextCallback *at_end = MemoryContextAlloc(estate->es_query_cxt,
													   sizeof(MemoryContextCallback));

	if (running_changes == 0)
	{
		outermost.query_desc = query_desc;
		outermost.command = estate->es_output_cid;
		outermost.is_alone = orm_trigger_depth() == 0 && !orm_is_in_scope(ORM_SCOPE_COPY_FROM);
	}
	at_end->func = end_change;
	at_end->arg = NULL;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, at_end);
	running_changes++;
}

/* May an UPDATE change one of some columns of the rows of a table? */
static bool
may_change_columns(EState *estate, ResultRelInfo *rri, int ncolumns, const AttrNumber *columns)
{
	Bitmapset  *assigned = ExecGetUpdatedCols(rri, estate);

	for (int i = 0; i < ncolumns; i++)
	{
		if (bms_is_member(columns[i] - FirstLowInvalidHeapAttributeNumber, assigned))
			return true;
	}
	return orm_rewritten_by_triggers(RelationGetRelid(rri->ri_RelationDesc));
}

/* May an UPDATE change what a row refers to by a foreign key? */
static bool
may_change_reference(EState *estate, ResultRelInfo *rri, Oid constraint)
{
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(rri->ri_RelationDesc))
	{
		ForeignKeyCacheInfo *key = lfirst_node(ForeignKeyCacheInfo, lc);

		if (key->conoid == constraint)
			return may_change_columns(estate, rri, key->nkeys, key->conkey);
	}
	return true;
}

/* Has a partition of a table a foreign key that the table has not? */
static bool
partitions_have_own_references(Oid relid)
{
	ListCell   *member;
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return false;
	foreach(member, find_all_inheritors(relid, NoLock, NULL))
	{
		if (lfirst_oid(member) == relid)
			continue;
		foreach(lc, orm_all_references_of(lfirst_oid(member)))
		{
			if (!OidIsValid(((OrmReference *) lfirst(lc))->parent))
				return true;
		}
	}
	return false;
}

/* The columns that other foreign keys have in common with a table, as such or as what they refer to. */
static Bitmapset *
columns_of_other_keys(Relation rel, Oid constraint)
{
	Bitmapset  *columns = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	ListCell   *lc;

	foreach(lc, orm_all_references_of(RelationGetRelid(rel)))
	{
		const OrmReference *other = lfirst(lc);

		for (int i = 0; i < other->nkeys && other->constraint != constraint; i++)
			columns = bms_add_member(columns, other->referencing_columns[i] -
									 FirstLowInvalidHeapAttributeNumber);
	}
	return columns;
}

/* When a key is passed on to the rows that refer to it, do these refer to yet other rows then? */
static bool
is_passed_on_further(const OrmReference *reference)
{
	Relation	rel = RelationIdGetRelation(reference->referencing);
	Bitmapset  *columns;
	bool		result;

	if (!RelationIsValid(rel))
		return true;
	columns = columns_of_other_keys(rel, orm_topmost_constraint(reference->constraint));
	result = partitions_have_own_references(RelationGetRelid(rel));
	RelationClose(rel);
	for (int i = 0; i < reference->nkeys; i++)
		result = result || bms_is_member(reference->referencing_columns[i] -
										 FirstLowInvalidHeapAttributeNumber, columns);
	return result;
}

/*
 * May an UPDATE change a key so that the rows that refer to it come to refer to
 * others?  With ON UPDATE CASCADE they go on to refer to the same.
 */
static bool
may_pass_key_on(EState *estate, ResultRelInfo *rri, const Trigger *trigger)
{
	OrmReference *reference;

	if (trigger->tgfoid != F_RI_FKEY_CASCADE_UPD && trigger->tgfoid != F_RI_FKEY_SETDEFAULT_UPD)
		return false;
	reference = orm_read_reference(trigger->tgconstraint);
	if (reference == NULL)
		return true;
	return may_change_columns(estate, rri, reference->nkeys, reference->referenced_columns) &&
		(trigger->tgfoid == F_RI_FKEY_SETDEFAULT_UPD || is_passed_on_further(reference));
}

/* May an UPDATE of one table have rows refer to others than before? */
static bool
update_makes_references(EState *estate, ResultRelInfo *rri)
{
	TriggerDesc *triggers = rri->ri_TrigDesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgfoid == F_RI_FKEY_CHECK_UPD &&
			may_change_reference(estate, rri, trigger->tgconstraint))
			return true;
		if (may_pass_key_on(estate, rri, trigger))
			return true;
	}
	return false;
}

/* May a part of a statement have rows refer to others than before? */
static bool
part_makes_references(const ModifyTableState *state)
{
	if (state->operation != CMD_UPDATE)
		return true;
	for (int i = 0; i < state->mt_nrels; i++)
	{
		if (update_makes_references(state->ps.state, &state->resultRelInfo[i]))
			return true;
	}
	/* a row may get to another partition */
	return partitions_have_own_references(RelationGetRelid(state->rootResultRelInfo->ri_RelationDesc));
}

/* May the outermost statement have rows refer to others than before? */
static bool
makes_references(void)
{
	PlanState  *top = outermost.query_desc->planstate;
	ListCell   *lc;

	if (IsA(top, ModifyTableState) && part_makes_references((ModifyTableState *) top))
		return true;
	foreach(lc, outermost.query_desc->estate->es_auxmodifytables)
	{
		if (lfirst(lc) != top && part_makes_references(lfirst(lc)))
			return true;
	}
	return false;
}

/*
 * Can a check that is being made be of a new reference, by a foreign key that is
 * not deferrable?  Not at the end of the transaction, where no portal is left, nor
 * where SET CONSTRAINTS says that it is time.
 */
bool
orm_may_check_at_once(void)
{
	if (running_changes == 0)
		return ActivePortal != NULL && !orm_is_in_scope(ORM_SCOPE_SET_CONSTRAINTS);
	return running_changes > 1 || !outermost.is_alone || makes_references();
}

/*
 * Has all been checked that was written before the statement at hand?  It is
 * alone, or a cascade from one that leaves nothing to be checked.
 */
static bool
is_nothing_pending(void)
{
	if (running_changes == 1 || !outermost.is_alone)
		return outermost.is_alone;
	return running_changes == 2 && orm_action_depth == 1 && orm_trigger_depth() == 1 &&
		!makes_references();
}

/* The relation of the outermost statement's that has an OID; NULL if there is none. */
static ResultRelInfo *
relation_of_outermost(Oid relid)
{
	EState	   *estate = outermost.query_desc->estate;
	ListCell   *lc;

	foreach(lc, estate->es_opened_result_relations)
	{
		if (RelationGetRelid(((ResultRelInfo *) lfirst(lc))->ri_RelationDesc) == relid)
			return lfirst(lc);
	}
	foreach(lc, estate->es_tuple_routing_result_relations)
	{
		if (RelationGetRelid(((ResultRelInfo *) lfirst(lc))->ri_RelationDesc) == relid)
			return lfirst(lc);
	}
	return NULL;
}

/* May the outermost statement have changed the reference of a row that it has written? */
static bool
outermost_may_change(Oid relid, HeapTupleHeader row, Oid constraint)
{
	ResultRelInfo *rri = relation_of_outermost(relid);

	return rri == NULL || !(row->t_infomask & HEAP_UPDATED) ||
		may_change_reference(outermost.query_desc->estate, rri, constraint);
}

/* May the reference of a row, which this transaction has written, not have been checked yet? */
static bool
may_be_pending(Oid relid, ItemPointer tid, Oid constraint)
{
	Relation	rel = table_open(relid, NoLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	HeapTupleHeader row;
	CommandId	command;
	bool		result;

	if (!table_tuple_fetch_row_version(rel, tid, SnapshotAny, slot))
		elog(ERROR, "failed to fetch a row of \"%s\" that was updated",
			 RelationGetRelationName(rel));
	row = ExecFetchSlotHeapTuple(slot, false, NULL)->t_data;
	command = HeapTupleHeaderGetCmin(row);
	result = command > outermost.command ||
		(command == outermost.command && outermost_may_change(relid, row, constraint));
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return result;
}

PG_FUNCTION_INFO_V1(orm_is_unchecked);

/*
 * orm_ext.is_unchecked(xmin xid, rel oid, place tid, foreign_key internal) → boolean
 *
 * May a reference not have been checked yet?  The arguments say which version of
 * a row it is, and by which foreign key (OrmReference).  For conditions of
 * triggers, below.
 */
Datum
orm_is_unchecked(PG_FUNCTION_ARGS)
{
	const OrmReference *reference = (OrmReference *) PG_GETARG_POINTER(3);

	if (!TransactionIdIsCurrentTransactionId(PG_GETARG_TRANSACTIONID(0)))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(!outermost.is_alone ||
				   may_be_pending(PG_GETARG_OID(1), (ItemPointer) PG_GETARG_POINTER(2),
								  reference->constraint));
}

/* OLD.column or NEW.column */
static Expr *
column_of_row(Relation rel, Index row, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	return (Expr *) makeVar(row, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
}

/* OLD.column IS DISTINCT FROM NEW.column, for each column of a foreign key. */
static List *
changed_conditions(Relation rel, const OrmReference *reference)
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
	return conditions;
}

/* A function of ours, as a condition. */
static Expr *
call_condition(const char *name, int nargs, const Oid *argtypes, List *args)
{
	return (Expr *) makeFuncExpr(orm_function(name, nargs, argtypes), BOOLOID, args,
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* OLD.xmin */
static Var *
old_xmin(void)
{
	return makeVar(PRS2_OLD_VARNO, MinTransactionIdAttributeNumber, XIDOID, -1, InvalidOid, 0);
}

/* A foreign key as an argument, for the statement at hand. */
static Const *
reference_argument(const OrmReference *reference)
{
	return makeConst(INTERNALOID, -1, InvalidOid, sizeof(Datum), PointerGetDatum(reference),
					 false, true);
}

/* Has this transaction written the row before? */
static Expr *
own_condition(void)
{
	Oid			argtypes[] = {XIDOID};

	return call_condition("is_own_change", 1, argtypes, list_make1(old_xmin()));
}

/* ... so that it may not have been checked? */
static Expr *
unchecked_condition(const OrmReference *reference)
{
	Oid			argtypes[] = {XIDOID, OIDOID, TIDOID, INTERNALOID};

	return call_condition("is_unchecked", 4, argtypes,
						  list_make4(old_xmin(),
									 makeVar(PRS2_OLD_VARNO, TableOidAttributeNumber, OIDOID,
											 -1, InvalidOid, 0),
									 makeVar(PRS2_OLD_VARNO, SelfItemPointerAttributeNumber, TIDOID,
											 -1, InvalidOid, 0),
									 reference_argument(reference)));
}

/* What the row refers to is not there. */
static Expr *
dangling_condition(Relation rel, const OrmReference *reference)
{
	Oid			argtypes[] = {RECORDOID, INTERNALOID};
	Var		   *row = makeVar(PRS2_NEW_VARNO, InvalidAttrNumber, rel->rd_rel->reltype, -1,
							  InvalidOid, 0);

	return call_condition("is_dangling", 2, argtypes,
						  list_make2(row, reference_argument(reference)));
}

/* When a check is to be made, as alternatives; none if never. */
static List *
occasions(EState *estate, ResultRelInfo *rri, const Trigger *trigger, const OrmReference *reference)
{
	Relation	rel = rri->ri_RelationDesc;
	List	   *result = NIL;

	if (may_change_reference(estate, rri, trigger->tgconstraint))
		result = changed_conditions(rel, reference);
	if (orm_is_return() && !orm_is_kept(reference))
		return result;
	if (orm_may_be_deferred(trigger))
		result = lappend(result, own_condition());
	else if (!is_nothing_pending())
	{
		result = lappend(result, unchecked_condition(reference));
		result = lappend(result, make_andclause(list_make2(own_condition(),
														   dangling_condition(rel, reference))));
	}
	return result;
}

/* Spare the check of a reference by one trigger, but of one with PERIOD. */
static void
spare_check(EState *estate, ResultRelInfo *rri, Trigger *trigger)
{
	Relation	rel = rri->ri_RelationDesc;
	OrmReference *reference = orm_read_reference(trigger->tgconstraint);
	OrmMarker	marker;
	List	   *conditions;
	Expr	   *condition;

	if (reference == NULL || reference->temporal)
		return;
	conditions = occasions(estate, rri, trigger, reference);
	if (conditions == NIL)
	{
		trigger->tgenabled = TRIGGER_DISABLED;
		return;
	}
	condition = list_length(conditions) == 1 ? linitial(conditions) : make_orclause(conditions);
	if (orm_soft_delete_marker(RelationGetRelid(rel), &marker))
		condition = make_andclause(list_make2(condition,
											  make_orclause(list_make2(orm_live_condition(&marker, PRS2_NEW_VARNO),
																	   dangling_condition(rel, reference)))));
	trigger->tgqual = nodeToString(condition);
}

/* Is a trigger's check spared without a look at the rows?  That is the rule. */
static bool
is_never_needed(EState *estate, ResultRelInfo *rri, const Trigger *trigger)
{
	return !orm_may_be_deferred(trigger) && is_nothing_pending() &&
		!may_change_reference(estate, rri, trigger->tgconstraint);
}

/*
 * Spare the checks of references that an UPDATE of one table leaves as they are.
 * Of a partitioned one, the server checks nothing: its partitions do.
 */
void
orm_spare_checks_of(EState *estate, ResultRelInfo *rri)
{
	TriggerDesc *triggers = rri->ri_TrigDesc;
	MemoryContext oldcontext;

	if (rri->ri_RelationDesc->rd_rel->relkind != RELKIND_RELATION)
		return;
	oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (trigger->tgfoid != F_RI_FKEY_CHECK_UPD ||
			!orm_is_enforced(RelationGetRelid(rri->ri_RelationDesc), trigger->tgconstrrelid))
			continue;
		if (is_never_needed(estate, rri, trigger))
			trigger->tgenabled = TRIGGER_DISABLED;
		else
			spare_check(estate, rri, trigger);
	}
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Do so for all tables that a statement updates, when it is about to be executed.
 * A transaction that has written nothing has nothing to spare.
 */
void
orm_spare_reference_checks(QueryDesc *query_desc)
{
	ListCell   *lc;

	if (query_desc->plannedstmt->resultRelations == NIL)
		return;
	begin_change(query_desc);
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
	{
		foreach(lc, query_desc->estate->es_opened_result_relations)
			orm_spare_checks_of(query_desc->estate, lfirst(lc));
	}
	orm_end_return();
}
