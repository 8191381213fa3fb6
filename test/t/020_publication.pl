# Change data capture: what a publication by create_publication() tells a subscriber that knows
# nothing of soft delete.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $publisher = new_node('publisher', '', allows_streaming => 'logical');
my $subscriber = new_node('subscriber', '', allows_streaming => 'logical');

create_database($publisher, 'app');
ask($publisher, 'app', 'SELECT orm_ext.preload()');
$subscriber->safe_psql('postgres', 'CREATE DATABASE copy');

# Tables with every kind of marker, whole, by key, partitioned, and by their marker.
my %markers = (stamped => 'timestamptz', zoneless => 'timestamp', micros => 'bigint', flagged => 'boolean',
	parted => 'timestamptz', parted_micros => 'bigint', binned => 'timestamptz');
my @tables = sort keys %markers;

for my $table (@tables)
{
	my $partitions = $table =~ /^parted/
	  ? "PARTITION BY HASH (id); CREATE TABLE ${table}_0 PARTITION OF $table FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE ${table}_1 PARTITION OF $table FOR VALUES WITH (MODULUS 2, REMAINDER 1)"
	  : '';
	ask($publisher, 'app', qq(
		SET client_min_messages = error;
		CREATE TABLE $table (id int PRIMARY KEY, v int, body text) $partitions;
		SELECT orm_ext.enable_soft_delete('$table', 'gone', '$markers{$table}');
		INSERT INTO $table (id, v, body) SELECT i, i, repeat('x', 3000) FROM generate_series(1, 6) AS i;
		DELETE FROM $table WHERE id = 6));
}
ask($publisher, 'app', q(
	SELECT orm_ext.partition_by_marker('binned');
	CREATE TABLE plain (id int PRIMARY KEY, v int);
	INSERT INTO plain VALUES (1, 1);
	-- a cascade, whose rows arrive in their tables
	CREATE TABLE parent (id int PRIMARY KEY);
	CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE);
	SELECT orm_ext.enable_soft_delete('parent'), orm_ext.enable_soft_delete('child');
	INSERT INTO parent VALUES (1), (2);
	INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
	SELECT orm_ext.create_publication('live', '{stamped,zoneless,parted,binned,plain,parent,child}');
	SELECT orm_ext.create_publication('live_by_key', '{micros,flagged,parted_micros}', identity => 'index')));

# The subscriber logs what arrives.
ask($subscriber, 'copy', q(
	CREATE TABLE arrived (n serial, t text, op text, id int, v int);
	CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.arrived (t, op, id, v) VALUES (TG_TABLE_NAME, TG_OP, coalesce(NEW.id, OLD.id), coalesce(NEW.v, OLD.v)); RETURN NULL; END $$;
	CREATE FUNCTION log_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.arrived (t, op, id) VALUES (TG_TABLE_NAME, TG_OP, coalesce(NEW.id, OLD.id)); RETURN NULL; END $$;
	CREATE TABLE plain (id int PRIMARY KEY, v int);
	CREATE TABLE parent (id int PRIMARY KEY, deleted_at timestamptz);
	CREATE TABLE child (id int PRIMARY KEY, parent_id int, deleted_at timestamptz);
	CREATE TRIGGER log_id AFTER INSERT OR UPDATE OR DELETE ON parent FOR EACH ROW EXECUTE FUNCTION log_id();
	CREATE TRIGGER log_id AFTER INSERT OR UPDATE OR DELETE ON child FOR EACH ROW EXECUTE FUNCTION log_id();
	ALTER TABLE parent ENABLE ALWAYS TRIGGER log_id;
	ALTER TABLE child ENABLE ALWAYS TRIGGER log_id;
));
ask($subscriber, 'copy', qq(
	CREATE TABLE $_ (id int PRIMARY KEY, v int, body text, gone $markers{$_});
	CREATE TRIGGER log_row AFTER INSERT OR UPDATE OR DELETE ON $_ FOR EACH ROW EXECUTE FUNCTION log_row();
	ALTER TABLE $_ ENABLE ALWAYS TRIGGER log_row)) for @tables;
