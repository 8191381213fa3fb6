/*-------------------------------------------------------------------------
 *
 * policy.c
 *		Per-relation policy cache, read from the relation's triggers.
 *
 * There is no registry: a table is under soft delete because it has a trigger
 * whose function is orm_soft_delete() of this library.  A trigger travels with
 * its table through dump, partitioning and DDL, and any change of it sends the
 * relation's invalidation message, upon which the server drops the cached
 * plans that touch the relation and we drop our entry.
 *
 * Invariants:
 *	- A callback only marks entries; it reads no catalog.
 *	- An entry is filled in a local struct, copied in, and set valid last, so
 *	  that an error half-way leaves it invalid.  An invalidation half-way, of
 *	  which there is no second one, has the catalogs read again.
 *	- Entries are kept for relations without a policy too: those are the ones
 *	  that must cost nothing.
 *	- No pointer into the cache leaves this file.
 *	- A trigger that is declared wrongly is noted as unsound, and complained of
 *	  when its table is used; reading a policy itself never fails, since that
 *	  happens for every relation.
 *
 * This file alone registers invalidation callbacks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "policy.h"
#include "util/names.h"

typedef struct OrmPolicy
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		may_have_children;	/* inheritance children or partitions */
	bool		soft_delete;	/* has a soft_delete trigger */
	bool		sound;			/* ... that is declared rightly */
	char		enabled;		/* its pg_trigger.tgenabled */
	bool		foreign_keys;	/* ... and has foreign keys hold for live rows */
	bool		rewritten;		/* has triggers of others that change rows */
	OrmMarker	marker;
} OrmPolicy;

OrmStampService orm_stamps = {0};
bool		(*orm_upsert_assigns) (const char *column) = NULL;
int			orm_action_depth = 0;

static HTAB *policies = NULL;

/* With fewer entries, none is forgotten. */
#define MIN_FORGOTTEN 1024

/* Counts the invalidations of relations that the cache knows. */
static uint64 generation = 1;

/* How often a callback was called: tells of invalidations while reading. */
static uint64 invalidations = 0;

/* A relation that another file keeps a copy of, and a number that changes with it. */
static Oid	watched_relation = InvalidOid;
static uint64 watched_changes = 1;

/* Mark the entry of one relation, or all of them. */
static void
invalidate_relation(Datum arg, Oid relid)
{
	OrmPolicy  *policy;

	invalidations++;
	if (!OidIsValid(relid) || relid == watched_relation)
		watched_changes++;
	if (OidIsValid(relid))
	{
		policy = hash_search(policies, &relid, HASH_FIND, NULL);
		if (policy == NULL)
			return;
		policy->valid = false;
		generation++;
	}
	else
	{
		HASH_SEQ_STATUS status;

		generation++;
		hash_seq_init(&status, policies);
		while ((policy = hash_seq_search(&status)) != NULL)
			policy->valid = false;
	}
}

/*
 * A function changed: it may be ours that came or went with CREATE or DROP
 * EXTENSION.  Functions change rarely, so all entries are marked.
 */
static void
invalidate_function(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidate_relation(arg, InvalidOid);
}

/* Create the cache and have it told of changes. */
void
orm_policy_init(void)
{
	HASHCTL		ctl = {0};

	if (!CacheMemoryContext)
		CreateCacheMemoryContext();
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(OrmPolicy);
	ctl.hcxt = AllocSetContextCreate(CacheMemoryContext, "orm_ext policies",
									 ALLOCSET_SMALL_SIZES);
	policies = hash_create("orm_ext policies", 256, &ctl,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, invalidate_function, (Datum) 0);
}

/* Is the trigger a declaration of soft delete, sound or not? */
bool
orm_is_soft_delete_trigger(const Trigger *trigger)
{
	return orm_is_library_function(trigger->tgfoid, ORM_SOFT_DELETE_SYMBOL);
}

/* Number of a column by its name, or InvalidAttrNumber. */
AttrNumber
orm_find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
	}
	return InvalidAttrNumber;
}

/* A policy belongs to a table with rows of its own or of its partitions. */
static bool
is_right_kind_of_relation(Relation rel, const Trigger *trigger)
{
	char		relkind = rel->rd_rel->relkind;

	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ||
		(relkind == RELKIND_FOREIGN_TABLE && trigger->tgisclone);
}

