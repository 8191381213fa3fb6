/*-------------------------------------------------------------------------
 *
 * rewrite.c
 *		DELETE, MERGE and ON CONFLICT on a table under soft delete.
 *
 * Query tree in, query tree out, after the rewriter and before the planner.
 * Views are expanded and the policies of row-level security for DELETE are
 * attached by then, and the privileges to ask for are settled: what remains
 * is an UPDATE that asks for the DELETE privilege only.  The tree is complete
 * as a tree, for extensions that deparse it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "compat.h"
#include "soft_delete.h"
#include "util/names.h"

/* Does an expression name a column of a relation, in sub-selects too? */
static bool
names_column(Node *node, Index varno, AttrNumber attno)
{
	ListCell   *lc;

	foreach(lc, pull_vars_of_level(node, 0))
	{
		Var		   *var = lfirst(lc);

		if (IsA(var, Var) && var->varno == varno && var->varattno == attno)
			return true;
	}
	return false;
}

/* The planner's view of conditions: constants folded, top-level ANDs apart. */
static List *
simplified_clauses(List *conditions)
{
	List	   *clauses = NIL;
	ListCell   *lc;

	foreach(lc, conditions)
	{
		Node	   *condition = copyObject(lfirst(lc));

		if (condition == NULL)
			continue;
		condition = eval_const_expressions(NULL, condition);
		condition = (Node *) canonicalize_qual((Expr *) condition, false);
		clauses = list_concat(clauses, make_ands_implicit((Expr *) condition));
	}

	/* what follows from "deleted IS TRUE" is not known to every major */
	foreach(lc, clauses)
	{
		BooleanTest *test = lfirst(lc);

		if (IsA(test, BooleanTest) && test->booltesttype == IS_TRUE)
			lfirst(lc) = test->arg;
	}
	return clauses;
}

/*
 * Do the conditions leave only rows that are deleted already?  Then a DELETE
 * of them is final.
 */
static bool
conditions_prove_deleted(List *conditions, const OrmMarker *marker, Index varno)
{
	Expr	   *deleted;

	if (!names_column((Node *) conditions, varno, marker->attno))
		return false;
	deleted = orm_deleted_condition(marker, varno);
	return predicate_implied_by(list_make1(deleted),
								simplified_clauses(conditions), false);
}

/* The assignment that marks a row. */
static TargetEntry *
deletion_entry(Query *query, const OrmMarker *marker)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	Expr	   *value = orm_deletion_value(marker);
	TargetEntry *tle;

	if (IsA(value, SubLink))
		query->hasSubLinks = true;
	orm_add_updated_column(query, rte, marker->attno);
	tle = makeTargetEntry(value, marker->attno,
						  get_attname(rte->relid, marker->attno, false), false);
	orm_set_soft_delete_entry(tle, rte->relid);
	return tle;
}

/* All that a DELETE assigns: the marker, and who did it if there is a column for that. */
static List *
deletion_entries(Query *query, const OrmMarker *marker)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	List	   *entries = list_make1(deletion_entry(query, marker));
	bool		nullable;
	AttrNumber	attno = orm_deleted_by_column(rte->relid, &nullable);

	if (attno != InvalidAttrNumber)
	{
		query->hasSubLinks = true;
		orm_add_updated_column(query, rte, attno);
		entries = lappend(entries,
						  makeTargetEntry(orm_deleted_by_value(rte->relid, attno), attno,
										  get_attname(rte->relid, attno, false), false));
	}
	return entries;
}

/*
 * A DELETE on a parent that is not under soft delete would remove rows of a
 * child that is.  It cannot be a DELETE here and an UPDATE there.
 */
static void
check_children_of_unmanaged(RangeTblEntry *rte)
{
	Oid			member;

	if (!rte->inh || orm_deletes_for_good() ||
		!orm_soft_delete_in_tree(rte->relid, &member))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot delete from table \"%s\" as a whole",
					get_rel_name(rte->relid)),
			 errdetail("Its child \"%s\" is under soft delete, the table itself is not.",
					   get_rel_name(member)),
			 errhint("SELECT orm_ext.enable_soft_delete(%s); or delete from each child by itself.",
					 quote_literal_cstr(orm_relid_name(rte->relid)))));
}

