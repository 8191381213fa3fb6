/*-------------------------------------------------------------------------
 *
 * stale.c
 *		Errors of optimistic locking.
 *
 * A stale row is an error of its own SQLSTATE, in a class that neither the
 * standard nor PostgreSQL uses: clients repeat a statement upon 40001 by
 * themselves, which would never help, and take class 23 for a constraint.
 * The message says what no client can find out: who was faster, and when.  It
 * shows no value of a column that the role may not read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "guc.h"
#include "policy.h"
#include "stamp.h"
#include "util/names.h"
#include "util/privileges.h"

/* SQLSTATE of a stale row, as orm_ext.stale_sqlstate has it. */
int
orm_stale_errcode(void)
{
	const char *s = orm_stale_sqlstate;

	return MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]);
}

/* May the role read a column? */
static bool
may_read(Relation rel, AttrNumber attno)
{
	Oid			relid = RelationGetRelid(rel);

	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		return false;			/* nobody knows which rows it may see */
	return orm_has_column_privilege(relid, attno, ACL_SELECT);
}

/* A column of a row as text; NULL where it is null, or not for the role to see. */
static char *
column_text(Relation rel, HeapTuple row, AttrNumber attno)
{
	Form_pg_attribute att;
	bool		isnull;
	Datum		value;
	Oid			output;
	bool		is_varlena;

	if (attno == InvalidAttrNumber || !may_read(rel, attno))
		return NULL;
	value = heap_getattr(row, attno, RelationGetDescr(rel), &isnull);
	if (isnull)
		return NULL;
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	getTypeOutputInfo(att->atttypid, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/* What identifies a row, to be shown and to be looked for. */
typedef struct RowKey
{
	char	   *description;	/* "(id)=(5)", NULL where there is none to
								 * show */
	char	   *condition;
} RowKey;

/* The primary key of a row, as far as there is one and the role may read it. */
static RowKey
row_key(Relation rel, HeapTuple row)
{
	RowKey		key = {NULL, NULL};
	Relation	index;
	StringInfoData condition;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	Oid			primary = orm_primary_key_index(rel);

	if (!OidIsValid(primary))
		return key;
	index = index_open(primary, AccessShareLock);
	initStringInfo(&condition);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	attno = index->rd_index->indkey.values[i];
		char	   *text = column_text(rel, row, attno);

		values[i] = heap_getattr(row, attno, RelationGetDescr(rel), &nulls[i]);
		appendStringInfo(&condition, "%s%s = %s", i > 0 ? " AND " : "",
						 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname)),
						 quote_literal_cstr(text ? text : ""));
	}
	key.description = BuildIndexValueDescription(index, values, nulls);
	key.condition = condition.data;
	index_close(index, AccessShareLock);
	return key;
}

/* The column that some stamp trigger of a relation keeps for a role. */
static AttrNumber
find_kept_column(Relation rel, OrmStampRole role)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const char *column = orm_kept_column(&triggers->triggers[i], role);

		if (column)
			return orm_find_column(RelationGetDescr(rel), column);
	}
	return InvalidAttrNumber;
}

/* " by alice at 2026-01-01 00:00:00+00", as far as that is known. */
static char *
last_change(OrmStampPass *pass)
{
	char	   *who = column_text(pass->rel, pass->old,
								  find_kept_column(pass->rel, ORM_STAMP_UPDATED_BY));
	char	   *when = column_text(pass->rel, pass->old,
								   find_kept_column(pass->rel, ORM_STAMP_UPDATED));

	if (who && when)
		return psprintf(" The row was last changed by %s at %s.", who, when);
	if (who)
		return psprintf(" The row was last changed by %s.", who);
	if (when)
		return psprintf(" The row was last changed at %s.", when);
	return "";
}

/* How to get at the row, if the role may read it. */
static int
hint_read_again(Relation rel, const RowKey *key)
{
	if (key->description == NULL ||
		pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return errhint("Read the row again, and make the change in what it is now.");
	return errhint("Read the row again, and make the change in what it is now: SELECT * FROM %s WHERE %s;",
				   orm_relation_name(rel), key->condition);
}

/* A row is not of the version that the client means.  Error: stale. */
void
orm_report_stale(OrmStampPass *pass, const char *given)
{
	AttrNumber	attno = pass->plan->columns[ORM_STAMP_VERSION].attno;
	RowKey		key = row_key(pass->rel, pass->old);
	bool		readable = may_read(pass->rel, attno);
	char	   *stored = column_text(pass->rel, pass->old, attno);

	ereport(ERROR,
			(errcode(orm_stale_errcode()),
			 key.description ?
			 errmsg("row %s of table \"%s\" is stale",
					key.description, RelationGetRelationName(pass->rel)) :
			 errmsg("row of table \"%s\" is stale",
					RelationGetRelationName(pass->rel)),
			 readable ?
			 errdetail("Its stored version is %s, the given one is %s.%s",
					   stored ? stored : "null", given ? given : "null",
					   last_change(pass)) :
			 errdetail("Its stored version is not the given one."),
			 hint_read_again(pass->rel, &key),
			 errtablecol(pass->rel, attno)));
}

/* A statement has to say which version it means.  Error: OE002. */
void
orm_report_version_required(OrmStampPass *pass)
{
	AttrNumber	attno = pass->plan->columns[ORM_STAMP_VERSION].attno;
	const char *column = quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(pass->rel),
																attno - 1)->attname));
	RowKey		key = row_key(pass->rel, pass->old);

	ereport(ERROR,
			(errcode(ERRCODE_ORM_VERSION_REQUIRED),
			 key.description ?
			 errmsg("update of row %s of table \"%s\" requires its version",
					key.description, RelationGetRelationName(pass->rel)) :
			 errmsg("update of table \"%s\" requires the version of the row",
					RelationGetRelationName(pass->rel)),
			 errdetail("Trigger \"%s\" compares what the SET list gives for column \"%s\" with what is stored, under mode=echo.",
					   pass->trigdata->tg_trigger->tgname, column),
			 hint_read_again(pass->rel, &key),
			 errtablecol(pass->rel, attno)));
}
