/*-------------------------------------------------------------------------
 *
 * filter.c
 *		The live-row restriction on a base relation.
 *
 * The condition becomes a restriction of the relation itself, as though it
 * were pushed down from the WHERE clause already: below every join, whatever
 * its kind; inside views and inlined functions; usable for partial indexes,
 * index-only scans and pruning; checked again by EvalPlanQual.  It is added
 * while the planner collects what it knows of the relation, when there are no
 * other restrictions yet.
 *
 * A child of an inheritance tree takes over its parent's restrictions, so
 * there is nothing to do for it where the parent is under soft delete.  In the
 * other case (the parent is a flattened UNION ALL, or a table without the
 * policy) the planner overwrites the child's list right after we were called
 * and then adds the conditions in its securityQuals, so they go there.  They
 * are at the lowest security level and hide nothing from an index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"

#include "soft_delete.h"

/* State of the planner call in progress; plan.c and hooks.c set it. */
OrmFilter	orm_filter = {false, ORM_DELETED_ROWS_HIDE};

/* The condition that a relation is to be filtered by. */
static Expr *
filter_condition(const OrmMarker *marker, Index varno)
{
	if (orm_filter.rows == ORM_DELETED_ROWS_ONLY)
		return orm_deleted_condition(marker, varno);
	return orm_live_condition(marker, varno);
}

/* Restrict a relation that stands in the query itself. */
static void
filter_base_relation(PlannerInfo *root, RelOptInfo *rel, const OrmMarker *marker)
{
	Expr	   *condition = filter_condition(marker, rel->relid);

	rel->baserestrictinfo = lappend(rel->baserestrictinfo,
									make_simple_restrictinfo(root, condition));
	rel->baserestrict_min_security = 0;
}

/* Restrict a child that does not inherit the restriction. */
static void
filter_child_relation(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte,
					  const OrmMarker *marker)
{
	Expr	   *condition = filter_condition(marker, rel->relid);

	/*
	 * Share the level of the first conditions there are: a level of our own
	 * in front would lift those of row-level security to that of the query's
	 * conditions.
	 */
	if (rte->securityQuals != NIL)
	{
		List	   *first = linitial_node(List, rte->securityQuals);

		linitial(rte->securityQuals) = lappend(list_copy(first), condition);
	}
	else
		rte->securityQuals = list_make1(list_make1(condition));

	/* apply_child_basequals() insists */
	root->qual_security_level = Max(root->qual_security_level,
									list_length(rte->securityQuals));
}

/*
 * Number of a child's column in the topmost table of its inheritance tree, as
 * which the query knows it.  InvalidAttrNumber where that has no such column.
 * "inherits" tells whether a table on the way up is under soft delete.
 */
static AttrNumber
column_in_query(PlannerInfo *root, RelOptInfo *rel, AttrNumber attno,
				bool *inherits)
{
	AppendRelInfo *appinfo = root->append_rel_array[rel->relid];

	*inherits = false;
	while (appinfo != NULL)
	{
		RangeTblEntry *parent = planner_rt_fetch(appinfo->parent_relid, root);

		if (parent->rtekind != RTE_RELATION)
			break;
		if (orm_soft_delete_active(parent->relid))
			*inherits = true;
		if (attno > 0 && attno <= appinfo->num_child_cols)
			attno = appinfo->parent_colnos[attno - 1];
		else
			attno = InvalidAttrNumber;
		appinfo = root->append_rel_array[appinfo->parent_relid];
	}
	return attno;
}

/*
 * Restrict a relation to the rows that the query is to see.  Called for every
 * relation that the planner opens, so the way out of here is short.
 */
void
orm_filter_relation(PlannerInfo *root, RelOptInfo *rel)
{
	RangeTblEntry *rte;
	OrmMarker	marker;

	if (!orm_filter.active)
		return;
	rte = planner_rt_fetch(rel->relid, root);
	if (rte->rtekind != RTE_RELATION ||
		!orm_soft_delete_marker(rte->relid, &marker))
		return;

	/* the target of an INSERT is not read */
	if (root->parse->commandType == CMD_INSERT &&
		rel->relid == root->parse->resultRelation)
		return;

	if (rel->reloptkind == RELOPT_OTHER_MEMBER_REL)
	{
		bool		inherits;
		AttrNumber	attno = column_in_query(root, rel, marker.attno, &inherits);

		if (!inherits && !orm_is_mentioned(rte, attno))
			filter_child_relation(root, rel, rte, &marker);
	}
	else if (!orm_is_mentioned(rte, marker.attno))
		filter_base_relation(root, rel, &marker);
}
