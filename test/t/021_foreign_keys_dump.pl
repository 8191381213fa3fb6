# pg_dump and pg_restore of tables whose foreign keys hold for live rows: deleted rows that refer to
# deleted rows, and live ones whose reference stays when what they refer to is deleted.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', q(
max_wal_senders = 0
autovacuum = off));
my $dumps = PostgreSQL::Test::Utils::tempdir();

my $schema = q(
	SELECT orm_ext.preload();
	LOAD 'orm_ext';

	CREATE TABLE author (id int PRIMARY KEY, best_post int, deleted_at timestamptz);
	CREATE TABLE post (id int PRIMARY KEY, author_id int NOT NULL REFERENCES author ON DELETE CASCADE, deleted_at timestamp);
	ALTER TABLE author ADD FOREIGN KEY (best_post) REFERENCES post ON DELETE SET NULL;
	CREATE TABLE remark (id int, post_id int REFERENCES post ON DELETE CASCADE, reply_to int, deleted bigint DEFAULT 0 NOT NULL,
		PRIMARY KEY (id), FOREIGN KEY (reply_to) REFERENCES remark DEFERRABLE INITIALLY DEFERRED);
	CREATE TABLE badge (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE RESTRICT, deleted boolean DEFAULT false NOT NULL);
	CREATE TABLE loose (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE CASCADE, deleted_at timestamptz);
	CREATE TABLE plain (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE CASCADE);
	CREATE TABLE event (id int, author_id int REFERENCES author ON DELETE CASCADE, deleted_at timestamptz) PARTITION BY RANGE (id);
	CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (1) TO (10);
	CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20);

	SELECT orm_ext.enable_soft_delete(name, unique_keys => 'all') FROM unnest('{author,post,remark,badge,event}'::regclass[]) AS name;
	CREATE TRIGGER soft_delete BEFORE DELETE ON loose
		FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at', 'foreign_keys=off');

	INSERT INTO author SELECT generate_series(1, 6);
	INSERT INTO post SELECT i, i FROM generate_series(1, 6) AS i;
	UPDATE author SET best_post = id % 6 + 1;
	INSERT INTO remark SELECT i, i, NULL FROM generate_series(1, 6) AS i;
	UPDATE remark SET reply_to = id;
	INSERT INTO badge VALUES (1, 1), (2, 2);
	INSERT INTO loose SELECT i, i FROM generate_series(1, 6) AS i;
	INSERT INTO plain SELECT i, i FROM generate_series(1, 6) AS i;
	INSERT INTO event SELECT i, i % 6 + 1 FROM generate_series(1, 19) AS i;
	DELETE FROM badge WHERE id = 2;
	-- posts, remarks and events go along; the others' best post, what is loose, and plain rows stay
	DELETE FROM author WHERE id IN (2, 3);
	DELETE FROM post WHERE id = 4;
);

my $everything = q(
	SET row_security = off;
	SELECT 'author', t::text FROM author AS t ORDER BY 2;
	SELECT 'post', t::text FROM post AS t ORDER BY 2;
	SELECT 'remark', t::text FROM remark AS t ORDER BY 2;
	SELECT 'badge', t::text FROM badge AS t ORDER BY 2;
	SELECT 'loose', t::text FROM loose AS t ORDER BY 2;
	SELECT 'plain', t::text FROM plain AS t ORDER BY 2;
	SELECT 'event', t::text FROM event AS t ORDER BY 2;
	SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
		WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 2, 3;
	SELECT 'trigger', t.tgrelid::regclass::text, t.tgenabled, pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
		WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace ORDER BY 2, 4;
);

# What is live, and that foreign keys hold: what each attempt is told.
my $goes_on = q(
	SELECT 'live', string_agg(a.id::text, ' ' ORDER BY a.id), (SELECT string_agg(id::text, ' ' ORDER BY id) FROM post), (SELECT string_agg(id::text, ' ' ORDER BY id) FROM remark),
		(SELECT count(*) FROM event) FROM author AS a;
	DO $$
	DECLARE
		attempt text;
	BEGIN
		FOREACH attempt IN ARRAY ARRAY['INSERT INTO post VALUES (7, 2)', 'INSERT INTO event VALUES (9, 3)', 'DELETE FROM author WHERE id = 1',
			'UPDATE post SET deleted_at = NULL WHERE id = 2', 'INSERT INTO loose VALUES (7, 2)', 'INSERT INTO plain VALUES (7, 2)'] LOOP
			BEGIN
				EXECUTE attempt;
				RAISE NOTICE '%: passes', attempt;
			EXCEPTION WHEN foreign_key_violation OR restrict_violation THEN
				RAISE NOTICE '%: %', attempt, SQLERRM;
			END;
		END LOOP;
	END $$;
	BEGIN;
	DELETE FROM author WHERE id = 5;
	SELECT count(*) FROM author UNION ALL SELECT count(*) FROM post UNION ALL SELECT count(*) FROM remark UNION ALL SELECT count(*) FROM event;
	ROLLBACK;
);

