# pg_stat_statements and auto_explain, loaded before and after the library: what they tell of a
# table under soft delete is what they tell of a twin table with real deletes.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', q(
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = 'all'
pg_stat_statements.track_planning = on
compute_query_id = on));

create_database($node, 'app');
ask($node, 'app', q(
	CREATE EXTENSION pg_stat_statements;
	CREATE FUNCTION delete_managed(int) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE n int; BEGIN DELETE FROM managed WHERE id = $1; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
	CREATE FUNCTION delete_twin(int) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE n int; BEGIN DELETE FROM twin WHERE id = $1; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$));

# What a session does to one of the tables; the answers are the same for both.
sub workload
{
	my ($table) = @_;

	return qq(
		DELETE FROM $table WHERE id = 1;
		DELETE FROM $table WHERE id = 1;
		DELETE FROM $table WHERE id IN (2, 3) RETURNING id, v;
		WITH d AS (DELETE FROM $table WHERE id = 4 RETURNING id) SELECT count(*) FROM d;
		PREPARE d (int) AS DELETE FROM $table WHERE id = \$1;
		EXECUTE d (5);
		EXECUTE d (5);
		SELECT delete_$table(6), delete_$table(6);
		MERGE INTO $table USING (VALUES (7), (8)) AS s (id) ON $table.id = s.id
			WHEN MATCHED AND s.id = 7 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 0;
		INSERT INTO $table (id, v) VALUES (8, 1), (1, 11) ON CONFLICT (id) DO UPDATE SET v = $table.v + excluded.v;
		SELECT id, v FROM $table WHERE id < 10 ORDER BY id;
		UPDATE $table SET v = -1 WHERE id < 10;
		BEGIN;
		DECLARE c CURSOR FOR SELECT id FROM $table;
		FETCH 2 FROM c;
		DELETE FROM $table WHERE CURRENT OF c;
		COMMIT;
	);
}

# What pg_stat_statements counted for one of the tables.
sub counted
{
	my ($table) = @_;

	return ask($node, 'app', qq(
		SELECT replace(query, '$table', 'TABLE'), toplevel, calls, plans, rows FROM pg_stat_statements
		WHERE query ~ '$table' AND query !~ 'pg_stat_statements|CREATE|ALTER' ORDER BY query, toplevel));
}

# The library's place among its neighbours.
sub check_neighbours
{
	my ($name, $conf) = @_;
	my ($managed, $twin, $offset, $log);

	note $name;
	$node->append_conf('postgresql.conf', $conf);
	$node->restart;
	ask($node, 'app', q(
		DROP TABLE IF EXISTS managed, twin;
		CREATE TABLE managed (id int, v int, deleted_at timestamptz);
		SET client_min_messages = error;
		CREATE TRIGGER soft_delete BEFORE DELETE ON managed
			FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
		CREATE UNIQUE INDEX ON managed (id) WHERE deleted_at IS NULL;
		CREATE TABLE twin (id int PRIMARY KEY, v int);
		INSERT INTO managed SELECT i, i * 10 FROM generate_series(1, 1000) AS i;
		INSERT INTO twin SELECT i, i * 10 FROM generate_series(1, 1000) AS i;
		ANALYZE managed, twin;
		SELECT pg_stat_statements_reset()));

	my $answers = ask($node, 'app', workload('twin'));
	is(ask($node, 'app', workload('managed')), $answers, "$name: the answers are the same");
	is(counted('managed'), counted('twin'), "$name: statements, calls and rows are the same");
	like(counted('managed'), qr/^DELETE FROM TABLE WHERE id = \$1\|t\|2\|2\|1$/m, "$name: ... of a DELETE");
	like(counted('managed'), qr/^DELETE FROM TABLE WHERE id = \$1\|f\|2\|\d+\|1$/m, "$name: ... of one in a function");
	unlike(counted('managed'), qr/deletion_stamp|deleted_at/, "$name: ... and nothing else");

	$offset = -s $node->logfile;
	ask($node, 'app', q(
		LOAD 'auto_explain';
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_analyze = on;
		SET auto_explain.log_timing = off;
		SET auto_explain.log_verbose = on;
		SET auto_explain.log_nested_statements = on;
		SET enable_seqscan = off;
		DELETE FROM managed WHERE id = 100;
		SELECT delete_managed(101);
		SELECT v FROM managed WHERE id = 102));
	$log = slurp_file($node->logfile, $offset);
	is(() = $log =~ /plan:\n\s*Query Text: DELETE FROM managed WHERE id = 100;?\s+(?:Query Parameters.*\s+)?Update on public\.managed .*rows=0(?:\.00)? loops=1/g,
		1, "$name: auto_explain shows the statement as it was sent, and the plan that was run");
	is(() = $log =~ /Query Text: DELETE FROM managed WHERE id = \$1/g, 1, "$name: ... inside a function too");
	like($log, qr/Query Text: SELECT v FROM managed WHERE id = 102;?\s+Index Scan using managed_id_idx on public\.managed .*rows=1/,
		"$name: ... and that of a SELECT");
	is(() = $log =~ /Query Text:/g, 4, "$name: ... each of them once");

	# auto_explain prints it since PostgreSQL 16
	like($log, qr/Query Text: DELETE FROM managed WHERE id = 100.*?Query Identifier: @{[ statement_id() ]}/s,
		"$name: ... by the name that pg_stat_statements has") if $node->pg_version >= 16;
	return;
}

sub statement_id
{
	return ask($node, 'app', q(
		SELECT queryid FROM pg_stat_statements WHERE toplevel AND query = 'DELETE FROM managed WHERE id = $1'));
}

check_neighbours('before them', q(shared_preload_libraries = 'orm_ext, pg_stat_statements, auto_explain'));
check_neighbours('behind them', q(shared_preload_libraries = 'auto_explain, pg_stat_statements, orm_ext'));
check_neighbours('per session', q(
shared_preload_libraries = 'pg_stat_statements'
session_preload_libraries = 'auto_explain, orm_ext'));

note 'the identifier of a query';

# The same whether the library is there or not, and whatever it shows.
$node->append_conf('postgresql.conf', q(session_preload_libraries = ''));
$node->restart;
for my $sql ('SELECT v FROM managed WHERE id = 1', 'DELETE FROM managed WHERE id = 1',
	'INSERT INTO managed VALUES (1, 1) ON CONFLICT DO NOTHING')
{
	my $explained = ask($node, 'app', qq(
		EXPLAIN (VERBOSE) $sql;
		LOAD 'orm_ext';
		EXPLAIN (VERBOSE) $sql;
		SET orm_ext.deleted_rows = 'show';
		EXPLAIN (VERBOSE) $sql;
		SET orm_ext.delete_mode = 'hard';
		EXPLAIN (VERBOSE) $sql));
	my @ids = $explained =~ /Query Identifier: (-?\d+)/g;

	is(scalar @ids, 4, "there is one of $sql");
	is_deeply([@ids], [ ($ids[0]) x 4 ], '... always the same');
}

$node->stop;
done_testing();
