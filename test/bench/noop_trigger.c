/*-------------------------------------------------------------------------
 *
 * noop_trigger.c
 *		A row trigger that does nothing: what any BEFORE trigger costs.
 *
 * The benchmarks build and load it themselves; it is no part of the extension.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(noop_trigger);

/* Let the row pass as it is. */
Datum
noop_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		PG_RETURN_POINTER(trigger->tg_newtuple);
	PG_RETURN_POINTER(trigger->tg_trigtuple);
}
