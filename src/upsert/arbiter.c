/*-------------------------------------------------------------------------
 *
 * arbiter.c
 *		Which row of a table does a row of the input mean?
 *
 * A unique index says so.  Callers name its columns, or the index or its
 * constraint; predicate, collations and NULLS NOT DISTINCT come from the
 * catalog, so that nobody has to repeat them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "upsert.h"
#include "util/names.h"

/* Can an index decide about conflicts at all? */
static bool
is_usable(Form_pg_index index)
{
	return index->indisunique && index->indisvalid && index->indimmediate;
}

/* Are the key columns of an index just these? */
static bool
has_columns(Form_pg_index index, const Bitmapset *columns)
{
	Bitmapset  *keys = NULL;
	bool		result;

	for (int i = 0; i < index->indnkeyatts; i++)
	{
		if (index->indkey.values[i] == 0)
			return false;
		keys = bms_add_member(keys, index->indkey.values[i]);
	}
	result = bms_equal(keys, columns);
	bms_free(keys);
	return result;
}

/* Names as a list for a message. */
static char *
join_names(List *names)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, names)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 quote_identifier(lfirst(lc)));
	return list.data;
}

/* Complain that no index fits.  Error: 42P10, or 55000 if one is deferrable. */
static void
report_no_arbiter(Relation rel, List *names, bool deferrable)
{
	if (deferrable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("deferrable %s of table \"%s\" cannot decide about conflicts",
						names == NIL ? "primary key" : psprintf("unique constraint (%s)", join_names(names)),
						RelationGetRelationName(rel)),
				 errdetail("Whether it holds is known at the end of the transaction only."),
				 errhint("Name another unique key, or make the constraint NOT DEFERRABLE."),
				 errtable(rel)));
	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("table \"%s\" has no primary key", RelationGetRelationName(rel)),
				 errdetail("Rows are told by their primary key where no other key is named."),
				 errhint("Name the columns of a unique key: conflict => ARRAY['...']."),
				 errtable(rel)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 errmsg("table \"%s\" has no unique key (%s)",
					RelationGetRelationName(rel), join_names(names)),
			 errdetail("There is no valid unique constraint or index on just these columns, and none of this name."),
			 errhint("CREATE UNIQUE INDEX ON %s (%s);", orm_relation_name(rel), join_names(names)),
			 errtable(rel)));
}

/* Complain of several indexes that fit.  Error: 42P10. */
static void
report_ambiguous(Relation rel, List *names, List *indexes)
{
	List	   *candidates = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
		candidates = lappend(candidates, get_rel_name(lfirst_oid(lc)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 errmsg("unique key (%s) of table \"%s\" is ambiguous",
					join_names(names), RelationGetRelationName(rel)),
			 errdetail("It holds among some of the rows only, in several ways: indexes %s.",
					   join_names(candidates)),
			 errhint("Name the index that is meant: conflict => ARRAY[%s].",
					 quote_literal_cstr(linitial(candidates))),
			 errtable(rel)));
}

/* Complain of a name that is no column.  Error: 42703. */
static void
check_columns_exist(Relation rel, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (orm_find_column(RelationGetDescr(rel), lfirst(lc)) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							(char *) lfirst(lc), RelationGetRelationName(rel)),
					 errdetail("The names are neither columns of a unique key, nor that of one unique constraint or index."),
					 errtable(rel)));
	}
}

/* Read a row of pg_index. */
static HeapTuple
index_tuple(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	return tuple;
}

/*
 * The unique index on just these columns.  One over all rows wins over those
 * among some; of equal ones the first does.
 */
static Oid
find_by_columns(Relation rel, List *names, const Bitmapset *columns, bool *deferrable)
{
	List	   *partial = NIL;
	Oid			full = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = index_tuple(lfirst_oid(lc));
		Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);

		if (index->indisunique && has_columns(index, columns))
		{
			if (!is_usable(index))
				*deferrable |= !index->indimmediate;
			else if (!heap_attisnull(tuple, Anum_pg_index_indpred, NULL))
				partial = lappend_oid(partial, lfirst_oid(lc));
			else if (!OidIsValid(full))
				full = lfirst_oid(lc);
		}
		ReleaseSysCache(tuple);
	}
	if (OidIsValid(full) || partial == NIL)
		return full;
	if (list_length(partial) > 1)
		report_ambiguous(rel, names, partial);
	return linitial_oid(partial);
}

/* The unique index of this name, or of the constraint of this name. */
static Oid
find_by_name(Relation rel, const char *name, bool *deferrable)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = index_tuple(lfirst_oid(lc));
		Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
		bool		usable = is_usable(index);
		bool		is_unique = index->indisunique;
		bool		is_deferrable = is_unique && !index->indimmediate;

		ReleaseSysCache(tuple);
		/* a constraint and its index have one name */
		if (!is_unique || strcmp(get_rel_name(lfirst_oid(lc)), name) != 0)
			continue;
		if (usable)
			return lfirst_oid(lc);
		*deferrable |= is_deferrable;
	}
	return InvalidOid;
}

