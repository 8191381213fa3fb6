/*-------------------------------------------------------------------------
 *
 * lookup.c
 *		Which row of the table has the key of a row of the store?
 *
 * Keys come in the order of the index.  So when one is not there, the index is
 * asked which entry comes next: the keys before that are not there either, and
 * beyond the last entry none is.  Appending rows takes two look-ups for all.
 * It takes as long as some look-ups, since a page of the index is read to its
 * end, so a handful of rows does without; and where it does not pay, since new
 * keys stand between existing ones, it is given up.  Entries that others add
 * behind our back are what the unique check of the index finds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "catalog/pg_index.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "run.h"

struct OrmLookup
{
	const OrmUpsertTarget *target;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *found;

	/* what comes next: only for an index with one column */
	ScanKeyData not_less;
	FmgrInfo   *compare;
	MemoryContext context;		/* of "next" */
	Datum		next;			/* the entry after the last key that was not
								 * there */
	bool		has_next;
	bool		at_end;			/* there is none */
	int			credit;			/* may the index be asked? */

	ScanKeyData keys[FLEXIBLE_ARRAY_MEMBER];
};

/* What it costs to ask, in look-ups that are saved. */
#define COST_OF_NEXT 6

/* Rows that are too few to ask. */
#define TOO_FEW_ROWS 30

/*
 * Can the index be asked for what comes next?  It has one column, ascends, and
 * its entries are values of the column's type.
 */
static bool
tells_next(Relation index, const OrmArbiter *arbiter)
{
	return arbiter->nkeys == 1 && (index->rd_indoption[0] & INDOPTION_DESC) == 0 &&
		TupleDescAttr(RelationGetDescr(index), 0)->atttypid != CSTRINGOID;
}

/*
 * Prepare to look so many rows up in an index that stays open; the slot is
 * where one that is found is put.
 */
OrmLookup *
orm_begin_lookup(const OrmUpsertTarget *target, Relation rel, Relation index,
				 Snapshot snapshot, TupleTableSlot *slot, int64 nrows)
{
	const OrmArbiter *arbiter = &target->arbiter;
	OrmLookup  *lookup = palloc0(offsetof(OrmLookup, keys) + sizeof(ScanKeyData) * arbiter->nkeys);

	lookup->target = target;
	lookup->found = slot;
	lookup->context = CurrentMemoryContext;
	lookup->index = index;
	for (int i = 0; i < arbiter->nkeys; i++)
		ScanKeyEntryInitialize(&lookup->keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   arbiter->collations[i], get_opcode(arbiter->equals[i]), (Datum) 0);
	lookup->scan = orm_index_beginscan(rel, lookup->index, snapshot, arbiter->nkeys, 0);
	if (nrows > TOO_FEW_ROWS && tells_next(lookup->index, arbiter))
	{
		Oid			operator = get_opfamily_member(lookup->index->rd_opfamily[0], arbiter->types[0],
												   arbiter->types[0], BTGreaterEqualStrategyNumber);

		ScanKeyEntryInitialize(&lookup->not_less, 0, 1, BTGreaterEqualStrategyNumber, InvalidOid,
							   arbiter->collations[0], get_opcode(operator), (Datum) 0);
		lookup->compare = index_getprocinfo(lookup->index, 1, BTORDER_PROC);
		lookup->credit = COST_OF_NEXT;
	}
	return lookup;
}

/* Compare two keys of an index with one column. */
static int
compare_keys(const OrmLookup *lookup, Datum a, Datum b)
{
	return DatumGetInt32(FunctionCall2Coll(lookup->compare, lookup->target->arbiter.collations[0], a, b));
}

/* Is it known that no row has this key? */
static bool
is_known_absent(OrmLookup *lookup, Datum key)
{
	if (!lookup->at_end &&
		(!lookup->has_next || compare_keys(lookup, key, lookup->next) >= 0))
		return false;
	lookup->credit++;
	return true;
}

/* Remember the entry that comes next. */
static void
remember_next(OrmLookup *lookup, Datum entry)
{
	Form_pg_attribute att = TupleDescAttr(lookup->scan->xs_itupdesc, 0);
	MemoryContext oldcontext = MemoryContextSwitchTo(lookup->context);

	if (lookup->has_next && !att->attbyval)
		pfree(DatumGetPointer(lookup->next));
	lookup->next = datumCopy(entry, att->attbyval, att->attlen);
	lookup->has_next = true;
	MemoryContextSwitchTo(oldcontext);
}

/* Ask which entry comes after a key that no row has. */
static void
ask_for_next(OrmLookup *lookup, Datum key)
{
	if (lookup->credit < COST_OF_NEXT)
		return;
	lookup->credit -= COST_OF_NEXT;
	lookup->not_less.sk_argument = key;
	lookup->scan->xs_want_itup = true;
	index_rescan(lookup->scan, &lookup->not_less, 1, NULL, 0);
	while (index_getnext_tid(lookup->scan, ForwardScanDirection) != NULL)
	{
		bool		isnull;
		Datum		entry = index_getattr(lookup->scan->xs_itup, 1, lookup->scan->xs_itupdesc, &isnull);

		/* nulls stand at the end */
		if (isnull)
			break;
		/* versions that are not to be seen have entries too */
		if (compare_keys(lookup, key, entry) != 0)
		{
			remember_next(lookup, entry);
			return;
		}
	}
	lookup->at_end = true;
}

/* Look the row up that has the key of a row of the store. */
bool
orm_look_up(OrmLookup *lookup, TupleTableSlot *row)
{
	const OrmUpsertTarget *target = lookup->target;
	bool		isnull = false;
	bool		found;

	if (target->may_lack_key && !DatumGetBool(slot_getattr(row, ORM_STORE_KEYED, &isnull)))
		return false;
	for (int i = 0; i < target->arbiter.nkeys; i++)
	{
		ScanKey		key = &lookup->keys[i];

		key->sk_argument = slot_getattr(row, target->key_positions[i], &isnull);
		if (isnull && !target->arbiter.nulls_not_distinct)
			return false;
		key->sk_flags = isnull ? SK_ISNULL | SK_SEARCHNULL : 0;
	}
	if (lookup->compare && !isnull && is_known_absent(lookup, lookup->keys[0].sk_argument))
		return false;
	lookup->scan->xs_want_itup = false;
	index_rescan(lookup->scan, lookup->keys, target->arbiter.nkeys, NULL, 0);
	found = index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->found);
	if (!found && lookup->compare && !isnull)
		ask_for_next(lookup, lookup->keys[0].sk_argument);
	return found;
}

/* Release what a look-up holds. */
void
orm_end_lookup(OrmLookup *lookup)
{
	index_endscan(lookup->scan);
}
