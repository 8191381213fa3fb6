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

#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/plancache.h"
#include "utils/rls.h"

#include "compat.h"
#include "guc.h"

int			orm_deleted_rows = ORM_DELETED_ROWS_HIDE;
int			orm_delete_mode = ORM_DELETE_MODE_SOFT;

static GucBoolAssignHook prev_assign_row_security = NULL;

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

/* Define the settings and reserve their prefix. */
void
orm_guc_init(void)
{
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

	MarkGUCPrefixReserved("orm_ext");
	watch_row_security();
}
