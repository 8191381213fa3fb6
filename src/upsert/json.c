/*-------------------------------------------------------------------------
 *
 * json.c
 *		Rows of a bulk upsert from JSON: an array of objects, or one object.
 *
 * A member that is absent leaves its column alone, a null is a null.  Values
 * become those of their columns as jsonb_populate_record() makes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "upsert.h"
#include "util/names.h"

/* How the values of one column are made. */
typedef struct JsonColumn
{
	FmgrInfo	input;
	Oid			ioparam;
	bool		is_json;		/* json, jsonb or a domain over one */
	bool		is_nested;		/* an array or a row */
	bool		is_domain;
} JsonColumn;

typedef struct JsonSource
{
	Relation	rel;
	TupleDesc	desc;
	JsonbContainer *root;
	uint32		nrows;
	uint32		next;
	AttrNumber *order;			/* columns in the order of the last object's
								 * keys */
	JsonColumn *columns;		/* by number of the column, less one */
	FmgrInfo	populate;
	Datum		empty_record;

	/* for messages */
	int64		ordinal;
	AttrNumber	column;
	const JsonbValue *value;
} JsonSource;

/* Name of a column. */
static const char *
column_name(const JsonSource *json, AttrNumber attno)
{
	return NameStr(TupleDescAttr(json->desc, attno - 1)->attname);
}

/* Is a column called so?  Keys are not terminated. */
static bool
is_called(const JsonSource *json, AttrNumber attno, const JsonbValue *key)
{
	const char *name = column_name(json, attno);

	return strncmp(name, key->val.string.val, key->val.string.len) == 0 &&
		name[key->val.string.len] == '\0';
}

/* Complain of a key that is no column.  Error: 42703. */
static void
report_unknown_key(const JsonSource *json, const JsonbValue *key, int64 ordinal)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist",
					pnstrdup(key->val.string.val, key->val.string.len),
					RelationGetRelationName(json->rel)),
			 errdetail("It is a key of row %lld of the input.", (long long) ordinal),
			 errhint("Keys are the names of columns, as they are written in the catalog."),
			 errtable(json->rel)));
}

/* Complain of a value for a generated column.  Error: 428C9. */
static void
report_generated(const JsonSource *json, AttrNumber attno, int64 ordinal)
{
	ereport(ERROR,
			(errcode(ERRCODE_GENERATED_ALWAYS),
			 errmsg("cannot insert a non-DEFAULT value into column \"%s\"",
					column_name(json, attno)),
			 errdetail("Column \"%s\" is a generated column; row %lld of the input has a value for it.",
					   column_name(json, attno), (long long) ordinal),
			 errtablecol(json->rel, attno)));
}

/*
 * The column that a key means.  Objects of one input mostly have the same keys
 * in the same order, so what the last one had there is tried first.
 */
static AttrNumber
column_of_key(JsonSource *json, const JsonbValue *key, int position, int64 ordinal)
{
	AttrNumber	attno;

	if (position < json->desc->natts)
	{
		attno = json->order[position];
		if (attno > 0 && is_called(json, attno, key))
			return attno;
	}
	attno = orm_find_column(json->desc, pnstrdup(key->val.string.val, key->val.string.len));
	if (attno == InvalidAttrNumber)
		report_unknown_key(json, key, ordinal);
	else if (TupleDescAttr(json->desc, attno - 1)->attgenerated)
		report_generated(json, attno, ordinal);
	if (position < json->desc->natts)
		json->order[position] = attno;
	return attno;
}

/* Complain of something that is no object.  Error: 22023. */
static void
report_no_object(int64 ordinal)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("row %lld of the input is no JSON object", (long long) ordinal),
			 errdetail("Rows are objects whose keys are names of columns."),
			 errhint("SELECT * FROM orm_ext.bulk_upsert('my_table', '[{\"id\": 1, \"name\": \"a\"}]');")));
}

/* An object of the input; the first is 0. */
static JsonbContainer *
object_at(const JsonSource *json, uint32 i)
{
	JsonbValue *value;

	if (JsonContainerIsObject(json->root))
		return json->root;
	value = getIthJsonbValueFromContainer(json->root, i);
	if (value != NULL && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data))
		return value->val.binary.data;
	report_no_object((int64) i + 1);
	return NULL;				/* keep the compiler quiet */
}

/* Find out which columns the rows supply, and which of them not all rows do. */
static void
read_keys(JsonSource *json, OrmUpsertSource *source)
{
	uint32	   *counts = palloc0_array(uint32, json->desc->natts);

	for (uint32 i = 0; i < json->nrows; i++)
	{
		JsonbIterator *it = JsonbIteratorInit(object_at(json, i));
		JsonbValue	value;
		JsonbIteratorToken token;
		int			position = 0;

		CHECK_FOR_INTERRUPTS();
		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		{
			if (token == WJB_KEY)
				counts[column_of_key(json, &value, position++, (int64) i + 1) - 1]++;
		}
	}
	for (int i = 0; i < json->desc->natts; i++)
	{
		if (counts[i] == 0)
			continue;
		source->columns = lappend_int(source->columns, i + 1);
		if (counts[i] < json->nrows)
			source->partial = bms_add_member(source->partial, i + 1);
	}
	pfree(counts);
}

/* Prepare how the values of a column are made. */
static void
prepare_column(JsonSource *json, AttrNumber attno)
{
	JsonColumn *column = &json->columns[attno - 1];
	Oid			type = TupleDescAttr(json->desc, attno - 1)->atttypid;
	Oid			base = getBaseType(type);
	Oid			input;

	getTypeInputInfo(type, &input, &column->ioparam);
	fmgr_info(input, &column->input);
	column->is_domain = base != type;
	column->is_json = base == JSONOID || base == JSONBOID;
	column->is_nested = type_is_array(base) || type_is_rowtype(base);
}

