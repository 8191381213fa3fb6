/*-------------------------------------------------------------------------
 *
 * copy_options.c
 *		Options of COPY that make it an upsert.
 *
 * They stand in WITH (...) beside those of the server, whose grammar takes any
 * option there, and are taken out before the server sees the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "upsert.h"

/* An option and the one place that reads it. */
typedef struct CopyOption
{
	const char *name;
	void		(*read) (DefElem *option, OrmUpsertOptions *options);
} CopyOption;

/* A list of names: (a, b) or 'a, b'.  Error: 22023. */
static List *
read_names(DefElem *option)
{
	List	   *names = NIL;
	ListCell   *lc;

	if (option->arg && IsA(option->arg, List))
	{
		foreach(lc, castNode(List, option->arg))
		{
			if (IsA(lfirst(lc), String))
				names = lappend(names, pstrdup(strVal(lfirst(lc))));
		}
	}
	else if (!SplitIdentifierString(pstrdup(defGetString(option)), ',', &names))
		names = NIL;
	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" of COPY wants a list of names", option->defname),
				 errhint("%s (a, b)", option->defname)));
	return names;
}

static void
read_conflict(DefElem *option, OrmUpsertOptions *options)
{
	options->on_conflict = orm_read_on_conflict(defGetString(option));
}

static void
read_conflict_columns(DefElem *option, OrmUpsertOptions *options)
{
	options->conflict = read_names(option);
}

static void
read_update_columns(DefElem *option, OrmUpsertOptions *options)
{
	options->update_all = false;
	options->update_columns = read_names(option);
}

static void
read_duplicate(DefElem *option, OrmUpsertOptions *options)
{
	options->on_duplicate = orm_read_on_duplicate(defGetString(option));
}

static void
read_deleted(DefElem *option, OrmUpsertOptions *options)
{
	options->on_deleted = orm_read_on_deleted(defGetString(option));
}

static void
read_version_column(DefElem *option, OrmUpsertOptions *options)
{
	options->version_column = defGetString(option);
}

static const CopyOption copy_options[] = {
	{"on_conflict", read_conflict},
	{"conflict_columns", read_conflict_columns},
	{"update_columns", read_update_columns},
	{"on_duplicate", read_duplicate},
	{"on_deleted", read_deleted},
	{"version_column", read_version_column},
	{NULL, NULL}
};

/* Our option of this name, NULL if it is none. */
static const CopyOption *
our_option(const char *name)
{
	for (const CopyOption *option = copy_options; option->name != NULL; option++)
	{
		if (strcmp(option->name, name) == 0)
			return option;
	}
	return NULL;
}

/* Does a COPY have any of our options? */
bool
orm_has_upsert_option(const CopyStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		if (our_option(lfirst_node(DefElem, lc)->defname))
			return true;
	}
	return false;
}

/* Complain of an option that is given twice.  Error: 42601, as the server. */
static void
check_not_given_before(List *options, ListCell *until)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		if (lc == until)
			return;
		if (strcmp(lfirst_node(DefElem, lc)->defname, lfirst_node(DefElem, until)->defname) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("conflicting or redundant options"),
					 errdetail("Option \"%s\" is given twice.", lfirst_node(DefElem, until)->defname)));
	}
}

/* Refuse FREEZE: rows that are updated cannot be frozen.  Error: 0A000. */
static void
check_not_freeze(DefElem *option)
{
	if (strcmp(option->defname, "freeze") == 0 && defGetBoolean(option))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FREEZE cannot upsert"),
				 errdetail("FREEZE is for rows of a table that was made in this transaction, where there is nothing to update."),
				 errhint("Leave out FREEZE, or the options of orm_ext.")));
}

/*
 * Read our options, and return the others.
 * Errors: 22023 a value, 42601 given twice, 0A000 FREEZE.
 */
List *
orm_take_upsert_options(CopyStmt *stmt, OrmUpsertOptions *options)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *element = lfirst_node(DefElem, lc);
		const CopyOption *option = our_option(element->defname);

		check_not_freeze(element);
		if (option == NULL)
		{
			others = lappend(others, element);
			continue;
		}
		check_not_given_before(stmt->options, lc);
		option->read(element, options);
	}
	return others;
}
