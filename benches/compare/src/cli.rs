//! The command line.

use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};

/// Runs besom and its peers over the same workloads, interleaved, and writes a report.
#[derive(Parser, Debug)]
#[command(name = "compare", version)]
pub struct Options {
    /// Smaller and fewer workloads: under five minutes instead of the better part of an hour or two
    #[arg(long)]
    pub quick: bool,

    /// Only workloads whose name contains this (may be repeated); `--list` prints the names
    #[arg(long, value_name = "TEXT")]
    pub workload: Vec<String>,

    /// Only workloads of these families (may be repeated)
    #[arg(long, value_name = "FAMILY")]
    pub family: Vec<Family>,

    /// Only these allocators (may be repeated); besom is measured only if named
    #[arg(long, value_name = "NAME")]
    pub allocator: Vec<String>,

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
}

impl Family {
    /// All families, in the order of the report.
    pub const ALL: [Family; 5] =
        [Family::Micro, Family::Threads, Family::Fragmentation, Family::Rust, Family::Programs];

    /// The name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Family::Micro => "micro",
            Family::Threads => "threads",
            Family::Fragmentation => "fragmentation",
            Family::Rust => "rust",
            Family::Programs => "programs",
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

/// How several rounds become one number.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// The middle one
    Median,
    /// The smallest: the one that was disturbed least
    Min,
}

impl Options {
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

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && Path::new(file).is_file() => Ok((name.into(), file.into())),
        Some((_, file)) => Err(format!("{file}: no such file")),
        None => Err("expected NAME=FILE".into()),
    }
}
