/*-------------------------------------------------------------------------
 *
 * ddl.c
 *		Declarations follow the DDL on their tables.
 *
 * A trigger names its columns by arguments, which the server does not look
 * into.  An event trigger of the extension does, after each CREATE TRIGGER and
 * ALTER TABLE (a table's column can be renamed by ALTER VIEW and ALTER FOREIGN
 * TABLE as well) and in the same transaction: it checks new declarations, has the
 * arguments follow a renamed column, and does for a dropped column what the
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
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "policy.h"
#include "stamp/stamp.h"
#include "status.h"
#include "util/names.h"

/* What there is to know of the triggers that call one of our functions. */
typedef struct DeclarationKind
{
	const char *symbol;			/* of the function */

	/* names of columns of the table that it cannot do without (char *) */
	List	   *(*columns) (const Trigger *trigger);

	/*
	 * One argument after a column of the table was renamed, or dropped (no
	 * new name) where the trigger can do without it; NULL if that changes
	 * nothing.
	 */
	char	   *(*rename) (const Trigger *trigger, int argument,
						   const char *oldname, const char *newname);

	/* raises the error that a declaration deserves */
	void		(*check) (Relation rel, const Trigger *trigger);

	/* what is lost with the trigger, for a message */
	const char *loss;
} DeclarationKind;

/* The column that the first argument names. */
static List *
first_argument(const Trigger *trigger)
{
	return trigger->tgnargs > 0 ? list_make1(trigger->tgargs[0]) : NIL;
}

/* Rename it. */
static char *
rename_first_argument(const Trigger *trigger, int argument,
					  const char *oldname, const char *newname)
{
	if (argument > 0 || newname == NULL || strcmp(trigger->tgargs[0], oldname) != 0)
		return NULL;
	return pstrdup(newname);
}

/* orm_check_soft_delete_trigger(), where only its errors matter. */
static void
check_soft_delete(Relation rel, const Trigger *trigger)
{
	OrmMarker	marker;

	orm_check_soft_delete_trigger(rel, trigger, &marker);
}

#define STAMP_LOSS "The columns that it kept are no longer stamped."

static const DeclarationKind kinds[] = {
	{ORM_SOFT_DELETE_SYMBOL, first_argument, rename_first_argument, check_soft_delete,
	"Rows of the table that are deleted can no longer be told from live ones."},
	{"orm_stamp", orm_stamp_trigger_columns, orm_rename_in_stamp_argument,
	orm_check_stamp_trigger, STAMP_LOSS},
	{"orm_timestamps", orm_stamp_trigger_columns, orm_rename_in_stamp_argument,
	orm_check_stamp_trigger, STAMP_LOSS},
	{"orm_touch_parent", first_argument, rename_first_argument,
	orm_check_touch_trigger, "Parents are no longer touched."},
	{"orm_version", orm_stamp_trigger_columns, orm_rename_in_stamp_argument,
	orm_check_stamp_trigger, STAMP_LOSS},
};

/* A trigger that is a declaration: a copy, with its kind. */
typedef struct Declaration
{
	Oid			relid;			/* of its table */
	const DeclarationKind *kind;
	const Trigger *trigger;
} Declaration;

/* The kind of a trigger, NULL if it is none of ours. */
static const DeclarationKind *
kind_of(const Trigger *trigger)
{
	const char *symbol = orm_library_symbol(trigger->tgfoid);

	for (int i = 0; symbol != NULL && i < lengthof(kinds); i++)
	{
		if (strcmp(symbol, kinds[i].symbol) == 0)
			return &kinds[i];
	}
	return NULL;
}

/*
 * Declarations of a relation: copies, since any access to a catalog may
 * rebuild the relation's own triggers.
 */
static List *
declarations(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	List	   *found = NIL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const DeclarationKind *kind = kind_of(&triggers->triggers[i]);
		Declaration *declaration;

		if (kind == NULL)
			continue;
		declaration = palloc_object(Declaration);
		declaration->relid = RelationGetRelid(rel);
		declaration->kind = kind;
		declaration->trigger = &triggers->triggers[i];
		found = lappend(found, declaration);
	}
	return found;
}

/* The one by a name, NULL if there is none. */
static const Declaration *
find_declaration(List *declarations, const char *name)
{
	ListCell   *lc;

	foreach(lc, declarations)
	{
		const Declaration *declaration = lfirst(lc);

		if (strcmp(declaration->trigger->tgname, name) == 0)
			return declaration;
	}
	return NULL;
}

