/*-------------------------------------------------------------------------
 *
 * status.h
 *		Is the library on here, and does it fit the extension's objects?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_STATUS_H
#define ORM_STATUS_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "utils/rel.h"

extern void orm_status_init(void);
extern bool orm_planned_without_us(void);
extern CmdType orm_command_of_portal(Relation rel);
extern void orm_check_versions(void);
extern void orm_check_trigger_function(const CreateTrigStmt *stmt);
extern void orm_check_setting(const VariableSetStmt *stmt);
extern void orm_warn_unless_preloaded(const char *table);

#endif							/* ORM_STATUS_H */
