# Naming conventions among pg_stat_statements, auto_explain and event triggers: what these tell of DDL
# that is filled is what they tell without the library, but for the names of the templates.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', q(
autovacuum = off
client_min_messages = warning
orm_ext.naming_check = off
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = 'all'
pg_stat_statements.track_utility = on
compute_query_id = on));

for my $database ('app', 'plain')
{
	ask($node, 'postgres', "CREATE DATABASE $database");
	ask($node, $database, q(
		CREATE EXTENSION pg_stat_statements;
		CREATE TABLE told (n serial, event text, tag text, type text, schema text, identity text, in_extension boolean);
		CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF TG_EVENT = 'sql_drop' THEN
				INSERT INTO public.told (event, tag, type, schema, identity)
				SELECT TG_EVENT, TG_TAG, object_type, schema_name, object_identity FROM pg_event_trigger_dropped_objects()
				WHERE schema_name = 'shop';
			ELSIF TG_EVENT = 'ddl_command_start' THEN
				INSERT INTO public.told (event, tag) VALUES (TG_EVENT, TG_TAG);
			ELSE
				INSERT INTO public.told (event, tag, type, schema, identity, in_extension)
				SELECT TG_EVENT, TG_TAG || '/' || command_tag, object_type, schema_name, object_identity, in_extension
				FROM pg_event_trigger_ddl_commands() WHERE schema_name = 'shop';
			END IF;
		END $$;));
}
ask($node, 'app', q(
	CREATE EXTENSION orm_ext;
	INSERT INTO orm_ext.naming_template (kind, template) VALUES
		('pk', 'pk_%(table_name)s'), ('uq', 'uq_%(table_name)s_%(column_0_N_name)s'), ('ix', 'ix_%(table_name)s_%(column_0_N_name)s'),
		('fk', 'fk_%(table_name)s_%(column_0_N_name)s'), ('ck', 'ck_%(table_name)s_%(constraint_name)s'), ('ex', 'ex_%(table_name)s_%(column_0_N_name)s')));

