# Foreign keys of tables under soft delete in sessions.  Many at once: references are made while what they
# refer to is deleted and brought back.  At no time a live row refers to a deleted one, nothing is lost,
# and nobody deadlocks.  ORM_EXT_STRESS_SECONDS says how long.  Then single ones: rows that are fetched
# piece by piece, transactions that are prepared, and sessions that do not preload the library.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Session;
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Storable;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', q(
autovacuum_naptime = 1s
client_min_messages = warning
deadlock_timeout = 100ms
log_statement = none
max_prepared_transactions = 2));
my $seconds = $ENV{ORM_EXT_STRESS_SECONDS} || 5;
my $clients = 8;
my $parents = 40;

create_database($node, 'app');
ask($node, 'app', 'SELECT orm_ext.preload()');
ask($node, 'app', qq(
	CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, deleted_at timestamptz);
	CREATE TABLE child (id bigint PRIMARY KEY, up int NOT NULL REFERENCES parent ON DELETE CASCADE, n int NOT NULL DEFAULT 0, deleted_at timestamptz);
	CREATE TABLE item (id bigint PRIMARY KEY, up bigint NOT NULL REFERENCES child ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE keeper (id bigint PRIMARY KEY, up int NOT NULL REFERENCES parent, deleted_at timestamptz);
	CREATE TABLE strict (id bigint PRIMARY KEY, up int NOT NULL REFERENCES parent ON DELETE RESTRICT, deleted_at timestamptz);
	CREATE INDEX ON child (up);
	CREATE INDEX ON item (up);
	CREATE INDEX ON keeper (up);
	CREATE INDEX ON strict (up);
	INSERT INTO parent SELECT generate_series(1, $parents);
	SELECT orm_ext.enable_soft_delete(name, unique_keys => 'all') FROM unnest('{parent,child,item,keeper,strict}'::regclass[]) AS name));

# Live rows that refer to one that is not, in one snapshot.
my $dangling = q(
	SELECT 'child ' || c.id || ' of ' || c.up FROM child AS c WHERE NOT EXISTS (SELECT FROM parent AS p WHERE p.id = c.up)
	UNION ALL SELECT 'item ' || i.id || ' of ' || i.up FROM item AS i WHERE NOT EXISTS (SELECT FROM child AS c WHERE c.id = i.up)
	UNION ALL SELECT 'keeper ' || k.id || ' of ' || k.up FROM keeper AS k WHERE NOT EXISTS (SELECT FROM parent AS p WHERE p.id = k.up)
	UNION ALL SELECT 'strict ' || s.id || ' of ' || s.up FROM strict AS s WHERE NOT EXISTS (SELECT FROM parent AS p WHERE p.id = s.up));

# Plain PostgreSQL must not deadlock either.  So a parent is changed and brought back by one client alone,
# its own, and a child moves to parents of higher numbers only.
sub statements
{
	my ($client, $id) = @_;
	my $parent = 1 + int rand $parents;
	my $own = 1 + $client + $clients * int rand($parents / $clients);
	my $kind = (qw(child child child item item keeper strict change move visit leave leave leave mark merge several
		leave_child leave_keeper leave_keeper leave_strict leave_strict back back))[int rand 23];
	my $some_child = 'SELECT id FROM child ORDER BY id DESC OFFSET ' . int(rand 30) . ' LIMIT 1';

	return ($kind, 'child', 1, "INSERT INTO child VALUES ($id, $parent)") if $kind eq 'child';
	return ($kind, 'item', 1, "INSERT INTO item SELECT $id, id FROM ($some_child) AS c") if $kind eq 'item';
	return ($kind, 'keeper', 1, "INSERT INTO keeper VALUES ($id, $parent)") if $kind eq 'keeper';
	return ($kind, 'strict', 1, "INSERT INTO strict VALUES ($id, $parent)") if $kind eq 'strict';
	return ($kind, 'child', 1, "INSERT INTO child VALUES ($id, $own)", "UPDATE parent SET n = n + 1 WHERE id = $own") if $kind eq 'visit';
	return ($kind, '', 0, "UPDATE child SET n = n + 1 WHERE id = ($some_child)") if $kind eq 'change';
	return ($kind, '', 0, "UPDATE child SET up = up + 1 WHERE id = ($some_child) AND up < $parents") if $kind eq 'move';
	return ($kind, '', 0, "DELETE FROM parent WHERE id = $parent") if $kind eq 'leave';
	return ($kind, '', 0, "UPDATE parent SET deleted_at = clock_timestamp() WHERE id = $parent AND deleted_at IS NULL") if $kind eq 'mark';
	return ($kind, '', 0, "MERGE INTO parent USING (SELECT $parent) AS s (k) ON id = k WHEN MATCHED THEN DELETE") if $kind eq 'merge';
	return ($kind, '', 0, "DELETE FROM parent WHERE id = $parent", "INSERT INTO parent (id) SELECT 0 WHERE false") if $kind eq 'several';
	return ($kind, '', 0, "DELETE FROM child WHERE id = ($some_child)") if $kind eq 'leave_child';
	return ($kind, '', 0, "DELETE FROM keeper WHERE up = $parent") if $kind eq 'leave_keeper';
	return ($kind, '', 0, "DELETE FROM strict WHERE up = $parent") if $kind eq 'leave_strict';
	return ($kind, '', 0, "CREATE TEMP TABLE IF NOT EXISTS stamp (at timestamptz)", "DELETE FROM stamp",
		"INSERT INTO stamp SELECT deleted_at FROM parent WHERE id = $own AND deleted_at IS NOT NULL",
		"UPDATE parent SET deleted_at = NULL WHERE id = $own AND deleted_at IS NOT NULL",
		"UPDATE child SET deleted_at = NULL FROM stamp WHERE up = $own AND deleted_at = at",
		"UPDATE item SET deleted_at = NULL FROM stamp, child WHERE child.id = item.up AND child.up = $own AND item.deleted_at = at");
}

