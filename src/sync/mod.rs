//! Locks whose waiters sleep, in a fixed order, and the facade that loom replaces.

mod mutex;
mod rank;

pub(crate) use mutex::{Mutex, MutexGuard};
pub(crate) use rank::Rank;

/// Atomics: loom's under `--cfg loom`, `core`'s otherwise.
pub(crate) mod atomic {
    #[cfg(not(loom))]
    pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}
