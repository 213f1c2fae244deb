//! Slabs under locks, for threads without rseq: old kernels, musl, valgrind, seccomp, `rseq=0`.
//!
//! A thread prefers the shard its thread pointer hashes to; if somebody else is in there it tries the
//! next ones before it waits. Unlike a CPU number, the thread pointer costs nothing to read.

use super::capacity::{self, Access};
use super::slab::Slab;
use super::{Cache, SLAB_BYTES};
use crate::base::Addr;
use crate::heap::central;
use crate::sync::{Mutex, MutexGuard, Rank};
use crate::sys::{cpu, rseq};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Most shards: with two per CPU a thread rarely finds its shard taken.
const MAX_SHARDS: usize = 128;

struct Shard {
    lock: Mutex<()>,
    /// Thread pointer of the thread that works in it; 0: none. For that thread's own signal handlers.
    worker: AtomicUsize,
    cache: Cache,
}

impl Shard {
    const fn new() -> Self {
        Self { lock: Mutex::new(Rank::CacheShard, ()), worker: AtomicUsize::new(0), cache: Cache::new() }
    }
}

static SHARDS: [Shard; MAX_SHARDS] = [const { Shard::new() }; MAX_SHARDS];
/// Shards in use: a power of two.
static SHARD_COUNT: AtomicUsize = AtomicUsize::new(1);

/// Sets the number of shards by the number of CPUs.
pub(super) fn init() {
    let shards = (2 * cpu::allowed()).next_power_of_two().min(MAX_SHARDS);
    SHARD_COUNT.store(shards, Relaxed);
}

/// A shard whose lock is held, with its slab.
pub(crate) struct Locked {
    shard: &'static Shard,
    slab: Slab,
    _guard: MutexGuard<'static, ()>,
}

impl Locked {
    /// The slab, which is this thread's while the lock is held.
    pub(super) fn slab(&self) -> Slab {
        self.slab
    }
}

impl Access for Locked {
    fn cache(&self) -> &'static Cache {
        &self.shard.cache
    }

    fn slab(&self) -> Slab {
        self.slab
    }

    fn set_capacity(&self, class: usize, capacity: usize) -> (usize, usize) {
        self.slab.set_capacity(class, capacity)
    }

    fn pop_batch(&self, class: usize, into: &mut [Addr]) -> usize {
        self.slab.pop_batch(class, into)
    }

    #[cold]
    #[inline(never)]
    fn ask_others(&self, class: usize, bytes: usize) {
        capacity::take_from_others(self, class, bytes);
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.shard.worker.store(0, Relaxed);
    }
}

/// Locks this thread's shard, or a free one near it. `None`: no memory for its slab.
///
/// A signal handler that has interrupted this thread in a shard takes another one: that shard's lock would be
/// given back only after the handler.
pub(super) fn lock_current() -> Option<Locked> {
    const PROBES: usize = 4;
    let count = SHARD_COUNT.load(Relaxed);
    // Thread pointers are page-aligned or nearly so: the multiplication brings their upper bits down.
    let me = rseq::thread_pointer();
    let hash = me.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let nth = |i: usize| &SHARDS[(hash + i) & (count - 1)];
    let probes = 0..PROBES.min(count);
    let free = probes.clone().find_map(|i| Some((nth(i), nth(i).lock.try_lock()?)));
    let (shard, guard) = free.unwrap_or_else(|| {
        let another = probes.map(nth).find(|shard| shard.worker.load(Relaxed) != me);
        let shard = another.unwrap_or(nth(0));
        (shard, shard.lock.lock())
    });
    let slab = match shard.cache.slab() {
        Some(slab) => slab,
        None => shard.cache.create_slab()?,
    };
    shard.worker.store(me, Relaxed);
    Some(Locked { shard, slab, _guard: guard })
}

/// Allocates an object of `class` from this thread's shard.
// Not in the code that every process holds: most have rseq.
#[cold]
#[inline(never)]
pub(super) fn alloc(class: usize) -> Option<Addr> {
    let stack = match lock_current() {
        Some(locked) => match locked.slab.pop(class) {
            Some(object) => return Some(object),
            None => capacity::grow_by(&locked, class),
        },
        None => capacity::Emptied::NO_STACK,
    };
    // The shard is not locked while the central list works.
    let mut batch = [Addr(0); central::MAX_BATCH];
    let taken = central::take(class, &mut batch[..stack.wanted]);
    let (&first, rest) = batch[..taken].split_last()?;
    let kept = lock_current().map_or(0, |locked| locked.slab.push_batch(class, rest));
    central::give(class, &rest[kept..]);
    Some(first)
}

/// Frees an object of `class` to this thread's shard.
// As `alloc`.
#[cold]
#[inline(never)]
pub(super) fn free(class: usize, object: Addr) {
    let mut batch = [Addr(0); central::MAX_BATCH];
    let mut surplus = 0;
    let kept = lock_current().is_some_and(|locked| {
        if !locked.slab.push(class, object) {
            capacity::grow_for_free_by(&locked, class);
        } else {
            return true;
        }
        if locked.slab.push(class, object) {
            return true;
        }
        // As in `free_miss`.
        if central::batch_of(class) > central::MIN_BATCH {
            surplus = capacity::pop_surplus_by(&locked, class, &mut batch);
        }
        locked.slab.push(class, object)
    });
    central::give(class, &batch[..surplus]);
    if !kept {
        central::give(class, &[object]);
    }
}

/// The shards' slabs.
pub(super) fn slabs() -> impl Iterator<Item = Slab> {
    SHARDS.iter().filter_map(|shard| shard.cache.slab())
}

/// Calls `each` for every shard's slab, under its lock.
pub(super) fn for_each_locked(mut each: impl FnMut(&'static Cache, Slab)) {
    for shard in SHARDS.iter().filter(|shard| shard.cache.slab().is_some()) {
        let _guard = shard.lock.lock();
        if let Some(slab) = shard.cache.slab() {
            each(&shard.cache, slab);
        }
    }
}

/// The shards' locks, for fork.
pub(crate) fn fork_locks() -> impl Iterator<Item = &'static Mutex<()>> {
    SHARDS.iter().map(|shard| &shard.lock)
}

const _: () = assert!(SLAB_BYTES > 0 && MAX_SHARDS.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Duration, vec::Vec};

    #[test]
    fn a_handler_does_not_wait_for_the_thread_it_interrupts() {
        crate::heap::ensure_started();
        let mine = lock_current().unwrap();
        let (taken, all_taken) = mpsc::channel();
        let others = thread::spawn(move || {
            let held: Vec<_> = SHARDS.iter().filter_map(|shard| shard.lock.try_lock()).collect();
            taken.send(()).unwrap();
            thread::sleep(Duration::from_millis(50));
            drop(held);
        });
        all_taken.recv().unwrap();
        // As a handler of this thread's would. Waiting for `mine` would be for ever.
        drop(lock_current().unwrap());
        drop(mine);
        others.join().unwrap();
    }
}
