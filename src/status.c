/*-------------------------------------------------------------------------
 *
 * status.c
 *		Is the library on here, and does it fit the extension's objects?
 *
 * orm_ext has two halves.  The library comes into a session by a preload
 * setting, by LOAD, or with the first call of one of its functions; the SQL
 * objects come into a database by CREATE EXTENSION.  Each half can be missing
 * or of another version than its fellow.  What this file says about that
 * always ends in the line that mends it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "tcop/pquery.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "policy.h"
#include "status.h"
#include "util/names.h"

#define PRELOAD_SETTING "session_preload_libraries"

/* How the library came into this session. */
static const char *loaded_by = "unknown";

/* Start of the statement that loaded the library, 0 if none did. */
static TimestampTz loading_statement = 0;

/* Find out how the library is being loaded, and by which statement, if any. */
void
orm_status_init(void)
{
	if (IsNormalProcessingMode() && IsTransactionState())
		loading_statement = GetCurrentStatementStartTimestamp();

	if (process_shared_preload_libraries_in_progress)
		loaded_by = "shared_preload_libraries";
	else if (!IsNormalProcessingMode())
		loaded_by = PRELOAD_SETTING;
	else
		loaded_by = "LOAD or the first call of a function";
}

/*
 * May the statement at hand have been planned before the library was loaded?
 * That is so in portals that are older, of which the extended protocol can
 * keep several.  The statement that loads the library is one of them.
 */
bool
orm_planned_without_us(void)
{
	return loading_statement != 0 &&
		(ActivePortal == NULL ||
		 ActivePortal->creation_time <= loading_statement);
}

/*
 * The command that fires a trigger, as far as the portal can tell: a
 * statement that changes this very table itself, not through WITH, a function
 * or another trigger.
 */
CmdType
orm_command_of_portal(Relation rel)
{
	PlannedStmt *stmt;
	ListCell   *lc;

	if (ActivePortal == NULL || list_length(ActivePortal->stmts) != 1 ||
		orm_trigger_depth() != 1)
		return CMD_UNKNOWN;
	stmt = linitial_node(PlannedStmt, ActivePortal->stmts);

	/* functions that are not built in stand in invalItems */
	if (stmt->hasModifyingCTE || stmt->invalItems != NIL)
		return CMD_UNKNOWN;
	foreach(lc, stmt->resultRelations)
	{
		if (rt_fetch(lfirst_int(lc), stmt->rtable)->relid == RelationGetRelid(rel))
			return stmt->commandType;
	}
	return CMD_UNKNOWN;
}

/* Version of the extension's objects in this database, NULL if there are none. */
static char *
installed_version(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("orm_ext"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

/*
 * Compare versions number by number, as strcmp() compares strings.  What is
 * not a number compares as a string.
 */
static int
compare_versions(const char *a, const char *b)
{
	while (isdigit((unsigned char) *a) && isdigit((unsigned char) *b))
	{
		char	   *end_a;
		char	   *end_b;
		unsigned long number_a = strtoul(a, &end_a, 10);
		unsigned long number_b = strtoul(b, &end_b, 10);

		if (number_a != number_b)
			return number_a < number_b ? -1 : 1;
		if (*end_a != '.' || *end_b != '.')
			return strcmp(end_a, end_b);
		a = end_a + 1;
		b = end_b + 1;
	}
	return strcmp(a, b);
}

/* What makes a session have a library of another version than now, if it is installed. */
static const char *
way_to_reload(void)
{
	return strcmp(loaded_by, "shared_preload_libraries") == 0 ?
		"restart the server" : "reconnect";
}

/*
 * Warn, once per session, if the library and the objects are of different
 * versions.  They keep working as far as they can.
 */
void
orm_check_versions(void)
{
	static bool checked = false;
	char	   *version;
	int			order;

	if (checked)
		return;
	checked = true;
	version = installed_version();
	order = version ? compare_versions(version, ORM_EXT_VERSION) : 0;
	if (order != 0)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("library orm_ext is of version %s, its objects in this database are of version %s",
						ORM_EXT_VERSION, version),
				 order < 0 ?
				 errdetail("What was added since version %s is not in this database yet.",
						   version) :
				 errdetail("Functions that were added since version %s fail with \"could not find function\".",
						   ORM_EXT_VERSION),
				 order < 0 ?
				 errhint("ALTER EXTENSION orm_ext UPDATE;") :
				 errhint("Install the library of version %s where it is not, and %s.",
						 version, way_to_reload())));
}

/*
 * CREATE TRIGGER with a function of ours where the extension is not created:
 * say what is missing.  Error: 42883.
 */
void
orm_check_trigger_function(const CreateTrigStmt *stmt)
{
	if (list_length(stmt->funcname) != 2 ||
		strcmp(strVal(linitial(stmt->funcname)), ORM_SCHEMA) != 0 ||
		installed_version() != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("function %s() does not exist", NameListToString(stmt->funcname)),
			 errdetail("The library orm_ext is loaded, but the extension is not created in this database."),
			 errhint("CREATE EXTENSION orm_ext;")));
}

