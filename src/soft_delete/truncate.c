/*-------------------------------------------------------------------------
 *
 * truncate.c
 *		TRUNCATE would lose the rows that soft delete keeps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "soft_delete.h"
#include "util/names.h"

/* Tables that a TRUNCATE would empty, named, inherited and by CASCADE. */
static List *
truncated_tables(const TruncateStmt *stmt)
{
	List	   *relids = NIL;
	List	   *referencing;
	ListCell   *lc;

	foreach(lc, stmt->relations)
	{
		RangeVar   *name = lfirst_node(RangeVar, lc);
		Oid			relid = RangeVarGetRelid(name, NoLock, true);

		if (!OidIsValid(relid))
			continue;			/* the server will say so */
		if (name->inh)
			relids = list_concat_unique_oid(relids,
											find_all_inheritors(relid, NoLock, NULL));
		else
			relids = list_append_unique_oid(relids, relid);
	}

	if (stmt->behavior != DROP_CASCADE)
		return relids;
	while ((referencing = heap_truncate_find_FKs(relids)) != NIL)
		relids = list_concat_unique_oid(relids, referencing);
	return relids;
}

/*
 * Refuse to TRUNCATE a table under soft delete.  A role that may not truncate
 * it anyhow is left to the server's own error.
 *
 * Error: 55000.
 */
void
orm_check_truncate(const TruncateStmt *stmt)
{
	ListCell   *lc;

	if (orm_delete_mode == ORM_DELETE_MODE_HARD)
		return;

	foreach(lc, truncated_tables(stmt))
	{
		Oid			relid = lfirst_oid(lc);

		if (!orm_soft_delete_active(relid) ||
			pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot truncate table \"%s\"", get_rel_name(relid)),
				 errdetail("It is under soft delete, and TRUNCATE would remove its rows for good, deleted ones included."),
				 errhint("DELETE FROM %s; or, to remove the rows for good, SET LOCAL orm_ext.delete_mode = 'hard'; in the same transaction before.",
						 orm_relid_name(relid))));
	}
}
