/*-------------------------------------------------------------------------
 *
 * copy.c
 *		COPY ... FROM as an upsert.
 *
 * The server's own COPY reads the rows: formats, encodings, files, programs and
 * the protocol are its business, and so are its options, its messages and its
 * progress view.  Where it would insert a row, the engine takes it.
 *
 * Row-level security is no obstacle, since the rows are written by an INSERT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "commands/defrem.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "compat.h"
#include "guc.h"
#include "upsert.h"
#include "util/names.h"
#include "util/privileges.h"

typedef struct CopiedRows
{
	CopyFromState copy;
	ExprState  *condition;		/* COPY ... WHERE, or NULL */
	TupleTableSlot *slot;		/* the row that it looks at */
	int64		processed;
	int64		excluded;
} CopiedRows;

/* A COPY on its way through those behind us. */
typedef struct CalledCopy
{
	CopyStmt   *stmt;			/* NULL: there is none */
	const char *query_string;
	QueryEnvironment *query_env;
	QueryCompletion *qc;
} CalledCopy;

static CalledCopy called;

/* An option of COPY by its name, NULL if it is not given. */
static DefElem *
copy_option(const CopyStmt *stmt, const char *name)
{
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/* Is the format one that the server itself reads? */
static bool
is_core_format(const CopyStmt *stmt)
{
	DefElem    *option = copy_option(stmt, "format");
	const char *format = option ? defGetString(option) : "text";

	return strcmp(format, "text") == 0 || strcmp(format, "csv") == 0 || strcmp(format, "binary") == 0;
}

/* Does a COPY freeze rows? */
static bool
freezes(const CopyStmt *stmt)
{
	DefElem    *option = copy_option(stmt, "freeze");

	return option != NULL && defGetBoolean(option);
}

/*
 * Does a COPY go to a table that has a key to upsert by?  The setting may hold
 * for a whole database; a table without one is copied into as ever.
 */
static bool
has_key(const CopyStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, RowExclusiveLock, true);
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';
	Relation	rel;
	bool		result;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	if (*orm_copy_conflict_columns != '\0')
		return true;
	rel = table_open(relid, NoLock);
	result = OidIsValid(orm_primary_key_index(rel));
	table_close(rel, NoLock);
	return result;
}

/* Does the setting make an upsert of a COPY without options of ours? */
static bool
is_upsert_by_setting(const CopyStmt *stmt)
{
	return orm_copy_on_conflict != ORM_CONFLICT_OFF && !orm_is_restore() &&
		is_core_format(stmt) && !freezes(stmt) && has_key(stmt);
}

/* May the user read what COPY reads?  The rule is DoCopy()'s. */
static bool
may_read(const CopyStmt *stmt)
{
	return stmt->filename == NULL ||
		has_privs_of_role(GetUserId(), stmt->is_program ? ROLE_PG_EXECUTE_SERVER_PROGRAM :
						  ROLE_PG_READ_SERVER_FILES);
}

/*
 * Is a statement a COPY that upserts, by its options or by the setting?  One
 * that the user may not run is left to the server, which refuses it first of
 * all, in its own words.
 */
bool
orm_is_upsert_copy(Node *node)
{
	CopyStmt   *stmt;

	if (!IsA(node, CopyStmt))
		return false;
	stmt = (CopyStmt *) node;
	if (!stmt->is_from || stmt->relation == NULL || IsBinaryUpgrade || !may_read(stmt))
		return false;
	if (!orm_has_upsert_option(stmt) && !is_upsert_by_setting(stmt))
		return false;
	return OidIsValid(orm_extension_table("naming_template"));
}

/* May the user insert these columns?  Asked before the client sends its rows. */
static void
check_columns(Relation rel, List *attnums)
{
	ListCell   *lc;

	foreach(lc, attnums)
	{
		if (!orm_has_column_privilege(RelationGetRelid(rel), lfirst_int(lc), ACL_INSERT))
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(rel));
	}
}

/*
 * Refuse a condition on a column that the rows do not supply.
 * Errors: 0A000, 42P10 a generated column, in the server's words.
 */
static void
check_condition(Relation rel, Node *condition, List *attnums)
{
	Bitmapset  *columns = NULL;
	int			member = -1;

	pull_varattnos(condition, 1, &columns);
	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;

		if (attno != 0 && list_member_int(attnums, attno))
			continue;
		if (attno > 0 && TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("generated columns are not supported in COPY FROM WHERE conditions"),
					 errdetail("Column \"%s\" is a generated column.",
							   NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname))));
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY ... WHERE of an upsert can only look at columns that are copied"),
				 attno > 0 ? errdetail("Column \"%s\" is not in the list of columns.",
									   NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname)) :
				 errdetail("It looks at the row as a whole.")));
	}
}

