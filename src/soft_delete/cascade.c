/*-------------------------------------------------------------------------
 *
 * cascade.c
 *		ON DELETE CASCADE among live rows.
 *
 * The rows that refer to deleted ones are deleted as any client would, by a
 * DELETE that becomes a soft one.  What tells it from a client's is known to
 * the planner and the executor by its text, for the one execution that is
 * under way: it is soft whatever the settings say, gives the rows the stamp of
 * the deletion that it follows from, and what it does is queued behind what led
 * to it.
 *
 * As in the server's own cascade, the rights are those of the owner of the
 * referencing table, row-level security does not count, triggers are fired at
 * the end of the statement that began it all, and a transaction of a stricter
 * isolation level that meets a row it cannot see fails with 40001.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "cascade.h"
#include "soft_delete.h"
#include "util/names.h"
#include "util/privileges.h"

/* A prepared DELETE of what refers to one row, or to some rows. */
typedef struct CascadeKey
{
	Oid			constraint;
	bool		many;
} CascadeKey;

typedef struct CascadePlan
{
	CascadeKey	key;			/* hash key */
	SPIPlanPtr	plan;
	char	   *query;
} CascadePlan;

static HTAB *plans = NULL;

/* The one that is about to be executed. */
typedef struct PendingCascade
{
	const char *query;			/* NULL: there is none */
	TimestampTz stamp;
	OrmTransitions *transitions;
} PendingCascade;

static PendingCascade pending = {NULL};

/* The cascade's DELETE; its parameters are the columns of the key, or arrays of them. */
static char *
cascade_query(const OrmReference *reference, bool many)
{
	StringInfoData query;
	const char *only = get_rel_relkind(reference->referencing) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ";

	initStringInfo(&query);
	appendStringInfo(&query, "DELETE FROM %s%s AS x", only, orm_relid_name(reference->referencing));
	if (many)
	{
		appendStringInfoString(&query, " USING pg_catalog.unnest(");
		for (int i = 0; i < reference->nkeys; i++)
			appendStringInfo(&query, "%s$%d", i > 0 ? ", " : "", i + 1);
		appendStringInfoString(&query, ") AS k(");
		for (int i = 0; i < reference->nkeys; i++)
			appendStringInfo(&query, "%sk%d", i > 0 ? ", " : "", i + 1);
		appendStringInfoChar(&query, ')');
	}
	for (int i = 0; i < reference->nkeys; i++)
	{
		const char *referencing = quote_identifier(get_attname(reference->referencing,
															   reference->referencing_columns[i], false));

		appendStringInfo(&query, "%s(%s)", i > 0 ? " AND " : " WHERE ",
						 orm_reference_condition(reference, i, psprintf(many ? "k.k%d" : "$%d", i + 1),
												 psprintf("x.%s", referencing)));
	}
	return query.data;
}

/* The type of the parameter for a column of the key; InvalidOid if there is none. */
static Oid
parameter_type(const OrmReference *reference, int i, bool many)
{
	Oid			type = get_atttype(reference->referenced, reference->referenced_columns[i]);

	return many ? get_array_type(type) : type;
}

/* Prepare the DELETE of a cascade, for good. */
static void
prepare_cascade(CascadePlan *cascade, const OrmReference *reference)
{
	Oid			types[INDEX_MAX_KEYS];
	char	   *query = cascade_query(reference, cascade->key.many);
	SPIPlanPtr	plan;

	for (int i = 0; i < reference->nkeys; i++)
		types[i] = parameter_type(reference, i, cascade->key.many);
	plan = SPI_prepare(query, reference->nkeys, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\"", query);
	SPI_keepplan(plan);
	cascade->query = MemoryContextStrdup(TopMemoryContext, query);
	cascade->plan = plan;
}

