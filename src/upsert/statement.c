/*-------------------------------------------------------------------------
 *
 * statement.c
 *		The SQL of a bulk upsert.
 *
 * One statement writes all rows:
 *
 *	INSERT INTO t (...)
 *	SELECT ... FROM store s
 *		LEFT JOIN LATERAL (SELECT ... FROM t WHERE t.key = s.key
 *			AND upsert_found(...) OFFSET 0 | FOR [NO KEY] UPDATE) e ON true
 *	WHERE upsert_takes(...)
 *	ON CONFLICT (key) DO UPDATE SET ... WHERE upsert_conflicts(...)
 *	RETURNING ...
 *
 * The lateral subquery makes the plan, since OFFSET or FOR UPDATE keep it apart:
 * for each row of the store, in its order, one look into the index, and no join
 * that could read the whole table.  The executor pulls one row, writes it and returns it before it pulls the next,
 * so that the functions know which row they are asked about (engine.c).
 *
 * Where the row on its way is filled from the existing one, that is locked
 * first: what was filled in must not come from a row that is gone when it is
 * inserted.  The lock is the one that the update takes anyway, or that DELETE
 * takes where the update may mark the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opclass.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "upsert.h"
#include "util/names.h"

/* Quoted name of a column. */
static const char *
column(const OrmUpsertTarget *target, AttrNumber attno)
{
	return quote_identifier(NameStr(TupleDescAttr(target->rowtype, attno - 1)->attname));
}

/* The separator of a list that is being written. */
static void
separate(StringInfo sql, bool *first, const char *separator)
{
	if (!*first)
		appendStringInfoString(sql, separator);
	*first = false;
}

