/*-------------------------------------------------------------------------
 *
 * restore_parents.c
 *		Parents that are missing when rows come back.
 *
 * A row that comes back refers to live rows only.  So each foreign key of the
 * tables that a preview has met is looked at: which keys do the rows hold, and
 * is there a row for each that is live or comes back as well?  The first query
 * is run as the owner of the one table, the second as that of the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "restore.h"
#include "soft_delete.h"
#include "util/names.h"
#include "util/privileges.h"

#define KEY_NAME "orm_key"

/* A column of the foreign key in the table that has it, c. */
static char *
referencing_column(const OrmReference *reference, int i)
{
	return psprintf("c.%s", quote_identifier(get_attname(reference->referencing,
														 reference->referencing_columns[i], false)));
}

/* The column that it refers to. */
static const char *
referenced_column(const OrmReference *reference, int i)
{
	return quote_identifier(get_attname(reference->referenced,
										reference->referenced_columns[i], false));
}

/* Describe keys: k1 and so on, and how many rows have them. */
static TupleDesc
keys_desc(const OrmReference *reference)
{
	TupleDesc	desc = CreateTemplateTupleDesc(reference->nkeys + 1);

	for (int i = 0; i < reference->nkeys; i++)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(reference->referencing, reference->referencing_columns[i],
							  &type, &typmod, &collation);
		TupleDescInitEntry(desc, i + 1, psprintf("k%d", i + 1), type, typmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, collation);
	}
	TupleDescInitEntry(desc, reference->nkeys + 1, "n", INT8OID, -1, 0);
	return desc;
}

/* The keys, without nulls, that rows which come back hold. */
static Tuplestorestate *
keys_of_rows(OrmRestore *restore, const OrmReference *reference)
{
	Oid			relid = reference->referencing;
	Tuplestorestate *keys = orm_open_restore_store(restore);
	StringInfoData columns;
	StringInfoData given;

	initStringInfo(&columns);
	initStringInfo(&given);
	for (int i = 0; i < reference->nkeys; i++)
	{
		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "", referencing_column(reference, i));
		appendStringInfo(&given, " AND %s IS NOT NULL", referencing_column(reference, i));
	}
	orm_run_restore(restore, orm_table_owner(relid),
					psprintf("SELECT %s, count(*) FROM %s%s AS c, " ORM_PLACE_NAME " AS o"
							 " WHERE c.tableoid = o.rel AND c.ctid = o.tid AND %s%s GROUP BY %s",
							 columns.data, orm_only(relid), orm_relid_name(relid),
							 orm_deleted_rows_sql(relid, "c"), given.data, columns.data),
					list_make1(orm_name_store(ORM_PLACE_NAME, orm_place_desc(), restore->places)),
					NULL, keys);
	return keys;
}

/* The condition that a row of the referenced table, p, has the key, k. */
static char *
key_condition(const OrmReference *reference)
{
	StringInfoData condition;

	initStringInfo(&condition);
	for (int i = 0; i < reference->nkeys; i++)
		appendStringInfo(&condition, "%s(%s)", i > 0 ? " AND " : "",
						 orm_reference_condition(reference, i,
												 psprintf("p.%s", referenced_column(reference, i)),
												 orm_collated_value(reference, i, psprintf("k.k%d", i + 1))));
	return condition.data;
}

/*
 * The condition that no row has a key, k, which is live or comes back; with
 * PERIOD, that such rows do not cover it.
 */
