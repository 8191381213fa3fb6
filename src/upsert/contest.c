/*-------------------------------------------------------------------------
 *
 * contest.c
 *		Rows that others delete, bring back or replace meanwhile.
 *
 * Under soft delete it matters which row has the key, unless on_deleted is
 * insert: a live one, a deleted one or none.  A row that is found is locked; if
 * somebody else was faster, each further look has a snapshot of its own, and
 * the live row comes first, until there is a row that we hold, or none.
 *
 * That there is none cannot be locked.  INSERT may wait for somebody who has
 * the key and deletes it, and go on beside the deleted row.  But once the new
 * row is there, no other can come and be deleted: so one look at the end, for
 * all rows that were inserted, finds whatever came between.  Then all is rolled
 * back to before the first row and run again (engine.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "run.h"
#include "util/names.h"

/*
 * A row that cannot be brought back, since a live one has the key that the user
 * does not see, is left to INSERT and its error.
 */
#define MAX_TRIES 10

/* Complain of a deleted row that has the key.  Error: 23505. */
void
orm_report_deleted(OrmUpsertRun *run)
{
	const char *table = orm_relid_name(run->target->relid);
	Relation	rel = table_open(run->target->relid, NoLock);

	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("a deleted row of \"%s\" has the key", run->table),
			 errdetail("Row %lld of the input means a row that is deleted.", (long long) run->ordinal),
			 errhint("on_deleted => 'revive' brings such rows back, 'skip' passes them over; SELECT * FROM %s WHERE %s; shows them.",
					 table,
					 psprintf("orm_ext.with_deleted(%s)",
							  quote_identifier(NameStr(TupleDescAttr(run->target->rowtype,
																	 run->target->marker.attno - 1)->attname)))),
			 errtableconstraint(rel, get_rel_name(run->target->arbiter.index))));
}

/* Nothing is known of the row yet. */
static void
forget_verdict(OrmUpsertRun *run)
{
	run->conflicted = run->written = run->has_result = false;
	run->verdict = ORM_VERDICT_NEW;
}

/*
 * Bring back the deleted row that has the key.  False if that is not done; then
 * a trigger may have prevented it, if nobody has changed the row.
 */
static bool
revive(OrmUpsertRun *run, ItemPointer tid, Oid tableoid, bool *maybe_prevented)
{
	OrmRunReceiver receiver = orm_make_receiver(run, true);
	bool		is_unique;

	run->reviving = true;
	run->written = false;
	is_unique = orm_revive_row(run->target, tid, tableoid, run->row, &receiver.pub);
	run->reviving = false;
	run->revived = run->written;
	if (run->revived || run->verdict == ORM_VERDICT_STALE)
		return true;
	*maybe_prevented = is_unique && run->verdict == ORM_VERDICT_WRITE;
	forget_verdict(run);
	return false;
}

/* Is there a live row now?  Then lock it, and have it take over what is supplied. */
static bool
update_live(OrmUpsertRun *run)
{
	OrmUpsertTarget *target = run->target;
	OrmRunReceiver receiver = orm_make_receiver(run, true);
	bool		locked;

	orm_execute_for_row(target, run->row, &target->live_query_plan, target->live_query,
						NULL, &receiver.pub);
	locked = run->written;
	run->written = false;
	if (locked)
		orm_execute_for_row(target, run->row, &target->live_update_plan, target->live_update,
							NULL, &receiver.pub);
	else if (run->verdict == ORM_VERDICT_WRITE)
		forget_verdict(run);	/* gone while we waited for it */
	return run->verdict != ORM_VERDICT_NEW;
}

/*
 * No live row was found for a row of the input, or others were faster and it is
 * gone ("outrun").  True if the row is done; false if it is to be inserted.
 */
bool
orm_settle_deleted(OrmUpsertRun *run, bool outrun)
{
	ItemPointerData tid;
	ItemPointerData last_tid;
	Oid			tableoid;
	Oid			last_tableoid = InvalidOid;
	bool		maybe_prevented = false;

	for (int tries = 0; tries < MAX_TRIES; tries++)
	{
		CHECK_FOR_INTERRUPTS();
		if (outrun)
		{
			if (update_live(run))
				return true;
			orm_find_deleted_row(run->deleted, run->target, run->row);
		}
		if (!orm_deleted_row(run->deleted, run->ordinal, &tid, &tableoid))
			return false;
		if (run->target->options.on_deleted == ORM_DELETED_ERROR)
			orm_report_deleted(run);
		if (run->target->options.on_deleted == ORM_DELETED_SKIP ||
			(maybe_prevented && tableoid == last_tableoid && ItemPointerEquals(&tid, &last_tid)))
		{
			run->verdict = ORM_VERDICT_SKIP;
			return true;
		}
		if (revive(run, &tid, tableoid, &maybe_prevented))
			return true;
		last_tid = tid;
		last_tableoid = tableoid;
		outrun = true;
	}
	return false;
}

/*
 * All rows are through: complain if others have deleted a row with the key of
 * one that was inserted.  Error: 40001.
 */
void
orm_check_inserted(OrmUpsertRun *run)
{
	int64		ordinal = orm_deleted_beside(run->deleted, run->target);

	if (ordinal == 0)
		return;
	run->ordinal = ordinal;
	run->outrun = true;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent delete"),
			 errdetail("Row %lld of the input means a row that was deleted while it was inserted.",
					   (long long) ordinal),
			 errhint("Run the transaction again.")));
}
