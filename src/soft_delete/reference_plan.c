/*-------------------------------------------------------------------------
 *
 * reference_plan.c
 *		Prepared queries along foreign keys.
 *
 * They are kept for the session, as the server keeps its own, and written anew
 * when the server says that a plan has become invalid.
 *
 * As the server's do, they run with the rights of the owner of the table that
 * they are about, past row-level security; and they see what is there now, in
 * any isolation level: a row that a stricter one should not see makes a change
 * fail with 40001.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "policy.h"
#include "reference_plan.h"
#include "soft_delete.h"
#include "util/names.h"
#include "util/privileges.h"

/* A prepared query. */
typedef struct ReferencePlan
{
	struct
	{
		Oid			constraint;
		OrmReferencePurpose purpose;
	}			key;			/* hash key */
	SPIPlanPtr	plan;
	char	   *query;
} ReferencePlan;

static HTAB *plans = NULL;

/* The condition that the row is live; nothing where the table is not under soft delete. */
static const char *
and_live(Oid relid)
{
	if (!orm_soft_delete_active(relid))
		return "";
	return psprintf(" AND %s", orm_live_rows_sql(relid, "x"));
}

/* A condition that has a table under soft delete show all its rows. */
static const char *
and_all(Oid relid)
{
	OrmMarker	marker;

	if (!orm_soft_delete_active(relid))
		return "";
	return psprintf(" AND orm_ext.with_deleted(x.%s)", orm_marker_name(relid, &marker));
}

/* x.column */
static char *
column_of(Oid relid, AttrNumber attno)
{
	return psprintf("x.%s", quote_identifier(get_attname(relid, attno, false)));
}

/* Is a query about the row that is referred to, rather than those that refer to it? */
static bool
is_about_referenced_row(OrmReferencePurpose purpose)
{
	return purpose == ORM_FIND_REFERENCED_ROW || purpose == ORM_LOCK_REFERENCED_ROW;
}

/* Append the conditions on the columns of a foreign key. */
static void
append_conditions(StringInfo query, const OrmReference *reference, OrmReferencePurpose purpose)
{
	const char *parameter = purpose == ORM_CASCADE_FROM_ROWS ? "k.k%d" : "$%d";

	for (int i = 0; i < reference->nkeys; i++)
	{
		char	   *given = psprintf(parameter, i + 1);
		char	   *referenced = given;
		char	   *referencing = given;

		if (is_about_referenced_row(purpose))
			referenced = column_of(reference->referenced, reference->referenced_columns[i]);
		else
			referencing = column_of(reference->referencing, reference->referencing_columns[i]);

		/*
		 * in parentheses, or it would be taken for one of the server's own
		 * (visibility.c)
		 */
		appendStringInfo(query, "%s(%s)", i > 0 ? " AND " : " WHERE ",
						 orm_reference_condition(reference, i, referenced, referencing));
	}
}

/* USING the keys of some rows */
static void
append_keys(StringInfo query, const OrmReference *reference)
{
	appendStringInfoString(query, " USING ROWS FROM (");
	for (int i = 0; i < reference->nkeys; i++)
		appendStringInfo(query, "%spg_catalog.unnest($%d)", i > 0 ? ", " : "", i + 1);
	appendStringInfoString(query, ") AS k(");
	for (int i = 0; i < reference->nkeys; i++)
		appendStringInfo(query, "%sk%d", i > 0 ? ", " : "", i + 1);
	appendStringInfoChar(query, ')');
}

/* Write a query; its parameters are the columns of the key, or arrays of them. */
static char *
write_query(const OrmReference *reference, OrmReferencePurpose purpose)
{
	StringInfoData query;

	initStringInfo(&query);
	switch (purpose)
	{
		case ORM_CASCADE_FROM_ROW:
		case ORM_CASCADE_FROM_ROWS:
			appendStringInfo(&query, "DELETE FROM %s%s AS x",
							 orm_only(reference->referencing), orm_relid_name(reference->referencing));
			if (purpose == ORM_CASCADE_FROM_ROWS)
				append_keys(&query, reference);
			append_conditions(&query, reference, purpose);
			break;
		case ORM_FIND_REFERRING_ROW:
		case ORM_FIND_OWN_REFERRING_ROW:
			appendStringInfo(&query, "SELECT FROM %s%s AS x",
							 orm_only(reference->referencing), orm_relid_name(reference->referencing));
			append_conditions(&query, reference, purpose);
			appendStringInfoString(&query, and_live(reference->referencing));
			if (purpose == ORM_FIND_OWN_REFERRING_ROW)
				appendStringInfoString(&query, " AND orm_ext.is_own_change(x.xmin)");
			break;
		case ORM_FIND_REFERENCED_ROW:
		case ORM_LOCK_REFERENCED_ROW:
			appendStringInfo(&query, "SELECT FROM %s%s AS x",
							 orm_only(reference->referenced), orm_relid_name(reference->referenced));
			append_conditions(&query, reference, purpose);
			appendStringInfoString(&query, and_all(reference->referenced));
			if (purpose == ORM_LOCK_REFERENCED_ROW)
				appendStringInfoString(&query, " FOR KEY SHARE OF x");
			break;
	}
	return query.data;
}

