# How the library comes into a session, what it says where one half of the extension is missing
# or of another version, and that a session which does not have it loses no row.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use Test::More;

my $node = new_node('main');
my $reads = 'SELECT count(*) FROM post;';

# What orm_ext.status() says of one item in a session that ran $before.
sub status
{
	my ($database, $item, $before, %options) = @_;

	$before //= '';
	return ask($node, $database, qq(
		$before;
		SELECT value || coalesce(' -> ' || action, '') FROM orm_ext.status() WHERE item = '$item'),
		%options);
}

sub loaded_by { return status($_[0], 'loaded by', @_[ 1 .. $#_ ]); }

# Rows of "post" that a fresh session sees: 5 without the library, 4 with it.
sub rows_seen
{
	my ($database, %options) = @_;

	return ask($node, $database, $reads, %options);
}

note 'no preload';

create_database($node, 'bare');
my $warning = told($node, 'bare', q(
	CREATE TABLE noted (id int, deleted_at timestamptz);
	CREATE TRIGGER soft_delete BEFORE DELETE ON noted
		FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at')));
like($warning, qr/WARNING:  55000: new sessions of this database will see the deleted rows of table "noted"/,
	'CREATE TRIGGER warns while new sessions do not preload');
like($warning, qr/HINT:  SELECT orm_ext\.preload\(\);/, '... with the line that mends it');
like(told($node, 'bare', q(
		CREATE TABLE noted_too (id int UNIQUE);
		SELECT orm_ext.enable_soft_delete('noted_too'))),
	qr/WARNING:  55000: new sessions .* table "noted_too".*HINT:  SELECT orm_ext\.preload/s,
	'so does enable_soft_delete()');

ask($node, 'bare', managed_table('post'));
is(rows_seen('bare'), 5, 'a session without the library sees deleted rows');
is(status('bare', 'new sessions load it'),
	'no -> SELECT orm_ext.preload(); and reconnect open sessions', 'status() says what to do');
is(status('bare', 'tables under soft delete'), 3, 'status() counts the tables');
is(status('bare', 'objects'), status('bare', 'library'), 'objects and library are of one version');

is(ask($node, 'bare', "LOAD 'orm_ext'; $reads"), 4, 'LOAD brings the library in');
like(loaded_by('bare', "LOAD 'orm_ext'"), qr/^LOAD/, '... and status() says so');
is(ask($node, 'bare', "DO 'BEGIN PERFORM orm_ext.loaded_version(); END'; $reads"), 4,
	'so does the first call of a function');
is(ask($node, 'bare', "PREPARE q AS $reads EXECUTE q; LOAD 'orm_ext'; EXECUTE q"), "5\n4",
	'plans that were cached before follow');
is(ask($node, 'bare', "SET orm_ext.deleted_rows = 'only'; LOAD 'orm_ext'; $reads"), 1,
	'a setting made before is kept');
like(told($node, 'bare', "SET orm_ext.deleted_rows = 'bogus'; LOAD 'orm_ext'; $reads"),
	qr/WARNING:  22023: invalid value for parameter "orm_ext.deleted_rows": "bogus"/,
	'a wrong one is told of');
is(ask($node, 'bare', q(
		LOAD 'orm_ext';
		SET parallel_setup_cost = 0;
		SET parallel_tuple_cost = 0;
		SET min_parallel_table_scan_size = 0;
		ALTER TABLE post SET (parallel_workers = 2);
		SELECT count(*) FROM post)), 4,
	'parallel workers get it from the session');

# The statement loads the library, too late to be planned by it, so the trigger marks the row, with
# the rights of the table's owner.
ask($node, 'bare', 'CREATE ROLE guest LOGIN; CREATE SCHEMA AUTHORIZATION guest; GRANT SELECT, DELETE ON post TO guest');
unlike(told($node, 'bare', q(
		CREATE FUNCTION guest.same(tid, tid) RETURNS boolean LANGUAGE plpgsql
			AS 'BEGIN RAISE NOTICE ''called by %'', current_user; RETURN $1 OPERATOR(pg_catalog.=) $2; END';
		CREATE OPERATOR guest.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = guest.same);
		SET search_path = guest, public, pg_catalog;
		BEGIN;
		DELETE FROM post;
		ROLLBACK), user => 'guest'),
	qr/called by/, '... and lends them to no operator of the caller');

note 'session_preload_libraries';

ask($node, 'postgres', q(CREATE ROLE app LOGIN; CREATE ROLE owner LOGIN; CREATE ROLE boss SUPERUSER LOGIN));
ask($node, 'postgres', 'ALTER ROLE app SET session_preload_libraries = orm_ext');
ask($node, 'bare', 'GRANT SELECT ON post TO app');
is(rows_seen('bare', user => 'app'), 4, 'ALTER ROLE: the role has the library');
is(rows_seen('bare', user => 'boss'), 5, '... and others do not');
is(loaded_by('bare', '', user => 'app'), 'session_preload_libraries', '... as status() says');
ask($node, 'postgres', 'ALTER ROLE app RESET ALL');

like(told($node, 'bare', 'SELECT orm_ext.preload()', user => 'app'), qr/ERROR:  42501/,
	'preload() needs the right to alter the database');
is(ask($node, 'bare', 'SELECT orm_ext.preload()'),
	q(ALTER DATABASE bare SET session_preload_libraries = 'orm_ext'),
	'preload() returns what it ran');
is(rows_seen('bare'), 4, '... and new sessions have the library');
is(loaded_by('bare'), 'session_preload_libraries', '... as status() says');
is(status('bare', 'new sessions load it'), 'yes', '... of new ones too');
is(ask($node, 'bare', 'SELECT orm_ext.preload()'), 'new sessions load orm_ext already',
	'preload() does nothing twice');
unlike(told($node, 'bare', q(
		CREATE TABLE quiet (id int, deleted_at timestamptz);
		CREATE TRIGGER soft_delete BEFORE DELETE ON quiet
			FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at'))),
	qr/WARNING/, 'CREATE TRIGGER is quiet now');
unlike(told($node, 'postgres', 'SELECT 1'), qr/./, 'other databases know nothing of it');

# What is preloaded already stays: by the database, by ALTER ROLE ALL, by the server's files.
sub preloads_kept
{
	my ($database, $name) = @_;

	ask($node, $database, managed_table('post'));
	ask($node, $database, 'SELECT orm_ext.preload()');
	is(rows_seen($database), 4, "preload() works where $name");
	is(ask($node, $database, 'SHOW session_preload_libraries') =~ s/["' ]//gr,
		'auto_explain,$libdir/pg_stat_statements,orm_ext', '... and keeps that');
	is(ask($node, $database, 'SHOW auto_explain.log_min_duration'), '-1', '... loaded');
	return;
}

my $two = q(auto_explain, '$libdir/pg_stat_statements');

create_database($node, 'odd "name"');
ask($node, 'postgres', qq(ALTER DATABASE "odd ""name""" SET session_preload_libraries = $two));
preloads_kept('odd "name"', 'ALTER DATABASE preloads others');

create_database($node, 'everyone');
ask($node, 'postgres', "ALTER ROLE ALL SET session_preload_libraries = $two");
preloads_kept('everyone', 'ALTER ROLE ALL does');
ask($node, 'postgres', 'ALTER ROLE ALL RESET session_preload_libraries');

create_database($node, 'files');
$node->append_conf('postgresql.conf',
	q(session_preload_libraries = 'auto_explain, $libdir/pg_stat_statements'));
$node->reload;
preloads_kept('files', 'postgresql.conf does');

note 'the library, but no objects';

ask($node, 'postgres', 'CREATE DATABASE plain');
ask($node, 'postgres', 'ALTER DATABASE plain SET session_preload_libraries = orm_ext');
like(told($node, 'plain', 'CREATE TABLE t (deleted_at timestamptz); CREATE TRIGGER x BEFORE DELETE ON t
		FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete(\'deleted_at\')'),
	qr/ERROR:  42883: function orm_ext.soft_delete\(\) does not exist.*HINT:  CREATE EXTENSION orm_ext;/s,
	'CREATE TRIGGER says what is missing');
like(told($node, 'plain', 'SET orm_ext.deleted_rows = show'),
	qr/WARNING:  55000: setting "orm_ext.deleted_rows" has no effect.*HINT:  CREATE EXTENSION orm_ext;/s,
	'so does SET');
is(ask($node, 'plain', q(
		CREATE TABLE ordinary (id int PRIMARY KEY, deleted_at timestamptz);
		INSERT INTO ordinary VALUES (1, now()), (2, NULL);
		DELETE FROM ordinary WHERE id = 1 RETURNING id, deleted_at = now();
		SELECT count(*) FROM ordinary;
		TRUNCATE ordinary;
		SELECT count(*) FROM ordinary)), "1|f\n1\n0",
	'nothing is filtered or rewritten');

note 'the objects, but no library';

create_database($node, 'lonely');
ask($node, 'lonely', managed_table('post'));
ask($node, 'lonely', q(UPDATE pg_proc SET probin = '$libdir/orm_ext_is_gone' WHERE probin LIKE '%orm_ext%'));
like(told($node, 'lonely', 'DELETE FROM post'), qr/ERROR:  58P01: could not access file/,
	'DELETE is refused');
is(live_and_deleted($node, 'lonely', 'post'), '1 2 3 4 | 5', '... and no row is lost');
like(status('lonely', 'library'), qr/^missing: could not access file.* -> make install/,
	'status() says that the library is missing');
is(status('lonely', 'objects'), status('bare', 'objects'), '... and what is there');
ask($node, 'lonely', 'SET client_min_messages = error; DROP EXTENSION orm_ext CASCADE');
is(ask($node, 'lonely', 'SELECT count(*) FROM post'), 5, 'the extension can be dropped without it');

note 'another version';

ask($node, 'bare', q(UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'orm_ext'));
my $mismatch = told($node, 'bare', "$reads $reads");
like($mismatch, qr/WARNING:  55000: library orm_ext is of version \S+, its objects in this database are of version 0\.0\.9/,
	'a session that uses a managed table is warned');
like($mismatch, qr/HINT:  ALTER EXTENSION orm_ext UPDATE;/, '... with the line that mends it');
is(() = $mismatch =~ /WARNING/g, 1, '... once');
like(status('bare', 'library'), qr/-> ALTER EXTENSION orm_ext UPDATE;/, 'status() says it too');
is(rows_seen('bare'), 4, 'both keep working');
ask($node, 'bare', q(UPDATE pg_extension SET extversion = orm_ext.loaded_version() WHERE extname = 'orm_ext'));
is(told($node, 'bare', $reads), '', 'no warning once they fit');

note 'the first statement of a session without the library';

# DELETE in a session of its own: live rows are marked, deleted ones stay, nothing is removed.
sub first_statement
{
	my ($sql, $expected, $name) = @_;
	my $error;

	ask($node, 'fallback', 'DROP TABLE IF EXISTS post;' . managed_table('post'));
	$error = told($node, 'fallback', $sql);
	unlike($error, qr/ERROR/, "$name: no error");
	is(live_and_deleted($node, 'fallback', 'post'), $expected, "$name: rows are marked only");
	return;
}

create_database($node, 'fallback');
first_statement('DELETE FROM post WHERE id = 1', '2 3 4 | 1 5', 'DELETE');
first_statement('DELETE FROM post', 'none | 1 2 3 4 5', 'DELETE of all rows');
is(ask($node, 'fallback', q(
		SET row_security = off;
		SELECT deleted_at = timestamptz '2001-01-01 00:00:00+00' FROM post WHERE id = 5)), 't',
	'... and a row that was deleted keeps its mark');
is(ask($node, 'fallback', q(
		SET row_security = off;
		SELECT count(DISTINCT deleted_at) FROM post WHERE id <> 5)), 1,
	'... while the others carry one stamp');
first_statement('DELETE FROM post WHERE deleted_at IS NOT NULL', '1 2 3 4 | 5',
	'DELETE from the bin, which nobody has looked at');
first_statement('WITH d AS (DELETE FROM post WHERE id < 3 RETURNING id) SELECT count(*) FROM d',
	'3 4 | 1 2 5', 'DELETE in a CTE');
first_statement('MERGE INTO post USING (VALUES (1), (2)) AS s (id) ON post.id = s.id WHEN MATCHED THEN DELETE',
	'3 4 | 1 2 5', 'MERGE');
first_statement(q(DO 'BEGIN DELETE FROM post WHERE id = 1; DELETE FROM post WHERE id = 2; END'),
	'3 4 | 1 2 5', 'DO with two of them');
first_statement(q(DO 'BEGIN FOR i IN 1..3 LOOP DELETE FROM post WHERE id IN (i, 5); END LOOP; END'),
	'4 | 1 2 3 5', 'DO with one in a loop');
first_statement('PREPARE d AS DELETE FROM post WHERE id IN (1, 5); EXECUTE d; EXECUTE d',
	'2 3 4 | 1 5', 'EXECUTE');
first_statement('BEGIN; DELETE FROM post WHERE id = 1; DELETE FROM post WHERE id = 2; COMMIT',
	'3 4 | 1 2 5', 'DELETE in a transaction');
is(ask($node, 'fallback', 'DELETE FROM post; SELECT count(*) FROM post'), 0,
	'the second statement has the library');

# A role that may DELETE only, and whose table has row-level security forced upon its owner.
ask($node, 'fallback', managed_table('guarded') . q(
	GRANT SELECT, DELETE ON guarded TO app;
	ALTER TABLE guarded OWNER TO owner;
	ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY reading ON guarded FOR SELECT USING (true);
	CREATE POLICY deleting ON guarded FOR DELETE USING (id < 3)));
is(told($node, 'fallback', 'DELETE FROM guarded', user => 'app'), '',
	'a role that may only DELETE can do so without the library');
is(live_and_deleted($node, 'fallback', 'guarded'), '3 4 | 1 2 5', '... where policies let it');

note 'the first statement, on a partitioned table';

my $partitioned = q(
	SET client_min_messages = error;
	DROP TABLE IF EXISTS post, other;
	CREATE TABLE post (id int, deleted_at timestamptz) PARTITION BY RANGE (id);
	CREATE TABLE post_low PARTITION OF post FOR VALUES FROM (0) TO (3);
	CREATE TABLE post_high (deleted_at timestamptz, id int);
	ALTER TABLE post ATTACH PARTITION post_high FOR VALUES FROM (3) TO (1000);
	CREATE TRIGGER soft_delete BEFORE DELETE ON post
		FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
	INSERT INTO post SELECT i, CASE i WHEN 5 THEN timestamptz '2001-01-01' END FROM generate_series(1, 5) AS i;

	CREATE TABLE other (id int);
	INSERT INTO other VALUES (1);
	CREATE OR REPLACE FUNCTION change_post() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF TG_OP = 'UPDATE' THEN
			DELETE FROM post WHERE id = 1;
		ELSE
			UPDATE post SET id = 100 WHERE id = 1;
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER change_post AFTER UPDATE OR DELETE ON other
		FOR EACH ROW EXECUTE FUNCTION change_post();
);

# Fine, or refused with a hint, in which case no row may have changed.
sub first_on_partitions
{
	my ($sql, $expected, $name, $refused) = @_;
	my $error;

	ask($node, 'fallback', $partitioned);
	$error = told($node, 'fallback', $sql);
	if ($refused)
	{
		like($error, qr/ERROR:  55000: cannot tell whether .*HINT:  Run the statement again/s,
			"$name: refused");
	}
	else
	{
		unlike($error, qr/ERROR/, "$name: no error");
	}
	is(live_and_deleted($node, 'fallback', 'post'), $expected, "$name: no row is lost");
	return;
}

first_on_partitions('DELETE FROM post WHERE id IN (1, 4)', '2 3 | 1 4 5', 'DELETE');
first_on_partitions('DELETE FROM post', 'none | 1 2 3 4 5', 'DELETE of all rows');
first_on_partitions('DELETE FROM post_high', '1 2 | 3 4 5', 'DELETE on a partition');
first_on_partitions('UPDATE post SET id = 100 WHERE id = 1', '2 3 4 100 | 5', 'UPDATE that moves a row');
first_on_partitions('UPDATE post SET id = id + 2', '3 4 5 6 | 7', 'UPDATE that moves some');
first_on_partitions('UPDATE post SET id = 0 WHERE id = 5', '1 2 3 4 | 5', 'UPDATE that would move a deleted row');
first_on_partitions('BEGIN; UPDATE post SET id = 100 WHERE id = 1; DELETE FROM post WHERE id = 2; COMMIT',
	'3 4 100 | 2 5', 'UPDATE that moves a row, then DELETE');
first_on_partitions(q(DO 'BEGIN DELETE FROM post WHERE id = 1; END'), '1 2 3 4 | 5',
	'DELETE in DO', 'refused');
first_on_partitions(q(DO 'BEGIN UPDATE post SET id = 100 WHERE id = 1; END'), '1 2 3 4 | 5',
	'UPDATE in DO', 'refused');
first_on_partitions('WITH d AS (DELETE FROM post WHERE id = 1 RETURNING id) SELECT count(*) FROM d',
	'1 2 3 4 | 5', 'DELETE in a CTE', 'refused');
first_on_partitions('MERGE INTO post USING (VALUES (1)) AS s (id) ON post.id = s.id WHEN MATCHED THEN DELETE',
	'1 2 3 4 | 5', 'MERGE', 'refused');

# Inside a statement of the other kind.
first_on_partitions('WITH d AS (DELETE FROM post WHERE id = 1 RETURNING id) UPDATE other SET id = 2',
	'1 2 3 4 | 5', 'DELETE in a CTE of UPDATE', 'refused');
first_on_partitions('WITH u AS (UPDATE post SET id = 100 WHERE id = 1 RETURNING id) DELETE FROM other',
	'1 2 3 4 | 5', 'UPDATE in a CTE of DELETE', 'refused');
first_on_partitions('UPDATE other SET id = 2', '1 2 3 4 | 5', 'DELETE in a trigger on UPDATE', 'refused');
first_on_partitions('DELETE FROM other', '1 2 3 4 | 5', 'UPDATE in a trigger on DELETE', 'refused');

first_on_partitions(q(
	\set ON_ERROR_STOP 0
	DO 'BEGIN DELETE FROM post WHERE id = 1; END';
	DO 'BEGIN DELETE FROM post WHERE id = 1; UPDATE post SET id = 100 WHERE id = 2; END'),
	'3 4 100 | 1 5', 'DO, refused and run again', 'refused');

note 'DROP and CREATE EXTENSION in one session';

create_database($node, 'again');
ask($node, 'again', managed_table('post'));
like(told($node, 'again', "LOAD 'orm_ext'; DROP EXTENSION orm_ext"),
	qr/ERROR:  2BP01: cannot drop extension orm_ext because other objects depend on it.*trigger soft_delete on table post/s,
	'a managed table keeps the extension');
is(ask($node, 'again', q(
		SET client_min_messages = error;
		LOAD 'orm_ext';
		PREPARE q AS SELECT count(*) FROM post;
		PREPARE d AS DELETE FROM post WHERE id = 1;
		EXECUTE q;
		DROP EXTENSION orm_ext CASCADE;
		EXECUTE q;
		CREATE EXTENSION orm_ext;
		EXECUTE q;
		CREATE TRIGGER soft_delete BEFORE DELETE ON post
			FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
		EXECUTE q;
		EXECUTE d;
		EXECUTE q;
		SELECT count(*) FROM post WHERE orm_ext.with_deleted(deleted_at))),
	"4\n5\n5\n4\n3\n5", 'everything follows the extension');

note 'shared_preload_libraries';

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'orm_ext'");
$node->restart;
is(loaded_by('again'), 'shared_preload_libraries', 'status() says where it comes from');
is(status('again', 'new sessions load it'), 'yes', '... and that others have it too');
is(ask($node, 'again', $reads), 3, 'deleted rows are hidden');
is(ask($node, 'again', 'SELECT orm_ext.preload()'), 'new sessions load orm_ext already',
	'preload() has nothing to do');
is(ask($node, 'plain', 'SELECT count(*) FROM ordinary'), 0, 'a database without objects works');
is(ask($node, 'again', "LOAD 'orm_ext'; $reads"), 3, 'LOAD on top does no harm');

$node->stop;
done_testing();
