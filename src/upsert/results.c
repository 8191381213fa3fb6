/*-------------------------------------------------------------------------
 *
 * results.c
 *		What became of the rows of a bulk upsert.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#include "upsert.h"

/* The last bulk upsert of this session, for last_bulk_result(). */
typedef struct LastResult
{
	Oid			relid;			/* InvalidOid: there was none */
	int64		input;
	int64		counts[ORM_UPSERT_ACTIONS];
} LastResult;

static LastResult last;

/* Columns of the rows that are kept, in the order of the input. */
#define RESULT_ORDINAL 1
#define RESULT_ACTION 2
#define RESULT_ROW 3

/* Begin to keep rows. */
static void
begin_rows(OrmUpsertResults *results)
{
	AttrNumber	column = RESULT_ORDINAL;
	Oid			operator = Int8LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	results->rows = tuplesort_begin_heap(results->row_type, 1, &column, &operator, &collation,
										 &nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

/* Begin to count; with a row type, rows are kept too. */
void
orm_begin_results(OrmUpsertResults *results, Oid row_type)
{
	memset(results, 0, sizeof(*results));
	results->owner = CurrentResourceOwner;
	if (!OidIsValid(row_type))
		return;
	results->row_type = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(results->row_type, RESULT_ORDINAL, "ordinal", INT8OID, -1, 0);
	TupleDescInitEntry(results->row_type, RESULT_ACTION, "action", TEXTOID, -1, 0);
	TupleDescInitEntry(results->row_type, RESULT_ROW, "result", row_type, -1, 0);
	results->slot = MakeSingleTupleTableSlot(results->row_type, &TTSOpsVirtual);
	begin_rows(results);
}

/* Forget what was noted since "before"; no row was kept until then. */
void
orm_restart_results(OrmUpsertResults *results, const OrmUpsertResults *before)
{
	memcpy(results->counts, before->counts, sizeof(results->counts));
	if (results->rows == NULL)
		return;
	tuplesort_end(results->rows);
	begin_rows(results);
}

/*
 * Keep a row.  A file that this takes belongs to the call, not to the
 * subtransaction in which rows may be written.
 */
static void
put_row(OrmUpsertResults *results, TupleTableSlot *slot)
{
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = results->owner;
	tuplesort_puttupleslot(results->rows, slot);
	CurrentResourceOwner = owner;
}

/* Count one row of the input, and keep what there is to return of it. */
void
orm_add_result(OrmUpsertResults *results, int64 ordinal, OrmUpsertAction action,
			   Datum row, bool isnull)
{
	TupleTableSlot *slot = results->slot;

	results->counts[action]++;
	if (results->rows == NULL)
		return;
	ExecClearTuple(slot);
	slot->tts_values[RESULT_ORDINAL - 1] = Int64GetDatum(ordinal);
	slot->tts_values[RESULT_ACTION - 1] = CStringGetTextDatum(orm_upsert_action_name(action));
	slot->tts_values[RESULT_ROW - 1] = row;
	slot->tts_isnull[RESULT_ORDINAL - 1] = slot->tts_isnull[RESULT_ACTION - 1] = false;
	slot->tts_isnull[RESULT_ROW - 1] = isnull;
	put_row(results, ExecStoreVirtualTuple(slot));
}

/* All rows are through: note the counts for last_bulk_result(). */
void
orm_finish_results(OrmUpsertResults *results, Oid relid)
{
	last.relid = relid;
	last.input = results->input;
	memcpy(last.counts, results->counts, sizeof(last.counts));
	if (results->rows)
		tuplesort_performsort(results->rows);
}

/*
 * orm_ext.last_bulk_result(): what became of the rows of this session's last
 * bulk upsert; no row before the first.
 */
PG_FUNCTION_INFO_V1(orm_last_bulk_result);

Datum
orm_last_bulk_result(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const int64 *counts = last.counts;
	Datum		values[] = {
		ObjectIdGetDatum(last.relid),
		Int64GetDatum(last.input),
		Int64GetDatum(counts[ORM_ROW_INSERTED]),
		Int64GetDatum(counts[ORM_ROW_UPDATED] + counts[ORM_ROW_REVIVED]),
		Int64GetDatum(counts[ORM_ROW_UNCHANGED]),
		Int64GetDatum(counts[ORM_ROW_SKIPPED] + counts[ORM_ROW_STALE] + counts[ORM_ROW_DUPLICATE]),
		Int64GetDatum(counts[ORM_ROW_REVIVED]),
		Int64GetDatum(counts[ORM_ROW_STALE]),
		Int64GetDatum(counts[ORM_ROW_DUPLICATE])
	};
	bool		nulls[lengthof(values)] = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (OidIsValid(last.relid))
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}
