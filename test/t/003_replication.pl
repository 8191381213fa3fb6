# A physical standby answers as its primary does; logical replication takes deleted rows along, or
# turns a soft delete into a DELETE where the publication is of live rows only.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_node('primary', '', allows_streaming => 'logical');

create_database($primary, 'app');
ask($primary, 'app', 'SELECT orm_ext.preload()');
ask($primary, 'app', managed_table('post') . managed_table('late') . q(
	DROP TRIGGER soft_delete ON late;
	CREATE VIEW post_list AS SELECT id, v FROM post;
	CREATE FUNCTION post_ids() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM post';
	CREATE TABLE event (id int, deleted_at timestamptz) PARTITION BY HASH (id);
	CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE event_1 PARTITION OF event FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	SELECT orm_ext.enable_soft_delete('event');
	INSERT INTO event SELECT generate_series(1, 20);
	DELETE FROM event WHERE id % 3 = 0;));

note 'physical standby';

my $questions = q(
	SELECT id, v FROM post ORDER BY id;
	SELECT count(*) FROM post_list;
	SELECT count(*) FROM post_ids();
	SELECT p.id, e.id FROM post AS p LEFT JOIN event AS e ON e.id = p.id + 1 ORDER BY 1;
	SELECT tableoid::regclass, count(*) FROM event GROUP BY 1 ORDER BY 1;
	SELECT id FROM post WHERE deleted_at IS NOT NULL;
	SELECT count(*) FROM post WHERE orm_ext.with_deleted(deleted_at);
	SET orm_ext.deleted_rows = 'show';
	SELECT count(*) FROM post;
	SELECT count(*) FROM event;
	SET orm_ext.deleted_rows = 'only';
	SELECT count(*) FROM post;
	SELECT count(*) FROM event;
	RESET orm_ext.deleted_rows;
	SELECT m::text FROM orm_ext.managed AS m ORDER BY 1;
	SELECT item, value, action FROM orm_ext.status();
);

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

is(ask($standby, 'app', 'SELECT count(*) FROM post'), 4, 'deleted rows are hidden on a standby');
is(ask($standby, 'app', $questions), ask($primary, 'app', $questions), '... which answers as the primary does');
like(told($standby, 'app', 'DELETE FROM post'), qr/ERROR:  25006: cannot execute DELETE in a read-only transaction/,
	'DELETE is refused there as ever');

# A session on the standby, whose plans are cached, follows what is done on the primary.
my $session = $standby->background_psql('app');
$session->query_safe(q(
	SET plan_cache_mode = force_generic_plan;
	PREPARE posts AS SELECT count(*) FROM post;
	PREPARE late AS SELECT count(*) FROM late));
