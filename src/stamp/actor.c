/*-------------------------------------------------------------------------
 *
 * actor.c
 *		Who created a row and who updated it last.
 *
 * That is orm_ext.actor, which the application sets for a transaction, since
 * its users share one role and a pool of connections.  Where it is not set,
 * the session's user is named, as far as the column can name a role; being the
 * owner of a SECURITY DEFINER function on the way makes nobody the actor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "guc.h"
#include "stamp.h"

typedef struct ActorError
{
	Relation	rel;
	const OrmStampColumn *column;
} ActorError;

/* Tell where a value comes from that does not fit the column. */
static void
describe_actor(void *arg)
{
	const ActorError *error = arg;

	errdetail("It is the value of orm_ext.actor, for column \"%s\" of table \"%s\".",
			  NameStr(TupleDescAttr(RelationGetDescr(error->rel), error->column->attno - 1)->attname),
			  RelationGetRelationName(error->rel));
	errhint("SET LOCAL orm_ext.actor = '...', with a value of type %s.",
			format_type_be(error->column->type));
	errtablecol(error->rel, error->column->attno);
}

/* orm_ext.actor, or the name of the session's user, as a value of a column. */
static Datum
read_actor(Relation rel, const OrmStampColumn *column, const char *actor)
{
	ActorError	error = {.rel = rel,.column = column};

	return orm_stamp_input(column->type, column->typmod, actor, describe_actor, &error);
}

/* Who acts, as a value of a column. */
static Datum
actor_datum(Relation rel, const OrmStampColumn *column, bool *isnull)
{
	*isnull = false;
	if (*orm_actor != '\0')
		return read_actor(rel, column, orm_actor);
	switch (column->type)
	{
		case REGROLEOID:
			return ObjectIdGetDatum(GetSessionUserId());
		case UUIDOID:
		case INT4OID:
		case INT8OID:
			*isnull = true;
			return (Datum) 0;
		default:
			return read_actor(rel, column,
							  GetUserNameFromId(GetSessionUserId(), false));
	}
}

/* The same for a column that no stamp trigger keeps. */
Datum
orm_actor_of_column(Relation rel, AttrNumber attno, bool *isnull)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	OrmStampColumn column = {.attno = attno,.typmod = att->atttypmod};

	column.type = getBaseTypeAndTypmod(att->atttypid, &column.typmod);
	return actor_datum(rel, &column, isnull);
}

/* The same, worked out once in a transaction while the actor stays the same. */
static Datum
actor_value(OrmStampPass *pass, OrmStampRole role, bool *isnull)
{
	const OrmStampColumn *column = &pass->plan->columns[role];
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(pass->rel), column->attno - 1);
	OrmStampValue *cached = &pass->plan->cached[role];
	TimestampTz transaction = GetCurrentTransactionStartTimestamp();
	MemoryContext oldcontext;
	Datum		value;

	if (cached->valid && cached->clock == transaction &&
		cached->generation == orm_actor_generation &&
		cached->user == GetSessionUserId())
	{
		*isnull = cached->isnull;
		return *isnull ? (Datum) 0 :
			datumCopy(cached->value, att->attbyval, att->attlen);
	}

	value = actor_datum(pass->rel, column, isnull);
	if (cached->valid && !cached->isnull && !att->attbyval)
		pfree(DatumGetPointer(cached->value));
	cached->valid = false;
	if (!*isnull)
	{
		oldcontext = MemoryContextSwitchTo(pass->plan->context);
		cached->value = datumCopy(value, att->attbyval, att->attlen);
		MemoryContextSwitchTo(oldcontext);
	}
	cached->isnull = *isnull;
	cached->clock = transaction;
	cached->generation = orm_actor_generation;
	cached->user = GetSessionUserId();
	cached->valid = true;
	return value;
}

/* Name the actor in a row. */
void
orm_stamp_actor(OrmStampPass *pass, OrmStampRole role)
{
	bool		isnull;
	Datum		value = actor_value(pass, role, &isnull);

	orm_stamp_set(pass, role, value, isnull);
}

/*
 * Name the actor in an updated row.  Another name in the SET list wins; the
 * stored one does not, since whoever sends all columns did not mean to say that
 * somebody else made the change.
 */
void
orm_stamp_updated_by(OrmStampPass *pass)
{
	if (orm_stamp_lists(pass, ORM_STAMP_UPDATED_BY) &&
		!orm_stamp_same(pass, ORM_STAMP_UPDATED_BY))
		return;
	if (orm_stamp_row_changed(pass))
		orm_stamp_actor(pass, ORM_STAMP_UPDATED_BY);
	else
		orm_stamp_keep(pass, ORM_STAMP_UPDATED_BY);
}
