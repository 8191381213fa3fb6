/*-------------------------------------------------------------------------
 *
 * statement.c
 *		SET and condition of a job, as they were given.
 *
 * Both are pasted into statements.  Before, each is parsed alone, so that a
 * comment, a semicolon or a parenthesis in one cannot change what the rest
 * means.  A line break after it ends a comment that it ends with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "batch.h"
#include "compat.h"
#include "util/given_text.h"
#include "util/names.h"

/* Complain of a parameter, which nothing would give a value.  Error: 42P02. */
static bool
refuse_parameters(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, ParamRef))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no parameter $%d", ((ParamRef *) node)->number),
				 errdetail("The statements of a batched job have none."),
				 errhint("Write the value itself: format('x = %%L', value)")));
	return raw_expression_tree_walker(node, refuse_parameters, context);
}

/* Check the assignments of an UPDATE and return the columns (char *).  Error: 42601. */
static List *
parse_set(const char *set)
{
	List	   *parsed = orm_parse_given("UPDATE t SET ", set, RAW_PARSE_DEFAULT);
	Node	   *stmt = list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : NULL;
	UpdateStmt *update = (UpdateStmt *) stmt;
	List	   *columns = NIL;
	ListCell   *lc;

	if (stmt == NULL || !IsA(stmt, UpdateStmt) || update->whereClause || update->fromClause ||
		update->withClause || orm_update_has_returning(update))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("argument \"set\" must be the assignments of an UPDATE and nothing else"),
				 errhint("Conditions are an argument of their own: CALL orm_ext.batch_update('t', 'a = 1, b = lower(b)', 'a IS NULL');")));
	refuse_parameters(stmt, NULL);
	foreach(lc, update->targetList)
		columns = lappend(columns, lfirst_node(ResTarget, lc)->name);
	return columns;
}

/* Check a condition.  Error: 42601. */
static void
check_condition(const char *condition)
{
	refuse_parameters(orm_parse_condition("where", condition,
										  "CALL orm_ext.batch_delete('t', 'a IS NULL AND b < 3');"),
					  NULL);
}

/* The procedure that begins such a job. */
const char *
orm_batch_procedure(const OrmBatchStatement *statement)
{
	return statement->is_purge ? "orm_ext.purge()" :
		statement->is_delete ? "orm_ext.batch_delete()" : "orm_ext.batch_update()";
}

/* What ends a comment that a text may end with. */
const char *
orm_batch_end_of(const char *text)
{
	return strstr(text, "--") ? "\n" : "";
}

/* The statement as one would write it by hand. */
char *
orm_batch_statement_text(const OrmBatchStatement *statement)
{
	StringInfoData text;

	initStringInfo(&text);
	if (statement->set == NULL)
		appendStringInfo(&text, "DELETE FROM %s", orm_relid_name(statement->relid));
	else
		appendStringInfo(&text, "UPDATE %s SET %s%s", orm_relid_name(statement->relid),
						 statement->set, orm_batch_end_of(statement->set));
	if (statement->condition)
		appendStringInfo(&text, " WHERE (%s%s)", statement->condition, orm_batch_end_of(statement->condition));
	return text.data;
}

/* Does the statement, which nobody has run yet, need a key to be exact? */
static bool
is_guarded(const OrmBatchStatement *statement)
{
	const char *text = orm_batch_statement_text(statement);
	List	   *parsed = raw_parser(text, RAW_PARSE_DEFAULT);

	return orm_batch_is_guarded(parse_analyze_fixedparams(linitial_node(RawStmt, parsed), text,
														  NULL, 0, NULL));
}

/*
 * Check what a job is to do, as the statement written by hand would be, and
 * see what there is to know of it.  Rights are checked too, nothing is done.
 * Errors: 42601, 42P02, and those that the statement raises before it begins.
 */
void
orm_batch_check_statement(OrmBatchStatement *statement)
{
	if (statement->set)
		statement->touched = parse_set(statement->set);
	if (statement->condition)
		check_condition(statement->condition);

	SPI_connect();
	if (SPI_execute(psprintf("EXPLAIN %s", orm_batch_statement_text(statement)), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not explain a statement");
	SPI_finish();
	statement->is_guarded = statement->is_delete ||
		(statement->condition != NULL && is_guarded(statement));
}
