/*-------------------------------------------------------------------------
 *
 * direct.c
 *		Writing the rows of a bulk upsert without a statement.
 *
 * Most tables need nothing of what only a statement does: they have no
 * policies of row-level security, no partitions, no triggers for statements,
 * and no trigger of somebody else before an INSERT.  Their rows are looked up
 * in the unique index and written as logical replication writes them
 * (execReplication.c), in the order of the key, which saves the executor's
 * nodes, a second look-up and the token of ON CONFLICT: a third to a half of
 * the time.
 *
 * What ON CONFLICT is for is what others do at the same time.  Here such a row
 * ends the attempt: a unique violation, or a row that was changed since it was
 * looked up.  All that was written is rolled back to before the first row, and
 * the statement does the work.  Rows are locked in the same order both ways.
 *
 * That takes a subtransaction, which a single row does without if it exists:
 * either it was changed, and then nothing is written, or it is updated, and a
 * unique violation is what ON CONFLICT would run into as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "compat.h"
#include "run.h"
#include "util/names.h"
#include "util/spi.h"

/* What writing takes, besides the run. */
typedef struct DirectWrite
{
	OrmUpsertRun *run;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *result;
	EPQState	epq;
	OrmLookup  *lookup;
	bool		collects;		/* do new rows wait for each other? */
	OrmInsertBuffer *buffer;	/* ... if there are any */
	TupleTableSlot *existing;	/* the row that has the key */
	TupleTableSlot *new_row;
} DirectWrite;

/* Can a trigger of a table be fired by writing rows one by one? */
static bool
allows_trigger(const Trigger *trigger)
{
	if (!TRIGGER_FOR_INSERT(trigger->tgtype) && !TRIGGER_FOR_UPDATE(trigger->tgtype))
		return true;
	if (!TRIGGER_FOR_ROW(trigger->tgtype) || trigger->tgoldtable || trigger->tgnewtable)
		return false;
	return !TRIGGER_FOR_BEFORE(trigger->tgtype) || orm_library_symbol(trigger->tgfoid) != NULL;
}

/* Does a column that is not supplied need a check of its domain? */
static bool
needs_domain_check(const OrmUpsertTarget *target)
{
	for (int i = 0; i < target->rowtype->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(target->rowtype, i);

		if (!att->attisdropped && !att->attgenerated && target->defaults[i] == NULL &&
			(target->positions[i] < 0 || bms_is_member(i + 1, target->partial)) &&
			DomainHasConstraints(att->atttypid))
			return true;
	}
	return false;
}

/*
 * May an update delete rows softly, or bring them back?  What foreign keys make
 * of that is seen to by the executor's end of a statement.
 */
static bool
may_change_marker(Oid relid, const OrmUpsertTarget *target)
{
	OrmMarker	marker;

	return orm_soft_delete_marker(relid, &marker) && orm_soft_delete_foreign_keys(relid) &&
		(bms_is_member(marker.attno, target->update) || orm_rewritten_by_triggers(relid));
}

/* May the rows of a table be written directly? */
static bool
may_write_directly(Relation rel, const OrmUpsertTarget *target)
{
	const TriggerDesc *triggers;

	if (may_change_marker(RelationGetRelid(rel), target))
		return false;
	triggers = rel->trigdesc;
	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rules != NULL ||
		rel->rd_rel->relrowsecurity || target->options.on_deleted != ORM_DELETED_INSERT ||
		needs_domain_check(target) || (target->returning && orm_has_virtual_columns(target->rowtype)))
		return false;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (!allows_trigger(&triggers->triggers[i]))
			return false;
	}
	return true;
}

/* A set of columns, as permissions name them. */
static Bitmapset *
permission_columns(const AttrNumber *columns, int count)
{
	Bitmapset  *set = NULL;

	for (int i = 0; i < count; i++)
		set = bms_add_member(set, columns[i] - FirstLowInvalidHeapAttributeNumber);
	return set;
}

/* The columns that an existing row is given. */
static Bitmapset *
updated_columns(const OrmUpsertTarget *target)
{
	Bitmapset  *set = NULL;
	int			attno = -1;

	while ((attno = bms_next_member(target->update, attno)) >= 0)
		set = bms_add_member(set, attno - FirstLowInvalidHeapAttributeNumber);
	if (target->version != InvalidAttrNumber && !target->version_is_kept)
		set = bms_add_member(set, target->version - FirstLowInvalidHeapAttributeNumber);
	return set;
}

/*
 * Is an existing row to be locked before it is updated?  Its triggers and
 * conditions are to see what others have made of it, and what is computed from
 * it too.
 */
