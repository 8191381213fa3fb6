/*-------------------------------------------------------------------------
 *
 * given_text.h
 *		Parts of statements, as arguments of functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_GIVEN_TEXT_H
#define ORM_GIVEN_TEXT_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "parser/parser.h"

extern List *orm_parse_given(const char *prefix, const char *string, RawParseMode mode);
extern Node *orm_parse_condition(const char *argument, const char *condition,
								 const char *example);

#endif							/* ORM_GIVEN_TEXT_H */
