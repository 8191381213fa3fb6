/*-------------------------------------------------------------------------
 *
 * manage.c
 *		All policies of a table at once: orm_ext.manage() and unmanage().
 *
 * What a table is to have is read from the names of its columns, which ORMs
 * and their users agree upon.  Stamps become one trigger, whose name lets it be
 * fired after those of others; soft delete is enabled as by
 * orm_ext.enable_soft_delete().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "manage.h"
#include "policy.h"
#include "stamp/stamp.h"
#include "util/names.h"
#include "util/spi.h"

#define STAMP_TRIGGER "zz_orm_stamp"
#define SOFT_DELETE_POLICY "soft_delete"
#define TOUCH_POLICY "touch_parent"

/* Names by which the columns of a role are known, the usual ones first. */
static const char *const stamp_columns[ORM_STAMP_ROLES][5] = {
	[ORM_STAMP_VERSION] = {"version_id", "version", "lock_version", "versionId", "lockVersion"},
	[ORM_STAMP_CREATED] = {"created_at", "inserted_at", "createdAt"},
	[ORM_STAMP_CREATED_BY] = {"created_by", "createdBy"},
	[ORM_STAMP_UPDATED] = {"updated_at", "updatedAt"},
	[ORM_STAMP_UPDATED_BY] = {"updated_by", "updatedBy"},
};

static const char *const marker_columns[] = {"deleted_at", "deletedAt"};

/* One policy of a table: a row of what the functions return. */
typedef struct Policy
{
	const char *policy;
	const char *column;
	const char *trigger;
	List	   *options;		/* char * */
} Policy;

/* Append a policy to a list. */
static List *
add_policy(List *policies, const char *policy, const char *column,
		   const char *trigger, List *options)
{
	Policy	   *added = palloc_object(Policy);

	added->policy = policy;
	added->column = column;
	added->trigger = trigger;
	added->options = options;
	return lappend(policies, added);
}

/* The policies that a trigger declares; none if it is none of ours. */
static List *
policies_of_trigger(const Trigger *trigger)
{
	OrmStampDeclaration declaration;
	OrmStampFunction function;
	List	   *policies = NIL;
	List	   *options = NIL;

	if (orm_is_stamp_trigger(trigger, &function))
	{
		orm_read_stamp_declaration(trigger, function, &declaration);
		options = orm_stamp_trigger_options(trigger);
		for (int role = 0; role < ORM_STAMP_ROLES; role++)
		{
			if (declaration.columns[role])
				policies = add_policy(policies, orm_stamp_role_name(role),
									  declaration.columns[role], trigger->tgname, options);
		}
		return policies;
	}

	if (trigger->tgnargs == 0)
		return NIL;
	for (int i = 1; i < trigger->tgnargs; i++)
		options = lappend(options, trigger->tgargs[i]);
	if (orm_is_soft_delete_trigger(trigger))
		return add_policy(NIL, SOFT_DELETE_POLICY, trigger->tgargs[0], trigger->tgname, options);
	if (orm_is_library_function(trigger->tgfoid, "orm_touch_parent"))
		return add_policy(NIL, TOUCH_POLICY, trigger->tgargs[0], trigger->tgname, options);
	return NIL;
}

/* Return policies as the rows of a set, with the columns that it wants. */
static void
return_policies(FunctionCallInfo fcinfo, List *policies, bool with_options)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, policies)
	{
		const Policy *policy = lfirst(lc);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(policy->policy);
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(policy->column));
		if (with_options)
			values[2] = PointerGetDatum(orm_text_array(policy->options));
		else
			values[2] = DirectFunctionCall1(namein, CStringGetDatum(policy->trigger));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* Check that a relation is a table of the role's own.  Errors: 42P01, 42501, 42809. */
static void
check_own_table(Oid relid)
{
	char		relkind;

	orm_check_relation(relid);
	relkind = get_rel_relkind(relid);
	if (!orm_owns_relation(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relkind),
					   get_rel_name(relid));
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be managed", get_rel_name(relid)),
				 errdetail_relkind_not_supported(relkind),
				 errhint("Name the table that holds the rows.")));
}

/* The first of some columns of a relation that has one of these names and fits. */
static const char *
find_column(Relation rel, List *columns, const char *const *names, int count,
			bool (*fits) (int role, Form_pg_attribute att), int role)
{
	for (int i = 0; i < count && names[i]; i++)
	{
		AttrNumber	attno = orm_find_column(RelationGetDescr(rel), names[i]);
		Form_pg_attribute att;

		if (attno == InvalidAttrNumber || (columns && !orm_contains_name(columns, names[i])))
			continue;
		att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
		if (fits(role, att))
			return names[i];
		ereport(NOTICE,
				(errmsg("column \"%s\" of table \"%s\" is left alone",
						names[i], RelationGetRelationName(rel)),
				 errdetail("It is of type %s%s.", format_type_be(att->atttypid),
						   att->attgenerated ? ", and generated" : "")));
	}
	return NULL;
}

