/*-------------------------------------------------------------------------
 *
 * rows.c
 *		The rows of the input, in the order of the key, each key once.
 *
 * One order for all clients means that two of them lock the same rows in the
 * same order, and neighbours in the index are written one after another.  The
 * order and what counts as equal are those of the unique index.
 *
 * What is kept in memory is limited by work_mem; the sort and the store spill
 * to disk beyond it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "compat.h"
#include "upsert.h"
#include "util/names.h"

struct OrmUpsertRows
{
	OrmUpsertTarget *target;
	OrmUpsertResults *results;
	MemoryContext context;		/* lives as long as the rows are read */
	OrmInputRow row;			/* the one that is being read */

	EState	   *estate;			/* for whoever writes them, too */
	ExprState **defaults;		/* by column */
	ExprState  *keys[INDEX_MAX_KEYS];	/* where they are computed */
	ExprState  *predicate;
	bool		computes_key;	/* is there any of these? */
	TupleTableSlot *input;		/* the row as the table has it, for these */

	TupleTableSlot *first;		/* the only row so far, before a sort begins */
	bool		has_first;
	TupleTableSlot *stored;
	Tuplesortstate *sort;
	FmgrInfo	equals[INDEX_MAX_KEYS];
	Tuplestorestate *store;
	HTAB	   *duplicates;		/* of rows that are returned, by ordinal */
};

/* The rows of the input that a row has taken the place of. */
typedef struct Duplicates
{
	int64		ordinal;		/* hash key */
	List	   *ordinals;		/* of int64 */
} Duplicates;

/* Prepare what is evaluated for each row to know its key. */
static void
prepare_key(OrmUpsertRows *rows)
{
	OrmUpsertTarget *target = rows->target;
	OrmArbiter *arbiter = &target->arbiter;

	for (int i = 0; i < arbiter->nkeys; i++)
	{
		if (arbiter->computed[i])
		{
			rows->keys[i] = ExecPrepareExpr((Expr *) arbiter->computed[i], rows->estate);
			rows->computes_key = true;
		}
	}
	if (arbiter->computed_predicate)
	{
		rows->predicate = ExecPrepareQual(arbiter->computed_predicate, rows->estate);
		rows->computes_key = true;
	}
	if (rows->computes_key)
		rows->input = MakeSingleTupleTableSlot(target->rowtype, &TTSOpsVirtual);
}

/* Begin to read rows; those that are dropped as duplicates go to the results. */
OrmUpsertRows *
orm_begin_rows(OrmUpsertTarget *target, OrmUpsertResults *results)
{
	OrmUpsertRows *rows = palloc0_object(OrmUpsertRows);
	int			natts = target->rowtype->natts;

	rows->target = target;
	rows->results = results;
	rows->context = CurrentMemoryContext;
	rows->row.values = palloc0_array(Datum, natts);
	rows->row.nulls = palloc_array(bool, natts);
	rows->row.present = palloc_array(bool, natts);
	rows->estate = CreateExecutorState();
	rows->defaults = palloc0_array(ExprState *, natts);
	rows->stored = MakeSingleTupleTableSlot(target->store, &TTSOpsVirtual);
	rows->first = MakeSingleTupleTableSlot(target->store, &TTSOpsMinimalTuple);
	prepare_key(rows);
	return rows;
}

/* The next row to be filled in, in memory that lasts until it is put. */
OrmInputRow *
orm_input_row(OrmUpsertRows *rows)
{
	int			natts = rows->target->rowtype->natts;

	ResetPerTupleExprContext(rows->estate);
	rows->row.econtext = GetPerTupleExprContext(rows->estate);
	memset(rows->row.nulls, true, natts);
	memset(rows->row.present, false, natts);
	rows->row.ordinal++;
	MemoryContextSwitchTo(GetPerTupleMemoryContext(rows->estate));
	return &rows->row;
}

