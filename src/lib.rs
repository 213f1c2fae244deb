//! besom: Go's memory allocator rebuilt as a drop-in malloc, with a mark-sweep leak finder beside it.
#![cfg_attr(
    not(all(feature = "shared", target_arch = "x86_64")),
    allow(
        dead_code,
        reason = "the libraries use all there is; with fewer features, or without the unwinder, less is"
    )
)]
#![cfg_attr(
    loom,
    allow(unused_imports, unused_macros, reason = "only a few modules are built for the models")
)]
#![cfg_attr(not(test), no_std)]

#[cfg(all(feature = "leak", not(test)))]
extern crate alloc;
#[cfg(test)]
extern crate std;
#[cfg(all(feature = "leak", test))]
extern crate std as alloc;

#[cfg(not(loom))]
mod abi;
mod base;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
mod heap;
#[cfg(all(feature = "leak", not(loom)))]
pub mod leak;
#[cfg(all(feature = "leak", not(loom)))]
mod report;
#[cfg(not(loom))]
mod stats;
mod sync;
mod sys;

/// Under loom only the heap's lock-free hand-overs: its locks are statics, which loom's can't be.
#[cfg(loom)]
mod heap {
    mod start_bits;
}
/// And the leak finder's.
#[cfg(all(loom, feature = "leak"))]
mod leak {
    mod mark {
        mod list;
    }
}

#[cfg(all(feature = "leak", not(loom)))]
#[doc(hidden)]
pub use leak::bench as __bench_leak;

#[cfg(all(besom_measure, not(loom)))]
#[doc(hidden)]
pub use heap::measure as __bench_heap;

#[cfg(not(loom))]
pub use abi::{Besom, release_free_memory, stats};
#[cfg(not(loom))]
pub use stats::{CacheMode, ClassStats, Stats};

/// The report's memory in libbesom.so: in leak mode all of it is served by `heap::arena`.
#[cfg(all(feature = "shared", not(test)))]
#[global_allocator]
static GLOBAL: abi::OutOfLine = abi::OutOfLine;

// The precompiled `alloc` crate refers to these two in its unwind tables and landing pads. Nothing here
// unwinds, and foreign exceptions do not pass through these frames, so they are never called. Weak: a
// program that links libbesom.a may have the real ones.
#[cfg(all(feature = "shared", not(test)))]
core::arch::global_asm!(
    ".pushsection .text.besom_no_unwinding, \"ax\", @progbits",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:",
    ".weak _Unwind_Resume",
    ".hidden _Unwind_Resume",
    "_Unwind_Resume:",
    // Undefined on x86-64 (ud2) and, as a word, on aarch64 (udf).
    ".byte 0x0f, 0x0b, 0, 0",
    ".popsection",
);

/// Where a bug in besom itself ends: there is no unwinding, and the message must not allocate.
#[cfg(all(feature = "shared", not(test)))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    sys::message::abort_with(format_args!("internal error: {info}"))
}
