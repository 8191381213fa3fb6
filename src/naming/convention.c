/*-------------------------------------------------------------------------
 *
 * convention.c
 *		The conventions of a database: orm_ext.naming_template and the presets.
 *
 * A session keeps a copy of the table.  A trigger of the table has the server
 * send an invalidation of the relation when rows of it change, so that a
 * convention holds from then on: in the transaction that changes it at once, in
 * others when it commits.  Where the extension is not created there are no
 * conventions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "naming.h"
#include "policy.h"
#include "util/names.h"

struct OrmConventions
{
	List	   *stored;			/* OrmConvention */
	OrmConvention presets[ORM_NAME_KINDS];	/* where nothing is stored */
};

/* The copy, in a memory context of its own, and the state of the table that it is of. */
static OrmConventions *cached = NULL;
static MemoryContext cached_context = NULL;
static uint64 cached_changes = 0;

/* Labels of the kinds in SQL, and what they are called in messages. */
static const struct
{
	const char *label;
	const char *noun;
}			name_kinds[ORM_NAME_KINDS] =

{
	[ORM_NAME_PRIMARY_KEY] = {"pk", "primary key"},
	[ORM_NAME_UNIQUE] = {"uq", "unique constraint"},
	[ORM_NAME_FOREIGN_KEY] = {"fk", "foreign key constraint"},
	[ORM_NAME_CHECK] = {"ck", "check constraint"},
	[ORM_NAME_INDEX] = {"ix", "index"},
	[ORM_NAME_EXCLUSION] = {"ex", "exclusion constraint"},
};

/* Presets; the first one holds where nothing is stored. */
static const struct
{
	const char *name;
	const char *templates[ORM_NAME_KINDS];
}			presets[] =

{
	{
		"first_column",
		{
			[ORM_NAME_PRIMARY_KEY] = "%(table_name)s_pkey",
			[ORM_NAME_UNIQUE] = "%(table_name)s_%(column_0_name)s_key",
			[ORM_NAME_FOREIGN_KEY] = "%(table_name)s_%(column_0_name)s_fkey",
			[ORM_NAME_CHECK] = "%(table_name)s_%(constraint_name)s_check",
			[ORM_NAME_INDEX] = "%(column_0_label)s_idx",
			[ORM_NAME_EXCLUSION] = "%(table_name)s_%(column_0_N_name)s_excl",
		}
	},
	{
		"all_columns",
		{
			[ORM_NAME_PRIMARY_KEY] = "%(table_name)s_pkey",
			[ORM_NAME_UNIQUE] = "%(table_name)s_%(column_0_N_name)s_key",
			[ORM_NAME_FOREIGN_KEY] = "%(table_name)s_%(column_0_N_name)s_fkey",
			[ORM_NAME_CHECK] = "%(table_name)s_%(constraint_name)s_check",
			[ORM_NAME_INDEX] = "%(table_name)s_%(column_0_N_name)s_idx",
			[ORM_NAME_EXCLUSION] = "%(table_name)s_%(column_0_N_name)s_excl",
		}
	},
	{
		"none",
		{NULL}
	},
};

/* How a kind is called in SQL. */
const char *
orm_name_kind_label(OrmNameKind kind)
{
	return name_kinds[kind].label;
}

/* How a kind is called in messages. */
const char *
orm_name_kind_noun(OrmNameKind kind)
{
	return name_kinds[kind].noun;
}

/* The kind of a label. */
bool
orm_parse_name_kind(const char *label, OrmNameKind *kind)
{
	for (int i = 0; i < ORM_NAME_KINDS; i++)
	{
		if (strcmp(name_kinds[i].label, label) == 0)
		{
			*kind = (OrmNameKind) i;
			return true;
		}
	}
	return false;
}

/*
 * Read one row.  The constraints of the table do not let a bad one in; if
 * there is one all the same, it rules nothing.
 */