static bool
needs_lock_first(Relation rel, const OrmUpsertTarget *target)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	return (rel->trigdesc && rel->trigdesc->trig_update_before_row) || rel->rd_rel->relispartition ||
		(constr && (constr->num_check > 0 || constr->has_generated_stored)) ||
		orm_has_virtual_columns(RelationGetDescr(rel)) ||
		(target->version != InvalidAttrNumber && !target->version_is_kept);
}

/* Find out what is to be known of a table to write its rows directly, if they may be. */
void
orm_prepare_direct(Relation rel, OrmUpsertTarget *target)
{
	int			attno = -1;

	target->direct = may_write_directly(rel, target);
	if (!target->direct)
		return;
	target->locks_first = needs_lock_first(rel, target);
	target->inserted = permission_columns(target->columns, target->ncolumns);
	if (target->options.on_conflict == ORM_CONFLICT_UPDATE)
		target->updated = updated_columns(target);
	target->selected = permission_columns(target->compared, target->ncompared);
	if (target->returning)
		target->selected = bms_add_member(target->selected,
										  InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber);
	while ((attno = bms_next_member(target->arbiter.referenced, attno)) >= 0)
		target->selected = bms_add_member(target->selected, attno - FirstLowInvalidHeapAttributeNumber);
}

/* The index that decides, among those that are open for writing. */
static Relation
arbiter_index(const DirectWrite *write)
{
	for (int i = 0; i < write->result->ri_NumIndices; i++)
	{
		if (RelationGetRelid(write->result->ri_IndexRelationDescs[i]) == write->run->target->arbiter.index)
			return write->result->ri_IndexRelationDescs[i];
	}
	elog(ERROR, "index %u is not open", write->run->target->arbiter.index);
}

/* Check permissions as for the statement, and set the executor's state up. */
static void
begin_executor(DirectWrite *write)
{
	const OrmUpsertTarget *target = write->run->target;
	EState	   *estate = orm_rows_estate(write->run->rows);

	if (XactReadOnly && !write->rel->rd_islocaltemp)
		PreventCommandIfReadOnly("INSERT");
	PreventCommandIfParallelMode("INSERT");
	orm_exec_range_table(estate, write->rel,
						 ACL_SELECT | ACL_INSERT | (bms_is_empty(target->updated) ? 0 : ACL_UPDATE),
						 target->selected, target->inserted, target->updated);
	estate->es_snapshot = GetActiveSnapshot();
	estate->es_output_cid = GetCurrentCommandId(true);
	write->estate = estate;
	write->result = makeNode(ResultRelInfo);
	InitResultRelInfo(write->result, write->rel, 1, NULL, 0);
	estate->es_opened_result_relations = list_make1(write->result);
	ExecOpenIndices(write->result, false);

	/* for all generated columns, before somebody asks which an update changes */
	orm_init_generated(write->result, estate, CMD_INSERT);
	orm_eval_plan_qual_init(&write->epq, estate);
	write->existing = table_slot_create(write->rel, &estate->es_tupleTable);
	write->new_row = ExecInitExtraTupleSlot(estate, RelationGetDescr(write->rel), &TTSOpsVirtual);
	write->lookup = orm_begin_lookup(target, write->rel, arbiter_index(write), estate->es_snapshot,
									 write->existing, write->run->nrows);
	write->collects = write->run->nrows > 1 &&
		(write->rel->trigdesc == NULL || !write->rel->trigdesc->trig_insert_before_row);
}

/* Return the row in a slot, if rows are returned. */
static void
keep_row(DirectWrite *write, TupleTableSlot *slot)
{
	if (write->run->target->returning)
		orm_keep_result(write->run, ExecFetchSlotHeapTupleDatum(slot));
}

/* A new row: what is supplied, and defaults. */
static void
form_new_row(DirectWrite *write)
{
	OrmUpsertRun *run = write->run;
	TupleTableSlot *slot = ExecClearTuple(write->new_row);

	for (int i = 0; i < run->target->rowtype->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(run->target->rowtype, i);

		slot->tts_isnull[i] = true;
		slot->tts_values[i] = (Datum) 0;
		if (att->attisdropped || att->attgenerated)
			continue;
		if (run->target->positions[i] >= 0 &&
			(!bms_is_member(i + 1, run->target->partial) || orm_row_supplies(run, i + 1)))
			slot->tts_values[i] = orm_row_value(run, i + 1, &slot->tts_isnull[i]);
		else
			slot->tts_values[i] = orm_default_value(run->rows, i + 1, &slot->tts_isnull[i]);
	}
	ExecStoreVirtualTuple(slot);
}

