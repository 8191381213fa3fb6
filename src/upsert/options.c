/*-------------------------------------------------------------------------
 *
 * options.c
 *		The words in which callers of bulk upsert say what they want.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "upsert.h"

/* A word and what it stands for. */
typedef struct UpsertWord
{
	const char *word;
	int			value;
} UpsertWord;

static const UpsertWord on_conflict_words[] = {
	{"update", ORM_CONFLICT_UPDATE},
	{"nothing", ORM_CONFLICT_NOTHING},
	{NULL, 0}
};

static const UpsertWord on_duplicate_words[] = {
	{"last", ORM_DUPLICATE_LAST},
	{"first", ORM_DUPLICATE_FIRST},
	{"error", ORM_DUPLICATE_ERROR},
	{NULL, 0}
};

static const UpsertWord on_deleted_words[] = {
	{"insert", ORM_DELETED_INSERT},
	{"revive", ORM_DELETED_REVIVE},
	{"skip", ORM_DELETED_SKIP},
	{"error", ORM_DELETED_ERROR},
	{NULL, 0}
};

/* Complain of a word that is none of an option.  Error: 22023. */
static void
report_unknown_word(const char *option, const char *value, const UpsertWord *words)
{
	StringInfoData list;

	initStringInfo(&list);
	for (const UpsertWord *word = words; word->word != NULL; word++)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", word->word);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no value of %s", value ? value : "null", option),
			 errhint("Values are: %s.", list.data)));
}

/* What a word stands for. */
static int
read_word(const char *option, const char *value, const UpsertWord *words)
{
	for (const UpsertWord *word = words; value != NULL && word->word != NULL; word++)
	{
		if (strcmp(word->word, value) == 0)
			return word->value;
	}
	report_unknown_word(option, value, words);
	return 0;
}

/* The values of on_conflict, on_duplicate and on_deleted.  Error: 22023. */
OrmOnConflict
orm_read_on_conflict(const char *value)
{
	return read_word("on_conflict", value, on_conflict_words);
}

OrmOnDuplicate
orm_read_on_duplicate(const char *value)
{
	return read_word("on_duplicate", value, on_duplicate_words);
}

OrmOnDeleted
orm_read_on_deleted(const char *value)
{
	return read_word("on_deleted", value, on_deleted_words);
}

/* What holds where a caller says nothing. */
void
orm_upsert_default_options(OrmUpsertOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->update_all = true;
	options->on_conflict = ORM_CONFLICT_UPDATE;
	options->on_duplicate = ORM_DUPLICATE_LAST;
	options->on_deleted = ORM_DELETED_INSERT;
}

/* What became of a row, in the word that callers are told. */
const char *
orm_upsert_action_name(OrmUpsertAction action)
{
	static const char *const names[ORM_UPSERT_ACTIONS] = {
		[ORM_ROW_INSERTED] = "inserted",
		[ORM_ROW_UPDATED] = "updated",
		[ORM_ROW_UNCHANGED] = "unchanged",
		[ORM_ROW_REVIVED] = "revived",
		[ORM_ROW_SKIPPED] = "skipped",
		[ORM_ROW_STALE] = "stale",
		[ORM_ROW_DUPLICATE] = "duplicate",
	};

	return names[action];
}
