# pg_dump, pg_restore and pg_upgrade of a database in which next to no name follows its convention:
# no restore is refused or warned, whatever orm_ext.naming_check says and wherever that is set, all
# names are as they were, byte by byte, and templates and exemptions come along.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use OrmExt::Naming;
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', q(
autovacuum = off
max_wal_senders = 0
session_preload_libraries = 'orm_ext'));
my $dumps = PostgreSQL::Test::Utils::tempdir();
my @psql = ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1');
my @restore = ('pg_restore', '--exit-on-error');

create_database($node, 'wild');
ask($node, 'wild', q(SET orm_ext.naming_fill = off; SET orm_ext.naming_check = off; SET client_min_messages = warning;)
	  . wild_schema($node->pg_version) . strange_templates());
ask($node, 'postgres', q(CREATE ROLE restorer SUPERUSER LOGIN));

my %original = (names => names_of($node, 'wild'), conventions => conventions_of($node, 'wild'));
my $violations = q(SELECT count(*) FROM orm_ext.naming_audit() WHERE NOT conforms AND schema = 'Wild "one"');

cmp_ok(ask($node, 'wild', $violations), '>', 15, 'there are names of all kinds that follow no convention');
is(ask($node, 'wild', "$violations AND exempt"), ask($node, 'wild', q(
		SELECT count(*) FROM orm_ext.naming_audit() WHERE NOT conforms
			AND ("table" = 'account' AND name = 'PK of account' OR "table" ~ '^event' AND schema = 'Wild "one"'))),
	'... some of them exempted');

# A dump of a database as text, without what differs from dump to dump.
sub text_of
{
	my ($server, $database) = @_;
	my $file = "$dumps/$database.text";

	run_client($server, "pg_dump of $database", 'pg_dump', '-f', $file, $database);
	return slurp_file($file) =~ s/^\\(?:un)?restrict .*\n//mgr;
}

sub is_like_original
{
	my ($name, $server, $database) = @_;

	is(names_of($server, $database), $original{names}, "$name: all names are as they were");
	is(conventions_of($server, $database), $original{conventions}, "$name: templates and exemptions came along");
	return;
}

# What an ordinary session is told of a name that follows no convention.
my $wrong = 'CREATE TABLE fresh (a int CONSTRAINT "wrong" PRIMARY KEY)';
my %answer = (
	off => qr/^(?!.*(?:WARNING|ERROR))/s,
	warn => qr/WARNING:  42602: name "wrong" of primary key on table "fresh" does not follow/,
	error => qr/ERROR:  42602: name "wrong" of primary key on table "fresh" does not follow/);

# A database to restore into, with options by ALTER DATABASE.
sub empty_database
{
	my ($name, @settings) = @_;

	ask($node, 'postgres', "CREATE DATABASE $name");
	ask($node, 'postgres', "ALTER DATABASE $name SET $_") for @settings;
	return;
}

sub drop_database { return ask($node, 'postgres', "DROP DATABASE $_[0]"); }

note 'kinds of dumps, with naming_check = error';

my %dump = (
	custom => [qw(-Fc)],
	tar => [qw(-Ft)],
	directory => [qw(-Fd -j2)],
	plain => [],
	inserts => [qw(--inserts)],
	clean => [qw(--clean --if-exists)],
	create => [qw(--create)],
	'pre-data' => [qw(--section=pre-data)],
	data => [qw(--section=data)],
	'post-data' => [qw(--section=post-data)],
	schema => [qw(--schema-only)],
	rows => [qw(--data-only --disable-triggers)],
	with_rls => [qw(--enable-row-security)]);

for my $kind (sort keys %dump)
{
	run_client($node, "pg_dump @{$dump{$kind}}", 'pg_dump', @{ $dump{$kind} }, '-f', "$dumps/$kind", 'wild');
}
my $text = text_of($node, 'wild');

# Restore by one command after the other into an empty database.  With -j, the server's own commands
# for partitions and foreign keys can deadlock, with orm_ext or without it: then all is done again.
sub run_restore
{
	my ($name, $settings, @commands) = @_;
	my $failed;

	for (1 .. 10)
	{
		empty_database('restored', @$settings);
		$failed = '';
		for my $command (@commands)
		{
			my ($stdout, $stderr);

			last if $failed;
			IPC::Run::run([ @$command, '-h', $node->host, '-p', $node->port ], '>', \$stdout, '2>', \$stderr);
			$failed = "@$command: $stderr" if $? != 0 || $stderr ne '';
		}
		last if $failed !~ /-j2 .*deadlock detected/s;
		drop_database('restored');
	}
	is($failed, '', "$name: is restored, and nobody is told anything");
	return;
}