my $ddl = q(
	SET search_path = shop;
	CREATE TABLE account (id int PRIMARY KEY, code text UNIQUE, region int CHECK (region > 0), EXCLUDE (region WITH =));
	CREATE TABLE entry (id serial PRIMARY KEY, account_id int REFERENCES account, a int, b int, UNIQUE (a, b));
	CREATE INDEX ON entry (a, b);
	CREATE INDEX ON entry (a, b);
	CREATE UNIQUE INDEX ON account (lower(code)) WHERE region > 0;
	CREATE INDEX CONCURRENTLY ON entry (account_id);
	ALTER TABLE entry ADD UNIQUE (b), ADD FOREIGN KEY (a) REFERENCES account, ADD CHECK (a > 0), ADD COLUMN c int UNIQUE CHECK (c > 0);
	CREATE TABLE event (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
	CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
	CREATE INDEX ON event (at);
	CREATE TABLE copied (LIKE account INCLUDING ALL);
	CREATE TABLE selected AS SELECT 1 AS id;
	CREATE MATERIALIZED VIEW mv AS SELECT 1 AS id;
	CREATE INDEX ON mv (id);
	PREPARE p AS SELECT 1;
	DO 'BEGIN CREATE INDEX ON entry (b); EXECUTE ''CREATE INDEX ON entry (b)''; END';
	CREATE SCHEMA side CREATE TABLE odd (id int PRIMARY KEY) CREATE INDEX ON odd (id);
	DROP TABLE side.odd;
	DROP SCHEMA side;
	ALTER TABLE entry RENAME COLUMN c TO cc;
	ALTER TABLE entry RENAME TO renamed;
	ALTER TABLE renamed ALTER a TYPE bigint;
	DROP TABLE copied;
);

# Run it in both databases, in one session each.
sub run_both
{
	my ($name) = @_;

	ask($node, 'app', 'SELECT pg_stat_statements_reset()');
	for my $database ('app', 'plain')
	{
		ask($node, $database, q(
			SET client_min_messages = error;
			DROP EVENT TRIGGER IF EXISTS told_start;
			DROP EVENT TRIGGER IF EXISTS told_end;
			DROP EVENT TRIGGER IF EXISTS told_drop;
			DROP SCHEMA IF EXISTS shop CASCADE;
			CREATE SCHEMA shop;
			TRUNCATE told RESTART IDENTITY;
			CREATE EVENT TRIGGER told_start ON ddl_command_start EXECUTE FUNCTION told();
			CREATE EVENT TRIGGER told_end ON ddl_command_end EXECUTE FUNCTION told();
			CREATE EVENT TRIGGER told_drop ON sql_drop EXECUTE FUNCTION told();));
		is(told($node, $database, $ddl), '', "$name: DDL in $database");
	}
	return;
}

# The templates' names in terms of PostgreSQL's own.
my %suffix = (pk => 'pkey', uq => 'key', ix => 'idx', fk => 'fkey', ck => 'check', ex => 'excl');

sub as_of_postgres
{
	my ($text) = @_;

	return $text =~ s/\bpk_(\w+?)(\d?)\b/$1_pkey$2/gr =~ s/\b(uq|ix|fk|ck|ex)_([a-z_]+)(\d*)\b/$2_$suffix{$1}$3/gr;
}

my $told = q(SELECT event, tag, type, schema, identity, in_extension FROM told ORDER BY n);
my $counted = q(
	SELECT query, toplevel, calls, rows FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = dbid
	WHERE datname = current_database() AND query ~ '^(CREATE|ALTER|DROP|DO|PREPARE)'
		AND query !~ 'told|EVENT TRIGGER|SCHEMA (IF EXISTS )?shop'
	ORDER BY query COLLATE "C", toplevel);

sub check_neighbours
{
	my ($name, $conf) = @_;

	note $name;
	$node->append_conf('postgresql.conf', $conf);
	$node->restart;
	run_both($name);

	my $of_app = ask($node, 'app', $told);

	like($of_app, qr/^ddl_command_end\|CREATE TABLE\/CREATE INDEX\|index\|shop\|shop\.pk_account\|f$/m, "$name: an event trigger is told of the templates' names");
	like($of_app, qr/^ddl_command_end\|CREATE INDEX\/CREATE INDEX\|index\|shop\|shop\.ix_entry_a_b1\|f$/m, '... with digits');
	like($of_app, qr/^sql_drop\|DROP TABLE\|table constraint\|shop\|uq_copied_code on shop\.copied\|$/m, '... of those that are dropped');
	is(as_of_postgres($of_app), as_of_postgres(ask($node, 'plain', $told) =~ s/lower_idx/code_idx/gr), "$name: ... and of the same as without the library");
	is(ask($node, 'app', $counted), ask($node, 'plain', $counted), "$name: pg_stat_statements has the same statements, as they were sent");
	like(ask($node, 'app', $counted), qr/^CREATE INDEX ON entry \(a, b\)\|t\|2\|0$/m, '... each with its calls');
	like(ask($node, 'app', $counted), qr/^CREATE INDEX ON entry \(b\)\|f\|2\|0$/m, '... in DO too');
	is(ask($node, 'app', q(
			SELECT count(*) FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = dbid
			WHERE datname = current_database() AND query ~ 'naming_(template|exemption)')), 0, '... and none that the library has run');

	# auto_explain tells of queries that a statement runs
	is_deeply(explained('app'), explained('plain'), "$name: auto_explain sees no query of the library");
	return;
}

# The queries that auto_explain has seen of some DDL.
sub explained
{
	my ($database) = @_;
	my $offset = -s $node->logfile;

	ask($node, $database, q(
		LOAD 'auto_explain';
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_nested_statements = on;
		SET search_path = shop;
		CREATE TABLE explained (id int PRIMARY KEY, a int UNIQUE CHECK (a > 0) REFERENCES explained);
		CREATE INDEX ON explained (a, id);
		ALTER TABLE explained ADD UNIQUE (a, id);
		SELECT 1 AS visible;));
	my @seen = slurp_file($node->logfile, $offset) =~ /Query Text: (.*)/g;

	is($seen[-1], 'SELECT 1 AS visible;', "auto_explain is there in $database");
	return [ map { as_of_postgres($_) } @seen ];
}

my $loaded = q(session_preload_libraries = '');
check_neighbours('before them', qq($loaded\nshared_preload_libraries = 'orm_ext, pg_stat_statements, auto_explain'));
check_neighbours('behind them', qq($loaded\nshared_preload_libraries = 'auto_explain, pg_stat_statements, orm_ext'));
check_neighbours('per session', q(
shared_preload_libraries = 'pg_stat_statements'
session_preload_libraries = 'auto_explain, orm_ext'));

note 'renames that follow';

$node->append_conf('postgresql.conf', 'orm_ext.naming_follow = on');
$node->reload;
run_both('naming_follow');
like(ask($node, 'app', $told), qr/^ddl_command_end\|ALTER TABLE\/ALTER TABLE\|table\|shop\|shop\.renamed\|f$/m, 'the table that was renamed is told of');
is(ask($node, 'app', q(
		SELECT string_agg(identity, ' ' ORDER BY identity COLLATE "C") FROM told
		WHERE event = 'ddl_command_end' AND tag ~ '^ALTER (INDEX|SEQUENCE)/')),
	join(' ', map { "shop.$_" } qw(ix_renamed_a_b ix_renamed_a_b1 ix_renamed_account_id ix_renamed_b ix_renamed_b1 pk_renamed
			renamed_id_seq uq_entry_cc uq_renamed_a_b uq_renamed_b uq_renamed_cc)),
	'... and each index and sequence that has followed');
is(ask($node, 'app', q(SELECT string_agg(indexname, ' ' ORDER BY indexname COLLATE "C") FROM pg_indexes WHERE schemaname = 'shop' AND tablename = 'renamed')),
	'ix_renamed_a_b ix_renamed_a_b1 ix_renamed_account_id ix_renamed_b ix_renamed_b1 pk_renamed uq_renamed_a_b uq_renamed_b uq_renamed_cc',
	'... by the names that they have now');

note 'an event trigger that fails';

ask($node, 'app', q(
	CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
	CREATE EVENT TRIGGER zz_refuse ON ddl_command_end WHEN TAG IN ('CREATE INDEX', 'ALTER TABLE') EXECUTE FUNCTION refuse();));
my $names = q(SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'shop'::regnamespace);
my $before = ask($node, 'app', $names);
like(told($node, 'app', "SET search_path = shop; $_"), qr/ERROR:  P0001: refused/, "it refuses $_")
  for 'CREATE INDEX ON account (region)', 'ALTER TABLE account ADD UNIQUE (region)', 'ALTER TABLE renamed RENAME TO entry';
is(ask($node, 'app', $names), $before, '... and nothing has changed');

$node->stop;
done_testing();
