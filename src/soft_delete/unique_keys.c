/*-------------------------------------------------------------------------
 *
 * unique_keys.c
 *		Unique keys: among live rows, or among all rows.
 *
 * A key among live rows is a partial unique index with the live condition as
 * predicate.  An index is turned into the other kind by dropping it and
 * creating it anew under its name, in one transaction.  So is an exclusion
 * constraint, which stays a constraint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "commands/comment.h"
#include "commands/tablespace.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "unique_keys.h"
#include "util/names.h"
#include "util/spi.h"

/* What to run to turn one index into the other kind. */
typedef struct Conversion
{
	char	   *drop;
	char	   *create;
	char	   *comment;		/* NULL if it has none */
} Conversion;

/* Does a foreign key of some table refer to the key? */
static bool
is_referenced(Oid index)
{
	Oid			referenced = IndexGetRelation(index, false);
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	/* there is no catalog index by referenced table */
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

		found = constraint->contype == CONSTRAINT_FOREIGN &&
			constraint->confrelid == referenced &&
			constraint->conindid == index;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/*
 * Why must a unique key stay as it is?  NULL if it need not.  That a primary
 * key stays goes without saying.
 */
static const char *
reason_to_stay(Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;

	if (is_referenced(form->indexrelid))
		return "A foreign key refers to it.";
	if (form->indisunique && form->indisexclusion)
		return "It is WITHOUT OVERLAPS, which an index among live rows cannot be.";
	if (form->indisunique && !form->indimmediate)
		return "It is deferrable, which an index among live rows cannot be.";
	if (form->indisreplident)
		return "It is the table's replica identity.";
	if (!CheckRelationLockedByMe(rel, ShareLock, true))
		return "It was created CONCURRENTLY, and to create it anew would lock the table.";
	return NULL;
}

/*
 * The predicate of an index as it was written, as an implicitly ANDed list.
 * (RelationGetIndexPredicate() simplifies it.)
 */
static List *
written_predicate(Relation index)
{
	Datum		value;
	bool		isnull;

	value = SysCacheGetAttr(INDEXRELID, index->rd_indextuple,
							Anum_pg_index_indpred, &isnull);
	if (isnull)
		return NIL;
	return make_ands_implicit((Expr *) stringToNode(TextDatumGetCString(value)));
}

/* A condition on a table, as SQL. */
static char *
print_condition(Oid relid, Node *condition)
{
	List	   *dpcontext = deparse_context_for(get_rel_name(relid), relid);

	return deparse_expression(condition, dpcontext, false, false);
}

/*
 * " WHERE predicate" of an index on a table; empty for no predicate.  That of an
 * exclusion constraint has parentheses.
 */
static char *
where_clause(Relation rel, Relation index, List *predicate)
{
	if (predicate == NIL)
		return "";
	return psprintf(index->rd_index->indisexclusion ? " WHERE (%s)" : " WHERE %s",
					print_condition(RelationGetRelid(rel), (Node *) make_ands_explicit(predicate)));
}

/* The predicate, as SQL, of a key of a table among its live rows. */
char *
orm_live_predicate(Oid relid, const OrmMarker *marker)
{
	return print_condition(relid, (Node *) orm_live_condition(marker, 1));
}

/* CREATE UNIQUE INDEX … of an index, up to its predicate. */
static char *
definition_head(Relation rel, Relation index)
{
	char	   *definition = pg_get_indexdef_string(RelationGetRelid(index));
	char	   *where = where_clause(rel, index, written_predicate(index));
	const char *create = psprintf("CREATE UNIQUE INDEX %s ON ",
								  quote_identifier(RelationGetRelationName(index)));
	char	   *target = definition + strlen(create);
	char	   *tail = definition + strlen(definition) - strlen(where);

	if (strncmp(definition, create, strlen(create)) != 0 || tail < target ||
		strcmp(tail, where) != 0)
		elog(ERROR, "unexpected definition of index \"%s\": %s",
			 RelationGetRelationName(index), definition);
	*tail = '\0';

	/* an index of a partitioned table is printed for that table alone */
	if (strncmp(target, "ONLY ", strlen("ONLY ")) == 0)
		target += strlen("ONLY ");
	return psprintf("%s%s", create, target);
}

/* When a constraint is checked, as it is written at the end of its definition. */
static const char *
timing_clause(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	const char *timing = "";

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->condeferrable)
		timing = form->condeferred ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE";
	ReleaseSysCache(tuple);
	return timing;
}

