<?php
// Arrays, strings, objects in cycles, regular expressions, generators, closures; prints digests.
declare(strict_types=1);

function line(string $name, string ...$parts): void
{
    echo $name, ' ', hash('sha256', implode(',', $parts)), ' ', count($parts), "\n";
}

$table = [];
for ($i = 0; $i < 120000; $i++) {
    $table["key$i"] = str_repeat('v', $i % 250);
}
foreach (array_keys($table) as $n => $key) {
    if ($n % 3 === 0) {
        unset($table[$key]);
    }
}
ksort($table);
line('array', ...array_values($table));
line('serialize', serialize(unserialize(serialize($table))));
line('json', json_encode(json_decode(json_encode($table), true)));

final class Node
{
    public ?Node $next = null;
    public array $items = [];

    public function __construct(public string $name)
    {
    }
}

// Rings, which only the cycle collector frees.
$collected = 0;
for ($round = 0; $round < 300; $round++) {
    $first = $last = new Node("n$round");
    for ($i = 0; $i < 100; $i++) {
        $node = new Node("n$round.$i");
        $node->items = [$last, str_repeat('i', $i)];
        $node->next = $last;
        $last = $node;
    }
    $first->next = $last;
}
unset($first, $last, $node);
gc_collect_cycles();

$text = implode(' ', array_map(fn (int $i): string => 'word' . $i * 7919 % 50021, range(1, 50000)));
line('regex', preg_replace_callback('/(\d)(\d+)/', fn (array $m): string => $m[2] . $m[1], $text));
line('match', (string) preg_match_all('/\b\w+9\b/', $text, $matches), ...$matches[0]);
line('sort', ...(function () use ($text): array {
    $words = explode(' ', $text);
    usort($words, fn (string $a, string $b): int => strlen($a) <=> strlen($b) ?: strcmp($a, $b));
    return $words;
})());

function numbers(int $n): Generator
{
    for ($i = 0; $i < $n; $i++) {
        yield "g$i" => yield_from($i % 5);
    }
}
function yield_from(int $n): string
{
    return str_repeat('y', $n);
}
line('generator', ...array_values(iterator_to_array(numbers(20000))));

$grown = '';
for ($i = 0; $i < 300000; $i++) {
    $grown .= chr(65 + $i % 26) . $i;
}
line('growth', $grown, strrev($grown), (string) similar_text(substr($grown, 0, 2000), substr($grown, 500, 2000)));
$matrix = new SplFixedArray(2000);
for ($i = 0; $i < 2000; $i++) {
    $heap = new SplMinHeap();
    foreach (range(0, 20) as $k) {
        $heap->insert(($i * 31 + $k * 17) % 101);
    }
    $matrix[$i] = $heap->extract();
}
line('spl', ...array_map('strval', $matrix->toArray()));
