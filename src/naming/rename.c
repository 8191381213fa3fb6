/*-------------------------------------------------------------------------
 *
 * rename.c
 *		Renaming tables, columns, constraints and indexes.
 *
 * The new name of a constraint or index is checked like that of a new one.
 * When a table or column is renamed, names that followed the convention do so
 * no longer: with orm_ext.naming_follow they are renamed in the same
 * statement, else a warning tells of them.  Which ones followed before is
 * looked up before the statement, what they should be after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "guc.h"
#include "naming.h"
#include "util/names.h"
#include "util/spi.h"

struct OrmRename
{
	const OrmConventions *conventions;
	Oid			relid;
	char	   *table;			/* before */
	const char *old_column;		/* if a column is renamed */
	const char *new_column;
	List	   *relids;			/* tables whose names may change their meaning */
	List	   *followed;		/* OrmNamed: those that conformed */
};

/* Check the new name of a constraint, or of an index. */
static void
check_new_name(Oid relid, const char *oldname, const char *newname, bool is_index)
{
	const OrmConventions *conventions = orm_load_conventions();
	ListCell   *lc;

	if (conventions == NULL || orm_naming_check == ORM_NAMING_CHECK_OFF)
		return;
	foreach(lc, orm_named_of_relations(list_make1_oid(relid), false))
	{
		OrmNamed   *named = lfirst(lc);

		if (named->relid == relid && strcmp(named->name, oldname) == 0 &&
			(is_index ? orm_has_index(named->subject.kind) : named->subject.kind != ORM_NAME_INDEX))
			orm_check_name(conventions, &named->subject, newname, oldname, named->namespaceid);
	}
}

/* Find out which names follow the convention before a table or column is renamed. */
static OrmRename *
begin_rename(const RenameStmt *stmt, Oid relid)
{
	OrmRename  *rename;
	const OrmConventions *conventions = orm_load_conventions();
	List	   *named;
	ListCell   *lc;

	if (conventions == NULL)
		return NULL;
	rename = palloc0_object(OrmRename);
	rename->conventions = conventions;
	rename->relid = relid;
	rename->table = get_rel_name(relid);
	if (stmt->renameType == OBJECT_COLUMN)
	{
		rename->old_column = stmt->subname;
		rename->new_column = stmt->newname;
		rename->relids = find_all_inheritors(relid, NoLock, NULL);
	}
	else
		rename->relids = list_make1_oid(relid);

	named = orm_named_of_relations(rename->relids, true);
	orm_judge_names(conventions, named);
	foreach(lc, named)
	{
		OrmNamed   *one = lfirst(lc);

		if (!one->conforms)
			continue;
		one->goes_by_unique = orm_goes_by_unique(conventions, &one->subject, one->name);
		one->subject = orm_subject_to_rename(orm_convention(conventions, one->subject.schema,
															one->subject.kind),
											 &one->subject, one->name);
		rename->followed = lappend(rename->followed, one);
	}
	return rename;
}

/* Is this kind of relation one whose names are ruled? */
static bool
is_table(Oid relid)
{
	return orm_is_named_relkind(get_rel_relkind(relid)) &&
		get_rel_persistence(relid) != RELPERSISTENCE_TEMP;
}

/*
 * Before a RENAME: check the new name, or note what is to be done after it
 * (NULL: nothing).
 */
OrmRename *
orm_before_rename(Node *node)
{
	RenameStmt *stmt = castNode(RenameStmt, node);
	Oid			relid;
	char		relkind;

	if (orm_naming_is_off() ||
		(orm_naming_check == ORM_NAMING_CHECK_OFF && !orm_naming_follow))
		return NULL;
	relid = orm_find_relation(stmt->relation);
	if (!OidIsValid(relid) || !orm_owns_relation(relid))
		return NULL;			/* an error */
	relkind = get_rel_relkind(relid);

	if (stmt->renameType == OBJECT_TABCONSTRAINT && is_table(relid))
		check_new_name(relid, stmt->subname, stmt->newname, false);
	else if ((stmt->renameType == OBJECT_INDEX || stmt->renameType == OBJECT_TABLE) &&
			 (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX))
	{
		Oid			table = IndexGetRelation(relid, true);

		if (OidIsValid(table) && is_table(table))
			check_new_name(table, get_rel_name(relid), stmt->newname, true);
	}
	else if (is_table(relid) &&
			 (stmt->renameType == OBJECT_TABLE || stmt->renameType == OBJECT_FOREIGN_TABLE ||
			  stmt->renameType == OBJECT_MATVIEW ||
			  (stmt->renameType == OBJECT_COLUMN &&
			   get_attnum(relid, stmt->subname) != InvalidAttrNumber)))
		return begin_rename(stmt, relid);
	return NULL;
}

/* What a constraint or index was before, if it followed the convention; else NULL. */
static const OrmNamed *
find_followed(const OrmRename *rename, Oid objid)
{
	ListCell   *lc;

	foreach(lc, rename->followed)
	{
		const OrmNamed *before = lfirst(lc);

		if (before->objid == objid)
			return before;
	}
	return NULL;
}

/*
 * Those of the names that followed the convention and no longer do.  A CHECK
 * that was called by its column would conform with any name in that place, but
 * is called by its column again.
 */
