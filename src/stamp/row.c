/*-------------------------------------------------------------------------
 *
 * row.c
 *		The row pass that version(), timestamps() and stamp() share.
 *
 * One pass decides whether the row has changed, has each role have its say,
 * and then makes the new row once.  It runs no queries, looks no names up and,
 * but for domains and the actor, touches no catalog.
 *
 * Rules (the MySQL manual's for automatic timestamps, made complete):
 *	- A column is "listed" if the SET list of the statement names it.
 *	- A row has "changed" if some column differs in it that is neither kept by
 *	  a stamp trigger, nor generated, nor ignored.  Values are compared as they
 *	  are stored, so that types without an equality operator will do.
 *	- The row is stored in any case: row counts and tags are never altered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "guc.h"
#include "policy.h"
#include "stamp.h"

/* Are two values stored alike? */
bool
orm_same_datum(Datum a, bool a_isnull, Datum b, bool b_isnull, bool byval, int16 len)
{
	if (a_isnull || b_isnull)
		return a_isnull && b_isnull;
	if (byval)
		return a == b;

	/* spare unchanged values the detoasting */
	if (len == -1 &&
		VARSIZE_ANY(DatumGetPointer(a)) == VARSIZE_ANY(DatumGetPointer(b)) &&
		memcmp(DatumGetPointer(a), DatumGetPointer(b), VARSIZE_ANY(DatumGetPointer(a))) == 0)
		return true;
	return datum_image_eq(a, b, byval, len);
}

/*
 * A text as a value of a type; "describe" tells in an error where it comes from.
 */
Datum
orm_stamp_input(Oid type, int32 typmod, const char *text,
				void (*describe) (void *arg), void *arg)
{
	ErrorContextCallback callback = {error_context_stack, describe, arg};
	Oid			input;
	Oid			ioparam;
	Datum		value;

	error_context_stack = &callback;
	getTypeInputInfo(type, &input, &ioparam);
	value = OidInputFunctionCall(input, unconstify(char *, text), ioparam, typmod);
	error_context_stack = callback.previous;
	return value;
}

/* Does one column differ between the old and the new row? */
static bool
column_differs(const OrmStampPass *pass, AttrNumber attno)
{
	TupleDesc	desc = RelationGetDescr(pass->rel);
	Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
	bool		old_isnull;
	bool		new_isnull;
	Datum		old = slot_getattr(pass->old_slot, attno, &old_isnull);
	Datum		new = slot_getattr(pass->new_slot, attno, &new_isnull);

	return !orm_same_datum(old, old_isnull, new, new_isnull, att->attbyval, att->attlen);
}

/* Does any column of a set differ, among those that the statement assigns? */
static bool
assigned_columns_differ(const OrmStampPass *pass, const Bitmapset *columns)
{
	int			member = -FirstLowInvalidHeapAttributeNumber;

	while ((member = bms_next_member(pass->trigdata->tg_updatedcols, member)) >= 0)
	{
		AttrNumber	attno = member + FirstLowInvalidHeapAttributeNumber;

		if (bms_is_member(attno, columns) && column_differs(pass, attno))
			return true;
	}
	return false;
}

/* Do two versions of a row differ in any column of a set, or, for NULL, in any at all? */
bool
orm_rows_differ(TupleTableSlot *old, TupleTableSlot *new, const Bitmapset *columns)
{
	TupleDesc	desc = new->tts_tupleDescriptor;

	slot_getallattrs(old);
	slot_getallattrs(new);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || (columns && !bms_is_member(i + 1, columns)))
			continue;
		if (!orm_same_datum(old->tts_values[i], old->tts_isnull[i],
							new->tts_values[i], new->tts_isnull[i],
							att->attbyval, att->attlen))
			return true;
	}
	return false;
}

/* Does any column of a set differ? */
static bool
columns_differ(const OrmStampPass *pass, const Bitmapset *columns)
{
	if (!pass->plan->others_edit)
		return assigned_columns_differ(pass, columns);
	return columns && orm_rows_differ(pass->old_slot, pass->new_slot, columns);
}

/* Has the row changed? */
bool
orm_stamp_row_changed(OrmStampPass *pass)
{
	if (pass->changed == ORM_UNKNOWN)
		pass->changed = columns_differ(pass, pass->plan->watched) ? ORM_YES : ORM_NO;
	return pass->changed == ORM_YES;
}

/* Has anything changed in the row, columns that are kept or ignored included? */
bool
orm_stamp_contents_changed(OrmStampPass *pass)
{
	return orm_stamp_row_changed(pass) || pass->nchanges > 0 ||
		columns_differ(pass, pass->plan->contents);
}

/*
 * A column's value in the old row.  What nobody can have changed is taken from
 * the new row, which spares taking the old one apart.
 */
