# Bulk upsert in sessions: many at once on the same rows, transactions that end in other ways than
# COMMIT, cancelled statements, memory, pools, definitions that others change, replication, and a dump.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use IO::Select;
use OrmExt::Copy;
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
max_prepared_transactions = 5
shared_buffers = 16MB
work_mem = 4MB
max_replication_slots = 4
max_wal_senders = 4
wal_level = logical));

create_database($node, 'app');
ask($node, 'app', 'SELECT orm_ext.preload()');

# The fields of the single row that a session gets.
sub row_of
{
	my ($row) = grep { /^\(/ } @_;

	return defined $row ? split /,/, $row =~ s/^\(|\)$//gr : ();
}

note 'many sessions at once';

# Each client has a column of its own, which it alone writes, so nobody's write may be lost.  An audit
# tells what has really happened.  Rows up to 100 are never deleted.
my $seconds = $ENV{ORM_EXT_STRESS_SECONDS} || 5;
my $keys = 200;
my $lasting = 100;
my $columns = join(', ', map { "c$_ int" } 1 .. 8);

sub create_stress_tables
{
	ask($node, 'app', qq(
		SET client_min_messages = error;
		DROP TABLE IF EXISTS counter, parted, soft, audit;
		CREATE TABLE counter (id int PRIMARY KEY, $columns, n int NOT NULL DEFAULT 0, made text NOT NULL DEFAULT 'by default', pad text);
		CREATE TABLE parted (LIKE counter INCLUDING ALL) PARTITION BY HASH (id);
		CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 3, REMAINDER 0);
		CREATE TABLE parted_1 (drop_me int, LIKE counter INCLUDING DEFAULTS);
		ALTER TABLE parted_1 DROP COLUMN drop_me, DROP COLUMN pad, ADD COLUMN pad text;
		ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES WITH (MODULUS 3, REMAINDER 1);
		CREATE TABLE parted_2 PARTITION OF parted FOR VALUES WITH (MODULUS 3, REMAINDER 2);
		CREATE TABLE soft (id int NOT NULL, $columns, n int NOT NULL DEFAULT 0, made text NOT NULL DEFAULT 'by default', pad text, deleted_at timestamptz);
		CREATE UNIQUE INDEX ON soft (id) WHERE deleted_at IS NULL;
		CREATE TRIGGER soft_delete BEFORE DELETE ON soft FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');

		CREATE TABLE audit (n bigserial, side text, client int, op text, id int, old jsonb, new jsonb);
		CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN
			INSERT INTO audit (side, client, op, id, old, new) VALUES (TG_ARGV[0], current_setting('stress.client')::int, TG_OP,
				coalesce(new.id, old.id), to_jsonb(old) - 'extra', to_jsonb(new) - 'extra');
			RETURN NULL;
		END \$\$;)
	  . join('', map { "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON $_ FOR EACH ROW EXECUTE FUNCTION audit('$_');" } qw(counter parted soft)));
	return;
}

# Some keys in any order, some of them twice.
sub some_keys
{
	my ($most) = @_;
	my $count = 1 + int rand $most;
	my @ids = map { 1 + int rand $keys } 1 .. $count;

	return @ids;
}

