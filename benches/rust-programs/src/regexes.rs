//! Compiles many regular expressions and matches them.

use crate::Random;
use regex::Regex;
use std::hint::black_box;

/// `amount` times 40 different expressions, each compiled and run over a text; operations are expressions.
pub fn run(amount: usize) -> usize {
    let text = text();
    let mut done = 0;
    for round in 0..amount {
        for kind in 0..40 {
            let expression = Regex::new(&pattern(kind, round)).expect("every pattern is valid");
            let found: Vec<String> =
                expression.find_iter(&text).take(100).map(|m| m.as_str().to_string()).collect();
            black_box(found);
            done += 1;
        }
    }
    done
}

fn pattern(kind: usize, round: usize) -> String {
    match kind % 5 {
        0 => format!(r"\b(?i:word{kind}|name{round}|[a-f]{{{},12}})\b", 3 + kind % 4),
        1 => format!(r"(?P<key>[a-z]+){}=(?P<value>[0-9]+)", kind % 10),
        2 => format!(r"([a-z]+\s){{{}}}[0-9]{{2,5}}", 2 + kind % 3),
        3 => format!(r"\p{{Lu}}\w*{}|\d+\.\d+", kind % 7),
        _ => format!(r"(?x) ^ \s* (?: {kind} | [x-z]+ ) (?: - [0-9]+ )? "),
    }
}

fn text() -> String {
    let mut random = Random::new(2);
    let words = ["alpha", "Beta", "word7", "key3=17", "12.5", "deadbeef", "name1", "omega 345"];
    (0..2000).map(|_| words[random.below(words.len())]).collect::<Vec<_>>().join(" ")
}
