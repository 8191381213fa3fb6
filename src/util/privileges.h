/*-------------------------------------------------------------------------
 *
 * privileges.h
 *		What the user may do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_PRIVILEGES_H
#define ORM_PRIVILEGES_H

#include "postgres.h"

#include "access/attnum.h"
#include "nodes/parsenodes.h"

extern bool orm_has_column_privilege(Oid relid, AttrNumber attno, AclMode mode);
extern Oid	orm_table_owner(Oid relid);

#endif							/* ORM_PRIVILEGES_H */
