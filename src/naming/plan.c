/*-------------------------------------------------------------------------
 *
 * plan.c
 *		Renaming what does not follow the conventions.
 *
 * A plan is a list of renames in an order that runs.  The name that one should
 * have may be held by another that is to be renamed too: then that comes
 * first.  Where two hold each other's names, and where a name is held for
 * good, digits tell them apart.
 *
 * The index of a constraint is renamed as an index, which renames the
 * constraint along and needs a lock that readers and writers do not mind.
 * These come first, so that a plan that has to wait for a table has done what
 * it can.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "naming.h"
#include "util/names.h"
#include "util/spi.h"

/* One rename. */
typedef struct Move
{
	OrmNamed   *named;
	char	   *newname;		/* NULL: not yet, or none found */
	bool		is_begun;
} Move;

/* A name in a schema. */
typedef struct PlacedName
{
	Oid			namespaceid;
	NameData	name;
} PlacedName;

/* What is known of it. */
typedef struct PlacedNameEntry
{
	PlacedName	key;
	bool		is_given;		/* by the plan */
	Move	   *holder;			/* that has it now, as the name of a relation */
} PlacedNameEntry;

typedef struct NamingPlan
{
	const OrmConventions *conventions;
	HTAB	   *names;
	List	   *moves;			/* Move, in order */
	Move	   *current;		/* the one that looks for a name */
} NamingPlan;

static void find_name(NamingPlan *plan, Move *move);

/* The entry of a name, made or not. */
static PlacedNameEntry *
name_entry(const NamingPlan *plan, const char *name, Oid namespaceid, bool make)
{
	PlacedName	key;
	PlacedNameEntry *entry;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.namespaceid = namespaceid;
	namestrcpy(&key.name, name);
	entry = hash_search(plan->names, &key, make ? HASH_ENTER : HASH_FIND, &found);
	if (make && !found)
	{
		entry->is_given = false;
		entry->holder = NULL;
	}
	return entry;
}

/* For orm_choose_name(): will a name be taken when the plan has come so far? */
static bool
is_taken(const char *name, void *state)
{
	NamingPlan *plan = state;
	Move	   *move = plan->current;
	PlacedNameEntry *entry = name_entry(plan, name, move->named->namespaceid, false);

	if (entry && entry->is_given)
		return true;
	if (!orm_constraint_name_exists(move->named->subject.kind, name, move->named->namespaceid))
		return false;
	if (entry == NULL || entry->holder == NULL)
		return true;

	/* the holder may go away first */
	if (!entry->holder->is_begun)
	{
		find_name(plan, entry->holder);
		plan->current = move;
	}
	return entry->holder->newname == NULL || entry->is_given;
}

/* Find the new name of one. */
static void
find_name(NamingPlan *plan, Move *move)
{
	OrmNamed   *named = move->named;
	const OrmConvention *convention = orm_convention(plan->conventions, named->subject.schema,
													 named->subject.kind);
	OrmNameSubject better = orm_subject_to_rename(convention, &named->subject, named->name);
	char	   *newname;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	move->is_begun = true;
	plan->current = move;
	newname = orm_choose_name(convention, &better, is_taken, plan);
	if (newname == NULL)
		return;
	name_entry(plan, newname, named->namespaceid, true)->is_given = true;
	move->newname = newname;
	plan->moves = lappend(plan->moves, move);
}

/* The renames of one schema, or of all (NULL): a list of Move. */
static List *
make_plan(const char *schema)
{
	HASHCTL		control = {.keysize = sizeof(PlacedName),.entrysize = sizeof(PlacedNameEntry),
	.hcxt = CurrentMemoryContext};
	OrmExemptions *exemptions = orm_load_exemptions();
	NamingPlan	plan = {.conventions = orm_load_conventions()};
	List	   *all;
	List	   *moves = NIL;
	ListCell   *lc;

	if (plan.conventions == NULL)
		return NIL;
	plan.names = hash_create("names of a naming plan", 1024, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	all = orm_named_in_schema(schema);
	orm_judge_names(plan.conventions, all);
	foreach(lc, all)
	{
		OrmNamed   *named = lfirst(lc);
		Move	   *move;

		if (named->conforms || !orm_is_renamable(named) ||
			orm_is_exempt(exemptions, orm_name_identity(&named->subject, named->name)))
			continue;
		move = palloc0_object(Move);
		move->named = named;
		moves = lappend(moves, move);
		if (orm_has_index(named->subject.kind))
			name_entry(&plan, named->name, named->namespaceid, true)->holder = move;
	}
	for (int pass = 0; pass < 2; pass++)
	{
		foreach(lc, moves)
		{
			Move	   *move = lfirst(lc);

			if (!move->is_begun && orm_has_index(move->named->subject.kind) == (pass == 0))
				find_name(&plan, move);
		}
	}
	return plan.moves;
}

/* The statement that gives a constraint or index a new name. */
char *
orm_rename_command(const OrmNamed *named, const char *newname)
{
	const OrmNameSubject *subject = &named->subject;

	if (orm_has_index(subject->kind))
		return psprintf("ALTER INDEX %s RENAME TO %s;",
						quote_qualified_identifier(subject->schema, named->name),
						quote_identifier(newname));
	return psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s;",
					quote_qualified_identifier(subject->schema, subject->table),
					quote_identifier(named->name), quote_identifier(newname));
}

