#include "postgres.h"
#include "restore_call.h"
void
orm_add_restore_hint(OrmRestoreCall *call, ErrorData *error)
{
	if (error->hint == NULL && (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
		error->sqlerrcode == ERRCODE_EXCLUSION_VIOLATION))
		error->hint = psprintf("SELECT * FROM %s;", call->preview);
}
