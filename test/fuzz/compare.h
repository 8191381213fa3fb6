/*-------------------------------------------------------------------------
 *
 * compare.h
 *		Has the comparisons of a source told to libFuzzer; see engine.c.
 *
 * Included before each source of the extension.  The server's own comparisons
 * go unnoticed; they are many, and of catalogs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_COMPARE_H
#define FUZZ_COMPARE_H

#include <string.h>

extern int	fuzz_strcmp(const char *a, const char *b);
extern int	fuzz_strncmp(const char *a, const char *b, size_t n);

#define strcmp fuzz_strcmp
#define strncmp fuzz_strncmp

#endif							/* FUZZ_COMPARE_H */
