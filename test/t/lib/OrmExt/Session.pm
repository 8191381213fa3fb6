# A session that sends single messages of PostgreSQL's protocol and shows the server's replies as
# short strings, so that those of two sessions can be compared.
#
# Messages are collected and sent with the next call of replies() or query():
#
#   my $session = OrmExt::Session->new($node, 'postgres');
#   $session->parse('s', 'SELECT id FROM t WHERE id > $1')->bind('p', 's', 10)->execute('p', 2)->sync;
#   $session->replies;     # ParseComplete, BindComplete, (11), (12), PortalSuspended, Ready I
#   $session->query('BEGIN');                                              # BEGIN, Ready T

package OrmExt::Session;

use strict;
use warnings FATAL => 'all';

# Connect as the server's superuser, or as options{user}; other options go to the server.
sub new
{
	my ($class, $node, $database, %options) = @_;
	my $self = bless { socket => $node->raw_connect, unsent => '' }, $class;
	my $user = delete $options{user} // getpwuid($>);
	my $body = pack('N', 3 << 16);

	$body .= join('', map { "$_\0" } 'user', $user, 'database', $database, %options) . "\0";
	$self->{unsent} = pack('N', 4 + length $body) . $body;
	my @replies = $self->replies;
	die "cannot connect: @replies" if $replies[-1] ne 'Ready I';
	return $self;
}

sub message
{
	my ($self, $type, $body) = @_;

	$self->{unsent} .= $type . pack('N', 4 + length $body) . $body;
	return $self;
}

sub parse { return $_[0]->message('P', "$_[1]\0$_[2]\0" . pack('n', 0)); }

sub bind
{
	my ($self, $portal, $statement, @values) = @_;

	return $self->message('B',
		"$portal\0$statement\0" . pack('n', 0) . pack('n', scalar @values)
		  . join('', map { pack('N/a*', $_) } @values)
		  . pack('n', 0));
}

sub execute { return $_[0]->message('E', "$_[1]\0" . pack('N', $_[2] // 0)); }
sub describe_statement { return $_[0]->message('D', "S$_[1]\0"); }
sub close_portal { return $_[0]->message('C', "P$_[1]\0"); }
sub sync { return $_[0]->message('S', ''); }

# Parse, bind and execute a statement without a name.
sub run
{
	my ($self, $sql, @values) = @_;

	return $self->parse('', $sql)->bind('', '', @values)->execute('');
}

# The replies to a simple query.
sub query
{
	my ($self, $sql) = @_;

	return $self->message('Q', "$sql\0")->replies;
}

# Send what was collected, and return the replies up to the next ReadyForQuery.
sub replies
{
	my ($self) = @_;
	my @replies;

	$self->{socket}->syswrite($self->{unsent}) == length $self->{unsent} or die "cannot send: $!";
	$self->{unsent} = '';
	do
	{
		my ($type, $length) = unpack('a N', $self->receive(5));
		my $reply = describe($type, $self->receive($length - 4));
		push @replies, $reply if defined $reply;
	} until @replies && $replies[-1] =~ /^Ready/;
	return @replies;
}

sub receive
{
	my ($self, $length) = @_;
	my $data = '';

	while (length $data < $length)
	{
		local $SIG{ALRM} = sub { die 'the server does not answer' };
		alarm 60;
		my $count = $self->{socket}->sysread($data, $length - length $data, length $data);
		alarm 0;

		# the end of a child process may interrupt it
		die 'the server closed the connection' if defined $count ? $count == 0 : !$!{EINTR};
	}
	return $data;
}

my %bare = (
	1 => 'ParseComplete',
	2 => 'BindComplete',
	3 => 'CloseComplete',
	n => 'NoData',
	s => 'PortalSuspended',
	I => 'EmptyQuery');

# A message of the server in short, undef where it tells nothing.
sub describe
{
	my ($type, $body) = @_;

	return $bare{$type} if $bare{$type};
	return 'Ready ' . $body if $type eq 'Z';
	return unpack('Z*', $body) if $type eq 'C';
	return '(' . join(',', map { $_ // 'null' } row_values($body)) . ')' if $type eq 'D';
	return 'Columns ' . join(',', column_names($body)) if $type eq 'T';
	return error_text($type, $body) if $type eq 'E' || $type eq 'N';
	return;
}

sub row_values
{
	my ($count, $rest) = unpack('n a*', $_[0]);
	my @values;

	for (1 .. $count)
	{
		my $value;

		(my $length, $rest) = unpack('N a*', $rest);
		($value, $rest) = unpack("a$length a*", $rest) if $length != 0xFFFFFFFF;
		push @values, $value;
	}
	return @values;
}

sub column_names
{
	my ($count, $rest) = unpack('n a*', $_[0]);
	my @names;

	for (1 .. $count)
	{
		(my $name, my $fixed, $rest) = unpack('Z* a18 a*', $rest);
		push @names, $name;
	}
	return @names;
}

sub error_text
{
	my ($type, $body) = @_;
	my %field = map { unpack('a Z*', $_) } grep { length } split /\0/, $body;

	return ($type eq 'E' ? 'ERROR' : 'NOTICE') . " $field{C} $field{M}";
}

1;
