/*-------------------------------------------------------------------------
 *
 * target.c
 *		The tables that hold the rows of a job, and what its ranges are of.
 *
 * Which ranges do every row exactly once?
 *	- Ranges of a key do, if SET leaves the key alone: a row that is done stays
 *	  behind the cursor, whatever becomes of it.
 *	- Ranges of places do not by themselves: the new version of a row may be put
 *	  further on.  They are right where rows that are done are gone or do not
 *	  meet the condition any more, and then they are as fast, or faster where
 *	  the key is not in the order of the table.  A row that another session
 *	  moves backwards is missed; the second pass finds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "batch.h"
#include "compat.h"
#include "policy.h"
#include "util/names.h"
#include "util/privileges.h"

/*
 * The table with its partitions and inheritance children, as far as they hold
 * rows, in the order in which the server locks them.  Errors: 42P01, 42809, 0A000.
 */
List *
orm_batch_members(Oid relid)
{
	Relation	rel = orm_open_relation(relid, AccessShareLock);
	List	   *members = NIL;
	ListCell   *lc;

	if (rel->rd_rel->relkind != RELKIND_RELATION && rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Name the table that holds the rows.")));
	relation_close(rel, NoLock);

	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		char		relkind = get_rel_relkind(lfirst_oid(lc));

		if (relkind == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("rows of foreign table \"%s\" cannot be done in batches", get_rel_name(lfirst_oid(lc))),
					 errdetail("It belongs to \"%s\"; its places and keys are those of another server.", get_rel_name(relid)),
					 errhint("Run the job on that server, or name the other partitions one by one.")));
		if (relkind == RELKIND_RELATION)
			members = lappend_oid(members, lfirst_oid(lc));
	}
	return members;
}

/* Is a table one of them still? */
bool
orm_batch_is_member(Oid relid, Oid member)
{
	return relid == member ||
		list_member_oid(find_all_inheritors(relid, AccessShareLock, NULL), member);
}

/* How many rows the statistics say there are. */
double
orm_batch_estimate(List *members)
{
	double		result = 0;
	ListCell   *lc;

	foreach(lc, members)
	{
		Relation	rel = try_relation_open(lfirst_oid(lc), AccessShareLock);
		BlockNumber pages;
		double		rows;
		double		visible;

		if (rel == NULL)
			continue;
		estimate_rel_size(rel, NULL, &pages, &rows, &visible);
		result += rows;
		relation_close(rel, NoLock);
	}
	return result;
}

/* Does a table have triggers that fire once for a statement of the kind? */
static bool
has_statement_triggers(const TriggerDesc *triggers, bool is_delete)
{
	if (triggers == NULL)
		return false;
	if (is_delete)
		return triggers->trig_delete_before_statement || triggers->trig_delete_after_statement ||
			triggers->trig_delete_old_table;
	return triggers->trig_update_before_statement || triggers->trig_update_after_statement ||
		triggers->trig_update_old_table || triggers->trig_update_new_table;
}

/* Does SET assign a column that tells which partition a row belongs to? */
static bool
may_move_rows(const OrmBatchStatement *statement, Oid member)
{
	ListCell   *lc;

	if (statement->is_delete || !get_rel_relispartition(member))
		return false;
	foreach(lc, get_partition_ancestors(member))
	{
		Relation	parent = table_open(lfirst_oid(lc), AccessShareLock);
		Bitmapset  *assigned = NULL;
		ListCell   *name;
		bool		result;

		foreach(name, statement->touched)
			assigned = bms_add_member(assigned, orm_find_column(RelationGetDescr(parent), lfirst(name)) -
									  FirstLowInvalidHeapAttributeNumber);
		result = has_partition_attrs(parent, assigned, NULL);
		table_close(parent, NoLock);
		if (result)
			return true;
		if (lfirst_oid(lc) == statement->relid)
			break;
	}
	return false;
}

/*
 * May statements name a member rather than the table that was named?  That is
 * faster, but rights, policies, triggers and the way of rows from partition to
 * partition are those of the table that a statement names.
 */
