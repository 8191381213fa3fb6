/*-------------------------------------------------------------------------
 *
 * guc.c
 *		Every setting of orm_ext, in alphabetical order.
 *
 * A setting that decides what a plan does must reach the plans that are
 * already cached, in whatever way its value changes: SET, RESET, SET LOCAL, a
 * function's SET clause, the end of a (sub)transaction.  All of these end in
 * the assign hook, so that is where the plan cache is reset.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/plancache.h"
#include "utils/rls.h"
#include "utils/varlena.h"

#include "compat.h"
#include "guc.h"

char	   *orm_actor = NULL;
uint64		orm_actor_generation = 0;
char	   *orm_auto_manage = NULL;
bool		orm_bypass_stamps = false;
char	   *orm_copy_conflict_columns = NULL;
int			orm_copy_on_conflict = ORM_CONFLICT_OFF;
int			orm_deleted_rows = ORM_DELETED_ROWS_HIDE;
int			orm_delete_mode = ORM_DELETE_MODE_SOFT;
char	   *orm_expected_version = NULL;
int			orm_expected_version_depth = 0;
int			orm_naming_check = ORM_NAMING_CHECK_WARN;
bool		orm_naming_fill = true;
bool		orm_naming_follow = false;
char	   *orm_stale_sqlstate = NULL;
int			orm_version_guard = ORM_VERSION_GUARD_OFF;

static GucBoolAssignHook prev_assign_row_security = NULL;

static const struct config_enum_entry copy_on_conflict_options[] = {
	{"off", ORM_CONFLICT_OFF, false},
	{"update", ORM_CONFLICT_UPDATE, false},
	{"nothing", ORM_CONFLICT_NOTHING, false},
	{NULL, 0, false}
};

static const struct config_enum_entry deleted_rows_options[] = {
	{"hide", ORM_DELETED_ROWS_HIDE, false},
	{"show", ORM_DELETED_ROWS_SHOW, false},
	{"only", ORM_DELETED_ROWS_ONLY, false},
	{NULL, 0, false}
};

static const struct config_enum_entry delete_mode_options[] = {
	{"soft", ORM_DELETE_MODE_SOFT, false},
	{"hard", ORM_DELETE_MODE_HARD, false},
	{NULL, 0, false}
};

static const struct config_enum_entry naming_check_options[] = {
	{"off", ORM_NAMING_CHECK_OFF, false},
	{"warn", ORM_NAMING_CHECK_WARN, false},
	{"error", ORM_NAMING_CHECK_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry version_guard_options[] = {
	{"off", ORM_VERSION_GUARD_OFF, false},
	{"warn", ORM_VERSION_GUARD_WARN, false},
	{"error", ORM_VERSION_GUARD_ERROR, false},
	{NULL, 0, false}
};

/* Have values that were made from orm_ext.actor forgotten. */
static void
assign_actor(const char *newval, void *extra)
{
	orm_actor_generation++;
}

/* Is orm_ext.copy_conflict_columns a list of names? */
static bool
check_copy_conflict_columns(char **newval, void **extra, GucSource source)
{
	List	   *names;

	if (SplitIdentifierString(pstrdup(*newval), ',', &names))
		return true;
	GUC_check_errdetail("List syntax is invalid.");
	GUC_check_errhint("Separate names of columns by commas.");
	return false;
}

/* Is orm_ext.auto_manage a list of schemas? */
static bool
check_auto_manage(char **newval, void **extra, GucSource source)
{
	List	   *schemas;

	if (SplitIdentifierString(pstrdup(*newval), ',', &schemas))
		return true;
	GUC_check_errdetail("List syntax is invalid.");
	GUC_check_errhint("Separate names of schemas by commas.");
	return false;
}

