/*-------------------------------------------------------------------------
 *
 * check.c
 *		orm_ext.naming_check: explicit names that do not follow the convention.
 *
 * The check is made before the statement runs, since an index that takes an
 * hour to build, or is built concurrently, cannot be taken back for its name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "guc.h"
#include "naming.h"

/* Are two lists of names (char *) the same? */
static bool
equal_names(List *a, List *b)
{
	if (list_length(a) != list_length(b))
		return false;
	for (int i = 0; i < list_length(a); i++)
	{
		if (strcmp(list_nth(a, i), list_nth(b, i)) != 0)
			return false;
	}
	return true;
}

/*
 * Raise a WARNING or an ERROR if a name does not follow the conventions.  A
 * renamed object has an old name.
 */
void
orm_check_name(const OrmConventions *conventions, const OrmNameSubject *subject,
			   const char *name, const char *oldname, Oid namespaceid)
{
	const OrmConvention *convention = orm_convention(conventions, subject->schema, subject->kind);
	OrmNameSubject better;
	char	   *identity;

	if (orm_naming_check == ORM_NAMING_CHECK_OFF ||
		orm_name_conforms(conventions, subject, name))
		return;

	/*
	 * CREATE TABLE ... LIKE and ATTACH PARTITION need the CHECKs of two
	 * tables to have the same name, which can follow the convention for one
	 * of them only.
	 */
	if (subject->kind == ORM_NAME_CHECK && orm_check_exists(name, 0))
		return;

	identity = orm_name_identity(subject, name);
	if (orm_is_exempt(orm_load_exemptions(), identity))
		return;

	better = orm_subject_to_rename(convention, subject, name);
	ereport(orm_naming_check == ORM_NAMING_CHECK_ERROR ? ERROR : WARNING,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("name \"%s\" of %s on table \"%s\" does not follow the naming convention",
					name, orm_name_kind_noun(subject->kind), subject->table),
			 strlen(name) == NAMEDATALEN - 1
			 ? errdetail("The name is as long as a name can be, so it may have been cut.") : 0,
			 errhint("Expected is \"%s\". To keep the name: INSERT INTO orm_ext.naming_exemption (object, reason) VALUES (%s, 'why');",
					 orm_choose_free_name(convention, &better, namespaceid, oldname),
					 quote_literal_cstr(identity))));
}

/*
 * Warn if CREATE INDEX IF NOT EXISTS is going to pass over an index that is not
 * the one it was asked for: the names of two that are too long may have been
 * cut to the same.
 */
void
orm_check_existing_index(const OrmNameSubject *subject, const char *name, Oid relid)
{
	ListCell   *lc;

	if (strlen(name) < NAMEDATALEN - 1)
		return;
	foreach(lc, orm_named_of_relations(list_make1_oid(relid), false))
	{
		const OrmNamed *named = lfirst(lc);

		if (orm_has_index(named->subject.kind) && strcmp(named->name, name) == 0 &&
			equal_names(named->subject.columns, subject->columns))
			return;
	}
	ereport(WARNING,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("index \"%s\" exists already, but not with these columns of table \"%s\"",
					name, subject->table),
			 errdetail("The name is as long as a name can be, so it may have been cut."),
			 errhint("Leave out IF NOT EXISTS and the name to have one given.")));
}
