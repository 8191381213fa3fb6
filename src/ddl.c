/*-------------------------------------------------------------------------
 *
 * ddl.c
 *		Declarations follow the DDL on their tables.
 *
 * A trigger names its columns by arguments, which the server does not look
 * into.  An event trigger of the extension does, after each CREATE TRIGGER and
 * ALTER TABLE (a table's column can be renamed by ALTER VIEW and ALTER FOREIGN
 * TABLE as well) and in the same transaction: it checks new declarations, has the
 * argument follow a renamed column, and does for a dropped column what the
 * server does for a column that a trigger depends on.  (A dependency proper
 * would do the latter, but also forbid to change the type of the column.)
 *
 * The event trigger is called for every ALTER TABLE of the database.  On
 * tables without a declaration it looks at the trigger list and returns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "policy.h"
#include "status.h"
#include "util/names.h"

/*
 * Triggers of a relation that are declarations of soft delete: copies, since
 * any access to a catalog may rebuild those of the relation.
 */
static List *
declarations(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	List	   *found = NIL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (orm_is_soft_delete_trigger(&triggers->triggers[i]))
			found = lappend(found, &triggers->triggers[i]);
	}
	return found;
}

/* The same by name, NULL if there is none. */
static const Trigger *
find_declaration(List *declarations, const char *name)
{
	ListCell   *lc;

	foreach(lc, declarations)
	{
		const Trigger *trigger = lfirst(lc);

		if (strcmp(trigger->tgname, name) == 0)
			return trigger;
	}
	return NULL;
}

/* A table and all that inherit from it; nothing where it is no table. */
static List *
table_and_children(RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);

	return OidIsValid(relid) ? find_all_inheritors(relid, NoLock, NULL) : NIL;
}

/*
 * A table is declared once.  A partition may have a declaration of its own
 * beside that of its parent while both name the same column.  "created" is the
 * name of a trigger that was created just now.
 *
 * Error: 42710.
 */
static void
check_declared_once(Relation rel, const char *created)
{
	const Trigger *first = NULL;
	const Trigger *victim;
	ListCell   *lc;

	foreach(lc, declarations(rel))
	{
		const Trigger *trigger = lfirst(lc);

		if (first == NULL)
		{
			first = trigger;
			continue;
		}
		if (first->tgisclone != trigger->tgisclone &&
			first->tgnargs == 1 && trigger->tgnargs == 1 &&
			strcmp(first->tgargs[0], trigger->tgargs[0]) == 0)
			continue;

		/* the older one of the table's own has to go */
		victim = trigger->tgisclone || strcmp(trigger->tgname, created) == 0 ?
			first : trigger;
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is under soft delete already",
						RelationGetRelationName(rel)),
				 errdetail("Triggers \"%s\" and \"%s\" both declare it.",
						   first->tgname, trigger->tgname),
				 errhint("DROP TRIGGER %s ON %s;",
						 quote_identifier(victim->tgname),
						 orm_relation_name(rel))));
	}
}

/* Do so for a table and its children. */
static void
check_tree_declared_once(RangeVar *name, const char *created)
{
	ListCell   *lc;

	foreach(lc, table_and_children(name))
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));

		if (!RelationIsValid(rel))
			continue;
		check_declared_once(rel, created);
		RelationClose(rel);
	}
}

/*
 * CREATE TRIGGER: check a new declaration.
 *
 * Errors: 42710 where the table has one already, and those of
 * orm_check_soft_delete_trigger().
 */
static void
check_new_trigger(const CreateTrigStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	Relation	rel = OidIsValid(relid) ? RelationIdGetRelation(relid) : NULL;
	const Trigger *created;
	OrmMarker	marker;

	if (!RelationIsValid(rel))
		return;
	created = find_declaration(declarations(rel), stmt->trigname);
	if (created)
	{
		check_tree_declared_once(stmt->relation, stmt->trigname);
		orm_check_soft_delete_trigger(rel, created, &marker);
		orm_warn_unless_preloaded(RelationGetRelationName(rel));
	}
	RelationClose(rel);
}

/* Replace one string among the arguments of a trigger, as stored. */
static bytea *
replace_argument(bytea *arguments, const char *oldname, const char *newname)
{
	StringInfoData result;
	const char *argument = VARDATA_ANY(arguments);
	const char *end = argument + VARSIZE_ANY_EXHDR(arguments);
	bytea	   *stored;

	initStringInfo(&result);
	while (argument < end)
	{
		const char *replacement = strcmp(argument, oldname) == 0 ? newname : argument;

		appendBinaryStringInfo(&result, replacement, strlen(replacement) + 1);
		argument += strlen(argument) + 1;
	}
	stored = palloc(VARHDRSZ + result.len);
	SET_VARSIZE(stored, VARHDRSZ + result.len);
	memcpy(VARDATA(stored), result.data, result.len);
	return stored;
}

/* Change the arguments of a trigger in the catalog. */
static void
rename_argument(Oid relid, Oid trigger, const char *oldname, const char *newname)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		values[Natts_pg_trigger] = {0};
		bool		nulls[Natts_pg_trigger] = {0};
		bool		replaces[Natts_pg_trigger] = {0};
		bool		isnull;
		Datum		arguments = heap_getattr(tuple, Anum_pg_trigger_tgargs,
											 RelationGetDescr(catalog), &isnull);

		values[Anum_pg_trigger_tgargs - 1] =
			PointerGetDatum(replace_argument(DatumGetByteaPP(arguments),
											 oldname, newname));
		replaces[Anum_pg_trigger_tgargs - 1] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog),
								  values, nulls, replaces);
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		CacheInvalidateRelcacheByRelid(relid);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

