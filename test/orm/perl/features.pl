#!/usr/bin/perl
# DBIx::Class: classes that know of no soft deletion, tables by deploy(), its OptimisticLocking.
#
# Plays what ../table describes, in each of the databases that the arguments name: directly, and
# once more through the pooler, with prepared statements.  Prints one line for each feature:
# database, feature, answer.

use v5.24;
use warnings;

package Library::Author;

use base 'DBIx::Class::Core';

__PACKAGE__->load_components('OptimisticLocking');
__PACKAGE__->table('authors');
__PACKAGE__->add_columns(
	id => { data_type => 'integer', is_auto_increment => 1 },
	email => { data_type => 'text' },
	name => { data_type => 'text' },
	version => { data_type => 'integer', default_value => 1 },
	created_at => { data_type => 'timestamp with time zone', default_value => \'now()' },
	updated_at => { data_type => 'timestamp with time zone', default_value => \'now()' },
	deleted_at => { data_type => 'timestamp with time zone', is_nullable => 1 });
__PACKAGE__->set_primary_key('id');
__PACKAGE__->add_unique_constraint(authors_email_key => ['email']);
__PACKAGE__->optimistic_locking_strategy('version');
__PACKAGE__->has_many(books => 'Library::Book', 'author_id');

package Library::Book;

use base 'DBIx::Class::Core';

__PACKAGE__->table('books');
__PACKAGE__->add_columns(
	id => { data_type => 'integer', is_auto_increment => 1 },
	author_id => { data_type => 'integer' },
	title => { data_type => 'text' },
	price => { data_type => 'integer' },
	pages => { data_type => 'integer', is_nullable => 1 },
	deleted_at => { data_type => 'timestamp with time zone', is_nullable => 1 });
__PACKAGE__->set_primary_key('id');
__PACKAGE__->belongs_to(
	author => 'Library::Author', 'author_id', { on_delete => 'cascade' });

package Library;

use base 'DBIx::Class::Schema';

__PACKAGE__->register_class(Author => 'Library::Author');
__PACKAGE__->register_class(Book => 'Library::Book');

package main;

use JSON::PP;

my @FEATURES = qw(crud relations bulk_delete transactions lock upsert pages);

my $json = JSON::PP->new->allow_nonref;
my $failed = 0;

# The sessions of one client, the second one to see what others see.
my ($schema, $other);

sub connect_to
{
	my ($database, $port, $prepare) = @_;
	my %options = (
		AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0,
		pg_server_prepare => $prepare, auto_savepoint => 1, quote_names => 1);
	($schema, $other) = map {
		Library->connect("dbi:Pg:dbname=$database;host=$ENV{PGHOST};port=$port",
			$ENV{PGUSER}, '', {%options})
	} 1 .. 2;
	return;
}

# Not search(), which in a list is the rows.
sub authors { return $schema->resultset('Author')->search_rs(@_) }
sub books { return $schema->resultset('Book')->search_rs(@_) }
sub email { return lc(shift) . '@example.org' }

# The word, where the action dies of this.
sub refused
{
	my ($word, $message, $action) = @_;
	return $word if !eval { $action->(); 1 } && $@ =~ $message;
	die $@ || "$message was not raised\n";
}

sub taken { return refused('unique', qr/violates unique constraint/, @_) }

# Made, dropped and made again.
sub schema
{
	$schema->deploy;
	$schema->deploy({ add_drop_table => 1 });
	return [ sort map { $schema->source($_)->from } $schema->sources ];
}

sub write_author
{
	my ($name, @titles) = @_;
	my $price = 0;
	return $schema->txn_do(
		sub {
			my $author = authors->create({ email => email($name), name => $name });
			$author->create_related(books => { title => $_, price => ++$price }) for @titles;
			return $author->discard_changes;
		});
}

sub find { return authors->find({ email => email(shift) }, { key => 'authors_email_key' }) }

sub names
{
	return [ authors({ email => [ map { email($_) } @_ ] }, { order_by => 'email' })
		->get_column('name')->all ];
}

sub titles { return [ map { $_->title } @_ ] }

sub crud
{
	write_author($_) for qw(Ann Bob);
	my $ann = find('Ann');
	my @answer = ($ann->name);
	$ann->update({ name => 'Anna' });
	push @answer, find('Ann')->name, $ann->delete ? 1 : 0, find('Ann');
	my $gone = authors({ email => email('Ann') });
	push @answer, $gone->update({ name => 'nobody' }) + 0, $gone->delete + 0;
	write_author('Ann');
	return [ @answer, taken(sub { write_author('Ann') }), names('Ann', 'Bob') ];
}

sub relations
{
	my @every = map { $_->id } write_author(qw(Cyd A B C)), write_author(qw(Dan D)), write_author('Eve');
	books->find({ title => 'B' })->delete;
	my %these = ('me.id' => \@every);
	my @eager = authors(\%these, { prefetch => 'books', order_by => [ 'me.id', 'books.id' ] })->all;
	my $in_order = { order_by => 'id' };
	my $cyd = find('Cyd');
	my @answer = (
		[ map { [ $_->name, titles($_->books) ] } @eager ],
		[ map { [ $_->name, titles($_->search_related('books', undef, $in_order)) ] }
			authors(\%these, $in_order)->all ],
		titles($cyd->search_related('books', undef, $in_order)),
		books->find({ title => 'D' })->author->name);
	$cyd->delete;
	return [
		@answer,
		titles(books({ author_id => \@every })->all),
		refused('foreign key', qr/violates foreign key constraint/,
			sub { books->create({ author_id => $cyd->id, title => 'E', price => 1 }) })
	];
}

