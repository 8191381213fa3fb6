# COPY ... FROM with upsert options: where all rows are new, it must answer as PostgreSQL's own COPY does,
# whatever the source, the format, the encoding, the privileges and the messages of the protocol are.
# A COPY without these options is left alone.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use OrmExt::Copy;
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('main', q(
autovacuum = off
client_min_messages = warning
max_prepared_transactions = 5
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track_utility = on
compute_query_id = on), allows_streaming => 1);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $version = ask($node, 'postgres', 'SHOW server_version_num');

create_database($node, 'app');
ask($node, 'app', 'SELECT orm_ext.preload()');
ask($node, 'postgres', 'CREATE DATABASE plain');

my $tables = q(
	SET client_min_messages = error;
	DROP TABLE IF EXISTS managed, twin;
	CREATE TABLE managed (id int PRIMARY KEY, n int CHECK (n < 1000), t text DEFAULT 'by default', at date, g int GENERATED ALWAYS AS (n * 2) STORED);
	CREATE TABLE twin (LIKE managed INCLUDING ALL););

# The rows of a table.
sub rows_of
{
	my ($table, $database) = @_;

	return ask($node, $database // 'app', "SELECT r::text FROM $table AS r ORDER BY 1");
}

# What is said to one table is the same as what is said to the other.
sub without_names
{
	my (@replies) = @_;

	return map { s/\b(managed|twin)/TABLE/gr =~ s/, on_conflict '(update|nothing)'|on_conflict '(update|nothing)', //gr =~ s/conflict_columns \(\w+\), //gr } @replies;
}

# The same conversation about a table with COPY's own behaviour and one with upsert.  The conversation
# gets a session, the table's name, and a function that writes COPY with some options.
sub same_copy
{
	my ($name, $conversation, %options) = @_;
	my %answer;

	ask($node, 'app', $tables);
	for my $table ('managed', 'twin')
	{
		my $session = OrmExt::Copy->new($node, 'app', %{ $options{connect} // {} });
		my $copy = sub {
			my ($target, $given, $rest) = @_;
			my @given = ($given // '', $table eq 'managed' ? q(on_conflict 'update') : '');
			my $list = join(', ', grep { $_ ne '' } @given);

			return "COPY $table$target" . ($list ne '' ? " WITH ($list)" : '') . ($rest // '');
		};

		push @{ $answer{$table} }, without_names($conversation->($session, $table, $copy)), rows_of($table);
	}
	is_deeply($answer{managed}, $answer{twin}, $name);
	return @{ $answer{managed} };
}

# COPY of some data with options.
sub same_data
{
	my ($name, $options, $data, %more) = @_;
	my @data = ref $data ? @$data : ($data);

	return same_copy($name, sub {
		my ($session, $table, $copy) = @_;
		return ($session->copy($copy->(($more{columns} // '') . ' FROM STDIN', $options, $more{rest}), @data), $session->query('SELECT 1'));
	}, %more);
}

note 'formats and options';

my @plain = same_data('text', '', "1\t2\ta\t2020-01-01\n2\t\\N\t\\N\t\\N\n");
is($plain[0], 'COPY 2', '... which has two rows');
same_data('text, columns', '', "a\t1\nb\t2\n", columns => ' (t, id)');
same_data('text, delimiter and null', q(DELIMITER '|', NULL 'nil'), "1|2|nil|nil\n2|nil|a\\|b\\n|2020-01-01\n");
same_data('text, escapes', '', "1\t2\ta\\tb\\\\c\\x41\\101\t\\N\n");
same_data('text, CRLF', '', "1\t2\ta\t\\N\r\n2\t2\tb\t\\N\r\n");
same_data('text, the end is marked', '', "1\t2\ta\t\\N\n\\.\n");
same_data('text, no newline at the end', '', "1\t2\ta\t\\N");
same_data('text, nothing', '', '');
same_data('text, header', 'HEADER', "id\tn\tt\tat\n1\t2\ta\t\\N\n");
same_data('text, header that matches', 'HEADER match', "id\tn\tt\tat\n1\t2\ta\t\\N\n");
same_data('text, header that does not', 'HEADER match', "id\tt\tn\tat\n1\t2\ta\t\\N\n");
same_data('csv', 'FORMAT csv', qq(1,2,"a ""b"", c\nd",2020-01-01\n2,,,\n3,,"",\n));
same_data('csv, header', 'FORMAT csv, HEADER', qq(x,y,z,w\n1,2,a,2020-01-01\n));
same_data('csv, quote, escape, delimiter, null', q(FORMAT csv, QUOTE '''', ESCAPE '\\', DELIMITER ';', NULL 'nil'), qq(1;2;'a\\'b;c';nil\n2;nil;nil;nil\n));
same_data('csv, FORCE_NULL, FORCE_NOT_NULL', 'FORMAT csv, FORCE_NULL (n), FORCE_NOT_NULL (t)', qq(1,"",,\n));
same_data('csv, data in pieces', 'FORMAT csv', [ split //, qq(1,2,"a,""\nb",2020-01-01\n2,3,b,\n) ]);
same_data('csv, WHERE', 'FORMAT csv', "1,1,a,\n2,2,b,\n3,,c,\n4,4,d,\n", rest => ' WHERE n % 2 = 0 OR n IS NULL');
same_data('csv, WHERE that fails', 'FORMAT csv', "1,1,a,\n2,0,b,\n", rest => ' WHERE 1 / n > 0');
same_data('csv, no row passes', 'FORMAT csv', "1,1,a,\n", rest => ' WHERE false');
same_data('DEFAULT', q(FORMAT csv, DEFAULT 'dflt'), "1,1,dflt,\n2,2,b,\n");
same_data('ON_ERROR', q(FORMAT csv, ON_ERROR ignore), "1,1,a,\nx,2,b,\n3,3,c,no date\n4,4,d,\n");
same_data('ON_ERROR, verbose', q(FORMAT csv, ON_ERROR ignore, LOG_VERBOSITY verbose), "1,1,a,\nx,2,b,\n");
same_data('REJECT_LIMIT', q(FORMAT csv, ON_ERROR ignore, REJECT_LIMIT 1), "1,1,a,\nx,2,b,\ny,2,b,\n4,4,d,\n");

note 'options and data that are refused';

same_data($_->[0], $_->[1], "1,2,a,\n", columns => $_->[2] // '') for (
	[ 'an unknown option', 'FORMAT csv, no_such_option 1' ],
	[ 'an unknown format', q(FORMAT 'arrow') ],
	[ 'an option twice', 'FORMAT csv, FORMAT csv' ],
	[ 'a wrong delimiter', q(FORMAT csv, DELIMITER 'ab') ],
	[ 'an option of TO', 'FORMAT csv, FORCE_QUOTE (id)' ],
	[ 'a wrong encoding', q(FORMAT csv, ENCODING 'klingon') ],
	[ 'HEADER in binary', 'FORMAT binary, HEADER' ],
	[ 'a column that is not there', 'FORMAT csv', ' (id, x)' ],
	[ 'a column twice', 'FORMAT csv', ' (id, n, id)' ],
	[ 'a generated column', 'FORMAT csv', ' (id, g)' ],
	[ 'FORCE_NULL of another column', 'FORMAT csv, FORCE_NULL (t)', ' (id, n)' ]);
same_data($_->[0], 'FORMAT csv', $_->[1], rest => $_->[2]) for (
	[ 'not a number', "1,1,a,\nx,2,b,\n" ],
	[ 'not a date', "1,1,a,\n2,2,b,2020-02-30\n" ],
	[ 'too few columns', "1,1,a,\n2,2\n" ],
	[ 'too many columns', "1,1,a,,\n" ],
	[ 'no end of a quote', qq(1,1,"a\n2,2,b,\n) ],
	[ 'a check', "1,1,a,\n2,1000,b,\n3,3,c,\n" ],
	[ 'no key', ",1,a,\n" ],
	[ 'a number out of range', "99999999999,1,a,\n" ],
	[ 'a column in WHERE that is not there', "1,1,a,\n", ' WHERE x = 1' ],
	[ 'an aggregate in WHERE', "1,1,a,\n", ' WHERE count(*) = 1' ],
	[ 'a query in WHERE', "1,1,a,\n", ' WHERE n IN (SELECT 1)' ],
	[ 'a generated column in WHERE', "1,1,a,\n", ' WHERE g = 2' ],
	[ 'WHERE is no condition', "1,1,a,\n", ' WHERE n' ]);

# CONTEXT of what is refused: the row of the input
ask($node, 'app', $tables);
for ([ 'not a number', "1,1,a,\\nx,2,b,\\n", qr/^CONTEXT:  COPY managed, line 2, column id: "x"$/m ],
	[ 'a check', "1,1,a,\\n2,1000,b,\\n", qr/^CONTEXT:  row 2 of the input of bulk upsert into "managed"/m ],
	[ 'too few columns', "1,1,a,\\n2,2\\n", qr/^CONTEXT:  COPY managed, line 2: "2,2"$/m ])
{
	my ($name, $data, $context) = @$_;

	like(told($node, 'app', qq(COPY managed (id, n, t, at) FROM PROGRAM 'printf "$data"' WITH (FORMAT csv, on_conflict 'update'))), $context, "CONTEXT: $name");
}

note 'binary';

ask($node, 'app', qq(
	SET client_min_messages = error;
	CREATE TABLE kinds (id int PRIMARY KEY, a bigint, b numeric, c text, d bytea, e timestamptz, f jsonb, g int[], h boolean, i float8, j uuid, k interval, l inet, m text[], o varchar(5), p bpchar(4));
	INSERT INTO kinds SELECT x, x, x / 7.0, repeat('ä', x), decode(repeat('00ff', x), 'hex'), '2020-01-01 00:00+00'::timestamptz + x * interval '1.5 hours', jsonb_build_object('x', x, 'y', NULL), ARRAY[x, NULL, 3],
		x % 2 = 0, x / 3.0, md5(x::text)::uuid, x * interval '1 mon', '10.0.0.1'::inet + x, ARRAY['a,b', '"', NULL, '\\'], 'x' || x, 'p' FROM generate_series(1, 20) AS x;
	INSERT INTO kinds (id) VALUES (99);
	CREATE TABLE kinds_managed (LIKE kinds INCLUDING ALL)));
for my $format ('binary', 'text', 'csv')
{
	my $file = "$folder/kinds.$format";

	ask($node, 'app', qq(COPY kinds TO '$file' WITH (FORMAT $format)));
	ask($node, 'app', 'TRUNCATE kinds_managed');
	is(ask($node, 'app', qq(
			COPY kinds_managed FROM '$file' WITH (FORMAT $format, on_conflict 'update');
			SELECT inserted, updated, unchanged FROM orm_ext.last_bulk_result();
			COPY kinds_managed FROM '$file' WITH (FORMAT $format, on_conflict 'update');
			SELECT inserted, updated, unchanged FROM orm_ext.last_bulk_result();)), "21|0|0\n0|0|21", "$format: all types, new and unchanged");
	is(rows_of('kinds_managed'), rows_of('kinds'), '... all of them there');
	is(ask($node, 'app', qq(
			UPDATE kinds_managed SET a = -1, m = NULL, k = NULL WHERE id % 2 = 0;
			COPY kinds_managed FROM '$file' WITH (FORMAT $format, on_conflict 'update');
			SELECT inserted, updated, unchanged FROM orm_ext.last_bulk_result();)), '0|10|11', '... changed');
	is(rows_of('kinds_managed'), rows_of('kinds'), '... and right again');
}
my $binary = slurp_file("$folder/kinds.binary");
my $two = do
{
	ask($node, 'app', qq($tables INSERT INTO twin VALUES (1, 2, 'a', NULL), (2, NULL, NULL, '2020-01-01'); COPY twin TO '$folder/two' WITH (FORMAT binary)));
	slurp_file("$folder/two");
};
same_data('binary', 'FORMAT binary', $two);
same_data('binary, in pieces', 'FORMAT binary', [ split //, $two ]);
same_data('binary, no signature', 'FORMAT binary', substr $two, 3);
same_data('binary, cut off', 'FORMAT binary', substr $two, 0, $_) for 10, 25, length($two) - 7, length($two) - 1;
same_data('binary, no trailer', 'FORMAT binary', substr $two, 0, length($two) - 2);
same_data('binary, data behind the trailer', 'FORMAT binary', "${two}more");
same_data('binary, other types', 'FORMAT binary', $binary);

note 'messages of the protocol';

my $row = "1\t2\ta\t\\N\n";

same_copy('CopyFail at once', sub { my ($session, $table, $copy) = @_; return ($session->copy_failed($copy->(' FROM STDIN'), 'a reason'), $session->query('SELECT 1')); });
same_copy('CopyFail after rows', sub {
	my ($session, $table, $copy) = @_;
	return ($session->copy_failed($copy->(' FROM STDIN'), 'a reason', $row, "2\t2\tb\t\\N\n3\t"), $session->query('SELECT 1'), $session->copy($copy->(' FROM STDIN'), $row));
});
same_copy('an error in the middle, data goes on', sub {
	my ($session, $table, $copy) = @_;
	return ($session->copy($copy->(' FROM STDIN'), $row, "x\t2\tb\t\\N\n", map { "$_\t1\tb\t\\N\n" } 3 .. 20000), $session->query('SELECT 1'), $session->copy($copy->(' FROM STDIN'), $row));
});
same_copy('a table that is not there, with data', sub {
	my ($session, $table, $copy) = @_;
	return ($session->copy($copy->('_not_there FROM STDIN'), $row), $session->query('SELECT 1'));
});
same_copy('a transaction', sub {
	my ($session, $table, $copy) = @_;
	return ($session->query('BEGIN'), $session->copy($copy->(' FROM STDIN'), $row), $session->query('SAVEPOINT a'), $session->copy($copy->(' FROM STDIN'), "2\t1000\tb\t\\N\n"),
		$session->copy($copy->(' FROM STDIN'), "3\t1\tb\t\\N\n"), $session->query('ROLLBACK TO SAVEPOINT a'), $session->copy($copy->(' FROM STDIN'), "4\t1\tb\t\\N\n"), $session->query('COMMIT'));
});
same_copy('an aborted transaction', sub {
	my ($session, $table, $copy) = @_;
	return ($session->query('BEGIN'), $session->query('SELECT 1 / 0'), $session->copy($copy->(' FROM STDIN'), $row), $session->query('COMMIT'));
});
same_copy('some statements in a string', sub {
	my ($session, $table, $copy) = @_;
	my $string = join('; ', 'SELECT 1', $copy->(' FROM STDIN'), "SELECT count(*) FROM $table", $copy->(' (id) FROM STDIN'), "SELECT count(*) FROM $table");
	$session->message('Q', "$string\0")->data($row)->copy_done->data("5\n6\n");
	return $session->copy_done->replies;
});
same_copy('the extended protocol', sub {
	my ($session, $table, $copy) = @_;
	my @replies = $session->parse('s', $copy->(' FROM STDIN'))->bind('p', 's')->execute('p')->data($row)->copy_done->sync->replies;
	push @replies, $session->bind('', 's')->execute('')->data("2\t1\tb\t\\N\n")->copy_done->sync->replies;
	push @replies, $session->bind('', 's')->execute('')->data("3\t1\tb\t\\N\n")->copy_fail('enough')->sync->replies;
	push @replies, $session->bind('', 's')->execute('')->data("4\t1000\tb\t\\N\n")->copy_done->sync->replies;
	return (@replies, $session->bind('', 's')->execute('')->data("5\t1\tb\t\\N\n")->copy_done->run('SELECT 1')->sync->replies);
});
same_copy('Flush and Sync in the middle of the data', sub {
	my ($session, $table, $copy) = @_;
	$session->message('Q', $copy->(' FROM STDIN') . "\0")->data($row)->sync->message('H', '')->data("2\t1\tb\t\\N\n");
	return ($session->copy_done->replies, $session->query('SELECT 1'));
});
same_copy('another message in the middle of the data', sub {
	my ($session, $table, $copy) = @_;
	$session->message('Q', $copy->(' FROM STDIN') . "\0")->data($row)->message('Q', "SELECT 2\0");
	my @replies = eval { $session->replies };
	return (@replies, $@ =~ s/ at .*//sr);
});
same_copy('the client goes away', sub {
	my ($session, $table, $copy) = @_;
	my ($pid) = join(' ', $session->query('SELECT pg_backend_pid()')) =~ /\((\d+)\)/;
	$session->message('Q', $copy->(' FROM STDIN') . "\0")->data($row);
	$session->{socket}->syswrite($session->{unsent});
	sleep 0.2;
	$session->{socket}->close;
	return $node->poll_query_until('app', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
});
same_copy('FROM STDIN in a function', sub {
	my ($session, $table, $copy) = @_;
	return $session->query('DO $$ BEGIN EXECUTE $c$' . $copy->(' FROM STDIN') . '$c$; END $$');
});
same_copy('statement_timeout while the client is quiet', sub {
	my ($session, $table, $copy) = @_;
	$session->query('SET statement_timeout = 100');
	$session->message('Q', $copy->(' FROM STDIN') . "\0")->data($row);
	$session->{socket}->syswrite($session->{unsent});
	$session->{unsent} = '';
	sleep 0.5;
	$session->data("2\t1\tb\t\\N\n");
	return ($session->copy_done->replies, $session->query('SELECT 1'));
});

note 'clients';

for my $table ('managed', 'twin')
{
	my $with = $table eq 'managed' ? q(WITH (FORMAT csv, on_conflict 'update')) : 'WITH (FORMAT csv)';
	my ($out, $err);
	my @psql = ('psql', '-X', '-d', $node->connstr('app'));

	ask($node, 'app', $tables) if $table eq 'managed';
	append_to_file("$folder/$table.csv", "11,1,a,2020-01-01\n12,2,b,\n");
	ok(IPC::Run::run([ @psql, '-c', "COPY $table FROM STDIN $with" ], '<', \"1,1,a,\n2,2,b,\n", '>', \$out, '2>', \$err), "psql -c COPY $table");
	is($out, "COPY 2\n", '... has the tag');
	ok(IPC::Run::run(\@psql, '<', \"COPY $table FROM STDIN $with;\n3,3,c,\n4,4,d,\n\\.\nSELECT 'next';\n", '>', \$out, '2>', \$err), '... in a script');
	like($out, qr/^COPY 2\n.*next/s, '... which goes on');
	ok(IPC::Run::run([ @psql, '-c', "\\copy $table from '$folder/$table.csv' $with" ], '>', \$out, '2>', \$err), '... \copy');
	is($out, "COPY 2\n", '... has the tag');
	ok(!IPC::Run::run([ @psql, '-c', "COPY $table FROM STDIN $with" ], '<', \"1,1,a,\nx,2,b,\n", '>', \$out, '2>', \$err), '... an error');
	like($err, qr/invalid input syntax for type integer: "x"/, '... is told');
}
is(rows_of('managed'), rows_of('twin'), 'psql has written the same to both');
{
	my ($out, $err);

	# rows that are there, from a program, through a pipe
	ok(IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr('app'), '-c', q(COPY managed (id, n) FROM STDIN WITH (FORMAT csv, on_conflict 'update')),
		'-c', 'SELECT inserted, updated, unchanged FROM orm_ext.last_bulk_result()', '-A', '-t' ], '<', \join('', map { "$_,7\n" } 1 .. 50000), '>', \$out, '2>', \$err), '50000 rows through psql');
	is($out, "49994|6|0\n", '... are counted') or diag $err;
	is(ask($node, 'app', 'SELECT count(*), sum(n), count(at) FROM managed'), '50000|350000|1', '... and there');
}

note 'files, programs and privileges';

ask($node, 'app', q(
	CREATE ROLE mortal LOGIN;
	CREATE ROLE reads LOGIN IN ROLE pg_read_server_files;
	CREATE ROLE runs LOGIN IN ROLE pg_execute_server_program;
	CREATE ROLE writes LOGIN IN ROLE pg_write_server_files;
	CREATE ROLE inherits_not LOGIN NOINHERIT IN ROLE pg_read_server_files;
	CREATE ROLE inserts LOGIN IN ROLE pg_read_server_files;
	CREATE ROLE nobody LOGIN IN ROLE pg_read_server_files;));
append_to_file("$folder/good.csv", "1,1,a,\n2,2,b,2020-01-01\n");
append_to_file("$folder/three.csv", "1,1,a\n2,2,b\n");
append_to_file("$folder/bad.csv", "1,1,a,\nx,2,b,\n");
mkdir "$folder/folder";
my %source = (
	STDIN => 'STDIN',
	'a file' => "'$folder/good.csv'",
	'a bad file' => "'$folder/bad.csv'",
	'no file' => "'$folder/missing.csv'",
	'a folder' => "'$folder/folder'",
	'a relative path' => q('no/such/file'),
	'a program' => qq(PROGRAM 'cat "$folder/good.csv"'),
	'a program that fails' => qq(PROGRAM 'cat "$folder/good.csv"; exit 3'),
	'a program that fails at once' => q(PROGRAM 'no_such_program_here 2>/dev/null'));
my %seen;

for my $user (scalar getpwuid($>), qw(mortal reads runs writes inherits_not inserts nobody))
{
	for my $source (sort keys %source)
	{
		my ($reply) = same_copy("$source, by $user", sub {
			my ($session, $table, $copy) = @_;

			ask($node, 'app', $user eq 'inserts' ? "REVOKE ALL ON $table FROM PUBLIC; GRANT INSERT, UPDATE, SELECT (id, n) ON $table TO inserts"
				: $user eq 'nobody' ? "REVOKE ALL ON $table FROM PUBLIC" : "GRANT SELECT, INSERT, UPDATE ON $table TO PUBLIC");
			return ($session->copy($copy->(($user eq 'inserts' ? ' (id, n)' : '') . " FROM $source{$source}", 'FORMAT csv'), $user eq 'inserts' ? "1,2\n" : "1,2,a,\n"), $session->query('SELECT 1'));
		}, connect => { user => $user });
		$seen{$reply =~ /^(ERROR \w+|COPY \d+)/ ? $1 : $reply}++;
	}
}
is(join(', ', sort keys %seen), 'COPY 1, COPY 2, ERROR 22P02, ERROR 22P04, ERROR 38000, ERROR 42501, ERROR 42809, ERROR 58P01', 'answers of all kinds were seen');

# Rights that upsert asks for beyond those of COPY.
ask($node, 'app', $tables . q(INSERT INTO managed VALUES (1, 1)));
for ([ 'INSERT', 'update', qr/^ERROR 42501 permission denied for table managed/ ], [ 'INSERT', 'nothing', qr/^ERROR 42501 permission denied for table managed/ ],
	[ 'INSERT (id, n), SELECT (id)', 'nothing', qr/^COPY 2/ ], [ 'INSERT (id, n), SELECT (id, n)', 'update', qr/^ERROR 42501 permission denied for table managed/ ],
	[ 'INSERT (id, n), SELECT (id, n), UPDATE (t)', 'update', qr/^ERROR 42501 permission denied for table managed/ ],
	[ 'INSERT (id, n), SELECT (id, n), UPDATE (n)', 'update', qr/^COPY 2/ ], [ 'INSERT (id), SELECT, UPDATE', 'update', qr/^ERROR 42501 permission denied for table managed/ ])
{
	my ($rights, $mode, $expected) = @$_;

	ask($node, 'app', "REVOKE ALL ON managed FROM mortal, PUBLIC; REVOKE ALL (id, n, t, at) ON managed FROM mortal; GRANT $rights ON managed TO mortal");
	my $session = OrmExt::Copy->new($node, 'app', user => 'mortal');
	like(join(' ', $session->copy("COPY managed (id, n) FROM STDIN WITH (on_conflict '$mode')", "1\t5\n2\t5\n")), $expected, "$mode with $rights");
}

# COPY refuses tables under row-level security; upsert honours it.
ask($node, 'app', q(
	REVOKE ALL ON managed FROM mortal, PUBLIC;
	GRANT ALL ON managed TO mortal;
	ALTER TABLE managed ENABLE ROW LEVEL SECURITY;
	CREATE POLICY low ON managed TO mortal USING (id < 10)));
{
	my $session = OrmExt::Copy->new($node, 'app', user => 'mortal');

	like(join(' ', $session->copy('COPY managed (id, n) FROM STDIN', "8\t8\n")), qr/^ERROR 0A000 COPY FROM not supported with row-level security/, 'row-level security: COPY');
	is(join(' ', $session->copy(q(COPY managed (id, n) FROM STDIN WITH (on_conflict 'update')), "1\t8\n8\t8\n")), 'COPY 2 Ready I', '... upsert');
	like(join(' ', $session->copy(q(COPY managed (id, n) FROM STDIN WITH (on_conflict 'update')), "7\t7\n11\t8\n")),
		qr/^ERROR 42501 new row violates row-level security policy for table "managed"/, '... of a row that is not allowed');
}

note 'progress';

{
	my $watch = q(SELECT command, type, tuples_processed, tuples_excluded, bytes_processed > 0, bytes_total FROM pg_stat_progress_copy WHERE relid = '%s'::regclass);
	my %watched;

	ask($node, 'app', $tables);
	for my $table ('managed', 'twin')
	{
		my $session = OrmExt::Copy->new($node, 'app');
		my $with = $table eq 'managed' ? q(WITH (on_conflict 'update')) : '';

		$session->message('Q', "COPY $table (id, n) FROM STDIN $with WHERE id % 2 = 0\0");
		for my $part (1 .. 3)
		{
			# more than the server's buffer at a time
			$session->data(map { ($part * 100000 + $_) . "\t5\n" } 1 .. 20000);
			$session->{socket}->syswrite($session->{unsent});
			$session->{unsent} = '';
			my $least = ($part - 1) * 20000;
			ok($node->poll_query_until('app', "SELECT tuples_processed > $least / 2 AND tuples_excluded > $least / 2 FROM pg_stat_progress_copy WHERE relid = '$table'::regclass"), "$table: progress, part $part");
			push @{ $watched{$table} }, ask($node, 'app', sprintf($watch, $table)) =~ s/\|\d+\|\d+\|/|n|n|/r;
		}
		is(($session->copy_done->replies)[0], 'COPY 30000', '... until it is done');
		is(ask($node, 'app', sprintf($watch, $table)), '', '... and is no longer shown');
	}
	is_deeply($watched{managed}, $watched{twin}, 'progress is shown as that of any COPY');
	append_to_file("$folder/slow.csv", join('', map { "$_,1\n" } 1 .. 1000));
	ask($node, 'app', q(CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN new; END'; CREATE TRIGGER slow BEFORE INSERT ON managed FOR EACH ROW EXECUTE FUNCTION slow()));
	my $worker = $node->background_psql('app');
	$worker->query_until(qr/begun/, "\\echo begun\nCOPY managed (id, n) FROM '$folder/slow.csv' WITH (FORMAT csv, on_conflict 'update');\n");
	ok($node->poll_query_until('app', q(SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE type = 'FILE' AND bytes_total = bytes_processed AND tuples_processed = 1000)),
		'progress of a file, while its rows are written');
	ask($node, 'app', q(SELECT pg_cancel_backend(pid) FROM pg_stat_progress_copy));
	ok($node->poll_query_until('app', q(SELECT count(*) = 0 FROM pg_stat_progress_copy)), '... is gone with the statement');
	eval { $worker->quit };
}

note 'where it is refused, and temporary tables';

same_copy($_->[0], sub {
	my ($session, $table, $copy) = @_;
	return ($session->query($_->[1]), $session->copy($copy->(' FROM STDIN'), $row), $session->query('ROLLBACK'));
}) for ([ 'BEGIN READ ONLY', 'BEGIN READ ONLY' ], [ 'default_transaction_read_only', 'SET default_transaction_read_only = on; BEGIN' ]);
for ([ 'a view', 'CREATE VIEW managed_other AS TABLE managed; CREATE VIEW twin_other AS TABLE twin' ],
	[ 'a sequence', 'CREATE SEQUENCE managed_other; CREATE SEQUENCE twin_other' ],
	[ 'a materialized view', 'CREATE MATERIALIZED VIEW managed_other AS TABLE managed; CREATE MATERIALIZED VIEW twin_other AS TABLE twin' ])
{
	my ($name, $sql) = @$_;

	same_copy($name, sub {
		my ($session, $table, $copy) = @_;
		my @replies;

		$session->query("BEGIN; $sql");
		@replies = $session->copy($copy->('_other FROM STDIN'), $row);
		$session->query('ROLLBACK');

		# the words may differ, the code may not
		return map { s/^(ERROR \w+).*/$1/r } @replies;
	});
}
for my $session (OrmExt::Copy->new($node, 'app'))
{
	my $copy = q(COPY passing FROM STDIN WITH (FORMAT csv, on_conflict 'update'));

	$session->query('CREATE TEMP TABLE passing (id int PRIMARY KEY, n int)');
	is(join(' ', $session->copy($copy, "1,1\n2,2\n")), 'COPY 2 Ready I', 'a temporary table');
	is(join(' ', $session->query('BEGIN READ ONLY')), 'BEGIN Ready T', '... in a read-only transaction');
	is(join(' ', $session->copy('COPY passing FROM STDIN WITH (FORMAT csv)', "3,3\n")), 'COPY 1 Ready T', '... takes COPY');
	is(join(' ', $session->copy($copy, "1,5\n4,4\n")), 'COPY 2 Ready T', '... and upsert');
	$session->query('COMMIT; BEGIN');
	$session->copy($copy, "1,6\n");
	like(join(' ', $session->query(q(PREPARE TRANSACTION 'p'))), qr/^ERROR 0A000 cannot PREPARE a transaction that has operated on temporary objects/, '... PREPARE TRANSACTION is refused as ever');
	is(join(' ', $session->query('SELECT string_agg(concat_ws(\':\', id, n), \' \' ORDER BY id) FROM passing')), 'Columns string_agg (1:5 2:2 3:3 4:4) SELECT 1 Ready I', '... and has its rows');
	$session->query('BEGIN; CREATE TEMP TABLE going (id int PRIMARY KEY) ON COMMIT DROP');
	is(join(' ', $session->copy(q(COPY going FROM STDIN WITH (on_conflict 'nothing')), "1\n1\n2\n")), 'COPY 3 Ready T', '... that goes with COMMIT');
	$session->query('COMMIT; DISCARD TEMP; CREATE TEMP TABLE passing (n int, id int PRIMARY KEY)');
	is(join(' ', $session->copy($copy, "1,1\n")), 'COPY 1 Ready I', '... or DISCARD TEMP');
	like(join(' ', $session->copy(q(COPY passing FROM STDIN WITH (on_conflict 'update', FREEZE)), "1,1\n")), qr/^ERROR 0A000/, 'FREEZE is refused');
	$session->query('CREATE TEMP VIEW odd AS SELECT 1 AS id');
	like(join(' ', $session->copy(q(COPY odd FROM STDIN WITH (on_conflict 'update')), "1\n")), qr/^ERROR 42809/, 'a view is refused');
}

note 'encodings';

my $latin1 = "1\t1\t\xe4\xf6\xfc\t\\N\n";
my $utf8 = "1\t1\t\xc3\xa4\xe2\x82\xac\t\\N\n";

same_data("client_encoding $_->[0]", $_->[1] // '', $_->[2], connect => { client_encoding => $_->[0] }) for (
	[ 'UTF8', '', $utf8 ], [ 'LATIN1', '', $latin1 ], [ 'UTF8', q(ENCODING 'LATIN1'), $latin1 ], [ 'LATIN1', q(ENCODING 'UTF8'), $utf8 ], [ 'LATIN9', '', "1\t1\t\xa4\t\\N\n" ],
	[ 'SQL_ASCII', '', $utf8 ], [ 'SQL_ASCII', '', $latin1 ], [ 'UTF8', '', $latin1 ], [ 'UTF8', '', "1\t1\ta\x00b\t\\N\n" ], [ 'SJIS', '', "1\t1\t\x83\x5c\x83\x74\t\\N\n" ],
	[ 'GB18030', '', "1\t1\t\x81\x30\x81\x30\t\\N\n" ], [ 'BIG5', '', "1\t1\t\xa5\x5c|\t\\N\n" ], [ 'WIN1251', 'FORMAT csv', qq(1,1,"\xcf,\xf0",\n) ], [ 'EUC_JP', '', "1\t1\t\xff\t\\N\n" ]);
ask($node, 'postgres', q(CREATE DATABASE narrow ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0));
ask($node, 'narrow', 'CREATE EXTENSION orm_ext; SELECT orm_ext.preload(); CREATE TABLE managed (id int PRIMARY KEY, t text); CREATE TABLE twin (LIKE managed INCLUDING ALL)');
for ([ 'UTF8', "1\t\xc3\xa4\n2\t\xc3\xb6\n" ], [ 'LATIN1', "1\t\xe4\n2\t\xf6\n" ], [ 'UTF8', "1\t\xe2\x82\xac\n" ])
{
	my ($encoding, $data) = @$_;
	my @answers;

	for my $copy (q(COPY managed FROM STDIN WITH (on_conflict 'update')), 'COPY twin FROM STDIN')
	{
		my $session = OrmExt::Copy->new($node, 'narrow', client_encoding => $encoding);
		$session->query('TRUNCATE managed, twin');
		push @answers, join(' ', $session->copy($copy, $data), $session->query('SELECT id, t, octet_length(t) FROM ' . ($copy =~ /(managed|twin)/)[0] . ' ORDER BY id'));
	}
	is($answers[0], $answers[1], "a database in LATIN1, a client in $encoding");
}

note 'a COPY that is not meant';

# What psql shows of some statements, in a database with and one without the library.
my $statements = qq(
	\\set VERBOSITY verbose
	DROP TABLE IF EXISTS t, u, part, loose CASCADE;
	CREATE TABLE t (id int PRIMARY KEY, n int, x text);
	CREATE TABLE u (LIKE t INCLUDING ALL);
	CREATE TABLE loose (a int);
	CREATE TABLE part (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
	CREATE VIEW v AS TABLE t;
	COPY t FROM '$folder/three.csv' WITH (FORMAT csv);
	COPY t (id, n) FROM PROGRAM 'printf "7,8\\n9,10\\n"' WITH (FORMAT csv);
	COPY t (id, n) FROM PROGRAM 'printf "7,8\\n9,10\\n"' WITH (FORMAT csv);
	COPY t (id, n) FROM PROGRAM 'printf "17\\n"' WITH (FORMAT csv);
	COPY t (id, n) FROM PROGRAM 'printf "17,8\\n"' WITH (FORMAT csv) WHERE n > 8;
	COPY t TO STDOUT;
	COPY t TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *);
	COPY (SELECT id FROM t ORDER BY id DESC) TO STDOUT;
	COPY t TO STDOUT WITH (on_conflict 'update');
	COPY t TO STDOUT WITH (conflict_columns (id));
	COPY t FROM '/no/such/file';
	COPY t FROM '/no/such/file' (FORMAT csv, no_such_option 5);
	COPY t FROM PROGRAM 'exit 5';
	COPY t FROM PROGRAM 'printf "x"' CSV HEADER QUOTE '"' FORCE NOT NULL x;
	COPY BINARY t TO '$folder/binary';
	COPY u FROM '$folder/binary' WITH BINARY;
	BEGIN;
	TRUNCATE u;
	COPY u FROM '$folder/binary' WITH (FORMAT binary, FREEZE);
	COMMIT;
	COPY u FROM '$folder/binary' WITH (FORMAT binary, FREEZE);
	COPY v FROM PROGRAM 'printf "1\\t2\\n"';
	COPY part FROM PROGRAM 'printf "1\\n20\\n"';
	COPY part_1 FROM PROGRAM 'printf "1\\n20\\n"';
	COPY loose FROM PROGRAM 'printf "1\\n1\\n"';
	COPY no_such_table FROM PROGRAM 'true';
	COPY t (id, id) FROM PROGRAM 'true';
	COPY (SELECT 1) TO PROGRAM 'cat > /dev/null';
	EXPLAIN (COSTS off) SELECT * FROM t;
	TABLE t;
	TABLE u;
	TABLE part;
	SELECT count(*) FROM pg_stat_progress_copy;
);
sub shown
{
	my ($database) = @_;
	my ($out, $err);

	IPC::Run::run([ 'psql', '-X', '-d', $node->connstr($database), '-v', 'VERBOSITY=verbose' ], '<', \$statements, '>', \$out, '2>', \$err);
	return $out . $err;
}
my $of_plain = shown('plain');
like($of_plain, qr/ERROR:  23505: duplicate key value violates unique constraint "t_pkey".*option "on_conflict" not recognized/s, 'plain PostgreSQL refuses some of them');
is(shown('app'), $of_plain, '... and the library lets it');

# With the setting: tables are meant, other things and statements with FREEZE are not.
ask($node, 'app', q(ALTER DATABASE app SET orm_ext.copy_on_conflict = 'update'));
{
	my $of_app = shown('app');

	unlike($of_app, qr/duplicate key value/, 'with the setting, no key is there twice');
	is($of_app =~ s/^COPY 2\n(?=COPY)//mr =~ s/^.*\bpsql:.*$//mgr ne '', 1, '... and statements have their tags');
	is(ask($node, 'app', 'SELECT count(*) FROM loose'), 2, '... a table without a key is left alone');
	is(ask($node, 'app', 'SELECT id, n FROM t WHERE id < 10 ORDER BY id'), "1|1\n2|2\n7|8\n9|10", '... a table with one has its rows');
}
ask($node, 'app', q(ALTER DATABASE app RESET orm_ext.copy_on_conflict));

note 'neighbours';

# Whatever is loaded before or after the library sees a COPY that upserts, under its own text.
sub check_neighbours
{
	my ($name, $conf) = @_;
	my ($session, $offset, $log);

	$node->append_conf('postgresql.conf', $conf);
	$node->restart;
	ask($node, 'app', $tables . 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
	for my $track ('top', 'all')
	{
		ask($node, 'app', 'SET client_min_messages = error; TRUNCATE managed, twin; SELECT pg_stat_statements_reset()');
		$session = OrmExt::Copy->new($node, 'app');
		$session->query("SET pg_stat_statements.track = '$track'");
		$session->copy(q(COPY managed (id, n) FROM STDIN WITH (on_conflict 'update')), "1\t1\n2\t2\n");
		$session->copy(q(COPY managed (id, n) FROM STDIN WITH (on_conflict 'update')), "1\t1\n3\t3\n4\t4\n");
		$session->copy('COPY twin (id, n) FROM STDIN', "1\t1\n2\t2\n");
		$session->copy('COPY twin (id, n) FROM STDIN', "5\t1\n3\t3\n4\t4\n");
		$session->query(q(SELECT * FROM orm_ext.bulk_upsert('managed', '[{"id": 1, "n": 5}, {"id": 9, "n": 5}]')));
		is(ask($node, 'app', q(
				SELECT replace(query, ' WITH (on_conflict ''update'')', ''), calls, rows FROM pg_stat_statements WHERE toplevel AND query ~ '^COPY' ORDER BY query)),
			"COPY managed (id, n) FROM STDIN|2|5\nCOPY twin (id, n) FROM STDIN|2|5", "$name, track $track: pg_stat_statements counts the statements as sent, and their rows");
		is(ask($node, 'app', q(SELECT calls, rows FROM pg_stat_statements WHERE toplevel AND query ~ '^SELECT . FROM orm_ext.bulk_upsert')), '1|1', '... and calls of the function');
		is(ask($node, 'app', q(SELECT count(*) FROM pg_stat_statements WHERE query ~ 'managed' AND query !~ '(FROM STDIN|bulk_upsert|TRUNCATE)')), 0, '... and no other') if $track eq 'top';
		is(ask($node, 'app', 'SELECT string_agg(concat_ws(\':\', id, n), \' \' ORDER BY id) FROM managed'), '1:5 2:2 3:3 4:4 9:5', '... the rows are right');
	}

	$offset = -s $node->logfile;
	$session = OrmExt::Copy->new($node, 'app');
	$session->query(q(LOAD 'auto_explain'));
	for my $nested ('off', 'on')
	{
		$session->query("SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_triggers = on; SET auto_explain.log_nested_statements = $nested");
		is(join(' ', $session->copy(q(COPY managed (id, n) FROM STDIN WITH (on_conflict 'update')), "1\t7\n10\t7\n")), 'COPY 2 Ready I', "$name: auto_explain, nested $nested: COPY");
		is((grep { /^\(/ } $session->query(q(SELECT * FROM orm_ext.bulk_upsert('managed', '[{"id": 1, "n": 8}, {"id": 10, "n": 7}]'))))[0], '(0,1,1,0)', '... and a call');
	}
	$log = slurp_file($node->logfile, $offset);
	is(scalar(() = $log =~ /Query Text: SELECT \* FROM orm_ext\.bulk_upsert/g), 2, '... are told in the log');
	unlike($log, qr/PANIC|FATAL|ERROR/, '... with no error');
	return;
}

check_neighbours('before them', q(
session_preload_libraries = ''
shared_preload_libraries = 'orm_ext, pg_stat_statements, auto_explain'));
check_neighbours('behind them', q(shared_preload_libraries = 'auto_explain, pg_stat_statements, orm_ext'));
check_neighbours('per session', q(
shared_preload_libraries = 'pg_stat_statements'
session_preload_libraries = 'auto_explain, orm_ext'));

note 'a standby';

ask($node, 'app', $tables . 'INSERT INTO managed VALUES (1, 1); INSERT INTO twin VALUES (1, 1)');
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
{
	my $session = OrmExt::Copy->new($standby, 'app');
	my @twin = $session->copy('COPY twin FROM STDIN', $row);

	like($twin[0], qr/^ERROR 25006 cannot execute COPY/, 'COPY is refused on a standby');
	is_deeply([ $session->copy(q(COPY managed FROM STDIN WITH (on_conflict 'update')), $row) ], \@twin, '... with upsert too');
	is_deeply([ $session->copy(q(COPY managed FROM STDIN WITH (on_conflict 'nothing')), '') ], \@twin, '... with no row');
	like(join(' ', $session->query(qq(SELECT * FROM orm_ext.bulk_upsert('managed', '{"id": 1, "n": $_}')))), qr/ERROR 25006 cannot execute .* (during recovery|in a read-only transaction)/,
		"... a call, n = $_") for 1, 2;
	is(join(' ', $session->query('SELECT count(*) FROM orm_ext.last_bulk_result()')), 'Columns count (0) SELECT 1 Ready I', '... and there is no result');
}
ask($node, 'app', q(COPY managed (id, n) FROM PROGRAM 'printf "1,5\n2,2\n"' WITH (FORMAT csv, on_conflict 'update')));
$node->wait_for_catchup($standby);
is(ask($standby, 'app', 'SELECT id, n FROM managed ORDER BY id'), ask($node, 'app', 'SELECT id, n FROM managed ORDER BY id'), 'a standby has what the primary has');
$standby->stop;

$node->stop;
done_testing();
