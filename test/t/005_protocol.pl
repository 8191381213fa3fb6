# Messages of the extended protocol, as drivers send them: portals that are fetched in parts,
# pipelines, named statements whose plans are cached while settings change.
#
# Where a real DELETE has an answer, the same messages go to a twin table without policy, and all
# replies must be the same.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Session;
use OrmExt::Test;
use Test::More;

my $node = new_node('main', "session_preload_libraries = 'orm_ext'");

create_database($node, 'app');

# Both tables with live rows 1 to 4; deleted row 5 in one of them.
sub reset_tables
{
	ask($node, 'app', q(
		DROP TABLE IF EXISTS managed, twin;
		CREATE TABLE managed (id int NOT NULL, v int NOT NULL, deleted_at timestamptz);
		CREATE UNIQUE INDEX ON managed (id) WHERE deleted_at IS NULL;
		CREATE TRIGGER soft_delete BEFORE DELETE ON managed
			FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
		INSERT INTO managed SELECT i, i * 10, CASE i WHEN 5 THEN now() END FROM generate_series(1, 5) AS i;
		CREATE TABLE twin (id int PRIMARY KEY, v int NOT NULL);
		INSERT INTO twin SELECT i, i * 10 FROM generate_series(1, 4) AS i;
	));
	return;
}

# The replies of a conversation with one table, and the rows that it leaves to others.
sub converse
{
	my ($conversation, $table) = @_;
	my $session = OrmExt::Session->new($node, 'app');
	my $other = OrmExt::Session->new($node, 'app');
	my @replies = $conversation->($session, $table, $other);

	return [ map({ s/\b$table(_id(_idx|_key)|_pkey)?\b/TABLE/gr } @replies),
		$other->query("SELECT id, v FROM $table ORDER BY id") ];
}

# The same conversation with both tables.  Returns the replies.
sub same_replies
{
	my ($name, $conversation) = @_;
	my ($managed, $twin);

	reset_tables();
	$managed = converse($conversation, 'managed');
	$twin = converse($conversation, 'twin');
	is_deeply($managed, $twin, $name);
	return @$managed;
}

note 'portals that are fetched in parts';

my @replies = same_replies('resumed after a DELETE of this session', sub {
	my ($session, $table) = @_;
	return $session->parse('s', "SELECT id, v FROM $table ORDER BY id")->bind('p', 's')->execute('p', 2)
	  ->run("DELETE FROM $table WHERE id IN (1, 3)")
	  ->execute('p', 1)->execute('p')->sync->replies;
});
is("@replies[2 .. 4]", '(1,10) (2,20) PortalSuspended', '... which is suspended in between');
is((grep { /DELETE/ } @replies)[0], 'DELETE 2', '... and counts two');

same_replies('resumed after a DELETE of another session', sub {
	my ($session, $table, $other) = @_;
	my @first = ($session->query('BEGIN'),
		$session->parse('', "SELECT id, v FROM $table")->bind('p', '')->execute('p', 1)->sync->replies);
	return (@first,
		$other->query("DELETE FROM $table WHERE id <> 2"),
		$session->execute('p', 2)->run("SELECT count(*) FROM $table")->execute('p')->sync->replies,
		$session->query('COMMIT'));
});

same_replies('resumed after the whole table went', sub {
	my ($session, $table, $other) = @_;
	return ($session->query('BEGIN ISOLATION LEVEL REPEATABLE READ'),
		$session->parse('', "SELECT id FROM $table ORDER BY v DESC")->bind('p', '')->execute('p', 1)->sync->replies,
		$session->run("DELETE FROM $table")->execute('p', 1)->sync->replies,
		$session->query('ROLLBACK'));
});

same_replies('FOR UPDATE in parts', sub {
	my ($session, $table, $other) = @_;
	return ($session->query('BEGIN'),
		$session->parse('', "SELECT id FROM $table FOR UPDATE")->bind('p', '')->execute('p', 1)->sync->replies,
		$other->query("DELETE FROM $table WHERE id = 3"),
		$session->execute('p')->sync->replies,
		$session->query('COMMIT'));
});