Datum
orm_stamp_stored(const OrmStampPass *pass, OrmStampRole role, bool *isnull)
{
	AttrNumber	attno = pass->plan->columns[role].attno;
	int			member = attno - FirstLowInvalidHeapAttributeNumber;
	bool		unchanged = TRIGGER_FIRED_BY_UPDATE(pass->trigdata->tg_event) &&
	!pass->plan->others_edit &&
	!bms_is_member(member, pass->trigdata->tg_updatedcols);

	return slot_getattr(unchanged ? pass->new_slot : pass->old_slot, attno, isnull);
}

/* A column's value in the new row, as the statement and other triggers left it. */
Datum
orm_stamp_given(const OrmStampPass *pass, OrmStampRole role, bool *isnull)
{
	return slot_getattr(pass->new_slot, pass->plan->columns[role].attno, isnull);
}

/* Are both alike? */
bool
orm_stamp_same(const OrmStampPass *pass, OrmStampRole role)
{
	return !column_differs(pass, pass->plan->columns[role].attno);
}

/* Does the SET list of the statement name the column? */
bool
orm_stamp_lists(const OrmStampPass *pass, OrmStampRole role)
{
	int			member = pass->plan->columns[role].attno - FirstLowInvalidHeapAttributeNumber;

	if (!bms_is_member(member, pass->trigdata->tg_updatedcols))
		return false;
	if (orm_is_upsert(pass->trigdata))
		return orm_upsert_assigns(NameStr(TupleDescAttr(RelationGetDescr(pass->rel),
														pass->plan->columns[role].attno - 1)->attname));
	return !(orm_stamp_same(pass, role) && orm_may_be_merge(pass->trigdata));
}

/* Give the column of a role a value, if it has not got that already. */
void
orm_stamp_set(OrmStampPass *pass, OrmStampRole role, Datum value, bool isnull)
{
	const OrmStampColumn *column = &pass->plan->columns[role];
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(pass->rel), column->attno - 1);
	bool		given_isnull;
	Datum		given = orm_stamp_given(pass, role, &given_isnull);
	int			i = pass->nchanges;

	if (orm_same_datum(value, isnull, given, given_isnull, att->attbyval, att->attlen))
		return;
	if (OidIsValid(column->domain))
		domain_check(value, isnull, column->domain,
					 &pass->plan->domain_checks[role], pass->plan->context);

	/* in the order of the columns, so that the row is walked once */
	for (; i > 0 && pass->columns[i - 1] > column->attno; i--)
	{
		pass->columns[i] = pass->columns[i - 1];
		pass->values[i] = pass->values[i - 1];
		pass->nulls[i] = pass->nulls[i - 1];
	}
	pass->columns[i] = column->attno;
	pass->values[i] = value;
	pass->nulls[i] = isnull;
	pass->nchanges++;
}

/* Leave the stored value, whatever the statement or other triggers made of it. */
void
orm_stamp_keep(OrmStampPass *pass, OrmStampRole role)
{
	bool		isnull;
	Datum		stored = orm_stamp_stored(pass, role, &isnull);

	orm_stamp_set(pass, role, stored, isnull);
}

/*
 * Does the session want given values to be kept?  Only owners may.
 *
 * Error: 42501.
 */
static bool
is_bypassed(Relation rel)
{
	if (!orm_bypass_stamps)
		return false;
	if (!orm_owns_relation(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to bypass the stamps of table \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("Only the owner of the table may do so with orm_ext.bypass_stamps."),
				 errhint("RESET orm_ext.bypass_stamps;")));
	return true;
}

/* Does the owner of the table restore a dump? */
static bool
is_restored(Relation rel)
{
	return unlikely(orm_is_restore()) && orm_owns_relation(RelationGetRelid(rel));
}

/*
 * Set the change_id of a new row.  One that comes out of a dump, or that the
 * owner of the table wants to be kept, stays; ids to come must exceed it.
 */
static void
stamp_new_change_id(OrmStampPass *pass)
{
	bool		isnull;
	Datum		given = orm_stamp_given(pass, ORM_STAMP_CHANGE_ID, &isnull);

	if (!is_restored(pass->rel) && (isnull || !is_bypassed(pass->rel)))
		orm_stamp_change_id(pass);
	else if (!isnull)
		orm_note_foreign_change_id(DatumGetInt64(given));
}

/* Fill in what a new row was not given; a row out of a dump is as it was. */
static void
stamp_new_row(OrmStampPass *pass)
{
	const OrmStampColumn *columns = pass->plan->columns;

	if (columns[ORM_STAMP_CHANGE_ID].attno != InvalidAttrNumber)
		stamp_new_change_id(pass);
	if (is_restored(pass->rel))
		return;

	for (int role = 0; role < ORM_STAMP_ROLES; role++)
	{
		bool		isnull;

		if (columns[role].attno == InvalidAttrNumber || role == ORM_STAMP_CHANGE_ID)
			continue;
		(void) orm_stamp_given(pass, role, &isnull);
		if (!isnull)
			continue;
		if (role == ORM_STAMP_VERSION)
			orm_stamp_first_version(pass);
		else if (role == ORM_STAMP_CREATED || role == ORM_STAMP_UPDATED)
			orm_stamp_set(pass, role, orm_clock_value(pass, role), false);
		else
			orm_stamp_actor(pass, role);
	}
}

