/*-------------------------------------------------------------------------
 *
 * statement.c
 *		Names in DDL statements: given where they are missing, else checked.
 *
 * A missing name is put into the parse tree before the statement runs, where
 * PostgreSQL would choose one itself, and never changed afterwards.  A CREATE
 * TABLE makes statements of its own of its keys, foreign keys and indexes that
 * LIKE copies, after duplicates among them have been merged; these come here
 * again, so they are named then, and only CHECKs at once.  Explicit names are
 * checked in the statement that the user wrote.
 *
 * A statement that is going to fail must fail as it always did, so what cannot
 * be found is passed over.  Before a name is chosen the table is locked as the
 * statement is going to lock it, with the same checks: PostgreSQL chooses under
 * that lock, and so sees the names that a concurrent statement has given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "guc.h"
#include "naming.h"
#include "util/names.h"

/*
 * Names (char *) that the CREATE TABLE being run gives explicitly.  The
 * statements that it makes keep out of the way of those that are still to come.
 */
List	   *orm_names_to_come = NIL;

/* A statement, and the table that it is about. */
typedef struct Statement
{
	const OrmConventions *conventions;	/* once they are needed */
	bool		is_inert;		/* there are none */
	bool		checks_names;
	const CreateStmt *create;	/* the statement creates the table */
	Oid			relid;			/* else */
	Oid			namespaceid;
	const char *schema;
	const char *table;
	const char *row;			/* name of the whole row in expressions */
	OrmNameKind kind;			/* of the name that is being chosen */
	List	   *names;			/* char *, that this statement gives */
	const OrmVacated *vacated;	/* what an ALTER TABLE drops */
} Statement;

/* Is it nothing to us what is named in this session, now? */
bool
orm_naming_is_off(void)
{
	return IsBinaryUpgrade || creating_extension || XactReadOnly || orm_is_restore();
}

/* Load the conventions; false if there are none. */
static bool
load_conventions(Statement *st)
{
	if (st->conventions == NULL && !st->is_inert)
	{
		st->conventions = orm_load_conventions();
		st->is_inert = st->conventions == NULL;
	}
	return !st->is_inert;
}

/* Schemas of the server itself are none of our business. */
bool
orm_is_system_schema(const char *schema)
{
	return IsReservedName(schema) || strcmp(schema, "information_schema") == 0;
}

/* OID of the schema in which a table is going to be created, InvalidOid if there is none. */
static Oid
creation_schema(const RangeVar *name)
{
	List	   *path;

	if (name->schemaname)
		return get_namespace_oid(name->schemaname, true);
	path = fetch_search_path(false);
	return path == NIL ? InvalidOid : linitial_oid(path);
}

/* Note the schema of the table; false if names are not ruled there. */
static bool
set_schema(Statement *st, Oid namespaceid)
{
	st->namespaceid = namespaceid;
	st->schema = OidIsValid(namespaceid) ? get_namespace_name(namespaceid) : NULL;
	return st->schema != NULL && !orm_is_system_schema(st->schema);
}