@replies = same_replies('DELETE ... RETURNING in parts deletes all rows at once', sub {
	my ($session, $table) = @_;
	return $session->parse('', "DELETE FROM $table WHERE id < 4 RETURNING id, v")->bind('p', '')
	  ->execute('p', 1)->run("SELECT count(*) FROM $table")->execute('p', 1)->execute('p')->sync->replies;
});
is($replies[2], '(1,10)', '... and hands them out');

same_replies('... also when the portal is left half-way', sub {
	my ($session, $table) = @_;
	return $session->parse('', "DELETE FROM $table WHERE id < 4 RETURNING id, v")->bind('p', '')
	  ->execute('p', 1)->close_portal('p')->sync->replies;
});

same_replies('a CTE that deletes, in parts', sub {
	my ($session, $table) = @_;
	return $session->parse('', "WITH d AS (DELETE FROM $table WHERE id > 1 RETURNING *) SELECT id, v FROM d")
	  ->bind('p', '')->execute('p', 1)->execute('p', 1)->run("SELECT count(*) FROM $table")->execute('p')->sync->replies;
});

note 'pipelines';

@replies = same_replies('a pipeline sees what it did', sub {
	my ($session, $table) = @_;
	return $session->run("DELETE FROM $table WHERE id = \$1", 1)
	  ->run("DELETE FROM $table WHERE id = \$1", 1)
	  ->run("SELECT id FROM $table ORDER BY id")
	  ->run("INSERT INTO $table VALUES (1, 11)")
	  ->run("UPDATE $table SET v = v + 1 WHERE id = 1 RETURNING v")
	  ->run("DELETE FROM $table WHERE id = 1 RETURNING id, v")
	  ->run("INSERT INTO $table VALUES (1, 12) ON CONFLICT (id) DO UPDATE SET v = 13 RETURNING v")
	  ->sync->replies;
});
is_deeply([ grep { /DELETE/ } @replies ], [ 'DELETE 1', 'DELETE 0', 'DELETE 1' ], '... with these counts');

@replies = same_replies('a pipeline that fails half-way is undone', sub {
	my ($session, $table) = @_;
	return ($session->run("DELETE FROM $table WHERE id = 1")
		  ->run("INSERT INTO $table VALUES (2, 22)")
		  ->run("DELETE FROM $table")->sync->run("DELETE FROM $table WHERE id = 3")->sync->replies,
		$session->replies);
});
like("@replies", qr/DELETE 1 .* ERROR 23505 duplicate key value .* Ready I .* DELETE 1 /, '... with 23505');

same_replies('statements are described alike', sub {
	my ($session, $table) = @_;
	return $session->parse('a', "DELETE FROM $table WHERE id = \$1")->describe_statement('a')
	  ->parse('b', "DELETE FROM $table RETURNING id, v AS value")->describe_statement('b')
	  ->parse('c', "SELECT id, v FROM $table")->describe_statement('c')->sync->replies;
});

same_replies('statements sent as one string', sub {
	my ($session, $table) = @_;
	return ($session->query("DELETE FROM $table WHERE id = 1; DELETE FROM $table WHERE id = 1; SELECT count(*) FROM $table"),
		$session->query("DELETE FROM $table WHERE id = 2; SELECT 1 / 0"),
		$session->query("BEGIN; DELETE FROM $table; ROLLBACK; SELECT count(*) FROM $table"));
});

note 'named statements, whose plans become generic';

same_replies('a named DELETE, eight times', sub {
	my ($session, $table) = @_;
	$session->parse('d', "DELETE FROM $table WHERE id = \$1 RETURNING id, v");
	$session->bind('', 'd', $_)->execute('') for (1, 1, 2, 9, 9, 9, 3, 3);
	return $session->sync->replies;
});

# The number of rows that a session sees by its named statement.
reset_tables();
my $session = OrmExt::Session->new($node, 'app');

sub rows_seen
{
	my @seen = $session->bind('', 'rows', 0)->execute('')->sync->replies;

	return $seen[1] =~ s/[()]//gr;
}