/*
 * Put back a value that was given once and for all.  A row that has none, as
 * it was there before the column, may get one.
 *
 * Error: 428C9 under immutable=error.
 */
static void
keep_stored(OrmStampPass *pass, OrmStampRole role)
{
	AttrNumber	attno = pass->plan->columns[role].attno;
	bool		isnull;
	Datum		stored = orm_stamp_stored(pass, role, &isnull);

	if (isnull || orm_stamp_same(pass, role))
		return;
	if (pass->plan->options.immutable == ORM_IMMUTABLE_ERROR &&
		orm_stamp_lists(pass, role))
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of table \"%s\" cannot be changed",
						NameStr(TupleDescAttr(RelationGetDescr(pass->rel), attno - 1)->attname),
						RelationGetRelationName(pass->rel)),
				 errdetail("Trigger \"%s\" keeps it as it was when the row was inserted.",
						   pass->trigdata->tg_trigger->tgname),
				 errhint("Leave the column out, or, as the owner of the table, SET LOCAL orm_ext.bypass_stamps = on;"),
				 errtablecol(pass->rel, attno)));
	orm_stamp_set(pass, role, stored, false);
}

/* Note the change_id that an update under bypass_stamps gives a row, if any. */
static void
note_given_change_id(const OrmStampPass *pass)
{
	bool		isnull;
	Datum		given;

	if (pass->plan->columns[ORM_STAMP_CHANGE_ID].attno == InvalidAttrNumber)
		return;
	given = orm_stamp_given(pass, ORM_STAMP_CHANGE_ID, &isnull);
	if (!isnull && !orm_stamp_same(pass, ORM_STAMP_CHANGE_ID))
		orm_note_foreign_change_id(DatumGetInt64(given));
}

/* Stamp a row that is being updated. */
static void
stamp_changed_row(OrmStampPass *pass)
{
	const OrmStampColumn *columns = pass->plan->columns;

	if (columns[ORM_STAMP_VERSION].attno != InvalidAttrNumber)
		orm_stamp_version(pass);
	if (columns[ORM_STAMP_CREATED].attno != InvalidAttrNumber)
		keep_stored(pass, ORM_STAMP_CREATED);
	if (columns[ORM_STAMP_CREATED_BY].attno != InvalidAttrNumber)
		keep_stored(pass, ORM_STAMP_CREATED_BY);
	if (columns[ORM_STAMP_UPDATED].attno != InvalidAttrNumber)
		orm_stamp_updated(pass);
	if (columns[ORM_STAMP_UPDATED_BY].attno != InvalidAttrNumber)
		orm_stamp_updated_by(pass);
	if (columns[ORM_STAMP_CHANGE_ID].attno != InvalidAttrNumber)
	{
		if (orm_stamp_contents_changed(pass))
			orm_stamp_change_id(pass);
		else
			orm_stamp_keep(pass, ORM_STAMP_CHANGE_ID);
	}
}

/*
 * Do the work of a BEFORE row trigger, and return the row to go on with, which
 * is never NULL.
 */
HeapTuple
orm_stamp_row(OrmStampPlan *plan, TriggerData *trigdata)
{
	OrmStampPass pass;
	TriggerEvent event = trigdata->tg_event;

	pass.plan = plan;
	pass.trigdata = trigdata;
	pass.rel = trigdata->tg_relation;
	pass.changed = ORM_UNKNOWN;
	pass.nchanges = 0;

	if (TRIGGER_FIRED_BY_UPDATE(event))
	{
		pass.old = trigdata->tg_trigtuple;
		pass.new = trigdata->tg_newtuple;
		pass.old_slot = trigdata->tg_trigslot;
		pass.new_slot = trigdata->tg_newslot;
		if (unlikely(is_bypassed(pass.rel)))
		{
			note_given_change_id(&pass);
			return pass.new;
		}
		stamp_changed_row(&pass);
		return orm_changed_row(&pass);
	}
	if (TRIGGER_FIRED_BY_INSERT(event))
	{
		pass.old = NULL;
		pass.new = trigdata->tg_trigtuple;
		pass.old_slot = NULL;
		pass.new_slot = trigdata->tg_trigslot;
		stamp_new_row(&pass);
		return orm_changed_row(&pass);
	}

	pass.old = trigdata->tg_trigtuple;
	pass.new = NULL;
	pass.old_slot = trigdata->tg_trigslot;
	pass.new_slot = NULL;
	if (plan->columns[ORM_STAMP_VERSION].attno != InvalidAttrNumber &&
		!is_bypassed(pass.rel))
		orm_check_expected_version(&pass);
	return pass.old;
}