/* The default of a column, in the memory of the row that is being read. */
Datum
orm_default_value(OrmUpsertRows *rows, AttrNumber attno, bool *isnull)
{
	Node	   *expression = rows->target->defaults[attno - 1];

	if (expression == NULL)
	{
		*isnull = true;
		return (Datum) 0;
	}
	if (rows->defaults[attno - 1] == NULL)
		rows->defaults[attno - 1] = ExecPrepareExpr((Expr *) expression, rows->estate);
	return ExecEvalExprSwitchContext(rows->defaults[attno - 1],
									 GetPerTupleExprContext(rows->estate), isnull);
}

/* Release the memory of defaults: the row that they were for is through. */
void
orm_forget_defaults(OrmUpsertRows *rows)
{
	ResetPerTupleExprContext(rows->estate);
}

/*
 * Complete the columns that the key depends on by their defaults.  Without a
 * key is a row whose default is not known before it is inserted.
 */
static bool
complete_key_columns(OrmUpsertRows *rows)
{
	const OrmUpsertTarget *target = rows->target;
	OrmInputRow *row = &rows->row;
	int			attno = -1;

	while ((attno = bms_next_member(target->arbiter.referenced, attno)) >= 0)
	{
		if (attno == 0 || row->present[attno - 1])
			continue;
		if (bms_is_member(attno, target->volatile_defaults))
			return false;
		row->values[attno - 1] = orm_default_value(rows, attno, &row->nulls[attno - 1]);
	}
	return true;
}

/* Have expressions see a row of the input as one of the table. */
void
orm_scan_input_row(OrmInputRow *row, TupleTableSlot *slot)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, row->nulls, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	row->econtext->ecxt_scantuple = slot;
}

/* Does a row of the input have a key, so that it may mean an existing row? */
static bool
has_key(OrmUpsertRows *rows)
{
	if (rows->target->may_lack_key && !complete_key_columns(rows))
		return false;
	if (!rows->computes_key)
		return true;
	orm_scan_input_row(&rows->row, rows->input);
	return rows->predicate == NULL || ExecQual(rows->predicate, rows->row.econtext);
}

/* Which columns does a row supply?  A bit for each. */
static bytea *
present_bits(OrmUpsertRows *rows)
{
	const OrmUpsertTarget *target = rows->target;
	int			length = VARHDRSZ + (target->rowtype->natts + 7) / 8;
	bytea	   *bits = palloc0(length);

	SET_VARSIZE(bits, length);
	for (int i = 0; i < target->rowtype->natts; i++)
	{
		if (rows->row.present[i])
			VARDATA(bits)[i / 8] |= 1 << (i % 8);
	}
	return bits;
}

/* A null for a column that a trigger keeps counts as not supplied. */
static void
drop_kept_nulls(OrmUpsertRows *rows)
{
	int			attno = -1;

	while ((attno = bms_next_member(rows->target->kept, attno)) >= 0)
		rows->row.present[attno - 1] &= !rows->row.nulls[attno - 1];
}

/* Bring the row that was read into the form of the store. */
static void
form_stored_row(OrmUpsertRows *rows)
{
	const OrmUpsertTarget *target = rows->target;
	TupleTableSlot *slot = ExecClearTuple(rows->stored);
	bool		keyed = has_key(rows);

	slot->tts_values[ORM_STORE_ORDINAL - 1] = Int64GetDatum(rows->row.ordinal);
	slot->tts_isnull[ORM_STORE_ORDINAL - 1] = false;
	slot->tts_values[ORM_STORE_KEYED - 1] = BoolGetDatum(keyed);
	slot->tts_isnull[ORM_STORE_KEYED - 1] = false;
	slot->tts_isnull[ORM_STORE_PRESENT - 1] = bms_is_empty(target->partial);
	if (!slot->tts_isnull[ORM_STORE_PRESENT - 1])
		slot->tts_values[ORM_STORE_PRESENT - 1] = PointerGetDatum(present_bits(rows));
	for (int i = 0; i < target->ncolumns; i++)
	{
		int			column = target->columns[i] - 1;

		slot->tts_values[ORM_STORE_FIXED + i] = rows->row.values[column];
		slot->tts_isnull[ORM_STORE_FIXED + i] = rows->row.nulls[column];
	}
	for (int i = 0; i < target->arbiter.nkeys; i++)
	{
		int			position = target->key_positions[i] - 1;
		AttrNumber	attno = target->arbiter.columns[i];

		if (position < ORM_STORE_FIXED + target->ncolumns)
			continue;
		if (!keyed)
			slot->tts_isnull[position] = true;
		else if (rows->keys[i])
			slot->tts_values[position] =
				ExecEvalExprSwitchContext(rows->keys[i], rows->row.econtext, &slot->tts_isnull[position]);
		else
		{
			slot->tts_values[position] = rows->row.values[attno - 1];
			slot->tts_isnull[position] = rows->row.nulls[attno - 1];
		}
	}
	ExecStoreVirtualTuple(slot);
}

