//! The heap against a naive model: random sequences of every operation, and the whole-heap check.
//!
//! The heap is one per process and chooses its mode once, so each test runs its body in a child: this test
//! program again, with options in the environment and nothing else running.

mod model;
mod threads;

use super::{check, is_started, mcache};
use crate::stats::CacheMode;
use model::{Model, Op, any_op};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::process::Command;
use std::{eprintln, format, string::String};

/// Says in a child which body to run, and the options it runs with.
const BODY: &str = "BESOM_TEST_BODY";

/// Runs the test `name` again in a child with `options`; in that child runs `body`.
fn in_child(name: &str, options: &str, body: fn()) {
    if std::env::var_os(BODY).is_some() {
        return body();
    }
    let test = format!("heap::oracle::{name}");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([&test, "--exact", "--nocapture", "--test-threads=1"]);
    child.env(BODY, name).env("BESOM_OPTIONS", options);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "with {options}: {}\n{text}", output.status);
    assert!(text.contains("1 passed"), "the child ran no test:\n{text}");
    assert!(!text.contains("BESOM_OPTIONS:"), "an option was not understood:\n{text}");
    eprintln!("{text}");
}

/// Random sequences, each from an empty model; the whole heap is checked after every step.
fn sequences() {
    const CASES: u32 = 48;
    const MOST_STEPS: usize = 120;
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let steps = prop::collection::vec(any_op(), 1..MOST_STEPS);
    let ran = TestRunner::new(config).run(&steps, |ops| {
        run(&ops);
        Ok(())
    });
    ran.unwrap();
    eprintln!("ran with {:?}, tracked: {}", mcache::mode(), mcache::is_tracked());
}

fn run(ops: &[Op]) {
    let mut model = Model::new();
    for &op in ops {
        assert!(model.step(op), "out of memory in {op:?}");
        model.check_neighbours();
        if is_started() {
            check::check();
        }
    }
    model.check_contents();
    model.free_all();
    check::check();
    model::check_nothing_left();
}

fn is_mode_by_rseq() -> bool {
    // Where this machine has no restartable sequences the first tests run on locked caches, too.
    let wanted = crate::sys::rseq::find().is_some();
    wanted == (mcache::mode() != CacheMode::LockedShards)
}

#[test]
fn sequences_on_the_default_caches() {
    in_child("sequences_on_the_default_caches", "", || {
        sequences();
        assert!(is_mode_by_rseq() && !mcache::is_tracked());
    });
}

#[test]
fn sequences_on_locked_caches() {
    in_child("sequences_on_locked_caches", "rseq=0", || {
        sequences();
        assert_eq!(mcache::mode(), CacheMode::LockedShards);
    });
}

#[test]
fn sequences_with_every_object_tracked() {
    in_child("sequences_with_every_object_tracked", "check=1", || {
        sequences();
        assert!(mcache::is_tracked());
    });
}

#[test]
fn sequences_with_c_objects_packed() {
    in_child("sequences_with_c_objects_packed", "min_align=1", sequences);
}

#[test]
fn sequences_with_c_objects_packed_on_locked_caches() {
    in_child("sequences_with_c_objects_packed_on_locked_caches", "min_align=2:rseq=0", sequences);
}

#[test]
fn sequences_with_c_objects_packed_and_tracked() {
    in_child("sequences_with_c_objects_packed_and_tracked", "min_align=1:check=1:rseq=0", sequences);
}

#[test]
fn sequences_with_tiny_caches() {
    // So little room that every class takes from the others all the time.
    in_child("sequences_with_tiny_caches", "cpu_cache=16KiB", sequences);
}

#[test]
fn threads_on_the_default_caches() {
    in_child("threads_on_the_default_caches", "", threads::run);
}

#[test]
fn threads_on_locked_caches() {
    in_child("threads_on_locked_caches", "rseq=0", threads::run);
}

#[test]
fn threads_with_every_object_tracked() {
    in_child("threads_with_every_object_tracked", "check=1", threads::run);
}

#[test]
fn threads_with_c_objects_packed() {
    in_child("threads_with_c_objects_packed", "min_align=1", threads::run);
}

#[test]
fn threads_with_tiny_caches() {
    in_child("threads_with_tiny_caches", "cpu_cache=16KiB", threads::run);
}

/// Requests until there is nothing left, twice: what was freed in between serves again, and nothing that
/// was given out before has changed.
fn exhaust() {
    const LARGE: usize = 1 << 20;
    for align in [8, 4096] {
        let mut model = Model::new();
        let fill = |model: &mut Model, bytes| {
            (0..1 << 20).take_while(|_| model.step(Op::Alloc { bytes, align, zeroed: false })).count()
        };
        let first = fill(&mut model, LARGE);
        assert!((8..64).contains(&first), "{first} MiB in a limit of 64 MiB");
        fill(&mut model, 3000);
        fill(&mut model, 3);
        assert!(!model.step(Op::Realloc { victim: 0, bytes: 64 * LARGE }), "the object stays as it was");
        assert!(!model.step(Op::AllocC { bytes: isize::MAX as usize }), "more than there can be");
        check::check();
        model.check_contents();
        model.check_neighbours();
        model.free_every_other();
        check::check();
        assert!(model.step(Op::AllocC { bytes: 64 }) && model.step(Op::Calloc { bytes: LARGE }));
        model.free_all();
        check::check();
        model::check_nothing_left();
    }
}

#[test]
fn a_heap_at_its_hard_limit_goes_on() {
    in_child("a_heap_at_its_hard_limit_goes_on", "hard_limit=64MiB", exhaust);
}

#[test]
fn a_heap_at_its_hard_limit_goes_on_with_locked_caches() {
    in_child("a_heap_at_its_hard_limit_goes_on_with_locked_caches", "hard_limit=64MiB:rseq=0", exhaust);
}
