/*-------------------------------------------------------------------------
 *
 * orm_ext.c
 *		Entry point of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "fmgr.h"
#include "guc.h"
#include "hooks.h"
#include "policy.h"
#include "stamp/stamp.h"
#include "status.h"
#include "upsert/upsert.h"

ORM_MODULE_MAGIC("orm_ext", ORM_EXT_VERSION);

PGDLLEXPORT void _PG_init(void);

/* Set the library up: what hooks use comes before the hooks. */
void
_PG_init(void)
{
	orm_guc_init();
	orm_policy_init();
	orm_stamp_init();
	orm_change_id_init();
	orm_change_id_base_init();
	orm_touch_init();
	orm_upsert_init();
	orm_status_init();
	orm_hooks_init();
}
