/*-------------------------------------------------------------------------
 *
 * columns.c
 *		What a bulk upsert does with each column of its table.
 *
 * A supplied column is written to new rows.  An existing row takes it over if
 * it is to be updated, and is compared with it first.
 *
 * A row that exists goes through INSERT too, and must pass as a row on its way:
 * NOT NULL and CHECK look at it, defaults are evaluated for it.  So columns
 * that it does not supply are filled from the row that exists: then NOT NULL
 * and CHECK see what the row will be, and no sequence moves.  It takes the
 * privileges to read and to insert the column; without them it is left to the
 * default, as in an INSERT by hand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/tupdesc.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "upsert.h"
#include "util/names.h"
#include "util/privileges.h"

/* A column of a table. */
static Form_pg_attribute
column_of(const OrmUpsertTarget *target, AttrNumber attno)
{
	return TupleDescAttr(target->rowtype, attno - 1);
}

/* Position of a column among those that are supplied, -1 if it is none. */
int
orm_supplied_position(const OrmUpsertTarget *target, AttrNumber attno)
{
	return attno > 0 ? target->positions[attno - 1] : -1;
}

/* Column of the store that holds a supplied column. */
int
orm_store_column(const OrmUpsertTarget *target, AttrNumber attno)
{
	return ORM_STORE_FIXED + 1 + orm_supplied_position(target, attno);
}

/* Is a column one of the key's? */
bool
orm_is_key_column(const OrmUpsertTarget *target, AttrNumber attno)
{
	for (int i = 0; i < target->arbiter.nkeys; i++)
	{
		if (target->arbiter.columns[i] == attno)
			return true;
	}
	return false;
}

/* Does a column tell how a row came to be? */
static bool
tells_of_creation(Relation rel, const OrmUpsertTarget *target, AttrNumber attno)
{
	return strncmp(NameStr(column_of(target, attno)->attname), "created_", strlen("created_")) == 0 ||
		orm_stamps.kept_as(rel, attno) == ORM_KEPT_AS_CREATION;
}

/* Can a version of this type be raised by one? */
static bool
is_integer(Oid type)
{
	Oid			base = getBaseType(type);

	return base == INT2OID || base == INT4OID || base == INT8OID;
}

/*
 * Decide who raises the version: a trigger, this statement, or nobody if it is
 * no number.  A trigger that wants it repeated is given it.  Error: 22023 it is
 * a column of the key.
 */
static void
choose_version(Relation rel, OrmUpsertTarget *target)
{
	OrmKeptAs	kept = orm_stamps.kept_as(rel, target->version);

	if (orm_is_key_column(target, target->version))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" cannot be the version, since it is part of the key",
						NameStr(column_of(target, target->version)->attname)),
				 errtablecol(rel, target->version)));
	target->version_is_kept = kept != ORM_NOT_KEPT ||
		!is_integer(column_of(target, target->version)->atttypid);
	if (kept == ORM_KEPT_AS_ECHO && orm_supplied_position(target, target->version) >= 0)
		target->update = bms_add_member(target->update, target->version);
	if (orm_supplied_position(target, target->version) >= 0)
	{
		target->kept = bms_add_member(target->kept, target->version);
		target->partial = bms_add_member(target->partial, target->version);
	}
}

/* A column that a caller names.  Error: 42703. */
static AttrNumber
named_column(Relation rel, const char *name, const char *option)
{
	AttrNumber	attno = orm_find_column(RelationGetDescr(rel), name);

	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(rel)),
				 errdetail("It is named in %s.", option),
				 errtable(rel)));
	return attno;
}

/*
 * The supplied columns, in the order of the table.  A null for one that a
 * trigger keeps is no value that anybody means: it counts as not supplied.
 */
