/*-------------------------------------------------------------------------
 *
 * guc.h
 *		Settings of orm_ext.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_GUC_H
#define ORM_GUC_H

#include "postgres.h"

typedef enum OrmDeletedRows
{
	ORM_DELETED_ROWS_HIDE,
	ORM_DELETED_ROWS_SHOW,
	ORM_DELETED_ROWS_ONLY
} OrmDeletedRows;

enum OrmDeleteMode
{
	ORM_DELETE_MODE_SOFT,
	ORM_DELETE_MODE_HARD
};

/* What an upsert does about a row that exists. */
typedef enum OrmOnConflict
{
	ORM_CONFLICT_OFF,			/* orm_ext.copy_on_conflict: no upsert */
	ORM_CONFLICT_UPDATE,
	ORM_CONFLICT_NOTHING
} OrmOnConflict;

enum OrmNamingCheck
{
	ORM_NAMING_CHECK_OFF,
	ORM_NAMING_CHECK_WARN,
	ORM_NAMING_CHECK_ERROR
};

enum OrmVersionGuard
{
	ORM_VERSION_GUARD_OFF,
	ORM_VERSION_GUARD_WARN,
	ORM_VERSION_GUARD_ERROR
};

extern char *orm_actor;
extern uint64 orm_actor_generation; /* changes with orm_actor */
extern char *orm_auto_manage;
extern bool orm_bypass_stamps;
extern char *orm_copy_conflict_columns;
extern int	orm_copy_on_conflict;
extern int	orm_deleted_rows;
extern int	orm_delete_mode;
extern char *orm_expected_version;
extern int	orm_expected_version_depth; /* of triggers, where it was set */
extern int	orm_naming_check;
extern bool orm_naming_fill;
extern bool orm_naming_follow;
extern char *orm_stale_sqlstate;
extern int	orm_version_guard;

extern void orm_guc_init(void);
extern bool orm_is_restore(void);

#endif							/* ORM_GUC_H */
