//! Runs one program once under one allocator and takes down what it cost.

use crate::cli::Clock;
use crate::compile::Tools;
use crate::peers::Allocator;
use serde::Serialize;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What one run cost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measurement {
    /// Nanoseconds per operation as the workload itself counts them; the whole run if it does not.
    pub ns_per_op: f64,
    /// Operations behind `ns_per_op`.
    pub ops: f64,
    /// Wall time of the whole process, in nanoseconds.
    pub wall_ns: f64,
    /// User and system time of the process and its children, in nanoseconds.
    pub cpu_ns: f64,
    /// The largest resident set of the process or of one of its children, in KiB; less what was there before the
    /// first allocation, where the workload tells. That of a small program comes from a run of its own, in which
    /// pages are counted (see `workloads/measure.c`).
    pub peak_kib: f64,
    /// Page faults that needed no disk.
    pub faults: f64,
    /// Memory of its own and resident memory of a program that exits, in KiB, where that is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_exit: Option<[f64; 2]>,
    /// Seconds, live bytes, resident bytes: memory over time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<[f64; 3]>,
    /// Memory held at the end of each phase of a fragmentation workload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
}

/// Bytes held after one phase, against bytes alive.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What the phase did.
    pub name: String,
    /// Bytes the workload holds.
    pub live: f64,
    /// Resident bytes when the phase ended, one second later, ten seconds later.
    pub held: [f64; 3],
}

/// A command to be measured.
#[derive(Clone, Debug)]
pub struct Task {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables set for it.
    pub variables: Vec<(String, OsString)>,
    /// It traces programs itself, so that it can't be traced.
    pub is_tracer: bool,
}

impl Task {
    /// A program with arguments.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Task {
        Task {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            variables: Vec::new(),
            is_tracer: false,
        }
    }

    /// With one more variable in its environment.
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Task {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Runs it under `allocator`, in the folder of the tools; an error says what went wrong, in a line.
    pub fn measure(&self, tools: &Tools, allocator: &Allocator) -> Result<Measurement, String> {
        let costs = tools.path("costs.txt");
        let run = |mut command: Command| {
            let output = command.stdin(Stdio::null()).output();
            read_back(tools, &output.map_err(|error| format!("measure: {error}"))?, &costs)
        };
        let mut measured = run(self.command(tools, allocator, &costs))?;
        if measured.peak_kib < MOST_COUNTED_KIB && !self.is_tracer && counts_pages(tools) {
            let mut command = self.command(tools, allocator, &costs);
            command.env("BENCH_EXACT", "1");
            measured.peak_kib = run(command).map_err(|error| format!("counting pages: {error}"))?.peak_kib;
        }
        Ok(measured)
    }

    /// The same for a program that tells when it is only being watched: another one has the turn meanwhile.
    pub fn measure_in_turns(
        &self,
        tools: &Tools,
        allocator: &Allocator,
        turn: &Turn,
    ) -> Result<Measurement, String> {
        let failed = |error: std::io::Error| format!("measure: {error}");
        let costs = tools.path(&format!("costs-{}.txt", allocator.name));
        let mut command = self.command(tools, allocator, &costs);
        command.env("BENCH_TURNS", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut mine = Some(turn.take());
        let mut child = command.spawn().map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut go), Some(lines)) = (stdin, stdout) else { return Err("measure: no pipes".into()) };
        let mut text = String::new();
        for line in BufReader::new(lines).lines() {
            match line.map_err(failed)?.as_str() {
                "watching" => mine = None,
                "ready" => {
                    mine.get_or_insert_with(|| turn.take());
                    go.write_all(b".").map_err(failed)?;
                }
                line => text.extend([line, "\n"]),
            }
        }
        let mut output = child.wait_with_output().map_err(failed)?;
        output.stdout = text.into_bytes();
        read_back(tools, &output, &costs)
    }

    /// The launcher with everything but its standard streams.
    fn command(&self, tools: &Tools, allocator: &Allocator, costs: &Path) -> Command {
        let mut command = Command::new(tools.path("measure"));
        command
            .arg(costs)
            .arg(allocator.preload())
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(allocator.options.iter().map(|options| ("BESOM_OPTIONS", options)))
            .env("BENCH_WARM_KIB", tools.warmth.kib().to_string())
            .env("BENCH_CLOCK", if tools.clock == Clock::Cpu { "cpu" } else { "wall" })
            .env_remove("LD_PRELOAD")
            .env_remove("BESOM_LIB")
            .current_dir(&tools.folder);
        command
    }
}

/// Where the peak is larger, the some hundred KiB by which the kernel is wrong are less than a hundredth.
const MOST_COUNTED_KIB: f64 = 65536.0;

/// Whether programs may be traced here, which counting their pages needs. Says so if not.
fn counts_pages(tools: &Tools) -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let mut command = Command::new(tools.path("measure"));
        command.args(["/dev/null", "-", "true"]).env("BENCH_EXACT", "1");
        let can = command.status().is_ok_and(|status| status.success());
        if !can {
            eprintln!("compare: programs can't be traced here: peaks are the kernel's estimates");
        }
        can
    })
}

