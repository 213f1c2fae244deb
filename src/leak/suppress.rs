//! Suppressions: which lost blocks are not to be reported.
//!
//! The syntax is LeakSanitizer's: one `leak:PATTERN` a line, `#` starts a comment line. A block is
//! suppressed if the pattern matches the function (demangled or not), the source file or the module of any
//! frame of the stack that allocated it. Rules come from a file, from the program
//! (`__lsan_default_suppressions`) and from the list built in here, and are tried in this order.
//!
//! Used in the process that writes the report only, so this allocates.

use super::pattern::Pattern;
use crate::{config::Ascii, sys::message::say};
use alloc::vec::Vec;

/// The names of one frame, inlined ones included; empty where not known.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct FrameNames<'a> {
    /// The function as shown in the report.
    pub(crate) function: &'a [u8],
    /// The function as the linker knows it.
    pub(crate) mangled: &'a [u8],
    /// The source file.
    pub(crate) file: &'a [u8],
    /// The path of the executable or library.
    pub(crate) module: &'a [u8],
}

/// Where a rule was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The file named by `suppressions=`.
    File,
    /// `__lsan_default_suppressions()`.
    Program,
    /// The list below.
    BuiltIn,
}

impl Source {
    /// The word for reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Program => "program",
            Self::BuiltIn => "built in",
        }
    }
}

/// One suppression and what it has matched.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    pattern: Pattern<'a>,
    /// Only the frame that called the allocator may match: deeper ones would hide the program's own leaks.
    innermost_only: bool,
    /// What stands behind `leak:`.
    pub(crate) text: &'a [u8],
    /// Where the rule was written.
    pub(crate) source: Source,
    /// Blocks suppressed so far.
    pub(crate) blocks: usize,
    /// Bytes of these blocks.
    pub(crate) bytes: usize,
}

/// A rule that besom brings along, with the reason why what it hides is no leak of the program.
struct BuiltIn {
    pattern: &'static str,
    innermost_only: bool,
    #[allow(dead_code, reason = "documentation, checked by a test")]
    reason: &'static str,
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        pattern: "/ld-linux",
        innermost_only: true,
        reason: "the dynamic linker keeps module lists, thread vectors and thread-local blocks through \
                 pointers of its own making; LeakSanitizer passes them over too (use_ld_allocations)",
    },
    BuiltIn { pattern: "/ld-musl", innermost_only: true, reason: "musl's dynamic linker, as above" },
    BuiltIn {
        pattern: "^_dl_allocate_tls",
        innermost_only: true,
        reason: "thread vectors in statically linked programs, where the linker has no module of its own",
    },
    BuiltIn {
        pattern: "*tls_get_addr*",
        innermost_only: false,
        reason: "glibc forgets thread-local blocks of unloaded libraries (its bug 12650)",
    },
    BuiltIn {
        pattern: "^_GLOBAL__sub_I_eh_alloc.cc",
        innermost_only: false,
        reason: "libstdc++'s pool for exceptions thrown when memory is exhausted (72,704 bytes): held by a \
                 static of libstdc++ and by nothing once that library is unloaded, never freed by design",
    },
    BuiltIn {
        pattern: "std::sys::*stack_overflow::",
        innermost_only: false,
        reason: "Rust's std notes every thread's guard page for its stack overflow message and drops the \
                 notes of the threads that live to the end with the process",
    },
];

/// The rules in force.
#[derive(Debug)]
pub(crate) struct Suppressions<'a> {
    rules: Vec<Rule<'a>>,
}

impl<'a> Suppressions<'a> {
    /// Compiles the rules of the user's file, of the program, and built in. A line that is no suppression
    /// is said on standard error and passed over.
    pub(crate) fn new(file: &'a [u8], program: &'a [u8]) -> Self {
        let mut new = Self { rules: Vec::new() };
        new.add(file, Source::File);
        new.add(program, Source::Program);
        for rule in BUILT_IN {
            new.push(rule.pattern.as_bytes(), Source::BuiltIn, rule.innermost_only);
        }
        new
    }