is($session->query_safe('EXECUTE posts; EXECUTE late'), "4\n5", 'a session on the standby prepares statements');
ask($primary, 'app', q(
	DELETE FROM post WHERE id = 1;
	CREATE TRIGGER soft_delete BEFORE DELETE ON late
		FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at')));
$primary->wait_for_catchup($standby);
is($session->query_safe('EXECUTE posts; EXECUTE late'), "3\n4", '... which follow rows and policies of the primary');
ask($primary, 'app', 'ALTER TABLE late RENAME COLUMN deleted_at TO gone_at');
$primary->wait_for_catchup($standby);
is($session->query_safe('EXECUTE late'), 4, '... and a renamed marker');
$session->quit;

note 'promotion';

$standby->promote;
is(ask($standby, 'app', q(
		DELETE FROM post WHERE id = 2 RETURNING id;
		SELECT count(*) FROM post)), "2\n2", 'a promoted standby deletes softly');
is(live_and_deleted($standby, 'app', 'post'), '3 4 | 1 2 5', '... and keeps the rows');
is(ask($standby, 'app', q(
		ALTER TABLE post RENAME COLUMN deleted_at TO gone_at;
		SELECT count(*) FROM post;
		ALTER TABLE post RENAME COLUMN gone_at TO deleted_at)), 2, '... and has its declarations follow');
$standby->stop;

note 'logical replication';

# A walsender and an apply worker have the library only if the whole server has it.
my $shared = "shared_preload_libraries = 'orm_ext'";
$primary->append_conf('postgresql.conf', $shared);
$primary->restart;

ask($primary, 'app', join('', map { managed_table($_) } qw(everything filtered live_only kept)) . q(
	CREATE TABLE plain (id int PRIMARY KEY, v int NOT NULL, deleted_at timestamptz);
	INSERT INTO plain VALUES (1, 10), (2, 20);
	ALTER TABLE live_only REPLICA IDENTITY FULL;
	CREATE PUBLICATION all_rows FOR TABLE everything, kept, plain;
	CREATE PUBLICATION some_rows FOR TABLE filtered WHERE (id > 1);
	CREATE PUBLICATION live_rows FOR TABLE live_only WHERE (deleted_at IS NULL)));

my $subscriber = new_node('subscriber', $shared, allows_streaming => 'logical');
create_database($subscriber, 'copy');
ask($subscriber, 'copy', q(SET client_min_messages = error;)
	  . join('', map { managed_table($_) . "SET orm_ext.delete_mode = hard; TRUNCATE $_; RESET orm_ext.delete_mode;" } qw(everything filtered kept plain))
	  . 'ALTER TABLE kept ENABLE ALWAYS TRIGGER soft_delete;
		 CREATE TABLE live_only (id int PRIMARY KEY, v int NOT NULL, deleted_at timestamptz);');
ask($subscriber, 'copy', sprintf(
	q(CREATE SUBSCRIPTION sub CONNECTION '%s' PUBLICATION all_rows, some_rows, live_rows),
	$primary->connstr('app') =~ s/'/''/gr));
$subscriber->wait_for_subscription_sync($primary, 'sub', 'copy');

# The rows of a table of the subscriber, once it has caught up.
sub replicated
{
	my ($table, $expected, $name) = @_;

	$primary->wait_for_catchup('sub');
	is(live_and_deleted($subscriber, 'copy', $table), $expected, $name);
	return;
}

replicated('everything', '1 2 3 4 | 5', 'initial copy: all rows');
replicated('filtered', '2 3 4 | 5', 'initial copy with a row filter: all rows that pass it');
replicated('live_only', '1 2 3 4 | none', 'initial copy of a publication of live rows');
is(ask($subscriber, 'copy', 'SELECT count(*) FROM everything'), 4, 'the subscriber hides deleted rows');

my $marks = 'SET row_security = off; SELECT id, deleted_at, v FROM everything ORDER BY id';

ask($primary, 'app', 'DELETE FROM everything WHERE id IN (1, 2)');
replicated('everything', '3 4 | 1 2 5', 'a soft delete is an UPDATE to a subscriber');
is(ask($subscriber, 'copy', $marks), ask($primary, 'app', $marks), '... with the same stamps');
ask($primary, 'app', q(UPDATE everything SET deleted_at = NULL WHERE id = 1;
	SET orm_ext.deleted_rows = 'show'; UPDATE everything SET v = v + 1));
replicated('everything', '1 3 4 | 2 5', 'rows come back there');
is(ask($subscriber, 'copy', $marks), ask($primary, 'app', $marks), '... and deleted rows are changed');
ask($primary, 'app', q(DELETE FROM everything WHERE deleted_at IS NOT NULL;
	SET orm_ext.delete_mode = 'hard'; DELETE FROM everything WHERE id = 3));
replicated('everything', '1 4 | none', 'what is deleted for good goes there too');

ask($primary, 'app', 'DELETE FROM filtered WHERE id < 3');
replicated('filtered', '3 4 | 2 5', 'a soft delete passes a row filter');

ask($primary, 'app', 'DELETE FROM live_only WHERE id IN (1, 2)');
replicated('live_only', '3 4 | none', 'a publication of live rows turns a soft delete into a DELETE');
ask($primary, 'app', 'UPDATE live_only SET deleted_at = NULL WHERE id = 1; INSERT INTO live_only VALUES (6, 60)');
replicated('live_only', '1 3 4 6 | none', '... and a row that comes back into an INSERT');

ask($primary, 'app', 'DELETE FROM plain WHERE id = 1');
replicated('plain', '2 | none', 'a DELETE of a publisher without policy is one');
ask($primary, 'app', q(SET orm_ext.delete_mode = 'hard'; DELETE FROM kept WHERE id = 1));
replicated('kept', '2 3 4 | 1 5', '... unless the trigger is enabled ALWAYS, as any trigger can be');
ask($primary, 'app', q(SET orm_ext.delete_mode = 'hard'; TRUNCATE everything));
replicated('everything', 'none | none', 'TRUNCATE is replicated');

$_->stop for $subscriber, $primary;
done_testing();