/* Prepare jsonb_populate_record() for the row type of the table. */
static void
prepare_populate(JsonSource *json)
{
	Oid			rowtype = json->rel->rd_rel->reltype;
	Datum	   *values = palloc0_array(Datum, json->desc->natts);
	bool	   *nulls = palloc_array(bool, json->desc->natts);
	List	   *args = list_make2(makeNullConst(rowtype, -1, InvalidOid),
								  makeNullConst(JSONBOID, -1, InvalidOid));

	memset(nulls, true, json->desc->natts);
	json->empty_record = HeapTupleGetDatum(heap_form_tuple(json->desc, values, nulls));
	fmgr_info(F_JSONB_POPULATE_RECORD, &json->populate);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, rowtype, args, InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL),
					   &json->populate);
}

/* An array or a row out of JSON, by way of a row with that column alone. */
static Datum
nested_value(JsonSource *json, AttrNumber attno, JsonbValue *value, bool *isnull)
{
	JsonbParseState *state = NULL;
	JsonbValue	key;
	JsonbValue *object;
	HeapTupleData tuple = {0};
	Datum		record;

	if (json->populate.fn_addr == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(GetMemoryChunkContext(json));

		prepare_populate(json);
		MemoryContextSwitchTo(oldcontext);
	}
	key.type = jbvString;
	key.val.string.val = unconstify(char *, column_name(json, attno));
	key.val.string.len = strlen(key.val.string.val);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_VALUE, value);
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	record = FunctionCall2(&json->populate, json->empty_record,
						   JsonbPGetDatum(JsonbValueToJsonb(object)));
	tuple.t_data = DatumGetHeapTupleHeader(record);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	return heap_getattr(&tuple, attno, json->desc, isnull);
}

/* A value as the text of JSON. */
static char *
json_text(JsonbValue *value)
{
	Jsonb	   *jsonb = JsonbValueToJsonb(value);

	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

/* A value as the text that the input function of a type reads. */
static char *
value_text(JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		default:
			return json_text(value);
	}
}

/* Make the value of a column. */
static Datum
make_value(JsonSource *json, AttrNumber attno, JsonbValue *value, bool *isnull)
{
	JsonColumn *column = &json->columns[attno - 1];
	Form_pg_attribute att = TupleDescAttr(json->desc, attno - 1);

	if (column->input.fn_addr == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(GetMemoryChunkContext(json));

		prepare_column(json, attno);
		MemoryContextSwitchTo(oldcontext);
	}
	*isnull = value->type == jbvNull;
	if (*isnull)
		return column->is_domain ?
			InputFunctionCall(&column->input, NULL, column->ioparam, att->atttypmod) : (Datum) 0;
	if (att->atttypid == JSONBOID)
		return JsonbPGetDatum(JsonbValueToJsonb(value));
	if (att->atttypid == BOOLOID && value->type == jbvBool)
		return BoolGetDatum(value->val.boolean);
	if (column->is_nested && value->type == jbvBinary)
		return nested_value(json, attno, value, isnull);
	return InputFunctionCall(&column->input, column->is_json ? json_text(value) : value_text(value),
							 column->ioparam, att->atttypmod);
}

/* Name the value that is being read in the context of errors, as COPY does. */
static void
describe_value(void *arg)
{
	JsonSource *json = arg;

	if (json->column == InvalidAttrNumber)
		return;
	errcontext("row %lld of the input, column \"%s\": \"%s\"",
			   (long long) json->ordinal, column_name(json, json->column),
			   value_text(unconstify(JsonbValue *, json->value)));
}

/* Read the members of one object. */
static void
read_object(JsonSource *json, JsonbContainer *object, OrmInputRow *row)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;
	AttrNumber	attno = InvalidAttrNumber;
	int			position = 0;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			attno = column_of_key(json, &value, position++, row->ordinal);
		else if (token == WJB_VALUE)
		{
			json->column = attno;
			json->value = &value;
			row->values[attno - 1] = make_value(json, attno, &value, &row->nulls[attno - 1]);
			row->present[attno - 1] = true;
		}
	}
	json->column = InvalidAttrNumber;
}

/* The next object. */
static bool
next_object(OrmUpsertSource *source, OrmInputRow *row)
{
	JsonSource *json = source->state;
	ErrorContextCallback callback;

	if (json->next >= json->nrows)
		return false;
	json->ordinal = row->ordinal;
	callback.callback = describe_value;
	callback.arg = json;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	read_object(json, object_at(json, json->next++), row);
	error_context_stack = callback.previous;
	return true;
}

/*
 * Read rows from jsonb.  Errors: 22023 no array of objects and no object, 42703
 * a key that is no column, 428C9 a generated column; then those of the types.
 */
void
orm_open_json(OrmUpsertSource *source, Relation rel, Datum rows)
{
	JsonSource *json = palloc0_object(JsonSource);
	Jsonb	   *jsonb = DatumGetJsonbP(rows);

	json->rel = rel;
	json->desc = RelationGetDescr(rel);
	json->root = &jsonb->root;
	if (JB_ROOT_IS_SCALAR(jsonb))
		report_no_object(1);
	json->nrows = JB_ROOT_IS_ARRAY(jsonb) ? JB_ROOT_COUNT(jsonb) : 1;
	json->order = palloc0_array(AttrNumber, json->desc->natts);
	json->columns = palloc0_array(JsonColumn, json->desc->natts);
	read_keys(json, source);
	source->next = next_object;
	source->state = json;
}