/* Does a declaration need a column of its table? */
static bool
needs_column(const Declaration *declaration, const char *name)
{
	return orm_contains_name(declaration->kind->columns(declaration->trigger), name);
}

/* A column that both of two declarations keep, NULL if there is none. */
static const char *
common_column(const Declaration *a, const Declaration *b)
{
	return orm_common_name(a->kind->columns(a->trigger), b->kind->columns(b->trigger));
}

/* A table and all that inherit from it; nothing where it is no table. */
static List *
table_and_children(RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);

	return OidIsValid(relid) ? find_all_inheritors(relid, NoLock, NULL) : NIL;
}

/* Is the declaration one of soft delete, of which a table has one? */
static bool
is_soft_delete(const Declaration *declaration)
{
	return declaration->kind == &kinds[0];
}

/* Is the declaration one of touch_parent(), of which there can be any number? */
static bool
is_touch(const Declaration *declaration)
{
	return declaration->kind->check == orm_check_touch_trigger;
}

/*
 * Do two declarations of a table contradict each other?  A partition may have
 * a declaration of its own beside those of the tables above while all name the
 * same columns.
 */
static bool
are_at_odds(const Declaration *a, const Declaration *b)
{
	bool		both_own = !a->trigger->tgisclone && !b->trigger->tgisclone;

	if (is_touch(a) || is_touch(b) || is_soft_delete(a) != is_soft_delete(b))
		return false;
	if (is_soft_delete(a))
		return both_own || common_column(a, b) == NULL;
	return both_own && common_column(a, b) != NULL;
}

/*
 * Complain of two declarations; "created" is the name of the trigger that was
 * created just now.  Of the table's own, the older one has to go.
 *
 * Error: 42710.
 */
static void
report_at_odds(Relation rel, const Declaration *first, const Declaration *second,
			   const char *created)
{
	const Trigger *victim = second->trigger->tgisclone ||
	strcmp(second->trigger->tgname, created) == 0 ?
	first->trigger : second->trigger;

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 is_soft_delete(first) ?
			 errmsg("table \"%s\" is under soft delete already",
					RelationGetRelationName(rel)) :
			 errmsg("column \"%s\" of table \"%s\" is kept by a trigger already",
					common_column(first, second), RelationGetRelationName(rel)),
			 errdetail("Triggers \"%s\" and \"%s\" both declare it.",
					   first->trigger->tgname, second->trigger->tgname),
			 errhint("DROP TRIGGER %s ON %s;",
					 quote_identifier(victim->tgname), orm_relation_name(rel))));
}

/* Check that no two declarations of a table contradict each other. */
static void
check_declared_once(Relation rel, const char *created)
{
	List	   *all = declarations(rel);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, all)
	{
		for_each_cell(lc2, all, lnext(all, lc))
		{
			if (are_at_odds(lfirst(lc), lfirst(lc2)))
				report_at_odds(rel, lfirst(lc), lfirst(lc2), created);
		}
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

/* Have new change_ids exceed those in the column that a declaration keeps, if any. */
static void
lift_change_ids_of(const Declaration *declaration)
{
	const char *column = orm_kept_column(declaration->trigger, ORM_STAMP_CHANGE_ID);

	if (column)
		orm_lift_change_ids(declaration->relid, column);
}

/*
 * CREATE TRIGGER: check a new declaration.
 *
 * Errors: 42710 where the table has one already, and those of the kind's own
 * check.
 */
static void
check_new_trigger(const CreateTrigStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	Relation	rel = OidIsValid(relid) ? RelationIdGetRelation(relid) : NULL;
	const Declaration *created;

	if (!RelationIsValid(rel))
		return;
	created = find_declaration(declarations(rel), stmt->trigname);
	if (created)
	{
		check_tree_declared_once(stmt->relation, stmt->trigname);
		created->kind->check(rel, created->trigger);
		if (is_soft_delete(created))
			orm_warn_unless_preloaded(RelationGetRelationName(rel));
		lift_change_ids_of(created);
	}
	RelationClose(rel);
}

/* The arguments of a trigger as they are stored, with some replaced. */
static bytea *
stored_arguments(const Trigger *trigger, char **replacements)
{
	StringInfoData result;
	bytea	   *stored;

	initStringInfo(&result);
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		const char *argument = replacements[i] ? replacements[i] : trigger->tgargs[i];

		appendBinaryStringInfo(&result, argument, strlen(argument) + 1);
	}
	stored = palloc(VARHDRSZ + result.len);
	SET_VARSIZE(stored, VARHDRSZ + result.len);
	memcpy(VARDATA(stored), result.data, result.len);
	return stored;
}

