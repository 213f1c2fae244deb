//! Rust programs of real crates (`benches/rust-programs`), one binary per allocator.

use crate::cli::{Family, Options, Size, repository};
use crate::compile::Tools;
use crate::install::Missing;
use crate::peers::{Allocator, BESOM};
use crate::workload::{Action, Subject, Suite, Workload};
use std::path::Path;
use std::process::{Command, Stdio};

/// A cargo feature that selects an allocator, and the column it is shown in.
const BUILDS: [(&str, &str, &str); 7] = [
    (BESOM, "besom", "besom by path"),
    ("glibc", "", "the C library's, by std::alloc::System"),
    ("mimalloc3", "mimalloc", "crate mimalloc (v3)"),
    ("jemalloc-tikv", "jemalloc", "crate tikv-jemallocator"),
    ("snmalloc", "snmalloc", "crate snmalloc-rs"),
    ("tcmalloc-google", "tcmalloc", "crate tcmalloc-better"),
    ("rpmalloc", "rpmalloc", "crate rpmalloc"),
];

/// Builds the binaries and lists the programs; builds that fail are missing, with the compiler's reason.
pub fn suite(tools: &Tools, options: &Options, missing: &mut Vec<Missing>) -> Suite {
    let workloads: Vec<_> =
        workloads(options.size()).into_iter().filter(|one| options.wants(one.family, &one.name)).collect();
    let mut subjects = Vec::new();
    for (name, feature, version) in BUILDS {
        if workloads.is_empty() || !options.wants_allocator(name) {
            continue;
        }
        let binary = tools.path(&format!("rust-{name}"));
        match build(feature, &binary) {
            Ok(()) => subjects
                .push(Subject { allocator: Allocator::new(name, None, version), binary: Some(binary) }),
            Err(reason) => missing.push(Missing::new(format!("Rust programs with {name}"), reason)),
        }
    }
    Suite { subjects, workloads }
}

/// The names and the work of the programs.
pub fn workloads(size: Size) -> Vec<Workload> {
    let scale = size.pick(1, 3, 10);
    [("json", 1), ("regex", 2), ("store", 1), ("echo", 3), ("syn", 1)]
        .map(|(program, amount)| {
            let arguments = vec![program.into(), (amount * scale).to_string()];
            Workload::new(Family::Rust, format!("rust-{program}"), Action::Linked(arguments))
        })
        .into()
}

/// Builds one binary; cargo keeps the objects of each feature apart, so that a second time takes a moment.
fn build(feature: &str, binary: &Path) -> Result<(), String> {
    let target = repository().join("target/bench/rust");
    let allocator = if feature.is_empty() { "the C library's allocator" } else { feature };
    eprintln!("compare: building the Rust programs with {allocator}");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--manifest-path"]);
    cargo.arg(repository().join("benches/rust-programs/Cargo.toml")).arg("--target-dir").arg(&target);
    if !feature.is_empty() {
        cargo.args(["--features", feature]);
    }
    let output = cargo.stdin(Stdio::null()).output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let line = words.lines().find(|line| line.starts_with("error")).unwrap_or("the build failed");
        return Err(line.to_string());
    }
    let built = target.join("release/rust-programs");
    std::fs::copy(&built, binary).map(drop).map_err(|error| format!("{}: {error}", built.display()))
}
