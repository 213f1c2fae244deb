//! The README's table of options is the source's: what `help=1` prints.

mod common;

use common::{root, shared_library};
use std::process::Command;

/// The line above the table's first row.
const HEADER: &str = "| option | default | value | meaning |";

/// The table as a program under preload prints it, in Markdown.
fn printed() -> Vec<String> {
    let output = Command::new("/bin/true")
        .env("LD_PRELOAD", shared_library())
        .env("BESOM_OPTIONS", "help=1")
        .output()
        .expect("/bin/true runs");
    let text = String::from_utf8(output.stderr).expect("help is text");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("besom: options in BESOM_OPTIONS=key=value:key=value"));
    lines.map(row_of).collect()
}

/// `besom:   NAME=DEFAULT  VALUE: MEANING` as a row of the table.
fn row_of(line: &str) -> String {
    let parts = line.strip_prefix("besom:   ").and_then(|line| {
        let (option, rest) = line.split_once("  ")?;
        let ((name, default), (value, meaning)) = (option.split_once('=')?, rest.split_once(": ")?);
        Some(format!("| `{name}` | {default} | {value} | {meaning} |"))
    });
    parts.unwrap_or_else(|| panic!("a line of help that names no option: {line}"))
}

/// The rows of the table in the README.
fn documented() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let rows = readme.lines().skip_while(|line| *line != HEADER).skip(2);
    rows.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

#[test]
fn the_readme_lists_every_option_as_the_source_does() {
    let (printed, documented) = (printed(), documented());
    assert!(printed.len() > 20, "help names the options: {printed:?}");
    assert!(
        printed == documented,
        "the table in README.md should be:\n{HEADER}\n|---|---|---|---|\n{}",
        printed.join("\n")
    );
}

#[test]
fn a_line_of_help_becomes_a_row() {
    let row = row_of("besom:   thp=auto  never, auto or always: huge pages: never, or always");
    assert_eq!(row, "| `thp` | auto | never, auto or always | huge pages: never, or always |");
    assert_eq!(row_of("besom:   log_path=  text: a file"), "| `log_path` |  | text | a file |");
}
