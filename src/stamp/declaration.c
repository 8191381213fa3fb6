/*-------------------------------------------------------------------------
 *
 * declaration.c
 *		Arguments of version(), timestamps() and stamp().
 *
 * version('column') and timestamps('created', 'updated') are short for
 * stamp('version=column') and stamp('created=...', 'updated=...').  Options
 * follow as key=value.  A column's name is written as it is, without quotes;
 * in the list of the option "ignore", a name with a comma or with spaces
 * around it is put in double quotes.
 *
 * Reading a declaration takes what it understands and never fails, since the
 * view orm_ext.managed and DDL look at whatever there is.  Checking it finds
 * every fault; that happens when the trigger is created, and again when it is
 * first used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "policy.h"
#include "stamp.h"
#include "util/names.h"

/* Which columns a role can have, and what to suggest where there is none. */
typedef struct StampRole
{
	const char *name;
	OrmStampFunction functions; /* that take it as an option */
	bool		(*accepts) (Oid type);
	const char *types;
	const char *definition;
} StampRole;

static bool
is_version_type(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID ||
		type == UUIDOID || type == TIMESTAMPTZOID;
}

static bool
is_time_type(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID ||
		type == INT8OID;
}

static bool
is_actor_type(Oid type)
{
	return type == UUIDOID || type == INT8OID || type == INT4OID ||
		type == REGROLEOID || TypeCategory(type) == TYPCATEGORY_STRING;
}

static bool
is_change_id_type(Oid type)
{
	return type == INT8OID;
}

#define VERSION_TYPES "smallint, integer, bigint, uuid or timestamp with time zone"
#define TIME_TYPES "timestamp with time zone, timestamp without time zone, date or bigint"
#define ACTOR_TYPES "a string type, integer, bigint, uuid or regrole"
#define BY_TRIGGER (ORM_FUNCTION_STAMP | ORM_FUNCTION_TIMESTAMPS)

static const StampRole roles[ORM_STAMP_ROLES] = {
	[ORM_STAMP_VERSION] = {"version", ORM_FUNCTION_STAMP, is_version_type,
	VERSION_TYPES, "bigint NOT NULL DEFAULT 1"},
	[ORM_STAMP_CREATED] = {"created", ORM_FUNCTION_STAMP, is_time_type,
	TIME_TYPES, "timestamptz NOT NULL DEFAULT now()"},
	[ORM_STAMP_CREATED_BY] = {"created_by", BY_TRIGGER, is_actor_type,
	ACTOR_TYPES, "text"},
	[ORM_STAMP_UPDATED] = {"updated", ORM_FUNCTION_STAMP, is_time_type,
	TIME_TYPES, "timestamptz NOT NULL DEFAULT now()"},
	[ORM_STAMP_UPDATED_BY] = {"updated_by", BY_TRIGGER, is_actor_type,
	ACTOR_TYPES, "text"},
	[ORM_STAMP_CHANGE_ID] = {"change_id", ORM_FUNCTION_STAMP, is_change_id_type,
	"bigint", "bigint"},
};

/* Options that are one word of several, and the field that each sets. */
typedef struct StampOption
{
	const char *name;
	OrmStampFunction functions;
	size_t		field;
	const char *values[4];
} StampOption;

#define FIELD(name) offsetof(OrmStampDeclaration, name)
#define BY_VERSION (ORM_FUNCTION_STAMP | ORM_FUNCTION_VERSION)

static const StampOption options[] = {
	{"mode", BY_VERSION, FIELD(mode), {"auto", "strict", "echo"}},
	{"overflow", BY_VERSION, FIELD(overflow), {"error", "wrap"}},
	{"clock", BY_VERSION | BY_TRIGGER, FIELD(clock), {"transaction", "statement", "wall"}},
	{"immutable", BY_TRIGGER, FIELD(immutable), {"keep", "error"}},
	{"unit", BY_TRIGGER, FIELD(unit), {"microseconds", "milliseconds", "seconds"}},
	{"zone", BY_TRIGGER, FIELD(zone), {"session", "utc"}},
	{"resent", BY_VERSION | BY_TRIGGER, FIELD(resent), {"keep", "move"}},
};

