# Logical replication and standbys: a subscriber gets versions, timestamps, actors and change ids as
# the publisher has made them, and a poller on a standby misses nothing.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Session;
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $conf = "shared_preload_libraries = 'orm_ext'\nautovacuum = off\nmax_prepared_transactions = 5";
my $primary = new_node('primary', $conf, allows_streaming => 'logical');

# The same tables on both sides; the subscriber's settings try to leave traces.
my $tables = q(
	SET client_min_messages = error;
	CREATE TABLE author (id int PRIMARY KEY, n int, version int, created_at timestamptz, updated_at timestamptz,
		created_by text, updated_by text, change_id bigint);
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OR DELETE ON author FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp(
		'version=version', 'created=created_at', 'updated=updated_at', 'created_by=created_by', 'updated_by=updated_by',
		'change_id=change_id', 'mode=echo');
	CREATE TABLE post (id int PRIMARY KEY, author_id int REFERENCES author, n int, version uuid, updated_at bigint);
	CREATE TRIGGER version BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
	CREATE TRIGGER times BEFORE INSERT OR UPDATE ON post FOR EACH ROW EXECUTE FUNCTION orm_ext.timestamps('', 'updated_at');
	CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON post FOR EACH ROW
		EXECUTE FUNCTION orm_ext.touch_parent('author_id', 'updated_at', 'version=bump');
	CREATE TABLE always (id int PRIMARY KEY, n int, version int);
	CREATE TRIGGER version BEFORE INSERT OR UPDATE ON always FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
);
my $rows = q(
	SELECT 'author', a::text FROM author AS a ORDER BY id;
	SELECT 'post', p::text FROM post AS p ORDER BY id;
);

create_database($primary, 'app');
ask($primary, 'app', $tables . q(
	SET orm_ext.actor = 'ann';
	INSERT INTO author (id, n) SELECT i, 0 FROM generate_series(1, 5) AS i;
	INSERT INTO post (id, author_id, n) SELECT i, i, 0 FROM generate_series(1, 3) AS i;
	INSERT INTO always (id, n) VALUES (1, 0);
	SET orm_ext.bypass_stamps = on;
	UPDATE author SET version = 41, created_at = '1999-09-09', updated_at = '1999-09-09', created_by = NULL, updated_by = NULL,
		change_id = NULL WHERE id = 4;
	UPDATE author SET version = NULL, created_at = NULL, updated_at = NULL, created_by = NULL, updated_by = NULL WHERE id = 5;
	CREATE PUBLICATION everything FOR TABLE author, post, always));

note 'initial copy';

my $subscriber = new_node('subscriber', $conf, allows_streaming => 'logical');
create_database($subscriber, 'copy');
ask($subscriber, 'copy', $tables . q(
	ALTER DATABASE copy SET orm_ext.actor = 'subscriber';
	ALTER DATABASE copy SET orm_ext.expected_version = '999';
	ALTER DATABASE copy SET orm_ext.version_guard = 'error'));
