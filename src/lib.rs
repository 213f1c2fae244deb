//! besom: Go's memory allocator rebuilt as a drop-in malloc, with a mark-sweep leak finder beside it.
#![allow(dead_code, unused_imports, unused_macros, reason = "skeleton")]
#![cfg_attr(not(test), no_std)]

#[cfg(all(feature = "leak", not(test)))]
extern crate alloc;
#[cfg(test)]
extern crate std;
#[cfg(all(feature = "leak", test))]
extern crate std as alloc;

mod abi;
mod base;
mod config;
mod heap;
#[cfg(feature = "leak")]
pub mod leak;
#[cfg(feature = "leak")]
mod report;
mod stats;
mod sync;
mod sys;

#[cfg(feature = "leak")]
#[doc(hidden)]
pub use leak::bench as __bench_leak;

pub use abi::{Besom, release_free_memory, stats};
pub use stats::{CacheMode, ClassStats, Stats};

/// Where a bug in besom itself ends: there is no unwinding, and the message must not allocate.
#[cfg(all(feature = "shared", not(test)))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    sys::message::abort_with(format_args!("internal error: {info}"))
}