bool
orm_batch_goes_direct(const OrmBatchStatement *statement, Relation member)
{
	AclMode		rights = ACL_SELECT | (statement->is_delete ? ACL_DELETE : ACL_UPDATE);
	Relation	rel;
	bool		result;

	if (RelationGetRelid(member) == statement->relid)
		return true;
	if (pg_class_aclmask(RelationGetRelid(member), GetUserId(), rights, ACLMASK_ALL) != rights ||
		check_enable_rls(RelationGetRelid(member), InvalidOid, true) == RLS_ENABLED ||
		check_enable_rls(statement->relid, InvalidOid, true) == RLS_ENABLED ||
		has_statement_triggers(member->trigdesc, statement->is_delete) ||
		may_move_rows(statement, RelationGetRelid(member)))
		return false;
	rel = table_open(statement->relid, AccessShareLock);
	result = !rel->rd_rel->relhasrules && !member->rd_rel->relhasrules &&
		!has_statement_triggers(rel->trigdesc, statement->is_delete);
	table_close(rel, NoLock);
	return result;
}

/* Can a table be read by ranges of places? */
static bool
has_places(Relation rel)
{
	return rel->rd_tableam->scan_set_tidrange != NULL;
}

/* May the user name places?  Rights on columns do not include that. */
static bool
may_see_places(Oid relid)
{
	return orm_has_column_privilege(relid, SelfItemPointerAttributeNumber, ACL_SELECT);
}

/* Complain that there is no way to do each row once.  Error: 55000. */
static void
report_no_way(const OrmBatchStatement *statement, OrmBatchBy by, Relation rel, bool moves)
{
	const char *name = RelationGetRelationName(rel);

	if (by == ORM_BATCH_BY_CTID && !has_places(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" cannot be read by ranges of ctid", name),
				 errdetail("Its access method does not offer that."),
				 errhint("Say by => 'key'.")));
	if (by == ORM_BATCH_BY_CTID || moves)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" could be updated twice", name),
				 moves ? errdetail("A row may move to a partition that is yet to be done, and meet the condition there.")
				 : errdetail("The new version of a row may be put further on, where it would be met again."),
				 errhint("Add a condition that rows no longer meet once they are done, such as a IS NULL for a = 1.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" has no key to update it by in batches", name),
			 errdetail("The key has to be a unique index on columns that are NOT NULL and that SET does not assign, in ascending order by their types' own operators."),
			 statement->is_delete ? errhint("Say by => 'ctid'.")
			 : errhint("Add a primary key, or a condition that rows no longer meet once they are done, such as a IS NULL for a = 1.")));
}

/*
 * Choose what the ranges of a member are of, or check what was asked for.
 * Errors: 55000, 0A000.
 */
OrmBatchBy
orm_batch_choose(const OrmBatchStatement *statement, OrmBatchBy by, Relation member)
{
	bool		moves = may_move_rows(statement, RelationGetRelid(member));
	bool		may_ctid = has_places(member) && (statement->is_delete || statement->condition);
	bool		may_key;

	if (by != ORM_BATCH_BY_CTID &&
		((moves && !statement->is_guarded) || !may_see_places(statement->relid)))
		may_ctid = false;
	if (may_ctid && (by == ORM_BATCH_BY_CTID || (by == ORM_BATCH_BY_AUTO && statement->is_guarded)))
		return ORM_BATCH_BY_CTID;

	/* a key does not hold a row back from another partition */
	may_key = by != ORM_BATCH_BY_CTID && (!moves || statement->is_guarded) &&
		orm_batch_find_key(statement, member, NIL) != NULL;
	if (may_key)
		return ORM_BATCH_BY_KEY;
	if (!may_ctid || by == ORM_BATCH_BY_KEY)
		report_no_way(statement, by, member, moves && !statement->is_guarded);
	return ORM_BATCH_BY_CTID;
}

/*
 * Are rows that are done to be looked at, whether they meet the condition
 * still?  Rules may leave no way to do that.
 */
bool
orm_batch_checks_rows(const OrmBatchStatement *statement, Relation member)
{
	if (statement->is_delete || statement->condition == NULL || member->rd_rel->relhasrules)
		return false;
	return !statement->is_guarded ||
		(member->trigdesc && member->trigdesc->trig_update_before_row);
}
