/*-------------------------------------------------------------------------
 *
 * choose.c
 *		The name that a convention gives, and one that is free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "naming.h"

/*
 * Can a convention give a name?  A CHECK that wants a name but has none goes by
 * its column, if it has exactly one, as in PostgreSQL.
 */
static bool
complete_subject(const OrmConvention *convention, OrmNameSubject *subject)
{
	if (convention->template == NULL)
		return false;
	if (orm_template_wants_name(convention->template) && subject->constraint_name == NULL)
	{
		if (subject->kind != ORM_NAME_CHECK || list_length(subject->columns) != 1)
			return false;
		subject->constraint_name = linitial(subject->columns);
	}

	/* an index of nothing but constants has nothing to go by */
	return subject->kind != ORM_NAME_INDEX || subject->columns != NIL;
}

/* The name with digits behind it, if any; NULL if the convention gives none. */
static char *
expand(const OrmConvention *convention, const OrmNameSubject *subject, const char *digits)
{
	OrmNameSubject complete = *subject;

	if (!complete_subject(convention, &complete) || orm_template_is_void(convention, &complete))
		return NULL;
	return orm_expand_template(convention, &complete, convention->overflow, digits);
}

/* The name that a convention gives without a look at others, NULL if it gives none. */
char *
orm_expected_name(const OrmConvention *convention, const OrmNameSubject *subject)
{
	return expand(convention, subject, "");
}

/* That name, or the first one with digits that is not taken. */
char *
orm_choose_name(const OrmConvention *convention, const OrmNameSubject *subject,
				OrmNameIsTaken is_taken, void *state)
{
	char	   *name = orm_expected_name(convention, subject);

	for (int number = 1; name != NULL && is_taken(name, state); number++)
		name = expand(convention, subject, psprintf("%d", number));
	return name;
}

/*
 * Is there a relation of a name?  One that another transaction is about to
 * create counts as well, as it does for PostgreSQL's ChooseRelationName().
 */
bool
orm_relation_name_exists(const char *name, Oid namespaceid)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SnapshotData dirty;
	ScanKeyData keys[2];
	SysScanDesc scan;
	bool		exists;

	InitDirtySnapshot(dirty);
	ScanKeyInit(&keys[0], Anum_pg_class_relname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	ScanKeyInit(&keys[1], Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(namespaceid));
	scan = systable_beginscan(rel, ClassNameNspIndexId, true, &dirty, 2, keys);
	exists = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return exists;
}

/* Is a name of this kind that of an index, which is a relation? */
bool
orm_has_index(OrmNameKind kind)
{
	return kind != ORM_NAME_FOREIGN_KEY && kind != ORM_NAME_CHECK;
}

/*
 * Would PostgreSQL, too, look for another name in a schema?  Names of indexes
 * are those of relations; constraints keep out of each other's way.
 */
bool
orm_constraint_name_exists(OrmNameKind kind, const char *name, Oid namespaceid)
{
	return (orm_has_index(kind) && orm_relation_name_exists(name, namespaceid)) ||
		(kind != ORM_NAME_INDEX && ConstraintNameExists(name, namespaceid));
}

/* Where a name must be free. */
typedef struct Place
{
	OrmNameKind kind;
	Oid			namespaceid;
	const char *oldname;		/* of the same object, or NULL */
} Place;

/* For orm_choose_name(): is a name taken by another object of the schema? */
static bool
is_taken(const char *name, void *state)
{
	const Place *place = state;

	return (place->oldname == NULL || strcmp(place->oldname, name) != 0) &&
		orm_constraint_name_exists(place->kind, name, place->namespaceid);
}

/*
 * The name that a constraint or index should have as things are, NULL if there
 * is none.  One that exists has a name that is not in its own way.
 */
char *
orm_choose_free_name(const OrmConvention *convention, const OrmNameSubject *subject,
					 Oid namespaceid, const char *oldname)
{
	Place		place = {subject->kind, namespaceid, oldname};

	return orm_choose_name(convention, subject, is_taken, &place);
}