    fn add(&mut self, text: &'a [u8], source: Source) {
        for line in text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii) {
            match line.strip_prefix(b"leak:") {
                _ if line.is_empty() || line.starts_with(b"#") => {}
                Some(pattern) => self.push(pattern, source, false),
                None => say!("suppressions: not 'leak:PATTERN': '{}'", Ascii(line)),
            }
        }
    }

    fn push(&mut self, text: &'a [u8], source: Source, innermost_only: bool) {
        let pattern = Pattern::new(text);
        self.rules.push(Rule { pattern, innermost_only, text, source, blocks: 0, bytes: 0 });
    }

    /// Whether there are only the rules built in. Those need neither files nor, but for Rust's, inlined
    /// functions.
    pub(crate) fn are_built_in(&self) -> bool {
        self.rules.iter().all(|rule| rule.source == Source::BuiltIn)
    }

    /// The number of the first rule that matches the module that called the allocator.
    pub(crate) fn find_by_module(&self, module: &[u8]) -> Option<usize> {
        self.rules.iter().position(|rule| rule.pattern.matches(module))
    }

    /// The number of the first rule that matches a stack, innermost frame first. `call` is true for the
    /// frames (several, if inlined) of the call to the allocator.
    pub(crate) fn find<'f>(&self, stack: impl Iterator<Item = (bool, FrameNames<'f>)>) -> Option<usize> {
        for (call, names) in stack {
            let found = self.rules.iter().position(|rule| {
                (call || !rule.innermost_only)
                    && [names.module, names.function, names.mangled, names.file]
                        .iter()
                        .any(|name| rule.pattern.matches(name))
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Adds suppressed blocks to rule `number`'s account.
    pub(crate) fn count(&mut self, number: usize, blocks: usize, bytes: usize) {
        if let Some(rule) = self.rules.get_mut(number) {
            rule.blocks = rule.blocks.saturating_add(blocks);
            rule.bytes = rule.bytes.saturating_add(bytes);
        }
    }

    /// The rules that matched something.
    pub(crate) fn used(&self) -> impl Iterator<Item = &Rule<'a>> {
        self.rules.iter().filter(|rule| rule.blocks > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn frame(function: &'static str, module: &'static str) -> FrameNames<'static> {
        FrameNames { function: function.as_bytes(), module: module.as_bytes(), ..Default::default() }
    }

    fn find(rules: &Suppressions<'_>, stack: &[FrameNames<'static>]) -> Option<usize> {
        rules.find(stack.iter().enumerate().map(|(i, names)| (i == 0, *names)))
    }

    #[test]
    fn lines_comments_and_line_ends() {
        let rules =
            Suppressions::new(b"# c\n  leak:one \r\n\nleak:two\nrace:three\nleak:four", b"leak:five\n");
        let own: Vec<_> = rules.rules.iter().filter(|rule| rule.source != Source::BuiltIn).collect();
        let texts: Vec<&[u8]> = own.iter().map(|rule| rule.text).collect();
        assert_eq!(texts, [&b"one"[..], b"two", b"four", b"five"]);
        assert_eq!(own[3].source, Source::Program);
    }

    #[test]
    fn any_name_of_any_frame_matches() {
        let rules = Suppressions::new(b"leak:inner\nleak:libz\nleak:_ZN3foo\nleak:lib/*.c$", b"");
        assert_eq!(find(&rules, &[frame("f", "/a"), frame("inner", "/a")]), Some(0));
        assert_eq!(find(&rules, &[frame("f", "/usr/lib/libz.so.1")]), Some(1));
        let mangled = FrameNames { mangled: b"_ZN3fooEv", ..frame("foo()", "/a") };
        assert_eq!(find(&rules, &[mangled]), Some(2));
        let file = FrameNames { file: b"/src/lib/x.c", ..frame("f", "/a") };
        assert_eq!(find(&rules, &[file]), Some(3));
        assert_eq!(find(&rules, &[frame("f", "/a")]), None);
        assert_eq!(find(&rules, &[]), None);
    }

    #[test]
    fn the_inner_frame_decides_before_the_order_of_rules() {
        let rules = Suppressions::new(b"leak:outer\nleak:inner", b"");
        assert_eq!(find(&rules, &[frame("inner", ""), frame("outer", "")]), Some(1));
    }

    #[test]
    fn the_linker_is_passed_over_only_as_the_caller_of_malloc() {
        let rules = Suppressions::new(b"", b"");
        let linker = frame("_dl_init", "/lib64/ld-linux-x86-64.so.2");
        let found = find(&rules, &[linker, frame("main", "/a")]);
        assert_eq!(found.map(|i| rules.rules[i].source), Some(Source::BuiltIn));
        assert_eq!(find(&rules, &[frame("constructor", "/lib/x.so"), linker]), None);
    }

    #[test]
    fn accounts_add_up() {
        let mut rules = Suppressions::new(b"leak:a\nleak:b", b"");
        rules.count(1, 2, 30);
        rules.count(1, 1, 5);
        rules.count(99, 1, 1);
        let used: Vec<_> = rules.used().map(|rule| (rule.text, rule.blocks, rule.bytes)).collect();
        assert_eq!(used, vec![(&b"b"[..], 3, 35)]);
    }

    #[test]
    fn every_built_in_rule_has_its_reason() {
        assert!(BUILT_IN.iter().all(|rule| rule.reason.len() > 20 && !rule.pattern.is_empty()));
    }
}