/* ALTER TABLE ... RENAME COLUMN: have the declarations follow. */
static void
follow_rename(const RenameStmt *stmt)
{
	ListCell   *lc;
	ListCell   *lc2;

	if (stmt->renameType != OBJECT_COLUMN)
		return;
	foreach(lc, table_and_children(stmt->relation))
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));
		List	   *triggers = NIL;

		if (!RelationIsValid(rel))
			continue;
		foreach(lc2, declarations(rel))
		{
			const Trigger *trigger = lfirst(lc2);

			if (trigger->tgnargs > 0 &&
				strcmp(trigger->tgargs[0], stmt->subname) == 0 &&
				orm_find_column(RelationGetDescr(rel), stmt->subname) == InvalidAttrNumber)
				triggers = lappend_oid(triggers, trigger->tgoid);
		}
		RelationClose(rel);
		foreach(lc2, triggers)
			rename_argument(lfirst_oid(lc), lfirst_oid(lc2),
							stmt->subname, stmt->newname);
	}
	CommandCounterIncrement();
}

/*
 * Can an ALTER TABLE make a column unfit?  Others need no look at all children,
 * of which there may be thousands.
 */
static bool
changes_columns(const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		switch (lfirst_node(AlterTableCmd, lc)->subtype)
		{
			case AT_DropColumn:
			case AT_AlterColumnType:
			case AT_SetNotNull:
			case AT_DropNotNull:
			case AT_AddConstraint:	/* may be NOT NULL, since 18 */
			case AT_DropConstraint:
				return true;
			default:
				break;
		}
	}
	return false;
}

/*
 * The part of an ALTER TABLE that drops the column of a declaration, NULL if
 * there is none.  Another column may have got the name in the same statement.
 */
static AlterTableCmd *
find_drop(const AlterTableStmt *stmt, const Trigger *trigger)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_DropColumn && trigger->tgnargs > 0 &&
			strcmp(cmd->name, trigger->tgargs[0]) == 0)
			return cmd;
	}
	return NULL;
}

/*
 * A declaration lost its column: refuse as the server does for a column that
 * something depends on, or drop the trigger.
 *
 * Error: 2BP01.
 */
static void
drop_declaration(Relation rel, const Trigger *trigger, DropBehavior behavior)
{
	ObjectAddress address;

	if (behavior != DROP_CASCADE)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop column %s of table %s because other objects depend on it",
						trigger->tgargs[0], RelationGetRelationName(rel)),
				 errdetail("trigger %s on table %s depends on column %s of table %s",
						   trigger->tgname, RelationGetRelationName(rel),
						   trigger->tgargs[0], RelationGetRelationName(rel)),
				 errhint("Use DROP ... CASCADE to drop the dependent objects too.")));
	if (trigger->tgisclone)
		return;					/* goes with the one that it was cloned from */
	ereport(NOTICE,
			(errmsg("drop cascades to trigger %s on table %s",
					trigger->tgname, RelationGetRelationName(rel)),
			 errdetail("Rows of the table that are deleted can no longer be told from live ones.")));
	ObjectAddressSet(address, TriggerRelationId, trigger->tgoid);
	performDeletion(&address, DROP_RESTRICT, 0);
}

/* ALTER TABLE ... ATTACH PARTITION: do the declarations agree? */
static void
check_attached_partitions(const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AttachPartition)
			check_tree_declared_once(castNode(PartitionCmd, cmd->def)->name, "");
	}
}

/* ALTER TABLE: are the declarations still sound? */
static void
check_altered_table(const AlterTableStmt *stmt)
{
	ListCell   *lc;
	ListCell   *lc2;

	check_attached_partitions(stmt);
	if (stmt->objtype != OBJECT_TABLE || !changes_columns(stmt))
		return;
	foreach(lc, table_and_children(stmt->relation))
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));
		OrmMarker	marker;

		if (!RelationIsValid(rel))
			continue;
		foreach(lc2, declarations(rel))
		{
			const Trigger *trigger = lfirst(lc2);
			AlterTableCmd *drop = find_drop(stmt, trigger);

			if (drop)
			{
				drop_declaration(rel, trigger, drop->behavior);
				break;			/* the trigger list is stale now */
			}
			orm_check_soft_delete_trigger(rel, trigger, &marker);
		}
		RelationClose(rel);
	}
}

PG_FUNCTION_INFO_V1(orm_ddl_command_end);

/*
 * orm_ext.ddl_command_end() → event_trigger
 *
 * Errors: 39P03 where it is not called as an event trigger, and those of the
 * functions above.
 */
Datum
orm_ddl_command_end(PG_FUNCTION_ARGS)
{
	Node	   *stmt;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function orm_ext.ddl_command_end was not called by event trigger manager")));

	stmt = ((EventTriggerData *) fcinfo->context)->parsetree;
	switch (nodeTag(stmt))
	{
		case T_CreateTrigStmt:
			check_new_trigger(castNode(CreateTrigStmt, stmt));
			break;
		case T_RenameStmt:
			follow_rename(castNode(RenameStmt, stmt));
			break;
		case T_AlterTableStmt:
			check_altered_table(castNode(AlterTableStmt, stmt));
			break;
		default:
			break;
	}
	PG_RETURN_NULL();
}