# What the named statement sees after each of some commands.
sub rows_follow
{
	my ($name, @steps) = @_;

	while (my ($command, $expected) = splice(@steps, 0, 2))
	{
		unlike(join(' ', $session->query($command)), qr/ERROR/, "$name: $command") if $command;
		is(rows_seen(), $expected, "$name: sees $expected rows");
	}
	return;
}

sub prepare_rows { return $session->parse('rows', 'SELECT count(*) FROM managed WHERE id > $1')->sync->replies; }

prepare_rows();
rows_seen() for 1 .. 7;
like(join(' ', $session->query("SELECT generic_plans > 0 FROM pg_prepared_statements WHERE name = 'rows'")),
	qr/\(t\)/, 'the plan is a generic one by now');
$session->query('SET plan_cache_mode = force_generic_plan');
rows_follow('SET',
	'' => 4,
	q(SET orm_ext.deleted_rows = 'show') => 5,
	q(SET orm_ext.deleted_rows = 'only') => 1,
	q(RESET orm_ext.deleted_rows) => 4);
rows_follow('SET LOCAL',
	'BEGIN' => 4,
	q(SET LOCAL orm_ext.deleted_rows = 'show') => 5,
	'COMMIT' => 4,
	q(BEGIN; SET orm_ext.deleted_rows = 'show') => 5,
	'ROLLBACK' => 4);
rows_follow('savepoints',
	'BEGIN' => 4,
	q(SAVEPOINT a; SET LOCAL orm_ext.deleted_rows = 'show') => 5,
	q(SAVEPOINT b; SET LOCAL orm_ext.deleted_rows = 'only') => 1,
	'ROLLBACK TO SAVEPOINT b' => 5,
	'ROLLBACK TO SAVEPOINT a' => 4,
	'COMMIT' => 4);
rows_follow('row_security',
	'SET row_security = off' => 5,
	'SET row_security = on' => 4);
rows_follow('triggers',
	'ALTER TABLE managed DISABLE TRIGGER soft_delete' => 5,
	'ALTER TABLE managed ENABLE TRIGGER soft_delete' => 4,
	q(SET session_replication_role = 'replica') => 5,
	'RESET session_replication_role' => 4);
rows_follow('DISCARD',
	q(SET orm_ext.deleted_rows = 'show'; DISCARD PLANS) => 5);
$session->query('DISCARD ALL');
like(join(' ', $session->bind('', 'rows', 0)->sync->replies), qr/ERROR 26000/, 'DISCARD ALL: the statement is gone');
prepare_rows();
is(rows_seen(), 4, 'DISCARD ALL: the setting is gone');
$session->query('SET plan_cache_mode = force_generic_plan');

# A function's SET clause holds inside it only.
$session->query($_) for (
	q(CREATE FUNCTION all_rows() RETURNS bigint LANGUAGE plpgsql SET orm_ext.deleted_rows = 'show'
		AS 'BEGIN RETURN (SELECT count(*) FROM managed); END'),
	q(CREATE FUNCTION live_rows() RETURNS bigint LANGUAGE plpgsql
		AS 'BEGIN RETURN (SELECT count(*) FROM managed); END'),
	q(CREATE FUNCTION both_rows() RETURNS text LANGUAGE plpgsql
		AS 'BEGIN RETURN concat_ws('' '', live_rows(), all_rows(), live_rows()); END'));
for (1 .. 7)
{
	@replies = $session->run('SELECT both_rows(), (SELECT count(*) FROM managed)')->sync->replies;
}
is($replies[2], '(4 5 4,4)', 'a function with a SET clause sees other rows than its caller');

# A portal keeps what it was planned for; the next one does not.
@replies = ($session->query('BEGIN'),
	$session->parse('', 'SELECT id FROM managed ORDER BY id')->bind('p', '')->execute('p', 1)->sync->replies,
	$session->query(q(SET LOCAL orm_ext.deleted_rows = 'only')),
	$session->execute('p')->run('SELECT id FROM managed')->sync->replies,
	$session->query('ROLLBACK'));
