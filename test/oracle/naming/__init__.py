"""Naming oracle: random DDL against plain PostgreSQL, and against a model of the naming conventions.

Two databases are told the same, one of them with the extension.  Answers, notices and catalogs
have to be the same but for the names of what the statements leave unnamed; these have to be the
model's choice on both sides, where the plain side has PostgreSQL's own chooser for a model.  So the
model is tested by plain PostgreSQL, and the extension by the model.  With the preset all_columns and
PostgreSQL's rule for long names the names have to be the same, too.

Taken as right although plain PostgreSQL differs:
- an index with expressions, INCLUDE columns, a column listed twice, or one that LIKE copies from a
  table whose column was renamed since, has another name than PostgreSQL gives;
- a name that a statement gives later on is kept clear of, where PostgreSQL fails;
- CREATE INDEX IF NOT EXISTS warns where a name of full length may have been cut.

Left open: names that are nearly what a long constraint_name may have been cut to, and what becomes
of CHECKs that LIKE has copied, or that have their column in place of a name, after a rename.
"""
