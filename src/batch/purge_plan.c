/*-------------------------------------------------------------------------
 *
 * purge_plan.c
 *		The statements of a purge: what refers to rows, and the DELETE.
 *
 * Rows are named by their places.  Tables that refer to each other in a circle
 * have no order in which their rows could go; there, one statement deletes them
 * all, and the server checks its foreign keys when it is through.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "purge.h"
#include "util/names.h"
#include "util/spi.h"

/* What a statement names to reach the rows of a leaf. */
static const char *
source(const OrmPurgeLeaf *leaf, const char *alias, const char **scope)
{
	OrmBatchStatement statement = {.is_delete = true,.relid = leaf->named};
	Relation	rel = table_open(leaf->relid, NoLock);
	const char *result = orm_batch_source(&statement, rel, alias, scope);

	table_close(rel, NoLock);
	return result;
}

/* Append the condition that has a managed table read with its deleted rows. */
static void
append_mention(StringInfo text, const OrmPurgeLeaf *leaf, const char *alias)
{
	if (leaf->is_managed)
		appendStringInfo(text, " AND orm_ext.with_deleted(%s.%s)", alias,
						 quote_identifier(get_attname(leaf->relid, leaf->marker.attno, false)));
}

/* Append the condition of a foreign key, as the server would compare. */
static void
append_reference(StringInfo text, const OrmPurgeWay *way, Oid referenced, Oid referencing)
{
	for (int i = 0; i < way->nkeys; i++)
	{
		Oid			types[2];
		Oid			collations[2];
		int32		typmod;
		const char *collate = "";

		get_atttypetypmodcoll(referenced, way->referenced_columns[i], &types[0], &typmod, &collations[0]);
		get_atttypetypmodcoll(referencing, way->referencing_columns[i], &types[1], &typmod, &collations[1]);
		if (OidIsValid(collations[0]) && collations[0] != collations[1])
			collate = psprintf(" COLLATE %s", generate_collation_name(collations[0]));
		appendStringInfo(text, "%sp.%s%s %s c.%s", i > 0 ? " AND " : "",
						 quote_identifier(get_attname(referenced, way->referenced_columns[i], false)), collate,
						 orm_operator_name(way->operators[i]),
						 quote_identifier(get_attname(referencing, way->referencing_columns[i], false)));
	}
}

/* The state of a row that refers to one that is to go, as SQL. */
static char *
state_expression(const OrmPurgeGraph *graph, const OrmPurgeWay *way, const OrmPurgeLeaf *leaf)
{
	if (!leaf->is_managed)
		return psprintf("%d", way->is_cascade && graph->statement->cascade ? ORM_PURGE_DUE : ORM_PURGE_UNMANAGED);
	return psprintf("CASE WHEN %s THEN %d WHEN %s THEN %d ELSE %d END",
					orm_purge_live_condition(leaf->relid, &leaf->marker, "c"), ORM_PURGE_LIVE,
					orm_purge_due_condition(leaf->relid, &leaf->marker, "c", graph->statement->cutoff), ORM_PURGE_DUE,
					ORM_PURGE_LATER);
}

