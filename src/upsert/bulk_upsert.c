/*-------------------------------------------------------------------------
 *
 * bulk_upsert.c
 *		orm_ext.bulk_upsert() and orm_ext.bulk_upsert_returning().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "upsert.h"
#include "util/names.h"

/* A text argument, NULL where it is null. */
static const char *
text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/*
 * A list of names, NIL where it is null; a literal without a type comes as
 * text.  Error: 22004 one of them is null.
 */
static List *
names_argument(FunctionCallInfo fcinfo, int n)
{
	ArrayType  *names;

	if (PG_ARGISNULL(n))
		return NIL;
	if (get_fn_expr_argtype(fcinfo->flinfo, n) == TEXTOID)
		names = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, unconstify(char *, text_argument(fcinfo, n)),
														TEXTOID, -1));
	else
		names = PG_GETARG_ARRAYTYPE_P(n);
	if (array_contains_nulls(names))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a name of a column must not be null")));
	return orm_text_list(names);
}

/* The table that an argument names.  Error: 22004. */
static Oid
table_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the table to upsert into must not be null"),
				 errhint("SELECT * FROM orm_ext.bulk_upsert('my_table', '[{...}]');")));
	if (get_fn_expr_argtype(fcinfo->flinfo, n) == TEXTOID)
		return DatumGetObjectId(DirectFunctionCall1(regclassin,
													CStringGetDatum(text_argument(fcinfo, n))));
	return PG_GETARG_OID(n);
}

/* Rows in JSON, as jsonb; json and text are read as that.  No rows are null. */
static Datum
json_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return DirectFunctionCall1(jsonb_in, CStringGetDatum("[]"));
	if (get_fn_expr_argtype(fcinfo->flinfo, n) == JSONBOID)
		return PG_GETARG_DATUM(n);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_argument(fcinfo, n)));
}

/* Rows in an array of a table's row type.  No rows are null. */
static Datum
array_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return PointerGetDatum(construct_empty_array(get_element_type(getBaseType(get_fn_expr_argtype(fcinfo->flinfo, n)))));
	return PG_GETARG_DATUM(n);
}

/* The six options that all functions end in. */
static OrmUpsertOptions
options_arguments(FunctionCallInfo fcinfo, int first)
{
	OrmUpsertOptions options;

	orm_upsert_default_options(&options);
	options.conflict = names_argument(fcinfo, first);
	options.update_all = PG_ARGISNULL(first + 1);
	options.update_columns = names_argument(fcinfo, first + 1);
	options.on_conflict = orm_read_on_conflict(text_argument(fcinfo, first + 2));
	options.on_duplicate = orm_read_on_duplicate(text_argument(fcinfo, first + 3));
	options.on_deleted = orm_read_on_deleted(text_argument(fcinfo, first + 4));
	if (!PG_ARGISNULL(first + 5))
		options.version_column = NameStr(*PG_GETARG_NAME(first + 5));
	return options;
}

/* The table of a row type.  Error: 42809. */
static Oid
table_of_type(Oid type)
{
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(getBaseType(type)) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is no row type of a table",
						OidIsValid(type) ? format_type_be(type) : "an argument of unknown type"),
				 errhint("SELECT * FROM orm_ext.bulk_upsert_returning(NULL::my_table, '[{...}]');")));
	return relid;
}

/* The table whose rows an array argument holds. */
static Oid
table_of_array(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);

	return table_of_type(OidIsValid(type) ? get_element_type(getBaseType(type)) : InvalidOid);
}

/* The counts that a caller is told, in the type that the function returns. */
static Datum
count_row(FunctionCallInfo fcinfo, const OrmUpsertResults *results)
{
	const int64 *counts = results->counts;
	TupleDesc	desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	HeapTuple	row;
	bool		nulls[4] = {0};
	Datum		values[4] = {
		Int64GetDatum(counts[ORM_ROW_INSERTED]),
		Int64GetDatum(counts[ORM_ROW_UPDATED] + counts[ORM_ROW_REVIVED]),
		Int64GetDatum(counts[ORM_ROW_UNCHANGED]),
		Int64GetDatum(counts[ORM_ROW_SKIPPED] + counts[ORM_ROW_STALE] + counts[ORM_ROW_DUPLICATE])
	};

	row = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(row);
}

