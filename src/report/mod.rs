//! Leak reports: from groups of lost blocks to text or JSON.
//!
//! Runs in the process that was forked for the check, after marking: other threads of the program may have
//! held any lock when it was born, so nothing here calls libc, and memory comes from that process's own
//! arena.
//!
//! 1. [`Session::new`] compiles the suppressions and reads the list of modules (`modules`).
//! 2. [`Session::suppress`] decides stack by stack whether a suppression hides it. The caller may then mark
//!    again from the suppressed blocks, since what only they hold is no leak to report either.
//! 3. [`Session::write`] sorts the groups, names the frames (`symbolize` and the files it uses: `elf`,
//!    `debug_file`, `dwarf`, `symbols`, `demangle`, `own`) and writes text (`text`) or JSON (`json`) to
//!    where the options say (`output`).
//!
//! [`write()`] does all three, without marking again.

mod debug_file;
mod demangle;
mod dwarf;
mod elf;
mod files;
mod input;
mod json;
mod lazy_section;
mod modules;
mod output;
mod own;
mod symbolize;
mod symbols;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use elf::functions_in;
pub(crate) use input::{Amount, Format, Group, Kind, LeakReport, ReportOptions, SeenModule, Totals};

use crate::config::Ascii;
use crate::leak::suppress::{FrameNames, Suppressions};
use crate::sys::message::say;
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, btree_map::Entry};
use alloc::vec::Vec;
use core::cmp::Reverse;
use output::Output;
use symbolize::{Stack, Symbolizer};
use text::View;

/// The writing of one report.
pub(crate) struct Session<'a> {
    options: &'a ReportOptions<'a>,
    symbolizer: Symbolizer,
    suppressions: Suppressions<'a>,
}

impl<'a> Session<'a> {
    /// Reads the suppressions and the modules of this process; `seen` are those its stacks lie in, in the order
    /// they were met, as far as known. A file of suppressions that can't be read is said, and the report goes on
    /// without.
    pub(crate) fn new(options: &'a ReportOptions<'a>, seen: &[SeenModule<'_>]) -> Self {
        let rules = read_suppressions(options.suppressions);
        Self {
            options,
            symbolizer: Symbolizer::new(seen).with_depth(options.stack_depth),
            suppressions: Suppressions::new(rules, options.program_suppressions),
        }
    }

    /// Whether a suppression hides what `stack`, of number `id`, allocated. If so, `amount` goes to its account.
    pub(crate) fn suppress(&mut self, id: usize, stack: &[usize], amount: Amount) -> bool {
        let found = self.find_suppression(id, stack);
        if let Some(rule) = found {
            self.suppressions.count(rule, amount.blocks, amount.bytes);
        }
        found.is_some()
    }

    /// Most processes have nothing to report but what the built-in rules hide: then no debug information
    /// is read, which would take longer than all the rest of a check.
    fn find_suppression(&mut self, id: usize, stack: &[usize]) -> Option<usize> {
        if !self.suppressions.are_built_in() {
            return self.suppressions.find(names(&self.symbolizer.stack(id, stack)));
        }
        let caller = self.symbolizer.module_paths(id, stack).next();
        caller
            .and_then(|module| self.suppressions.find_by_module(module))
            .or_else(|| self.suppressions.find(names(&self.symbolizer.brief_stack(id, stack))))
    }

    /// The groups as they are shown: those that differ only in frames beyond the depth are one.
    fn merged<'g>(&mut self, groups: impl Iterator<Item = &'g Group<'g>>) -> Vec<Merged<'g>> {
        let mut merged: BTreeMap<_, Merged<'g>> = BTreeMap::new();
        for group in groups {
            let stack = self.symbolizer.shown(group.id, group.stack);
            let calls = stack.iter().map(|&address| self.symbolizer.identity(group.id, address));
            match merged.entry((group.kind, calls.collect::<Vec<_>>())) {
                Entry::Vacant(place) => {
                    place.insert((Group { stack, ..*group }, Cow::Borrowed(group.objects)));
                }
                Entry::Occupied(place) => {
                    let (sum, objects) = place.into_mut();
                    sum.amount = sum.amount.plus(group.amount);
                    objects.to_mut().extend_from_slice(group.objects);
                }
            }
        }
        merged.into_values().collect()
    }

    /// Writes the report. Groups of kind `Suppressed` are not listed, reachable ones only if asked for. Whether there
    /// was anything to write.
    pub(crate) fn write(&mut self, report: &LeakReport<'_>) -> bool {
        let options = self.options;
        let asked = |group: &&Group<'_>| {
            group.kind.is_lost() || (options.show_reachable && group.kind == Kind::Reachable)
        };
        let merged = self.merged(report.groups.iter().filter(asked));
        let groups = merged.iter().map(|(group, objects)| Group { objects, ..*group });
        let groups: Vec<Group<'_>> = groups.collect();
        let mut listed: Vec<&Group<'_>> = groups.iter().collect();
        listed.sort_by_key(|group| (Reverse(group.amount.bytes), group.kind, group.id));
        let all = listed.len();
        if options.max_leaks > 0 {
            listed.truncate(options.max_leaks);
        }
        let view = View {
            report,
            omitted: all - listed.len(),
            listed: listed
                .into_iter()
                .map(|group| (group, self.symbolizer.stack(group.id, group.stack)))
                .collect(),
            objects: options.report_objects,
            rules: self.suppressions.used().collect(),
        };
        // Last, so that little can go wrong with the file open.
        let mut output = Output::new(options.log_path, report.pid, options.append);
        match options.format {
            Format::Text => {
                // Writing to an `Output` never fails: it keeps its error for the end.
                let _ = text::write(&mut output, &view, options);
            }
            Format::Json => output.write_bytes(&json::document(&view)),
        }
        output.finish()
    }
}