# Restore while names are checked, and compare.
sub restore
{
	my ($name, @commands) = @_;

	run_restore($name, [ q(orm_ext.naming_check = 'error') ], @commands);
	is_like_original($name, $node, 'restored');
	is(text_of($node, 'restored') =~ s/restored/wild/gr, $text, "$name: a second dump is the same");
	like(told($node, 'restored', $wrong), $answer{error}, "$name: other sessions are checked");
	drop_database('restored');
	return;
}

restore('custom', [ @restore, '-d', 'restored', "$dumps/custom" ]);
restore('custom, one transaction', [ @restore, '-1', '-d', 'restored', "$dumps/custom" ]);
restore('custom -j2', [ @restore, '-j2', '-d', 'restored', "$dumps/custom" ]);
restore('tar', [ @restore, '-d', 'restored', "$dumps/tar" ]);
restore('directory -j2', [ @restore, '-j2', '-d', 'restored', "$dumps/directory" ]);
restore('plain', [ @psql, '-d', 'restored', '-f', "$dumps/plain" ]);
restore('plain, one transaction', [ @psql, '-1', '-d', 'restored', '-f', "$dumps/plain" ]);
restore('--inserts', [ @psql, '-d', 'restored', '-f', "$dumps/inserts" ]);
restore('sections', map { [ @psql, '-d', 'restored', '-f', "$dumps/$_" ] } 'pre-data', 'data', 'post-data');
restore('sections of pg_restore', map { [ @restore, "--section=$_", '-j2', '-d', 'restored', "$dumps/directory" ] } 'pre-data', 'data', 'post-data');
restore('schema and rows', (map { [ @psql, '-d', 'restored', '-f', "$dumps/$_" ] } 'schema', 'rows'),
	[ @psql, '-d', 'restored', '-c', 'REFRESH MATERIALIZED VIEW "Wild ""one""".codes' ]);
restore('--enable-row-security', [ @psql, '-d', 'restored', '-f', "$dumps/with_rls" ]);

# --clean drops what an earlier restore has made.  PostgreSQL cannot do all of that where there are
# partitions, so the messages are compared with those of a session that checks and fills nothing.
sub clean
{
	my ($name, @command) = @_;
	my (%told, %names);

	for my $check ('error', 'off')
	{
		local $ENV{PGOPTIONS} = "-c orm_ext.naming_check=$check -c orm_ext.naming_fill=" . ($check eq 'off' ? 'off' : 'on');

		empty_database('restored');
		run_client($node, "$name, $check: restore", @restore, '-d', 'restored', "$dumps/custom");
		$told{$check} = '';
		for (1, 2)
		{
			my ($stdout, $stderr);

			IPC::Run::run([ @command, '-d', 'restored', '-h', $node->host, '-p', $node->port ], '>', \$stdout, '2>', \$stderr);
			$told{$check} .= $stderr;
		}
		$names{$check} = names_of($node, 'restored');
		is(conventions_of($node, 'restored'), $original{conventions}, "$name, $check: templates and exemptions came along");
		drop_database('restored');
	}
	is($told{error}, $told{off}, "$name: messages are the same");
	is($names{error}, $names{off}, "$name: all names are the same");
	unlike($told{error}, qr/42602|naming convention/, "$name: no name is judged");
	return;
}

clean('--clean --if-exists', 'psql', '-Xq', '-f', "$dumps/clean");
clean('pg_restore --clean --if-exists', 'pg_restore', '--clean', '--if-exists', "$dumps/custom");

note 'where naming_check is set';

# Kinds of dumps, which take turns.
my @ways = (
	[ custom => [ @restore, '-d', 'restored', "$dumps/custom" ] ],
	[ plain => [ @psql, '-d', 'restored', '-f', "$dumps/plain" ] ],
	[ directory => [ @restore, '-j2', '-d', 'restored', "$dumps/directory" ] ],
	[ sections => map { [ @psql, '-d', 'restored', '-f', "$dumps/$_" ] } 'pre-data', 'data', 'post-data' ],
	[ inserts => [ @psql, '-d', 'restored', '-f', "$dumps/inserts" ] ]);

# Restore while naming_check is set somewhere, and compare.
sub restore_with
{
	my ($where, $mode) = @_;
	my $way = shift @ways;
	my ($kind, @commands) = @$way;
	my $name = "$where, $mode, $kind";

	push @ways, $way;
	run_restore($name, [], @commands);
	is_like_original($name, $node, 'restored');
	like(told($node, 'restored', $wrong), $answer{$mode}, "$name: it is in force");
	drop_database('restored');
	return;
}

