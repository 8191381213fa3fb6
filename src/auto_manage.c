/*-------------------------------------------------------------------------
 *
 * auto_manage.c
 *		What is created in the schemas of orm_ext.auto_manage is managed.
 *
 * An event trigger calls these functions at the end of a DDL command.  What
 * they do by DDL of their own is not managed again: orm_pin_settings() has the
 * setting off meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "parser/parser.h"
#include "tcop/deparse_utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/varlena.h"

#include "compat.h"
#include "guc.h"
#include "manage.h"
#include "policy.h"
#include "soft_delete/unique_keys.h"
#include "util/names.h"
#include "util/spi.h"

/* Does orm_ext.auto_manage list the schema of a table? */
static bool
is_auto_managed(Oid relid)
{
	List	   *schemas;

	return SplitIdentifierString(pstrdup(orm_auto_manage), ',', &schemas) &&
		orm_contains_name(schemas, get_namespace_name(get_rel_namespace(relid)));
}

/*
 * Is what the DDL command at hand creates to be managed at all?  An extension's
 * script is not, and a dump brings triggers and keys along as they were:
 * pg_dump has row_security off.
 */
static bool
is_to_be_managed(void)
{
	return !creating_extension && row_security;
}

/* A table that the DDL command at hand has created or altered. */
typedef struct Touched
{
	Oid			relid;
	List	   *columns;		/* that were added to it (char *) */
	bool		has_new_keys;	/* may have, at least */
} Touched;

/* Note what the parts of a command have done. */
static void
note_parts(Touched *touched, const CollectedCommand *command)
{
	ListCell   *lc;

	if (command->type != SCT_AlterTable)
	{
		touched->has_new_keys = true;
		return;
	}
	foreach(lc, command->d.alterTable.subcmds)
	{
		const CollectedATSubcmd *part = lfirst(lc);
		const AlterTableCmd *cmd = castNode(AlterTableCmd, part->parsetree);

		/* a column has no address where it was there already: IF NOT EXISTS */
		if (orm_adds_column(cmd) && OidIsValid(part->address.objectId))
			touched->columns = lappend(touched->columns, castNode(ColumnDef, cmd->def)->colname);

		/* indexes that are made anew are other parts */
		if (cmd->subtype == AT_AddIndex || cmd->subtype == AT_AddIndexConstraint)
			touched->has_new_keys = true;
	}
}

/* Note what a command has done to a table, in a list of such. */
static List *
add_touched(List *tables, Oid relid, const CollectedCommand *command)
{
	Touched    *touched = NULL;
	ListCell   *lc;

	foreach(lc, tables)
	{
		if (((Touched *) lfirst(lc))->relid == relid)
			touched = lfirst(lc);
	}
	if (touched == NULL)
	{
		touched = palloc0_object(Touched);
		touched->relid = relid;
		tables = lappend(tables, touched);
	}
	note_parts(touched, command);
	return tables;
}

/*
 * The tables, in managed schemas, that a query on the DDL command at hand
 * finds: its OID, and the command.
 */
static List *
tables_of_command(const char *query)
{
	List	   *tables = NIL;
	MemoryContext caller = CurrentMemoryContext;

	SPI_connect();
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not ask for what was created");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;
		Oid			relid = DatumGetObjectId(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		Datum		command;
		MemoryContext spi;

		if (isnull || !is_auto_managed(relid))
			continue;
		command = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull);
		spi = MemoryContextSwitchTo(caller);
		tables = add_touched(tables, relid, (CollectedCommand *) DatumGetPointer(command));
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	return tables;
}

/* A table whose new keys are to hold among live rows; InvalidOid for any other. */
static Oid
table_of_live_keys(const RangeVar *name, OrmMarker *marker)
{
	Oid			relid;

	if (!is_to_be_managed() || *orm_auto_manage == '\0')
		return InvalidOid;
	relid = orm_find_relation(name);
	return OidIsValid(relid) && is_auto_managed(relid) && orm_owns_relation(relid) &&
		orm_soft_delete_sound(relid, marker) ? relid : InvalidOid;
}

