/*-------------------------------------------------------------------------
 *
 * restore_hint.c
 *		What to do about a restore that has failed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "restore_call.h"
#include "util/spi.h"

/* A search for the call that brings a missing parent back. */
typedef struct RemedySearch
{
	OrmRestoreCall *call;
	const char *constraint;		/* by which it is missing */
	const char *remedy;			/* the call, NULL if there is none */
} RemedySearch;

/* Preview the restore, and see what is missing. */
static bool
find_remedy(void *arg)
{
	RemedySearch *search = arg;
	OrmRestore *restore = orm_preview_call(search->call);
	int			level = orm_pin_settings();
	ListCell   *lc;

	foreach(lc, orm_find_missing_parents(restore))
	{
		OrmRestoreProblem *problem = lfirst(lc);

		if (search->remedy == NULL && problem->remedy != NULL &&
			(search->constraint == NULL || strcmp(problem->constraint, search->constraint) == 0))
			search->remedy = problem->remedy;
	}
	AtEOXact_GUC(true, level);
	orm_end_restore(restore);
	return true;
}

/*
 * Add a hint to the error by which a restore has failed, whose subtransaction
 * is rolled back.
 */
void
orm_add_restore_hint(OrmRestoreCall *call, ErrorData *error)
{
	RemedySearch search = {.call = call,.constraint = error->constraint_name};
	ErrorData  *other;

	if (error->hint != NULL)
		return;
	if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
		error->sqlerrcode == ERRCODE_EXCLUSION_VIOLATION)
		error->hint = psprintf("SELECT * FROM %s;", call->preview);
	else if (error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION)
	{
		if (orm_try(find_remedy, &search, &other) && search.remedy != NULL)
			error->hint = psprintf("SELECT * FROM %s;", search.remedy);
		else
			error->hint = psprintf("SELECT * FROM %s;", call->preview);
	}
}
