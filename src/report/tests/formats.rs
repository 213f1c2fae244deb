//! Text and JSON, word for word.

use crate::leak::suppress::Suppressions;
use crate::report::input::{Amount, Format, Group, Kind, LeakReport, ReportOptions, Totals};
use crate::report::symbolize::{Frame, Stack};
use crate::report::text::View;
use crate::report::{json, text};
use serde_json::Value;
use std::{borrow::ToOwned, string::String, vec};

const OPTIONS: ReportOptions<'_> = ReportOptions {
    format: Format::Text,
    log_path: b"",
    append: false,
    suppressions: b"",
    program_suppressions: b"",
    print_suppressions: true,
    stack_depth: 30,
    max_leaks: 0,
    report_objects: false,
    show_reachable: false,
    print_clean: false,
};

const fn amount(bytes: usize, blocks: usize) -> Amount {
    Amount { bytes, blocks }
}

fn frame(address: usize, function: &str, file: Option<&str>, line: Option<u32>) -> Frame {
    Frame {
        address,
        function: (!function.is_empty()).then(|| function.to_owned()),
        file: file.map(ToOwned::to_owned),
        line,
        module: Some("/bin/demo".into()),
        offset: address & 0xffff,
        ..Frame::default()
    }
}

/// Two inlined functions in one call, one in besom, and one without a name or a module.
fn stack() -> Stack {
    let own = Frame { is_own: true, ..frame(0x7f0000000010, "malloc", None, None) };
    let inner = frame(0x55550000114f, "shapes::inner(int)", Some("/src/demo.cc"), Some(7));
    let outer = frame(0x55550000114f, "main", Some("/src/demo.cc"), None);
    let bare = frame(0x555500002000, "", None, None);
    let nowhere = Frame { address: 0x7f1234567890, offset: 0x7f1234567890, ..Frame::default() };
    Stack::new(vec![[own].into(), [inner, outer].into(), [bare].into(), [nowhere].into()])
}

fn totals() -> Totals {
    let mut totals = Totals::default();
    totals.add(Kind::Definite, amount(300, 3));
    totals.add(Kind::Indirect, amount(1, 1));
    totals.add(Kind::Reachable, amount(72_704, 1));
    totals.add(Kind::Suppressed, amount(40, 2));
    totals
}

