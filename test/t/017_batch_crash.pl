# Batched jobs that are stopped in every way there is, and go on: each row is done exactly once, also
# where doing it twice would show.  And jobs beside others: inserts without end, updates in any order.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run qw(start finish timeout);
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('main', q(
autovacuum = on
restart_after_crash = on
deadlock_timeout = 50ms
max_wal_senders = 0
wal_level = minimal
session_preload_libraries = 'orm_ext'));
my $rows = 20_000;
my $job = 0;

create_database($node, 'd');
ask($node, 'd', qq(
	CREATE TABLE counted (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, done int, body text);
	CREATE TABLE done_log (id int);
	CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO done_log VALUES (OLD.id); RETURN NULL; END \$\$;
));

# A fresh table of rows, with a log of what is done to them.
sub fresh_rows
{
	ask($node, 'd', qq(
		DROP TRIGGER IF EXISTS log_row ON counted;
		TRUNCATE counted, done_log;
		INSERT INTO counted (id, body) SELECT i, repeat('x', i % 100) FROM generate_series(1, $rows) AS i ORDER BY md5(i::text);
		CREATE TRIGGER log_row AFTER UPDATE OR DELETE ON counted FOR EACH ROW EXECUTE FUNCTION log_row();
		ANALYZE counted));
	return;
}

# Begin a statement in a session of its own.
sub begin
{
	my ($sql, $database) = @_;
	my %session = (out => '', err => '');

	$session{handle} = start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database // 'd'), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, timeout(180));
	return \%session;
}

# Wait until it has ended, however.
sub end_of
{
	my ($session) = @_;

	finish($session->{handle});
	return $session->{err};
}

# The last job, once it has come so far.
sub wait_for_batches
{
	my ($batches) = @_;

	$node->poll_query_until('d', "SELECT coalesce((SELECT batches >= $batches AND pid IS NOT NULL FROM orm_ext.batch_jobs WHERE job > $job ORDER BY job DESC LIMIT 1), false)")
	  or die 'the job does not get on';
	$job = ask($node, 'd', 'SELECT max(job) FROM orm_ext.batch_jobs');
	return;
}

sub state_of { return ask($node, 'd', "SELECT state FROM orm_ext.batch_jobs WHERE job = $job"); }

# The server is there again after a crash.
sub wait_for_server
{
	for (1 .. 600)
	{
		return if $node->psql('d', 'SELECT 1') == 0;
		usleep(100_000);
	}
	die 'the server does not come back';
}

my %stop = (
	'kill -9 of the backend' => sub {
		my $pid = ask($node, 'd', "SELECT pid FROM orm_ext.batch_jobs WHERE job = $job");
		kill 'KILL', $pid if $pid ne '';
		wait_for_server();
	},
	'kill -9 of the server' => sub {
		$node->stop('immediate');
		$node->start;
	},
	'pg_terminate_backend' => sub { ask($node, 'd', "SELECT pg_terminate_backend(pid) FROM orm_ext.batch_jobs WHERE job = $job"); },
	'pg_cancel_backend' => sub { ask($node, 'd', "SELECT pg_cancel_backend(pid) FROM orm_ext.batch_jobs WHERE job = $job"); },
	'a restart' => sub { $node->restart; });

my %work = (
	'an UPDATE by key' => {
		call => q(CALL orm_ext.batch_update('counted', 'n = n + 1', batch_size => 100, pause => '2 ms')),
		check => 'SELECT count(*) FROM counted WHERE n <> 1' },
	'an UPDATE by ctid' => {
		call => q(CALL orm_ext.batch_update('counted', 'done = 1, n = n + 1', 'done IS NULL', batch_size => 100, pause => '2 ms')),
		check => 'SELECT count(*) FROM counted WHERE n <> 1 OR done IS NULL' },
	'a DELETE' => {
		call => q(CALL orm_ext.batch_delete('counted', batch_size => 100, pause => '2 ms')),
		check => 'SELECT count(*) FROM counted' });

note 'stopped and gone on, several times';

for my $work (sort keys %work)
{
	for my $how (sort keys %stop)
	{
		my $interrupted = 0;
		my $stops = 0;

		fresh_rows();
		my $session = begin($work{$work}{call});
		wait_for_batches(5);
		while ($stops < 3)
		{
			$stop{$how}->();
			$stops++;
			end_of($session);
			$interrupted++ if state_of() eq 'interrupted';
			last if state_of() eq 'done';
			my $batches = ask($node, 'd', "SELECT batches FROM orm_ext.batch_jobs WHERE job = $job");
			$session = begin("CALL orm_ext.batch_resume($job)");
			$node->poll_query_until('d', "SELECT batches > $batches + 3 OR state <> 'interrupted' AND pid IS NULL FROM orm_ext.batch_jobs WHERE job = $job");
		}
		end_of($session);
		is(state_of(), 'done', "$work, $how: done");
		cmp_ok($interrupted, '>', 0, '... though interrupted');
		is(ask($node, 'd', $work{$work}{check}), '0', '... and all rows are');
		is(ask($node, 'd', 'SELECT count(*), count(DISTINCT id) FROM done_log'), "$rows|$rows", '... each once');
		is(ask($node, 'd', "SELECT rows_done, percent FROM orm_ext.batch_jobs WHERE job = $job"), "$rows|100.0", '... and counted once');
	}
}