is(join(' ', grep { /^\(/ } @replies), '(1) (2) (3) (4) (5)', 'a portal goes on as it began');

# The mode of DELETE, in a statement that is cached.
$session->parse('del', 'DELETE FROM managed WHERE id = $1')->sync->replies;
$session->query('BEGIN');
$session->bind('', 'del', 99)->execute('')->sync->replies for 1 .. 7;
$session->bind('', 'del', 1)->execute('')->sync->replies;
$session->query(q(SET LOCAL orm_ext.delete_mode = 'hard'));
$session->bind('', 'del', 2)->execute('')->sync->replies;
$session->query('COMMIT');
$session->bind('', 'del', 3)->execute('')->sync->replies;
is(live_and_deleted($node, 'app', 'managed'), '4 | 1 3 5', 'a named DELETE follows orm_ext.delete_mode');

note 'settings from elsewhere';

reset_tables();
ask($node, 'app', q(
	CREATE ROLE auditor LOGIN;
	CREATE ROLE reader LOGIN;
	GRANT SELECT ON managed TO auditor, reader;
	ALTER ROLE auditor SET orm_ext.deleted_rows = 'show'));

sub first_count
{
	my (%options) = @_;

	return (OrmExt::Session->new($node, 'app', %options)->query('SELECT count(*) FROM managed'))[1];
}

is(first_count(user => 'auditor'), '(5)', 'ALTER ROLE');
is(first_count(user => 'reader'), '(4)', '... is for that role');
is(first_count(user => 'reader', options => '-c orm_ext.deleted_rows=only'), '(1)', 'options of the connection');
is(first_count(user => 'auditor', 'orm_ext.deleted_rows' => 'hide'), '(4)', '... go before those of the role');
ask($node, 'app', q(ALTER DATABASE app SET orm_ext.deleted_rows = 'only'));
is(first_count(user => 'reader'), '(1)', 'ALTER DATABASE');
is(first_count(user => 'auditor'), '(5)', '... stands behind ALTER ROLE');
ask($node, 'app', q(ALTER ROLE auditor IN DATABASE app SET orm_ext.deleted_rows = 'hide'));
$session = OrmExt::Session->new($node, 'app', user => 'auditor');
prepare_rows();
rows_follow('the default of a session',
	'' => 4,
	q(SET orm_ext.deleted_rows = 'show') => 5,
	'RESET orm_ext.deleted_rows' => 4,
	q(SET orm_ext.deleted_rows = 'show'; RESET ALL) => 4);
ask($node, 'app', 'ALTER DATABASE app RESET orm_ext.deleted_rows');

note 'a portal that was bound before the library came';

# The session has planned DELETE without the library, then loads it, then runs the plan.
sub late_library
{
	my ($setup, $sql, $expected, $name) = @_;
	my $late;

	ask($node, 'late', "DROP TABLE IF EXISTS post; $setup");
	$late = OrmExt::Session->new($node, 'late');
	$late->parse('', $sql)->bind('p', '')->run('SELECT orm_ext.loaded_version()')->execute('p')->sync->replies;
	is(live_and_deleted($node, 'late', 'post'), $expected, $name);
	return;
}

create_database($node, 'late');
ask($node, 'postgres', q(ALTER DATABASE late SET session_preload_libraries = 'auto_explain'));
late_library(managed_table('post'), 'DELETE FROM post WHERE id IN (1, 5)', '2 3 4 | 1 5', 'no row is removed');
late_library(q(
	CREATE TABLE post (id int, deleted_at timestamptz) PARTITION BY RANGE (id);
	CREATE TABLE post_low PARTITION OF post FOR VALUES FROM (0) TO (3);
	CREATE TABLE post_high PARTITION OF post FOR VALUES FROM (3) TO (1000);
	SET client_min_messages = error;
	CREATE TRIGGER soft_delete BEFORE DELETE ON post
		FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
	INSERT INTO post SELECT i, CASE i WHEN 5 THEN now() END FROM generate_series(1, 5) AS i;),
	'DELETE FROM post WHERE id IN (1, 5)', '2 3 4 | 1 5', '... from a partition');

$node->stop;
done_testing();
