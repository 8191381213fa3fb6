/*-------------------------------------------------------------------------
 *
 * exemption.c
 *		orm_ext.naming_exemption: names that are not judged.
 *
 * An exemption names one object by its identity, or many by a pattern.  A
 * baseline of an old schema has one row for each of thousands of names, so
 * these are looked up in a sorted array; patterns are few.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "naming.h"
#include "util/names.h"

struct OrmExemptions
{
	const char **objects;		/* sorted */
	int			nobjects;
	List	   *patterns;		/* text * */
};

/* Columns of the table. */
enum
{
	EXEMPTION_OBJECT = 1,
	EXEMPTION_PATTERN,
	EXEMPTION_REASON,
	EXEMPTION_UNTIL
};

/* How qsort() and bsearch() compare strings. */
static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Exemptions that have not expired, NULL if the extension is not there. */
OrmExemptions *
orm_load_exemptions(void)
{
	Oid			relid = orm_extension_table("naming_exemption");
	OrmExemptions *exemptions;
	List	   *objects = NIL;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	if (!OidIsValid(relid))
		return NULL;

	exemptions = palloc0_object(OrmExemptions);
	rel = table_open(relid, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		Datum		value;

		value = heap_getattr(tuple, EXEMPTION_UNTIL, desc, &isnull);
		if (!isnull && DatumGetTimestampTz(value) <= GetCurrentTransactionStartTimestamp())
			continue;
		value = heap_getattr(tuple, EXEMPTION_OBJECT, desc, &isnull);
		if (!isnull)
			objects = lappend(objects, TextDatumGetCString(value));
		value = heap_getattr(tuple, EXEMPTION_PATTERN, desc, &isnull);
		if (!isnull)
			exemptions->patterns = lappend(exemptions->patterns, DatumGetTextPCopy(value));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	exemptions->objects = palloc_array(const char *, list_length(objects) + 1);
	foreach(lc, objects)
		exemptions->objects[exemptions->nobjects++] = lfirst(lc);
	qsort(exemptions->objects, exemptions->nobjects, sizeof(char *), compare_strings);
	return exemptions;
}

/* Is the name with this identity exempt? */
bool
orm_is_exempt(const OrmExemptions *exemptions, const char *identity)
{
	Datum		subject = CStringGetTextDatum(identity);
	ListCell   *lc;

	if (exemptions == NULL)
		return false;
	if (bsearch(&identity, exemptions->objects, exemptions->nobjects, sizeof(char *),
				compare_strings) != NULL)
		return true;
	foreach(lc, exemptions->patterns)
	{
		if (DatumGetBool(DirectFunctionCall2Coll(textregexeq, C_COLLATION_OID, subject,
												 PointerGetDatum(lfirst(lc)))))
			return true;
	}
	return false;
}

/* What identifies the name of a constraint or index: schema, table and name. */
char *
orm_name_identity(const OrmNameSubject *subject, const char *name)
{
	StringInfoData identity;

	initStringInfo(&identity);
	appendStringInfo(&identity, "%s.", quote_identifier(subject->schema));
	appendStringInfo(&identity, "%s.", quote_identifier(subject->table));
	appendStringInfoString(&identity, quote_identifier(name));
	return identity.data;
}