/* Is orm_ext.stale_sqlstate the SQLSTATE of an error? */
static bool
check_stale_sqlstate(char **newval, void **extra, GucSource source)
{
	const char *digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (strlen(*newval) == 5 && strspn(*newval, digits) == 5 &&
		strncmp(*newval, "00", 2) != 0 && strncmp(*newval, "01", 2) != 0 &&
		strncmp(*newval, "02", 2) != 0)
		return true;
	GUC_check_errdetail("An SQLSTATE has five digits or upper case letters; classes 00, 01 and 02 are no errors.");
	return false;
}

/* Have cached plans guarded, or no longer. */
static void
assign_version_guard(int newval, void *extra)
{
	if (newval != orm_version_guard)
		ResetPlanCache();
}

/* The guard lets statements pass for which a version is expected. */
static void
assign_expected_version(const char *newval, void *extra)
{
	bool		is_set = newval != NULL && *newval != '\0';
	bool		was_set = orm_expected_version != NULL && *orm_expected_version != '\0';

	if (orm_version_guard != ORM_VERSION_GUARD_OFF && is_set != was_set)
		ResetPlanCache();
}

/* Make cached plans follow orm_ext.deleted_rows. */
static void
assign_deleted_rows(int newval, void *extra)
{
	if (newval != orm_deleted_rows)
		ResetPlanCache();
}

/* Make cached plans follow orm_ext.delete_mode. */
static void
assign_delete_mode(int newval, void *extra)
{
	if (newval != orm_delete_mode)
		ResetPlanCache();
}

/*
 * Make cached plans follow row_security, which decides whether deleted rows
 * are seen.  The server replans upon a change only where a policy of row-level
 * security is involved.
 */
static void
assign_row_security(bool newval, void *extra)
{
	if (newval != row_security)
		ResetPlanCache();
	if (prev_assign_row_security)
		prev_assign_row_security(newval, extra);
}

/* Put assign_row_security() in front of the setting's own assign hook. */
static void
watch_row_security(void)
{
	int			count;
	struct config_generic **settings = orm_guc_variables(&count);

	for (int i = 0; i < count; i++)
	{
		struct config_bool *setting = (struct config_bool *) settings[i];

		if (strcmp(setting->gen.name, "row_security") != 0)
			continue;
		prev_assign_row_security = setting->assign_hook;
		setting->assign_hook = assign_row_security;
		break;
	}
}

/*
 * Is a dump being restored?  There is no sign of it but the settings that
 * pg_dump and pg_restore always make, and hardly anybody else together.  With
 * --enable-row-security they leave row_security on.
 */
bool
orm_is_restore(void)
{
	return !check_function_bodies && (!row_security || *namespace_search_path == '\0');
}

