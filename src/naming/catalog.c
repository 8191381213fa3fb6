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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "naming.h"
#include "util/names.h"
#include "util/spi.h"

/* Columns of the query. */
enum
{
	NAMED_KIND = 1,
	NAMED_SCHEMA,
	NAMED_TABLE,
	NAMED_NAME,
	NAMED_COLUMNS,
	NAMED_EXPRESSIONS,
	NAMED_REFERRED_TABLE,
	NAMED_REFERRED_COLUMNS,
	NAMED_IS_UNIQUE_INDEX,
	NAMED_CLASS,
	NAMED_OBJECT,
	NAMED_RELATION,
	NAMED_NAMESPACE
};

#define COLUMN_NAMES(relation, numbers) \
	"ARRAY(SELECT a.attname::text FROM unnest(" numbers ") WITH ORDINALITY AS key (attnum, position)" \
	" LEFT JOIN pg_attribute AS a ON a.attrelid = " relation " AND a.attnum = key.attnum" \
	" ORDER BY key.position)"

/* $1: name of a schema or null; $2: OIDs of tables or null; $3: what refers to these as well */
static const char named_query[] =
"WITH tables AS ("
"SELECT c.oid, c.relname, c.relnamespace, n.nspname"
" FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
" WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't'"
" AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
" AND ($1 IS NULL OR n.nspname = $1)"
" AND ($2 IS NULL OR c.oid = ANY ($2)"
" OR $3 AND c.oid IN (SELECT f.conrelid FROM pg_constraint AS f WHERE f.contype = 'f' AND f.confrelid = ANY ($2)))"
" AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
" AND d.objsubid = 0 AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'))"
" SELECT CASE k.contype WHEN 'p' THEN 'pk' WHEN 'u' THEN 'uq' WHEN 'f' THEN 'fk' WHEN 'c' THEN 'ck' ELSE 'ex' END,"
" t.nspname, t.relname, k.conname, " COLUMN_NAMES("k.conrelid", "k.conkey") ","
" x.indexprs::text, r.relname, " COLUMN_NAMES("k.confrelid", "k.confkey") ","
" false, 'pg_constraint'::regclass::oid, k.oid, t.oid, t.relnamespace"
" FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid"
" LEFT JOIN pg_class AS r ON r.oid = k.confrelid"
" LEFT JOIN pg_index AS x ON k.contype = 'x' AND x.indexrelid = k.conindid"
" WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND k.conparentid = 0 AND k.coninhcount = 0"
" AND ($2 IS NULL OR t.oid = ANY ($2) OR k.confrelid = ANY ($2))"
" UNION ALL"
" SELECT 'ix', t.nspname, t.relname, i.relname,"
" " COLUMN_NAMES("x.indrelid", "(x.indkey::int2[])[0:x.indnkeyatts - 1]") ","
" x.indexprs::text, NULL, NULL,"
" x.indisunique, 'pg_class'::regclass::oid, i.oid, t.oid, t.relnamespace"
" FROM tables AS t JOIN pg_index AS x ON x.indrelid = t.oid JOIN pg_class AS i ON i.oid = x.indexrelid"
" WHERE NOT i.relispartition AND NOT (NOT x.indisvalid AND i.relname ~ '_cc(new|old)[0-9]*$')"
" AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))"
" AND ($2 IS NULL OR t.oid = ANY ($2))"
" ORDER BY 2, 3, 1, 4";

/* One value of the current result as a C string, NULL if it is null. */
static char *
text_value(int row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/* One value as an OID. */
static Oid
oid_value(int row, int column)
{
	bool		isnull;

	return DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
										  column, &isnull));
}

/*
 * Columns of a key.  Where it has an expression, which is null among the names,
 * that counts as its first column; each column counts once.
 */
