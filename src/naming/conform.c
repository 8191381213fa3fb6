/*-------------------------------------------------------------------------
 *
 * conform.c
 *		Does a name follow its convention?
 *
 * A name conforms if the convention could have given it: as it is, shortened
 * by either rule, or with the digits that tell it from another one.  Where a
 * template has %(constraint_name)s in it, anything may stand there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/defrem.h"

#include "naming.h"

/* Length of the digits that a name ends in; PostgreSQL's begin at 1. */
static int
trailing_digits(const char *name)
{
	int			length = strlen(name);
	int			digits = 0;

	while (digits < length && isdigit((unsigned char) name[length - 1 - digits]))
		digits++;
	return digits;
}

/* Is a name the one that a template gives, by a rule for long names, or that with digits? */
static bool
is_expansion(const OrmConvention *convention, const OrmNameSubject *subject,
			 OrmNameOverflow overflow, const char *name)
{
	int			length = strlen(name);

	for (int digits = trailing_digits(name); digits >= 0; digits--)
	{
		const char *tail = name + length - digits;

		if (*tail != '0' &&
			strcmp(orm_expand_template(convention, subject, overflow, tail), name) == 0)
			return true;
	}
	return false;
}

/* Is a name "before", something, "after", or a longer one shortened?  Digits may follow. */
static bool
is_framed(const char *name, const char *before, const char *after)
{
	size_t		nbefore = strlen(before);
	size_t		nafter = strlen(after);

	for (int digits = trailing_digits(name); digits >= 0; digits--)
	{
		size_t		rest = strlen(name) - digits;

		if (rest > nbefore + nafter &&
			strncmp(name, before, nbefore) == 0 &&
			strncmp(name + rest - nafter, after, nafter) == 0)
			return true;
		if (orm_is_shortened(name, rest, before, after))
			return true;
	}
	return false;
}

/* Is a name what PostgreSQL calls a CHECK of several columns, or none? */
static bool
is_native_check(const OrmNameSubject *subject, const char *name)
{
	for (int digits = trailing_digits(name); digits >= 0; digits--)
	{
		const char *label = psprintf("check%s", name + strlen(name) - digits);

		if (strcmp(makeObjectName(subject->table, NULL, label), name) == 0)
			return true;
	}
	return false;
}

/* The same for one rule of the convention. */
static bool
conforms_to(const OrmConvention *convention, const OrmNameSubject *subject, const char *name)
{
	OrmNameSubject named = *subject;
	char	   *before;
	char	   *after;

	if (convention->template == NULL || (subject->kind == ORM_NAME_INDEX && subject->columns == NIL))
		return true;
	if (subject->kind == ORM_NAME_CHECK && list_length(subject->columns) == 1)
		named.constraint_name = linitial(subject->columns);
	if ((named.constraint_name || !orm_template_wants_name(convention->template)) &&
		(orm_template_is_void(convention, &named) ||
		 is_expansion(convention, &named, ORM_NAME_OVERFLOW_SQLALCHEMY, name) ||
		 is_expansion(convention, &named, ORM_NAME_OVERFLOW_POSTGRES, name)))
		return true;
	if (!orm_template_wants_name(convention->template))
		return false;

	orm_template_frame(convention, subject, &before, &after);
	return is_framed(name, before, after) ||
		(subject->kind == ORM_NAME_CHECK && is_native_check(subject, name));
}

/* Does a name follow the conventions? */
bool
orm_name_conforms(const OrmConventions *conventions, const OrmNameSubject *subject,
				  const char *name)
{
	return conforms_to(orm_convention(conventions, subject->schema, subject->kind), subject, name) ||
		orm_goes_by_unique(conventions, subject, name);
}

/*
 * Does a unique index have the name of a unique constraint?  It may stand for
 * one, as under soft delete.
 */
bool
orm_goes_by_unique(const OrmConventions *conventions, const OrmNameSubject *subject,
				   const char *name)
{
	return subject->is_unique_index &&
		!conforms_to(orm_convention(conventions, subject->schema, ORM_NAME_INDEX), subject, name) &&
		conforms_to(orm_convention(conventions, subject->schema, ORM_NAME_UNIQUE), subject, name);
}

/* Step over what a name begins with, if something remains. */
static const char *
without_beginning(const char *name, const char *beginning)
{
	size_t		length = strlen(beginning);

	return strncmp(name, beginning, length) == 0 && name[length] != '\0' ? name + length : name;
}

/* Cut what a name ends in, with digits behind it or not, if something remains. */
static void
cut_ending(char *name, const char *ending)
{
	int			length = strlen(name) - trailing_digits(name);
	int			rest = length - (int) strlen(ending);

	if (rest > 0 && strncmp(name + rest, ending, strlen(ending)) == 0)
		name[rest] = '\0';
}

/*
 * What a name says by itself: without what conventions put around it.  That of
 * a CHECK of one column which ends in the column is the column.
 */
static const char *
core_of_name(const OrmNameSubject *subject, const char *name)
{
	char	   *core = pstrdup(without_beginning(without_beginning(name, "ck_"), "chk_"));

	core = pstrdup(without_beginning(core, psprintf("%s_", subject->table)));
	cut_ending(core, "_check");
	cut_ending(core, "_chk");
	cut_ending(core, "_ck");

	if (subject->kind == ORM_NAME_CHECK && list_length(subject->columns) == 1)
	{
		const char *column = linitial(subject->columns);
		int			rest = (int) strlen(core) - (int) strlen(column);

		if (rest > 0 && core[rest - 1] == '_' && strcmp(core + rest, column) == 0)
			return column;
	}
	return core;
}

/*
 * The subject for a new name in place of one that does not conform, where the
 * template wants what the name says.
 */
OrmNameSubject
orm_subject_to_rename(const OrmConvention *convention, const OrmNameSubject *subject,
					  const char *name)
{
	OrmNameSubject result = *subject;

	if (convention->template && orm_template_wants_name(convention->template) &&
		!(subject->kind == ORM_NAME_CHECK && is_native_check(subject, name)))
		result.constraint_name = core_of_name(subject, name);
	return result;
}
