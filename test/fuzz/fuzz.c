/*-------------------------------------------------------------------------
 *
 * fuzz.c
 *		libFuzzer inside a backend.
 *
 * test/fuzz/run builds this library, has a server in single-user mode preload
 * it, and names a target in the environment.  Each input is handed, as text, to
 * the procedure run(text) in the schema of that name, in a transaction of its
 * own, which is rolled back.  An error that a user may see is an ordinary end;
 * an internal one, a failed ASSERT of the target, a crash, a report of a
 * sanitizer, a session that ends and memory that grows are findings.
 *
 * libFuzzer is in a library of its own, engine.so, that is loaded before all
 * others; so the extension's, which is built with -fsanitize=fuzzer-no-link,
 * finds the counters there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

/* PostgreSQL 18 knows by itself that a portal is run once. */
#if PG_VERSION_NUM >= 180000
#define RunPortal(portal, dest) PortalRun(portal, FETCH_ALL, true, dest, dest, NULL)
#else
#define RunPortal(portal, dest) PortalRun(portal, FETCH_ALL, true, true, dest, dest, NULL)
#endif

/* After so many inputs, rows that were rolled back are vacuumed away. */
#define INPUTS_BETWEEN_VACUUMS 5000

/* What caches may take; more is a leak. */
#define MAX_GROWTH ((Size) 256 * 1024 * 1024)

/* Arguments that libFuzzer is given, at most. */
#define MAX_ARGUMENTS 64

extern PGDLLEXPORT void _PG_init(void);
extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*run_input) (const uint8 *data, size_t size));

static const char *target;
static MemoryContext input_context;
static Size memory_at_start;
static uint64 inputs;

/*
 * An input as text: a byte that belongs to no valid character stands for the
 * character that it is in Latin 1, a zero for "~".
 */
static char *
input_text(const uint8 *data, size_t size)
{
	char	   *text = palloc(2 * size + 1);
	char	   *end = text;

	for (size_t i = 0; i < size;)
	{
		int			length = pg_encoding_verifymbchar(PG_UTF8, (const char *) data + i, size - i);

		if (data[i] == '\0')
		{
			*end++ = '~';
			i++;
		}
		else if (length > 0)
		{
			memcpy(end, data + i, length);
			end += length;
			i += length;
		}
		else
		{
			unicode_to_utf8(data[i++], (unsigned char *) end);
			end += 2;
		}
	}
	*end = '\0';
	return text;
}

