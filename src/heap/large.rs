//! Large objects: runs of pages, one object each.

use super::page_map::PageId;
use super::span::{self, Span, State};
use super::{diagnose::Operation, fork, maintenance, mcache, pages, run_cache};
use crate::base::{Addr, PAGE_BYTES};
use crate::heap::size_class::LARGE_PAGES;
use crate::sys::{auxv::kernel_page_bytes, memory::MoveError};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Spans of large objects and their pages, with those that wait for their next use, packed: objects in the upper
/// half, pages in the lower, so that one locked instruction counts both.
static COUNTS: AtomicUsize = AtomicUsize::new(0);
/// 16 TiB are 2^31 pages, and no more objects than that.
const PAGE_BITS: u32 = 32;
const ONE_OBJECT: usize = 1 << PAGE_BITS;

/// From this size on an object that can't grow in place is moved by moving page-table entries. Below, a
/// copy costs less than the system call, the TLB flushes and the two mappings more that it leaves.
const MOVE_BY_TABLES_FROM_BYTES: usize = 1 << 20;
/// Moves by page tables at most: each may leave two mappings more, and the kernel allows 65530.
const MAX_TABLE_MOVES: usize = 8192;
static TABLE_MOVES: AtomicUsize = AtomicUsize::new(0);

/// Objects and bytes of large objects that the program has; racy.
pub(crate) fn counts() -> (usize, usize) {
    if fork::is_holder() {
        return fork::step_aside(counts);
    }
    let counts = COUNTS.load(Relaxed);
    let (runs, pages) = waiting();
    (
        (counts >> PAGE_BITS).saturating_sub(runs),
        (counts & (ONE_OBJECT - 1)).saturating_sub(pages) * PAGE_BYTES,
    )
}

/// Runs that wait for their next use, on CPUs' stacks and in the run cache, and their pages; racy.
fn waiting() -> (usize, usize) {
    let (here, there) = (mcache::waiting_runs(), run_cache::waiting());
    (here.0 + there.0, here.1 + there.1)
}

/// Bytes of the runs that wait for their next use; racy.
pub(super) fn waiting_bytes() -> usize {
    waiting().1 * PAGE_BYTES
}

fn count_in(pages: usize) {
    COUNTS.fetch_add(ONE_OBJECT + pages, Relaxed);
}

fn count_out(pages: usize) {
    COUNTS.fetch_sub(ONE_OBJECT + pages, Relaxed);
}

/// Pages for `bytes`; `None` beyond what any address space has.
fn pages_for(bytes: usize) -> Option<usize> {
    (bytes <= isize::MAX as usize - PAGE_BYTES).then(|| bytes.div_ceil(PAGE_BYTES).max(1))
}

/// Allocates a large object of `bytes` at `align`, zeroed if `zeroed`. `None`: too large or out of memory.
pub(super) fn alloc(bytes: usize, align: usize, zeroed: bool) -> Option<Addr> {
    let pages = pages_for(bytes)?;
    let (span, is_zero) = if align <= PAGE_BYTES {
        match take_waiting(pages) {
            Some(span) => (span, false),
            None => alloc_span(pages, 1)?,
        }
    } else {
        alloc_span(pages, align / PAGE_BYTES)?
    };
    if zeroed && !is_zero {
        // SAFETY: the span is ours and at least `bytes` long.
        unsafe { core::ptr::write_bytes(span.base().ptr::<u8>(), 0, bytes) };
    }
    Some(span.base())
}

/// A run that waits for its next use.
fn take_waiting(pages: usize) -> Option<&'static Span> {
    if let Some(run) = mcache::pop_run(pages) {
        let span = span::of_start(run);
        span.set_state(State::Large);
        return Some(span);
    }
    run_cache::take(pages)
}