#define IGNORE "ignore"

/* Name of a role, which is that of its option too. */
const char *
orm_stamp_role_name(OrmStampRole role)
{
	return roles[role].name;
}

/* Can a column of this type, a domain or not, be kept for a role? */
bool
orm_stamp_role_accepts(OrmStampRole role, Oid type)
{
	return roles[role].accepts(getBaseType(type));
}

/* Does the trigger call one of the three functions, and which? */
bool
orm_is_stamp_trigger(const Trigger *trigger, OrmStampFunction *function)
{
	const char *symbol = orm_library_symbol(trigger->tgfoid);

	if (symbol == NULL)
		return false;
	if (strcmp(symbol, "orm_stamp") == 0)
		*function = ORM_FUNCTION_STAMP;
	else if (strcmp(symbol, "orm_version") == 0)
		*function = ORM_FUNCTION_VERSION;
	else if (strcmp(symbol, "orm_timestamps") == 0)
		*function = ORM_FUNCTION_TIMESTAMPS;
	else
		return false;
	return true;
}

/* SQL name of a function. */
static const char *
function_name(OrmStampFunction function)
{
	switch (function)
	{
		case ORM_FUNCTION_VERSION:
			return "version";
		case ORM_FUNCTION_TIMESTAMPS:
			return "timestamps";
		default:
			return "stamp";
	}
}

/* How many of its arguments are names of columns without a key? */
static int
leading_columns(OrmStampFunction function)
{
	switch (function)
	{
		case ORM_FUNCTION_VERSION:
			return 1;
		case ORM_FUNCTION_TIMESTAMPS:
			return 2;
		default:
			return 0;
	}
}

/* Role of an argument that is a column's name without a key. */
static OrmStampRole
leading_role(OrmStampFunction function, int argument)
{
	if (function == ORM_FUNCTION_VERSION)
		return ORM_STAMP_VERSION;
	return argument == 0 ? ORM_STAMP_CREATED : ORM_STAMP_UPDATED;
}

/* The value in "key=value", NULL if the argument has another key. */
static const char *
value_of(const char *argument, const char *key)
{
	size_t		length = strlen(key);

	if (strncmp(argument, key, length) == 0 && argument[length] == '=')
		return argument + length + 1;
	return NULL;
}

/* Read one name of an "ignore" list and move on behind the comma. */
static char *
next_name(const char **list)
{
	StringInfoData name;
	const char *s = *list;

	initStringInfo(&name);
	while (*s == ' ')
		s++;
	if (*s == '"')
	{
		for (s++; *s && (*s != '"' || s[1] == '"'); s++)
		{
			if (*s == '"')
				s++;
			appendStringInfoChar(&name, *s);
		}
		s += strcspn(s, ",");
	}
	else
	{
		size_t		length = strcspn(s, ",");

		appendBinaryStringInfo(&name, s, length);
		s += length;
		while (name.len > 0 && name.data[name.len - 1] == ' ')
			name.data[--name.len] = '\0';
	}
	*list = *s == ',' ? s + 1 : NULL;
	return name.data;
}

/* Split the value of "ignore" into names. */
static List *
split_names(const char *list)
{
	List	   *names = NIL;

	while (list != NULL)
	{
		char	   *name = next_name(&list);

		if (*name != '\0')
			names = lappend(names, name);
	}
	return names;
}

/* Is the value of "ignore" well-formed: empty, or names between the commas? */
static bool
is_list_of_names(const char *list)
{
	bool		quoted = false;

	for (const char *s = list; *s; s++)
		quoted ^= *s == '"';
	if (quoted)
		return false;
	while (list != NULL && *list != '\0')
	{
		if (*next_name(&list) == '\0')
			return false;
		if (list == NULL)
			return true;
		if (*list == '\0')
			return false;
	}
	return true;
}