static bool
fits_stamp(int role, Form_pg_attribute att)
{
	return !att->attgenerated && orm_stamp_role_accepts(role, att->atttypid);
}

/* A marker that enable_soft_delete() would take as it is. */
static bool
fits_marker(int role, Form_pg_attribute att)
{
	switch (att->atttypid)
	{
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return !att->attgenerated && !att->attnotnull;
		case BOOLOID:
		case INT8OID:
			return !att->attgenerated && att->attnotnull;
		default:
			return false;
	}
}

/* What a table has and what it is to have. */
typedef struct Management
{
	const char *table;			/* qualified and quoted */
	List	   *existing;		/* policies */
	const char *columns[ORM_STAMP_ROLES];	/* to be stamped from now on */
	const char *marker;			/* NULL where there is nothing to do */
	List	   *arguments;		/* of the stamp trigger that is there (char *) */
	bool		replace;		/* is there one to be replaced? */
} Management;

/* The column that an existing policy keeps for a purpose, NULL if none does. */
static const char *
existing_column(const Management *management, const char *policy)
{
	ListCell   *lc;

	foreach(lc, management->existing)
	{
		const Policy *existing = lfirst(lc);

		if (strcmp(existing->policy, policy) == 0)
			return existing->column;
	}
	return NULL;
}

/* Read the triggers of a table. */
static void
read_triggers(Relation rel, Management *management)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		management->existing = list_concat(management->existing,
										   policies_of_trigger(trigger));
		if (strcmp(trigger->tgname, STAMP_TRIGGER) != 0 || trigger->tgisclone)
			continue;
		management->replace = true;
		for (int j = 0; j < trigger->tgnargs; j++)
			management->arguments = lappend(management->arguments, trigger->tgargs[j]);
	}
}

/* Find out what is to be done to a table, by some of its columns or by all (NIL). */
static Management
plan_management(Oid relid, List *columns)
{
	Management	management = {0};
	Relation	rel = table_open(relid, ShareRowExclusiveLock);

	management.table = orm_relation_name(rel);
	read_triggers(rel, &management);
	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		if (existing_column(&management, orm_stamp_role_name(role)) == NULL)
			management.columns[role] = find_column(rel, columns, stamp_columns[role],
												   lengthof(stamp_columns[role]),
												   fits_stamp, role);
	}
	if (existing_column(&management, SOFT_DELETE_POLICY) == NULL)
		management.marker = find_column(rel, columns, marker_columns,
										lengthof(marker_columns), fits_marker, 0);
	table_close(rel, NoLock);
	return management;
}

/* What the stamp trigger of a table declares, without what others declared before. */
static List *
stamp_policies(Oid relid, List *before)
{
	Management	now = {0};
	Management	then = {.existing = before};
	Relation	rel = table_open(relid, NoLock);
	List	   *policies = NIL;
	ListCell   *lc;

	read_triggers(rel, &now);
	table_close(rel, NoLock);
	foreach(lc, now.existing)
	{
		Policy	   *policy = lfirst(lc);

		if (strcmp(policy->trigger, STAMP_TRIGGER) == 0 &&
			existing_column(&then, policy->policy) == NULL)
			policies = lappend(policies, policy);
	}
	return policies;
}

/* Is an argument "key=value" overruled by one of these options? */
static bool
is_overruled(const char *argument, List *options)
{
	size_t		length = strcspn(argument, "=") + 1;
	ListCell   *lc;

	foreach(lc, options)
	{
		if (strncmp(lfirst(lc), argument, length) == 0)
			return true;
	}
	return false;
}

/*
 * Create the stamp trigger, or put one in its place that keeps more columns or
 * has other options.
 */
static List *
create_stamp_trigger(Oid relid, const Management *management, List *options)
{
	List	   *arguments = NIL;
	ListCell   *lc;
	StringInfoData command;

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		const char *column = management->columns[role];

		if (column)
			arguments = lappend(arguments, psprintf("%s=%s", orm_stamp_role_name(role), column));
	}
	if (arguments == NIL && (options == NIL || !management->replace))
		return NIL;

	foreach(lc, management->arguments)
	{
		if (!is_overruled(lfirst(lc), options))
			arguments = lappend(arguments, lfirst(lc));
	}
	arguments = list_concat(arguments, options);
	initStringInfo(&command);
	appendStringInfo(&command, "CREATE %sTRIGGER " STAMP_TRIGGER
					 " BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp(",
					 management->replace ? "OR REPLACE " : "", management->table);
	foreach(lc, arguments)
		appendStringInfo(&command, "%s%s", lc == list_head(arguments) ? "" : ", ",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoChar(&command, ')');
	orm_run(command.data);

	/* new options are for the columns that were kept already as well */
	return stamp_policies(relid, options ? NIL : management->existing);
}

