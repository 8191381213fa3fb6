# The change cursor under load: pgbench writes in every way there is, and a poller must see each
# committed change once, as it was committed, whatever the order of the commits.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use OrmExt::Session;
use OrmExt::Test;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $seconds = 6;
my $clients = 8;
my $node = new_node('main', q(
autovacuum = off
max_prepared_transactions = 40
fsync = off));

create_database($node, 'app');
ask($node, 'app', 'SELECT orm_ext.preload()');

# Rows of "event" are inserted only, those of "item" are updated; "history" has all that was committed.
ask($node, 'app', q(
	CREATE TABLE event (id bigserial PRIMARY KEY, v int, change_id bigint);
	CREATE TABLE item (id bigint PRIMARY KEY, v int, change_id bigint) PARTITION BY HASH (id);
	CREATE TABLE item_0 PARTITION OF item FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE item_1 (change_id bigint, v int, id bigint NOT NULL);
	ALTER TABLE item ATTACH PARTITION item_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	CREATE TABLE history (name text, id bigint, v int, change_id bigint);
	CREATE TABLE unrelated (id int);
	CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO history VALUES (TG_ARGV[0], NEW.id, NEW.v, NEW.change_id);
		RETURN NULL;
	END $$;
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id');
	CREATE TRIGGER history AFTER INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION note_change('event');
	CREATE TRIGGER history AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION note_change('item');
	CREATE INDEX ON event (change_id);
	INSERT INTO item SELECT i, 0 FROM generate_series(1, 20) AS i));

# What the clients do, and how often.
my %scripts = (
	'short@8' => q(
		INSERT INTO event (v) VALUES (:n);
	),
	'update@6' => q(
		UPDATE item SET v = v + 1 WHERE id = :i;
	),
	'long@3' => q(
		BEGIN;
		INSERT INTO event (v) VALUES (:n);
		\sleep :pause ms
		UPDATE item SET v = v + 1 WHERE id = :i;
		INSERT INTO event (v) VALUES (:n);
		COMMIT;
	),
	'late@3' => q(
		BEGIN;
		INSERT INTO unrelated VALUES (1);
		\sleep :pause ms
		INSERT INTO event (v) VALUES (:n);
		COMMIT;
	),
	'repeatable@2' => q(
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT count(*) FROM item;
		\sleep :pause ms
		INSERT INTO event (v) VALUES (:n);
		COMMIT;
	),
	'undone@2' => q(
		BEGIN;
		INSERT INTO event (v) VALUES (:n);
		\sleep :pause ms
		ROLLBACK;
	),
	'nested@4' => q(
		BEGIN;
		SAVEPOINT a;
		INSERT INTO event (v) VALUES (:n);
		\sleep :pause ms
		ROLLBACK TO SAVEPOINT a;
		SAVEPOINT b;
		INSERT INTO event (v) VALUES (:n);
		RELEASE SAVEPOINT b;
		SAVEPOINT c;
		UPDATE item SET v = v + 1 WHERE id = :i;
		\sleep :pause ms
		ROLLBACK TO SAVEPOINT c;
		INSERT INTO event (v) VALUES (:n);
		COMMIT;
	),
	'function@2' => q(
		DO $$ BEGIN
			FOR i IN 1..5 LOOP
				BEGIN INSERT INTO event (v) VALUES (i); IF i % 2 = 0 THEN RAISE division_by_zero; END IF;
				EXCEPTION WHEN division_by_zero THEN NULL; END;
			END LOOP; END $$;
	),
	'upsert@2' => q(
		INSERT INTO item VALUES (:i, :n) ON CONFLICT (id) DO UPDATE SET v = item.v + 1;
	),
	'merge@2' => q(
		MERGE INTO item USING (VALUES (:i)) AS s (id) ON item.id = s.id WHEN MATCHED THEN UPDATE SET v = v + 1;
	),
	'prepared@3' => q(
		BEGIN;
		INSERT INTO event (v) VALUES (:n);
		PREPARE TRANSACTION 'p:client_id';
		\sleep :pause ms
		COMMIT PREPARED 'p:client_id';
	),
	'forgotten@1' => q(
		BEGIN;
		INSERT INTO event (v) VALUES (:n);
		PREPARE TRANSACTION 'p:client_id';
		\sleep :pause ms
		ROLLBACK PREPARED 'p:client_id';
	));
my $dir = PostgreSQL::Test::Utils::tempdir();
my @files;
for my $name (sort keys %scripts)
{
	my ($file, $weight) = split /@/, $name;

	append_to_file("$dir/$file", "\\set n random(1, 1000000)\n\\set i random(1, 20)\n\\set pause random(1, 60)\n$scripts{$name}");
	push @files, '-f', "$dir/$file\@$weight";
}

my $poller = OrmExt::Session->new($node, 'app');
my $last = 0;
my ($polls, $useful, $overtaken, $largest) = (0, 0, 0, 0);
my %seen;

# Rows of a reply, each an array.
sub rows_of
{
	return map { [ split /,/ ] } map { /^\((.*)\)$/ ? $1 : () } grep { die $_ if /^ERROR/; 1 } @_;
}

# Take the rows between the last bound and this one.  What the tables show beyond the bound has
# overtaken what is still to come below it: a cursor on the largest id that is seen would lose that.
sub note_poll
{
	my ($bound, $visible, @rows) = @_;

	$polls++;
	$useful++ if @rows;
	for (@rows)
	{
		my ($name, $id, $v, $change_id) = @$_;

		$seen{"$name|$id|$v|$change_id"}++;
		$overtaken++ if $change_id < $largest;
	}
	$largest = $visible if $visible > $largest;
	$last = $bound;
	return;
}