/* A type, in a way that can be read with any search_path. */
static const char *
type_name(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* A table in FROM: a unique index of an inheritance parent covers just that. */
static void
write_table(StringInfo sql, Relation rel, const char *alias)
{
	appendStringInfo(sql, "%s%s %s",
					 rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 orm_relation_name(rel), alias);
}

/* An expression over the table, as columns of an alias or without one. */
static char *
write_expression(Relation rel, Node *expression, const char *alias)
{
	List	   *context = deparse_context_for(alias ? alias : RelationGetRelationName(rel),
											  RelationGetRelid(rel));

	return deparse_expression(expression, context, alias != NULL, false);
}

/* The collation of a key column, where it is not that of its column. */
static void
write_collation(StringInfo sql, const OrmUpsertTarget *target, int key)
{
	const OrmArbiter *arbiter = &target->arbiter;
	AttrNumber	attno = arbiter->columns[key];

	if (!OidIsValid(arbiter->collations[key]))
		return;
	if (attno > 0 &&
		TupleDescAttr(target->rowtype, attno - 1)->attcollation == arbiter->collations[key])
		return;
	appendStringInfo(sql, " COLLATE %s", generate_collation_name(arbiter->collations[key]));
}

/* A key column of an existing row. */
static char *
existing_key(Relation rel, const OrmUpsertTarget *target, int key)
{
	AttrNumber	attno = target->arbiter.columns[key];
	StringInfoData sql;

	initStringInfo(&sql);
	if (attno > 0)
		appendStringInfo(&sql, "%s.%s", target->alias, column(target, attno));
	else
		appendStringInfo(&sql, "(%s)",
						 write_expression(rel, target->arbiter.expressions[key], target->alias));
	write_collation(&sql, target, key);
	return sql.data;
}

/* Can a key column of an existing row be null? */
static bool
key_is_nullable(const OrmUpsertTarget *target, int key)
{
	AttrNumber	attno = target->arbiter.columns[key];

	return attno == 0 || !TupleDescAttr(target->rowtype, attno - 1)->attnotnull;
}

/* The existing row has the key of the row of the store. */
static void
write_key_condition(StringInfo sql, Relation rel, const OrmUpsertTarget *target)
{
	const OrmArbiter *arbiter = &target->arbiter;

	appendStringInfoString(sql, "s.keyed");
	for (int i = 0; i < arbiter->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(target->store, target->key_positions[i] - 1);
		char	   *existing = existing_key(rel, target, i);
		char	   *given = psprintf("s.%s", NameStr(att->attname));
		bool		nulls_match = arbiter->nulls_not_distinct && key_is_nullable(target, i);
		Oid			type = arbiter->columns[i] > 0 ?
		TupleDescAttr(target->rowtype, arbiter->columns[i] - 1)->atttypid :
		exprType(arbiter->expressions[i]);

		appendStringInfoString(sql, nulls_match ? " AND (" : " AND ");
		generate_operator_clause(sql, existing, type, arbiter->equals[i], given, att->atttypid);
		if (nulls_match)
			appendStringInfo(sql, " OR %s IS NULL AND %s IS NULL)", existing, given);
	}
}

/* The existing row is live, or deleted. */
static const char *
marker_condition(const OrmUpsertTarget *target, bool live)
{
	const char *marker = psprintf("%s.%s", target->alias, column(target, target->marker.attno));

	switch (target->marker.kind)
	{
		case ORM_MARKER_BOOLEAN:
			return psprintf(live ? "NOT %s" : "%s", marker);
		case ORM_MARKER_BIGINT:
			return psprintf("%s OPERATOR(pg_catalog.%s) 0", marker, live ? "=" : "<>");
		default:
			return psprintf("%s IS %s", marker, live ? "NULL" : "NOT NULL");
	}
}

/* The marker of a live row. */
static const char *
live_marker(const OrmUpsertTarget *target)
{
	switch (target->marker.kind)
	{
		case ORM_MARKER_BOOLEAN:
			return "false";
		case ORM_MARKER_BIGINT:
			return "0";
		default:
			return "NULL";
	}
}

/* The columns of an existing row that are read, as one row. */
static void
write_compared(StringInfo sql, const OrmUpsertTarget *target)
{
	bool		first = true;

	appendStringInfoString(sql, "ROW(");
	for (int i = 0; i < target->ncompared; i++)
	{
		separate(sql, &first, ", ");
		appendStringInfo(sql, "%s.%s", target->alias, column(target, target->compared[i]));
	}
	appendStringInfo(sql, "), %s", target->returning ? target->alias : "NULL::pg_catalog.record");
}

/* The value of one column of the row on its way. */
static void
write_value(StringInfo sql, const OrmUpsertTarget *target, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(target->rowtype, attno - 1);
	bool		supplied = orm_supplied_position(target, attno) >= 0;
	bool		filled = bms_is_member(attno, target->filled);
	bool		taken_over = bms_is_member(attno, target->update) ||
	orm_is_key_column(target, attno);

	if (supplied && !bms_is_member(attno, target->partial) && !filled)
	{
		appendStringInfo(sql, "s.c%d", attno);
		return;
	}
	appendStringInfoString(sql, "CASE");
	if (supplied && !taken_over && filled)
		appendStringInfo(sql, " WHEN e.found THEN e.c%d", attno);
	if (supplied)
		appendStringInfo(sql, " WHEN orm_ext.upsert_has(%d) THEN s.c%d", attno, attno);
	if (filled && (!supplied || taken_over))
		appendStringInfo(sql, " WHEN e.found THEN e.c%d", attno);
	appendStringInfo(sql, " ELSE orm_ext.upsert_default(%d, NULL::%s) END",
					 attno, type_name(att->atttypid, att->atttypmod));
}

/* The columns that are inserted. */
static Bitmapset *
inserted_columns(const OrmUpsertTarget *target)
{
	Bitmapset  *columns = bms_copy(target->filled);

	for (int i = 0; i < target->ncolumns; i++)
		columns = bms_add_member(columns, target->columns[i]);
	return columns;
}

/* Is a column GENERATED ALWAYS AS IDENTITY? */
static bool
is_always_identity(const OrmUpsertTarget *target, AttrNumber attno)
{
	return TupleDescAttr(target->rowtype, attno - 1)->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
}

/* INSERT INTO t (columns) SELECT values */
static void
write_insert(StringInfo sql, Relation rel, const OrmUpsertTarget *target)
{
	Bitmapset  *columns = inserted_columns(target);
	bool		overriding = false;
	bool		first = true;
	int			attno = -1;

	appendStringInfo(sql, "INSERT INTO %s AS %s", orm_relation_name(rel), target->alias);
	while ((attno = bms_next_member(columns, attno)) >= 0)
	{
		appendStringInfoString(sql, first ? " (" : ", ");
		appendStringInfoString(sql, column(target, attno));
		overriding |= is_always_identity(target, attno);
		first = false;
	}
	appendStringInfoString(sql, first ? "" : ")");
	if (overriding)
		appendStringInfoString(sql, " OVERRIDING SYSTEM VALUE");

	appendStringInfoString(sql, " SELECT ");
	first = true;
	attno = -1;
	while ((attno = bms_next_member(columns, attno)) >= 0)
	{
		separate(sql, &first, ", ");
		write_value(sql, target, attno);
	}
}

/* The condition that a row is the one that exists. */
static char *
existing_condition(Relation rel, const OrmUpsertTarget *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	write_key_condition(&sql, rel, target);
	if (target->arbiter.predicate)
		appendStringInfo(&sql, " AND (%s)",
						 write_expression(rel, (Node *) make_ands_explicit(target->arbiter.predicate), target->alias));
	if (target->soft_delete)
		appendStringInfo(&sql, " AND %s", marker_condition(target, true));
	return sql.data;
}

/*
 * WHERE the row is the one that exists, and the question about it is answered
 * with yes.  The condition stands there once for the index, and once so that
 * the question is asked of no other row.
 */
static void
write_question(StringInfo sql, Relation rel, const OrmUpsertTarget *target, const char *question)
{
	const char *condition = existing_condition(rel, target);

	appendStringInfo(sql, " WHERE %s AND CASE WHEN %s THEN %s", condition, condition, question);
	write_compared(sql, target);
	appendStringInfoString(sql, ") END");
}

/*
 * How the row that exists is locked: as the update of it would, and as DELETE
 * does if the update may mark it as deleted (soft_delete/row_lock.c).
 */
static const char *
locking_clause(const OrmUpsertTarget *target)
{
	if (!target->locks)
		return " OFFSET 0";
	if (target->soft_delete && bms_is_member(target->marker.attno, target->update) &&
		orm_soft_delete_foreign_keys(target->relid))
		return " FOR UPDATE";
	return " FOR NO KEY UPDATE";
}

/* FROM the table the row that exists */
static void
write_look_up(StringInfo sql, Relation rel, const OrmUpsertTarget *target)
{
	appendStringInfoString(sql, " FROM ");
	write_table(sql, rel, target->alias);
	write_question(sql, rel, target, "orm_ext.upsert_found(s.ordinal, ");
	appendStringInfoString(sql, locking_clause(target));
}

/* FROM the store, and the row that exists */
static void
write_source(StringInfo sql, Relation rel, const OrmUpsertTarget *target)
{
	int			attno = -1;

	appendStringInfoString(sql, " FROM " ORM_STORE_NAME " s LEFT JOIN LATERAL (SELECT true AS found");
	while ((attno = bms_next_member(target->filled, attno)) >= 0)
		appendStringInfo(sql, ", %s.%s AS c%d", target->alias, column(target, attno), attno);
	write_look_up(sql, rel, target);
	appendStringInfoString(sql, ") e ON true WHERE orm_ext.upsert_takes(s.ordinal, e.found)");
}

/* One key column of the arbiter: its expression, collation and class. */
static void
write_arbiter_column(StringInfo sql, Relation rel, const OrmUpsertTarget *target, int key)
{
	const OrmArbiter *arbiter = &target->arbiter;
	AttrNumber	attno = arbiter->columns[key];
	Oid			type = attno > 0 ? TupleDescAttr(target->rowtype, attno - 1)->atttypid :
	exprType(arbiter->expressions[key]);

	if (attno > 0)
		appendStringInfoString(sql, column(target, attno));
	else
		appendStringInfo(sql, "(%s)", write_expression(rel, arbiter->expressions[key], NULL));
	write_collation(sql, target, key);

	if (GetDefaultOpClass(type, BTREE_AM_OID) != arbiter->opclasses[key])
	{
		HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(arbiter->opclasses[key]));
		Form_pg_opclass opclass;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for operator class %u", arbiter->opclasses[key]);
		opclass = (Form_pg_opclass) GETSTRUCT(tuple);
		appendStringInfo(sql, " %s",
						 quote_qualified_identifier(get_namespace_name(opclass->opcnamespace),
													NameStr(opclass->opcname)));
		ReleaseSysCache(tuple);
	}
}

