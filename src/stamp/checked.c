/*-------------------------------------------------------------------------
 *
 * checked.c
 *		orm_ext.update_checked() and orm_ext.delete_checked().
 *
 * One call for clients that want to say "this row, if it is still the version
 * that I have read".  Both run an ordinary UPDATE or DELETE with the rights of
 * the caller, under orm_ext.expected_version, so that the trigger compares the
 * version in the moment in which the row is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "guc.h"
#include "policy.h"
#include "stamp.h"
#include "util/names.h"
#include "util/row_key.h"

/* The statement to run, and its parameters: $1 the key, $2 the changes. */
typedef struct CheckedStatement
{
	Relation	rel;
	OrmRowKey	key;
	Oid			types[2];
	Datum		values[2];
	int			nparams;
} CheckedStatement;

/* The name of a trigger that keeps a version, where none fires; NULL if there is none. */
static const char *
idle_version_trigger(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (orm_kept_column(&triggers->triggers[i], ORM_STAMP_VERSION))
			return triggers->triggers[i].tgname;
	}
	return NULL;
}

/* Check that a table has a version.  Error: 55000. */
static void
check_version(Relation rel)
{
	int			mode;
	const char *idle;

	if (orm_version_column(rel, &mode) != InvalidAttrNumber)
		return;
	idle = idle_version_trigger(rel);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" has no version", RelationGetRelationName(rel)),
			 errdetail("No enabled trigger keeps a version column."),
			 idle ? errhint("ALTER TABLE %s ENABLE %sTRIGGER %s;", orm_relation_name(rel),
							SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA ? "ALWAYS " : "",
							quote_identifier(idle)) :
			 errhint("ALTER TABLE %s ADD COLUMN IF NOT EXISTS version_id bigint NOT NULL DEFAULT 1; CREATE OR REPLACE TRIGGER zz_orm_version BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version_id');",
					 orm_relation_name(rel), orm_relation_name(rel)),
			 errtable(rel)));
}

/* Add a parameter. */
static void
add_parameter(CheckedStatement *stmt, Oid type, Datum value)
{
	stmt->types[stmt->nparams] = type;
	stmt->values[stmt->nparams] = value;
	stmt->nparams++;
}

/* Open a table.  Errors: 42P01, 42809. */
static Relation
open_table(Oid relid)
{
	Relation	rel = orm_open_relation(relid, AccessShareLock);
	char		relkind = rel->rd_rel->relkind;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(relkind),
				 errhint("Name the table that holds the rows.")));
	return rel;
}

/* Complain of an argument that is null.  Error: 22004. */
static void
report_null_argument(const char *argument, Relation rel)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", argument),
			 errdetail("A row is changed only if all is said of it."),
			 rel ? errhint("SELECT * FROM %s;", orm_relation_name(rel)) : 0));
}

/* Begin a statement for a table and a key.  Errors: 42809, 22004, 55000, 42P16, 22023. */
static void
begin_statement(CheckedStatement *stmt, FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		report_null_argument("rel", NULL);
	memset(stmt, 0, sizeof(*stmt));
	stmt->rel = open_table(PG_GETARG_OID(0));
	if (PG_ARGISNULL(1))
		report_null_argument("key", stmt->rel);
	if (PG_ARGISNULL(2))
		report_null_argument("version", stmt->rel);
	if (PG_NARGS() > 3 && PG_ARGISNULL(3))
		report_null_argument("changes", stmt->rel);
	check_version(stmt->rel);
	orm_read_row_key(&stmt->key, stmt->rel, fcinfo, 1);
	add_parameter(stmt, stmt->key.type, stmt->key.value);
}

/* The row that was meant is gone.  Error: stale. */
static void
report_no_row(const CheckedStatement *stmt)
{
	ereport(ERROR,
			(errcode(orm_stale_errcode()),
			 errmsg("row of table \"%s\" with %s does not exist",
					RelationGetRelationName(stmt->rel), stmt->key.lookup.data),
			 errdetail("It was deleted, or is not there for this role, or a trigger left it alone."),
			 errhint("SELECT * FROM %s WHERE %s;",
					 orm_relation_name(stmt->rel), stmt->key.lookup.data),
			 errtable(stmt->rel)));
}

/*
 * Run the statement, which returns the row as jsonb, under the version that is
 * expected.  The settings of the caller are put back at the end.
 */