/* The plan for a cascade.  SPI is connected, as the owner of the table. */
static CascadePlan *
find_plan(const OrmReference *reference, bool many)
{
	CascadeKey	key = {.constraint = reference->constraint,.many = many};
	CascadePlan *cascade;
	bool		found;

	if (plans == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(CascadeKey),.entrysize = sizeof(CascadePlan)};

		plans = hash_create("orm_ext cascades", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	cascade = hash_search(plans, &key, HASH_ENTER, &found);
	if (!found)
		cascade->plan = NULL;
	if (cascade->plan && !SPI_plan_is_valid(cascade->plan))
	{
		SPI_freeplan(cascade->plan);
		cascade->plan = NULL;
		pfree(cascade->query);
	}
	if (cascade->plan == NULL)
		prepare_cascade(cascade, reference);
	return cascade;
}

/* The values of a column of the key in some rows, as an array. */
static Datum
key_array(const OrmReference *reference, int i, TupleTableSlot **rows, int nrows)
{
	Oid			type = get_atttype(reference->referenced, reference->referenced_columns[i]);
	Datum	   *values = palloc_array(Datum, nrows);
	int16		length;
	bool		by_value;
	char		align;
	bool		isnull;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	for (int row = 0; row < nrows; row++)
		values[row] = slot_getattr(rows[row], reference->referenced_columns[i], &isnull);
	return PointerGetDatum(construct_array(values, nrows, type, length, by_value, align));
}

/* Does a row have a null in its key?  Then nothing refers to it. */
static bool
has_null_key(const OrmReference *reference, TupleTableSlot *row)
{
	for (int i = 0; i < reference->nkeys; i++)
	{
		if (slot_attisnull(row, reference->referenced_columns[i]))
			return true;
	}
	return false;
}

/* Can keys be given as arrays? */
static bool
has_array_types(const OrmReference *reference)
{
	for (int i = 0; i < reference->nkeys; i++)
	{
		if (!OidIsValid(parameter_type(reference, i, true)))
			return false;
	}
	return true;
}

/* Run a cascade's DELETE.  SPI is connected, as the owner of the table. */
static void
run_cascade(CascadePlan *cascade, Datum *values, TimestampTz stamp, OrmTransitions *transitions)
{
	Snapshot	snapshot = InvalidSnapshot;
	Snapshot	crosscheck = InvalidSnapshot;
	int			result;

	if (IsolationUsesXactSnapshot())
	{
		CommandCounterIncrement();	/* what was done so far is to be seen */
		snapshot = GetLatestSnapshot();
		crosscheck = GetTransactionSnapshot();
	}
	pending.query = cascade->query;
	pending.stamp = stamp;
	pending.transitions = transitions;
	PG_TRY();
	{
		result = SPI_execute_snapshot(cascade->plan, values, NULL, snapshot, crosscheck,
									  false, false, 0);
	}
	PG_FINALLY();
	{
		pending.query = NULL;
	}
	PG_END_TRY();
	if (result != SPI_OK_DELETE)
		elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(result), cascade->query);
}

/*
 * Delete the live rows that refer to some rows, none of which has a null in
 * its key.
 */
static void
cascade_from(const OrmReference *reference, TupleTableSlot **rows, int nrows,
			 TimestampTz stamp, OrmTransitions *transitions)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull;
	Oid			owner = orm_table_owner(reference->referencing);
	Oid			save_user;
	int			save_context;

	SPI_connect();
	for (int i = 0; i < reference->nkeys; i++)
	{
		if (nrows > 1)
			values[i] = key_array(reference, i, rows, nrows);
		else
			values[i] = slot_getattr(rows[0], reference->referenced_columns[i], &isnull);
	}

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(owner, save_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	run_cascade(find_plan(reference, nrows > 1), values, stamp, transitions);
	SetUserIdAndSecContext(save_user, save_context);
	SPI_finish();
}

/*
 * Delete the live rows that refer to rows which have been deleted with the
 * given stamp.  What that does is added to "transitions".
 */
void
orm_cascade(const OrmReference *reference, TupleTableSlot **rows, int nrows,
			TimestampTz stamp, OrmTransitions *transitions)
{
	TupleTableSlot **keyed = palloc_array(TupleTableSlot *, nrows);
	int			nkeyed = 0;

	for (int i = 0; i < nrows; i++)
	{
		if (!has_null_key(reference, rows[i]))
			keyed[nkeyed++] = rows[i];
	}
	if (nkeyed > 1 && !has_array_types(reference))
	{
		for (int i = 0; i < nkeyed; i++)
			cascade_from(reference, &keyed[i], 1, stamp, transitions);
	}
	else if (nkeyed > 0)
		cascade_from(reference, keyed, nkeyed, stamp, transitions);
	pfree(keyed);
}

/* Is a query that is being planned the DELETE of a cascade? */
bool
orm_is_cascade(const char *query_string)
{
	return unlikely(pending.query != NULL) && query_string != NULL &&
		strcmp(query_string, pending.query) == 0;
}

/*
 * If a statement that is about to be executed is the DELETE of a cascade, give
 * it its stamp, and return where to note what it does.  NULL for any other.
 */
OrmTransitions *
orm_begin_cascade(QueryDesc *query_desc)
{
	if (!orm_is_cascade(query_desc->sourceText))
		return NULL;
	pending.query = NULL;
	orm_set_stamp(query_desc->estate->es_query_cxt, query_desc->snapshot->curcid, pending.stamp);
	return pending.transitions;
}