/// How much memory is touched before each run, so that what free memory the host has taken away meanwhile (see
/// `workloads/measure.c`) is the same to all: what the row's runs have needed so far, and half of that again.
#[derive(Default)]
pub struct Warmth(AtomicU64);

impl Warmth {
    /// For the first run of a row, of which nothing is known.
    const FIRST_KIB: u64 = 512 << 10;
    /// For the program itself and its libraries.
    const LEAST_KIB: u64 = 32 << 10;
    /// A run of more than this takes long anyway.
    const MOST_KIB: u64 = 6 << 20;

    /// Another row begins.
    pub fn begin_row(&self) {
        self.0.store(0, Relaxed);
    }

    /// A run of this row had this peak.
    fn note(&self, peak_kib: f64) {
        self.0.fetch_max(peak_kib as u64, Relaxed);
    }

    /// For the next run, in KiB: no more than half of what the machine has left.
    fn kib(&self) -> u64 {
        let wanted = match self.0.load(Relaxed) {
            0 => Self::FIRST_KIB,
            peak => peak / 2 * 3 + Self::LEAST_KIB,
        };
        wanted.min(Self::MOST_KIB).min(available_kib() / 2)
    }
}

/// Memory that can be had without swapping; 0 if the kernel does not say.
fn available_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The right to compute, of which there is one: who is watched gives it up.
#[derive(Default)]
pub struct Turn(Mutex<()>);

impl Turn {
    /// Waits for it.
    fn take(&self) -> MutexGuard<'_, ()> {
        // A panic of another holder leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a finished run cost.
fn read_back(tools: &Tools, output: &Output, costs: &Path) -> Result<Measurement, String> {
    check(output)?;
    let costs = std::fs::read_to_string(costs).map_err(|error| format!("{}: {error}", costs.display()))?;
    let mut measurement = parse_costs(&costs).ok_or("the launcher's file is not as expected")?;
    tools.warmth.note(measurement.peak_kib);
    if tools.clock == Clock::Cpu {
        measurement.ns_per_op = measurement.cpu_ns;
    }
    parse_lines(&String::from_utf8_lossy(&output.stdout), &mut measurement);
    Ok(measurement)
}

/// An error for a run that did not end well, or whose dynamic linker could not preload.
fn check(output: &Output) -> Result<(), String> {
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().last().unwrap_or("no message").to_string();
    if !output.status.success() {
        return Err(match output.status.code() {
            Some(code) if code > 128 => format!("killed by signal {}: {last}", code - 128),
            Some(code) => format!("exit status {code}: {last}"),
            None => "the launcher was killed".into(),
        });
    }
    match words.lines().find(|line| line.contains("cannot be preloaded")) {
        Some(line) => Err(line.to_string()),
        None => Ok(()),
    }
}

fn parse_costs(text: &str) -> Option<Measurement> {
    let numbers: Vec<f64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let &[wall_ns, user_us, system_us, peak_kib, faults, _] = numbers.as_slice() else { return None };
    let cpu_ns = (user_us + system_us) * 1e3;
    Some(Measurement {
        ns_per_op: wall_ns,
        ops: 1.0,
        wall_ns,
        cpu_ns,
        peak_kib,
        faults,
        ..Measurement::default()
    })
}

/// Reads the lines described in `workloads/common.h`; all others belong to the program.
fn parse_lines(text: &str, into: &mut Measurement) {
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).unwrap_or(f64::NAN);
        match words.first() {
            Some(&"result") if number(1) > 0.0 => (into.ns_per_op, into.ops) = (number(1), number(2)),
            Some(&"operations") if number(1) > 0.0 => {
                (into.ns_per_op, into.ops) = (into.ns_per_op / number(1), number(1));
            }
            Some(&"base") if number(1) >= 0.0 => {
                into.peak_kib = (into.peak_kib - number(1) / 1024.0).max(1.0)
            }
            Some(&"private") => into.at_exit.get_or_insert_default()[0] = number(1) / 1024.0,
            Some(&"resident") => into.at_exit.get_or_insert_default()[1] = number(1) / 1024.0,
            Some(&"sample") => into.samples.push([number(1), number(2), number(3)]),
            Some(&"phase") if words.len() == 6 => into.phases.push(Phase {
                name: words[1].into(),
                live: number(2),
                held: [number(3), number(4), number(5)],
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_and_lines_are_read_back() {
        let mut measurement = parse_costs("2000 1 2 300 4 0\n").unwrap();
        assert_eq!((measurement.wall_ns, measurement.cpu_ns, measurement.peak_kib), (2000.0, 3000.0, 300.0));
        parse_lines("hello\nresult 7.5 100\nsample 0.1 10 20\nphase free 1 2 3 4\n", &mut measurement);
        assert_eq!((measurement.ns_per_op, measurement.ops), (7.5, 100.0));
        assert_eq!(measurement.samples, [[0.1, 10.0, 20.0]]);
        assert_eq!(measurement.phases[0].held, [2.0, 3.0, 4.0]);
        assert!(parse_costs("1 2 3").is_none());
    }
}