/* The declaration is BEFORE DELETE, FOR EACH ROW, unconditional. */
static bool
is_right_kind_of_trigger(const Trigger *trigger)
{
	return trigger->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE |
							   TRIGGER_TYPE_DELETE) &&
		trigger->tgqual == NULL;
}

/* Hint: the declaration as it should be. */
static int
hint_declaration(Relation rel, const Trigger *trigger)
{
	const char *table = orm_relation_name(rel);
	const char *name = quote_identifier(trigger->tgname);
	const char *column = trigger->tgnargs > 0 ? trigger->tgargs[0] : "deleted_at";

	return errhint("DROP TRIGGER IF EXISTS %s ON %s; CREATE TRIGGER %s BEFORE DELETE ON %s FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete(%s);",
				   name, table, name, table, quote_literal_cstr(column));
}

/* Complain of a declaration on the wrong relation or for the wrong event. */
static void
check_trigger_event(Relation rel, const Trigger *trigger)
{
	if (!is_right_kind_of_relation(rel, trigger))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be under soft delete",
						RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Create the trigger on the table that holds the rows; DROP TRIGGER IF EXISTS %s ON %s;",
						 quote_identifier(trigger->tgname),
						 orm_relation_name(rel))));

	if (!is_right_kind_of_trigger(trigger))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" of table \"%s\" must be fired BEFORE DELETE, FOR EACH ROW, without a WHEN condition",
						trigger->tgname, RelationGetRelationName(rel)),
				 errdetail("It declares soft delete for all rows of the table."),
				 hint_declaration(rel, trigger)));
}

/* Which kind of marker is a column of this type? */
static bool
marker_kind_of_type(Oid type, OrmMarkerKind *kind)
{
	switch (type)
	{
		case TIMESTAMPTZOID:
			*kind = ORM_MARKER_TIMESTAMPTZ;
			return true;
		case TIMESTAMPOID:
			*kind = ORM_MARKER_TIMESTAMP;
			return true;
		case BOOLOID:
			*kind = ORM_MARKER_BOOLEAN;
			return true;
		case INT8OID:
			*kind = ORM_MARKER_BIGINT;
			return true;
		default:
			return false;
	}
}

/* Is "live" a value other than null in this kind of marker? */
static bool
marker_is_not_null(OrmMarkerKind kind)
{
	return kind == ORM_MARKER_BOOLEAN || kind == ORM_MARKER_BIGINT;
}

/*
 * The declaration's second argument, which may be left out: are foreign keys
 * to hold for live rows?  False if it is none that we know.
 */
static bool
read_foreign_keys(const Trigger *trigger, bool *foreign_keys)
{
	const char *option = trigger->tgnargs > 1 ? trigger->tgargs[1] : "foreign_keys=on";

	*foreign_keys = strcmp(option, "foreign_keys=on") == 0;
	return *foreign_keys || strcmp(option, "foreign_keys=off") == 0;
}

/* Complain of arguments that are none of the declaration's.  Error: 22023. */
static void
check_trigger_arguments(Relation rel, const Trigger *trigger)
{
	bool		foreign_keys;

	if (trigger->tgnargs < 1 || trigger->tgnargs > 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function orm_ext.soft_delete must be given the marker column, and at most one option"),
				 errdetail("Trigger \"%s\" of table \"%s\" gives it %d arguments.",
						   trigger->tgname, RelationGetRelationName(rel),
						   trigger->tgnargs),
				 hint_declaration(rel, trigger)));
	if (!read_foreign_keys(trigger, &foreign_keys))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" of orm_ext.soft_delete is not known", trigger->tgargs[1]),
				 errdetail("Trigger \"%s\" of table \"%s\" may say 'foreign_keys=off', to leave foreign keys to real deletes, or 'foreign_keys=on'.",
						   trigger->tgname, RelationGetRelationName(rel)),
				 hint_declaration(rel, trigger)));
}

