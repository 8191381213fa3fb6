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

extern List *orm_manage_table(Oid relid, List *columns, List *options);

#endif							/* ORM_MANAGE_H */
