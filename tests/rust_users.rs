//! What Rust programs get that depend on besom: few dependencies, and with the feature `override` no other malloc.

mod common;

use common::{output_of, root};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The dependencies of the plain library, those of dependencies included.
#[test]
fn the_dependencies_are_libc_spin_and_once_cell() {
    let manifest = root().join("Cargo.toml");
    let args = ["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--manifest-path"];
    let mut args = args.to_vec();
    args.push(manifest.to_str().unwrap());
    let tree = output_of(env!("CARGO"), &args);
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, BTreeSet::from(["besom", "libc", "once_cell", "spin"]));
}

/// Builds besom with the feature `override`, and the program on it.
fn program_with_override() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("override-rlib");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--lib", "--quiet", "--offline", "--features", "override"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", &directory)
        .status()
        .unwrap();
    assert!(built.success(), "cargo builds the library");
    let (library, program) = (directory.join("debug"), directory.join("override"));
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition", "2024", "-C", "opt-level=1"])
        .arg(format!("--extern=besom={}", library.join("libbesom.rlib").display()))
        .arg(format!("-Ldependency={}", library.join("deps").display()))
        .arg(root().join("tests/rust-users/override.rs"))
        .arg("-o")
        .arg(&program)
        .status()
        .unwrap();
    assert!(built.success(), "rustc builds the program");
    program
}

#[test]
fn override_replaces_every_malloc_of_the_binary() {
    let program = program_with_override();
    let program = program.to_str().unwrap();
    let undefined = output_of("nm", &["-D", "--undefined-only", "--format=posix", program]);
    let imported = |name: &str| undefined.lines().any(|line| line.split(['@', ' ']).next() == Some(name));
    for name in ["malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc"] {
        assert!(!imported(name), "{name} comes from libc");
    }
    for options in ["", "rseq=0", "check=1"] {
        let status = Command::new(program).env("BESOM_OPTIONS", options).status().unwrap();
        assert!(status.success(), "with options '{options}'");
    }
}
