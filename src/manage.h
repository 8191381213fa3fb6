/*-------------------------------------------------------------------------
 *
 * manage.h
 *		All policies of a table at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_MANAGE_H
#define ORM_MANAGE_H

extern void orm_manage_new_tables(void);

#endif							/* ORM_MANAGE_H */
