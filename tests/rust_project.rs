//! A Rust program of its own with besom as a dependency, in debug and in release, without any flags.
#![cfg(feature = "leak")]

mod common;

use common::root;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Builds the programs in one profile; returns the folder that they are in.
fn built(profile: &'static str) -> &'static Path {
    static DEBUG: OnceLock<PathBuf> = OnceLock::new();
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    let folder = if profile == "dev" { (&DEBUG, "debug") } else { (&RELEASE, "release") };
    folder.0.get_or_init(|| {
        // Beside the library for other Rust programs: its dependencies are built there in debug.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("leak-rlib");
        let output = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--profile", profile])
            .current_dir(root().join("tests/rust-project"))
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Not a word of warning: a user would see it.
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        target.join(folder.1)
    })
}

fn run(profile: &'static str, program: &str, options: &str) -> (Output, String) {
    run_with(profile, program, &[], options)
}

fn run_with(profile: &'static str, program: &str, args: &[&str], options: &str) -> (Output, String) {
    let mut command = Command::new(built(profile).join(program));
    command.args(args);
    command.env_remove("LD_PRELOAD").env_remove("LSAN_OPTIONS").env("BESOM_OPTIONS", options);
    // A panic's backtrace fills tens of MiB of the heap, and what it leaves unwritten there still holds pointers to
    // blocks freed before; one of them may lead to the block that is lost next.
    command.env("RUST_BACKTRACE", "0");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

fn finds_leaks_by_name(profile: &'static str) {
    let (output, said) = run(profile, "leaky", "leak=1");
    assert_eq!(output.status.code(), Some(23), "{profile}: {said}");
    let report = said.split("ERROR: besom: detected memory leaks").last().unwrap();
    for expected in [
        "1000 bytes in 1 block is definitely lost, allocated from:",
        " in leaky::lost_by_forgetting",
        " in leaky::main",
        "SUMMARY: besom: 1000 byte(s) leaked in 1 allocation(s).",
    ] {
        assert!(report.contains(expected), "{profile}: no '{expected}' in:\n{said}");
    }
    for hidden in ["lost_while_disabled", "lost_but_ignored", "besom::heap", "GlobalAlloc", "lock order"] {
        assert!(!report.contains(hidden), "{profile}: '{hidden}' in:\n{said}");
    }
    let lines = profile == "dev";
    assert_eq!(
        report.contains("/src/bin/leaky.rs:"),
        lines,
        "{profile}: lines, where there are any:\n{said}"
    );
    // With a line about the check itself, should it find nothing.
    let (output, said) = run(profile, "counting", "leak=1:trace=1:verbosity=1");
    assert_eq!(output.status.code(), Some(23), "{profile}: {said}");
    assert!(said.contains("333 bytes in 1 block is definitely lost"), "{profile}: {said}");
    assert!(said.contains(" in counting::lost_behind_a_wrapper"), "{profile}: {said}");
}

fn asserts_that_nothing_is_lost(profile: &'static str) {
    let (output, said) = run(profile, "asserting", "leak=1:leak_at_exit=0");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), &b"each was found\n"[..]),
        "{profile}: {said}"
    );
    assert!(said.contains("40 bytes in 1 block is definitely lost"), "{profile}: {said}");
    assert!(!said.contains("besom::leak"), "{profile}: a frame of besom's own in:\n{said}");
}

/// What the program `stale_words` does, further options, and what its assertions say.
const STALE_WORDS: &[(&str, &str, &[&str])] = &[
    ("freed_at_the_end", "", &["819200 bytes leaked in 100 blocks"]),
    ("freed_and_cut_anew", "", &["1638400 bytes leaked in 200 blocks"]),
    ("behind_what_is_requested", "", &["368000 bytes leaked in 10 blocks"]),
    ("behind_what_is_aligned", "", &["6400 bytes leaked in 100 blocks"]),
    ("behind_a_block_that_grows", "", &["1280160 bytes leaked in 20 blocks"]),
    ("more_than_fit_in_a_list", "", &["2000 bytes leaked in 50 blocks"]),
    ("failed_request", "", &["2000 bytes leaked in 50 blocks"; 2]),
    ("too_much", "", &[NOT_RULED_OUT]),
    ("exhausted", ":hard_limit=64M", &[NOT_RULED_OUT]),
    ("none_of_its_own", "", &["found"]),
    ("lost_before", "", &["120 bytes leaked in 3 blocks"; 3]),
    ("lost_before", ":leak_new=1", &["120 bytes leaked in 3 blocks"; 3]),
    ("lost_before", ":reclaim=1", &["120 bytes leaked in 3 blocks"; 3]),
    ("overlapping", ":reclaim=1", &["nothing", "7200 bytes leaked in 3 blocks"]),
    ("small_stack", "", &["40 bytes leaked in 1 blocks"]),
    ("forked", "", &["2000 bytes leaked in 50 blocks"; 2]),
];
const NOT_RULED_OUT: &str = "leaks can't be ruled out: for want of memory, or of room beyond 64 MiB, blocks lie where \
                             stale words point";

fn asserts_in_spite_of_stale_words(profile: &'static str) {
    for (case, more, expected) in STALE_WORDS {
        let options = format!("leak=1:leak_at_exit=0{more}");
        let (output, said) = run_with(profile, "stale_words", &[case], &options);
        let lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
        assert_eq!((output.status.code(), &*lines), (Some(0), *expected), "{profile}: {case}{more}: {said}");
    }
}

fn says_that_it_sees_nothing(profile: &'static str) {
    let (output, said) = run(profile, "bystander", "leak=1:verbosity=1");
    assert_eq!(output.status.code(), Some(0), "{profile}: {said}");
    assert_eq!(output.stdout, b"12000\n");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{profile}: {said}");
    assert!(lines[0].starts_with("besom: leak=1 finds nothing: this program does not allocate with besom"));
    let (output, said) = run(profile, "bystander", "");
    assert_eq!((output.status.code(), output.stdout), (Some(0), b"12000\n".to_vec()));
    assert_eq!(said.lines().count(), 2, "{profile}: {said}");
    assert!(said.lines().all(|line| line.contains("leak mode is off")), "{profile}: {said}");
}

#[test]
fn leaks_are_found_by_name_in_debug() {
    finds_leaks_by_name("dev");
}

#[test]
fn leaks_are_found_by_name_in_release() {
    finds_leaks_by_name("release");
}

#[test]
fn assertions_find_every_single_loss_in_debug() {
    asserts_that_nothing_is_lost("dev");
}

#[test]
fn assertions_find_every_single_loss_in_release() {
    asserts_that_nothing_is_lost("release");
}

#[test]
fn assertions_find_what_stale_words_might_hide_in_debug() {
    asserts_in_spite_of_stale_words("dev");
}

#[test]
fn assertions_find_what_stale_words_might_hide_in_release() {
    asserts_in_spite_of_stale_words("release");
}

#[test]
fn a_program_that_allocates_elsewhere_is_told_so_in_debug() {
    says_that_it_sees_nothing("dev");
}

#[test]
fn a_program_that_allocates_elsewhere_is_told_so_in_release() {
    says_that_it_sees_nothing("release");
}
