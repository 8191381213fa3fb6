/*-------------------------------------------------------------------------
 *
 * key_commands.c
 *		Commands on unique constraints that soft delete has made into indexes.
 *
 * A unique key among live rows is an index without a constraint, since a
 * unique constraint has no predicate.  Migrations do not know that.  What they
 * say of a unique constraint that a table under soft delete does not have is
 * done to its unique index of that name:
 *
 *		ALTER TABLE … DROP CONSTRAINT key		DROP INDEX key
 *		ALTER TABLE … RENAME CONSTRAINT key		ALTER INDEX key RENAME
 *		COMMENT ON CONSTRAINT key ON …			COMMENT ON INDEX key
 *		ADD CONSTRAINT key UNIQUE USING INDEX i	ALTER INDEX i RENAME TO key
 *
 * The tag stays that of the command as it was sent.
 *
 * Foreign keys, primary keys and replica identities want a key among all rows.
 * Where one is to be made of a key among live rows, that key comes to hold among
 * all rows first, as it would have stayed had the other been there before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "soft_delete.h"
#include "unique_keys.h"
#include "util/names.h"
#include "util/spi.h"

/* A table under soft delete, InvalidOid if the name is of anything else. */
static Oid
managed_table(const RangeVar *name, OrmMarker *marker)
{
	Oid			relid = orm_find_relation(name);

	return OidIsValid(relid) && orm_soft_delete_sound(relid, marker) ? relid : InvalidOid;
}

/* A unique index of a table, by name, that has no constraint; InvalidOid if there is none. */
static Oid
find_key(Oid relid, const char *name)
{
	Oid			index = get_relname_relid(name, get_rel_namespace(relid));
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		found = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

		found = form->indrelid == relid && form->indisunique &&
			!OidIsValid(get_relation_constraint_oid(relid, name, true));
		ReleaseSysCache(tuple);
	}
	return found ? index : InvalidOid;
}

/* Is this ADD CONSTRAINT … UNIQUE USING INDEX of a key among live rows? */
static bool
takes_key_of_live_rows(Oid relid, const OrmMarker *marker, const AlterTableCmd *cmd)
{
	const Constraint *constraint = (const Constraint *) cmd->def;
	Oid			index;

	if (cmd->subtype != AT_AddConstraint || constraint->contype != CONSTR_UNIQUE ||
		constraint->indexname == NULL || constraint->deferrable)
		return false;
	index = find_key(relid, constraint->indexname);
	return OidIsValid(index) && orm_is_key_of_live_rows(index, marker);
}

/* Is a part of ALTER TABLE one to be done to an index? */
static bool
is_for_index(Oid relid, const OrmMarker *marker, const AlterTableCmd *cmd)
{
	return (cmd->subtype == AT_DropConstraint && OidIsValid(find_key(relid, cmd->name))) ||
		takes_key_of_live_rows(relid, marker, cmd);
}

/* Do it. */
static void
do_to_index(Oid relid, const AlterTableCmd *cmd)
{
	const char *schema = get_namespace_name(get_rel_namespace(relid));
	const Constraint *constraint = (const Constraint *) cmd->def;

	if (cmd->subtype == AT_DropConstraint)
		orm_run(psprintf("DROP INDEX %s%s", quote_qualified_identifier(schema, cmd->name),
						 cmd->behavior == DROP_CASCADE ? " CASCADE" : ""));
	else if (constraint->conname && strcmp(constraint->conname, constraint->indexname) != 0)
	{
		ereport(NOTICE,
				(errmsg("ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"%s\" to \"%s\"",
						constraint->indexname, constraint->conname)));
		orm_run(psprintf("ALTER INDEX %s RENAME TO %s",
						 quote_qualified_identifier(schema, constraint->indexname),
						 quote_identifier(constraint->conname)));
	}
}

