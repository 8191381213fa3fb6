/*-------------------------------------------------------------------------
 *
 * spi.c
 *		SQL that the extension runs on its user's behalf.
 *
 * DDL is run with the rights of the caller and an empty search_path, so that
 * names are printed qualified; every statement is recorded, since the caller
 * is shown what was done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"

#include "spi.h"

static List *statements = NIL;
static MemoryContext statements_context = NULL;
static int	guc_level = 0;

/*
 * Tables that DDL of ours treats alike: the named one and its inheritance
 * children.  Partitions follow their parent by themselves.
 */
List *
orm_tables_to_treat(Oid relid, LOCKMODE lockmode)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, lockmode, NULL))
	{
		if (lfirst_oid(lc) == relid || !get_rel_relispartition(lfirst_oid(lc)))
			result = lappend_oid(result, lfirst_oid(lc));
	}
	return result;
}

/* Make one setting until the end of the level of settings. */
void
orm_set_for_level(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Make the settings that SQL of ours counts on; AtEOXact_GUC(true, result)
 * takes them back.  The names that it gives are ours or were there before, so
 * nobody is to be warned of them.
 */
int
orm_pin_settings(void)
{
	int			level = NewGUCNestLevel();

	orm_set_for_level("search_path", "pg_catalog, pg_temp");
	orm_set_for_level("orm_ext.naming_check", "off");
	orm_set_for_level("orm_ext.auto_manage", "");
	return level;
}

/* Begin to run DDL; what is recorded belongs to the current memory context. */
void
orm_begin_ddl(void)
{
	statements = NIL;
	statements_context = CurrentMemoryContext;
	guc_level = orm_pin_settings();
}

/* End it and return the statements (char *) that were run. */
List *
orm_end_ddl(void)
{
	List	   *result = statements;

	AtEOXact_GUC(true, guc_level);
	statements = NIL;
	return result;
}

/* Run one statement with the rights of the caller. */
void
orm_run(const char *command)
{
	SPI_connect();
	if (SPI_execute(command, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", command);
	SPI_finish();
}

/* Run one statement and record it. */
void
orm_run_ddl(const char *format,...)
{
	StringInfoData command;
	MemoryContext oldcontext;

	initStringInfo(&command);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&command, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&command, needed);
	}

	oldcontext = MemoryContextSwitchTo(statements_context);
	statements = lappend(statements, psprintf("%s;", command.data));
	MemoryContextSwitchTo(oldcontext);

	orm_run(command.data);
}

/* Does a query return any row? */
bool
orm_query_has_rows(const char *query)
{
	bool		result;

	SPI_connect();
	if (SPI_execute(query, false, 1) < 0)
		elog(ERROR, "could not run \"%s\"", query);
	result = SPI_processed > 0;
	SPI_finish();
	return result;
}

/*
 * Do something in a subtransaction of its own.  If it fails, or returns false,
 * the subtransaction is rolled back; "error" is what it has failed by, in the
 * caller's memory, or NULL.
 */
bool
orm_try(bool (*work) (void *arg), void *arg, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorContextCallback *callbacks = error_context_stack;
	volatile bool done = false;

	*error = NULL;
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		done = work(arg);
		if (done)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		done = false;
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	error_context_stack = callbacks;
	return done;
}
