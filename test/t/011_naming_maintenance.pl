# What is none of the naming convention's business: extensions, temporary tables, and commands by
# which the server itself makes, copies and renames indexes and constraints.
#
# Two databases with the same objects, none of whose names follows the templates, get the same
# commands: one has no orm_ext, the other one has it preloaded with naming_fill = on and naming_check =
# error.  All names have to be the same, and nobody may be told anything.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Naming;
use OrmExt::Test;
use Test::More;

my $node = new_node('main', q(autovacuum = off));

# The database "plain" without the library, and "guarded" with it.
sub create_databases
{
	my ($suffix) = @_;

	create_plain_database($node, "plain$suffix");
	create_database($node, "guarded$suffix");
	ask($node, "guarded$suffix", strange_templates());
	ask($node, 'postgres', "ALTER DATABASE guarded$suffix SET $_")
	  for q(session_preload_libraries = 'orm_ext'), q(orm_ext.naming_fill = on), q(orm_ext.naming_check = 'error');
	return;
}

# All messages for some commands, but for the places in the server's source, and sorted: a command for
# a whole schema takes its tables in no certain order.
sub messages
{
	my ($database, $sql) = @_;
	my $told = told($node, $database, $sql, go_on => 1) =~ s/^.*LOCATION: .*\n?//mgr =~ s/\b$database\b/DATABASE/gr;

	return join("\n", sort(split(/\n/, $told)));
}

# Messages of the same commands in both databases are the same, and all names are afterwards.
sub same
{
	my ($name, $sql) = @_;
	my $expected = messages('plain', $sql);

	is(messages('guarded', $sql), $expected, "$name: messages");
	is(names_of($node, 'guarded'), names_of($node, 'plain'), "$name: names");
	return;
}

create_databases('');
ask($node, $_, 'SET client_min_messages = error; SET orm_ext.naming_fill = off; SET orm_ext.naming_check = off;'
	  . wild_schema($node->pg_version)) for 'plain', 'guarded';
is(names_of($node, 'guarded'), names_of($node, 'plain'), 'both have the same names');
like(told($node, 'guarded', 'CREATE TABLE odd (a int CONSTRAINT odd PRIMARY KEY)'), qr/ERROR:  42602/, 'one of them is guarded');
is(ask($node, 'guarded', q(
		CREATE TABLE odd (a int PRIMARY KEY);
		SELECT conname FROM pg_constraint WHERE conrelid = 'odd'::regclass AND contype = 'p';
		DROP TABLE odd)), 'pk_odd', '... and filled');

note 'extensions';

# Every extension that can be created here, with those it needs, and all that belongs to it.
create_databases('_ext');
my $members = q(
	SET search_path = '';
	SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
		AND refobjid NOT IN (SELECT oid FROM pg_extension WHERE extname IN ('orm_ext', 'plpgsql'))
		ORDER BY pg_describe_object(classid, objid, objsubid) COLLATE "C";);
my @extensions = split /\n/, ask($node, 'plain_ext', q(SELECT name FROM pg_available_extensions WHERE name NOT IN ('orm_ext', 'plpgsql') ORDER BY name));
my @created;

for my $extension (@extensions)
{
	my $sql = qq(SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS "$extension" CASCADE);
	my $expected = messages('plain_ext', $sql);

	push @created, $extension if $expected !~ /ERROR/;
	is(messages('guarded_ext', $sql), $expected, "CREATE EXTENSION $extension");
}
cmp_ok(scalar @created, '>=', 10, scalar @created . ' extensions were created');
is(ask($node, 'guarded_ext', $members), ask($node, 'plain_ext', $members), '... with the same members');
is(names_of($node, 'guarded_ext'), names_of($node, 'plain_ext'), '... and the same names');

note 'commands of the server';

my $path = 'SET search_path = "Wild ""one"""';

same('temporary tables', qq(
	CREATE TEMPORARY TABLE x (a int CONSTRAINT "any name" PRIMARY KEY, b int UNIQUE CHECK (b > 0), EXCLUDE (a WITH =));
	CREATE INDEX ON x (a, b);
	CREATE INDEX "other name" ON x (b);
	CREATE TABLE pg_temp.y (a int CONSTRAINT "own name" UNIQUE, b int CONSTRAINT z REFERENCES x);
	ALTER TABLE x ADD CONSTRAINT "one more" UNIQUE (b), ADD COLUMN c int CONSTRAINT "yet another" CHECK (c > 0);
	ALTER INDEX "other name" RENAME TO "still other";
	ALTER TABLE x RENAME CONSTRAINT "one more" TO "two more";
	ALTER TABLE x RENAME TO renamed;
	ALTER TABLE renamed RENAME COLUMN b TO bb;
	CREATE TEMPORARY TABLE z (LIKE renamed INCLUDING ALL) ON COMMIT DELETE ROWS;
	SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema();
	DISCARD TEMP;));
