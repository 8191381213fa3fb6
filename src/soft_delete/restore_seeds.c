/*-------------------------------------------------------------------------
 *
 * restore_seeds.c
 *		The rows that a restore begins with.
 *
 * They are looked for with the rights of the caller, row-level security
 * included, and locked as an UPDATE would, since their markers tell which
 * deletion they are of, and an UPDATE does not return that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "restore.h"
#include "soft_delete.h"
#include "util/names.h"

/* Describe the rows to begin with. */
TupleDesc
orm_seeds_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(desc, 1, "deletion", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 2, "rel", OIDOID, -1, 0);
	TupleDescInitEntry(desc, 3, "tid", TIDOID, -1, 0);
	return desc;
}

/* Describe what is read of each: marker, xmin, tableoid, ctid. */
static TupleDesc
found_desc(const OrmMarker *marker)
{
	TupleDesc	desc = CreateTemplateTupleDesc(4);

	TupleDescInitEntry(desc, 1, "marker", orm_marker_type(marker), -1, 0);
	TupleDescInitEntry(desc, 2, "xmin", XIDOID, -1, 0);
	TupleDescInitEntry(desc, 3, "rel", OIDOID, -1, 0);
	TupleDescInitEntry(desc, 4, "tid", TIDOID, -1, 0);
	return desc;
}

/* The query that finds and locks them. */
static char *
seeds_query(const OrmRestore *restore, const OrmSeeds *seeds, const OrmMarker *marker)
{
	const char *column = quote_identifier(get_attname(seeds->relid, marker->attno, false));

	return psprintf("SELECT %s, xmin, tableoid, ctid FROM %s%s%s WHERE (%s) AND (%s\n)%s",
					column, seeds->only, orm_relid_name(seeds->relid), seeds->alias,
					orm_deleted_condition_sql(marker, column), seeds->condition,
					restore->preview ? "" : " FOR NO KEY UPDATE");
}

/* Put a row that was found into the store, with the number of its deletion. */
static void
put_seed(OrmRestore *restore, OrmSeeds *seeds, TupleDesc desc, const OrmMarker *marker,
		 TupleTableSlot *found)
{
	OrmDeletion deletion;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	slot_getallattrs(found);
	deletion = orm_deletion_of(marker, found->tts_values[0],
							   DatumGetTransactionId(found->tts_values[1]));
	values[0] = Int32GetDatum(orm_deletion_number(restore, &deletion));
	values[1] = found->tts_values[2];
	values[2] = found->tts_values[3];
	tuplestore_putvalues(seeds->rows, desc, values, nulls);
}

/* Find the rows of a table to begin with; returns how many there are. */
int64
orm_find_seeds(OrmRestore *restore, OrmSeeds *seeds)
{
	TupleDesc	desc = orm_seeds_desc();
	Tuplestorestate *rows = orm_open_restore_store(restore);
	TupleTableSlot *slot;
	OrmMarker	marker;

	seeds->rows = orm_open_restore_store(restore);
	if (!orm_soft_delete_marker(seeds->relid, &marker))
		return 0;
	orm_run_restore(restore, InvalidOid, seeds_query(restore, seeds, &marker), NIL,
					seeds->params, rows);
	slot = MakeSingleTupleTableSlot(found_desc(&marker), &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, slot))
		put_seed(restore, seeds, desc, &marker, slot);
	ExecDropSingleTupleTableSlot(slot);
	orm_close_restore_store(restore, rows);
	return tuplestore_tuple_count(seeds->rows);
}
