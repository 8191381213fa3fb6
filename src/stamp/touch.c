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
 * At that time deferred triggers have been fired, so those that the updates
 * queue are fired from here, and their updates may note parents again.
 *
 * The updates are done with the rights of the owner of the child table, who
 * attached the trigger, since whoever writes to the children need not have any
 * on the parents.
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
#include "utils/guc.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

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
	Oid			types[INDEX_MAX_KEYS];	/* of the columns that refer to them */
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

/* One row to touch: its key as text. */
typedef struct TouchKey
{
	const TouchTarget *target;
	const char *const *values;
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

OrmTouch	orm_touching = ORM_TOUCH_NONE;

static Touches *touches = NULL;

/* Is the row that a trigger is fired for a parent that is being touched? */
bool
orm_is_touch(void)
{
	return unlikely(orm_touching != ORM_TOUCH_NONE) &&
		DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) == 1;
}

/* Hash and compare rows to touch. */
static uint32
hash_touch_key(const void *key, Size keysize)
{
	const TouchKey *touch = key;
	uint32		hash = hash_bytes_uint32(touch->target->parent);

	for (int i = 0; i < touch->target->nkeys; i++)
		hash = hash_combine(hash, hash_bytes((const unsigned char *) touch->values[i],
											 strlen(touch->values[i])));
	return hash;
}

static int
compare_touch_keys(const void *a, const void *b, Size keysize)
{
	const TouchKey *left = a;
	const TouchKey *right = b;

	if (left->target != right->target)
		return 1;
	for (int i = 0; i < left->target->nkeys; i++)
	{
		if (strcmp(left->values[i], right->values[i]) != 0)
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

/* The declaration as it should be. */
static int
hint_touch_declaration(Relation rel, const Trigger *trigger)
{
	const char *table = orm_relation_name(rel);
	const char *name = quote_identifier(trigger->tgname);

	return errhint("DROP TRIGGER IF EXISTS %s ON %s; CREATE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('parent_id', 'updated_at');",
				   name, table, name, table);
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

	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						trigger->tgargs[0], RelationGetRelationName(rel)),
				 errdetail("Trigger \"%s\" names it in its arguments.", trigger->tgname),
				 hint_touch_declaration(rel, trigger),
				 errtable(rel)));
	found = find_foreign_key(rel, attno);
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("column \"%s\" of table \"%s\" has no foreign key",
						trigger->tgargs[0], RelationGetRelationName(rel)),
				 errdetail("Trigger \"%s\" touches the rows that it refers to.", trigger->tgname),
				 errhint("ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES ...;",
						 orm_relation_name(rel), quote_identifier(trigger->tgargs[0])),
				 errtablecol(rel, attno)));

	target->parent = found->confrelid;
	target->nkeys = found->nkeys;
	for (int i = 0; i < found->nkeys; i++)
	{
		rule->child_columns[i] = found->conkey[i];
		target->columns[i] = found->confkey[i];
		target->types[i] = TupleDescAttr(RelationGetDescr(rel), found->conkey[i] - 1)->atttypid;
		target->operators[i] = found->conpfeqop[i];
	}
}

/* Find the column to touch.  Errors: 42703, 42804. */
static void
find_touched_column(Relation rel, const Trigger *trigger, TouchTarget *target)
{
	const char *name = trigger->tgargs[1];
	Relation	parent = table_open(target->parent, AccessShareLock);
	Form_pg_attribute att;
	Oid			type;

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
	type = getBaseType(att->atttypid);
	if (type != TIMESTAMPTZOID && type != TIMESTAMPOID && type != DATEOID && type != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" cannot be touched",
						name, RelationGetRelationName(parent)),
				 errdetail("It is of type %s; such a column is of type timestamp with time zone, timestamp without time zone, date or bigint.",
						   format_type_be(att->atttypid)),
				 errhint("Name a column of such a type, as ALTER TABLE %s ADD COLUMN touched_at timestamptz; makes one.",
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
 * Check the declaration of a touch_parent trigger.
 *
 * Errors: 39P01, 22023, 42703, 42830, 42804.
 */
void
orm_check_touch_trigger(Relation rel, const Trigger *trigger)
{
	TouchRule	rule;

	read_rule(rel, trigger, &rule);
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
	*copy = *target;
	touches->targets = lappend(touches->targets, copy);
	MemoryContextSwitchTo(oldcontext);
	return copy;
}

/* Copy the key of a row to where it stays until the end of the transaction. */
static const char *const *
keep_values(const char *const *values, int nkeys)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(touches->context);
	const char **copy = palloc_array(const char *, nkeys);

	for (int i = 0; i < nkeys; i++)
		copy[i] = pstrdup(values[i]);
	MemoryContextSwitchTo(oldcontext);
	return copy;
}

/* Note a row to touch, unless that is done or noted already. */
static void
note_touch(const TouchTarget *target, const char *const *values)
{
	TouchKey	key;
	Touch	   *touch;

	if (touches == NULL)
		create_touches();
	key.target = keep_target(target);
	key.values = values;
	if (hash_search(touches->rows, &key, HASH_FIND, NULL))
		return;

	key.values = keep_values(values, target->nkeys);
	touch = hash_search(touches->rows, &key, HASH_ENTER, NULL);
	touch->subid = GetCurrentSubTransactionId();
	touch->done = false;
	touches->pending = true;
}

/* Note the parent of one version of a row, if it has one. */
static void
note_parent(const TouchRule *rule, Relation rel, HeapTuple row)
{
	TupleDesc	desc = RelationGetDescr(rel);
	const char *values[INDEX_MAX_KEYS];

	for (int i = 0; i < rule->target.nkeys; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(row, rule->child_columns[i], desc, &isnull);
		Oid			output;
		bool		is_varlena;

		if (isnull)
			return;
		getTypeOutputInfo(rule->target.types[i], &output, &is_varlena);
		values[i] = OidOutputFunctionCall(output, value);
	}
	note_touch(&rule->target, values);
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
		note_parent(rule, trigdata->tg_relation, trigdata->tg_newtuple);
	}
	note_parent(rule, trigdata->tg_relation, trigdata->tg_trigtuple);
	return PointerGetDatum(NULL);
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
			!orm_trigger_fires(trigger->tgenabled))
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
			return psprintf("GREATEST(now()::date, p.%s)", column);
		case INT8OID:
			return psprintf("GREATEST((date_part('epoch', now()) * 1000000)::bigint, p.%s + 1)", column);
		case TIMESTAMPOID:
			return psprintf("GREATEST(now()::timestamp, p.%s + interval '%s')", column, step);
		default:
			return psprintf("GREATEST(now(), p.%s + interval '%s')", column, step);
	}
}

