/*-------------------------------------------------------------------------
 *
 * buffer.c
 *		New rows of a bulk upsert, written several at a time.
 *
 * As COPY does it: neighbours go to the same page with one record of WAL.  They
 * wait no longer than until an existing row is to be locked, so that the order
 * of locks stays that of the key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "utils/rel.h"

#include "compat.h"
#include "run.h"

/* COPY's own limits. */
#define MAX_ROWS 1000
#define MAX_BYTES 65535

struct OrmInsertBuffer
{
	OrmUpsertRun *run;
	EState	   *estate;
	ResultRelInfo *result;
	BulkInsertState bulk;		/* NULL: there are too few rows for a ring of
								 * buffers */
	int			nrows;
	int			nslots;			/* that were made; as many as were needed */
	int			max_rows;
	Size		bytes;
	TupleTableSlot **slots;
	int64	   *ordinals;
};

/* Begin to collect new rows. */
OrmInsertBuffer *
orm_begin_buffer(OrmUpsertRun *run, EState *estate, ResultRelInfo *result)
{
	OrmInsertBuffer *buffer = palloc0_object(OrmInsertBuffer);

	buffer->run = run;
	buffer->estate = estate;
	buffer->result = result;
	buffer->max_rows = Min(run->nrows, MAX_ROWS);
	buffer->slots = palloc_array(TupleTableSlot *, buffer->max_rows);
	buffer->ordinals = palloc_array(int64, buffer->max_rows);
	if (run->nrows > MAX_ROWS)
		buffer->bulk = GetBulkInsertState();
	return buffer;
}

/* Compute and check what the executor does for a row that is inserted. */
static void
complete_row(OrmInsertBuffer *buffer, TupleTableSlot *slot)
{
	Relation	rel = buffer->result->ri_RelationDesc;
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (constr && constr->has_generated_stored)
		ExecComputeStoredGenerated(buffer->result, buffer->estate, slot, CMD_INSERT);
	if (constr)
		ExecConstraints(buffer->result, slot, buffer->estate);
	if (rel->rd_rel->relispartition)
		ExecPartitionCheck(buffer->result, slot, buffer->estate, true);
}

/* Add a new row; the slot holds what is stored then. */
void
orm_buffer_row(OrmInsertBuffer *buffer, TupleTableSlot *slot)
{
	TupleTableSlot *copy;

	if (buffer->nrows == buffer->nslots)
		buffer->slots[buffer->nslots++] = table_slot_create(buffer->result->ri_RelationDesc,
															&buffer->estate->es_tupleTable);
	complete_row(buffer, slot);
	copy = buffer->slots[buffer->nrows];
	ExecCopySlot(copy, slot);
	buffer->bytes += orm_stored_size(buffer->run);
	buffer->ordinals[buffer->nrows++] = buffer->run->ordinal;
	if (buffer->nrows == buffer->max_rows || buffer->bytes > MAX_BYTES)
		orm_flush_buffer(buffer);
}

/* Write the rows. */
void
orm_flush_buffer(OrmInsertBuffer *buffer)
{
	const int64 ordinal = buffer->run->ordinal;

	if (buffer->nrows == 0)
		return;
	table_multi_insert(buffer->result->ri_RelationDesc, buffer->slots, buffer->nrows,
					   buffer->estate->es_output_cid, 0, buffer->bulk);
	for (int i = 0; i < buffer->nrows; i++)
	{
		List	   *recheck = NIL;

		/* errors are those of this row */
		buffer->run->ordinal = buffer->ordinals[i];
		if (buffer->result->ri_NumIndices > 0)
			recheck = orm_insert_index_tuples(buffer->result, buffer->slots[i], buffer->estate);
		ExecARInsertTriggers(buffer->estate, buffer->result, buffer->slots[i], recheck, NULL);
		list_free(recheck);
		ExecClearTuple(buffer->slots[i]);
	}
	buffer->run->ordinal = ordinal;
	buffer->nrows = 0;
	buffer->bytes = 0;
}

/* Release what is held for the rows; all are written. */
void
orm_end_buffer(OrmInsertBuffer *buffer)
{
	if (buffer->bulk)
		FreeBulkInsertState(buffer->bulk);
	table_finish_bulk_insert(buffer->result->ri_RelationDesc, 0);
}
