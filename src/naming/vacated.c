/*-------------------------------------------------------------------------
 *
 * vacated.c
 *		Names that the same ALTER TABLE takes away.
 *
 * ALTER TABLE drops before it adds, wherever the DROP stands, and PostgreSQL
 * chooses names after that.  So the name of a constraint that goes, itself or
 * with a column, is free, as in
 *
 *		ALTER TABLE t DROP CONSTRAINT t_a_fkey, ADD FOREIGN KEY (a) REFERENCES u
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "naming.h"
#include "util/names.h"

struct OrmVacated
{
	Oid			relid;
	List	   *constraints;	/* names (char *) */
	List	   *columns;		/* names (char *) */
};

/* What an ALTER TABLE drops, NULL if nothing. */
OrmVacated *
orm_vacated_by(const AlterTableStmt *alter, Oid relid)
{
	OrmVacated *vacated = palloc0_object(OrmVacated);
	ListCell   *lc;

	foreach(lc, alter->cmds)
	{
		AlterTableCmd *cmd = castNode(AlterTableCmd, lfirst(lc));

		if (cmd->subtype == AT_DropConstraint)
			vacated->constraints = lappend(vacated->constraints, cmd->name);
		else if (cmd->subtype == AT_DropColumn)
			vacated->columns = lappend(vacated->columns, cmd->name);
	}
	if (vacated->constraints == NIL && vacated->columns == NIL)
		return NULL;
	vacated->relid = relid;
	return vacated;
}

/* Is a column dropped? */
bool
orm_column_is_dropped(const OrmVacated *vacated, const char *column)
{
	return vacated && orm_contains_name(vacated->columns, column);
}

/* Is any of the numbered columns of the table dropped? */
static bool
has_dropped_column(const OrmVacated *vacated, const int16 *numbers, int count)
{
	for (int i = 0; i < count; i++)
	{
		char	   *column = get_attname(vacated->relid, numbers[i], true);

		if (column && orm_contains_name(vacated->columns, column))
			return true;
	}
	return false;
}

/* Does a constraint go away? */
static bool
constraint_goes(const OrmVacated *vacated, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	Datum		value;
	bool		isnull;
	ArrayType  *columns;

	if (form->conrelid != vacated->relid)
		return false;
	if (orm_contains_name(vacated->constraints, NameStr(form->conname)))
		return true;
	value = heap_getattr(tuple, Anum_pg_constraint_conkey, desc, &isnull);
	if (isnull)
		return false;
	columns = DatumGetArrayTypeP(value);
	return has_dropped_column(vacated, (int16 *) ARR_DATA_PTR(columns), ARR_DIMS(columns)[0]);
}

/* Do all constraints of a name in a schema go away? */
static bool
constraints_go(const OrmVacated *vacated, const char *name, Oid namespaceid)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		all = true;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(namespaceid));
	scan = systable_beginscan(rel, ConstraintNameNspIndexId, true, NULL, 2, keys);
	while (all && HeapTupleIsValid(tuple = systable_getnext(scan)))
		all = constraint_goes(vacated, tuple, RelationGetDescr(rel));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return all;
}

/* Does a relation go away, being an index of what is dropped? */
static bool
relation_goes(const OrmVacated *vacated, const char *name, Oid namespaceid)
{
	Oid			relid = get_relname_relid(name, namespaceid);
	HeapTuple	tuple;
	Form_pg_index form;
	bool		goes;

	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	goes = form->indrelid == vacated->relid &&
		(orm_contains_name(vacated->constraints, name) ||
		 has_dropped_column(vacated, form->indkey.values, form->indkey.dim1));
	ReleaseSysCache(tuple);
	return goes;
}

/* Will a name that is taken be free when what is dropped is gone? */
bool
orm_name_is_vacated(const OrmVacated *vacated, OrmNameKind kind, const char *name, Oid namespaceid)
{
	if (orm_has_index(kind) && orm_relation_name_exists(name, namespaceid) &&
		!relation_goes(vacated, name, namespaceid))
		return false;
	return kind == ORM_NAME_INDEX || constraints_go(vacated, name, namespaceid);
}
