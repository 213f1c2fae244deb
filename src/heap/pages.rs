//! The process's one page heap, and spans made from its runs.

use super::address_space::{AddressSpace, Array};
use super::page_heap::{self, HugePages, PageHeap, PageId, PageStats};
use super::span::{self, Span, State};
use super::{page_map, tiny, tracking};
use crate::base::{Addr, PAGE_BYTES};
use crate::config::{self, Key};
use crate::sync::{Mutex, Rank};
use crate::sys::memory::{self, MoveError};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static SPACE: AddressSpace = AddressSpace::new();
static HEAP: Mutex<PageHeap> = Mutex::new(Rank::PageHeap, PageHeap::new());

/// Pages of all spans.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Bytes of all spans, without the heap's lock.
pub(super) fn bytes_in_use() -> usize {
    IN_USE.load(Relaxed) * PAGE_BYTES
}

/// Reserves the heap's range and sets up everything that is indexed by its pages. `false`: no memory.
pub(super) fn init() -> bool {
    if SPACE.init().is_err() {
        return false;
    }
    // SAFETY: the space has its range, this is the only page heap, and the arrays are what each module
    // asks for: mapped for good, zeroed, readable everywhere and writable as far as the heap has grown.
    unsafe {
        HEAP.lock().init(&SPACE);
        // The heap's base stands in this library's own data. No object may begin there, or the leak finder
        // would take it for reachable.
        HEAP.lock().alloc(1, 1);
        span::init(SPACE.array_base(Array::SpanRecords), SPACE.array_base(Array::WideBits));
        tiny::init(SPACE.array_base(Array::TinyMap));
        page_map::init(SPACE.base(), SPACE.range_bytes() / PAGE_BYTES, SPACE.array_base(Array::PageMap));
    }
    // The heap's base stands in its statics, and in registers of every thread that frees: to a search for
    // pointers the object that lay there would never be lost.
    !config::is_on(Key::Leak) || page_heap::alloc_run(&HEAP, 1, 1).is_some()
}

/// Makes a span of `pages` pages at a multiple of `align_pages`, and says whether its memory is zero.
pub(super) fn alloc_span(
    pages: usize,
    align_pages: usize,
    state: State,
    class: usize,
) -> Option<(&'static Span, bool)> {
    let run = page_heap::alloc_run(&HEAP, pages, align_pages)?;
    IN_USE.fetch_add(pages, Relaxed);
    let span = span::record(run.page);
    span.start(state, class, pages);
    if wide_bits_ready(span) {
        return Some((span, run.zeroed));
    }
    span.end();
    free_pages(run.page, pages);
    None
}

/// Spans of the smallest class need a longer bitmap than their record has.
fn wide_bits_ready(span: &Span) -> bool {
    let row = span.page().index() * span::WIDE_BITS_BYTES;
    !span.has_wide_bits() || SPACE.commit_array(Array::WideBits, row..row + span::WIDE_BITS_BYTES).is_ok()
}

/// Returns a span's pages to the page heap.
// Not in the code that every process holds.
#[inline(never)]
pub(super) fn free_span(span: &'static Span) {
    tracking::drop_records(span);
    let (page, pages) = (span.page(), span.pages());
    span.end();
    free_pages(page, pages);
}

/// Returns pages that are cut off the end of a span and have left the page map.
pub(super) fn free_pages(page: PageId, pages: usize) {
    IN_USE.fetch_sub(pages, Relaxed);
    page_heap::free_run(&HEAP, page, pages);
}

/// Returns the pages of a span whose memory has been moved elsewhere: they read as zeros.
pub(super) fn free_unbacked_span(span: &'static Span) {
    let (page, pages) = (span.page(), span.pages());
    span.end();
    IN_USE.fetch_sub(pages, Relaxed);
    let mut heap = HEAP.lock();
    heap.free_unbacked(page, pages);
    // Under the lock, or a chunk that fills up meanwhile would be advised in the other order.
    SPACE.avoid_refill(page, pages);
}

/// Moves the pages of a span to the beginning of another one, which is at least as long, by their page-table entries.
///
/// # Safety
/// The spans must be this thread's, and nobody may use what the target holds.
pub(super) unsafe fn move_pages(from: &'static Span, to: &'static Span) -> Result<(), MoveError> {
    let range_of = |span: &Span| span.page().index()..span.page().index() + from.pages();
    let was_unified = SPACE.unify_advice(range_of(from));
    // SAFETY: passed on to the caller.
    let moved = unsafe { memory::move_pages(from.base(), from.pages() * PAGE_BYTES, to.base()) };
    let _advice_stays = HEAP.lock();
    if moved.is_ok() {
        // Chunks without advice of their own had better have no huge pages than the source's for good.
        SPACE.renew_advice(range_of(to), Some(HugePages::Avoid));
    }
    if was_unified {
        SPACE.renew_advice(range_of(from), None);
    }
    moved
}

