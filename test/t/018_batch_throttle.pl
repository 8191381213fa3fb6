# Batched jobs that hold back: for replicas that lag behind, for a rate of WAL, for a pause, for locks.
# And what is told of them meanwhile, here and on a standby.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run qw(start finish timeout);
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('main', q(
autovacuum = off
full_page_writes = off
session_preload_libraries = 'orm_ext'), allows_streaming => 1);
create_database($node, 'd');
ask($node, 'd', q(
	CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, body text);
	INSERT INTO t SELECT i, 0, repeat('x', 100) FROM generate_series(1, 20000) AS i));
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

sub begin
{
	my ($sql) = @_;
	my %session = (out => '', err => '');

	$session{handle} = start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('d'), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, timeout(120));
	return \%session;
}

sub end_of
{
	my ($session) = @_;

	finish($session->{handle});
	return $session->{err};
}

sub last_job { return ask($node, 'd', "SELECT $_[0] FROM orm_ext.batch_jobs ORDER BY job DESC LIMIT 1"); }

sub wait_until
{
	my ($condition) = @_;

	return $node->poll_query_until('d', "SELECT coalesce((SELECT $condition FROM orm_ext.batch_jobs ORDER BY job DESC LIMIT 1), false)");
}

note 'a replica';

my $update = q(CALL orm_ext.batch_update('t', 'n = n + 1', batch_size => 20, max_replica_lag => '20 ms'));
$node->wait_for_catchup($standby);
is(end_of(begin($update)), '', 'a replica that follows holds nothing up');
is(ask($node, 'd', 'SELECT count(*) FROM t WHERE n <> 1'), '0', '... and all rows are done');

ask($standby, 'postgres', 'SELECT pg_wal_replay_pause()');
my $session = begin($update);
ok(wait_until("state = 'running' AND updated < clock_timestamp() - interval '3 s'"), 'a job waits for one that stands still');
my $batches = last_job('batches');
cmp_ok($batches, '<', 1000, '... before it is done');
usleep(500_000);
is(last_job('batches'), $batches, '... and stays there');
like(ask($node, 'd', q(SELECT wait_event_type || ' ' || (backend_xmin IS NULL) || ' ' || (backend_xid IS NULL) FROM pg_stat_activity WHERE query LIKE 'CALL%')),
	qr/^Extension true true$/, '... without a snapshot and a transaction number');
my $resumed = time();
ask($standby, 'postgres', 'SELECT pg_wal_replay_resume()');
$node->poll_query_until('d', "SELECT batches > $batches FROM orm_ext.batch_jobs ORDER BY job DESC LIMIT 1");
cmp_ok(time() - $resumed, '<', 5, '... and goes on at once when it does');
is(end_of($session), '', '... without an error');
is(ask($node, 'd', 'SELECT count(*) FROM t WHERE n <> 2'), '0', '... to the end');

ask($standby, 'postgres', 'SELECT pg_wal_replay_pause()');
$session = begin($update);
wait_until("state = 'running' AND batches > 0 AND updated < clock_timestamp() - interval '2 s'");
ask($node, 'd', 'CALL orm_ext.batch_pause(' . last_job('job') . ')');
like(end_of($session), qr/NOTICE:  batched job \d+ is paused after \d+ rows/, 'one that waits can be paused');
is(last_job('state'), 'paused', '... and is');
$session = begin('CALL orm_ext.batch_resume(' . last_job('job') . ')');
wait_until("state = 'running' AND updated < clock_timestamp() - interval '1500 ms'");
ask($node, 'd', 'CALL orm_ext.batch_cancel(' . last_job('job') . ')');
like(end_of($session), qr/NOTICE:  batched job \d+ is cancelled after \d+ rows/, '... or cancelled');
ask($standby, 'postgres', 'SELECT pg_wal_replay_resume()');
$node->wait_for_catchup($standby);
is(ask($standby, 'd', 'SELECT string_agg(state, $$ $$ ORDER BY job) FROM orm_ext.batch_jobs'), 'done done cancelled', 'a standby shows the jobs');
like(told($standby, 'd', q(CALL orm_ext.batch_update('t', 'n = 1')), go_on => 1), qr/ERROR:  25006:/, '... and runs none');
like(told($standby, 'd', q(CALL orm_ext.batch_update('t', 'n = 1', dry_run => true)), go_on => 1), qr/NOTICE:  \S+  ?about \d+ rows/, '... but tells what one would do');
$standby->stop;

note 'a rate of WAL';

ask($node, 'd', 'UPDATE t SET n = 0; CHECKPOINT');
my $before = ask($node, 'd', q(SELECT pg_current_wal_insert_lsn() - '0/0'));
my $began = time();
is(end_of(begin(q(CALL orm_ext.batch_update('t', 'n = n + 1', batch_size => 200, max_wal_rate => 1500000)))), '', 'a job with a rate of WAL');
my $rate = (ask($node, 'd', q(SELECT pg_current_wal_insert_lsn() - '0/0')) - $before) / (time() - $began);
cmp_ok($rate, '<', 1_600_000, 'keeps it');
cmp_ok($rate, '>', 700_000, '... and makes use of it');

note 'pauses, and batches of a certain time';

$began = time();
end_of(begin(q(CALL orm_ext.batch_update('t', 'n = n + 1', batch_size => 5000, pause => '250 ms'))));
cmp_ok(time() - $began, '>', 0.74, 'three pauses between four batches');
end_of(begin(q(CALL orm_ext.batch_update('t', 'n = n + 1', batch_size => 10, target_time => '50 ms'))));
cmp_ok(last_job('batches'), '<', 60, 'batches grow towards a target time');
end_of(begin(q(CALL orm_ext.batch_update('t', 'n = n + 1 + length(pg_sleep(0.0005)::text)', 'id <= 2000', batch_size => 1000, target_time => '100 ms'))));
cmp_ok(last_job('batches'), '>', 8, '... and shrink');

note 'progress';

ask($node, 'd', 'VACUUM ANALYZE t');

$session = begin(q(CALL orm_ext.batch_update('t', 'n = n + 1', batch_size => 200, pause => '30 ms', progress => true)));
wait_until(q(state = 'running' AND percent > 30));
like(last_job(q(concat_ws(' ', state, percent > 30 AND percent < 100, eta > clock_timestamp() - interval '1 min', eta < clock_timestamp() + interval '1 min', rows_done * 100 / estimate BETWEEN percent - 2 AND percent + 2))),
	qr/^running t t t t$/, 'another session sees how far it has come');
$session = end_of($session);
like($session, qr/NOTICE:  batched job \d+: \d+ rows in \d+ batches, [1-9]\d? %\n/, '... and the client is told');
like($session, qr/NOTICE:  batched job \d+ is done: 20000 rows in 100 batches\n/, '... to the end');

$node->stop;
done_testing();