/* Classify a marker column, or say why it cannot be one. */
static OrmMarkerKind
check_marker_column(Relation rel, Form_pg_attribute att)
{
	OrmMarkerKind kind;

	if (!marker_kind_of_type(att->atttypid, &kind))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" cannot mark deleted rows",
						NameStr(att->attname), RelationGetRelationName(rel)),
				 errdetail("It is of type %s; a marker is of type timestamp with time zone, timestamp without time zone, boolean or bigint.",
						   format_type_be(att->atttypid)),
				 errhint("Name a column of such a type, as ALTER TABLE %s ADD COLUMN removed_at timestamptz; makes one.",
						 orm_relation_name(rel)),
				 errtablecol(rel, att->attnum)));

	if (att->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of table \"%s\" cannot mark deleted rows",
						NameStr(att->attname), RelationGetRelationName(rel)),
				 errdetail("It is a generated column."),
				 errhint("Name a column that can be updated, as ALTER TABLE %s ADD COLUMN removed_at timestamptz; makes one.",
						 orm_relation_name(rel)),
				 errtablecol(rel, att->attnum)));

	if (marker_is_not_null(kind) &&
		!orm_column_is_not_null(RelationGetDescr(rel), att->attnum))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column \"%s\" of table \"%s\" must be NOT NULL to mark deleted rows",
						NameStr(att->attname), RelationGetRelationName(rel)),
				 errdetail("A null of type %s says neither live nor deleted.",
						   format_type_be(att->atttypid)),
				 errhint("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s, ALTER COLUMN %s SET NOT NULL;",
						 orm_relation_name(rel),
						 quote_identifier(NameStr(att->attname)),
						 kind == ORM_MARKER_BOOLEAN ? "false" : "0",
						 quote_identifier(NameStr(att->attname))),
				 errtablecol(rel, att->attnum)));

	if (!marker_is_not_null(kind) && att->attnotnull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column \"%s\" of table \"%s\" must allow nulls to mark deleted rows",
						NameStr(att->attname), RelationGetRelationName(rel)),
				 errdetail("A live row has a null there."),
				 errhint("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL;",
						 orm_relation_name(rel),
						 quote_identifier(NameStr(att->attname))),
				 errtablecol(rel, att->attnum)));

	return kind;
}

/*
 * Check the declaration of soft delete and find its marker column.
 *
 * Errors: 42809 (kind of relation), 39P01 (kind of trigger), 22023 (number of
 * arguments, option), 42703 (no such column), 42804 (type), 42P16
 * (nullability), 428C9 (generated column).
 */
void
orm_check_soft_delete_trigger(Relation rel, const Trigger *trigger,
							  OrmMarker *marker)
{
	Form_pg_attribute att;
	AttrNumber	attno;

	check_trigger_event(rel, trigger);

	check_trigger_arguments(rel, trigger);

	attno = orm_find_column(RelationGetDescr(rel), trigger->tgargs[0]);
	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						trigger->tgargs[0], RelationGetRelationName(rel)),
				 errdetail("Trigger \"%s\" declares it the marker of deleted rows.",
						   trigger->tgname),
				 errhint("ALTER TABLE %s ADD COLUMN %s timestamptz;",
						 orm_relation_name(rel),
						 quote_identifier(trigger->tgargs[0])),
				 errtable(rel)));

	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	marker->attno = attno;
	marker->typmod = att->atttypmod;
	marker->kind = check_marker_column(rel, att);
}

/* Would orm_check_soft_delete_trigger() pass?  If so, fill in what it declares. */
static bool
read_declaration(Relation rel, const Trigger *trigger, OrmMarker *marker, bool *foreign_keys)
{
	Form_pg_attribute att;

	if (!is_right_kind_of_relation(rel, trigger) ||
		!is_right_kind_of_trigger(trigger) ||
		trigger->tgnargs < 1 || trigger->tgnargs > 2 ||
		!read_foreign_keys(trigger, foreign_keys))
		return false;
	marker->attno = orm_find_column(RelationGetDescr(rel), trigger->tgargs[0]);
	if (marker->attno == InvalidAttrNumber)
		return false;
	att = TupleDescAttr(RelationGetDescr(rel), marker->attno - 1);
	marker->typmod = att->atttypmod;
	return marker_kind_of_type(att->atttypid, &marker->kind) &&
		!att->attgenerated &&
		orm_column_is_not_null(RelationGetDescr(rel), att->attnum) ==
		marker_is_not_null(marker->kind);
}