/*
 * Attach to one table what fits some of its columns (char *), or any of them
 * (NIL); return what was attached.
 */
List *
orm_manage_table(Oid relid, List *columns, List *options)
{
	Management	management = plan_management(relid, columns);
	List	   *policies = create_stamp_trigger(relid, &management, options);

	if (management.marker)
	{
		orm_run(psprintf("SELECT orm_ext.enable_soft_delete(%s::pg_catalog.regclass, %s)",
						 quote_literal_cstr(management.table),
						 quote_literal_cstr(management.marker)));
		policies = add_policy(policies, SOFT_DELETE_POLICY, management.marker,
							  "orm_soft_delete", NIL);
	}
	return policies;
}

/* Take off one table what is attached to it; return that. */
static List *
unmanage_table(Oid relid)
{
	Relation	rel = table_open(relid, ShareRowExclusiveLock);
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	const char *table = orm_relation_name(rel);
	List	   *policies = NIL;

	table_close(rel, NoLock);
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		List	   *declared = policies_of_trigger(trigger);

		if (declared == NIL || trigger->tgisclone)
			continue;
		if (orm_is_soft_delete_trigger(trigger))
			orm_run(psprintf("SELECT orm_ext.disable_soft_delete(%s::pg_catalog.regclass)",
							 quote_literal_cstr(table)));
		else
			orm_run(psprintf("DROP TRIGGER %s ON %s", quote_identifier(trigger->tgname), table));
		policies = list_concat(policies, declared);
	}
	return policies;
}

PG_FUNCTION_INFO_V1(orm_manage);
PG_FUNCTION_INFO_V1(orm_unmanage);
PG_FUNCTION_INFO_V1(orm_trigger_policies);

/*
 * orm_ext.manage(rel regclass, VARIADIC options text[])
 * → table (policy text, column name, trigger name)
 *
 * Errors: 42501 not the owner, 42809 not a table, 22023 unknown option, and
 * those of enable_soft_delete().
 */
Datum
orm_manage(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	List	   *options = orm_text_list(PG_GETARG_ARRAYTYPE_P(1));
	List	   *policies = NIL;
	ListCell   *lc;

	check_own_table(relid);
	foreach(lc, orm_tables_to_treat(relid, ShareRowExclusiveLock))
	{
		List	   *attached = orm_manage_table(lfirst_oid(lc), NIL, options);

		policies = list_concat(policies, attached);
	}
	return_policies(fcinfo, policies, false);
	return (Datum) 0;
}

/*
 * orm_ext.unmanage(rel regclass) → table (policy text, column name, trigger name)
 *
 * Errors: 42501 not the owner, 42809 not a table.
 */
Datum
orm_unmanage(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	List	   *policies = NIL;
	ListCell   *lc;

	check_own_table(relid);
	foreach(lc, orm_tables_to_treat(relid, ShareRowExclusiveLock))
	{
		List	   *removed = unmanage_table(lfirst_oid(lc));

		policies = list_concat(policies, removed);
	}
	return_policies(fcinfo, policies, false);
	return (Datum) 0;
}

/*
 * orm_ext.trigger_policies(function oid, arguments bytea)
 * → table (policy text, column name, options text[])
 *
 * What a row of pg_trigger declares.
 *
 * Error: 22021 where the arguments are no text.
 */
Datum
orm_trigger_policies(PG_FUNCTION_ARGS)
{
	bytea	   *arguments = PG_GETARG_BYTEA_PP(1);
	const char *argument = VARDATA_ANY(arguments);
	const char *end = argument + VARSIZE_ANY_EXHDR(arguments);
	Trigger		trigger = {.tgname = "",.tgfoid = PG_GETARG_OID(0)};

	/* each ends with a zero byte; leave out what does not */
	trigger.tgargs = palloc_array(char *, end - argument + 1);
	while (argument < end && memchr(argument, '\0', end - argument) &&
		   trigger.tgnargs < PG_INT16_MAX)
	{
		(void) pg_verifymbstr(argument, strlen(argument), false);
		trigger.tgargs[trigger.tgnargs++] = pstrdup(argument);
		argument += strlen(argument) + 1;
	}
	return_policies(fcinfo, policies_of_trigger(&trigger), true);
	return (Datum) 0;
}