PG_FUNCTION_INFO_V1(orm_naming_moves);

/* orm_ext.naming_moves(schema): the plan, without who refers to the old names. */
Datum
orm_naming_moves(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *schema = PG_ARGISNULL(0) ? NULL : NameStr(*PG_GETARG_NAME(0));
	List	   *moves = make_plan(schema);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, moves)
	{
		const Move *move = lfirst(lc);
		const OrmNameSubject *subject = &move->named->subject;
		const char *lock_mode = orm_has_index(subject->kind)
		? "ShareUpdateExclusiveLock" : "AccessExclusiveLock";
		Datum		values[] = {
			CStringGetTextDatum(orm_name_kind_label(subject->kind)),
			DirectFunctionCall1(namein, CStringGetDatum(subject->schema)),
			DirectFunctionCall1(namein, CStringGetDatum(subject->table)),
			DirectFunctionCall1(namein, CStringGetDatum(move->named->name)),
			DirectFunctionCall1(namein, CStringGetDatum(move->newname)),
			CStringGetTextDatum(orm_rename_command(move->named, move->newname)),
			CStringGetTextDatum(lock_mode)
		};
		bool		nulls[lengthof(values)] = {0};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * The statement for a planned rename, as things are now; NULL if another
 * session has done away with what there was to do.  What is to be renamed gets
 * locked as the statement will lock it, if the user may, so that it stays.
 */
static char *
command_now(const Move *move)
{
	const OrmNamed *planned = move->named;
	bool		has_index = orm_has_index(planned->subject.kind);
	const OrmConventions *conventions;
	char	   *command = NULL;
	ListCell   *lc;

	if (orm_owns_relation(planned->relid))
	{
		Oid			relid = planned->relid;

		if (has_index)
			relid = planned->classid == RelationRelationId
				? planned->objid : get_constraint_index(planned->objid);
		if (OidIsValid(relid))
			LockRelationOid(relid, has_index ? ShareUpdateExclusiveLock : AccessExclusiveLock);
	}

	conventions = orm_load_conventions();
	foreach(lc, orm_named_of_relations(list_make1_oid(planned->relid), false))
	{
		OrmNamed   *named = lfirst(lc);
		OrmNameSubject better;
		const OrmConvention *convention;

		if (named->objid != planned->objid || conventions == NULL ||
			orm_name_conforms(conventions, &named->subject, named->name))
			continue;
		convention = orm_convention(conventions, named->subject.schema, named->subject.kind);
		better = orm_subject_to_rename(convention, &named->subject, named->name);
		command = orm_rename_command(named, orm_choose_free_name(convention, &better, named->namespaceid, NULL));
	}
	return command;
}

PG_FUNCTION_INFO_V1(orm_apply_naming);

/*
 * orm_ext.apply_naming(schema, dry_run): run the plan, a transaction for each
 * statement, so that no table stays locked while others are renamed; all in
 * one where the caller has begun a transaction.
 */
Datum
orm_apply_naming(PG_FUNCTION_ARGS)
{
	const char *schema = PG_ARGISNULL(0) ? NULL : NameStr(*PG_GETARG_NAME(0));
	bool		dry_run = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	bool		atomic = fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
	((CallContext *) fcinfo->context)->atomic;
	List	   *moves;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext rename",
												  ALLOCSET_DEFAULT_SIZES);
	ListCell   *lc;

	if (!dry_run)
		PreventCommandIfReadOnly("CALL orm_ext.apply_naming()");
	moves = make_plan(schema);
	SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC);
	foreach(lc, moves)
	{
		const Move *move = lfirst(lc);
		MemoryContext oldcontext = MemoryContextSwitchTo(context);
		char	   *command;

		if (dry_run)
			ereport(NOTICE, (errmsg_internal("%s", orm_rename_command(move->named, move->newname))));
		else
		{
			command = command_now(move);
			if (command)
				orm_run(command);
		}
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(context);
		if (!dry_run && !atomic)
			SPI_commit();
	}
	SPI_finish();
	PG_RETURN_VOID();
}
