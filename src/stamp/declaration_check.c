/*-------------------------------------------------------------------------
 *
 * declaration_check.c
 *		Faults in declarations of version(), timestamps() and stamp().
 *
 * They are looked for when the trigger is created, when its table is altered,
 * and when it is first used in a session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "declaration.h"
#include "policy.h"
#include "stamp.h"
#include "util/names.h"

/*
 * The statement that declares a trigger anew, with one option set.  Events
 * and conditions of its own are the user's to add.
 */
char *
orm_stamp_declaration(Relation rel, const Trigger *trigger, const char *option)
{
	StringInfoData command;
	OrmStampFunction function;

	if (!orm_is_stamp_trigger(trigger, &function))
		return "";
	initStringInfo(&command);
	appendStringInfo(&command, "CREATE OR REPLACE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.%s(",
					 quote_identifier(trigger->tgname), orm_relation_name(rel),
					 orm_stamp_function_name(function));
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		if (strncmp(trigger->tgargs[i], option, strcspn(option, "=") + 1) != 0)
			appendStringInfo(&command, "%s, ", quote_literal_cstr(trigger->tgargs[i]));
	}
	appendStringInfo(&command, "%s);", quote_literal_cstr(option));
	return command.data;
}

/* A declaration as most tables have it, columns included. */
static int
hint_usual_declaration(Relation rel, const Trigger *trigger, OrmStampFunction function)
{
	const char *table = orm_relation_name(rel);
	const char *name = quote_identifier(trigger->tgname);
	const char *columns;
	const char *arguments;

	switch (function)
	{
		case ORM_FUNCTION_VERSION:
			columns = "ADD COLUMN IF NOT EXISTS version_id bigint NOT NULL DEFAULT 1";
			arguments = "'version_id'";
			break;
		case ORM_FUNCTION_TIMESTAMPS:
			columns = "ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now()";
			arguments = "'created_at', 'updated_at'";
			break;
		default:
			columns = "ADD COLUMN IF NOT EXISTS version_id bigint NOT NULL DEFAULT 1, ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now()";
			arguments = "'version=version_id', 'updated=updated_at'";
			break;
	}
	return errhint("DROP TRIGGER IF EXISTS %s ON %s; ALTER TABLE %s %s; CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.%s(%s);",
				   name, table, table, columns, name, table,
				   orm_stamp_function_name(function), arguments);
}

/* The declaration without one argument, or with another one in its place. */
static int
hint_declaration(Relation rel, const Trigger *trigger, OrmStampFunction function,
				 int argument, const char *replacement)
{
	StringInfoData arguments;
	const char *table = orm_relation_name(rel);
	const char *name = quote_identifier(trigger->tgname);

	initStringInfo(&arguments);
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		const char *text = i == argument ? replacement : trigger->tgargs[i];

		if (text)
			appendStringInfo(&arguments, "%s%s", arguments.len ? ", " : "",
							 quote_literal_cstr(text));
	}
	if (arguments.len == 0)
		return hint_usual_declaration(rel, trigger, function);
	return errhint("DROP TRIGGER IF EXISTS %s ON %s; CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.%s(%s);",
				   name, table, name, table, orm_stamp_function_name(function), arguments.data);
}

/* Names of all orm_stamp_options of a function, for a message. */
static char *
option_names(OrmStampFunction function)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		if (orm_stamp_roles[role].functions & function)
			appendStringInfo(&names, "%s, ", orm_stamp_roles[role].name);
	}
	for (int i = 0; i < orm_stamp_option_count; i++)
	{
		if (orm_stamp_options[i].functions & function)
			appendStringInfo(&names, "%s, ", orm_stamp_options[i].name);
	}
	appendStringInfoString(&names, ORM_IGNORE);
	return names.data;
}

/* Values of an option, for a message. */
static char *
option_values(const OrmStampOption *option)
{
	StringInfoData values;

	initStringInfo(&values);
	for (int i = 0; i < lengthof(option->values) && option->values[i]; i++)
		appendStringInfo(&values, "%s%s", i > 0 ? ", " : "", option->values[i]);
	return values.data;
}