/* Change the arguments of a trigger in the catalog. */
static void
replace_arguments(Oid relid, const Trigger *trigger, char **replacements)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger->tgoid));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		values[Natts_pg_trigger] = {0};
		bool		nulls[Natts_pg_trigger] = {0};
		bool		replaces[Natts_pg_trigger] = {0};

		values[Anum_pg_trigger_tgargs - 1] =
			PointerGetDatum(stored_arguments(trigger, replacements));
		replaces[Anum_pg_trigger_tgargs - 1] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog),
								  values, nulls, replaces);
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		CacheInvalidateRelcacheByRelid(relid);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

/* Have one declaration follow a column that got another name, or none. */
static void
rename_in_declaration(const Declaration *declaration,
					  const char *oldname, const char *newname)
{
	const Trigger *trigger = declaration->trigger;
	char	  **replacements = palloc0_array(char *, trigger->tgnargs);
	bool		any = false;

	for (int i = 0; i < trigger->tgnargs; i++)
	{
		replacements[i] = declaration->kind->rename(trigger, i, oldname, newname);
		any |= replacements[i] != NULL;
	}
	if (any)
		replace_arguments(declaration->relid, trigger, replacements);
}

/* Relations with foreign keys to this one, and their children. */
static List *
referencing_relations(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	List	   *relids = NIL;

	/* the server's triggers for a foreign key know both sides */
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Oid			other = triggers->triggers[i].tgconstrrelid;

		if (OidIsValid(other) && triggers->triggers[i].tgisinternal)
			relids = list_concat_unique_oid(relids,
											find_all_inheritors(other, NoLock, NULL));
	}
	return relids;
}

/* Declarations of other tables that touch rows of this one. */
static List *
touching_declarations(Relation parent)
{
	List	   *found = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, referencing_relations(parent))
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));

		if (!RelationIsValid(rel))
			continue;
		foreach(lc2, declarations(rel))
		{
			Declaration *declaration = lfirst(lc2);

			if (is_touch(declaration) &&
				orm_touch_parent_of(rel, declaration->trigger) == RelationGetRelid(parent))
				found = lappend(found, declaration);
		}
		RelationClose(rel);
	}
	return found;
}

/* Is the column that a declaration touches of this name? */
static bool
touches_column(const Declaration *declaration, const char *name)
{
	return declaration->trigger->tgnargs > 1 &&
		strcmp(declaration->trigger->tgargs[1], name) == 0;
}

/* Have touch_parent() follow a renamed column of a parent. */
static void
follow_rename_in_children(Relation parent, const RenameStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, touching_declarations(parent))
	{
		const Declaration *declaration = lfirst(lc);
		char	  **replacements;

		if (!touches_column(declaration, stmt->subname))
			continue;
		replacements = palloc0_array(char *, declaration->trigger->tgnargs);
		replacements[1] = stmt->newname;
		replace_arguments(declaration->relid, declaration->trigger, replacements);
	}
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
		List	   *found;

		if (!RelationIsValid(rel))
			continue;
		found = declarations(rel);
		if (orm_find_column(RelationGetDescr(rel), stmt->subname) == InvalidAttrNumber)
		{
			follow_rename_in_children(rel, stmt);
			foreach(lc2, found)
				rename_in_declaration(lfirst(lc2), stmt->subname, stmt->newname);
		}
		RelationClose(rel);
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
 * A declaration lost a column: refuse as the server does for a column that
 * something depends on, or drop the trigger.
 *
 * Error: 2BP01.
 */
