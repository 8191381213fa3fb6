/*-------------------------------------------------------------------------
 *
 * naming.h
 *		Naming conventions for constraints and indexes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ORM_NAMING_H
#define ORM_NAMING_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "tcop/utility.h"

/* What has a name that a convention rules. */
typedef enum OrmNameKind
{
	ORM_NAME_PRIMARY_KEY,
	ORM_NAME_UNIQUE,
	ORM_NAME_FOREIGN_KEY,
	ORM_NAME_CHECK,
	ORM_NAME_INDEX,				/* of no constraint, unique or not */
	ORM_NAME_EXCLUSION
} OrmNameKind;

#define ORM_NAME_KINDS (ORM_NAME_EXCLUSION + 1)

/* A constraint or index: all that a template can put into its name. */
typedef struct OrmNameSubject
{
	OrmNameKind kind;
	bool		is_unique_index;
	const char *schema;
	const char *table;
	List	   *columns;		/* char *, in order */
	const char *referred_table; /* of a foreign key */
	List	   *referred_columns;	/* char * */
	const char *constraint_name;	/* the name that was given, or NULL */
} OrmNameSubject;

/* How a name that is too long is shortened. */
typedef enum OrmNameOverflow
{
	ORM_NAME_OVERFLOW_SQLALCHEMY,	/* cut, and a digest of the whole name */
	ORM_NAME_OVERFLOW_POSTGRES	/* the longest parts are cut, as
								 * makeObjectName() does */
} OrmNameOverflow;

typedef struct OrmTemplate OrmTemplate;

/* What holds for one kind of names in one schema, or in all. */
typedef struct OrmConvention
{
	const char *schema;			/* NULL: all that have none of their own */
	OrmNameKind kind;
	const OrmTemplate *template;	/* NULL: any name will do */
	OrmNameOverflow overflow;
	bool		schema_in_label;
} OrmConvention;

/* Conventions of this database; see convention.c. */
typedef struct OrmConventions OrmConventions;

/* A constraint or index that exists. */
typedef struct OrmNamed
{
	OrmNameSubject subject;
	const char *name;
	Oid			classid;		/* pg_constraint, or pg_class for an index */
	Oid			objid;
	Oid			relid;			/* the table */
	Oid			namespaceid;
	bool		is_of_typed_table;
	bool		conforms;
	bool		goes_by_unique; /* an index with a constraint's name */
} OrmNamed;

/* template.c */
extern OrmTemplate *orm_parse_template(const char *string, const char **problem);
extern const char *orm_template_problem_hint(void);
extern bool orm_template_wants_name(const OrmTemplate *template);
extern bool orm_template_wants_referred(const OrmTemplate *template);
extern char *orm_expand_template(const OrmConvention *convention, const OrmNameSubject *subject,
								 OrmNameOverflow overflow, const char *digits);
extern bool orm_template_is_void(const OrmConvention *convention, const OrmNameSubject *subject);
extern void orm_template_frame(const OrmConvention *convention, const OrmNameSubject *subject,
							   char **before, char **after);

/* shorten.c */
typedef struct OrmNamePart
{
	const char *string;
	bool		is_variable;	/* comes from the table, not the template */
} OrmNamePart;

extern char *orm_join_name(const OrmNamePart *parts, int count,
						   OrmNameOverflow overflow, const char *digits);
extern bool orm_is_shortened(const char *name, int length, const char *before, const char *after);

/* convention.c */
extern const OrmConventions *orm_load_conventions(void);
extern const OrmConvention *orm_convention(const OrmConventions *conventions,
										   const char *schema, OrmNameKind kind);
extern const char *orm_name_kind_label(OrmNameKind kind);
extern bool orm_parse_name_kind(const char *label, OrmNameKind *kind);
extern const char *orm_name_kind_noun(OrmNameKind kind);

/* exemption.c */
typedef struct OrmExemptions OrmExemptions;

extern OrmExemptions *orm_load_exemptions(void);
extern bool orm_is_exempt(const OrmExemptions *exemptions, const char *identity);
extern char *orm_name_identity(const OrmNameSubject *subject, const char *name);

/* conform.c */
extern bool orm_name_conforms(const OrmConventions *conventions, const OrmNameSubject *subject,
							  const char *name);
extern bool orm_goes_by_unique(const OrmConventions *conventions, const OrmNameSubject *subject,
							   const char *name);
extern OrmNameSubject orm_subject_to_rename(const OrmConvention *convention,
											const OrmNameSubject *subject, const char *name);

/* choose.c */
typedef bool (*OrmNameIsTaken) (const char *name, void *state);

extern char *orm_expected_name(const OrmConvention *convention, const OrmNameSubject *subject);
extern char *orm_choose_name(const OrmConvention *convention, const OrmNameSubject *subject,
							 OrmNameIsTaken is_taken, void *state);
extern char *orm_choose_free_name(const OrmConvention *convention, const OrmNameSubject *subject,
								  Oid namespaceid, const char *oldname);
extern bool orm_has_index(OrmNameKind kind);
extern bool orm_relation_name_exists(const char *name, Oid namespaceid);
extern bool orm_constraint_name_exists(OrmNameKind kind, const char *name, Oid namespaceid);

/* columns.c */
extern const char *orm_first_column_written(Node *expression, const char *row);
extern const char *orm_first_column(Node *expression, Oid relid);
extern List *orm_columns_written(Node *expression, const char *row);
extern List *orm_columns(Node *expression, Oid relid);

/* catalog.c */
extern bool orm_is_named_relkind(char relkind);
extern List *orm_named_in_schema(const char *schema);
extern List *orm_named_of_relations(List *relids, bool with_referrers);
extern List *orm_constraints_of(Oid relid);
extern bool orm_check_exists(const char *name, int parents);
extern bool orm_is_renamable(const OrmNamed *named);
extern void orm_judge_names(const OrmConventions *conventions, List *named);

/* statement.c */
extern List *orm_names_to_come;

extern bool orm_is_system_schema(const char *schema);
extern PlannedStmt *orm_name_statement(PlannedStmt *pstmt, bool read_only_tree,
									   ProcessUtilityContext context);
extern bool orm_naming_is_off(void);
extern List *orm_primary_key_names(Oid relid);

/* vacated.c */
typedef struct OrmVacated OrmVacated;

extern OrmVacated *orm_vacated_by(const AlterTableStmt *alter, Oid relid);
extern bool orm_column_is_dropped(const OrmVacated *vacated, const char *column);
extern bool orm_name_is_vacated(const OrmVacated *vacated, OrmNameKind kind, const char *name,
								Oid namespaceid);

/* plan.c */
extern char *orm_rename_command(const OrmNamed *named, const char *newname);

/* check.c */
extern void orm_check_name(const OrmConventions *conventions, const OrmNameSubject *subject,
						   const char *name, const char *oldname, Oid namespaceid);
extern void orm_check_existing_index(const OrmNameSubject *subject, const char *name, Oid relid);

/* rename.c */
typedef struct OrmRename OrmRename;

extern OrmRename *orm_before_rename(Node *stmt);
extern void orm_after_rename(OrmRename *rename);

#endif							/* ORM_NAMING_H */
