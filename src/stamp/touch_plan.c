/*-------------------------------------------------------------------------
 *
 * touch_plan.c
 *		The statements that touch_parent() runs on a parent.
 *
 * They name everything with its schema and find rows by the operators of the
 * foreign key, so that nobody's search_path has a say.  They are planned once
 * in a session, and made anew when a table's triggers or columns change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "policy.h"
#include "stamp.h"
#include "touch.h"
#include "util/names.h"

/* The statements for a target, planned once in a session. */
typedef struct TouchPlans
{
	OrmTouchTarget target;		/* hash key */
	uint64		generation;		/* of the policies, when they were made */
	SPIPlanPtr	lock;
	SPIPlanPtr	touch;
} TouchPlans;

OrmTouch	orm_touching = ORM_TOUCH_NONE;

static HTAB *plans = NULL;
static int	running = 0;		/* plans that are being executed */

/* Is the row that a trigger is fired for a parent that is being touched? */
bool
orm_is_touch(void)
{
	return unlikely(orm_touching != ORM_TOUCH_NONE) &&
		orm_trigger_depth() == 1;
}

/* Does a stamp trigger keep the column as the time of the last update? */
static bool
is_kept_as_updated(Relation rel, const char *column)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		const char *kept = orm_kept_column(trigger, ORM_STAMP_UPDATED);

		if (kept && strcmp(kept, column) == 0 &&
			trigger->tgenabled != TRIGGER_DISABLED)
			return true;
	}
	return false;
}

/*
 * SQL for the time to give a parent: the clock, but later than what is there.
 * Where a stamp trigger keeps the column, it does that.
 */
static const char *
touch_expression(Relation parent, Form_pg_attribute att)
{
	static const char *const steps[] = {
		"1 second", "100 milliseconds", "10 milliseconds", "1 millisecond",
		"100 microseconds", "10 microseconds", "1 microsecond"
	};
	const char *column = quote_identifier(NameStr(att->attname));
	int32		typmod = att->atttypmod;
	Oid			type = getBaseTypeAndTypmod(att->atttypid, &typmod);
	const char *step = steps[typmod >= 0 && typmod <= 6 ? typmod : 6];

	if (is_kept_as_updated(parent, NameStr(att->attname)))
		return psprintf("p.%s", column);
	switch (type)
	{
		case DATEOID:
			return psprintf("GREATEST(pg_catalog.now()::pg_catalog.date, p.%s)", column);
		case INT8OID:
			return psprintf("GREATEST((pg_catalog.date_part('epoch', pg_catalog.now())"
							" OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8,"
							" p.%s OPERATOR(pg_catalog.+) 1)", column);
		default:
			return psprintf("GREATEST(pg_catalog.now()::%s, p.%s OPERATOR(pg_catalog.+) '%s'::pg_catalog.interval)",
							type == TIMESTAMPOID ? "pg_catalog.timestamp" : "pg_catalog.timestamptz",
							column, step);
	}
}

/* " AND ...": a parent that is deleted is not touched, whoever can see it. */
static const char *
live_condition(Relation parent)
{
	OrmMarker	marker;
	const char *column;

	if (!orm_soft_delete_declared(RelationGetRelid(parent), &marker))
		return "";
	column = quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(parent),
													marker.attno - 1)->attname));
	switch (marker.kind)
	{
		case ORM_MARKER_BOOLEAN:
			return psprintf(" AND NOT p.%s", column);
		case ORM_MARKER_BIGINT:
			return psprintf(" AND p.%s OPERATOR(pg_catalog.=) 0", column);
		default:
			return psprintf(" AND p.%s IS NULL", column);
	}
}

/* "p.a = $1 AND p.b = $2 ...", by the operators of the foreign key. */
static char *
row_condition(Relation parent, const OrmTouchTarget *target)
{
	StringInfoData condition;

	initStringInfo(&condition);
	for (int i = 0; i < target->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(parent), target->columns[i] - 1);

		if (i > 0)
			appendStringInfoString(&condition, " AND ");
		generate_operator_clause(&condition,
								 psprintf("p.%s", quote_identifier(NameStr(att->attname))),
								 att->atttypid, target->operators[i],
								 psprintf("$%d", i + 1), target->types[i]);
	}
	appendStringInfoString(&condition, live_condition(parent));
	return condition.data;
}

