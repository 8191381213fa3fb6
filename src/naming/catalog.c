/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		Constraints and indexes that exist, as subjects of conventions.
 *
 * Each name is taken once, where it was given: partitions' and inherited
 * ones follow their parents' and are left out, and the index of a constraint
 * goes by the constraint.  Members of extensions, temporary tables and the
 * server's own schemas are nobody's business.
 *
 * The catalogs are scanned rather than asked through the system caches, where
 * a database of thousands of tables would stay for the rest of the session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "naming.h"
#include "util/names.h"

/* A relation as far as names go. */
typedef struct RelationEntry
{
	Oid			relid;			/* hash key */
	Oid			namespaceid;
	const char *schema;
	const char *name;
	bool		is_ruled;		/* a table whose names conventions rule */
	bool		is_partition;
	bool		is_member;		/* of an extension */
	bool		is_typed;
} RelationEntry;

/* A reading of the catalogs. */
typedef struct Reading
{
	const char *schema;			/* only of this one, unless NULL */
	bool		takes_all;		/* also what conventions do not rule */
	HTAB	   *relations;		/* RelationEntry */
	Relation	attributes;		/* pg_attribute */
	List	   *result;			/* OrmNamed */
} Reading;

/* Is this kind of relation one whose constraints and indexes have names of their own? */
bool
orm_is_named_relkind(char relkind)
{
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ||
		relkind == RELKIND_FOREIGN_TABLE || relkind == RELKIND_MATVIEW;
}

/* Note a row of pg_class. */
static RelationEntry *
add_relation(Reading *reading, Form_pg_class form)
{
	RelationEntry *entry = hash_search(reading->relations, &form->oid, HASH_ENTER, NULL);

	entry->namespaceid = form->relnamespace;
	entry->schema = get_namespace_name(form->relnamespace);
	entry->name = pstrdup(NameStr(form->relname));
	entry->is_partition = form->relispartition;
	entry->is_member = false;
	entry->is_typed = OidIsValid(form->reloftype);
	entry->is_ruled = entry->schema != NULL &&
		orm_is_named_relkind(form->relkind) &&
		form->relpersistence != RELPERSISTENCE_TEMP &&
		!orm_is_system_schema(entry->schema) &&
		(reading->schema == NULL || strcmp(reading->schema, entry->schema) == 0);
	return entry;
}

/* A relation; NULL if it is gone. */
static RelationEntry *
get_relation(Reading *reading, Oid relid)
{
	RelationEntry *entry = hash_search(reading->relations, &relid, HASH_FIND, NULL);
	HeapTuple	tuple;

	if (entry)
		return entry;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	entry = add_relation(reading, (Form_pg_class) GETSTRUCT(tuple));
	entry->is_member = entry->is_ruled &&
		OidIsValid(getExtensionOfObject(RelationRelationId, relid));
	ReleaseSysCache(tuple);
	return entry;
}

/* The table of a constraint or index, if conventions rule its names; else NULL. */
static RelationEntry *
get_table(Reading *reading, Oid relid)
{
	RelationEntry *entry = get_relation(reading, relid);

	if (entry && !reading->takes_all && (!entry->is_ruled || entry->is_member))
		return NULL;
	return entry;
}

/* Note all relations. */
static void
add_all_relations(Reading *reading)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	ScanKeyData key;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		add_relation(reading, (Form_pg_class) GETSTRUCT(tuple));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		RelationEntry *entry;

		if (form->classid != RelationRelationId || form->deptype != DEPENDENCY_EXTENSION)
			continue;
		entry = hash_search(reading->relations, &form->objid, HASH_FIND, NULL);
		if (entry)
			entry->is_member = true;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* Name of a column, NULL if there is none of the number. */
static char *
column_name(Reading *reading, Oid relid, AttrNumber attnum)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *name = NULL;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(attnum));
	scan = systable_beginscan(reading->attributes, AttributeRelidNumIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	systable_endscan(scan);
	return name;
}

/* Expressions of an index, NIL if there are none. */
static List *
index_expressions(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pg_index_indexprs, desc, &isnull);

	return isnull ? NIL : castNode(List, stringToNode(TextDatumGetCString(value)));
}

