/*-------------------------------------------------------------------------
 *
 * statistics.c
 *		What the planner is to think of a marker that nobody has analyzed.
 *
 * Of a column without statistics the planner believes that one row in 200 is
 * null, or has a certain value.  With the live-row condition a table that has
 * just been filled would look all but empty to it, and be joined by nested
 * loops.  So for as long as there are no statistics of the marker, here are
 * some which say that nine rows in ten are live.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "soft_delete.h"

#define LIVE_FRACTION 0.9

/* Will other deletions share the marker's value? */
static float4
distinct_values(const OrmMarker *marker)
{
	return marker->kind == ORM_MARKER_BOOLEAN ? 2 : -(1 - LIVE_FRACTION);
}

/* Fill in that the value of live rows is the most common one. */
static void
fill_in_live_value(Datum *values, bool *nulls, const OrmMarker *marker)
{
	Oid			type = orm_marker_type(marker);
	Datum		live = castNode(Const, orm_live_value(marker))->constvalue;
	Datum		fraction = Float4GetDatum(LIVE_FRACTION);
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	values[Anum_pg_statistic_stakind1 - 1] = Int16GetDatum(STATISTIC_KIND_MCV);
	values[Anum_pg_statistic_stavalues1 - 1] =
		PointerGetDatum(construct_array(&live, 1, type, length, by_value, alignment));
	nulls[Anum_pg_statistic_stavalues1 - 1] = false;
	get_typlenbyvalalign(FLOAT4OID, &length, &by_value, &alignment);
	values[Anum_pg_statistic_stanumbers1 - 1] =
		PointerGetDatum(construct_array(&fraction, 1, FLOAT4OID, length, by_value, alignment));
	nulls[Anum_pg_statistic_stanumbers1 - 1] = false;
}

/* A row of pg_statistic for a marker. */
static HeapTuple
make_statistics(Oid relid, const OrmMarker *marker)
{
	Relation	catalog = table_open(StatisticRelationId, AccessShareLock);
	bool		null_is_live = marker->kind == ORM_MARKER_TIMESTAMPTZ || marker->kind == ORM_MARKER_TIMESTAMP;
	Datum		values[Natts_pg_statistic] = {0};
	bool		nulls[Natts_pg_statistic] = {false};
	HeapTuple	statistics;

	for (int slot = 0; slot < STATISTIC_NUM_SLOTS; slot++)
	{
		nulls[Anum_pg_statistic_stanumbers1 - 1 + slot] = true;
		nulls[Anum_pg_statistic_stavalues1 - 1 + slot] = true;
	}
	values[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(relid);
	values[Anum_pg_statistic_staattnum - 1] = Int16GetDatum(marker->attno);
	values[Anum_pg_statistic_stanullfrac - 1] = Float4GetDatum(null_is_live ? LIVE_FRACTION : 0);
	values[Anum_pg_statistic_stawidth - 1] = Int32GetDatum(get_typlen(orm_marker_type(marker)));
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(distinct_values(marker));
	if (!null_is_live)
		fill_in_live_value(values, nulls, marker);
	statistics = heap_form_tuple(RelationGetDescr(catalog), values, nulls);
	table_close(catalog, AccessShareLock);
	return statistics;
}

/*
 * The planner asks for the statistics of a column: if that is a marker of which
 * there are none, give it some.
 */
bool
orm_guess_statistics(const RangeTblEntry *rte, AttrNumber attno, VariableStatData *column)
{
	OrmMarker	marker;

	if (!orm_filter.active || rte->rtekind != RTE_RELATION ||
		!orm_soft_delete_marker(rte->relid, &marker) || marker.attno != attno ||
		SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(rte->relid),
							  Int16GetDatum(attno), BoolGetDatum(rte->inh)))
		return false;
	column->statsTuple = make_statistics(rte->relid, &marker);
	column->freefunc = heap_freetuple;
	column->acl_ok = true;
	return true;
}