/* Do to indexes what is for them, and leave the rest of ALTER TABLE to the server. */
static PlannedStmt *
do_to_indexes(PlannedStmt *pstmt, Oid relid, const OrmMarker *marker)
{
	AlterTableStmt *alter = castNode(AlterTableStmt, pstmt->utilityStmt);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, alter->cmds)
		found |= is_for_index(relid, marker, lfirst(lc));
	if (!found)
		return pstmt;

	/* whoever may not alter the table is told so */
	relid = AlterTableLookupRelation(alter, AccessExclusiveLock);
	pstmt = copyObject(pstmt);
	alter = castNode(AlterTableStmt, pstmt->utilityStmt);
	foreach(lc, alter->cmds)
	{
		if (!is_for_index(relid, marker, lfirst(lc)))
			continue;
		do_to_index(relid, lfirst(lc));
		alter->cmds = foreach_delete_current(alter->cmds, lc);
	}
	return pstmt;
}

/* ALTER TABLE … RENAME CONSTRAINT */
static PlannedStmt *
redirect_rename(PlannedStmt *pstmt)
{
	RenameStmt *rename = castNode(RenameStmt, pstmt->utilityStmt);
	OrmMarker	marker;
	Oid			relid;

	if (rename->renameType != OBJECT_TABCONSTRAINT)
		return pstmt;
	relid = managed_table(rename->relation, &marker);
	if (!OidIsValid(relid) || !OidIsValid(find_key(relid, rename->subname)))
		return pstmt;

	pstmt = copyObject(pstmt);
	rename = castNode(RenameStmt, pstmt->utilityStmt);
	rename->renameType = rename->relationType = OBJECT_INDEX;
	rename->relation = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
									rename->subname, -1);
	rename->subname = NULL;
	return pstmt;
}

/* COMMENT ON CONSTRAINT … ON table */
static PlannedStmt *
redirect_comment(PlannedStmt *pstmt)
{
	CommentStmt *comment = castNode(CommentStmt, pstmt->utilityStmt);
	List	   *names = (List *) comment->object;
	char	   *name;
	OrmMarker	marker;
	Oid			relid;

	if (comment->objtype != OBJECT_TABCONSTRAINT)
		return pstmt;
	name = strVal(llast(names));
	relid = managed_table(makeRangeVarFromNameList(list_truncate(list_copy(names),
																 list_length(names) - 1)),
						  &marker);
	if (!OidIsValid(relid) || !OidIsValid(find_key(relid, name)))
		return pstmt;

	pstmt = copyObject(pstmt);
	comment = castNode(CommentStmt, pstmt->utilityStmt);
	comment->objtype = OBJECT_INDEX;
	comment->object = (Node *) list_make2(makeString(get_namespace_name(get_rel_namespace(relid))),
										  makeString(pstrdup(name)));
	return pstmt;
}

/* Have a key among live rows hold among all rows; nothing to do for InvalidOid. */
static void
hold_among_all_rows(Oid relid, OrmMarker *marker, Oid key, const char *reason)
{
	char	   *condition;

	if (!OidIsValid(key))
		return;
	condition = orm_deleted_condition_sql(marker, orm_marker_name(relid, marker));
	orm_begin_ddl();
	orm_convert_live_key(relid, key, reason,
						 psprintf("Deleted rows count as well. Remove them first: DELETE FROM %s WHERE %s;",
								  orm_relid_name(relid), condition));
	(void) orm_end_ddl();
}

/* Have a key that a foreign key is to refer to hold among all rows. */
static void
make_referable(const Constraint *constraint)
{
	Oid			relid;
	OrmMarker	marker;

	if (constraint->contype != CONSTR_FOREIGN || constraint->pk_attrs == NIL)
		return;
	relid = managed_table(constraint->pktable, &marker);
	if (OidIsValid(relid) && orm_owns_relation(relid))
		hold_among_all_rows(relid, &marker,
							orm_find_live_key(relid, &marker, constraint->pk_attrs),
							"A foreign key refers to it.");
}