/* The type of arrays of a column that is referred to; InvalidOid if there is none. */
Oid
orm_reference_array_type(const OrmReference *reference, int i)
{
	return get_array_type(get_atttype(reference->referenced, reference->referenced_columns[i]));
}

/* The type of the parameter for a column. */
static Oid
parameter_type(const OrmReference *reference, OrmReferencePurpose purpose, int i)
{
	if (purpose == ORM_CASCADE_FROM_ROWS)
		return orm_reference_array_type(reference, i);
	if (is_about_referenced_row(purpose))
		return get_atttype(reference->referencing, reference->referencing_columns[i]);
	return get_atttype(reference->referenced, reference->referenced_columns[i]);
}

/* Prepare a query for good.  SPI is connected. */
static void
prepare(ReferencePlan *kept, const OrmReference *reference)
{
	Oid			types[INDEX_MAX_KEYS];
	char	   *query = write_query(reference, kept->key.purpose);
	SPIPlanPtr	plan;

	for (int i = 0; i < reference->nkeys; i++)
		types[i] = parameter_type(reference, kept->key.purpose, i);
	plan = SPI_prepare(query, reference->nkeys, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\"", query);
	SPI_keepplan(plan);
	kept->query = MemoryContextStrdup(TopMemoryContext, query);
	kept->plan = plan;
}

/* Find a prepared query, or prepare it.  SPI is connected. */
static ReferencePlan *
find_plan(const OrmReference *reference, OrmReferencePurpose purpose)
{
	ReferencePlan wanted = {0};
	ReferencePlan *kept;
	bool		found;

	if (plans == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(wanted.key),.entrysize = sizeof(ReferencePlan)};

		plans = hash_create("orm_ext plans of foreign keys", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	wanted.key.constraint = reference->constraint;
	wanted.key.purpose = purpose;
	kept = hash_search(plans, &wanted.key, HASH_ENTER, &found);
	if (!found)
		kept->plan = NULL;
	if (kept->plan && !SPI_plan_is_valid(kept->plan))
	{
		SPI_freeplan(kept->plan);
		kept->plan = NULL;
		pfree(kept->query);
	}
	if (kept->plan == NULL)
		prepare(kept, reference);
	return kept;
}

/*
 * Run a query along a foreign key and return how many rows it has found or
 * changed; a search ends with the first.  "about_to_run", if there is one, is
 * told of it before, with an argument of its own.
 */
uint64
orm_run_reference_plan(const OrmReference *reference, OrmReferencePurpose purpose, Datum *values,
					   void (*about_to_run) (const char *query, void *arg), void *arg)
{
	bool		is_change = purpose == ORM_CASCADE_FROM_ROW || purpose == ORM_CASCADE_FROM_ROWS;
	Oid			table = is_about_referenced_row(purpose) ? reference->referenced : reference->referencing;
	Snapshot	snapshot = InvalidSnapshot;
	Snapshot	crosscheck = InvalidSnapshot;
	ReferencePlan *kept;
	Oid			save_user;
	int			save_context;
	int			result;
	uint64		count;

	SPI_connect();
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(orm_table_owner(table),
						   save_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	kept = find_plan(reference, purpose);
	if (IsolationUsesXactSnapshot())
	{
		CommandCounterIncrement();	/* what was done so far is to be seen */
		snapshot = GetLatestSnapshot();
		if (is_change)
			crosscheck = GetTransactionSnapshot();
	}
	if (about_to_run)
		about_to_run(kept->query, arg);
	result = SPI_execute_snapshot(kept->plan, values, NULL, snapshot, crosscheck,
								  false, false, is_change ? 0 : 1);
	if (result != (is_change ? SPI_OK_DELETE : SPI_OK_SELECT))
		elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(result), kept->query);
	count = SPI_processed;
	SetUserIdAndSecContext(save_user, save_context);
	SPI_finish();
	return count;
}