/* CREATE UNIQUE INDEX: have it hold among live rows. */
static PlannedStmt *
prepare_index(PlannedStmt *pstmt)
{
	IndexStmt  *index = castNode(IndexStmt, pstmt->utilityStmt);
	Oid			relid;
	OrmMarker	marker;
	List	   *parsed;

	if (!index->unique || index->whereClause || index->transformed)
		return pstmt;
	relid = table_of_live_keys(index->relation, &marker);
	if (!OidIsValid(relid))
		return pstmt;

	pstmt = copyObject(pstmt);
	index = castNode(IndexStmt, pstmt->utilityStmt);
	parsed = raw_parser(psprintf("SELECT WHERE %s", orm_live_predicate(relid, &marker)),
						RAW_PARSE_DEFAULT);
	index->whereClause = castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt)->whereClause;
	return pstmt;
}

/* Is a part of ALTER TABLE a unique constraint that an index can take the place of? */
static bool
adds_plain_key(const AlterTableCmd *cmd)
{
	const Constraint *constraint = (const Constraint *) cmd->def;

	return cmd->subtype == AT_AddConstraint && constraint->contype == CONSTR_UNIQUE &&
		constraint->conname && constraint->indexname == NULL && !constraint->deferrable &&
		constraint->options == NIL && constraint->indexspace == NULL &&
		!orm_without_overlaps(constraint);
}

/* "a, b" of a list of names */
static char *
column_list(List *names)
{
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, names)
		appendStringInfo(&columns, "%s%s", lc == list_head(names) ? "" : ", ",
						 quote_identifier(strVal(lfirst(lc))));
	return columns.data;
}

/* CREATE UNIQUE INDEX in place of a unique constraint */
static char *
index_command(Oid relid, const OrmMarker *marker, const Constraint *constraint)
{
	StringInfoData command;

	initStringInfo(&command);
	appendStringInfo(&command, "CREATE UNIQUE INDEX %s ON %s (%s)",
					 quote_identifier(constraint->conname), orm_relid_name(relid),
					 column_list(constraint->keys));
	if (constraint->including != NIL)
		appendStringInfo(&command, " INCLUDE (%s)", column_list(constraint->including));
	if (constraint->nulls_not_distinct)
		appendStringInfoString(&command, " NULLS NOT DISTINCT");
	appendStringInfo(&command, " WHERE %s", orm_live_predicate(relid, marker));
	return command.data;
}

/*
 * ALTER TABLE that adds unique constraints, and does nothing else: take them
 * out, to be created as indexes.
 */
static PlannedStmt *
prepare_constraints(PlannedStmt *pstmt, List **commands)
{
	AlterTableStmt *alter = castNode(AlterTableStmt, pstmt->utilityStmt);
	Oid			relid;
	OrmMarker	marker;
	ListCell   *lc;

	foreach(lc, alter->cmds)
	{
		if (!adds_plain_key(lfirst_node(AlterTableCmd, lc)))
			return pstmt;
	}
	relid = alter->relation->inh ? table_of_live_keys(alter->relation, &marker) : InvalidOid;
	if (!OidIsValid(relid))
		return pstmt;

	foreach(lc, alter->cmds)
	{
		Constraint *constraint = castNode(Constraint, lfirst_node(AlterTableCmd, lc)->def);

		*commands = lappend(*commands, index_command(relid, &marker, constraint));
	}
	pstmt = copyObject(pstmt);
	castNode(AlterTableStmt, pstmt->utilityStmt)->cmds = NIL;
	return pstmt;
}

/*
 * Have unique keys hold among live rows that a statement is about to create:
 * deleted rows may be in the way of one among all rows, which is what the
 * functions below would find.  Returns the statement to be run; "commands" is
 * what to run after it.
 */
PlannedStmt *
orm_prepare_new_keys(PlannedStmt *pstmt, List **commands)
{
	if (IsA(pstmt->utilityStmt, IndexStmt))
		return prepare_index(pstmt);
	if (IsA(pstmt->utilityStmt, AlterTableStmt))
		return prepare_constraints(pstmt, commands);
	return pstmt;
}

