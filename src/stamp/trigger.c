/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		orm_ext.version(), orm_ext.timestamps() and orm_ext.stamp().
 *
 * Three names for one row pass: what to do stands in the trigger's arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "nodes/execnodes.h"

#include "policy.h"
#include "stamp.h"

/*
 * A version is checked before a DELETE as well where one is expected, so have
 * the triggers that keep a version fire for it in this execution.  (To declare
 * them so for good would have every DELETE pay.)
 */
static void
watch_deletes_of(ResultRelInfo *rri)
{
	TriggerDesc *triggers = rri->ri_TrigDesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (orm_kept_column(trigger, ORM_STAMP_VERSION) == NULL)
			continue;
		trigger->tgtype |= TRIGGER_TYPE_DELETE;
		triggers->trig_delete_before_row = true;
	}
}

/* Do so for all tables that a query changes, when it is about to be executed. */
void
orm_watch_deletes(QueryDesc *query_desc)
{
	ListCell   *lc;

	if (likely(!orm_is_version_expected()) ||
		query_desc->plannedstmt->resultRelations == NIL)
		return;
	foreach(lc, query_desc->estate->es_opened_result_relations)
		watch_deletes_of(lfirst(lc));
}

/* Was the function called as it is meant to be?  Error: 39P01. */
static void
check_called_as_trigger(FunctionCallInfo fcinfo, const char *name, const char *arguments)
{
	if (CALLED_AS_TRIGGER(fcinfo))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("function orm_ext.%s was not called by trigger manager", name),
			 errhint("CREATE TRIGGER zz_orm_%s BEFORE INSERT OR UPDATE ON your_table FOR EACH ROW EXECUTE FUNCTION orm_ext.%s(%s);",
					 name, name, arguments)));
}

/* Stamp the row that a trigger is fired for. */
static Datum
stamp(FunctionCallInfo fcinfo)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	OrmStampPlan *plan = fcinfo->flinfo->fn_extra;

	if (unlikely(plan == NULL || plan->generation != orm_policy_generation()))
	{
		plan = orm_stamp_plan(trigdata->tg_relation, trigdata->tg_trigger);
		fcinfo->flinfo->fn_extra = plan;
	}
	return PointerGetDatum(orm_stamp_row(plan, trigdata));
}

PG_FUNCTION_INFO_V1(orm_version);
PG_FUNCTION_INFO_V1(orm_timestamps);
PG_FUNCTION_INFO_V1(orm_stamp);

/*
 * orm_ext.version('column', option ...) → trigger
 *
 * BEFORE INSERT OR UPDATE [OR DELETE] FOR EACH ROW.
 *
 * Errors: those of orm_resolve_stamp_trigger() and orm_stamp_version().
 */
Datum
orm_version(PG_FUNCTION_ARGS)
{
	check_called_as_trigger(fcinfo, "version", "'version_id'");
	return stamp(fcinfo);
}

/*
 * orm_ext.timestamps('created', 'updated', option ...) → trigger
 *
 * BEFORE INSERT OR UPDATE FOR EACH ROW; either name may be empty.
 *
 * Errors: those of orm_resolve_stamp_trigger(); 428C9 under immutable=error.
 */
Datum
orm_timestamps(PG_FUNCTION_ARGS)
{
	check_called_as_trigger(fcinfo, "timestamps", "'created_at', 'updated_at'");
	return stamp(fcinfo);
}

/*
 * orm_ext.stamp('role=column' or option ...) → trigger
 *
 * BEFORE INSERT OR UPDATE [OR DELETE] FOR EACH ROW: the two above in one pass,
 * and change_id.
 *
 * Errors: those of the two above.
 */
Datum
orm_stamp(PG_FUNCTION_ARGS)
{
	check_called_as_trigger(fcinfo, "stamp", "'version=version_id', 'updated=updated_at'");
	return stamp(fcinfo);
}
