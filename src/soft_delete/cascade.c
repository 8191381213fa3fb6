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
#include "utils/datum.h"
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

/* A column of the key that is referred to, in the rows of a cascade. */
typedef struct CascadeColumn
{
	Oid			type;
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *values;
} CascadeColumn;

struct OrmCascade
{
	OrmReference *reference;
	int			nrows;
	CascadeColumn columns[INDEX_MAX_KEYS];
};

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
		appendStringInfoString(&query, " USING ROWS FROM (");
		for (int i = 0; i < reference->nkeys; i++)
			appendStringInfo(&query, "%spg_catalog.unnest($%d)", i > 0 ? ", " : "", i + 1);
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
run_plan(CascadePlan *cascade, Datum *values, TimestampTz stamp, OrmTransitions *transitions)
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

/* Run the DELETE for some of the keys, or for one of them. */
static void
cascade_from(OrmCascade *cascade, int first, int nrows, TimestampTz stamp,
			 OrmTransitions *transitions)
{
	const OrmReference *reference = cascade->reference;
	Datum		values[INDEX_MAX_KEYS];
	Oid			save_user;
	int			save_context;

	SPI_connect();
	for (int i = 0; i < reference->nkeys; i++)
	{
		CascadeColumn *column = &cascade->columns[i];

		values[i] = column->values[first];
		if (nrows > 1)
			values[i] = PointerGetDatum(construct_array(&column->values[first], nrows, column->type,
														column->length, column->by_value, column->align));
	}

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(orm_table_owner(reference->referencing),
						   save_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	run_plan(find_plan(reference, nrows > 1), values, stamp, transitions);
	SetUserIdAndSecContext(save_user, save_context);
	SPI_finish();
}

/*
 * Begin a cascade along a foreign key.  NULL if that is gone, which the other
 * functions take for one that has nothing to do.
 */
OrmCascade *
orm_make_cascade(Oid constraint, int max_rows)
{
	OrmReference *reference = orm_read_reference(constraint);
	OrmCascade *cascade;

	if (reference == NULL)
		return NULL;
	cascade = palloc0_object(OrmCascade);
	cascade->reference = reference;
	for (int i = 0; i < reference->nkeys; i++)
	{
		CascadeColumn *column = &cascade->columns[i];

		column->type = get_atttype(reference->referenced, reference->referenced_columns[i]);
		get_typlenbyvalalign(column->type, &column->length, &column->by_value, &column->align);
		column->values = palloc_array(Datum, max_rows);
	}
	return cascade;
}

/* Add a row that was deleted.  Nothing refers to one that has a null in its key. */
void
orm_add_to_cascade(OrmCascade *cascade, TupleTableSlot *row)
{
	const OrmReference *reference = cascade ? cascade->reference : NULL;
	bool		isnull;

	if (reference == NULL)
		return;
	for (int i = 0; i < reference->nkeys; i++)
	{
		if (slot_attisnull(row, reference->referenced_columns[i]))
			return;
	}
	for (int i = 0; i < reference->nkeys; i++)
	{
		CascadeColumn *column = &cascade->columns[i];

		column->values[cascade->nrows] =
			datumCopy(slot_getattr(row, reference->referenced_columns[i], &isnull),
					  column->by_value, column->length);
	}
	cascade->nrows++;
}

/*
 * Delete the live rows that refer to those of a cascade, with the given stamp.
 * What that does is added to "transitions".
 */
void
orm_run_cascade(OrmCascade *cascade, TimestampTz stamp, OrmTransitions *transitions)
{
	if (cascade == NULL || cascade->nrows == 0)
		return;
	if (cascade->nrows == 1 || has_array_types(cascade->reference))
		cascade_from(cascade, 0, cascade->nrows, stamp, transitions);
	else
	{
		for (int i = 0; i < cascade->nrows; i++)
			cascade_from(cascade, i, 1, stamp, transitions);
	}
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
