//! Runs a program under the library and compares what it did with what its header expects.

use crate::Mode;
use crate::common::shared_library;
use crate::compile::{library, output_directory, program};
use crate::directives::{Directives, Use};
use crate::reports::{self, Report};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Longer than any program takes on a busy machine; what is slower hangs.
const HANG_SECONDS: u64 = 240;

/// What a finished program left.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Leak reports of all its processes.
    pub(crate) reports: Vec<Report>,
}

/// Builds `file` in all its builds, runs each in all its runs, and panics at the first difference from
/// what the header expects.
pub(crate) fn check(file: &str, directives: &Directives, mode: Mode) {
    for (b, build) in directives.builds.iter().enumerate() {
        let path = program(file, directives, build);
        for (r, arguments) in directives.runs.iter().enumerate() {
            let label = format!("{}-{}-{b}-{r}", file.replace(['.', '/'], "_"), mode.name());
            let outcome = run(&path, arguments, directives, mode, &label);
            if let Err(difference) =
                compare(&outcome, directives).and_then(|()| reports::compare(&outcome, directives))
            {
                panic!(
                    "{file} built with {build}, run with [{arguments}], mode {}: {difference}\n\
                     --- {}\n--- stdout\n{}--- stderr\n{}--- reports\n{}---",
                    mode.name(),
                    outcome.status,
                    outcome.stdout,
                    outcome.stderr,
                    outcome.reports.iter().map(ToString::to_string).collect::<String>()
                );
            }
        }
    }
}

fn run(path: &Path, arguments: &str, directives: &Directives, mode: Mode, label: &str) -> Outcome {
    reports::clear(label);
    let captured = |stream: &str| output_directory().join(format!("{label}.{stream}"));
    let (out, err) = (captured("stdout"), captured("stderr"));
    let mut command = command(path, arguments, directives);
    set_environment(&mut command, directives, mode, reports::options(directives, label));
    set_limits(&mut command, directives.address_space_kib);
    command.stdin(std::process::Stdio::null());
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let status = wait(child, label);
    let text = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let _ = std::fs::remove_file(path);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Outcome { status, stdout: text(&out), stderr: text(&err), reports: reports::collect(label) }
}

fn command(path: &Path, arguments: &str, directives: &Directives) -> Command {
    let mut command = match directives.under.split_first() {
        None => Command::new(path),
        Some((wrapper, rest)) => {
            let mut command = Command::new(wrapper);
            command.args(rest).arg(path);
            command
        }
    };
    command.args(arguments.split_whitespace());
    command
}

fn set_environment(command: &mut Command, directives: &Directives, mode: Mode, leak: Option<String>) {
    let mut before = Vec::new();
    let mut after = Vec::new();
    for (file, how) in &directives.libraries {
        match how {
            Use::Link => {}
            Use::PreloadBefore => before.push(library(file)),
            Use::PreloadAfter => after.push(library(file)),
            Use::Open => {
                command.env("TEST_LIBRARY", library(file));
            }
        }
    }
    if !directives.no_preload {
        before.push(shared_library());
    }
    before.extend(after);
    let preloads: Vec<_> = before.iter().map(|path| path.to_str().unwrap()).collect();
    command.env_remove("LD_PRELOAD").env_remove("GLIBC_TUNABLES").env_remove("BESOM_OPTIONS");
    if !preloads.is_empty() {
        command.env("LD_PRELOAD", preloads.join(":"));
    }
    let mut options = directives.options.clone();
    options.extend(mode.options().map(String::from));
    options.extend(leak);
    if !options.is_empty() {
        command.env("BESOM_OPTIONS", options.join(":"));
    }
    if let Some(tunables) = mode.tunables() {
        command.env("GLIBC_TUNABLES", tunables);
    }
    command.env("LC_ALL", "C").env_remove("LSAN_OPTIONS").envs(directives.environment.iter().cloned());
}

fn set_limits(command: &mut Command, address_space_kib: Option<u64>) {
    let set = move || {
        limit(libc::RLIMIT_CORE, 0)?;
        // Whoever runs the tests may have left descriptors open, which programs would take for besom's. An old
        // kernel without the call leaves them.
        let (first, last) = (libc::STDERR_FILENO as u32 + 1, u32::MAX);
        // SAFETY: only sets a flag of this process's descriptors.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
        address_space_kib.map_or(Ok(()), |kib| limit(libc::RLIMIT_AS, kib << 10))
    };
    // SAFETY: the closure runs between fork and exec and makes only system calls.
    unsafe { command.pre_exec(set) };
    // Its own group, so that a hanging program goes with its children.
    command.process_group(0);
}

fn limit(resource: libc::__rlimit_resource_t, bytes: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the pointer is to a live structure that the call only reads.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn wait(mut child: Child, label: &str) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(HANG_SECONDS);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            // SAFETY: the group is the child's own: `process_group(0)`.
            unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
            let _ = child.wait();
            panic!("{label} hangs: killed after {HANG_SECONDS} s");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn compare(outcome: &Outcome, expected: &Directives) -> Result<(), String> {
    let status = (outcome.status.code(), outcome.status.signal());
    let wanted = match expected.signal {
        Some(signal) => (None, Some(signal)),
        None => (Some(expected.exit.unwrap_or_else(|| reports::usual_exit(expected))), None),
    };
    if status != wanted {
        return Err(format!("(exit status, signal) is {status:?} instead of {wanted:?}"));
    }
    if let Some(stdout) =
        expected.stdout.as_ref().filter(|&text| *text != outcome.stdout.trim_end_matches('\n'))
    {
        return Err(format!("stdout should be: {stdout}"));
    }
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    for pattern in &expected.stderr_has {
        let pattern = fill_in(pattern, &outcome.stdout);
        if !lines.iter().any(|line| matches(&pattern, line)) {
            return Err(format!("no line of stderr is: {pattern}"));
        }
    }
    if expected.stderr_has.is_empty() && lines.len() != expected.stderr.len() {
        return Err(format!("stderr has {} lines instead of {}", lines.len(), expected.stderr.len()));
    }
    for (pattern, line) in expected.stderr.iter().zip(&lines) {
        let pattern = fill_in(pattern, &outcome.stdout);
        if !matches(&pattern, line) {
            return Err(format!("stderr should say: {pattern}"));
        }
    }
    Ok(())
}

/// Puts the values that the program printed as `name=value` in place of `{name}`.
fn fill_in(pattern: &str, stdout: &str) -> String {
    let values = stdout.lines().filter_map(|line| line.split_once('='));
    values.fold(pattern.into(), |text: String, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Whether `line` is `pattern`, in which `{*}` is any text.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once("{*}") else { return pattern == line };
    let Some(mut line) = line.strip_prefix(head) else { return false };
    while let Some((part, after)) = rest.split_once("{*}") {
        let Some(at) = line.find(part) else { return false };
        (line, rest) = (&line[at + part.len()..], after);
    }
    line.ends_with(rest)
}

#[test]
fn patterns_match_whole_lines() {
    assert!(matches("a{*}c", "abc") && matches("a{*}c{*}", "a--c") && matches("ab", "ab"));
    assert!(!matches("ab", "abc") && !matches("a{*}c", "abd") && !matches("a{*}x{*}c", "abc"));
    assert_eq!(fill_in("{p} in {base}", "p=0x10\nbase=0x8\n"), "0x10 in 0x8");
}
