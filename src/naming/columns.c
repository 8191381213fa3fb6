/*-------------------------------------------------------------------------
 *
 * columns.c
 *		Columns in the expressions of indexes and constraints.
 *
 * An expression of an index counts as its first column, a CHECK has all of its
 * columns in order; SQLAlchemy looks for them level by level: in "lower(a) || b" it finds b before a.  The levels
 * are those of its tree (of 2.x), where the arguments of a function lie three
 * below it, and a chain such as a + b + c is one level.
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
	bool		found_row;
	int			level;
	List	   *found;			/* Found, by level */
	const char *chain;			/* operator that the walk is directly below */
} Search;

/* A column that was found. */
typedef struct Found
{
	const char *column;
	int			level;			/* the least one that it is on */
} Found;

/* Note a column; its place is that of the first time on its least level. */
static void
find(Search *search, const char *column)
{
	Found	   *found;
	ListCell   *lc;

	foreach(lc, search->found)
	{
		found = lfirst(lc);
		if (strcmp(found->column, column) != 0)
			continue;
		if (found->level <= search->level)
			return;
		search->found = foreach_delete_current(search->found, lc);
		break;
	}
	found = palloc_object(Found);
	found->column = column;
	found->level = search->level;
	search->found = lappend(search->found, found);
}

/* Is an operator one whose chains are flattened? */
static bool
is_associative(const char *operator)
{
	return strcmp(operator, "+") == 0 || strcmp(operator, "*") == 0 ||
		strcmp(operator, "||") == 0;
}

/* The operator of a node that may be part of a chain, NULL if it is no such node. */
static const char *
chain_operator(Node *node)
{
	const char *operator = NULL;

	switch (nodeTag(node))
	{
		case T_A_Expr:
			if (((A_Expr *) node)->kind == AEXPR_OP && ((A_Expr *) node)->lexpr)
				operator = strVal(llast(((A_Expr *) node)->name));
			break;
		case T_OpExpr:
			if (list_length(((OpExpr *) node)->args) == 2)
				operator = get_opname(((OpExpr *) node)->opno);
			break;
		case T_BoolExpr:
			if (((BoolExpr *) node)->boolop == AND_EXPR)
				return "AND";
			return ((BoolExpr *) node)->boolop == OR_EXPR ? "OR" : NULL;
		default:
			break;
	}
	return operator && is_associative(operator) ? operator : NULL;
}

/* How many levels below a node are its operands? */
static int
levels_below(Node *node, const Search *search)
{
	const char *operator = chain_operator(node);

	switch (nodeTag(node))
	{
		case T_List:
			return 0;
		case T_FuncCall:
			return ((FuncCall *) node)->funcformat == COERCE_EXPLICIT_CALL ? FUNCTION_LEVELS : 1;
		case T_FuncExpr:
			if (((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CALL)
				return FUNCTION_LEVELS;
			return ((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST ? 0 : 1;
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_NullIfExpr:
			return FUNCTION_LEVELS;
		case T_A_Expr:
			if (((A_Expr *) node)->kind == AEXPR_NULLIF)
				return FUNCTION_LEVELS;
			break;
		case T_RelabelType:
			return ((RelabelType *) node)->relabelformat == COERCE_IMPLICIT_CAST ? 0 : 1;
		case T_CoerceViaIO:
			return ((CoerceViaIO *) node)->coerceformat == COERCE_IMPLICIT_CAST ? 0 : 1;
		default:
			break;
	}
	return operator && search->chain && strcmp(operator, search->chain) == 0 ? 0 : 1;
}

/* Walk over what is below a node. */
static bool
walk_below(Node *node, Search *search, bool (*walker) (Node *, Search *), bool is_written)
{
	int			levels = levels_below(node, search);
	const char *chain = search->chain;
	bool		result;

	if (!IsA(node, List))
		search->chain = chain_operator(node);
	search->level += levels;
	result = is_written
		? raw_expression_tree_walker(node, walker, search)
		: expression_tree_walker(node, walker, search);
	search->level -= levels;
	search->chain = chain;
	return result;
}

/* Is it (t).a, where t is the whole row? */
static bool
is_field_of_row(Node *node, const char *row)
{
	A_Indirection *indirection = (A_Indirection *) node;
	List	   *fields;

	if (!IsA(node, A_Indirection) || row == NULL || !IsA(indirection->arg, ColumnRef) ||
		!IsA(linitial(indirection->indirection), String))
		return false;
	fields = ((ColumnRef *) indirection->arg)->fields;
	return IsA(llast(fields), String) && strcmp(strVal(llast(fields)), row) == 0;
}

/* Walk over an expression as it was written. */
static bool
walk_written(Node *node, Search *search)
{
	if (node == NULL || IsA(node, SubLink))
		return false;
	if (IsA(node, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) node)->fields);

		if (!IsA(last, String) || (search->row && strcmp(strVal(last), search->row) == 0))
			search->found_row = true;
		else
			find(search, strVal(last));
		return false;
	}
	if (is_field_of_row(node, search->row))
	{
		find(search, strVal(linitial(((A_Indirection *) node)->indirection)));
		return false;
	}
	return walk_below(node, search, walk_written, true);
}

/* Walk over an expression of the catalog. */
static bool
walk_analyzed(Node *node, Search *search)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		char	   *column = get_attname(search->relid, ((Var *) node)->varattno, true);

		if (column)
			find(search, column);
		else
			search->found_row = true;
		return false;
	}
	return walk_below(node, search, walk_analyzed, false);
}

/* The columns that were found (char *), NIL if the whole row was found too. */
static List *
found_columns(Search *search)
{
	List	   *columns = NIL;
	int			last = 0;
	ListCell   *lc;

	if (search->found_row)
		return NIL;
	foreach(lc, search->found)
		last = Max(last, ((Found *) lfirst(lc))->level);
	for (int level = 0; level <= last; level++)
	{
		foreach(lc, search->found)
		{
			Found	   *found = lfirst(lc);

			if (found->level == level)
				columns = lappend(columns, (char *) found->column);
		}
	}
	return columns;
}

/* The first of them, whole row or not, NULL if there is none. */
static const char *
first_column(Search *search)
{
	List	   *columns;

	search->found_row = false;
	columns = found_columns(search);
	return columns == NIL ? NULL : linitial(columns);
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
	return first_column(&search);
}

/* All columns of an expression as it was written (char *), NIL if it has the whole row. */
List *
orm_columns_written(Node *expression, const char *row)
{
	Search		search = {.row = row};

	walk_written(expression, &search);
	return found_columns(&search);
}

/* The first column of an expression of a relation, NULL if there is none. */
const char *
orm_first_column(Node *expression, Oid relid)
{
	Search		search = {.relid = relid};

	walk_analyzed(expression, &search);
	return first_column(&search);
}

/* All columns of an expression of a relation (char *), NIL if it has the whole row. */
List *
orm_columns(Node *expression, Oid relid)
{
	Search		search = {.relid = relid};

	walk_analyzed(expression, &search);
	return found_columns(&search);
}