/* Upsert the rows of one argument, which "open" makes a source of. */
static void
upsert_argument(Oid relid, Datum argument,
				void (*open) (OrmUpsertSource *source, Relation rel, Datum rows),
				const OrmUpsertOptions *options, OrmUpsertResults *results)
{
	Relation	rel = orm_open_upsert_target(relid);
	OrmUpsertSource source = {0};

	open(&source, rel, argument);
	orm_upsert(rel, &source, options, results);
	table_close(rel, NoLock);
}

/* Put the rows that are returned into the result of a function. */
static void
return_rows(FunctionCallInfo fcinfo, OrmUpsertResults *results)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(results->row_type, &TTSOpsMinimalTuple);

	InitMaterializedSRF(fcinfo, 0);
	while (tuplesort_gettupleslot(results->rows, true, false, slot, NULL))
		tuplestore_puttupleslot(rsinfo->setResult, slot);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(results->slot);
	tuplesort_end(results->rows);
}

/*
 * orm_ext.bulk_upsert(target, rows, options) returns the counts.  The table is a
 * regclass or a text, the rows are jsonb, json or text.
 * Errors: see orm_upsert(), orm_open_json() and options.c.
 */
PG_FUNCTION_INFO_V1(orm_bulk_upsert_json);

Datum
orm_bulk_upsert_json(PG_FUNCTION_ARGS)
{
	OrmUpsertOptions options = options_arguments(fcinfo, 2);
	OrmUpsertResults results;

	orm_begin_results(&results, InvalidOid);
	upsert_argument(table_argument(fcinfo, 0), json_argument(fcinfo, 1), orm_open_json,
					&options, &results);
	return count_row(fcinfo, &results);
}

/* orm_ext.bulk_upsert(rows t[], options) returns the counts. */
PG_FUNCTION_INFO_V1(orm_bulk_upsert_array);

Datum
orm_bulk_upsert_array(PG_FUNCTION_ARGS)
{
	OrmUpsertOptions options = options_arguments(fcinfo, 1);
	OrmUpsertResults results;

	orm_begin_results(&results, InvalidOid);
	upsert_argument(table_of_array(fcinfo), array_argument(fcinfo, 0), orm_open_array,
					&options, &results);
	return count_row(fcinfo, &results);
}

/* orm_ext.bulk_upsert_returning(NULL::t, rows, options) returns every row and its fate. */
PG_FUNCTION_INFO_V1(orm_bulk_upsert_returning_json);

Datum
orm_bulk_upsert_returning_json(PG_FUNCTION_ARGS)
{
	OrmUpsertOptions options = options_arguments(fcinfo, 2);
	OrmUpsertResults results;
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			relid = table_of_type(type);

	orm_begin_results(&results, type);
	upsert_argument(relid, json_argument(fcinfo, 1), orm_open_json, &options, &results);
	return_rows(fcinfo, &results);
	return (Datum) 0;
}

/* orm_ext.bulk_upsert_returning(rows t[], options) does the same for an array. */
PG_FUNCTION_INFO_V1(orm_bulk_upsert_returning_array);

Datum
orm_bulk_upsert_returning_array(PG_FUNCTION_ARGS)
{
	OrmUpsertOptions options = options_arguments(fcinfo, 1);
	OrmUpsertResults results;
	Oid			relid = table_of_array(fcinfo);

	orm_begin_results(&results, get_rel_type_id(relid));
	upsert_argument(relid, array_argument(fcinfo, 0), orm_open_array, &options, &results);
	return_rows(fcinfo, &results);
	return (Datum) 0;
}