/* Note the table that a statement alters; false if its names are not ruled. */
static bool
set_table(Statement *st, Oid relid)
{
	if (!OidIsValid(relid) || !orm_is_named_relkind(get_rel_relkind(relid)) ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return false;
	st->relid = relid;
	st->table = get_rel_name(st->relid);
	if (st->table == NULL || !set_schema(st, get_rel_namespace(st->relid)))
		return false;
	if (get_attnum(st->relid, st->table) == InvalidAttrNumber)
		st->row = st->table;
	st->checks_names &= orm_owns_relation(relid);
	return true;
}

/* Note the table that a statement creates; false if its names are not ruled. */
static bool
set_new_table(Statement *st, const CreateStmt *create)
{
	ListCell   *lc;

	if (create->relation->relpersistence == RELPERSISTENCE_TEMP ||
		!set_schema(st, creation_schema(create->relation)))
		return false;
	st->create = create;
	st->table = create->relation->relname;
	if (OidIsValid(get_relname_relid(st->table, st->namespaceid)))
		return false;			/* a duplicate, or IF NOT EXISTS */
	st->checks_names &= orm_may_create_in(st->namespaceid);

	st->row = st->table;
	foreach(lc, create->tableElts)
	{
		if (IsA(lfirst(lc), ColumnDef) &&
			strcmp(castNode(ColumnDef, lfirst(lc))->colname, st->table) == 0)
			st->row = NULL;
	}
	return true;
}

/* For orm_choose_name(): is a name taken, in the catalog or in this statement? */
static bool
is_taken(const char *name, void *state)
{
	const Statement *st = state;

	if (orm_contains_name(st->names, name))
		return true;
	return orm_constraint_name_exists(st->kind, name, st->namespaceid) &&
		!(st->vacated && orm_name_is_vacated(st->vacated, st->kind, name, st->namespaceid));
}

/* Strings out of a list of String nodes. */
static List *
strings_of_nodes(List *nodes)
{
	List	   *strings = NIL;
	ListCell   *lc;

	foreach(lc, nodes)
		strings = lappend(strings, strVal(lfirst(lc)));
	return strings;
}

/* Append the column of a key of an index, if it has one that is not there yet. */
static List *
add_key_column(List *columns, const Statement *st, const IndexElem *key, bool is_transformed)
{
	const char *column = key->name;

	if (column == NULL && key->expr != NULL)
		column = is_transformed
			? orm_first_column(key->expr, st->relid)
			: orm_first_column_written(key->expr, st->row);
	if (column == NULL || orm_contains_name(columns, column))
		return columns;
	return lappend(columns, (char *) column);
}

/* Columns of the primary key that a CREATE TABLE declares. */
static List *
declared_primary_key(const CreateStmt *create)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, create->tableElts)
	{
		Node	   *element = lfirst(lc);

		if (IsA(element, Constraint) && ((Constraint *) element)->contype == CONSTR_PRIMARY)
			return strings_of_nodes(((Constraint *) element)->keys);
		if (!IsA(element, ColumnDef))
			continue;
		foreach(lc2, ((ColumnDef *) element)->constraints)
		{
			if (castNode(Constraint, lfirst(lc2))->contype == CONSTR_PRIMARY)
				return list_make1(((ColumnDef *) element)->colname);
		}
	}
	return NIL;
}

/* Columns (char *) of the primary key of a table, which need not be locked. */
List *
orm_primary_key_names(Oid relid)
{
	ListCell   *lc;

	foreach(lc, orm_constraints_of(relid))
	{
		const OrmNamed *named = lfirst(lc);

		if (named->subject.kind == ORM_NAME_PRIMARY_KEY)
			return named->subject.columns;
	}
	return NIL;
}

/* Columns that a foreign key refers to, if the convention wants them. */
static List *
referred_columns(Statement *st, const Constraint *constraint)
{
	const OrmConvention *convention;
	Oid			relid;

	if (!load_conventions(st))
		return NIL;
	convention = orm_convention(st->conventions, st->schema, ORM_NAME_FOREIGN_KEY);
	if (convention->template == NULL || !orm_template_wants_referred(convention->template))
		return NIL;
	if (constraint->pk_attrs != NIL)
		return strings_of_nodes(constraint->pk_attrs);
	relid = orm_find_relation(constraint->pktable);
	if (OidIsValid(relid))
		return orm_primary_key_names(relid);
	if (st->create && strcmp(constraint->pktable->relname, st->table) == 0)
		return declared_primary_key(st->create);
	return NIL;
}

/* What there is to say of a new constraint; false if its name is not ruled. */
static bool
describe_constraint(Statement *st, const Constraint *constraint, const char *column,
					OrmNameSubject *subject)
{
	ListCell   *lc;

	*subject = (OrmNameSubject)
	{
		.schema = st->schema,.table = st->table
	};
	if (column)
		subject->columns = list_make1((char *) column);

	switch (constraint->contype)
	{
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			subject->kind = constraint->contype == CONSTR_PRIMARY
				? ORM_NAME_PRIMARY_KEY : ORM_NAME_UNIQUE;
			if (constraint->keys != NIL)
				subject->columns = strings_of_nodes(constraint->keys);

			/* an index that is there keeps its name */
			return constraint->indexname == NULL;
		case CONSTR_EXCLUSION:
			subject->kind = ORM_NAME_EXCLUSION;
			foreach(lc, constraint->exclusions)
				subject->columns = add_key_column(subject->columns, st,
												  linitial(lfirst(lc)), false);
			return true;
		case CONSTR_CHECK:
			subject->kind = ORM_NAME_CHECK;
			subject->columns = orm_columns_written(constraint->raw_expr, st->row);
			return true;
		case CONSTR_FOREIGN:
			subject->kind = ORM_NAME_FOREIGN_KEY;
			if (constraint->fk_attrs != NIL)
				subject->columns = strings_of_nodes(constraint->fk_attrs);
			subject->referred_table = constraint->pktable->relname;
			subject->referred_columns = referred_columns(st, constraint);
			return true;
		default:
			return false;
	}
}