/* SET orm_ext.… where the extension is not created has no effect: say so. */
void
orm_check_setting(const VariableSetStmt *stmt)
{
	if (stmt->name == NULL || stmt->kind != VAR_SET_VALUE ||
		strncmp(stmt->name, "orm_ext.", strlen("orm_ext.")) != 0 ||
		installed_version() != NULL)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("setting \"%s\" has no effect in this database", stmt->name),
			 errdetail("The library orm_ext is loaded, but the extension is not created in this database."),
			 errhint("CREATE EXTENSION orm_ext;")));
}

/*
 * The preload setting that ALTER DATABASE (or, for InvalidOid, ALTER ROLE ALL)
 * has made, NULL if none.
 */
static char *
database_preload_setting(Oid database)
{
	Relation	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *setting = NULL;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(InvalidOid));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig,
										 RelationGetDescr(rel), &isnull);

		if (!isnull)
			setting = orm_array_setting(DatumGetArrayTypeP(value), PRELOAD_SETTING);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return setting;
}

/*
 * What new sessions of this database preload, those of roles with a setting of
 * their own aside.
 */
static const char *
preload_setting(void)
{
	const char *setting = database_preload_setting(MyDatabaseId);

	if (setting == NULL)
		setting = database_preload_setting(InvalidOid);
	if (setting == NULL)
		setting = GetConfigOption(PRELOAD_SETTING, true, false);
	return setting ? setting : "";
}

/* Will new sessions of this database have the library from their start? */
static bool
new_sessions_preload(void)
{
	return orm_library_list_contains(GetConfigOption("shared_preload_libraries",
													 true, false)) ||
		orm_library_list_contains(preload_setting());
}

/* Warn that a table would show its deleted rows to new sessions. */
void
orm_warn_unless_preloaded(const char *table)
{
	if (new_sessions_preload())
		return;
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("new sessions of this database will see the deleted rows of table \"%s\"",
					table),
			 errdetail("They do not load the library orm_ext, which hides them."),
			 errhint("SELECT orm_ext.preload(); and reconnect sessions that are open, pooled ones included.")));
}

PG_FUNCTION_INFO_V1(orm_require_library);
PG_FUNCTION_INFO_V1(orm_loaded_version);
PG_FUNCTION_INFO_V1(orm_loaded_by);
PG_FUNCTION_INFO_V1(orm_new_sessions_preload);
PG_FUNCTION_INFO_V1(orm_preload);

/*
 * orm_ext.require_library(version text) → void
 *
 * The first thing that install and upgrade scripts do: a session whose library
 * is older than the objects to come is told how to get the new one, rather
 * than that a function cannot be found.
 *
 * Errors: 55000 the library of this session is older than that version.
 */
Datum
orm_require_library(PG_FUNCTION_ARGS)
{
	char	   *version = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (compare_versions(ORM_EXT_VERSION, version) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of the objects of extension orm_ext needs a library of that version",
						version),
				 errdetail("This session has the library of version %s, loaded by %s.",
						   ORM_EXT_VERSION, loaded_by),
				 errhint("Install the library of version %s where it is not, %s, and run the statement again.",
						 version, way_to_reload())));
	PG_RETURN_VOID();
}

/* orm_ext.loaded_version() → text: version of the loaded library */
Datum
orm_loaded_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(ORM_EXT_VERSION));
}

/* orm_ext.loaded_by() → text: what brought it into this session */
Datum
orm_loaded_by(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(loaded_by));
}

/* orm_ext.new_sessions_preload() → boolean: will new sessions have it? */
Datum
orm_new_sessions_preload(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(new_sessions_preload());
}

/*
 * orm_ext.preload() → text
 *
 * Has new sessions of this database load the library, by ALTER DATABASE ...
 * SET session_preload_libraries; what the setting holds already stays.
 * Returns the statement that was run, or that nothing was to do.
 *
 * Errors: 42501 where the role may not alter the database or the setting.
 */
Datum
orm_preload(PG_FUNCTION_ARGS)
{
	StringInfoData command;
	List	   *libraries;
	ListCell   *lc;

	if (new_sessions_preload())
		PG_RETURN_TEXT_P(cstring_to_text("new sessions load orm_ext already"));

	libraries = lappend(orm_split_library_list(preload_setting()),
						pstrdup(ORM_LIBRARY));
	initStringInfo(&command);
	appendStringInfo(&command, "ALTER DATABASE %s SET " PRELOAD_SETTING " = ",
					 quote_identifier(get_database_name(MyDatabaseId)));
	foreach(lc, libraries)
		appendStringInfo(&command, "%s%s", lc == list_head(libraries) ? "" : ", ",
						 quote_literal_cstr(lfirst(lc)));

	SPI_connect();
	SPI_execute(command.data, false, 0);
	SPI_finish();
	ereport(NOTICE,
			(errmsg("sessions that are open already keep working without it until they reconnect, pooled ones included")));
	PG_RETURN_TEXT_P(cstring_to_text(command.data));
}
