/*-------------------------------------------------------------------------
 *
 * cursor.c
 *		Where a job is in a table: its ranges, one after another.
 *
 * What is passed over is bounded when the cursor is first opened: by the
 * greatest key, or by the number of blocks.  So a job ends, however fast others
 * insert.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "batch.h"
#include "compat.h"
#include "util/names.h"

/* A range of places takes no more blocks than this, however few rows there are. */
#define MAX_BLOCKS 16384

/* Places as numbers. */
#define POSITION(block, offset) (((uint64) (block) << 16) | (offset))
#define POSITION_BLOCK(position) ((BlockNumber) ((position) >> 16))
#define POSITION_OFFSET(position) ((OffsetNumber) ((position) & 0xFFFF))

/* A place as ctid. */
void
orm_batch_tid(uint64 position, ItemPointer tid)
{
	ItemPointerSet(tid, POSITION_BLOCK(position), POSITION_OFFSET(position));
}

/* The same as text, and the other way round. */
static char *
position_text(uint64 position)
{
	return psprintf("(%u,%u)", POSITION_BLOCK(position), POSITION_OFFSET(position));
}

static uint64
text_position(const char *text)
{
	unsigned int block;
	unsigned int offset;

	if (sscanf(text, "(%u,%u)", &block, &offset) != 2)
		elog(ERROR, "invalid position \"%s\"", text);
	return POSITION(block, offset);
}

/* How many rows there are in a block, at least one. */
static double
density(Relation rel)
{
	BlockNumber pages;
	double		rows;
	double		visible;

	estimate_rel_size(rel, NULL, &pages, &rows, &visible);
	return pages > 0 ? Max(rows / pages, 1) : 1;
}

/* Find the key that a cursor had before, or one to begin with.  Error: 55000. */
static OrmBatchKey *
cursor_key(const OrmBatchJob *job, Relation rel)
{
	OrmBatchKey *key = orm_batch_find_key(&job->statement, rel, job->progress.columns);

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key by which table \"%s\" was being done is gone", RelationGetRelationName(rel)),
				 errdetail("Without it nothing tells the rows that are done from those that are not."),
				 errhint("Create the unique index again.")));
	return key;
}

/* Begin, or go on, by key. */
static void
open_by_key(OrmBatchCursor *cursor, const OrmBatchJob *job, Relation rel)
{
	const OrmBatchProgress *progress = &job->progress;

	cursor->key = cursor_key(job, rel);
	if (progress->by == ORM_BATCH_BY_AUTO)
		cursor->bound = orm_batch_last_key(rel, cursor->key);
	else if (progress->bound != NIL)
		cursor->bound = orm_batch_key_values(cursor->key, progress->bound);
	if (progress->by != ORM_BATCH_BY_AUTO && progress->after != NIL)
		cursor->after = orm_batch_key_values(cursor->key, progress->after);
}

/*
 * Begin, or go on, by place.  Places mean nothing any more in a table that has
 * been written anew; then it is begun again, and rows that are done are passed
 * over since they are gone, or do not meet the condition.
 */
static void
open_by_ctid(OrmBatchCursor *cursor, const OrmBatchJob *job, Relation rel)
{
	const OrmBatchProgress *progress = &job->progress;

	cursor->filenode = orm_relfilenumber(rel);
	cursor->end = POSITION(RelationGetNumberOfBlocks(rel), 0);
	if (progress->by != ORM_BATCH_BY_AUTO && progress->filenode == cursor->filenode)
	{
		cursor->next = progress->after != NIL ? text_position(linitial(progress->after)) : 0;
		cursor->end = text_position(linitial(progress->bound));
	}
}

/* Open a cursor where the job is; it lives in a memory context of its own. */
OrmBatchCursor *
orm_batch_open_cursor(const OrmBatchJob *job, Relation rel, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "orm_ext batch cursor", ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	OrmBatchCursor *cursor = palloc0_object(OrmBatchCursor);

	cursor->context = context;
	cursor->density = density(rel);
	cursor->by = job->progress.by;
	if (cursor->by == ORM_BATCH_BY_AUTO)
		cursor->by = orm_batch_choose(&job->statement, job->options.by, rel);
	if (cursor->by == ORM_BATCH_BY_KEY)
		open_by_key(cursor, job, rel);
	else
		open_by_ctid(cursor, job, rel);
	MemoryContextSwitchTo(oldcontext);
	return cursor;
}

