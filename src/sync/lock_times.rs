//! How long locks are waited for and held, by rank: only in the build for measurements (`--cfg besom_measure`).

use super::Rank;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets by the logarithm of a time in ticks.
pub const BUCKETS: usize = 40;
const RANKS: usize = Rank::Leaf as usize + 1;

/// Times of the locks of one rank, in ticks of [`now`].
#[derive(Clone, Copy)]
pub struct LockTimes {
    /// The rank's name.
    pub name: &'static str,
    /// `held[k]`: locks held for `2^k` to `2^(k+1)` ticks.
    pub held: [u64; BUCKETS],
    /// Ticks held in all.
    pub held_sum: u64,
    /// Locks that were not free when they were asked for.
    pub contended: u64,
    /// Ticks waited for these in all.
    pub waited_sum: u64,
}

struct Entry {
    held: [AtomicU64; BUCKETS],
    held_sum: AtomicU64,
    contended: AtomicU64,
    waited_sum: AtomicU64,
}

static TABLE: [Entry; RANKS] = [const {
    Entry {
        held: [const { AtomicU64::new(0) }; BUCKETS],
        held_sum: AtomicU64::new(0),
        contended: AtomicU64::new(0),
        waited_sum: AtomicU64::new(0),
    }
}; RANKS];

/// The processor's counter of constant rate.
#[inline]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and Linux does not forbid it.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reads a counter that Linux lets user space read.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
        ticks
    }
}

/// Notes a lock that had to be waited for.
#[inline]
pub(super) fn waited(rank: Rank, since: u64) {
    let entry = &TABLE[rank as usize];
    entry.contended.fetch_add(1, Relaxed);
    entry.waited_sum.fetch_add(now().saturating_sub(since), Relaxed);
}

/// Notes a lock that was held for `ticks`; called after it was given back.
#[inline]
pub(super) fn held(rank: Rank, ticks: u64) {
    let entry = &TABLE[rank as usize];
    entry.held[(ticks.max(1).ilog2() as usize).min(BUCKETS - 1)].fetch_add(1, Relaxed);
    entry.held_sum.fetch_add(ticks, Relaxed);
}

/// The times since the last call, of all ranks that the heap uses.
pub fn take() -> [LockTimes; 6] {
    [Rank::CacheStop, Rank::CacheShard, Rank::Transfer, Rank::Central, Rank::RunCache, Rank::PageHeap].map(
        |rank| {
            let entry = &TABLE[rank as usize];
            LockTimes {
                name: match rank {
                    Rank::CacheStop => "stopping caches",
                    Rank::CacheShard => "locked caches",
                    Rank::Transfer => "transfer caches",
                    Rank::Central => "central lists",
                    Rank::RunCache => "run cache",
                    _ => "page heap",
                },
                held: core::array::from_fn(|k| entry.held[k].swap(0, Relaxed)),
                held_sum: entry.held_sum.swap(0, Relaxed),
                contended: entry.contended.swap(0, Relaxed),
                waited_sum: entry.waited_sum.swap(0, Relaxed),
            }
        },
    )
}