/* Define the settings and reserve their prefix. */
void
orm_guc_init(void)
{
	DefineCustomStringVariable("orm_ext.actor",
							   "Who acts, for columns that say who created or updated a row.",
							   "What the application calls its user: a name, uuid or number, "
							   "as the type of the column wants it. Where it is empty, the "
							   "session's user is named. Meant for SET LOCAL.",
							   &orm_actor,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, assign_actor, NULL);

	DefineCustomStringVariable("orm_ext.auto_manage",
							   "Schemas in which new tables are managed from the start.",
							   "A list of schemas, separated by commas. For each table that is "
							   "created there, orm_ext.manage() is called.",
							   &orm_auto_manage,
							   "",
							   PGC_USERSET,
							   GUC_LIST_INPUT,
							   check_auto_manage, NULL, NULL);

	DefineCustomBoolVariable("orm_ext.bypass_stamps",
							 "Whether updates keep versions and timestamps as they are given.",
							 "For backfills and imports. Only the owner of a table may update it "
							 "so.",
							 &orm_bypass_stamps,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("orm_ext.copy_conflict_columns",
							   "Columns of the unique key by which COPY FROM upserts.",
							   "What conflict_columns says in the options of one COPY, for those "
							   "that upsert because of orm_ext.copy_on_conflict: columns, or the "
							   "name of one unique constraint or index. Empty is the primary key.",
							   &orm_copy_conflict_columns,
							   "",
							   PGC_USERSET,
							   GUC_LIST_INPUT,
							   check_copy_conflict_columns, NULL, NULL);

	DefineCustomEnumVariable("orm_ext.copy_on_conflict",
							 "Whether COPY FROM upserts.",
							 "For clients that write the COPY statement themselves, so that "
							 "options cannot be given: rows whose primary key exists are updated, "
							 "or passed over. Meant for SET LOCAL.",
							 &orm_copy_on_conflict,
							 ORM_CONFLICT_OFF,
							 copy_on_conflict_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	/*
	 * Both are harmless to let a user set: soft delete is not a security
	 * barrier, and a real DELETE needs the DELETE privilege all the same.
	 */
	DefineCustomEnumVariable("orm_ext.delete_mode",
							 "Whether DELETE marks rows or removes them.",
							 "\"soft\" turns a DELETE on a table with a soft_delete trigger "
							 "into an update of its marker column; \"hard\" lets DELETE and "
							 "TRUNCATE remove rows for good. Meant for SET LOCAL in an "
							 "administrator's transaction.",
							 &orm_delete_mode,
							 ORM_DELETE_MODE_SOFT,
							 delete_mode_options,
							 PGC_USERSET,
							 0,
							 NULL, assign_delete_mode, NULL);

	DefineCustomEnumVariable("orm_ext.deleted_rows",
							 "Whether queries see the deleted rows of a table under soft delete.",
							 "\"hide\" shows live rows, \"show\" live and deleted ones, \"only\" "
							 "the deleted ones. May be set for a transaction, a session, a "
							 "function, a role or a database.",
							 &orm_deleted_rows,
							 ORM_DELETED_ROWS_HIDE,
							 deleted_rows_options,
							 PGC_USERSET,
							 0,
							 NULL, assign_deleted_rows, NULL);

	DefineCustomStringVariable("orm_ext.expected_version",
							   "Version that rows must have to be updated or deleted.",
							   "For clients that cannot put the version into the conditions of "
							   "their statements. A row of another version is stale, unless this "
							   "transaction wrote it. Meant for SET LOCAL.",
							   &orm_expected_version,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, assign_expected_version, NULL);

	DefineCustomEnumVariable("orm_ext.naming_check",
							 "What to do about names that do not follow the naming convention.",
							 "An explicit name of a constraint or index that does not follow the "
							 "convention of its schema (orm_ext.naming_template) raises a warning "
							 "or an error. Dumps are restored in any case.",
							 &orm_naming_check,
							 ORM_NAMING_CHECK_WARN,
							 naming_check_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("orm_ext.naming_fill",
							 "Whether constraints and indexes without a name get that of the convention.",
							 "Otherwise PostgreSQL names them.",
							 &orm_naming_fill,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("orm_ext.naming_follow",
							 "Whether names follow their table or column when that is renamed.",
							 "Those that followed the convention before are renamed too, in the "
							 "same statement. Otherwise a warning tells of them.",
							 &orm_naming_follow,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("orm_ext.stale_sqlstate",
							   "SQLSTATE of the error for a stale row.",
							   "40001 suits frameworks that repeat a whole transaction upon it; "
							   "a client that repeats only the statement will fail again.",
							   &orm_stale_sqlstate,
							   "OE001",
							   PGC_USERSET,
							   0,
							   check_stale_sqlstate, NULL, NULL);

	DefineCustomEnumVariable("orm_ext.version_guard",
							 "What to do about statements that forget the version of a row.",
							 "An UPDATE or DELETE that picks rows of a table with a version by "
							 "their primary key, and does not mention the version in its "
							 "conditions, raises a warning or an error when it is planned.",
							 &orm_version_guard,
							 ORM_VERSION_GUARD_OFF,
							 version_guard_options,
							 PGC_USERSET,
							 0,
							 NULL, assign_version_guard, NULL);

	MarkGUCPrefixReserved("orm_ext");
	watch_row_security();
}