/* How many line pointers there are in a block. */
static OffsetNumber
line_pointers(Relation rel, BlockNumber block)
{
	Buffer		buffer;
	OffsetNumber result;

	if (rel->rd_rel->relam != HEAP_TABLE_AM_OID || block >= RelationGetNumberOfBlocks(rel))
		return MaxHeapTuplesPerPage;
	buffer = ReadBuffer(rel, block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	result = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	return result;
}

/* The place after so many rows, roughly; within a block, after so many line pointers. */
static uint64
place_after(const OrmBatchCursor *cursor, Relation rel, int64 rows)
{
	BlockNumber block = POSITION_BLOCK(cursor->next);
	OffsetNumber offset = POSITION_OFFSET(cursor->next);
	double		blocks = Min(rows / cursor->density, MAX_BLOCKS);
	uint64		place;

	if (blocks >= 1 && rows > 1)
		place = POSITION(block + (uint64) blocks, 0);
	else if (Max(offset, 1) + rows > line_pointers(rel, block))
		place = POSITION(block + (uint64) 1, 0);
	else
		place = POSITION(block, Max(offset, 1) + rows);
	return Min(place, cursor->end);
}

/* The next range of so many rows, roughly; false at the end. */
bool
orm_batch_next_range(const OrmBatchCursor *cursor, Relation rel, int64 size, OrmBatchRange *range)
{
	memset(range, 0, sizeof(*range));
	if (cursor->by == ORM_BATCH_BY_KEY)
	{
		if (cursor->bound == NULL)
			return false;
		range->visited = orm_batch_walk_key(rel, cursor->key, cursor->after, cursor->bound, size, &range->high);
		range->is_single = size <= 1;
		range->is_last = range->visited < size;
		return range->visited > 0;
	}
	if (cursor->next >= cursor->end)
		return false;
	range->end = place_after(cursor, rel, size);
	range->visited = (POSITION_BLOCK(range->end) - POSITION_BLOCK(cursor->next)) * cursor->density;
	range->is_single = size <= 1;
	range->is_last = range->end >= cursor->end;
	return true;
}

/*
 * Note in a job's progress that a range has been done; without one, where the
 * cursor is.  What is noted outlives the cursor.
 */
void
orm_batch_note_range(const OrmBatchCursor *cursor, const OrmBatchRange *range, OrmBatchProgress *progress)
{
	progress->by = cursor->by;
	progress->filenode = cursor->filenode;
	progress->columns = NIL;
	if (cursor->by == ORM_BATCH_BY_CTID)
	{
		progress->after = list_make1(position_text(range ? range->end : cursor->next));
		progress->bound = list_make1(position_text(cursor->end));
	}
	else
	{
		const Datum *after = range ? range->high : cursor->after;

		for (int i = 0; i < cursor->key->ncolumns; i++)
			progress->columns = lappend(progress->columns, pstrdup(cursor->key->names[i]));
		progress->after = after ? orm_batch_key_texts(cursor->key, after) : NIL;
		progress->bound = cursor->bound ? orm_batch_key_texts(cursor->key, cursor->bound) : NIL;
	}
	if (range && progress->pass == 1)
		progress->visited += range->visited;
}

/* Move a cursor behind a range. */
void
orm_batch_advance(OrmBatchCursor *cursor, const OrmBatchRange *range)
{
	if (cursor->by == ORM_BATCH_BY_CTID)
		cursor->next = range->end;
	else
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(cursor->context);
		Datum	   *old = cursor->after;

		cursor->after = orm_batch_copy_key(cursor->key, range->high);
		for (int i = 0; old != NULL && i < cursor->key->ncolumns; i++)
		{
			if (!cursor->key->typbyval[i])
				pfree(DatumGetPointer(old[i]));
		}
		if (old)
			pfree(old);
		MemoryContextSwitchTo(oldcontext);
	}
}

/* Append a column and its value. */
static void
append_value(StringInfo text, const char *column, const char *value)
{
	appendStringInfo(text, "%s%s = %s", text->len > 0 ? " AND " : "",
					 quote_identifier(column), quote_literal_cstr(value));
}

/* The values of a row's primary key, NULL if it has none, or is not there. */
static char *
primary_key_at(Relation rel, uint64 position)
{
	List	   *columns = orm_primary_key_columns(rel);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	StringInfoData text;
	ItemPointerData tid;
	ListCell   *lc;

	initStringInfo(&text);
	orm_batch_tid(position, &tid);
	if (table_tuple_fetch_row_version(rel, &tid, snapshot, slot))
	{
		foreach(lc, columns)
		{
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), lfirst_int(lc) - 1);
			bool		isnull;
			Datum		value = slot_getattr(slot, att->attnum, &isnull);
			Oid			output;
			bool		is_varlena;

			getTypeOutputInfo(att->atttypid, &output, &is_varlena);
			append_value(&text, NameStr(att->attname), OidOutputFunctionCall(output, value));
		}
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	return text.len > 0 ? text.data : NULL;
}

/* Where the single row of a range is, for messages. */
char *
orm_batch_position(const OrmBatchCursor *cursor, Relation rel, const OrmBatchRange *range)
{
	StringInfoData text;
	List	   *values;

	if (cursor->by == ORM_BATCH_BY_CTID)
	{
		char	   *key = primary_key_at(rel, range->end - 1);

		return key ? key : psprintf("ctid = %s", quote_literal_cstr(position_text(range->end - 1)));
	}
	initStringInfo(&text);
	values = orm_batch_key_texts(cursor->key, range->high);
	for (int i = 0; i < cursor->key->ncolumns; i++)
		append_value(&text, cursor->key->names[i], list_nth(values, i));
	return text.data;
}
