/*-------------------------------------------------------------------------
 *
 * key.c
 *		Unique keys, and where the batches of a table end by them.
 *
 * A batch ends so many keys further on.  The index is walked without a look at
 * the table: keys of rows that are dead, hidden or locked count too.  That costs next to nothing, a batch that has to be begun anew
 * ends in the same place, and nothing that hides rows from the session can
 * have some left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_oper.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "batch.h"
#include "compat.h"
#include "util/names.h"

/* Can the index serve at all? */
static bool
is_usable_index(Relation index)
{
	Form_pg_index form = index->rd_index;

	return form->indisunique && form->indisvalid && form->indisready && form->indislive &&
		form->indimmediate && index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
}

/* Can a column of the index be one of the key? */
static bool
is_usable_column(const OrmBatchStatement *statement, Relation rel, Relation index, int i)
{
	AttrNumber	attno = index->rd_index->indkey.values[i];
	Form_pg_attribute att;

	if (attno <= 0)
		return false;
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	return orm_column_is_not_null(RelationGetDescr(rel), attno) &&
		!orm_contains_name(statement->touched, NameStr(att->attname)) &&
		(statement->is_delete || att->attgenerated == '\0') &&
		index->rd_indoption[i] == 0 &&
		TupleDescAttr(RelationGetDescr(index), i)->atttypid == att->atttypid &&
		index->rd_indcollation[i] == att->attcollation &&
		lookup_type_cache(att->atttypid, TYPECACHE_BTREE_OPFAMILY)->btree_opf == index->rd_opfamily[i];
}

/* The operator that compares a column. */
static Oid
column_operator(Relation index, int i, StrategyNumber strategy)
{
	Oid			type = index->rd_opcintype[i];

	return get_opfamily_member(index->rd_opfamily[i], type, type, strategy);
}

/* Does the search_path find this operator for two values of a type? */
static bool
finds_operator(const char *name, Oid type, Oid operator)
{
	Operator	found = oper(NULL, list_make1(makeString(pstrdup(name))), type, type, true, -1);
	bool		result;

	if (found == NULL)
		return false;
	result = oprid(found) == operator;
	ReleaseSysCache(found);
	return result;
}

/*
 * The operator by which rows of all columns are compared, as it is written:
 * qualified where all columns have it from one schema, bare where the caller's
 * search_path finds those of all, NULL where it would find others.
 */
static const char *
row_operator(const OrmBatchKey *key, Relation index, StrategyNumber strategy, const char *name)
{
	const char *qualified = orm_operator_name(column_operator(index, 0, strategy));
	bool		is_same = true;
	bool		is_found = true;

	for (int i = 0; i < key->ncolumns; i++)
	{
		Oid			operator = column_operator(index, i, strategy);

		is_same &= strcmp(orm_operator_name(operator), qualified) == 0;
		is_found &= finds_operator(name, key->types[i], operator);
	}
	return is_same ? qualified : is_found ? name : NULL;
}

/* Describe how keys are compared with an end. */
static void
describe_end(OrmBatchEnd *end, const OrmBatchKey *key, Relation index, bool is_strict,
			 StrategyNumber strict, StrategyNumber loose, const char *name)
{
	end->is_strict = is_strict;
	end->whole = row_operator(key, index, is_strict ? strict : loose, name);
	for (int i = 0; i < key->ncolumns; i++)
	{
		end->strict[i] = orm_operator_name(column_operator(index, i, strict));
		end->loose[i] = orm_operator_name(column_operator(index, i, loose));
	}
}

/* Describe the key of an index, NULL if it is not usable. */
static OrmBatchKey *
describe_key(const OrmBatchStatement *statement, Relation rel, Relation index, List *columns)
{
	OrmBatchKey *key = palloc0_object(OrmBatchKey);

	if (!is_usable_index(index) ||
		(columns != NIL && list_length(columns) != index->rd_index->indnkeyatts))
		return NULL;
	key->index = RelationGetRelid(index);
	key->ncolumns = index->rd_index->indnkeyatts;
	for (int i = 0; i < key->ncolumns; i++)
	{
		Form_pg_attribute att;

		if (!is_usable_column(statement, rel, index, i))
			return NULL;
		att = TupleDescAttr(RelationGetDescr(rel), index->rd_index->indkey.values[i] - 1);
		if (columns != NIL && strcmp(list_nth(columns, i), NameStr(att->attname)) != 0)
			return NULL;
		key->attnos[i] = att->attnum;
		key->names[i] = pstrdup(NameStr(att->attname));
		key->types[i] = getBaseType(att->atttypid);
		key->typlen[i] = att->attlen;
		key->typbyval[i] = att->attbyval;
	}
	describe_end(&key->greater, key, index, true, BTGreaterStrategyNumber, BTGreaterEqualStrategyNumber, ">");
	describe_end(&key->at_most, key, index, false, BTLessStrategyNumber, BTLessEqualStrategyNumber, "<=");
	return key;
}

/*
 * Find a key by which each row of a table can be done once: the primary key,
 * or else another one; if columns are given, one of those.  NULL if there is
 * none.
 */
OrmBatchKey *
orm_batch_find_key(const OrmBatchStatement *statement, Relation rel, List *columns)
{
	Oid			primary = orm_primary_key_index(rel);
	List	   *indexes = RelationGetIndexList(rel);
	OrmBatchKey *result = NULL;
	ListCell   *lc;

	if (OidIsValid(primary))
		indexes = lcons_oid(primary, list_delete_oid(indexes, primary));
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (result == NULL)
			result = describe_key(statement, rel, index, columns);
		index_close(index, NoLock);
	}
	return result;
}