/* Put names together again, with quotes where they are needed. */
static char *
join_names(List *names)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (list.len > 0)
			appendStringInfoChar(&list, ',');
		if (strpbrk(name, ",\" ") == NULL)
		{
			appendStringInfoString(&list, name);
			continue;
		}
		appendStringInfoChar(&list, '"');
		for (; *name; name++)
		{
			if (*name == '"')
				appendStringInfoChar(&list, '"');
			appendStringInfoChar(&list, *name);
		}
		appendStringInfoChar(&list, '"');
	}
	return list.data;
}

/* What can be wrong with one argument. */
typedef enum ArgumentFault
{
	ARGUMENT_FINE,
	ARGUMENT_UNKNOWN,
	ARGUMENT_BAD_VALUE,
	ARGUMENT_REPEATED
} ArgumentFault;

/* Name a column for a role; an empty name stands for none. */
static ArgumentFault
read_column(OrmStampDeclaration *declaration, OrmStampRole role, const char *name)
{
	if (declaration->columns[role] != NULL)
		return ARGUMENT_REPEATED;
	if (*name != '\0')
		declaration->columns[role] = pstrdup(name);
	return ARGUMENT_FINE;
}

/* Read one argument; "option" is set where one of the table is meant. */
static ArgumentFault
read_argument(OrmStampDeclaration *declaration, OrmStampFunction function,
			  int number, const char *argument, const StampOption **option)
{
	const char *value;

	*option = NULL;
	if (number < leading_columns(function))
		return read_column(declaration, leading_role(function, number), argument);

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		value = value_of(argument, roles[role].name);
		if (value && (roles[role].functions & function))
			return read_column(declaration, role, value);
	}

	value = value_of(argument, IGNORE);
	if (value)
	{
		declaration->ignore = list_concat(declaration->ignore, split_names(value));
		return is_list_of_names(value) ? ARGUMENT_FINE : ARGUMENT_BAD_VALUE;
	}

	for (int i = 0; i < lengthof(options); i++)
	{
		value = value_of(argument, options[i].name);
		if (value == NULL || !(options[i].functions & function))
			continue;
		*option = &options[i];
		if (declaration->given & (1 << i))
			return ARGUMENT_REPEATED;
		declaration->given |= 1 << i;
		for (int j = 0; j < lengthof(options[i].values) && options[i].values[j]; j++)
		{
			if (strcmp(value, options[i].values[j]) == 0)
			{
				*(int *) ((char *) declaration + options[i].field) = j;
				return ARGUMENT_FINE;
			}
		}
		return ARGUMENT_BAD_VALUE;
	}
	return ARGUMENT_UNKNOWN;
}

/* Read the arguments, leaving out what is not understood. */
void
orm_read_stamp_declaration(const Trigger *trigger, OrmStampFunction function,
						   OrmStampDeclaration *declaration)
{
	const StampOption *option;

	memset(declaration, 0, sizeof(*declaration));
	for (int i = 0; i < trigger->tgnargs; i++)
		(void) read_argument(declaration, function, i, trigger->tgargs[i], &option);
}

/* Names of the columns that a trigger cannot do without (char *). */
List *
orm_stamp_trigger_columns(const Trigger *trigger)
{
	OrmStampDeclaration declaration;
	OrmStampFunction function;
	List	   *names = NIL;

	if (!orm_is_stamp_trigger(trigger, &function))
		return NIL;
	orm_read_stamp_declaration(trigger, function, &declaration);
	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		if (declaration.columns[role])
			names = lappend(names, unconstify(char *, declaration.columns[role]));
	}
	return names;
}

/* Name of the column that a trigger keeps as change_id, NULL if none. */
const char *
orm_stamp_change_id_column(const Trigger *trigger)
{
	OrmStampDeclaration declaration;
	OrmStampFunction function;

	if (!orm_is_stamp_trigger(trigger, &function))
		return NULL;
	orm_read_stamp_declaration(trigger, function, &declaration);
	return declaration.columns[ORM_STAMP_CHANGE_ID];
}

/* Arguments of a trigger that do not name the columns to keep (char *). */
List *
orm_stamp_trigger_options(const Trigger *trigger)
{
	OrmStampFunction function;
	List	   *found = NIL;

	if (!orm_is_stamp_trigger(trigger, &function))
		return NIL;
	for (int i = leading_columns(function); i < trigger->tgnargs; i++)
	{
		bool		names_column = false;

		for (int role = 0; role < ORM_STAMP_ROLES; role++)
			names_column |= value_of(trigger->tgargs[i], roles[role].name) != NULL;
		if (!names_column)
			found = lappend(found, trigger->tgargs[i]);
	}
	return found;
}