# One batch of a client through one door: what was told of it, by kind.
sub batch
{
	my ($session, $client, $side, $value, $ids, $result) = @_;
	my $door = (qw(jsonb partial returning array text csv nothing))[int rand 7];
	my $column = "c$client";
	my $more = $side eq 'soft' ? q(, conflict => '{id}', on_deleted => 'revive') : '';
	my $copy = $side eq 'soft' ? q(, conflict_columns (id), on_deleted 'revive') : '';
	my @supplies = map { $door eq 'partial' ? rand() > 0.3 : 1 } @$ids;
	my $json = '[' . join(',', map { $supplies[$_] ? qq({"id":$ids->[$_],"$column":$value}) : qq({"id":$ids->[$_]}) } 0 .. $#$ids) . ']';
	my (@replies, %told);

	if ($door eq 'text' || $door eq 'csv')
	{
		my $delimiter = $door eq 'csv' ? ',' : "\t";
		my @lines = map { "$_$delimiter$value\n" } @$ids;

		# the setting in place of the options, where these can say it
		@replies = $door eq 'csv' && $copy eq ''
		  ? $session->copy("SET LOCAL orm_ext.copy_on_conflict = update; COPY $side (id, $column) FROM STDIN WITH (FORMAT csv)", @lines)
		  : $session->copy("COPY $side (id, $column) FROM STDIN WITH (FORMAT $door, on_conflict 'update'$copy)", @lines);
		if (grep { $_ eq 'COPY ' . @$ids } @replies)
		{
			@replies = $session->query('SELECT inserted, updated, unchanged, skipped, input, duplicates FROM orm_ext.last_bulk_result()');
		}
	}
	elsif ($door eq 'returning')
	{
		@replies = $session->query(qq(SELECT count(*) FILTER (WHERE action = 'inserted'), count(*) FILTER (WHERE action IN ('updated', 'revived')),
			count(*) FILTER (WHERE action = 'unchanged'), count(*) FILTER (WHERE action = 'duplicate'), count(*), count(*) FILTER (WHERE action = 'duplicate')
			FROM orm_ext.bulk_upsert_returning(NULL::$side, '$json'$more)));
	}
	elsif ($door eq 'array')
	{
		@replies = $session->query(qq(SELECT u.*, @{[scalar @$ids]}, 0 FROM orm_ext.bulk_upsert(
			(SELECT array_agg(jsonb_populate_record(NULL::$side, r)) FROM jsonb_array_elements('$json') AS r), update_columns => '{$column}'$more) AS u));
	}
	else
	{
		$more .= q(, on_conflict => 'nothing') if $door eq 'nothing';
		@replies = $session->query(qq(SELECT u.*, @{[scalar @$ids]}, 0 FROM orm_ext.bulk_upsert('$side', '$json'$more) AS u));
	}

	if (my @errors = grep { /^(ERROR|NOTICE)/ } @replies)
	{
		push @{ $result->{errors} }, "$door, $side: @errors";
		return;
	}
	@told{qw(inserted updated unchanged skipped input duplicates)} = row_of(@replies);
	if (!defined $told{input} || $told{input} != @$ids || $told{inserted} + $told{updated} + $told{unchanged} + $told{skipped} != @$ids)
	{
		push @{ $result->{errors} }, "$door, $side: a sum is wrong: @replies";
		return;
	}
	my %distinct = map { $_ => 1 } @$ids;
	if ($door ne 'nothing' && $told{skipped} != @$ids - keys %distinct)
	{
		push @{ $result->{errors} }, "$door, $side: too many rows skipped: @replies";
	}
	$told{$_} //= 0 for qw(inserted updated);
	$told{door} = $door;
	$told{written} = [ map { $ids->[$_] } grep { $supplies[$_] } 0 .. $#$ids ] if $door ne 'nothing';
	return \%told;
}

# Remember what was committed.
sub remember
{
	my ($result, $side, $value, $told) = @_;

	$result->{$side}{$_} += $told->{$_} for qw(inserted updated unchanged);
	$result->{last}{$side}{$_} = $value for @{ $told->{written} // [] };
	$result->{doors}{ $told->{door} }++;
	return;
}

# What one client does until the time is over.
sub client
{
	my ($client, $until, $result) = @_;
	my $session = OrmExt::Copy->new($node, 'app', 'stress.client' => $client);
	my $number = 0;

	while (time < $until && !$result->{errors})
	{
		my $side = (qw(counter parted soft))[int rand 3];
		my $what = rand;
		my $value = int(++$number / 3);
		my $told;

		if ($what < 0.7)
		{
			$told = batch($session, $client, $side, $value, [ some_keys($what < 0.05 ? 400 : 30) ], $result) or last;
			remember($result, $side, $value, $told);
		}
		elsif ($what < 0.8)
		{
			# In a transaction, after one that was rolled back to a savepoint, and perhaps rolled back as a whole.
			# Under soft delete rows are written in subtransactions: whoever waits for one of these waits for the whole transaction,
			# even when it has been rolled back, as in plain PostgreSQL.  So no more rows are locked then.
			my $end = rand() < 0.5 ? 'COMMIT' : 'ROLLBACK';

			$session->query('BEGIN');
			$session->query('SAVEPOINT a');
			batch($session, $client, $side, 1_000_000 + $number, [ some_keys(20) ], $result) or last;
			$session->query('ROLLBACK TO SAVEPOINT a');
			if ($side ne 'soft')
			{
				$told = batch($session, $client, $side, $value, [ some_keys(20) ], $result) or last;
			}
			$session->query($end);
			remember($result, $side, $value, $told) if $told && $end eq 'COMMIT';
		}
		elsif ($what < 0.9)
		{
			# rows that may go are locked in the order of the key
			my $ids = join(',', map { $lasting + 1 + int rand $keys - $lasting } 1 .. 1 + int rand 8);
			my @replies = $session->query("WITH d AS (SELECT id FROM $side WHERE id IN ($ids) ORDER BY id FOR UPDATE) DELETE FROM $side AS t USING d WHERE t.id = d.id");

			push @{ $result->{errors} }, "DELETE, $side: @replies" if $replies[0] !~ /^DELETE (\d+)/;
			$result->{$side}{deleted} += $replies[0] =~ s/DELETE //r;
		}
		else
		{
			my @replies = $session->query("UPDATE $side SET pad = 'pad $number of $client' WHERE id = " . (1 + int rand $keys));

			push @{ $result->{errors} }, "UPDATE, $side: @replies" if $replies[0] !~ /^UPDATE (\d+)/;
			$result->{$side}{padded} += $replies[0] =~ s/UPDATE //r;
		}
	}
	$result->{batches} = $number;
	return;
}

# Run some clients; return what they tell.
sub run_clients
{
	my ($count) = @_;
	my $until = time + $seconds;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my @results;
	my %pid;

	for my $client (1 .. $count)
	{
		my $seed = int rand 2**31;
		my $pid = fork // die "cannot fork: $!";

		if ($pid == 0)
		{
			# leave without the END blocks, which would stop the server
			my %result;

			srand $seed;
			eval { client($client, $until, \%result); 1 } or push @{ $result{errors} }, "client $client: $@";
			eval { store(\%result, "$folder/$client") };
			POSIX::_exit(0);
		}
		$pid{$client} = $pid;
	}

	# meanwhile the definition of a table changes
	while (time < $until)
	{
		ask($node, 'app', 'ALTER TABLE counter ADD COLUMN extra int DEFAULT 5');
		sleep 0.3;
		ask($node, 'app', 'ALTER TABLE counter DROP COLUMN extra; ANALYZE parted; VACUUM soft');
		sleep 0.3;
	}
	for my $client (1 .. $count)
	{
		waitpid $pid{$client}, 0;
		push @results, retrieve("$folder/$client");
	}
	return @results;
}

sub sum
{
	my ($results, $side, $kind) = @_;
	my $sum = 0;

	$sum += $_->{$side}{$kind} // 0 for @$results;
	return $sum;
}

for my $count (2, 4, 8)
{
	my ($offset, @results, %doors);

	create_stress_tables();
	$offset = -s $node->logfile;
	srand;
	@results = run_clients($count);
	is_deeply([ map { @{ $_->{errors} // [] } } @results ], [], "$count clients: no error");
	unlike(slurp_file($node->logfile, $offset), qr/deadlock detected/, '... no deadlock');
	for my $result (@results)
	{
		$doors{$_} += $result->{doors}{$_} for keys %{ $result->{doors} };
	}
	is(scalar keys %doors, 7, '... through all doors');
	note join(', ', map { "$_ $doors{$_}" } sort keys %doors);

	for my $side (qw(counter parted soft))
	{
		my %told = map { $_ => sum(\@results, $side, $_) } qw(inserted updated unchanged deleted padded);
		my $is_soft = $side eq 'soft';

		note join(', ', map { "$_ $told{$_}" } sort keys %told);
		is(ask($node, 'app', qq(
				SELECT count(*) FILTER (WHERE op = 'INSERT'),
					count(*) FILTER (WHERE op = 'UPDATE' AND old ->> 'pad' IS NOT DISTINCT FROM new ->> 'pad' AND NOT (old ->> 'deleted_at' IS NULL AND new ->> 'deleted_at' IS NOT NULL)),
					count(*) FILTER (WHERE op = 'DELETE' OR (old ->> 'deleted_at' IS NULL AND new ->> 'deleted_at' IS NOT NULL)),
					count(*) FILTER (WHERE op = 'UPDATE' AND old ->> 'pad' IS DISTINCT FROM new ->> 'pad')
				FROM audit WHERE side = '$side')),
			join('|', @told{qw(inserted updated deleted padded)}), "$count clients, $side: rows that were inserted, updated and deleted are those that were told");
		cmp_ok($told{$_}, '>', 0, "... $_") for qw(inserted updated unchanged deleted);
		is(ask($node, 'app', "SET row_security = off; SELECT count(*) FROM (SELECT id FROM $side GROUP BY id HAVING count(*) > 1) AS twice"),
			0, '... no row twice, not even beside a deleted one');
		is(ask($node, 'app', qq(
				SET row_security = off;
				WITH chain AS (SELECT id, op, old, lag(new) OVER (PARTITION BY id ORDER BY n) AS before FROM audit WHERE side = '$side')
				SELECT count(*) FROM chain WHERE old IS DISTINCT FROM before)),
			0, '... each change follows the one before');
		is(ask($node, 'app', qq(
				SELECT count(*) FROM audit WHERE side = '$side' AND op = 'UPDATE'
				AND old - ('c' || client) - 'pad' - 'deleted_at' IS DISTINCT FROM new - ('c' || client) - 'pad' - 'deleted_at')),
			0, '... no client has overwritten what others have written');
		is(ask($node, 'app', "SELECT count(*) FROM $side WHERE n <> 0 OR made <> 'by default'"), 0, '... columns that nobody supplied have their defaults');
		is(ask($node, 'app', "SET row_security = off; SELECT count(*) FROM $side"), $is_soft ? $told{inserted} : $told{inserted} - $told{deleted},
			'... as many rows as were inserted are there');

		# the last value of each client for rows that are never deleted
		my @lost;
		my %stored = map { /^(\d+)\|(.*)$/ } split /\n/, ask($node, 'app', "SELECT id, concat_ws(',', " . join(', ', map { "coalesce(c$_, -1)" } 1 .. 8) . ") FROM $side");

		for my $client (1 .. $count)
		{
			my $last = $results[$client - 1]{last}{$side};

			for my $id (grep { $_ <= $lasting } keys %$last)
			{
				my $found = (split /,/, $stored{$id} // '')[$client - 1] // 'none';
				push @lost, "row $id of client $client: $found, not $last->{$id}" if $found ne $last->{$id};
			}
		}
		is_deeply(\@lost, [], '... no last write is lost');
	}
}

note 'transactions that end otherwise';

ask($node, 'app', q(
	DROP TABLE counter, parted, soft, audit;
	CREATE TABLE item (id int PRIMARY KEY, n int CHECK (n < 1000), made text NOT NULL DEFAULT 'by default')));
my $session = OrmExt::Copy->new($node, 'app');
my $items = q(SELECT coalesce(string_agg(id || '=' || n, ' ' ORDER BY id), 'none') FROM item);

sub items { return ask($node, 'app', $items); }

# Upsert ids 1 to count with a value through a door.
sub upsert
{
	my ($door, $value, $count) = @_;
	my @ids = 1 .. $count // 3;
	my $json = '[' . join(',', map { qq({"id":$_,"n":$value}) } @ids) . ']';

	return $session->copy(q(COPY item (id, n) FROM STDIN WITH (on_conflict 'update')), map { "$_\t$value\n" } @ids) if $door eq 'COPY';
	return $session->query("SELECT * FROM orm_ext.bulk_upsert('item', '$json')") if $door eq 'jsonb';
	return $session->query("SELECT action FROM orm_ext.bulk_upsert_returning(NULL::item, '$json')") if $door eq 'rows';
	return $session->query('SELECT * FROM orm_ext.bulk_upsert(ARRAY[' . join(',', map { "($_, $value, 'here')" } @ids) . ']::item[])');
}

for my $door (qw(jsonb array rows COPY))
{
	ask($node, 'app', 'TRUNCATE item');
	$session->query('BEGIN');
	upsert($door, 1);
	$session->query('ROLLBACK');
	is(items(), 'none', "$door: ROLLBACK");
	$session->query('BEGIN');
	upsert($door, 1, 2);
	$session->query('SAVEPOINT a');
	upsert($door, 2, 3);
	$session->query('ROLLBACK TO SAVEPOINT a');
	upsert($door, 3, 1);
	$session->query('COMMIT');
	is(items(), '1=3 2=1', '... ROLLBACK TO SAVEPOINT');
	$session->query('BEGIN');
	$session->query('SAVEPOINT a');
	like(join(' ', upsert($door, 1000, 2)), qr/^ERROR 23514|ERROR 23514/, '... a constraint');
	$session->query('ROLLBACK TO SAVEPOINT a');
	upsert($door, 4, 2);
	$session->query('RELEASE SAVEPOINT a');
	$session->query('COMMIT');
	is(items(), '1=4 2=4', '... after an error');
	like(join(' ', $session->query('BEGIN; SELECT 1 / 0')), qr/22012/, '... an aborted transaction');
	like(join(' ', upsert($door, 5)), qr/^ERROR 25P02/, '... refuses it');
	$session->query('ROLLBACK');
	$session->query('BEGIN');
	upsert($door, 6, 1);
	is(($session->query(q(PREPARE TRANSACTION 'p')))[0], 'PREPARE TRANSACTION', '... PREPARE TRANSACTION');
	is(items(), '1=4 2=4', '... nobody sees it');
	$session->query(q(COMMIT PREPARED 'p'));
	is(items(), '1=6 2=4', '... until COMMIT PREPARED');
	$session->query('BEGIN');
	upsert($door, 7);
	$session->query(q(PREPARE TRANSACTION 'p'));
	$session->query(q(ROLLBACK PREPARED 'p'));
	is(items(), '1=6 2=4', '... or not');
	$session->query('BEGIN READ ONLY');
	like(join(' ', upsert($door, 8)), qr/ERROR 25006 cannot execute INSERT in a read-only transaction|ERROR 25006 cannot execute COPY FROM in a read-only transaction/, '... a read-only transaction');
	$session->query('ROLLBACK');
	is(items(), '1=6 2=4', '... writes nothing');
}

# In a function with an exception block, again and again; more subtransactions than are kept in memory.
is(ask($node, 'app', q(
	TRUNCATE item;
	DO $$
	BEGIN
		FOR i IN 1 .. 100 LOOP
			BEGIN
				PERFORM orm_ext.bulk_upsert('item', jsonb_build_array(jsonb_build_object('id', 1, 'n', i), jsonb_build_object('id', 1 + i % 10, 'n', i * 20)));
			EXCEPTION WHEN check_violation THEN
				NULL;
			END;
		END LOOP;
	END $$;
	) . $items), ask($node, 'app', q(
	TRUNCATE item;
	DO $$
	BEGIN
		FOR i IN 1 .. 100 LOOP
			BEGIN
				INSERT INTO item (id, n) VALUES (1, i) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
				INSERT INTO item (id, n) VALUES (1 + i % 10, i * 20) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
			EXCEPTION WHEN check_violation THEN
				NULL;
			END;
		END LOOP;
	END $$;
	) . $items), 'in a block with exceptions');

note 'cancelled in the middle';

ask($node, 'app', q(
	TRUNCATE item;
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN new; END';
	CREATE TRIGGER slow BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION slow();
	CREATE TABLE big (id int PRIMARY KEY, n int, pad text);
	CREATE TABLE stored AS SELECT jsonb_agg(jsonb_build_object('id', i, 'n', i, 'pad', repeat('x', 50))) AS rows FROM generate_series(1, 100000) AS i;));
$session->query('SET statement_timeout = 300');
for my $door (qw(jsonb array rows COPY))
{
	my $started = time;

	like(join(' ', upsert($door, 1, 1000)), qr/ERROR 57014 canceling statement due to statement timeout Ready I/, "$door: statement_timeout while it writes");
	cmp_ok(time - $started, '<', 10, '... in time');
	is(items(), 'none', '... nothing is written');
}
$session->query('SET statement_timeout = 0');
ask($node, 'app', 'DROP TRIGGER slow ON item');
is((upsert('jsonb', 1))[1], '(3,0,0,0)', 'the session goes on');

# At any time of a call: reading the rows, sorting, probing, writing, giving them back.
ask($node, 'app', 'INSERT INTO big SELECT i, i, repeat(\'x\', 50) FROM generate_series(1, 100000, 2) AS i');
$session->query(q(SELECT orm_ext.bulk_upsert('big', '{"id": 1, "n": 1}')));
for my $call (q(SELECT orm_ext.bulk_upsert('big', rows) FROM stored), q(SELECT count(*) FROM stored, orm_ext.bulk_upsert_returning(NULL::big, rows)))
{
	my $cancelled = 0;
	my $other = 0;
	my ($whole, @replies) = (time);

	$session->query('BEGIN');
	@replies = $session->query($call);
	$whole = time - $whole;
	$session->query('ROLLBACK');
	for my $part (1 .. 9)
	{
		$session->query('SET statement_timeout = ' . (1 + int $whole * 100 * $part));
		$session->query('BEGIN');
		@replies = $session->query($call);
		if ("@replies" =~ /ERROR 57014/) { $cancelled++ }
		elsif ("@replies" =~ /ERROR/) { $other++; diag "@replies" }
		$session->query('ROLLBACK');
	}
	$session->query('SET statement_timeout = 0');
	cmp_ok($cancelled, '>', 3, "cancelled in many places: $call");
	is($other, 0, '... with no other error');
	is(ask($node, 'app', 'SELECT count(*), count(pad) FROM big'), '50000|50000', '... and nothing is written');
}

{
	my $worker = $node->background_psql('app', on_error_stop => 0);
	my $pid = $worker->query_safe('SELECT pg_backend_pid()');

	ask($node, 'app', 'TRUNCATE item; CREATE TRIGGER slow BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION slow()');
	for my $how ('pg_cancel_backend', 'pg_terminate_backend')
	{
		$worker->query_until(qr/begun/, q(\echo begun
			SELECT orm_ext.bulk_upsert('item', (SELECT jsonb_agg(jsonb_build_object('id', i, 'n', 1)) FROM generate_series(1, 3000) AS i));
			SELECT 'next';
		));
		$node->poll_query_until('app', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid");
		ask($node, 'app', "SELECT $how($pid)");
		ok($node->poll_query_until('app', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'PgSleep'"), "$how is heard");
		is(items(), 'none', '... nothing is written');
	}
	eval { $worker->quit };
	ask($node, 'app', 'DROP TRIGGER slow ON item');
}

note 'memory';

# kB of a process' memory that it shares with no other
sub private_memory
{
	my ($pid) = @_;

	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}

SKIP:
{
	skip 'no /proc here', 12 if !-r '/proc/self/status';

	my $rows = 300_000;
	my $program = sub {
		my ($value) = @_;
		return qq($^X -e 'print "\$_,$value,", "x" x 100, "\\n" for 1 .. $rows');
	};

	ask($node, 'app', 'DROP TABLE big; CREATE TABLE big (id int PRIMARY KEY, n int, pad text)');
	for ([ 'new', 1, "$rows|0|0" ], [ 'unchanged', 1, "0|0|$rows" ], [ 'changed', 2, "0|$rows|0" ])
	{
		my ($name, $value, $counts) = @$_;
		my $worker = OrmExt::Copy->new($node, 'app');
		my ($pid) = row_of($worker->query('SELECT pg_backend_pid()'));
		my $most = 0;
		my ($before, @replies);

		$worker->query(qq(BEGIN; COPY big FROM PROGRAM '$^X -e "print q(1,1,1)"' WITH (FORMAT csv, on_conflict 'update'); ROLLBACK));
		$before = private_memory($pid);
		$worker->message('Q', 'COPY big FROM PROGRAM \'' . $program->($value) =~ s/'/''/gr . "' WITH (FORMAT csv, on_conflict 'update')\0");
		$worker->{socket}->syswrite($worker->{unsent});
		$worker->{unsent} = '';
		for (my $reader = IO::Select->new($worker->{socket}); !$reader->can_read(0.02);)
		{
			my $now = private_memory($pid);
			$most = $now if $now > $most;
		}
		@replies = $worker->replies;
		is($replies[0], "COPY $rows", "COPY of $rows $name rows");
		is(join('|', row_of($worker->query('SELECT inserted, updated, unchanged FROM orm_ext.last_bulk_result()'))), $counts, '... are counted');
		cmp_ok($most, '>', 0, '... and watched');
		cmp_ok($most - $before, '<', 64 * 1024, '... in bounded memory');
		note "memory: $before kB before, $most kB at most";
	}
}

# Calls do not leave anything behind.
sub context_memory
{
	my ($from) = @_;

	return (row_of($from->query('SELECT sum(total_bytes) FROM pg_backend_memory_contexts')))[0];
}

$session = OrmExt::Copy->new($node, 'app');
for my $block ('', 'BEGIN')
{
	for my $door (qw(jsonb array rows COPY))
	{
		my ($before, $grown);

		$session->query($block) if $block;
		upsert($door, $_ % 7, 100) for 1 .. 20;
		$before = context_memory($session);
		upsert($door, $_ % 7, 100) for 1 .. 200;
		$grown = context_memory($session) - $before;
		cmp_ok($grown, '<', 100_000, "$door $block: 200 calls leave $grown bytes");
		$session->query('COMMIT') if $block;
	}
}
# ... nor calls that fail,
{
	my ($before, $grown);

	for my $round (1 .. 120)
	{
		$before = context_memory($session) if $round == 20;
		upsert($_, 1000, 50) for qw(jsonb array rows COPY);
	}
	$grown = context_memory($session) - $before;
	cmp_ok($grown, '<', 100_000, "400 calls that fail leave $grown bytes");
}
# ... nor tables that are gone, and columns in all combinations
{
	my ($before, $grown);

	for my $round (1 .. 120)
	{
		$before = context_memory($session) if $round == 20;
		$session->query('CREATE TABLE passing (id int PRIMARY KEY, a int, b int, c int, d int)');
		for my $n (0 .. 15)
		{
			my $row = join(',', '"id":' . $n, map { $n & 1 << $_ ? '"' . (qw(a b c d))[$_] . '":1' : () } 0 .. 3);
			$session->query("SELECT orm_ext.bulk_upsert('passing', '{$row}')");
		}
		$session->query('DROP TABLE passing');
	}
	$grown = context_memory($session) - $before;
	cmp_ok($grown, '<', 1_000_000, "100 tables of 16 shapes leave $grown bytes");
}

note 'a session without preload';

create_database($node, 'late');
ask($node, 'late', 'CREATE TABLE item (id int PRIMARY KEY, n int); INSERT INTO item VALUES (1, 1)');
$session = OrmExt::Copy->new($node, 'late');
my $copy = q(COPY item FROM STDIN WITH (FORMAT csv, on_conflict 'update'));
is(join(' ', $session->copy($copy, "1,2\n2,2\n")), 'ERROR 42601 option "on_conflict" not recognized Ready I', 'COPY does not know the options');
is(join(' ', $session->copy('SET orm_ext.copy_on_conflict = update; COPY item FROM STDIN WITH (FORMAT csv)', "1,2\n")),
	'SET ERROR 23505 duplicate key value violates unique constraint "item_pkey" Ready I', '... nor the setting');
is(join(' ', $session->query(q(SELECT * FROM orm_ext.bulk_upsert('item', '[{"id": 1, "n": 3}, {"id": 2, "n": 3}]')))),
	'Columns inserted,updated,unchanged,skipped (1,1,0,0) SELECT 1 Ready I', 'a call brings the library');
is(join(' ', $session->copy($copy, "1,4\n3,4\n")), 'COPY 2 Ready I', '... and COPY knows the options from then on');
is(join(' ', $session->copy('COPY item FROM STDIN WITH (FORMAT csv)', "2,5\n")), 'ERROR 23505 duplicate key value violates unique constraint "item_pkey" Ready I',
	'... a plain one is a plain one');
is(join(' ', $session->copy('SET orm_ext.copy_on_conflict = update; COPY item FROM STDIN WITH (FORMAT csv)', "2,6\n")), 'SET COPY 1 Ready I', '... or follows the setting');
is(ask($node, 'late', $items), '1=4 2=6 3=4', '... and all of it is there');
is(ask($node, 'late', q(SET orm_ext.copy_on_conflict = nothing; SELECT orm_ext.loaded_version() IS NOT NULL; SHOW orm_ext.copy_on_conflict)), "t\nnothing",
	'a setting made before the library comes');

note 'what a pool leaves behind';

ask($node, 'app', q(
	CREATE ROLE web LOGIN NOINHERIT;
	CREATE ROLE alpha;
	CREATE ROLE beta;
	CREATE ROLE reader;
	GRANT alpha, beta, reader TO web;
	TRUNCATE item;
	CREATE TABLE owned (id int PRIMARY KEY, owner name NOT NULL DEFAULT current_user, n int);
	ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON owned USING (owner = current_user);
	GRANT SELECT, INSERT, UPDATE ON owned, item TO alpha, beta;
	GRANT SELECT ON owned, item TO reader;
	INSERT INTO owned VALUES (1, 'alpha', 1), (2, 'beta', 2)));
my $pooled = OrmExt::Copy->new($node, 'app', user => 'web');

sub as_role
{
	my ($role, $sql) = @_;

	$pooled->query("SET ROLE $role");
	return join(' ', grep { !/^(Columns|Ready|SELECT)/ } $pooled->query($sql));
}

for my $round (1, 2)
{
	is(as_role('alpha', qq(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 1, "n": 1$round}, {"id": 1$round, "n": 1}]'))), '(1,1,0,0)', 'row-level security: own rows');
	like(as_role('alpha', q(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 2, "n": 99}]'))), qr/^ERROR 42501 new row violates row-level security policy/, '... not those of others');
	is(as_role('beta', qq(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 2, "n": 2$round}, {"id": 2$round, "n": 1}]'))), '(1,1,0,0)', '... the next client of the session has its own');
	like(as_role('beta', q(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 1, "n": 99}]'))), qr/^ERROR 42501 new row violates row-level security policy/, '... and not those of the last one');
	is(as_role('reader', q(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 2, "n": 99}]'))), 'ERROR 42501 permission denied for table owned', '... and a third one may not write');
	is(as_role('none', q(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 2, "n": 99}]'))), 'ERROR 42501 permission denied for table owned', '... nor may the session itself');
	$pooled->query('DISCARD ALL');
}
is(ask($node, 'app', q(SELECT string_agg(concat_ws(':', id, owner, n), ' ' ORDER BY id) FROM owned)), '1:alpha:12 2:beta:22 11:alpha:1 12:alpha:1 21:beta:1 22:beta:1',
	'... which leaves the rows of each');
as_role('alpha', q(SET orm_ext.copy_on_conflict = update; SELECT 1));
is(join(' ', $pooled->copy('COPY item (id, n) FROM STDIN', "1\t1\n1\t2\n")), 'COPY 2 Ready I', 'a setting of the last client');
$pooled->query('DISCARD ALL');
$pooled->query('SET ROLE alpha');
like(join(' ', $pooled->copy('COPY item (id, n) FROM STDIN', "1\t1\n")), qr/^ERROR 23505/, '... goes with DISCARD ALL');
$pooled->query('SET ROLE alpha');
for ('DISCARD PLANS', 'DISCARD TEMP', 'DISCARD SEQUENCES', 'DEALLOCATE ALL', 'RESET ALL')
{
	$pooled->query($_);
	is(as_role('alpha', q(SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "n": 2}'))), '(0,0,1,0)', "it works after $_");
}
ask($node, 'app', 'REVOKE UPDATE ON item FROM alpha');
is(as_role('alpha', q(SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "n": 3}'))), 'ERROR 42501 permission denied for table item', 'a privilege that goes is missed at once');
is(as_role('alpha', q(SELECT * FROM orm_ext.bulk_upsert('item', '{"id": 1, "n": 3}', on_conflict => 'nothing'))), '(0,0,0,1)', '... where it is needed');
ask($node, 'app', 'ALTER ROLE alpha BYPASSRLS');
is(as_role('alpha', q(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 2, "n": 33}]'))), '(0,1,0,0)', 'row-level security that no longer holds');
ask($node, 'app', 'ALTER ROLE alpha NOBYPASSRLS');
like(as_role('alpha', q(SELECT * FROM orm_ext.bulk_upsert('owned', '[{"id": 2, "n": 34}]'))), qr/^ERROR 42501 new row violates/, '... and holds again');

note 'definitions that another session changes';

$session = OrmExt::Copy->new($node, 'app');
ask($node, 'app', 'CREATE TABLE shape (id int PRIMARY KEY, code text UNIQUE, n int)');
my @shapes = (
	[ 'at first', '', '(1,0,0,0)' ],
	[ 'again', '', '(0,0,1,0)' ],
	[ 'a new column', q(ALTER TABLE shape ADD COLUMN at_home text NOT NULL DEFAULT 'yes'), '(0,0,1,0)' ],
	[ 'a column goes', 'ALTER TABLE shape DROP COLUMN code', '(0,0,1,0)' ],
	[ 'a column of another type', 'ALTER TABLE shape ALTER n TYPE numeric(10, 2)', '(0,0,1,0)' ],
	[ 'a column by another name', 'ALTER TABLE shape RENAME n TO m', 'ERROR 42703' ],
	[ '... and back', 'ALTER TABLE shape RENAME m TO n', '(0,0,1,0)' ],
	[ 'a key by another name', 'ALTER INDEX shape_pkey RENAME TO pk', '(0,0,1,0)' ],
	[ 'no key', 'ALTER TABLE shape DROP CONSTRAINT pk', 'ERROR 42P10' ],
	[ 'another key', 'ALTER TABLE shape ADD PRIMARY KEY (n)', '(0,0,1,0)' ],
	[ '... that is deferrable', 'ALTER TABLE shape DROP CONSTRAINT shape_pkey, ADD PRIMARY KEY (id) DEFERRABLE', 'ERROR 55000' ],
	[ '... or not', 'ALTER TABLE shape DROP CONSTRAINT shape_pkey, ADD PRIMARY KEY (id)', '(0,0,1,0)' ],
	[ 'another schema', 'CREATE SCHEMA other; ALTER TABLE shape SET SCHEMA other; CREATE TABLE shape (id int PRIMARY KEY, n int, code text)', '(1,0,0,0)' ],
	[ 'a trigger', q(CREATE FUNCTION plus() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.code := ''by trigger''; RETURN new; END';
		TRUNCATE shape; CREATE TRIGGER plus BEFORE INSERT ON shape FOR EACH ROW EXECUTE FUNCTION plus()), '(1,0,0,0)' ],
	[ 'a view', 'ALTER TABLE shape RENAME TO base; CREATE VIEW shape AS TABLE base', 'ERROR 42809' ],
	[ 'partitions', q(DROP VIEW shape; CREATE TABLE shape (n int, id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE shape_1 PARTITION OF shape FOR VALUES FROM (0) TO (100)), '(1,0,0,0)' ],
	[ 'another partition', q(BEGIN; ALTER TABLE shape DETACH PARTITION shape_1; CREATE TABLE shape_2 PARTITION OF shape FOR VALUES FROM (1) TO (2); COMMIT), '(1,0,0,0)' ],
	[ 'no partition', 'ALTER TABLE shape DETACH PARTITION shape_2', 'ERROR 23514' ],
	[ 'no table', 'DROP TABLE shape', 'ERROR 42P01' ],
	[ 'soft delete', q(SET client_min_messages = error; CREATE TABLE shape (id int CONSTRAINT soft_key PRIMARY KEY, n int, deleted_at timestamptz); INSERT INTO shape VALUES (1, 2);
		SELECT orm_ext.enable_soft_delete('shape'); DELETE FROM shape), 'ERROR 23505' ],
	[ '... of keys that are unique among live rows', 'ALTER TABLE shape DROP CONSTRAINT soft_key; CREATE UNIQUE INDEX ON shape (id) WHERE deleted_at IS NULL', 'ERROR 42P10' ],
	[ 'a generated column', q(DROP TABLE shape; CREATE TABLE shape (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)), '(1,0,0,0)' ],
	[ 'an identity', q(DROP TABLE shape; CREATE TABLE shape (id int PRIMARY KEY, n int GENERATED BY DEFAULT AS IDENTITY)), '(1,0,0,0)' ],
	[ 'an unlogged table', q(ALTER TABLE shape SET UNLOGGED), '(0,0,1,0)' ],
	[ 'a domain', q(CREATE DOMAIN small AS int CHECK (VALUE < 10); ALTER TABLE shape ALTER n DROP IDENTITY; ALTER TABLE shape ALTER n TYPE small), '(0,0,1,0)' ],
	[ '... that gets narrower', q(UPDATE shape SET n = 1; ALTER DOMAIN small DROP CONSTRAINT small_check; ALTER DOMAIN small ADD CHECK (VALUE < 2)), 'ERROR 23514' ]);
for (@shapes)
{
	my ($name, $ddl, $expected) = @$_;

	ask($node, 'app', $ddl) if $ddl;
	my @replies = $session->query(q(SELECT * FROM orm_ext.bulk_upsert('shape', '[{"id": 1, "n": 2}]')));
	like((grep { /^\(|^ERROR/ } @replies)[0] // "@replies", qr/^\Q$expected\E/, "definitions: $name");
}
# ... in the same session, in one transaction
ask($node, 'app', 'DROP TABLE shape');
is(join(' ', grep { /^\(|^ERROR/ } $session->query(q(
		BEGIN;
		CREATE TABLE shape (id int PRIMARY KEY, n int);
		SELECT * FROM orm_ext.bulk_upsert('shape', '{"id": 1, "n": 1}');
		ALTER TABLE shape ADD COLUMN m int DEFAULT 7;
		SELECT * FROM orm_ext.bulk_upsert('shape', '{"id": 1, "m": 2}');
		DROP TABLE shape;
		CREATE TABLE shape (m int, id int, PRIMARY KEY (m, id));
		SELECT * FROM orm_ext.bulk_upsert('shape', '[{"id": 1, "m": 1}, {"id": 1, "m": 2}]');
		COMMIT;))), '(1,0,0,0) (0,1,0,0) (2,0,0,0)', 'definitions of this session');

note 'the extension goes and comes';

$session->query('SET client_min_messages = error');
is(($session->query('DROP EXTENSION orm_ext CASCADE'))[0], 'DROP EXTENSION', 'DROP EXTENSION');
like(join(' ', $session->copy(q(COPY shape FROM STDIN WITH (on_conflict 'update')), "1\t1\n")), qr/^ERROR/, '... COPY does not take the options then');
like(join(' ', $session->query(q(SELECT * FROM orm_ext.bulk_upsert('shape', '{"id": 1, "m": 3}')))), qr/ERROR (3F000|42883)/, '... and there is no function');
is(($session->query('CREATE EXTENSION orm_ext'))[0], 'CREATE EXTENSION', 'CREATE EXTENSION');
is(join(' ', row_of($session->query(q(SELECT * FROM orm_ext.bulk_upsert('shape', '[{"id": 1, "m": 1}, {"id": 1, "m": 3}]'))))), '1 0 1 0', '... both are back');
is(join(' ', $session->copy(q(COPY shape FROM STDIN WITH (on_conflict 'update')), "4\t1\n1\t1\n")), 'COPY 2 Ready I', '... COPY too');

note 'logical replication';

ask($node, 'app', q(
	CREATE TABLE sent (id int PRIMARY KEY, n int, w int DEFAULT 7, pad text);
	CREATE PUBLICATION pub FOR TABLE sent;
	INSERT INTO sent SELECT i, i, i, repeat('y', 3000) FROM generate_series(1, 50) AS i));
my $subscriber = new_node('subscriber', q(
client_min_messages = warning
max_logical_replication_workers = 4));
ask($subscriber, 'postgres', 'CREATE TABLE sent (id int PRIMARY KEY, n int, w int, pad text); CREATE TABLE told (op text)');
ask($subscriber, 'postgres', q(
	CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.told VALUES (TG_OP); RETURN NULL; END';));
ask($subscriber, 'postgres', sprintf(q(CREATE SUBSCRIPTION sub CONNECTION '%s' PUBLICATION pub), $node->connstr('app') =~ s/'/''/gr));
$subscriber->wait_for_subscription_sync($node, 'sub', 'postgres');
ask($subscriber, 'postgres', q(
	CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON sent FOR EACH ROW EXECUTE FUNCTION told();
	ALTER TABLE sent ENABLE ALWAYS TRIGGER told));
$session = OrmExt::Copy->new($node, 'app');
$session->query(q(SELECT orm_ext.bulk_upsert('sent', (SELECT jsonb_agg(jsonb_build_object('id', i, 'n', CASE WHEN i % 2 = 0 THEN i ELSE -i END)) FROM generate_series(41, 60) AS i))));
$session->copy(q(COPY sent (id, n) FROM STDIN WITH (on_conflict 'update')), "1\t-1\n2\t2\n61\t61\n");
$session->query(q(SELECT orm_ext.bulk_upsert(ARRAY[(3, -3, 3, 'pad'), (62, 62, NULL, NULL)]::sent[])));
$session->query(q(BEGIN; SELECT orm_ext.bulk_upsert('sent', '{"id": 4, "n": 999}'); ROLLBACK));
$node->wait_for_catchup('sub');
my $all_sent = q(SELECT id, n, w, md5(pad) FROM sent ORDER BY id);
is(ask($subscriber, 'postgres', $all_sent), ask($node, 'app', $all_sent), 'a subscriber has the same rows');
is(ask($subscriber, 'postgres', q(SELECT op, count(*) FROM told GROUP BY op ORDER BY op)), "INSERT|12\nUPDATE|7", '... and is told of nothing that is unchanged');
$subscriber->stop;

note 'dump and restore';

ask($node, 'app', q(
	ALTER DATABASE app SET orm_ext.copy_on_conflict = 'update';
	DROP PUBLICATION pub;
	CREATE TABLE loose (a int, b text);
	INSERT INTO loose VALUES (1, 'a'), (1, 'a'), (2, NULL);
	CREATE FUNCTION load_items(jsonb) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT inserted FROM orm_ext.bulk_upsert('item'::regclass, $1, on_conflict => 'nothing'); END;
	CREATE FUNCTION load_any(anyarray) RETURNS bigint LANGUAGE sql AS 'SELECT updated FROM orm_ext.bulk_upsert($1)';
	CREATE VIEW last_load AS SELECT * FROM orm_ext.last_bulk_result();
	CREATE TABLE soft (id int, v int, deleted_at timestamptz);
	CREATE UNIQUE INDEX soft_live ON soft (id) WHERE deleted_at IS NULL;
	CREATE TRIGGER soft_delete BEFORE DELETE ON soft FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
	INSERT INTO soft VALUES (1, 1, '2001-01-01'), (1, 2, '2002-02-02'), (1, 3, NULL);
	SELECT orm_ext.bulk_upsert('item', '[{"id": 1, "n": 5}, {"id": 2, "n": 6}]')));
my $dump = $node->basedir . '/dump';
my $everything = q(
	SET row_security = off;
	SELECT 'item', i::text FROM item AS i UNION ALL SELECT 'loose', l::text FROM loose AS l
	UNION ALL SELECT 'soft', s::text FROM soft AS s UNION ALL SELECT 'owned', o::text FROM owned AS o UNION ALL SELECT 'sent', md5(s::text) FROM sent AS s ORDER BY 1, 2);
for ([ 'a script', '-Fp' ], [ 'an archive', '-Fc' ], [ 'INSERTs', '-Fp', '--inserts' ])
{
	my ($name, @options) = @$_;

	$node->command_ok([ 'pg_dump', '-d', $node->connstr('app'), '-f', $dump, @options ], "$name: pg_dump");
	ask($node, 'postgres', 'CREATE DATABASE copied');
	# the setting is on where the rows come in, too
	ask($node, 'postgres', q(ALTER DATABASE copied SET session_preload_libraries = 'orm_ext'; ALTER DATABASE copied SET orm_ext.copy_on_conflict = 'update'));
	$options[0] eq '-Fc'
	  ? $node->command_ok([ 'pg_restore', '-d', $node->connstr('copied'), '--exit-on-error', $dump ], '... pg_restore')
	  : $node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copied'), '-f', $dump ], '... psql');
	is(ask($node, 'copied', $everything), ask($node, 'app', $everything), '... has all rows');
	is(ask($node, 'copied', q(SELECT load_items('[{"id": 1, "n": 9}, {"id": 90, "n": 9}]'); SELECT load_any(ARRAY[(1, 9, 'x')]::item[]); SELECT target, input, updated FROM last_load)),
		"1\n1\nitem|1|1", '... and what uses bulk upsert works');
	ask($node, 'postgres', 'DROP DATABASE copied');
}

$node->stop;
done_testing();
