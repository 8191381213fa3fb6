/*-------------------------------------------------------------------------
 *
 * spi.h
 *		SQL that the extension runs on its user's behalf.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_SPI_H
#define ORM_SPI_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

extern List *orm_tables_to_treat(Oid relid, LOCKMODE lockmode);
extern int	orm_pin_settings(void);
extern void orm_set_for_level(const char *name, const char *value);
extern void orm_begin_ddl(void);
extern List *orm_end_ddl(void);
extern void orm_run(const char *command);
extern void orm_run_ddl(const char *format,...) pg_attribute_printf(1, 2);
extern bool orm_try(bool (*work) (void *arg), void *arg, ErrorData **error);
extern bool orm_query_has_rows(const char *query);

#endif							/* ORM_SPI_H */
