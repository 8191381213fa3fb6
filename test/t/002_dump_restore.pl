# pg_dump, pg_restore, pg_dumpall and pg_upgrade take live and deleted rows along, and policies.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', q(
max_wal_senders = 0
autovacuum = off));
my $dumps = PostgreSQL::Test::Utils::tempdir();

# A bit of everything, with live and deleted rows.
my $schema = q(
	SELECT orm_ext.preload();
	LOAD 'orm_ext';

	CREATE TABLE author (id int PRIMARY KEY, email text UNIQUE, deleted_at timestamptz,
		is_live boolean GENERATED ALWAYS AS (deleted_at IS NULL) STORED);
	CREATE TABLE "Post" (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE SET NULL, "Slug" text,
		"Removed At" timestamp(0), UNIQUE (author_id, "Slug"));
	CREATE TABLE flag (id int PRIMARY KEY, deleted boolean DEFAULT false NOT NULL);
	CREATE TABLE epoch (id int, code text UNIQUE, deleted bigint DEFAULT 0 NOT NULL);
	CREATE TABLE switched_off (id int PRIMARY KEY, deleted_at timestamptz);

	CREATE TABLE event (id int, at date NOT NULL, deleted_at timestamptz) PARTITION BY RANGE (at);
	CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
	CREATE TABLE event_2025 (deleted_at timestamptz, gone text, at date NOT NULL, id int);
	ALTER TABLE event_2025 DROP COLUMN gone;
	ALTER TABLE event ATTACH PARTITION event_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');

	SELECT orm_ext.enable_soft_delete('author'), orm_ext.enable_soft_delete('"Post"', 'Removed At', 'timestamp'),
		   orm_ext.enable_soft_delete('flag', 'deleted', 'boolean'), orm_ext.enable_soft_delete('epoch', 'deleted', 'bigint'),
		   orm_ext.enable_soft_delete('switched_off'), orm_ext.enable_soft_delete('event');

	INSERT INTO author (id, email) SELECT i, 'a' || i FROM generate_series(1, 10) AS i;
	INSERT INTO "Post" SELECT i, i, 'post ' || i FROM generate_series(1, 10) AS i;
	INSERT INTO flag SELECT generate_series(1, 10);
	INSERT INTO epoch SELECT i, 'c' || i FROM generate_series(1, 10) AS i;
	INSERT INTO switched_off SELECT generate_series(1, 10);
	INSERT INTO event SELECT i, date '2024-12-25' + i FROM generate_series(1, 10) AS i;

	DELETE FROM author WHERE id > 7;
	INSERT INTO author (id, email) VALUES (11, 'a8');
	DELETE FROM "Post" WHERE id % 2 = 0;
	INSERT INTO "Post" VALUES (12, 2, 'post 2');
	DELETE FROM flag WHERE id < 4;
	DELETE FROM epoch WHERE id IN (2, 3, 5);
	INSERT INTO epoch VALUES (11, 'c2');
	DELETE FROM epoch WHERE id = 11;
	INSERT INTO epoch VALUES (12, 'c2');
	DELETE FROM switched_off WHERE id = 1;
	ALTER TABLE switched_off DISABLE TRIGGER ALL;
	DELETE FROM event WHERE id IN (1, 9);

	CREATE VIEW author_list WITH (security_barrier) AS
		SELECT a.id, email, count(p.id) AS posts FROM author AS a LEFT JOIN "Post" AS p ON author_id = a.id GROUP BY a.id;
	CREATE VIEW author_bin AS SELECT id FROM author WHERE deleted_at IS NOT NULL;
	CREATE FUNCTION live_authors() RETURNS SETOF int LANGUAGE sql STABLE BEGIN ATOMIC SELECT id FROM author; END;
	CREATE MATERIALIZED VIEW post_count AS SELECT author_id, count(*) FROM "Post" GROUP BY author_id;
	CREATE MATERIALIZED VIEW author_names AS SELECT id, email FROM author_list;
	CREATE MATERIALIZED VIEW unfilled AS SELECT id FROM flag WITH NO DATA;
);

# All that the database holds, deleted rows included.
my $everything = q(
	SET row_security = off;
	SELECT 'author', a::text FROM author AS a ORDER BY 2;
	SELECT 'post', p::text FROM "Post" AS p ORDER BY 2;
	SELECT 'flag', f::text FROM flag AS f ORDER BY 2;
	SELECT 'epoch', e::text FROM epoch AS e ORDER BY 2;
	SELECT 'switched off', s::text FROM switched_off AS s ORDER BY 2;
	SELECT 'event', tableoid::regclass, e::text FROM event AS e ORDER BY 3;
	RESET row_security;
);

