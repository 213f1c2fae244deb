//! fork: the child must find every lock free and no CPU stopped.
//!
//! `prepare` takes all locks in the order of their ranks, so no other thread is inside any of them when
//! the address space is copied. The slabs need no lock: a section's stores are invisible until its commit,
//! so the copy holds, for each stack, the state before or after. In the child glibc keeps the one thread
//! registered.

use super::{central, mcache, pages, run_cache, tracking};
use crate::sync::Mutex;

/// Takes every lock. For `pthread_atfork`.
pub(crate) fn prepare() {
    mcache::stop_for_fork().acquire_for_fork();
    mcache::fork_locks().for_each(Mutex::acquire_for_fork);
    central::acquire_for_fork();
    run_cache::acquire_for_fork();
    pages::acquire_for_fork();
    tracking::acquire_for_fork();
    mcache::suspension_for_fork().acquire_for_fork();
}

/// Whether every lock that [`prepare`] takes comes free before the monotonic clock shows `deadline` nanoseconds.
/// Not so in a signal handler that interrupted the allocator while it held one: [`prepare`] would hang.
pub(crate) fn locks_come_free(deadline: u64) -> bool {
    mcache::stop_for_fork().comes_free(deadline)
        && mcache::fork_locks().all(|lock| lock.comes_free(deadline))
        && central::locks_come_free(deadline)
        && run_cache::locks_come_free(deadline)
        && pages::locks_come_free(deadline)
        && tracking::lock_comes_free(deadline)
        && mcache::suspension_for_fork().comes_free(deadline)
}

/// Gives every lock back, in parent and child.
///
/// # Safety
/// After [`prepare`] in this thread or, in the child, in the thread that forked.
pub(crate) unsafe fn release(in_child: bool) {
    // SAFETY: `prepare` took all of these.
    unsafe {
        mcache::suspension_for_fork().release_after_fork();
        tracking::release_after_fork();
        pages::release_after_fork(in_child);
        run_cache::release_after_fork();
        central::release_after_fork();
        mcache::fork_locks().for_each(|lock| lock.release_after_fork());
        mcache::stop_for_fork().release_after_fork();
    }
    if in_child {
        mcache::forget_suspensions();
    }
}