/* Begin to sort: rows without a key first, then by the key, then as they came. */
static void
begin_sort(OrmUpsertRows *rows)
{
	const OrmUpsertTarget *target = rows->target;
	AttrNumber	columns[INDEX_MAX_KEYS + 2];
	Oid			operators[INDEX_MAX_KEYS + 2];
	Oid			collations[INDEX_MAX_KEYS + 2];
	bool		nulls_first[INDEX_MAX_KEYS + 2] = {0};
	int			n = 0;

	for (int i = 0; i < target->arbiter.nkeys; i++)
		fmgr_info_cxt(get_opcode(target->arbiter.equals[i]), &rows->equals[i], rows->context);
	if (target->may_lack_key)
	{
		columns[n] = ORM_STORE_KEYED;
		operators[n] = lookup_type_cache(BOOLOID, TYPECACHE_LT_OPR)->lt_opr;
		collations[n++] = InvalidOid;
	}
	for (int i = 0; i < target->arbiter.nkeys; i++)
	{
		columns[n] = target->key_positions[i];
		operators[n] = target->arbiter.less[i];
		collations[n++] = target->arbiter.collations[i];
	}
	columns[n] = ORM_STORE_ORDINAL;
	operators[n] = Int8LessOperator;
	collations[n++] = InvalidOid;
	rows->sort = tuplesort_begin_heap(target->store, n, columns, operators, collations,
									  nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

/* Put the row that was read; the first one waits for a second before a sort begins. */
void
orm_put_row(OrmUpsertRows *rows)
{
	drop_kept_nulls(rows);
	form_stored_row(rows);
	MemoryContextSwitchTo(rows->context);
	if (!rows->has_first)
	{
		ExecCopySlot(rows->first, rows->stored);
		rows->has_first = true;
		return;
	}
	if (rows->sort == NULL)
	{
		begin_sort(rows);
		tuplesort_puttupleslot(rows->sort, rows->first);
	}
	tuplesort_puttupleslot(rows->sort, rows->stored);
}

/* Do two rows of the store have the same key? */
static bool
same_key(OrmUpsertRows *rows, TupleTableSlot *a, TupleTableSlot *b)
{
	const OrmArbiter *arbiter = &rows->target->arbiter;
	bool		isnull;

	if (rows->target->may_lack_key &&
		!(DatumGetBool(slot_getattr(a, ORM_STORE_KEYED, &isnull)) &&
		  DatumGetBool(slot_getattr(b, ORM_STORE_KEYED, &isnull))))
		return false;
	for (int i = arbiter->nkeys - 1; i >= 0; i--)
	{
		bool		a_isnull;
		bool		b_isnull;
		Datum		a_value = slot_getattr(a, rows->target->key_positions[i], &a_isnull);
		Datum		b_value = slot_getattr(b, rows->target->key_positions[i], &b_isnull);

		if (a_isnull && b_isnull && arbiter->nulls_not_distinct)
			continue;
		if (a_isnull || b_isnull ||
			!DatumGetBool(FunctionCall2Coll(&rows->equals[i], arbiter->collations[i],
											a_value, b_value)))
			return false;
	}
	return true;
}

/* Ordinal of a row of the store. */
static int64
ordinal_of(TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetInt64(slot_getattr(slot, ORM_STORE_ORDINAL, &isnull));
}

/* The key of a row, for a message. */
static char *
describe_key(OrmUpsertRows *rows, TupleTableSlot *slot)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < rows->target->arbiter.nkeys; i++)
	{
		int			position = rows->target->key_positions[i];
		Oid			output;
		bool		is_varlena;
		bool		isnull;
		Datum		value = slot_getattr(slot, position, &isnull);

		getTypeOutputInfo(TupleDescAttr(rows->target->store, position - 1)->atttypid,
						  &output, &is_varlena);
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 isnull ? "null" : OidOutputFunctionCall(output, value));
	}
	return sql.data;
}