static void
read_supplied(Relation rel, const OrmUpsertSource *source, OrmUpsertTarget *target)
{
	ListCell   *lc;

	target->ncolumns = list_length(source->columns);
	target->columns = palloc_array(AttrNumber, target->ncolumns + 1);
	target->positions = palloc_array(int, target->rowtype->natts);
	memset(target->positions, -1, sizeof(int) * target->rowtype->natts);
	foreach(lc, source->columns)
	{
		target->columns[foreach_current_index(lc)] = lfirst_int(lc);
		target->positions[lfirst_int(lc) - 1] = foreach_current_index(lc);
	}
	target->partial = bms_copy(source->partial);
	for (int i = 0; i < target->ncolumns; i++)
	{
		if (orm_stamps.kept_as(rel, target->columns[i]) != ORM_NOT_KEPT)
			target->kept = bms_add_member(target->kept, target->columns[i]);
	}
	target->partial = bms_add_members(target->partial, target->kept);
}

/*
 * The columns that an existing row takes over: those that the caller names, or
 * all that are supplied but the key's, what tells of the row's creation, the
 * version that is only compared, and what cannot be updated.
 */
static void
choose_updated(Relation rel, const OrmUpsertOptions *options, OrmUpsertTarget *target)
{
	ListCell   *lc;

	foreach(lc, options->update_columns)
	{
		AttrNumber	attno = named_column(rel, lfirst(lc), "update_columns");

		if (orm_supplied_position(target, attno) >= 0 && attno != target->version)
			target->update = bms_add_member(target->update, attno);
	}
	if (!options->update_all)
		return;

	for (int i = 0; i < target->ncolumns; i++)
	{
		AttrNumber	attno = target->columns[i];

		if (attno == target->version || orm_is_key_column(target, attno) ||
			tells_of_creation(rel, target, attno) ||
			column_of(target, attno)->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
			continue;
		target->update = bms_add_member(target->update, attno);
	}
}

/* The columns of an existing row that are read to decide about it. */
static void
choose_compared(OrmUpsertTarget *target)
{
	Bitmapset  *columns = bms_copy(target->update);
	int			attno = -1;

	if (target->options.on_conflict == ORM_CONFLICT_NOTHING)
		columns = NULL;
	if (target->version != InvalidAttrNumber)
		columns = bms_add_member(columns, target->version);
	if (target->soft_delete)
		columns = bms_add_member(columns, target->marker.attno);

	target->compared = palloc_array(AttrNumber, bms_num_members(columns) + 1);
	while ((attno = bms_next_member(columns, attno)) >= 0)
		target->compared[target->ncompared++] = attno;
	target->compared_type = CreateTemplateTupleDesc(target->ncompared);
	for (int i = 0; i < target->ncompared; i++)
		TupleDescCopyEntry(target->compared_type, i + 1, target->rowtype, target->compared[i]);
}

/* May the user read and insert a column? */
static bool
may_fill(Relation rel, AttrNumber attno)
{
	Oid			relid = RelationGetRelid(rel);

	return orm_has_column_privilege(relid, attno, ACL_SELECT) &&
		orm_has_column_privilege(relid, attno, ACL_INSERT);
}

/* Does anybody but our own triggers look at a row before it is inserted? */
static bool
is_watched(Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (rel->rd_rel->relrowsecurity || (constr != NULL && constr->num_check > 0))
		return true;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_BEFORE(trigger->tgtype) && TRIGGER_FOR_ROW(trigger->tgtype) &&
			TRIGGER_FOR_INSERT(trigger->tgtype) && orm_library_symbol(trigger->tgfoid) == NULL)
			return true;
	}
	return false;
}

/* Would a column that is not supplied stand in the way of an existing row? */
static bool
has_to_be_filled(bool watched, Form_pg_attribute att, Node *expression)
{
	if (watched)
		return true;
	if (expression == NULL)
		return att->attnotnull || DomainHasConstraints(att->atttypid);
	return contain_volatile_functions(expression);
}

/*
 * The columns that a row on its way gets from the row that exists: those that
 * only some rows supply, those that it does not take over, and those that would
 * fail or use up a sequence.
 */
