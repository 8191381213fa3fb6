/*-------------------------------------------------------------------------
 *
 * enable.c
 *		orm_ext.enable_soft_delete() and orm_ext.disable_soft_delete().
 *
 * Both do what a DBA could do by hand, in one transaction, and return the
 * statements that they ran.  A partition follows its parent.  An inheritance
 * child is treated as its parent is, since neither triggers nor indexes are
 * inherited.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "unique_keys.h"
#include "util/names.h"
#include "util/spi.h"

#define DECLARATION_NAME "orm_soft_delete"
#define FOREIGN_KEYS_OFF "foreign_keys=off"

/* Read the unique_keys argument. Error: 22023. */
static OrmUniqueKeys
parse_unique_keys(text *argument)
{
	const char *value = text_to_cstring(argument);

	if (strcmp(value, "live") == 0)
		return ORM_UNIQUE_KEYS_LIVE;
	if (strcmp(value, "all") == 0)
		return ORM_UNIQUE_KEYS_ALL;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"unique_keys\": \"%s\"", value),
			 errdetail("Unique keys hold among live rows or among all rows, deleted ones included."),
			 errhint("Use unique_keys => 'live' or unique_keys => 'all'.")));
}

/*
 * Lock a table against everyone else, as the DDL to come would, once the role
 * is known to be its owner.  Errors: 42P01, 42501, 42809.
 */
static Relation
open_own_table(Oid relid)
{
	Relation	rel;

	orm_check_relation(relid);
	if (!orm_owns_relation(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	rel = orm_open_relation(relid, AccessExclusiveLock);
	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be under soft delete",
						RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Name the table that holds the rows.")));
	return rel;
}

/* What there is on a table, read before anything is done to it. */
typedef struct TableState
{
	const char *name;			/* qualified and quoted */
	char	   *trigger;		/* the declaration, NULL if there is none */
	char	   *column;			/* that it names */
	bool		cloned;			/* does it come from the table's parent? */
	bool		foreign_keys;	/* are foreign keys to hold for live rows? */
	bool		has_column;		/* is there a column of the wanted name? */
} TableState;

/* Lock a table and look at it; DDL wants it closed again. */
static TableState
read_table(Oid relid, const char *column)
{
	Relation	rel = open_own_table(relid);
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	TableState	state = {.name = orm_relation_name(rel)};

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (!orm_is_soft_delete_trigger(trigger) ||
			(trigger->tgisclone && state.trigger))
			continue;
		state.trigger = pstrdup(trigger->tgname);
		state.column = trigger->tgnargs > 0 ? pstrdup(trigger->tgargs[0]) : "";
		state.cloned = trigger->tgisclone;
		state.foreign_keys = trigger->tgnargs < 2 || strcmp(trigger->tgargs[1], FOREIGN_KEYS_OFF) != 0;
	}
	state.has_column = column != NULL &&
		orm_find_column(RelationGetDescr(rel), column) != InvalidAttrNumber;
	table_close(rel, NoLock);
	return state;
}

/* The rest of ADD COLUMN for a marker of a type. */
static const char *
marker_constraint(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return " DEFAULT false NOT NULL";
		case INT8OID:
			return " DEFAULT 0 NOT NULL";
		default:
			return "";
	}
}

/* A table that is under soft delete by another column cannot be enabled. */
static void
check_column(Oid relid, const TableState *table, const char *column)
{
	if (table->trigger && strcmp(table->column, column) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is under soft delete already",
						get_rel_name(relid)),
				 errdetail("Trigger \"%s\" names column \"%s\".",
						   table->trigger, table->column),
				 errhint("SELECT orm_ext.disable_soft_delete(%s);",
						 quote_literal_cstr(table->name))));
}

/*
 * Have the partitions of a table give way to the declaration that they are to
 * get from it.
 */
static void
drop_declarations_of_partitions(Oid relid, const char *column)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessExclusiveLock, NULL))
	{
		TableState	partition;

		if (lfirst_oid(lc) == relid || !get_rel_relispartition(lfirst_oid(lc)))
			continue;
		partition = read_table(lfirst_oid(lc), column);
		check_column(lfirst_oid(lc), &partition, column);
		if (partition.trigger && !partition.cloned)
			orm_run_ddl("DROP TRIGGER %s ON %s",
						quote_identifier(partition.trigger), partition.name);
	}
}

/* Condition, as SQL, that holds for the deleted rows of a table. */
static char *
deleted_condition(const char *column, const OrmMarker *marker)
{
	const char *quoted = quote_identifier(column);

	switch (marker->kind)
	{
		case ORM_MARKER_BOOLEAN:
			return pstrdup(quoted);
		case ORM_MARKER_BIGINT:
			return psprintf("%s <> 0", quoted);
		default:
			return psprintf("%s IS NOT NULL", quoted);
	}
}

/*
 * Convert the unique keys of a table, and those that its partitions have of
 * their own, with a hint if that fails.
 */
static void
convert_unique_keys(Oid relid, const char *column, const OrmMarker *marker,
					OrmUniqueKeys unique_keys)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessExclusiveLock, NULL))
	{
		Oid			member = lfirst_oid(lc);
		OrmMarker	its_marker = *marker;

		if (member != relid && !get_rel_relispartition(member))
			continue;
		its_marker.attno = get_attnum(member, column);
		orm_convert_unique_keys(member, &its_marker, unique_keys,
								psprintf("Leave the keys as they are with unique_keys => 'live', or remove the deleted rows first: DELETE FROM %s WHERE %s;",
										 orm_relid_name(member), deleted_condition(column, marker)));
	}
}

