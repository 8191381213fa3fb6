/*-------------------------------------------------------------------------
 *
 * references.c
 *		Foreign keys that hold for live rows.
 *
 * The server keeps a foreign key by triggers on both tables.  They stand in
 * the relation cache, in the order in which they are fired, and tell in no time
 * whether there is any foreign key at all; what it is made of is read from
 * pg_constraint.
 *
 * A foreign key is enforced for live rows where the table that it refers to is
 * under soft delete, unless the declaration of either side says
 * foreign_keys=off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "policy.h"
#include "references.h"

/* Does soft delete see to foreign keys from one table to another? */
bool
orm_is_enforced(Oid referencing, Oid referenced)
{
	return orm_soft_delete_active(referenced) &&
		orm_soft_delete_foreign_keys(referenced) &&
		(orm_soft_delete_foreign_keys(referencing) || !orm_soft_delete_active(referencing));
}

/* Is a trigger what the server does upon DELETE of a row that may be referred to? */
bool
orm_is_delete_action(const Trigger *trigger)
{
	return RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
		TRIGGER_FOR_DELETE(trigger->tgtype);
}

/* Is a trigger the server's check of a new row's reference? */
bool
orm_is_reference_check(const Trigger *trigger)
{
	return RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_FK &&
		TRIGGER_FOR_INSERT(trigger->tgtype);
}

/*
 * Do live rows keep their reference to a row that is deleted softly?  Those of
 * SET NULL and SET DEFAULT do, since it can come back, and those of CASCADE
 * where they cannot be deleted softly.
 */
bool
orm_is_kept(const OrmReference *reference)
{
	switch (reference->action)
	{
		case FKCONSTR_ACTION_SETNULL:
		case FKCONSTR_ACTION_SETDEFAULT:
			return true;
		case FKCONSTR_ACTION_CASCADE:
			return !orm_soft_delete_active(reference->referencing);
		default:
			return false;
	}
}

/* Does an enforced foreign key refer to a relation that has these triggers? */
bool
orm_is_referred_to(const TriggerDesc *triggers, Oid relid)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (orm_is_delete_action(&triggers->triggers[i]) &&
			orm_is_enforced(triggers->triggers[i].tgconstrrelid, relid))
			return true;
	}
	return false;
}

/* Does a relation that has these triggers refer to others by an enforced foreign key? */
bool
orm_refers(const TriggerDesc *triggers, Oid relid)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (orm_is_reference_check(&triggers->triggers[i]) &&
			orm_is_enforced(relid, triggers->triggers[i].tgconstrrelid))
			return true;
	}
	return false;
}

/* The foreign key that one of a partition was derived from; another one is its own. */
Oid
orm_topmost_constraint(Oid constraint)
{
	for (;;)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
		Oid			parent;

		if (!HeapTupleIsValid(tuple))
			return constraint;
		parent = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
		ReleaseSysCache(tuple);
		if (!OidIsValid(parent))
			return constraint;
		constraint = parent;
	}
}

/* Read a foreign key; NULL if it is gone. */
OrmReference *
orm_read_reference(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	OrmReference *reference;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	reference = palloc_object(OrmReference);
	reference->constraint = constraint;
	reference->parent = form->conparentid;
	reference->name = pstrdup(NameStr(form->conname));
	reference->referencing = form->conrelid;
	reference->referenced = form->confrelid;
	reference->action = form->confdeltype;
	reference->deferrable = form->condeferrable;
	reference->temporal = orm_is_temporal(form);
	DeconstructFkConstraintRow(tuple, &reference->nkeys,
							   reference->referencing_columns,
							   reference->referenced_columns,
							   reference->operators, NULL, reference->same_operators,
							   NULL, NULL);
	ReleaseSysCache(tuple);
	return reference;
}

/* The enforced foreign keys (OrmReference *) that refer to a table. */
List *
orm_references_to(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	TriggerDesc *triggers;
	List	   *result = NIL;

	if (!RelationIsValid(rel))
		return NIL;
	triggers = CopyTriggerDesc(rel->trigdesc);
	RelationClose(rel);
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		OrmReference *reference;

		if (!orm_is_delete_action(trigger) || !orm_is_enforced(trigger->tgconstrrelid, relid))
			continue;
		reference = orm_read_reference(trigger->tgconstraint);
		if (reference)
			result = lappend(result, reference);
	}
	return result;
}

/* Is there one among foreign keys (OrmReference *)? */
static bool
contains_reference(List *references, Oid constraint)
{
	ListCell   *lc;

	foreach(lc, references)
	{
		if (((OrmReference *) lfirst(lc))->constraint == constraint)
			return true;
	}
	return false;
}

/*
 * The foreign keys (OrmReference *) that a table has, enforced for live rows or
 * not.  One to a partitioned table has a share for each partition, by which it
 * acts on that; a row refers to the whole.
 */
List *
orm_all_references_of(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	List	   *keys;
	List	   *references = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	if (!RelationIsValid(rel))
		return NIL;
	keys = copyObject(RelationGetFKeyList(rel));
	RelationClose(rel);
	foreach(lc, keys)
	{
		OrmReference *reference = orm_read_reference(lfirst_node(ForeignKeyCacheInfo, lc)->conoid);

		if (reference)
			references = lappend(references, reference);
	}
	foreach(lc, references)
	{
		OrmReference *reference = lfirst(lc);

		if (!OidIsValid(reference->parent) || !contains_reference(references, reference->parent))
			result = lappend(result, reference);
	}
	return result;
}

/* The enforced foreign keys (OrmReference *) that a table has. */
List *
orm_references_of(Oid relid)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, orm_all_references_of(relid))
	{
		OrmReference *reference = lfirst(lc);

		if (orm_is_enforced(relid, reference->referenced))
			result = lappend(result, reference);
	}
	return result;
}

/*
 * The condition, as SQL, that one of the columns of a foreign key meets.  The
 * expressions are of the types of the columns.
 */
char *
orm_reference_condition(const OrmReference *reference, int i,
						const char *referenced, const char *referencing)
{
	StringInfoData condition;

	initStringInfo(&condition);
	generate_operator_clause(&condition, referenced,
							 get_atttype(reference->referenced, reference->referenced_columns[i]),
							 reference->operators[i], referencing,
							 get_atttype(reference->referencing, reference->referencing_columns[i]));
	return condition.data;
}

/* "ONLY " where a statement on a table is not to go to its inheritance children. */
const char *
orm_only(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ";
}
