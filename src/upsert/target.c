/*-------------------------------------------------------------------------
 *
 * target.c
 *		All that a bulk upsert knows before it reads its first row.
 *
 * Finding the unique index, writing the statement and planning it takes longer
 * than upserting a few rows, so it is kept for the next call that asks for the
 * same.  An entry is good until a relation that this library watches changes;
 * it is kept beyond that while a call is using it, which a trigger can bring
 * about.  Its plan is one of SPI's, which the server itself keeps up to date.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "policy.h"
#include "run.h"
#include "util/names.h"
#include "util/spi.h"

/* More entries than this are not kept. */
#define MAX_TARGETS 100

/* The entries, the one that was used last first. */
static List *targets = NIL;
static MemoryContext targets_context = NULL;

/*
 * Open a table to be upserted into.
 * Errors: 42P01 it does not exist, 0A000 a catalog, 42809 no table.
 */
Relation
orm_open_upsert_target(Oid relid)
{
	Relation	rel = orm_open_relation(relid, RowExclusiveLock);

	if (IsCatalogRelation(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT is not supported with system catalog tables")));
	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot upsert into \"%s\"", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Name the table that holds the rows.")));
	return rel;
}

/* Add a number to a key. */
static void
add_number(StringInfo key, uint32 number)
{
	appendBinaryStringInfo(key, (char *) &number, sizeof(number));
}

/* Add a name to a key, with its end. */
static void
add_name(StringInfo key, const char *name)
{
	appendBinaryStringInfo(key, name, strlen(name) + 1);
}

/* Add names to a key. */
static void
add_names(StringInfo key, List *names)
{
	ListCell   *lc;

	add_number(key, list_length(names));
	foreach(lc, names)
		add_name(key, lfirst(lc));
}

/*
 * All that a target depends on, as bytes: it is made for each call, so nothing
 * is printed.
 */
static void
make_cache_key(StringInfo key, Relation rel, const OrmUpsertSource *source,
			   const OrmUpsertOptions *options, bool returning)
{
	ListCell   *lc;
	int			attno = -1;

	initStringInfo(key);
	add_number(key, RelationGetRelid(rel));
	add_number(key, GetUserId());
	appendStringInfoChar(key, options->on_conflict);
	appendStringInfoChar(key, options->on_duplicate);
	appendStringInfoChar(key, options->on_deleted);
	appendStringInfoChar(key, options->update_all);
	appendStringInfoChar(key, returning);
	appendStringInfoChar(key, orm_soft_delete_active(RelationGetRelid(rel)));
	add_number(key, list_length(source->columns));
	foreach(lc, source->columns)
		add_number(key, lfirst_int(lc));
	add_number(key, bms_num_members(source->partial));
	while ((attno = bms_next_member(source->partial, attno)) >= 0)
		add_number(key, attno);
	add_names(key, options->conflict);
	add_names(key, options->update_columns);
	if (options->version_column)
		add_name(key, options->version_column);
}

/* Drop a target, unless a call uses it, which then drops it. */
static void
drop_target(OrmUpsertTarget *target)
{
	targets = list_delete_ptr(targets, target);
	target->obsolete = true;
	if (target->uses > 0)
		return;
	if (target->plan)
		SPI_freeplan(target->plan);
	if (target->revival_plan)
		SPI_freeplan(target->revival_plan);
	if (target->live_query_plan)
		SPI_freeplan(target->live_query_plan);
	if (target->live_update_plan)
		SPI_freeplan(target->live_update_plan);
	MemoryContextDelete(target->context);
}

/* A target that was made before and is still good. */
static OrmUpsertTarget *
find_target(const StringInfoData *key)
{
	OrmUpsertTarget *found = NULL;
	ListCell   *lc;

	foreach(lc, targets)
	{
		OrmUpsertTarget *target = lfirst(lc);

		if (target->key_length == key->len && memcmp(target->cache_key, key->data, key->len) == 0)
		{
			found = target;
			break;
		}
	}
	if (found && found->generation != orm_policy_generation())
	{
		drop_target(found);
		return NULL;
	}
	return found;
}

/* Fill a target in; its memory is the current context. */
static void
fill_target(OrmUpsertTarget *target, Relation rel, const OrmUpsertSource *source,
			const OrmUpsertOptions *options, bool returning)
{
	int			level = orm_pin_settings();

	target->relid = RelationGetRelid(rel);
	target->options = *options;
	target->options.conflict = target->options.update_columns = NIL;
	target->options.version_column = NULL;
	target->returning = returning;
	target->rowtype = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	target->soft_delete = orm_soft_delete_marker(target->relid, &target->marker);
	orm_find_arbiter(rel, options->conflict, &target->arbiter);
	orm_choose_columns(rel, source, options, target);
	orm_write_upsert_statement(rel, target);
	orm_prepare_direct(rel, target);
	AtEOXact_GUC(true, level);
}

/* Make a target and keep it. */
static OrmUpsertTarget *
make_target(const StringInfoData *key, Relation rel, const OrmUpsertSource *source,
			const OrmUpsertOptions *options, bool returning)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext bulk upsert target",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	OrmUpsertTarget *target = palloc0_object(OrmUpsertTarget);

	orm_policy_watch(RelationGetRelid(rel));
	target->context = context;
	target->cache_key = memcpy(palloc(key->len), key->data, key->len);
	target->key_length = key->len;
	target->generation = orm_policy_generation();
	fill_target(target, rel, source, options, returning);

	if (targets_context == NULL)
		targets_context = AllocSetContextCreate(CacheMemoryContext, "orm_ext bulk upsert targets",
												ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(targets_context);
	MemoryContextSetParent(context, targets_context);
	if (list_length(targets) >= MAX_TARGETS)
		drop_target(llast(targets));
	targets = lcons(target, targets);
	MemoryContextSwitchTo(oldcontext);
	return target;
}

/*
 * All that is to be known to upsert these columns into a table, to be released
 * with orm_end_upsert_target().
 */
OrmUpsertTarget *
orm_begin_upsert_target(Relation rel, const OrmUpsertSource *source,
						const OrmUpsertOptions *options, bool returning)
{
	StringInfoData key;
	OrmUpsertTarget *target;

	make_cache_key(&key, rel, source, options, returning);
	target = find_target(&key);
	if (target == NULL)
		target = make_target(&key, rel, source, options, returning);
	target->uses++;
	pfree(key.data);
	return target;
}

/* The call that used a target is over. */
void
orm_end_upsert_target(OrmUpsertTarget *target)
{
	target->uses--;
	if (target->obsolete && target->uses == 0)
		drop_target(target);
}