/* ALTER TABLE … ADD CONSTRAINT … EXCLUDE, with another predicate. */
static char *
exclusion_definition(Relation rel, Relation index, Oid constraint, List *predicate)
{
	char	   *definition = pg_get_constraintdef_command(constraint);
	char	   *where = where_clause(rel, index, written_predicate(index));
	const char *timing = timing_clause(constraint);
	char	   *tail = definition + strlen(definition) - strlen(where) - strlen(timing);
	Oid			tablespace = index->rd_rel->reltablespace;

	if (tail < definition || strcmp(tail, psprintf("%s%s", where, timing)) != 0)
		elog(ERROR, "unexpected definition of constraint \"%s\": %s",
			 RelationGetRelationName(index), definition);
	*tail = '\0';
	return psprintf("%s%s%s%s%s", definition,
					OidIsValid(tablespace) ? " USING INDEX TABLESPACE " : "",
					OidIsValid(tablespace) ? quote_identifier(get_tablespace_name(tablespace)) : "",
					where_clause(rel, index, predicate), timing);
}

/* COMMENT ON something, NULL for no comment. */
static char *
comment_command(const char *object, const char *comment)
{
	return comment ? psprintf("COMMENT ON %s IS %s", object, quote_literal_cstr(comment)) : NULL;
}

/*
 * Plan to drop an index and to create it with another predicate.  A unique
 * constraint cannot have one, and comes back as an index; an exclusion
 * constraint can.
 */
static Conversion *
plan_conversion(Relation rel, Relation index, List *predicate)
{
	Conversion *conversion = palloc0_object(Conversion);
	Oid			oid = RelationGetRelid(index);
	Oid			constraint = get_index_constraint(oid);
	const char *table = orm_relation_name(rel);
	const char *name = quote_identifier(RelationGetRelationName(index));
	char	   *comment = GetComment(oid, RelationRelationId, 0);

	if (OidIsValid(constraint))
	{
		conversion->drop = psprintf("ALTER TABLE %s DROP CONSTRAINT %s", table, name);
		if (comment == NULL)
			comment = GetComment(constraint, ConstraintRelationId, 0);
	}
	else
		conversion->drop = psprintf("DROP INDEX %s", orm_relation_name(index));

	if (index->rd_index->indisexclusion)
	{
		conversion->create = exclusion_definition(rel, index, constraint, predicate);
		conversion->comment = comment_command(psprintf("CONSTRAINT %s ON %s", name, table), comment);
	}
	else
	{
		conversion->create = psprintf("%s%s", definition_head(rel, index),
									  where_clause(rel, index, predicate));
		conversion->comment = comment_command(psprintf("INDEX %s", orm_relation_name(index)), comment);
	}
	return conversion;
}

/* Plan to make a unique index hold among live rows; NULL if there is no need. */
static Conversion *
plan_live(Relation rel, Relation index, Expr *live)
{
	const char *reason = reason_to_stay(rel, index);

	if (predicate_implied_by(list_make1(live), RelationGetIndexPredicate(index), false))
		return NULL;
	if (reason == NULL)
		return plan_conversion(rel, index, lappend(written_predicate(index), live));
	ereport(NOTICE,
			(errmsg("key \"%s\" of table \"%s\" stays unique among all rows, deleted ones included",
					RelationGetRelationName(index), RelationGetRelationName(rel)),
			 errdetail_internal("%s", reason)));
	return NULL;
}

/*
 * The predicate of an index but for the condition that a row is live;
 * "among_live" tells whether that was part of it.
 */
static List *
predicate_besides_live(Relation index, Expr *live, bool *among_live)
{
	List	   *predicate = NIL;
	ListCell   *lc;

	*among_live = false;
	foreach(lc, written_predicate(index))
	{
		if (equal(eval_const_expressions(NULL, lfirst(lc)), live))
			*among_live = true;
		else
			predicate = lappend(predicate, lfirst(lc));
	}
	return predicate;
}

/* Plan to make a unique index hold among all rows; NULL if there is no need. */
static Conversion *
plan_all(Relation rel, Relation index, Expr *live)
{
	bool		among_live;
	List	   *predicate = predicate_besides_live(index, live, &among_live);

	return among_live ? plan_conversion(rel, index, predicate) : NULL;
}

/* Was an index created, or made valid, by the transaction at hand? */
static bool
is_new(Relation index)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data));
}

/* Plan what is to be done to the unique keys of a table, or to those that are new. */
static List *
plan_conversions(Relation rel, const OrmMarker *marker, OrmUniqueKeys kind, bool only_new)
{
	Expr	   *live = orm_live_condition(marker, 1);
	List	   *indexes = RelationGetIndexList(rel);
	List	   *conversions = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		Conversion *conversion = NULL;

		/* the index of a partition follows that of its parent */
		if ((form->indisunique || form->indisexclusion) && form->indisvalid &&
			!form->indisprimary && !index->rd_rel->relispartition &&
			(!only_new || is_new(index)))
			conversion = kind == ORM_UNIQUE_KEYS_LIVE ?
				plan_live(rel, index, live) : plan_all(rel, index, live);
		if (conversion)
			conversions = lappend(conversions, conversion);
		index_close(index, NoLock);
	}
	return conversions;
}

