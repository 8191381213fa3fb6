/*-------------------------------------------------------------------------
 *
 * engine.c
 *		Comparisons of strings that libFuzzer learns from: it tries in inputs what
 *		they have been compared with.
 *
 * Linked with libFuzzer into a library that knows nothing of the server, since
 * it is loaded into the programs that the sanitizers start, too.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

extern void __sanitizer_weak_hook_strcmp(void *pc, const char *a, const char *b, int result);
extern void __sanitizer_weak_hook_strncmp(void *pc, const char *a, const char *b, size_t n, int result);
extern int	fuzz_strcmp(const char *a, const char *b);
extern int	fuzz_strncmp(const char *a, const char *b, size_t n);

/* strcmp(), told to libFuzzer. */
int
fuzz_strcmp(const char *a, const char *b)
{
	int			result = strcmp(a, b);

	__sanitizer_weak_hook_strcmp(__builtin_return_address(0), a, b, result);
	return result;
}

/* strncmp(), told to libFuzzer. */
int
fuzz_strncmp(const char *a, const char *b, size_t n)
{
	int			result = strncmp(a, b, n);

	__sanitizer_weak_hook_strncmp(__builtin_return_address(0), a, b, n, result);
	return result;
}
