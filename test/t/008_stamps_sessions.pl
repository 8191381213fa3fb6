# Sessions: what the very first statement does that brings the library in, settings that pools leave
# behind or take away, statements of the extended protocol, and prepared transactions.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Session;
use OrmExt::Test;
use Test::More;

my $node = new_node('main', q(
autovacuum = off
max_prepared_transactions = 5));

# Three documents of version 1, and a log that other triggers write to.
sub doc_table
{
	my ($options, $events) = @_;

	$events //= 'INSERT OR UPDATE';
	return qq(
		SET client_min_messages = error;
		DROP TABLE IF EXISTS doc CASCADE;
		CREATE TABLE doc (id int PRIMARY KEY, n int NOT NULL, version int);
		CREATE TRIGGER version BEFORE $events ON doc FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version'$options);
		INSERT INTO doc SELECT i, 0 FROM generate_series(1, 3) AS i;
		RESET client_min_messages;
	);
}

# All documents: id:n:version.
sub docs
{
	my ($database) = @_;

	return ask($node, $database, q(SELECT string_agg(concat_ws(':', id, n, version), ' ' ORDER BY id) FROM doc));
}

note 'the first statement of a session without the library';

create_database($node, 'bare');

# Run statements in a session of its own; check its errors and the documents that are left.
sub first_statement
{
	my ($mode, $sql, $sqlstate, $expected, $name, %options) = @_;
	my $error;

	ask($node, 'bare', doc_table($mode eq 'auto' ? '' : ", 'mode=$mode'", $options{events}));
	$error = told($node, 'bare', $sql);
	if ($sqlstate)
	{
		like($error, qr/ERROR:  $sqlstate:/, "$mode, $name: refused");
	}
	else
	{
		is($error, '', "$mode, $name: no error");
	}
	is(docs('bare'), $expected, "$mode, $name: the rows are right");
	return;
}

my $unchanged = '1:0:1 2:0:1 3:0:1';

first_statement('auto', 'UPDATE doc SET n = 5 WHERE id = 1', '', '1:5:2 2:0:1 3:0:1', 'UPDATE');
first_statement('auto', 'UPDATE doc SET n = 5, version = 2 WHERE id = 1 AND version = 1', '', '1:5:2 2:0:1 3:0:1', 'UPDATE with the next version');
first_statement('auto', 'UPDATE doc SET n = 5, version = 7 WHERE id = 1', 'OE001', $unchanged, 'UPDATE with another');
first_statement('strict', 'UPDATE doc SET n = 5, version = 1 WHERE id = 1', 'OE001', $unchanged, 'UPDATE with the stored version');
first_statement('echo', 'UPDATE doc SET n = 5, version = 1 WHERE id = 1', '', '1:5:2 2:0:1 3:0:1', 'UPDATE with the stored version');
first_statement('echo', 'UPDATE doc SET n = 5 WHERE id = 1', 'OE002', $unchanged, 'UPDATE without a version');
first_statement('auto', 'INSERT INTO doc VALUES (1, 5), (4, 0) ON CONFLICT (id) DO UPDATE SET n = excluded.n', '',
	'1:5:2 2:0:1 3:0:1 4:0:1', 'ON CONFLICT');

# One action lists the version and the other does not: the trigger is told of the columns of both.
my $two_actions = q(MERGE INTO doc USING (VALUES (1, 1), (2, 7), (4, 0)) AS s (id, v) ON doc.id = s.id
	WHEN MATCHED AND doc.version = s.v THEN UPDATE SET n = 5, version = s.v + 1
	WHEN MATCHED THEN UPDATE SET n = 6
	WHEN NOT MATCHED THEN INSERT VALUES (s.id, 8));