my $between = 'WHERE %s <= change_id AND change_id < %s';
my $rows_between = "SELECT 'event', id, v, change_id FROM event $between UNION ALL SELECT 'item', id, v, change_id FROM item $between";
my $visible = '(SELECT greatest((SELECT max(change_id) FROM event), (SELECT max(change_id) FROM item)))';

# One statement in READ COMMITTED.
sub poll_once
{
	my $min = 'orm_ext.min_active_change_id()';
	my ($bound, @rows) = rows_of($poller->query(
		"SELECT 'bound', $min, $visible, NULL UNION ALL " . sprintf($rows_between, $last, $min, $last, $min)));

	note_poll($bound->[1], $bound->[2], @rows);
	return;
}

# Several in REPEATABLE READ, which have one snapshot.
sub poll_in_transaction
{
	$poller->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
	my ($bound) = rows_of($poller->query("SELECT orm_ext.min_active_change_id(), $visible"));
	usleep(1000 * rand 30);
	my @rows = rows_of($poller->query(sprintf($rows_between, $last, $bound->[0], $last, $bound->[0])));
	my ($again) = rows_of($poller->query("SELECT orm_ext.min_active_change_id(), $visible"));
	die "the bound moved in a transaction: @$bound, @$again" if "@$bound" ne "@$again";
	$poller->query('COMMIT');
	note_poll(@$bound, @rows);
	return;
}

note "$clients clients for $seconds seconds";

my ($stdout, $stderr) = ('', '');
my @pgbench = ('pgbench', '-n', '-c', $clients, '-j', 2, '-T', $seconds, '--random-seed=4711',
	@files, $node->connstr('app'));
my $pgbench = IPC::Run::start(\@pgbench, '<', \undef, '>', \$stdout, '2>', \$stderr);
my $lifter;
my $started = time;

while ($pgbench->pump_nb, $pgbench->pumpable)
{
	rand() < 0.6 ? poll_once() : poll_in_transaction();
	usleep(1000 * rand 10);

	# Half-way, a table comes along whose ids are far ahead, out of a dump as it were.
	if (!$lifter && time - $started > $seconds / 2)
	{
		$lifter = IPC::Run::start([ 'psql', '-Xqd', $node->connstr('app'), '-c', q(
			CREATE TABLE restored (id int, change_id bigint);
			INSERT INTO restored SELECT 1, orm_ext.min_active_change_id() + 1000000;
			CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON restored
				FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('change_id=change_id')) ], '<', \undef);
	}
}
ok($pgbench->finish, 'pgbench has done its work') or diag $stderr;
unlike($stderr, qr/error|abort/i, '... without errors') or diag $stderr;
ok($lifter && $lifter->finish, 'ids were lifted meanwhile');
is(ask($node, 'app', q(SELECT min(change_id) > (SELECT change_id FROM restored) FROM (SELECT change_id FROM event ORDER BY id DESC LIMIT 1) AS e)),
	't', '... and go on from there');

is(ask($node, 'app', q(
		BEGIN;
		INSERT INTO event (v) VALUES (-3);
		SAVEPOINT a;
		INSERT INTO event (v) VALUES (-3);
		RELEASE SAVEPOINT a;
		INSERT INTO event (v) VALUES (-3);
		COMMIT;
		SELECT count(DISTINCT change_id) FROM event WHERE v = -3)),
	1, 'a transaction has one id, whatever its subtransactions');

# Prepared transactions that were left hold the poller, until they have come to their end.
my $left = OrmExt::Session->new($node, 'app');
$left->query($_) for 'BEGIN', q(INSERT INTO event (v) VALUES (-1)), q(PREPARE TRANSACTION 'left');
ask($node, 'app', 'INSERT INTO event (v) VALUES (-2)');
poll_once();
poll_in_transaction();
is((grep { /^event\|\d+\|-[12]\|/ } keys %seen), 0, 'a prepared transaction holds the poller');
$node->restart;
$poller = OrmExt::Session->new($node, 'app');
poll_once();
is((grep { /^event\|\d+\|-[12]\|/ } keys %seen), 0, '... also after a restart');
ask($node, 'app', q(COMMIT PREPARED 'left'));
poll_in_transaction();
is((grep { /^event\|\d+\|-[12]\|/ } keys %seen), 2, '... until it has come to its end');
poll_once();

note "$polls polls, $useful with rows, $overtaken rows overtaken by others";

# The oracle.
my @history = split /\n/, ask($node, 'app', 'SELECT name, id, v, change_id FROM history');
my @events = split /\n/, ask($node, 'app', q(SELECT 'event', id, v, change_id FROM event));
my @items = split /\n/, ask($node, 'app', q(SELECT 'item', id, v, change_id FROM item));
my %was = map { $_ => 1 } @history;

# The first few of a list, for a message that can be read.
sub few { return join(' ', (sort @_)[ 0 .. ($#_ < 4 ? $#_ : 4) ]); }

cmp_ok(scalar @events, '>', 60, 'the clients have inserted rows');
cmp_ok(scalar @history - @events, '>', 30, '... and updated others');
cmp_ok($useful, '>', 10, 'the poller has come often');
cmp_ok($overtaken, '>', 10, '... and commits have overtaken each other');
is(few(grep { !$seen{$_} } @events), '', 'it has missed no row that was inserted');
is(few(grep { !$seen{$_} } @items), '', '... and no last state of one that was updated');
is(few(grep { !$was{$_} } keys %seen), '', 'it has seen nothing that was not committed');
is(few(grep { $seen{$_} > 1 } keys %seen), '', '... and nothing twice');

$node->stop;
done_testing();