/*
 * Names (char *) of the columns of a key.  Where it has an expression, which is
 * number 0, that counts as its first column; each column counts once.
 */
static List *
key_columns(Reading *reading, Oid relid, const int16 *numbers, int count, List *expressions)
{
	List	   *columns = NIL;
	int			expression = 0;

	for (int i = 0; i < count; i++)
	{
		const char *name = NULL;

		if (numbers[i] != InvalidAttrNumber)
			name = column_name(reading, relid, numbers[i]);
		else if (expression < list_length(expressions))
			name = orm_first_column(list_nth(expressions, expression++), relid);
		if (name && !orm_contains_name(columns, name))
			columns = lappend(columns, (char *) name);
	}
	return columns;
}

/* The same for an array in a row of pg_constraint; an exclusion constraint may have expressions. */
static List *
constraint_columns(Reading *reading, Oid relid, HeapTuple tuple, TupleDesc desc, int attribute,
				   List *expressions)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attribute, desc, &isnull);
	ArrayType  *numbers;

	if (isnull)
		return NIL;
	numbers = DatumGetArrayTypeP(value);
	return key_columns(reading, relid, (int16 *) ARR_DATA_PTR(numbers),
					   ARR_NDIM(numbers) > 0 ? ARR_DIMS(numbers)[0] : 0, expressions);
}

/* Columns (char *) of the expression of a CHECK. */
static List *
check_columns(Oid relid, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pg_constraint_conbin, desc, &isnull);

	return isnull ? NIL : orm_columns(stringToNode(TextDatumGetCString(value)), relid);
}

/* Expressions of the index of an exclusion constraint. */
static List *
exclusion_expressions(Oid indexid)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	bool		isnull;
	Datum		value;
	List	   *expressions = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	value = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indexprs, &isnull);
	if (!isnull)
		expressions = castNode(List, stringToNode(TextDatumGetCString(value)));
	ReleaseSysCache(tuple);
	return expressions;
}

/* The kind of a constraint; false if conventions do not rule it. */
static bool
kind_of_constraint(char contype, OrmNameKind *kind)
{
	switch (contype)
	{
		case CONSTRAINT_PRIMARY:
			*kind = ORM_NAME_PRIMARY_KEY;
			return true;
		case CONSTRAINT_UNIQUE:
			*kind = ORM_NAME_UNIQUE;
			return true;
		case CONSTRAINT_FOREIGN:
			*kind = ORM_NAME_FOREIGN_KEY;
			return true;
		case CONSTRAINT_CHECK:
			*kind = ORM_NAME_CHECK;
			return true;
		case CONSTRAINT_EXCLUSION:
			*kind = ORM_NAME_EXCLUSION;
			return true;
		default:
			return false;
	}
}

/* Begin with a constraint or index of a table. */
static OrmNamed *
add_named(Reading *reading, const RelationEntry *table, OrmNameKind kind, const char *name,
		  Oid classid, Oid objid)
{
	OrmNamed   *named = palloc0_object(OrmNamed);

	named->subject.kind = kind;
	named->subject.schema = table->schema;
	named->subject.table = table->name;
	named->name = pstrdup(name);
	named->classid = classid;
	named->objid = objid;
	named->relid = table->relid;
	named->namespaceid = table->namespaceid;
	named->is_of_typed_table = table->is_typed;
	reading->result = lappend(reading->result, named);
	return named;
}

/* Add the constraint that a row of pg_constraint is, if its name is ruled. */
static void
add_constraint(Reading *reading, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	const RelationEntry *table;
	const RelationEntry *referred;
	OrmNameKind kind;
	OrmNamed   *named;
	List	   *expressions = NIL;

	if (!kind_of_constraint(form->contype, &kind) || !OidIsValid(form->conrelid) ||
		(!reading->takes_all && (form->coninhcount > 0 || OidIsValid(form->conparentid))))
		return;
	table = get_table(reading, form->conrelid);
	if (table == NULL)
		return;

	named = add_named(reading, table, kind, NameStr(form->conname), ConstraintRelationId, form->oid);
	if (kind == ORM_NAME_EXCLUSION)
		expressions = exclusion_expressions(form->conindid);
	if (kind == ORM_NAME_CHECK)
		named->subject.columns = check_columns(form->conrelid, tuple, desc);
	else
		named->subject.columns = constraint_columns(reading, form->conrelid, tuple, desc,
													Anum_pg_constraint_conkey, expressions);
	referred = OidIsValid(form->confrelid) ? get_relation(reading, form->confrelid) : NULL;
	if (referred)
	{
		named->subject.referred_table = referred->name;
		named->subject.referred_columns = constraint_columns(reading, form->confrelid, tuple, desc,
															 Anum_pg_constraint_confkey, NIL);
	}
}

