//! Locks whose waiters sleep, in a fixed order, the start of something once, and the facade that loom
//! replaces: under `--cfg loom` the crate is only what is needed to explore these protocols.

#[cfg(loom)]
mod futex_model;
#[cfg(besom_measure)]
pub(crate) mod lock_times;
mod mutex;
mod once;
#[cfg(all(feature = "leak", not(loom)))]
mod owner_lock;
mod rank;

pub(crate) use mutex::{Mutex, MutexGuard};
pub(crate) use once::Once;
#[cfg(all(feature = "leak", not(loom)))]
pub(crate) use owner_lock::OwnerLock;
pub(crate) use rank::Rank;

/// Atomics: loom's under `--cfg loom`, `core`'s otherwise.
pub(crate) mod atomic {
    // Not every build has every user.
    #[cfg(not(loom))]
    #[allow(unused_imports)]
    pub(crate) use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};
}
