/*-------------------------------------------------------------------------
 *
 * manage.h
 *		All policies of a table at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_MANAGE_H
#define ORM_MANAGE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "nodes/plannodes.h"

extern List *orm_manage_table(Oid relid, List *columns, List *options);

/* auto_manage.c: unique keys among live rows from the start */
extern PlannedStmt *orm_prepare_new_keys(PlannedStmt *pstmt, List **commands);
extern void orm_create_new_keys(List *commands);

#endif							/* ORM_MANAGE_H */
