/*-------------------------------------------------------------------------
 *
 * shorten.c
 *		Names that are longer than PostgreSQL allows.
 *
 * Two rules are known.  SQLAlchemy cuts the name and appends a digest of the
 * whole; PostgreSQL's makeObjectName() cuts the longest of what comes from the
 * table and keeps the rest.  Unlike SQLAlchemy, which counts characters, both
 * count bytes here, as the server does, and cut between characters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/md5.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "naming.h"

#define MAX_NAME (NAMEDATALEN - 1)
#define MD5_DIGITS (MD5_DIGEST_LENGTH * 2)
#define DIGEST_DIGITS 4			/* that SQLAlchemy takes of them */

/* Bytes that SQLAlchemy keeps of a long name, an underscore and a digest of it following. */
#define KEPT_BYTES (MAX_NAME - 8)

/* A string cut to so many bytes at most, between characters. */
static char *
cut(const char *string, int bytes)
{
	return pnstrdup(string, pg_mbcliplen(string, strlen(string), bytes));
}

/*
 * The last digits of the MD5 of a name in UTF-8; NULL where the server's
 * cryptographic library refuses to compute it.  In a database that does not
 * know its encoding, it is that of the bytes.
 */
static const char *
digest(const char *name)
{
	char	   *hex = palloc(MD5_DIGITS + 1);
	const char *utf8 = name;
	const char *problem;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		utf8 = pg_server_to_any(name, strlen(name), PG_UTF8);
	if (!pg_md5_hash(utf8, strlen(utf8), hex, &problem))
		return NULL;
	return hex + MD5_DIGITS - DIGEST_DIGITS;
}

/* Number of the part to take a byte from: the longest variable one, the last of these. */
static int
longest_part(const OrmNamePart *parts, const int *lengths, int count)
{
	int			longest = -1;

	for (int i = 0; i < count; i++)
	{
		if (parts[i].is_variable && lengths[i] > 0 &&
			(longest < 0 || lengths[i] >= lengths[longest]))
			longest = i;
	}
	return longest;
}

/* PostgreSQL's rule. */
static char *
shorten_parts(const OrmNamePart *parts, int count, const char *digits)
{
	int		   *lengths = palloc_array(int, count);
	int			total = strlen(digits);
	int			longest;
	StringInfoData name;

	for (int i = 0; i < count; i++)
		total += lengths[i] = strlen(parts[i].string);
	while (total > MAX_NAME && (longest = longest_part(parts, lengths, count)) >= 0)
	{
		lengths[longest]--;
		total--;
	}

	initStringInfo(&name);
	for (int i = 0; i < count; i++)
		appendStringInfoString(&name, parts[i].is_variable ? cut(parts[i].string, lengths[i]) : parts[i].string);
	return psprintf("%s%s", cut(name.data, MAX_NAME - strlen(digits)), digits);
}

/*
 * Put a name together, with digits behind it that may be empty.
 */
char *
orm_join_name(const OrmNamePart *parts, int count, OrmNameOverflow overflow, const char *digits)
{
	StringInfoData name;
	const char *tail;

	initStringInfo(&name);
	for (int i = 0; i < count; i++)
		appendStringInfoString(&name, parts[i].string);

	if (name.len + strlen(digits) <= MAX_NAME)
		return psprintf("%s%s", name.data, digits);
	if (overflow == ORM_NAME_OVERFLOW_POSTGRES)
		return shorten_parts(parts, count, digits);
	if (name.len <= MAX_NAME)
		return psprintf("%s%s", cut(name.data, MAX_NAME - strlen(digits)), digits);
	tail = digest(name.data);
	if (tail == NULL)
		return shorten_parts(parts, count, digits);
	return psprintf("%s_%s%s", cut(name.data, KEPT_BYTES), tail, digits);
}

/* How many bytes two strings begin with in common. */
static int
common_beginning(const char *a, const char *b)
{
	int			length = 0;

	while (a[length] != '\0' && a[length] == b[length])
		length++;
	return length;
}

/*
 * Can the first bytes of a name, so many, be what became of a longer name that
 * began and ended like this?  What was between is not known, so the digest
 * cannot be checked, nor how much the parts were cut.
 */
bool
orm_is_shortened(const char *name, int length, const char *before, const char *after)
{
	int			kept = length - 1 - DIGEST_DIGITS;
	int			rest = length - (int) strlen(after);

	/* as many bytes as fit before a cut between characters */
	if (kept > KEPT_BYTES - MAX_MULTIBYTE_CHAR_LEN && kept <= KEPT_BYTES &&
		name[kept] == '_' &&
		strspn(name + kept + 1, "0123456789abcdef") >= DIGEST_DIGITS &&
		strncmp(name, before, Min(kept, (int) strlen(before))) == 0)
		return true;

	/*
	 * Of two long parts, PostgreSQL keeps as much of the one as of the other,
	 * and each may lose a piece of a character.
	 */
	return strlen(name) > MAX_NAME - 2 * MAX_MULTIBYTE_CHAR_LEN && rest > 0 &&
		strncmp(name + rest, after, strlen(after)) == 0 &&
		common_beginning(name, before) >= Min((int) strlen(before), MAX_NAME / 3);
}
