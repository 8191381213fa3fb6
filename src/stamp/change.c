/*-------------------------------------------------------------------------
 *
 * change.c
 *		Makes the new row of a stamp trigger.
 *
 * As a rule the columns that are kept are of fixed width and not null.  Then
 * they are overwritten where they are, in the tuple that the executor's slot
 * owns, and the trigger returns the tuple that it was given: nothing is copied,
 * and the row need not be taken apart once more for constraints and RETURNING.
 * That was more than half of the trigger's cost.
 *
 * This is sound as the slot is the executor's alone: it made the tuple for this
 * row (TTS_SHOULDFREE), goes on with it if a trigger returns it, and both forms
 * of a value, in the tuple and taken apart, are changed alike.  In all other
 * cases the row is made anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "stamp.h"

/* Does the slot own the tuple, so that it may be overwritten? */
static bool
owns_tuple(TupleTableSlot *slot, HeapTuple tuple)
{
	return (TTS_IS_BUFFERTUPLE(slot) || TTS_IS_HEAPTUPLE(slot)) &&
		TTS_SHOULDFREE(slot) &&
		((HeapTupleTableSlot *) slot)->tuple == tuple;
}

/* Can all changes be made without changing the size of the tuple? */
static bool
can_overwrite(const OrmStampPass *pass)
{
	TupleTableSlot *slot = pass->new_slot;
	int			natts = HeapTupleHeaderGetNatts(pass->new->t_data);

	if (!owns_tuple(slot, pass->new))
		return false;
	for (int i = 0; i < pass->nchanges; i++)
	{
		int			column = pass->columns[i] - 1;

		if (column >= natts || slot->tts_isnull[column] || pass->nulls[i] ||
			TupleDescAttr(slot->tts_tupleDescriptor, column)->attlen <= 0)
			return false;
	}
	return true;
}

/*
 * Where a column of fixed width stands in the data of a tuple that was taken
 * apart at least up to it: behind the last value before it that the slot has a
 * pointer to, or that is known to end somewhere.
 */
static uint32
column_offset(TupleTableSlot *slot, const char *data, int column,
			  int known, uint32 known_end)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	uint32		offset = known_end;
	int			i = column;

	Assert(slot->tts_nvalid > column);
	while (--i > known)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attbyval || slot->tts_isnull[i])
			continue;
		offset = DatumGetPointer(slot->tts_values[i]) - data;
		offset = att_addlength_pointer(offset, att->attlen, data + offset);
		break;
	}
	for (i++; i < column; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!slot->tts_isnull[i])
			offset = att_align_nominal(offset, att->attalign) + att->attlen;
	}
	return att_align_nominal(offset, TupleDescAttr(desc, column)->attalign);
}

/*
 * Overwrite the changed columns, which are in order, in the tuple and among the
 * values taken out of it.
 */
static void
overwrite(const OrmStampPass *pass)
{
	TupleTableSlot *slot = pass->new_slot;
	char	   *data = (char *) pass->new->t_data + pass->new->t_data->t_hoff;
	int			known = -1;
	uint32		known_end = 0;

	for (int i = 0; i < pass->nchanges; i++)
	{
		int			column = pass->columns[i] - 1;
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, column);
		Datum		value = pass->values[i];
		uint32		offset;

		if (!att->attbyval)
		{
			memcpy(DatumGetPointer(slot->tts_values[column]), DatumGetPointer(value), att->attlen);
			continue;
		}
		offset = column_offset(slot, data, column, known, known_end);
		store_att_byval(data + offset, value, att->attlen);
		slot->tts_values[column] = value;
		known = column;
		known_end = offset + att->attlen;
	}
}

/* The new row with the changes made. */
HeapTuple
orm_changed_row(OrmStampPass *pass)
{
	if (pass->nchanges == 0)
		return pass->new;
	if (!can_overwrite(pass))
		return heap_modify_tuple_by_cols(pass->new, RelationGetDescr(pass->rel),
										 pass->nchanges, pass->columns,
										 pass->values, pass->nulls);
	overwrite(pass);
	return pass->new;
}
