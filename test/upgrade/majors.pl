# pg_upgrade, and dump and restore, of a managed database through the majors that test/upgrade/run
# has prepared: afterwards it is what it was, and statements do what they did before.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../t/lib";

use OrmExt::Catalog;
use OrmExt::Installation;
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dumps = PostgreSQL::Test::Utils::tempdir();
my $clusters = 0;

# Major, and folder of the server's files with the extension, from the oldest to the newest.
my @majors = map { my ($major, $pg_config, $dir) = split; { name => $major, files => OrmExt::Installation->new($pg_config, $dir) } }
  split /\n/, slurp($ENV{ORM_EXT_INSTALLATIONS} // die "run this by test/upgrade/run\n");

sub slurp
{
	my ($file) = @_;

	open(my $in, '<', $file) or die "cannot read $file: $!";
	local $/;
	return <$in>;
}

sub script { return slurp("$FindBin::RealBin/$_[0].sql"); }

# An empty cluster of a major, not started.
sub new_cluster
{
	my ($major) = @_;
	my $node = PostgreSQL::Test::Cluster->new(join('_', 'cluster', ++$clusters, 'of', $major->{name}),
		install_path => $major->{files}->path);

	$node->init(extra => [ '--encoding=UTF8', '--no-locale', $major->{name} < 18 ? () : '--no-data-checksums' ]);
	$node->append_conf('postgresql.conf', "autovacuum = off\nmax_wal_senders = 0\nwal_level = logical");
	return $node;
}

# Run a program of a major; its messages are shown where it fails.
sub succeeds
{
	my ($name, @command) = @_;
	my $output = '';

	ok(IPC::Run::run(\@command, '<', \undef, '>&', \$output), $name) or diag $output;
	return;
}

# What a copy of the database answers to a script.  Settings of a database are not copied with it.
sub answers_of_copy
{
	my ($node, $script) = @_;
	my $answers;

	ask($node, 'postgres', 'CREATE DATABASE shop_copy TEMPLATE shop');
	ask($node, 'postgres', q(ALTER DATABASE shop_copy SET session_preload_libraries = 'orm_ext';
		ALTER DATABASE shop_copy SET orm_ext.auto_manage = 'crm'));
	$answers = ask($node, 'shop_copy', script($script));
	ask($node, 'postgres', 'DROP DATABASE shop_copy');
	return $answers;
}

# Everything there is to compare; jobs are not dumped.
sub all_answers
{
	my ($node) = @_;

	return {
		answers => ask($node, 'shop', script('answers')),
		auditor => ask($node, 'shop', 'SELECT count(*), count(deleted_at) FROM customer', user => 'auditor'),
		statements => answers_of_copy($node, 'statements') };
}

# Two answers are the same; if not, diff shows where.
sub is_same
{
	my ($answer, $expected, $name) = @_;
	my $differences = '';

	append_to_file("$dumps/answer", $answer);
	append_to_file("$dumps/expected", $expected);
	ok(IPC::Run::run([ 'diff', '-U1', "$dumps/expected", "$dumps/answer" ], '>', \$differences), $name) or diag $differences;
	unlink "$dumps/answer", "$dumps/expected";
	return;
}

# The extension is what CREATE EXTENSION makes of it on this major, but for rows of users, and for
# parentheses, which a condition has more of once it has been through a dump.
sub is_like_fresh
{
	my ($node, $name) = @_;
	my %catalog;

	create_database($node, 'fresh');
	foreach my $database (qw(shop fresh))
	{
		$catalog{$database} = join("\n", map { tr/()//dr } grep { !/^table orm_ext\.\w+ holds / } catalog_of_extension($node, $database));
	}
	is_same(@catalog{qw(shop fresh)}, "$name: the catalogs of the extension are those of a fresh one");
	ask($node, 'postgres', 'DROP DATABASE fresh');
	return;
}

sub is_what_it_was
{
	my ($node, $before, $name) = @_;
	my $after = all_answers($node);

	is_same($after->{answers}, $before->{answers}, "$name: rows, policies, names");
	is($after->{auditor}, $before->{auditor}, "$name: the setting of a role");
	is_same($after->{statements}, $before->{statements}, "$name: what statements do");
	is_like_fresh($node, $name);
	return;
}

# Dump of all databases by the newer major's program, into a new cluster.
sub dump_and_restore
{
	my ($old, $from, $to, $before) = @_;
	my $name = "dump of $from->{name} into $to->{name}";
	my $node = new_cluster($to);
	my $bin = $to->{files}{bindir};

	succeeds("$name: pg_dumpall", "$bin/pg_dumpall", '-d', $old->connstr('postgres'), '-f', "$dumps/all.sql");
	$node->start;
	succeeds("$name: psql", "$bin/psql", '-Xq', '-d', $node->connstr('postgres'), '-f', "$dumps/all.sql");
	is_what_it_was($node, $before, $name);
	is(ask($node, 'shop', 'SELECT count(*) FROM orm_ext.batch_jobs'), 0, "$name: jobs stay behind");

	succeeds("$name: pg_dump", "$bin/pg_dump", '-Fc', '-d', $old->connstr('shop'), '-f', "$dumps/shop");
	ask($node, 'postgres', 'DROP DATABASE shop');
	succeeds("$name: pg_restore", "$bin/pg_restore", '-C', '-d', $node->connstr('postgres'), "$dumps/shop");
	is_what_it_was($node, $before, "$name, custom format");
	$node->stop;
	$node->clean_node;
	return;
}

# pg_upgrade of a cluster that is down; the new one is up.
sub upgrade
{
	my ($old, $from, $to, $before) = @_;
	my $name = "pg_upgrade of $from->{name} to $to->{name}";
	my $node = new_cluster($to);

	chdir $dumps or die "chdir: $!";
	succeeds($name, "$to->{files}{bindir}/pg_upgrade", '--no-sync', '-d', $old->data_dir, '-D', $node->data_dir,
		'-b', $from->{files}{bindir}, '-B', $to->{files}{bindir}, '-s', $node->host, '-p', $old->port, '-P', $node->port);
	chdir '/';
	$node->start;
	is_what_it_was($node, $before, $name);
	is(ask($node, 'shop', script('transactions')), $before->{transactions}, "$name: jobs, and deletions told by their transaction");
	is_same(answers_of_copy($node, 'resume'), $before->{resume}, "$name: a job goes on where it was");
	return $node;
}

note join(', ', map { "PostgreSQL $_->{name}" } @majors);
cmp_ok(scalar @majors, '>=', 2, 'there are majors to go to');

my $oldest = new_cluster($majors[0]);
$oldest->start;
create_database($oldest, 'shop');
ask($oldest, 'shop', 'SELECT orm_ext.preload()');
like(told($oldest, 'shop', script('shop')), qr/\A\S+ ERROR:  22012: division by zero\n.*CALL orm_ext\.batch_resume\(/s,
	'the database is there, with a job that stands still');
unlike(told($oldest, 'shop', script('answers')), qr/ERROR/, '... and can be asked');

my $before = all_answers($oldest);
$before->{transactions} = ask($oldest, 'shop', script('transactions'));
$before->{resume} = answers_of_copy($oldest, 'resume');

# What the rest is compared with is right.
is($before->{auditor}, '13|2', 'two customers are deleted');
is(() = $before->{answers} =~ /^invoice\|/mg, 20 + 15, '... with their invoices, and one more');
is(() = $before->{answers} =~ /^managed\|/mg, 27, 'policies are declared');
like($before->{answers}, qr/^constraint\|invoice\|fk_invoice_customer_id_customer\|/m, 'names follow the templates');
like($before->{transactions}, qr/\|failed\|\d+\|\d+\|division by zero \(row with id = '7'\)$/m, 'a job has failed at a row');
like($before->{resume}, qr/^done\|/m, '... and can go on after it');

my ($old, $from) = ($oldest, $majors[0]);
foreach my $to (@majors[ 1 .. $#majors ])
{
	my $new;

	dump_and_restore($old, $from, $to, $before);
	$old->stop;
	$new = upgrade($old, $from, $to, $before);
	$old->clean_node if $old != $oldest;
	($old, $from) = ($new, $to);
}
$old->stop;
upgrade($oldest, $majors[0], $majors[-1], $before)->stop if @majors > 2;

done_testing();
