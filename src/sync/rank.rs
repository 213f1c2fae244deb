//! The order in which locks may be taken, checked in debug builds.
//!
//! A thread that holds a lock may take only locks of a higher rank, so no two threads can wait for
//! each other. The ranks are data, as in the Go runtime's `lockrank.go`.

/// A lock's place in the order: lower ranks are taken first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Rank {
    /// A leak check: one at a time in the process.
    LeakCheck = 1,
    /// Stopping other CPUs' caches.
    CacheStop = 2,
    /// One shard of caches, where there is no rseq.
    CacheShard = 3,
    /// A class's transfer cache.
    Transfer = 4,
    /// A class's central list.
    Central = 5,
    /// A shard of the cache of page runs.
    RunCache = 6,
    /// The page heap.
    PageHeap = 7,
    /// The parts of arrays beside the heap that become memory when they are needed.
    SpanTable = 8,
    /// The leak checker's tables: stacks, roots, side arrays.
    LeakTables = 9,
    /// A lock under which no other is taken.
    Leaf = 10,
}

#[cfg(all(debug_assertions, not(loom)))]
mod held {
    use super::Rank;

    /// What a lock keeps of its rank.
    pub(crate) type Ranked = Rank;

    pub(crate) const fn ranked(rank: Rank) -> Ranked {
        rank
    }

    use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

    /// Threads hash into slots by number; a collision of two threads only weakens the check.
    const SLOTS: usize = 4096;
    static OWNER: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];
    static HELD: [AtomicU32; SLOTS] = [const { AtomicU32::new(0) }; SLOTS];

    /// This thread's slot, or `None` if another thread's locks are noted there.
    fn slot() -> Option<usize> {
        let id = crate::sys::message::thread_id() as usize;
        let i = id % SLOTS;
        let owner = OWNER[i].compare_exchange(0, id, Relaxed, Relaxed);
        (owner.is_ok() || owner == Err(id)).then_some(i)
    }

    pub(crate) fn acquire(rank: Rank) {
        let Some(i) = slot() else { return };
        let held = HELD[i].fetch_or(1 << rank as u32, Relaxed);
        if held >> rank as u32 != 0 && !super::may_nest(rank) {
            crate::sys::message::abort_with(format_args!(
                "lock order: {rank:?} taken while holding {held:#b}"
            ));
        }
    }

    pub(crate) fn release(rank: Rank) {
        let Some(i) = slot() else { return };
        if HELD[i].fetch_and(!(1 << rank as u32), Relaxed) == 1 << rank as u32 {
            OWNER[i].store(0, Relaxed);
        }
    }
}

/// In the build for measurements a lock knows its rank, since times are kept by rank.
#[cfg(all(besom_measure, not(debug_assertions)))]
mod held {
    pub(crate) type Ranked = super::Rank;

    pub(crate) const fn ranked(rank: super::Rank) -> Ranked {
        rank
    }
    pub(crate) fn acquire(_: Ranked) {}
    pub(crate) fn release(_: Ranked) {}
}

#[cfg(not(any(all(debug_assertions, not(loom)), besom_measure)))]
mod held {
    /// Nothing: a lock that is zero keeps a static full of locks out of the library's data.
    #[derive(Clone, Copy)]
    pub(crate) struct Ranked;

    pub(crate) const fn ranked(_: super::Rank) -> Ranked {
        Ranked
    }
    pub(crate) fn acquire(_: Ranked) {}
    pub(crate) fn release(_: Ranked) {}
}

pub(super) use held::{Ranked, acquire, ranked, release};

/// Fork and whole-heap walks take all locks of one of these ranks, in index order.
#[cfg(debug_assertions)]
#[allow(dead_code)]
const fn may_nest(rank: Rank) -> bool {
    matches!(rank, Rank::CacheShard | Rank::Transfer | Rank::Central | Rank::RunCache | Rank::Leaf)
}
