//! From any address to what lies there: one load of a four-byte entry per page.
//!
//! The heap is one contiguous address range, so the test for a foreign pointer is one comparison and
//! the lookup one load; Go's two-level table of arenas needs a dependent load more. An entry says which
//! class the page belongs to and how far into its span the page lies. The second is what lets `free`
//! tell an object's start from its inside without touching the span's record.

use crate::base::{Addr, PAGE_BYTES, PAGE_SHIFT};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

pub(crate) use super::page_heap::PageId;

/// Where a page begins.
#[inline]
pub(crate) fn addr_of(page: PageId) -> Addr {
    Addr(BASE.load(Relaxed) + (page.index() << PAGE_SHIFT))
}

/// A page's entry: the class in the low byte (0: no object here), above it the page's place in its span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Entry(u32);

/// Pages up to which an entry can say its place in the span; beyond that entries stay at this value and
/// a search goes back from there. It takes an object of 128 GiB to get there.
const MAX_PLACE: u32 = (1 << 24) - 1;

impl Entry {
    /// No object lies here.
    pub(crate) const FREE: Self = Self(0);

    /// The entry of the page at `place` in a span of `class`.
    pub(crate) fn new(class: usize, place: usize) -> Self {
        Self(class as u32 | (place.min(MAX_PLACE as usize) as u32) << 8)
    }

    /// The class or pseudo-class of the page; below `ALL_CLASSES`.
    #[inline(always)]
    pub(crate) fn class(self) -> usize {
        (self.0 & 0xff) as usize
    }

    /// How many pages of its span lie before this one.
    #[inline(always)]
    pub(crate) fn place(self) -> usize {
        (self.0 >> 8) as usize
    }

    /// How many bytes of its span lie before `addr`, an address in this page.
    #[inline(always)]
    pub(crate) fn span_offset(self, addr: Addr) -> usize {
        self.place() << PAGE_SHIFT | addr.0 & (PAGE_BYTES - 1)
    }
}

/// Where the heap begins. The four values are set once, before the first object is given out, and any
/// thread that holds an object has synchronized with that.
static BASE: AtomicUsize = AtomicUsize::new(0);
/// Pages that the heap's range has room for; 0 until the heap starts, so that every address is foreign.
static RANGE_PAGES: AtomicUsize = AtomicUsize::new(0);
/// The entries.
static ENTRIES: AtomicUsize = AtomicUsize::new(0);

/// Sets the range and the table of entries.
///
/// # Safety
/// `entries` must be the start of one readable `u32` per page of the range, zero at first and mapped for
/// good, writable for every page that [`set_span`] will be called for.
pub(crate) unsafe fn init(base: Addr, range_pages: usize, entries: Addr) {
    BASE.store(base.0, Relaxed);
    ENTRIES.store(entries.0, Relaxed);
    RANGE_PAGES.store(range_pages, Relaxed);
}

/// Where the heap begins; meaningful once an address has been found to be in the heap.
#[inline(always)]
pub(crate) fn base() -> Addr {
    Addr(BASE.load(Relaxed))
}

/// The page that holds `addr`, or `None` if `addr` is not in the heap's range.
#[inline(always)]
pub(crate) fn page_of(addr: Addr) -> Option<PageId> {
    let page = addr.0.wrapping_sub(BASE.load(Relaxed)) >> PAGE_SHIFT;
    (page < RANGE_PAGES.load(Relaxed)).then_some(PageId(page as u32))
}

/// The entry for `addr`; [`Entry::FREE`] if it is foreign.
#[inline(always)]
pub(crate) fn entry(addr: Addr) -> Entry {
    match page_of(addr) {
        Some(page) => entry_of(page),
        None => Entry::FREE,
    }
}

/// The entry of a page.
#[inline(always)]
pub(crate) fn entry_of(page: PageId) -> Entry {
    Entry(slot(page).load(Relaxed))
}

#[inline(always)]
fn slot(page: PageId) -> &'static AtomicU32 {
    let entries: *const AtomicU32 = Addr(ENTRIES.load(Relaxed)).ptr();
    // SAFETY: a PageId is below RANGE_PAGES, and `init` was given a table of that many entries.
    unsafe { &*entries.add(page.0 as usize) }
}

/// Enters a span of `pages` pages of `class`, from its page `from` on: 0 for a new span, more for one that has grown.
pub(crate) fn set_span(first: PageId, from: usize, pages: usize, class: usize) {
    for place in from..pages {
        slot(PageId(first.0 + place as u32)).store(Entry::new(class, place).0, Relaxed);
    }
}

/// Forgets the pages `first .. first + pages`.
pub(crate) fn clear(first: PageId, pages: usize) {
    for page in first.0..first.0 + pages as u32 {
        slot(PageId(page)).store(Entry::FREE.0, Relaxed);
    }
}

/// The first page of the span that holds `page`, which must have an entry.
pub(crate) fn span_start(page: PageId) -> PageId {
    let mut start = page.0;
    loop {
        let place = entry_of(PageId(start)).place() as u32;
        start -= place;
        if place < MAX_PLACE {
            return PageId(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_round_trip() {
        for (class, place) in [(1, 0), (67, 9), (70, 70_000), (255, MAX_PLACE as usize)] {
            let entry = Entry::new(class, place);
            assert_eq!((entry.class(), entry.place()), (class, place));
        }
        assert_eq!(Entry::new(70, usize::MAX).place(), MAX_PLACE as usize);
        assert_eq!(Entry::FREE.class(), 0);
    }

    #[test]
    fn the_offset_counts_whole_pages_and_the_rest() {
        assert_eq!(Entry::new(3, 2).span_offset(Addr(5 * PAGE_BYTES + 7)), 2 * PAGE_BYTES + 7);
    }
}
