/*-------------------------------------------------------------------------
 *
 * row_key.h
 *		The primary key of one row, as an argument of a function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_ROW_KEY_H
#define ORM_ROW_KEY_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

typedef struct OrmRowKey
{
	Relation	rel;
	List	   *columns;		/* numbers of the columns of the primary key */
	StringInfoData condition;	/* over the table as t, with the key as $1 */
	StringInfoData lookup;		/* the same with literals, for a hint */
	char	   *literal;		/* the argument again, for a hint */
	Oid			type;			/* of $1: jsonb or text */
	Datum		value;
} OrmRowKey;

extern List *orm_object_keys(Jsonb *object);
extern void orm_read_row_key(OrmRowKey *key, Relation rel, FunctionCallInfo fcinfo, int argument);

#endif							/* ORM_ROW_KEY_H */
