/*-------------------------------------------------------------------------
 *
 * guard.c
 *		orm_ext.version_guard: statements that forget the version.
 *
 * An UPDATE or DELETE that picks rows by their primary key was written for a
 * row that a client has read.  If its conditions do not mention the version of
 * a table that has one, it overwrites what others have done in the meantime.
 * A statement that picks rows by anything else means whatever rows there are.
 *
 * The check looks at the conditions as written, so it is made before planning,
 * once for each plan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "guc.h"
#include "stamp.h"
#include "util/names.h"

/* Number of the column of a relation that an expression is, or 0. */
static AttrNumber
column_of(Node *node, Index varno)
{
	node = strip_implicit_coercions(node);
	if (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node && IsA(node, Var) && ((Var *) node)->varno == varno &&
		((Var *) node)->varlevelsup == 0)
		return ((Var *) node)->varattno;
	return InvalidAttrNumber;
}

/* The column that "column = value" or "column IN (...)" pins, or 0. */
static AttrNumber
pinned_column(Node *clause, Index varno)
{
	List	   *args;
	Oid			operator;
	AttrNumber	column;
	Node	   *value;

	if (IsA(clause, OpExpr))
	{
		args = ((OpExpr *) clause)->args;
		operator = ((OpExpr *) clause)->opno;
	}
	else if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		args = ((ScalarArrayOpExpr *) clause)->args;
		operator = ((ScalarArrayOpExpr *) clause)->opno;
	}
	else
		return InvalidAttrNumber;

	if (list_length(args) != 2 ||
		!op_mergejoinable(operator, exprType(linitial(args))))
		return InvalidAttrNumber;
	column = column_of(linitial(args), varno);
	value = lsecond(args);
	if (column == InvalidAttrNumber)
	{
		column = column_of(lsecond(args), varno);
		value = linitial(args);
	}
	return contain_vars_of_level(value, 0) ? InvalidAttrNumber : column;
}

/* Add the columns that conditions pin, whatever way they are joined by AND. */
static void
add_pinned_columns(Node *node, Index varno, Bitmapset **columns)
{
	ListCell   *lc;
	List	   *parts = NIL;

	if (node == NULL)
		return;
	if (IsA(node, List))
		parts = (List *) node;
	else if (is_andclause(node))
		parts = ((BoolExpr *) node)->args;
	else if (IsA(node, FromExpr))
	{
		add_pinned_columns((Node *) ((FromExpr *) node)->fromlist, varno, columns);
		add_pinned_columns(((FromExpr *) node)->quals, varno, columns);
	}
	else if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		add_pinned_columns(((JoinExpr *) node)->larg, varno, columns);
		add_pinned_columns(((JoinExpr *) node)->rarg, varno, columns);
		add_pinned_columns(((JoinExpr *) node)->quals, varno, columns);
	}
	else
	{
		AttrNumber	column = pinned_column(node, varno);

		if (column > 0)
			*columns = bms_add_member(*columns, column);
	}
	foreach(lc, parts)
		add_pinned_columns(lfirst(lc), varno, columns);
}

/* Do the conditions pin all columns of the primary key? */
static bool
is_by_primary_key(Query *query, Relation rel)
{
	List	   *key = orm_primary_key_columns(rel);
	Bitmapset  *pinned = NULL;
	ListCell   *lc;

	add_pinned_columns((Node *) query->jointree, query->resultRelation, &pinned);
	foreach(lc, key)
	{
		if (!bms_is_member(lfirst_int(lc), pinned))
			return false;
	}
	return key != NIL;
}

/* What to look for in conditions, and how deep in sub-selects. */
typedef struct ColumnSearch
{
	Index		varno;
	AttrNumber	attno;
	int			depth;
} ColumnSearch;

static bool
find_column_walker(Node *node, ColumnSearch *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		return var->varno == search->varno && var->varattno == search->attno &&
			var->varlevelsup == search->depth;
	}
	if (IsA(node, Query))
	{
		bool		found;

		search->depth++;
		found = query_tree_walker((Query *) node, find_column_walker, search, 0);
		search->depth--;
		return found;
	}
	return expression_tree_walker(node, find_column_walker, search);
}

/* Do the conditions mention a column of the target? */
static bool
conditions_mention(Query *query, AttrNumber attno)
{
	ColumnSearch search = {.varno = query->resultRelation,.attno = attno};

	return find_column_walker((Node *) query->jointree, &search);
}

/* Does the SET list assign a column? */
static bool
assigns(Query *query, AttrNumber attno)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == attno)
			return true;
	}
	return false;
}

/* Name a statement that forgets the version.  Error: OE002. */
static void
report_forgotten_version(Query *query, Relation rel, AttrNumber version)
{
	const char *column = NameStr(TupleDescAttr(RelationGetDescr(rel), version - 1)->attname);

	ereport(orm_version_guard == ORM_VERSION_GUARD_ERROR ? ERROR : WARNING,
			(errcode(ERRCODE_ORM_VERSION_REQUIRED),
			 errmsg("%s of table \"%s\" by primary key does not mention its version",
					query->commandType == CMD_UPDATE ? "UPDATE" : "DELETE",
					RelationGetRelationName(rel)),
			 errdetail("It would change a row that others have changed since it was read."),
			 errhint("Add AND %s = ..., with the version that was read, to the conditions; for a statement that means whatever version there is: SET LOCAL orm_ext.version_guard = off;",
					 quote_identifier(column)),
			 errtablecol(rel, version)));
}

/* Look at the target of one UPDATE or DELETE. */
static void
guard_query(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	Relation	rel;
	AttrNumber	version;
	int			mode;

	if (rte->rtekind != RTE_RELATION)
		return;
	rel = RelationIdGetRelation(rte->relid);
	if (!RelationIsValid(rel))
		return;
	version = orm_version_column(rel, &mode);
	if (version != InvalidAttrNumber &&
		!conditions_mention(query, version) &&
		!(mode == ORM_MODE_ECHO && query->commandType == CMD_UPDATE &&
		  assigns(query, version)) &&
		is_by_primary_key(query, rel))
		report_forgotten_version(query, rel, version);
	RelationClose(rel);
}

/*
 * Look at a statement that is about to be planned, and at those in its WITH
 * clause, unless it is one of the server's own for foreign keys.
 *
 * Error: OE002.
 */
void
orm_guard_versions(Query *query)
{
	ListCell   *lc;

	if (likely(orm_version_guard == ORM_VERSION_GUARD_OFF) ||
		orm_is_version_expected() || orm_bypass_stamps ||
		orm_touching != ORM_TOUCH_NONE || InNoForceRLSOperation())
		return;
	if (query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE)
		guard_query(query);
	foreach(lc, query->cteList)
	{
		Query	   *with = castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery);

		orm_guard_versions(with);
	}
}
