-- What sessions are told of the database, without what an upgrade may change.
SET client_min_messages = warning;
\echo == rows, deleted ones included
SET orm_ext.deleted_rows = show;
SELECT 'customer', t::text FROM customer AS t ORDER BY 2;
SELECT 'invoice', t::text FROM invoice AS t ORDER BY 2;
SELECT 'line', t::text FROM line AS t ORDER BY 2;
SELECT 'attachment', t::text FROM attachment AS t ORDER BY 2;
SELECT 'payment', t::text FROM payment AS t ORDER BY 2;
SELECT 'note', t::text FROM note AS t ORDER BY 2;
SELECT 'switched_off', t::text FROM switched_off AS t ORDER BY 2;
SELECT 'event', tableoid::regclass::text, t::text FROM event AS t ORDER BY 3;
SELECT 'log', tableoid::regclass::text, t::text FROM log AS t ORDER BY 3;
RESET orm_ext.deleted_rows;

\echo == live rows
SELECT 'customer', id, email, name, points, version_id FROM customer ORDER BY id;
SELECT 'invoice', id, customer_id, lock_version FROM invoice ORDER BY id;
SELECT 'line', invoice_id, position FROM line ORDER BY 2, 3;
SELECT 'attachment', id FROM attachment ORDER BY id;
SELECT 'payment', id FROM payment ORDER BY id;
SELECT 'note', id, change_id FROM note ORDER BY id;
SELECT 'switched_off', id FROM switched_off ORDER BY id;
SELECT 'event', tableoid::regclass::text, id FROM event ORDER BY id;
SELECT 'log', tableoid::regclass::text, id FROM log ORDER BY id;
SELECT 'balance', v::text FROM balance AS v ORDER BY id;
SELECT 'bin', v::text FROM bin AS v ORDER BY id;
SELECT 'live customers', f FROM live_customers() AS f ORDER BY f;
SELECT 'lines', v::text FROM lines AS v ORDER BY invoice_id;

\echo == policies
SELECT 'status', s::text FROM orm_ext.status() AS s;
SELECT 'managed', m::text FROM orm_ext.managed AS m ORDER BY "table"::text, policy;
SELECT 'deletions', d::text FROM orm_ext.deletions AS d WHERE deleted_at IS NOT NULL ORDER BY 2;
SELECT 'trigger', tgrelid::regclass::text, tgenabled, tgisinternal, tgparentid <> 0, pg_get_triggerdef(oid)
	FROM pg_trigger WHERE tgconstraint = 0 ORDER BY 2, 6;
SELECT 'publication', p::text FROM pg_publication_tables AS p ORDER BY 2;
SELECT 'identity', oid::regclass::text, relreplident FROM pg_class WHERE relreplident = 'f' AND relnamespace = 'public'::regnamespace ORDER BY 2;
SELECT 'setting', name, setting FROM pg_settings WHERE name LIKE 'orm\_ext.%' ORDER BY 2;

\echo == names
SELECT 'constraint', conrelid::regclass::text, conname, contype, convalidated FROM pg_constraint
	WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c') ORDER BY 2, 3;
SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2, 3;
SELECT 'template', t::text FROM orm_ext.naming_template AS t ORDER BY 2;
SELECT 'exemption', t::text FROM orm_ext.naming_exemption AS t ORDER BY 2;
SELECT 'judged', a.schema, a."table", name, expected, conforms, exempt FROM orm_ext.naming_audit('public') AS a ORDER BY 2, 3, 4;
SELECT 'lint setting', t::text FROM orm_ext.lint_setting AS t ORDER BY 2;
SELECT 'lint prefix', t::text FROM orm_ext.lint_prefix AS t ORDER BY 2;
SELECT 'lint exemption', t::text FROM orm_ext.lint_exemption AS t ORDER BY 2;
