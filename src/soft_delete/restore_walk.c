/*-------------------------------------------------------------------------
 *
 * restore_walk.c
 *		Deleted rows come back along the foreign keys.
 *
 * What a deletion took along by ON DELETE CASCADE comes back with the row that
 * it began with: from the rows that are back already, the frontier, each such
 * foreign key leads to the rows that refer to them and are of the same
 * deletion.  One UPDATE per foreign key and level brings them back and returns
 * the next frontier, breadth first, so that parents come before their children.
 * A row that is back is of no deletion any more, so cycles come to an end.
 *
 * A preview takes the same way with a SELECT in the place of each UPDATE, and
 * remembers where it has been.
 *
 * Rows that come along are restored with the rights of the owner of their
 * table, as the server's own actions are run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "references.h"
#include "restore.h"
#include "soft_delete.h"
#include "transition.h"
#include "util/names.h"
#include "util/privileges.h"

/* What a statement on a table, as c, returns of each row: the columns of a frontier. */
static char *
frontier_row(const OrmFrontier *frontier, const char *deletion)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	appendStringInfo(&list, "%s, c.tableoid, c.ctid", deletion);
	foreach(lc, frontier->columns)
		appendStringInfo(&list, ", c.%s", quote_identifier(lfirst(lc)));
	return list.data;
}

/* The assignments that bring a row back. */
static char *
restoring_assignments(Oid relid)
{
	OrmMarker	marker;
	char	   *column = orm_marker_name(relid, &marker);
	bool		nullable = false;
	AttrNumber	deleted_by = orm_deleted_by_column(relid, &nullable);
	char	   *result = psprintf("%s = %s", column, orm_live_value_sql(&marker));

	if (deleted_by != InvalidAttrNumber && nullable)
		result = psprintf("%s, %s = NULL", result,
						  quote_identifier(get_attname(relid, deleted_by, false)));
	return result;
}

/*
 * The number of a row's deletion, null if a trigger has seen to it that the row
 * is still deleted: then nothing comes along.
 */
static char *
deletion_if_live(Oid relid)
{
	return psprintf("CASE WHEN %s THEN f.deletion END", orm_live_rows_sql(relid, "c"));
}

/*
 * Run the statement that brings rows of a table, c, back, or selects them for
 * a preview.
 */
static void
run_on_table(OrmRestore *restore, Oid user, Oid relid, Oid along, const char *only,
			 const char *from, const char *where, List *stores)
{
	OrmFrontier *frontier = orm_pending_frontier(restore, relid);
	char	   *row = frontier_row(frontier, restore->preview ? "f.deletion" : deletion_if_live(relid));
	uint64		rows;

	if (restore->preview)
	{
		Tuplestorestate *found = orm_open_restore_store(restore);

		orm_run_restore(restore, user,
						psprintf("SELECT %s FROM %s%s AS c, %s WHERE %s", row, only,
								 orm_relid_name(relid), from, where),
						stores, NULL, found);
		rows = orm_take_new_rows(restore, frontier, found);
		orm_close_restore_store(restore, found);
	}
	else
	{
		bool		goes_on = frontier->steps != NIL;

		orm_begin_return(along);
		rows = orm_run_restore(restore, user,
							   psprintf("UPDATE %s%s AS c SET %s FROM %s WHERE %s%s%s", only,
										orm_relid_name(relid),
										restoring_assignments(relid), from, where,
										goes_on ? " RETURNING " : "", goes_on ? row : ""),
							   stores, NULL, goes_on ? frontier->rows : NULL);
		orm_end_return();
	}
	if (rows > 0)
		orm_restored_table(restore, relid)->rows += rows;
}

/* The condition under which a row, c, refers to one of a frontier, f. */
static char *
step_condition(const OrmRestoreStep *step)
{
	OrmReference *reference = step->reference;
	StringInfoData condition;
	ListCell   *lc;

	initStringInfo(&condition);
	for (int i = 0; i < reference->nkeys; i++)
		appendStringInfo(&condition, " AND (%s)",
						 orm_reference_condition(reference, i,
												 orm_collated_key(reference, i, psprintf("f.k%d", step->columns[i])),
												 psprintf("c.%s", quote_identifier(get_attname(reference->referencing,
																							   reference->referencing_columns[i], false)))));
	if (step->members == NIL)
		return condition.data;

	appendStringInfoString(&condition, " AND f.rel OPERATOR(pg_catalog.=) ANY ('{");
	foreach(lc, step->members)
		appendStringInfo(&condition, "%s%u", foreach_current_index(lc) > 0 ? "," : "", lfirst_oid(lc));
	appendStringInfoString(&condition, "}'::pg_catalog.oid[])");
	return condition.data;
}

/* Bring back what refers to a frontier by a foreign key, as far as one kind of deletions goes. */
static void
follow_step(OrmRestore *restore, OrmFrontier *frontier, OrmRestoreStep *step, bool stamped)
{
	Oid			relid = step->reference->referencing;
	OrmMarker	marker;
	char	   *column = psprintf("c.%s", orm_marker_name(relid, &marker));
	char	   *condition;
	EphemeralNamedRelation deletions = orm_name_deletions(restore, &marker, stamped, column, &condition);

	if (deletions == NULL)
		return;
	run_on_table(restore, orm_table_owner(relid), relid, step->reference->constraint, orm_only(relid),
				 ORM_FRONTIER_NAME " AS f, " ORM_DELETION_NAME " AS d",
				 psprintf("d.deletion OPERATOR(pg_catalog.=) f.deletion AND %s%s",
						  condition, step_condition(step)),
				 list_make2(orm_name_store(ORM_FRONTIER_NAME, frontier->desc, frontier->rows),
							deletions));
	orm_close_restore_store(restore, deletions->reldata);
}

/* Bring back the rows to begin with, with the rights of the caller. */
void
orm_restore_seeds(OrmRestore *restore, const OrmSeeds *seeds)
{
	run_on_table(restore, InvalidOid, seeds->relid, InvalidOid, seeds->only, ORM_FRONTIER_NAME " AS f",
				 psprintf("c.tableoid OPERATOR(pg_catalog.=) f.rel AND c.ctid OPERATOR(pg_catalog.=) f.tid AND %s",
						  orm_deleted_rows_sql(seeds->relid, "c")),
				 list_make1(orm_name_store(ORM_FRONTIER_NAME, orm_seeds_desc(), seeds->rows)));
}

/* Bring back what went along with the rows that are back, and so on. */
void
orm_restore_followers(OrmRestore *restore)
{
	while (restore->frontiers != NIL)
	{
		OrmFrontier *frontier = linitial(restore->frontiers);
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		restore->frontiers = list_delete_first(restore->frontiers);
		if (tuplestore_tuple_count(frontier->rows) > 0)
		{
			foreach(lc, frontier->steps)
			{
				follow_step(restore, frontier, lfirst(lc), true);
				follow_step(restore, frontier, lfirst(lc), false);
			}
		}
		orm_close_restore_store(restore, frontier->rows);
	}
}
