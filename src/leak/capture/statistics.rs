//! Counters of what is rare; a walk that only hits the table counts nothing.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A counter.
pub(super) struct Counter(AtomicUsize);

impl Counter {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// How many there were.
    #[cfg(test)]
    pub(super) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// One more.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Return addresses looked up in a module's tables.
pub(super) static MISSES: Counter = Counter::new();
/// Frames stepped over by frame pointer for want of call frame information.
pub(super) static GUESSES: Counter = Counter::new();
/// Stacks walked again because a module had been replaced.
pub(super) static REWALKS: Counter = Counter::new();

/// How captures went.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// How modules are found: `_dl_find_object` or `/proc/self/maps`; `frame pointers` where call frame
    /// information is not used.
    pub(crate) module_source: &'static str,
    /// Return addresses looked up in a module's tables; the others were remembered.
    pub(crate) misses: usize,
    /// Frames stepped over by frame pointer for want of call frame information.
    pub(crate) guesses: usize,
    /// Stacks walked again because a module had been replaced.
    pub(crate) rewalks: usize,
}

/// How captures went so far.
#[cfg(test)]
pub(crate) fn statistics() -> Statistics {
    Statistics {
        module_source: super::engine::source(),
        misses: MISSES.0.load(Relaxed),
        guesses: GUESSES.0.load(Relaxed),
        rewalks: REWALKS.0.load(Relaxed),
    }
}
