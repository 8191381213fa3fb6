/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		orm_ext.soft_delete(): the declaration, and the fallback.
 *
 * As a rule the trigger has nothing to do: a DELETE on its table was turned
 * into an UPDATE while it was planned, which fires no DELETE trigger.  It is
 * fired for rows that really leave their table:
 *	- DELETE under orm_ext.delete_mode = hard, and final deletes from the bin
 *	- actions of the server's foreign keys
 *	- an UPDATE that moves a row to another partition
 * and where the DELETE was planned without us: by this session before the
 * library was loaded (the call of this very trigger loads it), or by a planner
 * hook that leaves out the others.  In that last case no live row may get
 * lost: the trigger marks it and has the server skip its removal.  The count
 * of the DELETE is short of that row then.
 *
 * It is also fired before updates that may change the marker of a table with
 * foreign keys; transition.c sees to that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "soft_delete.h"
#include "status.h"
#include "transition.h"
#include "util/names.h"

/*
 * Is the row of a partition on its way to another one?  The trigger is not
 * told.  A statement that was planned with us would not get here to delete a
 * live row.  Of one that was not, its command says it; where that is not
 * certain, only a second try can tell.
 */
static bool
row_is_moving(Relation rel)
{
	if (!rel->rd_rel->relispartition)
		return false;
	if (!orm_planned_without_us())
		return true;

	switch (orm_command_of_portal(rel))
	{
		case CMD_UPDATE:
			return true;
		case CMD_DELETE:
			return false;
		default:
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot tell whether a row of partition \"%s\" is deleted or moved",
					RelationGetRelationName(rel)),
			 errdetail("The statement was planned before the library orm_ext was loaded, which it is now."),
			 errhint("Run the statement again, and SELECT orm_ext.preload(); to have new sessions load the library.")));
}

/* Mark a row instead of deleting it, with the rights of the table's owner. */
static void
mark_row(TriggerData *trigdata, const OrmMarker *marker)
{
	Relation	rel = trigdata->tg_relation;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), marker->attno - 1);
	Oid			argtypes[] = {att->atttypid, TIDOID, InvalidOid};
	Datum		values[3];
	char		nulls[] = "   ";
	char	   *command;
	bool		nullable;
	AttrNumber	deleted_by = orm_deleted_by_column(RelationGetRelid(rel), &nullable);
	const char *assignment = "";
	Oid			save_user;
	int			save_context;

	if (deleted_by != InvalidAttrNumber)
	{
		Form_pg_attribute by = TupleDescAttr(RelationGetDescr(rel), deleted_by - 1);
		bool		isnull;

		assignment = psprintf(", %s = $3", quote_identifier(NameStr(by->attname)));
		argtypes[2] = getBaseType(by->atttypid);
		values[2] = orm_stamps.actor(rel, deleted_by, &isnull);
		nulls[2] = isnull ? 'n' : ' ';
	}
	command = psprintf("UPDATE ONLY %s SET %s = $1%s WHERE ctid OPERATOR(pg_catalog.=) $2",
					   orm_relation_name(rel),
					   quote_identifier(NameStr(att->attname)), assignment);
	values[0] = orm_deletion_datum(marker, orm_deletion_stamp_of_statement(TopTransactionContext));
	values[1] = PointerGetDatum(&trigdata->tg_trigtuple->t_self);

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(rel->rd_rel->relowner,
						   save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	SPI_connect();
	if (SPI_execute_with_args(command, deleted_by != InvalidAttrNumber ? 3 : 2,
							  argtypes, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not mark a row of \"%s\"", RelationGetRelationName(rel));
	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
}

PG_FUNCTION_INFO_V1(orm_soft_delete);

/*
 * orm_ext.soft_delete('marker') → trigger, BEFORE DELETE FOR EACH ROW
 *
 * Errors: 39P01 where it is not called as such a trigger, and those of
 * orm_check_soft_delete_trigger().
 */
Datum
orm_soft_delete(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Trigger		declaration;
	OrmMarker	marker;
	Datum		value;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function orm_ext.soft_delete was not called by trigger manager"),
				 errhint("CREATE TRIGGER soft_delete BEFORE DELETE ON your_table FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');")));

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		if (!orm_soft_delete_marker(RelationGetRelid(trigdata->tg_relation), &marker))
			elog(ERROR, "table \"%s\" is not under soft delete",
				 RelationGetRelationName(trigdata->tg_relation));
		orm_note_transition(trigdata, &marker);
		return PointerGetDatum(trigdata->tg_newtuple);
	}

	/* in this execution it may be for updates too: transition.c */
	declaration = *trigdata->tg_trigger;
	declaration.tgtype &= ~TRIGGER_TYPE_UPDATE;
	orm_check_soft_delete_trigger(trigdata->tg_relation, &declaration, &marker);

	if (orm_delete_mode == ORM_DELETE_MODE_HARD || InNoForceRLSOperation())
		return PointerGetDatum(trigdata->tg_trigtuple);

	value = heap_getattr(trigdata->tg_trigtuple, marker.attno,
						 RelationGetDescr(trigdata->tg_relation), &isnull);
	if (!orm_marker_is_live(&marker, value, isnull))
	{
		/*
		 * A final delete, if its conditions asked for deleted rows.  Nobody
		 * looked at the conditions of a statement that was planned without
		 * us, so keep the row.
		 */
		if (orm_planned_without_us())
			return PointerGetDatum(NULL);
		return PointerGetDatum(trigdata->tg_trigtuple);
	}

	if (row_is_moving(trigdata->tg_relation))
		return PointerGetDatum(trigdata->tg_trigtuple);

	mark_row(trigdata, &marker);
	return PointerGetDatum(NULL);
}