/*
 * A row that is marked may have to leave its partition, which an UPDATE of the
 * partition itself cannot do.
 */
static void
check_partition_by_marker(RangeTblEntry *rte, const OrmMarker *marker)
{
	Relation	rel = table_open(rte->relid, NoLock);
	List	   *bounds = RelationGetPartitionQual(rel);

	if (names_column((Node *) bounds, 1, marker->attno) &&
		!predicate_refuted_by(list_make1(orm_live_condition(marker, 1)), bounds, false))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot delete from partition \"%s\" directly",
						RelationGetRelationName(rel)),
				 errdetail("Its table is partitioned by the marker of soft delete, so that a deleted row moves to another partition."),
				 errhint("DELETE FROM %s with the same conditions.",
						 orm_relid_name(get_partition_parent(rte->relid, false)))));
	table_close(rel, NoLock);
}

/* Turn a DELETE into an UPDATE of the marker. */
static void
rewrite_delete(Query *query)
{
	Index		target = query->resultRelation;
	RangeTblEntry *rte = rt_fetch(target, query->rtable);
	OrmMarker	marker;

	if (!orm_soft_delete_marker(rte->relid, &marker))
	{
		check_children_of_unmanaged(rte);
		return;
	}
	if (orm_deletes_for_good() ||
		conditions_prove_deleted(lcons(query->jointree->quals,
									   orm_barrier_view_conditions(query)),
								 &marker, target))
		return;

	check_partition_by_marker(rte, &marker);
	if (query->returningList != NIL)
		orm_rewrite_delete_returning(query, &marker);
	query->commandType = CMD_UPDATE;
	query->targetList = list_concat(deletion_entries(query, &marker), query->targetList);
	query->jointree->quals =
		make_and_qual((Node *) orm_live_condition(&marker, target),
					  query->jointree->quals);

	/* that is the filter already, unless other rows than live ones are seen */
	if (orm_visible_rows() == ORM_DELETED_ROWS_HIDE)
		orm_set_mentioned(rte, marker.attno);
}

/* Does a target list assign the marker? */
static bool
assigns_marker(List *targetlist, const OrmMarker *marker)
{
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == marker->attno)
			return true;
	}
	return false;
}

/* What there is among the actions of a MERGE. */
typedef struct MergeActions
{
	bool		has_soft_delete;	/* a DELETE that is an UPDATE now */
	bool		update_assigns_marker;	/* an UPDATE that was written so */
} MergeActions;

/* Conditions that a target row meets when an action is taken on it. */
static List *
action_conditions(Query *query, MergeAction *action)
{
	List	   *conditions = list_make2(query->jointree->quals, action->qual);

	if (!orm_is_by_source(action))
		conditions = lappend(conditions, orm_merge_condition(query));
	return conditions;
}

/* Turn the DELETE actions of a MERGE into updates, where they are not final. */
static MergeActions
rewrite_merge_actions(Query *query, const OrmMarker *marker)
{
	MergeActions actions = {false};
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE &&
			assigns_marker(action->targetList, marker))
			actions.update_assigns_marker = true;
		if (action->commandType != CMD_DELETE ||
			orm_deletes_for_good() ||
			conditions_prove_deleted(action_conditions(query, action),
									 marker, query->resultRelation))
			continue;

		actions.has_soft_delete = true;
		action->commandType = CMD_UPDATE;
		action->targetList = deletion_entries(query, marker);
		action->qual =
			make_and_qual((Node *) orm_live_condition(marker, query->resultRelation),
						  action->qual);
	}
	return actions;
}

/*
 * orm_ext.check_row_policy(passes, table, policy): the condition of an action
 * that may be taken on rows which pass a policy; it raises 42501 on others.
 */
