# What the TAP tests of orm_ext share: servers, questions to them, and errors with their SQLSTATE.

package OrmExt::Test;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node create_database ask told run_client managed_table live_and_deleted);

# A server that runs, with lines for its configuration.  Options go to init().
sub new_node
{
	my ($name, $conf, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding=UTF8', '--no-locale' ], %options);
	$node->append_conf('postgresql.conf', $conf) if $conf;
	$node->start;
	return $node;
}

# A database with the extension.
sub create_database
{
	my ($node, $name) = @_;

	ask($node, 'postgres', 'CREATE DATABASE "' . $name =~ s/"/""/gr . '"');
	ask($node, $name, 'CREATE EXTENSION orm_ext');
	return;
}

# The answer of a session of its own to some statements; dies of an error.
sub ask
{
	my ($node, $database, $sql, %options) = @_;
	my ($status, $stdout, $stderr) = run_session($node, $database, $sql, %options);

	die "$sql\nfailed: $stderr" if $status != 0;
	return $stdout;
}

# The messages that a session of its own gets for some statements, with their SQLSTATEs.
sub told
{
	my ($node, $database, $sql, %options) = @_;
	my ($status, $stdout, $stderr) =
	  run_session($node, $database, "\\set VERBOSITY verbose\n$sql", %options);

	return $stderr;
}

sub run_session
{
	my ($node, $database, $sql, %options) = @_;
	my @params = defined $options{user} ? ('-U', $options{user}) : ();

	push @params, '-v', 'ON_ERROR_STOP=0' if $options{go_on};
	return $node->psql($database, $sql, extra_params => \@params);
}

# Run a client program against a server; its messages are returned, failure fails the test.
sub run_client
{
	my ($node, $name, @command) = @_;
	my ($stdout, $stderr);
	local %ENV = %ENV;

	$ENV{PGHOST} = $node->host;
	$ENV{PGPORT} = $node->port;
	ok(IPC::Run::run(\@command, '>', \$stdout, '2>', \$stderr), $name) or diag $stderr;
	return $stderr;
}

# SQL for a table of five rows under soft delete, of which row 5 is deleted.
sub managed_table
{
	my ($name) = @_;

	return qq(
		SET client_min_messages = error;
		CREATE TABLE $name (id int PRIMARY KEY, v int NOT NULL, deleted_at timestamptz);
		CREATE TRIGGER soft_delete BEFORE DELETE ON $name
			FOR EACH ROW EXECUTE FUNCTION orm_ext.soft_delete('deleted_at');
		INSERT INTO $name
			SELECT i, i * 10, CASE i WHEN 5 THEN timestamptz '2001-01-01 00:00:00+00' END
			FROM generate_series(1, 5) AS i;
		RESET client_min_messages;
	);
}

# The ids of live and deleted rows, whatever the session's library hides: "1 2 3 4 | 5".
sub live_and_deleted
{
	my ($node, $database, $table) = @_;

	return ask($node, $database, qq(
		SET row_security = off;
		SELECT concat_ws(' | ',
			coalesce(string_agg(id::text, ' ' ORDER BY id) FILTER (WHERE deleted_at IS NULL), 'none'),
			coalesce(string_agg(id::text, ' ' ORDER BY id) FILTER (WHERE deleted_at IS NOT NULL), 'none'))
		FROM $table));
}

1;
