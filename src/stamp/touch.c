/*-------------------------------------------------------------------------
 *
 * touch.c
 *		orm_ext.touch_parent(): a change of a child is one of its parent.
 *
 * The trigger only notes the keys of parents.  They are updated just before
 * the transaction commits or is prepared: each once, however often its
 * children changed, and in the order of the keys, so that two transactions
 * never wait for each other's parents.  What a subtransaction noted goes with
 * it if it aborts.
 *
 * Until then the parent is locked as by a new reference to it (FOR KEY SHARE).
 * Otherwise whoever deletes it meanwhile would hold it while waiting for our
 * child, and we would wait for the parent.
 *
 * When transactions end, deferred triggers have been fired, so those that the
 * updates queue are fired from here, and their updates may note parents again.
 *
 * All this is done with the rights of the owner of the child table, who
 * attached the trigger, since whoever writes to the children need not have any
 * on the parents.  The statements name everything with its schema.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "policy.h"
#include "stamp.h"
#include "util/names.h"

#define MAX_ARGUMENTS 3

/* Whose rows to touch, and how they are found. */
typedef struct TouchTarget
{
	Oid			parent;
	int			nkeys;
	AttrNumber	columns[INDEX_MAX_KEYS];	/* that the foreign key refers to */
	Oid			types[INDEX_MAX_KEYS];	/* of the columns that refer to them ... */
	bool		byval[INDEX_MAX_KEYS];
	int16		len[INDEX_MAX_KEYS];
	Oid			collations[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];	/* referred to = referring */
	AttrNumber	touched;
	bool		bump;			/* the version as well? */
	Oid			role;			/* to do it as */
} TouchTarget;

/* What a trigger does. */
typedef struct TouchRule
{
	TouchTarget target;
	AttrNumber	child_columns[INDEX_MAX_KEYS];
} TouchRule;

/* One row to touch. */
typedef struct TouchKey
{
	const TouchTarget *target;
	const Datum *values;
} TouchKey;

typedef struct Touch
{
	TouchKey	key;			/* hash key */
	SubTransactionId subid;		/* that noted it */
	bool		done;
} Touch;

/* What the transaction has noted, in a context of its own; NULL if nothing. */
typedef struct Touches
{
	MemoryContext context;
	HTAB	   *rows;
	List	   *targets;
	bool		pending;		/* any that is not done? */
} Touches;

/* The statements for a target, planned once in a session. */
typedef struct TouchPlans
{
	TouchTarget target;			/* hash key */
	uint64		generation;		/* of the policies, when they were made */
	SPIPlanPtr	lock;
	SPIPlanPtr	touch;
} TouchPlans;

OrmTouch	orm_touching = ORM_TOUCH_NONE;

static Touches *touches = NULL;
static HTAB *plans = NULL;
static int	running = 0;		/* plans that are being executed */

/* Is the row that a trigger is fired for a parent that is being touched? */
bool
orm_is_touch(void)
{
	return unlikely(orm_touching != ORM_TOUCH_NONE) &&
		DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) == 1;
}

/* Hash and compare rows to touch, by how the values are stored. */
static uint32
hash_touch_key(const void *key, Size keysize)
{
	const TouchKey *touch = key;
	const TouchTarget *target = touch->target;
	uint32		hash = hash_bytes_uint32(target->parent);

	for (int i = 0; i < target->nkeys; i++)
		hash = hash_combine(hash, datum_image_hash(touch->values[i], target->byval[i],
												   target->len[i]));
	return hash;
}

static int
compare_touch_keys(const void *a, const void *b, Size keysize)
{
	const TouchKey *left = a;
	const TouchKey *right = b;
	const TouchTarget *target = left->target;

	if (target != right->target)
		return 1;
	for (int i = 0; i < target->nkeys; i++)
	{
		if (!datum_image_eq(left->values[i], right->values[i],
							target->byval[i], target->len[i]))
			return 1;
	}
	return 0;
}