/* Insert the row; a trigger may prevent it. */
static void
insert_row(DirectWrite *write)
{
	orm_check_identity(write->run);
	form_new_row(write);
	if (write->collects)
	{
		if (write->buffer == NULL)
			write->buffer = orm_begin_buffer(write->run, write->estate, write->result);
		orm_buffer_row(write->buffer, write->new_row);
		write->run->written = true;
		keep_row(write, write->new_row);
		return;
	}
	ItemPointerSetInvalid(&write->new_row->tts_tid);
	ExecSimpleRelationInsert(write->result, write->estate, write->new_row);
	write->run->written = ItemPointerIsValid(&write->new_row->tts_tid);
	if (write->run->written)
		keep_row(write, write->new_row);
}

/* Raise a version that no trigger keeps. */
static void
raise_version(DirectWrite *write, TupleTableSlot *slot)
{
	const OrmUpsertTarget *target = write->run->target;
	int			i = target->version - 1;

	if (target->version == InvalidAttrNumber || target->version_is_kept || slot->tts_isnull[i])
		return;
	slot->tts_values[i] = orm_next_version(target, slot->tts_values[i]);
}

/* The existing row with what it takes over. */
static void
form_updated_row(DirectWrite *write)
{
	const OrmUpsertTarget *target = write->run->target;
	TupleTableSlot *slot = ExecClearTuple(write->new_row);
	int			attno = -1;

	slot_getallattrs(write->existing);
	memcpy(slot->tts_values, write->existing->tts_values, sizeof(Datum) * target->rowtype->natts);
	memcpy(slot->tts_isnull, write->existing->tts_isnull, sizeof(bool) * target->rowtype->natts);
	while ((attno = bms_next_member(target->update, attno)) >= 0)
	{
		if (!bms_is_member(attno, target->partial) || orm_row_supplies(write->run, attno))
			slot->tts_values[attno - 1] = orm_row_value(write->run, attno, &slot->tts_isnull[attno - 1]);
	}
	raise_version(write, slot);
	ExecStoreVirtualTuple(slot);
}

/* Does the updated row lack a value that it has to have? */
static bool
lacks_value(const TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;

	for (int i = 0; desc->constr && desc->constr->has_not_null && i < desc->natts; i++)
	{
		if (slot->tts_isnull[i] && TupleDescAttr(desc, i)->attnotnull)
			return true;
	}
	return false;
}

/* Lock the existing row, check what it becomes and write that; a trigger may prevent it. */
static bool
lock_and_update(DirectWrite *write)
{
	TM_FailureData failure;

	if (table_tuple_lock(write->rel, &write->existing->tts_tid, write->estate->es_snapshot,
						 write->existing, write->estate->es_output_cid,
						 ExecUpdateLockMode(write->estate, write->result),
						 LockWaitBlock, 0, &failure) != TM_Ok)
		return false;
	form_updated_row(write);
	ItemPointerSetInvalid(&write->new_row->tts_tid);
	ExecSimpleRelationUpdate(write->result, write->estate, &write->epq,
							 write->existing, write->new_row);
	write->run->written = ItemPointerIsValid(&write->new_row->tts_tid);
	return true;
}

/* The same where there is nothing to be checked and fired before it is written. */
static bool
update_at_once(DirectWrite *write)
{
	TM_FailureData failure;
	LockTupleMode lock;
	OrmUpdateIndexes indexes;
	List	   *recheck;

	CheckCmdReplicaIdentity(write->rel, CMD_UPDATE);
	if (table_tuple_update(write->rel, &write->existing->tts_tid, write->new_row,
						   write->estate->es_output_cid, write->estate->es_snapshot,
						   InvalidSnapshot, true, &failure, &lock, &indexes) != TM_Ok)
		return false;
	recheck = orm_update_index_tuples(write->result, write->new_row, write->estate, indexes);
	ExecARUpdateTriggers(write->estate, write->result, NULL, NULL, &write->existing->tts_tid, NULL,
						 write->new_row, recheck, NULL, false);
	list_free(recheck);
	write->run->written = true;
	return true;
}

/* Update the existing row; false if somebody else was faster. */
static bool
update_row(DirectWrite *write)
{
	bool		lock = write->run->target->locks_first;

	if (write->buffer)
		orm_flush_buffer(write->buffer);
	if (!lock)
	{
		form_updated_row(write);
		lock = lacks_value(write->new_row);
	}
	if (!(lock ? lock_and_update(write) : update_at_once(write)))
		return false;
	write->run->conflicted = write->run->written;
	keep_row(write, write->run->written ? write->new_row : write->existing);
	return true;
}

/* Read the columns of the existing row that decide about it. */
static void
read_existing(DirectWrite *write)
{
	OrmUpsertRun *run = write->run;

	/* those before the last one in one go */
	if (run->target->ncompared > 0)
		slot_getsomeattrs(write->existing, run->target->compared[run->target->ncompared - 1]);
	for (int i = 0; i < run->target->ncompared; i++)
		run->existing[i] = slot_getattr(write->existing, run->target->compared[i],
										&run->existing_nulls[i]);
}