static char *
missing_condition(const OrmReference *reference, const char *parent, const char *condition)
{
	Oid			relid = reference->referenced;
	char	   *live = orm_live_rows_sql(relid, "p");
	char	   *returning = psprintf("%s AND p.tableoid = o.rel AND p.ctid = o.tid",
									 orm_deleted_rows_sql(relid, "p"));

	if (reference->temporal)
		return psprintf("NOT coalesce(k.k%d <@ (SELECT range_agg(p.%s) FROM %s WHERE %s AND"
						" (%s OR EXISTS (SELECT FROM " ORM_PLACE_NAME " AS o WHERE %s))), false)",
						reference->nkeys, referenced_column(reference, reference->nkeys - 1),
						parent, condition, live, returning);
	return psprintf("NOT EXISTS (SELECT FROM %s WHERE %s AND %s)"
					" AND NOT EXISTS (SELECT FROM %s, " ORM_PLACE_NAME " AS o WHERE %s AND %s)",
					parent, condition, live, parent, condition, returning);
}

/*
 * The query for the keys whose parents are missing: each as texts, the number
 * of rows, and whether there is a deleted row for it.
 */
static char *
missing_query(const OrmReference *reference)
{
	StringInfoData list;
	Oid			relid = reference->referenced;
	const char *parent = psprintf("%s%s AS p", orm_only(relid), orm_relid_name(relid));
	char	   *condition = key_condition(reference);

	initStringInfo(&list);
	for (int i = 0; i < reference->nkeys; i++)
		appendStringInfo(&list, "format('%%s', k.k%d), ", i + 1);
	return psprintf("SELECT %sk.n, EXISTS (SELECT FROM %s WHERE %s AND %s)"
					" FROM " KEY_NAME " AS k WHERE %s",
					list.data, parent, condition, orm_deleted_rows_sql(relid, "p"),
					missing_condition(reference, parent, condition));
}

/* Describe what that query returns. */
static TupleDesc
missing_desc(const OrmReference *reference)
{
	TupleDesc	desc = CreateTemplateTupleDesc(reference->nkeys + 2);

	for (int i = 0; i < reference->nkeys; i++)
		TupleDescInitEntry(desc, i + 1, psprintf("k%d", i + 1), TEXTOID, -1, 0);
	TupleDescInitEntry(desc, reference->nkeys + 1, "n", INT8OID, -1, 0);
	TupleDescInitEntry(desc, reference->nkeys + 2, "deleted", BOOLOID, -1, 0);
	return desc;
}

/* Is the key that a foreign key refers to the primary key? */
static bool
refers_to_primary_key(const OrmReference *reference)
{
	Relation	rel = table_open(reference->referenced, AccessShareLock);
	List	   *columns = orm_primary_key_columns(rel);
	bool		result = list_length(columns) == reference->nkeys;

	for (int i = 0; i < reference->nkeys; i++)
		result = result && list_member_int(columns, reference->referenced_columns[i]);
	table_close(rel, NoLock);
	return result;
}

/* The condition under which a row of the referenced table has a key. */
static char *
parent_condition(const OrmReference *reference, char **values)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < reference->nkeys; i++)
		appendStringInfo(&text, "%s%s %s %s", i > 0 ? " AND " : "",
						 referenced_column(reference, i),
						 reference->temporal && i == reference->nkeys - 1 ? "&&" : "=",
						 quote_literal_cstr(values[i]));
	return text.data;
}

/* The call that restores the parent that has a key, or the parents. */
static char *
remedy(const OrmReference *reference, char **values)
{
	const char *table = quote_literal_cstr(orm_relid_name(reference->referenced));
	StringInfoData text;

	if (reference->temporal || !refers_to_primary_key(reference))
		return psprintf("orm_ext.restore_where(%s, %s)", table,
						quote_literal_cstr(parent_condition(reference, values)));
	if (reference->nkeys == 1)
		return psprintf("orm_ext.restore(%s, %s)", table, quote_literal_cstr(values[0]));

	initStringInfo(&text);
	for (int i = 0; i < reference->nkeys; i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "{");
		escape_json(&text, get_attname(reference->referenced, reference->referenced_columns[i], false));
		appendStringInfoString(&text, ": ");
		escape_json(&text, values[i]);
	}
	appendStringInfoChar(&text, '}');
	return psprintf("orm_ext.restore(%s, %s)", table, quote_literal_cstr(text.data));
}