note 'what a cancelled job says';

fresh_rows();
my $session = begin(q(CALL orm_ext.batch_update('counted', 'n = n + 1', batch_size => 100, pause => '20 ms')));
wait_for_batches(2);
ask($node, 'd', "SELECT pg_cancel_backend(pid) FROM orm_ext.batch_jobs WHERE job = $job");
like(end_of($session), qr/canceling statement due to user request/, 'a cancelled job says so');
is(ask($node, 'd', "SELECT state, pid IS NULL FROM orm_ext.batch_jobs WHERE job = $job"), 'interrupted|t', '... and is interrupted');
ask($node, 'd', "CALL orm_ext.batch_resume($job)");
is(ask($node, 'd', $work{'an UPDATE by key'}{check}), '0', '... and goes on');

note 'others insert without end';

fresh_rows();
ask($node, 'd', 'CREATE SEQUENCE fresh_id START 1000000');
my $insert = "$PostgreSQL::Test::Utils::tmp_check/insert.sql";
append_to_file($insert, "INSERT INTO counted (id) SELECT nextval('fresh_id') FROM generate_series(1, 20);\n");
my $inserting = start([ 'pgbench', '-n', '-c', '2', '-T', '170', '-f', $insert, $node->connstr('d') ], '<', \undef, '>', \my $bench, '2>&1');
for my $work (sort keys %work)
{
	my ($before) = ask($node, 'd', 'SELECT max(id) FROM counted');

	end_of(begin($work{$work}{call} =~ s/, pause => '2 ms'//r));
	$job = ask($node, 'd', 'SELECT max(job) FROM orm_ext.batch_jobs');
	is(state_of(), 'done', "$work ends beside inserts");
	is(ask($node, 'd', $work{$work}{check} . ($work{$work}{check} =~ /WHERE/ ? ' AND' : ' WHERE') . " id <= $rows"), '0', '... and does all rows that were there')
	  if $work eq 'a DELETE' || $work eq 'an UPDATE by key';
	fresh_rows() if $work ne 'an UPDATE by key';
}
$inserting->kill_kill;
finish($inserting);

note 'others update in any order';

ask($node, 'd', 'ALTER TABLE counted ADD other int NOT NULL DEFAULT 0');
my $update = "$PostgreSQL::Test::Utils::tmp_check/update.sql";
append_to_file($update, join("\n", 'BEGIN;', (map { "\\set id$_ random(1, $rows)\nUPDATE counted SET other = other + 1 WHERE id = :id$_;" } 1 .. 5), "END;\n"));
for my $by (qw(key ctid))
{
	fresh_rows();
	my $updating = start([ 'pgbench', '-n', '-c', '3', '-T', '170', '--max-tries=0', '-f', $update, $node->connstr('d') ], '<', \undef, '>', \$bench, '2>&1');
	my $err = end_of(begin("CALL orm_ext.batch_update('counted', 'done = coalesce(done, 0) + 1, n = n + 1', 'done IS NULL', batch_size => 500, by => '$by', lock_timeout => '50 ms', max_retries => 1000)"));
	$updating->kill_kill;
	finish($updating);
	is($err, '', "by $by beside updates");
	is(ask($node, 'd', 'SELECT count(*) FROM counted WHERE done IS DISTINCT FROM 1 OR n <> 1'), '0', '... all rows are done once');
}

note 'copies of the database';

fresh_rows();
$session = begin(q(CALL orm_ext.batch_update('counted', 'n = n + 1', batch_size => 100, pause => '20 ms')));
wait_for_batches(3);
ask($node, 'd', "CALL orm_ext.batch_pause($job)");
end_of($session);
is(state_of(), 'paused', 'a job is paused');
ask($node, 'postgres', 'CREATE DATABASE copy TEMPLATE d');
ask($node, 'copy', "CALL orm_ext.batch_resume($job)");
is(ask($node, 'copy', 'SELECT count(*) FROM counted WHERE n <> 1'), '0', 'it goes on in a copy of the database');
is(state_of(), 'paused', '... where it is another one');

# a role that owns a table and nothing else dumps it and the extension
ask($node, 'd', q(CREATE ROLE dumper LOGIN; CREATE SCHEMA own AUTHORIZATION dumper; GRANT SELECT ON ALL TABLES IN SCHEMA public TO dumper; GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO dumper));
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-U', 'dumper', '-f', $dump, 'd' ], 'a role that sees no job dumps the database');
unlike(slurp_file($dump), qr/batch_job/, '... without jobs');
ask($node, 'postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], '... and it can be restored');
is(ask($node, 'restored', 'SELECT count(*) FROM orm_ext.batch_jobs'), '0', '... without jobs');
ask($node, 'restored', q(CALL orm_ext.batch_update('counted', 'n = 5', 'n <> 5', batch_size => 1000)));
is(ask($node, 'restored', 'SELECT count(*) FROM counted WHERE n <> 5'), '0', '... and new ones run');
ask($node, 'd', "CALL orm_ext.batch_resume($job)");
is(ask($node, 'd', 'SELECT count(*) FROM counted WHERE n <> 1'), '0', 'the first one goes on where it was');

$node->stop;
done_testing();