/* COPY ... WHERE as an expression, made as DoCopy() makes it. */
static Node *
transform_condition(ParseState *pstate, const CopyStmt *stmt, ParseNamespaceItem *item,
					Relation rel, List *attnums)
{
	Node	   *condition;

	if (stmt->whereClause == NULL)
		return NULL;
	addNSItemToQuery(pstate, item, false, true, true);
	condition = transformExpr(pstate, stmt->whereClause, EXPR_KIND_COPY_WHERE);
	condition = coerce_to_boolean(pstate, condition, "WHERE");
	assign_expr_collations(pstate, condition);
	check_condition(rel, condition, attnums);
	condition = eval_const_expressions(NULL, condition);
	return (Node *) make_ands_implicit((Expr *) canonicalize_qual((Expr *) condition, false));
}

/*
 * Have the server leave defaults alone: which rows are new, and so take them,
 * is not known before all rows are read.
 */
static void
leave_defaults(CopyFromState copy)
{
	ExprState  *nothing = ExecInitExpr((Expr *) makeNullConst(BOOLOID, -1, InvalidOid), NULL);

	for (int i = 0; i < RelationGetDescr(copy->rel)->natts; i++)
		orm_copy_forget_default(copy, i, nothing);
	copy->num_defaults = 0;
}

/* Does a row pass COPY ... WHERE? */
static bool
passes(CopiedRows *source, OrmInputRow *row)
{
	if (source->condition == NULL)
		return true;
	orm_scan_input_row(row, source->slot);
	return ExecQual(source->condition, row->econtext);
}

/*
 * Was a row passed over, as ON_ERROR wants it, because it cannot be converted?
 * Error: 22P02 more than REJECT_LIMIT.  Both are as in CopyFrom().
 */
static bool
was_rejected(CopyFromState copy)
{
#ifdef ORM_HAVE_COPY_ON_ERROR
	if (copy->opts.on_error == COPY_ON_ERROR_STOP || !copy->escontext->error_occurred)
		return false;
	copy->escontext->error_occurred = false;
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_SKIPPED, copy->num_errors);
	if (orm_copy_reject_limit(copy) > 0 && copy->num_errors > orm_copy_reject_limit(copy))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("skipped more than REJECT_LIMIT (%lld) rows due to data type incompatibility",
						(long long) orm_copy_reject_limit(copy))));
	return true;
#else
	return false;
#endif
}

/* Tell how many rows were passed over, in the server's words. */
static void
tell_rejected(CopyFromState copy)
{
#ifdef ORM_HAVE_COPY_ON_ERROR
	if (copy->opts.on_error != COPY_ON_ERROR_STOP && copy->num_errors > 0 &&
		!orm_copy_is_silent(copy))
		ereport(NOTICE,
				errmsg_plural("%llu row was skipped due to data type incompatibility",
							  "%llu rows were skipped due to data type incompatibility",
							  (unsigned long long) copy->num_errors,
							  (unsigned long long) copy->num_errors));
#endif
}

