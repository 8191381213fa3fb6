/*-------------------------------------------------------------------------
 *
 * given_text.c
 *		Parts of statements, as arguments of functions.
 *
 * They are pasted into statements.  Before, each is parsed alone, so that a
 * comment, a semicolon or a parenthesis in it cannot change what the rest
 * means.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "parser/parser.h"

#include "given_text.h"

/* A text that is parsed after a prefix that nobody wrote. */
typedef struct GivenText
{
	const char *text;
	int			prefix;
} GivenText;

/* Have an error point into the text rather than into the CALL. */
static void
point_into_text(void *argument)
{
	const GivenText *given = argument;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(Max(position - given->prefix, 1));
		internalerrquery(given->text);
	}
}

/* Parse a text after a prefix. */
List *
orm_parse_given(const char *prefix, const char *string, RawParseMode mode)
{
	GivenText	given;
	ErrorContextCallback callback;
	List	   *result;

	given.text = string;
	given.prefix = strlen(prefix);
	callback.previous = error_context_stack;
	callback.callback = point_into_text;
	callback.arg = &given;
	error_context_stack = &callback;
	result = raw_parser(psprintf("%s%s\n", prefix, string), mode);
	error_context_stack = callback.previous;
	return result;
}

/* Does a SELECT consist of one expression without a name? */
static bool
is_expression(const SelectStmt *select)
{
	return list_length(select->targetList) == 1 &&
		linitial_node(ResTarget, select->targetList)->name == NULL &&
		select->distinctClause == NIL && select->intoClause == NULL &&
		select->fromClause == NIL && select->whereClause == NULL &&
		select->groupClause == NIL && select->havingClause == NULL &&
		select->windowClause == NIL && select->valuesLists == NIL &&
		select->sortClause == NIL && select->limitOffset == NULL &&
		select->limitCount == NULL && select->lockingClause == NIL &&
		select->withClause == NULL && select->op == SETOP_NONE;
}

/*
 * Parse a condition, which is the value of an argument; "example" is a call
 * that has one.  Error: 42601.
 */
Node *
orm_parse_condition(const char *argument, const char *condition, const char *example)
{
	List	   *parsed = orm_parse_given("", condition, RAW_PARSE_PLPGSQL_EXPR);
	Node	   *stmt = list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : NULL;

	if (stmt == NULL || !IsA(stmt, SelectStmt) || !is_expression((SelectStmt *) stmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("argument \"%s\" must be one expression", argument),
				 errhint("Write what would stand after WHERE: %s", example)));
	return stmt;
}
