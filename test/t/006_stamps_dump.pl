# pg_dump, pg_restore, pg_dumpall and pg_upgrade: versions, timestamps and actors come back as they
# were, and the change cursor goes on in a cluster whose transaction numbers are smaller.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = q(
autovacuum = off
max_wal_senders = 0);
my $node = new_node('main', $conf);
my $dumps = PostgreSQL::Test::Utils::tempdir();

# Every kind of stamp, on plain, partitioned and inherited tables, with rows whose stamps no trigger
# would give: old ones, future ones, missing ones.
my $schema = q(
	SELECT orm_ext.preload();
	LOAD 'orm_ext';

	CREATE TABLE author (id int PRIMARY KEY, name text, rank int DEFAULT 0, lock_version int,
		created_at timestamptz, updated_at timestamptz(3), created_by text, updated_by text, change_id bigint);
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OR DELETE ON author FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp(
		'created=created_at', 'updated=updated_at', 'version=lock_version', 'created_by=created_by',
		'updated_by=updated_by', 'change_id=change_id', 'ignore=name');

	CREATE TABLE "Post" (id int PRIMARY KEY, author_id int REFERENCES author, "Ver, sion" uuid, touched bigint, day date,
		double int GENERATED ALWAYS AS (id * 2) STORED);
	CREATE TRIGGER version BEFORE INSERT OR UPDATE ON "Post" FOR EACH ROW
		EXECUTE FUNCTION orm_ext.version('Ver, sion', 'ignore="author_id"');
	CREATE TRIGGER times BEFORE INSERT OR UPDATE ON "Post" FOR EACH ROW
		EXECUTE FUNCTION orm_ext.timestamps('day', 'touched', 'unit=milliseconds', 'ignore="Ver, sion"');
	CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON "Post" FOR EACH ROW
		EXECUTE FUNCTION orm_ext.touch_parent('author_id', 'updated_at', 'version=bump');

	CREATE TABLE event (id int, at date NOT NULL, version timestamptz, updated_at timestamp(0), change_id bigint) PARTITION BY RANGE (at);
	CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
	CREATE TABLE event_2025 (change_id bigint, gone text, version timestamptz, at date NOT NULL, updated_at timestamp(0), id int);
	ALTER TABLE event_2025 DROP COLUMN gone;
	ALTER TABLE event ATTACH PARTITION event_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON event FOR EACH ROW
		EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at', 'change_id=change_id');

	CREATE TABLE switched_off (id int, version smallint);
	CREATE TRIGGER version BEFORE INSERT OR UPDATE ON switched_off FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
	ALTER TABLE switched_off DISABLE TRIGGER version;

	CREATE TABLE handled (id int PRIMARY KEY, deleted_at timestamptz, version_id bigint, created_at timestamptz, updated_at timestamptz);
	SELECT count(*) FROM orm_ext.manage('handled');

	SET orm_ext.actor = 'ann';
	INSERT INTO author (id, name) SELECT i, 'a' || i FROM generate_series(1, 10) AS i;
	SET orm_ext.actor = 'bob';
	UPDATE author SET id = id + 100 WHERE id > 8;
	INSERT INTO "Post" (id, author_id) SELECT i, i FROM generate_series(1, 5) AS i;
	UPDATE "Post" SET id = id + 100 WHERE id = 2;
	INSERT INTO event (id, at) SELECT i, date '2024-12-25' + i FROM generate_series(1, 10) AS i;
	UPDATE event SET at = at + 20 WHERE id = 3;
	INSERT INTO switched_off VALUES (1, NULL), (2, 30000);
	INSERT INTO handled (id) VALUES (1), (2), (3);
	DELETE FROM handled WHERE id = 2;

	SET orm_ext.bypass_stamps = on;
	UPDATE author SET created_at = '1999-09-09', updated_at = '2999-01-01 00:00:00.123', lock_version = 77,
		created_by = 'founder', updated_by = 'oracle' WHERE id = 1;
	UPDATE author SET created_at = NULL, updated_at = NULL, lock_version = NULL, created_by = NULL, updated_by = NULL WHERE id = 2;
	UPDATE "Post" SET "Ver, sion" = NULL, touched = 5, day = '2001-01-01' WHERE id = 1;
	UPDATE handled SET version_id = 41 WHERE id = 1;
);

