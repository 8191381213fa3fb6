/*-------------------------------------------------------------------------
 *
 * change_id_base.c
 *		What is added to a transaction's number to make a change_id.
 *
 * That is nothing until rows come along with ids that this cluster has not
 * reached yet, out of a dump.  Then the base is lifted, so that new ids are
 * greater than those, and cursors of readers stay good.  It stands in the table
 * orm_ext.change_id_base, which is not dumped: it belongs to the cluster.
 *
 * Protocol:
 *	- A writer locks the table AccessShare until its transaction ends, and then
 *	  reads the base as it is now, whatever its snapshot.
 *	- Lifting the base locks the table AccessExclusive until its transaction
 *	  ends, so every transaction that wrote with the old base has ended by then.
 *	- A reader takes the base that its snapshot shows.  If that is the new one,
 *	  all that was written with the old one is visible to it.  If it is the old
 *	  one, ids that others make with the new one are beyond its bound.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "policy.h"
#include "stamp.h"
#include "util/names.h"

#define BASE_TABLE "change_id_base"

/*
 * How far ids are lifted beyond the greatest one restored: more than any
 * cluster's transactions get ahead of what they write, since that is where the
 * bounds of readers may be that go on after the restore.  There is room for
 * two thousand millions of restores.
 */
#define MARGIN (INT64CONST(1) << 32)

/* Ids that come from elsewhere are at most this, so that there is room. */
#define GREATEST_FOREIGN_ID (INT64CONST(1) << 62)

