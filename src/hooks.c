/*-------------------------------------------------------------------------
 *
 * hooks.c
 *		The only owner of server hooks: saves, chains and dispatches.
 *
 * Each hook calls the one before it, or the server's standard function,
 * exactly once on every path.  What we do before and after is a plain call of
 * a feature's function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/selfuncs.h"

#include "attach.h"
#include "hooks.h"
#include "manage.h"
#include "naming/naming.h"
#include "soft_delete/soft_delete.h"
#include "soft_delete/transition.h"
#include "stamp/stamp.h"
#include "status.h"
#include "upsert/upsert.h"

static planner_hook_type prev_planner = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;
static get_relation_info_hook_type prev_get_relation_info = NULL;
static get_relation_stats_hook_type prev_get_relation_stats = NULL;
static ProcessUtility_hook_type prev_process_utility = NULL;

/* The planners behind us. */
static PlannedStmt *
next_planner(Query *parse, const char *query_string, int cursor_options,
			 ParamListInfo params)
{
	if (prev_planner)
		return prev_planner(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
}

/*
 * Rewrite before the other planners, so that they plan what will be done.
 * pg_stat_statements has told the original statement from others by then.
 */
static PlannedStmt *
plan_statement(Query *parse, const char *query_string, int cursor_options,
			   ParamListInfo params)
{
	OrmFilter	outer = orm_filter;
	PlannedStmt *result;
	OrmPlan		plan = {0};

	orm_guard_versions(parse);
	orm_plan_prepare(&plan, parse, query_string, params);
	if (plan.filter)
		orm_check_versions();

	/* planning can be nested: a function that is folded plans its queries */
	if (likely(!plan.filter && !outer.active))
		result = next_planner(parse, query_string, cursor_options, params);
	else
	{
		PG_TRY();
		{
			orm_filter.active = plan.filter;
			orm_filter.rows = plan.rows;
			result = next_planner(parse, query_string, cursor_options, params);
		}
		PG_FINALLY();
		{
			orm_filter = outer;
		}
		PG_END_TRY();
	}

	orm_plan_finish(&plan, result);
	return result;
}

/* Add our restriction after other extensions had their say on the relation. */
static void
complete_relation_info(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	if (prev_get_relation_info)
		prev_get_relation_info(root, relid, inhparent, rel);
	orm_filter_relation(root, rel);
}

/* Guess the statistics of a marker where other extensions know of none. */
static bool
complete_relation_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
						VariableStatData *vardata)
{
	if (prev_get_relation_stats && prev_get_relation_stats(root, rte, attnum, vardata))
		return true;
	return orm_guess_statistics(rte, attnum, vardata);
}

/* Complete what the executor has set up, once all extensions have. */
static void
start_executor(QueryDesc *query_desc, int eflags)
{
	if (prev_executor_start)
		prev_executor_start(query_desc, eflags);
	else
		standard_ExecutorStart(query_desc, eflags);
	orm_return_old_rows(query_desc);
	orm_label_statement(query_desc, orm_is_soft_delete);
	orm_watch_deletes(query_desc);
	orm_watch_markers(query_desc);
	orm_spare_reference_checks(query_desc);
	orm_spare_constraints(query_desc);
	orm_lock_like_delete(query_desc);
}

/* See to foreign keys where the server does: before other triggers after a statement. */
static void
finish_executor(QueryDesc *query_desc)
{
	orm_settle_transitions(query_desc);
	if (prev_executor_finish)
		prev_executor_finish(query_desc);
	else
		standard_ExecutorFinish(query_desc);
}

/* The ProcessUtility functions behind us. */
static void
next_process_utility(PlannedStmt *pstmt, const char *query_string,
					 bool read_only_tree, ProcessUtilityContext context,
					 ParamListInfo params, QueryEnvironment *query_env,
					 DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, query_string, read_only_tree, context,
							 params, query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context,
								params, query_env, dest, qc);
}