sub empty_database
{
	my ($name) = @_;

	ask($node, 'postgres', "CREATE DATABASE $name");
	ask($node, 'postgres', "ALTER DATABASE $name SET session_preload_libraries = orm_ext");
	return;
}

# What an application is told, and what it sees.
sub going_on
{
	my ($database) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, $goes_on);

	return $stdout . "\n" . join("\n", $stderr =~ /NOTICE:  (.*)/g);
}

my %original;

sub is_like_original
{
	my ($name, $database) = @_;

	is(ask($node, $database, $everything), $original{everything}, "$name: rows and constraints");
	is(going_on($database), $original{going_on}, "$name: foreign keys hold");
	return;
}

create_database($node, 'shop');
$node->psql('shop', $schema, on_error_die => 1);
ask($node, 'postgres', 'CREATE DATABASE untouched TEMPLATE shop');
$original{everything} = ask($node, 'shop', $everything);
$original{going_on} = going_on('shop');
is((split /\n/, $original{going_on})[0], 'live|1 4 5 6|1 5 6|1 5 6|12', 'what went with authors 2 and 3, and with post 4');
like($original{going_on}, qr/^INSERT INTO post VALUES \(7, 2\): insert or update on table "post" violates foreign key constraint/m, 'references are checked');
like($original{going_on}, qr/^DELETE FROM author WHERE id = 1: update or delete on table "author" violates/m, '... and deletes');
ask($node, 'postgres', 'DROP DATABASE shop');
ask($node, 'postgres', 'ALTER DATABASE untouched RENAME TO shop');
ask($node, 'postgres', 'ALTER DATABASE shop SET session_preload_libraries = orm_ext');

note 'dump and restore';

run_client($node, 'pg_dump -Fc', 'pg_dump', '-Fc', '-f', "$dumps/custom", 'shop');
run_client($node, 'pg_dump', 'pg_dump', '-f', "$dumps/plain.sql", 'shop');
run_client($node, 'pg_dump --inserts', 'pg_dump', '--inserts', '-f', "$dumps/inserts.sql", 'shop');

empty_database($_) for qw(from_custom from_parallel from_plain from_inserts);
is(run_client($node, 'pg_restore', 'pg_restore', '-d', 'from_custom', "$dumps/custom"), '', '... without messages');
is_like_original('custom format', 'from_custom');
is(run_client($node, 'pg_restore -j2', 'pg_restore', '-j2', '-d', 'from_parallel', "$dumps/custom"), '', '... without messages');
is_like_original('in parallel', 'from_parallel');
is(run_client($node, 'psql', 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'from_plain', '-f', "$dumps/plain.sql"), '', '... without messages');
is_like_original('plain format', 'from_plain');
is(run_client($node, 'psql of --inserts', 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'from_inserts', '-f', "$dumps/inserts.sql"), '', '... without messages');
is_like_original('--inserts', 'from_inserts');

note 'data only, where foreign keys already are';

run_client($node, 'pg_dump --schema-only', 'pg_dump', '-Fc', '--schema-only', '-f', "$dumps/schema", 'shop');
run_client($node, 'pg_dump --data-only', 'pg_dump', '-Fc', '--data-only', '-f', "$dumps/data", 'shop');
empty_database('data_only');
run_client($node, 'schema', 'pg_restore', '-d', 'data_only', "$dumps/schema");
is(run_client($node, 'pg_restore --disable-triggers', 'pg_restore', '--data-only', '--disable-triggers', '-d', 'data_only', "$dumps/data"), '', '... without messages');
is_like_original('--disable-triggers', 'data_only');

# Without circles, and in the order of the references, the server needs no triggers disabled.
ask($node, 'shop', 'ALTER TABLE author DROP COLUMN best_post; ALTER TABLE remark DROP COLUMN reply_to');
$original{everything} = ask($node, 'shop', $everything);
for my $format ([ 'COPY' ], [ 'INSERTs', '--inserts' ])
{
	my ($name, @options) = @$format;

	run_client($node, "pg_dump --data-only, $name", 'pg_dump', '--data-only', @options, '-f', "$dumps/data.sql", 'shop');
	run_client($node, 'pg_dump --schema-only', 'pg_dump', '-Fc', '--schema-only', '-f', "$dumps/schema", 'shop');
	empty_database('no_circles');
	run_client($node, 'schema', 'pg_restore', '-d', 'no_circles', "$dumps/schema");
	is(run_client($node, 'psql', 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'no_circles', '-f', "$dumps/data.sql"), '',
		'... references to deleted rows come along');
	is(ask($node, 'no_circles', $everything), $original{everything}, '... all of them');
	ask($node, 'postgres', 'DROP DATABASE no_circles');
}

done_testing();
