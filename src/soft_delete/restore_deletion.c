/*-------------------------------------------------------------------------
 *
 * restore_deletion.c
 *		The deletions that the rows of a restore are of.
 *
 * They are numbered, and rows carry the number.  A statement that looks for
 * the rows of another table joins the values that its marker has in them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "restore.h"
#include "soft_delete.h"

/* A deletion as a hash key: all bytes of it count. */
typedef struct DeletionKey
{
	int64		stamp;
	int32		precision;		/* -1: there is no stamp */
	int32		local;
	TransactionId transaction;
	int32		unused;
} DeletionKey;

typedef struct DeletionNumber
{
	DeletionKey key;
	int			number;
} DeletionNumber;

/* Look a deletion up among those of a restore. */
static DeletionNumber *
find_deletion(OrmRestore *restore, const OrmDeletion *deletion, bool *found)
{
	DeletionKey key = {.precision = -1,.transaction = deletion->transaction};

	if (restore->deletion_numbers == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(DeletionKey),.entrysize = sizeof(DeletionNumber),.hcxt = restore->context};

		restore->deletion_numbers = hash_create("orm_ext deletions", 32, &ctl,
												HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (deletion->has_stamp)
	{
		key.stamp = deletion->stamp;
		key.precision = deletion->precision;
		key.local = deletion->local;
	}
	return hash_search(restore->deletion_numbers, &key, HASH_ENTER, found);
}

/* The number of a deletion, which it is given if it has none. */
int
orm_deletion_number(OrmRestore *restore, const OrmDeletion *deletion)
{
	bool		found;
	DeletionNumber *entry = find_deletion(restore, deletion, &found);

	if (found)
		return entry->number;
	if (restore->ndeletions == restore->max_deletions)
	{
		restore->max_deletions = Max(16, restore->max_deletions * 2);
		if (restore->deletions == NULL)
			restore->deletions = MemoryContextAlloc(restore->context,
													restore->max_deletions * sizeof(OrmDeletion));
		else
			restore->deletions = repalloc_huge(restore->deletions,
											   restore->max_deletions * sizeof(OrmDeletion));
	}
	entry->number = restore->ndeletions++;
	restore->deletions[entry->number] = *deletion;
	return entry->number;
}

/* Describe the store of deletions: number, and the values of a marker or the transaction. */
static TupleDesc
deletions_desc(const OrmMarker *marker, bool stamped)
{
	TupleDesc	desc = CreateTemplateTupleDesc(stamped ? 3 : 2);

	TupleDescInitEntry(desc, 1, "deletion", INT4OID, -1, 0);
	if (stamped)
	{
		TupleDescInitEntry(desc, 2, "least", orm_marker_type(marker), -1, 0);
		TupleDescInitEntry(desc, 3, "greatest", orm_marker_type(marker), -1, 0);
	}
	else
		TupleDescInitEntry(desc, 2, "transaction", XIDOID, -1, 0);
	return desc;
}

/* Add to a store what the marker is in rows of a deletion; is it exactly one value each time? */
static bool
put_ranges(Tuplestorestate *store, TupleDesc desc, int number,
		   const OrmDeletion *deletion, const OrmMarker *marker)
{
	OrmMarkerRange ranges[ORM_MARKER_RANGES];
	int			nranges = orm_deletion_ranges(deletion, marker, ranges);
	bool		exact = true;

	for (int i = 0; i < nranges; i++)
	{
		Datum		values[] = {Int32GetDatum(number), ranges[i].from, ranges[i].to};
		bool		nulls[] = {false, false, false};

		tuplestore_putvalues(store, desc, values, nulls);
		exact &= DatumGetInt64(ranges[i].from) == DatumGetInt64(ranges[i].to);
	}
	return exact;
}

/* Add the transaction of a deletion to a store, if it is known. */
static void
put_transaction(Tuplestorestate *store, TupleDesc desc, int number,
				const OrmDeletion *deletion)
{
	Datum		values[] = {Int32GetDatum(number), TransactionIdGetDatum(deletion->transaction)};
	bool		nulls[] = {false, false};

	if (TransactionIdIsValid(deletion->transaction))
		tuplestore_putvalues(store, desc, values, nulls);
}

/*
 * A store of the deletions whose rows in a table are told by its marker,
 * "column" in the statement, or if not "stamped" by the transaction that has
 * marked them; and the condition for such a row, c, with the store as d.  NULL
 * if there are none.
 */
EphemeralNamedRelation
orm_name_deletions(OrmRestore *restore, const OrmMarker *marker, bool stamped,
				   const char *column, char **condition)
{
	TupleDesc	desc = deletions_desc(marker, stamped);
	Tuplestorestate *store = orm_open_restore_store(restore);
	bool		exact = true;

	for (int i = 0; i < restore->ndeletions; i++)
	{
		const OrmDeletion *deletion = &restore->deletions[i];

		if (orm_deletion_is_stamped(deletion, marker) != stamped)
			continue;
		if (stamped)
			exact &= put_ranges(store, desc, i, deletion, marker);
		else
			put_transaction(store, desc, i, deletion);
	}
	if (tuplestore_tuple_count(store) == 0)
	{
		orm_close_restore_store(restore, store);
		return NULL;
	}

	if (!stamped)
		*condition = psprintf("c.xmin OPERATOR(pg_catalog.=) d.transaction AND %s",
							  orm_deleted_condition_sql(marker, column));
	else if (exact)
		*condition = psprintf("%s OPERATOR(pg_catalog.=) d.least", column);
	else
		*condition = psprintf("%s OPERATOR(pg_catalog.>=) d.least AND %s OPERATOR(pg_catalog.<=) d.greatest",
							  column, column);
	return orm_name_store(ORM_DELETION_NAME, desc, store);
}
