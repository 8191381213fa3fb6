/*-------------------------------------------------------------------------
 *
 * version.c
 *		Optimistic locking: what becomes of the version column of a row.
 *
 * Clients either leave the column out and read it back, or send the version
 * that comes next (most ORMs, with the old one in WHERE), or send the version
 * that they have read.  The three modes read these signs as follows; "stale"
 * is an error, and next(stored) the stored version plus 1.
 *
 *	statement						auto			strict			echo
 *	does not list the column		bump if changed	bump if changed	error
 *	lists it, = next(stored)		keep			keep			stale
 *	lists it, = stored				bump if changed	stale if changed bump if changed
 *	lists it, any other value		stale			stale			stale
 *
 * With the option resent=move, a client that lists the stored version asks for
 * the next one, changed or not ("bump" in place of "bump if changed").
 *
 * A uuid has no order: any other value than the stored one may be a client's
 * next.  Of a timestamp, any later one may be.
 *
 * "auto" and "strict" believe a client that sends next(stored) to have the old
 * version in its WHERE condition; one that has not must send what it has read,
 * under "echo".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "guc.h"
#include "policy.h"
#include "stamp.h"
#include "util/names.h"

/* Is a version checked for one call, rows of this transaction included? */
bool		orm_checking_row = false;

/* A version of a type that has an order, as a number. */
static int64
version_number(Oid type, Datum version)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(version);
		case INT4OID:
			return DatumGetInt32(version);
		default:
			return DatumGetInt64(version);
	}
}

/* The other way round. */
static Datum
version_datum(Oid type, int64 number)
{
	switch (type)
	{
		case INT2OID:
			return Int16GetDatum((int16) number);
		case INT4OID:
			return Int32GetDatum((int32) number);
		default:
			return Int64GetDatum(number);
	}
}

/* The least and the greatest integer of a type. */
static void
version_limits(Oid type, int64 *least, int64 *greatest)
{
	switch (type)
	{
		case INT2OID:
			*least = PG_INT16_MIN;
			*greatest = PG_INT16_MAX;
			break;
		case INT4OID:
			*least = PG_INT32_MIN;
			*greatest = PG_INT32_MAX;
			break;
		default:
			*least = PG_INT64_MIN;
			*greatest = PG_INT64_MAX;
			break;
	}
}

/* Is an integer version the last one of its type? */
static bool
is_last_version(Oid type, int64 number)
{
	int64		least;
	int64		greatest;

	version_limits(type, &least, &greatest);
	return number == greatest;
}

/*
 * Is a version the one that comes after the stored one?  Past the last integer
 * clients go on with 1 (Ecto), 0 or the least integer (Java).
 */
static bool
is_next_version(const OrmStampPass *pass, Datum stored, Datum given)
{
	Oid			type = pass->plan->columns[ORM_STAMP_VERSION].type;
	int64		least;
	int64		greatest;
	int64		from;
	int64		to;

	if (type == UUIDOID)
		return true;
	from = version_number(type, stored);
	to = version_number(type, given);
	if (type == TIMESTAMPTZOID)
		return to > from;

	version_limits(type, &least, &greatest);
	if (from < greatest)
		return to == from + 1;
	return pass->plan->options.overflow == ORM_OVERFLOW_WRAP &&
		(to == 1 || to == 0 || to == least);
}

/* Complain of a version that has no next one.  Errors: 22003, 22008. */
static void
report_overflow(OrmStampPass *pass, int sqlerrcode)
{
	Relation	rel = pass->rel;
	const OrmStampColumn *column = &pass->plan->columns[ORM_STAMP_VERSION];
	const char *name = NameStr(TupleDescAttr(RelationGetDescr(rel), column->attno - 1)->attname);

	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("version of a row of table \"%s\" is out of range",
					RelationGetRelationName(rel)),
			 errdetail("Column \"%s\" holds the greatest %s.",
					   name, format_type_be(column->type)),
			 column->type == TIMESTAMPTZOID ? 0 :
			 errhint("%s", orm_stamp_declaration(rel, pass->trigdata->tg_trigger, "overflow=wrap")),
			 errtablecol(rel, column->attno)));
}

