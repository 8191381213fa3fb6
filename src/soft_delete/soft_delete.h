/*-------------------------------------------------------------------------
 *
 * soft_delete.h
 *		What the files of soft delete offer each other and hooks.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_SOFT_DELETE_H
#define ORM_SOFT_DELETE_H

#include "postgres.h"

#include "executor/execdesc.h"
#include "guc.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "policy.h"
#include "utils/selfuncs.h"

/* What becomes of one query on its way through the planner. */
typedef struct OrmPlan
{
	bool		filter;			/* filter its relations? */
	OrmDeletedRows rows;		/* ... to show which rows */
	bool		was_delete;		/* the statement itself was a DELETE */
	List	   *inval_items;	/* functions inlined on the way */
	bool		depends_on_role;
} OrmPlan;

/* plan.c: before and after the planner */
extern void orm_plan_prepare(OrmPlan *plan, Query *parse,
							 const char *query_string, ParamListInfo params);
extern void orm_plan_finish(const OrmPlan *plan, PlannedStmt *stmt);

/* filter.c: the live-row restriction on a base relation */
typedef struct OrmFilter
{
	bool		active;
	OrmDeletedRows rows;
} OrmFilter;

extern OrmFilter orm_filter;
extern void orm_filter_relation(PlannerInfo *root, RelOptInfo *rel);

/* statistics.c: what the planner is to think of a marker that nobody has analyzed */
extern bool orm_guess_statistics(const RangeTblEntry *rte, AttrNumber attno,
								 VariableStatData *column);

/* inline.c: set-returning SQL functions, opened up before the planner */
extern bool orm_inline_function(RangeTblEntry *rte, PlannerInfo *root);

/* marker.c: expressions over the marker column */
extern Oid	orm_marker_type(const OrmMarker *marker);
extern Expr *orm_live_condition(const OrmMarker *marker, Index varno);
extern Expr *orm_deleted_condition(const OrmMarker *marker, Index varno);
extern Expr *orm_live_value(const OrmMarker *marker);
extern Expr *orm_deletion_value(const OrmMarker *marker);
extern char *orm_marker_name(Oid relid, OrmMarker *marker);
extern char *orm_deleted_rows_sql(Oid relid, const char *alias);
extern char *orm_live_rows_sql(Oid relid, const char *alias);
extern char *orm_deleted_condition_sql(const OrmMarker *marker, const char *column);
extern char *orm_live_condition_sql(const OrmMarker *marker, const char *column);
extern const char *orm_live_value_sql(const OrmMarker *marker);
extern Expr *orm_scalar_subselect(Expr *expr);

/* managed_tables.c */
extern List *orm_managed_tables(void);

/* deleted_by.c: who has deleted a row */
extern AttrNumber orm_deleted_by_column(Oid relid, bool *nullable);
extern Expr *orm_deleted_by_value(Oid relid, AttrNumber attno);

/* mention.c: which references does a query take in its own hands? */
extern void orm_note_mentions(Query *query);
extern List *orm_barrier_view_conditions(Query *query);
extern void orm_set_mentioned(RangeTblEntry *rte, AttrNumber attno);
extern bool orm_is_mentioned(const RangeTblEntry *rte, AttrNumber attno);

/* rewrite.c: DELETE, MERGE and ON CONFLICT */
extern void orm_rewrite_query(Query *query);

/* returning.c: RETURNING shows the row as it was */
extern void orm_rewrite_delete_returning(Query *query, const OrmMarker *marker);
extern void orm_rewrite_merge_returning(Query *query, const OrmMarker *marker);

/* old_row.c: ... whatever triggers make of it */
extern void orm_set_soft_delete_entry(TargetEntry *tle, Oid relid);
extern bool orm_is_soft_delete_list(List *targetlist);
extern bool orm_is_soft_delete(const ModifyTable *node);
extern void orm_return_old_rows(QueryDesc *query_desc);

/* stamp.c: one value for all rows that a statement deletes */
extern TimestampTz orm_deletion_stamp_of_statement(MemoryContext query);
extern void orm_set_stamp(MemoryContext query, CommandId command, TimestampTz stamp);
extern TimestampTz orm_stamp_of_deletion(MemoryContext query, const OrmMarker *marker,
										 Datum value);
extern Datum orm_deletion_datum(const OrmMarker *marker, TimestampTz stamp);

/* visibility.c: who sees deleted rows */
typedef enum OrmUtilityScope
{
	ORM_SCOPE_ORDINARY,
	ORM_SCOPE_ALTER_TABLE,
	ORM_SCOPE_REFRESH,
	ORM_SCOPE_SET_CONSTRAINTS,
	ORM_SCOPE_COPY_FROM
} OrmUtilityScope;

#define ORM_SCOPES (ORM_SCOPE_COPY_FROM + 1)

extern OrmDeletedRows orm_visible_rows(void);
extern bool orm_deletes_for_good(void);
extern bool orm_set_cascading(bool is_cascade);
extern bool orm_is_referential_query(const char *query_string);
extern bool orm_is_in_scope(OrmUtilityScope scope);
extern void orm_enter_scope(OrmUtilityScope scope);
extern void orm_leave_scope(OrmUtilityScope scope);

/* constraints.c: a soft DELETE is not stopped by CHECK constraints */
extern void orm_spare_constraints(QueryDesc *query_desc);

/* row_lock.c: a soft DELETE locks as a real one does */
extern void orm_lock_like_delete(QueryDesc *query_desc);

/* referential.c: the server's own foreign-key queries */
extern bool orm_checking_deletion;
extern void orm_rewrite_referential_query(Query *query);

/* reference_check.c: checks of references that have not changed */
extern bool orm_may_check_at_once(void);
extern void orm_spare_checks_of(EState *estate, ResultRelInfo *rri);
extern void orm_spare_reference_checks(QueryDesc *query_desc);

/* key_commands.c: unique constraints that have become indexes */
extern PlannedStmt *orm_redirect_key_command(PlannedStmt *pstmt);

/* truncate.c */
extern void orm_check_truncate(const TruncateStmt *stmt);

#endif							/* ORM_SOFT_DELETE_H */
