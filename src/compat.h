/*-------------------------------------------------------------------------
 *
 * compat.h
 *		Differences between the supported PostgreSQL majors.
 *
 * This is the only place of PG_VERSION_NUM.  A wrapper has the meaning of the
 * newest major; each names the upstream change that made it necessary.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_COMPAT_H
#define ORM_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/tupdesc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"
#include "utils/rel.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "orm_ext supports PostgreSQL 15, 16, 17 and 18"
#endif

/* The module's name and version in the magic block (18: commit 9324c8c58). */
#if PG_VERSION_NUM >= 180000
#define ORM_MODULE_MAGIC(name_, version_) \
	PG_MODULE_MAGIC_EXT(.name = (name_), .version = (version_))
#else
#define ORM_MODULE_MAGIC(name_, version_) PG_MODULE_MAGIC
#endif

/*
 * Column permissions and the set of updated columns moved from the range
 * table entry to RTEPermissionInfo (16: commit a61b1f748).
 */
static inline void
orm_add_updated_column(Query *query, RangeTblEntry *rte, AttrNumber attno)
{
	int			member = attno - FirstLowInvalidHeapAttributeNumber;

#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *perminfo = getRTEPermissionInfo(query->rteperminfos, rte);

	perminfo->updatedCols = bms_add_member(perminfo->updatedCols, member);
#else
	rte->updatedCols = bms_add_member(rte->updatedCols, member);
#endif
}

/*
 * Let an entry that nothing refers to ask for the UPDATE privilege on the
 * columns that a statement assigns as it was written, in place of the target's
 * own entry, whose set of updated columns is about to grow.
 */
static inline void
orm_keep_update_permission(Query *query, RangeTblEntry *target)
{
	RangeTblEntry *rte = copyObject(target);

#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *perminfo = getRTEPermissionInfo(query->rteperminfos, target);
	RTEPermissionInfo *copy = copyObject(perminfo);

	if ((perminfo->requiredPerms & ACL_UPDATE) == 0)
		return;
	perminfo->requiredPerms &= ~ACL_UPDATE;
	query->rteperminfos = lappend(query->rteperminfos, copy);
	rte->perminfoindex = list_length(query->rteperminfos);
#else
	if ((target->requiredPerms & ACL_UPDATE) == 0)
		return;
	target->requiredPerms &= ~ACL_UPDATE;
#endif
	rte->inh = false;
	rte->inFromCl = false;
	rte->securityQuals = NIL;
	query->rtable = lappend(query->rtable, rte);
}

/* A NOT NULL constraint can be NOT VALID (18: commit a379061a2). */
static inline bool
orm_column_is_not_null(TupleDesc desc, AttrNumber attno)
{
#if PG_VERSION_NUM >= 180000
	return TupleDescCompactAttr(desc, attno - 1)->attnullability == ATTNULLABLE_VALID;
#else
	return TupleDescAttr(desc, attno - 1)->attnotnull;
#endif
}

/*
 * MERGE keeps its ON condition apart from the join tree (17: commit
 * 0294df2f1), knows NOT MATCHED BY SOURCE and has RETURNING.
 */
#if PG_VERSION_NUM >= 170000
#define orm_merge_condition(query) ((query)->mergeJoinCondition)
#define orm_is_by_source(action) \
	((action)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
#define ORM_HAVE_MERGE_RETURNING 1
#else
#define orm_merge_condition(query) ((Node *) NULL)
#define orm_is_by_source(action) ((void) (action), false)
#endif

/* The actions of a MERGE on rows of a table that exist (17: commit 0294df2f1). */
static inline List *
orm_merge_actions_on_rows(const ResultRelInfo *rri)
{
#if PG_VERSION_NUM >= 170000
	return list_concat_copy(rri->ri_MergeActions[MERGE_WHEN_MATCHED],
							rri->ri_MergeActions[MERGE_WHEN_NOT_MATCHED_BY_SOURCE]);
#else
	return rri->ri_matchedMergeAction;
#endif
}

/* RETURNING can name the old and the new row (18: commit 80feb727c). */
#if PG_VERSION_NUM >= 180000
#define ORM_HAVE_RETURNING_OLD 1
#endif

/*
 * A foreign key to a partitioned table has a row in pg_constraint for each
 * partition as well.  Their names are the next that are free, which later
 * constraints of the statement cannot have; from 18 on they end in _1, _2.
 */
#if PG_VERSION_NUM < 180000
#define ORM_PARTITIONS_TAKE_NAMES 1
#endif

/*
 * The columns that an UPDATE assigns, for each of the tables that are left
 * after pruning (18: commit cbc127917).
 */
static inline List *
orm_update_colnos(ModifyTableState *mtstate)
{
#if PG_VERSION_NUM >= 180000
	return mtstate->mt_updateColnosLists;
#else
	return ((ModifyTable *) mtstate->ps.plan)->updateColnosLists;
#endif
}

/*
 * Where the executor keeps the CHECK constraints of a table (18: commit
 * 83ea6c540), and the condition of one as it evaluates it; NULL for one that is
 * NOT ENFORCED (18: commit ca87c415e).
 */
#if PG_VERSION_NUM >= 180000
#define orm_check_states(rri) ((rri)->ri_CheckConstraintExprs)
#else
#define orm_check_states(rri) ((rri)->ri_ConstraintExprs)
#endif

static inline Expr *
orm_check_condition(Relation rel, int number)
{
	const ConstrCheck *check = &RelationGetDescr(rel)->constr->check[number];

#if PG_VERSION_NUM >= 180000
	if (!check->ccenforced)
		return NULL;
	return (Expr *) expand_generated_columns_in_expr(stringToNode(check->ccbin), rel, 1);
#else
	return stringToNode(check->ccbin);
#endif
}

/* get_guc_variables() tells how many there are (16: commit 3057465ac). */
static inline struct config_generic **
orm_guc_variables(int *count)
{
#if PG_VERSION_NUM >= 160000
	return get_guc_variables(count);
#else
	*count = GetNumConfigOptions();
	return get_guc_variables();
#endif
}

/* Unique constraints WITHOUT OVERLAPS came with 18 (commit fc0438b4e). */
static inline bool
orm_without_overlaps(const Constraint *constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->without_overlaps;
#else
	return false;
#endif
}

/* Ownership checks became generic (16: commit afbfc0298). */
static inline bool
orm_owns_relation(Oid relid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, GetUserId());
#else
	return pg_class_ownercheck(relid, GetUserId());
#endif
}

