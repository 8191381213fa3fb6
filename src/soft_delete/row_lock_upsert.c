/*-------------------------------------------------------------------------
 *
 * row_lock_upsert.c
 *		An upsert locks the rows that it marks as a DELETE does.
 *
 * INSERT ... ON CONFLICT DO UPDATE looks for the row that is in the way and
 * locks it in one go, after all that is done to the row to be inserted: triggers,
 * generated columns, policies of row-level security.  So one more of these is
 * added, which lets all rows pass, but looks for the row in the way first, as
 * the executor does, and locks it FOR UPDATE if it will be marked.
 *
 * A row that others insert in between is left to the lock that it gets when it
 * is written (transition.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "row_lock.h"

/* An upsert that may mark rows of a table. */
typedef struct LockingUpsert
{
	ModifyTableState *mtstate;
	ResultRelInfo *rri;
	OrmMarking	marking;
	bool		depends_on_row; /* is the marker assigned what the row in the
								 * way has to say? */
	ExprState  *condition;		/* of DO UPDATE, as far as it can be evaluated */
} LockingUpsert;

/* Will the row that is in the way be marked? */
static bool
will_be_marked(LockingUpsert *upsert, ExprContext *econtext, ItemPointer place)
{
	TupleTableSlot *row = upsert->rri->ri_onConflict->oc_Existing;
	bool		result;

	if (!table_tuple_fetch_row_version(upsert->rri->ri_RelationDesc, place, SnapshotAny, row))
		return false;
	econtext->ecxt_scantuple = row;
	result = orm_is_live_row(&upsert->marking.marker, row) &&
		ExecQual(upsert->condition, econtext) &&
		orm_assigns_deletion(&upsert->marking, econtext);
	ExecClearTuple(row);
	return result;
}

/*
 * Lock the row that is in the way of one to be inserted, if there is one: as
 * DELETE does if it will be marked, else as the executor is about to do, so that
 * nobody makes another row of it in between.
 */
static void
lock_row_in_the_way(LockingUpsert *upsert, ExprContext *econtext, TupleTableSlot *new_row)
{
	EState	   *estate = upsert->mtstate->ps.state;
	ResultRelInfo *rri = upsert->rri;
	ItemPointerData place;
	LockTupleMode mode;
	TM_Result	result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		if (orm_check_index_constraints(rri, new_row, estate, &place,
										rri->ri_onConflictArbiterIndexes))
			return;
		mode = will_be_marked(upsert, econtext, &place) ? LockTupleExclusive :
			ExecUpdateLockMode(estate, rri);
		result = orm_lock_row(estate, rri, &place, mode, false);
	} while ((result == TM_Updated || result == TM_Deleted) && !IsolationUsesXactSnapshot());
}

/* Let a row be inserted, or mark the one that is in its way. */
static Datum
let_pass(ExprState *state, ExprContext *econtext, bool *isnull)
{
	LockingUpsert *upsert = state->evalfunc_private;
	TupleTableSlot *new_row = econtext->ecxt_scantuple;

	/* the row is there to be read as the executor will have it */
	econtext = upsert->mtstate->ps.ps_ExprContext;
	econtext->ecxt_scantuple = NULL;
	econtext->ecxt_innertuple = new_row;
	econtext->ecxt_outertuple = NULL;
	if (upsert->depends_on_row || orm_assigns_deletion(&upsert->marking, econtext))
		lock_row_in_the_way(upsert, econtext, new_row);
	*isnull = false;
	return BoolGetDatum(true);
}

/*
 * May an expression be evaluated before the row that it reads is locked, and
 * before row-level security has had its say on it?
 */
static bool
may_evaluate_early(Node *expr)
{
	return orm_may_evaluate_twice(expr) && !contain_leaked_vars(expr);
}

/* Does an expression read the row that is in the way? */
static bool
reads_target(Node *expr)
{
	ListCell   *lc;

	foreach(lc, pull_var_clause(expr, 0))
	{
		if (lfirst_node(Var, lc)->varno != INNER_VAR)
			return true;
	}
	return false;
}

/* An expression over the table that was named, for a partition of it. */
static Expr *
expression_for_partition(ModifyTableState *mtstate, ResultRelInfo *rri, Expr *expr)
{
	TupleConversionMap *map = ExecGetChildToRootMap(rri);
	Oid			rowtype = RelationGetForm(rri->ri_RelationDesc)->reltype;
	Node	   *result = (Node *) expr;
	bool		whole_row;

	if (map == NULL)
		return expr;
	result = map_variable_attnos(result, INNER_VAR, 0, map->attrMap, rowtype, &whole_row);
	result = map_variable_attnos(result, mtstate->rootResultRelInfo->ri_RangeTableIndex, 0,
								 map->attrMap, rowtype, &whole_row);
	return (Expr *) result;
}

/* What an upsert makes of the marker of a table, or of a partition; false if it cannot mark rows. */
static bool
find_marking(OrmMarking *marking, ModifyTableState *mtstate, ResultRelInfo *rri)
{
	const ModifyTable *node = (const ModifyTable *) mtstate->ps.plan;
	OrmMarker	marker;
	OrmMarker	own;

	if (!orm_soft_delete_marker(RelationGetRelid(mtstate->rootResultRelInfo->ri_RelationDesc), &marker) ||
		!orm_locks_like_delete(rri, &own) ||
		!orm_find_marking(marking, &marker, node->onConflictSet, node->onConflictCols))
		return false;
	if (marking->expr != NULL && !may_evaluate_early((Node *) marking->expr))
		marking->expr = NULL;
	if (marking->expr != NULL)
		marking->expr = expression_for_partition(mtstate, rri, marking->expr);
	marking->marker = own;
	return true;
}

/* See to the rows of a table, or of a partition, that an upsert marks. */
void
orm_lock_for_upsert(ModifyTableState *mtstate, ResultRelInfo *rri)
{
	const ModifyTable *node = (const ModifyTable *) mtstate->ps.plan;
	WithCheckOption *check;
	LockingUpsert *upsert;
	OrmMarking	marking;

	if (node->onConflictAction != ONCONFLICT_UPDATE || !find_marking(&marking, mtstate, rri))
		return;
	orm_prepare_marking(&marking, mtstate);
	upsert = palloc_object(LockingUpsert);
	upsert->mtstate = mtstate;
	upsert->rri = rri;
	upsert->marking = marking;
	upsert->depends_on_row = marking.expr == NULL || reads_target((Node *) marking.expr);
	upsert->condition = may_evaluate_early(node->onConflictWhere) ?
		rri->ri_onConflict->oc_WhereClause : NULL;

	check = makeNode(WithCheckOption);
	check->kind = WCO_RLS_INSERT_CHECK;
	check->relname = RelationGetRelationName(rri->ri_RelationDesc);
	rri->ri_WithCheckOptions = lappend(list_copy(rri->ri_WithCheckOptions), check);
	rri->ri_WithCheckOptionExprs = lappend(list_copy(rri->ri_WithCheckOptionExprs),
										   orm_make_condition(let_pass, upsert));
}