# All rows; those with stamps that INSERT fills where they are missing apart from the others.
my $rows = q(
	SET row_security = off;
	SELECT 'author', id, name, lock_version, created_at, updated_at, created_by, updated_by FROM author WHERE id <> 2 ORDER BY id;
	SELECT 'post', p::text FROM "Post" AS p WHERE id > 1 ORDER BY id;
	SELECT 'event', tableoid::regclass, id, at, version, updated_at FROM event ORDER BY id;
	SELECT 'handled', h::text FROM handled AS h ORDER BY id;
	RESET row_security;
);
my $missing = q(
	SELECT 'author', id, name, lock_version, created_at, updated_at, created_by, updated_by FROM author WHERE id = 2;
	SELECT 'post', p::text FROM "Post" AS p WHERE id = 1;
);
my $change_ids = q(
	SELECT 'author', id, change_id FROM author ORDER BY id;
	SELECT 'event', id, change_id FROM event ORDER BY id;
);
my $declared = q(
	SELECT "table", policy, "column", trigger, enabled, options FROM orm_ext.managed ORDER BY "table"::text, 2, 3, 4;
	SELECT t.tgrelid::regclass, t.tgenabled, t.tgparentid <> 0, pg_get_triggerdef(t.oid)
		FROM pg_trigger AS t WHERE NOT tgisinternal ORDER BY 4;
);

# The server's next transaction numbers are this much larger.
sub burn_transactions
{
	my ($server, $count) = @_;

	ask($server, 'postgres',
		"DO 'BEGIN FOR i IN 1 .. $count LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END'");
	return;
}

sub largest_change_id
{
	my ($server, $database) = @_;

	return ask($server, $database,
		'SELECT greatest((SELECT max(change_id) FROM author), (SELECT max(change_id) FROM event))');
}

sub min_active { return ask(@_, 'SELECT orm_ext.min_active_change_id()'); }

my %original;
my $last;    # what a poller of the original has come to

sub is_like_original
{
	my ($name, $server, $database, @parts) = @_;

	@parts = qw(rows missing change_ids declared) if !@parts;
	my %query = (rows => $rows, missing => $missing, change_ids => $change_ids, declared => $declared);
	is(ask($server, $database, $query{$_}), $original{$_}, "$name: $_ are as they were") for @parts;
	return;
}

# What changes in the restored database gets larger ids than all that came along, and a poller that
# goes on with the bound it had gets each of these changes, and no other.
sub cursor_goes_on
{
	my ($name, $server, $database, $bound) = @_;
	my $poll = sub {
		return ask($server, $database, qq(
			SELECT string_agg(id::text, ' ' ORDER BY id), orm_ext.min_active_change_id() FROM (
				SELECT id, change_id FROM author UNION ALL SELECT id + 1000, change_id FROM event) AS r
			WHERE $bound <= change_id AND change_id < orm_ext.min_active_change_id()));
	};
	my $largest = largest_change_id($server, $database);
	my $ids;

	cmp_ok(min_active($server, $database), '>=', $bound, "$name: the bound does not go back");
	($ids, $bound) = split /\|/, $poll->();
	is($ids, '', '... a poller has nothing to do at first');
	ask($server, $database, q(UPDATE author SET rank = rank + 1 WHERE id = 3; INSERT INTO event (id, at) VALUES (20, '2025-02-02')));
	cmp_ok(ask($server, $database, 'SELECT min(change_id) FROM event WHERE id = 20'), '>', $largest,
		'... a change gets a larger id than all that came along');
	($ids, $bound) = split /\|/, $poll->();
	is($ids, '3 1020', '... and the poller gets it');
	ask($server, $database, q(UPDATE author SET name = name || '!' WHERE id = 4; DELETE FROM event WHERE id = 20));
	($ids, $bound) = split /\|/, $poll->();
	is($ids, '4', '... and the next one');
	return;
}

