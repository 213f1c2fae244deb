//! Stacks that come again and again, in the same order or nearly. That a trace leads where a walk does is checked each
//! time it is followed, in builds with debug assertions.

use super::*;
use crate::leak::capture::trace::FOLLOWED;
use std::thread;

/// Records the stack of `function` at `depth` and compares it with the truth.
fn record_in(function: Function, depth: i32) {
    let mut captured = Captured::default();
    // SAFETY: as in `capture_in`.
    unsafe { function(depth, record_into, (&raw mut captured).cast()) };
    captured.assert_equal();
}

/// Records as `sequence` says, over and over.
fn record(library: &Library, sequence: &[(&str, i32)], rounds: usize) {
    prepare();
    for _ in 0..rounds {
        sequence.iter().for_each(|&(shape, depth)| record_in(library.function(shape), depth));
    }
}

/// Checks that at least `least` stacks, of these and other threads, are followed while `record` runs: in one of many
/// tries, since other tests make walks forget their rules.
fn assert_followed(least: usize, record: impl Fn()) {
    let follows = |_| {
        let before = FOLLOWED.get();
        record();
        FOLLOWED.get() - before >= least
    };
    assert!((0..100).any(follows), "never as many as {least} in a try");
}

/// Each stack has one that comes after it, or one of two.
const SEQUENCE: [(&str, i32); 7] = [
    ("plain", 1),
    ("registers", 2),
    ("plain", 3),
    ("plain", 3),
    ("registers", 2),
    ("plain", 4),
    ("registers", 9),
];

#[test]
fn what_comes_again_is_followed() {
    assert_followed(100, || record(c_frames(), &SEQUENCE, 40));
}

#[test]
fn with_frame_pointers() {
    let library = Library::build("frames.c", &["-fno-omit-frame-pointer"]);
    assert_followed(100, || record(&library, &SEQUENCE, 40));
}

/// Frames of changing sizes, realigned ones, and large ones have no trace, or one that is left half-way.
#[test]
fn among_frames_without_trace() {
    on_a_large_stack(|| {
        let sequence: Vec<_> =
            SHAPES.iter().flat_map(|&shape| [(shape, 2), ("plain", 1), (shape, 5)]).collect();
        for flags in ["-fomit-frame-pointer", "-fno-omit-frame-pointer"] {
            record(&Library::build("frames.c", &[flags]), &sequence, 20);
        }
    });
}

/// A stack that has more than two others after it, at different depths: the stack pointer tells which comes.
#[test]
fn after_the_same_stack_by_the_stack_pointer() {
    let sequence: Vec<_> = (1..=24).flat_map(|depth| [("plain", 30), ("plain", depth)]).collect();
    assert_followed(400, || record(c_frames(), &sequence, 10));
}

/// Traces that end before the stack does.
#[test]
fn of_the_innermost_frames_only() {
    extern "C" fn record_ten(result: *mut c_void) {
        #[inline(never)]
        fn record() -> StackId {
            record_to(0, 10)
        }
        let id = record();
        // SAFETY: every test passes a `Captured` of its own.
        unsafe { *result.cast::<Captured>() = Captured { ours: depot::frames(id).to_vec(), truth: truth() } };
    }
    prepare();
    assert_followed(30, || {
        for i in 0..120 {
            let (shape, depth) = [("plain", 20), ("registers", 30), ("plain", 12)][i % 3];
            let mut captured = Captured::default();
            // SAFETY: as in `capture_in`.
            unsafe { c_frames().function(shape)(depth, record_ten, (&raw mut captured).cast()) };
            assert_eq!(captured.ours.len(), 10);
            assert_eq!(captured.ours[1..], captured.truth[1..10]);
        }
    });
}

/// Threads share traces, and what comes after a stack.
#[test]
fn by_many_threads_with_many_stacks() {
    prepare();
    let threads: Vec<_> = (0..4u32)
        .map(|thread| {
            thread::spawn(move || {
                let mut random = thread;
                for _ in 0..2000 {
                    random = random.wrapping_mul(1_103_515_245).wrapping_add(12345);
                    let shape = ["plain", "registers"][(random >> 16) as usize % 2];
                    record_in(c_frames().function(shape), (random >> 20) as i32 % 24);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