# What an application sees.
my $live = q(
	LOAD 'orm_ext';
	SELECT 'author', id, email, is_live FROM author ORDER BY id;
	SELECT 'post', id FROM "Post" ORDER BY id;
	SELECT 'flag', id FROM flag ORDER BY id;
	SELECT 'epoch', id, code FROM epoch ORDER BY id;
	SELECT 'switched off', id FROM switched_off ORDER BY id;
	SELECT 'event', id FROM event ORDER BY id;
	SELECT 'event 2025', id FROM event_2025 ORDER BY id;
	SELECT 'author list', v::text FROM author_list AS v ORDER BY 2;
	SELECT 'author bin', v::text FROM author_bin AS v ORDER BY 2;
	SELECT 'live authors', f::text FROM live_authors() AS f ORDER BY 2;
	SELECT 'post count', m::text FROM post_count AS m ORDER BY 2;
	SELECT 'author names', m::text FROM author_names AS m ORDER BY 2;
);

# How it is declared.
my $declared = q(
	SELECT 'managed', m::text FROM orm_ext.managed AS m ORDER BY 2;
	SELECT 'trigger', t.tgrelid::regclass, t.tgenabled, t.tgisinternal, t.tgparentid <> 0, pg_get_triggerdef(t.oid)
		FROM pg_trigger AS t WHERE t.tgconstraint = 0 ORDER BY 6;
	SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2;
	SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated
		FROM pg_constraint WHERE contype IN ('p', 'u', 'f') AND connamespace = 'public'::regnamespace ORDER BY 2, 3;
	SELECT 'dependency', pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype
		FROM pg_depend AS d JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
		WHERE t.tgconstraint = 0 ORDER BY 2, 3, 4;
	SELECT 'extension', extversion FROM pg_extension WHERE extname = 'orm_ext';
	SELECT 'event trigger', evtname, evtevent, evtenabled, evttags FROM pg_event_trigger;
	SELECT 'unfilled', relname FROM pg_class WHERE relkind = 'm' AND NOT relispopulated;
);

# Create an empty database to restore into, with or without the library in its sessions.
sub empty_database
{
	my ($name, $preload) = @_;

	ask($node, 'postgres', "CREATE DATABASE $name");
	ask($node, 'postgres', "ALTER DATABASE $name SET session_preload_libraries = orm_ext") if $preload;
	return;
}

my %original;

# The database is the one that was dumped.
sub is_like_original
{
	my ($name, $restored, $database) = @_;

	is(ask($restored, $database, $everything), $original{everything}, "$name: all rows");
	is(ask($restored, $database, $live), $original{live}, "$name: live rows, views and materialized views");
	is(ask($restored, $database, $declared), $original{declared}, "$name: declarations");
	return;
}

create_database($node, 'shop');
$node->psql('shop', $schema);
%original = (
	everything => ask($node, 'shop', $everything),
	live => ask($node, 'shop', $live),
	declared => ask($node, 'shop', $declared));
is(() = $original{everything} =~ /^author\|/mg, 11, 'all authors are there');
is(() = $original{live} =~ /^author\|/mg, 8, '... of which eight are live');
is(() = $original{live} =~ /^post count\|/mg, 6, 'a materialized view holds live rows');
is(() = $original{live} =~ /^switched off\|/mg, 10, 'a disabled trigger hides nothing');

note 'dump and restore';

run_client($node, 'pg_dump -Fc', 'pg_dump', '-Fc', '-f', "$dumps/custom", 'shop');
run_client($node, 'pg_dump', 'pg_dump', '-f', "$dumps/plain.sql", 'shop');
run_client($node, 'pg_dump --inserts', 'pg_dump', '--inserts', '-f', "$dumps/inserts.sql", 'shop');
run_client($node, 'pg_dump -Fd -j2', 'pg_dump', '-Fd', '-j2', '-f', "$dumps/directory", 'shop');

empty_database('from_custom', 0);
is(run_client($node, 'pg_restore', 'pg_restore', '-d', 'from_custom', "$dumps/custom"), '', '... without messages');
is_like_original('custom format', $node, 'from_custom');

empty_database('from_plain', 0);
like(run_client($node, 'psql', 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'from_plain', '-f', "$dumps/plain.sql"),
	qr/WARNING:  new sessions of this database will see the deleted rows of table "author".*SELECT orm_ext\.preload/s,
	'... which warns while the new database does not preload');
is_like_original('plain format', $node, 'from_plain');

empty_database('from_inserts', 1);
is(run_client($node, 'psql of --inserts', 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'from_inserts', '-f', "$dumps/inserts.sql"),
	'', '... which is quiet where it does');