/*
 * Find the soft_delete trigger of a relation.  A partition that was attached
 * with a trigger of its own has two of them, which is no harm while they name
 * the same column.  One that fires is preferred to a disabled one.  The result
 * is a copy: any access to a catalog may rebuild the relation's own triggers.
 */
static const Trigger *
find_soft_delete_trigger(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	const Trigger *found = NULL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (!orm_is_soft_delete_trigger(trigger))
			continue;
		if (found == NULL || found->tgenabled == TRIGGER_DISABLED)
			found = trigger;
	}
	return found;
}

/* May a trigger change a row that is updated in a way that we cannot foresee? */
static bool
rewrites_rows(const Trigger *trigger)
{
	return TRIGGER_FOR_ROW(trigger->tgtype) && TRIGGER_FOR_BEFORE(trigger->tgtype) &&
		TRIGGER_FOR_UPDATE(trigger->tgtype) && orm_library_symbol(trigger->tgfoid) == NULL;
}

/* Does a relation have such a trigger?  Reading catalogs may rebuild its own list. */
static bool
has_rewriting_trigger(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (rewrites_rows(&triggers->triggers[i]))
			return true;
	}
	return false;
}

/* Read the policy of a relation from its triggers. */
static void
read_policy(Oid relid, OrmPolicy *policy)
{
	Relation	rel = RelationIdGetRelation(relid);
	const Trigger *trigger;

	memset(policy, 0, sizeof(*policy));
	policy->relid = relid;
	if (!RelationIsValid(rel))
		return;					/* dropped under us: nothing to say of it */

	policy->may_have_children = rel->rd_rel->relhassubclass;
	trigger = find_soft_delete_trigger(rel);
	if (trigger)
	{
		policy->soft_delete = true;
		policy->enabled = trigger->tgenabled;
		policy->sound = read_declaration(rel, trigger, &policy->marker, &policy->foreign_keys);
	}
	policy->rewritten = has_rewriting_trigger(rel);
	RelationClose(rel);
}

/*
 * Raise the error that the declaration of soft delete on a relation deserves.
 * Relations are also looked at without a lock, so it may have been mended in
 * the meantime, which fills in the marker, or be gone, which gives false.
 */
static bool
complain_of_policy(Oid relid, OrmMarker *marker)
{
	Relation	rel = RelationIdGetRelation(relid);
	const Trigger *trigger;

	if (!RelationIsValid(rel))
		return false;
	trigger = find_soft_delete_trigger(rel);
	if (trigger)
		orm_check_soft_delete_trigger(rel, trigger, marker);
	RelationClose(rel);
	return trigger != NULL;
}

/*
 * Forget the entries that are marked, if there are many: those of tables that
 * were dropped are asked for by nobody any more.
 */
static void
forget_marked_entries(void)
{
	static long limit = MIN_FORGOTTEN;
	HASH_SEQ_STATUS status;
	OrmPolicy  *policy;

	if (hash_get_num_entries(policies) < limit)
		return;
	hash_seq_init(&status, policies);
	while ((policy = hash_seq_search(&status)) != NULL)
	{
		if (!policy->valid)
			hash_search(policies, &policy->relid, HASH_REMOVE, NULL);
	}
	limit = Max(MIN_FORGOTTEN, 2 * hash_get_num_entries(policies));
}

/*
 * Look a relation up, reading it where the cache does not know it.  The result
 * is good until the next catalog access.
 */
static const OrmPolicy *
lookup_policy(Oid relid)
{
	OrmPolicy  *policy = hash_search(policies, &relid, HASH_FIND, NULL);
	OrmPolicy	fresh;
	uint64		before;
	int			tries = 0;

	if (likely(policy != NULL && policy->valid))
		return policy;

	/*
	 * Another session may change the triggers while we read them: the locks
	 * of a SELECT let it.  We read twice at most, since with
	 * debug_discard_caches every reading is disturbed; such an answer is not
	 * kept.
	 */
	do
	{
		before = invalidations;
		read_policy(relid, &fresh);
	} while (before != invalidations && ++tries < 2);

	forget_marked_entries();
	policy = hash_search(policies, &relid, HASH_ENTER, NULL);
	*policy = fresh;
	policy->valid = before == invalidations;
	return policy;
}