/* The version after the stored one. */
static Datum
next_version(OrmStampPass *pass, Datum stored)
{
	Oid			type = pass->plan->columns[ORM_STAMP_VERSION].type;
	int64		number;

	if (type == UUIDOID)
		return DirectFunctionCall1(gen_random_uuid, (Datum) 0);
	if (type == TIMESTAMPTZOID)
	{
		Datum		next = orm_next_clock_value(pass, ORM_STAMP_VERSION, stored);

		if (DatumGetTimestampTz(next) == DatumGetTimestampTz(stored))
			report_overflow(pass, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
		return next;
	}

	number = version_number(type, stored);
	if (likely(!is_last_version(type, number)))
		return version_datum(type, number + 1);
	if (pass->plan->options.overflow == ORM_OVERFLOW_ERROR)
		report_overflow(pass, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
	return version_datum(type, 1);
}

/* Give a row the first of its versions. */
void
orm_stamp_first_version(OrmStampPass *pass)
{
	Oid			type = pass->plan->columns[ORM_STAMP_VERSION].type;
	Datum		first;

	if (type == UUIDOID)
		first = DirectFunctionCall1(gen_random_uuid, (Datum) 0);
	else if (type == TIMESTAMPTZOID)
		first = orm_clock_value(pass, ORM_STAMP_VERSION);
	else
		first = version_datum(type, 1);
	orm_stamp_set(pass, ORM_STAMP_VERSION, first, false);
}

/* Give a row its next version, or its first if it has none. */
static void
bump(OrmStampPass *pass)
{
	bool		isnull;
	Datum		stored = orm_stamp_stored(pass, ORM_STAMP_VERSION, &isnull);

	if (isnull)
		orm_stamp_first_version(pass);
	else
		orm_stamp_set(pass, ORM_STAMP_VERSION, next_version(pass, stored), false);
}

/* A version of the row as text. */
static char *
version_text(const OrmStampPass *pass, Datum version, bool isnull)
{
	Oid			output;
	bool		is_varlena;

	if (isnull)
		return NULL;
	getTypeOutputInfo(pass->plan->columns[ORM_STAMP_VERSION].type, &output, &is_varlena);
	return OidOutputFunctionCall(output, version);
}

/* Is the row a version that this transaction wrote? */
static bool
is_own_row(const OrmStampPass *pass)
{
	return pass->rel->rd_rel->relkind != RELKIND_FOREIGN_TABLE &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(pass->old->t_data));
}

/* Is orm_ext.expected_version set, if only to nothing by update_checked()? */
bool
orm_is_version_expected(void)
{
	return unlikely(*orm_expected_version != '\0') || orm_checking_row;
}

/* Does it speak of the statement at hand? */
static inline bool
is_expected_here(void)
{
	return orm_is_version_expected() &&
		orm_trigger_depth() == orm_expected_version_depth + 1;
}

/* Tell where a value comes from that is no version. */
static void
describe_expected_version(void *arg)
{
	const OrmStampPass *pass = arg;
	const OrmStampColumn *column = &pass->plan->columns[ORM_STAMP_VERSION];

	errdetail("It is the version that is expected in column \"%s\" of table \"%s\".",
			  NameStr(TupleDescAttr(RelationGetDescr(pass->rel), column->attno - 1)->attname),
			  RelationGetRelationName(pass->rel));
	errhint("SET LOCAL orm_ext.expected_version to a value of type %s, or RESET orm_ext.expected_version;",
			format_type_be(column->type));
	errtablecol(pass->rel, column->attno);
}

/* The version that is expected. */
static Datum
read_expected_version(OrmStampPass *pass)
{
	return orm_stamp_input(pass->plan->columns[ORM_STAMP_VERSION].type, -1,
						   orm_expected_version, describe_expected_version, pass);
}

/*
 * Compare the stored version with orm_ext.expected_version, where that is set.
 *
 * Errors: stale; 22P02 and others where it is no value of the column's type.
 */
void
orm_check_expected_version(OrmStampPass *pass)
{
	const OrmStampColumn *column = &pass->plan->columns[ORM_STAMP_VERSION];
	Datum		expected;
	Datum		stored;
	bool		isnull;

	if (!is_expected_here() || (is_own_row(pass) && !orm_checking_row))
		return;
	expected = read_expected_version(pass);
	stored = orm_stamp_stored(pass, ORM_STAMP_VERSION, &isnull);
	if (isnull || !orm_same_datum(stored, false, expected, false,
								  get_typbyval(column->type), get_typlen(column->type)))
		orm_report_stale(pass, orm_expected_version);
}

/* Is this the UPDATE that a DELETE under soft delete is? */
static bool
is_soft_delete(const OrmStampPass *pass)
{
	OrmMarker	marker;
	TupleDesc	desc = RelationGetDescr(pass->rel);
	bool		was_null;
	bool		is_null;
	Datum		was;
	Datum		is;

	if (!orm_may_be_soft_delete(pass->trigdata) ||
		!orm_soft_delete_marker(RelationGetRelid(pass->rel), &marker))
		return false;
	was = heap_getattr(pass->old, marker.attno, desc, &was_null);
	is = heap_getattr(pass->new, marker.attno, desc, &is_null);
	return orm_marker_is_live(&marker, was, was_null) &&
		!orm_marker_is_live(&marker, is, is_null);
}

/* The column is not listed. */
static void
stamp_unlisted(OrmStampPass *pass)
{
	if (pass->plan->options.mode == ORM_MODE_ECHO &&
		!is_expected_here() &&
		!InNoForceRLSOperation() &&
		!is_soft_delete(pass))
		orm_report_version_required(pass);

	if (orm_stamp_row_changed(pass))
		bump(pass);
	else
		orm_stamp_keep(pass, ORM_STAMP_VERSION);
}

/* The column is listed. */
static void
stamp_listed(OrmStampPass *pass)
{
	int			mode = pass->plan->options.mode;
	bool		stored_isnull;
	bool		given_isnull;
	Datum		stored = orm_stamp_stored(pass, ORM_STAMP_VERSION, &stored_isnull);
	Datum		given = orm_stamp_given(pass, ORM_STAMP_VERSION, &given_isnull);

	if (orm_stamp_same(pass, ORM_STAMP_VERSION))
	{
		if (!orm_stamp_row_changed(pass) &&
			(mode == ORM_MODE_STRICT ||
			 pass->plan->options.resent == ORM_RESENT_KEEP))
			return;
		if (mode == ORM_MODE_STRICT && !stored_isnull)
			orm_report_stale(pass, version_text(pass, given, given_isnull));
		bump(pass);
		return;
	}

	/* a row that has no version yet takes what it is given */
	if (stored_isnull)
		return;
	if (given_isnull || mode == ORM_MODE_ECHO || !is_next_version(pass, stored, given))
		orm_report_stale(pass, version_text(pass, given, given_isnull));
}

/*
 * Give an updated row its version.
 *
 * Errors: stale, OE002 (version required), 22003 (no next version).
 */
void
orm_stamp_version(OrmStampPass *pass)
{
	if (orm_is_touch())
	{
		if (orm_touching == ORM_TOUCH_BUMP_VERSION)
			bump(pass);
		else
			orm_stamp_keep(pass, ORM_STAMP_VERSION);
		return;
	}

	orm_check_expected_version(pass);
	if (orm_stamp_lists(pass, ORM_STAMP_VERSION))
		stamp_listed(pass);
	else
		stamp_unlisted(pass);
}
