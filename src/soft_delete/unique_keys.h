/*-------------------------------------------------------------------------
 *
 * unique_keys.h
 *		Unique keys: among live rows, or among all rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_UNIQUE_KEYS_H
#define ORM_UNIQUE_KEYS_H

#include "postgres.h"

#include "soft_delete.h"

typedef enum OrmUniqueKeys
{
	ORM_UNIQUE_KEYS_LIVE,
	ORM_UNIQUE_KEYS_ALL
} OrmUniqueKeys;

extern void orm_convert_unique_keys(Oid relid, const OrmMarker *marker,
									OrmUniqueKeys kind, const char *hint);
extern void orm_convert_new_keys(Oid relid, const OrmMarker *marker);
extern Oid	orm_find_live_key(Oid relid, const OrmMarker *marker, List *columns);
extern void orm_convert_live_key(Oid relid, Oid key, const char *reason, const char *hint);
extern char *orm_live_predicate(Oid relid, const OrmMarker *marker);
extern bool orm_is_key_of_live_rows(Oid oid, const OrmMarker *marker);

#endif							/* ORM_UNIQUE_KEYS_H */
