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

extern int	orm_deleted_rows;
extern int	orm_delete_mode;

extern void orm_guc_init(void);

#endif							/* ORM_GUC_H */