is(ask($node, 'guarded', q(
	CREATE TEMPORARY TABLE x (a int PRIMARY KEY, b int, c int, UNIQUE (b, c), CHECK (c > 0));
	CREATE INDEX ON x (b, c);
	SELECT string_agg(conname, ' ' ORDER BY conname COLLATE "C") FROM pg_constraint WHERE conrelid = 'x'::regclass AND contype <> 'n';
	SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY indexrelid::regclass::text COLLATE "C") FROM pg_index WHERE indrelid = 'x'::regclass)),
	"x_b_c_key x_c_check x_pkey\nx_b_c_idx x_b_c_key x_pkey", 'names in temporary tables are PostgreSQL\'s own');
same('REINDEX CONCURRENTLY', qq($path;
	REINDEX INDEX CONCURRENTLY "my.unique";
	REINDEX TABLE CONCURRENTLY account;
	REINDEX TABLE CONCURRENTLY event;
	REINDEX SCHEMA CONCURRENTLY "Wild ""one""";));
same('REINDEX', qq($path;
	REINDEX INDEX "a""b.c""";
	REINDEX TABLE account;
	REINDEX SCHEMA "Wild ""one""";));
same('CLUSTER, VACUUM', qq($path;
	CLUSTER account;
	CLUSTER entry USING entry_account_id_idx7;
	CLUSTER;
	VACUUM FULL account;
	VACUUM FULL;
	VACUUM ANALYZE;));
same('REFRESH MATERIALIZED VIEW', qq($path;
	REFRESH MATERIALIZED VIEW codes;
	REFRESH MATERIALIZED VIEW CONCURRENTLY codes;));
same('rewrites', qq($path;
	DROP FUNCTION add_account;
	DROP VIEW account_entries;
	DROP MATERIALIZED VIEW codes;
	ALTER TABLE account ALTER region TYPE bigint, ALTER kind TYPE varchar(20);
	ALTER TABLE entry ALTER account_id TYPE bigint, ALTER id TYPE bigint;
	ALTER TABLE account_copy SET UNLOGGED;
	ALTER TABLE fleeting SET LOGGED;
	ALTER TABLE account_copy SET ACCESS METHOD heap, ALTER span TYPE int4range USING span;
	ALTER TABLE event ALTER kind TYPE varchar(20);
	TRUNCATE account CASCADE;));