static Node *
policy_condition(Query *query, const WithCheckOption *check)
{
	Oid			argtypes[] = {BOOLOID, REGCLASSOID, TEXTOID};
	Oid			relid = rt_fetch(query->resultRelation, query->rtable)->relid;
	Node	   *passes = copyObject(check->qual);
	Const	   *table = makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
								  ObjectIdGetDatum(relid), false, true);
	Const	   *policy = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								   check->polname ? CStringGetTextDatum(check->polname) : (Datum) 0,
								   check->polname == NULL, false);

	return (Node *) makeFuncExpr(orm_function("check_row_policy", 3, argtypes),
								 BOOLOID, list_make3(passes, table, policy),
								 InvalidOid, DEFAULT_COLLATION_OID,
								 COERCE_EXPLICIT_CALL);
}

/* Have the actions of one kind check a policy themselves. */
static void
move_policy_to_actions(Query *query, const WithCheckOption *check, bool soft_deletes)
{
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE &&
			orm_is_soft_delete_list(action->targetList) == soft_deletes)
			action->qual = make_and_qual(action->qual, policy_condition(query, check));
	}
}

/*
 * Checks of row-level security and of views are attached to the table, and the
 * executor takes its pick by the kind of action, which is UPDATE for a former
 * DELETE.  So the actions check the policies on the rows that they find
 * themselves, and the checks of new rows let marked ones pass: those are no
 * new rows to the user.
 */
static void
rewrite_merge_checks(Query *query, const MergeActions *actions,
					 const OrmMarker *marker)
{
	List	   *checks = NIL;
	ListCell   *lc;

	foreach(lc, query->withCheckOptions)
	{
		WithCheckOption *check = lfirst_node(WithCheckOption, lc);

		switch (check->kind)
		{
			case WCO_RLS_MERGE_UPDATE_CHECK:
				move_policy_to_actions(query, check, false);
				continue;
			case WCO_RLS_MERGE_DELETE_CHECK:
				move_policy_to_actions(query, check, true);
				break;
			case WCO_RLS_UPDATE_CHECK:
			case WCO_VIEW_CHECK:
				if (actions->update_assigns_marker)
					ereport(ERROR,
							(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							 errmsg("cannot run MERGE with both DELETE and UPDATE of the marker on table \"%s\"",
									check->relname),
							 errdetail("New rows are subject to row-level security or a view's check option, and rows that the UPDATE marks cannot be told from deleted ones."),
							 errhint("Use one MERGE for the updates and one for the deletes.")));
				check->qual = (Node *)
					makeBoolExpr(OR_EXPR,
								 list_make2(orm_deleted_condition(marker, query->resultRelation),
											check->qual),
								 -1);
				break;
			default:
				break;
		}
		checks = lappend(checks, check);
	}
	query->withCheckOptions = checks;
}

/* Are the rows that the actions of a MERGE find known to be live? */
static bool
target_rows_are_live(Query *query, const OrmMarker *marker)
{
	Index		target = query->resultRelation;
	List	   *conditions = list_make2(query->jointree->quals,
										orm_merge_condition(query));
	ListCell   *lc;

	if (!orm_is_mentioned(rt_fetch(target, query->rtable), marker->attno))
		return true;
	foreach(lc, query->mergeActionList)
	{
		if (orm_is_by_source(lfirst_node(MergeAction, lc)))
			conditions = list_make1(query->jointree->quals);
	}
	return predicate_implied_by(list_make1(orm_live_condition(marker, target)),
								simplified_clauses(conditions), false);
}

/* Turn the DELETE actions of a MERGE into updates of the marker. */
static void
rewrite_merge(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	OrmMarker	marker;
	MergeActions actions;
	ListCell   *lc;

	if (!orm_soft_delete_marker(rte->relid, &marker))
	{
		foreach(lc, query->mergeActionList)
		{
			if (lfirst_node(MergeAction, lc)->commandType == CMD_DELETE)
				check_children_of_unmanaged(rte);
		}
		return;
	}

	orm_keep_update_permission(query, rte);
	actions = rewrite_merge_actions(query, &marker);
	if (!actions.has_soft_delete)
		return;
	check_partition_by_marker(rte, &marker);
	rewrite_merge_checks(query, &actions, &marker);

	/*
	 * An updated row is told from a deleted one by its marker, so this works
	 * where no update touches that.
	 */
	if (query->returningList != NIL && !actions.update_assigns_marker &&
		target_rows_are_live(query, &marker))
		orm_rewrite_merge_returning(query, &marker);
}