static Datum
run_statement(CheckedStatement *stmt, const char *command, const char *version, int expected)
{
	int			outer_depth = orm_expected_version_depth;
	bool		outer_checking = orm_checking_row;
	int			guc_level = NewGUCNestLevel();
	MemoryContext caller = CurrentMemoryContext;
	Datum		result = (Datum) 0;

	(void) set_config_option("orm_ext.expected_version", version, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	PG_TRY();
	{
		bool		isnull;

		orm_checking_row = true;
		orm_expected_version_depth = orm_trigger_depth();
		SPI_connect();
		if (SPI_execute_with_args(command, stmt->nparams, stmt->types, stmt->values,
								  NULL, false, 0) != expected)
			elog(ERROR, "could not run \"%s\"", command);
		if (SPI_processed == 0)
			report_no_row(stmt);
		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContextSwitchTo(caller);
		result = JsonbPGetDatum(DatumGetJsonbPCopy(result));
		SPI_finish();
	}
	PG_FINALLY();
	{
		orm_expected_version_depth = outer_depth;
		orm_checking_row = outer_checking;
	}
	PG_END_TRY();

	AtEOXact_GUC(true, guc_level);
	table_close(stmt->rel, NoLock);
	return result;
}

/* The SET list for the changes, over r, the record that they are read into. */
static char *
assignments(CheckedStatement *stmt, Jsonb *changes, char **record)
{
	StringInfoData set;
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&set);
	initStringInfo(&columns);
	foreach(lc, orm_object_keys(changes))
	{
		const char *name = lfirst(lc);
		AttrNumber	attno = orm_find_column(RelationGetDescr(stmt->rel), name);
		Form_pg_attribute att;

		if (attno == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							name, RelationGetRelationName(stmt->rel)),
					 errdetail("The changes name it."),
					 errhint("Leave it out: changes - %s", quote_literal_cstr(name)),
					 errtable(stmt->rel)));
		att = TupleDescAttr(RelationGetDescr(stmt->rel), attno - 1);
		appendStringInfo(&set, "%s%s = r.%s", set.len > 0 ? ", " : "",
						 quote_identifier(name), quote_identifier(name));
		appendStringInfo(&columns, "%s%s %s", columns.len > 0 ? ", " : "",
						 quote_identifier(name),
						 format_type_extended(att->atttypid, att->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	}
	*record = columns.data;
	return set.data;
}

/* Can an UPDATE assign its own value to a column? */
static bool
is_assignable(Form_pg_attribute att)
{
	return !att->attisdropped && !att->attgenerated && att->attidentity != ATTRIBUTE_IDENTITY_ALWAYS;
}

/*
 * A column that can be assigned its own value: one of the key, if there is one;
 * the version, whose value may ask for something, if there is no other.
 */
static const char *
assignable_column(Relation rel, List *key)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			mode;
	AttrNumber	version = orm_version_column(rel, &mode);
	ListCell   *lc;

	foreach(lc, key)
	{
		if (is_assignable(TupleDescAttr(desc, lfirst_int(lc) - 1)))
			return quote_identifier(NameStr(TupleDescAttr(desc, lfirst_int(lc) - 1)->attname));
	}
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (is_assignable(att) && att->attnum != version)
			return quote_identifier(NameStr(att->attname));
	}
	return quote_identifier(NameStr(TupleDescAttr(desc, version - 1)->attname));
}

PG_FUNCTION_INFO_V1(orm_update_checked);
PG_FUNCTION_INFO_V1(orm_delete_checked);

/*
 * orm_ext.update_checked(rel regclass, key anyelement, version text,
 * changes jsonb) → jsonb
 *
 * Updates the row if it is of the version, and returns it as it is then.
 *
 * Errors: stale where it is not, or there is no such row; 22004 a null
 * argument; 55000 no version; 42P16 no primary key; 22023 unfit key or
 * changes; 42703 no such column; whatever the UPDATE raises.
 */
Datum
orm_update_checked(PG_FUNCTION_ARGS)
{
	CheckedStatement stmt;
	Jsonb	   *changes;
	char	   *record;
	char	   *set;
	char	   *command;

	begin_statement(&stmt, fcinfo);
	changes = PG_GETARG_JSONB_P(3);
	if (!JB_ROOT_IS_OBJECT(changes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("changes must be a JSON object"),
				 errdetail("Its members are the columns to change and their values."),
				 errhint("Use jsonb_build_object('column', value, ...).")));
	add_parameter(&stmt, JSONBOID, JsonbPGetDatum(changes));
	set = assignments(&stmt, changes, &record);
	if (*set != '\0')
		command = psprintf("UPDATE %s AS t SET %s FROM pg_catalog.jsonb_to_record($2) AS r(%s) WHERE %s RETURNING pg_catalog.to_jsonb(t.*)",
						   orm_relation_name(stmt.rel), set, record, stmt.key.condition.data);
	else
	{
		/* nothing to change, but the version is to be checked */
		const char *column = assignable_column(stmt.rel, stmt.key.columns);

		stmt.nparams = 1;
		command = psprintf("UPDATE %s AS t SET %s = t.%s WHERE %s RETURNING pg_catalog.to_jsonb(t.*)",
						   orm_relation_name(stmt.rel), column, column, stmt.key.condition.data);
	}
	return run_statement(&stmt, command, text_to_cstring(PG_GETARG_TEXT_PP(2)),
						 SPI_OK_UPDATE_RETURNING);
}

/*
 * orm_ext.delete_checked(rel regclass, key anyelement, version text) → jsonb
 *
 * Deletes the row if it is of the version, and returns it as it was.
 *
 * Errors: those of update_checked(), as far as they apply.
 */
Datum
orm_delete_checked(PG_FUNCTION_ARGS)
{
	CheckedStatement stmt;
	char	   *command;

	begin_statement(&stmt, fcinfo);
	command = psprintf("DELETE FROM %s AS t WHERE %s RETURNING pg_catalog.to_jsonb(t.*)",
					   orm_relation_name(stmt.rel), stmt.key.condition.data);
	return run_statement(&stmt, command, text_to_cstring(PG_GETARG_TEXT_PP(2)),
						 SPI_OK_DELETE_RETURNING);
}