create_database($node, 'shop');
burn_transactions($node, 20000);
ask($node, 'shop', $schema);
%original = (
	rows => ask($node, 'shop', $rows),
	missing => ask($node, 'shop', $missing),
	change_ids => ask($node, 'shop', $change_ids),
	declared => ask($node, 'shop', $declared));
burn_transactions($node, 500);
$last = min_active($node, 'shop');
is(() = $original{rows} =~ /^author\|/mg, 9, 'the authors are there');
like($original{rows}, qr/^author\|1\|a1\|77\|1999-09-09.*\|2999-01-01 00:00:00\.123.*\|founder\|oracle$/m,
	'... one with stamps that bypass_stamps has let through');
like($original{rows}, qr/^author\|109\|a9\|2\|.*\|ann\|bob$/m, '... one that was changed');
is($original{missing}, "author|2|a2|||||\npost|" . ($original{missing} =~ /(\(1,.*)/)[0], '... one without any stamp');
cmp_ok($last, '>', largest_change_id($node, 'shop'), 'a poller has come further than the last change');
is(() = $original{declared} =~ /\|t\|/g > 20, 1, 'policies are declared');

note 'dumps into a fresh cluster';

run_client($node, "pg_dump $_->[0]", 'pg_dump', split(' ', $_->[0]), '-f', "$dumps/$_->[1]", 'shop')
  for [ '-Fc', 'custom' ], [ '-Fp', 'plain.sql' ], [ '--inserts', 'inserts.sql' ],
  [ '--rows-per-insert=3', 'many_inserts.sql' ], [ '-Fd -j2', 'directory' ], [ '-Fc --schema-only', 'schema' ],
  [ '-Fc --data-only', 'data' ], [ '--data-only', 'data.sql' ], [ '--data-only --inserts', 'data_inserts.sql' ],
  [ '--data-only --disable-triggers', 'data_disabled.sql' ];

my $fresh = new_node('fresh', $conf);
cmp_ok(ask($fresh, 'postgres', 'SELECT pg_current_xact_id()'), '<', 20000, 'the fresh cluster is far behind');

# Create a database to restore into, with settings that might get into the rows.
sub empty_database
{
	my ($name, $preload, @settings) = @_;

	ask($fresh, 'postgres', "CREATE DATABASE $name");
	ask($fresh, 'postgres', "ALTER DATABASE $name SET session_preload_libraries = orm_ext") if $preload;
	ask($fresh, 'postgres', "ALTER DATABASE $name SET $_") for @settings;
	return;
}

my @psql = ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1');

empty_database('custom', 0, q(orm_ext.actor = 'restorer'));
run_client($fresh, 'pg_restore', 'pg_restore', '-d', 'custom', "$dumps/custom");
is_like_original('custom format', $fresh, 'custom');
cursor_goes_on('custom format', $fresh, 'custom', $last);

empty_database('parallel', 1, q(orm_ext.actor = 'restorer'), q(orm_ext.expected_version = '999'));
is(run_client($fresh, 'pg_restore -j3', 'pg_restore', '-j3', '-d', 'parallel', "$dumps/custom"), '', '... without messages');
is_like_original('custom format with -j', $fresh, 'parallel');
ask($fresh, 'postgres', 'ALTER DATABASE parallel RESET ALL');
cursor_goes_on('custom format with -j', $fresh, 'parallel', $last);

empty_database('directory', 0);
run_client($fresh, 'pg_restore -j2 of a directory', 'pg_restore', '-j2', '-d', 'directory', "$dumps/directory");
is_like_original('directory format', $fresh, 'directory');

empty_database('plain', 0);
run_client($fresh, 'psql', @psql, '-d', 'plain', '-f', "$dumps/plain.sql");
is_like_original('plain format', $fresh, 'plain');
cursor_goes_on('plain format', $fresh, 'plain', $last);

empty_database('inserts', 1, q(orm_ext.version_guard = 'error'));
run_client($fresh, 'psql of --inserts', @psql, '-d', 'inserts', '-f', "$dumps/inserts.sql");
is_like_original('--inserts', $fresh, 'inserts');
ask($fresh, 'postgres', 'ALTER DATABASE inserts RESET ALL');
cursor_goes_on('--inserts', $fresh, 'inserts', $last);

empty_database('many_inserts', 0);
run_client($fresh, 'psql of --rows-per-insert', @psql, '-d', 'many_inserts', '-f', "$dumps/many_inserts.sql");
is_like_original('--rows-per-insert', $fresh, 'many_inserts');

note 'a database with auto_manage';

empty_database('automatic', 1, q(orm_ext.auto_manage = 'public'));
run_client($fresh, 'pg_restore with auto_manage', 'pg_restore', '-d', 'automatic', "$dumps/custom");
is_like_original('auto_manage', $fresh, 'automatic');
empty_database('automatic_plain', 0, q(orm_ext.auto_manage = 'public'));
run_client($fresh, 'psql with auto_manage', @psql, '-d', 'automatic_plain', '-f', "$dumps/plain.sql");
is_like_original('auto_manage, not preloaded', $fresh, 'automatic_plain');
is(ask($fresh, 'automatic_plain', q(
		SET client_min_messages = error;
		CREATE TABLE fresh (id int PRIMARY KEY, version_id int, created_at timestamptz);
		SELECT count(*) FROM orm_ext.managed WHERE "table" = 'fresh'::regclass)), 2,
	'... which manages a table that is created later');

note 'data only, into tables with triggers';

# All comes in as it was, whether triggers are fired or not; what follows is told from it.
sub restore_data
{
	my ($name, $database, @command) = @_;

	empty_database($database, 0, q(orm_ext.actor = 'restorer'));
	run_client($fresh, "$name: schema", 'pg_restore', '-d', $database, "$dumps/schema");
	run_client($fresh, $name, @command);
	is_like_original($name, $fresh, $database, qw(rows missing change_ids));
	cursor_goes_on($name, $fresh, $database, $last);
	return;
}

restore_data('pg_restore --data-only', 'data_custom', 'pg_restore', '--data-only', '-d', 'data_custom', "$dumps/data");
restore_data('pg_restore --data-only --single-transaction', 'data_single', 'pg_restore', '--data-only', '-1', '-d', 'data_single', "$dumps/data");
restore_data('pg_restore --data-only --disable-triggers -j3', 'data_parallel',
	'pg_restore', '--data-only', '--disable-triggers', '-j3', '-d', 'data_parallel', "$dumps/data");
restore_data('--data-only', 'data_copy', @psql, '-d', 'data_copy', '-f', "$dumps/data.sql");
restore_data('--data-only --inserts', 'data_inserts', @psql, '-d', 'data_inserts', '-f', "$dumps/data_inserts.sql");
restore_data('--data-only --disable-triggers', 'data_disabled', @psql, '-d', 'data_disabled', '-f', "$dumps/data_disabled.sql");

# The same by hand: rows that an owner brings along with bypass_stamps, and rows that anybody inserts.
my $copy_out = q(COPY (SELECT * FROM author WHERE id IN (1, 3, 4) ORDER BY id) TO STDOUT);
my $lines = ask($node, 'shop', $copy_out) . "\n\\.\n";
empty_database('by_hand', 0);
run_client($fresh, 'schema', 'pg_restore', '-d', 'by_hand', "$dumps/schema");
ask($fresh, 'by_hand', "SET orm_ext.bypass_stamps = on;\nCOPY author FROM STDIN;\n$lines");
is(ask($fresh, 'by_hand', $copy_out), ask($node, 'shop', $copy_out), 'COPY with bypass_stamps: rows are as they were');
cursor_goes_on('COPY with bypass_stamps', $fresh, 'by_hand', $last);
ask($fresh, 'by_hand', "DELETE FROM author;\nCOPY author FROM STDIN;\n$lines");
is(ask($fresh, 'by_hand', $copy_out =~ s/\*/id, lock_version, created_at, updated_at, created_by, updated_by/r),
	ask($node, 'shop', $copy_out =~ s/\*/id, lock_version, created_at, updated_at, created_by, updated_by/r),
	'COPY: what was given is kept');
is(ask($fresh, 'by_hand', 'SELECT count(*) FROM author WHERE change_id IN (SELECT max(change_id) FROM author)'), 3,
	'... but each row is a change of this database');

note 'a restored database goes on';

is(ask($fresh, 'custom', q(
		SET orm_ext.actor = 'eve';
		UPDATE author SET rank = 9 WHERE id = 1;
		SELECT lock_version, created_at = '1999-09-09', updated_at, created_by, updated_by FROM author WHERE id = 1)),
	'78|t|' . ask($fresh, 'custom', q(SELECT timestamptz '2999-01-01 00:00:00.124')) . '|founder|eve',
	'stamps go on from what was restored');
like(told($fresh, 'custom', q(UPDATE author SET rank = 10, lock_version = 5 WHERE id = 1)), qr/ERROR:  OE001/,
	'... and versions are checked');

note 'from cluster to cluster, and back';

# The second cluster is ahead by its own base; a dump of it goes to one that is behind again.
run_client($fresh, 'pg_dump of the restored database', 'pg_dump', '-Fc', '-f', "$dumps/second", 'parallel');
my $second_last = min_active($fresh, 'parallel');
my $third = new_node('third', $conf);
ask($third, 'postgres', 'CREATE DATABASE shop');
run_client($third, 'pg_restore', 'pg_restore', '-d', 'shop', "$dumps/second");
is(ask($third, 'shop', $change_ids), ask($fresh, 'parallel', $change_ids), 'a third cluster has the same change ids');
cursor_goes_on('a third cluster', $third, 'shop', $second_last);
$third->restart;
cmp_ok(min_active($third, 'shop'), '>=', $second_last, '... also after a restart');
$third->stop('immediate');
$third->start;
cmp_ok(min_active($third, 'shop'), '>=', $second_last, '... and a crash');
cursor_goes_on('a third cluster after a crash', $third, 'shop', min_active($third, 'shop'));
$third->stop;

# Back to the first one, which was ahead all the time.
ask($node, 'postgres', 'CREATE DATABASE back');
run_client($node, 'pg_restore', 'pg_restore', '-d', 'back', "$dumps/second");
is(ask($node, 'back', $change_ids), ask($fresh, 'parallel', $change_ids), 'the first cluster takes them back');
cursor_goes_on('the first cluster', $node, 'back', $second_last);
ask($node, 'postgres', 'CREATE DATABASE copied TEMPLATE shop');
is_like_original('CREATE DATABASE ... TEMPLATE', $node, 'copied');
cursor_goes_on('CREATE DATABASE ... TEMPLATE', $node, 'copied', $last);

note 'pg_dumpall';

run_client($node, 'pg_dumpall', 'pg_dumpall', '-f', "$dumps/all.sql");
my $whole = new_node('whole', $conf);
command_ok([ 'psql', '-Xq', '-d', $whole->connstr('postgres'), '-f', "$dumps/all.sql" ], 'psql of pg_dumpall');
is_like_original('pg_dumpall', $whole, 'shop');
cursor_goes_on('pg_dumpall', $whole, 'shop', $last);
$whole->stop;
$fresh->stop;

note 'pg_upgrade';

my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
my $bindir = $node->config_data('--bindir');

$upgraded->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$_->append_conf('postgresql.conf', "shared_preload_libraries = 'orm_ext'\n$conf") for $node, $upgraded;
my $upgraded_last = min_active($node, 'shop');
my $back_last = min_active($node, 'back');
$node->stop;
chdir $dumps or die "chdir: $!";
command_ok([
	'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $upgraded->data_dir,
	'-b', $bindir, '-B', $bindir, '-s', $upgraded->host, '-p', $node->port, '-P', $upgraded->port ],
	'pg_upgrade');
chdir '/';
$upgraded->start;
is_like_original('pg_upgrade', $upgraded, 'shop');
cursor_goes_on('pg_upgrade', $upgraded, 'shop', $upgraded_last);
cursor_goes_on('pg_upgrade of a restored database', $upgraded, 'back', $back_last);
$upgraded->stop;

done_testing();