/* Would a trigger in this state fire now?  The rule is TriggerEnabled()'s. */
bool
orm_trigger_fires(char enabled)
{
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return enabled != TRIGGER_FIRES_ON_ORIGIN && enabled != TRIGGER_DISABLED;
	return enabled != TRIGGER_FIRES_ON_REPLICA && enabled != TRIGGER_DISABLED;
}

/*
 * Depth of triggers, 1 in one that was fired by a client's statement.  What
 * follows from foreign keys counts as done by a trigger, as in the server.
 */
int
orm_trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) + orm_action_depth;
}

/*
 * A number that changes whenever the triggers of a relation that was watched
 * may have changed, for what other files derive from them.
 */
uint64
orm_policy_generation(void)
{
	return generation;
}

/* Watch a relation from now on. */
void
orm_policy_watch(Oid relid)
{
	(void) lookup_policy(relid);
}

/* Watch the one relation that another file keeps a copy of. */
void
orm_watch_relation(Oid relid)
{
	watched_relation = relid;
}

/* A number that changes whenever that relation may have changed. */
uint64
orm_watched_changes(void)
{
	return watched_changes;
}

/*
 * Is the relation under soft delete in this session, and by which column?
 * The caller holds a lock on it.
 */
bool
orm_soft_delete_marker(Oid relid, OrmMarker *marker)
{
	const OrmPolicy *policy = lookup_policy(relid);

	if (likely(!policy->soft_delete) || !orm_trigger_fires(policy->enabled))
		return false;
	if (unlikely(!policy->sound))
		return complain_of_policy(relid, marker);
	*marker = policy->marker;
	return true;
}

/* The same for DDL, which may be what mends an unsound declaration. */
bool
orm_soft_delete_sound(Oid relid, OrmMarker *marker)
{
	const OrmPolicy *policy = lookup_policy(relid);

	if (!policy->soft_delete || !orm_trigger_fires(policy->enabled) || !policy->sound)
		return false;
	*marker = policy->marker;
	return true;
}

/* Is the relation declared to be under soft delete, in force now or not? */
bool
orm_soft_delete_declared(Oid relid, OrmMarker *marker)
{
	const OrmPolicy *policy = lookup_policy(relid);

	if (!policy->soft_delete)
		return false;
	if (!policy->sound)
		return complain_of_policy(relid, marker);
	*marker = policy->marker;
	return true;
}

/* Are foreign keys that a relation takes part in to hold for its live rows? */
bool
orm_soft_delete_foreign_keys(Oid relid)
{
	const OrmPolicy *policy = lookup_policy(relid);

	return policy->sound && policy->foreign_keys;
}

/* Are rows of a relation changed by triggers that are not ours, before they are updated? */
bool
orm_rewritten_by_triggers(Oid relid)
{
	return lookup_policy(relid)->rewritten;
}

/* The same as orm_soft_delete_marker(), where the column does not matter. */
bool
orm_soft_delete_active(Oid relid)
{
	OrmMarker	marker;

	return orm_soft_delete_marker(relid, &marker);
}

/*
 * Can a policy have a say in how the relation is planned?  "with_children"
 * says that its inheritance children, partitions included, are meant too.
 * Cheap, since it is asked of every relation of every query.
 */
bool
orm_policy_concerns(Oid relid, bool with_children)
{
	const OrmPolicy *policy = lookup_policy(relid);

	return (policy->soft_delete && orm_trigger_fires(policy->enabled)) ||
		(with_children && policy->may_have_children);
}

/*
 * Is the relation or one that inherits from it under soft delete?  "member"
 * then tells which.  Relations are looked at without taking locks on children.
 */
bool
orm_soft_delete_in_tree(Oid relid, Oid *member)
{
	List	   *members = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;
	bool		found = false;

	foreach(lc, members)
	{
		if (orm_soft_delete_active(lfirst_oid(lc)))
		{
			*member = lfirst_oid(lc);
			found = true;
			break;
		}
	}
	list_free(members);
	return found;
}

/* Does this value of the marker column mean a live row? */
bool
orm_marker_is_live(const OrmMarker *marker, Datum value, bool isnull)
{
	switch (marker->kind)
	{
		case ORM_MARKER_BOOLEAN:
			return !isnull && !DatumGetBool(value);
		case ORM_MARKER_BIGINT:
			return !isnull && DatumGetInt64(value) == 0;
		default:
			return isnull;
	}
}
