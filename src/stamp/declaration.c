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
 * view orm_ext.managed and DDL look at whatever there is.  declaration_check.c
 * finds every fault.
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

#include "declaration.h"
#include "stamp.h"
#include "util/names.h"

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

bool
orm_is_actor_type(Oid type)
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

const OrmStampRoleInfo orm_stamp_roles[ORM_STAMP_ROLES] = {
	[ORM_STAMP_VERSION] = {"version", ORM_FUNCTION_STAMP, is_version_type,
	VERSION_TYPES, "bigint NOT NULL DEFAULT 1"},
	[ORM_STAMP_CREATED] = {"created", ORM_FUNCTION_STAMP, is_time_type,
	TIME_TYPES, "timestamptz NOT NULL DEFAULT now()"},
	[ORM_STAMP_CREATED_BY] = {"created_by", BY_TRIGGER, orm_is_actor_type,
	ACTOR_TYPES, "text"},
	[ORM_STAMP_UPDATED] = {"updated", ORM_FUNCTION_STAMP, is_time_type,
	TIME_TYPES, "timestamptz NOT NULL DEFAULT now()"},
	[ORM_STAMP_UPDATED_BY] = {"updated_by", BY_TRIGGER, orm_is_actor_type,
	ACTOR_TYPES, "text"},
	[ORM_STAMP_CHANGE_ID] = {"change_id", ORM_FUNCTION_STAMP, is_change_id_type,
	"bigint", "bigint"},
};

#define FIELD(name) offsetof(OrmStampDeclaration, name)
#define BY_VERSION (ORM_FUNCTION_STAMP | ORM_FUNCTION_VERSION)

const OrmStampOption orm_stamp_options[] = {
	{"mode", BY_VERSION, FIELD(mode), {"auto", "strict", "echo"}},
	{"overflow", BY_VERSION, FIELD(overflow), {"error", "wrap"}},
	{"clock", BY_VERSION | BY_TRIGGER, FIELD(clock), {"transaction", "statement", "wall"}},
	{"immutable", BY_TRIGGER, FIELD(immutable), {"keep", "error"}},
	{"unit", BY_TRIGGER, FIELD(unit), {"microseconds", "milliseconds", "seconds"}},
	{"zone", BY_TRIGGER, FIELD(zone), {"session", "utc"}},
	{"resent", BY_VERSION | BY_TRIGGER, FIELD(resent), {"keep", "move"}},
};

const int	orm_stamp_option_count = lengthof(orm_stamp_options);

/* Name of a role, which is that of its option too. */
const char *
orm_stamp_role_name(OrmStampRole role)
{
	return orm_stamp_roles[role].name;
}

/* Can a column of this type, a domain or not, be kept for a role? */
bool
orm_stamp_role_accepts(OrmStampRole role, Oid type)
{
	return orm_stamp_roles[role].accepts(getBaseType(type));
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
const char *
orm_stamp_function_name(OrmStampFunction function)
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
int
orm_leading_columns(OrmStampFunction function)
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
const char *
orm_option_value(const char *argument, const char *key)
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

/* Name a column for a role; an empty name stands for none. */
static OrmArgumentFault
read_column(OrmStampDeclaration *declaration, OrmStampRole role, const char *name)
{
	if (declaration->columns[role] != NULL)
		return ORM_ARGUMENT_REPEATED;
	if (*name != '\0')
		declaration->columns[role] = pstrdup(name);
	return ORM_ARGUMENT_FINE;
}

/* Read one argument; "option" is set where one of the table is meant. */
OrmArgumentFault
orm_read_stamp_argument(OrmStampDeclaration *declaration, OrmStampFunction function,
						int number, const char *argument, const OrmStampOption **option)
{
	const char *value;

	*option = NULL;
	if (number < orm_leading_columns(function))
		return read_column(declaration, leading_role(function, number), argument);

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		value = orm_option_value(argument, orm_stamp_roles[role].name);
		if (value && (orm_stamp_roles[role].functions & function))
			return *value == '\0' ? ORM_ARGUMENT_BAD_VALUE :
				read_column(declaration, role, value);
	}

	value = orm_option_value(argument, ORM_IGNORE);
	if (value)
	{
		declaration->ignore = list_concat(declaration->ignore, split_names(value));
		return is_list_of_names(value) ? ORM_ARGUMENT_FINE : ORM_ARGUMENT_BAD_VALUE;
	}

	for (int i = 0; i < lengthof(orm_stamp_options); i++)
	{
		value = orm_option_value(argument, orm_stamp_options[i].name);
		if (value == NULL || !(orm_stamp_options[i].functions & function))
			continue;
		*option = &orm_stamp_options[i];
		if (declaration->given & (1 << i))
			return ORM_ARGUMENT_REPEATED;
		declaration->given |= 1 << i;
		for (int j = 0; j < lengthof(orm_stamp_options[i].values) && orm_stamp_options[i].values[j]; j++)
		{
			if (strcmp(value, orm_stamp_options[i].values[j]) == 0)
			{
				*(int *) ((char *) declaration + orm_stamp_options[i].field) = j;
				return ORM_ARGUMENT_FINE;
			}
		}
		return ORM_ARGUMENT_BAD_VALUE;
	}
	return ORM_ARGUMENT_UNKNOWN;
}

/* Read the arguments, leaving out what is not understood. */
void
orm_read_stamp_declaration(const Trigger *trigger, OrmStampFunction function,
						   OrmStampDeclaration *declaration)
{
	const OrmStampOption *option;

	memset(declaration, 0, sizeof(*declaration));
	for (int i = 0; i < trigger->tgnargs; i++)
		(void) orm_read_stamp_argument(declaration, function, i, trigger->tgargs[i], &option);
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

/* Name of the column that a trigger keeps for a role, NULL if none. */
const char *
orm_kept_column(const Trigger *trigger, OrmStampRole role)
{
	OrmStampDeclaration declaration;
	OrmStampFunction function;

	if (!orm_is_stamp_trigger(trigger, &function))
		return NULL;
	orm_read_stamp_declaration(trigger, function, &declaration);
	return declaration.columns[role];
}

/* Arguments of a trigger that do not name the columns to keep (char *). */
List *
orm_stamp_trigger_options(const Trigger *trigger)
{
	OrmStampFunction function;
	List	   *found = NIL;

	if (!orm_is_stamp_trigger(trigger, &function))
		return NIL;
	for (int i = orm_leading_columns(function); i < trigger->tgnargs; i++)
	{
		bool		names_column = false;

		for (int role = 0; role < ORM_STAMP_ROLES; role++)
			names_column |= orm_option_value(trigger->tgargs[i], orm_stamp_roles[role].name) != NULL;
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
	if (argument < orm_leading_columns(function))
		return newname && strcmp(text, oldname) == 0 ? pstrdup(newname) : NULL;

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		value = orm_option_value(text, orm_stamp_roles[role].name);
		if (value && newname && strcmp(value, oldname) == 0)
			return psprintf("%s=%s", orm_stamp_roles[role].name, newname);
	}

	value = orm_option_value(text, ORM_IGNORE);
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
	return found ? psprintf(ORM_IGNORE "=%s", join_names(names)) : NULL;
}
