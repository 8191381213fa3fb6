# Sessions and naming conventions: statements of the extended protocol that are run again and again,
# the library that comes in the middle, databases without the extension, the extension dropped and
# created again, and templates that change under sessions that stay.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Naming;
use OrmExt::Session;
use OrmExt::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', q(
autovacuum = off
client_min_messages = warning
max_prepared_transactions = 5));
my $templates = q(
	DELETE FROM orm_ext.naming_template;
	INSERT INTO orm_ext.naming_template (kind, template) VALUES
		('pk', 'pk_%(table_name)s'), ('uq', 'uq_%(table_name)s_%(column_0_N_name)s'), ('ix', 'ix_%(table_name)s_%(column_0_N_name)s'),
		('fk', 'fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s'), ('ck', 'ck_%(table_name)s_%(constraint_name)s');
);

# The names of all indexes and constraints in schema public.
my $names = q(
	SELECT coalesce(string_agg(DISTINCT name::text, ' ' ORDER BY name::text), 'none') FROM (
		SELECT relname COLLATE "C" FROM pg_class WHERE relkind IN ('i', 'I') AND relnamespace = 'public'::regnamespace
		UNION SELECT conname COLLATE "C" FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c', 'x')) AS n (name));

sub names_in { return ask($node, $_[0], $names); }

# The single value that a session that stays gets.
sub value
{
	my ($session, $sql) = @_;
	my ($row) = grep { /^\(/ } $session->query($sql);

	return defined $row ? $row =~ s/^\(|\)$//gr : 'nothing';
}

note 'the extended protocol';

create_database($node, 'app');
create_plain_database($node, 'plain');
ask($node, 'app', $templates);
ask($node, 'postgres', q(ALTER DATABASE app SET session_preload_libraries = 'orm_ext'));

# The same messages in a session with templates and in one of plain PostgreSQL; the replies are the
# same, and so are the names when those of PostgreSQL are replaced.
sub same_replies
{
	my ($name, $conversation, $expected, $expected_plain) = @_;
	my (%reply, %found);

	for my $database ('app', 'plain')
	{
		ask($node, $database, q(DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE t (a int NOT NULL, b int)));
		my $session = OrmExt::Session->new($node, $database, 'orm_ext.naming_check' => 'off');

		$reply{$database} = [ map { s/\b(?:ix|uq)_(\w+?)(\d*)\b/NAME/gr =~ s/\b\w+_(?:idx|key)\d*\b/NAME/gr } $conversation->($session) ];
		$found{$database} = value($session, $names);
	}
	is_deeply($reply{app}, $reply{plain}, "$name: the replies are the same");
	unlike("@{$reply{plain}}", qr/NOTICE/, '... without messages');
	is($found{plain}, $expected_plain, '... where PostgreSQL takes its names');
	is($found{app}, $expected, '... the templates give theirs');
	return;
}

sub repeat
{
	my ($session, $sql, $times) = @_;

	$session->parse('s', $sql);
	$session->bind('', 's')->execute('') for 1 .. $times;
	return $session->sync->replies;
}

same_replies('CREATE INDEX parsed once, run thrice', sub { return repeat($_[0], 'CREATE INDEX ON t (a, b)', 3); },
	'ix_t_a_b ix_t_a_b1 ix_t_a_b2', 't_a_b_idx t_a_b_idx1 t_a_b_idx2');
same_replies('ADD CONSTRAINT parsed once, run thrice', sub { return repeat($_[0], 'ALTER TABLE t ADD UNIQUE (a, b), ADD CHECK (b > 0)', 3); },
	'ck_t_b ck_t_b1 ck_t_b2 uq_t_a_b uq_t_a_b1 uq_t_a_b2', 't_a_b_key t_a_b_key1 t_a_b_key2 t_b_check t_b_check1 t_b_check2');
same_replies('CREATE TABLE parsed once, run in another schema and again', sub {
		my ($session) = @_;
		return ($session->parse('s', 'CREATE TABLE n (a int PRIMARY KEY, b int UNIQUE REFERENCES n)')->bind('', 's')->execute('')->sync->replies,
			$session->query('CREATE SCHEMA side; SET search_path = side'),
			$session->bind('', 's')->execute('')->sync->replies,
			$session->query('DROP TABLE n; DROP SCHEMA side; SET search_path = public; ALTER TABLE n RENAME TO m; ALTER TABLE m RENAME a TO aa'),
			$session->bind('', 's')->execute('')->sync->replies);
	},
	'fk_n_b_n fk_n_b_n1 pk_n pk_n1 uq_n_b uq_n_b1', 'n_b_fkey n_b_fkey1 n_b_key n_b_key1 n_pkey n_pkey1');
same_replies('portals that are bound before, and run later', sub {
		my ($session) = @_;
		return ($session->query('BEGIN'), $session->parse('s', 'CREATE INDEX ON t (b)')->bind('p1', 's')->bind('p2', 's')->bind('p3', 's')
			->execute('p2')->execute('p1')->sync->replies, $session->query('CREATE INDEX ON t (b)'), $session->execute('p3')->sync->replies,
			$session->query('COMMIT'));
	},
	'ix_t_b ix_t_b1 ix_t_b2 ix_t_b3', 't_b_idx t_b_idx1 t_b_idx2 t_b_idx3');
same_replies('a statement that fails, and is run again', sub {
		my ($session) = @_;
		my @replies = $session->query('INSERT INTO t VALUES (1, 1), (1, 1)');
		push @replies, $session->parse('s', 'ALTER TABLE t ADD UNIQUE (a, b)')->bind('', 's')->execute('')->sync->replies;
		push @replies, $session->query('TRUNCATE t');
		return @replies, $session->bind('', 's')->execute('')->sync->replies;
	},
	'uq_t_a_b', 't_a_b_key');
same_replies('a pipeline', sub {
		my ($session) = @_;
		return $session->run('CREATE TABLE p (a int PRIMARY KEY)')->run('CREATE TABLE c (p_a int REFERENCES p, b int)')
		  ->run('CREATE INDEX ON c (p_a, b)')->run('ALTER TABLE c ADD UNIQUE (b)')->run('CREATE INDEX ON c (p_a, b)')->sync->replies;
	},
	'fk_c_p_a_p ix_c_p_a_b ix_c_p_a_b1 pk_p uq_c_b', 'c_b_key c_p_a_b_idx c_p_a_b_idx1 c_p_a_fkey p_pkey');
same_replies('CREATE INDEX CONCURRENTLY parsed once, run twice', sub {
		my ($session) = @_;
		return ($session->parse('s', 'CREATE INDEX CONCURRENTLY ON t (a)')->bind('', 's')->execute('')->sync->replies,
			$session->bind('', 's')->execute('')->sync->replies);
	},
	'ix_t_a ix_t_a1', 't_a_idx t_a_idx1');
same_replies('statements sent as one string', sub {
		my ($session) = @_;
		return $session->query('CREATE INDEX ON t (a); CREATE INDEX ON t (a); ALTER TABLE t RENAME TO u; CREATE INDEX ON u (a); ALTER TABLE u RENAME TO t');
	},
	'ix_t_a ix_t_a1 ix_u_a', 't_a_idx t_a_idx1 u_a_idx');

# Functions keep parse trees too.
same_replies('a function', sub {
		my ($session) = @_;
		return ($session->query(q(CREATE FUNCTION make(name) RETURNS void LANGUAGE plpgsql AS $$
				BEGIN
					CREATE INDEX ON t (a, b);
					ALTER TABLE t ADD UNIQUE (b);
					EXECUTE format('CREATE INDEX ON %I (b)', $1);
				END $$)),
			$session->query(q(SELECT make('t'); SELECT make('t'))),
			$session->query(q(DO 'BEGIN FOR i IN 1 .. 2 LOOP CREATE INDEX ON t (a); END LOOP; END')));
	},
	'ix_t_a ix_t_a1 ix_t_a_b ix_t_a_b1 ix_t_b ix_t_b1 uq_t_b uq_t_b1',
	't_a_b_idx t_a_b_idx1 t_a_idx t_a_idx1 t_b_idx t_b_idx1 t_b_key t_b_key1');

# One statement whose table stands in another schema each time, with a template of its own.
my $session = OrmExt::Session->new($node, 'app');
$session->query($_) for (
	q(CREATE SCHEMA one; CREATE SCHEMA two; CREATE SCHEMA three),
	q(INSERT INTO orm_ext.naming_template (schema, kind, template) VALUES ('one', 'ix', '1_%(table_name)s'), ('two', 'ix', '2_%(column_0_name)s')));
$session->parse('table', 'CREATE TABLE n (a int)')->parse('index', 'CREATE INDEX ON n (a)')->sync->replies;
for my $schema (qw(one two three one))
{
	$session->query("SET search_path = $schema; DROP TABLE IF EXISTS n");
	$session->bind('', 'table')->execute('')->bind('', 'index')->execute('')->sync->replies;
}
is(value($session, q(SELECT string_agg(schemaname || '.' || indexname, ' ' ORDER BY schemaname) FROM pg_indexes WHERE tablename = 'n')),
	'one.1_n three.ix_n_a two.2_a', 'the template is that of the schema in which the statement is run');

note 'templates change under sessions that stay';

$session = OrmExt::Session->new($node, 'app');
$session->query('DROP SCHEMA one, two, three CASCADE');
$session->query('CREATE TABLE stay (a int, b int)');
$session->parse('index', 'CREATE INDEX ON stay (a, b)')->sync->replies;

# The name that the prepared statement gives now.
sub given_name
{
	$session->bind('', 'index')->execute('')->sync->replies;
	my $name = value($session, q(SELECT relname FROM pg_class WHERE oid = (SELECT max(indexrelid) FROM pg_index WHERE indrelid = 'stay'::regclass)));
	$session->query("DROP INDEX \"$name\"");
	return $name;
}

is(given_name(), 'ix_stay_a_b', 'a session that stays');
ask($node, 'app', q(UPDATE orm_ext.naming_template SET template = 'second_%(table_name)s' WHERE kind = 'ix'));
is(given_name(), 'second_stay', '... sees what others do with a template');
ask($node, 'app', q(SELECT orm_ext.use_naming('all_columns')));
is(given_name(), 'stay_a_b_idx', '... and with a preset');
ask($node, 'app', q(SET session_replication_role = replica; UPDATE orm_ext.naming_template SET template = 'third_%(table_name)s' WHERE kind = 'ix'));
is(given_name(), 'third_stay', '... also where no trigger was fired');
ask($node, 'app', 'BEGIN; TRUNCATE orm_ext.naming_template; ROLLBACK');
is(given_name(), 'third_stay', '... not what was rolled back');
ask($node, 'app', q(BEGIN; UPDATE orm_ext.naming_template SET template = 'fourth' WHERE kind = 'ix'; PREPARE TRANSACTION 'p'));
is(given_name(), 'third_stay', '... nor what is prepared only');
ask($node, 'app', q(COMMIT PREPARED 'p'));
is(given_name(), 'fourth', '... until that is committed');
ask($node, 'app', q(TRUNCATE orm_ext.naming_template));
is(given_name(), 'stay_a_idx', '... TRUNCATE');
ask($node, 'app', qq(COPY orm_ext.naming_template (kind, template) FROM STDIN;\nix\tcopied_%(table_name)s\n\\.\n));
is(given_name(), 'copied_stay', '... COPY');
ask($node, 'app', q(ALTER TABLE stay RENAME TO other_name; ALTER TABLE other_name RENAME TO stay));
is(given_name(), 'copied_stay', '... tables that are renamed to and fro');
$session->query('DISCARD ALL');
$session->parse('index', 'CREATE INDEX ON stay (a, b)')->sync->replies;
is(given_name(), 'copied_stay', '... and DISCARD ALL');
$session->query('BEGIN; SAVEPOINT a');
$session->query(q(UPDATE orm_ext.naming_template SET template = 'mine'));
is(given_name(), 'mine', '... its own change');
$session->query('ROLLBACK TO SAVEPOINT a');
is(given_name(), 'copied_stay', '... until it is rolled back');
$session->query('COMMIT');
for ([ 'SET orm_ext.naming_fill = off', 'stay_a_b_idx' ], [ 'RESET orm_ext.naming_fill', 'copied_stay' ],
	[ 'BEGIN; SET LOCAL orm_ext.naming_fill = off', 'stay_a_b_idx' ], [ 'COMMIT', 'copied_stay' ])
{
	$session->query($_->[0]);
	is(given_name(), $_->[1], "... $_->[0]");
}
$session->query('SET orm_ext.naming_fill = off');
$session->query('DISCARD ALL');
$session->parse('index', 'CREATE INDEX ON stay (a, b)')->sync->replies;
is(given_name(), 'copied_stay', '... SET and DISCARD ALL');
ask($node, 'app', q(DROP TABLE stay));

note 'the library comes in the middle';

create_database($node, 'late');
ask($node, 'late', $templates . 'CREATE TABLE t (a int, b int)');
$session = OrmExt::Session->new($node, 'late');
$session->parse('s', 'CREATE INDEX ON t (a, b)')->bind('', 's')->execute('')->sync->replies;
is(names_in('late'), 't_a_b_idx', 'without the library');
$session->query(q(LOAD 'orm_ext'));
$session->bind('', 's')->execute('')->sync->replies;
is(names_in('late'), 'ix_t_a_b t_a_b_idx', 'a statement that was prepared before');
$session = OrmExt::Session->new($node, 'late');
$session->query(q(BEGIN; CREATE INDEX ON t (b); LOAD 'orm_ext'; CREATE INDEX ON t (b); COMMIT));
is(names_in('late'), 'ix_t_a_b ix_t_b t_a_b_idx t_b_idx', 'in a transaction');
$session = OrmExt::Session->new($node, 'late');
$session->parse('', 'CREATE INDEX ON t (a)')->bind('p', '')->run('SELECT orm_ext.loaded_version()')->execute('p')->sync->replies;
is(value($session, q(SELECT count(*) FROM pg_class WHERE relname = 'ix_t_a')), 1, 'between Bind and Execute');
is(ask($node, 'late', q(
		SET orm_ext.naming_fill = off;
		SET orm_ext.naming_check = 'error';
		LOAD 'orm_ext';
		CREATE TABLE kept (a int PRIMARY KEY);
		SELECT conname FROM pg_constraint WHERE conrelid = 'kept'::regclass AND contype = 'p')), 'kept_pkey', 'settings made before are kept');
like(told($node, 'late', q(SET orm_ext.naming_check = 'error'; LOAD 'orm_ext'; CREATE INDEX x ON t (a))), qr/ERROR:  42602/, '... all of them');
like(told($node, 'late', q(SET orm_ext.naming_check = 'bogus'; LOAD 'orm_ext'; SHOW orm_ext.naming_check)),
	qr/WARNING:  22023: invalid value for parameter "orm_ext.naming_check": "bogus"/, 'a wrong one is told of');

note 'the library, but no extension';

ask($node, 'postgres', q(ALTER DATABASE plain SET session_preload_libraries = 'orm_ext'));
ask($node, 'plain', 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
create_plain_database($node, 'bare');
my $all_kinds = q(
	CREATE TABLE p (id int PRIMARY KEY, a int UNIQUE, b int, CHECK (a > b), CONSTRAINT "Odd" UNIQUE (a, b), EXCLUDE (a WITH =));
	CREATE TABLE c (p_id int REFERENCES p, x int CHECK (x > 0), y int CONSTRAINT odd_too CHECK (y > 0));
	CREATE INDEX ON p (lower(a::text), b);
	CREATE INDEX "Third" ON p (a);
	ALTER TABLE p RENAME TO q;
	ALTER TABLE q RENAME a TO aa;
	ALTER INDEX "Third" RENAME TO "Fourth";
	CREATE TABLE l (LIKE q INCLUDING ALL);
	ALTER TABLE c ADD FOREIGN KEY (x) REFERENCES q;);
is(told($node, 'plain', $all_kinds), told($node, 'bare', $all_kinds), 'messages are those of a session without the library');
is(names_of($node, 'plain'), names_of($node, 'bare'), '... and so are the names');
is(ask($node, 'plain', q(SELECT count(*) FROM pg_settings WHERE name ~ '^orm_ext[.]naming')) > 0, 1, '... though it is there');

# Objects that look like the extension's, but are not.
sub schema_of_others
{
	my ($name, $sql) = @_;

	for my $database ('plain', 'bare')
	{
		ask($node, $database, qq(
			SET client_min_messages = error;
			DROP SCHEMA IF EXISTS orm_ext CASCADE;
			DROP SCHEMA public CASCADE;
			CREATE SCHEMA public;
			CREATE SCHEMA orm_ext;
			$sql));
	}
	is(told($node, 'plain', $all_kinds), told($node, 'bare', $all_kinds), "$name: messages");
	is(names_of($node, 'plain'), names_of($node, 'bare'), "$name: names");
	return;
}

schema_of_others('an empty schema orm_ext', '');
schema_of_others('a foreign table orm_ext.naming_template', q(
	DROP EXTENSION IF EXISTS file_fdw CASCADE;
	CREATE EXTENSION file_fdw;
	CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
	CREATE FOREIGN TABLE orm_ext.naming_template (x int) SERVER files OPTIONS (filename '/no/such/file');
	CREATE FOREIGN TABLE orm_ext.naming_exemption (y int) SERVER files OPTIONS (filename '/no/such/file')));
schema_of_others('a table orm_ext.naming_template', q(
	CREATE TABLE orm_ext.naming_template (template int, kind int[], schema text);
	INSERT INTO orm_ext.naming_template VALUES (1, '{1}', 'public')));
schema_of_others('the very table', q(
	CREATE TABLE orm_ext.naming_template (schema name, kind text, template text, overflow text, schema_in_label boolean);
	INSERT INTO orm_ext.naming_template VALUES (NULL, 'ix', 'trap_%(table_name)s', 'sqlalchemy', false), (NULL, 'pk', 'trap', 'sqlalchemy', false)));
schema_of_others('views and functions', q(
	CREATE VIEW orm_ext.naming_template AS SELECT 1 / 0 AS template;
	CREATE FUNCTION orm_ext.expected_name(text, regclass) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trap''; END'));

note 'DROP EXTENSION and CREATE EXTENSION in one session';

ask($node, 'app', q(SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE stay (a int, b int)));
ask($node, 'app', $templates);
ask($node, 'postgres', q(ALTER DATABASE app SET orm_ext.naming_check = 'error'));
$session = OrmExt::Session->new($node, 'app');
$session->parse('index', 'CREATE INDEX ON stay (a, b)')->sync->replies;
is(given_name(), 'ix_stay_a_b', 'before');
is(join(' ', $session->query('DROP EXTENSION orm_ext')), 'DROP EXTENSION Ready I', 'DROP EXTENSION');
is(given_name(), 'stay_a_b_idx', '... names are PostgreSQL\'s own');
is(join(' ', $session->query('CREATE INDEX any_name ON stay (a)')), 'CREATE INDEX Ready I', '... or any');
is(join(' ', $session->query('CREATE EXTENSION orm_ext')), 'CREATE EXTENSION Ready I', 'CREATE EXTENSION');
is(given_name(), 'stay_a_idx', '... names follow the preset');
like(join(' ', $session->query('CREATE INDEX any_other ON stay (a)')), qr/ERROR 42602/, '... and are checked');
$session->query($templates);
is(given_name(), 'ix_stay_a_b', '... and templates hold');
$session->query('BEGIN; DROP EXTENSION orm_ext; CREATE EXTENSION orm_ext');
is(given_name(), 'stay_a_idx', 'both in a transaction');
$session->query('ROLLBACK');
is(given_name(), 'ix_stay_a_b', '... that is rolled back');
my $other = OrmExt::Session->new($node, 'app');
$other->query('DROP EXTENSION orm_ext');
is(given_name(), 'stay_a_b_idx', 'another session drops it');
$other->query('CREATE EXTENSION orm_ext');
is(given_name(), 'stay_a_idx', '... and creates it again');
is(ask($node, 'app', q(
	SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'orm_ext'::regnamespace AND relkind = 'i')),
	ask($node, 'late', q(
	SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'orm_ext'::regnamespace AND relkind = 'i')),
	'the extension\'s own names are the same as without the library');

note 'aborted transactions, and what cannot run';

my $aborted = 'ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block';

$session->query('BEGIN');
like(join(' ', $session->query('SELECT 1 / 0')), qr/ERROR 22012/, 'a transaction is aborted');
is_deeply([ $session->query($_) ], [ $aborted, 'Ready E' ], "... and $_ says so")
  for 'CREATE INDEX ON stay (a)', 'CREATE INDEX odd ON stay (a)', 'ALTER TABLE stay RENAME TO gone', q(SELECT orm_ext.expected_name('pk', 'stay'));
is_deeply([ $session->query('ROLLBACK') ], [ 'ROLLBACK', 'Ready I' ], '... until ROLLBACK');
like(join(' ', $session->query('BEGIN READ ONLY; CREATE INDEX ON stay (a)')),
	qr/ERROR 25006 cannot execute CREATE INDEX in a read-only transaction/, 'a read-only transaction');
$session->query('ROLLBACK');
like(join(' ', $session->query('BEGIN; CREATE INDEX CONCURRENTLY ON stay (a)')),
	qr/ERROR 25001 CREATE INDEX CONCURRENTLY cannot run inside a transaction block/, 'CREATE INDEX CONCURRENTLY in a transaction');
$session->query('ROLLBACK');
is(given_name(), 'stay_a_idx', 'the session goes on');

$node->stop;
done_testing();
