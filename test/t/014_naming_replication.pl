# Naming conventions and replication: a hot standby answers as its primary does, and a subscriber
# applies changes whatever its own conventions are.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/lib";

use OrmExt::Naming;
use OrmExt::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = q(
autovacuum = off
session_preload_libraries = 'orm_ext'
orm_ext.naming_check = 'error');
my $primary = new_node('primary', "$conf\nwal_level = logical", allows_streaming => 'logical');

create_database($primary, 'app');
ask($primary, 'app', q(SET orm_ext.naming_fill = off; SET orm_ext.naming_check = off; SET client_min_messages = warning;)
	  . wild_schema($primary->pg_version) . strange_templates());

note 'a hot standby';

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Questions that a read-only session may ask.
my %question = (
	'expected_name()' => q(
		SELECT orm_ext.expected_name('ix', '"Wild ""one""".account', '{code,region}'), orm_ext.expected_name('pk', '"Wild ""one""".account'),
			orm_ext.expected_name('fk', '"Wild ""one""".entry', '{account_id}', NULL, '"Wild ""one""".account', '{id}'),
			orm_ext.expected_name('ck', '"Wild ""one""".entry', '{account_id}', 'positive')),
	'naming_preset()' => q(SELECT * FROM orm_ext.naming_preset('all_columns')),
	'naming_audit()' => q(SELECT * FROM orm_ext.naming_audit() AS a ORDER BY a::text),
	'naming_violations' => q(SELECT * FROM orm_ext.naming_violations AS v ORDER BY v::text),
	'naming_plan()' => q(SELECT * FROM orm_ext.naming_plan('Wild "one"')),
	'lint()' => q(SELECT * FROM orm_ext.lint('Wild "one"') AS l ORDER BY l::text),
	'naming_exemption' => q(SELECT * FROM orm_ext.naming_exemption));

sub same_answers
{
	my ($name) = @_;

	$primary->wait_for_catchup($standby);
	for my $what (sort keys %question)
	{
		is(ask($standby, 'app', $question{$what}), ask($primary, 'app', $question{$what}), "$name: $what");
	}
	return;
}

for my $what (sort keys %question)
{
	isnt(ask($primary, 'app', $question{$what}), '', "$what has an answer");
}
same_answers('standby');
is(told($standby, 'app', q(CALL orm_ext.apply_naming('Wild "one"'))), told($primary, 'app', q(CALL orm_ext.apply_naming('Wild "one"'))),
	'standby: apply_naming() shows what it would do');
like(told($standby, 'app', q(CALL orm_ext.apply_naming('Wild "one"', false))), qr/ERROR:  25006/, '... and cannot do it');
like(told($standby, 'app', $_), qr/ERROR:  25006: cannot execute/, "standby: no $_")
  for 'CREATE INDEX ON "Wild ""one""".account (code)', 'ALTER TABLE "Wild ""one""".account ADD UNIQUE (kind)',
  'ALTER TABLE "Wild ""one""".account RENAME TO x', q(SELECT orm_ext.use_naming('none')), 'SELECT orm_ext.naming_baseline()';

# What the primary does to templates counts on the standby too.
ask($primary, 'app', q(UPDATE orm_ext.naming_template SET template = 'other_%(table_name)s' WHERE kind = 'pk'));
same_answers('standby, another template');
is(ask($standby, 'app', q(SELECT orm_ext.expected_name('pk', '"Wild ""one""".account'))), 'other_account', '... which counts there');

note 'logical replication';

my $subscriber = new_node('subscriber', $conf);
my $publish = q(
	CREATE TABLE item (id int CONSTRAINT "Bad PK" PRIMARY KEY, v text CONSTRAINT "Bad UQ" UNIQUE, n int CONSTRAINT "Bad CK" CHECK (n > 0));
	CREATE INDEX "Bad IX" ON item (n);
	CREATE TABLE part (id int, CONSTRAINT "Bad part" PRIMARY KEY (id)) PARTITION BY RANGE (id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
);

create_database($subscriber, 'copy');
ask($subscriber, 'copy', strange_templates());
for ([ $primary, 'app' ], [ $subscriber, 'copy' ])
{
	ask(@$_, "SET orm_ext.naming_check = off; SET orm_ext.naming_fill = off; $publish");
}
ask($primary, 'app', q(
	INSERT INTO item SELECT i, 'v' || i, i FROM generate_series(1, 5) AS i;
	INSERT INTO part SELECT generate_series(1, 5);
	CREATE PUBLICATION pub FOR TABLE item, part;));
my $names = names_of($subscriber, 'copy');
my $offset = -s $subscriber->logfile;
ask($subscriber, 'copy', sprintf(q(CREATE SUBSCRIPTION sub CONNECTION '%s' PUBLICATION pub), $primary->connstr('app') =~ s/'/''/gr));
$subscriber->wait_for_subscription_sync($primary, 'sub', 'copy');

my $rows = q(SELECT i::text FROM item AS i ORDER BY id; SELECT p::text FROM part AS p ORDER BY id);

sub same_rows
{
	my ($name) = @_;

	$primary->wait_for_catchup('sub');
	is(ask($subscriber, 'copy', $rows), ask($primary, 'app', $rows), "subscriber: $name");
	return;
}

same_rows('initial copy');
ask($primary, 'app', q(
	INSERT INTO item VALUES (6, 'v6', 6);
	UPDATE item SET v = 'changed' WHERE id = 1;
	UPDATE item SET id = 20 WHERE id = 2;
	DELETE FROM item WHERE id = 3;
	INSERT INTO part VALUES (50);
	DELETE FROM part WHERE id = 1;));
same_rows('changes');
ask($primary, 'app', 'CALL orm_ext.apply_naming(NULL, false); INSERT INTO item VALUES (7, \'v7\', 7)');
same_rows('changes after the publisher\'s names have changed');
is(names_of($subscriber, 'copy'), $names, '... while those of the subscriber stay');
ask($subscriber, 'copy', 'CALL orm_ext.apply_naming(NULL, false)');
isnt(names_of($subscriber, 'copy'), $names, 'the subscriber\'s names change');
ask($primary, 'app', q(UPDATE item SET v = 'again' WHERE id = 7; TRUNCATE part; INSERT INTO part VALUES (60)));
same_rows('changes after the subscriber\'s names have changed');
unlike(slurp_file($subscriber->logfile, $offset), qr/42602|naming convention/, 'no worker was told anything');

note 'the standby becomes a primary';

$primary->wait_for_catchup($standby);
$standby->promote;
is(ask($standby, 'app', q(
		CREATE TABLE fresh (a int PRIMARY KEY, b int);
		CREATE INDEX ON fresh (b);
		SELECT string_agg(indexname, ' ' ORDER BY indexname COLLATE "C") FROM pg_indexes WHERE tablename = 'fresh')),
	'ix_public_fresh_b other_fresh', 'names are given');
like(told($standby, 'app', 'CREATE INDEX odd ON fresh (a)'), qr/ERROR:  42602/, '... and checked');

$_->stop for $subscriber, $standby, $primary;
done_testing();