sub bulk_delete
{
	my $books = write_author('Fay', map { "F$_" } 1 .. 6)->books;
	my $dear = $books->search({ price => { '>', 4 } });
	return [
		map { $_ + 0 } $dear->delete, $dear->delete,
		$books->search({ price => { '>=', 3 } })->update({ price => \'price * 10' }),
		books({ 'author.name' => 'Fay', price => { '<', 3 } }, { join => 'author' })->delete,
		$books->count, $books->delete, $books->count
	];
}

sub transactions
{
	my $gus = write_author(qw(Gus G1 G2 G3));
	my $books = $gus->books;
	my @answer;
	my $undone = sub {
		my @outside = @_;
		refused('undone', qr/undone/, sub {
			$schema->txn_do(sub {
				$books->delete;
				push @answer, map { $_->count } $books, @outside;
				die "undone\n";
			});
		});
	};
	$undone->($other->resultset('Book')->search_rs({ author_id => $gus->id }));
	push @answer, $books->count;
	$schema->txn_do(sub {
		$books->search({ title => 'G1' })->delete;
		$undone->();
		push @answer, $books->count;
	});
	push @answer, $books->count;
	$schema->txn_do(sub {
		push @answer, taken(sub { write_author('Gus') });
		$books->search({ title => 'G2' })->delete;
	});
	return [ map { /^\d+$/ ? $_ + 0 : $_ } @answer, $books->count ];
}

sub lock
{
	write_author('Hal');
	my $save = sub {
		my ($author, $name) = @_;
		return 'saved' if eval { $author->update({ name => $name }) };
		die $@ unless $@ =~ /row not found/;
		return 'stale';
	};
	my ($mine, $theirs) = (find('Hal'), find('Hal'));
	my @answer = ($save->($theirs, 'theirs'), $save->($mine, 'mine'));
	$mine = find('Hal');
	push @answer, $mine->name;
	return [ @answer, $save->($mine, 'mine'), find('Hal')->name ];
}

sub upsert
{
	my $merge = sub {
		my ($key, $name, $how) = @_;
		authors->${ \($how // 'update_or_create') }(
			{ email => email($key), name => $name }, { key => 'authors_email_key' });
		return find($key)->name;
	};
	my @answer = ($merge->('Ivy', 'Ivy'), $merge->('Ivy', 'Ivy 2'));
	find('Ivy')->delete;
	push @answer, $merge->('Ivy', 'Ivy 3'), $merge->('Ivy', 'nobody', 'find_or_create');
	$merge->('Ivy', 'Ivy 4');
	$merge->('Jan', 'Jan');
	return [ @answer, names('Ivy', 'Jan') ];
}

sub pages
{
	my $kim = write_author('Kim', map { sprintf 'P%02d', $_ } 1 .. 12);
	my $books = $kim->search_related_rs('books', undef, { order_by => 'title', rows => 4 });
	books({ title => [qw(P03 P07)] })->delete;
	my @offset = map { $books->search_rs(undef, { page => $_ }) } 1 .. 3;
	my @keyset;
	my $last = '';
	while (my @page = $books->search({ title => { '>', $last } }))
	{
		push @keyset, titles(@page);
		$last = $page[-1]->title;
	}
	return [ [ map { titles($_->all) } @offset ], $offset[0]->pager->total_entries + 0, \@keyset ];
}

# A row twelve times, which is deleted after the sixth, and made again after the ninth.
sub lookups
{
	my @found;
	write_author('Lea');
	for my $i (1 .. 12)
	{
		my $lea = find('Lea');
		push @found, $lea && $lea->name;
		authors({ email => email('Lea') })->delete if $i == 6;
		write_author('Lea') if $i == 9;
	}
	return \@found;
}

sub tell_answer
{
	my ($database, $feature, $scenario) = @_;
	my $answer = eval { $scenario->() };
	if (!$answer)
	{
		$failed = 1;
		$answer = { error => "$@" };
		say '# ', $@ =~ s/\s*\n\s*/ /gr;
	}
	say join "\t", $database, $feature, $json->encode($answer);
	return $answer;
}

# Everything again, by other sessions in each transaction.
sub play_pooled
{
	my ($database, $answers) = @_;
	connect_to($database, $ENV{ORM_EXT_POOLER_PORT}, ($ENV{ORM_EXT_POOLER_PREPARES} // '') eq 'yes');
	tell_answer($database, 'pgbouncer', sub {
		for my $feature (@FEATURES)
		{
			my $again = $json->encode(main->can($feature)->());
			die "$feature: $again\n" if $again ne $json->encode($answers->{$feature});
		}
		return lookups();
	});
	return;
}

sub play
{
	my $database = shift;
	my %answers;
	connect_to($database, $ENV{PGPORT}, 1);
	tell_answer($database, 'schema', \&schema);
	$answers{$_} = tell_answer($database, $_, main->can($_)) for @FEATURES;
	books->delete;
	authors->delete;
	play_pooled($database, \%answers) if $ENV{ORM_EXT_POOLER_PORT};
	return;
}

$| = 1;
say "# dbix-class $DBIx::Class::VERSION";
say "# dbd-pg $DBD::Pg::VERSION" if require DBD::Pg;
say join "\t", 'note', 'schema', 'By `deploy()`.';
say join "\t", 'note', 'upsert', '`update_or_create()` and `find_or_create()`, which read first.';
play($_) for @ARGV;
exit $failed;
