/*-------------------------------------------------------------------------
 *
 * template.c
 *		Templates of names, in the token language of SQLAlchemy's
 *		MetaData.naming_convention.
 *
 * A template is literal text with tokens such as %(table_name)s in it.  It is
 * parsed into parts once, and expanded for each name.  What SQLAlchemy
 * documents but does not implement, or implements only by accident, is
 * refused, so that the same template gives the same names in both places.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "naming.h"

/* What a part of a template stands for. */
typedef enum PartKind
{
	PART_LITERAL,
	PART_TABLE,
	PART_COLUMN,
	PART_LABEL,					/* table and column */
	PART_REFERRED_TABLE,
	PART_REFERRED_COLUMN,
	PART_CONSTRAINT_NAME
} PartKind;

#define ALL_COLUMNS (-1)

typedef struct Part
{
	PartKind	kind;
	const char *literal;
	int			position;		/* of the column, or ALL_COLUMNS */
	const char *separator;		/* between all columns */
} Part;

struct OrmTemplate
{
	List	   *parts;			/* Part */
	bool		wants_name;
	bool		wants_referred;
};

/* Parts of a name in the making. */
typedef struct Expansion
{
	const OrmConvention *convention;
	const OrmNameSubject *subject;
	OrmNamePart *parts;
	int			count;
	int			size;
} Expansion;

/* Step over a prefix, if it is there. */
static bool
skip(const char **string, const char *prefix)
{
	size_t		length = strlen(prefix);

	if (strncmp(*string, prefix, length) != 0)
		return false;
	*string += length;
	return true;
}

/* What follows "column_" or "referred_column_": a position, and what of the column. */
static bool
parse_column_token(const char *token, bool is_referred, Part *part)
{
	if (!isdigit((unsigned char) *token))
		return false;
	part->position = 0;
	for (; isdigit((unsigned char) *token); token++)
	{
		part->position = part->position * 10 + (*token - '0');
		if (part->position > 1000)
			return false;
	}

	if (skip(&token, "_N_"))
		part->separator = "_";
	else if (skip(&token, "N_"))
		part->separator = "";
	else if (!skip(&token, "_"))
		return false;
	if (part->separator != NULL)
	{
		if (part->position != 0)
			return false;
		part->position = ALL_COLUMNS;
	}

	if (is_referred)
	{
		part->kind = PART_REFERRED_COLUMN;
		return strcmp(token, "name") == 0;
	}
	part->kind = strcmp(token, "label") == 0 ? PART_LABEL : PART_COLUMN;
	return part->kind == PART_LABEL || strcmp(token, "name") == 0 || strcmp(token, "key") == 0;
}

/* What stands between "%(" and ")s". */
static bool
parse_token(const char *token, Part *part)
{
	if (strcmp(token, "table_name") == 0)
		part->kind = PART_TABLE;
	else if (strcmp(token, "referred_table_name") == 0)
		part->kind = PART_REFERRED_TABLE;
	else if (strcmp(token, "constraint_name") == 0)
		part->kind = PART_CONSTRAINT_NAME;
	else if (skip(&token, "column_"))
		return parse_column_token(token, false, part);
	else if (skip(&token, "referred_column_"))
		return parse_column_token(token, true, part);
	else
		return false;
	return true;
}

/* Append literal text that was collected, and begin anew. */
static void
finish_literal(OrmTemplate *template, StringInfo literal)
{
	Part	   *part;

	if (literal->len == 0)
		return;
	part = palloc0_object(Part);
	part->kind = PART_LITERAL;
	part->literal = pstrdup(literal->data);
	template->parts = lappend(template->parts, part);
	resetStringInfo(literal);
}

/* Does a part, the last one, end like the names that PostgreSQL 18 gives to NOT NULL? */
static bool
is_not_null_name(const Part *part)
{
	const char *ending = "_not_null";
	size_t		length = part->kind == PART_LITERAL ? strlen(part->literal) : 0;

	return length >= strlen(ending) &&
		strcmp(part->literal + length - strlen(ending), ending) == 0;
}

/*
 * Parse a template.  If that fails, the result is NULL and *problem is a
 * sentence for the detail of an error.
 */
OrmTemplate *
orm_parse_template(const char *string, const char **problem)
{
	OrmTemplate *template = palloc0_object(OrmTemplate);
	StringInfoData literal;

	initStringInfo(&literal);
	while (*string)
	{
		const char *end;
		char	   *token;
		Part	   *part;

		if (*string != '%')
		{
			appendStringInfoChar(&literal, *string++);
			continue;
		}
		if (skip(&string, "%%"))
		{
			appendStringInfoChar(&literal, '%');
			continue;
		}
		if (!skip(&string, "%(") || (end = strstr(string, ")s")) == NULL)
		{
			*problem = "A token has the form %(token)s; a percent sign by itself is written %%.";
			return NULL;
		}
		token = pnstrdup(string, end - string);
		part = palloc0_object(Part);
		if (!parse_token(token, part))
		{
			*problem = psprintf("There is no token \"%s\".", token);
			return NULL;
		}
		finish_literal(template, &literal);
		template->parts = lappend(template->parts, part);
		template->wants_name |= part->kind == PART_CONSTRAINT_NAME;
		template->wants_referred |= part->kind == PART_REFERRED_COLUMN;
		string = end + strlen(")s");
	}
	finish_literal(template, &literal);

	if (template->parts == NIL)
	{
		*problem = "The template is empty; NULL leaves names alone.";
		return NULL;
	}
	if (is_not_null_name(llast(template->parts)))
	{
		*problem = "Names of NOT NULL constraints end in \"_not_null\".";
		return NULL;
	}
	return template;
}

