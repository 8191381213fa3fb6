/*-------------------------------------------------------------------------
 *
 * restore_call.h
 *		What a caller wants to have restored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_RESTORE_CALL_H
#define ORM_RESTORE_CALL_H

#include "postgres.h"

#include "fmgr.h"
#include "restore.h"
#include "util/row_key.h"
#include "utils/elog.h"
#include "utils/rel.h"

typedef struct OrmRestoreCall
{
	Relation	rel;			/* NULL: whatever tables */
	OrmRowKey	key;			/* of the row, if it is one row */
	bool		by_key;
	bool		by_stamp;
	TimestampTz stamp;
	List	   *seeds;			/* OrmSeeds * */
	List	   *refused;		/* tables (OIDs) that the caller has no rights
								 * on */
	const char *preview;		/* the call of the preview, for hints */
	List	   *tables;			/* OrmRestoredTable *, when it is done */
} OrmRestoreCall;

/* restore_call.c */
extern void orm_begin_call_of_rows(OrmRestoreCall *call, Oid relid, const char *condition);
extern void orm_begin_call_by_key(OrmRestoreCall *call, FunctionCallInfo fcinfo);
extern void orm_begin_call_by_condition(OrmRestoreCall *call, FunctionCallInfo fcinfo);
extern void orm_begin_call_by_stamp(OrmRestoreCall *call, FunctionCallInfo fcinfo);
extern void orm_find_rows_of_call(OrmRestoreCall *call, OrmRestore *restore, OrmSeeds *seeds);
extern void orm_check_rest_of_call(OrmRestoreCall *call, OrmRestore *restore);
extern void orm_end_call(OrmRestoreCall *call);

/* restore_preview.c */
extern OrmRestore *orm_preview_call(OrmRestoreCall *call);
extern OrmRestore *orm_preview_rows(Oid relid, const char *condition);

/* restore_hint.c */
extern void orm_add_restore_hint(OrmRestoreCall *call, ErrorData *error);

#endif							/* ORM_RESTORE_CALL_H */
