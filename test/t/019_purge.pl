# A purge that is stopped in every way there is goes on; and one beside others that restore rows, or
# come to refer to them: no live row is lost, and nothing refers to nothing.

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
session_preload_libraries = 'orm_ext'));
my $job = 0;

create_database($node, 'd');
ask($node, 'd', q(
	CREATE TABLE item (id int PRIMARY KEY, boss int REFERENCES item ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE sub (id int PRIMARY KEY, item_id int REFERENCES item ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE note (id serial PRIMARY KEY, item_id int REFERENCES item ON DELETE CASCADE);
	CREATE INDEX ON item (boss);
	CREATE INDEX ON sub (item_id);
	CREATE INDEX ON note (item_id);
	CREATE TABLE gone (t text, id int);
	CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO gone VALUES (TG_TABLE_NAME, OLD.id); RETURN NULL; END $$;
	CREATE TRIGGER log_row AFTER DELETE ON item FOR EACH ROW EXECUTE FUNCTION log_row();
	CREATE TRIGGER log_row AFTER DELETE ON sub FOR EACH ROW EXECUTE FUNCTION log_row();
	-- others may refer to deleted rows, and restore what refers to them
	CREATE TRIGGER soft_delete BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
	CREATE TRIGGER soft_delete BEFORE DELETE ON sub FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');
));

# 5000 items that are due, of which every tenth has a live row below it, and one in 50 is live itself.
sub fresh_rows
{
	ask($node, 'd', q(
		SET orm_ext.delete_mode = hard;
		TRUNCATE item, sub, note, gone;
		SET session_replication_role = replica;
		INSERT INTO item SELECT i, CASE WHEN i % 3 = 0 THEN i / 3 END, CASE WHEN i % 50 > 0 THEN timestamptz '2001-01-01' END FROM generate_series(1, 5000) AS i ORDER BY md5(i::text);
		INSERT INTO sub SELECT i, i / 2 + 1, CASE WHEN i % 10 > 0 THEN timestamptz '2001-01-01' END FROM generate_series(0, 9999) AS i;
		ANALYZE item, sub));
	return;
}

# Rows that are to be there afterwards: what nothing that is due may take along.
my $expected = q(
	SET row_security = off;
	WITH RECURSIVE below (root, t, id, is_due) AS (
		SELECT id, 'item', id, deleted_at IS NOT NULL FROM item
		UNION SELECT b.root, c.t, c.id, c.is_due FROM below AS b JOIN (
			SELECT 'item' AS t, boss AS of, id, deleted_at IS NOT NULL AS is_due FROM item
			UNION ALL SELECT 'sub', item_id, id, deleted_at IS NOT NULL FROM sub) AS c ON c.of = b.id AND b.t = 'item'),
	goes AS (SELECT t, id FROM below WHERE root IN (SELECT root FROM below GROUP BY root HAVING bool_and(is_due)))
	SELECT md5(string_agg(t || id, ' ' ORDER BY t, id)), count(*) FROM (SELECT 'item' AS t, id FROM item UNION ALL SELECT 'sub', id FROM sub EXCEPT SELECT * FROM goes) AS r);
my $rest = q(
	SET row_security = off;
	SELECT md5(string_agg(t || id, ' ' ORDER BY t, id)), count(*) FROM (SELECT 'item' AS t, id FROM item UNION ALL SELECT 'sub', id FROM sub) AS r);
my $orphans = q(
	SET row_security = off;
	SELECT (SELECT count(*) FROM item AS i WHERE boss IS NOT NULL AND NOT EXISTS (SELECT FROM item AS b WHERE b.id = i.boss))
		+ (SELECT count(*) FROM sub AS s WHERE NOT EXISTS (SELECT FROM item AS i WHERE i.id = s.item_id))
		+ (SELECT count(*) FROM note AS n WHERE NOT EXISTS (SELECT FROM item AS i WHERE i.id = n.item_id)));

# Begin a statement in a session of its own.
sub begin
{
	my ($sql) = @_;
	my %session = (out => '', err => '');

	$session{handle} = start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('d'), '-c', $sql ],
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
	'pg_cancel_backend' => sub { ask($node, 'd', "SELECT pg_cancel_backend(pid) FROM orm_ext.batch_jobs WHERE job = $job"); },
	'batch_pause' => sub { $node->psql('d', "CALL orm_ext.batch_pause($job)"); usleep(1_500_000); });

note 'stopped and gone on, several times';

for my $how (sort keys %stop)
{
	my $interrupted = 0;

	fresh_rows();
	my $wanted = ask($node, 'd', $expected);
	my $session = begin(q(CALL orm_ext.purge('item', '1 day', batch_size => 100, pause => '5 ms')));
	wait_for_batches(5);
	for (1 .. 3)
	{
		$stop{$how}->();
		end_of($session);
		$interrupted++ if state_of() =~ /interrupted|paused/;
		last if state_of() eq 'done';
		my $batches = ask($node, 'd', "SELECT batches FROM orm_ext.batch_jobs WHERE job = $job");
		$session = begin("CALL orm_ext.batch_resume($job)");
		$node->poll_query_until('d', "SELECT batches > $batches + 3 OR state NOT IN ('interrupted', 'paused') AND pid IS NULL FROM orm_ext.batch_jobs WHERE job = $job");
	}
	end_of($session);
	is(state_of(), 'done', "$how: done");
	cmp_ok($interrupted, '>', 0, '... though interrupted');
	is(ask($node, 'd', $rest), $wanted, '... what is left is what was to be left');
	is(ask($node, 'd', $orphans), '0', '... and refers to what is there');
	is(ask($node, 'd', 'SELECT count(*) = count(DISTINCT (t, id)) FROM gone'), 't', '... each row went once');
	is(ask($node, 'd', "SELECT (SELECT count(*) FROM gone) - (report->'purged'->>'public.item')::int - (report->'purged'->>'public.sub')::int FROM orm_ext.batch_jobs WHERE job = $job"), '0', '... and was counted once');
	is(ask($node, 'd', "SELECT (SELECT sum(v::int) FROM jsonb_each_text(report->'kept') AS k (k, v)) = (SELECT count(*) FROM item WHERE deleted_at IS NOT NULL) FROM orm_ext.batch_jobs WHERE job = $job"), 't', '... and so were those that were kept');
}

note 'beside others that restore rows and refer to them';

fresh_rows();
ask($node, 'd', q(
	UPDATE sub SET deleted_at = '2001-01-01' WHERE deleted_at IS NULL;
	CREATE TABLE saved (t text, id int);
	-- what is told to have been done must be there afterwards
	CREATE FUNCTION refer(item int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE new int;
	BEGIN
		INSERT INTO note (item_id) VALUES (item) RETURNING id INTO new;
		PERFORM pg_sleep(random() * 0.01);
		INSERT INTO saved VALUES ('note', new);
	EXCEPTION WHEN foreign_key_violation THEN NULL;
	END $$;
	CREATE FUNCTION revive(which int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE sub SET deleted_at = NULL WHERE id = which AND deleted_at IS NOT NULL;
		IF FOUND THEN
			PERFORM pg_sleep(random() * 0.01);
			INSERT INTO saved VALUES ('sub', which);
		END IF;
	END $$;
	CREATE FUNCTION revive_item(which int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE item SET deleted_at = NULL WHERE id = which AND deleted_at IS NOT NULL;
		IF FOUND THEN
			PERFORM pg_sleep(random() * 0.01);
			INSERT INTO saved VALUES ('item', which);
		END IF;
	END $$));
my $script = "$PostgreSQL::Test::Utils::tmp_check/others.sql";
append_to_file($script, join("\n", '\set item random(1, 5000)', '\set sub random(0, 9999)', '\set other random(1, 5000)',
	'SELECT refer(:item);', 'SELECT revive(:sub);', 'SELECT revive_item(:other);', '\sleep 20 ms', ''));
my $bench = '';
my $others = start([ 'pgbench', '-n', '-c', '4', '-T', '170', '--max-tries=0', '-f', $script, $node->connstr('d') ], '<', \undef, '>', \$bench, '2>&1');
$node->poll_query_until('d', 'SELECT count(*) > 20 FROM saved') or die 'the others do not get on';
my $err = end_of(begin(q(CALL orm_ext.purge('item', '1 day', batch_size => 40, lock_timeout => '100 ms', max_retries => 1000, pause => '2 ms'))));
$others->kill_kill;
finish($others);
unlike($err, qr/ERROR/, 'a purge ends beside them');
$node->poll_query_until('d', q(SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'));
$job = ask($node, 'd', 'SELECT max(job) FROM orm_ext.batch_jobs');
is(state_of(), 'done', '... and is done');
is(ask($node, 'd', q(SET row_security = off;
	SELECT count(*) FROM saved AS s WHERE NOT CASE s.t WHEN 'note' THEN EXISTS (SELECT FROM note AS n WHERE n.id = s.id)
		WHEN 'sub' THEN EXISTS (SELECT FROM sub WHERE sub.id = s.id AND deleted_at IS NULL)
		ELSE EXISTS (SELECT FROM item WHERE item.id = s.id AND deleted_at IS NULL) END)), '0', 'no row that was live is lost');
is(ask($node, 'd', $orphans), '0', '... and none refers to nothing');
is(ask($node, 'd', "SELECT rows_done > 1000, count(*) FILTER (WHERE v::int > 0) >= 2 FROM orm_ext.batch_jobs, jsonb_each_text(report->'kept') AS k (k, v) WHERE job = $job GROUP BY 1"), 't|t', '... though there was something to do, and to keep');
note ask($node, 'd', "SELECT rows_done, retries, report, (SELECT count(*) FROM saved) FROM orm_ext.batch_jobs WHERE job = $job");

$node->stop;
done_testing();
