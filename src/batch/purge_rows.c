/*-------------------------------------------------------------------------
 *
 * purge_rows.c
 *		The rows of a purge that go together.
 *
 * A row goes with all that refers to it, to any depth, or it stays: it stays if
 * anything among that is to stay.  So what was deleted together is never purged
 * in part, and no live row is lost to a CASCADE.
 *
 * A batch begins with the due rows of its range.  Level by level it looks for
 * what refers to the rows that it has; a row that is not due has the row that
 * it refers to stay, and so all that this refers to in turn.  What is left goes
 * by one statement.
 *
 * Rows that the server would cascade from are locked as a DELETE locks them,
 * before anybody looks for what refers to them: whoever was about to refer to
 * one has done so then, and is seen, or has to wait and finds the row gone.
 * Rows that refer to them are not locked but deleted on the condition that they
 * are due still; if one is not any more, or has gone, there are fewer rows than
 * expected, and the batch is rolled back and begun again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "purge.h"
#include "util/names.h"

/* That a row refers to another one. */
typedef struct Reference
{
	int			referenced;
	int			referenced_row;
	int			referencing;
	int			referencing_row;
} Reference;

/* A row as a key of a hash table. */
typedef struct RowKey
{
	int32		leaf;
	ItemPointerData place;
} RowKey;

typedef struct RowEntry
{
	RowKey		key;
	int			row;
} RowEntry;

/* The rows of one batch. */
typedef struct Batch
{
	OrmPurgeGraph *graph;
	MemoryContext context;
	Reference  *references;
	int			nreferences;
	int			capacity;
	HTAB	   *seen;			/* rows that may be met again */
	bool		has_blame;		/* does any row stay? */
} Batch;

/* Rows of a leaf in the order of their places. */
typedef struct Sorted
{
	const OrmPurgeRows *of;
	int		   *rows;			/* numbers of rows */
	int			count;
	int			last;			/* the one that was found last */
} Sorted;

/* Takes the rows of a query. */
typedef struct Receiver
{
	DestReceiver pub;
	Batch	   *batch;
	int			leaf;			/* of the rows; when they are those of the
								 * range */
	int			way_number;
	const OrmPurgeWay *way;		/* NULL then */
	Sorted	   *sorted;			/* rows that are referred to */
} Receiver;

