/*-------------------------------------------------------------------------
 *
 * restore_run.c
 *		Statements of a restore, over stores of rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/memutils.h"

#include "restore.h"
#include "util/names.h"

/* Begin to restore, or to preview it. */
OrmRestore *
orm_begin_restore(bool preview)
{
	OrmRestore *restore = palloc0_object(OrmRestore);

	restore->preview = preview;
	restore->context = CurrentMemoryContext;
	return restore;
}

/* A tuplestore for rows of a restore, to be read as often as one likes. */
Tuplestorestate *
orm_open_restore_store(OrmRestore *restore)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(restore->context);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);

	restore->stores = lappend(restore->stores, store);
	MemoryContextSwitchTo(oldcontext);
	return store;
}

/* Close it, and its files, before the end of the restore. */
void
orm_close_restore_store(OrmRestore *restore, Tuplestorestate *store)
{
	restore->stores = list_delete_ptr(restore->stores, store);
	tuplestore_end(store);
}

/* End a restore, before the subtransaction that it is done in. */
void
orm_end_restore(OrmRestore *restore)
{
	ListCell   *lc;

	foreach(lc, restore->stores)
		tuplestore_end(lfirst(lc));
	restore->stores = NIL;
}

/* Give a tuplestore a name that statements can use. */
EphemeralNamedRelation
orm_name_store(const char *name, TupleDesc desc, Tuplestorestate *rows)
{
	EphemeralNamedRelation store = palloc0_object(EphemeralNamedRelationData);

	store->md.name = unconstify(char *, name);
	store->md.tupdesc = desc;
	store->md.enrtype = ENR_NAMED_TUPLESTORE;
	store->md.enrtuples = tuplestore_tuple_count(rows);
	store->reldata = rows;
	return store;
}

/*
 * Run one statement as a user, InvalidOid for the caller, over stores; what it
 * returns goes to "result".  Returns the number of rows.
 */
uint64
orm_run_restore(OrmRestore *restore, Oid user, const char *command,
				List *stores, ParamListInfo params, Tuplestorestate *result)
{
	SPIExecuteOptions options = {.params = params,.read_only = restore->preview};
	uint64		processed;
	Oid			save_user;
	int			save_context;
	int			code;
	ListCell   *lc;

	if (result)
	{
		options.dest = CreateDestReceiver(DestTuplestore);
		SetTuplestoreDestReceiverParams(options.dest, result, restore->context, false, NULL, NULL);
	}
	GetUserIdAndSecContext(&save_user, &save_context);
	if (OidIsValid(user))
		SetUserIdAndSecContext(user, save_context | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_NOFORCE_RLS);
	SPI_connect();
	foreach(lc, stores)
	{
		if (SPI_register_relation(lfirst(lc)) != SPI_OK_REL_REGISTER)
			elog(ERROR, "could not register the rows of a restore");
	}
	code = SPI_execute_extended(command, &options);
	if (code < 0)
		elog(ERROR, "could not run \"%s\": %s", command, SPI_result_code_string(code));
	processed = SPI_processed;
	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
	return processed;
}

/* What comes back of a table. */
OrmRestoredTable *
orm_restored_table(OrmRestore *restore, Oid relid)
{
	MemoryContext oldcontext;
	OrmRestoredTable *table;
	ListCell   *lc;

	foreach(lc, restore->tables)
	{
		table = lfirst(lc);
		if (table->relid == relid)
			return table;
	}

	oldcontext = MemoryContextSwitchTo(restore->context);
	table = palloc0_object(OrmRestoredTable);
	table->relid = relid;
	restore->tables = lappend(restore->tables, table);
	MemoryContextSwitchTo(oldcontext);
	return table;
}

/* Describe places of rows. */
TupleDesc
orm_place_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(desc, 1, "rel", OIDOID, -1, 0);
	TupleDescInitEntry(desc, 2, "tid", TIDOID, -1, 0);
	return desc;
}

/* The collations of the columns of a foreign key. */
static void
read_collations(const OrmReference *reference, int i, Oid *referenced, Oid *referencing)
{
	Oid			type;
	int32		typmod;

	get_atttypetypmodcoll(reference->referenced, reference->referenced_columns[i],
						  &type, &typmod, referenced);
	get_atttypetypmodcoll(reference->referencing, reference->referencing_columns[i],
						  &type, &typmod, referencing);
}

/*
 * A value of the referenced column, to be compared with the referencing one
 * where they are of different collations.  The key decides what is equal, but
 * those that know one kind of equality leave an index its own.
 */
char *
orm_collated_key(const OrmReference *reference, int i, const char *key)
{
	Oid			referenced;
	Oid			referencing;

	read_collations(reference, i, &referenced, &referencing);
	if (referenced == referencing || !OidIsValid(referenced) || !OidIsValid(referencing))
		return pstrdup(key);
	if (get_collation_isdeterministic(referenced) && get_collation_isdeterministic(referencing))
		referenced = referencing;
	return psprintf("(%s COLLATE %s)", key, generate_collation_name(referenced));
}

/* The same for a value of the referencing column, and an index on the key. */
char *
orm_collated_value(const OrmReference *reference, int i, const char *value)
{
	Oid			referenced;
	Oid			referencing;

	read_collations(reference, i, &referenced, &referencing);
	if (referenced == referencing || !OidIsValid(referenced))
		return pstrdup(value);
	return psprintf("(%s COLLATE %s)", value, generate_collation_name(referenced));
}