/* How does a utility statement change what the queries inside it see, or are for? */
static OrmUtilityScope
utility_scope(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			return ORM_SCOPE_ALTER_TABLE;
		case T_RefreshMatViewStmt:
			return ORM_SCOPE_REFRESH;
		case T_ConstraintsSetStmt:
			return ORM_SCOPE_SET_CONSTRAINTS;
		case T_CopyStmt:
			return castNode(CopyStmt, stmt)->is_from ? ORM_SCOPE_COPY_FROM : ORM_SCOPE_ORDINARY;
		case T_CreateTableAsStmt:
			if (castNode(CreateTableAsStmt, stmt)->objtype == OBJECT_MATVIEW)
				return ORM_SCOPE_REFRESH;
			return ORM_SCOPE_ORDINARY;
		default:
			return ORM_SCOPE_ORDINARY;
	}
}

/* Check a utility statement, or prepare for it, before anyone acts upon it. */
static void
check_utility(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			orm_make_way_for_clones(castNode(AlterTableStmt, stmt));
			break;
		case T_TruncateStmt:
			orm_check_truncate(castNode(TruncateStmt, stmt));
			break;
		case T_CreateTrigStmt:
			orm_check_trigger_function(castNode(CreateTrigStmt, stmt));
			break;
		case T_ConstraintsSetStmt:
			orm_note_constraints_set();
			break;
		case T_VariableSetStmt:
			orm_check_setting(castNode(VariableSetStmt, stmt));
			break;
		default:
			break;
	}
}

/* Does a statement make constraints or indexes? */
static bool
makes_names(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_AlterTableStmt:
		case T_IndexStmt:
			return true;
		default:
			return false;
	}
}

/* Have a COPY that upserts run, as a CALL: nobody behind us knows its options. */
static void
process_upsert_copy(PlannedStmt *pstmt, const char *query_string,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	PG_TRY();
	{
		next_process_utility(orm_call_copy(pstmt, query_string, query_env, qc), query_string,
							 false, context, params, query_env, dest, qc);
	}
	PG_FINALLY();
	{
		orm_forget_copy();
	}
	PG_END_TRY();
}

/* Look at utility statements before they are run, and at renames after it. */
static void
process_utility(PlannedStmt *pstmt, const char *query_string,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *query_env,
				DestReceiver *dest, QueryCompletion *qc)
{
	const OrmUtilityScope scope = utility_scope(pstmt->utilityStmt);
	const bool	has_names = makes_names(pstmt->utilityStmt);
	List	   *names_to_come = orm_names_to_come;
	List	   *new_keys = NIL;

	if (orm_is_upsert_copy(pstmt->utilityStmt))
	{
		process_upsert_copy(pstmt, query_string, context, params, query_env, dest, qc);
		return;
	}
	if (!IsBinaryUpgrade)
	{
		check_utility(pstmt->utilityStmt);
		pstmt = orm_redirect_key_command(pstmt);
	}

	if (scope == ORM_SCOPE_ORDINARY && !has_names)
	{
		OrmRename  *rename = NULL;

		if (IsA(pstmt->utilityStmt, RenameStmt))
			rename = orm_before_rename(pstmt->utilityStmt);
		next_process_utility(pstmt, query_string, read_only_tree, context,
							 params, query_env, dest, qc);
		if (rename)
			orm_after_rename(rename);
		return;
	}

	PG_TRY();
	{
		orm_enter_scope(scope);
		if (has_names)
			pstmt = orm_name_statement(pstmt, read_only_tree, context);
		if (has_names && context != PROCESS_UTILITY_SUBCOMMAND)
			pstmt = orm_prepare_new_keys(pstmt, &new_keys);
		next_process_utility(pstmt, query_string, read_only_tree, context,
							 params, query_env, dest, qc);
		orm_create_new_keys(new_keys);
	}
	PG_FINALLY();
	{
		orm_leave_scope(scope);
		orm_names_to_come = names_to_come;
	}
	PG_END_TRY();
}

/* Install the hooks, once per process. */
void
orm_hooks_init(void)
{
	prev_planner = planner_hook;
	planner_hook = plan_statement;
	prev_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = complete_relation_info;
	prev_get_relation_stats = get_relation_stats_hook;
	get_relation_stats_hook = complete_relation_stats;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_executor;
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;

	/* plans of this session that were made without us are no good any more */
	ResetPlanCache();
}
