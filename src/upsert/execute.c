/*-------------------------------------------------------------------------
 *
 * execute.c
 *		Executing the statements of a bulk upsert.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "run.h"
#include "util/spi.h"

/* RETURNING gives a row: it is written. */
static bool
receive_written(TupleTableSlot *slot, DestReceiver *self)
{
	OrmUpsertRun *run = ((OrmRunReceiver *) self)->run;
	bool		isnull;

	run->written = true;
	if (run->target->returning)
	{
		Datum		row = slot_getattr(slot, 1, &isnull);

		if (!isnull)
			orm_keep_result(run, row);
	}
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

/* All rows are through; triggers at the end of the statement are no row's. */
static void
receiver_shutdown(DestReceiver *self)
{
	OrmUpsertRun *run = ((OrmRunReceiver *) self)->run;

	if (((OrmRunReceiver *) self)->nested)
		return;
	orm_settle_row(run);
	orm_check_inserted(run);
}

static void
receiver_destroy(DestReceiver *self)
{
}

/* A receiver for one execution. */
OrmRunReceiver
orm_make_receiver(OrmUpsertRun *run, bool nested)
{
	OrmRunReceiver receiver = {0};

	receiver.pub.receiveSlot = receive_written;
	receiver.pub.rStartup = receiver_startup;
	receiver.pub.rShutdown = receiver_shutdown;
	receiver.pub.rDestroy = receiver_destroy;
	receiver.pub.mydest = DestNone;
	receiver.run = run;
	receiver.nested = nested;
	return receiver;
}

/*
 * Plan a statement, unless there is a plan; SPI is connected.  The settings
 * hold while it is planned: a look into the index for each row, however few
 * rows the table seems to have.
 */
CachedPlan *
orm_plan_upsert(SPIPlanPtr *plan, const char *statement, int nargs, Oid *argtypes)
{
	CachedPlan *result;
	int			level;

	if (*plan && SPI_plan_is_valid(*plan))
		return SPI_plan_get_cached_plan(*plan);

	level = orm_pin_settings();
	orm_set_for_level("enable_seqscan", "off");
	orm_set_for_level("enable_material", "off");
	orm_set_for_level("jit", "off");
	if (*plan == NULL)
	{
		*plan = SPI_prepare(statement, nargs, argtypes);
		if (*plan == NULL || SPI_keepplan(*plan) != 0)
			elog(ERROR, "could not prepare \"%s\"", statement);
	}
	result = SPI_plan_get_cached_plan(*plan);
	AtEOXact_GUC(true, level);
	return result;
}

/*
 * Execute a plan as SPI would, but without SPI's context of errors: users have
 * not written the statement and need not see it.  SPI is connected.
 */
void
orm_execute_upsert_plan(CachedPlan *plan, const char *source, QueryEnvironment *environment,
						ParamListInfo params, DestReceiver *dest)
{
	QueryDesc  *query_desc;

	if (plan == NULL || list_length(plan->stmt_list) != 1)
		elog(ERROR, "bulk upsert is no single statement");
	CommandCounterIncrement();
	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	query_desc = CreateQueryDesc(linitial(plan->stmt_list), source, GetActiveSnapshot(),
								 InvalidSnapshot, dest, params, environment, 0);
	ExecutorStart(query_desc, 0);
	orm_stamps.label_upsert(query_desc->estate);
	orm_executor_run(query_desc);
	ExecutorFinish(query_desc);
	ExecutorEnd(query_desc);
	FreeQueryDesc(query_desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
	ReleaseCachedPlan(plan, CurrentResourceOwner);
}

/* Connect to SPI, with a store that statements can name. */
QueryEnvironment *
orm_connect_to_store(EphemeralNamedRelation store, OrmUpsertTarget *target, Tuplestorestate *rows)
{
	QueryEnvironment *environment = create_queryEnv();

	memset(store, 0, sizeof(*store));
	store->md.name = ORM_STORE_NAME;
	store->md.tupdesc = target->store;
	store->md.enrtype = ENR_NAMED_TUPLESTORE;
	store->md.enrtuples = tuplestore_tuple_count(rows);
	store->reldata = rows;
	register_ENR(environment, store);
	SPI_connect();
	if (SPI_register_relation(store) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register \"%s\"", ORM_STORE_NAME);
	return environment;
}

/* A store with one row alone. */
Tuplestorestate *
orm_store_of_one(TupleTableSlot *row)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);

	tuplestore_puttupleslot(rows, row);
	return rows;
}

/* Execute a statement about one row of the store; its plan is kept. */
void
orm_execute_for_row(OrmUpsertTarget *target, TupleTableSlot *row, SPIPlanPtr *plan,
					const char *statement, ParamListInfo params, DestReceiver *dest)
{
	Oid			types[2];
	int			nargs = params ? params->numParams : 0;
	EphemeralNamedRelationData store;
	Tuplestorestate *rows = orm_store_of_one(row);
	QueryEnvironment *environment = orm_connect_to_store(&store, target, rows);

	Assert(nargs <= lengthof(types));
	for (int i = 0; i < nargs; i++)
		types[i] = params->params[i].ptype;
	orm_execute_upsert_plan(orm_plan_upsert(plan, statement, nargs, types),
							statement, environment, params, dest);
	SPI_finish();
	tuplestore_end(rows);
}