/* Do what is to be done about the existing row; false if the statement has to do it. */
static bool
treat_existing(DirectWrite *write)
{
	OrmUpsertRun *run = write->run;

	read_existing(write);
	run->verdict = orm_judge(run);
	if (run->verdict == ORM_VERDICT_DELETED)
		return false;
	if (run->verdict == ORM_VERDICT_WRITE)
		return update_row(write);
	keep_row(write, write->existing);
	return true;
}

/* Begin a command. */
static void
begin_command(DirectWrite *write)
{
	CommandCounterIncrement();
	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	begin_executor(write);
	orm_stamps.label_upsert(write->estate);
}

/* Release what a command holds, but for the state that it has in common with the rows. */
static void
end_command(DirectWrite *write)
{
	orm_end_lookup(write->lookup);
	if (write->buffer)
		orm_end_buffer(write->buffer);
	EvalPlanQualEnd(&write->epq);
	ExecCloseResultRelations(write->estate);
	ExecResetTupleTable(write->estate->es_tupleTable, false);
	write->estate->es_tupleTable = NIL;
	PopActiveSnapshot();
}

/* Write all rows, as one command; false if the statement has to do it. */
static bool
write_rows(void *arg)
{
	DirectWrite *write = arg;
	bool		done = true;

	begin_command(write);
	AfterTriggerBeginQuery();
	while (done && orm_next_row(write->run))
	{
		CHECK_FOR_INTERRUPTS();
		if (orm_look_up(write->lookup, write->run->row))
			done = treat_existing(write);
		else
			insert_row(write);
	}
	if (done && write->buffer)
		orm_flush_buffer(write->buffer);
	if (done)
		AfterTriggerEndQuery(write->estate);
	end_command(write);
	if (done)
		CommandCounterIncrement();
	return done;
}

/*
 * Insert the only row, in a subtransaction that releases what its triggers have
 * taken: all else belongs to the command.
 */
static bool
insert_only_row(void *arg)
{
	DirectWrite *write = arg;
	EState	   *estate = write->estate;
	List	   *relations = estate->es_opened_result_relations;

	AfterTriggerBeginQuery();
	insert_row(write);
	orm_settle_row(write->run);
	AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	estate->es_opened_result_relations = NIL;
	ExecCloseResultRelations(estate);
	estate->es_opened_result_relations = relations;
	return true;
}

/* Try to insert the only row. */
static bool
try_to_insert(DirectWrite *write, ErrorData **error)
{
	EState	   *estate = write->estate;
	List	   *slots = estate->es_tupleTable;
	bool		done;

	estate->es_tupleTable = NIL;
	done = orm_try(insert_only_row, write, error);
	estate->es_tupleTable = slots;
	estate->es_trig_target_relations = NIL;
	return done;
}

/* Update the only row, unless it is the same; without a subtransaction. */
static bool
treat_only_row(DirectWrite *write)
{
	bool		done;

	AfterTriggerBeginQuery();
	done = treat_existing(write);
	if (done)
		orm_settle_row(write->run);
	AfterTriggerEndQuery(write->estate);
	return done;
}

/* Write the only row; false if the statement has to do it, maybe because of an error. */
static bool
write_only_row(DirectWrite *write, ErrorData **error)
{
	bool		done;

	begin_command(write);
	(void) orm_next_row(write->run);
	if (orm_look_up(write->lookup, write->run->row))
		done = treat_only_row(write);
	else
		done = try_to_insert(write, error);
	end_command(write);
	if (done)
		CommandCounterIncrement();
	return done;
}

/*
 * Write the rows of the store directly.  False if others are in the way: then
 * nothing is written.  Errors: those of the INSERT and UPDATE.
 */
bool
orm_write_directly(OrmUpsertRun *run, Relation rel)
{
	const OrmUpsertResults before = *run->results;
	DirectWrite write = {.run = run,.rel = rel};
	ErrorData  *error = NULL;

	/*
	 * Those who wait for rows of a savepoint are to go on when it is rolled
	 * back; after a subtransaction of ours they would wait for the whole
	 * transaction.
	 */
	if (GetCurrentTransactionNestLevel() > 1)
		return false;

	if (run->nrows == 1 ? write_only_row(&write, &error) : orm_try(write_rows, &write, &error))
		return true;

	/* the statement may know how to avoid it */
	if (error && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);
	if (error)
		FreeErrorData(error);

	/*
	 * its slots hold nothing: what they held was released with the
	 * subtransaction
	 */
	orm_rows_estate(run->rows)->es_tupleTable = NIL;
	orm_restart_results(run->results, &before);
	return false;
}