/* The same for checks of privileges (16: commit c727f511b). */
static inline bool
orm_may_create_in(Oid namespaceid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, namespaceid, GetUserId(), ACL_CREATE) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(namespaceid, GetUserId(), ACL_CREATE) == ACLCHECK_OK;
#endif
}

/*
 * COPY FROM can have a marker for the default of a column (16: commit
 * 9f8377f7a), for which it keeps expressions and flags by column.
 */
#if PG_VERSION_NUM >= 160000
#define orm_copy_has_default_marker(copy) ((copy)->opts.default_print != NULL)
#define orm_copy_is_default(copy, attno) ((copy)->defaults[(attno) - 1])
#define orm_copy_forget_default(copy, column, expression) \
	((copy)->defexprs[column] = (copy)->defexprs[column] ? (expression) : NULL)
#else
#define orm_copy_has_default_marker(copy) false
#define orm_copy_is_default(copy, attno) false
#define orm_copy_forget_default(copy, column, expression) ((void) (expression))
#endif

/*
 * COPY FROM can pass over rows that cannot be converted (17: commit
 * 9e2d87011), up to a limit and silently (18: commits 4ac2a9bec, a39297ec0).
 */
#if PG_VERSION_NUM >= 170000
#define ORM_HAVE_COPY_ON_ERROR 1
#endif
#if PG_VERSION_NUM >= 180000
#define orm_copy_reject_limit(copy) ((copy)->opts.reject_limit)
#define orm_copy_is_silent(copy) ((copy)->opts.log_verbosity < COPY_LOG_VERBOSITY_DEFAULT)
#else
#define orm_copy_reject_limit(copy) 0
#define orm_copy_is_silent(copy) false
#endif

/*
 * Give an executor state a range table of one relation, with what a statement
 * would do to its columns, after checking that the user may (16: commit
 * a61b1f748; the set of relations that are not pruned is 18's: cbc127917).
 * Column sets are offset by FirstLowInvalidHeapAttributeNumber.
 */
static inline void
orm_exec_range_table(EState *estate, Relation rel, AclMode permissions,
					 Bitmapset *selected, Bitmapset *inserted, Bitmapset *updated)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(rel);
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
#if PG_VERSION_NUM >= 160000
	{
		List	   *perminfos = NIL;
		RTEPermissionInfo *perminfo = addRTEPermissionInfo(&perminfos, rte);

		perminfo->requiredPerms = permissions;
		perminfo->selectedCols = selected;
		perminfo->insertedCols = inserted;
		perminfo->updatedCols = updated;
		ExecCheckPermissions(list_make1(rte), perminfos, true);
#if PG_VERSION_NUM >= 180000
		ExecInitRangeTable(estate, list_make1(rte), perminfos, bms_make_singleton(1));
#else
		ExecInitRangeTable(estate, list_make1(rte), perminfos);
#endif
	}
#else
	rte->requiredPerms = permissions;
	rte->selectedCols = selected;
	rte->insertedCols = inserted;
	rte->updatedCols = updated;
	ExecCheckRTPerms(list_make1(rte), true);
	ExecInitRangeTable(estate, list_make1(rte));
#endif
}

