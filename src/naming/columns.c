/*-------------------------------------------------------------------------
 *
 * columns.c
 *		Columns in the expressions of indexes and constraints.
 *
 * An expression of an index counts as its first column, which SQLAlchemy
 * looks for level by level: in "lower(a) || b" it finds b before a.  The levels
 * are those of SQLAlchemy's tree, where the arguments of a function lie three
 * below it (in a list, in parentheses).
 *
 * Expressions come as they were written, from a statement, or analyzed, from
 * the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "naming.h"
#include "util/names.h"

#define FUNCTION_LEVELS 3

/* A search for columns. */
typedef struct Search
{
	Oid			relid;			/* of an analyzed expression */
	const char *row;			/* name that is no column but the whole row */
	int			level;
	int			found_level;
	const char *found;			/* the first column of the least level */
	List	   *all;			/* all of them */
} Search;

/* Note a column. */
static void
find(Search *search, const char *column)
{
	if (search->found == NULL || search->level < search->found_level)
	{
		search->found = column;
		search->found_level = search->level;
	}
	if (!orm_contains_name(search->all, column))
		search->all = lappend(search->all, (char *) column);
}

/* Walk over an expression as it was written. */
static bool
walk_written(Node *node, Search *search)
{
	int			levels = 1;
	bool		result;

	if (node == NULL || IsA(node, SubLink))
		return false;
	if (IsA(node, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) node)->fields);

		if (IsA(last, String) &&
			(search->row == NULL || strcmp(strVal(last), search->row) != 0))
			find(search, strVal(last));
		return false;
	}
	if (IsA(node, FuncCall))
		levels = FUNCTION_LEVELS;
	else if (IsA(node, List))
		levels = 0;

	search->level += levels;
	result = raw_expression_tree_walker(node, walk_written, search);
	search->level -= levels;
	return result;
}

/* Walk over an expression of the catalog. */
static bool
walk_analyzed(Node *node, Search *search)
{
	int			levels = 1;
	bool		result;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		char	   *column = get_attname(search->relid, ((Var *) node)->varattno, true);

		if (column)
			find(search, column);
		return false;
	}
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CALL)
		levels = FUNCTION_LEVELS;
	else if (IsA(node, List) || strip_implicit_coercions(node) != node)
		levels = 0;

	search->level += levels;
	result = expression_tree_walker(node, walk_analyzed, search);
	search->level -= levels;
	return result;
}

/*
 * The first column of an expression as it was written, NULL if there is none.
 * A name that stands for the whole row may be given.
 */
const char *
orm_first_column_written(Node *expression, const char *row)
{
	Search		search = {.row = row};

	walk_written(expression, &search);
	return search.found;
}

/* All columns of an expression as it was written (char *). */
List *
orm_columns_written(Node *expression, const char *row)
{
	Search		search = {.row = row};

	walk_written(expression, &search);
	return search.all;
}

/* The first column of an expression of a relation, NULL if there is none. */
const char *
orm_first_column(Node *expression, Oid relid)
{
	Search		search = {.relid = relid};

	walk_analyzed(expression, &search);
	return search.found;
}
