/*-------------------------------------------------------------------------
 *
 * restore_clashes.c
 *		Keys that are taken when rows come back.
 *
 * A unique index, or one of an exclusion constraint, has to be looked at if the
 * marker, deleted_by or a generated column takes part in it: only to those a row
 * that comes back is a new one.  The rows are read as they will be, and joined
 * with those that are there and with each other, by the operators of the index.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"

#include "restore.h"
#include "soft_delete.h"
#include "util/names.h"
#include "util/privileges.h"

/* One index of a table, and what it compares. */
typedef struct Keys
{
	Relation	rel;
	Relation	index;
	int			nkeys;
	Node	   *nodes[INDEX_MAX_KEYS];	/* over the table's columns */
	Oid			operators[INDEX_MAX_KEYS];
} Keys;

/* May the caller see values of a table in a message? */
bool
orm_may_see_values(Oid relid)
{
	return check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED &&
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* The columns that an index depends on. */
static Bitmapset *
index_columns(Relation index)
{
	Bitmapset  *columns = NULL;

	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		columns = bms_add_member(columns, index->rd_index->indkey.values[i] - FirstLowInvalidHeapAttributeNumber);
	pull_varattnos((Node *) RelationGetIndexExpressions(index), 1, &columns);
	pull_varattnos((Node *) RelationGetIndexPredicate(index), 1, &columns);
	return columns;
}

/* Do columns include one that is other in a row that comes back? */
static bool
include_changing_column(Relation rel, const Bitmapset *columns)
{
	TupleDesc	desc = RelationGetDescr(rel);
	bool		nullable;
	AttrNumber	deleted_by = orm_deleted_by_column(RelationGetRelid(rel), &nullable);
	OrmMarker	marker;

	if (!orm_soft_delete_marker(RelationGetRelid(rel), &marker))
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if ((att->attnum == marker.attno || att->attnum == deleted_by || att->attgenerated) &&
			bms_is_member(att->attnum - FirstLowInvalidHeapAttributeNumber, columns))
			return true;
	}
	return false;
}

/* Can a row that comes back be in the way of another by an index? */
static bool
may_clash(Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;

	return (form->indisunique || form->indisexclusion) && form->indisvalid &&
		include_changing_column(rel, index_columns(index));
}

/* A reference to a column of a table. */
static Node *
column_of(Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	return (Node *) makeVar(1, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
}

/* The operators by which an index compares. */
static void
read_operators(Keys *keys)
{
	if (keys->index->rd_index->indisexclusion)
	{
		Oid		   *operators;
		Oid		   *procs;
		uint16	   *strategies;

		RelationGetExclusionInfo(keys->index, &operators, &procs, &strategies);
		memcpy(keys->operators, operators, keys->nkeys * sizeof(Oid));
		return;
	}
	for (int i = 0; i < keys->nkeys; i++)
		keys->operators[i] = get_opfamily_member(keys->index->rd_opfamily[i],
												 keys->index->rd_opcintype[i],
												 keys->index->rd_opcintype[i],
												 BTEqualStrategyNumber);
}

/* Read what an index compares. */
static void
read_keys(Keys *keys, Relation rel, Relation index)
{
	List	   *expressions = RelationGetIndexExpressions(index);
	ListCell   *lc = list_head(expressions);

	keys->rel = rel;
	keys->index = index;
	keys->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
	for (int i = 0; i < keys->nkeys; i++)
	{
		AttrNumber	attno = index->rd_index->indkey.values[i];

		if (attno != InvalidAttrNumber)
			keys->nodes[i] = column_of(rel, attno);
		else
		{
			keys->nodes[i] = lfirst(lc);
			lc = lnext(expressions, lc);
		}
	}
	read_operators(keys);
}

/* An expression over the columns of the table as SQL, with an alias for the table. */
static char *
deparse(const Keys *keys, Node *node, const char *alias)
{
	return deparse_expression(node,
							  deparse_context_for(alias, RelationGetRelid(keys->rel)),
							  true, false);
}

/* One of the keys as SQL, compared as the index does. */
static char *
key_sql(const Keys *keys, int i, const char *alias)
{
	Oid			collation = keys->index->rd_indcollation[i];
	char	   *expression = deparse(keys, keys->nodes[i], alias);

	if (!OidIsValid(collation))
		return psprintf("(%s)", expression);
	return psprintf("((%s) COLLATE %s)", expression, generate_collation_name(collation));
}

/* The predicate of the index as SQL, or true. */
static char *
predicate_sql(const Keys *keys, const char *alias)
{
	List	   *predicate = RelationGetIndexPredicate(keys->index);

	if (predicate == NIL)
		return pstrdup("true");
	return deparse(keys, (Node *) make_ands_explicit(predicate), alias);
}

/* The condition that two rows have the same keys; those of the second are k1 and so on. */
static char *
same_keys_sql(const Keys *keys, const char *one, const char *other)
{
	StringInfoData condition;

	initStringInfo(&condition);
	for (int i = 0; i < keys->nkeys; i++)
	{
		Oid			type = exprType(keys->nodes[i]);
		char	   *left = strcmp(one, "o") == 0 ? key_sql(keys, i, one) : psprintf("%s.k%d", one, i + 1);
		char	   *right = psprintf("%s.k%d", other, i + 1);

		appendStringInfoString(&condition, " AND (");
		generate_operator_clause(&condition, left, type, keys->operators[i], right, type);
		if (keys->index->rd_index->indnullsnotdistinct)
			appendStringInfo(&condition, " OR %s IS NULL AND %s IS NULL", left, right);
		appendStringInfoChar(&condition, ')');
	}
	return condition.data;
}

/*
 * The columns of the table in a row, c, as they will be; stored generated
 * columns are left to rows_sql().
 */
static char *
columns_sql(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Oid			relid = RelationGetRelid(rel);
	bool		nullable = false;
	AttrNumber	deleted_by = orm_deleted_by_column(relid, &nullable);
	OrmMarker	marker;
	StringInfoData list;

	(void) orm_marker_name(relid, &marker);
	initStringInfo(&list);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(att->attname));

		if (att->attisdropped)
			continue;
		if (att->attnum == marker.attno || (nullable && att->attnum == deleted_by))
			appendStringInfo(&list, ", %s::%s AS %s",
							 att->attnum == marker.attno ? orm_live_value_sql(&marker) : "NULL",
							 format_type_be_qualified(att->atttypid), name);
		else
			appendStringInfo(&list, ", c.%s", name);
	}
	return list.data;
}