/* The tokens that there are, for a hint. */
const char *
orm_template_problem_hint(void)
{
	return "Tokens are table_name, column_0_name, column_0N_name, column_0_N_name (and column_1_name ...; "
		"the same with _label, that is table and column, or _key), referred_table_name, "
		"referred_column_0_name, referred_column_0N_name, referred_column_0_N_name and constraint_name.";
}

/* Does a template put the name that was given into the name? */
bool
orm_template_wants_name(const OrmTemplate *template)
{
	return template->wants_name;
}

/* Does it put columns into the name that a foreign key refers to? */
bool
orm_template_wants_referred(const OrmTemplate *template)
{
	return template->wants_referred;
}

/* Add a piece of text to the name. */
static void
add_part(Expansion *expansion, const char *string, bool is_variable)
{
	if (expansion->count == expansion->size)
	{
		expansion->size = Max(16, expansion->size * 2);
		expansion->parts = expansion->parts
			? repalloc_array(expansion->parts, OrmNamePart, expansion->size)
			: palloc_array(OrmNamePart, expansion->size);
	}
	expansion->parts[expansion->count++] = (OrmNamePart)
	{
		.string = string,.is_variable = is_variable
	};
}

/* Add the names of columns: one, which may be missing, or all. */
static void
add_columns(Expansion *expansion, const Part *part, List *columns)
{
	StringInfoData joined;
	ListCell   *lc;

	if (part->position != ALL_COLUMNS)
	{
		if (part->position < list_length(columns))
			add_part(expansion, list_nth(columns, part->position), true);
		return;
	}
	initStringInfo(&joined);
	foreach(lc, columns)
	{
		if (lc != list_head(columns))
			appendStringInfoString(&joined, part->separator);
		appendStringInfoString(&joined, lfirst(lc));
	}
	add_part(expansion, joined.data, true);
}

/* Add the label of one column: the table's name, and the schema's if wanted, before it. */
static void
add_label(Expansion *expansion, const char *column)
{
	if (expansion->convention->schema_in_label)
	{
		char	   *schema = pstrdup(expansion->subject->schema);

		for (char *dot = strchr(schema, '.'); dot; dot = strchr(dot, '.'))
			*dot = '_';
		add_part(expansion, schema, true);
		add_part(expansion, "_", false);
	}
	add_part(expansion, expansion->subject->table, true);
	add_part(expansion, "_", false);
	add_part(expansion, column, true);
}

/* Add labels of columns: of one, which may be missing, or of all. */
static void
add_labels(Expansion *expansion, const Part *part)
{
	List	   *columns = expansion->subject->columns;
	ListCell   *lc;

	foreach(lc, columns)
	{
		int			position = foreach_current_index(lc);

		if (part->position == ALL_COLUMNS && position > 0)
			add_part(expansion, part->separator, false);
		if (part->position == ALL_COLUMNS || part->position == position)
			add_label(expansion, lfirst(lc));
	}
}

/* Add what a part stands for. */
static void
expand_part(Expansion *expansion, const Part *part)
{
	const OrmNameSubject *subject = expansion->subject;

	switch (part->kind)
	{
		case PART_LITERAL:
			add_part(expansion, part->literal, false);
			break;
		case PART_TABLE:
			add_part(expansion, subject->table, true);
			break;
		case PART_COLUMN:
			add_columns(expansion, part, subject->columns);
			break;
		case PART_LABEL:
			add_labels(expansion, part);
			break;
		case PART_REFERRED_TABLE:
			if (subject->referred_table)
				add_part(expansion, subject->referred_table, true);
			break;
		case PART_REFERRED_COLUMN:
			add_columns(expansion, part, subject->referred_columns);
			break;
		case PART_CONSTRAINT_NAME:
			if (subject->constraint_name)
				add_part(expansion, subject->constraint_name, true);
			break;
	}
}

/*
 * The name that a template gives, shortened if need be, with digits behind it
 * that tell it from others; they may be empty.
 */
char *
orm_expand_template(const OrmConvention *convention, const OrmNameSubject *subject,
					OrmNameOverflow overflow, const char *digits)
{
	Expansion	expansion = {.convention = convention,.subject = subject};
	ListCell   *lc;

	foreach(lc, convention->template->parts)
		expand_part(&expansion, lfirst(lc));
	return orm_join_name(expansion.parts, expansion.count, overflow, digits);
}

/* Text of parts from one on, as far as another. */
static char *
text_of_parts(const OrmConvention *convention, const OrmNameSubject *subject, int from, int to)
{
	Expansion	expansion = {.convention = convention,.subject = subject};
	StringInfoData string;

	for (int i = from; i < to; i++)
		expand_part(&expansion, list_nth(convention->template->parts, i));
	initStringInfo(&string);
	for (int i = 0; i < expansion.count; i++)
		appendStringInfoString(&string, expansion.parts[i].string);
	return string.data;
}

/* Does nothing come of a template?  Columns that it names may be missing. */
bool
orm_template_is_void(const OrmConvention *convention, const OrmNameSubject *subject)
{
	return *text_of_parts(convention, subject, 0, list_length(convention->template->parts)) == '\0';
}

/*
 * For a template that wants a name: what stands before the first place of it,
 * and what after the last.
 */
void
orm_template_frame(const OrmConvention *convention, const OrmNameSubject *subject,
				   char **before, char **after)
{
	int			first = -1;
	int			last = -1;
	ListCell   *lc;

	foreach(lc, convention->template->parts)
	{
		if (((Part *) lfirst(lc))->kind != PART_CONSTRAINT_NAME)
			continue;
		if (first < 0)
			first = foreach_current_index(lc);
		last = foreach_current_index(lc);
	}
	*before = text_of_parts(convention, subject, 0, first);
	*after = text_of_parts(convention, subject, last + 1, list_length(convention->template->parts));
}