/* Declare soft delete on a table, in place of a declaration that says otherwise. */
static void
declare(Oid relid, const TableState *table, const char *column, bool foreign_keys)
{
	if (table->trigger)
		orm_run_ddl("DROP TRIGGER %s ON %s", quote_identifier(table->trigger), table->name);
	else
		drop_declarations_of_partitions(relid, column);
	orm_run_ddl("CREATE TRIGGER " DECLARATION_NAME " BEFORE DELETE ON %s "
				"FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete(%s%s)",
				table->name, quote_literal_cstr(column),
				foreign_keys ? "" : ", '" FOREIGN_KEYS_OFF "'");
}

/* What to do with a table that is put under soft delete. */
typedef struct Enabling
{
	const char *column;
	Oid			type;
	OrmUniqueKeys unique_keys;
	bool		has_foreign_keys;	/* is the next one given? */
	bool		foreign_keys;
} Enabling;

/* Put one table under soft delete. */
static void
enable_on_table(Oid relid, const Enabling *enabling)
{
	const char *column = enabling->column;
	TableState	table = read_table(relid, column);
	OrmMarker	marker;
	bool		foreign_keys = enabling->has_foreign_keys ? enabling->foreign_keys :
	table.trigger == NULL || table.foreign_keys;

	check_column(relid, &table, column);
	if (!table.has_column)
		orm_run_ddl("ALTER TABLE %s ADD COLUMN %s %s%s", table.name,
					quote_identifier(column), format_type_be(enabling->type),
					marker_constraint(enabling->type));
	if (!table.trigger || table.foreign_keys != foreign_keys)
		declare(relid, &table, column, foreign_keys);

	if (orm_soft_delete_declared(relid, &marker))
		convert_unique_keys(relid, column, &marker, enabling->unique_keys);
}

/* Take one table off soft delete, and warn of rows that come to light again. */
static void
disable_on_table(Oid relid, OrmUniqueKeys unique_keys)
{
	TableState	table = read_table(relid, NULL);
	OrmMarker	marker;
	char	   *condition;

	if (!table.trigger || !orm_soft_delete_declared(relid, &marker))
		return;

	orm_run_ddl("DROP TRIGGER %s ON %s", quote_identifier(table.trigger), table.name);
	if (unique_keys == ORM_UNIQUE_KEYS_ALL)
		convert_unique_keys(relid, table.column, &marker, unique_keys);

	condition = deleted_condition(table.column, &marker);
	if (orm_query_has_rows(psprintf("SELECT FROM %s WHERE %s", table.name, condition)))
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("deleted rows of table \"%s\" are visible from now on",
						get_rel_name(relid)),
				 errhint("To be rid of them: DELETE FROM %s WHERE %s;",
						 table.name, condition)));
}

/* Return strings as the rows of a set. */
static void
return_strings(FunctionCallInfo fcinfo, List *strings)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(lc, strings)
	{
		Datum		value = CStringGetTextDatum(lfirst(lc));
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
}

PG_FUNCTION_INFO_V1(orm_enable_soft_delete);
PG_FUNCTION_INFO_V1(orm_disable_soft_delete);

/*
 * orm_ext.enable_soft_delete(rel regclass, marker name, marker_type regtype,
 * unique_keys text, foreign_keys boolean) → setof text
 *
 * Adds the column where it is missing, the trigger, and makes unique keys hold
 * among live rows ('live') or among all rows ('all').  Foreign keys hold for
 * live rows unless foreign_keys is false; null leaves that as it is declared.
 * Returns the statements that were run; a null elsewhere, none.
 *
 * Errors: 42501 not the owner; 42809 no table; 42710 under soft delete by
 * another column; 22023 unique_keys; 42804, 42P16, 428C9 unfit column; 23505,
 * 23P01 a key that is to hold among all rows does not.
 */
Datum
orm_enable_soft_delete(PG_FUNCTION_ARGS)
{
	Enabling	enabling;
	Oid			relid;
	ListCell   *lc;

	for (int i = 0; i < 4; i++)
	{
		if (PG_ARGISNULL(i))
		{
			return_strings(fcinfo, NIL);
			return (Datum) 0;
		}
	}
	relid = PG_GETARG_OID(0);
	enabling.column = NameStr(*PG_GETARG_NAME(1));
	enabling.type = PG_GETARG_OID(2);
	enabling.unique_keys = parse_unique_keys(PG_GETARG_TEXT_PP(3));
	enabling.has_foreign_keys = !PG_ARGISNULL(4);
	enabling.foreign_keys = enabling.has_foreign_keys && PG_GETARG_BOOL(4);

	orm_begin_ddl();
	table_close(open_own_table(relid), NoLock);
	foreach(lc, orm_tables_to_treat(relid, AccessExclusiveLock))
		enable_on_table(lfirst_oid(lc), &enabling);
	return_strings(fcinfo, orm_end_ddl());
	return (Datum) 0;
}

/*
 * orm_ext.disable_soft_delete(rel regclass, unique_keys text) → setof text
 *
 * Drops the trigger; column and rows stay, so deleted rows become visible,
 * which a WARNING says.  unique_keys => 'all' makes keys among live rows hold
 * among all rows again.  Returns the statements that were run.
 *
 * Errors: 42501 not the owner; 42809 no table; 22023 unique_keys; 23505, 23P01 a
 * key does not hold among all rows.
 */
Datum
orm_disable_soft_delete(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	OrmUniqueKeys unique_keys = parse_unique_keys(PG_GETARG_TEXT_PP(1));
	ListCell   *lc;

	orm_begin_ddl();
	table_close(open_own_table(relid), NoLock);
	foreach(lc, orm_tables_to_treat(relid, AccessExclusiveLock))
		disable_on_table(lfirst_oid(lc), unique_keys);
	return_strings(fcinfo, orm_end_ddl());
	return (Datum) 0;
}