/* Begin to note parents in this transaction. */
static void
create_touches(void)
{
	MemoryContext context = AllocSetContextCreate(TopTransactionContext,
												  "orm_ext touches",
												  ALLOCSET_DEFAULT_SIZES);
	HASHCTL		ctl = {0};
	Touches    *created = MemoryContextAllocZero(context, sizeof(Touches));

	ctl.keysize = sizeof(TouchKey);
	ctl.entrysize = sizeof(Touch);
	ctl.hash = hash_touch_key;
	ctl.match = compare_touch_keys;
	ctl.hcxt = context;
	created->context = context;
	created->rows = hash_create("orm_ext touches", 64, &ctl,
								HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	touches = created;
}

/* Can a column of this type say when a row was touched? */
static bool
is_touchable(Form_pg_attribute att)
{
	Oid			type = getBaseType(att->atttypid);

	return !att->attisdropped && !att->attgenerated &&
		(type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID || type == INT8OID);
}

/* Columns to suggest: of the table's first foreign key, and of its parent. */
static void
suggest_columns(Relation rel, const char **column, const char **touched)
{
	List	   *keys = copyObject(RelationGetFKeyList(rel));
	ForeignKeyCacheInfo *fk = keys ? linitial(keys) : NULL;
	Relation	parent;

	*column = "parent_id";
	*touched = "updated_at";
	if (fk == NULL)
		return;
	*column = pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), fk->conkey[0] - 1)->attname));
	parent = table_open(fk->confrelid, AccessShareLock);
	for (int i = 0; i < RelationGetDescr(parent)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(parent), i);

		if (is_touchable(att) && getBaseType(att->atttypid) != INT8OID)
			*touched = pstrdup(NameStr(att->attname));
	}
	table_close(parent, AccessShareLock);
}

/* The declaration as it should be. */
static int
hint_touch_declaration(Relation rel, const Trigger *trigger)
{
	const char *table = orm_relation_name(rel);
	const char *name = quote_identifier(trigger->tgname);

	const char *column;
	const char *touched;

	suggest_columns(rel, &column, &touched);
	if (trigger->tgnargs > 0)
		column = trigger->tgargs[0];
	if (trigger->tgnargs > 1)
		touched = trigger->tgargs[1];
	return errhint("DROP TRIGGER IF EXISTS %s ON %s; CREATE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent(%s, %s);",
				   name, table, name, table,
				   quote_literal_cstr(column), quote_literal_cstr(touched));
}

/* Is the kind of trigger right, and the number of arguments?  Errors: 39P01, 22023. */
static void
check_touch_event(Relation rel, const Trigger *trigger)
{
	if (!TRIGGER_FOR_ROW(trigger->tgtype) || !TRIGGER_FOR_AFTER(trigger->tgtype))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" of table \"%s\" must be fired AFTER INSERT, UPDATE or DELETE, FOR EACH ROW",
						trigger->tgname, RelationGetRelationName(rel)),
				 errdetail("It notes the parents of rows that were changed."),
				 hint_touch_declaration(rel, trigger)));
	if (trigger->tgnargs < 2 || trigger->tgnargs > MAX_ARGUMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function orm_ext.touch_parent must be given a column of a foreign key and the parent's column to touch"),
				 errdetail("Trigger \"%s\" of table \"%s\" gives it %d arguments.",
						   trigger->tgname, RelationGetRelationName(rel),
						   trigger->tgnargs),
				 hint_touch_declaration(rel, trigger)));
}

/* Read the option, which is the third argument.  Error: 22023. */
static bool
read_touch_option(Relation rel, const Trigger *trigger)
{
	const char *option = trigger->tgnargs > 2 ? trigger->tgargs[2] : "version=keep";

	if (strcmp(option, "version=keep") == 0)
		return false;
	if (strcmp(option, "version=bump") == 0)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized argument of function orm_ext.touch_parent: \"%s\"", option),
			 errdetail("Its option is version=keep or version=bump."),
			 hint_touch_declaration(rel, trigger)));
}

/* Is a column among those of a foreign key? */
static bool
refers_by(const ForeignKeyCacheInfo *fk, AttrNumber attno)
{
	for (int i = 0; i < fk->nkeys; i++)
	{
		if (fk->conkey[i] == attno)
			return true;
	}
	return false;
}

/*
 * Does one foreign key suit better than another?  One that refers to a
 * partitioned table comes with one for each of its partitions.
 */
static bool
is_better_key(const ForeignKeyCacheInfo *fk, const ForeignKeyCacheInfo *other)
{
	if (fk->nkeys != other->nkeys)
		return fk->nkeys < other->nkeys;
	return get_rel_relispartition(other->confrelid) &&
		!get_rel_relispartition(fk->confrelid);
}

/*
 * Find the foreign key of a column: the one that it is alone in, if there are
 * several; NULL if there is none.
 */
static const ForeignKeyCacheInfo *
find_foreign_key(Relation rel, AttrNumber attno)
{
	const ForeignKeyCacheInfo *found = NULL;
	ListCell   *lc;

	foreach(lc, copyObject(RelationGetFKeyList(rel)))
	{
		const ForeignKeyCacheInfo *fk = lfirst(lc);

		if (refers_by(fk, attno) && (found == NULL || is_better_key(fk, found)))
			found = fk;
	}
	return found;
}

