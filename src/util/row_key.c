/*-------------------------------------------------------------------------
 *
 * row_key.c
 *		The primary key of one row, as an argument of a function.
 *
 * It is the value of the one column, of whatever type, or an object in jsonb
 * with a value for each column.  Values are read as literals of the columns'
 * types would be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "names.h"
#include "row_key.h"

/* Numbers of the columns of the primary key.  Error: 42P16. */
static List *
primary_key_columns(Relation rel)
{
	List	   *columns = orm_primary_key_columns(rel);

	if (columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table \"%s\" has no primary key", RelationGetRelationName(rel)),
				 errdetail("Rows are named by their primary key."),
				 errhint("ALTER TABLE %s ADD PRIMARY KEY (...);", orm_relation_name(rel)),
				 errtable(rel)));
	return columns;
}

/* Name of a column of the key. */
static const char *
key_column_name(const OrmRowKey *key, int attno)
{
	return NameStr(TupleDescAttr(RelationGetDescr(key->rel), attno - 1)->attname);
}

/* Complain of a key that does not fit the primary key.  Error: 22023. */
static void
report_bad_key(const OrmRowKey *key)
{
	StringInfoData example;
	ListCell   *lc;

	initStringInfo(&example);
	foreach(lc, key->columns)
	{
		const char *column = key_column_name(key, lfirst_int(lc));

		appendStringInfo(&example, "%s%s, ...", example.len > 0 ? ", " : "",
						 quote_literal_cstr(column));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("key does not fit the primary key of table \"%s\"",
					RelationGetRelationName(key->rel)),
			 errdetail("It is the value of the one column, or an object with a value for each column."),
			 errhint("Use jsonb_build_object(%s).", example.data),
			 errtable(key->rel)));
}

/* The members of a jsonb object, by name (char *). */
List *
orm_object_keys(Jsonb *object)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	List	   *keys = NIL;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			keys = lappend(keys, pnstrdup(value.val.string.val, value.val.string.len));
	}
	return keys;
}

/* Add a column of the key to the condition that a hint shows. */
static void
add_to_lookup(OrmRowKey *key, const char *column, Jsonb *object, const char *scalar)
{
	if (object)
	{
		Datum		path = PointerGetDatum(orm_text_array(JB_ROOT_IS_OBJECT(object) ?
														  list_make1(pstrdup(column)) : NIL));

		LOCAL_FCINFO(fcinfo, 2);
		Datum		value;

		InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = JsonbPGetDatum(object);
		fcinfo->args[0].isnull = false;
		fcinfo->args[1].value = path;
		fcinfo->args[1].isnull = false;
		value = jsonb_extract_path_text(fcinfo);
		scalar = fcinfo->isnull ? "" : TextDatumGetCString(value);
	}
	appendStringInfo(&key->lookup, "%s%s = %s", key->lookup.len > 0 ? " AND " : "",
					 quote_identifier(column), quote_literal_cstr(scalar));
}

/* Make the key a parameter, and the condition that compares it. */
static void
add_key(OrmRowKey *key, FunctionCallInfo fcinfo, int argument)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argument);
	Oid			output;
	bool		is_varlena;
	char	   *text = NULL;
	Jsonb	   *object = NULL;
	List	   *names = NIL;
	ListCell   *lc;

	if (type == JSONBOID)
		object = PG_GETARG_JSONB_P(argument);
	else
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		text = OidOutputFunctionCall(output, PG_GETARG_DATUM(argument));

		/* an object in a literal without a type */
		if (type == TEXTOID && list_length(key->columns) > 1)
			object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}

	if (object && JB_ROOT_IS_OBJECT(object))
	{
		names = orm_object_keys(object);
		if (list_length(names) != list_length(key->columns))
			report_bad_key(key);
	}
	else if (list_length(key->columns) != 1 || (object && !JB_ROOT_IS_SCALAR(object)))
		report_bad_key(key);

	initStringInfo(&key->condition);
	initStringInfo(&key->lookup);
	foreach(lc, key->columns)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(key->rel), lfirst_int(lc) - 1);
		const char *name = NameStr(att->attname);
		const char *value = "$1";

		if (names != NIL && !orm_contains_name(names, name))
			report_bad_key(key);
		if (names != NIL)
			value = psprintf("($1 OPERATOR(pg_catalog.->>) %s)", quote_literal_cstr(name));
		else if (object)
			value = "($1 OPERATOR(pg_catalog.#>>) '{}')";
		add_to_lookup(key, name, object, text);
		appendStringInfo(&key->condition, "%st.%s %s %s::%s",
						 key->condition.len > 0 ? " AND " : "", quote_identifier(name),
						 orm_operator_name(lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR)->eq_opr),
						 value, format_type_be_qualified(att->atttypid));
	}
	key->type = object ? JSONBOID : TEXTOID;
	key->value = object ? JsonbPGetDatum(object) : CStringGetTextDatum(text);
	key->literal = quote_literal_cstr(object ? JsonbToCString(NULL, &object->root, 0) : text);
	if (type == JSONBOID)
		key->literal = psprintf("%s::jsonb", key->literal);
}

/*
 * Read the key of a row of a table from an argument that is not null.
 *
 * Errors: 42P16 no primary key; 22023 the key does not fit it.
 */
void
orm_read_row_key(OrmRowKey *key, Relation rel, FunctionCallInfo fcinfo, int argument)
{
	key->rel = rel;
	key->columns = primary_key_columns(rel);
	add_key(key, fcinfo, argument);
}
