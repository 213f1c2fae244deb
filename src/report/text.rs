//! The report for people, in LeakSanitizer's manner.

use super::input::{Amount, Group, Kind, LeakReport, ReportOptions};
use super::symbolize::{Frame, Stack};
use crate::leak::suppress::{Rule, Source};
use alloc::{string::String, vec::Vec};
use core::fmt::{Display, Formatter, Result, Write};

/// A report with names, ready to be written.
pub(super) struct View<'a> {
    /// What was found.
    pub(super) report: &'a LeakReport<'a>,
    /// The groups to list, in order, with their stacks.
    pub(super) listed: Vec<(&'a Group<'a>, Stack)>,
    /// How many groups `max_leaks` leaves out.
    pub(super) omitted: usize,
    /// Whether to list every block of these groups.
    pub(super) objects: bool,
    /// The suppressions that matched.
    pub(super) rules: Vec<&'a Rule<'a>>,
}

/// The words of the command line, separated by spaces.
pub(super) fn command_line(command: &[u8]) -> String {
    let words = command.strip_suffix(b"\0").unwrap_or(command);
    String::from_utf8_lossy(words).replace('\0', " ")
}

/// Writes the report. If nothing is lost and `print_clean` is not set, that is only the list of the user's
/// suppressions that matched, and without any nothing at all.
pub(super) fn write(out: &mut impl Write, view: &View<'_>, options: &ReportOptions<'_>) -> Result {
    let totals = &view.report.totals;
    if !totals.any_lost() && !options.print_clean {
        let is_users = view.rules.iter().any(|rule| rule.source != Source::BuiltIn);
        return if is_users { write_suppressions(out, view, options) } else { Ok(()) };
    }
    write_header(out, view)?;
    if options.max_leaks > 0 && !view.listed.is_empty() {
        writeln!(out, "The {} top leak(s):", view.listed.len())?;
    }
    for (group, stack) in &view.listed {
        write_group(out, group, stack, view.objects)?;
    }
    if view.omitted > 0 {
        writeln!(out, "Omitting {} more leak(s).\n", view.omitted)?;
    }
    for sentence in view.report.not_seen {
        writeln!(out, "besom: not seen: {sentence}")?;
    }
    write_suppressions(out, view, options)?;
    write_totals(out, view)
}

fn write_header(out: &mut impl Write, view: &View<'_>) -> Result {
    const RULE: &str = "=================================================================";
    let pid = view.report.pid;
    writeln!(out, "\n{RULE}")?;
    if view.report.totals.leaked().blocks > 0 {
        writeln!(out, "=={pid}==ERROR: besom: detected memory leaks\n")
    } else if view.report.totals.any_lost() {
        writeln!(out, "=={pid}==WARNING: besom: memory is possibly lost\n")
    } else {
        writeln!(out, "=={pid}==besom: no memory is lost\n")
    }
}

fn write_group(out: &mut impl Write, group: &Group<'_>, stack: &Stack, objects: bool) -> Result {
    let be = if group.amount.blocks == 1 { "is" } else { "are" };
    writeln!(out, "{} {be} {}, allocated from:", group.amount, group.kind.words())?;
    let mut count = 0;
    for (number, frame) in stack.frames().enumerate() {
        writeln!(out, "    #{number} {frame}")?;
        count = number + 1;
    }
    if count == 0 {
        writeln!(out, "    (the stack is not known)")?;
    }
    if objects {
        writeln!(out, "\nObjects leaked above:")?;
        for (address, bytes) in group.objects {
            writeln!(out, "{address:#014x} ({bytes} bytes)")?;
        }
    }
    writeln!(out)
}

fn write_suppressions(out: &mut impl Write, view: &View<'_>, options: &ReportOptions<'_>) -> Result {
    const RULE: &str = "-----------------------------------------------------";
    if !options.print_suppressions || view.rules.is_empty() {
        return Ok(());
    }
    writeln!(out, "{RULE}\nSuppressions used:\n  count      bytes template")?;
    for rule in &view.rules {
        let text = String::from_utf8_lossy(rule.text);
        let origin = if rule.source == Source::BuiltIn { " (built in)" } else { "" };
        writeln!(out, "{:7} {:10} {text}{origin}", rule.blocks, rule.bytes)?;
    }
    writeln!(out, "{RULE}\n")
}

fn write_totals(out: &mut impl Write, view: &View<'_>) -> Result {
    let report = view.report;
    writeln!(out, "besom: heap of process {}, {}", report.pid, command_line(report.command))?;
    for kind in Kind::ALL {
        writeln!(out, "  {:>15}: {}", kind.words(), report.totals.get(kind))?;
    }
    let Amount { bytes, blocks } = report.totals.leaked();
    writeln!(out, "SUMMARY: besom: {bytes} byte(s) leaked in {blocks} allocation(s).")
}

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let plural = |n| if n == 1 { "" } else { "s" };
        let (bytes, blocks) = (self.bytes, self.blocks);
        write!(f, "{bytes} byte{} in {blocks} block{}", plural(bytes), plural(blocks))
    }
}

/// `0xADDRESS in FUNCTION FILE:LINE (MODULE+0xOFFSET) (unloaded)`, without what is not known or not so.
impl Display for Frame {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:#014x}", self.address)?;
        if let Some(function) = &self.function {
            write!(f, " in {function}")?;
        }
        if let Some(file) = &self.file {
            write!(f, " {file}")?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
        }
        match &self.module {
            Some(module) => write!(f, " ({module}+{:#x})", self.offset)?,
            None => f.write_str(" (<unknown module>)")?,
        }
        if self.is_unloaded { f.write_str(" (unloaded)") } else { Ok(()) }
    }
}