is_like_original('--inserts', $node, 'from_inserts');

empty_database('from_directory', 1);
is(run_client($node, 'pg_restore -j2', 'pg_restore', '-j2', '-d', 'from_directory', "$dumps/directory"), '', '... without messages');
is_like_original('directory format', $node, 'from_directory');

note 'data only, into tables that are under soft delete';

run_client($node, 'pg_dump --schema-only', 'pg_dump', '-Fc', '--schema-only', '-f', "$dumps/schema", 'shop');
run_client($node, 'pg_dump --data-only', 'pg_dump', '-Fc', '--data-only', '-f', "$dumps/data", 'shop');
run_client($node, 'pg_dump --data-only --inserts', 'pg_dump', '--data-only', '--inserts', '-f', "$dumps/data.sql", 'shop');

# Materialized views are filled by post-data commands, which neither half of this dump holds.
sub restore_data
{
	my ($name, $database, @command) = @_;

	empty_database($database, 1);
	run_client($node, "$name: schema", 'pg_restore', '-d', $database, "$dumps/schema");
	is(run_client($node, $name, @command, '-d', $database), '', '... without messages');
	ask($node, $database, 'REFRESH MATERIALIZED VIEW post_count; REFRESH MATERIALIZED VIEW author_names');
	is_like_original($name, $node, $database);
	return;
}

restore_data('pg_restore --data-only', 'data_only', 'pg_restore', '--data-only', "$dumps/data");
restore_data('psql of --data-only --inserts', 'data_inserts',
	'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dumps/data.sql");

note 'a restored database goes on';

is(ask($node, 'from_directory', q(
		DELETE FROM author WHERE id <= 2;
		SELECT count(*) FROM author;
		REFRESH MATERIALIZED VIEW author_names;
		SELECT count(*) FROM author_names;
		ALTER TABLE author RENAME COLUMN deleted_at TO gone_at;
		DELETE FROM author WHERE id = 3;
		SELECT count(*), count(gone_at) FROM author WHERE orm_ext.with_deleted(gone_at))),
	"6\n6\n11|6", 'rows are marked, and the declaration follows its column');
like(told($node, 'from_directory', q(ALTER TABLE "Post" DROP COLUMN "Removed At")), qr/ERROR:  2BP01/,
	'a marker is protected');

note 'pg_dumpall';

ask($node, 'postgres', "DROP DATABASE $_")
  for qw(from_custom from_plain from_inserts from_directory data_only data_inserts);
ask($node, 'postgres', q(
	CREATE ROLE auditor LOGIN;
	ALTER ROLE auditor SET orm_ext.deleted_rows = 'show';
	ALTER ROLE auditor IN DATABASE shop SET orm_ext.delete_mode = 'hard'));
ask($node, 'shop', 'GRANT SELECT ON author TO auditor');
run_client($node, 'pg_dumpall', 'pg_dumpall', '-f', "$dumps/all.sql");

my $copy = new_node('copy');
command_ok([ 'psql', '-Xq', '-d', $copy->connstr('postgres'), '-f', "$dumps/all.sql" ], 'psql of pg_dumpall');
is_like_original('pg_dumpall', $copy, 'shop');
is(ask($copy, 'shop', 'SHOW session_preload_libraries'), 'orm_ext', 'the setting of the database came along');
is(ask($copy, 'shop', 'SELECT count(*) FROM author; SHOW orm_ext.delete_mode', user => 'auditor'), "11\nhard",
	'... and those of a role');
$copy->stop;

note 'pg_upgrade';

my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
my $bindir = $node->config_data('--bindir');

$upgraded->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$_->append_conf('postgresql.conf', "shared_preload_libraries = 'orm_ext'") for $node, $upgraded;
$node->stop;
chdir $dumps or die "chdir: $!";
command_ok([
	'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $upgraded->data_dir,
	'-b', $bindir, '-B', $bindir, '-s', $upgraded->host, '-p', $node->port, '-P', $upgraded->port ],
	'pg_upgrade');
chdir '/';
$upgraded->start;
is_like_original('pg_upgrade', $upgraded, 'shop');
is(ask($upgraded, 'shop', q(
		ALTER TABLE author RENAME COLUMN deleted_at TO gone_at;
		SELECT "column" FROM orm_ext.managed WHERE "table" = 'author'::regclass;
		DELETE FROM author WHERE id = 1;
		SELECT count(*) FROM author;
		SELECT count(*) FROM author WHERE gone_at IS NOT NULL)),
	"gone_at\n7\n4", 'the declaration follows its column');
$upgraded->stop;

done_testing();
