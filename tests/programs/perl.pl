# Strings of every length in hashes and arrays that grow and shrink; the digests of what comes out.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Storable qw(freeze thaw dclone);
use List::Util qw(sum shuffle reduce);

$| = 1;
my $state = 12345;

# A linear congruential generator (constants of Numerical Recipes): the same numbers in every run.
sub random { $state = ($state * 1664525 + 1013904223) % 4294967296; return int($state / 65536) % $_[0] }

# A hash of 120,000 strings, a third of them deleted and put back longer.
my %words;
for my $i (1 .. 120_000) { $words{"key$i"} = 'x' x random(200) . $i }
for my $i (1 .. 120_000) { delete $words{"key$i"} if $i % 3 == 0 }
for my $i (1 .. 120_000) { $words{"key$i"} .= 'y' x random(300) if $i % 3 != 1 }
print "hash ", scalar(keys %words), " ", md5_hex(join ',', map { "$_=$words{$_}" } sort keys %words), "\n";

# Arrays by push, shift, splice and sort.
my @queue;
for my $i (1 .. 200_000) { push @queue, "item$i"; shift @queue if $i % 2 }
splice @queue, random(scalar @queue), 10, map { [$_, "nested$_"] } 1 .. 20 for 1 .. 500;
my @flat = map { ref $_ ? @$_ : $_ } @queue;
print "array ", scalar(@flat), " ", md5_hex(join ',', sort { length $a <=> length $b or $a cmp $b } @flat), "\n";

# Regular expressions over a large text.
my $text = join ' ', map { chr(97 + random(26)) x (1 + random(9)) . random(1000) } 1 .. 60_000;
my %count;
$count{$1}++ while $text =~ /([a-z]+)\d/g;
(my $turned = $text) =~ s/([a-z]+)(\d+)/$2-\u$1/g;
print "regex ", scalar(keys %count), " ", md5_hex($turned), " ", md5_hex(join ' ', reverse split / /, $text), "\n";

# A tree, its deep copy, its frozen form and back.
sub tree { my $depth = shift; return $depth ? { left => tree($depth - 1), right => [tree($depth - 1), random(100)] } : "leaf" . random(1000) }
sub weight { my $t = shift; return ref $t eq 'HASH' ? weight($t->{left}) + weight($t->{right}) : ref $t eq 'ARRAY' ? sum(map { weight($_) } @$t) : length $t }
my $tree = tree(13);
my $copy = thaw(freeze(dclone($tree)));
print "tree ", weight($tree), " ", weight($copy), "\n";
undef $tree;

# One string grown to 32 MB in small steps, then cut up.
my $grown = '';
$grown .= chr(65 + $_ % 26) x 80 for 1 .. 400_000;
print "growth ", length($grown), " ", md5_hex($grown), " ", scalar(() = $grown =~ /ABC?/g), "\n";

# Children that allocate while the parent does.
my @pids;
for my $n (1 .. 20) {
    my $pid = fork() // die "fork: $!";
    if (!$pid) { my %h = map { $_ => 'z' x $_ } 1 .. 2000; exit(keys(%h) == 2000 ? 0 : 1) }
    push @pids, $pid;
    my @busy = map { 'w' x $_ } 1 .. 1000;
}
my $failed = grep { waitpid($_, 0); $? } @pids;
print "forks ", scalar(@pids), " failed $failed\n";
