# A PostgreSQL installation of a test's own, to which it can add versions of the extension: links to
# the installed files, and copies of the programs that find the rest by where they are themselves.

package OrmExt::Installation;

use strict;
use warnings FATAL => 'all';

use File::Basename;
use File::Copy;
use File::Path qw(make_path);

# The installation of $pg_config below $dir.
sub new
{
	my ($class, $pg_config, $dir) = @_;
	my %at = map { chomp(my $path = `'$pg_config' --$_`); $_ => $path } qw(bindir sharedir pkglibdir);
	my $self = bless { map { $_ => "$dir$at{$_}" } keys %at }, $class;

	link_entries($at{bindir}, $self->{bindir}, qw(postgres initdb pg_ctl));
	link_entries($at{pkglibdir}, $self->{pkglibdir});
	link_entries($at{sharedir}, $self->{sharedir}, 'extension');
	link_entries("$at{sharedir}/extension", $self->extensions);
	copy_program("$at{bindir}/$_", $self->{bindir}) for qw(postgres initdb pg_ctl);
	return $self;
}

# Links to all that a folder holds, but for some names.
sub link_entries
{
	my ($from, $to, @but) = @_;

	make_path($to);
	foreach my $entry (glob("$from/*"))
	{
		my $name = basename($entry);

		next if -e "$to/$name" || grep { $_ eq $name } @but;
		symlink($entry, "$to/$name") or die "cannot link $entry: $!";
	}
	return;
}

sub copy_program
{
	my ($program, $to) = @_;

	copy($program, $to) && chmod(0755, "$to/" . basename($program)) or die "cannot copy $program: $!";
	return;
}

# Where the scripts of extensions are.
sub extensions { return $_[0]{sharedir} . '/extension'; }

# What PostgreSQL::Test::Cluster takes as install_path.
sub path { return dirname($_[0]{bindir}); }

# Write a file of the extension, instead of a link of that name.
sub write_file
{
	my ($self, $name, $text) = @_;
	my $file = $self->extensions . "/$name";

	unlink $file;
	open(my $out, '>', $file) or die "cannot write $file: $!";
	print $out $text;
	close($out) or die "cannot write $file: $!";
	return;
}

# Remove all files of the extension.
sub remove_files
{
	my ($self) = @_;

	unlink glob($self->extensions . '/orm_ext[.-]*');
	return;
}

1;
