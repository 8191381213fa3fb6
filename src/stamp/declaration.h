/*-------------------------------------------------------------------------
 *
 * declaration.h
 *		What declaration.c knows of arguments, for declaration_check.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_DECLARATION_H
#define ORM_DECLARATION_H

#include "postgres.h"

#include "stamp.h"

/* Which columns a role can have, and what to suggest where there is none. */
typedef struct OrmStampRoleInfo
{
	const char *name;
	OrmStampFunction functions; /* that take it as an option */
	bool		(*accepts) (Oid type);
	const char *types;
	const char *definition;
} OrmStampRoleInfo;

/* Options that are one word of several, and the field that each sets. */
typedef struct OrmStampOption
{
	const char *name;
	OrmStampFunction functions;
	size_t		field;
	const char *values[4];
} OrmStampOption;

/* What can be wrong with one argument. */
typedef enum OrmArgumentFault
{
	ORM_ARGUMENT_FINE,
	ORM_ARGUMENT_UNKNOWN,
	ORM_ARGUMENT_BAD_VALUE,
	ORM_ARGUMENT_REPEATED
} OrmArgumentFault;

extern const OrmStampRoleInfo orm_stamp_roles[ORM_STAMP_ROLES];
extern const OrmStampOption orm_stamp_options[];
extern const int orm_stamp_option_count;

#define ORM_IGNORE "ignore"

extern const char *orm_stamp_function_name(OrmStampFunction function);
extern int	orm_leading_columns(OrmStampFunction function);
extern const char *orm_option_value(const char *argument, const char *key);
extern OrmArgumentFault orm_read_stamp_argument(OrmStampDeclaration *declaration,
												OrmStampFunction function,
												int number, const char *argument,
												const OrmStampOption **option);

#endif							/* ORM_DECLARATION_H */