/* The index that a part of ALTER TABLE wants to hold among all rows; NULL if none. */
static const char *
index_of_all_rows(const AlterTableCmd *cmd, const char **reason)
{
	if (cmd->subtype == AT_ReplicaIdentity)
	{
		*reason = "It becomes the table's replica identity.";
		return castNode(ReplicaIdentityStmt, cmd->def)->name;
	}
	if (cmd->subtype == AT_AddConstraint)
	{
		const Constraint *constraint = castNode(Constraint, cmd->def);

		*reason = constraint->contype == CONSTR_PRIMARY ?
			"It becomes the primary key." : "It becomes deferrable.";
		if (constraint->contype == CONSTR_PRIMARY ||
			(constraint->contype == CONSTR_UNIQUE && constraint->deferrable))
			return constraint->indexname;
	}
	return NULL;
}

/* Have the indexes of which ALTER TABLE wants it hold among all rows. */
static void
make_indexes_whole(const AlterTableStmt *alter, Oid relid, OrmMarker *marker)
{
	ListCell   *lc;

	if (!orm_owns_relation(relid))
		return;
	foreach(lc, alter->cmds)
	{
		const char *reason;
		const char *name = index_of_all_rows(lfirst(lc), &reason);
		Oid			index = name ? find_key(relid, name) : InvalidOid;

		if (OidIsValid(index) && orm_is_key_of_live_rows(index, marker))
			hold_among_all_rows(relid, marker, index, reason);
	}
}

/* Do so for the constraints in a list of what makes up a table, or a column. */
static void
make_elements_referable(List *elements)
{
	ListCell   *lc;

	foreach(lc, elements)
	{
		Node	   *element = lfirst(lc);

		if (element && IsA(element, ColumnDef))
			make_elements_referable(((ColumnDef *) element)->constraints);
		else if (element && IsA(element, Constraint))
			make_referable((Constraint *) element);
	}
}

/* Do so for CREATE TABLE, unless there is such a table: IF NOT EXISTS, or an error. */
static void
make_new_table_referable(const CreateStmt *create)
{
	if (!OidIsValid(orm_find_relation(create->relation)))
		make_elements_referable(create->tableElts);
}

/* Do so for ALTER TABLE, but for columns that are there already. */
static void
make_additions_referable(const AlterTableStmt *alter)
{
	Oid			relid = orm_find_relation(alter->relation);
	ListCell   *lc;

	foreach(lc, alter->cmds)
	{
		const AlterTableCmd *cmd = lfirst(lc);

		if (cmd->subtype != AT_AddColumn ||
			get_attnum(relid, castNode(ColumnDef, cmd->def)->colname) == InvalidAttrNumber)
			make_elements_referable(list_make1(cmd->def));
	}
}

/* ALTER TABLE */
static PlannedStmt *
redirect_alter_table(PlannedStmt *pstmt)
{
	AlterTableStmt *alter = castNode(AlterTableStmt, pstmt->utilityStmt);
	OrmMarker	marker;
	Oid			relid;

	make_additions_referable(alter);
	relid = managed_table(alter->relation, &marker);
	if (!OidIsValid(relid))
		return pstmt;
	make_indexes_whole(alter, relid, &marker);
	return do_to_indexes(pstmt, relid, &marker);
}

/*
 * Have a statement find the keys that it speaks of.  Returns the statement to
 * be run: a copy, if it is another.
 *
 * Errors: 23505 where a key of deleted rows is in the way of a foreign key;
 * those of DROP INDEX and ALTER INDEX.
 */
PlannedStmt *
orm_redirect_key_command(PlannedStmt *pstmt)
{
	Node	   *stmt = pstmt->utilityStmt;

	switch (nodeTag(stmt))
	{
		case T_RenameStmt:
			return redirect_rename(pstmt);
		case T_CommentStmt:
			return redirect_comment(pstmt);
		case T_CreateStmt:
			make_new_table_referable(castNode(CreateStmt, stmt));
			return pstmt;
		case T_AlterTableStmt:
			return redirect_alter_table(pstmt);
		default:
			return pstmt;
	}
}