/* The columns of a row, b, with generated columns computed anew. */
static char *
generated_columns_sql(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(att->attname));

		if (att->attisdropped)
			continue;
		if (att->attgenerated)
			appendStringInfo(&list, ", (%s) AS %s",
							 deparse_expression(build_column_default(rel, att->attnum),
												deparse_context_for("b", RelationGetRelid(rel)),
												true, false), name);
		else
			appendStringInfo(&list, ", b.%s", name);
	}
	return list.data;
}

/* The keys, k1 and so on, of the rows that come back, with their places. */
static char *
keys_of_rows_sql(const Keys *keys)
{
	Oid			relid = RelationGetRelid(keys->rel);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < keys->nkeys; i++)
		appendStringInfo(&list, ", %s AS k%d", key_sql(keys, i, "a"), i + 1);
	return psprintf("SELECT a.orm_rel, a.orm_tid%s FROM"
					" (SELECT b.orm_rel, b.orm_tid%s FROM"
					" (SELECT c.tableoid AS orm_rel, c.ctid AS orm_tid%s FROM %s%s AS c, " ORM_PLACE_NAME " AS o"
					" WHERE c.tableoid = o.rel AND c.ctid = o.tid AND %s) AS b) AS a WHERE %s",
					list.data, generated_columns_sql(keys->rel), columns_sql(keys->rel),
					orm_only(relid), orm_relid_name(relid), orm_deleted_rows_sql(relid, "c"),
					predicate_sql(keys, "a"));
}

/* The query for the keys that are taken: each as texts, and how many rows come back with it. */
static char *
clashes_query(const Keys *keys)
{
	Oid			relid = RelationGetRelid(keys->rel);
	OrmMarker	marker;
	StringInfoData texts;
	StringInfoData columns;

	initStringInfo(&texts);
	initStringInfo(&columns);
	for (int i = 1; i <= keys->nkeys; i++)
	{
		appendStringInfo(&texts, ", CASE WHEN n.k%d IS NULL THEN 'null' ELSE format('%%s', n.k%d) END AS t%d", i, i, i);
		appendStringInfo(&columns, "%st%d", i > 1 ? ", " : "", i);
	}
	return psprintf("WITH n AS MATERIALIZED (%s)"
					" SELECT %s, count(*) FROM"
					" (SELECT n.orm_rel, n.orm_tid%s FROM n, %s%s AS o"
					" WHERE NOT (o.tableoid = n.orm_rel AND o.ctid = n.orm_tid)%s AND (%s) AND orm_ext.with_deleted(o.%s)"
					" UNION SELECT n.orm_rel, n.orm_tid%s FROM n, n AS m"
					" WHERE NOT (m.orm_rel = n.orm_rel AND m.orm_tid = n.orm_tid)%s) AS clash"
					" GROUP BY %s ORDER BY %s",
					keys_of_rows_sql(keys), columns.data,
					texts.data, orm_only(relid), orm_relid_name(relid),
					same_keys_sql(keys, "o", "n"), predicate_sql(keys, "o"), orm_marker_name(relid, &marker),
					texts.data, same_keys_sql(keys, "m", "n"), columns.data, columns.data);
}