/* What an existing row takes over; one that is brought back is live. */
static List *
assignments(const OrmUpsertTarget *target, const char *row, const char *prefix)
{
	List	   *list = NIL;
	int			attno = -1;
	bool		marker_is_set = false;

	while ((attno = bms_next_member(target->update, attno)) >= 0)
	{
		const char *name = column(target, attno);
		char	   *value = psprintf("%s.%s", row, prefix ? psprintf("%s%d", prefix, attno) : name);

		if (bms_is_member(attno, target->partial))
		{
			bool		is_marker = target->soft_delete && attno == target->marker.attno;

			value = psprintf("CASE WHEN orm_ext.upsert_has(%d) THEN %s ELSE %s END", attno, value,
							 is_marker && target->options.on_deleted == ORM_DELETED_REVIVE ?
							 live_marker(target) : psprintf("%s.%s", target->alias, name));
		}
		marker_is_set |= target->soft_delete && attno == target->marker.attno;
		list = lappend(list, psprintf("%s = %s", name, value));
	}
	if (target->version != InvalidAttrNumber && !target->version_is_kept)
		list = lappend(list, psprintf("%s = %s.%s OPERATOR(pg_catalog.+) 1",
									  column(target, target->version), target->alias,
									  column(target, target->version)));

	/* who assigns the marker is in charge, and meets deleted rows too */
	if (target->soft_delete && !marker_is_set && target->options.on_deleted != ORM_DELETED_INSERT)
	{
		const char *marker = column(target, target->marker.attno);

		list = lappend(list, target->options.on_deleted == ORM_DELETED_REVIVE ?
					   psprintf("%s = %s", marker, live_marker(target)) :
					   psprintf("%s = %s.%s", marker, target->alias, marker));
	}
	return list;
}