/* Is it an index that REINDEX or CREATE INDEX CONCURRENTLY is still making, or has left? */
static bool
is_transient(Form_pg_index form, const char *name)
{
	const char *mark = strstr(name, "_ccnew");

	if (form->indisvalid)
		return false;
	if (mark == NULL)
		mark = strstr(name, "_ccold");
	return mark && strspn(mark + strlen("_ccnew"), "0123456789") == strlen(mark) - strlen("_ccnew");
}

/* Add the index that a row of pg_index is, if it has a name of its own that is ruled. */
static void
add_index(Reading *reading, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
	const RelationEntry *table = get_table(reading, form->indrelid);
	const RelationEntry *index;
	OrmNamed   *named;

	if (table == NULL)
		return;
	index = get_relation(reading, form->indexrelid);
	if (index == NULL || index->is_partition || is_transient(form, index->name) ||
		((form->indisunique || form->indisexclusion) &&
		 OidIsValid(get_index_constraint(form->indexrelid))))
		return;

	named = add_named(reading, table, ORM_NAME_INDEX, index->name, RelationRelationId, form->indexrelid);
	named->subject.is_unique_index = form->indisunique;
	named->subject.columns = key_columns(reading, form->indrelid, form->indkey.values,
										 form->indnkeyatts, index_expressions(tuple, desc));
}

/* Scan a catalog, for one table if the index on its OID is given, and add what is found. */
static void
scan_catalog(Reading *reading, Oid catalog, Oid index, AttrNumber attribute, Oid relid,
			 void (*add) (Reading *, HeapTuple, TupleDesc))
{
	Relation	rel = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, index, OidIsValid(index), NULL, OidIsValid(index) ? 1 : 0, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		add(reading, tuple, RelationGetDescr(rel));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* Add the constraint of this OID, if it is not there yet. */
static void
add_constraint_of_oid(Reading *reading, Oid constraintid)
{
	Relation	rel;
	HeapTuple	tuple;
	ListCell   *lc;

	foreach(lc, reading->result)
	{
		if (((OrmNamed *) lfirst(lc))->objid == constraintid)
			return;
	}
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraintid));
	if (!HeapTupleIsValid(tuple))
		return;
	rel = table_open(ConstraintRelationId, AccessShareLock);
	add_constraint(reading, tuple, RelationGetDescr(rel));
	table_close(rel, AccessShareLock);
	ReleaseSysCache(tuple);
}

/* Add the foreign key that a row of pg_trigger works for. */
static void
add_foreign_key_of_trigger(Reading *reading, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

	if (OidIsValid(form->tgconstraint) && OidIsValid(form->tgconstrrelid))
		add_constraint_of_oid(reading, form->tgconstraint);
}

/* How list_sort() orders the result: schema, table, kind, name. */
static int
compare_named(const ListCell *a, const ListCell *b)
{
	const OrmNamed *one = lfirst(a);
	const OrmNamed *other = lfirst(b);
	int			result = strcmp(one->subject.schema, other->subject.schema);

	if (result == 0)
		result = strcmp(one->subject.table, other->subject.table);
	if (result == 0)
		result = (int) one->subject.kind - (int) other->subject.kind;
	return result != 0 ? result : strcmp(one->name, other->name);
}

/* Begin to read. */
static void
begin_reading(Reading *reading, const char *schema, long size)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(RelationEntry),
	.hcxt = CurrentMemoryContext};

	memset(reading, 0, sizeof(Reading));
	reading->schema = schema;
	reading->relations = hash_create("relations with names", size, &control,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	reading->attributes = table_open(AttributeRelationId, AccessShareLock);
}

