//! fork: the child must find every lock free and no CPU stopped.
//!
//! `prepare` takes all locks in the order of their ranks, so no other thread is inside any of them when
//! the address space is copied. The slabs need no lock: nobody goes by a section's stores until its commit,
//! so the copy holds, for each stack, the state before or after. In the child glibc keeps the one thread
//! registered.
//!
//! Handlers of the program's that were registered before besom's run between the two, in prepare as in parent
//! and child, and may allocate. What the thread that forks then asks for beyond its caches happens with the locks
//! given back, and taken again after it: [`step_aside`].

use super::{central, mcache, pages, run_cache, tracking};
use crate::sync::Mutex;
use crate::sys::{message, rseq};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::Relaxed};

/// The thread that holds every lock for a fork, by its thread pointer; 0: none.
static HOLDER: AtomicUsize = AtomicUsize::new(0);
/// The process in which it took them.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// A lock above the heap that is held around forks, too.
pub(crate) struct Companion {
    /// Takes it.
    pub(crate) take: fn(),
    /// Gives it back. Only after `take`, in the same thread or, if `in_child`, its copy in the child.
    pub(crate) give: unsafe fn(in_child: bool),
}

static COMPANION: AtomicPtr<Companion> = AtomicPtr::new(core::ptr::null_mut());

/// Names the lock that is taken after the heap's.
pub(crate) fn set_companion(companion: &'static Companion) {
    COMPANION.store(core::ptr::from_ref(companion).cast_mut(), Relaxed);
}

fn companion() -> Option<&'static Companion> {
    // SAFETY: only `set_companion` stores here, and what it stores lives for good.
    unsafe { COMPANION.load(Relaxed).as_ref() }
}

/// Before a fork of the program's: takes every lock.
pub(crate) fn begin() {
    prepare();
    if let Some(companion) = companion() {
        (companion.take)();
    }
    PROCESS.store(message::process_id(), Relaxed);
    HOLDER.store(rseq::thread_pointer(), Relaxed);
}

/// After it: gives them back.
///
/// # Safety
/// After [`begin`] in this thread or, if `in_child`, in the thread that forked.
pub(crate) unsafe fn end(in_child: bool) {
    HOLDER.store(0, Relaxed);
    // SAFETY: passed on to the caller.
    unsafe {
        if let Some(companion) = companion() {
            (companion.give)(in_child);
        }
        release(in_child);
    }
}

/// Whether this thread is between [`begin`] and [`end`].
#[inline]
pub(super) fn is_holder() -> bool {
    let holder = HOLDER.load(Relaxed);
    holder != 0 && holder == rseq::thread_pointer()
}

/// Serves a `request` of the thread that [`is_holder`].
#[cold]
#[inline(never)]
pub(super) fn step_aside<T>(request: impl FnOnce() -> T) -> T {
    // SAFETY: this thread holds the locks; in the child, too, where they must be made the child's own first.
    unsafe { end(message::process_id() != PROCESS.load(Relaxed)) };
    let result = request();
    begin();
    result
}

/// Takes every lock.
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
