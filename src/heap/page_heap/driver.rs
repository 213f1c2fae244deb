//! The page heap under its lock, with the releases that a call makes due.

use super::{PageHeap, PageId, Run};
use crate::{base::PAGE_BYTES, sync::Mutex};

/// Most memory released by one system call: 16 MiB, a millisecond or two, during which the run is
/// missing from the heap.
const MAX_RELEASE_PAGES: usize = (16 << 20) / PAGE_BYTES;

/// [`PageHeap::alloc`], followed by the releases that the soft limit then asks for.
pub(crate) fn alloc_run(heap: &Mutex<PageHeap>, pages: usize, align_pages: usize) -> Option<Run> {
    let mut locked = heap.lock();
    let run = locked.alloc(pages, align_pages);
    let excess = locked.excess();
    drop(locked);
    release_due(heap, excess);
    run
}

/// [`PageHeap::free`], followed by the releases that are then due.
pub(crate) fn free_run(heap: &Mutex<PageHeap>, page: PageId, pages: usize) {
    let mut locked = heap.lock();
    locked.free(page, pages);
    let excess = locked.excess();
    drop(locked);
    release_due(heap, excess);
}

/// [`PageHeap::try_extend`], followed by the releases that the soft limit then asks for.
pub(crate) fn extend_run(
    heap: &Mutex<PageHeap>,
    page: PageId,
    pages: usize,
    new_pages: usize,
) -> Option<bool> {
    let mut locked = heap.lock();
    let extended = locked.try_extend(page, pages, new_pages);
    let excess = locked.excess();
    drop(locked);
    release_due(heap, excess);
    extended
}

/// Releases what the policy does not want to keep; returns the idle pages released.
pub(crate) fn release_excess(heap: &Mutex<PageHeap>) -> usize {
    let excess = heap.lock().excess();
    release_due(heap, excess)
}

/// Releases `want` idle pages, or all there are, whatever the policy; returns how many it was.
pub(crate) fn scavenge(heap: &Mutex<PageHeap>, want: usize) -> usize {
    let mut done = 0;
    while done < want {
        let Some(released) = release_one(heap, want - done) else { break };
        done += released;
    }
    done
}

#[inline]
fn release_due(heap: &Mutex<PageHeap>, excess: usize) -> usize {
    if excess == 0 { 0 } else { release_while_due(heap, excess) }
}

#[cold]
fn release_while_due(heap: &Mutex<PageHeap>, mut excess: usize) -> usize {
    let mut done = 0;
    while excess > 0 {
        let Some(released) = release_one(heap, excess) else { break };
        done += released;
        // Others free, take and release at the same time: what is due is asked for anew.
        excess = excess.saturating_sub(released).min(heap.lock().remaining_excess());
    }
    done
}

/// Releases one run of at most about `want` idle pages; `None` if there is none or the kernel refused.
fn release_one(heap: &Mutex<PageHeap>, want: usize) -> Option<usize> {
    let mut locked = heap.lock();
    let backing = locked.backing()?;
    let idle_before = locked.stats().idle;
    let run = locked.take_for_release(want.min(MAX_RELEASE_PAGES))?;
    let idle = idle_before - locked.stats().idle;
    drop(locked);
    let released = backing.release(run.page, run.pages);
    heap.lock().finish_release(run, released);
    released.then_some(idle)
}
