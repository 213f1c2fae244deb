//! The command line.

use crate::machine::memory_mib;
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};

/// Runs besom and its peers over the same workloads, interleaved, and writes a report.
#[derive(Parser, Debug)]
#[command(name = "compare", version)]
pub struct Options {
    /// Smaller and fewer workloads, and only the peers that Debian packages: under five minutes
    #[arg(long)]
    pub quick: bool,

    /// All workloads and peers, sized for half an hour instead of hours
    #[arg(long, conflicts_with = "quick")]
    pub medium: bool,

    /// Build and install everything, measure nothing: so that the measuring itself can be timed
    #[arg(long)]
    pub prepare: bool,

    /// Only workloads whose name contains this (may be repeated); `--list` prints the names
    #[arg(long, value_name = "TEXT")]
    pub workload: Vec<String>,

    /// Only workloads of these families (may be repeated)
    #[arg(long, value_name = "FAMILY")]
    pub family: Vec<Family>,

    /// Only these allocators (may be repeated); besom is measured only if named
    #[arg(long, value_name = "NAME")]
    pub allocator: Vec<String>,

    /// The largest live heap, as 16g or 512m; default: 16 GiB or half of the memory; 4 GiB in the medium form
    #[arg(long, value_name = "BYTES", value_parser = binary_size)]
    pub largest_heap: Option<u64>,

    /// How often each pair of workload and allocator is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,

    /// Which of the rounds stands for all in tables and ratios; `min` for a machine that others use too
    #[arg(long, value_enum, default_value_t = Statistic::Median)]
    pub statistic: Statistic,

    /// The time that is compared: `cpu` for a machine on which others compute at the same time
    #[arg(long, value_enum, default_value_t = Clock::Wall)]
    pub clock: Clock,

    /// Where report.md, report.json and the pictures go
    #[arg(long, default_value = "target/bench", value_name = "DIRECTORY")]
    pub out: PathBuf,

    /// Also put the report into this file, between its two marks, and the pictures into a folder named after it
    #[arg(long, value_name = "FILE")]
    pub publish: Option<PathBuf>,

    /// besom's shared library; default: $BESOM_LIB, else target/release/libbesom.so
    #[arg(long, value_name = "FILE")]
    pub besom: Option<PathBuf>,

    /// A further shared library to measure, as NAME=FILE (may be repeated)
    #[arg(long, value_name = "NAME=FILE", value_parser = named_file)]
    pub extra: Vec<(String, PathBuf)>,

    /// Install nothing: a peer or program that is not there is reported as missing
    #[arg(long)]
    pub no_install: bool,

    /// Print the names of the workloads and stop
    #[arg(long)]
    pub list: bool,
}

/// How much work the workloads do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// Minutes for all.
    Quick,
    /// Half an hour.
    Medium,
    /// Hours.
    Full,
}

impl Size {
    /// One of three values.
    pub fn pick<T>(self, quick: T, medium: T, full: T) -> T {
        match self {
            Size::Quick => quick,
            Size::Medium => medium,
            Size::Full => full,
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        self.pick("quick", "medium", "full")
    }
}

/// Families of workloads, as in `docs/benchmarks.md`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// One thread, one path of the allocator each
    Micro,
    /// Many threads
    Threads,
    /// Phases that grow, shrink and change sizes
    Fragmentation,
    /// Real crates with the allocator as `#[global_allocator]`
    Rust,
    /// Real programs under LD_PRELOAD
    Programs,
    /// besom beside itself with other options
    Options,
}

impl Family {
    /// All families, in the order of the report.
    pub const ALL: [Family; 6] = [
        Family::Micro,
        Family::Threads,
        Family::Fragmentation,
        Family::Rust,
        Family::Programs,
        Family::Options,
    ];

    /// The name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Micro => "micro",
            Family::Threads => "threads",
            Family::Fragmentation => "fragmentation",
            Family::Rust => "rust",
            Family::Programs => "programs",
            Family::Options => "options",
        }
    }
}

/// Which time is compared.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// What a user waits for
    Wall,
    /// User and system time of all threads and children: waiting for locks and for the CPU does not count
    Cpu,
}

impl Clock {
    /// What it measures, for the report.
    pub fn name(self) -> &'static str {
        match self {
            Clock::Wall => "time that passes",
            Clock::Cpu => "CPU time",
        }
    }
}

/// How several rounds become one number.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The middle one
    Median,
    /// The smallest: the one that was disturbed least
    Min,
}

impl Statistic {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Median => "the median",
            Statistic::Min => "the smallest",
        }
    }
}

impl Options {
    /// How much work the workloads do.
    pub fn size(&self) -> Size {
        match (self.quick, self.medium) {
            (true, _) => Size::Quick,
            (_, true) => Size::Medium,
            _ => Size::Full,
        }
    }

    /// Bytes of the largest live heap.
    pub fn largest_heap(&self) -> u64 {
        self.largest_heap
            .unwrap_or_else(|| (memory_mib() << 19).min(self.size().pick(16 << 20, 4 << 30, 16 << 30)))
    }

    /// Whether the selection on the command line includes this workload.
    pub fn wants(&self, family: Family, name: &str) -> bool {
        (self.family.is_empty() || self.family.contains(&family))
            && (self.workload.is_empty() || self.workload.iter().any(|text| name.contains(text.as_str())))
    }

    /// Whether this allocator is to be measured.
    pub fn wants_allocator(&self, name: &str) -> bool {
        self.allocator.is_empty() || self.allocator.iter().any(|wanted| wanted == name)
    }
}

/// The repository's root, from where this package was built.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Bytes of a number with k, m or g behind it.
fn binary_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.to_ascii_lowercase().chars().last() {
        Some('k') => (&text[..text.len() - 1], 10),
        Some('m') => (&text[..text.len() - 1], 20),
        Some('g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number with k, m or g".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && Path::new(file).is_file() => Ok((name.into(), file.into())),
        Some((_, file)) => Err(format!("{file}: no such file")),
        None => Err("expected NAME=FILE".into()),
    }
}