for my $mode (qw(auto strict))
{
	first_statement($mode, $two_actions, '', '1:5:2 2:6:2 3:0:1 4:8:1', 'MERGE of two actions');
	first_statement($mode, "WITH x AS (SELECT 1) $two_actions", '', '1:5:2 2:6:2 3:0:1 4:8:1', 'MERGE with a CTE');
	first_statement($mode, "DO \$\$ BEGIN $two_actions; END \$\$", '', '1:5:2 2:6:2 3:0:1 4:8:1', 'MERGE in DO');
	first_statement($mode, "PREPARE m AS $two_actions; EXECUTE m", '', '1:5:2 2:6:2 3:0:1 4:8:1', 'MERGE by EXECUTE');
	first_statement($mode, 'MERGE INTO doc USING (VALUES (1, 7)) AS s (id, v) ON doc.id = s.id
		WHEN MATCHED THEN UPDATE SET n = 5, version = s.v', 'OE001', $unchanged, 'MERGE with another version');
	first_statement($mode, 'MERGE INTO doc USING (VALUES (1)) AS s (id) ON doc.id = s.id
		WHEN MATCHED AND doc.n = 9 THEN UPDATE SET version = 9 WHEN MATCHED THEN DELETE', '', '2:0:1 3:0:1', 'MERGE that deletes');
}

# As above, but the library comes in the same transaction, before.
first_statement('strict', "BEGIN; UPDATE doc SET n = 1 WHERE id = 3; $two_actions; COMMIT", '', '1:5:2 2:6:2 3:1:2 4:8:1', 'MERGE second');

note '... with orm_ext.expected_version';

for ([ 'SET', '' ], [ 'BEGIN; SET LOCAL', '; COMMIT' ])
{
	my ($begin, $end) = ("$_->[0] orm_ext.expected_version =", $_->[1]);
	my $name = $_->[0];

	first_statement('auto', "$begin '1'; UPDATE doc SET n = 5 WHERE id = 1$end", '', '1:5:2 2:0:1 3:0:1', "$name: UPDATE of this version");
	first_statement('auto', "$begin '2'; UPDATE doc SET n = 5 WHERE id = 1$end", 'OE001', $unchanged, "$name: UPDATE of another");
	first_statement('echo', "$begin '1'; UPDATE doc SET n = 5 WHERE id = 1$end", '', '1:5:2 2:0:1 3:0:1', "$name: UPDATE of this version");
	first_statement('auto', "$begin '2'; $two_actions$end", 'OE001', $unchanged, "$name: MERGE");
	first_statement('auto', "$begin '2'; DELETE FROM doc WHERE id = 1$end", 'OE001', $unchanged,
		"$name: DELETE, and the trigger is for DELETE", events => 'INSERT OR UPDATE OR DELETE');
	first_statement('auto', "$begin '1'; DELETE FROM doc WHERE id = 1$end", '', '2:0:1 3:0:1',
		"$name: DELETE of this version, and the trigger is for DELETE", events => 'INSERT OR UPDATE OR DELETE');
	first_statement('auto', "LOAD 'orm_ext'; $begin '2'; DELETE FROM doc WHERE id = 1$end", 'OE001', $unchanged,
		"$name: DELETE, and the library is there");
	first_statement('auto', "$begin '2'; LOAD 'orm_ext'; DELETE FROM doc WHERE id = 1$end", 'OE001', $unchanged,
		"$name: DELETE, and the library comes then");
	first_statement('auto', "$begin '2'; UPDATE doc SET n = n WHERE id = 99; DELETE FROM doc WHERE id = 1$end", '', '2:0:1 3:0:1',
		"$name: DELETE, and nothing brings the library");
	first_statement('auto', "$begin '2'; SELECT orm_ext.update_checked('doc', 1, '1', '{\"n\": 5}')$end", '', '1:5:2 2:0:1 3:0:1',
		"$name: update_checked() has a version of its own");
	first_statement('auto', "$begin '1'; SELECT orm_ext.delete_checked('doc', 1, '2')$end", 'OE001', $unchanged,
		"$name: delete_checked() has a version of its own");
}
first_statement('auto', q(BEGIN; SET LOCAL orm_ext.expected_version = '9'; UPDATE doc SET n = 1 WHERE id = 99; COMMIT;
	UPDATE doc SET n = 5 WHERE id = 1), '', '1:5:2 2:0:1 3:0:1', 'SET LOCAL is over with its transaction');
first_statement('auto', q(
	BEGIN; SET LOCAL orm_ext.expected_version = '9'; SAVEPOINT a; SET LOCAL orm_ext.expected_version = '1';
	UPDATE doc SET n = 5 WHERE id = 1; ROLLBACK TO SAVEPOINT a; UPDATE doc SET n = 6 WHERE id = 2; COMMIT),
	'OE001', $unchanged, 'a savepoint brings the setting back');
first_statement('auto', q(
	DO $$ BEGIN
		PERFORM set_config('orm_ext.expected_version', '7', true);
		UPDATE doc SET n = 5 WHERE id = 1;
		RAISE EXCEPTION 'not refused';
	EXCEPTION WHEN SQLSTATE 'OE001' THEN
		PERFORM set_config('orm_ext.expected_version', '1', true);
		UPDATE doc SET n = 6 WHERE id = 1;
	END $$), '', '1:6:2 2:0:1 3:0:1', 'DO');
is(ask($node, 'bare', doc_table('') . q(UPDATE doc SET n = 1 WHERE id = 1 RETURNING version; UPDATE doc SET n = 2 WHERE id = 1 RETURNING version)), "2\n3",
	'RETURNING of the first statement and the next');

# Options of the connection, of the role and of the database reach the library when it comes.
ask($node, 'bare', doc_table('') . q(
	CREATE ROLE app LOGIN;
	GRANT ALL ON doc TO app;
	ALTER ROLE app SET orm_ext.expected_version = '3'));
like(told($node, 'bare', 'UPDATE doc SET n = 5 WHERE id = 1', user => 'app'), qr/ERROR:  OE001/, 'ALTER ROLE sets expected_version');
{
	local $ENV{PGOPTIONS} = '-c orm_ext.expected_version=1';
	is(told($node, 'bare', 'UPDATE doc SET n = 5 WHERE id = 1', user => 'app'), '', 'the options of a connection go before it');
}
ask($node, 'bare', 'ALTER ROLE app RESET ALL');

# Settings with rules of their own, by a role without rights.
ask($node, 'bare', doc_table('') . 'GRANT ALL ON doc TO app');
like(told($node, 'bare', 'SET orm_ext.bypass_stamps = on; UPDATE doc SET n = 1, version = 50 WHERE id = 1', user => 'app'),
	qr/ERROR:  42501/, 'bypass_stamps is not for everybody, though the setting was made before the library came');
is(docs('bare'), $unchanged, '... and nothing has happened');
like(told($node, 'bare', "SET orm_ext.stale_sqlstate = '40001'; UPDATE doc SET n = 1, version = 50 WHERE id = 1", user => 'app'),
	qr/ERROR:  40001: row \(id\)=\(1\) of table "doc" is stale/, 'stale_sqlstate is there in time');

note 'creating a table does not bring the library in';

is(ask($node, 'bare', q(
	CREATE TABLE lonely (id int, version int);
	CREATE TABLE copied AS SELECT 1 AS id;
	SELECT count(*) FROM pg_settings WHERE name LIKE 'orm\_ext.%';)),
	0, 'no settings, so no library');

note 'auto_manage without preload';

create_database($node, 'automatic');
ask($node, 'postgres', q(ALTER DATABASE automatic SET orm_ext.auto_manage = 'public, other'));
my $policies = q(SELECT string_agg(policy || '=' || "column", ' ' ORDER BY policy) FROM orm_ext.managed WHERE "table" = '%s'::regclass);

sub policies_of { return ask($node, 'automatic', sprintf($policies, $_[0])); }

told($node, 'automatic', 'CREATE TABLE first (id int PRIMARY KEY, lock_version int, updated_at timestamptz, deleted_at timestamptz)');
is(policies_of('first'), 'soft_delete=deleted_at updated=updated_at version=lock_version', 'the first statement creates a table');
told($node, 'automatic', 'CREATE SCHEMA other CREATE TABLE second (id int PRIMARY KEY, version int)');
is(policies_of('other.second'), 'version=version', '... in CREATE SCHEMA');
told($node, 'automatic', 'CREATE TABLE third AS SELECT 1 AS id, now() AS created_at, now() AS updated_at');
is(policies_of('third'), 'created=created_at updated=updated_at', '... by a query');
told($node, 'automatic', 'SELECT 1 AS id, 2 AS version INTO fourth');
is(policies_of('fourth'), 'version=version', '... by SELECT INTO');
told($node, 'automatic', 'SET row_security = off; CREATE TABLE fifth (id int PRIMARY KEY, version int)');
is(policies_of('fifth'), '', '... as pg_dump does');
told($node, 'automatic', 'CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.sixth (id int PRIMARY KEY, version int)');
is(policies_of('elsewhere.sixth'), '', '... in another schema');
told($node, 'automatic', 'CREATE TEMPORARY TABLE seventh (id int, version int)');
told($node, 'automatic', q(SET orm_ext.auto_manage = ''; CREATE TABLE eighth (id int, version int)));
is(policies_of('eighth'), '', '... where the session says otherwise');
like(told($node, 'automatic', 'INSERT INTO first VALUES (1); UPDATE first SET id = 2, lock_version = 9 WHERE id = 1'),
	qr/ERROR:  OE001/, 'the next session is served');
ask($node, 'postgres', 'CREATE ROLE maker LOGIN');
ask($node, 'automatic', 'GRANT CREATE ON SCHEMA public TO maker');
unlike(told($node, 'automatic', 'CREATE TABLE ninth (id int PRIMARY KEY, version int)', user => 'maker'), qr/ERROR/, 'a role without other rights creates one');
is(policies_of('ninth'), 'version=version', '... which is managed');

note 'what a pool leaves behind';

create_database($node, 'pool');
ask($node, 'pool', 'SELECT orm_ext.preload()');
ask($node, 'pool', q(
	CREATE TABLE item (id int PRIMARY KEY, n int, version int, created_by text, updated_by text);
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON item FOR EACH ROW
		EXECUTE FUNCTION orm_ext.stamp('version=version', 'created_by=created_by', 'updated_by=updated_by');
	CREATE TABLE typed (id int PRIMARY KEY, n int, by uuid);
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON typed FOR EACH ROW EXECUTE FUNCTION orm_ext.stamp('updated_by=by');
	INSERT INTO item (id, n) VALUES (1, 0);
	INSERT INTO typed (id, n) VALUES (1, 0);
	CREATE ROLE web LOGIN;
	CREATE ROLE tenant;
	GRANT tenant TO web;
	GRANT ALL ON item, typed TO web, tenant));
my $pooled = OrmExt::Session->new($node, 'pool', user => 'web');

# The actor of a change that the pooled session makes now.
sub actor_now
{
	my @replies = $pooled->query('UPDATE item SET n = n + 1 WHERE id = 1 RETURNING updated_by');

	return (grep { /^\(|^ERROR/ } @replies)[0];
}

is(actor_now(), '(web)', 'no actor: the session user');
$pooled->query(q(BEGIN; SET LOCAL orm_ext.actor = 'ann'));
is(actor_now(), '(ann)', 'SET LOCAL');
$pooled->query('COMMIT');
is(actor_now(), '(web)', '... is over after COMMIT');
$pooled->query(q(BEGIN; SET LOCAL orm_ext.actor = 'ann'));
actor_now();
$pooled->query('ROLLBACK');
is(actor_now(), '(web)', '... and after ROLLBACK');
$pooled->query(q(BEGIN; SET LOCAL orm_ext.actor = 'ann'; SELECT 1 / 0));
$pooled->query('COMMIT');
is(actor_now(), '(web)', '... and after an error');
$pooled->query(q(BEGIN; SET orm_ext.actor = 'ann'));
$pooled->query('ROLLBACK');
is(actor_now(), '(web)', 'SET in a transaction that is rolled back');
$pooled->query(q(BEGIN; SET LOCAL orm_ext.actor = 'ann'; SAVEPOINT a; SET LOCAL orm_ext.actor = 'bob'));
is(actor_now(), '(bob)', 'a savepoint');
$pooled->query('ROLLBACK TO SAVEPOINT a');
is(actor_now(), '(ann)', '... that is rolled back');
$pooled->query('COMMIT');
$pooled->query(q(SET orm_ext.actor = 'ann'));
is(actor_now(), '(ann)', 'SET');
is(actor_now(), '(ann)', '... stays for whoever gets the connection');
$pooled->query('RESET orm_ext.actor');
is(actor_now(), '(web)', '... until RESET');
$pooled->query(q(SET orm_ext.actor = 'ann'));
actor_now();
$pooled->query('DISCARD ALL');
is(actor_now(), '(web)', '... or DISCARD ALL');
$pooled->query('SET ROLE tenant');
is(actor_now(), '(web)', 'SET ROLE changes no actor');
$pooled->query('RESET ROLE');

# The same value is typed anew where another client sets another one.
my @bob = ('00000000-0000-0000-0000-000000000b0b', '00000000-0000-0000-0000-000000000a11');
for (@bob, 'no uuid', $bob[0])
{
	$pooled->query("SET orm_ext.actor = '$_'");
	my @replies = $pooled->query('UPDATE typed SET n = n + 1 WHERE id = 1 RETURNING by');
	if (/no uuid/) { like("@replies", qr/ERROR 22P02/, 'an actor that is no uuid is refused') }
	else { is($replies[1], "($_)", 'an actor that is a uuid') }
}
$pooled->query(q(SET orm_ext.actor = ''));
is(($pooled->query('UPDATE typed SET n = n + 1 WHERE id = 1 RETURNING by'))[1], '(null)', 'no actor: no uuid');

# The other settings, and plans and caches that go with DISCARD.
my @settings = ('expected_version', 'version_guard', 'stale_sqlstate', 'bypass_stamps', 'auto_manage');
$pooled->query("SET orm_ext.$_") for "expected_version = '99'", "version_guard = 'error'", "stale_sqlstate = '40001'", 'bypass_stamps = on';
like(join(' ', $pooled->query('UPDATE item SET n = n + 1 WHERE id = 1')), qr/ERROR (42501|40001)/, 'settings of the last client are in force');
$pooled->query('DISCARD ALL');
is(join(' ', map { ($pooled->query("SHOW orm_ext.$_"))[1] } @settings), '() (off) (OE001) (off) ()', 'DISCARD ALL takes them away');
is(actor_now(), '(web)', '... and all works');
$pooled->query("DISCARD $_") for qw(PLANS TEMP SEQUENCES);
is(actor_now(), '(web)', '... after each other DISCARD, too');
$pooled->query(q(CREATE TEMP TABLE t (id int, version int)));
like(join(' ', $pooled->query(q(CREATE TRIGGER version BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
	INSERT INTO t VALUES (1); UPDATE t SET id = 2 RETURNING version))), qr/\(2\)/, 'a temporary table');
$pooled->query('DISCARD ALL');
$pooled->query(q(CREATE TEMP TABLE t (extra text, version bigint, id int)));
like(join(' ', $pooled->query(q(CREATE TRIGGER version BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION orm_ext.version('version');
	INSERT INTO t (id) VALUES (1); UPDATE t SET id = 2 RETURNING version))), qr/\(2\)/, '... and another one of its name after DISCARD ALL');

note 'the extended protocol';

create_database($node, 'protocol');
ask($node, 'protocol', 'SELECT orm_ext.preload()');
ask($node, 'protocol', doc_table(''));
my $session = OrmExt::Session->new($node, 'protocol');

# Bind and execute a named statement; its replies without those that every one has.
sub execute
{
	my ($statement, @values) = @_;

	return join(' ', grep { !/^(BindComplete|Ready .)$/ } $session->bind('', $statement, @values)->execute('')->sync->replies);
}

$session->parse('next', 'UPDATE doc SET n = $1, version = version + 1 WHERE id = $2 AND version = $3 RETURNING version')
  ->parse('lit', 'UPDATE doc SET n = $1, version = $2 WHERE id = $3')
  ->parse('none', 'UPDATE doc SET n = $1 WHERE id = $2 RETURNING version')
  ->parse('del', 'DELETE FROM doc WHERE id = $1')
  ->parse('chk', q(SELECT orm_ext.update_checked('doc', $1::int, $2, $3)))->sync->replies;
is(execute('next', $_, 1, $_), '(' . ($_ + 1) . ') UPDATE 1', "a named UPDATE, time $_") for 1 .. 7;
is(execute('next', 9, 1, 3), 'UPDATE 0', '... that comes late');
is(execute('lit', 9, 9, 1), 'UPDATE 1', 'the next version as a parameter');
like(execute('lit', 10, 9 - 2, 1), qr/^ERROR OE001 row \(id\)=\(1\) of table "doc" is stale$/, '... one that is late');
is(execute('none', 11, 1), '(10) UPDATE 1', 'no version');
like(execute('chk', 1, 10, '{"n": 12}'), qr/^\(\{"n": 12, "id": 1, "version": 11\}\) SELECT 1$/, 'update_checked()');
like(execute('chk', 1, 10, '{"n": 12}'), qr/^ERROR OE001/, '... that comes late');

# Settings between two executions of one generic plan.
$session->query('SET plan_cache_mode = force_generic_plan');
$session->query(q(BEGIN; SET LOCAL orm_ext.expected_version = '11'));
is(execute('none', 13, 1), '(12) UPDATE 1', 'expected_version: this one');
$session->query('COMMIT');
is(execute('none', 14, 1), '(13) UPDATE 1', '... over after COMMIT');
$session->query(q(BEGIN; SET LOCAL orm_ext.expected_version = '11'));
like(execute('none', 15, 1), qr/^ERROR OE001/, '... another one');
$session->query('ROLLBACK');
$session->query(q(BEGIN; SET LOCAL orm_ext.expected_version = '11'));
like(execute('del', 1), qr/^ERROR OE001/, '... DELETE');
$session->query('ROLLBACK');
is(execute('del', 2), 'DELETE 1', '... over after ROLLBACK');

$session->query(q(SET orm_ext.version_guard = 'error'));
like(execute('none', 16, 1), qr/^ERROR OE002/, 'version_guard reaches a statement that is planned');
like(execute('del', 3), qr/^ERROR OE002/, '... DELETE');
like(execute('next', 16, 1, 13), qr/UPDATE 1$/, '... but not one with the version');
$session->query(q(SET orm_ext.version_guard = 'warn'));
like(execute('none', 17, 1), qr/^NOTICE OE002 .* \(15\) UPDATE 1$/, '... as a warning');
$session->query(q(RESET orm_ext.version_guard));
is(execute('none', 18, 1), '(16) UPDATE 1', '... and no more');

# A pipeline: each message sees what the last has done; one error takes all back.
my @replies = $session->run('UPDATE doc SET n = 1, version = version + 1 WHERE id = $1 AND version = $2', 1, 16)
  ->run('UPDATE doc SET n = 2, version = version + 1 WHERE id = $1 AND version = $2', 1, 17)
  ->run('UPDATE doc SET n = 3, version = version + 1 WHERE id = $1 AND version = $2', 1, 17)
  ->run('SELECT version FROM doc WHERE id = 1')->sync->replies;
is(join(' ', grep { /^UPDATE|^\(/ } @replies), 'UPDATE 1 UPDATE 1 UPDATE 0 (18)', 'a pipeline');
@replies = $session->run('UPDATE doc SET n = 4 WHERE id = 1')->run('UPDATE doc SET n = 5, version = 3 WHERE id = 1')->sync->replies;
like("@replies", qr/UPDATE 1 .*ERROR OE001/, '... with a stale row');
is(($session->query('SELECT n, version FROM doc WHERE id = 1'))[1], '(2,18)', '... is undone');

# A portal that was bound before the library came, and a stamp from statement time in a pipeline.
ask($node, 'bare', doc_table(q(, 'mode=strict')));
my $late = OrmExt::Session->new($node, 'bare');
@replies = $late->parse('', $two_actions)->bind('p', '')->run('SELECT orm_ext.loaded_version()')->execute('p')->sync->replies;
is((grep { /MERGE|ERROR/ } @replies)[0], 'MERGE 3', 'a MERGE that was bound before the library came');
is(docs('bare'), '1:5:2 2:6:2 3:0:1 4:8:1', '... does what it should');

note 'prepared transactions and parents';

create_database($node, 'prepared');
ask($node, 'prepared', q(
	CREATE TABLE parent (id int PRIMARY KEY, version int, updated_at timestamptz);
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON parent FOR EACH ROW
		EXECUTE FUNCTION orm_ext.stamp('version=version', 'updated=updated_at');
	CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent);
	CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON child FOR EACH ROW
		EXECUTE FUNCTION orm_ext.touch_parent('parent_id', 'updated_at', 'version=bump');
	INSERT INTO parent (id, updated_at) SELECT i, '2001-01-01' FROM generate_series(1, 4) AS i));

# The versions of the parents, and which of them were touched.
sub parents
{
	return ask($node, 'prepared', q(SELECT string_agg(version || CASE WHEN updated_at > '2001-01-02' THEN '+' ELSE '' END, ' ' ORDER BY id) FROM parent));
}

$session = OrmExt::Session->new($node, 'prepared');
$session->query($_) for 'BEGIN', 'INSERT INTO child VALUES (1, 3), (2, 1), (3, 3)', 'SAVEPOINT a', 'INSERT INTO child VALUES (4, 2)', 'ROLLBACK TO SAVEPOINT a';
is(($session->query(q(PREPARE TRANSACTION 'one')))[0], 'PREPARE TRANSACTION', 'PREPARE TRANSACTION with parents to touch');
is(parents(), '1 1 1 1', 'nobody sees it');
like(told($node, 'prepared', q(SET lock_timeout = 100; UPDATE parent SET version = version WHERE id = 1)), qr/ERROR:  55P03/, '... but the parents are locked');
is(told($node, 'prepared', q(SET lock_timeout = 100; UPDATE parent SET updated_at = updated_at WHERE id = 2)), '', '... the one of the savepoint is not');
$session->query('INSERT INTO child VALUES (5, 4)');
is(parents(), '1 1 1 2+', 'the next transaction of the session touches its own parents only');
ask($node, 'prepared', q(COMMIT PREPARED 'one'));
is(parents(), '2+ 1 2+ 2+', 'COMMIT PREPARED: each is touched once');
$session->query($_) for 'BEGIN', 'DELETE FROM child', q(PREPARE TRANSACTION 'two');
$node->stop('immediate');
$node->start;
like(told($node, 'prepared', q(SET lock_timeout = 100; UPDATE parent SET version = version WHERE id = 3)), qr/ERROR:  55P03/, 'a crash keeps what is prepared');
ask($node, 'prepared', q(ROLLBACK PREPARED 'two'));
is(parents(), '2+ 1 2+ 2+', 'ROLLBACK PREPARED: nothing was touched');
$session = OrmExt::Session->new($node, 'prepared');
$session->query($_) for 'BEGIN', 'INSERT INTO child VALUES (6, 2)';
$session->query('PREPARE TRANSACTION NULL');
$session->query('ROLLBACK');
$session->query('SELECT 1');
is(parents(), '2+ 1 2+ 2+', 'a transaction that fails touches nothing');
$session->query($_) for 'BEGIN', 'INSERT INTO child VALUES (6, 2)', 'DELETE FROM child WHERE id = 6', q(PREPARE TRANSACTION 'three'), q(COMMIT PREPARED 'three');
is(parents(), '2+ 2+ 2+ 2+', 'a child that came and went');

$node->stop;
done_testing();
