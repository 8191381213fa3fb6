# A session as of OrmExt::Session that also speaks the COPY part of the protocol.  The data follows its
# statement at once, as a pipeline does; a server that has refused the statement passes over it.

package OrmExt::Copy;

use strict;
use warnings FATAL => 'all';

use parent 'OrmExt::Session';

# COPY ... FROM STDIN with some pieces of data.
sub copy
{
	my ($self, $sql, @data) = @_;

	$self->message('Q', "$sql\0")->data(@data);
	return $self->copy_done->replies;
}

# The same, given up by the client.
sub copy_failed
{
	my ($self, $sql, $reason, @data) = @_;

	$self->message('Q', "$sql\0")->data(@data);
	return $self->copy_fail($reason)->replies;
}

sub data
{
	my ($self, @data) = @_;

	$self->message('d', $_) for @data;
	return $self;
}

sub copy_done { return $_[0]->message('c', ''); }
sub copy_fail { return $_[0]->message('f', "$_[1]\0"); }

1;