/* The primary key's index, unless it is deferrable. */
static Oid
find_primary_key(Relation rel, bool *deferrable)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = index_tuple(lfirst_oid(lc));
		Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
		bool		is_primary = index->indisprimary;
		bool		usable = is_usable(index);

		ReleaseSysCache(tuple);
		if (is_primary && usable)
			return lfirst_oid(lc);
		*deferrable |= is_primary;
	}
	return InvalidOid;
}

/* The index that a caller means. */
static Oid
find_index(Relation rel, List *names)
{
	Bitmapset  *columns = NULL;
	bool		all_columns = names != NIL;
	bool		deferrable = false;
	Oid			index = InvalidOid;
	ListCell   *lc;

	foreach(lc, names)
	{
		AttrNumber	attno = orm_find_column(RelationGetDescr(rel), lfirst(lc));

		if (attno == InvalidAttrNumber)
			all_columns = false;
		else
			columns = bms_add_member(columns, attno);
	}

	if (names == NIL)
		index = find_primary_key(rel, &deferrable);
	else if (all_columns)
		index = find_by_columns(rel, names, columns, &deferrable);
	if (!OidIsValid(index) && list_length(names) == 1)
		index = find_by_name(rel, linitial(names), &deferrable);
	if (!OidIsValid(index))
	{
		if (!deferrable)
			check_columns_exist(rel, names);
		report_no_arbiter(rel, names, deferrable);
	}
	return index;
}

/* Put the expressions of generated columns in the place of these. */
static Node *
expand_generated(Node *node, void *rel)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varattno > 0 &&
			TupleDescAttr(RelationGetDescr((Relation) rel), var->varattno - 1)->attgenerated)
			return build_column_default(rel, var->varattno);
		return node;
	}
	return expression_tree_mutator(node, expand_generated, rel);
}

/* A column as an expression, where its value has to be computed. */
static Node *
generated_column(Relation rel, AttrNumber attno)
{
	if (attno == 0 || !TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated)
		return NULL;
	return build_column_default(rel, attno);
}

/* Note the columns that an expression depends on. */
static void
note_references(OrmArbiter *arbiter, Node *node)
{
	Bitmapset  *attnos = NULL;
	int			member = -1;

	pull_varattnos(node, 1, &attnos);
	while ((member = bms_next_member(attnos, member)) >= 0)
		arbiter->referenced = bms_add_member(arbiter->referenced,
											 member + FirstLowInvalidHeapAttributeNumber);
}

/* Find the operators of one key column. */
static void
read_operators(OrmArbiter *arbiter, Relation index, int i)
{
	Oid			family = index->rd_opfamily[i];
	Oid			type = index->rd_opcintype[i];

	arbiter->types[i] = type;
	arbiter->equals[i] = get_opfamily_member(family, type, type, BTEqualStrategyNumber);
	arbiter->less[i] = get_opfamily_member(family, type, type, BTLessStrategyNumber);
	if (!OidIsValid(arbiter->equals[i]) || !OidIsValid(arbiter->less[i]))
		elog(ERROR, "operator family %u lacks operators for type %u", family, type);
}

/* Read an index into the arbiter. */
static void
read_index(Relation rel, Relation index, OrmArbiter *arbiter)
{
	List	   *expressions = RelationGetIndexExpressions(index);
	ListCell   *next = list_head(expressions);
	oidvector  *opclasses;
	bool		isnull;

	opclasses = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, index->rd_indextuple,
															  Anum_pg_index_indclass, &isnull));
	arbiter->nkeys = index->rd_index->indnkeyatts;
	for (int i = 0; i < arbiter->nkeys; i++)
	{
		Node	   *expression;

		arbiter->columns[i] = index->rd_index->indkey.values[i];
		arbiter->collations[i] = index->rd_indcollation[i];
		arbiter->opclasses[i] = opclasses->values[i];
		read_operators(arbiter, index, i);

		expression = generated_column(rel, arbiter->columns[i]);
		if (arbiter->columns[i] == 0)
		{
			arbiter->expressions[i] = lfirst(next);
			expression = expand_generated(lfirst(next), rel);
			next = lnext(expressions, next);
		}
		arbiter->computed[i] = expression;
		if (expression)
			note_references(arbiter, expression);
		else
			arbiter->referenced = bms_add_member(arbiter->referenced, arbiter->columns[i]);
	}
	arbiter->nulls_not_distinct = index->rd_index->indnullsnotdistinct;
	arbiter->predicate = RelationGetIndexPredicate(index);
	arbiter->computed_predicate = (List *) expand_generated((Node *) arbiter->predicate, rel);
	note_references(arbiter, (Node *) arbiter->computed_predicate);
}

/*
 * Find the unique index that tells which row is meant: by the names of its
 * columns, by its own name or its constraint's; without names it is the primary
 * key.  Errors: 42P10 (none, or several), 42703, 55000 (deferrable).
 */
void
orm_find_arbiter(Relation rel, List *conflict, OrmArbiter *arbiter)
{
	Relation	index;

	memset(arbiter, 0, sizeof(*arbiter));
	arbiter->index = find_index(rel, conflict);
	index = index_open(arbiter->index, AccessShareLock);
	read_index(rel, index, arbiter);
	index_close(index, AccessShareLock);
}