fn with_view<R>(objects: bool, omitted: usize, totals: Totals, f: impl FnOnce(&View<'_>) -> R) -> R {
    let groups = [
        Group {
            kind: Kind::Definite,
            amount: amount(300, 3),
            stack: &[],
            id: 1,
            objects: &[(0xc000000000, 100)],
        },
        Group { kind: Kind::Indirect, amount: amount(1, 1), stack: &[], id: 2, objects: &[] },
    ];
    let mut rules = Suppressions::new(b"leak:known_*\nleak:other", b"");
    rules.count(0, 2, 40);
    let report = LeakReport {
        pid: 17,
        command: b"./demo\0--fast\0",
        totals,
        not_seen: &["the registers of thread 21"],
        groups: &groups,
    };
    let listed =
        if totals.any_lost() { vec![(&groups[0], stack()), (&groups[1], Stack::default())] } else { vec![] };
    f(&View { report: &report, listed, omitted, objects, rules: rules.used().collect() })
}

fn text_of(objects: bool, omitted: usize, totals: Totals, options: &ReportOptions<'_>) -> String {
    with_view(objects, omitted, totals, |view| {
        let mut out = String::new();
        text::write(&mut out, view, options).unwrap();
        out
    })
}

#[test]
fn a_text_report() {
    let expected = "
=================================================================
==17==ERROR: besom: detected memory leaks

300 bytes in 3 blocks are definitely lost, allocated from:
    #0 0x55550000114f in shapes::inner(int) /src/demo.cc:7 (/bin/demo+0x114f)
    #1 0x55550000114f in main /src/demo.cc (/bin/demo+0x114f)
    #2 0x555500002000 (/bin/demo+0x2000)
    #3 0x7f1234567890 (<unknown module>)

1 byte in 1 block is indirectly lost, allocated from:
    (the stack is not known)

besom: not seen: the registers of thread 21
-----------------------------------------------------
Suppressions used:
  count      bytes template
      2         40 known_*
-----------------------------------------------------

besom: heap of process 17, ./demo --fast
  definitely lost: 300 bytes in 3 blocks
  indirectly lost: 1 byte in 1 block
    possibly lost: 0 bytes in 0 blocks
  still reachable: 72704 bytes in 1 block
       suppressed: 40 bytes in 2 blocks
SUMMARY: besom: 301 byte(s) leaked in 4 allocation(s).
";
    assert_eq!(text_of(false, 0, totals(), &OPTIONS), expected);
}

#[test]
fn a_text_report_with_objects_and_a_limit() {
    let options = ReportOptions { max_leaks: 2, print_suppressions: false, ..OPTIONS };
    let got = text_of(true, 3, totals(), &options);
    assert!(got.contains("memory leaks\n\nThe 2 top leak(s):\n300 bytes"), "{got}");
    assert!(got.contains("module>)\n\nObjects leaked above:\n0x00c000000000 (100 bytes)\n\n1 byte"), "{got}");
    assert!(got.contains("\nOmitting 3 more leak(s).\n"), "{got}");
    assert!(!got.contains("Suppressions used"), "{got}");
}

#[test]
fn possibly_lost_is_no_error_and_a_clean_program_is_silent() {
    let mut possible = Totals::default();
    possible.add(Kind::Possible, amount(8, 1));
    let got = text_of(false, 0, possible, &OPTIONS);
    assert!(got.contains("==17==WARNING: besom: memory is possibly lost\n"), "{got}");
    assert!(got.ends_with("SUMMARY: besom: 0 byte(s) leaked in 0 allocation(s).\n"), "{got}");

    let silent = ReportOptions { print_suppressions: false, ..OPTIONS };
    assert_eq!(text_of(false, 0, Totals::default(), &silent), "");
    let matched = text_of(false, 0, Totals::default(), &OPTIONS);
    assert!(matched.starts_with("-----") && !matched.contains("SUMMARY"), "{matched}");
    let asked = text_of(false, 0, Totals::default(), &ReportOptions { print_clean: true, ..OPTIONS });
    assert!(asked.contains("==17==besom: no memory is lost\n") && asked.contains("SUMMARY"), "{asked}");
}

#[test]
fn a_json_report() {
    let bytes = with_view(true, 0, totals(), json::document);
    assert_eq!(bytes.iter().filter(|&&b| b == b'\n').count(), 1);
    let got: Value = serde_json::from_slice(&bytes).unwrap();
    let expected = serde_json::json!({
        "version": 1,
        "pid": 17,
        "command": "./demo --fast",
        "definitely_lost": {"bytes": 300, "blocks": 3},
        "indirectly_lost": {"bytes": 1, "blocks": 1},
        "possibly_lost": {"bytes": 0, "blocks": 0},
        "still_reachable": {"bytes": 72704, "blocks": 1},
        "suppressed": {"bytes": 40, "blocks": 2},
        "not_seen": ["the registers of thread 21"],
        "leaks": [
            {"kind": "definitely_lost", "bytes": 300, "blocks": 3, "stack": [
                {"function": "shapes::inner(int)", "file": "/src/demo.cc", "line": 7,
                 "module": "/bin/demo", "offset": 0x114f, "address": "0x55550000114f"},
                {"function": "main", "file": "/src/demo.cc", "line": null,
                 "module": "/bin/demo", "offset": 0x114f, "address": "0x55550000114f"},
                {"function": null, "file": null, "line": null,
                 "module": "/bin/demo", "offset": 0x2000, "address": "0x555500002000"},
                {"function": null, "file": null, "line": null,
                 "module": null, "offset": 0x7f1234567890u64, "address": "0x7f1234567890"},
            ], "objects": [{"address": "0xc000000000", "bytes": 100}]},
            {"kind": "indirectly_lost", "bytes": 1, "blocks": 1, "stack": [], "objects": []},
        ],
        "leaks_omitted": 0,
        "suppressions": [{"pattern": "known_*", "source": "file", "bytes": 40, "blocks": 2}],
    });
    assert_eq!(got, expected);
}

#[test]
fn strange_command_lines_stay_json() {
    let report = LeakReport { pid: 1, command: b"a\xff\"\\\n\0", ..EMPTY };
    let view = View { report: &report, listed: vec![], omitted: 0, objects: false, rules: vec![] };
    let got: Value = serde_json::from_slice(&json::document(&view)).unwrap();
    assert_eq!(got["command"], "a\u{fffd}\"\\\n");
}

const EMPTY: LeakReport<'_> =
    LeakReport { pid: 1, command: b"", totals: Totals::NONE, not_seen: &[], groups: &[] };