/* A hash table of rows. */
static HTAB *
make_row_table(MemoryContext context)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(RowKey);
	ctl.entrysize = sizeof(RowEntry);
	ctl.hcxt = context;
	return hash_create("orm_ext purge rows", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Enter a row into a hash table. */
static RowEntry *
enter_row(HTAB *table, int leaf, ItemPointer place, bool *found)
{
	RowKey		key;

	memset(&key, 0, sizeof(key));
	key.leaf = leaf;
	ItemPointerCopy(place, &key.place);
	return hash_search(table, &key, HASH_ENTER, found);
}

static OrmPurgeLeaf *
leaf_at(const Batch *batch, int number)
{
	return list_nth(batch->graph->leaves, number);
}

/* Make room for one more row. */
static void
make_room(OrmPurgeRows *rows)
{
	if (rows->count < rows->capacity)
		return;
	if (rows->capacity == 0)
	{
		rows->capacity = 256;
		rows->places = palloc_array(ItemPointerData, rows->capacity);
		rows->blame = palloc_array(int, rows->capacity);
		return;
	}
	rows->capacity *= 2;
	rows->places = repalloc_huge(rows->places, rows->capacity * sizeof(ItemPointerData));
	rows->blame = repalloc_huge(rows->blame, rows->capacity * sizeof(int));
}

/* Add a row of a leaf, unless it is there already; returns its number. */
static int
add_row(Batch *batch, int leaf, ItemPointer place)
{
	OrmPurgeLeaf *it = leaf_at(batch, leaf);

	if (it->ways_to > 1)
	{
		bool		found;
		RowEntry   *entry = enter_row(batch->seen, leaf, place, &found);

		if (found)
			return entry->row;
		entry->row = it->rows.count;
	}
	make_room(&it->rows);
	ItemPointerCopy(place, &it->rows.places[it->rows.count]);
	it->rows.blame[it->rows.count] = 0;
	return it->rows.count++;
}

/* Note that a row refers to another one. */
static void
add_reference(Batch *batch, const OrmPurgeWay *way, int referenced_row, int referencing_row)
{
	Reference  *reference;

	if (batch->nreferences == batch->capacity)
	{
		batch->capacity = Max(batch->capacity * 2, 256);
		batch->references = batch->references
			? repalloc_huge(batch->references, batch->capacity * sizeof(Reference))
			: palloc_array(Reference, batch->capacity);
	}
	reference = &batch->references[batch->nreferences++];
	reference->referenced = way->referenced;
	reference->referenced_row = referenced_row;
	reference->referencing = way->referencing;
	reference->referencing_row = referencing_row;
}

/* Compare two rows by their places. */
static int
compare_rows(const void *a, const void *b, void *places)
{
	return ItemPointerCompare(&((ItemPointer) places)[*(const int *) a], &((ItemPointer) places)[*(const int *) b]);
}

/* Sort rows of a leaf, those from a number on up to another one. */
static Sorted
sort_rows(OrmPurgeRows *rows, int first, int end)
{
	Sorted		sorted = {.of = rows,.count = end - first};
	bool		is_sorted = true;

	sorted.rows = MemoryContextAllocHuge(CurrentMemoryContext, sorted.count * sizeof(int));
	for (int i = 0; i < sorted.count; i++)
	{
		sorted.rows[i] = first + i;
		if (i > 0 && ItemPointerCompare(&rows->places[first + i - 1], &rows->places[first + i]) > 0)
			is_sorted = false;
	}
	if (!is_sorted)
		qsort_arg(sorted.rows, sorted.count, sizeof(int), compare_rows, rows->places);
	return sorted;
}

/* Compare a place with that of the row of a number in the order. */
static int
compare_place(const Sorted *sorted, ItemPointer place, int number)
{
	return ItemPointerCompare(place, unconstify(ItemPointer, &sorted->of->places[sorted->rows[number]]));
}

/* The row at a place; mostly it is the one that was found last, or the one after. */
static int
find_row(Sorted *sorted, ItemPointer place)
{
	int			low = 0;
	int			high = sorted->count - 1;

	for (int i = sorted->last; i <= sorted->last + 1 && i <= high; i++)
	{
		if (compare_place(sorted, place, i) == 0)
			return sorted->rows[sorted->last = i];
	}
	while (low <= high)
	{
		int			middle = low + (high - low) / 2;
		int			order = compare_place(sorted, place, middle);

		if (order == 0)
			return sorted->rows[sorted->last = middle];
		if (order > 0)
			low = middle + 1;
		else
			high = middle - 1;
	}
	elog(ERROR, "place (%u,%u) was not asked for", ItemPointerGetBlockNumber(place), ItemPointerGetOffsetNumber(place));
}

/* Take a row that is due, or one that refers to a row that we have. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	Batch	   *batch = receiver->batch;
	MemoryContext oldcontext = MemoryContextSwitchTo(batch->context);
	const OrmPurgeWay *way = receiver->way;

	slot_getallattrs(slot);
	if (way == NULL)
		(void) add_row(batch, receiver->leaf, (ItemPointer) DatumGetPointer(slot->tts_values[0]));
	else
	{
		int			row = find_row(receiver->sorted, (ItemPointer) DatumGetPointer(slot->tts_values[0]));
		int			state = DatumGetInt32(slot->tts_values[2]);

		if (state == ORM_PURGE_DUE)
			add_reference(batch, way, row,
						  add_row(batch, way->referencing, (ItemPointer) DatumGetPointer(slot->tts_values[1])));
		else
		{
			leaf_at(batch, way->referenced)->rows.blame[row] = receiver->way_number * 4 + state;
			batch->has_blame = true;
		}
	}
	MemoryContextSwitchTo(oldcontext);
	return true;
}

static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
end_rows(DestReceiver *self)
{
}

/* A receiver for a batch. */
static Receiver
make_receiver(Batch *batch)
{
	Receiver	receiver = {.pub = {.receiveSlot = receive_row,.rStartup = start_rows,
			.rShutdown = end_rows,.rDestroy = end_rows,
	.mydest = DestNone},.batch = batch};

	return receiver;
}

/* Places as an array. */
static Datum
places_array(const ItemPointerData *places, int count)
{
	Datum	   *values = MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * sizeof(Datum));
	ArrayType  *result;

	for (int i = 0; i < count; i++)
		values[i] = PointerGetDatum(&places[i]);
	result = construct_array(values, count, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT);
	pfree(values);
	return PointerGetDatum(result);
}