/// A group and the blocks of all those that are part of it.
type Merged<'a> = (Group<'a>, Cow<'a, [(usize, usize)]>);

/// Applies the suppressions to `report` and writes it; returns the totals after that, by which the exit
/// status goes.
#[cfg(test)]
pub(crate) fn write(report: &LeakReport<'_>, options: &ReportOptions<'_>, seen: &[SeenModule<'_>]) -> Totals {
    let mut session = Session::new(options, seen);
    let mut totals = report.totals;
    let groups: Vec<Group<'_>> = report
        .groups
        .iter()
        .filter(|group| {
            let hidden = group.kind.is_lost() && session.suppress(group.id, group.stack, group.amount);
            if hidden {
                totals.suppress(group.kind, group.amount);
            }
            !hidden
        })
        .copied()
        .collect();
    session.write(&LeakReport { totals, groups: &groups, ..*report });
    totals
}

/// The names of a stack for the suppressions, marked whether they belong to the call of the allocator.
fn names(stack: &Stack) -> impl Iterator<Item = (bool, FrameNames<'_>)> {
    let call = stack.frames().next().map(|frame| frame.address);
    stack.frames().map(move |frame| {
        let names = FrameNames {
            function: bytes(frame.function.as_deref()),
            mangled: bytes(frame.mangled.as_deref()),
            file: bytes(frame.file.as_deref()),
            module: bytes(frame.module.as_deref()),
        };
        (Some(frame.address) == call, names)
    })
}

fn bytes(name: Option<&str>) -> &[u8] {
    name.unwrap_or("").as_bytes()
}

/// Reads the file of suppressions: as named, else beside the executable, as LeakSanitizer does.
fn read_suppressions(path: &[u8]) -> &'static [u8] {
    if path.is_empty() {
        return &[];
    }
    let beside = || {
        let executable = files::read_link(c"/proc/self/exe").ok().filter(|_| !path.starts_with(b"/"))?;
        let folder = executable.iter().rposition(|&b| b == b'/')?;
        files::read(&[executable.get(..=folder)?, path].concat()).ok()
    };
    match files::read(path) {
        Ok(rules) => rules.leak(),
        Err(error) => match beside() {
            Some(rules) => rules.leak(),
            None => {
                say!("cannot read suppressions from {} ({error})", Ascii(path));
                &[]
            }
        },
    }
}
