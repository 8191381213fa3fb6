# ALTER EXTENSION ... UPDATE: every version in sql/ walks to the newest and ends where CREATE EXTENSION
# does; a made-up next version shows that what is forgotten in a step is found; and a library that is
# older or newer than the objects says what to do.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Basename;
use OrmExt::Catalog;
use OrmExt::Installation;
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $installation = OrmExt::Installation->new('pg_config', PostgreSQL::Test::Utils::tempdir());
my $databases = 0;
my $node;

# A version as something that sorts.
sub sortable { return join '.', map { sprintf '%06d', $_ } split /\./, $_[0]; }

# A database with the extension of some version, fresh or walked to from another.
sub database_of
{
	my ($version, $from) = @_;
	my $name = 'database_' . ++$databases;

	ask($node, 'postgres', "CREATE DATABASE $name");
	ask($node, $name, sprintf('CREATE EXTENSION orm_ext VERSION %s', quoted($from // $version)));
	if (defined $from)
	{
		ask($node, $name, managed_table('post') . "LOAD 'orm_ext'; DELETE FROM post WHERE id = 1");
		ask($node, $name, sprintf('ALTER EXTENSION orm_ext UPDATE TO %s', quoted($version)));
	}
	return $name;
}

sub quoted { return "'$_[0]'"; }

# A walk ends where CREATE EXTENSION does, and tables that were managed before still are.
sub walks
{
	my ($from, $to) = @_;
	my $fresh = database_of($to);
	my $walked = database_of($to, $from);

	is(join("\n", catalog_differences($node, $fresh, $walked)), '', "$from walks to $to: the catalogs are those of a fresh $to");
	ask($node, $walked, "LOAD 'orm_ext'; DELETE FROM post WHERE id = 2");
	is(live_and_deleted($node, $walked, 'post'), '3 4 | 1 2 5', '... and deletes are soft before and after');
	return;
}

# The scripts and the control file of the tree, whatever is installed.
my ($newest) = slurp_file("$top/orm_ext.control") =~ /^default_version *= *'([^']+)'/m;
my @versions = sort { sortable($a) cmp sortable($b) }
  map { /orm_ext--([^-]+)\.sql$/ } glob "$top/sql/orm_ext--*.sql";

$installation->remove_files;
$installation->write_file(basename($_), slurp_file($_)) for "$top/orm_ext.control", glob "$top/sql/orm_ext--*.sql";
$node = PostgreSQL::Test::Cluster->new('main', install_path => $installation->path);
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->start;

note 'versions that there are';

is($versions[-1], $newest, 'the newest version has an install script');
is(ask($node, 'postgres', q(SELECT installed_version IS NULL, default_version FROM pg_available_extensions WHERE name = 'orm_ext')),
	"t|$newest", 'the server offers it');
is(ask($node, 'postgres', qq(
		SELECT string_agg(source, ' ') FROM pg_extension_update_paths('orm_ext')
		WHERE target = '$newest' AND path IS NULL)), '', 'every version has a path to the newest');
walks($_, $newest) for grep { $_ ne $newest } @versions;

my $database = database_of($newest);
my @catalog = catalog_of_extension($node, $database);
cmp_ok(scalar @catalog, '>', 500, 'the catalogs say a lot of the extension');
is(join("\n", grep { /no definition$|a kind that OrmExt::Catalog does not know/ } @catalog), '', '... and each object has a definition');
is(join("\n", catalog_differences($node, $database, database_of($newest))), '', '... which is the same in two databases');

note 'a made-up next version';

my $next = '99.0.0';
my $additions = q(
CREATE FUNCTION orm_ext.made_up(a int) RETURNS int LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS 'SELECT a + 1';
COMMENT ON FUNCTION orm_ext.made_up(int) IS 'Made up.';
REVOKE ALL ON FUNCTION orm_ext.made_up(int) FROM PUBLIC;
CREATE TABLE orm_ext.made_up_setting (name text PRIMARY KEY, value text NOT NULL DEFAULT 'x' CHECK (value <> '')) USING heap;
CREATE INDEX made_up_setting_value_idx ON orm_ext.made_up_setting (value);
COMMENT ON COLUMN orm_ext.made_up_setting.value IS 'Made up as well.';
GRANT SELECT ON orm_ext.made_up_setting TO PUBLIC;
GRANT UPDATE (value) ON orm_ext.made_up_setting TO PUBLIC;
INSERT INTO orm_ext.made_up_setting VALUES ('a', 'b');
SELECT pg_catalog.pg_extension_config_dump('orm_ext.made_up_setting', 'WHERE value <> ''b''');
CREATE VIEW orm_ext.made_up_view AS SELECT name FROM orm_ext.made_up_setting;
CREATE EVENT TRIGGER orm_ext_made_up ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION orm_ext.ddl_command_end();
ALTER EVENT TRIGGER orm_ext_made_up ENABLE ALWAYS;
ALTER FUNCTION orm_ext.status() ROWS 10;
);

$installation->write_file("orm_ext--$next.sql", slurp_file("$top/sql/orm_ext--$newest.sql") . $additions);
$installation->write_file("orm_ext--$newest--$next.sql", $additions);
walks($newest, $next);
my $fresh = database_of($next);

# A step that is not what the install script has: both the missing and the wrong line are told of.
sub step_is_wrong
{
	my ($name, $from, $to, @patterns) = @_;
	my $step = $additions;

	$step =~ s/\Q$from\E/$to/ or die "the step has no \"$from\"";
	$installation->write_file("orm_ext--$newest--$next.sql", $step);
	my $differences = join("\n", catalog_differences($node, $fresh, database_of($next, $newest)));
	like($differences, $_, "found: $name") for @patterns;
	return;
}

step_is_wrong('another body', 'a + 1', 'a + 2', qr/^-function orm_ext\.made_up.*a \+ 1/m, qr/^\+function orm_ext\.made_up.*a \+ 2/m);
step_is_wrong('another volatility', 'IMMUTABLE', 'STABLE', qr/^\+function orm_ext\.made_up.*STABLE/m);
step_is_wrong('no comment', q(COMMENT ON FUNCTION orm_ext.made_up(int) IS 'Made up.';), '',
	qr/^-function orm_ext\.made_up\(integer\) has the comment Made up\.$/m);
step_is_wrong('no comment on a column', q(COMMENT ON COLUMN orm_ext.made_up_setting.value IS 'Made up as well.';), '',
	qr/^-table orm_ext\.made_up_setting, column value has the comment/m);
step_is_wrong('no REVOKE', 'REVOKE ALL ON FUNCTION orm_ext.made_up(int) FROM PUBLIC;', '',
	qr/^\+function orm_ext\.made_up\(integer\) has owner .* and privileges public EXECUTE/m, qr/^-function .* is shipped with privileges/m);
step_is_wrong('no GRANT', 'GRANT SELECT ON orm_ext.made_up_setting TO PUBLIC;', '',
	qr/^-table orm_ext\.made_up_setting has owner .* and privileges public SELECT/m);
step_is_wrong('no GRANT of a column', 'GRANT UPDATE (value) ON orm_ext.made_up_setting TO PUBLIC;', '',
	qr/^-table orm_ext\.made_up_setting, column value has privileges public UPDATE/m);
step_is_wrong('columns in another order', q(name text PRIMARY KEY, value text NOT NULL DEFAULT 'x' CHECK (value <> '')),
	q(value text NOT NULL DEFAULT 'x' CHECK (value <> ''), name text PRIMARY KEY),
	qr/^\+table orm_ext\.made_up_setting: .* value text .* name text/m);
step_is_wrong('no default', q(DEFAULT 'x'), '', qr/^-default value for orm_ext\.made_up_setting\.value: 'x'::text/m);
step_is_wrong('another check', q(value <> ''), q(value <> '-'), qr/^\+table constraint .* CHECK \(\(value <> '-'::text\)\)/m);
step_is_wrong('no index', 'CREATE INDEX made_up_setting_value_idx ON orm_ext.made_up_setting (value);', '',
	qr/^-index orm_ext\.made_up_setting_value_idx: /m);
step_is_wrong('other rows', q(('a', 'b')), q(('a', 'c')), qr/^\+table orm_ext\.made_up_setting holds \(a,c\)/m);
step_is_wrong('rows that are dumped', q('WHERE value <> ''b'''), q(''),
	qr/^-configuration orm_ext\.made_up_setting where \(WHERE value <> 'b'\)$/m, qr/^\+configuration orm_ext\.made_up_setting where \(\)$/m);
step_is_wrong('another view', 'AS SELECT name FROM', 'AS SELECT upper(name) AS name FROM', qr/^\+view orm_ext\.made_up_view: .*upper\(/m);
step_is_wrong('an event trigger that replication switches off', 'ALTER EVENT TRIGGER orm_ext_made_up ENABLE ALWAYS;', '',
	qr/^-event trigger orm_ext_made_up: .* A /m, qr/^\+event trigger orm_ext_made_up: .* O /m);
step_is_wrong('a change of what was there', 'ALTER FUNCTION orm_ext.status() ROWS 10;', '',
	qr/^-function orm_ext\.status\(\): .* ROWS 10/m);
step_is_wrong('an object too many', 'CREATE VIEW', 'CREATE VIEW orm_ext.left_over AS SELECT 1 AS one; CREATE VIEW',
	qr/^\+view orm_ext\.left_over: /m);
step_is_wrong('an object that is no member', 'ALTER FUNCTION orm_ext.status() ROWS 10;',
	'ALTER FUNCTION orm_ext.status() ROWS 10; ALTER EXTENSION orm_ext DROP FUNCTION orm_ext.made_up(int);',
	qr/^-function orm_ext\.made_up\(integer\): /m);

note 'an old library, new objects';

$installation->write_file("orm_ext--$newest--$next.sql", "SELECT orm_ext.require_library('$next');\n$additions");
$installation->write_file("orm_ext--$next.sql",
	slurp_file("$top/sql/orm_ext--$newest.sql") =~ s/require_library\('\Q$newest\E'\)/require_library('$next')/r . $additions);
$database = database_of($newest);

# A library that is older than the objects to come is an error with the way out.
sub library_too_old
{
	my ($name, $told, $loaded_by, $way) = @_;

	like($told, qr/ERROR:  55000: version \Q$next\E of the objects of extension orm_ext needs a library of that version/, $name);
	like($told, qr/DETAIL:  This session has the library of version \Q$newest\E, loaded by $loaded_by\./, '... what it is');
	like($told, qr/HINT:  Install the library of version \Q$next\E where it is not, $way, and run the statement again\./, '... and what to do');
	return;
}

library_too_old('ALTER EXTENSION UPDATE is refused', told($node, $database, "ALTER EXTENSION orm_ext UPDATE TO '$next'"),
	'LOAD or the first call of a function', 'reconnect');
is(ask($node, $database, q(SELECT extversion FROM pg_extension WHERE extname = 'orm_ext')), $newest, '... and changes nothing');
library_too_old('so is CREATE EXTENSION', told($node, 'postgres', "CREATE EXTENSION orm_ext VERSION '$next'"),
	'LOAD or the first call of a function', 'reconnect');
is(ask($node, 'postgres', q(SELECT count(*) FROM pg_namespace WHERE nspname = 'orm_ext')), 0, '... and leaves nothing');
ask($node, 'postgres', "ALTER DATABASE $database SET session_preload_libraries = orm_ext");
library_too_old('so it is where sessions preload', told($node, $database, "ALTER EXTENSION orm_ext UPDATE TO '$next'"),
	'session_preload_libraries', 'reconnect');

# What a session is told that reads a managed table, and what status() answers, with objects of a version.
sub with_objects_of
{
	my ($version) = @_;

	ask($node, $database, "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'orm_ext'");
	return (told($node, $database, "LOAD 'orm_ext'; SELECT count(*) FROM post"),
		ask($node, $database, q(SELECT value, action FROM orm_ext.status() WHERE item = 'library')));
}

ask($node, $database, managed_table('post'));
foreach my $version ('0.9.10', '0.10', '0.0.10')
{
	my ($told, $status) = with_objects_of($version);
	my $newer = sortable("$version.0") gt sortable("$newest.0");

	is($told =~ /ALTER EXTENSION orm_ext UPDATE/ ? 'older' : 'newer', $newer ? 'newer' : 'older', "versions compare by number: $version");
	is($status =~ /ALTER EXTENSION orm_ext UPDATE/ ? 'older' : 'newer', $newer ? 'newer' : 'older', '... and so in status()');
}

my ($told, $status) = with_objects_of($next);
like($told, qr/WARNING:  55000: library orm_ext is of version \Q$newest\E, its objects in this database are of version \Q$next\E/,
	'a session with an old library is warned');
like($told, qr/DETAIL:  Functions that were added since version \Q$newest\E fail with "could not find function"\./, '... of what');
like($told, qr/HINT:  Install the library of version \Q$next\E where it is not, and reconnect\./, '... and what to do');
is($status, "$newest|install the library of version $next where it is not, and reconnect", 'status() says so, too');
is(ask($node, $database, "DELETE FROM post WHERE id = 1; SELECT count(*) FROM post"), 3, 'what is in both works');

note 'a new library, old objects';

($told, $status) = with_objects_of('0.0.1');
like($told, qr/DETAIL:  What was added since version 0\.0\.1 is not in this database yet\..*HINT:  ALTER EXTENSION orm_ext UPDATE;/s,
	'a session is told to update the objects');
is($status, "$newest|ALTER EXTENSION orm_ext UPDATE;", 'status() says so, too');
is(ask($node, $database, "DELETE FROM post WHERE id = 2; SELECT count(*) FROM post"), 2, 'what is in both works');

note 'shared_preload_libraries';

ask($node, $database, "UPDATE pg_extension SET extversion = '$newest' WHERE extname = 'orm_ext'");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'orm_ext'");
$node->restart;
library_too_old('an old library that the server holds', told($node, $database, "ALTER EXTENSION orm_ext UPDATE TO '$next'"),
	'shared_preload_libraries', 'restart the server');
($told, $status) = with_objects_of($next);
like($told, qr/HINT:  Install the library of version \Q$next\E where it is not, and restart the server\./, '... is warned of, with what to do');
is($status, "$newest|install the library of version $next where it is not, and restart the server", '... also by status()');

$node->stop;
done_testing();
