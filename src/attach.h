/*-------------------------------------------------------------------------
 *
 * attach.h
 *		Partitions that are attached.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_ATTACH_H
#define ORM_ATTACH_H

#include "nodes/parsenodes.h"

extern void orm_make_way_for_clones(AlterTableStmt *stmt);

#endif							/* ORM_ATTACH_H */