static OrmConvention *
read_convention(Relation rel, HeapTuple tuple)
{
	OrmConvention *convention = palloc0_object(OrmConvention);
	TupleDesc	desc = RelationGetDescr(rel);
	char	   *schema = SPI_getvalue(tuple, desc, 1);
	char	   *kind = SPI_getvalue(tuple, desc, 2);
	char	   *template = SPI_getvalue(tuple, desc, 3);
	char	   *overflow = SPI_getvalue(tuple, desc, 4);
	char	   *schema_in_label = SPI_getvalue(tuple, desc, 5);
	const char *problem;

	if (kind == NULL || !orm_parse_name_kind(kind, &convention->kind))
		return NULL;
	convention->schema = schema;
	if (template)
		convention->template = orm_parse_template(template, &problem);
	if (overflow && strcmp(overflow, "postgres") == 0)
		convention->overflow = ORM_NAME_OVERFLOW_POSTGRES;
	convention->schema_in_label = schema_in_label && *schema_in_label == 't';
	return convention;
}

/* Read the table, in the current memory context. */
static OrmConventions *
read_conventions(Oid relid)
{
	OrmConventions *conventions = palloc0_object(OrmConventions);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	for (int i = 0; i < ORM_NAME_KINDS; i++)
	{
		const char *problem;

		conventions->presets[i].kind = (OrmNameKind) i;
		conventions->presets[i].template = orm_parse_template(presets[0].templates[i], &problem);
	}

	rel = table_open(relid, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		OrmConvention *convention = read_convention(rel, tuple);

		if (convention)
			conventions->stored = lappend(conventions->stored, convention);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return conventions;
}

/*
 * The conventions of this database, NULL if the extension has not been created
 * in it.  They are good until the end of the transaction.
 */
const OrmConventions *
orm_load_conventions(void)
{
	MemoryContext context;
	MemoryContext oldcontext;
	OrmConventions *fresh;
	uint64		changes;
	Oid			relid;

	AcceptInvalidationMessages();
	if (cached && cached_changes == orm_watched_changes())
		return cached;

	relid = orm_extension_table("naming_template");
	if (!OidIsValid(relid))
		return NULL;
	orm_watch_relation(relid);
	changes = orm_watched_changes();

	context = AllocSetContextCreate(CurrentMemoryContext, "orm_ext naming conventions",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	fresh = read_conventions(relid);
	MemoryContextSwitchTo(oldcontext);

	/* the former ones may still be in use further up */
	if (cached)
		MemoryContextSetParent(cached_context, TopTransactionContext);
	MemoryContextSetParent(context, CacheMemoryContext);
	cached = fresh;
	cached_context = context;
	cached_changes = changes;
	return cached;
}

/* The convention for names of a kind in a schema. */
const OrmConvention *
orm_convention(const OrmConventions *conventions, const char *schema, OrmNameKind kind)
{
	const OrmConvention *general = &conventions->presets[kind];
	ListCell   *lc;

	foreach(lc, conventions->stored)
	{
		const OrmConvention *convention = lfirst(lc);

		if (convention->kind != kind)
			continue;
		if (convention->schema == NULL)
			general = convention;
		else if (strcmp(convention->schema, schema) == 0)
			return convention;
	}
	return general;
}

PG_FUNCTION_INFO_V1(orm_naming_template_changed);

/* Trigger function of orm_ext.naming_template, for each statement: has all sessions read it again. */
Datum
orm_naming_template_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"orm_ext.naming_template_changed")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}

PG_FUNCTION_INFO_V1(orm_check_naming_template);

/* orm_ext.check_naming_template(template): true, or the error that it deserves. */
Datum
orm_check_naming_template(PG_FUNCTION_ARGS)
{
	const char *template = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *problem;

	if (orm_parse_template(template, &problem) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid naming template \"%s\"", template),
				 errdetail_internal("%s", problem),
				 errhint("%s", orm_template_problem_hint())));
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(orm_naming_preset);

/* orm_ext.naming_preset(preset): its templates, one row for each kind. */
Datum
orm_naming_preset(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *name = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			preset = 0;

	while (preset < lengthof(presets) && strcmp(presets[preset].name, name) != 0)
		preset++;
	if (preset == lengthof(presets))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no naming preset \"%s\"", name),
				 errhint("Presets are first_column, all_columns and none.")));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < ORM_NAME_KINDS; i++)
	{
		const char *template = presets[preset].templates[i];
		Datum		values[2] = {CStringGetTextDatum(name_kinds[i].label)};
		bool		nulls[2] = {false, template == NULL};

		if (template)
			values[1] = CStringGetTextDatum(template);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