/* Run one statement as a client's would be. */
static void
run_statement(const char *query)
{
	RawStmt    *statement = linitial_node(RawStmt, pg_parse_query(query));
	CommandTag	tag = CreateCommandTag(statement->stmt);
	List	   *queries;
	Portal		portal;

	StartTransactionCommand();
	MemoryContextSwitchTo(MessageContext);
	PushActiveSnapshot(GetTransactionSnapshot());
	queries = pg_analyze_and_rewrite_fixedparams(statement, query, NULL, 0, NULL);
	queries = pg_plan_queries(queries, query, CURSOR_OPT_PARALLEL_OK, NULL);
	PopActiveSnapshot();

	portal = CreatePortal("", true, true);
	portal->visible = false;
	PortalDefineQuery(portal, NULL, query, tag, queries, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	RunPortal(portal, None_Receiver);
	PortalDrop(portal, false);
}

/* Run a statement that must succeed, and commit. */
static void
run_and_commit(const char *query)
{
	run_statement(query);
	CommitTransactionCommand();
	MemoryContextReset(MessageContext);
}

/* Stop at a finding; libFuzzer keeps the input. */
static void
stop_at_finding(const char *what)
{
	fprintf(stderr, "FINDING: %s\n", what);
	abort();
}

/* Is an error one that no input may lead to? */
static bool
is_internal(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTERNAL_ERROR ||
		error->sqlerrcode == ERRCODE_ASSERT_FAILURE;
}

/* Judge the error that an input led to. */
static void
judge_error(const ErrorData *error)
{
	if (getenv("ORM_EXT_FUZZ_VERBOSE"))
		fprintf(stderr, "%s: %s\n", unpack_sql_state(error->sqlerrcode), error->message);
	if (is_internal(error))
		stop_at_finding(psprintf("%s: %s\n%s", unpack_sql_state(error->sqlerrcode), error->message,
								 error->context ? error->context : ""));
}

/* End what an input has begun, as PostgresMain() does after an error. */
static void
roll_back(void)
{
	AbortCurrentTransaction();
	PortalErrorCleanup();
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(MessageContext);
	MemoryContextReset(input_context);
}

/* Vacuum what was rolled back, as autovacuum does in a server with processes of its own. */
static void
clean_up(void)
{
	/* when VACUUM waits, it watches the postmaster, of which there is none */
	IsUnderPostmaster = false;
	run_and_commit("RESET SESSION AUTHORIZATION");
	run_and_commit("VACUUM");
	run_and_commit("SET SESSION AUTHORIZATION fuzz_user");
	IsUnderPostmaster = true;
}

/* Complain of memory that is not given back. */
static void
check_memory(void)
{
	Size		now = MemoryContextMemAllocated(TopMemoryContext, true);

	if (memory_at_start == 0)
		memory_at_start = now;
	if (now > memory_at_start + MAX_GROWTH)
	{
		MemoryContextStats(TopMemoryContext);
		stop_at_finding("memory grows");
	}
}

/* Run one input. */
static int
run_input(const uint8 *data, size_t size)
{
	MemoryContextSwitchTo(input_context);
	PG_TRY();
	{
		run_statement(psprintf("CALL %s.run(%s)", target, quote_literal_cstr(input_text(data, size))));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(input_context);
		judge_error(CopyErrorData());
		FlushErrorState();
	}
	PG_END_TRY();
	roll_back();
	if (++inputs % INPUTS_BETWEEN_VACUUMS == 0)
		clean_up();
	check_memory();
	return 0;
}

/* Hand the arguments, one a line, to libFuzzer; it ends the process when it is done. */
static void
run_fuzzer(char *arguments)
{
	static char *argv[MAX_ARGUMENTS + 1] = {"fuzz"};
	char	  **arguments_left = argv;
	int			argc = 1;

	for (char *line = strtok(arguments, "\n"); line && argc < MAX_ARGUMENTS; line = strtok(NULL, "\n"))
		argv[argc++] = line;

	/* libFuzzer's handlers take only places that are free */
	pqsignal(SIGALRM, SIG_DFL);
	pqsignal(SIGINT, SIG_DFL);
	pqsignal(SIGTERM, SIG_DFL);
	exit(LLVMFuzzerRunDriver(&argc, &arguments_left, run_input));
}

/* Shut down as the server in single-user mode that this is. */
static void
be_alone(int code, Datum arg)
{
	IsUnderPostmaster = false;
}

/* Load the extension and run the fuzzer instead of the session. */
void
_PG_init(void)
{
	char	   *arguments = getenv("ORM_EXT_FUZZ_ARGUMENTS");

	/*
	 * for the functions below the library is loaded anew, since this does not
	 * return
	 */
	if (target != NULL || arguments == NULL)
		return;
	target = getenv("ORM_EXT_FUZZ_TARGET");
	load_file("$libdir/orm_ext", false);

	/* we do not return to the transaction in which libraries are loaded */
	CommitTransactionCommand();
	SetProcessingMode(NormalProcessing);

	/* single-user mode fires no event triggers, which declarations need */
	IsUnderPostmaster = true;
	before_shmem_exit(be_alone, (Datum) 0);
	MessageContext = AllocSetContextCreate(TopMemoryContext, "MessageContext", ALLOCSET_DEFAULT_SIZES);
	input_context = AllocSetContextCreate(TopMemoryContext, "input", ALLOCSET_DEFAULT_SIZES);
	run_and_commit(psprintf("SET search_path = %s, fuzz", target));
	run_and_commit("SET SESSION AUTHORIZATION fuzz_user");
	run_fuzzer(arguments);
}

PG_FUNCTION_INFO_V1(orm_fuzz_write_file);

/* fuzz.write_file(bytea): writes the file fuzz.input in the data folder, for COPY. */
Datum
orm_fuzz_write_file(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(0);
	FILE	   *file = AllocateFile("fuzz.input", PG_BINARY_W);

	if (file == NULL ||
		fwrite(VARDATA_ANY(data), 1, VARSIZE_ANY_EXHDR(data), file) != VARSIZE_ANY_EXHDR(data) ||
		FreeFile(file) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", "fuzz.input")));
	PG_RETURN_VOID();
}
