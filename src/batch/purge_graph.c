/*-------------------------------------------------------------------------
 *
 * purge_graph.c
 *		The tables that a purge goes through, and the foreign keys between them.
 *
 * Whatever refers to a row that is to go is looked at, by all foreign keys but
 * those with SET NULL and SET DEFAULT: those do not need the row.  It does not
 * matter here whether soft delete heeds a foreign key (foreign_keys=off), since
 * the server does when a row really goes.
 *
 * The graph is made of the tables that hold rows, since each partition may be
 * under soft delete in its own way, and places are places in one of them.  It
 * is made once and looked at for each batch, under a lock of all of its tables:
 * a new foreign key to one of them, or a change of a declaration, has the
 * server send an invalidation, upon which it is made anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"

#include "compat.h"
#include "purge.h"
#include "util/names.h"

/* A foreign key of the catalog. */
typedef struct ForeignKey
{
	Oid			referencing;
	Oid			referenced;
	OrmPurgeWay way;			/* without its ends */
} ForeignKey;

/* Read a row of pg_constraint; NULL where it is no foreign key that keeps rows. */
static ForeignKey *
read_foreign_key(HeapTuple tuple)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	ForeignKey *key;

	if (form->contype != CONSTRAINT_FOREIGN || OidIsValid(form->conparentid) ||
		form->confdeltype == FKCONSTR_ACTION_SETNULL || form->confdeltype == FKCONSTR_ACTION_SETDEFAULT ||
		!orm_is_plain_foreign_key(form))
		return NULL;
	key = palloc0_object(ForeignKey);
	key->referencing = form->conrelid;
	key->referenced = form->confrelid;
	key->way.is_cascade = form->confdeltype == FKCONSTR_ACTION_CASCADE;
	key->way.label = psprintf("%s.%s", orm_relid_name(form->conrelid), quote_identifier(NameStr(form->conname)));
	DeconstructFkConstraintRow(tuple, &key->way.nkeys, key->way.referencing_columns, key->way.referenced_columns,
							   key->way.operators, NULL, NULL, NULL, NULL);
	return key;
}

/* All of them (ForeignKey *): there is no index by the referenced table. */
static List *
read_foreign_keys(void)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	List	   *keys = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ForeignKey *key = read_foreign_key(tuple);

		if (key)
			keys = lappend(keys, key);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return keys;
}

/* The place of a leaf in the list, at whose end it is put where it is not there. */
static int
leaf_number(OrmPurgeGraph *graph, Oid relid, Oid named)
{
	OrmPurgeLeaf *leaf;
	ListCell   *lc;

	foreach(lc, graph->leaves)
	{
		if (((OrmPurgeLeaf *) lfirst(lc))->relid == relid)
			return foreach_current_index(lc);
	}
	leaf = palloc0_object(OrmPurgeLeaf);
	leaf->relid = relid;
	leaf->named = named;
	leaf->is_managed = orm_soft_delete_declared(relid, &leaf->marker);
	orm_policy_watch(relid);
	orm_policy_watch(named);
	graph->leaves = lappend(graph->leaves, leaf);
	return list_length(graph->leaves) - 1;
}

/* Does a foreign key that refers to a table refer to rows of a leaf? */
static bool
refers_to_leaf(Oid referenced, Oid leaf)
{
	return referenced == leaf ||
		(get_rel_relispartition(leaf) && list_member_oid(get_partition_ancestors(leaf), referenced));
}

/* A column of a table, in another one of its partitions or parents. */
static AttrNumber
same_column(Oid relid, AttrNumber attno, Oid other)
{
	return relid == other ? attno : get_attnum(other, get_attname(relid, attno, false));
}

/* Add the ways from a leaf to the rows of a table that refer to it. */
static void
add_ways(OrmPurgeGraph *graph, int referenced, const ForeignKey *key)
{
	Oid			leaf = ((OrmPurgeLeaf *) list_nth(graph->leaves, referenced))->relid;
	List	   *members = list_make1_oid(key->referencing);
	ListCell   *lc;

	/* a foreign key holds for partitions, and not for other children */
	if (get_rel_relkind(key->referencing) == RELKIND_PARTITIONED_TABLE)
		members = find_all_inheritors(key->referencing, AccessShareLock, NULL);
	foreach(lc, members)
	{
		OrmPurgeWay *way;

		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_RELATION)
			continue;
		way = palloc_object(OrmPurgeWay);
		*way = key->way;
		way->referenced = referenced;
		way->referencing = leaf_number(graph, lfirst_oid(lc), key->referencing);
		for (int i = 0; i < way->nkeys; i++)
		{
			way->referenced_columns[i] = same_column(key->referenced, way->referenced_columns[i], leaf);
			way->referencing_columns[i] = same_column(key->referencing, way->referencing_columns[i], lfirst_oid(lc));
		}
		graph->ways = lappend(graph->ways, way);
	}
}

/* Can rows of a leaf go at all? */
static bool
may_go(const OrmPurgeGraph *graph, const OrmPurgeLeaf *leaf)
{
	return leaf->is_managed || graph->statement->cascade;
}