/* A list of strings. */
static void
write_list(StringInfo sql, List *list)
{
	bool		first = true;
	ListCell   *lc;

	foreach(lc, list)
	{
		separate(sql, &first, ", ");
		appendStringInfoString(sql, lfirst(lc));
	}
}

/* ON CONFLICT (key) DO ... */
static void
write_conflict(StringInfo sql, Relation rel, const OrmUpsertTarget *target)
{
	const OrmArbiter *arbiter = &target->arbiter;
	bool		first = true;

	appendStringInfoString(sql, " ON CONFLICT (");
	for (int i = 0; i < arbiter->nkeys; i++)
	{
		separate(sql, &first, ", ");
		write_arbiter_column(sql, rel, target, i);
	}
	appendStringInfoChar(sql, ')');
	if (arbiter->predicate)
		appendStringInfo(sql, " WHERE %s",
						 write_expression(rel, (Node *) make_ands_explicit(arbiter->predicate), NULL));

	if (target->options.on_conflict == ORM_CONFLICT_NOTHING || bms_is_empty(target->update))
	{
		appendStringInfoString(sql, " DO NOTHING");
		return;
	}
	appendStringInfoString(sql, " DO UPDATE SET ");
	write_list(sql, assignments(target, "EXCLUDED", NULL));
	appendStringInfoString(sql, " WHERE orm_ext.upsert_conflicts(");
	write_compared(sql, target);
	appendStringInfoChar(sql, ')');
}

/* Does a condition of a partial key say that the row is live? */
static bool
is_about_marker(const OrmUpsertTarget *target, Node *condition)
{
	Bitmapset  *columns = NULL;

	pull_varattnos(condition, 1, &columns);
	return bms_is_member(target->marker.attno - FirstLowInvalidHeapAttributeNumber, columns);
}

/* Conditions of a partial key, but for the one that the row is live. */
static void
write_other_conditions(StringInfo sql, Relation rel, const OrmUpsertTarget *target)
{
	ListCell   *lc;

	foreach(lc, target->arbiter.predicate)
	{
		if (!is_about_marker(target, lfirst(lc)))
			appendStringInfo(sql, " AND (%s)", write_expression(rel, lfirst(lc), target->alias));
	}
}