/* The table that a declaration touches, InvalidOid if it is not sound. */
Oid
orm_touch_parent_of(Relation rel, const Trigger *trigger)
{
	AttrNumber	attno = trigger->tgnargs > 0 ?
		orm_find_column(RelationGetDescr(rel), trigger->tgargs[0]) : InvalidAttrNumber;
	const ForeignKeyCacheInfo *fk = find_foreign_key(rel, attno);

	return fk ? fk->confrelid : InvalidOid;
}

/* Fill in what the foreign key says.  Errors: 42703, 42830. */
static void
read_foreign_key(Relation rel, const Trigger *trigger, TouchRule *rule)
{
	TouchTarget *target = &rule->target;
	AttrNumber	attno = orm_find_column(RelationGetDescr(rel), trigger->tgargs[0]);
	const ForeignKeyCacheInfo *found;
	Form_pg_attribute att;

	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						trigger->tgargs[0], RelationGetRelationName(rel)),
				 errdetail("Trigger \"%s\" names it in its arguments.", trigger->tgname),
				 errhint("ALTER TABLE %s ADD COLUMN %s bigint; and make it a foreign key.",
						 orm_relation_name(rel), quote_identifier(trigger->tgargs[0])),
				 errtable(rel)));
	found = find_foreign_key(rel, attno);
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("column \"%s\" of table \"%s\" has no foreign key",
						trigger->tgargs[0], RelationGetRelationName(rel)),
				 errdetail("Trigger \"%s\" touches the rows that it refers to.", trigger->tgname),
				 errhint("DROP TRIGGER %s ON %s; or ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES ...;",
						 quote_identifier(trigger->tgname), orm_relation_name(rel),
						 orm_relation_name(rel), quote_identifier(trigger->tgargs[0])),
				 errtablecol(rel, attno)));

	target->parent = found->confrelid;
	target->nkeys = found->nkeys;
	for (int i = 0; i < found->nkeys; i++)
	{
		rule->child_columns[i] = found->conkey[i];
		target->columns[i] = found->confkey[i];
		att = TupleDescAttr(RelationGetDescr(rel), found->conkey[i] - 1);
		target->types[i] = getBaseType(att->atttypid);
		target->byval[i] = att->attbyval;
		target->len[i] = att->attlen;
		target->collations[i] = att->attcollation;
		target->operators[i] = found->conpfeqop[i];
	}
}

/* Find the column to touch.  Errors: 42703, 42804, 428C9. */
static void
find_touched_column(Relation rel, const Trigger *trigger, TouchTarget *target)
{
	const char *name = trigger->tgargs[1];
	Relation	parent = table_open(target->parent, AccessShareLock);
	Form_pg_attribute att;

	target->touched = orm_find_column(RelationGetDescr(parent), name);
	if (target->touched == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(parent)),
				 errdetail("Trigger \"%s\" of table \"%s\" touches it.",
						   trigger->tgname, RelationGetRelationName(rel)),
				 errhint("ALTER TABLE %s ADD COLUMN %s timestamptz;",
						 orm_relation_name(parent), quote_identifier(name)),
				 errtable(parent)));
	att = TupleDescAttr(RelationGetDescr(parent), target->touched - 1);
	if (!is_touchable(att) && !att->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" cannot be touched",
						name, RelationGetRelationName(parent)),
				 errdetail("It is of type %s; such a column is of type timestamp with time zone, timestamp without time zone, date or bigint.",
						   format_type_be(att->atttypid)),
				 errhint("Name a column of such a type, as ALTER TABLE %s ADD COLUMN touched_at timestamptz; makes one.",
						 orm_relation_name(parent)),
				 errtablecol(parent, target->touched)));
	if (att->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of table \"%s\" cannot be touched",
						name, RelationGetRelationName(parent)),
				 errdetail("It is a generated column."),
				 errhint("Name an ordinary column, as ALTER TABLE %s ADD COLUMN touched_at timestamptz; makes one.",
						 orm_relation_name(parent)),
				 errtablecol(parent, target->touched)));
	table_close(parent, AccessShareLock);
}

/* Read and check a declaration. */
static void
read_rule(Relation rel, const Trigger *trigger, TouchRule *rule)
{
	memset(rule, 0, sizeof(*rule));
	check_touch_event(rel, trigger);
	rule->target.bump = read_touch_option(rel, trigger);
	rule->target.role = rel->rd_rel->relowner;
	read_foreign_key(rel, trigger, rule);
	find_touched_column(rel, trigger, &rule->target);
}