static List *
key_columns(int row, int column, Oid relid)
{
	char	   *trees = text_value(row, NAMED_EXPRESSIONS);
	List	   *expressions = trees ? castNode(List, stringToNode(trees)) : NIL;
	List	   *columns = NIL;
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			expression = 0;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		const char *name = NULL;

		if (!nulls[i])
			name = TextDatumGetCString(elements[i]);
		else if (expression < list_length(expressions))
			name = orm_first_column(list_nth(expressions, expression++), relid);
		if (name && !orm_contains_name(columns, name))
			columns = lappend(columns, (char *) name);
	}
	return columns;
}

/* One row of the result. */
static OrmNamed *
read_named(int row)
{
	OrmNamed   *named = palloc0_object(OrmNamed);
	OrmNameSubject *subject = &named->subject;

	if (!orm_parse_name_kind(text_value(row, NAMED_KIND), &subject->kind))
		elog(ERROR, "unexpected kind of name");
	named->name = text_value(row, NAMED_NAME);
	named->classid = oid_value(row, NAMED_CLASS);
	named->objid = oid_value(row, NAMED_OBJECT);
	named->relid = oid_value(row, NAMED_RELATION);
	named->namespaceid = oid_value(row, NAMED_NAMESPACE);
	subject->is_unique_index = *text_value(row, NAMED_IS_UNIQUE_INDEX) == 't';
	subject->schema = text_value(row, NAMED_SCHEMA);
	subject->table = text_value(row, NAMED_TABLE);
	subject->columns = key_columns(row, NAMED_COLUMNS, named->relid);
	subject->referred_table = text_value(row, NAMED_REFERRED_TABLE);
	if (subject->referred_table)
		subject->referred_columns = key_columns(row, NAMED_REFERRED_COLUMNS, named->relid);
	return named;
}

/*
 * Run the query with its parameters, by the active snapshot; the result
 * (OrmNamed) belongs to the current context.
 */
static List *
query_named(const char *schema, ArrayType *relids, bool with_referrers)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[3] = {NAMEOID, OIDARRAYOID, BOOLOID};
	Datum		values[3] = {0, PointerGetDatum(relids), BoolGetDatum(with_referrers)};
	char		nulls[3] = {schema ? ' ' : 'n', relids ? ' ' : 'n', ' '};
	int			level = orm_pin_settings();
	List	   *result = NIL;

	if (schema)
		values[0] = DirectFunctionCall1(namein, CStringGetDatum(schema));

	SPI_connect();
	if (SPI_execute_with_args(named_query, 3, types, values, nulls, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read constraints and indexes");
	MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < SPI_processed; row++)
		result = lappend(result, read_named(row));
	SPI_finish();
	AtEOXact_GUC(true, level);
	return result;
}

/* All of one schema, or of all schemas (NULL). */
List *
orm_named_in_schema(const char *schema)
{
	return query_named(schema, NULL, false);
}

/* Those of some tables (OID), and, if wanted, foreign keys that refer to these. */
List *
orm_named_of_relations(List *relids, bool with_referrers)
{
	Datum	   *elements = palloc_array(Datum, list_length(relids) + 1);
	ListCell   *lc;

	foreach(lc, relids)
		elements[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return query_named(NULL, construct_array(elements, list_length(relids), OIDOID,
											 sizeof(Oid), true, TYPALIGN_INT), with_referrers);
}

/* How list_sort() and bsearch() order CHECKs by name. */
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
	int			count = 0;
	ListCell   *lc;

	foreach(lc, named)
	{
		OrmNamed   *one = lfirst(lc);

		one->conforms = orm_name_conforms(conventions, &one->subject, one->name);
		if (one->subject.kind == ORM_NAME_CHECK && one->conforms)
			checks[count++] = one;
	}
	qsort(checks, count, sizeof(OrmNamed *), compare_names);

	foreach(lc, named)
	{
		OrmNamed   *one = lfirst(lc);

		if (one->subject.kind == ORM_NAME_CHECK && !one->conforms)
			one->conforms = bsearch(&one, checks, count, sizeof(OrmNamed *), compare_names) != NULL;
	}
}
