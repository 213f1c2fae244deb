//! What has to be done from time to time, done on slow paths: besom has no thread of its own, unless option
//! `scavenge_thread` asks for one.

use super::{central, fork, large, mcache, pages, run_cache};
use crate::base::PAGE_BYTES;
use crate::config::{self, Key};
use crate::sys::time;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

const SECOND: u64 = 1_000_000_000;
/// How often surplus is looked for.
const INTERVAL_NANOSECONDS: u64 = SECOND;
/// Runs that have waited this long go to the page heap.
const RUN_AGE_MILLISECONDS: u32 = 1000;
/// Looks between two looks for idle CPUs: a CPU without a change in ten seconds is idle.
const LOOKS_PER_IDLE_CHECK: u32 = 10;
/// Slow paths between two readings of the clock, which costs as much as a short slow path.
const CALLS_PER_CLOCK: u32 = 64;

/// Bytes that leave the caches between two looks for surplus. What nobody wants pins spans, so the heap should not
/// keep pages for it that the program has freed. Less than this, and a program that frees and takes 2 MiB in turn
/// would seem to be doing only the one.
const RETURNED_BYTES: usize = 4 << 20;
/// Bytes that get memory between two looks: nor should the heap grow beside it. 1 MiB costs far more than the look.
const GROWTH_BYTES: usize = 1 << 20;

/// Bytes that came back from caches since the last look for surplus on that account, and bytes that got memory, in
/// proportion.
static MOVED: AtomicUsize = AtomicUsize::new(0);
/// What caches should hold to be emptied for a request that failed: so a program that goes on asking for too much
/// does not empty them each time.
const WORTH_EMPTYING_BYTES: usize = 1 << 20;

/// The clock as last read.
static NOW: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU32 = AtomicU32::new(0);
static NEXT: AtomicU64 = AtomicU64::new(0);
static LOOKS: AtomicU32 = AtomicU32::new(0);

/// The coarse clock as it was some slow paths ago: good enough for ages of seconds, and for rates.
pub(super) fn recent_nanoseconds() -> u64 {
    NOW.load(Relaxed)
}

/// As [`recent_nanoseconds`], in milliseconds; wraps after 49 days.
pub(super) fn recent_milliseconds() -> u32 {
    (recent_nanoseconds() / 1_000_000) as u32
}

/// Called on every slow path, with no lock held.
#[inline]
pub(super) fn tick() {
    // Not a locked addition: a call that is not counted does no harm.
    let calls = CALLS.load(Relaxed).wrapping_add(1);
    CALLS.store(calls, Relaxed);
    if calls.is_multiple_of(CALLS_PER_CLOCK) {
        look(time::coarse_nanoseconds());
    }
    // Where much goes to and fro, a look that sees only the one of it would take away what comes again.
    if MOVED.load(Relaxed) >= RETURNED_BYTES.max(2 * central::granted_bytes()) {
        MOVED.store(0, Relaxed);
        if config::is_on(Key::Scavenge) {
            mcache::trim_unused();
            central::trim_transfers(false);
            run_cache::empty_current(large::release);
        }
    }
}

/// Notes that `bytes` without memory behind them were taken for objects; any lock may be held.
#[inline]
pub(super) fn note_growth(bytes: usize) {
    note_returned(bytes * (RETURNED_BYTES / GROWTH_BYTES));
}

/// Notes that `bytes` came back from a cache; any lock may be held.
#[inline]
pub(super) fn note_returned(bytes: usize) {
    // Not a locked addition, as in `tick`.
    MOVED.store(MOVED.load(Relaxed).wrapping_add(bytes), Relaxed);
}

/// The work that [`tick`] does now and then, if it is due. For a thread of its own; no lock held.
pub(crate) fn maintain() {
    look(time::coarse_nanoseconds());
}

#[cold]
fn look(now: u64) {
    NOW.store(now, Relaxed);
    let next = NEXT.load(Relaxed);
    if next == 0 {
        // The process has only just started: nothing can be surplus yet.
        NEXT.store(now + INTERVAL_NANOSECONDS, Relaxed);
        return;
    }
    if is_due(now, next) {
        look_for_surplus(now, next);
    }
}

/// Where the code begins that few small programs get to (`build.rs` puts it there).
#[cfg(feature = "dlopen")]
pub(crate) fn code() -> crate::base::Addr {
    crate::base::Addr(look_for_surplus as *const () as usize)
}

/// The rest of a look that was set for `next` and is due. Apart, since most small programs end before their first.
#[inline(never)]
fn look_for_surplus(now: u64, next: u64) {
    let mine = NEXT.compare_exchange(next, now + INTERVAL_NANOSECONDS, Relaxed, Relaxed).is_ok();
    if !mine || !config::is_on(Key::Scavenge) {
        return;
    }
    mcache::trim_unused();
    central::trim_transfers(false);
    run_cache::trim(RUN_AGE_MILLISECONDS, large::release);
    if LOOKS.fetch_add(1, Relaxed) % LOOKS_PER_IDLE_CHECK == LOOKS_PER_IDLE_CHECK - 1 {
        mcache::reclaim_idle();
    }
    pages::release_excess();
}

/// Whether a look set for `next` is due at `now`: also if it is far ahead, since the clock was put back (the process was
/// restored elsewhere, or forked into a time namespace). A bit more than an interval ahead it is when another thread
/// has just looked and this one read the clock before it.
fn is_due(now: u64, next: u64) -> bool {
    now >= next || next - now > 2 * INTERVAL_NANOSECONDS
}

/// Empties every cache, if that may help a request for `bytes` which were not to be had; whether it did.
#[cold]
pub(super) fn empty_caches_for(bytes: usize) -> bool {
    let held = mcache::cached_bytes() + central::transferred_bytes() + large::waiting_bytes();
    if held < bytes.min(WORTH_EMPTYING_BYTES) {
        return false;
    }
    empty_caches();
    true
}

fn empty_caches() {
    mcache::drain();
    central::trim_transfers(true);
    run_cache::trim(0, large::release);
}

/// Empties every cache and gives every free page back to the kernel; returns the bytes given back.
pub(crate) fn release_free_memory() -> usize {
    if !super::is_started() {
        return 0;
    }
    if fork::is_holder() {
        return fork::step_aside(release_free_memory);
    }
    empty_caches();
    pages::release_all() * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_in_time_or_when_the_clock_was_put_back() {
        let next = 100 * SECOND;
        assert!(is_due(next, next) && is_due(next + 1, next));
        assert!(!is_due(next - 1, next) && !is_due(next - INTERVAL_NANOSECONDS, next));
        let tick = 10_000_000;
        assert!(!is_due(next - INTERVAL_NANOSECONDS - tick, next), "another thread has just looked");
        assert!(is_due(next - 3 * INTERVAL_NANOSECONDS, next) && is_due(1, next), "put back");
    }
}
