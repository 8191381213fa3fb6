/*-------------------------------------------------------------------------
 *
 * plan.c
 *		The statement of a batch.
 *
 * The plan is made once for a member, and again when something changes that it
 * depends on.  A batch must read its range and no more, whatever statistics
 * say, since a plan that reads the whole table would do so for every batch.  So
 * sequential scans are put off, and where another index is taken instead of
 * places, that is put off as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "storage/itemptr.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/ruleutils.h"

#include "batch.h"
#include "compat.h"
#include "util/names.h"

struct OrmBatchPlan
{
	const OrmBatchStatement *statement;
	const OrmBatchKey *key;		/* NULL: by ctid */
	bool		is_direct;
	bool		checks_rows;
	bool		is_selection;	/* of the places of the rows */
	bool		only_places;	/* other ways to read are put off too */
	Oid			member;
	const char *name;			/* what the statement names */
	const char *alias;
	const char *scope;			/* condition for the member alone, or "" */
	SPIPlanPtr	plans[2];		/* without and with a lower end */
};

/* Counts rows that meet the condition still. */
typedef struct StillCounter
{
	DestReceiver pub;
	int64		still;
} StillCounter;

/*
 * What a statement names to reach the rows of a member: the member, or else the
 * table that was named, with a condition that goes on with AND.
 */
const char *
orm_batch_source(const OrmBatchStatement *statement, Relation member, const char *alias, const char **scope)
{
	char	   *constraint;

	*scope = "";
	if (orm_batch_goes_direct(statement, member))
		return psprintf("ONLY %s", orm_relation_name(member));

	/*
	 * of a partition only the partition holds such rows, and the planner
	 * knows
	 */
	constraint = member->rd_rel->relispartition
		? pg_get_partconstrdef_string(RelationGetRelid(member), unconstify(char *, alias)) : NULL;
	*scope = constraint ? psprintf(" AND %s", constraint)
		: psprintf(" AND %s.tableoid OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid",
				   alias, RelationGetRelid(member));
	return orm_relid_name(statement->relid);
}

/* Plan the batches of a member. */
OrmBatchPlan *
orm_batch_make_plan(const OrmBatchStatement *statement, Relation member,
					const OrmBatchCursor *cursor, MemoryContext context)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	OrmBatchPlan *plan = palloc0_object(OrmBatchPlan);

	plan->statement = statement;
	plan->key = cursor->key;
	plan->is_direct = orm_batch_goes_direct(statement, member);
	plan->checks_rows = orm_batch_checks_rows(statement, member);
	plan->member = RelationGetRelid(member);
	plan->alias = quote_identifier(get_rel_name(statement->relid));
	plan->name = orm_batch_source(statement, member, plan->alias, &plan->scope);
	MemoryContextSwitchTo(oldcontext);
	return plan;
}

/* Plan to select the places of the rows that the batches of a member would do. */
OrmBatchPlan *
orm_batch_make_selection(const OrmBatchStatement *statement, Relation member,
						 const OrmBatchCursor *cursor, MemoryContext context)
{
	OrmBatchPlan *plan = orm_batch_make_plan(statement, member, cursor, context);

	plan->is_selection = true;
	plan->only_places = plan->key == NULL && plan->is_direct;
	return plan;
}

/* Append the columns of a key as a row, compared with what is given. */
static void
append_row(StringInfo text, const OrmBatchPlan *plan, const OrmBatchEnd *end, const char *const *values)
{
	const OrmBatchKey *key = plan->key;
	bool		is_row = key->ncolumns > 1;

	appendStringInfoString(text, is_row ? "ROW(" : "");
	for (int i = 0; i < key->ncolumns; i++)
		appendStringInfo(text, "%s%s.%s", i > 0 ? ", " : "", plan->alias, quote_identifier(key->names[i]));
	appendStringInfo(text, "%s %s %s", is_row ? ")" : "", end->whole, is_row ? "ROW(" : "");
	for (int i = 0; i < key->ncolumns; i++)
		appendStringInfo(text, "%s%s", i > 0 ? ", " : "", values[i]);
	appendStringInfoString(text, is_row ? ")" : "");
}

/* Append the same column by column: a >= x AND (a > x OR b > y). */
static void
append_columns(StringInfo text, const OrmBatchPlan *plan, const OrmBatchEnd *end, const char *const *values)
{
	const OrmBatchKey *key = plan->key;
	int			last = key->ncolumns - 1;

	for (int i = 0; i < last; i++)
	{
		const char *column = psprintf("%s.%s", plan->alias, quote_identifier(key->names[i]));

		appendStringInfo(text, "%s %s %s AND (%s %s %s OR ", column, end->loose[i], values[i],
						 column, end->strict[i], values[i]);
	}
	appendStringInfo(text, "%s.%s %s %s", plan->alias, quote_identifier(key->names[last]),
					 end->is_strict ? end->strict[last] : end->loose[last], values[last]);
	for (int i = 0; i < last; i++)
		appendStringInfoChar(text, ')');
}