# What a client does until its time is up; $result has the counts.
sub client
{
	my ($client, $until, $result) = @_;
	my $session = OrmExt::Session->new($node, 'app', application_name => "client $client");
	my $level = $client >= $clients - 2 ? 'REPEATABLE READ' : 'READ COMMITTED';
	my $id = $client * 10_000_000;

	while (time < $until)
	{
		my ($kind, $table, $rows, @statements) = statements($client, ++$id);
		my @replies = $session->query(join('; ', "BEGIN ISOLATION LEVEL $level", @statements, 'COMMIT'));
		my ($error) = grep { /^ERROR/ } @replies;

		if ($error)
		{
			$session->query('ROLLBACK');
			$result->{ "ERROR " . (split / /, $error)[1] }++;
			# a reference that there is no more, a delete that is refused (from 18 on 23001 for RESTRICT), a row that has changed
			push @{ $result->{odd} }, "$kind: $error" if $error !~ /^ERROR (23503|23001|40001) /;
			next;
		}
		my ($inserted) = map { /^INSERT 0 (\d+)/ ? $1 : () } @replies;
		my ($touched) = map { /^UPDATE (\d+)/ ? $1 : () } @replies;

		$result->{$kind}++;
		$result->{"rows of $table"} += $inserted if $table;
		$result->{visits} += $touched if $kind eq 'visit';
	}
	return;
}

