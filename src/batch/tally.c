/*-------------------------------------------------------------------------
 *
 * tally.c
 *		How many rows something has happened to, under a label.
 *
 * In the row of a job they are an object in JSON with an object for each kind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/json.h"

#include "batch.h"
#include "compat.h"

/* Copy a list of tallies. */
List *
orm_batch_copy_tallies(List *tallies)
{
	List	   *copy = NIL;
	ListCell   *lc;

	foreach(lc, tallies)
	{
		const OrmBatchTally *tally = lfirst(lc);

		copy = orm_batch_count(copy, tally->kind, tally->label, tally->count);
	}
	return copy;
}

/* Count some more rows; the list is changed, and returned. */
List *
orm_batch_count(List *tallies, const char *kind, const char *label, int64 count)
{
	OrmBatchTally *tally;
	ListCell   *lc;

	foreach(lc, tallies)
	{
		tally = lfirst(lc);
		if (strcmp(tally->kind, kind) == 0 && strcmp(tally->label, label) == 0)
		{
			tally->count += count;
			return tallies;
		}
	}
	tally = palloc_object(OrmBatchTally);
	tally->kind = pstrdup(kind);
	tally->label = pstrdup(label);
	tally->count = count;
	return lappend(tallies, tally);
}

/* All rows of a kind. */
int64
orm_batch_total(List *tallies, const char *kind)
{
	int64		result = 0;
	ListCell   *lc;

	foreach(lc, tallies)
	{
		const OrmBatchTally *tally = lfirst(lc);

		if (strcmp(tally->kind, kind) == 0)
			result += tally->count;
	}
	return result;
}

/* Append the tallies of a kind as an object. */
static void
append_kind(StringInfo json, List *tallies, const char *kind)
{
	bool		is_first = true;
	ListCell   *lc;

	appendStringInfo(json, "\"%s\": {", kind);
	foreach(lc, tallies)
	{
		const OrmBatchTally *tally = lfirst(lc);

		if (strcmp(tally->kind, kind) != 0)
			continue;
		appendStringInfoString(json, is_first ? "" : ", ");
		escape_json(json, tally->label);
		appendStringInfo(json, ": " INT64_FORMAT, tally->count);
		is_first = false;
	}
	appendStringInfoChar(json, '}');
}

/* The tallies as JSON. */
char *
orm_batch_report(List *tallies)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_kind(&json, tallies, "purged");
	appendStringInfoString(&json, ", ");
	append_kind(&json, tallies, "kept");
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* The tallies of texts "kind count label". */
List *
orm_batch_read_tallies(List *texts)
{
	List	   *tallies = NIL;
	ListCell   *lc;

	foreach(lc, texts)
	{
		char	   *kind = pstrdup(lfirst(lc));
		char	   *count = strchr(kind, ' ');
		char	   *label;

		if (count == NULL)
			elog(ERROR, "invalid tally \"%s\"", kind);
		*count++ = '\0';
		label = strchr(count, ' ');
		if (label == NULL)
			elog(ERROR, "invalid tally \"%s\"", count);
		*label++ = '\0';
		tallies = orm_batch_count(tallies, kind, label, strtoll(count, NULL, 10));
	}
	return tallies;
}