/// A new span from the page heap.
fn alloc_span(pages: usize, align_pages: usize) -> Option<(&'static Span, bool)> {
    let made = pages::alloc_span(pages, align_pages, State::Large, LARGE_PAGES)?;
    count_in(pages);
    if made.1 {
        maintenance::note_growth(pages * PAGE_BYTES);
    }
    Some(made)
}

/// Returns to the page heap a run that waited, or needs not wait.
pub(super) fn release(span: &'static Span) {
    count_out(span.pages());
    pages::free_span(span);
}

/// As [`release`], for the run that begins at `run`.
pub(super) fn release_run(run: Addr) {
    release(span::of_start(run));
}

/// Frees the large object at `object`, in `span`; diagnoses anything else.
pub(super) fn free(span: &'static Span, object: Addr, operation: Operation) {
    let pages = span.pages();
    let next = if pages <= run_cache::MAX_RUN_PAGES { State::CachedRun } else { State::Free };
    if object != span.base() || !span.change_state(State::Large, next) {
        operation.bad_pointer(object);
    }
    if next == State::Free {
        release(span);
    // SAFETY: the program has given the run up, and its state says so to any other that tries.
    } else if !unsafe { mcache::push_run(pages, object) } {
        run_cache::give(span, release);
    }
}

/// Whether the large object that begins at `object` may have been requested with `bytes`; true if there is
/// none, which is for others to diagnose.
pub(super) fn may_be_of_size(object: Addr, bytes: usize) -> bool {
    match span::containing(object) {
        Some(span) if span.state() == State::Large && span.base() == object => {
            pages_for(bytes) == Some(span.pages())
        }
        _ => true,
    }
}

/// Changes the size of a large object to `bytes`, still large, without moving it: `true` if that worked.
pub(super) fn resize_in_place(span: &'static Span, bytes: usize) -> bool {
    let (old, Some(new)) = (span.pages(), pages_for(bytes)) else { return false };
    if new < old {
        span.resize(new);
        pages::free_pages(PageId(span.page().0 + new as u32), old - new);
    } else if new > old {
        if !pages::extend(span.page(), old, new) {
            return false;
        }
        span.resize(new);
    }
    COUNTS.fetch_add(new.wrapping_sub(old), Relaxed);
    true
}

/// Moves a large object to a longer run by moving its page-table entries, if that pays; where the kernel refuses, by a
/// copy. The object's contents are at the new address; the old one is free.
pub(super) fn grow_by_moving_pages(span: &'static Span, bytes: usize) -> Option<Addr> {
    let (old, new) = (span.pages(), pages_for(bytes)?);
    // Of a kernel page that is larger than ours, a neighbour may have a part.
    if old * PAGE_BYTES < MOVE_BY_TABLES_FROM_BYTES
        || TABLE_MOVES.load(Relaxed) >= MAX_TABLE_MOVES
        || kernel_page_bytes() > PAGE_BYTES
    {
        return None;
    }
    let (target, _) = alloc_span(new, 1)?;
    // SAFETY: both spans are this thread's, the target is at least as long, and what it held is of no interest.
    match unsafe { pages::move_pages(span, target) } {
        Ok(()) => {}
        Err(MoveError::Refused) => {
            // SAFETY: two spans of this thread, of which the second is longer.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    span.base().ptr::<u8>(),
                    target.base().ptr(),
                    old * PAGE_BYTES,
                );
            }
            span.change_state(State::Large, State::Free);
            release(span);
            return Some(target.base());
        }
        Err(MoveError::TargetLost) => {
            // Somebody else's mapping may lie there by now: nobody gets these pages any more, and this is
            // not tried again.
            target.change_state(State::Large, State::CachedRun);
            count_out(new);
            TABLE_MOVES.store(MAX_TABLE_MOVES, Relaxed);
            return None;
        }
    }
    TABLE_MOVES.fetch_add(1, Relaxed);
    count_out(old);
    span.change_state(State::Large, State::Free);
    pages::free_unbacked_span(span);
    Some(target.base())
}