/* Copy a key into the current memory context. */
Datum *
orm_batch_copy_key(const OrmBatchKey *key, const Datum *values)
{
	Datum	   *copy = palloc_array(Datum, key->ncolumns);

	for (int i = 0; i < key->ncolumns; i++)
		copy[i] = datumCopy(values[i], key->typbyval[i], key->typlen[i]);
	return copy;
}

/* Initialize the scan key that compares whole keys with a value. */
static void
init_scan_key(ScanKey scankey, ScanKey members, Relation index, int ncolumns,
			  StrategyNumber strategy, const Datum *values)
{
	if (ncolumns == 1)
	{
		ScanKeyEntryInitialize(scankey, 0, 1, strategy, index->rd_opcintype[0], index->rd_indcollation[0],
							   get_opcode(column_operator(index, 0, strategy)), values[0]);
		return;
	}

	/* as ExecIndexBuildScanKeys() does for a comparison of rows */
	for (int i = 0; i < ncolumns; i++)
	{
		Oid			type = index->rd_opcintype[i];

		ScanKeyEntryInitialize(&members[i], SK_ROW_MEMBER | (i == ncolumns - 1 ? SK_ROW_END : 0), i + 1,
							   strategy, type, index->rd_indcollation[i],
							   get_opfamily_proc(index->rd_opfamily[i], type, type, BTORDER_PROC), values[i]);
	}
	memset(scankey, 0, sizeof(*scankey));
	scankey->sk_flags = SK_ROW_HEADER;
	scankey->sk_attno = 1;
	scankey->sk_strategy = strategy;
	scankey->sk_argument = PointerGetDatum(members);
}

/* The key in the entry at which a scan is. */
static Datum *
current_key(IndexScanDesc scan, const OrmBatchKey *key)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull;

	for (int i = 0; i < key->ncolumns; i++)
		values[i] = index_getattr(scan->xs_itup, i + 1, scan->xs_itupdesc, &isnull);
	return orm_batch_copy_key(key, values);
}

/*
 * Is the entry at which a scan is of another key than the last one was?  A row
 * that was updated has an entry for each version until they are cleaned up.
 */
static bool
is_next_key(IndexScanDesc scan, char *last, Size *last_size)
{
	Size		offset = IndexInfoFindDataOffset(scan->xs_itup->t_info);
	Size		size = IndexTupleSize(scan->xs_itup) - offset;
	char	   *data = (char *) scan->xs_itup + offset;

	if (size == *last_size && memcmp(data, last, size) == 0)
		return false;
	memcpy(last, data, size);
	*last_size = size;
	return true;
}

/*
 * Walk along the index, at most so many keys.  Returns how many there were, and
 * the last one if there were so many.
 */
static int64
walk(Relation rel, const OrmBatchKey *key, ScanDirection direction, const Datum *after,
	 const Datum *bound, int64 count, Datum **last)
{
	Relation	index = index_open(key->index, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	ScanKeyData keys[2];
	ScanKeyData members[2][INDEX_MAX_KEYS];
	int			nkeys = 0;
	int64		walked = 0;
	char	   *last_entry = palloc(BLCKSZ);
	Size		last_size = 0;
	IndexScanDesc scan;

	if (after)
	{
		init_scan_key(&keys[nkeys], members[nkeys], index, key->ncolumns, BTGreaterStrategyNumber, after);
		nkeys++;
	}
	if (bound)
	{
		init_scan_key(&keys[nkeys], members[nkeys], index, key->ncolumns, BTLessEqualStrategyNumber, bound);
		nkeys++;
	}
	scan = orm_index_beginscan(rel, index, snapshot, nkeys, 0);
	scan->xs_want_itup = true;
	index_rescan(scan, keys, nkeys, NULL, 0);
	*last = NULL;
	while (walked < count && index_getnext_tid(scan, direction) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_next_key(scan, last_entry, &last_size) && ++walked == count)
			*last = current_key(scan, key);
	}
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, NoLock);
	return walked;
}

/* The greatest key of a table, NULL if it is empty. */
Datum *
orm_batch_last_key(Relation rel, const OrmBatchKey *key)
{
	Datum	   *last;

	walk(rel, key, BackwardScanDirection, NULL, NULL, 1, &last);
	return last;
}

/* The key so many keys after another one, or the bound if that comes first. */
int64
orm_batch_walk_key(Relation rel, const OrmBatchKey *key, const Datum *after,
				   const Datum *bound, int64 count, Datum **last)
{
	int64		walked = walk(rel, key, ForwardScanDirection, after, bound, count, last);

	if (*last == NULL)
		*last = orm_batch_copy_key(key, bound);
	return walked;
}

/* Settings by which every value comes out so that it can be read again. */
static int
pin_formats(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "3", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* A key as texts (char *), and the other way round. */
List *
orm_batch_key_texts(const OrmBatchKey *key, const Datum *values)
{
	int			level = pin_formats();
	List	   *texts = NIL;

	for (int i = 0; i < key->ncolumns; i++)
	{
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(key->types[i], &output, &is_varlena);
		texts = lappend(texts, OidOutputFunctionCall(output, values[i]));
	}
	AtEOXact_GUC(true, level);
	return texts;
}

Datum *
orm_batch_key_values(const OrmBatchKey *key, List *texts)
{
	int			level = pin_formats();
	Datum	   *values = palloc_array(Datum, key->ncolumns);

	if (list_length(texts) != key->ncolumns)
		elog(ERROR, "key has %d columns, its value %d", key->ncolumns, list_length(texts));
	for (int i = 0; i < key->ncolumns; i++)
	{
		Oid			input;
		Oid			argument;

		getTypeInputInfo(key->types[i], &input, &argument);
		values[i] = OidInputFunctionCall(input, list_nth(texts, i), argument, -1);
	}
	AtEOXact_GUC(true, level);
	return values;
}