/* What there is to say of a new index. */
static OrmNameSubject
describe_index(const Statement *st, const IndexStmt *index)
{
	OrmNameSubject subject = {.schema = st->schema,.table = st->table};
	ListCell   *lc;

	if (!index->isconstraint)
		subject.kind = ORM_NAME_INDEX;
	else if (index->primary)
		subject.kind = ORM_NAME_PRIMARY_KEY;
	else if (index->unique)
		subject.kind = ORM_NAME_UNIQUE;
	else
		subject.kind = ORM_NAME_EXCLUSION;
	subject.is_unique_index = index->unique && !index->isconstraint;
	foreach(lc, index->indexParams)
		subject.columns = add_key_column(subject.columns, st, lfirst(lc), index->transformed);
	return subject;
}

/* Give a name, or check the one that is there. */
static void
name_subject(Statement *st, const OrmNameSubject *subject, char **name)
{
	if (*name == NULL && orm_naming_fill && load_conventions(st))
	{
		const OrmConvention *convention = orm_convention(st->conventions, st->schema, subject->kind);

		st->kind = subject->kind;
		*name = orm_choose_name(convention, subject, is_taken, st);
	}
	else if (*name != NULL && st->checks_names && load_conventions(st))
		orm_check_name(st->conventions, subject, *name, NULL, st->namespaceid);

	if (*name != NULL)
		st->names = lappend(st->names, *name);
}

/* Note the names that constraints (or columns with constraints) have been given. */
static void
add_explicit_names(Statement *st, Node *element)
{
	ListCell   *lc;

	if (element && IsA(element, Constraint) && ((Constraint *) element)->conname)
		st->names = lappend(st->names, ((Constraint *) element)->conname);
	else if (element && IsA(element, ColumnDef))
	{
		foreach(lc, ((ColumnDef *) element)->constraints)
			add_explicit_names(st, lfirst(lc));
	}
}

/*
 * Note the names that PostgreSQL is going to give to the rows that a foreign
 * key has for the partitions of the table that it refers to.
 */
static void
add_partition_names(Statement *st, const Constraint *constraint, const OrmNameSubject *subject)
{
#ifdef ORM_PARTITIONS_TAKE_NAMES
	Oid			relid = orm_find_relation(constraint->pktable);
	StringInfoData columns;
	int			partitions;
	ListCell   *lc;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return;
	initStringInfo(&columns);
	foreach(lc, subject->columns)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? "_" : "", (char *) lfirst(lc));

	partitions = list_length(find_all_inheritors(relid, NoLock, NULL)) - 1;
	st->kind = ORM_NAME_FOREIGN_KEY;
	for (int number = 0; partitions > 0; number++)
	{
		char	   *label = number == 0 ? "fkey" : psprintf("fkey%d", number);
		char	   *name = makeObjectName(st->table, columns.data, label);

		if (is_taken(name, st))
			continue;
		st->names = lappend(st->names, name);
		partitions--;
	}
#endif
}

/* Name a constraint, or leave that to the statement that will be made of it. */
static void
name_constraint(Statement *st, Constraint *constraint, const char *column)
{
	OrmNameSubject subject;

	if (constraint->conname == NULL && st->create && constraint->contype != CONSTR_CHECK)
		return;
	if (!describe_constraint(st, constraint, column, &subject))
		return;
	name_subject(st, &subject, &constraint->conname);
	if (subject.kind == ORM_NAME_FOREIGN_KEY && orm_naming_fill)
		add_partition_names(st, constraint, &subject);
}

/* Does a constraint make an index? */
static bool
makes_index(const Constraint *constraint)
{
	return constraint->contype == CONSTR_PRIMARY || constraint->contype == CONSTR_UNIQUE;
}

/* A key among the constraints of a column, and what stands behind it. */
typedef struct ColumnKey
{
	Constraint *constraint;
	bool		deferrable;
	bool		initdeferred;
} ColumnKey;