/* Prepare a statement whose parameters are arrays of places. */
static SPIPlanPtr
prepare(const char *text, int nparams)
{
	Oid		   *types = palloc_array(Oid, nparams);
	SPIPlanPtr	plan;

	for (int i = 0; i < nparams; i++)
		types[i] = get_array_type(TIDOID);
	plan = SPI_prepare_cursor(text, nparams, types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
	return plan;
}

/*
 * See to it that a plan is there and valid.  It is of few rows of many: one
 * that reads a whole table would do so for each batch.
 */
static void
complete(SPIPlanPtr plan)
{
	int			level = NewGUCNestLevel();
	CachedPlan *cached;

	orm_set_for_level("enable_seqscan", "off");
	orm_set_for_level("jit", "off");
	cached = SPI_plan_get_cached_plan(plan);
	AtEOXact_GUC(true, level);
	if (cached)
		ReleaseCachedPlan(cached, CurrentResourceOwner);
}

/* The statement that looks for what refers to rows: places of both, state of the other. */
SPIPlanPtr
orm_purge_way_plan(OrmPurgeGraph *graph, OrmPurgeWay *way)
{
	const OrmPurgeLeaf *referenced = list_nth(graph->leaves, way->referenced);
	const OrmPurgeLeaf *referencing = list_nth(graph->leaves, way->referencing);
	const char *p;
	const char *c;
	const char *p_scope;
	const char *c_scope;
	StringInfoData text;

	if (way->plan == NULL)
	{
		p = source(referenced, "p", &p_scope);
		c = source(referencing, "c", &c_scope);
		initStringInfo(&text);
		appendStringInfo(&text, "SELECT p.ctid, c.ctid, %s FROM %s AS p, %s AS c"
						 " WHERE p.ctid OPERATOR(pg_catalog.=) ANY ($1)%s%s AND ",
						 state_expression(graph, way, referencing), p, c, p_scope, c_scope);
		append_reference(&text, way, referenced->relid, referencing->relid);
		append_mention(&text, referenced, "p");
		append_mention(&text, referencing, "c");
		way->plan = prepare(text.data, 1);
	}
	complete(way->plan);
	return way->plan;
}

/* Append the DELETE of the rows of a leaf, whose places are a parameter. */
static void
append_delete(StringInfo text, const OrmPurgeGraph *graph, const OrmPurgeLeaf *leaf, int parameter)
{
	const char *scope;
	const char *name = source(leaf, "r", &scope);

	appendStringInfo(text, "DELETE FROM %s AS r WHERE r.ctid OPERATOR(pg_catalog.=) ANY ($%d)%s", name, parameter, scope);
	if (leaf->is_managed)
		appendStringInfo(text, " AND %s", orm_purge_due_condition(leaf->relid, &leaf->marker, "r", graph->statement->cutoff));
}

/* The statement that deletes rows of a leaf. */
SPIPlanPtr
orm_purge_delete_plan(OrmPurgeGraph *graph, OrmPurgeLeaf *leaf)
{
	StringInfoData text;

	if (leaf->plan == NULL)
	{
		initStringInfo(&text);
		append_delete(&text, graph, leaf, 1);
		leaf->plan = prepare(text.data, 1);
	}
	complete(leaf->plan);
	return leaf->plan;
}

/* The text of a statement that deletes rows of some leaves, and returns how many. */
static char *
circle_text(const OrmPurgeGraph *graph, const Bitmapset *leaves)
{
	StringInfoData text;
	StringInfoData counts;
	int			leaf = -1;
	int			parameter = 0;

	initStringInfo(&text);
	initStringInfo(&counts);
	while ((leaf = bms_next_member(leaves, leaf)) >= 0)
	{
		parameter++;
		appendStringInfo(&text, "%s d%d AS (", parameter > 1 ? "," : "WITH", parameter);
		append_delete(&text, graph, list_nth(graph->leaves, leaf), parameter);
		appendStringInfoString(&text, " RETURNING 1)");
		appendStringInfo(&counts, "%s(SELECT pg_catalog.count(*) FROM d%d)", parameter > 1 ? ", " : "", parameter);
	}
	return psprintf("%s SELECT %s", text.data, counts.data);
}

/* The statement that deletes rows of leaves that refer to each other, and returns how many. */
SPIPlanPtr
orm_purge_circle_plan(OrmPurgeGraph *graph, Bitmapset *leaves)
{
	MemoryContext oldcontext;

	if (graph->circle_plan && !bms_equal(graph->circle, leaves))
	{
		SPI_freeplan(graph->circle_plan);
		graph->circle_plan = NULL;
	}
	if (graph->circle_plan == NULL)
	{
		graph->circle_plan = prepare(circle_text(graph, leaves), bms_num_members(leaves));
		oldcontext = MemoryContextSwitchTo(graph->context);
		graph->circle = bms_copy(leaves);
		MemoryContextSwitchTo(oldcontext);
	}
	complete(graph->circle_plan);
	return graph->circle_plan;
}
