# Hashes, arrays and strings: perl tables.pl AMOUNT
use strict;
use warnings;

my $amount = shift // 1;
my $total = 0;
for my $round (1 .. $amount) {
    my (%groups, @rows);
    for my $number (1 .. 60_000) {
        my $key = "key" . ($number * 7919 % 4001);
        push @{ $groups{$key} }, { id => $number, name => "name $number" };
        push @rows, join(",", $number, $key, "x" x ($number % 40));
    }
    for my $row (@rows) {
        my @fields = split /,/, $row;
        $total += length $fields[2] // 0;
    }
    for my $key (sort keys %groups) {
        my $text = join ";", map { $_->{name} } @{ $groups{$key} };
        $text =~ s/name (\d)/n$1/g;
        $total += length $text;
    }
    delete @groups{ (keys %groups)[ 0 .. 2000 ] };
    $total += keys %groups;
}
print "$total\n";
