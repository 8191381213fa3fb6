# What the catalogs say of the extension: each of its objects, with what is part of it, as one line of
# text without OIDs, so that two databases can be compared.

package OrmExt::Catalog;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use OrmExt::Test;

our @EXPORT = qw(catalog_of_extension catalog_differences);

# Kinds of objects that the extension does not have yet have no definition here: the walk says so.
my $query = q(
	SET search_path = pg_catalog;
	SET row_security = off;

	CREATE FUNCTION pg_temp.privileges(acl aclitem[]) RETURNS text LANGUAGE sql AS $$
		SELECT coalesce(string_agg(concat_ws(' ', coalesce(nullif(grantee, 0)::regrole::text, 'public'),
			privilege_type, CASE WHEN is_grantable THEN 'with grant option' END), ', '
			ORDER BY grantee::regrole::text, privilege_type, is_grantable), 'none')
		FROM aclexplode(acl) $$;

	CREATE FUNCTION pg_temp.definition(class regclass, object oid, sub int) RETURNS text LANGUAGE sql AS $$
		SELECT CASE class
		WHEN 'pg_proc'::regclass THEN (
			SELECT CASE WHEN prokind = 'a' THEN to_jsonb(a)::text || pg_get_function_arguments(p.oid)
				ELSE pg_get_functiondef(p.oid) END
			FROM pg_proc AS p LEFT JOIN pg_aggregate AS a ON a.aggfnoid = p.oid WHERE p.oid = object)
		WHEN 'pg_class'::regclass THEN (
			SELECT CASE relkind WHEN 'i' THEN pg_get_indexdef(c.oid) WHEN 'v' THEN pg_get_viewdef(c.oid) WHEN 'm' THEN pg_get_viewdef(c.oid)
				WHEN 'S' THEN (SELECT concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle)
					FROM pg_sequence WHERE seqrelid = c.oid)
				ELSE '' END
				|| concat_ws(' ', relkind, relpersistence, amname, reloptions, relrowsecurity, relforcerowsecurity, relispartition,
					relreplident, pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid))
				|| (SELECT coalesce(string_agg(concat_ws(' ', E'\n' || attname, format_type(atttypid, atttypmod),
						CASE WHEN attcollation <> typcollation THEN attcollation::regcollation END, CASE WHEN attnotnull THEN 'not null' END,
						attidentity, attgenerated, attstorage, attcompression, attstattarget,
						(SELECT string_agg(o, ' ') FROM unnest(attoptions) AS o WHERE o NOT LIKE 'pg_attver=%')), '' ORDER BY attnum), '')
					FROM pg_attribute JOIN pg_type AS t ON t.oid = atttypid
					WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'i')
			FROM pg_class AS c LEFT JOIN pg_am AS am ON am.oid = relam WHERE c.oid = object)
		WHEN 'pg_attrdef'::regclass THEN (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE oid = object)
		WHEN 'pg_constraint'::regclass THEN (SELECT concat_ws(' ', pg_get_constraintdef(oid), convalidated, conislocal, connoinherit)
			FROM pg_constraint WHERE oid = object)
		WHEN 'pg_trigger'::regclass THEN (SELECT concat_ws(' ', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE oid = object)
		WHEN 'pg_rewrite'::regclass THEN (SELECT concat_ws(' ', pg_get_ruledef(oid), ev_enabled) FROM pg_rewrite WHERE oid = object)
		WHEN 'pg_policy'::regclass THEN (SELECT concat_ws(' ', polcmd, polpermissive, polroles::regrole[],
			pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM pg_policy WHERE oid = object)
		WHEN 'pg_type'::regclass THEN (
			SELECT concat_ws(' ', typtype, typcategory, typlen, typalign, typstorage, typnotnull, typdefault, format_type(typbasetype, typtypmod),
				(SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
			FROM pg_type AS t WHERE oid = object)
		WHEN 'pg_event_trigger'::regclass THEN (SELECT concat_ws(' ', evtevent, evtfoid::regprocedure, evtenabled, evttags)
			FROM pg_event_trigger WHERE oid = object)
		WHEN 'pg_namespace'::regclass THEN 'schema'
		ELSE 'a kind that OrmExt::Catalog does not know'
		END $$;

	CREATE FUNCTION pg_temp.owned(class regclass, object oid, OUT owner regrole, OUT acl aclitem[], OUT usual aclitem[]) LANGUAGE sql AS $$
		SELECT proowner, proacl, acldefault('f', proowner) FROM pg_proc WHERE class = 'pg_proc'::regclass AND oid = object
		UNION ALL
		SELECT relowner, relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)
		FROM pg_class WHERE class = 'pg_class'::regclass AND oid = object
		UNION ALL
		SELECT typowner, typacl, acldefault('T', typowner) FROM pg_type WHERE class = 'pg_type'::regclass AND oid = object
		UNION ALL
		SELECT nspowner, nspacl, acldefault('n', nspowner) FROM pg_namespace WHERE class = 'pg_namespace'::regclass AND oid = object
		UNION ALL
		SELECT evtowner, NULL, NULL FROM pg_event_trigger WHERE class = 'pg_event_trigger'::regclass AND oid = object $$;

	CREATE FUNCTION pg_temp.content(rel regclass) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		result text;
	BEGIN
		EXECUTE format('SELECT coalesce(string_agg(t::text, '' '' ORDER BY t::text), ''nothing'') FROM %s AS t', rel) INTO result;
		RETURN result;
	END $$;

	-- members, and what is part of a member: indexes, constraints, defaults, rules, triggers, row types
	CREATE TEMPORARY TABLE objects AS
	WITH RECURSIVE o (class, object, sub) AS (
		SELECT classid, objid, objsubid FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'orm_ext')
		UNION
		SELECT classid, objid, objsubid FROM pg_depend JOIN o ON refclassid = class AND refobjid = object
		WHERE deptype IN ('a', 'i', 'P', 'S')
	)
	SELECT class::regclass, object, sub, i.type || ' ' || i.identity AS label
	FROM o, pg_identify_object(class, object, sub) AS i
	WHERE i.schema IS DISTINCT FROM 'pg_toast';

	SELECT replace(line, E'\n', ' ') FROM (
		SELECT label || ': ' || coalesce(pg_temp.definition(class, object, sub), 'no definition') FROM objects
		UNION ALL
		SELECT label || ' has owner ' || owner || ' and privileges ' || pg_temp.privileges(coalesce(acl, usual))
		FROM objects, pg_temp.owned(class, object) WHERE owner IS NOT NULL
		UNION ALL
		SELECT label || ', column ' || attname || ' has privileges ' || pg_temp.privileges(attacl)
		FROM objects JOIN pg_attribute ON attrelid = object WHERE class = 'pg_class'::regclass AND attacl IS NOT NULL
		UNION ALL
		SELECT label || coalesce(', column ' || attname, '') || ' is shipped with privileges ' || pg_temp.privileges(initprivs)
		FROM objects AS o JOIN pg_init_privs AS p ON p.classoid = class AND p.objoid = object
			LEFT JOIN pg_attribute ON class = 'pg_class'::regclass AND attrelid = object AND attnum = p.objsubid AND attnum > 0
		WHERE p.objsubid > 0 OR pg_temp.privileges(initprivs) <> (SELECT pg_temp.privileges(usual) FROM pg_temp.owned(class, object))
		UNION ALL
		SELECT label || coalesce(', column ' || attname, '') || ' has the comment ' || description
		FROM objects AS o JOIN pg_description AS d ON d.classoid = class AND d.objoid = object
			LEFT JOIN pg_attribute ON class = 'pg_class'::regclass AND attrelid = object AND attnum = d.objsubid AND attnum > 0
		UNION ALL
		SELECT label || ' holds ' || pg_temp.content(object)
		FROM objects WHERE class = 'pg_class'::regclass
			AND EXISTS (SELECT FROM pg_class WHERE oid = object AND relkind = 'r')
		UNION ALL
		SELECT DISTINCT label || ' depends (' || deptype::text || ') on ' || i.type || ' ' || i.identity
		FROM objects JOIN pg_depend ON classid = class AND objid = object, pg_identify_object(refclassid, refobjid, refobjsubid) AS i
		UNION ALL
		SELECT concat_ws(' ', 'extension', extname, extversion, extowner::regrole::text, extnamespace::regnamespace::text, extrelocatable)
		FROM pg_extension WHERE extname = 'orm_ext'
		UNION ALL
		SELECT 'configuration ' || config::regclass || ' where (' || condition || ')'
		FROM pg_extension, unnest(extconfig, extcondition) AS c (config, condition) WHERE extname = 'orm_ext'
	) AS l (line)
	ORDER BY line COLLATE "C");

# One line for each thing that the catalogs say of the extension.
sub catalog_of_extension
{
	my ($node, $database) = @_;

	return split /\n/, ask($node, $database, $query);
}

# The lines that only one of two databases has, marked by - and +.
sub catalog_differences
{
	my ($node, $one, $other) = @_;
	my @one = catalog_of_extension($node, $one);
	my @other = catalog_of_extension($node, $other);
	my %in_one = map { $_ => 1 } @one;
	my %in_other = map { $_ => 1 } @other;

	return (map("-$_", grep { !$in_other{$_} } @one), map("+$_", grep { !$in_one{$_} } @other));
}

1;
