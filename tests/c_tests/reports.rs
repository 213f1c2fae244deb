//! Leak reports: those that a program must write, and those that it wrote.
//!
//! `expect-leaks: definitely=40/1 indirectly=80/2` expects one report with 40 bytes in 1 block definitely and
//! 80 bytes in 2 blocks indirectly lost. `definitely`, `indirectly` and `possibly` are 0/0 if not said;
//! `reachable` and `suppressed` are compared only if said, for the C library has blocks of its own. A
//! program with several such lines writes that many reports, from one process or several, in any order.
//!
//! The reports are JSON, in files beside the program's other output.

use crate::compile::output_directory;
use crate::directives::Directives;
use crate::launch::Outcome;
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;

/// The names in directives and those in JSON.
const KINDS: [(&str, &str); 5] = [
    ("definitely", "definitely_lost"),
    ("indirectly", "indirectly_lost"),
    ("possibly", "possibly_lost"),
    ("reachable", "still_reachable"),
    ("suppressed", "suppressed"),
];
/// So many of them are always compared.
const ALWAYS_COMPARED: usize = 3;

/// Bytes and blocks.
type Amount = (u64, u64);

/// What one report must say: an amount for each kind, or `None` if any will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Expected([Option<Amount>; KINDS.len()]);

impl Expected {
    /// Reads a directive's value; `none` is no report.
    pub(crate) fn read(value: &str) -> Option<Self> {
        if value == "none" {
            return None;
        }
        let mut amounts = [None; KINDS.len()];
        amounts[..ALWAYS_COMPARED].fill(Some((0, 0)));
        for word in value.split_whitespace() {
            let (kind, amount) = word.split_once('=').unwrap_or_else(|| panic!("expect-leaks: {word}"));
            let (bytes, blocks) = amount.split_once('/').unwrap_or_else(|| panic!("expect-leaks: {word}"));
            let place = KINDS.iter().position(|(name, _)| *name == kind);
            amounts[place.unwrap_or_else(|| panic!("expect-leaks: {kind}"))] =
                Some((bytes.parse().unwrap(), blocks.parse().unwrap()));
        }
        Some(Self(amounts))
    }

    fn is_met_by(&self, report: &Report) -> bool {
        self.0.iter().zip(&report.amounts).all(|(expected, found)| expected.is_none_or(|e| e == *found))
    }

    fn is_leak(&self) -> bool {
        self.0[..2].iter().flatten().any(|(_, blocks)| *blocks > 0)
    }
}

/// A report that a process wrote.
#[derive(Debug)]
pub(crate) struct Report {
    amounts: [Amount; KINDS.len()],
    json: Value,
}

impl Report {
    fn read(line: &str) -> Self {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON: {e}: {line}"));
        assert_eq!(json["version"], 1, "{line}");
        let amounts = KINDS.map(|(_, name)| {
            let number = |what: &str| json[name][what].as_u64().unwrap_or_else(|| panic!("{name}: {line}"));
            (number("bytes"), number("blocks"))
        });
        Self { amounts, json }
    }

    /// The functions of all stacks.
    fn functions(&self) -> impl Iterator<Item = &str> {
        let leaks = self.json["leaks"].as_array().into_iter().flatten();
        let frames = leaks.flat_map(|leak| leak["stack"].as_array().into_iter().flatten());
        frames.filter_map(|frame| frame["function"].as_str())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = KINDS.iter().zip(&self.amounts).map(|((name, _), (b, n))| format!("{name}={b}/{n}"));
        writeln!(f, "pid {}: {}", self.json["pid"], kinds.collect::<Vec<_>>().join(" "))?;
        for leak in self.json["leaks"].as_array().into_iter().flatten() {
            let frames = leak["stack"].as_array().into_iter().flatten();
            let names: Vec<_> = frames.map(|frame| frame["function"].as_str().unwrap_or("?")).collect();
            let (kind, bytes, blocks) = (&leak["kind"], &leak["bytes"], &leak["blocks"]);
            writeln!(f, "  {kind} {bytes} bytes in {blocks} blocks: {}", names.join(" < "))?;
        }
        writeln!(f, "  not seen: {}", self.json["not_seen"])
    }
}

/// What leak mode adds to `BESOM_OPTIONS`, for a program that expects something of it.
pub(crate) fn options(directives: &Directives, label: &str) -> Option<String> {
    let path = output_directory().join(label);
    match directives.text_reports {
        true => Some("leak=1".into()),
        false => {
            directives.leaks.as_ref().map(|_| format!("leak=1:report=json:log_path={}.leaks", path.display()))
        }
    }
}

/// The files of reports, one for each process.
fn files(label: &str) -> impl Iterator<Item = PathBuf> {
    let prefix = format!("{label}.leaks.");
    let entries = std::fs::read_dir(output_directory()).unwrap().flatten();
    entries
        .filter(move |file| file.file_name().to_string_lossy().starts_with(&prefix))
        .map(|file| file.path())
}

/// Removes what an earlier run that was broken off has left.
pub(crate) fn clear(label: &str) {
    files(label).for_each(|file| std::fs::remove_file(file).unwrap());
}

/// The reports of all processes. Their files stay if they can't be read, for a look at them.
pub(crate) fn collect(label: &str) -> Vec<Report> {
    let texts = files(label).map(|file| std::fs::read_to_string(file).unwrap());
    let reports = texts.flat_map(|text| text.lines().map(Report::read).collect::<Vec<_>>()).collect();
    clear(label);
    reports
}

/// The exit status if the header says nothing: 23 if the one report expected has something lost.
pub(crate) fn usual_exit(directives: &Directives) -> i32 {
    match directives.leaks.as_deref() {
        Some([one]) if one.is_leak() => 23,
        _ => 0,
    }
}

/// Compares the reports with those expected.
pub(crate) fn compare(outcome: &Outcome, directives: &Directives) -> Result<(), String> {
    let Some(expected) = &directives.leaks else { return Ok(()) };
    let found = &outcome.reports;
    if !directives.some_reports && found.len() != expected.len() {
        return Err(format!("{} reports instead of {}", found.len(), expected.len()));
    }
    for report in found {
        if !expected.iter().any(|one| one.is_met_by(report)) {
            return Err(format!("not expected: {report}"));
        }
    }
    for one in expected {
        let wanted = if directives.some_reports { 1 } else { expected.iter().filter(|e| *e == one).count() };
        if found.iter().filter(|report| one.is_met_by(report)).count() < wanted {
            return Err(format!("missing: {one:?}"));
        }
    }
    for name in &directives.functions {
        if !found.iter().flat_map(Report::functions).any(|function| function == name) {
            return Err(format!("no stack has the function {name}"));
        }
    }
    Ok(())
}

#[test]
fn expectations_are_read() {
    let expected = Expected::read("definitely=40/1 suppressed=8/2").unwrap();
    assert_eq!(expected.0, [Some((40, 1)), Some((0, 0)), Some((0, 0)), None, Some((8, 2))]);
    assert!(expected.is_leak() && Expected::read("none").is_none());
}
