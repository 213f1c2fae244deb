//! Whole reports about stacks of this very process.

use super::programs::Folder;
use crate::report::input::{Amount, Format, Group, Kind, LeakReport, ReportOptions, Totals};
use crate::report::{Session, write};
use serde_json::Value;
use std::{borrow::ToOwned, fs, path::PathBuf, string::String};

const PID: u32 = 4321;

/// An address in libc that looks like a return into `strdup`, and one that looks like one into `getenv`.
fn stacks() -> [[usize; 1]; 2] {
    [[libc::strdup as *const () as usize + 4], [libc::getenv as *const () as usize + 4]]
}

fn options(log_path: &str) -> ReportOptions<'_> {
    ReportOptions { log_path: log_path.as_bytes(), ..ReportOptions::from_config() }
}

fn log_path(folder: &Folder) -> (String, PathBuf) {
    (folder.path("log").to_str().unwrap().to_owned(), folder.path("log.4321"))
}

/// 10 bytes lost in strdup, 500 bytes lost in getenv, and 20,000 reachable.
fn with_report<R>(f: impl FnOnce(&LeakReport<'_>) -> R) -> R {
    let [strdup, getenv] = stacks();
    let group = |kind, bytes, stack, id| {
        let amount = Amount { bytes, blocks: 1 };
        Group { kind, amount, stack, id, objects: &[] }
    };
    let groups = [
        group(Kind::Definite, 10, &strdup[..], 1),
        group(Kind::Indirect, 500, &getenv[..], 2),
        group(Kind::Reachable, 20_000, &getenv[..], 2),
    ];
    let mut totals = Totals::default();
    groups.iter().for_each(|group| totals.add(group.kind, group.amount));
    f(&LeakReport { pid: PID, command: b"demo\0", totals, not_seen: &[], groups: &groups })
}

#[test]
fn stacks_that_differ_beyond_the_depth_are_one_group() {
    let folder = Folder::new("whole-depth");
    let (name, path) = log_path(&folder);
    let [[strdup], [getenv]] = stacks();
    let (first, second) = ([strdup, getenv, strdup], [strdup, strdup, getenv]);
    let group =
        |kind, stack, id, objects| Group { kind, amount: Amount { bytes: 8, blocks: 1 }, stack, id, objects };
    let groups = [
        group(Kind::Definite, &first[..], 1, &[(0x1000, 8)][..]),
        group(Kind::Definite, &second[..], 2, &[(0x2000, 8)][..]),
        group(Kind::Indirect, &second[..], 2, &[(0x3000, 8)][..]),
    ];
    let report = LeakReport {
        pid: PID,
        command: b"demo\0",
        totals: Totals::default(),
        not_seen: &[],
        groups: &groups,
    };
    for (stack_depth, expected) in [(1, &[(16, 1, 2), (8, 1, 1)][..]), (2, &[(8, 2, 1); 3][..])] {
        let format = Format::Json;
        let options = ReportOptions { stack_depth, report_objects: true, format, ..options(&name) };
        Session::new(&options, &[]).write(&report);
        let json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let leaks = json["leaks"].as_array().unwrap();
        let len = |leak: &Value, list: &str| leak[list].as_array().unwrap().len();
        let got = leaks.iter().map(|l| (l["bytes"].as_u64().unwrap(), len(l, "stack"), len(l, "objects")));
        assert_eq!(got.collect::<std::vec::Vec<_>>(), expected);
    }
}

#[test]
fn text_lists_the_largest_first_and_names_libc() {
    let folder = Folder::new("whole-text");
    let (name, path) = log_path(&folder);
    let totals = with_report(|report| write(report, &options(&name), &[]));
    assert_eq!(totals.leaked(), Amount { bytes: 510, blocks: 2 });
    let got = fs::read_to_string(path).unwrap();
    let place = |text| got.find(text).unwrap_or_else(|| panic!("{text} in {got}"));
    assert!(
        place("500 bytes in 1 block is indirectly lost") < place("10 bytes in 1 block is definitely lost")
    );
    assert!(got.contains(" in getenv") && got.contains("libc.so.6+0x"), "{got}");
    assert!(!got.contains("20000 bytes in 1 block is"), "{got}");
    assert!(got.contains("still reachable: 20000 bytes in 1 block\n"), "{got}");
    assert!(got.ends_with("SUMMARY: besom: 510 byte(s) leaked in 2 allocation(s).\n"), "{got}");
}

#[test]
fn json_with_reachable_blocks_and_a_limit() {
    let folder = Folder::new("whole-json");
    let (name, path) = log_path(&folder);
    let options =
        ReportOptions { format: Format::Json, show_reachable: true, max_leaks: 2, ..options(&name) };
    with_report(|report| write(report, &options, &[]));
    let got: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let kinds: std::vec::Vec<_> =
        got["leaks"].as_array().unwrap().iter().map(|leak| leak["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["still_reachable", "indirectly_lost"]);
    assert_eq!(got["leaks_omitted"], 1);
    assert_eq!(got["leaks"][0]["stack"][0]["function"], "getenv");
}

#[test]
fn suppressions_of_file_and_program_move_blocks() {
    let folder = Folder::new("whole-suppressions");
    let (name, path) = log_path(&folder);
    let rules = folder.path("rules");
    fs::write(&rules, "# one\nleak:strdup\n").unwrap();
    let options = ReportOptions { suppressions: rules.to_str().unwrap().as_bytes(), ..options(&name) };
    let totals = with_report(|report| write(report, &options, &[]));
    assert_eq!(totals.get(Kind::Definite), Amount::default());
    assert_eq!(totals.get(Kind::Suppressed), Amount { bytes: 10, blocks: 1 });
    let got = fs::read_to_string(&path).unwrap();
    assert!(got.contains("\n      1         10 strdup\n") && !got.contains("definitely lost, "), "{got}");

    let options = ReportOptions { program_suppressions: b"leak:libc.so", ..options };
    let totals = with_report(|report| write(report, &options, &[]));
    assert!(!totals.any_lost());
    assert_eq!(totals.get(Kind::Reachable).bytes, 20_000);
    let got = fs::read_to_string(&path).unwrap();
    assert!(got.contains("\n      1        500 libc.so\n") && !got.contains("SUMMARY"), "{got}");
}

#[test]
fn a_caller_may_ask_stack_by_stack() {
    let options = ReportOptions { program_suppressions: b"leak:^getenv$", ..ReportOptions::from_config() };
    let [strdup, getenv] = stacks();
    let mut session = Session::new(&options, &[]);
    let amount = Amount { bytes: 1, blocks: 1 };
    assert!(session.suppress(1, &getenv, amount));
    assert!(!session.suppress(2, &strdup, amount));
    assert!(!session.suppress(3, &[], amount));
}

#[test]
fn suppressions_that_cannot_be_read_hide_nothing() {
    let folder = Folder::new("whole-missing");
    let (name, _) = log_path(&folder);
    let options = ReportOptions { suppressions: b"/nowhere/rules", ..options(&name) };
    let totals = with_report(|report| write(report, &options, &[]));
    assert_eq!(totals.leaked(), Amount { bytes: 510, blocks: 2 });
}
