/*-------------------------------------------------------------------------
 *
 * restore.c
 *		orm_ext.restore(), restore_where() and restore_deletion().
 *
 * All of it is done in a subtransaction.  If that fails by a parent that is
 * still deleted, the hint is to name the call that restores it, and queries
 * can look for it when the subtransaction is rolled back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "restore.h"
#include "restore_call.h"
#include "soft_delete.h"
#include "transition.h"
#include "util/spi.h"

/* Restores in progress: one may be called by a trigger that another one fires. */
static int	depth = 0;

/*
 * Bring back what went along with the rows that are back.  The version that is
 * expected is that of the row that the caller names.
 */
static void
restore_followers(OrmRestore *restore)
{
	int			level = NewGUCNestLevel();

	orm_set_for_level("orm_ext.expected_version", "");
	orm_restore_followers(restore);
	AtEOXact_GUC(true, level);
}

/*
 * Bring the rows back that a call names, and what went with them.  Of several
 * tables, parents come first, and what follows them need not be looked for.
 */
static bool
restore_rows(void *arg)
{
	OrmRestoreCall *call = arg;
	OrmRestore *restore = orm_begin_restore(false);
	ListCell   *lc;

	if (depth++ == 0)
		orm_hold_transitions();
	foreach(lc, call->seeds)
	{
		orm_find_rows_of_call(call, restore, lfirst(lc));
		orm_restore_seeds(restore, lfirst(lc));
		restore_followers(restore);
	}
	orm_check_rest_of_call(call, restore);
	if (--depth == 0)
		orm_release_transitions();

	call->tables = restore->tables;
	orm_end_restore(restore);
	return true;
}

/* Restore, and return how many rows of each table are back. */
static void
restore(FunctionCallInfo fcinfo, OrmRestoreCall *call)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			outer_depth = depth;
	ErrorData  *error;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	if (!orm_try(restore_rows, call, &error))
	{
		depth = outer_depth;
		orm_end_return();
		orm_add_restore_hint(call, error);
		ReThrowError(error);
	}
	foreach(lc, call->tables)
	{
		OrmRestoredTable *table = lfirst(lc);
		Datum		values[] = {ObjectIdGetDatum(table->relid), Int64GetDatum(table->rows)};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	orm_end_call(call);
}

PG_FUNCTION_INFO_V1(orm_restore);
PG_FUNCTION_INFO_V1(orm_restore_where);
PG_FUNCTION_INFO_V1(orm_restore_deletion);

/*
 * orm_ext.restore(rel regclass, key anyelement) → setof (rel regclass, rows bigint)
 *
 * Brings a row back, and what went with it along foreign keys.
 *
 * Errors: P0002 no such row; 55000 not under soft delete; 22004, 42809, 42P16,
 * 22023 for the arguments; 42501; 23503 a parent is deleted; 23505 a key is
 * taken; whatever the UPDATE raises.
 */
Datum
orm_restore(PG_FUNCTION_ARGS)
{
	OrmRestoreCall call;

	orm_begin_call_by_key(&call, fcinfo);
	restore(fcinfo, &call);
	return (Datum) 0;
}

/*
 * orm_ext.restore_where(rel regclass, condition text) → setof (rel regclass, rows bigint)
 *
 * The same for all deleted rows that meet a condition.
 *
 * Errors: those of orm_ext.restore(), as far as they apply; 42601.
 */
Datum
orm_restore_where(PG_FUNCTION_ARGS)
{
	OrmRestoreCall call;

	orm_begin_call_by_condition(&call, fcinfo);
	restore(fcinfo, &call);
	return (Datum) 0;
}

/*
 * orm_ext.restore_deletion(stamp timestamptz) → setof (rel regclass, rows bigint)
 *
 * The same for all that one statement has deleted, in whatever tables.
 *
 * Errors: those of orm_ext.restore(), as far as they apply.
 */
Datum
orm_restore_deletion(PG_FUNCTION_ARGS)
{
	OrmRestoreCall call;

	orm_begin_call_by_stamp(&call, fcinfo);
	restore(fcinfo, &call);
	return (Datum) 0;
}