/* OID of the table, InvalidOid if the extension has gone. */
static Oid
base_table(void)
{
	Oid			schema = get_namespace_oid(ORM_SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid(BASE_TABLE, schema) : InvalidOid;
}

/* Read the base that a snapshot shows; a copy of its row as well, if wanted. */
static int64
read_base(Relation table, Snapshot snapshot, HeapTuple *row)
{
	TableScanDesc scan = table_beginscan(table, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	int64		base = 0;

	if (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;

		base = DatumGetInt64(slot_getattr(slot, 1, &isnull));
		if (row)
			*row = ExecCopySlotHeapTuple(slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	return base;
}

/* The base as it is now; the table stays locked unless a lock is to be released. */
static int64
current_base(LOCKMODE unlock)
{
	Oid			relid = base_table();
	Relation	table;
	Snapshot	snapshot;
	int64		base;

	if (!OidIsValid(relid))
		return 0;
	table = table_open(relid, AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	base = read_base(table, snapshot, NULL);
	UnregisterSnapshot(snapshot);
	table_close(table, unlock);
	return base;
}

/* The base for a transaction that is about to write. */
int64
orm_change_id_base_to_write(void)
{
	return current_base(NoLock);
}

/* The base for a statement that reads. */
int64
orm_change_id_base_to_read(void)
{
	Oid			relid = base_table();
	Relation	table;
	int64		base;

	if (!OidIsValid(relid))
		return 0;
	table = table_open(relid, AccessShareLock);
	base = read_base(table, GetActiveSnapshot(), NULL);
	table_close(table, AccessShareLock);
	return base;
}

/* The greatest value in a column of one table, -1 if there is none. */
static int64
greatest_id_of_table(Oid relid, const char *column)
{
	Relation	rel = table_open(relid, AccessShareLock);
	AttrNumber	attno = orm_find_column(RelationGetDescr(rel), column);
	int64		greatest = -1;
	TableScanDesc scan;
	TupleTableSlot *slot;
	Snapshot	snapshot;

	if (RELKIND_HAS_TABLE_AM(rel->rd_rel->relkind) && attno != InvalidAttrNumber)
	{
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		scan = table_beginscan(rel, snapshot, 0, NULL);
		slot = table_slot_create(rel, NULL);
		while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			bool		isnull;
			Datum		value = slot_getattr(slot, attno, &isnull);

			CHECK_FOR_INTERRUPTS();
			if (!isnull)
				greatest = Max(greatest, DatumGetInt64(value));
		}
		ExecDropSingleTupleTableSlot(slot);
		table_endscan(scan);
		UnregisterSnapshot(snapshot);
	}
	table_close(rel, NoLock);
	return greatest;
}

/* The same of a table with all that inherits from it. */
static int64
greatest_id(Oid relid, const char *column)
{
	int64		greatest = -1;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
		greatest = Max(greatest, greatest_id_of_table(lfirst_oid(lc), column));
	return greatest;
}

/* The number that the next transaction gets. */
static int64
next_transaction(void)
{
	return (int64) U64FromFullTransactionId(ReadNextFullTransactionId());
}

/* Store a base that makes the ids of transactions from now on exceed a value. */
static void
store_base(Oid relid, int64 greatest)
{
	Relation	table = table_open(relid, AccessExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	HeapTuple	old = NULL;
	int64		base = read_base(table, snapshot, &old);
	int64		own = (int64) U64FromFullTransactionId(GetTopFullTransactionId());

	UnregisterSnapshot(snapshot);
	if (own + base <= greatest)
	{
		bool		isnull = false;
		Datum		value;
		HeapTuple	new;

		base = greatest + MARGIN - own;
		value = Int64GetDatum(base);
		new = heap_form_tuple(RelationGetDescr(table), &value, &isnull);
		if (old)
			CatalogTupleUpdate(table, &old->t_self, new);
		else
			CatalogTupleInsert(table, new);
		CommandCounterIncrement();
		orm_forget_change_id();
	}
	table_close(table, NoLock);
}

/* Complain of an id that would leave no room for others.  Error: 22003. */
static void
check_room(int64 id)
{
	if (id <= GREATEST_FOREIGN_ID)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("change_id " INT64_FORMAT " is out of range", id),
			 errdetail("The ids to come have to exceed those that are there; the greatest one to come from elsewhere is " INT64_FORMAT ".",
					   GREATEST_FOREIGN_ID),
			 errhint("Let the server give the id: leave the column out, without orm_ext.bypass_stamps.")));
}

/*
 * Have new ids exceed a value.  Only where that is not so already, other
 * writers are waited for.
 */
static void
lift_above(int64 greatest)
{
	Oid			table = base_table();

	check_room(greatest);
	if (OidIsValid(table) &&
		greatest >= current_base(AccessShareLock) + next_transaction())
		store_base(table, greatest);
}

/* Have new ids exceed those in a column of a table and its children. */
void
orm_lift_change_ids(Oid relid, const char *column)
{
	lift_above(greatest_id(relid, column));
}

/* The greatest id that this transaction has stored as given, -1 if it has not. */
static int64 greatest_foreign_id = -1;

/* Note an id that is stored as given, so that others will exceed it. */
void
orm_note_foreign_change_id(int64 id)
{
	check_room(id);
	greatest_foreign_id = Max(greatest_foreign_id, id);
}

/* Lift the base before the ids can be seen. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (greatest_foreign_id >= 0)
				lift_above(greatest_foreign_id);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			greatest_foreign_id = -1;
			break;
		default:
			break;
	}
}

/* Have ourselves told of the end of transactions. */
void
orm_change_id_base_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

PG_FUNCTION_INFO_V1(orm_lift_change_ids_of);

/*
 * orm_ext.lift_change_ids(rel regclass) → void
 *
 * Errors: 42P01 and 42809 no table, 42501 not the owner, 55000 no trigger keeps a
 * change_id.
 */
Datum
orm_lift_change_ids_of(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel = orm_open_relation(relid, AccessShareLock);
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	const char *name = orm_relation_name(rel);
	const char *column = NULL;

	if (rel->rd_rel->relkind != RELKIND_RELATION && rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Name the table that holds the rows.")));
	if (!orm_owns_relation(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const char *kept = orm_kept_column(&triggers->triggers[i], ORM_STAMP_CHANGE_ID);

		if (kept)
			column = kept;
	}
	if (column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no change_id", RelationGetRelationName(rel)),
				 errdetail("No trigger keeps such a column."),
				 errhint("CREATE TRIGGER zz_orm_change_id BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');",
						 name),
				 errtable(rel)));
	table_close(rel, NoLock);
	orm_lift_change_ids(relid, column);
	PG_RETURN_VOID();
}
