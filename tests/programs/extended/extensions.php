<?php
// Extensions with libraries of their own, which PHP opens with RTLD_DEEPBIND: libxml2, ICU, Oniguruma; prints results.
declare(strict_types=1);

$document = new DOMDocument();
$root = $document->appendChild($document->createElement('root'));
for ($i = 0; $i < 2000; $i++) {
    $root->appendChild($document->createElement("item$i", str_repeat('a', $i % 100)));
}
$text = $document->saveXML();
echo strlen($text), ' ', count(simplexml_load_string($text)->children()), "\n";

$words = ['ä', 'a', 'z', 'o', 'ö'];
(new Collator('de_DE'))->sort($words);
echo implode($words), "\n";
$format = new NumberFormatter('fr_FR', NumberFormatter::DECIMAL);
$numbers = '';
for ($i = 0; $i < 1000; $i++) {
    $numbers .= $format->format($i * 1234.5);
}
echo hash('sha256', $numbers), "\n";
echo normalizer_normalize("e\u{301}"), mb_strtoupper('äöü'), mb_convert_encoding('x', 'UTF-16BE'), "\n";