/* Take the locks that the statements of a batch will take. */
static void
lock_leaves(const OrmPurgeGraph *graph)
{
	ListCell   *lc;

	foreach(lc, graph->leaves)
	{
		const OrmPurgeLeaf *leaf = lfirst(lc);

		LockRelationOid(leaf->relid, may_go(graph, leaf) && !RecoveryInProgress() ? RowExclusiveLock : AccessShareLock);
	}
}

/* Find all leaves and ways; the list of leaves grows meanwhile. */
static void
fill_graph(OrmPurgeGraph *graph, const OrmBatchJob *job)
{
	List	   *keys = read_foreign_keys();
	ListCell   *lc;

	foreach(lc, job->members)
	{
		if (get_rel_name(lfirst_oid(lc)) != NULL)
			(void) leaf_number(graph, lfirst_oid(lc), job->statement.relid);
	}
	for (int i = 0; i < list_length(graph->leaves); i++)
	{
		const OrmPurgeLeaf *leaf = list_nth(graph->leaves, i);

		if (!may_go(graph, leaf))
			continue;
		foreach(lc, keys)
		{
			const ForeignKey *key = lfirst(lc);

			if (refers_to_leaf(key->referenced, leaf->relid))
				add_ways(graph, i, key);
		}
	}
}

/* Note what follows from the ways for the leaves. */
static void
note_ways(OrmPurgeGraph *graph, const OrmBatchJob *job)
{
	ListCell   *lc;

	foreach(lc, graph->leaves)
	{
		OrmPurgeLeaf *leaf = lfirst(lc);

		/*
		 * the rows of an unmanaged table may have come to refer to another
		 * one
		 */
		leaf->is_locked = !leaf->is_managed;
		leaf->ways_to = list_member_oid(job->members, leaf->relid) ? 1 : 0;
	}
	foreach(lc, graph->ways)
	{
		const OrmPurgeWay *way = lfirst(lc);

		((OrmPurgeLeaf *) list_nth(graph->leaves, way->referencing))->ways_to++;
		if (way->is_cascade)
			((OrmPurgeLeaf *) list_nth(graph->leaves, way->referenced))->is_locked = true;
	}
}

/* Make the graph of a job in a memory context of its own, and lock its tables. */
OrmPurgeGraph *
orm_purge_open(const OrmBatchJob *job, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "orm_ext purge graph", ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	OrmPurgeGraph *graph;

	/*
	 * what comes with the locks has it begun again, until nothing comes any
	 * more
	 */
	for (;;)
	{
		graph = palloc0_object(OrmPurgeGraph);
		graph->statement = &job->statement;
		graph->context = context;
		graph->generation = orm_policy_generation();
		fill_graph(graph, job);
		note_ways(graph, job);
		if (orm_purge_is_current(graph))
			break;
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(oldcontext);
	return graph;
}

/* Lock the tables of a graph; is it as the catalogs have it then? */
bool
orm_purge_is_current(const OrmPurgeGraph *graph)
{
	lock_leaves(graph);
	return graph->generation == orm_policy_generation();
}

/* Free what a graph has. */
void
orm_purge_close(OrmPurgeGraph *graph)
{
	ListCell   *lc;

	foreach(lc, graph->ways)
	{
		OrmPurgeWay *way = lfirst(lc);

		if (way->plan)
			SPI_freeplan(way->plan);
	}
	foreach(lc, graph->leaves)
	{
		OrmPurgeLeaf *leaf = lfirst(lc);

		if (leaf->plan)
			SPI_freeplan(leaf->plan);
	}
	if (graph->circle_plan)
		SPI_freeplan(graph->circle_plan);
	MemoryContextDelete(graph->context);
}

/* Refuse a table whose rows the user may not see, or may not delete.  Errors: 42501. */
static void
check_leaf(const OrmPurgeGraph *graph, const OrmPurgeLeaf *leaf)
{
	AclMode		rights = ACL_SELECT | (may_go(graph, leaf) ? ACL_DELETE : 0);

	if (pg_class_aclmask(leaf->named, GetUserId(), rights, ACLMASK_ALL) != rights)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(leaf->named)), get_rel_name(leaf->named));
	if (graph->ways != NIL &&
		(check_enable_rls(leaf->named, InvalidOid, true) == RLS_ENABLED ||
		 check_enable_rls(leaf->relid, InvalidOid, true) == RLS_ENABLED))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of table \"%s\" are not all to be seen", get_rel_name(leaf->named)),
				 errdetail("Row-level security applies to role \"%s\", and rows that it hides may refer to those that are to go.",
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("Purge as the owner of the table, or as a role with BYPASSRLS.")));
}

/* Check the rights on all tables of a graph.  Errors: 42501. */
void
orm_purge_check_rights(const OrmPurgeGraph *graph)
{
	ListCell   *lc;

	foreach(lc, graph->leaves)
		check_leaf(graph, lfirst(lc));
}
