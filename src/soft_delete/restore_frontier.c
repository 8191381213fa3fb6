/*-------------------------------------------------------------------------
 *
 * restore_frontier.c
 *		Where a restore goes on from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "restore.h"
#include "soft_delete.h"

/* A row's place, as a hash key: all bytes of it count. */
typedef struct Place
{
	Oid			relid;
	BlockNumber block;
	OffsetNumber offset;
	uint16		unused;
} Place;

/* Number of a column among those that a frontier carries; it is added if need be. */
static int
carried_column(OrmFrontier *frontier, const char *name)
{
	ListCell   *lc;

	foreach(lc, frontier->columns)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return foreach_current_index(lc) + 1;
	}
	frontier->columns = lappend(frontier->columns, pstrdup(name));
	return list_length(frontier->columns);
}

/* The tables, of which there are others, that hold the rows of one. */
static List *
members_of(Oid relid)
{
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		return find_all_inheritors(relid, AccessShareLock, NULL);
	return list_make1_oid(relid);
}

/*
 * Add a way on from a frontier: a foreign key to "member", which is the
 * frontier's table or inherits from it.
 */
static void
add_step(OrmFrontier *frontier, OrmReference *reference, Oid member, bool has_children)
{
	OrmRestoreStep *step = palloc0_object(OrmRestoreStep);

	step->reference = reference;
	if (member != frontier->relid)
		step->members = members_of(member);
	else if (has_children && get_rel_relkind(member) != RELKIND_PARTITIONED_TABLE)
		step->members = list_make1_oid(member);
	for (int i = 0; i < reference->nkeys; i++)
	{
		const char *column = get_attname(reference->referenced, reference->referenced_columns[i], false);

		/* a column of an inheritance child alone */
		if (get_attnum(frontier->relid, column) == InvalidAttrNumber)
			return;
		step->columns[i] = carried_column(frontier, column);
	}
	frontier->steps = lappend(frontier->steps, step);
}

/* Find the ways on from a frontier: what a deletion of its rows took along. */
static void
find_steps(OrmFrontier *frontier)
{
	List	   *members = find_all_inheritors(frontier->relid, AccessShareLock, NULL);
	ListCell   *member;
	ListCell   *lc;

	foreach(member, members)
	{
		foreach(lc, orm_references_to(lfirst_oid(member)))
		{
			OrmReference *reference = lfirst(lc);

			if (reference->action != FKCONSTR_ACTION_CASCADE ||
				!orm_soft_delete_active(reference->referencing))
				continue;
			if (lfirst_oid(member) != frontier->relid &&
				orm_topmost_constraint(reference->constraint) != reference->constraint)
				continue;
			add_step(frontier, reference, lfirst_oid(member), list_length(members) > 1);
		}
	}
}

/* Describe the rows of a frontier. */
static void
describe_frontier(OrmFrontier *frontier)
{
	Relation	rel = table_open(frontier->relid, AccessShareLock);
	TupleDesc	desc = CreateTemplateTupleDesc(3 + list_length(frontier->columns));
	ListCell   *lc;

	TupleDescInitEntry(desc, 1, "deletion", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 2, "rel", OIDOID, -1, 0);
	TupleDescInitEntry(desc, 3, "tid", TIDOID, -1, 0);
	foreach(lc, frontier->columns)
	{
		int			attno = 4 + foreach_current_index(lc);
		Form_pg_attribute att =
		TupleDescAttr(RelationGetDescr(rel), get_attnum(frontier->relid, lfirst(lc)) - 1);

		TupleDescInitEntry(desc, attno, psprintf("k%d", attno - 3),
						   att->atttypid, att->atttypmod, att->attndims);
		TupleDescInitEntryCollation(desc, attno, att->attcollation);
	}
	frontier->desc = desc;
	table_close(rel, NoLock);
}

/* A frontier of a table's rows, without any yet. */
static OrmFrontier *
make_frontier(OrmRestore *restore, Oid relid)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(restore->context);
	OrmFrontier *frontier = palloc0_object(OrmFrontier);

	frontier->relid = relid;
	find_steps(frontier);
	describe_frontier(frontier);
	frontier->rows = orm_open_restore_store(restore);
	MemoryContextSwitchTo(oldcontext);
	return frontier;
}

/* The frontier of a table that is still to be gone on from. */
OrmFrontier *
orm_pending_frontier(OrmRestore *restore, Oid relid)
{
	MemoryContext oldcontext;
	OrmFrontier *frontier;
	ListCell   *lc;

	foreach(lc, restore->frontiers)
	{
		frontier = lfirst(lc);
		if (frontier->relid == relid)
			return frontier;
	}
	frontier = make_frontier(restore, relid);
	oldcontext = MemoryContextSwitchTo(restore->context);
	restore->frontiers = lappend(restore->frontiers, frontier);
	MemoryContextSwitchTo(oldcontext);
	return frontier;
}

/* Note the place of a row; false if it was noted before. */
static bool
note_place(OrmRestore *restore, Oid relid, ItemPointer tid)
{
	Place		place = {0};
	bool		found;

	place.relid = relid;
	place.block = ItemPointerGetBlockNumber(tid);
	place.offset = ItemPointerGetOffsetNumber(tid);
	if (restore->seen == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Place),.entrysize = sizeof(Place),.hcxt = restore->context};

		restore->seen = hash_create("orm_ext restore", 256, &ctl,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	hash_search(restore->seen, &place, HASH_ENTER, &found);
	return !found;
}

/* Add the place of a row to a store. */
static void
put_place(Tuplestorestate *places, Oid relid, ItemPointer tid)
{
	TupleDesc	desc = orm_place_desc();
	Datum		values[] = {ObjectIdGetDatum(relid), PointerGetDatum(tid)};
	bool		nulls[] = {false, false};

	tuplestore_putvalues(places, desc, values, nulls);
	FreeTupleDesc(desc);
}

/* Take the rows that a preview has found over into a frontier, each once. */
uint64
orm_take_new_rows(OrmRestore *restore, OrmFrontier *frontier, Tuplestorestate *rows)
{
	OrmRestoredTable *table = NULL;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(frontier->desc, &TTSOpsMinimalTuple);
	uint64		taken = 0;

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(slot_getattr(slot, 2, &isnull));
		ItemPointer tid = (ItemPointer) DatumGetPointer(slot_getattr(slot, 3, &isnull));

		if (!note_place(restore, relid, tid))
			continue;
		if (table == NULL)
			table = orm_restored_table(restore, frontier->relid);
		tuplestore_puttupleslot(frontier->rows, slot);
		put_place(restore->places, relid, tid);
		taken++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return taken;
}