/*
 * One argument after a column was renamed, or dropped from the list of ignored
 * ones (no new name).  NULL where that changes nothing.
 */
char *
orm_rename_in_stamp_argument(const Trigger *trigger, int argument,
							 const char *oldname, const char *newname)
{
	const char *text = trigger->tgargs[argument];
	const char *value;
	OrmStampFunction function;
	List	   *names;
	ListCell   *lc;
	bool		found = false;

	if (!orm_is_stamp_trigger(trigger, &function))
		return NULL;
	if (argument < leading_columns(function))
		return newname && strcmp(text, oldname) == 0 ? pstrdup(newname) : NULL;

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		value = value_of(text, roles[role].name);
		if (value && newname && strcmp(value, oldname) == 0)
			return psprintf("%s=%s", roles[role].name, newname);
	}

	value = value_of(text, IGNORE);
	if (value == NULL)
		return NULL;
	names = split_names(value);
	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), oldname) != 0)
			continue;
		found = true;
		if (newname)
			lfirst(lc) = pstrdup(newname);
		else
			names = foreach_delete_current(names, lc);
	}
	return found ? psprintf(IGNORE "=%s", join_names(names)) : NULL;
}

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
					 function_name(function));
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
				   function_name(function), arguments);
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
				   name, table, name, table, function_name(function), arguments.data);
}

/* Names of all options of a function, for a message. */
static char *
option_names(OrmStampFunction function)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		if (roles[role].functions & function)
			appendStringInfo(&names, "%s, ", roles[role].name);
	}
	for (int i = 0; i < lengthof(options); i++)
	{
		if (options[i].functions & function)
			appendStringInfo(&names, "%s, ", options[i].name);
	}
	appendStringInfoString(&names, IGNORE);
	return names.data;
}

/* Values of an option, for a message. */
static char *
option_values(const StampOption *option)
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
				int number, ArgumentFault fault, const StampOption *option)
{
	const char *argument = trigger->tgargs[number];

	if (fault == ARGUMENT_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized argument of function orm_ext.%s: \"%s\"",
						function_name(function), argument),
				 errdetail("Its options are written as name=value; there are: %s.",
						   option_names(function)),
				 hint_declaration(rel, trigger, function, number, NULL)));
	if (fault == ARGUMENT_REPEATED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" of function orm_ext.%s repeats another one",
						argument, function_name(function)),
				 errdetail("A trigger keeps one column of a kind, and each option has one value."),
				 hint_declaration(rel, trigger, function, number, NULL)));
	if (option)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\" of function orm_ext.%s: \"%s\"",
						option->name, function_name(function),
						value_of(argument, option->name)),
				 errdetail("Its values are: %s.", option_values(option)),
				 hint_declaration(rel, trigger, function, number,
								  psprintf("%s=%s", option->name, option->values[0]))));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid list of columns in argument \"%s\" of function orm_ext.%s",
					argument, function_name(function)),
			 errdetail("Names are separated by commas; one with a comma or a quote in it is put in double quotes."),
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
	bool		enough = trigger->tgnargs >= leading_columns(function);
	bool		any = false;

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
		any |= declaration->columns[role] != NULL;
	if (enough && any)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("function orm_ext.%s must be given the column%s to keep",
					function_name(function),
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
	const StampRole *wanted = &roles[role];
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
check_columns_differ(Relation rel, const Trigger *trigger, OrmStampFunction function,
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
								roles[j].name, roles[i].name),
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
		const StampOption *option;
		ArgumentFault fault = read_argument(declaration, function, i,
											trigger->tgargs[i], &option);

		if (fault != ARGUMENT_FINE)
			report_argument(rel, trigger, function, i, fault, option);
	}
	check_number(rel, trigger, function, declaration);
	check_columns_differ(rel, trigger, function, declaration);

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
