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
 * on the parents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "compat.h"
#include "guc.h"
#include "stamp.h"
#include "touch.h"

/* One row to touch. */
typedef struct TouchKey
{
	const OrmTouchTarget *target;
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
static Touches *touches = NULL;

/* Hash and compare rows to touch, by how the values are stored. */
static uint32
hash_touch_key(const void *key, Size keysize)
{
	const TouchKey *touch = key;
	const OrmTouchTarget *target = touch->target;
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
	const OrmTouchTarget *target = left->target;

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

/* The transaction's own copy of a target. */
static const OrmTouchTarget *
keep_target(const OrmTouchTarget *target)
{
	MemoryContext oldcontext;
	OrmTouchTarget *copy;
	ListCell   *lc;

	foreach(lc, touches->targets)
	{
		if (memcmp(lfirst(lc), target, sizeof(*target)) == 0)
			return lfirst(lc);
	}
	oldcontext = MemoryContextSwitchTo(touches->context);
	copy = palloc_object(OrmTouchTarget);
	memcpy(copy, target, sizeof(*copy));	/* padding too, it is a hash key */
	touches->targets = lappend(touches->targets, copy);
	MemoryContextSwitchTo(oldcontext);
	return copy;
}

/* Copy the key of a row to where it stays until the end of the transaction. */
static const Datum *
keep_values(const OrmTouchTarget *target, const Datum *values)
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
note_touch(const OrmTouchTarget *target, const Datum *values)
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
note_parent(const OrmTouchRule *rule, TriggerData *trigdata, HeapTuple row)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	const OrmTouchTarget *target = &rule->target;
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
		orm_touch_row(target, values, false);
}

PG_FUNCTION_INFO_V1(orm_touch_parent);

/*
 * orm_ext.touch_parent('column of the foreign key', 'column of the parent'
 * [, 'version=keep|bump']) → trigger
 *
 * AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW.
 *
 * Errors: those of orm_read_touch_rule().
 */
Datum
orm_touch_parent(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	OrmTouchRule *rule;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function orm_ext.touch_parent was not called by trigger manager"),
				 errhint("CREATE TRIGGER orm_touch AFTER INSERT OR UPDATE OR DELETE ON your_table FOR EACH ROW EXECUTE FUNCTION orm_ext.touch_parent('parent_id', 'updated_at');")));

	/* in a restore or a backfill, parents are given their times as well */
	if (unlikely(orm_is_restore() || orm_bypass_stamps) &&
		orm_owns_relation(RelationGetRelid(trigdata->tg_relation)))
		return PointerGetDatum(NULL);

	rule = fcinfo->flinfo->fn_extra;
	if (rule == NULL)
	{
		rule = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(OrmTouchRule));
		orm_read_touch_rule(trigdata->tg_relation, trigdata->tg_trigger, rule);
		fcinfo->flinfo->fn_extra = rule;
	}

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		if (!orm_rows_differ(trigdata->tg_trigslot, trigdata->tg_newslot, NULL))
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
	const OrmTouchTarget *left = lfirst(a);
	const OrmTouchTarget *right = lfirst(b);

	if (left->parent != right->parent)
		return left->parent < right->parent ? -1 : 1;
	return memcmp(left, right, sizeof(OrmTouchTarget));
}

/* Order of rows of a target: that of the types of the key, as an index has it. */
static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const TouchKey *left = &((const Touch *) lfirst(a))->key;
	const TouchKey *right = &((const Touch *) lfirst(b))->key;
	const OrmTouchTarget *target = left->target;

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
take_pending_rows(const OrmTouchTarget *target)
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
		orm_touch_row(key->target, key->values, true);
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
			orm_touch_plan_reset();
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
	orm_touch_plan_init();
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