for my $mode (qw(off warn error))
{
	{
		local $ENV{PGOPTIONS} = "-c orm_ext.naming_check=$mode";
		restore_with('PGOPTIONS', $mode);
	}
	{
		local $ENV{PGUSER} = 'restorer';
		ask($node, 'postgres', "ALTER ROLE restorer SET orm_ext.naming_check = $mode");
		restore_with('ALTER ROLE', $mode);
	}
	ask($node, 'postgres', "ALTER ROLE ALL SET orm_ext.naming_check = $mode");
	restore_with('ALTER ROLE ALL', $mode);
	ask($node, 'postgres', 'ALTER ROLE ALL RESET orm_ext.naming_check');
	$node->append_conf('postgresql.conf', "orm_ext.naming_check = $mode");
	$node->reload;
	restore_with('postgresql.conf', $mode);
}

# --create brings the database's own setting along, which is in force for the rest of the dump.
ask($node, 'wild', q(ALTER DATABASE wild SET orm_ext.naming_check = 'error'));
run_client($node, 'pg_dump --create', 'pg_dump', '-Fc', '--create', '-f', "$dumps/created", 'wild');
run_client($node, 'pg_dump --create', 'pg_dump', '--create', '-f', "$dumps/created.sql", 'wild');
ask($node, 'postgres', 'ALTER DATABASE wild RENAME TO wild_before');
is(run_client($node, 'pg_restore --create', @restore, '--create', '-d', 'postgres', "$dumps/created"), '', '... without messages');
is_like_original('--create', $node, 'wild');
like(told($node, 'wild', $wrong), $answer{error}, '... and the setting is there');
is(run_client($node, 'pg_restore --clean --create', @restore, '--clean', '--create', '-d', 'postgres', "$dumps/created"), '', '... without messages');
is_like_original('--clean --create', $node, 'wild');
drop_database('wild');
is(run_client($node, 'psql of --create', @psql, '-d', 'postgres', '-f', "$dumps/created.sql"), '', '... without messages');
is_like_original('plain --create', $node, 'wild');

note 'a restored database goes on';

is(ask($node, 'wild', q(
		SET search_path = "Wild ""one""";
		CREATE TABLE fresh (a int PRIMARY KEY, b int UNIQUE CHECK (b > 0) REFERENCES account);
		CREATE INDEX ON fresh (a, b);
		SELECT string_agg(relname, ', ' ORDER BY relname COLLATE "C") FROM pg_class JOIN pg_index ON pg_class.oid = indexrelid WHERE indrelid = 'fresh'::regclass;
		SELECT string_agg(conname, ', ' ORDER BY conname COLLATE "C") FROM pg_constraint WHERE conrelid = 'fresh'::regclass AND contype <> 'n';
		DROP TABLE fresh;)),
	"idx fresh (a_b), pk_fresh, uq_fresh_b\nck_fresh_b, fk_fresh_b_account, pk_fresh, uq_fresh_b", 'new objects get the names of the templates');
is(ask($node, 'wild', $violations), ask($node, 'wild_before', $violations), 'the same names are reported');

note 'what does look like a user';

# The two settings by which a restore is known have to be there together.
like(told($node, 'wild', "SET check_function_bodies = off; $wrong"), $answer{error}, 'check_function_bodies = off alone is no restore');
like(told($node, 'wild', "SET row_security = off; $wrong"), $answer{error}, 'row_security = off alone is no restore');

# The same dump without the lines that say what it is.
my $script = slurp_file("$dumps/plain") =~ s/^SET (?:check_function_bodies|row_security) .*\n//mgr;

empty_database('restored', q(orm_ext.naming_check = 'error'));
like(told($node, 'restored', $script), qr/ERROR:  42602: name "/, 'a script that could be a restore is not one without its settings');
drop_database('restored');

note 'pg_upgrade --link';

ask($node, 'postgres', 'DROP DATABASE wild_before; DROP ROLE restorer');
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
my $bindir = $node->config_data('--bindir');

$upgraded->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$_->append_conf('postgresql.conf', q(
autovacuum = off
session_preload_libraries = ''
shared_preload_libraries = 'orm_ext'
orm_ext.naming_check = 'error'
orm_ext.naming_follow = on)) for $node, $upgraded;
$node->stop;
chdir $dumps or die "chdir: $!";
command_ok([
	'pg_upgrade', '--no-sync', '--link', '-d', $node->data_dir, '-D', $upgraded->data_dir,
	'-b', $bindir, '-B', $bindir, '-s', $upgraded->host, '-p', $node->port, '-P', $upgraded->port ],
	'pg_upgrade --link');
chdir '/';
$upgraded->start;
is_like_original('pg_upgrade', $upgraded, 'wild');
is(text_of($upgraded, 'wild'), $text, 'pg_upgrade: a dump is the same as before');
like(told($upgraded, 'wild', $wrong), $answer{error}, 'pg_upgrade: sessions are checked');
is(told($upgraded, 'wild', 'CREATE TABLE fresh (a int CONSTRAINT pk_fresh PRIMARY KEY)'), '', '... against the templates');
$upgraded->stop;

done_testing();
