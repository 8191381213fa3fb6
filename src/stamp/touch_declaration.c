/*-------------------------------------------------------------------------
 *
 * touch_declaration.c
 *		Arguments of touch_parent(): a foreign key and a column of its parent.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "policy.h"
#include "stamp.h"
#include "touch.h"
#include "util/names.h"

#define MAX_ARGUMENTS 3

/* Can a column of this type say when a row was touched? */
static bool
is_touchable(Form_pg_attribute att)
{
	return !att->attisdropped && !att->attgenerated &&
		orm_stamp_role_accepts(ORM_STAMP_UPDATED, att->atttypid);
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

/* Does a column refer to another table as well, by as good a key? */
static bool
is_ambiguous(Relation rel, AttrNumber attno, const ForeignKeyCacheInfo *found)
{
	ListCell   *lc;

	foreach(lc, copyObject(RelationGetFKeyList(rel)))
	{
		const ForeignKeyCacheInfo *fk = lfirst(lc);

		if (fk->confrelid != found->confrelid && refers_by(fk, attno) &&
			!is_better_key(found, fk))
			return true;
	}
	return false;
}

/* Fill in what the foreign key says.  Errors: 42703, 42830, 42702. */
static void
read_foreign_key(Relation rel, const Trigger *trigger, OrmTouchRule *rule)
{
	OrmTouchTarget *target = &rule->target;
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
				 errhint("DROP TRIGGER IF EXISTS %s ON %s; or ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES ...;",
						 quote_identifier(trigger->tgname), orm_relation_name(rel),
						 orm_relation_name(rel), quote_identifier(trigger->tgargs[0])),
				 errtablecol(rel, attno)));

	if (is_ambiguous(rel, attno, found))
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" refers to several tables",
						trigger->tgargs[0], RelationGetRelationName(rel)),
				 errdetail("Trigger \"%s\" touches the rows of one.", trigger->tgname),
				 errhint("DROP TRIGGER IF EXISTS %s ON %s; and name another column of the foreign key.",
						 quote_identifier(trigger->tgname), orm_relation_name(rel)),
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
find_touched_column(Relation rel, const Trigger *trigger, OrmTouchTarget *target)
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

/*
 * Read and check a declaration.
 *
 * Errors: 39P01, 22023, 42703, 42830, 42702, 42804, 428C9.
 */
void
orm_read_touch_rule(Relation rel, const Trigger *trigger, OrmTouchRule *rule)
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
 * Errors: those of orm_read_touch_rule().
 */
void
orm_check_touch_trigger(Relation rel, const Trigger *trigger)
{
	OrmTouchRule rule;

	if (!row_security && !OidIsValid(orm_touch_parent_of(rel, trigger)))
		return;
	orm_read_touch_rule(rel, trigger, &rule);
}
