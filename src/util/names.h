/*-------------------------------------------------------------------------
 *
 * names.h
 *		Names of things: quoting, look-ups and the identity of our functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_NAMES_H
#define ORM_NAMES_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "storage/lockdefs.h"
#include "utils/array.h"
#include "utils/rel.h"

#define ORM_SCHEMA "orm_ext"
#define ORM_LIBRARY "orm_ext"

extern const char *orm_relation_name(Relation rel);
extern const char *orm_relid_name(Oid relid);
extern void orm_check_relation(Oid relid);
extern Relation orm_open_relation(Oid relid, LOCKMODE lockmode);
extern const char *orm_library_symbol(Oid funcid);
extern bool orm_is_library_function(Oid funcid, const char *symbol);
extern Oid	orm_find_relation(const RangeVar *name);
extern bool orm_is_library_name(const char *name);
extern bool orm_library_list_contains(const char *list);
extern List *orm_split_library_list(const char *list);
extern bool orm_contains_name(List *names, const char *name);
extern const char *orm_common_name(List *a, List *b);
extern ArrayType *orm_text_array(List *strings);
extern List *orm_text_list(ArrayType *array);
extern char *orm_array_setting(ArrayType *array, const char *name);
extern Oid	orm_primary_key_index(Relation rel);
extern List *orm_primary_key_columns(Relation rel);
extern char *orm_operator_name(Oid operator);
extern bool orm_schema_exists(void);
extern Oid	orm_extension_table(const char *name);
extern Oid	orm_function(const char *name, int nargs, const Oid *argtypes);

#endif							/* ORM_NAMES_H */