/* "Key (a, b)=(1, 2) is not present in table ...", as the server has it (ri_ReportViolation()). */
static char *
missing_detail(const OrmReference *reference, char **values)
{
	StringInfoData names;
	StringInfoData list;

	if (!orm_may_see_values(reference->referencing))
		return psprintf("Key is not present in table \"%s\".", get_rel_name(reference->referenced));
	initStringInfo(&names);
	initStringInfo(&list);
	for (int i = 0; i < reference->nkeys; i++)
	{
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
						 get_attname(reference->referencing, reference->referencing_columns[i], false));
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", values[i]);
	}
	return psprintf("Key (%s)=(%s) is not present in table \"%s\".", names.data, list.data,
					get_rel_name(reference->referenced));
}

/* A key whose parent is missing, as a problem. */
static OrmRestoreProblem *
missing_parent(const OrmReference *reference, TupleTableSlot *slot)
{
	OrmRestoreProblem *problem = palloc0_object(OrmRestoreProblem);
	char	   *values[INDEX_MAX_KEYS];

	slot_getallattrs(slot);
	for (int i = 0; i < reference->nkeys; i++)
		values[i] = TextDatumGetCString(slot->tts_values[i]);
	problem->relid = reference->referencing;
	problem->rows = DatumGetInt64(slot->tts_values[reference->nkeys]);
	problem->constraint = reference->name;
	problem->message = psprintf("insert or update on table \"%s\" violates foreign key constraint \"%s\"",
								get_rel_name(reference->referencing), reference->name);
	problem->detail = missing_detail(reference, values);
	if (DatumGetBool(slot->tts_values[reference->nkeys + 1]) &&
		orm_may_see_values(reference->referencing))
	{
		problem->parent = reference->referenced;
		problem->parent_condition = parent_condition(reference, values);
		problem->remedy = remedy(reference, values);
	}
	return problem;
}

/* The parents that are missing by one foreign key. */
static List *
missing_by_reference(OrmRestore *restore, const OrmReference *reference)
{
	Tuplestorestate *keys = keys_of_rows(restore, reference);
	Tuplestorestate *missing = orm_open_restore_store(restore);
	TupleDesc	desc = missing_desc(reference);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	List	   *result = NIL;

	if (tuplestore_tuple_count(keys) > 0)
		orm_run_restore(restore, orm_table_owner(reference->referenced), missing_query(reference),
						list_make2(orm_name_store(KEY_NAME, keys_desc(reference), keys),
								   orm_name_store(ORM_PLACE_NAME, orm_place_desc(), restore->places)),
						NULL, missing);
	while (tuplestore_gettupleslot(missing, true, false, slot))
		result = lappend(result, missing_parent(reference, slot));
	ExecDropSingleTupleTableSlot(slot);
	orm_close_restore_store(restore, missing);
	orm_close_restore_store(restore, keys);
	return result;
}

/* The foreign keys (OrmReference *) of a table, and those that partitions of it have for themselves. */
static List *
references_of_tree(Oid relid)
{
	List	   *result = orm_references_of(relid);
	ListCell   *member;
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return result;
	foreach(member, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		if (lfirst_oid(member) == relid)
			continue;
		foreach(lc, orm_references_of(lfirst_oid(member)))
		{
			if (!OidIsValid(((OrmReference *) lfirst(lc))->parent))
				result = lappend(result, lfirst(lc));
		}
	}
	return result;
}

/* All parents that are missing when the rows of a preview come back (OrmRestoreProblem *). */
List *
orm_find_missing_parents(OrmRestore *restore)
{
	List	   *result = NIL;
	ListCell   *table;
	ListCell   *lc;

	foreach(table, restore->tables)
	{
		foreach(lc, references_of_tree(((OrmRestoredTable *) lfirst(table))->relid))
		{
			if (!orm_is_kept(lfirst(lc)))
				result = list_concat(result, missing_by_reference(restore, lfirst(lc)));
		}
	}
	return result;
}
