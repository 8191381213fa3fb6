/*-------------------------------------------------------------------------
 *
 * audit.c
 *		What names there are and what they should be, for SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "naming.h"
#include "util/names.h"

/* Columns of orm_ext.naming_audit(). */
enum
{
	AUDIT_KIND,
	AUDIT_SCHEMA,
	AUDIT_TABLE,
	AUDIT_NAME,
	AUDIT_EXPECTED,
	AUDIT_CONFORMS,
	AUDIT_EXEMPT,
	AUDIT_OBJECT,
	AUDIT_CLASS,
	AUDIT_OID,
	AUDIT_COLUMNS
};

/* A name as a value of type name. */
static Datum
name_datum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

PG_FUNCTION_INFO_V1(orm_naming_audit);

/* orm_ext.naming_audit(schema): every name that conventions rule, judged. */
Datum
orm_naming_audit(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *schema = PG_ARGISNULL(0) ? NULL : NameStr(*PG_GETARG_NAME(0));
	const OrmConventions *conventions = orm_load_conventions();
	OrmExemptions *exemptions = orm_load_exemptions();
	List	   *all = orm_named_in_schema(schema);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext row of an audit",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	if (conventions == NULL)
		return (Datum) 0;

	orm_judge_names(conventions, all);
	oldcontext = MemoryContextSwitchTo(context);
	foreach(lc, all)
	{
		const OrmNamed *named = lfirst(lc);
		const OrmNameSubject *subject = &named->subject;
		const OrmConvention *convention = orm_convention(conventions, subject->schema, subject->kind);
		OrmNameSubject better = orm_subject_to_rename(convention, subject, named->name);
		char	   *expected = orm_expected_name(convention, &better);
		char	   *identity = orm_name_identity(subject, named->name);
		Datum		values[AUDIT_COLUMNS];
		bool		nulls[AUDIT_COLUMNS] = {0};

		values[AUDIT_KIND] = CStringGetTextDatum(orm_name_kind_label(subject->kind));
		values[AUDIT_SCHEMA] = name_datum(subject->schema);
		values[AUDIT_TABLE] = name_datum(subject->table);
		values[AUDIT_NAME] = name_datum(named->name);
		nulls[AUDIT_EXPECTED] = expected == NULL;
		values[AUDIT_EXPECTED] = expected ? name_datum(expected) : (Datum) 0;
		values[AUDIT_CONFORMS] = BoolGetDatum(named->conforms);
		values[AUDIT_EXEMPT] = BoolGetDatum(orm_is_exempt(exemptions, identity));
		values[AUDIT_OBJECT] = CStringGetTextDatum(identity);
		values[AUDIT_CLASS] = ObjectIdGetDatum(named->classid);
		values[AUDIT_OID] = ObjectIdGetDatum(named->objid);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(oldcontext);
	return (Datum) 0;
}

/* An argument of type text[] as strings (char *). */
static List *
strings_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NIL : orm_text_list(PG_GETARG_ARRAYTYPE_P(number));
}

/* Name of the relation that an argument of type regclass refers to. */
static char *
relation_argument(FunctionCallInfo fcinfo, int number)
{
	orm_check_relation(PG_GETARG_OID(number));
	return get_rel_name(PG_GETARG_OID(number));
}

PG_FUNCTION_INFO_V1(orm_expected_name_of);

/*
 * orm_ext.expected_name(kind, rel, columns, constraint_name, referred,
 * referred_columns): the name that the convention gives, null if it gives none.
 */
Datum
orm_expected_name_of(PG_FUNCTION_ARGS)
{
	OrmNameSubject subject = {0};
	const OrmConventions *conventions = orm_load_conventions();
	char	   *kind;
	char	   *name;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!orm_parse_name_kind(kind, &subject.kind))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no kind of names \"%s\"", kind),
				 errhint("Kinds are pk, uq, fk, ck, ix and ex.")));
	subject.table = relation_argument(fcinfo, 1);
	subject.schema = get_namespace_name(get_rel_namespace(PG_GETARG_OID(1)));
	subject.columns = strings_argument(fcinfo, 2);
	if (!PG_ARGISNULL(3))
		subject.constraint_name = text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (!PG_ARGISNULL(4))
		subject.referred_table = relation_argument(fcinfo, 4);
	if (!PG_ARGISNULL(5))
		subject.referred_columns = strings_argument(fcinfo, 5);
	else if (!PG_ARGISNULL(4))
		subject.referred_columns = orm_primary_key_names(PG_GETARG_OID(4));

	if (conventions == NULL)
		PG_RETURN_NULL();
	name = orm_expected_name(orm_convention(conventions, subject.schema, subject.kind), &subject);
	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}
