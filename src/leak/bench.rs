//! What `benches/unwind.rs` measures, which lies outside of the crate. No part of the interface.

use super::{capture, depot};

/// Prepares for the other functions, which are to capture `depth` frames.
pub fn init(depth: usize) {
    capture::init_to(depth);
}

/// Captures the caller's stack and returns how many frames it has.
#[inline(never)]
pub fn capture() -> usize {
    let mut buffer = capture::StackBuffer::new();
    core::hint::black_box(capture::here(0, &mut buffer)).len()
}

/// Captures the caller's stack and stores it; returns its number in the depot.
#[inline(never)]
pub fn record() -> u32 {
    capture::record(0).0
}

/// The frames of a recorded stack.
pub fn frames(id: u32) -> &'static [usize] {
    depot::frames(depot::StackId(id))
}