/* Describe what that query returns. */
static TupleDesc
clashes_desc(const Keys *keys)
{
	TupleDesc	desc = CreateTemplateTupleDesc(keys->nkeys + 1);

	for (int i = 0; i < keys->nkeys; i++)
		TupleDescInitEntry(desc, i + 1, psprintf("t%d", i + 1), TEXTOID, -1, 0);
	TupleDescInitEntry(desc, keys->nkeys + 1, "n", INT8OID, -1, 0);
	return desc;
}

/* A key that is taken, as a problem, in the server's words. */
static OrmRestoreProblem *
clash(const Keys *keys, TupleTableSlot *slot)
{
	OrmRestoreProblem *problem = palloc0_object(OrmRestoreProblem);
	bool		exclusion = keys->index->rd_index->indisexclusion;
	StringInfoData values;

	slot_getallattrs(slot);
	initStringInfo(&values);
	for (int i = 0; i < keys->nkeys; i++)
		appendStringInfo(&values, "%s%s", i > 0 ? ", " : "", TextDatumGetCString(slot->tts_values[i]));
	problem->relid = RelationGetRelid(keys->rel);
	problem->rows = DatumGetInt64(slot->tts_values[keys->nkeys]);
	problem->constraint = pstrdup(RelationGetRelationName(keys->index));
	problem->message = psprintf(exclusion ? "conflicting key value violates exclusion constraint \"%s\"" :
								"duplicate key value violates unique constraint \"%s\"",
								problem->constraint);
	if (orm_may_see_values(problem->relid))
		problem->detail = psprintf(exclusion ? "Key (%s)=(%s) conflicts with an existing key." :
								   "Key (%s)=(%s) already exists.",
								   pg_get_indexdef_columns(RelationGetRelid(keys->index), true),
								   values.data);
	return problem;
}

/* The keys of one index that are taken. */
static List *
clashes_by_index(OrmRestore *restore, Relation rel, Relation index)
{
	Keys		keys;
	Tuplestorestate *rows = orm_open_restore_store(restore);
	TupleTableSlot *slot;
	List	   *result = NIL;

	read_keys(&keys, rel, index);
	slot = MakeSingleTupleTableSlot(clashes_desc(&keys), &TTSOpsMinimalTuple);
	orm_run_restore(restore, rel->rd_rel->relowner, clashes_query(&keys),
					list_make1(orm_name_store(ORM_PLACE_NAME, orm_place_desc(), restore->places)),
					NULL, rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
		result = lappend(result, clash(&keys, slot));
	ExecDropSingleTupleTableSlot(slot);
	orm_close_restore_store(restore, rows);
	return result;
}

/*
 * The keys of one table that are taken.  The indexes of a partitioned table
 * stand for those of its partitions, which may have others of their own.
 */
static List *
clashes_in_table(OrmRestore *restore, Oid relid, bool is_root)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index;

		if (!is_root && get_rel_relispartition(lfirst_oid(lc)))
			continue;
		index = index_open(lfirst_oid(lc), AccessShareLock);
		if (may_clash(rel, index))
			result = list_concat(result, clashes_by_index(restore, rel, index));
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	return result;
}

/* All keys that are taken when the rows of a preview come back (OrmRestoreProblem *). */
List *
orm_find_clashes(OrmRestore *restore)
{
	List	   *result = NIL;
	ListCell   *table;
	ListCell   *lc;

	foreach(table, restore->tables)
	{
		Oid			relid = ((OrmRestoredTable *) lfirst(table))->relid;

		foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
		{
			if (orm_soft_delete_active(lfirst_oid(lc)))
				result = list_concat(result, clashes_in_table(restore, lfirst_oid(lc),
															  lfirst_oid(lc) == relid));
		}
	}
	return result;
}
