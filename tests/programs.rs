//! Real programs under `LD_PRELOAD`: each prints the same as without, in both forms of the caches and in
//! leak mode.
//!
//! A test is a script in `tests/programs/`, written so that its output is a pure function of its
//! input: digests, counts, answers; and a cheap call of the same program, which proves by its
//! statistics that the library is in it. What the scripts need, `tests/install-test-deps.sh` installs.

#[path = "programs/harness.rs"]
mod harness;

use harness::{Leaks, same_under_preload};

/// A dozen modules of Python's own test suite, with every object from malloc.
#[test]
fn python3() {
    same_under_preload("python3", &["python3", "-c", "import json; json.dumps([1])"], Leaks::Known);
}

/// Hashes, arrays, regular expressions, sorting, closures, deep structures.
#[test]
fn perl() {
    same_under_preload("perl", &["perl", "-e", "print 1"], Leaks::Known);
}

/// Commits, branches, merge, clone, repack with threads, fsck: object ids say whether a byte changed.
#[test]
fn git() {
    same_under_preload("git", &["git", "version"], Leaks::Known);
}

/// A large generated C program: the object file's digest and what the program prints.
#[test]
fn gcc() {
    same_under_preload("gcc", &["gcc", "--version"], Leaks::Known);
}

/// Templates and the standard library, compiled and run; the result allocates through `operator new`.
#[test]
fn gxx() {
    same_under_preload("gxx", &["g++", "--version"], Leaks::Known);
}

/// Bulk load, indexes, joins, aggregation, window functions, full-text search, integrity check.
#[test]
fn sqlite3() {
    same_under_preload("sqlite3", &["sqlite3", "-version"], Leaks::None);
}

/// Compression and decompression by two threads.
#[test]
fn xz() {
    same_under_preload("xz", &["xz", "--version"], Leaks::Known);
}

/// Compression by two threads at several levels, and decompression.
#[test]
fn zstd() {
    same_under_preload("zstd", &["zstd", "--version"], Leaks::Known);
}

/// Cargo, rustc and the linker, and the tests of what they built.
///
/// rustc brings a jemalloc of its own, whose symbols come before a preloaded library's: besom serves
/// cargo, the linker and the built programs, and only what jemalloc doesn't define in rustc.
#[test]
fn cargo() {
    same_under_preload("cargo", &["cargo", "--version"], Leaks::Known);
}

/// Arrays, substitutions, subshells and pipelines: forks by the hundred.
#[test]
fn bash() {
    same_under_preload("bash", &["bash", "-c", ":"], Leaks::Known);
}

/// Sorting by two threads, and its companions.
#[test]
fn sort() {
    same_under_preload("sort", &["sort", "--version"], Leaks::Known);
}

/// Archives with long names, links and sparse files, packed and unpacked.
#[test]
fn tar() {
    same_under_preload("tar", &["tar", "--version"], Leaks::Known);
}

/// Keys, certificates, digests, ciphers.
#[test]
fn openssl() {
    same_under_preload("openssl", &["openssl", "version"], Leaks::None);
}
