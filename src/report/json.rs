//! The report for programs. `docs/leak-report.md` explains every field; a change that could break a reader
//! raises [`VERSION`].

use super::input::{Amount, Group, Kind};
use super::symbolize::Frame;
use super::text::{View, command_line};
use crate::leak::suppress::Rule;
use alloc::{borrow::Cow, string::String, vec::Vec};
use serde::{Serialize, Serializer};

/// The version of the schema.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    pid: u32,
    command: String,
    definitely_lost: Total,
    indirectly_lost: Total,
    possibly_lost: Total,
    still_reachable: Total,
    suppressed: Total,
    not_seen: &'a [&'a str],
    leaks: Vec<Leak<'a>>,
    leaks_omitted: usize,
    suppressions: Vec<Suppression<'a>>,
}

#[derive(Serialize)]
struct Total {
    bytes: usize,
    blocks: usize,
}

#[derive(Serialize)]
struct Leak<'a> {
    kind: &'static str,
    bytes: usize,
    blocks: usize,
    stack: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<Object>>,
}

#[derive(Serialize)]
struct Object {
    #[serde(serialize_with = "hexadecimal")]
    address: usize,
    bytes: usize,
}

#[derive(Serialize)]
struct Call<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    module: Option<&'a str>,
    offset: usize,
    #[serde(serialize_with = "hexadecimal")]
    address: usize,
    #[serde(skip_serializing_if = "is_false")]
    unloaded: bool,
}

#[derive(Serialize)]
struct Suppression<'a> {
    pattern: Cow<'a, str>,
    source: &'static str,
    bytes: usize,
    blocks: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn hexadecimal<S: Serializer>(address: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{address:#x}"))
}

impl From<Amount> for Total {
    fn from(Amount { bytes, blocks }: Amount) -> Self {
        Self { bytes, blocks }
    }
}

impl<'a> Leak<'a> {
    fn new(group: &Group<'_>, frames: impl Iterator<Item = &'a Frame>, objects: bool) -> Self {
        let Amount { bytes, blocks } = group.amount;
        let all = || group.objects.iter().map(|&(address, bytes)| Object { address, bytes }).collect();
        let stack = frames.map(Call::new).collect();
        Self { kind: group.kind.identifier(), bytes, blocks, stack, objects: objects.then(all) }
    }
}

impl<'a> Call<'a> {
    fn new(frame: &'a Frame) -> Self {
        Self {
            function: frame.function.as_deref(),
            file: frame.file.as_deref(),
            line: frame.line,
            module: frame.module.as_deref(),
            offset: frame.offset,
            address: frame.address,
            unloaded: frame.is_unloaded,
        }
    }
}

impl<'a> Suppression<'a> {
    fn new(rule: &'a Rule<'a>) -> Self {
        let pattern = String::from_utf8_lossy(rule.text);
        Self { pattern, source: rule.source.name(), bytes: rule.bytes, blocks: rule.blocks }
    }
}

/// The report as one line of JSON with its newline. A failure of the encoder, which only knows maps with
/// strange keys and no memory, is a document that says so.
pub(super) fn document(view: &View<'_>) -> Vec<u8> {
    let report = view.report;
    let total = |kind| report.totals.get(kind).into();
    let document = Document {
        version: VERSION,
        pid: report.pid,
        command: command_line(report.command),
        definitely_lost: total(Kind::Definite),
        indirectly_lost: total(Kind::Indirect),
        possibly_lost: total(Kind::Possible),
        still_reachable: total(Kind::Reachable),
        suppressed: total(Kind::Suppressed),
        not_seen: report.not_seen,
        leaks: view
            .listed
            .iter()
            .map(|(group, stack)| Leak::new(group, stack.frames(), view.objects))
            .collect(),
        leaks_omitted: view.omitted,
        suppressions: view.rules.iter().map(|rule| Suppression::new(rule)).collect(),
    };
    let mut bytes = serde_json::to_vec(&document).unwrap_or_else(|error| {
        alloc::format!("{{\"version\":{VERSION},\"error\":\"{error}\"}}").into_bytes()
    });
    bytes.push(b'\n');
    bytes
}
