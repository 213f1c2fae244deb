//! Functions for programs that know besom, in Rust.

use crate::heap;
use crate::stats::Stats;

/// A snapshot of the heap. Takes microseconds and no lock for long; any thread may call it at any time.
pub fn stats() -> Stats {
    heap::snapshot()
}

/// Empties the caches, gives all free memory back to the kernel, and returns how many bytes that was. Takes
/// milliseconds, and the next requests are slower; meant for a moment after which the program rests.
pub fn release_free_memory() -> usize {
    heap::release_free_memory()
}