/* Parameters that are arrays of places. */
static ParamListInfo
make_parameters(int count)
{
	ParamListInfo params = makeParamList(count);

	for (int i = 0; i < count; i++)
	{
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = get_array_type(TIDOID);
	}
	return params;
}

/* Complain that a row is not as it was.  Error: 40001, upon which the batch is tried again. */
static void
report_changed(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("rows of table \"%s\" that were to be purged have changed meanwhile", get_rel_name(relid)),
			 errdetail("Another transaction has changed them, or a trigger keeps them.")));
}

/* Lock the rows of a leaf from a number on, as DELETE does.  Error: 40001. */
static void
lock_rows(OrmPurgeLeaf *leaf, int first)
{
	Relation	rel = table_open(leaf->relid, NoLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	for (int i = first; i < leaf->rows.count; i++)
	{
		TM_FailureData failure;

		CHECK_FOR_INTERRUPTS();
		if (table_tuple_lock(rel, &leaf->rows.places[i], snapshot, slot, GetCurrentCommandId(false),
							 LockTupleExclusive, LockWaitBlock, 0, &failure) != TM_Ok)
			report_changed(leaf->relid);
		ExecClearTuple(slot);
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/* Look for what refers to the rows of a leaf from a number on, up to another one. */
static void
follow_way(Batch *batch, int way_number, int first, int end)
{
	OrmPurgeWay *way = list_nth(batch->graph->ways, way_number);
	Receiver	receiver = make_receiver(batch);
	SPIExecuteOptions options = {0};
	SPIPlanPtr	plan = orm_purge_way_plan(batch->graph, way);
	OrmPurgeRows *rows = &leaf_at(batch, way->referenced)->rows;
	Sorted		sorted = sort_rows(rows, first, end);
	int			result;

	receiver.way = way;
	receiver.way_number = way_number;
	receiver.sorted = &sorted;
	options.params = make_parameters(1);
	options.params->params[0].value = places_array(rows->places + first, end - first);
	options.dest = &receiver.pub;
	result = SPI_execute_plan_extended(plan, &options);
	if (result < 0)
		elog(ERROR, "could not look for references: %s", SPI_result_code_string(result));
}

/* Find all that refers to the rows that we have; false when there is nothing new. */
static bool
follow_leaf(Batch *batch, int number, bool is_locking)
{
	OrmPurgeLeaf *leaf = leaf_at(batch, number);
	int			first = leaf->rows.done;
	int			end = leaf->rows.count;
	ListCell   *lc;

	if (first == end)
		return false;
	leaf->rows.done = end;
	if (is_locking && leaf->is_locked)
		lock_rows(leaf, first);
	foreach(lc, batch->graph->ways)
	{
		if (((OrmPurgeWay *) lfirst(lc))->referenced == number)
			follow_way(batch, foreach_current_index(lc), first, end);
	}
	return true;
}

/* Find all rows that belong to a batch. */
static void
find_rows(Batch *batch, bool is_locking)
{
	bool		is_new = true;

	while (is_new)
	{
		is_new = false;
		for (int i = 0; i < list_length(batch->graph->leaves); i++)
			is_new |= follow_leaf(batch, i, is_locking);
	}
}

/* What refers to a row that stays is not purged without it: pass blame to what is referred to. */
static void
spread_blame(Batch *batch)
{
	bool		is_new = batch->has_blame;

	while (is_new)
	{
		is_new = false;
		for (int i = batch->nreferences - 1; i >= 0; i--)
		{
			const Reference *reference = &batch->references[i];
			int			blame = leaf_at(batch, reference->referencing)->rows.blame[reference->referencing_row];
			int		   *place = &leaf_at(batch, reference->referenced)->rows.blame[reference->referenced_row];

			if (blame != 0 && *place == 0)
			{
				*place = blame;
				is_new = true;
			}
		}
	}
}

/* Mark the rows that go: those of the range without blame, and what refers to them. */
static void
choose_rows(Batch *batch, int member, int count)
{
	OrmPurgeLeaf *leaf = leaf_at(batch, member);
	bool		is_new = batch->has_blame;

	for (int i = 0; i < list_length(batch->graph->leaves); i++)
	{
		OrmPurgeRows *rows = &leaf_at(batch, i)->rows;

		rows->goes = MemoryContextAllocHuge(batch->context, rows->count + 1);
		memset(rows->goes, !batch->has_blame, rows->count);
	}
	for (int i = 0; i < count; i++)
		leaf->rows.goes[i] = leaf->rows.blame[i] == 0;
	while (is_new)
	{
		is_new = false;
		for (int i = 0; i < batch->nreferences; i++)
		{
			const Reference *reference = &batch->references[i];
			bool	   *place = &leaf_at(batch, reference->referencing)->rows.goes[reference->referencing_row];

			if (leaf_at(batch, reference->referenced)->rows.goes[reference->referenced_row] && !*place)
				*place = is_new = true;
		}
	}
}

/* Count the rows of the range that stay, by the reason. */
static void
count_kept(const Batch *batch, int member, int count, OrmBatchProgress *progress)
{
	static const char *const states[] = {"", "live", "deleted later", "not under soft delete"};
	const OrmPurgeRows *rows = &leaf_at(batch, member)->rows;

	for (int i = 0; i < count && batch->has_blame; i++)
	{
		int			blame = rows->blame[i];

		if (blame != 0)
		{
			const OrmPurgeWay *way = list_nth(batch->graph->ways, blame / 4);

			progress->tallies = orm_batch_count(progress->tallies, "kept",
												psprintf("%s (%s)", way->label, states[blame % 4]), 1);
		}
	}
}

/* How many rows of a leaf go; of a dry run, that have not been counted before. */
static int
count_going(const Batch *batch, int number, bool dry_run)
{
	const OrmPurgeLeaf *leaf = leaf_at(batch, number);
	int			result = 0;

	for (int i = 0; i < leaf->rows.count; i++)
	{
		bool		found = false;

		if (leaf->rows.goes[i] && dry_run && leaf->ways_to > 1)
			(void) enter_row(batch->graph->counted, number, &leaf->rows.places[i], &found);
		if (leaf->rows.goes[i] && !found)
			result++;
	}
	return result;
}

/* The places of the rows of a leaf that go. */
static Datum
going_places(const OrmPurgeRows *rows)
{
	ItemPointerData *places = MemoryContextAllocHuge(CurrentMemoryContext, rows->count * sizeof(ItemPointerData));
	int			count = 0;

	for (int i = 0; i < rows->count; i++)
	{
		if (rows->goes[i])
			places[count++] = rows->places[i];
	}
	return places_array(places, count);
}

/* Does a leaf have rows left that refer to those of this one? */
static bool
is_referred_to(const Batch *batch, int number, const Bitmapset *leaves)
{
	ListCell   *lc;

	foreach(lc, batch->graph->ways)
	{
		const OrmPurgeWay *way = lfirst(lc);

		if (way->referenced == number && way->referencing != number && bms_is_member(way->referencing, leaves))
			return true;
	}
	return false;
}

/* Delete the rows of one leaf that go, so many.  Error: 40001. */
static void
delete_leaf(const Batch *batch, int number, int count)
{
	OrmPurgeLeaf *leaf = leaf_at(batch, number);
	SPIExecuteOptions options = {0};
	SPIPlanPtr	plan = orm_purge_delete_plan(batch->graph, leaf);
	int			result;

	options.params = make_parameters(1);
	options.params->params[0].value = going_places(&leaf->rows);
	result = SPI_execute_plan_extended(plan, &options);
	if (result < 0)
		elog(ERROR, "could not purge: %s", SPI_result_code_string(result));
	if (SPI_processed != count)
		report_changed(leaf->relid);
}

/* Delete the rows of leaves that refer to each other.  Error: 40001. */
static void
delete_circle(const Batch *batch, Bitmapset *leaves, const int *counts)
{
	SPIExecuteOptions options = {0};
	SPIPlanPtr	plan = orm_purge_circle_plan(batch->graph, leaves);
	int			leaf = -1;
	int			i = 0;
	int			result;

	options.params = make_parameters(bms_num_members(leaves));
	while ((leaf = bms_next_member(leaves, leaf)) >= 0)
		options.params->params[i++].value = going_places(&leaf_at(batch, leaf)->rows);
	result = SPI_execute_plan_extended(plan, &options);
	if (result != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not purge: %s", SPI_result_code_string(result));
	i = 0;
	leaf = -1;
	while ((leaf = bms_next_member(leaves, leaf)) >= 0)
	{
		bool		isnull;

		if (DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, ++i, &isnull)) != counts[leaf])
			report_changed(leaf_at(batch, leaf)->relid);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Delete the rows that go, of which there are so many in each leaf: first those that none refers to.  Error: 40001. */
static void
delete_rows(const Batch *batch, const int *counts)
{
	Bitmapset  *leaves = NULL;
	int			leaf;

	for (int number = 0; number < list_length(batch->graph->leaves); number++)
	{
		if (counts[number] > 0)
			leaves = bms_add_member(leaves, number);
	}
	leaf = -1;
	while ((leaf = bms_next_member(leaves, leaf)) >= 0)
	{
		if (is_referred_to(batch, leaf, leaves))
			continue;
		delete_leaf(batch, leaf, counts[leaf]);
		leaves = bms_del_member(leaves, leaf);
		leaf = -1;
	}
	if (leaves)
		delete_circle(batch, leaves, counts);
}

/* Find the due rows of a range of a member, which is returned. */
static int
begin_batch(Batch *batch, Oid relid, OrmBatchPlan *plan, const OrmBatchCursor *cursor, const OrmBatchRange *range)
{
	Receiver	receiver = make_receiver(batch);
	ListCell   *lc;

	batch->seen = make_row_table(batch->context);
	foreach(lc, batch->graph->leaves)
	{
		OrmPurgeLeaf *leaf = lfirst(lc);

		memset(&leaf->rows, 0, sizeof(leaf->rows));
		if (leaf->relid == relid)
			receiver.leaf = foreach_current_index(lc);
	}
	orm_batch_select(plan, cursor, range, &receiver.pub);
	return receiver.leaf;
}

/*
 * Purge the due rows of a range of a member, with all that refers to them, or
 * only count them; returns the number of rows that go.
 */
uint64
orm_purge_range(OrmPurgeGraph *graph, Oid member, OrmBatchPlan *plan, const OrmBatchCursor *cursor,
				const OrmBatchRange *range, bool dry_run, OrmBatchProgress *progress)
{
	Batch		batch = {.graph = graph,.context = CurrentMemoryContext};
	int			nleaves = list_length(graph->leaves);
	int		   *counts = palloc0_array(int, nleaves);
	uint64		total = 0;
	int			number = begin_batch(&batch, member, plan, cursor, range);
	int			count = leaf_at(&batch, number)->rows.count;

	if (count == 0)
		return 0;
	if (dry_run && graph->counted == NULL)
		graph->counted = make_row_table(graph->context);
	find_rows(&batch, !dry_run);
	spread_blame(&batch);
	choose_rows(&batch, number, count);
	for (int i = 0; i < nleaves; i++)
		counts[i] = count_going(&batch, i, dry_run);
	if (!dry_run)
		delete_rows(&batch, counts);
	for (int i = 0; i < nleaves; i++)
	{
		total += counts[i];
		if (counts[i] > 0)
			progress->tallies = orm_batch_count(progress->tallies, "purged",
												orm_relid_name(leaf_at(&batch, i)->named), counts[i]);
	}
	count_kept(&batch, number, count, progress);
	return total;
}