/* Complain of two rows with one key.  Error: 21000. */
static void
report_duplicate(OrmUpsertRows *rows, TupleTableSlot *first, TupleTableSlot *second)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("rows %lld and %lld of the input have the same key",
					(long long) ordinal_of(first), (long long) ordinal_of(second)),
			 errdetail("Key of \"%s\": (%s).", get_rel_name(rows->target->arbiter.index),
					   describe_key(rows, first)),
			 errhint("on_duplicate => 'last' takes the rows one after another, 'first' only the first.")));
}

/*
 * Of two rows of one key, have the later one be what both make of it, one after
 * another: the earlier one with what an existing row takes over from the later
 * one, and with its version.
 */
static void
merge_rows(OrmUpsertRows *rows, TupleTableSlot *earlier, TupleTableSlot *later)
{
	const OrmUpsertTarget *target = rows->target;
	TupleTableSlot *merged = ExecClearTuple(rows->stored);
	bytea	   *early_bits = NULL;
	bytea	   *bits = NULL;

	slot_getallattrs(earlier);
	slot_getallattrs(later);
	memcpy(merged->tts_values, later->tts_values, sizeof(Datum) * target->store->natts);
	memcpy(merged->tts_isnull, later->tts_isnull, sizeof(bool) * target->store->natts);
	if (!bms_is_empty(target->partial))
	{
		early_bits = DatumGetByteaPP(earlier->tts_values[ORM_STORE_PRESENT - 1]);
		bits = DatumGetByteaPCopy(later->tts_values[ORM_STORE_PRESENT - 1]);
		merged->tts_values[ORM_STORE_PRESENT - 1] = PointerGetDatum(bits);
	}
	for (int i = 0; i < target->ncolumns; i++)
	{
		AttrNumber	attno = target->columns[i];
		int			column = ORM_STORE_FIXED + i;
		uint8		bit = 1 << ((attno - 1) % 8);

		if (attno == target->version)
			continue;
		if ((bits == NULL || orm_has_bit(bits, attno)) && bms_is_member(attno, target->update))
			continue;
		merged->tts_values[column] = earlier->tts_values[column];
		merged->tts_isnull[column] = earlier->tts_isnull[column];
		if (bits == NULL)
			continue;
		VARDATA(bits)[(attno - 1) / 8] &= ~bit;
		if (orm_has_bit(early_bits, attno))
			VARDATA(bits)[(attno - 1) / 8] |= bit;
	}
	ExecStoreVirtualTuple(merged);
	ExecCopySlot(earlier, merged);
	ExecCopySlot(later, earlier);
	if (bits)
		pfree(bits);
}