static void
choose_filled(Relation rel, OrmUpsertTarget *target)
{
	const bool	watched = is_watched(rel);

	for (AttrNumber attno = 1; attno <= target->rowtype->natts; attno++)
	{
		Form_pg_attribute att = column_of(target, attno);
		Node	   *expression;
		bool		fill;

		if (att->attisdropped || att->attgenerated)
			continue;
		expression = build_column_default(rel, attno);
		target->defaults[attno - 1] = expression;
		if (expression && contain_volatile_functions(expression))
			target->volatile_defaults = bms_add_member(target->volatile_defaults, attno);
		if (target->options.on_conflict == ORM_CONFLICT_NOTHING)
			continue;
		if (orm_supplied_position(target, attno) < 0)
			fill = has_to_be_filled(watched, att, expression) && may_fill(rel, attno);
		else if (orm_is_key_column(target, attno))
			fill = bms_is_member(attno, target->partial);
		else
			fill = bms_is_member(attno, target->partial) ||
				(!bms_is_member(attno, target->update) && may_fill(rel, attno));
		if (fill)
			target->filled = bms_add_member(target->filled, attno);
	}
}

/* Is a column of the key stored as it is supplied, or apart? */
static bool
is_stored_apart(const OrmUpsertTarget *target, int key)
{
	AttrNumber	attno = target->arbiter.columns[key];

	return target->arbiter.computed[key] != NULL || orm_supplied_position(target, attno) < 0 ||
		bms_is_member(attno, target->partial);
}

/* The store that holds the rows of the input. */
static void
describe_store(OrmUpsertTarget *target)
{
	OrmArbiter *arbiter = &target->arbiter;
	int			natts = ORM_STORE_FIXED + target->ncolumns;

	for (int i = 0; i < arbiter->nkeys; i++)
		target->key_positions[i] = is_stored_apart(target, i) ? ++natts :
			orm_store_column(target, arbiter->columns[i]);

	target->store = CreateTemplateTupleDesc(natts);
	TupleDescInitEntry(target->store, ORM_STORE_ORDINAL, "ordinal", INT8OID, -1, 0);
	TupleDescInitEntry(target->store, ORM_STORE_KEYED, "keyed", BOOLOID, -1, 0);
	TupleDescInitEntry(target->store, ORM_STORE_PRESENT, "present", BYTEAOID, -1, 0);
	for (int i = 0; i < target->ncolumns; i++)
	{
		Form_pg_attribute att = column_of(target, target->columns[i]);

		TupleDescInitEntry(target->store, ORM_STORE_FIXED + 1 + i, psprintf("c%d", att->attnum),
						   att->atttypid, att->atttypmod, att->attndims);
		TupleDescInitEntryCollation(target->store, ORM_STORE_FIXED + 1 + i, att->attcollation);
	}
	for (int i = 0; i < arbiter->nkeys; i++)
	{
		AttrNumber	attno = arbiter->columns[i];

		if (!is_stored_apart(target, i))
			continue;
		TupleDescInitEntry(target->store, target->key_positions[i], psprintf("k%d", i + 1),
						   attno > 0 ? column_of(target, attno)->atttypid :
						   exprType(arbiter->computed[i]), -1, 0);
		TupleDescInitEntryCollation(target->store, target->key_positions[i], arbiter->collations[i]);
	}
}

/* Can a row of the input be without a key, so that it conflicts with none? */
static bool
may_lack_key(const OrmUpsertTarget *target)
{
	int			attno = -1;

	if (target->arbiter.predicate != NIL)
		return true;
	while ((attno = bms_next_member(target->arbiter.referenced, attno)) >= 0)
	{
		if (orm_supplied_position(target, attno) < 0 || bms_is_member(attno, target->partial))
			return true;
	}
	return false;
}

/*
 * Decide about all columns.  The arbiter is known already.
 * Error: 42703 a column that the caller names does not exist.
 */
void
orm_choose_columns(Relation rel, const OrmUpsertSource *source,
				   const OrmUpsertOptions *options, OrmUpsertTarget *target)
{
	target->defaults = palloc0_array(Node *, target->rowtype->natts);
	read_supplied(rel, source, target);
	if (options->version_column)
	{
		target->version = named_column(rel, options->version_column, "version_column");
		choose_version(rel, target);
	}
	choose_updated(rel, options, target);
	choose_compared(target);
	choose_filled(rel, target);
	describe_store(target);
	target->may_lack_key = may_lack_key(target);
	/* an existing row must not go away before it is written, or be marked */
	target->locks = target->options.on_conflict == ORM_CONFLICT_UPDATE &&
		(!bms_is_empty(target->filled) ||
		 (target->soft_delete && target->options.on_deleted != ORM_DELETED_INSERT));
}
