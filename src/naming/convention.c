/*-------------------------------------------------------------------------
 *
 * convention.c
 *		The conventions of a database: orm_ext.naming_template and the presets.
 *
 * The table is read anew for each statement that needs it: it is small, DDL is
 * rare, and so a convention holds in the very transaction that changes it.
 * Where the extension is not created there are no conventions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "naming.h"
#include "util/names.h"

struct OrmConventions
{
	List	   *stored;			/* OrmConvention */
	OrmConvention presets[ORM_NAME_KINDS];	/* where nothing is stored */
};

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

/*
 * The conventions of this database, NULL if the extension has not been created
 * in it.
 */
OrmConventions *
orm_load_conventions(void)
{
	Oid			relid = orm_extension_table("naming_template");
	OrmConventions *conventions;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(relid))
		return NULL;

	conventions = palloc0_object(OrmConventions);
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
	const char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
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