/// Lengthens a run in place, from `pages` to `new_pages`; `false` if the pages behind it are not free.
pub(super) fn extend(page: PageId, pages: usize, new_pages: usize) -> bool {
    let extended = page_heap::extend_run(&HEAP, page, pages, new_pages).is_some();
    if extended {
        IN_USE.fetch_add(new_pages - pages, Relaxed);
    }
    extended
}

/// Makes the tiny allocator's map usable for the page of `object`; `false`: no memory.
pub(super) fn commit_tiny_map(object: Addr) -> bool {
    let offset = (object.0 - page_map::base().0) / PAGE_BYTES * tiny::MAP_BYTES_PER_PAGE;
    SPACE.commit_array(Array::TinyMap, offset..offset + tiny::MAP_BYTES_PER_PAGE).is_ok()
}

/// Gives all idle pages back to the kernel; returns how many.
pub(super) fn release_all() -> usize {
    page_heap::scavenge(&HEAP, usize::MAX)
}

/// Gives back what the scavenger's policy does not want to keep.
pub(super) fn release_excess() -> usize {
    page_heap::release_excess(&HEAP)
}

/// The page heap's counters.
pub(crate) fn stats() -> PageStats {
    HEAP.lock().stats()
}

/// Bytes of the tables beside the heap that may be backed by memory.
pub(crate) fn metadata_bytes() -> usize {
    page_heap::Backing::metadata_bytes(&SPACE)
}

/// Calls `each` with address and bytes of what is mapped for the heap and the tables beside it.
pub(crate) fn for_each_own(each: impl FnMut(Addr, usize)) {
    SPACE.for_each_own(each);
}

/// Calls `each` for every span, in the order of addresses. Racy unless spans are kept from changing.
pub(crate) fn for_each_span(mut each: impl FnMut(&'static Span)) {
    let top = HEAP.lock().top_chunks();
    TOP_CHUNKS.store(top, Relaxed);
    for_each_span_unlocked(&mut each);
}

/// Bytes that the heap has grown to, from its base on.
pub(crate) fn grown_bytes() -> usize {
    HEAP.lock().top_chunks() * page_heap::CHUNK_BYTES
}

/// Pages that the heap had grown to when [`note_top`] or [`for_each_span`] last looked.
pub(crate) fn noted_pages() -> usize {
    TOP_CHUNKS.load(Relaxed) * page_heap::CHUNK_PAGES
}

/// Chunks the heap had grown to when [`note_top`] or [`for_each_span`] last looked.
static TOP_CHUNKS: AtomicUsize = AtomicUsize::new(0);

/// Notes how far the heap has grown, for [`for_each_span_unlocked`].
///
/// # Safety
/// The caller holds the heap's lock, by [`super::fork::prepare`].
pub(crate) unsafe fn note_top() {
    // SAFETY: passed on to the caller.
    TOP_CHUNKS.store(unsafe { HEAP.value_while_held() }.top_chunks(), Relaxed);
}

/// As [`for_each_span`], for a heap that does not change and whose lock may be held: a stopped process or
/// a copy of one. Up to where [`note_top`] looked.
pub(crate) fn for_each_span_unlocked(mut each: impl FnMut(&'static Span)) {
    let top = noted_pages();
    let mut page = 0;
    while page < top {
        let entry = page_map::entry_of(PageId(page as u32));
        if entry.class() == 0 || entry.place() != 0 {
            page += 1;
            continue;
        }
        let span = span::record(PageId(page as u32));
        each(span);
        page += span.pages().max(1);
    }
}

/// Runs the page heap's own check of its bitmaps, summaries and counters.
#[cfg(test)]
pub(crate) fn check() {
    if let Err(broken) = HEAP.lock().check() {
        crate::sys::message::fatal!("page heap: {broken}");
    }
}

/// Whether the locks come free before `deadline`: see `Mutex::comes_free`.
pub(super) fn locks_come_free(deadline: u64) -> bool {
    HEAP.comes_free(deadline) && SPACE.lock_comes_free(deadline)
}

/// The locks, for fork.
pub(super) fn acquire_for_fork() {
    HEAP.acquire_for_fork();
    SPACE.acquire_for_fork();
}

/// Gives them back; in the child what other threads were releasing is taken back.
///
/// # Safety
/// After [`acquire_for_fork`], in the same thread or its copy in the child.
pub(super) unsafe fn release_after_fork(in_child: bool) {
    // SAFETY: passed on to the caller.
    unsafe {
        SPACE.release_after_fork();
        HEAP.release_after_fork();
    }
    if in_child {
        HEAP.lock().abandon_releases();
    }
}