/* Prepare a statement for the session. */
static SPIPlanPtr
prepare(const char *command, OrmTouchTarget *target)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(command, target->nkeys, target->types,
										  CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\"", command);
	return plan;
}

/* Make the statements for a target. */
static void
make_plans(TouchPlans *entry, Relation parent)
{
	OrmTouchTarget *target = &entry->target;
	Form_pg_attribute touched = TupleDescAttr(RelationGetDescr(parent), target->touched - 1);
	const char *table = orm_relation_name(parent);
	char	   *condition;
	uint64		generation = orm_policy_generation();

	orm_policy_watch(target->parent);
	condition = row_condition(parent, target);
	entry->lock = prepare(psprintf("SELECT FROM %s AS p WHERE %s FOR KEY SHARE OF p",
								   table, condition), target);
	entry->touch = prepare(psprintf("UPDATE %s AS p SET %s = %s WHERE %s", table,
									quote_identifier(NameStr(touched->attname)),
									touch_expression(parent, touched), condition), target);
	entry->generation = generation;
}

/* Free the statements for a target. */
static void
free_plans(TouchPlans *entry)
{
	entry->generation = 0;
	if (entry->lock)
		SPI_freeplan(entry->lock);
	entry->lock = NULL;
	if (entry->touch)
		SPI_freeplan(entry->touch);
	entry->touch = NULL;
}

/* The statements for a target, whose table is open. */
static TouchPlans *
plans_for(const OrmTouchTarget *target, Relation parent)
{
	TouchPlans *entry;
	bool		found;

	entry = hash_search(plans, target, HASH_ENTER, &found);
	if (!found)
	{
		entry->generation = 0;
		entry->lock = NULL;
		entry->touch = NULL;
	}
	/* those of an outer call are in use; they will do until it has ended */
	if (entry->touch == NULL ||
		(running == 0 && entry->generation != orm_policy_generation()))
	{
		free_plans(entry);
		make_plans(entry, parent);
	}
	return entry;
}

/* Does the table have the columns of a target still? */
static bool
has_columns(Relation parent, const OrmTouchTarget *target)
{
	TupleDesc	desc = RelationGetDescr(parent);

	for (int i = 0; i < target->nkeys; i++)
	{
		if (TupleDescAttr(desc, target->columns[i] - 1)->attisdropped)
			return false;
	}
	return !TupleDescAttr(desc, target->touched - 1)->attisdropped;
}

/* Lock or touch one row, as the target's role. */
void
orm_touch_row(const OrmTouchTarget *target, const Datum *values, bool touch)
{
	Relation	parent = try_table_open(target->parent, touch ? RowExclusiveLock : RowShareLock);
	TouchPlans *entry;
	OrmTouch	outer = orm_touching;
	Oid			save_user;
	int			save_context;

	if (parent == NULL || !has_columns(parent, target))
	{
		/* dropped in this transaction */
		if (parent)
			table_close(parent, NoLock);
		return;
	}
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(target->role, save_context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	entry = plans_for(target, parent);
	table_close(parent, NoLock);
	running++;
	if (touch)
		orm_touching = target->bump ? ORM_TOUCH_BUMP_VERSION : ORM_TOUCH_KEEP_VERSION;
	if (SPI_execute_plan(touch ? entry->touch : entry->lock,
						 unconstify(Datum *, values), NULL, false, 0) < 0)
		elog(ERROR, "could not touch a row of table %u", target->parent);
	orm_touching = outer;
	running--;
	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
}

/* Forget what was going on in a transaction that has ended. */
void
orm_touch_plan_reset(void)
{
	running = 0;
	orm_touching = ORM_TOUCH_NONE;
}

/* Create the cache of plans. */
void
orm_touch_plan_init(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(OrmTouchTarget);
	ctl.entrysize = sizeof(TouchPlans);
	ctl.hcxt = AllocSetContextCreate(CacheMemoryContext, "orm_ext touch plans",
									 ALLOCSET_SMALL_SIZES);
	plans = hash_create("orm_ext touch plans", 16, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}