/* Complain of an argument.  Error: 22023. */
static void
report_argument(Relation rel, const Trigger *trigger, OrmStampFunction function,
				int number, OrmArgumentFault fault, const OrmStampOption *option)
{
	const char *argument = trigger->tgargs[number];

	if (fault == ORM_ARGUMENT_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized argument of function orm_ext.%s: \"%s\"",
						orm_stamp_function_name(function), argument),
				 errdetail("Its options are written as name=value; there are: %s.",
						   option_names(function)),
				 hint_declaration(rel, trigger, function, number, NULL)));
	if (fault == ORM_ARGUMENT_REPEATED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" of function orm_ext.%s repeats another one",
						argument, orm_stamp_function_name(function)),
				 errdetail("A trigger keeps one column of a kind, and each option has one value."),
				 hint_declaration(rel, trigger, function, number, NULL)));
	if (option)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\" of function orm_ext.%s: \"%s\"",
						option->name, orm_stamp_function_name(function),
						orm_option_value(argument, option->name)),
				 errdetail("Its values are: %s.", option_values(option)),
				 hint_declaration(rel, trigger, function, number,
								  psprintf("%s=%s", option->name, option->values[0]))));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" of function orm_ext.%s does not name columns",
					argument, orm_stamp_function_name(function)),
			 errdetail("A name follows the equals sign; in a list, names are separated by commas, and one with a comma or a quote in it is put in double quotes."),
			 hint_declaration(rel, trigger, function, number, NULL)));
}

/*
 * Complain of a trigger on the wrong kind of relation or for the wrong event.
 *
 * Errors: 42809, 39P01.
 */
static void
check_event(Relation rel, const Trigger *trigger, OrmStampFunction function)
{
	int			events = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE;

	if (rel->rd_rel->relkind == RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("rows of \"%s\" cannot be stamped", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Create the trigger on the table that holds the rows; DROP TRIGGER IF EXISTS %s ON %s;",
						 quote_identifier(trigger->tgname), orm_relation_name(rel))));

	if (TRIGGER_FOR_ROW(trigger->tgtype) && TRIGGER_FOR_BEFORE(trigger->tgtype) &&
		(trigger->tgtype & events) != 0)
	{
		if (function != ORM_FUNCTION_TIMESTAMPS)
			events |= TRIGGER_TYPE_DELETE;
		if ((trigger->tgtype & TRIGGER_TYPE_EVENT_MASK & ~events) == 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("trigger \"%s\" of table \"%s\" must be fired BEFORE INSERT OR UPDATE, FOR EACH ROW",
					trigger->tgname, RelationGetRelationName(rel)),
			 errdetail("It changes the row that is about to be stored."),
			 hint_declaration(rel, trigger, function, -1, NULL)));
}

/* Complain of the number of arguments.  Error: 22023. */
static void
check_number(Relation rel, const Trigger *trigger, OrmStampFunction function,
			 const OrmStampDeclaration *declaration)
{
	bool		enough = trigger->tgnargs >= orm_leading_columns(function);
	bool		any = false;

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
		any |= declaration->columns[role] != NULL;
	if (enough && any)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("function orm_ext.%s must be given the column%s to keep",
					orm_stamp_function_name(function),
					function == ORM_FUNCTION_VERSION ? "" : "s"),
			 errdetail("Trigger \"%s\" of table \"%s\" gives it %s.",
					   trigger->tgname, RelationGetRelationName(rel),
					   enough ? "none" : "too few arguments"),
			 hint_usual_declaration(rel, trigger, function)));
}

/* Find a column that is named.  Error: 42703. */
static AttrNumber
check_column_exists(Relation rel, const Trigger *trigger, const char *name,
					const char *definition)
{
	AttrNumber	attno = orm_find_column(RelationGetDescr(rel), name);

	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(rel)),
				 errdetail("Trigger \"%s\" names it in its arguments.",
						   trigger->tgname),
				 errhint("ALTER TABLE %s ADD COLUMN %s %s;",
						 orm_relation_name(rel), quote_identifier(name), definition),
				 errtable(rel)));
	return attno;
}

