//! What `benches/scaling.rs` looks at beyond the interface: only in the build for measurements
//! (`--cfg besom_measure`). No part of the interface.

use super::mcache;
pub use crate::sync::lock_times::{LockTimes, now as ticks, take as take_lock_times};
use crate::sys::auxv;

/// Bytes of address space of one CPU's caches.
pub const SLAB_BYTES: usize = mcache::slab::SLAB_BYTES;

/// Calls `each` with address and bytes of every slab.
pub fn for_each_slab(mut each: impl FnMut(usize, usize)) {
    mcache::for_each_slab_mapping(|at, bytes| each(at.0, bytes));
}

/// Bytes of the kernel's pages.
pub fn kernel_page_bytes() -> usize {
    auxv::kernel_page_bytes()
}