static void
drop_declaration(const Declaration *declaration, const char *table,
				 const AlterTableCmd *drop)
{
	const Trigger *trigger = declaration->trigger;
	const char *own_table = get_rel_name(declaration->relid);
	ObjectAddress address;

	if (drop->behavior != DROP_CASCADE)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop column %s of table %s because other objects depend on it",
						drop->name, table),
				 errdetail("trigger %s on table %s depends on column %s of table %s",
						   trigger->tgname, own_table,
						   drop->name, table),
				 errhint("Use DROP ... CASCADE to drop the dependent objects too.")));
	if (trigger->tgisclone)
		return;					/* goes with the one that it was cloned from */
	ereport(NOTICE,
			(errmsg("drop cascades to trigger %s on table %s",
					trigger->tgname, own_table),
			 errdetail_internal("%s", declaration->kind->loss)));
	ObjectAddressSet(address, TriggerRelationId, trigger->tgoid);
	performDeletion(&address, DROP_RESTRICT, 0);
}

/* A column was dropped from a table: what of the declarations that name it? */
static void
follow_drop(Relation rel, const AlterTableCmd *drop)
{
	ListCell   *lc;

	foreach(lc, declarations(rel))
	{
		const Declaration *declaration = lfirst(lc);

		if (needs_column(declaration, drop->name))
			drop_declaration(declaration, RelationGetRelationName(rel), drop);
		else if (orm_find_column(RelationGetDescr(rel), drop->name) == InvalidAttrNumber)
			rename_in_declaration(declaration, drop->name, NULL);
	}
	foreach(lc, touching_declarations(rel))
	{
		if (touches_column(lfirst(lc), drop->name))
			drop_declaration(lfirst(lc), RelationGetRelationName(rel), drop);
	}
	CommandCounterIncrement();
}

/* Does an ALTER TABLE add a column of this name? */
static bool
adds_column(const AlterTableStmt *stmt, const char *name)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AddColumn &&
			strcmp(castNode(ColumnDef, cmd->def)->colname, name) == 0)
			return true;
	}
	return false;
}

/*
 * Look at the columns that an ALTER TABLE drops.  A child may keep its own; and
 * another column may get the name in the same statement.
 */
static void
follow_drops(Relation rel, const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_DropColumn &&
			(orm_find_column(RelationGetDescr(rel), cmd->name) == InvalidAttrNumber ||
			 adds_column(stmt, cmd->name)))
			follow_drop(rel, cmd);
	}
}

/* Rows came to a table that no trigger saw: have new change_ids exceed theirs. */
static void
lift_change_ids(RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	Relation	rel = OidIsValid(relid) ? RelationIdGetRelation(relid) : NULL;
	ListCell   *lc;

	if (!RelationIsValid(rel))
		return;
	foreach(lc, declarations(rel))
		lift_change_ids_of(lfirst(lc));
	RelationClose(rel);
}

/* Does an ALTER TABLE enable triggers, which may not have seen all rows? */
static bool
enables_triggers(const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		switch (lfirst_node(AlterTableCmd, lc)->subtype)
		{
			case AT_EnableTrig:
			case AT_EnableTrigAll:
			case AT_EnableTrigUser:
			case AT_EnableAlwaysTrig:
			case AT_EnableReplicaTrig:
				return true;
			default:
				break;
		}
	}
	return false;
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
		{
			RangeVar   *partition = castNode(PartitionCmd, cmd->def)->name;

			check_tree_declared_once(partition, "");
			lift_change_ids(partition);
		}
	}
}

/* Are the declarations of children sound that touch a column of this table? */
static void
check_children_that_touch(Relation parent)
{
	ListCell   *lc;

	foreach(lc, touching_declarations(parent))
	{
		const Declaration *declaration = lfirst(lc);
		Relation	rel = RelationIdGetRelation(declaration->relid);

		if (!RelationIsValid(rel))
			continue;
		declaration->kind->check(rel, declaration->trigger);
		RelationClose(rel);
	}
}

/* ALTER TABLE: are the declarations still sound? */
static void
check_altered_table(const AlterTableStmt *stmt)
{
	ListCell   *lc;
	ListCell   *lc2;

	check_attached_partitions(stmt);
	if (enables_triggers(stmt))
		lift_change_ids(stmt->relation);
	if (stmt->objtype != OBJECT_TABLE || !changes_columns(stmt))
		return;
	foreach(lc, table_and_children(stmt->relation))
	{
		Relation	rel = RelationIdGetRelation(lfirst_oid(lc));

		if (!RelationIsValid(rel))
			continue;
		follow_drops(rel, stmt);
		foreach(lc2, declarations(rel))
		{
			const Declaration *declaration = lfirst(lc2);

			declaration->kind->check(rel, declaration->trigger);
		}
		check_children_that_touch(rel);
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