/* Resolve a column for a role.  Errors: 42703, 42804, 428C9. */
static void
resolve_column(Relation rel, const Trigger *trigger, OrmStampRole role,
			   const char *name, OrmStampColumn *column)
{
	const OrmStampRoleInfo *wanted = &orm_stamp_roles[role];
	Form_pg_attribute att;

	column->attno = check_column_exists(rel, trigger, name, wanted->definition);
	att = TupleDescAttr(RelationGetDescr(rel), column->attno - 1);
	column->typmod = att->atttypmod;
	column->type = getBaseTypeAndTypmod(att->atttypid, &column->typmod);
	column->domain = column->type != att->atttypid ? att->atttypid : InvalidOid;

	if (!wanted->accepts(column->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" cannot be kept as \"%s\"",
						name, RelationGetRelationName(rel), wanted->name),
				 errdetail("It is of type %s; such a column is of type %s.",
						   format_type_be(att->atttypid), wanted->types),
				 errhint("Name a column of such a type, as ALTER TABLE %s ADD COLUMN new_%s %s; makes one.",
						 orm_relation_name(rel), wanted->name, wanted->definition),
				 errtablecol(rel, column->attno)));
	if (att->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of table \"%s\" cannot be kept as \"%s\"",
						name, RelationGetRelationName(rel), wanted->name),
				 errdetail("It is a generated column."),
				 errhint("Name an ordinary column, as ALTER TABLE %s ADD COLUMN new_%s %s; makes one.",
						 orm_relation_name(rel), wanted->name, wanted->definition),
				 errtablecol(rel, column->attno)));
}

/* A column is kept for one purpose.  Error: 42710. */
static void
check_columns_differ(Relation rel, const Trigger *trigger,
					 const OrmStampDeclaration *declaration)
{
	for (int i = 0; i < ORM_STAMP_ROLES; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (declaration->columns[i] && declaration->columns[j] &&
				strcmp(declaration->columns[i], declaration->columns[j]) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_OBJECT),
						 errmsg("column \"%s\" of table \"%s\" cannot be kept as \"%s\" and as \"%s\"",
								declaration->columns[i], RelationGetRelationName(rel),
								orm_stamp_roles[j].name, orm_stamp_roles[i].name),
						 errdetail("Trigger \"%s\" names it twice.", trigger->tgname),
						 errhint("DROP TRIGGER IF EXISTS %s ON %s; and name another column.",
								 quote_identifier(trigger->tgname),
								 orm_relation_name(rel)),
						 errtable(rel)));
		}
	}
}

/*
 * Check the declaration of a stamp trigger, and find its columns.
 *
 * Errors: 39P01 (kind of trigger), 22023 (arguments), 42703 (no such column),
 * 42804 (type), 428C9 (generated column), 42710 (a column named twice).
 */
void
orm_resolve_stamp_trigger(Relation rel, const Trigger *trigger,
						  OrmStampDeclaration *declaration,
						  OrmStampColumn *columns)
{
	OrmStampFunction function;
	ListCell   *lc;

	if (!orm_is_stamp_trigger(trigger, &function))
		elog(ERROR, "trigger \"%s\" does not call a function of orm_ext", trigger->tgname);

	check_event(rel, trigger, function);
	memset(declaration, 0, sizeof(*declaration));
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		const OrmStampOption *option;
		OrmArgumentFault fault = orm_read_stamp_argument(declaration, function, i,
														 trigger->tgargs[i], &option);

		if (fault != ORM_ARGUMENT_FINE)
			report_argument(rel, trigger, function, i, fault, option);
	}
	check_number(rel, trigger, function, declaration);
	check_columns_differ(rel, trigger, declaration);

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		memset(&columns[role], 0, sizeof(columns[role]));
		if (declaration->columns[role])
			resolve_column(rel, trigger, role, declaration->columns[role], &columns[role]);
	}
	foreach(lc, declaration->ignore)
		check_column_exists(rel, trigger, lfirst(lc), "text");
}

/* The same where only the errors matter. */
void
orm_check_stamp_trigger(Relation rel, const Trigger *trigger)
{
	OrmStampDeclaration declaration;
	OrmStampColumn columns[ORM_STAMP_ROLES];

	orm_resolve_stamp_trigger(rel, trigger, &declaration, columns);
}
