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

/* So many generations are looked at. */
#define MAX_GENERATIONS 16

/* A search for the call that brings back what is missing. */
typedef struct RemedySearch
{
	OrmRestoreCall *call;
	const char *constraint;		/* by which it is missing */
	OrmRestoreProblem *found;	/* NULL if it is not known */
} RemedySearch;

/* A parent that is missing when the rows of a preview come back, and is deleted. */
static OrmRestoreProblem *
missing_parent(OrmRestore *restore, const char *constraint)
{
	int			level = orm_pin_settings();
	OrmRestoreProblem *result = NULL;
	ListCell   *lc;

	foreach(lc, orm_find_missing_parents(restore))
	{
		OrmRestoreProblem *problem = lfirst(lc);

		if (problem->remedy && result == NULL &&
			(constraint == NULL || strcmp(problem->constraint, constraint) == 0))
			result = problem;
	}
	AtEOXact_GUC(true, level);
	orm_end_restore(restore);
	return result;
}

/* Preview the restore, and see what is missing. */
static bool
find_parent(void *arg)
{
	RemedySearch *search = arg;

	search->found = missing_parent(orm_preview_call(search->call), search->constraint);
	return true;
}

/* Preview the restore of the parent that was found, and see what is missing there. */
static bool
find_grandparent(void *arg)
{
	RemedySearch *search = arg;
	OrmRestoreProblem *grandparent =
	missing_parent(orm_preview_rows(search->found->parent, search->found->parent_condition), NULL);

	if (grandparent)
		search->found = grandparent;
	return grandparent != NULL;
}

/*
 * The call to make first, NULL if it is not known.  A parent was deleted along
 * with its own parent, as a rule; then it is that one to begin with.
 */
static const char *
find_remedy(OrmRestoreCall *call, const char *constraint)
{
	RemedySearch search = {.call = call,.constraint = constraint};
	ErrorData  *error;

	if (!orm_try(find_parent, &search, &error) || search.found == NULL)
		return NULL;
	for (int i = 0; i < MAX_GENERATIONS; i++)
	{
		if (!orm_try(find_grandparent, &search, &error))
			break;
	}
	return search.found->remedy;
}

/*
 * Add a hint to the error by which a restore has failed, whose subtransaction
 * is rolled back.
 */
void
orm_add_restore_hint(OrmRestoreCall *call, ErrorData *error)
{
	const char *remedy;

	if (error->hint != NULL)
		return;
	if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
		error->sqlerrcode == ERRCODE_EXCLUSION_VIOLATION)
		error->hint = psprintf("SELECT * FROM %s;", call->preview);
	else if (error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION)
	{
		remedy = find_remedy(call, error->constraint_name);
		error->hint = psprintf("SELECT * FROM %s;", remedy ? remedy : call->preview);
	}
}
