/*-------------------------------------------------------------------------
 *
 * array.c
 *		Rows of a bulk upsert from an array of a table's row type.
 *
 * A row has a value for every column, so none is left out; but a null where
 * the column allows none and has a default can only mean that default.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "upsert.h"

typedef struct ArraySource
{
	ArrayIterator iterator;
	TupleDesc	desc;
	Bitmapset  *may_be_absent;
	bool	   *present;		/* columns of a row that lacks none of these */
} ArraySource;

/* Does a null in a column mean its default? */
static bool
null_means_default(Form_pg_attribute att)
{
	return att->attnotnull && (att->atthasdef || att->attidentity);
}

/* Take a row apart. */
static void
read_row(ArraySource *array, Datum element, OrmInputRow *row)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(element);
	HeapTupleData tuple;
	int			attno = -1;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, array->desc, row->values, row->nulls);
	memcpy(row->present, array->present, sizeof(bool) * array->desc->natts);
	while ((attno = bms_next_member(array->may_be_absent, attno)) >= 0)
		row->present[attno - 1] = !row->nulls[attno - 1];
}

/* The next element.  Error: 22004 it is null. */
static bool
next_element(OrmUpsertSource *source, OrmInputRow *row)
{
	ArraySource *array = source->state;
	Datum		element;
	bool		isnull;

	if (!array_iterate(array->iterator, &element, &isnull))
		return false;
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("row %lld of the input is null", (long long) row->ordinal),
				 errhint("Leave it out: array_remove(rows, NULL).")));
	read_row(array, element, row);
	return true;
}

/* The columns in which a null means the default, and some row has one. */
static Bitmapset *
find_absent(ArraySource *array, ArrayType *rows)
{
	ArrayIterator iterator;
	Bitmapset  *absent = NULL;
	Datum		element;
	bool		isnull;

	if (bms_is_empty(array->may_be_absent))
		return NULL;
	iterator = array_create_iterator(rows, 0, NULL);
	while (array_iterate(iterator, &element, &isnull))
	{
		HeapTupleData tuple = {0};
		int			attno = -1;

		if (isnull)
			continue;
		tuple.t_data = DatumGetHeapTupleHeader(element);
		while ((attno = bms_next_member(array->may_be_absent, attno)) >= 0)
		{
			if (heap_attisnull(&tuple, attno, array->desc))
				absent = bms_add_member(absent, attno);
		}
	}
	array_free_iterator(iterator);
	return absent;
}

/* Read rows from an array of the table's row type. */
void
orm_open_array(OrmUpsertSource *source, Relation rel, Datum rows)
{
	ArraySource *array = palloc0_object(ArraySource);
	ArrayType  *elements = DatumGetArrayTypeP(rows);

	array->desc = RelationGetDescr(rel);
	array->present = palloc0_array(bool, array->desc->natts);
	for (int i = 0; i < array->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(array->desc, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		source->columns = lappend_int(source->columns, att->attnum);
		array->present[i] = true;
		if (null_means_default(att))
			array->may_be_absent = bms_add_member(array->may_be_absent, att->attnum);
	}
	array->iterator = array_create_iterator(elements, 0, NULL);
	source->partial = find_absent(array, elements);
	source->next = next_element;
	source->state = array;
}
