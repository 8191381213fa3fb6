/*-------------------------------------------------------------------------
 *
 * names.c
 *		Names of things: quoting, look-ups and the identity of our functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "names.h"

/* Qualified and quoted name of a relation, to be pasted into a statement. */
const char *
orm_relation_name(Relation rel)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
									  RelationGetRelationName(rel));
}

/* The same by OID. */
const char *
orm_relid_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* Complain of a number that is no relation's.  Error: 42P01. */
static void
report_no_relation(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation with OID %u does not exist", relid)));
}

/* Check that there is the relation that a caller means.  Error: 42P01. */
void
orm_check_relation(Oid relid)
{
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		report_no_relation(relid);
}

/* Open the relation that a caller means.  Error: 42P01. */
Relation
orm_open_relation(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = try_relation_open(relid, lockmode);

	if (rel == NULL)
		report_no_relation(relid);
	return rel;
}

/*
 * OID of the relation that a statement names, InvalidOid if there is none to
 * see.  Privileges on its schema are left to the statement to ask for.
 */
Oid
orm_find_relation(const RangeVar *name)
{
	Oid			schema;

	if (name == NULL || name->relpersistence == RELPERSISTENCE_TEMP ||
		(name->catalogname && strcmp(name->catalogname, get_database_name(MyDatabaseId)) != 0))
		return InvalidOid;
	if (name->schemaname == NULL)
		return RelnameGetRelid(name->relname);
	schema = get_namespace_oid(name->schemaname, true);
	return OidIsValid(schema) ? get_relname_relid(name->relname, schema) : InvalidOid;
}

/*
 * Is this the name of our library, with or without a folder and an ending?
 * That is how it may stand in pg_proc.probin and in the preload settings.
 */
bool
orm_is_library_name(const char *name)
{
	const char *base = strrchr(name, '/');

	base = base ? base + 1 : name;
	return strcmp(base, ORM_LIBRARY) == 0 ||
		strcmp(base, ORM_LIBRARY DLSUFFIX) == 0;
}

/*
 * Symbol of the C function of this library that the SQL function calls, NULL
 * if it does not call one.  Its SQL name does not matter.
 */
const char *
orm_library_symbol(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Datum		value;
	bool		isnull;
	const char *symbol = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId)
	{
		value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);
		if (!isnull && orm_is_library_name(TextDatumGetCString(value)))
		{
			value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
			if (!isnull)
				symbol = TextDatumGetCString(value);
		}
	}
	ReleaseSysCache(tuple);
	return symbol;
}

/* Is the function the C function "symbol" of this library? */
bool
orm_is_library_function(Oid funcid, const char *symbol)
{
	const char *found = orm_library_symbol(funcid);

	return found != NULL && strcmp(found, symbol) == 0;
}

/*
 * Split the value of a preload setting into library names (char *).  A value
 * that the server would not accept either gives none.
 */
List *
orm_split_library_list(const char *list)
{
	List	   *names;

	if (list == NULL || !SplitDirectoriesString(pstrdup(list), ',', &names))
		return NIL;
	return names;
}

/* Does a preload setting name our library? */
bool
orm_library_list_contains(const char *list)
{
	ListCell   *lc;

	foreach(lc, orm_split_library_list(list))
	{
		if (orm_is_library_name(lfirst(lc)))
			return true;
	}
	return false;
}

/* Is a string among strings (char *)? */
bool
orm_contains_name(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* A string that both lists have, NULL if there is none. */
const char *
orm_common_name(List *a, List *b)
{
	ListCell   *lc;

	foreach(lc, a)
	{
		if (orm_contains_name(b, lfirst(lc)))
			return lfirst(lc);
	}
	return NULL;
}

/* Strings (char *) as an array of texts, and the other way round. */
ArrayType *
orm_text_array(List *strings)
{
	Datum	   *elements = palloc_array(Datum, list_length(strings) + 1);
	ListCell   *lc;

	foreach(lc, strings)
		elements[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return construct_array(elements, list_length(strings), TEXTOID, -1, false, TYPALIGN_INT);
}

List *
orm_text_list(ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	List	   *strings = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			strings = lappend(strings, TextDatumGetCString(elements[i]));
	}
	return strings;
}

/* Value of a setting in an array of "name=value" texts, NULL if not there. */
char *
orm_array_setting(ArrayType *array, const char *name)
{
	Datum	   *elements;
	int			count;
	size_t		length = strlen(name);

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *element = TextDatumGetCString(elements[i]);

		if (strncmp(element, name, length) == 0 && element[length] == '=')
			return element + length + 1;
	}
	return NULL;
}

/* Index of the primary key of a relation, InvalidOid if it has none. */
Oid
orm_primary_key_index(Relation rel)
{
	list_free(RelationGetIndexList(rel));
	return rel->rd_pkindex;
}

/* Numbers of the columns of the primary key, NIL if there is none. */
List *
orm_primary_key_columns(Relation rel)
{
	Oid			primary = orm_primary_key_index(rel);
	Relation	index;
	List	   *columns = NIL;

	if (!OidIsValid(primary))
		return NIL;
	index = index_open(primary, AccessShareLock);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		columns = lappend_int(columns, index->rd_index->indkey.values[i]);
	index_close(index, AccessShareLock);
	return columns;
}

/* An operator as it is written, whatever the search_path. */
char *
orm_operator_name(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/* Does the extension's schema exist in this database? */
bool
orm_schema_exists(void)
{
	return OidIsValid(get_namespace_oid(ORM_SCHEMA, true));
}

/* OID of one of the extension's tables, InvalidOid where it is not created. */
Oid
orm_extension_table(const char *name)
{
	Oid			schema = get_namespace_oid(ORM_SCHEMA, true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	Oid			extension = OidIsValid(relid) ? get_extension_oid(ORM_LIBRARY, true) : InvalidOid;

	/* anyone may call a schema so */
	if (!OidIsValid(extension) || getExtensionOfObject(RelationRelationId, relid) != extension)
		return InvalidOid;
	return relid;
}

/* OID of one of the extension's SQL functions, or an error naming the cure. */
Oid
orm_function(const char *name, int nargs, const Oid *argtypes)
{
	List	   *qualified = list_make2(makeString(ORM_SCHEMA),
									   makeString(pstrdup(name)));
	Oid			funcid = InvalidOid;

	if (orm_schema_exists())
		funcid = LookupFuncName(qualified, nargs, argtypes, true);
	if (!OidIsValid(funcid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s.%s does not exist", ORM_SCHEMA, name),
				 errdetail("The library is of version %s; the extension's objects in this database are missing or of another version.",
						   ORM_EXT_VERSION),
				 errhint("ALTER EXTENSION orm_ext UPDATE;")));
	return funcid;
}