/* Read one row, if there is one; the server's context of errors applies. */
static bool
read_row(CopiedRows *source, OrmInputRow *row)
{
	for (;;)
	{
		if (!NextCopyFrom(source->copy, row->econtext, row->values, row->nulls))
			return false;
		if (!was_rejected(source->copy))
		{
			if (passes(source, row))
				return true;
			pgstat_progress_update_param(PROGRESS_COPY_TUPLES_EXCLUDED, ++source->excluded);
		}
		ResetExprContext(row->econtext);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The next row of a COPY. */
static bool
next_copied(OrmUpsertSource *source, OrmInputRow *row)
{
	CopiedRows *copy = source->state;
	ErrorContextCallback callback;
	bool		found;
	ListCell   *lc;

	callback.callback = CopyFromErrorCallback;
	callback.arg = copy->copy;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	found = read_row(copy, row);
	error_context_stack = callback.previous;
	if (!found)
		return false;

	foreach(lc, source->columns)
		row->present[lfirst_int(lc) - 1] = !orm_copy_is_default(copy->copy, lfirst_int(lc));
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, ++copy->processed);
	return true;
}

/* Begin to read the rows of a COPY. */
static void
open_copy(OrmUpsertSource *source, ParseState *pstate, const CopyStmt *stmt, List *options,
		  Relation rel, ParseNamespaceItem *item)
{
	CopiedRows *copy = palloc0_object(CopiedRows);
	List	   *attnums = CopyGetAttnums(RelationGetDescr(rel), rel, stmt->attlist);
	Node	   *condition;

	list_sort(attnums, list_int_cmp);
	check_columns(rel, attnums);
	condition = transform_condition(pstate, stmt, item, rel, attnums);
	copy->copy = BeginCopyFrom(pstate, rel, condition, stmt->filename, stmt->is_program,
							   NULL, stmt->attlist, options);
	leave_defaults(copy->copy);
	if (condition)
	{
		copy->condition = ExecInitQual((List *) condition, NULL);
		copy->slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	}
	source->columns = attnums;
	if (orm_copy_has_default_marker(copy->copy))
	{
		ListCell   *lc;

		foreach(lc, attnums)
			source->partial = bms_add_member(source->partial, lfirst_int(lc));
	}
	source->next = next_copied;
	source->state = copy;
}

/* Release what is held for reading. */
static void
close_copy(OrmUpsertSource *source)
{
	CopiedRows *copy = source->state;

	tell_rejected(copy->copy);
	if (copy->slot)
		ExecDropSingleTupleTableSlot(copy->slot);
	EndCopyFrom(copy->copy);
}

/* What the settings say holds unless an option says otherwise. */
static void
apply_settings(OrmUpsertOptions *options)
{
	options->on_conflict = orm_copy_on_conflict;
	(void) SplitIdentifierString(pstrdup(orm_copy_conflict_columns), ',', &options->conflict);
}

/*
 * Run a COPY that upserts.  Errors: 22023, 42601, 0A000 options; 42809 no
 * table; 42501; 25006 a read-only transaction; those of COPY and orm_upsert().
 */
static void
copy_upsert(CopyStmt *stmt, const char *query_string,
			QueryEnvironment *query_env, QueryCompletion *qc)
{
	ParseState *pstate = make_parsestate(NULL);
	OrmUpsertOptions options;
	OrmUpsertResults results;
	OrmUpsertSource source = {0};
	List	   *others;
	Relation	rel;

	PreventCommandIfParallelMode("COPY");
	PreventCommandDuringRecovery("COPY");
	pstate->p_sourcetext = query_string;
	pstate->p_queryEnv = query_env;
	orm_upsert_default_options(&options);
	if (orm_copy_on_conflict != ORM_CONFLICT_OFF)
		apply_settings(&options);
	others = orm_take_upsert_options(stmt, &options);

	rel = orm_open_upsert_target(RangeVarGetRelid(stmt->relation, RowExclusiveLock, false));
	if (XactReadOnly && !rel->rd_islocaltemp)
		PreventCommandIfReadOnly("COPY FROM");
	open_copy(&source, pstate, stmt, others, rel,
			  addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL, false, false));
	orm_begin_results(&results, InvalidOid);
	orm_upsert(rel, &source, &options, &results);
	close_copy(&source);
	table_close(rel, NoLock);
	free_parsestate(pstate);
	if (qc)
		SetQueryCompletion(qc, CMDTAG_COPY, results.input);
}

/*
 * The statement that those behind us are given in the place of a COPY whose
 * options they do not know: a CALL of a function of ours, which runs it.  So
 * they are called as for any statement, and what they count or log of it is
 * under the text and the query identifier of the COPY.
 */
PlannedStmt *
orm_call_copy(PlannedStmt *pstmt, const char *query_string,
			  QueryEnvironment *query_env, QueryCompletion *qc)
{
	PlannedStmt *result = makeNode(PlannedStmt);
	CallStmt   *call = makeNode(CallStmt);

	called.stmt = castNode(CopyStmt, pstmt->utilityStmt);
	called.query_string = query_string;
	called.query_env = query_env;
	called.qc = qc;
	call->funcexpr = makeFuncExpr(orm_function("run_copy", 0, NULL), VOIDOID, NIL,
								  InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	*result = *pstmt;
	result->utilityStmt = (Node *) call;
	return result;
}

/* The COPY is run, or somebody has refused it. */
void
orm_forget_copy(void)
{
	called.stmt = NULL;
}

/* orm_ext.run_copy(): runs the COPY that was called.  Error: 55000. */
PG_FUNCTION_INFO_V1(orm_run_copy);

Datum
orm_run_copy(PG_FUNCTION_ARGS)
{
	CalledCopy	copy = called;

	if (copy.stmt == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function can only be called by a COPY that upserts"),
				 errhint("COPY my_table FROM STDIN WITH (on_conflict 'update');")));
	called.stmt = NULL;
	copy_upsert(copy.stmt, copy.query_string, copy.query_env, copy.qc);
	PG_RETURN_VOID();
}