static List *
names_left_behind(const OrmRename *rename)
{
	List	   *named = orm_named_of_relations(rename->relids, true);
	List	   *result = NIL;
	ListCell   *lc;

	orm_judge_names(rename->conventions, named);
	foreach(lc, named)
	{
		OrmNamed   *one = lfirst(lc);
		const OrmNamed *before = find_followed(rename, one->objid);

		if (before == NULL)
			continue;
		one->subject.constraint_name = before->subject.constraint_name;
		one->goes_by_unique = before->goes_by_unique;
		if (orm_naming_follow && one->subject.kind == ORM_NAME_CHECK && one->subject.constraint_name &&
			rename->old_column && list_length(one->subject.columns) == 1 &&
			strcmp(one->subject.constraint_name, rename->old_column) == 0)
		{
			one->subject.constraint_name = rename->new_column;
			one->conforms = false;
		}
		if (!one->conforms)
			result = lappend(result, one);
	}
	return result;
}

/* Warn of names. */
static void
warn_of_names(const OrmRename *rename, List *named)
{
	StringInfoData names;
	ListCell   *lc;

	if (named == NIL || orm_naming_check == ORM_NAMING_CHECK_OFF)
		return;
	initStringInfo(&names);
	foreach(lc, named)
	{
		if (names.len > 0)
			appendStringInfoString(&names, ", ");
		appendStringInfo(&names, "\"%s\"", ((OrmNamed *) lfirst(lc))->name);
	}
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg_plural("%d name on table \"%s\" no longer follows the naming convention",
						   "%d names on table \"%s\" no longer follow the naming convention",
						   list_length(named), list_length(named), get_rel_name(rename->relid)),
			 errdetail_internal("%s", names.data),
			 errhint("SELECT sql FROM orm_ext.naming_plan(%s);",
					 quote_literal_cstr(get_namespace_name(get_rel_namespace(rename->relid))))));
}

/*
 * Commands (char *) that rename sequences of columns, and NOT NULL constraints
 * (18), if they have the names that PostgreSQL gave them.
 */
static List *
native_name_commands(const OrmRename *rename)
{
	static const char query[] =
	"SELECT s.relname, a.attname, 'seq' FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid"
	" JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
	" WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
	" AND d.refobjid = $1 AND d.deptype IN ('a', 'i') AND s.relkind = 'S' AND s.relnamespace = $2"
	" UNION ALL SELECT k.conname, a.attname, 'not_null' FROM pg_constraint AS k"
	" JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]"
	" WHERE k.conrelid = $1 AND k.contype = 'n' AND k.coninhcount = 0 ORDER BY 3, 1";
	Oid			types[2] = {OIDOID, OIDOID};
	Oid			namespaceid = get_rel_namespace(rename->relid);
	Datum		values[2] = {ObjectIdGetDatum(rename->relid), ObjectIdGetDatum(namespaceid)};
	const char *schema = get_namespace_name(namespaceid);
	char	   *table = get_rel_name(rename->relid);
	MemoryContext context = CurrentMemoryContext;
	int			level = orm_pin_settings();
	List	   *commands = NIL;

	SPI_connect();
	if (SPI_execute_with_args(query, 2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read sequences");
	MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1);
		char	   *column = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2);
		char	   *label = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 3);
		bool		is_sequence = strcmp(label, "seq") == 0;
		const char *old_column = column;
		char	   *newname = makeObjectName(table, column, label);

		if (rename->new_column && strcmp(column, rename->new_column) == 0)
			old_column = rename->old_column;
		if (strcmp(name, makeObjectName(rename->table, old_column, label)) != 0 ||
			strcmp(name, newname) == 0 ||
			(is_sequence ? OidIsValid(get_relname_relid(newname, namespaceid))
			 : ConstraintNameIsUsed(CONSTRAINT_RELATION, rename->relid, newname)))
			continue;
		if (is_sequence)
			commands = lappend(commands, psprintf("ALTER SEQUENCE %s RENAME TO %s",
												  quote_qualified_identifier(schema, name),
												  quote_identifier(newname)));
		else
			commands = lappend(commands, psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s",
												  quote_qualified_identifier(schema, table),
												  quote_identifier(name), quote_identifier(newname)));
	}
	SPI_finish();
	AtEOXact_GUC(true, level);
	return commands;
}

/* The new name of a constraint or index. */
static char *
new_name(const OrmRename *rename, OrmNamed *named)
{
	const OrmConvention *convention = orm_convention(rename->conventions, named->subject.schema,
													 named->goes_by_unique ? ORM_NAME_UNIQUE
													 : named->subject.kind);
	char	   *name = orm_choose_free_name(convention, &named->subject, named->namespaceid, NULL);

	/* a CHECK that PostgreSQL had to name is named by it again */
	if (name == NULL && named->subject.kind == ORM_NAME_CHECK)
		name = ChooseConstraintName(named->subject.table, NULL, "check", named->namespaceid, NIL);
	return name;
}

/* Rename names, as far as the user may; returns the rest. */
static List *
rename_names(const OrmRename *rename, List *named)
{
	List	   *rest = NIL;
	ListCell   *lc;

	foreach(lc, named)
	{
		OrmNamed   *one = lfirst(lc);
		char	   *newname = new_name(rename, one);

		if (newname && orm_is_renamable(one) && orm_owns_relation(one->relid))
			orm_run(orm_rename_command(one, newname));
		else
			rest = lappend(rest, one);
	}
	foreach(lc, native_name_commands(rename))
		orm_run(lfirst(lc));
	return rest;
}

/* After it: have names follow, or warn of them. */
void
orm_after_rename(OrmRename *rename)
{
	List	   *named;

	if (rename == NULL)
		return;
	CommandCounterIncrement();
	if (get_rel_name(rename->relid) == NULL)
		return;
	named = names_left_behind(rename);
	if (orm_naming_follow)
		named = rename_names(rename, named);
	warn_of_names(rename, named);
}
