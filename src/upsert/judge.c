/*-------------------------------------------------------------------------
 *
 * judge.c
 *		What is to be done about an existing row?
 *
 * Whether a row differs is asked of the stored images, not of the type's
 * equality: 1.0 and 1.00 are equal and yet not the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "run.h"

/* Does the row that is being written supply a column? */
bool
orm_row_supplies(const OrmUpsertRun *run, AttrNumber attno)
{
	bool		isnull;
	Datum		bits;

	if (orm_supplied_position(run->target, attno) < 0)
		return false;
	if (bms_is_empty(run->target->partial))
		return true;
	bits = slot_getattr(run->row, ORM_STORE_PRESENT, &isnull);
	if (isnull)
		return true;
	return orm_has_bit((bytea *) DatumGetPointer(bits), attno);
}

/* What the row that is being written supplies for a column. */
Datum
orm_row_value(const OrmUpsertRun *run, AttrNumber attno, bool *isnull)
{
	return slot_getattr(run->row, orm_store_column(run->target, attno), isnull);
}

/* Is a column of the existing row other than what is supplied for it? */
static bool
differs(const OrmUpsertRun *run, int i)
{
	Form_pg_attribute att = TupleDescAttr(run->target->compared_type, i);
	AttrNumber	attno = run->target->compared[i];
	bool		isnull;
	Datum		value = orm_row_value(run, attno, &isnull);

	if (isnull || run->existing_nulls[i])
		return isnull != run->existing_nulls[i];
	return !datum_image_eq(value, run->existing[i], att->attbyval, att->attlen);
}

/* Is the version that the row gives another one than the stored one? */
static bool
is_stale(const OrmUpsertRun *run, int i)
{
	bool		isnull;

	if (!orm_row_supplies(run, run->target->version))
		return false;
	(void) orm_row_value(run, run->target->version, &isnull);
	return !isnull && differs(run, i);
}

/*
 * The version after the stored one, of an integer type.  Error: 22003, in the
 * server's words.
 */
Datum
orm_next_version(const OrmUpsertTarget *target, Datum version)
{
	switch (getBaseType(TupleDescAttr(target->rowtype, target->version - 1)->atttypid))
	{
		case INT2OID:
			return DirectFunctionCall1(i4toi2, DirectFunctionCall2(int24pl, version, Int32GetDatum(1)));
		case INT4OID:
			return DirectFunctionCall2(int4pl, version, Int32GetDatum(1));
		default:
			return DirectFunctionCall2(int8pl, version, Int64GetDatum(1));
	}
}

/* What is to be done about an existing row with the key? */
OrmVerdict
orm_judge(const OrmUpsertRun *run)
{
	const OrmUpsertTarget *target = run->target;
	bool		changed = false;

	if (target->options.on_conflict == ORM_CONFLICT_NOTHING && !run->reviving)
		return ORM_VERDICT_SKIP;
	for (int i = 0; target->soft_delete && i < target->ncompared; i++)
	{
		AttrNumber	attno = target->compared[i];

		if (attno == target->marker.attno && !run->reviving &&
			!orm_marker_is_live(&target->marker, run->existing[i], run->existing_nulls[i]))
			return ORM_VERDICT_DELETED;
	}
	for (int i = 0; i < target->ncompared; i++)
	{
		AttrNumber	attno = target->compared[i];

		if (attno == target->version && is_stale(run, i))
			return ORM_VERDICT_STALE;
		if (bms_is_member(attno, target->update) && orm_row_supplies(run, attno) && differs(run, i))
			changed = true;
	}
	return changed || run->reviving ? ORM_VERDICT_WRITE : ORM_VERDICT_SAME;
}
