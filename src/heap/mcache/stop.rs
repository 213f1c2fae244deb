//! Taking other CPUs' slabs: draining them, walking them, giving back idle ones.
//!
//! The dummy method. Point the CPU's table entry at the dummy; [`rseq::fence`] restarts every section
//! that runs, and those that start find the dummy; now the slab belongs to this thread; work; point the
//! entry back. It costs the fast path nothing. A thread whose section fails meanwhile goes to the central
//! lists. The tests run this against threads that allocate, and once more without the fence, which must
//! fail, to show that the test can.

use super::SLAB_BYTES;
use super::capacity;
use super::slab::{STACKS, Slab};
use super::{Cache, STOP, caches_seen, mode, shard, slow_table};
use crate::base::Addr;
use crate::heap::central;
use crate::stats::CacheMode;
use crate::sync::Mutex;
use crate::sys::{memory, message::say, rseq};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Stops every CPU that has a slab and for which `select` says so, runs `each` on it, and lets it go on;
/// without `each` where the kernel refuses to stop them. Then runs `each` on every selected shard under its lock.
fn with_stopped(
    mut select: impl FnMut(&'static Cache, Slab) -> bool,
    mut each: impl FnMut(&'static Cache, Slab),
) {
    let stop = STOP.lock();
    let mut stopped = [0u64; super::MAX_CPUS / 64];
    let mut any = false;
    for (cpu, cache) in caches_seen().enumerate() {
        if cache.slab().is_some_and(|slab| select(cache, slab)) {
            slow_table().take_away(cpu);
            stopped[cpu / 64] |= 1 << (cpu % 64);
            any = true;
        }
    }
    let fenced = !any || fence();
    for (cpu, cache) in caches_seen().enumerate() {
        if let Some(slab) = cache.slab().filter(|_| stopped[cpu / 64] >> (cpu % 64) & 1 != 0) {
            if fenced {
                each(cache, slab);
            }
            slow_table().publish(cpu, slab);
        }
    }
    drop(stop);
    shard::for_each_locked(|cache, slab| {
        if select(cache, slab) {
            each(cache, slab);
        }
    });
}

/// Restarts running sections; `false` if that is not allowed any more: the process has put a filter on its
/// system calls since it started. Then other CPUs' slabs can't be touched, which is said once.
fn fence() -> bool {
    static SAID: AtomicBool = AtomicBool::new(false);
    let fenced = mode() == CacheMode::LockedShards || rseq::fence();
    if !fenced && !SAID.swap(true, Relaxed) {
        say!(
            "membarrier is not allowed any more: caches of idle CPUs keep what they hold (rseq=0 would not)"
        );
    }
    fenced
}

/// Returns all cached objects to the central lists and all capacity to the budgets.
pub(crate) fn drain() {
    with_stopped(|_, _| true, empty);
}

/// Drains CPUs whose slab has not changed since the last call. Called every half minute or so.
pub(crate) fn reclaim_idle() {
    with_stopped(
        |cache, slab| cache.budget.is_idle(slab) && slab.cached_bytes() != 0,
        |cache, slab| {
            empty(cache, slab);
            release_pages(slab);
        },
    );
}

/// Gives the objects of an owned slab back and takes its capacity away.
fn empty(cache: &Cache, slab: Slab) {
    let mut batch = [Addr(0); central::MAX_BATCH];
    for class in 1..STACKS {
        loop {
            let popped = slab.pop_batch(class, &mut batch);
            if popped == 0 {
                break;
            }
            capacity::give_back(class, &batch[..popped]);
        }
        let (old, new) = slab.set_capacity(class, 0);
        cache.budget.account(class, old, new);
    }
}

/// Gives the pages of an empty slab's stacks back to the kernel, all but the first, which has the headers.
/// Marks vanish with them and are written again when a class next gets capacity: with none it must be idle.
fn release_pages(slab: Slab) {
    let keep = crate::sys::auxv::kernel_page_bytes();
    for class in 1..STACKS {
        slab.make_idle(class);
    }
    // SAFETY: the pages are the slab's, which this thread owns, and hold nothing: every class is idle.
    // If the advice fails the pages stay, which is as good.
    let _ = unsafe { memory::advise(slab.0.plus(keep), SLAB_BYTES - keep, libc::MADV_DONTNEED) };
}

/// Runs `each` on the slab of every CPU and shard while it is stopped: for whole-heap checks and the
/// leak checker's list of free objects.
#[cfg(test)]
pub(crate) fn for_each_slab_stopped(mut each: impl FnMut(usize, Addr)) {
    with_stopped(|_, _| true, |_, slab| slab.for_each_object(&mut each));
}

/// The lock that keeps CPUs from being stopped, for fork: a child must not inherit the dummy.
pub(crate) fn stop_for_fork() -> &'static Mutex<()> {
    &STOP
}
