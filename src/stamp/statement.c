/*-------------------------------------------------------------------------
 *
 * statement.c
 *		What kind of statement fires a trigger?
 *
 * A trigger is told the row and the columns that the statement assigns.  Of a
 * MERGE, that is the columns of all its actions together, and a DELETE under
 * soft delete is an UPDATE to it.  So the memory context of the executor's
 * state, which the trigger's slots live in, is labelled when a statement begins
 * that changes rows.  It costs next to nothing, and ends with the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "nodes/memnodes.h"
#include "nodes/plannodes.h"
#include "utils/memutils.h"

#include "stamp.h"
#include "status.h"

#define KIND_MERGE			1
#define KIND_SOFT_DELETE	2
#define KIND_UPSERT			4

/* Labels, by what a statement contains; one without began before we were loaded. */
static const char *const labels[] = {
	"ordinary",
	"MERGE",
	"soft DELETE",
	"MERGE and soft DELETE",
	"bulk upsert"
};

/* What one part of a statement is. */
static int
kind_of_plan(const Plan *plan, bool (*is_soft_delete) (const ModifyTable *node))
{
	const ModifyTable *node = (const ModifyTable *) plan;

	if (plan == NULL || !IsA(plan, ModifyTable))
		return 0;
	if (node->operation == CMD_MERGE)
		return KIND_MERGE;
	return is_soft_delete(node) ? KIND_SOFT_DELETE : 0;
}

/*
 * Label a statement that is about to be executed.  In a WITH clause, the plans
 * of data-modifying statements are sub-plans.
 */
void
orm_label_statement(QueryDesc *query_desc, bool (*is_soft_delete) (const ModifyTable *node))
{
	const PlannedStmt *stmt = query_desc->plannedstmt;
	ListCell   *lc;
	int			kinds;

	if (stmt->resultRelations == NIL)
		return;
	kinds = kind_of_plan(stmt->planTree, is_soft_delete);
	if (stmt->hasModifyingCTE)
	{
		foreach(lc, stmt->subplans)
			kinds |= kind_of_plan(lfirst(lc), is_soft_delete);
	}
	MemoryContextSetIdentifier(query_desc->estate->es_query_cxt, labels[kinds]);
}

/* Label what a bulk upsert writes. */
void
orm_label_upsert(EState *estate)
{
	MemoryContextSetIdentifier(estate->es_query_cxt, labels[KIND_UPSERT]);
}

/* What the statement that fires a trigger contains, -1 if it has no label. */
static int
statement_kinds(const TriggerData *trigdata)
{
	const char *label = trigdata->tg_trigslot->tts_mcxt->ident;

	for (int kinds = 0; label != NULL && kinds < lengthof(labels); kinds++)
	{
		if (label == labels[kinds])
			return kinds;
	}
	return -1;
}

/*
 * May a trigger be fired by a MERGE?  The statement that loaded the library has
 * no label; if its portal does not say what it is, it may be one.
 */
bool
orm_may_be_merge(const TriggerData *trigdata)
{
	int			kinds = statement_kinds(trigdata);
	CmdType		command;

	if (kinds >= 0)
		return (kinds & KIND_MERGE) != 0;
	command = orm_command_of_portal(trigdata->tg_relation);
	return command == CMD_UNKNOWN || command == CMD_MERGE;
}

/* Is a trigger fired by a bulk upsert? */
bool
orm_is_upsert(const TriggerData *trigdata)
{
	return statement_kinds(trigdata) == KIND_UPSERT;
}

/* May a trigger be fired by a DELETE or MERGE that marks rows as deleted? */
bool
orm_may_be_soft_delete(const TriggerData *trigdata)
{
	int			kinds = statement_kinds(trigdata);

	return kinds > 0 && (kinds & (KIND_SOFT_DELETE | KIND_MERGE)) != 0;
}