/* The keys (ColumnKey *) among the constraints of a column, the primary key first. */
static List *
keys_of_column(const ColumnDef *column)
{
	List	   *keys = NIL;
	ColumnKey  *key = NULL;
	ListCell   *lc;

	foreach(lc, column->constraints)
	{
		Constraint *constraint = castNode(Constraint, lfirst(lc));

		switch (constraint->contype)
		{
			case CONSTR_PRIMARY:
			case CONSTR_UNIQUE:
				key = palloc0_object(ColumnKey);
				key->constraint = constraint;
				keys = constraint->contype == CONSTR_PRIMARY ? lcons(key, keys) : lappend(keys, key);
				break;
			case CONSTR_ATTR_DEFERRABLE:
				if (key)
					key->deferrable = true;
				break;
			case CONSTR_ATTR_DEFERRED:
				if (key)
					key->deferrable = key->initdeferred = true;
				break;
			case CONSTR_ATTR_NOT_DEFERRABLE:
			case CONSTR_ATTR_IMMEDIATE:
				break;
			default:
				key = NULL;		/* what follows is about this one */
		}
	}
	return keys;
}

/*
 * Does a key without a name get an index of its own?  Keys that are checked
 * alike become one: that of the first, under the name of one that is named.
 */
static bool
is_key_alone(List *keys, const Constraint *constraint)
{
	const ColumnKey *key = NULL;
	bool		comes_first = true;
	ListCell   *lc;

	foreach(lc, keys)
	{
		key = lfirst(lc);
		if (key->constraint == constraint)
			break;
	}
	foreach(lc, keys)
	{
		const ColumnKey *other = lfirst(lc);

		if (other == key)
			comes_first = false;
		else if (other->deferrable == key->deferrable &&
				 other->initdeferred == key->initdeferred &&
				 other->constraint->nulls_not_distinct == constraint->nulls_not_distinct &&
				 (comes_first || other->constraint->conname != NULL))
			return false;
	}
	return true;
}

/* Name the constraints of a column. */
static void
name_column_constraints(Statement *st, ColumnDef *column)
{
	List	   *keys = keys_of_column(column);
	ListCell   *lc;

	foreach(lc, column->constraints)
	{
		Constraint *constraint = castNode(Constraint, lfirst(lc));

		if (constraint->conname != NULL || !makes_index(constraint) ||
			is_key_alone(keys, constraint))
			name_constraint(st, constraint, column->colname);
	}
}

/* Note the names of the CHECKs of a table, which the new table inherits or copies. */
static void
add_inherited_names(Statement *st, const RangeVar *table)
{
	Oid			relid = orm_find_relation(table);
	ListCell   *lc;

	if (!OidIsValid(relid) || !orm_naming_fill)
		return;
	foreach(lc, orm_constraints_of(relid))
	{
		const OrmNamed *named = lfirst(lc);

		if (named->subject.kind == ORM_NAME_CHECK)
			st->names = lappend(st->names, (char *) named->name);
	}
}

/* CREATE TABLE, CREATE FOREIGN TABLE */
static void
name_new_table(Statement *st, CreateStmt *create)
{
	ListCell   *lc;

	if (!set_new_table(st, create))
		return;
	foreach(lc, create->tableElts)
		add_explicit_names(st, lfirst(lc));
	orm_names_to_come = st->names;
	foreach(lc, create->inhRelations)
		add_inherited_names(st, lfirst(lc));
	foreach(lc, create->tableElts)
	{
		TableLikeClause *like = lfirst(lc);

		if (IsA(like, TableLikeClause) && (like->options & CREATE_TABLE_LIKE_CONSTRAINTS))
			add_inherited_names(st, like->relation);
	}
	foreach(lc, create->tableElts)
	{
		Node	   *element = lfirst(lc);

		if (IsA(element, ColumnDef))
			name_column_constraints(st, (ColumnDef *) element);
		else if (IsA(element, Constraint))
			name_constraint(st, (Constraint *) element, NULL);
	}
}

/* Does ALTER TABLE make something that has no name? */
static bool
lacks_names(const AlterTableStmt *alter)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, alter->cmds)
	{
		Node	   *def = castNode(AlterTableCmd, lfirst(lc))->def;

		if (def && IsA(def, Constraint) && ((Constraint *) def)->conname == NULL)
			return true;
		if (def == NULL || !IsA(def, ColumnDef))
			continue;
		foreach(lc2, ((ColumnDef *) def)->constraints)
		{
			if (castNode(Constraint, lfirst(lc2))->conname == NULL)
				return true;
		}
	}
	return false;
}

