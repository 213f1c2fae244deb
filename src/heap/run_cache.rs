//! Runs of pages of large objects on their way from one use to the next.
//!
//! More than half of the bytes a server allocates lie in objects above 8 KiB, and those between 32 KiB
//! and 1 MiB come and go too often to queue on the page heap's lock. A freed run keeps its record and its
//! entries in the page map and waits by exact length: up to 256 KiB on its CPU's stack (`mcache`), and what
//! finds no room there, or is longer, here, in a shard chosen by thread. What waits too long, or is too much,
//! goes to the page heap.

use super::pages;
use super::span::{List, Span, State};
use crate::base::PAGE_BYTES;
use crate::sync::{Mutex, Rank};
use crate::sys::{rseq, time};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Longest run kept: 1 MiB. Above that the page faults or the clearing dwarf a lock.
pub(crate) const MAX_RUN_PAGES: usize = (1 << 20) / PAGE_BYTES;

/// Bytes that one shard holds at most, so that a pair of 1 MiB objects still fits …
const MAX_SHARD_BYTES: usize = 2 << 20;
/// … but not more than this share of the heap: a table that grows by and by leaves runs that nobody asks for again …
const HEAP_SHARE: usize = 8;
/// … unless it is no more than this.
const LEAST_SHARD_BYTES: usize = 256 << 10;

/// Pages that one shard may hold now.
fn most_pages() -> usize {
    (pages::bytes_in_use() / HEAP_SHARE).clamp(LEAST_SHARD_BYTES, MAX_SHARD_BYTES) / PAGE_BYTES
}

/// Shards: more than the threads that allocate large objects at the same moment on most machines.
const SHARDS: usize = 16;

struct Shard {
    /// Runs of `n` pages, newest first.
    bins: [List; MAX_RUN_PAGES + 1],
    runs: usize,
    pages: usize,
    /// The bin that gives room next.
    hand: usize,
}

impl Shard {
    const fn new() -> Self {
        Self { bins: [const { List::new() }; MAX_RUN_PAGES + 1], runs: 0, pages: 0, hand: 0 }
    }

    /// Takes the oldest run of the next bin that has one.
    fn evict(&mut self) -> Option<&'static Span> {
        if self.runs == 0 {
            return None;
        }
        for _ in 0..self.bins.len() {
            self.hand = (self.hand + 1) % self.bins.len();
            // SAFETY: the shard is borrowed mutably, which only its lock allows.
            if let Some(span) = unsafe { self.bins[self.hand].last() } {
                self.remove(span);
                return Some(span);
            }
        }
        None
    }

    fn remove(&mut self, span: &'static Span) {
        self.runs -= 1;
        self.pages -= span.pages();
        // SAFETY: the shard's lock is held (there is no other way to a `&mut Shard`), and the span is in
        // the bin for its length, which does not change while it waits.
        unsafe { self.bins[span.pages()].remove(span) };
    }
}

/// Whether a run has ever been kept. Until then nobody looks, and the shards cost no page, unless the process forks.
static IS_USED: AtomicBool = AtomicBool::new(false);

static SHARDS_OF_RUNS: [Mutex<Shard>; SHARDS] = [const { Mutex::new(Rank::RunCache, Shard::new()) }; SHARDS];

fn current_shard() -> &'static Mutex<Shard> {
    let hash = rseq::thread_pointer().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    &SHARDS_OF_RUNS[hash % SHARDS]
}

/// A waiting run of exactly `pages` pages, ready for use as [`State::Large`], if there is one.
pub(super) fn take(pages: usize) -> Option<&'static Span> {
    if pages > MAX_RUN_PAGES || !IS_USED.load(Relaxed) {
        return None;
    }
    let mut shard = current_shard().lock();
    let span = shard.bins[pages].first()?;
    shard.remove(span);
    drop(shard);
    span.set_state(State::Large);
    Some(span)
}

/// Keeps the run of a freed object, which must be [`State::CachedRun`] already and not longer than
/// [`MAX_RUN_PAGES`]. `release` is called for each run that has to go to the page heap for it, or for this one.
pub(super) fn give(span: &'static Span, mut release: impl FnMut(&'static Span)) {
    let most = most_pages();
    if span.pages() > most {
        return release(span);
    }
    let now = super::maintenance::recent_milliseconds();
    if !IS_USED.load(Relaxed) {
        IS_USED.store(true, Relaxed);
    }
    let mut shard = current_shard().lock();
    while shard.pages + span.pages() > most {
        let Some(old) = shard.evict() else { break };
        drop(shard);
        release(old);
        shard = current_shard().lock();
    }
    shard.runs += 1;
    shard.pages += span.pages();
    // SAFETY: the shard's lock is held, and the run, just freed, is in no list.
    unsafe {
        span.guarded().cached_at = now;
        shard.bins[span.pages()].push(span);
    }
}

/// Passes to `release` every run that has waited for `milliseconds` or longer.
pub(super) fn trim(older_than_milliseconds: u32, mut release: impl FnMut(&'static Span)) {
    if !IS_USED.load(Relaxed) {
        return;
    }
    let now = milliseconds();
    for shard in &SHARDS_OF_RUNS {
        if shard.lock().runs == 0 {
            continue;
        }
        for bin in 0..=MAX_RUN_PAGES {
            loop {
                let mut shard = shard.lock();
                // SAFETY: the shard's lock is held.
                let Some(oldest) = (unsafe { shard.bins[bin].last() }) else { break };
                // SAFETY: as above.
                let age = now.wrapping_sub(unsafe { oldest.guarded() }.cached_at);
                if age < older_than_milliseconds {
                    break;
                }
                shard.remove(oldest);
                drop(shard);
                release(oldest);
            }
        }
    }
}

/// Passes to `release` every run that waits in this thread's shard.
pub(super) fn empty_current(mut release: impl FnMut(&'static Span)) {
    while IS_USED.load(Relaxed) {
        let mut shard = current_shard().lock();
        let Some(span) = shard.evict() else { return };
        drop(shard);
        release(span);
    }
}

/// Runs that wait here and their pages, for statistics.
pub(super) fn waiting() -> (usize, usize) {
    SHARDS_OF_RUNS.iter().fold((0, 0), |(runs, pages), shard| {
        let shard = shard.lock();
        (runs + shard.runs, pages + shard.pages)
    })
}

fn milliseconds() -> u32 {
    (time::coarse_nanoseconds() / 1_000_000) as u32
}

/// Whether the locks come free before `deadline`: see [`Mutex::comes_free`].
pub(super) fn locks_come_free(deadline: u64) -> bool {
    SHARDS_OF_RUNS.iter().all(|shard| shard.comes_free(deadline))
}

/// The locks, for fork.
pub(super) fn acquire_for_fork() {
    SHARDS_OF_RUNS.iter().for_each(Mutex::acquire_for_fork);
}

/// Gives them back.
///
/// # Safety
/// After [`acquire_for_fork`], in the same thread or its copy in the child.
pub(super) unsafe fn release_after_fork() {
    // SAFETY: passed on to the caller.
    SHARDS_OF_RUNS.iter().rev().for_each(|shard| unsafe { shard.release_after_fork() });
}