/* Does the key hold among live rows alone? */
static bool
is_live_key(const OrmUpsertTarget *target)
{
	ListCell   *lc;

	foreach(lc, target->arbiter.predicate)
	{
		if (is_about_marker(target, lfirst(lc)))
			return true;
	}
	return false;
}

/*
 * The query that finds deleted rows with a key of the store.  It is planned
 * anew each time: an index among live rows is of no use to it.
 */
static char *
deleted_query(Relation rel, const OrmUpsertTarget *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT s.ordinal, %s.ctid, %s.tableoid, %s.xmin FROM " ORM_STORE_NAME " s JOIN ",
					 target->alias, target->alias, target->alias);
	write_table(&sql, rel, target->alias);
	appendStringInfoString(&sql, " ON ");
	write_key_condition(&sql, rel, target);
	write_other_conditions(&sql, rel, target);
	appendStringInfo(&sql, " WHERE %s ORDER BY s.ordinal, %s.%s DESC",
					 marker_condition(target, false), target->alias, column(target, target->marker.attno));
	return sql.data;
}

/*
 * The statement that brings one deleted row back.  Its parameters are the
 * row's place, its table, and the values to take over, which are named p.c1 ...
 */
static char *
revival(Relation rel, const OrmUpsertTarget *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "UPDATE ");
	write_table(&sql, rel, target->alias);
	appendStringInfoString(&sql, " SET ");
	write_list(&sql, assignments(target, "s", "c"));
	appendStringInfo(&sql, " FROM " ORM_STORE_NAME " s WHERE %s.ctid OPERATOR(pg_catalog.=) $1 AND %s.tableoid OPERATOR(pg_catalog.=) $2 AND %s AND orm_ext.upsert_conflicts(",
					 target->alias, target->alias, marker_condition(target, false));
	write_compared(&sql, target);
	appendStringInfo(&sql, ") RETURNING %s", target->returning ? target->alias : "true");
	return sql.data;
}

/* The query that looks for the live row of one row of the store, and locks it to be updated. */
static char *
live_query(Relation rel, const OrmUpsertTarget *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT e.* FROM " ORM_STORE_NAME " s CROSS JOIN LATERAL (SELECT %s",
					 target->returning ? target->alias : "true");
	write_look_up(&sql, rel, target);
	appendStringInfoString(&sql, ") e");
	return sql.data;
}

/* The statement that updates it. */
static char *
live_update(Relation rel, const OrmUpsertTarget *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "UPDATE ");
	write_table(&sql, rel, target->alias);
	appendStringInfoString(&sql, " SET ");
	write_list(&sql, assignments(target, "s", "c"));
	appendStringInfoString(&sql, " FROM " ORM_STORE_NAME " s");
	write_question(&sql, rel, target, "orm_ext.upsert_conflicts(");
	appendStringInfo(&sql, " RETURNING %s", target->returning ? target->alias : "true");
	return sql.data;
}

/* A name for the table that none of its columns has: alone it means the row. */
static char *
choose_alias(const OrmUpsertTarget *target)
{
	char	   *alias = "t";

	while (orm_find_column(target->rowtype, alias) != InvalidAttrNumber)
		alias = psprintf("%s_", alias);
	return alias;
}

/*
 * Write the statements of a bulk upsert.  The search_path is pinned.
 */
void
orm_write_upsert_statement(Relation rel, OrmUpsertTarget *target)
{
	StringInfoData sql;

	target->alias = choose_alias(target);
	initStringInfo(&sql);
	write_insert(&sql, rel, target);
	write_source(&sql, rel, target);
	write_conflict(&sql, rel, target);
	appendStringInfo(&sql, " RETURNING %s", target->returning ? target->alias : "true");
	target->statement = sql.data;
	if (!target->soft_delete || target->options.on_deleted == ORM_DELETED_INSERT)
		return;
	target->live_key = is_live_key(target);
	target->deleted_query = deleted_query(rel, target);
	target->live_query = live_query(rel, target);
	target->live_update = live_update(rel, target);
	if (target->options.on_deleted == ORM_DELETED_REVIVE)
		target->revival = revival(rel, target);
}