/* ALTER TABLE, ALTER FOREIGN TABLE */
static void
name_altered_table(Statement *st, AlterTableStmt *alter)
{
	Oid			relid = orm_find_relation(alter->relation);
	ListCell   *lc;

	if (OidIsValid(relid) && orm_naming_fill && lacks_names(alter))
		relid = AlterTableLookupRelation(alter, AlterTableGetLockLevel(alter->cmds));
	if (!set_table(st, relid))
		return;
	st->vacated = orm_vacated_by(alter, relid);
	foreach(lc, alter->cmds)
		add_explicit_names(st, castNode(AlterTableCmd, lfirst(lc))->def);

	/* columns are added before constraints, wherever they stand */
	foreach(lc, alter->cmds)
	{
		AlterTableCmd *cmd = castNode(AlterTableCmd, lfirst(lc));
		ColumnDef  *column = (ColumnDef *) cmd->def;

		/* a column that exists means IF NOT EXISTS, or an error */
		if (cmd->subtype == AT_AddColumn && column && IsA(column, ColumnDef) &&
			(get_attnum(st->relid, column->colname) == InvalidAttrNumber ||
			 orm_column_is_dropped(st->vacated, column->colname)))
			name_column_constraints(st, column);
	}
	foreach(lc, alter->cmds)
	{
		AlterTableCmd *cmd = castNode(AlterTableCmd, lfirst(lc));

		if (cmd->subtype == AT_AddConstraint && cmd->def && IsA(cmd->def, Constraint))
			name_constraint(st, (Constraint *) cmd->def, NULL);
	}
}

/* CREATE INDEX, and what CREATE TABLE makes of its keys */
static void
name_index(Statement *st, IndexStmt *index, bool is_top_level)
{
	Oid			relid = orm_find_relation(index->relation);
	OrmNameSubject subject;

	if (index->concurrent && IsInTransactionBlock(is_top_level))
		return;					/* an error */
	if (OidIsValid(relid) && orm_naming_fill && index->idxname == NULL)
		relid = RangeVarGetRelidExtended(index->relation,
										 index->concurrent ? ShareUpdateExclusiveLock : ShareLock,
										 RVR_MISSING_OK, RangeVarCallbackOwnsRelation, NULL);
	if (!set_table(st, relid))
		return;
	if (index->idxname && OidIsValid(get_relname_relid(index->idxname, st->namespaceid)))
	{
		/* a duplicate, or IF NOT EXISTS */
		if (index->if_not_exists && st->checks_names)
		{
			subject = describe_index(st, index);
			orm_check_existing_index(&subject, index->idxname, st->relid);
		}
		return;
	}
	if (index->isconstraint || index->transformed)
		st->checks_names = false;
	subject = describe_index(st, index);
	name_subject(st, &subject, &index->idxname);
}

/*
 * Name what a statement makes.  Returns the statement to be run: a copy, if the
 * tree belongs to a cached plan.
 */
PlannedStmt *
orm_name_statement(PlannedStmt *pstmt, bool read_only_tree, ProcessUtilityContext context)
{
	Statement	st = {.checks_names = orm_naming_check != ORM_NAMING_CHECK_OFF};
	NodeTag		tag = nodeTag(pstmt->utilityStmt);

	if ((!orm_naming_fill && !st.checks_names) || orm_naming_is_off())
		return pstmt;

	if (read_only_tree)
		pstmt = copyObject(pstmt);
	if (context == PROCESS_UTILITY_SUBCOMMAND)
		st.names = list_copy(orm_names_to_come);
	if (tag == T_IndexStmt)
		name_index(&st, (IndexStmt *) pstmt->utilityStmt, context == PROCESS_UTILITY_TOPLEVEL);
	else if (tag == T_AlterTableStmt)
	{
		/* what LIKE copies has been named by somebody else */
		if (context == PROCESS_UTILITY_SUBCOMMAND)
			st.checks_names = false;
		name_altered_table(&st, (AlterTableStmt *) pstmt->utilityStmt);
	}
	else
	{
		st.names = NIL;
		name_new_table(&st, (CreateStmt *) pstmt->utilityStmt);
	}
	return pstmt;
}