/*
 * Check the declaration of a touch_parent trigger.  A dump creates triggers
 * before foreign keys, with row_security = off, as pg_dump always sets it.
 *
 * Errors: 39P01, 22023, 42703, 42830, 42804, 428C9.
 */
void
orm_check_touch_trigger(Relation rel, const Trigger *trigger)
{
	TouchRule	rule;

	if (!row_security && !OidIsValid(orm_touch_parent_of(rel, trigger)))
		return;
	read_rule(rel, trigger, &rule);
}

/* Does a stamp trigger keep the column as the time of the last update? */
static bool
is_kept_as_updated(Relation rel, const char *column)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		OrmStampDeclaration declaration;
		OrmStampFunction function;

		if (!orm_is_stamp_trigger(trigger, &function) ||
			trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		orm_read_stamp_declaration(trigger, function, &declaration);
		if (declaration.columns[ORM_STAMP_UPDATED] &&
			strcmp(declaration.columns[ORM_STAMP_UPDATED], column) == 0)
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
row_condition(Relation parent, const TouchTarget *target)
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
prepare(const char *command, TouchTarget *target)
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
	TouchTarget *target = &entry->target;
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
plans_for(const TouchTarget *target, Relation parent)
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
has_columns(Relation parent, const TouchTarget *target)
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
static void
run_for_row(const TouchTarget *target, const Datum *values, bool touch)
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

/* The transaction's own copy of a target. */
static const TouchTarget *
keep_target(const TouchTarget *target)
{
	MemoryContext oldcontext;
	TouchTarget *copy;
	ListCell   *lc;

	foreach(lc, touches->targets)
	{
		if (memcmp(lfirst(lc), target, sizeof(*target)) == 0)
			return lfirst(lc);
	}
	oldcontext = MemoryContextSwitchTo(touches->context);
	copy = palloc_object(TouchTarget);
	memcpy(copy, target, sizeof(*copy));	/* padding too, it is a hash key */
	touches->targets = lappend(touches->targets, copy);
	MemoryContextSwitchTo(oldcontext);
	return copy;
}

/* Copy the key of a row to where it stays until the end of the transaction. */
static const Datum *
keep_values(const TouchTarget *target, const Datum *values)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(touches->context);
	Datum	   *copy = palloc_array(Datum, target->nkeys);

	for (int i = 0; i < target->nkeys; i++)
		copy[i] = datumCopy(values[i], target->byval[i], target->len[i]);
	MemoryContextSwitchTo(oldcontext);
	return copy;
}

/* Note a row to touch; false if that is done or noted already. */
static bool
note_touch(const TouchTarget *target, const Datum *values)
{
	TouchKey	key;
	Touch	   *touch;

	if (touches == NULL)
		create_touches();
	key.target = keep_target(target);
	key.values = values;
	if (hash_search(touches->rows, &key, HASH_FIND, NULL))
		return false;

	key.values = keep_values(target, values);
	touch = hash_search(touches->rows, &key, HASH_ENTER, NULL);
	touch->subid = GetCurrentSubTransactionId();
	touch->done = false;
	touches->pending = true;
	return true;
}

/*
 * Note the parent of one version of a row, if it has one, and keep it from
 * being deleted.  A row that is inserted does that by its foreign key.
 */
static void
note_parent(const TouchRule *rule, TriggerData *trigdata, HeapTuple row)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	const TouchTarget *target = &rule->target;
	Datum		values[INDEX_MAX_KEYS];

	for (int i = 0; i < target->nkeys; i++)
	{
		bool		isnull;

		values[i] = heap_getattr(row, rule->child_columns[i], desc, &isnull);
		if (isnull)
			return;
		if (target->len[i] == -1)
			values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
	}
	if (note_touch(target, values) && !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		run_for_row(target, values, false);
}

/* Does an UPDATE leave the row as it was? */
static bool
is_idle_update(TriggerData *trigdata)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);

	for (int attno = 1; attno <= desc->natts; attno++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
		bool		old_isnull;
		bool		new_isnull;
		Datum		old;
		Datum		new;

		if (att->attisdropped)
			continue;
		old = heap_getattr(trigdata->tg_trigtuple, attno, desc, &old_isnull);
		new = heap_getattr(trigdata->tg_newtuple, attno, desc, &new_isnull);
		if (!orm_same_datum(old, old_isnull, new, new_isnull, att->attbyval, att->attlen))
			return false;
	}
	return true;
}

PG_FUNCTION_INFO_V1(orm_touch_parent);

/*
 * orm_ext.touch_parent('column of the foreign key', 'column of the parent'
 * [, 'version=keep|bump']) → trigger
 *
 * AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW.
 *
 * Errors: 39P01, 22023, 42703, 42830, 42804 for the declaration.
 */