/* The columns that ON CONFLICT (...) names; expressions are left out. */
static Bitmapset *
conflict_columns(OnConflictExpr *conflict)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, conflict->arbiterElems)
	{
		Var		   *var = (Var *) lfirst_node(InferenceElem, lc)->expr;

		if (IsA(var, Var))
			columns = bms_add_member(columns, var->varattno);
	}
	return columns;
}

/* Can a unique index be an arbiter, judging by its key columns? */
static bool
index_matches(Relation index, OnConflictExpr *conflict)
{
	Form_pg_index form = index->rd_index;
	Bitmapset  *columns = NULL;

	if (OidIsValid(conflict->constraint))
		return form->indexrelid == get_constraint_index(conflict->constraint);
	if (!form->indisunique || !form->indisvalid)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		if (form->indkey.values[i] != 0)
			columns = bms_add_member(columns, form->indkey.values[i]);
	}
	return bms_equal(columns, conflict_columns(conflict));
}

/*
 * Find an arbiter index that holds deleted rows too.  An index among live rows
 * cannot bring up a deleted one.
 */
static Oid
find_arbiter_over_all_rows(Oid relid, OnConflictExpr *conflict,
						   const OrmMarker *marker)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index_matches(index, conflict) &&
			!predicate_implied_by(list_make1(orm_live_condition(marker, 1)),
								  RelationGetIndexPredicate(index), false))
			found = RelationGetRelid(index);
		index_close(index, NoLock);
		if (OidIsValid(found))
			break;
	}
	table_close(rel, NoLock);
	return found;
}

/*
 * orm_ext.conflicting_row_is_live(live, index): the condition under which DO
 * UPDATE goes on; it raises 23505 where the row is deleted.
 */
static Node *
live_conflict_condition(Query *query, Oid index, const OrmMarker *marker)
{
	Oid			argtypes[] = {BOOLOID, REGCLASSOID};
	Expr	   *live = orm_live_condition(marker, query->resultRelation);
	Const	   *regclass = makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
									 ObjectIdGetDatum(index), false, true);

	return (Node *) makeFuncExpr(orm_function("conflicting_row_is_live", 2, argtypes),
								 BOOLOID, list_make2(live, regclass),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/*
 * INSERT ... ON CONFLICT: find the unique indexes among live rows although the
 * statement does not spell their predicate, and do not update a deleted row
 * unless the statement is in charge of the marker.
 */
static void
rewrite_on_conflict(Query *query)
{
	OnConflictExpr *conflict = query->onConflict;
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	OrmMarker	marker;
	Oid			index;

	if (!orm_soft_delete_marker(rte->relid, &marker))
		return;

	if (conflict->arbiterElems != NIL)
		conflict->arbiterWhere =
			make_and_qual(conflict->arbiterWhere,
						  (Node *) orm_live_condition(&marker, query->resultRelation));

	if (conflict->action != ONCONFLICT_UPDATE ||
		assigns_marker(conflict->onConflictSet, &marker) ||
		names_column(conflict->onConflictWhere, query->resultRelation, marker.attno))
		return;
	index = find_arbiter_over_all_rows(rte->relid, conflict, &marker);
	if (OidIsValid(index))
		conflict->onConflictWhere =
			make_and_qual(live_conflict_condition(query, index, &marker),
						  conflict->onConflictWhere);
}

/* Rewrite one query level, if it changes a table under soft delete. */
void
orm_rewrite_query(Query *query)
{
	switch (query->commandType)
	{
		case CMD_DELETE:
			rewrite_delete(query);
			break;
		case CMD_MERGE:
			rewrite_merge(query);
			break;
		case CMD_INSERT:
			if (query->onConflict)
				rewrite_on_conflict(query);
			break;
		default:
			break;
	}
}
