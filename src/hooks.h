/*-------------------------------------------------------------------------
 *
 * hooks.h
 *		The server's hooks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_HOOKS_H
#define ORM_HOOKS_H

extern void orm_hooks_init(void);

#endif							/* ORM_HOOKS_H */