Datum
orm_touch_parent(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TouchRule  *rule;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function orm_ext.touch_parent was not called by trigger manager"),
				 errhint("CREATE TRIGGER orm_touch AFTER INSERT OR UPDATE OR DELETE ON your_table FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('parent_id', 'updated_at');")));

	rule = fcinfo->flinfo->fn_extra;
	if (rule == NULL)
	{
		rule = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(TouchRule));
		read_rule(trigdata->tg_relation, trigdata->tg_trigger, rule);
		fcinfo->flinfo->fn_extra = rule;
	}

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		if (is_idle_update(trigdata))
			return PointerGetDatum(NULL);
		note_parent(rule, trigdata, trigdata->tg_newtuple);
	}
	note_parent(rule, trigdata, trigdata->tg_trigtuple);
	return PointerGetDatum(NULL);
}

/* Order in which targets have their turn; the same in all sessions. */
static int
compare_targets(const ListCell *a, const ListCell *b)
{
	const TouchTarget *left = lfirst(a);
	const TouchTarget *right = lfirst(b);

	if (left->parent != right->parent)
		return left->parent < right->parent ? -1 : 1;
	return memcmp(left, right, sizeof(TouchTarget));
}

/* Order of rows of a target: that of the types of the key, as an index has it. */
static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const TouchKey *left = &((const Touch *) lfirst(a))->key;
	const TouchKey *right = &((const Touch *) lfirst(b))->key;
	const TouchTarget *target = left->target;

	for (int i = 0; i < target->nkeys; i++)
	{
		TypeCacheEntry *type = lookup_type_cache(target->types[i], TYPECACHE_CMP_PROC_FINFO);
		int			order = 0;

		if (OidIsValid(type->cmp_proc_finfo.fn_oid))
			order = DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo,
													target->collations[i],
													left->values[i], right->values[i]));
		if (order != 0)
			return order;
	}
	return 0;
}

/* The rows of a target that are to be touched, in order; they count as done now. */
static List *
take_pending_rows(const TouchTarget *target)
{
	HASH_SEQ_STATUS status;
	Touch	   *touch;
	List	   *rows = NIL;

	hash_seq_init(&status, touches->rows);
	while ((touch = hash_seq_search(&status)) != NULL)
	{
		if (touch->key.target != target || touch->done)
			continue;
		touch->done = true;
		rows = lappend(rows, touch);
	}
	list_sort(rows, compare_rows);
	return rows;
}

/* Touch what was noted so far; what that notes is for the next round. */
static void
touch_pending(void)
{
	List	   *targets = list_copy(touches->targets);
	List	   *rows = NIL;
	ListCell   *lc;

	touches->pending = false;
	list_sort(targets, compare_targets);
	foreach(lc, targets)
		rows = list_concat(rows, take_pending_rows(lfirst(lc)));
	foreach(lc, rows)
	{
		const TouchKey *key = &((Touch *) lfirst(lc))->key;

		CHECK_FOR_INTERRUPTS();
		run_for_row(key->target, key->values, true);
	}
}

/* Touch everything, and whatever follows from that, before a commit. */
static void
touch_all(void)
{
	while (touches->pending)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		touch_pending();
		PopActiveSnapshot();

		/* as CommitTransaction() does, until there is nothing left to do */
		do
		{
			AfterTriggerFireDeferred();
		} while (PreCommit_Portals(false));
	}
}

/* Touch before the end of a transaction, or forget what was noted. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (touches != NULL)
				touch_all();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* the memory goes with the transaction's */
			touches = NULL;
			running = 0;
			orm_touching = ORM_TOUCH_NONE;
			break;
		default:
			break;
	}
}

/* Forget what an aborted subtransaction noted; hand on that of a committed one. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	HASH_SEQ_STATUS status;
	Touch	   *touch;

	if (touches == NULL ||
		(event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB))
		return;
	hash_seq_init(&status, touches->rows);
	while ((touch = hash_seq_search(&status)) != NULL)
	{
		if (touch->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			touch->subid = parent;
		else
			(void) hash_search(touches->rows, &touch->key, HASH_REMOVE, NULL);
	}
}

/* Create the cache of plans, and have ourselves told of the end of transactions. */
void
orm_touch_init(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(TouchTarget);
	ctl.entrysize = sizeof(TouchPlans);
	ctl.hcxt = AllocSetContextCreate(CacheMemoryContext, "orm_ext touch plans",
									 ALLOCSET_SMALL_SIZES);
	plans = hash_create("orm_ext touch plans", 16, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
