/*-------------------------------------------------------------------------
 *
 * plan.c
 *		What the row pass has to know of a stamp trigger.
 *
 * The arguments of a trigger are read once in a session, not once a row.  The
 * cache is keyed by trigger; policy.c says when it may be out of date.
 *
 * Invariants:
 *	- A plan is made as a whole, in a memory context of its own, before the
 *	  cache points to it.
 *	- One that was superseded stays until the end of the transaction: the row
 *	  pass calls code that may change anything, such as checks of domains.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "policy.h"
#include "stamp.h"
#include "util/names.h"

typedef struct CachedPlan
{
	Oid			trigger;		/* hash key */
	OrmStampPlan *plan;
} CachedPlan;

static HTAB *plans = NULL;

/* With fewer plans, none is forgotten. */
#define MIN_FORGOTTEN 64

/* What does a role mean to other features? */
static OrmKeptAs
meaning_of_role(OrmStampRole role, int mode)
{
	switch (role)
	{
		case ORM_STAMP_VERSION:
			return mode == ORM_MODE_ECHO ? ORM_KEPT_AS_ECHO : ORM_KEPT_AS_VERSION;
		case ORM_STAMP_CREATED:
		case ORM_STAMP_CREATED_BY:
			return ORM_KEPT_AS_CREATION;
		default:
			return ORM_KEPT_AS_OTHER;
	}
}

/* What does a trigger that fires keep a column for? */
static OrmKeptAs
kept_as(Relation rel, AttrNumber attno)
{
	const char *name = NameStr(TupleDescAttr(RelationGetDescr(rel), attno - 1)->attname);
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
		for (int role = 0; role < ORM_STAMP_ROLES; role++)
		{
			if (declaration.columns[role] && strcmp(declaration.columns[role], name) == 0)
				return meaning_of_role(role, declaration.mode);
		}
	}
	return ORM_NOT_KEPT;
}

/* Create the cache, and tell other features what is kept. */
void
orm_stamp_init(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(CachedPlan);
	ctl.hcxt = AllocSetContextCreate(CacheMemoryContext, "orm_ext stamps",
									 ALLOCSET_SMALL_SIZES);
	plans = hash_create("orm_ext stamps", 64, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	orm_stamps.kept_as = kept_as;
	orm_stamps.label_upsert = orm_label_upsert;
	orm_stamps.names_actor = orm_is_actor_type;
	orm_stamps.actor = orm_actor_of_column;
}

/* Numbers of the columns that stamp triggers of a relation keep. */
static Bitmapset *
kept_columns(Relation rel, const TriggerDesc *triggers)
{
	Bitmapset  *columns = NULL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		ListCell   *lc;

		foreach(lc, orm_stamp_trigger_columns(&triggers->triggers[i]))
		{
			AttrNumber	attno = orm_find_column(RelationGetDescr(rel), lfirst(lc));

			if (attno != InvalidAttrNumber)
				columns = bms_add_member(columns, attno);
		}
	}
	return columns;
}

/*
 * Columns of which a change is one of the row.  Generated ones depend on
 * others, and have no value yet when a BEFORE trigger is fired.
 */
static void
find_watched_columns(Relation rel, const TriggerDesc *triggers, OrmStampPlan *plan)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *kept = kept_columns(rel, triggers);
	ListCell   *lc;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		if (att->attnum != plan->columns[ORM_STAMP_CHANGE_ID].attno)
			plan->contents = bms_add_member(plan->contents, att->attnum);
		if (!bms_is_member(att->attnum, kept))
			plan->watched = bms_add_member(plan->watched, att->attnum);
	}
	foreach(lc, plan->options.ignore)
		plan->watched = bms_del_member(plan->watched,
									   orm_find_column(desc, lfirst(lc)));
	bms_free(kept);
}

/*
 * May a trigger that is fired before this one have changed other columns than
 * those that the statement assigns?  Ours change only what they keep, which
 * may be the same column, in a partition with a trigger of its own and a clone.
 */