/* Append one end of a range. */
static void
append_end(StringInfo text, const OrmBatchPlan *plan, const OrmBatchEnd *end, const char *const *values)
{
	if (end->whole)
		append_row(text, plan, end, values);
	else
		append_columns(text, plan, end, values);
}

/* The statement, with the ends of its range as they are given (lower: NULL if there is none). */
static char *
statement_text(const OrmBatchPlan *plan, const char *const *lower, const char *const *upper)
{
	const OrmBatchStatement *statement = plan->statement;
	StringInfoData text;

	initStringInfo(&text);
	if (plan->is_selection)
		appendStringInfo(&text, "SELECT %s.ctid FROM %s AS %s", plan->alias, plan->name, plan->alias);
	else if (statement->is_delete)
		appendStringInfo(&text, "DELETE FROM %s AS %s", plan->name, plan->alias);
	else
		appendStringInfo(&text, "UPDATE %s AS %s SET %s%s", plan->name, plan->alias,
						 statement->set, orm_batch_end_of(statement->set));
	appendStringInfoString(&text, " WHERE ");
	if (plan->key)
	{
		if (lower)
		{
			append_end(&text, plan, &plan->key->greater, lower);
			appendStringInfoString(&text, " AND ");
		}
		append_end(&text, plan, &plan->key->at_most, upper);
	}
	else
		appendStringInfo(&text, "%s.ctid OPERATOR(pg_catalog.>=) %s AND %s.ctid OPERATOR(pg_catalog.<) %s",
						 plan->alias, lower[0], plan->alias, upper[0]);
	appendStringInfoString(&text, plan->scope);
	if (statement->condition)
		appendStringInfo(&text, " AND (%s%s)", statement->condition, orm_batch_end_of(statement->condition));
	if (plan->checks_rows)
		appendStringInfo(&text, " RETURNING (%s%s)", statement->condition, orm_batch_end_of(statement->condition));
	return text.data;
}

/* Is the member read by places everywhere in a plan? */
static bool
reads_places(Plan *plan, Index target)
{
	if (plan == NULL)
		return true;
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
			return ((Scan *) plan)->scanrelid != target;
		default:
			return reads_places(outerPlan(plan), target) && reads_places(innerPlan(plan), target);
	}
}