# Looks for dangling rows all the time.
sub watcher
{
	my ($until, $result) = @_;
	my $session = OrmExt::Session->new($node, 'app', application_name => 'watcher');

	while (time < $until)
	{
		push @{ $result->{odd} }, grep { /^\(|^ERROR/ } $session->query($dangling);
		$result->{looks}++;
		sleep 0.02;
	}
	return;
}

my $folder = PostgreSQL::Test::Utils::tempdir();
my $seed = $ENV{ORM_EXT_STRESS_SEED} || int rand 1_000_000;
my $until = time + $seconds;
my (@pids, %total);

note "$clients clients for $seconds s, seed $seed";
for my $client (0 .. $clients)
{
	my $pid = fork // die "cannot fork: $!";

	if ($pid == 0)
	{
		# leave without the END blocks, which would stop the server
		my %result = (odd => []);

		srand($seed + $client);
		eval { $client == $clients ? watcher($until, \%result) : client($client, $until, \%result); 1 }
		  or push @{ $result{odd} }, "client $client: $@";
		eval { store(\%result, "$folder/$client") };
		POSIX::_exit(0);
	}
	push @pids, $pid;
}
my @odd;
for my $client (0 .. $clients)
{
	waitpid $pids[$client], 0;
	my $result = retrieve("$folder/$client");

	push @odd, @{ delete $result->{odd} };
	$total{$_} += $result->{$_} for keys %$result;
}
note join(', ', map { "$_: $total{$_}" } sort keys %total);
is(join("\n", @odd[0 .. ($#odd > 9 ? 9 : $#odd)]), '', 'no deadlock, and no live row that refers to a deleted one, at any time');
is(ask($node, 'app', $dangling), '', '... nor in the end');
cmp_ok($total{$_} // 0, '>', 0, "it has happened: $_") for qw(child item visit leave mark merge back move looks), 'ERROR 23503';
is(ask($node, 'app', "SET row_security = off; SELECT count(*) FROM $_"), $total{"rows of $_"}, "no row of $_ is lost") for qw(child item keeper strict);
is(ask($node, 'app', "SET row_security = off; SELECT count(*), sum(n) FROM parent"), "$parents|$total{visits}", 'no parent, and no change of one');
is(ask($node, 'app', q(SET row_security = off; SELECT count(*) > 0 FROM child WHERE deleted_at IN (SELECT deleted_at FROM parent))), 't', 'children have gone with their parents');

note 'single sessions';

# What is live, table by table.
sub live
{
	my ($database) = @_;

	return ask($node, $database, q(
		SET row_security = off;
		SELECT concat_ws(' | ', (SELECT string_agg(id::text, ' ' ORDER BY id) FROM p WHERE deleted_at IS NULL),
			(SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), 'none') FROM c WHERE deleted_at IS NULL),
			(SELECT string_agg(id::text, ' ' ORDER BY id) FROM k WHERE deleted_at IS NULL))));
}

my $few = q(
	CREATE TABLE p (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE c (id int PRIMARY KEY, up int REFERENCES p ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE k (id int PRIMARY KEY, up int REFERENCES p DEFERRABLE INITIALLY DEFERRED, deleted_at timestamptz);
	CREATE TRIGGER soft_delete BEFORE DELETE ON p FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
	CREATE TRIGGER soft_delete BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
	CREATE TRIGGER soft_delete BEFORE DELETE ON k FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
	INSERT INTO p SELECT generate_series(1, 6);
	INSERT INTO c SELECT i, i FROM generate_series(1, 6) AS i;
	INSERT INTO k VALUES (6, 6));
ask($node, 'app', $few);
my $session = OrmExt::Session->new($node, 'app');
is(join(' ', $session->parse('', 'DELETE FROM p WHERE id <= 2 RETURNING id')->bind('', '')->execute('', 1)->sync->replies),
	'ParseComplete BindComplete (1) PortalSuspended Ready I', 'a row of two is fetched');
is(live('app'), '3 4 5 6 | 3 4 5 6 | 6', '... both have gone, and what goes along');
$session->query('BEGIN');
$session->parse('', 'WITH d AS (DELETE FROM p WHERE id <= 4 RETURNING id) SELECT id FROM d')->bind('few', '')->execute('few', 1)->sync->replies;
is(join(' ', grep { /^\(/ } $session->query('SELECT id FROM c ORDER BY id')), '(5) (6)', 'WITH: the same');
$session->query('ROLLBACK');
is(live('app'), '3 4 5 6 | 3 4 5 6 | 6', '... and back');
is(($session->query(q(BEGIN; DELETE FROM p WHERE id = 6; PREPARE TRANSACTION 'one')))[-2],
	'ERROR 23503 update or delete on table "p" violates foreign key constraint "k_up_fkey" on table "k"', 'PREPARE TRANSACTION makes deferred checks');
$session->query('ROLLBACK');
$session->query(q(BEGIN; DELETE FROM p WHERE id = 3; PREPARE TRANSACTION 'one'));
is(live('app'), '3 4 5 6 | 3 4 5 6 | 6', 'a prepared transaction');
is(($session->query(q(SET lock_timeout = '100ms'; INSERT INTO c VALUES (9, 3))))[-2], 'ERROR 55P03 canceling statement due to lock timeout', '... has locked what it deletes');
$session->query(q(COMMIT PREPARED 'one'));
is(live('app'), '4 5 6 | 4 5 6 | 6', '... and deletes it');

create_database($node, 'late');
ask($node, 'late', $few);
ask($node, 'late', 'DELETE FROM p WHERE id <= 2');
is(live('late'), '3 4 5 6 | 3 4 5 6 | 6', 'without preload: the library that comes with the first DELETE cascades');
like(told($node, 'late', 'DELETE FROM p WHERE id = 6'), qr/ERROR:  23503: update or delete on table "p" violates foreign key constraint "k_up_fkey"/, '... and checks');
ask($node, 'late', q(MERGE INTO p USING (SELECT 3) AS s (n) ON id = n WHEN MATCHED THEN DELETE));
ask($node, 'late', q(DO $$BEGIN DELETE FROM p WHERE id = 4; END$$));
is(live('late'), '5 6 | 5 6 | 6', '... by whatever statement');

$node->stop;
done_testing();
