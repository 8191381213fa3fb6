/*-------------------------------------------------------------------------
 *
 * visibility.c
 *		Who sees deleted rows.
 *
 * The setting orm_ext.deleted_rows says what a session wants to see.  Above it
 * stand readers that must see everything whatever the setting, and two that
 * must never see deleted rows:
 *	- row_security = off: pg_dump always sets it, and asks for all rows by it
 *	- walsenders, for the initial copy of a logical subscription, and pg_upgrade
 *	- the server's own foreign-key queries, which guard all rows
 *	- cascades of soft deletes, which are about live rows
 *	- materialized views, whose content would otherwise depend on the settings
 *	  of whoever refreshed them
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "replication/walsender.h"
#include "utils/plancache.h"
#include "utils/rls.h"

#include "soft_delete.h"

/* Is the query that is being rewritten the DELETE of a cascade? */
static bool cascading = false;

/* How many utility commands of each kind we are in. */
static int	scope_depths[ORM_SCOPES];

/* The rows that the session's state entitles a query to. */
static OrmDeletedRows
session_rows(void)
{
	if (!row_security || am_walsender || IsBinaryUpgrade)
		return ORM_DELETED_ROWS_SHOW;
	return orm_deleted_rows;
}

/* The rows that a query that is planned now sees. */
OrmDeletedRows
orm_visible_rows(void)
{
	if (orm_is_in_scope(ORM_SCOPE_REFRESH) || cascading)
		return ORM_DELETED_ROWS_HIDE;
	return session_rows();
}

/* Is a DELETE of live rows meant to be a real one? */
bool
orm_deletes_for_good(void)
{
	return orm_delete_mode == ORM_DELETE_MODE_HARD && !cascading;
}

/*
 * Tell whether the query that is rewritten from now on is the DELETE of a
 * cascade, which is a soft one whatever the settings say.  Returns what was
 * told before.
 */
bool
orm_set_cascading(bool is_cascade)
{
	bool		before = cascading;

	cascading = is_cascade;
	return before;
}

/* How the server writes a foreign-key query: its head, and what it must hold. */
typedef struct ReferentialTemplate
{
	const char *head;
	bool		names_table;	/* does a quoted table come next? */
	const char *part;
} ReferentialTemplate;

static const ReferentialTemplate referential_templates[] = {
	{"SELECT 1 FROM ", true, " FOR KEY SHARE OF x"},
	{"SELECT 1 FROM (SELECT ", false, " FOR KEY SHARE OF x) x1 HAVING "},
	{"DELETE FROM ", true, " WHERE $1 OPERATOR("},
	{"UPDATE ", true, " OPERATOR("},
	{"SELECT fk.\"", false, " OPERATOR("}
};

/* Is a query written after the template? */
static bool
matches_template(const char *query, const ReferentialTemplate *template)
{
	const char *rest = query + strlen(template->head);

	if (strncmp(query, template->head, strlen(template->head)) != 0)
		return false;
	if (strncmp(rest, "ONLY ", strlen("ONLY ")) == 0)
		rest += strlen("ONLY ");
	return (!template->names_table || *rest == '"') &&
		strstr(rest, template->part) != NULL;
}

/*
 * Is this one of the server's foreign-key queries?
 *
 * Most run under a flag of the security context; the check of existing rows by
 * ALTER TABLE runs without it.  But the queries of triggers and functions that
 * are called from within are under the same flag, and their plans may live on;
 * hence the look at the text, which the server generates (ri_triggers.c).
 */
bool
orm_is_referential_query(const char *query_string)
{
	if (likely(!InNoForceRLSOperation() && !orm_is_in_scope(ORM_SCOPE_ALTER_TABLE)))
		return false;
	if (query_string == NULL)
		return false;
	for (int i = 0; i < lengthof(referential_templates); i++)
	{
		if (matches_template(query_string, &referential_templates[i]))
			return true;
	}
	return false;
}

/*
 * Plans that functions make while a materialized view is filled must not live
 * on in a session that sees other rows, nor the other way round.
 */
static void
separate_refresh_plans(void)
{
	if (!orm_is_in_scope(ORM_SCOPE_REFRESH) && session_rows() != ORM_DELETED_ROWS_HIDE)
		ResetPlanCache();
}

/* Begin a utility command that matters to what is seen and checked meanwhile. */
void
orm_enter_scope(OrmUtilityScope scope)
{
	if (scope == ORM_SCOPE_REFRESH)
		separate_refresh_plans();
	scope_depths[scope]++;
}

/* End it; called upon error too. */
void
orm_leave_scope(OrmUtilityScope scope)
{
	scope_depths[scope]--;
	if (scope == ORM_SCOPE_REFRESH)
		separate_refresh_plans();
}

/* Is such a command being run? */
bool
orm_is_in_scope(OrmUtilityScope scope)
{
	return scope_depths[scope] > 0;
}