/* Run what orm_prepare_new_keys() has left to be run, with the rights of the caller. */
void
orm_create_new_keys(List *commands)
{
	int			level;
	ListCell   *lc;

	if (commands == NIL)
		return;
	level = orm_pin_settings();
	foreach(lc, commands)
		orm_run(lfirst(lc));
	AtEOXact_GUC(true, level);
}

PG_FUNCTION_INFO_V1(orm_manage_new_columns);
PG_FUNCTION_INFO_V1(orm_manage_new_tables);
PG_FUNCTION_INFO_V1(orm_manage_new_keys);

/*
 * orm_ext.manage_new_tables() → void
 *
 * After a command that creates tables: manages those in the schemas that
 * orm_ext.auto_manage lists, but for partitions.
 *
 * Errors: 39P03 outside an event trigger, and those of manage().
 */
Datum
orm_manage_new_tables(PG_FUNCTION_ARGS)
{
	ListCell   *lc;

	if (!is_to_be_managed())
		PG_RETURN_VOID();
	foreach(lc, tables_of_command("SELECT objid, command FROM pg_catalog.pg_event_trigger_ddl_commands()"
								  " WHERE object_type = 'table' AND NOT in_extension"
								  " AND command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')"))
	{
		const Touched *touched = lfirst(lc);

		if (!get_rel_relispartition(touched->relid))
			(void) orm_manage_table(touched->relid, NIL, NIL);
	}
	PG_RETURN_VOID();
}

/*
 * orm_ext.manage_new_columns() → void
 *
 * After ALTER TABLE: manages tables, in the schemas that orm_ext.auto_manage
 * lists, by the columns that it has added, and by no others.
 *
 * Errors: 39P03 outside an event trigger, and those of manage().
 */
Datum
orm_manage_new_columns(PG_FUNCTION_ARGS)
{
	ListCell   *lc;
	ListCell   *lc2;

	if (!is_to_be_managed())
		PG_RETURN_VOID();
	foreach(lc, tables_of_command("SELECT objid, command FROM pg_catalog.pg_event_trigger_ddl_commands()"
								  " WHERE object_type = 'table' AND NOT in_extension"
								  " AND command_tag = 'ALTER TABLE'"))
	{
		const Touched *touched = lfirst(lc);

		if (touched->columns == NIL)
			continue;
		foreach(lc2, orm_tables_to_treat(touched->relid, ShareRowExclusiveLock))
			(void) orm_manage_table(lfirst_oid(lc2), touched->columns, NIL);
	}
	PG_RETURN_VOID();
}

/*
 * orm_ext.manage_new_keys() → void
 *
 * After a command that creates indexes or constraints: unique keys of tables
 * under soft delete, in the schemas that orm_ext.auto_manage lists, come to hold
 * among live rows, as by enable_soft_delete().
 *
 * Errors: 39P03 outside an event trigger, and those of enable_soft_delete().
 */
Datum
orm_manage_new_keys(PG_FUNCTION_ARGS)
{
	ListCell   *lc;

	if (!is_to_be_managed())
		PG_RETURN_VOID();
	foreach(lc, tables_of_command("SELECT CASE object_type WHEN 'table' THEN objid"
								  " ELSE (SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = objid) END, command"
								  " FROM pg_catalog.pg_event_trigger_ddl_commands()"
								  " WHERE object_type IN ('table', 'index') AND NOT in_extension"
								  " AND command_tag IN ('ALTER TABLE', 'CREATE INDEX')"))
	{
		const Touched *touched = lfirst(lc);
		OrmMarker	marker;

		if (!touched->has_new_keys || !orm_soft_delete_sound(touched->relid, &marker))
			continue;
		orm_begin_ddl();
		orm_convert_new_keys(touched->relid, &marker);
		(void) orm_end_ddl();
	}
	PG_RETURN_VOID();
}