/* Add a hint to the server's error where a key, or an exclusion, does not hold. */
static void
hint_clash(void *arg)
{
	if (arg && (geterrcode() == ERRCODE_UNIQUE_VIOLATION ||
				geterrcode() == ERRCODE_EXCLUSION_VIOLATION))
		errhint("%s", (const char *) arg);
}

/* Drop indexes and create them anew. */
static void
run_conversions(List *conversions, const char *hint)
{
	ErrorContextCallback callback = {error_context_stack, hint_clash, unconstify(char *, hint)};
	ListCell   *lc;

	error_context_stack = &callback;
	foreach(lc, conversions)
	{
		Conversion *conversion = lfirst(lc);

		orm_run_ddl("%s", conversion->drop);
		orm_run_ddl("%s", conversion->create);
		if (conversion->comment)
			orm_run_ddl("%s", conversion->comment);
	}
	error_context_stack = callback.previous;
}

/*
 * Turn the unique keys of a table into the wanted kind.  The caller holds the
 * lock on the table, but does not have it open.
 *
 * Errors: 23505 and 23P01 where a key is to hold among all rows and does not,
 * with the hint.
 */
void
orm_convert_unique_keys(Oid relid, const OrmMarker *marker, OrmUniqueKeys kind,
						const char *hint)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *conversions = plan_conversions(rel, marker, kind, false);

	table_close(rel, NoLock);
	run_conversions(conversions, hint);
}

/* Make the unique keys hold among live rows that the DDL command at hand has created. */
void
orm_convert_new_keys(Oid relid, const OrmMarker *marker)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *conversions = plan_conversions(rel, marker, ORM_UNIQUE_KEYS_LIVE, true);

	table_close(rel, NoLock);
	run_conversions(conversions, NULL);
}

/* Is an index a unique key of columns, among all live rows? */
static bool
is_key_of_live_rows(Relation index, Expr *live)
{
	bool		among_live;

	return index->rd_index->indisunique && index->rd_index->indisvalid &&
		RelationGetIndexExpressions(index) == NIL &&
		predicate_besides_live(index, live, &among_live) == NIL && among_live;
}

/* The same by OID. */
bool
orm_is_key_of_live_rows(Oid oid, const OrmMarker *marker)
{
	Relation	index = index_open(oid, AccessShareLock);
	bool		result = is_key_of_live_rows(index, orm_live_condition(marker, 1));

	index_close(index, AccessShareLock);
	return result;
}

/* Are these (String) the columns of a key, in any order? */
static bool
has_columns(Relation rel, Relation index, List *columns)
{
	Form_pg_index form = index->rd_index;

	if (form->indnkeyatts != list_length(columns))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	attno = form->indkey.values[i];
		Form_pg_attribute att;

		if (attno <= 0)
			return false;
		att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
		if (!list_member(columns, makeString(NameStr(att->attname))))
			return false;
	}
	return true;
}

/*
 * The key of some columns (String), if it is one among live rows and none of
 * these columns holds among all; InvalidOid if not.
 */
Oid
orm_find_live_key(Oid relid, const OrmMarker *marker, List *columns)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Expr	   *live = orm_live_condition(marker, 1);
	Oid			found = InvalidOid;
	bool		is_referable = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		/* the index of a partition follows that of its parent */
		if (has_columns(rel, index, columns) && !index->rd_rel->relispartition)
		{
			if (is_key_of_live_rows(index, live))
				found = RelationGetRelid(index);
			else if (index->rd_index->indisunique && written_predicate(index) == NIL)
				is_referable = true;
		}
		index_close(index, AccessShareLock);
	}
	table_close(rel, AccessShareLock);
	return is_referable ? InvalidOid : found;
}

/*
 * Have a key among live rows hold among all rows, for a reason that the user is
 * told.
 *
 * Error: 23505 where it does not, with the hint.
 */
void
orm_convert_live_key(Oid relid, Oid key, const char *reason, const char *hint)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Relation	index = index_open(key, AccessShareLock);
	Conversion *conversion = plan_conversion(rel, index, NIL);

	ereport(NOTICE,
			(errmsg("key \"%s\" of table \"%s\" becomes unique among all rows, deleted ones included",
					RelationGetRelationName(index), RelationGetRelationName(rel)),
			 errdetail_internal("%s", reason)));

	/*
	 * converting takes a stronger lock; two sessions are not to wait for each
	 * other's
	 */
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	run_conversions(list_make1(conversion), hint);
}
