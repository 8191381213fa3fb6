/*-------------------------------------------------------------------------
 *
 * cascade.c
 *		ON DELETE CASCADE among live rows.
 *
 * The rows that refer to deleted ones are deleted as any client would, by a
 * DELETE that becomes a soft one.  What tells it from a client's is known to
 * the planner and the executor by its text, for the one execution that is
 * under way: it is soft whatever the settings say, gives the rows the stamp of
 * the deletion that it follows from, and what it does is queued behind what led
 * to it.
 *
 * As in the server's own cascade, triggers are fired at the end of the statement
 * that began it all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "cascade.h"
#include "reference_plan.h"
#include "soft_delete.h"

/* A column of the key that is referred to, in the rows of a cascade. */
typedef struct CascadeColumn
{
	Oid			type;
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *values;
} CascadeColumn;

struct OrmCascade
{
	OrmReference *reference;
	int			nrows;
	CascadeColumn columns[INDEX_MAX_KEYS];
};

/* The one that is about to be executed. */
typedef struct PendingCascade
{
	const char *query;			/* NULL: there is none */
	TimestampTz stamp;
	OrmTransitions *transitions;
} PendingCascade;

static PendingCascade pending = {NULL};

/* Can keys be given as arrays? */
static bool
has_array_types(const OrmReference *reference)
{
	for (int i = 0; i < reference->nkeys; i++)
	{
		if (!OidIsValid(orm_reference_array_type(reference, i)))
			return false;
	}
	return true;
}

/* The DELETE of a cascade is about to be run. */
static void
expect_cascade(const char *query, void *arg)
{
	pending = *(PendingCascade *) arg;
	pending.query = query;
}

/* Run the DELETE for some of the keys, or for one of them. */
static void
cascade_from(OrmCascade *cascade, int first, int nrows, TimestampTz stamp,
			 OrmTransitions *transitions)
{
	const OrmReference *reference = cascade->reference;
	PendingCascade expected = {.stamp = stamp,.transitions = transitions};
	Datum		values[INDEX_MAX_KEYS];

	for (int i = 0; i < reference->nkeys; i++)
	{
		CascadeColumn *column = &cascade->columns[i];

		values[i] = column->values[first];
		if (nrows > 1)
			values[i] = PointerGetDatum(construct_array(&column->values[first], nrows, column->type,
														column->length, column->by_value, column->align));
	}
	PG_TRY();
	{
		(void) orm_run_reference_plan(reference,
									  nrows > 1 ? ORM_CASCADE_FROM_ROWS : ORM_CASCADE_FROM_ROW,
									  values, expect_cascade, &expected);
	}
	PG_FINALLY();
	{
		pending.query = NULL;
	}
	PG_END_TRY();
}

/*
 * Begin a cascade along a foreign key.  NULL if that is gone, which the other
 * functions take for one that has nothing to do.
 */
OrmCascade *
orm_make_cascade(Oid constraint, int max_rows)
{
	OrmReference *reference = orm_read_reference(constraint);
	OrmCascade *cascade;

	if (reference == NULL)
		return NULL;
	cascade = palloc0_object(OrmCascade);
	cascade->reference = reference;
	for (int i = 0; i < reference->nkeys; i++)
	{
		CascadeColumn *column = &cascade->columns[i];

		column->type = get_atttype(reference->referenced, reference->referenced_columns[i]);
		get_typlenbyvalalign(column->type, &column->length, &column->by_value, &column->align);
		column->values = palloc_array(Datum, max_rows);
	}
	return cascade;
}

/* Add a row that was deleted.  Nothing refers to one that has a null in its key. */
void
orm_add_to_cascade(OrmCascade *cascade, TupleTableSlot *row)
{
	const OrmReference *reference = cascade ? cascade->reference : NULL;
	bool		isnull;

	if (reference == NULL)
		return;
	for (int i = 0; i < reference->nkeys; i++)
	{
		if (slot_attisnull(row, reference->referenced_columns[i]))
			return;
	}
	for (int i = 0; i < reference->nkeys; i++)
	{
		CascadeColumn *column = &cascade->columns[i];

		column->values[cascade->nrows] =
			datumCopy(slot_getattr(row, reference->referenced_columns[i], &isnull),
					  column->by_value, column->length);
	}
	cascade->nrows++;
}

/*
 * Delete the live rows that refer to those of a cascade, with the given stamp.
 * What that does is added to "transitions".
 */
void
orm_run_cascade(OrmCascade *cascade, TimestampTz stamp, OrmTransitions *transitions)
{
	if (cascade == NULL || cascade->nrows == 0)
		return;
	if (cascade->nrows == 1 || has_array_types(cascade->reference))
		cascade_from(cascade, 0, cascade->nrows, stamp, transitions);
	else
	{
		for (int i = 0; i < cascade->nrows; i++)
			cascade_from(cascade, i, 1, stamp, transitions);
	}
}

/* Is a query that is being planned the DELETE of a cascade? */
bool
orm_is_cascade(const char *query_string)
{
	return unlikely(pending.query != NULL) && query_string != NULL &&
		strcmp(query_string, pending.query) == 0;
}

/*
 * If a statement that is about to be executed is the DELETE of a cascade, give
 * it its stamp, and return where to note what it does.  NULL for any other.
 */
OrmTransitions *
orm_begin_cascade(QueryDesc *query_desc)
{
	if (!orm_is_cascade(query_desc->sourceText))
		return NULL;
	pending.query = NULL;
	orm_set_stamp(query_desc->estate->es_query_cxt, query_desc->snapshot->curcid, pending.stamp);
	return pending.transitions;
}
