/*-------------------------------------------------------------------------
 *
 * privileges.c
 *		What the user may do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "privileges.h"

/* Has the user a privilege on a column, by itself or with the whole table? */
bool
orm_has_column_privilege(Oid relid, AttrNumber attno, AclMode mode)
{
	return pg_class_aclcheck(relid, GetUserId(), mode) == ACLCHECK_OK ||
		pg_attribute_aclcheck(relid, attno, GetUserId(), mode) == ACLCHECK_OK;
}