/* Note that a row takes the place of another one and of its duplicates. */
static void
note_duplicate(OrmUpsertRows *rows, int64 dropped, int64 kept)
{
	Duplicates *entry;
	Duplicates *inherited;
	bool		found;

	if (rows->results->rows == NULL)
	{
		orm_add_result(rows->results, dropped, ORM_ROW_DUPLICATE, (Datum) 0, true);
		return;
	}
	if (rows->duplicates == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(int64);
		ctl.entrysize = sizeof(Duplicates);
		ctl.hcxt = rows->context;
		rows->duplicates = hash_create("orm_ext duplicates", 64, &ctl,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	inherited = hash_search(rows->duplicates, &dropped, HASH_FIND, NULL);
	entry = hash_search(rows->duplicates, &kept, HASH_ENTER, &found);
	if (!found)
		entry->ordinals = inherited ? inherited->ordinals : NIL;
	entry->ordinals = lappend(entry->ordinals, palloc_object(int64));
	*(int64 *) llast(entry->ordinals) = dropped;
}

/* Ordinals of the rows that a row has taken the place of (int64 *). */
List *
orm_duplicates_of(OrmUpsertRows *rows, int64 ordinal)
{
	Duplicates *entry = NULL;

	if (rows->duplicates)
		entry = hash_search(rows->duplicates, &ordinal, HASH_FIND, NULL);
	return entry ? entry->ordinals : NIL;
}

/*
 * Does the first row of a key hold?  With on_conflict nothing, those that come
 * after it find that it exists.
 */
static bool
first_holds(const OrmUpsertTarget *target)
{
	return target->options.on_duplicate == ORM_DUPLICATE_FIRST ||
		target->options.on_conflict == ORM_CONFLICT_NOTHING;
}

/* Take the sorted rows over into the store, each key once. */
static void
store_sorted_rows(OrmUpsertRows *rows)
{
	const bool	first_wins = first_holds(rows->target);
	TupleTableSlot *held = MakeSingleTupleTableSlot(rows->target->store, &TTSOpsMinimalTuple);
	TupleTableSlot *next = MakeSingleTupleTableSlot(rows->target->store, &TTSOpsMinimalTuple);
	TupleTableSlot *swap;

	rows->store = tuplestore_begin_heap(true, false, work_mem);
	tuplesort_performsort(rows->sort);
	(void) tuplesort_gettupleslot(rows->sort, true, true, held, NULL);
	while (tuplesort_gettupleslot(rows->sort, true, true, next, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		if (!same_key(rows, held, next))
			tuplestore_puttupleslot(rows->store, held);
		else if (rows->target->options.on_duplicate == ORM_DUPLICATE_ERROR)
			report_duplicate(rows, held, next);
		else if (first_wins)
		{
			note_duplicate(rows, ordinal_of(next), ordinal_of(held));
			continue;
		}
		else
		{
			note_duplicate(rows, ordinal_of(held), ordinal_of(next));
			merge_rows(rows, held, next);
		}
		swap = held;
		held = next;
		next = swap;
	}
	tuplestore_puttupleslot(rows->store, held);
	ExecDropSingleTupleTableSlot(held);
	ExecDropSingleTupleTableSlot(next);
	tuplesort_end(rows->sort);
	rows->sort = NULL;
}

/* All rows were put: how many there are, each key once. */
int64
orm_finish_rows(OrmUpsertRows *rows)
{
	MemoryContextSwitchTo(rows->context);
	if (rows->sort)
		store_sorted_rows(rows);
	/* the last row was announced, but there was none */
	rows->results->input = rows->row.ordinal - 1;
	return rows->store ? tuplestore_tuple_count(rows->store) : rows->has_first;
}

/* The slot for rows of the store. */
TupleTableSlot *
orm_stored_row(OrmUpsertRows *rows)
{
	return rows->first;
}

/* Is there one row, which is in the slot without any store? */
bool
orm_is_only_row(const OrmUpsertRows *rows)
{
	return rows->has_first && rows->store == NULL;
}

/* The store that holds the rows, in order; a row alone is put there for those who ask. */
Tuplestorestate *
orm_store_rows(OrmUpsertRows *rows)
{
	if (rows->store == NULL)
	{
		rows->store = tuplestore_begin_heap(true, false, work_mem);
		if (rows->has_first)
			tuplestore_puttupleslot(rows->store, rows->first);
	}
	return rows->store;
}

/* The executor's state, whose memory for a row is that of the row in hand. */
EState *
orm_rows_estate(OrmUpsertRows *rows)
{
	return rows->estate;
}

/* Release what is held for the rows. */
void
orm_end_rows(OrmUpsertRows *rows)
{
	if (rows->store)
		tuplestore_end(rows->store);
	if (rows->input)
		ExecDropSingleTupleTableSlot(rows->input);
	ExecDropSingleTupleTableSlot(rows->stored);
	ExecDropSingleTupleTableSlot(rows->first);
	FreeExecutorState(rows->estate);
}