static bool
others_edit_before(const TriggerDesc *triggers, const Trigger *trigger)
{
	List	   *own = orm_stamp_trigger_columns(trigger);
	OrmStampFunction function;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *other = &triggers->triggers[i];

		if (other->tgoid == trigger->tgoid)
			return false;
		if (TRIGGER_TYPE_MATCHES(other->tgtype, TRIGGER_TYPE_ROW,
								 TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_UPDATE) &&
			(!orm_is_stamp_trigger(other, &function) ||
			 orm_common_name(orm_stamp_trigger_columns(other), own)))
			return true;
	}
	return true;				/* not there?  Then nothing is known of it. */
}

/* Make the plan of a trigger, or say what is wrong with its declaration. */
static OrmStampPlan *
make_plan(Relation rel, const Trigger *trigger)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "orm_ext stamp",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	OrmStampPlan *plan = palloc0_object(OrmStampPlan);
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	plan->context = context;
	plan->generation = orm_policy_generation();
	orm_policy_watch(RelationGetRelid(rel));
	orm_resolve_stamp_trigger(rel, trigger, &plan->options, plan->columns);
	find_watched_columns(rel, triggers, plan);
	plan->others_edit = others_edit_before(triggers, trigger);
	FreeTriggerDesc(triggers);
	MemoryContextSwitchTo(oldcontext);
	return plan;
}

/*
 * Forget the plans that are out of date, if there are many: those of triggers
 * that were dropped are asked for by nobody any more.
 */
static void
forget_old_plans(void)
{
	static long limit = MIN_FORGOTTEN;
	HASH_SEQ_STATUS status;
	CachedPlan *cached;

	if (hash_get_num_entries(plans) < limit)
		return;
	hash_seq_init(&status, plans);
	while ((cached = hash_seq_search(&status)) != NULL)
	{
		if (cached->plan->generation == orm_policy_generation())
			continue;
		MemoryContextSetParent(cached->plan->context, TopTransactionContext);
		hash_search(plans, &cached->trigger, HASH_REMOVE, NULL);
	}
	limit = Max(MIN_FORGOTTEN, 2 * hash_get_num_entries(plans));
}

/*
 * The plan of a trigger of a relation that is locked.  It can be used until
 * the end of the transaction, and is up to date while its generation is the
 * current one.
 *
 * Errors: those of orm_resolve_stamp_trigger().
 */
OrmStampPlan *
orm_stamp_plan(Relation rel, const Trigger *trigger)
{
	CachedPlan *cached = hash_search(plans, &trigger->tgoid, HASH_FIND, NULL);
	OrmStampPlan *plan;

	if (cached && cached->plan->generation == orm_policy_generation())
		return cached->plan;

	plan = make_plan(rel, trigger);
	forget_old_plans();
	cached = hash_search(plans, &trigger->tgoid, HASH_FIND, NULL);
	if (cached)
		MemoryContextSetParent(cached->plan->context, TopTransactionContext);
	else
		cached = hash_search(plans, &trigger->tgoid, HASH_ENTER, NULL);
	cached->plan = plan;
	MemoryContextSetParent(plan->context, CacheMemoryContext);
	return plan;
}

/*
 * The version column of a relation, where a trigger keeps one in this session,
 * and in which mode.
 */
AttrNumber
orm_version_column(Relation rel, int *mode)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	AttrNumber	found = InvalidAttrNumber;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		OrmStampDeclaration declaration;
		OrmStampFunction function;

		if (!orm_is_stamp_trigger(trigger, &function) ||
			!orm_trigger_fires(trigger->tgenabled))
			continue;
		orm_read_stamp_declaration(trigger, function, &declaration);
		if (declaration.columns[ORM_STAMP_VERSION] == NULL)
			continue;
		found = orm_find_column(RelationGetDescr(rel),
								declaration.columns[ORM_STAMP_VERSION]);
		*mode = declaration.mode;
		if (found != InvalidAttrNumber)
			break;
	}
	return found;
}
