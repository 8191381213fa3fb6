/*-------------------------------------------------------------------------
 *
 * managed_tables.c
 *		All tables under soft delete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_trigger.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "soft_delete.h"
#include "util/names.h"

/* The tables (OIDs) that have a trigger which declares soft delete. */
static List *
declared_tables(void)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(triggers, InvalidOid, false, NULL, 0, NULL);
	List	   *result = NIL;
	Oid			last = InvalidOid;
	bool		last_is_ours = false;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgfoid != last)
		{
			last = form->tgfoid;
			last_is_ours = !form->tgisinternal &&
				orm_is_library_function(last, ORM_SOFT_DELETE_SYMBOL);
		}
		if (last_is_ours)
			result = list_append_unique_oid(result, form->tgrelid);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return result;
}

/* Does a table belong to a partitioned one that is under soft delete? */
static bool
is_part_of_managed(Oid relid)
{
	return get_rel_relispartition(relid) &&
		orm_soft_delete_active(get_partition_parent(relid, true));
}

/*
 * The tables (OIDs) under soft delete, locked against being dropped.
 * Partitions are part of their table.
 */
List *
orm_managed_tables(void)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, declared_tables())
	{
		Oid			relid = lfirst_oid(lc);

		if (isOtherTempNamespace(get_rel_namespace(relid)))
			continue;
		LockRelationOid(relid, AccessShareLock);
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) &&
			orm_soft_delete_active(relid) && !is_part_of_managed(relid))
			result = lappend_oid(result, relid);
	}
	return result;
}