ask($subscriber, 'copy', sprintf(q(CREATE SUBSCRIPTION sub CONNECTION '%s' PUBLICATION live, live_by_key), $publisher->connstr('app') =~ s/'/''/gr));
$subscriber->wait_for_subscription_sync($publisher, 'sub', 'copy');

is(ask($subscriber, 'copy', "SELECT string_agg(id::text, ' ' ORDER BY id) FROM $_"), '1 2 3 4 5', "$_: the initial copy is of live rows") for @tables;
is(ask($subscriber, 'copy', 'SELECT count(*) FROM plain'), '1', 'a table that is not under soft delete is copied whole');

my %live = (timestamptz => 'NULL', timestamp => 'NULL', bigint => '0', boolean => 'false');
my %deleted = (timestamptz => 'gone IS NOT NULL', timestamp => 'gone IS NOT NULL', bigint => 'gone <> 0', boolean => 'gone');

# Do something on each table and look at what arrives for it.
sub arrives
{
	my ($name, $sql, $expected) = @_;

	ask($subscriber, 'copy', 'TRUNCATE arrived');
	ask($publisher, 'app', join(';', map { $sql =~ s/\bt\b/$_/gr =~ s/\bis_gone\b/$deleted{$markers{$_}}/gr } @tables));
	$publisher->wait_for_catchup('sub');
	is(ask($subscriber, 'copy', "SELECT string_agg(concat_ws(' ', op, id, v), ', ' ORDER BY id, n) FROM arrived WHERE t = '$_'"), $expected, "$_: $name") for @tables;
	return;
}

arrives('a soft delete is a DELETE', 'DELETE FROM t WHERE id IN (1, 2)', 'DELETE 1 1, DELETE 2 2');
arrives('nothing is told of deleted rows', 'SET orm_ext.deleted_rows = show; UPDATE t SET v = v + 100 WHERE id = 2; RESET orm_ext.deleted_rows', '');
ask($subscriber, 'copy', 'TRUNCATE arrived');
ask($publisher, 'app', "SET orm_ext.deleted_rows = show; UPDATE $_ SET gone = $live{$markers{$_}} WHERE id = 2") for @tables;
$publisher->wait_for_catchup('sub');
is(ask($subscriber, 'copy', "SELECT concat_ws(' ', op, id, v) FROM arrived WHERE t = '$_'"), 'INSERT 2 102', "$_: a row that comes back is an INSERT") for @tables;
is(ask($subscriber, 'copy', "SELECT length(body) FROM $_ WHERE id = 2"), '3000', "$_: ... whole") for @tables;
arrives('live rows are updated as ever', 'UPDATE t SET v = v + 1 WHERE id = 3', 'UPDATE 3 4');
arrives('and so are their keys', 'UPDATE t SET id = 33 WHERE id = 3', 'UPDATE 33 4');
arrives('a new row is an INSERT', 'INSERT INTO t (id, v) VALUES (7, 7)', 'INSERT 7 7');
arrives('several changes in a transaction', 'BEGIN; INSERT INTO t (id, v) VALUES (8, 8); DELETE FROM t WHERE id = 8; DELETE FROM t WHERE id = 7; COMMIT', 'DELETE 7 7, INSERT 8 8, DELETE 8 8');
arrives('a real DELETE is one', "SET orm_ext.delete_mode = hard; DELETE FROM t WHERE id = 4; RESET orm_ext.delete_mode", 'DELETE 4 4');
arrives('nothing is told of a purge', 'DELETE FROM t WHERE is_gone', '');
is(ask($publisher, 'app', "SET row_security = off; SELECT string_agg(id::text, ' ' ORDER BY id) FROM $_"),
	ask($subscriber, 'copy', "SELECT string_agg(id::text, ' ' ORDER BY id) FROM $_"), "$_: both sides have the same rows") for @tables;

note 'cascades';

ask($subscriber, 'copy', 'TRUNCATE arrived');
ask($publisher, 'app', 'DELETE FROM parent WHERE id = 1');
$publisher->wait_for_catchup('sub');
is(ask($subscriber, 'copy', q(SELECT string_agg(concat_ws(' ', t, op, id), ', ' ORDER BY t, id) FROM arrived)), 'child DELETE 1, child DELETE 2, parent DELETE 1', 'what goes along arrives as DELETE');
ask($publisher, 'app', q(CALL orm_ext.purge('parent', '0')));
is(ask($publisher, 'app', 'SET row_security = off; SELECT count(*) FROM child'), '1', 'a purge');
ask($publisher, 'app', 'INSERT INTO child VALUES (9, 2)');
$publisher->wait_for_catchup('sub');
is(ask($subscriber, 'copy', q(SELECT string_agg(concat_ws(' ', t, op, id), ', ' ORDER BY t, id) FROM arrived)), 'child DELETE 1, child DELETE 2, child INSERT 9, parent DELETE 1', '... of which nothing arrives');

note 'a step of the bin that comes later';

ask($publisher, 'app', q(SELECT orm_ext.partition_by_marker('binned', ahead => 5); DROP TABLE binned_deleted_rest;
	UPDATE binned SET gone = date_trunc('month', now(), 'UTC') + interval '5 months 1 day' WHERE id = 5;
	UPDATE binned SET gone = NULL WHERE id = 5 AND gone IS NOT NULL));
$publisher->wait_for_catchup('sub');
is(ask($subscriber, 'copy', q(SELECT string_agg(concat_ws(' ', op, id), ', ' ORDER BY n) FROM arrived WHERE t = 'binned')), 'DELETE 5, INSERT 5', 'its rows can come back');

$_->stop for $subscriber, $publisher;
done_testing();