same('partitions that come and go', qq($path;
	CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	CREATE TABLE event_2027 PARTITION OF event FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') PARTITION BY HASH (id);
	CREATE TABLE event_2027_0 PARTITION OF event_2027 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
	ALTER TABLE event DETACH PARTITION event_other;
	ALTER TABLE event DETACH PARTITION event_2024 CONCURRENTLY;
	ALTER TABLE event DETACH PARTITION event_2025;
	ALTER TABLE event ATTACH PARTITION event_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
	CREATE TABLE event_2028 (id int NOT NULL, at date NOT NULL, kind varchar(20), account_id int);
	ALTER TABLE event_2028 ADD CONSTRAINT "ck_event_2028_x" CHECK (kind <> '');
	ALTER TABLE event_2028 ADD CONSTRAINT "kind of event" CHECK (kind <> '');
	ALTER TABLE event ATTACH PARTITION event_2028 FOR VALUES FROM ('2028-01-01') TO ('2029-01-01');
	ALTER TABLE event DETACH PARTITION event_2026 CONCURRENTLY;
	ALTER TABLE event ATTACH PARTITION event_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');));
same('indexes that are attached', qq($path;
	DROP INDEX "not on all";
	CREATE INDEX "idx event_2027 (at)" ON ONLY event_2027 (at);
	CREATE INDEX "idx event_2027_0 (at)" ON event_2027_0 (at);
	ALTER INDEX "idx event_2027 (at)" ATTACH PARTITION "idx event_2027_0 (at)";
	CREATE UNIQUE INDEX "idx account_child (code)" ON account_child (code);
	ALTER TABLE account_child ADD UNIQUE USING INDEX "idx account_child (code)";
	CREATE UNIQUE INDEX "idx account_child (region)" ON account_child (region);
	ALTER TABLE account_child ADD CONSTRAINT "any name at all" UNIQUE USING INDEX "idx account_child (region)";));
same('inheritance', qq($path;
	CREATE TABLE heir () INHERITS (account);
	ALTER TABLE heir NO INHERIT account;
	ALTER TABLE heir INHERIT account;
	ALTER TABLE account_child NO INHERIT account;
	ALTER TABLE account ADD CONSTRAINT "ck_account_region" CHECK (region > 0);
	ALTER TABLE account DROP CONSTRAINT "50% of it";
	ALTER TABLE account ALTER CONSTRAINT "ck_account_region" DEFERRABLE;
	ALTER TABLE entry ALTER CONSTRAINT "FK" DEFERRABLE INITIALLY DEFERRED;
	ALTER TABLE entry VALIDATE CONSTRAINT "FK for later";));
same('copies', qq($path;
	CREATE TABLE copied (LIKE account INCLUDING CONSTRAINTS INCLUDING DEFAULTS INCLUDING COMMENTS);
	CREATE TABLE selected AS SELECT * FROM account;
	SELECT * INTO selected_too FROM account;
	CREATE FOREIGN TABLE far_too (a int CONSTRAINT "ck_far_too_x" CHECK (a > 0)) SERVER nowhere;));
same('names of other things', qq($path;
	ALTER TABLE entry ADD COLUMN s serial;
	ALTER SEQUENCE entry_s_seq RENAME TO "any sequence";
	ALTER TABLE entry ALTER s SET NOT NULL;
	CREATE DOMAIN d AS int CHECK (VALUE > 0);
	ALTER DOMAIN d ADD CONSTRAINT "any domain constraint" CHECK (VALUE < 10);
	ALTER DOMAIN d RENAME CONSTRAINT "any domain constraint" TO "another one";
	CREATE VIEW v AS SELECT * FROM entry;
	ALTER VIEW v RENAME COLUMN s TO ss;
	ALTER TABLE v RENAME TO w;
	CREATE TYPE pair AS (a int, b int);
	ALTER TYPE pair RENAME ATTRIBUTE a TO aa;
	CREATE STATISTICS more ON code, kind FROM account;
	ALTER TRIGGER "a trigger" ON entry RENAME TO "a trigger, renamed";
	CREATE INDEX IF NOT EXISTS "PK of account" ON account (kind);
	CREATE TABLE IF NOT EXISTS account (a int CONSTRAINT "no such" PRIMARY KEY);
	ALTER TABLE IF EXISTS nowhere ADD CONSTRAINT "no such" UNIQUE (a);
	ALTER INDEX IF EXISTS nowhere RENAME TO "no such";
	ALTER TABLE nowhere ADD PRIMARY KEY (a);
	CREATE INDEX ON nowhere (a);
	CREATE INDEX ON account (no_such_column);
	ALTER TABLE account ADD UNIQUE (no_such_column);
	ALTER TABLE w ADD PRIMARY KEY (id);
	CREATE INDEX ON w (id);));

note 'IMPORT FOREIGN SCHEMA';

ask($node, $_, sprintf(q(
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'plain');
		CREATE USER MAPPING FOR CURRENT_USER SERVER loopback;
		CREATE SCHEMA imported), $node->host, $node->port)) for 'plain', 'guarded';
same('IMPORT FOREIGN SCHEMA', q(IMPORT FOREIGN SCHEMA "Wild ""one""" LIMIT TO (account, entry, event, account_copy) FROM SERVER loopback INTO imported));
is(ask($node, 'guarded', q(SELECT count(*) FROM pg_foreign_table WHERE ftrelid::regclass::text ~ '^imported')), 4, '... has made foreign tables');

note 'roles, rights and rules that have nothing to do with it';

ask($node, 'postgres', 'CREATE ROLE app LOGIN');
ask($node, $_, 'GRANT USAGE ON SCHEMA "Wild ""one""" TO app') for 'plain', 'guarded';
same('a role without rights', q(
	SET SESSION AUTHORIZATION app;
	SET search_path = "Wild ""one""";
	CREATE INDEX ON account (kind);
	ALTER TABLE account ADD PRIMARY KEY (id);
	ALTER TABLE account ADD COLUMN x int UNIQUE;
	ALTER TABLE account RENAME TO x;
	ALTER TABLE account RENAME id TO x;
	ALTER TABLE account RENAME CONSTRAINT "50% of it" TO x;
	ALTER INDEX "PK of account" RENAME TO x;
	CREATE TABLE t (a int PRIMARY KEY);
	CREATE TABLE pg_temp.t (a int PRIMARY KEY REFERENCES account);
	CREATE TEMPORARY TABLE t (a int PRIMARY KEY);));

$node->stop;
done_testing();
