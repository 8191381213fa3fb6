/*-------------------------------------------------------------------------
 *
 * constraints.c
 *		A soft DELETE is not stopped by CHECK constraints.
 *
 * A row can be deleted that violates a constraint by now: one that was declared
 * NOT VALID, that compares with the time, or whose function has changed.  The
 * UPDATE that marks it would be refused.  So the constraints of a table are put
 * behind one of ours, for one execution, which is true unless the constraint
 * depends on what a soft DELETE changes: the marker, who has deleted the row,
 * columns that are generated or kept by stamps, and all columns where triggers
 * of others may do anything to the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/tupdesc.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "compat.h"
#include "row_lock.h"
#include "soft_delete.h"

/* A constraint of a table whose rows are deleted. */
typedef struct SparedConstraint
{
	EState	   *estate;
	ResultRelInfo *rri;
	int			number;			/* among those of the table */
	bool		known;			/* have we looked at it? */
	ExprState  *condition;		/* as declared; NULL if it is spared */
} SparedConstraint;

/* Can a soft DELETE change the value of a column, or of any if it is 0? */
static bool
may_change(SparedConstraint *constraint, AttrNumber attno)
{
	Relation	rel = constraint->rri->ri_RelationDesc;

	if (attno < 0)
		return false;
	return attno == InvalidAttrNumber ||
		TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated ||
		bms_is_member(attno - FirstLowInvalidHeapAttributeNumber,
					  ExecGetUpdatedCols(constraint->rri, constraint->estate)) ||
		orm_stamps.kept_as(rel, attno) != ORM_NOT_KEPT;
}

/* Does a constraint depend on what a soft DELETE changes? */
static bool
depends_on_deletion(SparedConstraint *constraint, Expr *condition)
{
	Bitmapset  *columns = NULL;
	int			column = -1;

	pull_varattnos((Node *) condition, 1, &columns);
	while ((column = bms_next_member(columns, column)) >= 0)
	{
		if (may_change(constraint, column + FirstLowInvalidHeapAttributeNumber))
			return true;
	}
	return false;
}

/* Find out, at the first row, whether a constraint has to be checked. */
static void
look_at_constraint(SparedConstraint *constraint)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(constraint->estate->es_query_cxt);
	Expr	   *condition = orm_check_condition(constraint->rri->ri_RelationDesc, constraint->number);

	if (condition && depends_on_deletion(constraint, condition))
		constraint->condition = ExecPrepareExpr(condition, constraint->estate);
	constraint->known = true;
	MemoryContextSwitchTo(oldcontext);
}

/* Does a marked row meet a constraint, or need not to? */
static Datum
meets_constraint(ExprState *state, ExprContext *econtext, bool *isnull)
{
	SparedConstraint *constraint = state->evalfunc_private;

	if (!constraint->known)
		look_at_constraint(constraint);
	if (constraint->condition)
		return ExecEvalExpr(constraint->condition, econtext, isnull);
	*isnull = false;
	return BoolGetDatum(true);
}

/* Spare the constraints of one table. */
static void
spare_constraints_of(EState *estate, ResultRelInfo *rri)
{
	Relation	rel = rri->ri_RelationDesc;
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (rel->rd_rel->relkind != RELKIND_RELATION || constr == NULL || constr->num_check == 0 ||
		orm_rewritten_by_triggers(RelationGetRelid(rel)))
		return;
	orm_check_states(rri) = palloc_array(ExprState *, constr->num_check);
	for (int i = 0; i < constr->num_check; i++)
	{
		SparedConstraint *constraint = palloc0_object(SparedConstraint);

		constraint->estate = estate;
		constraint->rri = rri;
		constraint->number = i;
		orm_check_states(rri)[i] = orm_make_condition(meets_constraint, constraint);
		orm_check_states(rri)[i]->flags = 0;	/* null violates no constraint */
	}
}

/* Spare those of a part of a statement, if that deletes softly. */
static void
spare_constraints_for(PlanState *state)
{
	ModifyTableState *mtstate = (ModifyTableState *) state;

	if (state == NULL || !IsA(state, ModifyTableState) ||
		!orm_is_soft_delete((ModifyTable *) state->plan))
		return;
	for (int i = 0; i < mtstate->mt_nrels; i++)
		spare_constraints_of(state->state, &mtstate->resultRelInfo[i]);
}

/* Spare the constraints of a statement that is about to be executed. */
void
orm_spare_constraints(QueryDesc *query_desc)
{
	EState	   *estate = query_desc->estate;
	MemoryContext oldcontext;
	ListCell   *lc;

	if (query_desc->plannedstmt->resultRelations == NIL)
		return;
	oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	spare_constraints_for(query_desc->planstate);
	foreach(lc, estate->es_auxmodifytables)
	{
		if (lfirst(lc) != query_desc->planstate)
			spare_constraints_for(lfirst(lc));
	}
	MemoryContextSwitchTo(oldcontext);
}
