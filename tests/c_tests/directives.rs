//! What a C test says about itself in the comment it begins with.
//!
//! Every header line `// key: value` is a directive; the other lines say what the program proves.
//!
//! | key | meaning |
//! | --- | --- |
//! | `expect-exit` | the exit status, 0 if not said |
//! | `expect-signal` | the signal that ends it, by name without `SIG` |
//! | `expect-stderr` | a line of standard error; all such lines together are all of it, in order |
//! | `expect-stderr-has` | a line that standard error contains; then other lines may be there, too |
//! | `build` | options of one build, `-O1` if not said; several lines make several builds |
//! | `flags` | options of every build; `{so}` and `{a}` are the shared and the static library |
//! | `library` | a file in `c-tests/lib` and how the program gets it, see [`Use`] |
//! | `run` | arguments of one run; several lines make several runs |
//! | `options` | what `BESOM_OPTIONS` holds |
//! | `ulimit-v` | the limit of address space in KiB |
//! | `under` | a command that runs the program |
//! | `skip` | a mode in which the program is not run, and why |
//! | `expect-stdout` | all of standard output, without its last line end |
//! | `env` | `NAME=VALUE` for the environment; `{sources}` is the directory of the programs |
//! | `expect-leaks` | runs in leak mode; one leak report that some process writes, see `crate::reports`; `none` for none at all |
//! | `expect-function` | a function in a stack of the leak reports |
//! | `reports` | `text`: leak reports are text on standard error; `some`: each expected report comes at least once |
//! | `preload` | `no` and why: the program brings the library along in another way |
//!
//! In an expected line `{name}` stands for what the program printed on standard output as `name=value`,
//! and `{*}` for any text.

use crate::Mode;
use crate::compile::sources;
use crate::reports::Expected;
use std::path::Path;

/// How a program gets a library of `c-tests/lib`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// The program is linked with it.
    Link,
    /// It stands in `LD_PRELOAD` before besom.
    PreloadBefore,
    /// It stands in `LD_PRELOAD` after besom.
    PreloadAfter,
    /// The program opens it; the variable `TEST_LIBRARY` holds the path.
    Open,
}

/// The directives of one program.
#[derive(Default, Debug)]
pub(crate) struct Directives {
    pub(crate) exit: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stderr: Vec<String>,
    pub(crate) stderr_has: Vec<String>,
    pub(crate) builds: Vec<String>,
    pub(crate) flags: Vec<String>,
    pub(crate) libraries: Vec<(String, Use)>,
    pub(crate) runs: Vec<String>,
    pub(crate) options: Vec<String>,
    pub(crate) address_space_kib: Option<u64>,
    pub(crate) under: Vec<String>,
    pub(crate) skips: Vec<(Mode, String)>,
    pub(crate) no_preload: bool,
    pub(crate) stdout: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) leaks: Option<Vec<Expected>>,
    pub(crate) functions: Vec<String>,
    pub(crate) text_reports: bool,
    pub(crate) some_reports: bool,
}

impl Directives {
    /// Reads the header of a source file. A key that is not in the table is an error, so that a typo
    /// can't switch an expectation off.
    pub(crate) fn read(source: &Path) -> Self {
        let text = std::fs::read_to_string(source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
        let mut found = Self::default();
        for line in text.lines().map_while(|line| line.strip_prefix("//")) {
            if let Some((key, value)) = split(line) {
                found.take(key, value, source);
            }
        }
        assert!(
            text.starts_with("// Proves "),
            "{}: the first line must say what the program proves",
            source.display()
        );
        if found.builds.is_empty() {
            found.builds.push("-O1".into());
        }
        if found.runs.is_empty() {
            found.runs.push(String::new());
        }
        found
    }

    fn take(&mut self, key: &str, value: &str, source: &Path) {
        let number = || value.parse().unwrap_or_else(|_| panic!("{}: {key}: {value}", source.display()));
        match key {
            "expect-exit" => self.exit = Some(number()),
            "expect-signal" => self.signal = Some(signal(value)),
            "expect-stderr" => self.stderr.push(value.into()),
            "expect-stderr-has" => self.stderr_has.push(value.into()),
            "build" => self.builds.push(value.into()),
            "flags" => self.flags.extend(words(value)),
            "library" => self.libraries.push(library(value)),
            "run" => self.runs.push(value.into()),
            "options" => self.options.push(value.into()),
            "ulimit-v" => self.address_space_kib = Some(number() as u64),
            "under" => self.under.extend(words(value)),
            "skip" => self.skips.push(skip(value)),
            "preload" => self.no_preload = value.starts_with("no "),
            "expect-stdout" => self.stdout = Some(value.into()),
            "env" => self.environment.push(variable(value)),
            "expect-leaks" => self.leaks.get_or_insert_default().extend(Expected::read(value)),
            "expect-function" => self.functions.push(value.into()),
            "reports" => {
                self.text_reports |= value == "text";
                self.some_reports |= value == "some";
                assert!(["text", "some"].contains(&value), "{}: reports: {value}", source.display());
            }
            _ => panic!("{}: unknown directive {key}", source.display()),
        }
    }

    /// Why the program is not run in `mode`, if it isn't.
    pub(crate) fn skipped(&self, mode: Mode) -> Option<&str> {
        self.skips.iter().find(|(skipped, _)| *skipped == mode).map(|(_, reason)| reason.as_str())
    }
}

/// ` key: value`, where a key is lower-case words joined by hyphens.
fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix(' ')?.split_once(": ")?;
    let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    is_key.then_some((key, value.trim_end()))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

fn signal(name: &str) -> i32 {
    match name {
        "ABRT" => libc::SIGABRT,
        "KILL" => libc::SIGKILL,
        "SEGV" => libc::SIGSEGV,
        "TERM" => libc::SIGTERM,
        _ => panic!("unknown signal {name}"),
    }
}

fn variable(value: &str) -> (String, String) {
    let (name, value) = value.split_once('=').unwrap_or_else(|| panic!("env: {value}: NAME=VALUE"));
    (name.into(), value.replace("{sources}", sources().to_str().unwrap()))
}

fn library(value: &str) -> (String, Use) {
    let (file, how) = value.split_once(' ').unwrap_or_else(|| panic!("library: {value}: used how?"));
    let how = match how {
        "link" => Use::Link,
        "preload-before" => Use::PreloadBefore,
        "preload-after" => Use::PreloadAfter,
        "open" => Use::Open,
        _ => panic!("library: {value}: unknown use"),
    };
    (file.into(), how)
}

fn skip(value: &str) -> (Mode, String) {
    let (mode, reason) = value.split_once(", ").unwrap_or_else(|| panic!("skip: {value}: why?"));
    let mode = Mode::ALL.into_iter().find(|m| m.name() == mode).unwrap_or_else(|| panic!("mode {mode}"));
    (mode, reason.into())
}