ask($subscriber, 'copy', sprintf(
	q(CREATE SUBSCRIPTION sub CONNECTION '%s' PUBLICATION everything), $primary->connstr('app') =~ s/'/''/gr));
$subscriber->wait_for_subscription_sync($primary, 'sub', 'copy');

# Both sides have the same rows, once the subscriber has caught up.
sub is_replicated
{
	my ($name) = @_;

	$primary->wait_for_catchup('sub');
	is(ask($subscriber, 'copy', $rows), ask($primary, 'app', $rows), $name);
	return;
}

is_replicated('the initial copy bumps and fills nothing');
like(ask($subscriber, 'copy', $rows), qr/^author\|\(5,0,,,,,,\d+\)$/m, '... where stamps are missing either');

note 'changes';

ask($primary, 'app', q(SET orm_ext.actor = 'bob'; UPDATE author SET n = n + 1, version = version WHERE id < 4));
is_replicated('UPDATE');
like(ask($subscriber, 'copy', 'SELECT version, created_by, updated_by FROM author WHERE id = 3'), qr/^3\|ann\|bob$/,
	'... with the version and the actors of the publisher');
ask($primary, 'app', q(UPDATE author SET id = 10, version = version WHERE id = 5));
is_replicated('UPDATE of a key');
ask($primary, 'app', q(INSERT INTO author (id, n) VALUES (6, 1); DELETE FROM author WHERE id = 10));
is_replicated('INSERT and DELETE');
ask($primary, 'app', q(BEGIN; UPDATE post SET n = n + 1; INSERT INTO post (id, author_id) VALUES (4, 6); DELETE FROM post WHERE id = 3; COMMIT));
is_replicated('parents are touched on the publisher, and not again');
like(ask($primary, 'app', 'SELECT version FROM author WHERE id = 6'), qr/^2$/, '... once');
ask($primary, 'app', q(SET orm_ext.bypass_stamps = on; UPDATE author SET version = 5, updated_at = '2001-01-01', updated_by = NULL, change_id = 1 WHERE id = 1));
is_replicated('what bypass_stamps has let through');
ask($primary, 'app', q(BEGIN; UPDATE author SET n = 7, version = version WHERE id = 2; PREPARE TRANSACTION 'p'));
ask($primary, 'app', q(COMMIT PREPARED 'p'));
is_replicated('a prepared transaction');

note 'streamed in parts';

# A transaction that is streamed, and one that is aborted half-way.
ask($primary, 'postgres', q(ALTER SYSTEM SET logical_decoding_work_mem = '64kB'; SELECT pg_reload_conf()));
ask($subscriber, 'copy', q(ALTER SUBSCRIPTION sub SET (streaming = on)));
ask($primary, 'app', q(
	BEGIN;
	INSERT INTO author (id, n) SELECT i, 0 FROM generate_series(1001, 3000) AS i;
	SAVEPOINT a;
	INSERT INTO post (id, author_id) SELECT i, i FROM generate_series(1001, 2000) AS i;
	ROLLBACK TO SAVEPOINT a;
	UPDATE author SET n = 1, version = version WHERE id > 2500;
	INSERT INTO post (id, author_id) SELECT i, i FROM generate_series(2001, 3000) AS i;
	COMMIT));
is_replicated('a large transaction');
is(ask($primary, 'app', 'SELECT version, count(*) FROM author WHERE id > 1000 GROUP BY 1 ORDER BY 1'),
	"1|1000\n2|500\n3|500", '... whose parents were touched as it says');

note 'the subscriber writes itself';

ask($subscriber, 'postgres', q(ALTER DATABASE copy RESET ALL));
ask($subscriber, 'copy', 'ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub ENABLE; ALTER TABLE always ENABLE ALWAYS TRIGGER version');
ask($primary, 'app', 'UPDATE always SET n = 1');
$primary->wait_for_catchup('sub');
is(ask($subscriber, 'copy', 'SELECT version FROM always'), 2, 'a trigger that is enabled ALWAYS keeps the next version');
ask($subscriber, 'copy', q(UPDATE author SET n = 100, version = version WHERE id = 2));
like(ask($subscriber, 'copy', 'SELECT version, n FROM author WHERE id = 2'), qr/^6\|100$/, 'its own writes are stamped');
like(told($subscriber, 'copy', q(UPDATE author SET n = 100, version = 1 WHERE id = 2)), qr/ERROR:  OE001/, '... and checked');
$subscriber->stop;

note 'a poller on a standby';

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

my $last = 0;
my $poller = OrmExt::Session->new($standby, 'app');

# The ids of the authors that the standby's poller gets.
sub poll
{
	my ($wait) = @_;

	$primary->wait_for_catchup($standby);
	my @replies = $poller->query(qq(SELECT string_agg(id::text, ' ' ORDER BY id)
			FILTER (WHERE $last <= change_id AND change_id < orm_ext.min_active_change_id()), orm_ext.min_active_change_id()
		FROM author WHERE id < 1000));
	my ($ids, $bound) = $replies[1] =~ /^\((.*),(\d+)\)$/ or die "@replies";
	$last = $bound;
	return $ids;
}

my $long = OrmExt::Session->new($primary, 'app');
my $change = 'UPDATE author SET n = n + 1, version = version WHERE id =';

like(poll(), qr/2 3 6$/, 'it gets all rows at first');
is(poll(), 'null', '... and then none');
$long->query("BEGIN; $change 1");
ask($primary, 'app', "$change 2");
is(poll(), 'null', 'a long transaction holds it');
ask($primary, 'app', "$change 3");
$long->query('COMMIT');
is(poll(), '1 2 3', '... until it has come to its end');
$long->query("BEGIN; SAVEPOINT a; $change 1; RELEASE SAVEPOINT a");
ask($primary, 'app', "BEGIN; $change 2; PREPARE TRANSACTION 'q'");
ask($primary, 'app', "$change 3");
is(poll(), 'null', 'a subtransaction and a prepared transaction hold it');
$long->query('ROLLBACK');
is(poll(), 'null', '... each of them');
ask($primary, 'app', "COMMIT PREPARED 'q'");
is(poll(), '2 3', '... until they have come to their end');
$standby->restart;
$poller = OrmExt::Session->new($standby, 'app');
ask($primary, 'app', "$change 6");
is(poll(), '6', 'it goes on after a restart');
$standby->promote;
is(ask($standby, 'app', "$change 1; SELECT change_id >= $last, change_id < orm_ext.min_active_change_id() FROM author WHERE id = 1"),
	't|t', '... and on the promoted standby');

$_->stop for $standby, $primary;
done_testing();