/* Make settings for the planner and return their level. */
static int
pin_planner(const OrmBatchPlan *plan)
{
	static const char *const always[] = {"enable_seqscan", "jit"};
	static const char *const places[] = {"enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"};
	int			level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(always); i++)
		(void) set_config_option(always[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	for (int i = 0; i < lengthof(places) && plan->only_places; i++)
		(void) set_config_option(places[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* See to it that the plan is there and valid; false if it does not read by places as it should. */
static bool
complete_plan(OrmBatchPlan *plan, SPIPlanPtr prepared)
{
	int			level = pin_planner(plan);
	CachedPlan *cached = SPI_plan_get_cached_plan(prepared);
	bool		result = true;

	AtEOXact_GUC(true, level);
	if (cached == NULL)
		return true;
	if (plan->key == NULL && plan->is_direct && !plan->only_places)
	{
		PlannedStmt *stmt = linitial_node(PlannedStmt, cached->stmt_list);

		if (list_length(cached->stmt_list) == 1 && stmt->resultRelations != NIL && stmt->planTree)
			result = reads_places(stmt->planTree, linitial_int(stmt->resultRelations));
	}
	ReleaseCachedPlan(cached, CurrentResourceOwner);
	return result;
}

/* Prepare the statement for a range with or without a lower end. */
static SPIPlanPtr
prepare(OrmBatchPlan *plan, bool has_lower)
{
	int			ncolumns = plan->key ? plan->key->ncolumns : 1;
	Oid			types[2 * INDEX_MAX_KEYS];
	const char *parameters[2 * INDEX_MAX_KEYS];
	SPIPlanPtr	prepared;

	for (int i = 0; i < 2 * ncolumns; i++)
	{
		types[i] = plan->key ? plan->key->types[i % ncolumns] : TIDOID;
		parameters[i] = psprintf("$%d", i + 1);
	}
	prepared = SPI_prepare_cursor(statement_text(plan, has_lower ? parameters + ncolumns : NULL, parameters),
								  has_lower ? 2 * ncolumns : ncolumns, types, CURSOR_OPT_GENERIC_PLAN);
	if (prepared == NULL || SPI_keepplan(prepared) != 0)
		elog(ERROR, "could not prepare a batch: %s", SPI_result_code_string(SPI_result));
	return prepared;
}

/* The plan for a range, made or made again where needed. */
static SPIPlanPtr
ready_plan(OrmBatchPlan *plan, bool has_lower)
{
	SPIPlanPtr *place = &plan->plans[has_lower];

	if (*place == NULL)
		*place = prepare(plan, has_lower);
	if (!complete_plan(plan, *place))
	{
		SPI_freeplan(*place);
		*place = NULL;
		plan->only_places = true;
		*place = prepare(plan, has_lower);
		complete_plan(plan, *place);
	}
	return *place;
}

/* Values for the parameters. */
static ParamListInfo
parameters(const OrmBatchPlan *plan, const OrmBatchCursor *cursor, const OrmBatchRange *range,
		   ItemPointer tids, bool has_lower)
{
	int			ncolumns = plan->key ? plan->key->ncolumns : 1;
	ParamListInfo params = makeParamList(has_lower ? 2 * ncolumns : ncolumns);

	for (int i = 0; i < params->numParams; i++)
	{
		ParamExternData *param = &params->params[i];

		param->isnull = false;
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = plan->key ? plan->key->types[i % ncolumns] : TIDOID;
		if (plan->key == NULL)
			param->value = PointerGetDatum(&tids[i]);
		else if (i < ncolumns)
			param->value = range->high[i];
		else if (cursor->after)
			param->value = cursor->after[i - ncolumns];
	}
	return params;
}

/* Count a row that is done, if it meets the condition still. */
static bool
count_row(TupleTableSlot *slot, DestReceiver *self)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	if (!isnull && DatumGetBool(value))
		((StillCounter *) self)->still++;
	return true;
}

static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
end_rows(DestReceiver *self)
{
}

/* Run the statement for a range. */
static uint64
run(OrmBatchPlan *plan, const OrmBatchCursor *cursor, const OrmBatchRange *range, DestReceiver *dest)
{
	bool		has_lower = plan->key == NULL || cursor->after != NULL;
	SPIPlanPtr	prepared = ready_plan(plan, has_lower);
	SPIExecuteOptions options = {0};
	ItemPointerData tids[2];
	int			result;

	orm_batch_tid(range->end, &tids[0]);
	orm_batch_tid(cursor->next, &tids[1]);
	options.params = parameters(plan, cursor, range, tids, has_lower);
	options.dest = dest;
	result = SPI_execute_plan_extended(prepared, &options);
	if (result < 0)
		elog(ERROR, "could not run a batch: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* Do the rows of a range; returns their number, and of how many the condition holds still. */
uint64
orm_batch_execute(OrmBatchPlan *plan, const OrmBatchCursor *cursor, const OrmBatchRange *range, int64 *still)
{
	StillCounter counter = {.pub = {.receiveSlot = count_row,.rStartup = start_rows,
			.rShutdown = end_rows,.rDestroy = end_rows,
	.mydest = DestNone}};
	uint64		rows = run(plan, cursor, range, plan->checks_rows ? &counter.pub : NULL);

	*still = counter.still;
	return rows;
}

/* Select the places of the rows of a range. */
void
orm_batch_select(OrmBatchPlan *plan, const OrmBatchCursor *cursor, const OrmBatchRange *range, DestReceiver *dest)
{
	(void) run(plan, cursor, range, dest);
}

/* Values of a range as literals. */
static const char **
literals(const OrmBatchPlan *plan, const Datum *values)
{
	List	   *texts = orm_batch_key_texts(plan->key, values);
	const char **result = palloc_array(const char *, plan->key->ncolumns);

	for (int i = 0; i < plan->key->ncolumns; i++)
		result[i] = quote_literal_cstr(list_nth(texts, i));
	return result;
}

/* The statement of a range, as it can be read. */
char *
orm_batch_show(OrmBatchPlan *plan, const OrmBatchCursor *cursor, const OrmBatchRange *range)
{
	const char *lower;
	const char *upper;

	if (plan->key)
		return statement_text(plan, cursor->after ? literals(plan, cursor->after) : NULL,
							  literals(plan, range->high));
	lower = psprintf("'(%u,%u)'", (BlockNumber) (cursor->next >> 16), (OffsetNumber) (cursor->next & 0xFFFF));
	upper = psprintf("'(%u,%u)'", (BlockNumber) (range->end >> 16), (OffsetNumber) (range->end & 0xFFFF));
	return statement_text(plan, &lower, &upper);
}

/* Free the plans that are kept. */
void
orm_batch_free_plan(OrmBatchPlan *plan)
{
	for (int i = 0; i < lengthof(plan->plans); i++)
	{
		if (plan->plans[i])
			SPI_freeplan(plan->plans[i]);
		plan->plans[i] = NULL;
	}
}
