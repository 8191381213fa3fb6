/*-------------------------------------------------------------------------
 *
 * planted.c
 *		Faults that test/fuzz/run --self-test has to find.
 *
 * Each stands behind a word that is compared byte by byte, which takes a fuzzer
 * that sees how far it came, and behind one that is compared as a whole, which
 * takes one that sees what it is compared with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Call itself for ever. */
static int
recurse(volatile int depth)
{
	return recurse(depth + 1) + depth;
}

/* Make the fault of a number. */
static void
make_fault(int fault, volatile int number)
{
	char		buffer[16];

	switch (fault)
	{
		case '1':
			elog(ERROR, "planted: internal error");
		case '2':
			((volatile char *) buffer)[number + 16] = 'x';	/* AddressSanitizer */
			break;
		case '3':
			number += PG_INT32_MAX;
			number += PG_INT32_MAX; /* UndefinedBehaviorSanitizer */
			break;
		case '4':
			ereport(FATAL, (errmsg("planted: end of the session")));
		case '5':
			MemoryContextAlloc(TopMemoryContext, (Size) 300 * 1024 * 1024);
			break;
		case '6':
			recurse(0);
			break;
		case '7':
			*(volatile int *) NULL = 0;
			break;
	}
}

PG_FUNCTION_INFO_V1(orm_fuzz_planted);

/* fuzz.planted(input, fault): makes the fault if the input is the right one. */
Datum
orm_fuzz_planted(PG_FUNCTION_ARGS)
{
	const char *input = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *fault = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (input[0] == 'o' && input[1] == 'r' && input[2] == 'm' && strcmp(input + 3, "_ext") == 0)
	{
		if (*fault == '8')
			PG_RETURN_BOOL(false);
		make_fault(*fault, strlen(input) - strlen("orm_ext"));
	}
	PG_RETURN_BOOL(true);
}
