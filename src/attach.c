/*-------------------------------------------------------------------------
 *
 * attach.c
 *		Partitions that are attached.
 *
 * ATTACH PARTITION clones the triggers of the table to the partition, and fails
 * where that has one of the same name.  A table that is made to be attached may
 * have been declared like any other before, by orm_ext.manage() or by
 * orm_ext.auto_manage, and then has the very triggers that it is about to get.
 * They make way for the clones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "attach.h"
#include "util/names.h"

/* Do two triggers declare the same, by the same name? */
static bool
are_alike(const Trigger *a, const Trigger *b)
{
	if (strcmp(a->tgname, b->tgname) != 0 || a->tgfoid != b->tgfoid ||
		a->tgtype != b->tgtype || a->tgnargs != b->tgnargs ||
		a->tgnattr > 0 || b->tgnattr > 0 || a->tgqual || b->tgqual)
		return false;
	for (int i = 0; i < a->tgnargs; i++)
	{
		if (strcmp(a->tgargs[i], b->tgargs[i]) != 0)
			return false;
	}
	return true;
}

/* Is there one like it among the triggers of a table? */
static bool
has_alike(const TriggerDesc *triggers, const Trigger *trigger)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (are_alike(&triggers->triggers[i], trigger))
			return true;
	}
	return false;
}

/* A copy of the triggers of a relation; NULL if it has none, or is gone. */
static TriggerDesc *
triggers_of(Oid relid)
{
	Relation	rel = OidIsValid(relid) ? RelationIdGetRelation(relid) : NULL;
	TriggerDesc *triggers;

	if (!RelationIsValid(rel))
		return NULL;
	triggers = CopyTriggerDesc(rel->trigdesc);
	RelationClose(rel);
	return triggers;
}

/* Those declarations of a partition to be that its table has as well, as OIDs. */
static List *
declared_twice(Oid table, Oid partition)
{
	TriggerDesc *triggers = triggers_of(table);
	TriggerDesc *own = triggers ? triggers_of(partition) : NULL;
	List	   *found = NIL;

	for (int i = 0; own != NULL && i < own->numtriggers; i++)
	{
		const Trigger *trigger = &own->triggers[i];

		if (!trigger->tgisclone && orm_library_symbol(trigger->tgfoid) != NULL &&
			has_alike(triggers, trigger))
			found = lappend_oid(found, trigger->tgoid);
	}
	return found;
}

/* Drop from a partition to be what its table is about to clone to it. */
static void
make_way(AlterTableStmt *stmt, RangeVar *name)
{
	Oid			table = orm_find_relation(stmt->relation);
	Oid			partition = orm_find_relation(name);
	ListCell   *lc;

	if (declared_twice(table, partition) == NIL)
		return;

	/* lock as the statement itself is about to, and look again */
	table = AlterTableLookupRelation(stmt, AlterTableGetLockLevel(stmt->cmds));
	partition = RangeVarGetRelidExtended(name, AccessExclusiveLock, RVR_MISSING_OK,
										 RangeVarCallbackOwnsRelation, NULL);
	foreach(lc, declared_twice(table, partition))
	{
		ObjectAddress address;

		ObjectAddressSet(address, TriggerRelationId, lfirst_oid(lc));
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
	CommandCounterIncrement();
}

/*
 * ALTER TABLE ... ATTACH PARTITION, before it is run.
 *
 * Error: 42501 not the owner, as by the statement itself.
 */
void
orm_make_way_for_clones(AlterTableStmt *stmt)
{
	ListCell   *lc;

	if (stmt->objtype != OBJECT_TABLE)
		return;
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AttachPartition)
			make_way(stmt, castNode(PartitionCmd, cmd->def)->name);
	}
}