/* End it. */
static List *
end_reading(Reading *reading)
{
	table_close(reading->attributes, AccessShareLock);
	hash_destroy(reading->relations);
	list_sort(reading->result, compare_named);
	return reading->result;
}

/* All constraints and indexes (OrmNamed) of one schema, or of all schemas (NULL). */
List *
orm_named_in_schema(const char *schema)
{
	Reading		reading;

	if (schema)
		(void) get_namespace_oid(schema, false);
	begin_reading(&reading, schema, 1024);
	add_all_relations(&reading);
	scan_catalog(&reading, ConstraintRelationId, InvalidOid, 1, InvalidOid, add_constraint);
	scan_catalog(&reading, IndexRelationId, InvalidOid, 1, InvalidOid, add_index);
	return end_reading(&reading);
}

/* Those of some tables (OID), and, if wanted, foreign keys that refer to these. */
List *
orm_named_of_relations(List *relids, bool with_referrers)
{
	Reading		reading;
	ListCell   *lc;

	begin_reading(&reading, NULL, 16);
	foreach(lc, relids)
	{
		scan_catalog(&reading, ConstraintRelationId, ConstraintRelidTypidNameIndexId,
					 Anum_pg_constraint_conrelid, lfirst_oid(lc), add_constraint);
		scan_catalog(&reading, IndexRelationId, IndexIndrelidIndexId,
					 Anum_pg_index_indrelid, lfirst_oid(lc), add_index);
	}
	if (with_referrers)
	{
		foreach(lc, relids)
			scan_catalog(&reading, TriggerRelationId, TriggerRelidNameIndexId,
						 Anum_pg_trigger_tgrelid, lfirst_oid(lc), add_foreign_key_of_trigger);
	}
	return end_reading(&reading);
}

/*
 * All constraints (OrmNamed) of a table, which need not be locked, be they ruled
 * by conventions or not.
 */
List *
orm_constraints_of(Oid relid)
{
	Reading		reading;

	begin_reading(&reading, NULL, 16);
	reading.takes_all = true;
	scan_catalog(&reading, ConstraintRelationId, ConstraintRelidTypidNameIndexId,
				 Anum_pg_constraint_conrelid, relid, add_constraint);
	return end_reading(&reading);
}

/* Has any table a CHECK of a name that it inherits from so many parents, or more? */
bool
orm_check_exists(const char *name, int parents)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_pg_constraint_conname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	scan = systable_beginscan(rel, ConstraintNameNspIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		found = form->contype == CONSTRAINT_CHECK && form->coninhcount >= parents;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * Does PostgreSQL let it be renamed?  Not a constraint of a typed table, nor a
 * CHECK that a table inherits from several parents.
 */
bool
orm_is_renamable(const OrmNamed *named)
{
	if (orm_has_index(named->subject.kind))
		return true;
	return !named->is_of_typed_table &&
		(named->subject.kind != ORM_NAME_CHECK || !orm_check_exists(named->name, 2));
}

/* How qsort() and bsearch() order CHECKs by name. */
static int
compare_names(const void *a, const void *b)
{
	return strcmp((*(const OrmNamed *const *) a)->name, (*(const OrmNamed *const *) b)->name);
}

/*
 * Judge names.  A CHECK may also have the name of one that conforms on another
 * table, which LIKE and ATTACH PARTITION need.
 */
void
orm_judge_names(const OrmConventions *conventions, List *named)
{
	OrmNamed  **checks = palloc_array(OrmNamed *, list_length(named) + 1);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext names that are judged",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	int			count = 0;
	ListCell   *lc;

	foreach(lc, named)
	{
		OrmNamed   *one = lfirst(lc);

		one->conforms = orm_name_conforms(conventions, &one->subject, one->name);
		if (one->subject.kind == ORM_NAME_CHECK && one->conforms)
			checks[count++] = one;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	qsort(checks, count, sizeof(OrmNamed *), compare_names);

	foreach(lc, named)
	{
		OrmNamed   *one = lfirst(lc);

		if (one->subject.kind == ORM_NAME_CHECK && !one->conforms)
			one->conforms = bsearch(&one, checks, count, sizeof(OrmNamed *), compare_names) != NULL;
	}
}