/* Generated columns can be virtual (18: commit 83ea6c540). */
#if PG_VERSION_NUM >= 180000
#define orm_has_virtual_columns(desc) ((desc)->constr != NULL && (desc)->constr->has_generated_virtual)
#else
#define orm_has_virtual_columns(desc) ((void) (desc), false)
#endif

/* ExecInitStoredGenerated() prepares virtual columns too (18: commit 83ea6c540). */
#if PG_VERSION_NUM >= 180000
#define orm_init_generated(result, estate, command) ExecInitGenerated(result, estate, command)
#else
#define orm_init_generated(result, estate, command) ExecInitStoredGenerated(result, estate, command)
#endif

/* EvalPlanQualInit() wants to know the result relations (16: commit 8c9a8fd4c). */
#if PG_VERSION_NUM >= 160000
#define orm_eval_plan_qual_init(epqstate, estate) \
	EvalPlanQualInit(epqstate, estate, NULL, NIL, -1, NIL)
#else
#define orm_eval_plan_qual_init(epqstate, estate) \
	EvalPlanQualInit(epqstate, estate, NULL, NIL, -1)
#endif

/* ExecCheckIndexConstraints() can pass over a row itself (18: commit 9758174e2). */
static inline bool
orm_check_index_constraints(ResultRelInfo *result, TupleTableSlot *slot, EState *estate,
							ItemPointer conflict, List *arbiters)
{
#if PG_VERSION_NUM >= 180000
	ItemPointerData none;

	ItemPointerSetInvalid(&none);
	return ExecCheckIndexConstraints(result, slot, estate, conflict, &none, arbiters);
#else
	return ExecCheckIndexConstraints(result, slot, estate, conflict, arbiters);
#endif
}

/*
 * ExecInsertIndexTuples() can leave out all but summarizing indexes (16: commit
 * 19d8e2308).
 */
#if PG_VERSION_NUM >= 160000
#define orm_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false)
#else
#define orm_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL)
#endif

/*
 * An update tells of summarizing indexes apart from others that need an entry
 * (16: commit 19d8e2308).
 */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes OrmUpdateIndexes;
#else
typedef bool OrmUpdateIndexes;
#endif

/* Add a row that an update has written to the indexes that it names. */
static inline List *
orm_update_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate,
						OrmUpdateIndexes indexes)
{
#if PG_VERSION_NUM >= 160000
	if (result->ri_NumIndices == 0 || indexes == TU_None)
		return NIL;
	return ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL,
								 indexes == TU_Summarizing);
#else
	if (result->ri_NumIndices == 0 || !indexes)
		return NIL;
	return ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL);
#endif
}

/* ExecutorRun() lost its flag for statements that run once (18: commit 3eea7a0c9). */
static inline void
orm_executor_run(QueryDesc *query_desc)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query_desc, ForwardScanDirection, 0);
#else
	ExecutorRun(query_desc, ForwardScanDirection, 0, true);
#endif
}

/* RETURNING of a statement as written became a node (18: commit 80feb727c). */
static inline bool
orm_update_has_returning(const UpdateStmt *stmt)
{
#if PG_VERSION_NUM >= 180000
	return stmt->returningClause != NULL;
#else
	return stmt->returningList != NIL;
#endif
}

/* Scans of an index count what they do for EXPLAIN (18: commit 0fbceae84). */
static inline IndexScanDesc
orm_index_beginscan(Relation rel, Relation index, Snapshot snapshot, int nkeys, int norderbys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(rel, index, snapshot, NULL, nkeys, norderbys);
#else
	return index_beginscan(rel, index, snapshot, nkeys, norderbys);
#endif
}

/* Number of the file that holds a relation (16: commit b0a55e432). */
static inline Oid
orm_relfilenumber(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	return rel->rd_locator.relNumber;
#else
	return rel->rd_node.relNode;
#endif
}

/* Is a foreign key temporal?  18 has such with PERIOD (89f908a6d0ac). */
static inline bool
orm_is_temporal(Form_pg_constraint form)
{
#if PG_VERSION_NUM >= 180000
	return form->conperiod;
#else
	(void) form;
	return false;
#endif
}

/*
 * Is a foreign key one that is enforced, and compares by equality?  18 has NOT
 * ENFORCED ones (eec0040c4bcd).
 */
static inline bool
orm_is_plain_foreign_key(Form_pg_constraint form)
{
#if PG_VERSION_NUM >= 180000
	return form->conenforced && !orm_is_temporal(form);
#else
	(void) form;
	return true;
#endif
}

/* Has ALTER TABLE added a column by this?  Recursion is no kind of its own in 16 (840ff5f451cd). */
static inline bool
orm_adds_column(const AlterTableCmd *cmd)
{
#if PG_VERSION_NUM < 160000
	if (cmd->subtype == AT_AddColumnRecurse)
		return true;
#endif
	return cmd->subtype == AT_AddColumn;
}

#endif							/* ORM_COMPAT_H */