/* The statements that lock rows in the order of their keys, and touch them. */
typedef struct TouchCommands
{
	char	   *lock;
	char	   *touch;
} TouchCommands;

/*
 * Make them; their parameters are the values of each column of the keys, as an
 * array of texts.  Rows are found by the operators of the foreign key.
 */
static TouchCommands
touch_commands(Relation parent, const TouchTarget *target)
{
	TupleDesc	desc = RelationGetDescr(parent);
	Form_pg_attribute touched = TupleDescAttr(desc, target->touched - 1);
	StringInfoData arrays;		/* unnest($1::a[]), unnest($2::b[]) */
	StringInfoData names;		/* k0, k1 */
	StringInfoData matches;		/* p.a = k.k0 AND p.b = k.k1 */
	StringInfoData order;		/* p.a, p.b */
	TouchCommands result;

	initStringInfo(&arrays);
	initStringInfo(&names);
	initStringInfo(&matches);
	initStringInfo(&order);
	for (int i = 0; i < target->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, target->columns[i] - 1);
		char	   *column = psprintf("p.%s", quote_identifier(NameStr(att->attname)));
		const char *comma = i > 0 ? ", " : "";

		appendStringInfo(&arrays, "%sunnest($%d::%s[])", comma, i + 1,
						 format_type_be_qualified(getBaseType(target->types[i])));
		appendStringInfo(&names, "%sk%d", comma, i);
		appendStringInfo(&order, "%s%s", comma, column);
		if (i > 0)
			appendStringInfoString(&matches, " AND ");
		generate_operator_clause(&matches, column, att->atttypid, target->operators[i],
								 psprintf("k.k%d", i), getBaseType(target->types[i]));
	}
	result.lock = psprintf("SELECT FROM %s AS p JOIN ROWS FROM (%s) AS k(%s) ON %s"
						   " ORDER BY %s FOR NO KEY UPDATE OF p",
						   orm_relation_name(parent), arrays.data, names.data,
						   matches.data, order.data);
	result.touch = psprintf("UPDATE %s AS p SET %s = %s FROM ROWS FROM (%s) AS k(%s) WHERE %s",
							orm_relation_name(parent),
							quote_identifier(NameStr(touched->attname)),
							touch_expression(parent, touched),
							arrays.data, names.data, matches.data);
	return result;
}

/* Run both, with the rights of the target's role and with nobody's search_path. */
static void
run_touch_commands(const TouchTarget *target, const TouchCommands *commands, Datum *values)
{
	Oid			types[INDEX_MAX_KEYS];
	Oid			save_user;
	int			save_context;
	int			guc_level = NewGUCNestLevel();

	for (int i = 0; i < target->nkeys; i++)
		types[i] = TEXTARRAYOID;
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(target->role, save_context | SECURITY_LOCAL_USERID_CHANGE);
	orm_touching = target->bump ? ORM_TOUCH_BUMP_VERSION : ORM_TOUCH_KEEP_VERSION;

	SPI_connect();
	if (SPI_execute_with_args(commands->lock, target->nkeys, types, values,
							  NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", commands->lock);
	if (SPI_execute_with_args(commands->touch, target->nkeys, types, values,
							  NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not run \"%s\"", commands->touch);
	SPI_finish();

	orm_touching = ORM_TOUCH_NONE;
	SetUserIdAndSecContext(save_user, save_context);
	AtEOXact_GUC(true, guc_level);
}

/* Touch rows of one target. */
static void
touch_rows(const TouchTarget *target, List *rows)
{
	Relation	parent = try_table_open(target->parent, RowExclusiveLock);
	Datum		values[INDEX_MAX_KEYS];
	TouchCommands commands;

	if (parent == NULL)
		return;					/* dropped in this transaction */
	for (int i = 0; i < target->nkeys; i++)
	{
		List	   *column = NIL;
		ListCell   *lc;

		foreach(lc, rows)
			column = lappend(column, unconstify(char *, ((Touch *) lfirst(lc))->key.values[i]));
		values[i] = PointerGetDatum(orm_text_array(column));
	}
	commands = touch_commands(parent, target);
	table_close(parent, NoLock);
	run_touch_commands(target, &commands, values);
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

/* The rows of a target that are to be touched, which are taken to be so now. */
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
	return rows;
}

/* Touch what was noted so far; what that notes is for the next round. */
static void
touch_pending(void)
{
	List	   *targets = list_copy(touches->targets);
	List	   *rows = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	touches->pending = false;
	list_sort(targets, compare_targets);
	foreach(lc, targets)
		rows = lappend(rows, take_pending_rows(lfirst(lc)));
	forboth(lc, targets, lc2, rows)
	{
		if (lfirst(lc2) != NIL)
			touch_rows(lfirst(lc), lfirst(lc2));
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

/* Have ourselves told of the end of transactions. */
void
orm_touch_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
