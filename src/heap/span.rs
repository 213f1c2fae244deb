//! Spans: runs of pages cut into equal objects, or holding one large object.
//!
//! A span's record lies in a table with one row per page of the heap, at the row of its first page, so
//! there is nothing to allocate or to look up; rows of other pages are never touched. The bits that say
//! which objects are out live in the record too: nothing is ever written into free memory.

use super::page_map::{self, PageId};
use super::size_class::{self, MAX_OBJECTS_PER_SPAN, OBJECT_BYTES, SPAN_OBJECTS, SPAN_PAGES};
use crate::base::{Addr, PAGE_BYTES, bitmap};
use crate::sys::cpu;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

/// Words of the bitmap inside a record: every class but the smallest has at most this many objects.
const INLINE_WORDS: usize = 8;
/// Words of the largest bitmap.
const MAX_WORDS: usize = MAX_OBJECTS_PER_SPAN / bitmap::WORD_BITS;

/// Bytes of the table of records per page of the heap.
pub(crate) const RECORD_BYTES: usize = core::mem::size_of::<Span>();
const _: () = assert!(RECORD_BYTES == 256 || RECORD_BYTES == 128, "rows of whole cache lines");

/// What a span is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum State {
    /// Not a span: its pages are the page heap's. The value of a fresh, zeroed record.
    Free = 0,
    /// Cut into objects of its class.
    Small = 1,
    /// Holds one large object that the program has.
    Large = 2,
    /// A run for a large object that waits in the run cache.
    CachedRun = 3,
}

/// The record of a span. Which lock guards which field stands at the field.
#[repr(C, align(64))]
pub(crate) struct Span {
    /// A [`State`]; changed by who owns the span, read by anyone who wants to know what a pointer is.
    state: AtomicU8,
    /// Class or pseudo-class, fixed while the span is in use.
    class: AtomicU8,
    /// Pages; changes only when a large object grows or shrinks in place.
    pages: AtomicUsize,
    /// Arrays beside the span (leak mode), owned by the leak checker; 0: none.
    side: AtomicUsize,
    /// Everything below is guarded by the lock of the span's central list or run cache.
    guarded: UnsafeCell<Guarded>,
}

/// Fields under the lock of the list that the span belongs to.
#[repr(C)]
pub(crate) struct Guarded {
    /// Neighbours in a list; see [`List`].
    next: Link,
    prev: Link,
    /// Objects in the span that are neither in a cache nor with the program.
    pub(crate) free_objects: u16,
    /// Below this word of the bitmap every object is out.
    first_word: u16,
    /// When the run came into the run cache, in milliseconds.
    pub(crate) cached_at: u32,
    /// One bit per object: set while the object is out, in a cache or with the program.
    out: [u64; INLINE_WORDS],
}

/// A page number plus one, 0 for none, so that a zeroed record is unlinked.
type Link = u32;

// SAFETY: the atomics may be shared; `guarded` is reached only through the unsafe functions below, whose
// callers hold the lock that guards it.
unsafe impl Sync for Span {}

/// The end of the table of records, which grows down, and the longer bitmaps of the smallest class.
static RECORDS_END: AtomicUsize = AtomicUsize::new(0);
static WIDE_BITS: AtomicUsize = AtomicUsize::new(0);

/// Bytes of a long bitmap: one row per page of the heap, touched for spans of the smallest class only.
pub(crate) const WIDE_BITS_BYTES: usize = MAX_WORDS * 8;

/// Sets the tables.
///
/// # Safety
/// Both must have one zeroed row ([`RECORD_BYTES`], [`WIDE_BITS_BYTES`]) per page of the heap's range,
/// mapped for good, and writable for every page that the heap has grown to; the records in front of
/// `records_end`, that of the first page last.
pub(crate) unsafe fn init(records_end: Addr, wide_bits: Addr) {
    RECORDS_END.store(records_end.0, Relaxed);
    WIDE_BITS.store(wide_bits.0, Relaxed);
}

/// The record at the row of `page`, the first of a span that exists or is being made.
#[inline]
pub(crate) fn record(page: PageId) -> &'static Span {
    let end: *const Span = Addr(RECORDS_END.load(Relaxed)).ptr();
    // SAFETY: pages come from the page heap, which has grown to them, so their rows are mapped; all
    // values of a zeroed or used row are valid for the type, and shared access is through atomics.
    unsafe { &*end.sub(page.0 as usize + 1) }
}

/// The span that begins at `base`, as one is known to.
#[inline]
pub(super) fn of_start(base: Addr) -> &'static Span {
    record(PageId(((base.0 - page_map::base().0) / PAGE_BYTES) as u32))
}

/// The span that holds `addr`, if any does.
pub(crate) fn containing(addr: Addr) -> Option<&'static Span> {
    let page = page_map::page_of(addr)?;
    (page_map::entry_of(page).class() != 0).then(|| record(page_map::span_start(page)))
}

impl Span {
    /// The span's first page: its row in the table.
    #[inline]
    pub(crate) fn page(&self) -> PageId {
        PageId(((RECORDS_END.load(Relaxed) - Addr::of(self).0) / RECORD_BYTES) as u32 - 1)
    }

    /// Where the span begins.
    #[inline]
    pub(crate) fn base(&self) -> Addr {
        page_map::addr_of(self.page())
    }

    /// Fetches the record into the cache, all of it.
    #[inline]
    pub(super) fn prefetch(&self) {
        let at = Addr::of(self);
        cpu::prefetch(at.0);
        cpu::prefetch(at.0 + cpu::CACHE_LINE_BYTES);
    }

    /// What the span is used for.
    pub(crate) fn state(&self) -> State {
        match self.state.load(Relaxed) {
            1 => State::Small,
            2 => State::Large,
            3 => State::CachedRun,
            _ => State::Free,
        }
    }

    /// Changes the use of a span that this thread owns.
    pub(crate) fn set_state(&self, to: State) {
        self.state.store(to as u8, Relaxed);
    }

    /// Changes the use, if it still is `from`; `false` if it is not.
    pub(crate) fn change_state(&self, from: State, to: State) -> bool {
        self.state.compare_exchange(from as u8, to as u8, Relaxed, Relaxed).is_ok()
    }

    /// The class or pseudo-class.
    #[inline]
    pub(crate) fn class(&self) -> usize {
        self.class.load(Relaxed) as usize
    }

    /// Pages in the span.
    #[inline]
    pub(crate) fn pages(&self) -> usize {
        self.pages.load(Relaxed)
    }

    /// Bytes of one object: of its class, or all pages of a large one.
    #[inline]
    pub(crate) fn object_bytes(&self) -> usize {
        match OBJECT_BYTES[self.central_class()] {
            0 => self.pages() * PAGE_BYTES,
            bytes => bytes as usize,
        }
    }

    /// Objects the span holds.
    #[inline]
    pub(crate) fn objects(&self) -> usize {
        match SPAN_OBJECTS[self.central_class()] {
            0 => 1,
            objects => objects as usize,
        }
    }

    /// The class whose central list the span belongs to: blocks of the tiny allocator have their own.
    #[inline]
    fn central_class(&self) -> usize {
        let class = self.class();
        if class == size_class::TINY_PAGES { size_class::TINY_BLOCK } else { class }
    }

    /// The arrays beside the span.
    pub(crate) fn side(&self) -> &AtomicUsize {
        &self.side
    }

    /// Makes the record that of a new span and enters its pages into the page map.
    pub(super) fn start(&self, state: State, class: usize, pages: usize) {
        self.class.store(class as u8, Relaxed);
        self.pages.store(pages, Relaxed);
        self.state.store(state as u8, Relaxed);
        page_map::set_span(self.page(), 0, pages, class);
    }

    /// Takes the span out of the page map; its pages may go back to the page heap.
    pub(crate) fn end(&self) {
        page_map::clear(self.page(), self.pages());
        self.state.store(State::Free as u8, Relaxed);
    }

    /// Changes the length of a large object in place.
    pub(crate) fn resize(&self, pages: usize) {
        let (first, old) = (self.page(), self.pages());
        self.pages.store(pages, Relaxed);
        if pages > old {
            page_map::set_span(first, old, pages, self.class());
        } else {
            page_map::clear(PageId(first.0 + pages as u32), old - pages);
        }
    }

    /// Whether the bitmap lies in the table of longer ones.
    pub(super) fn has_wide_bits(&self) -> bool {
        self.objects() > INLINE_WORDS * bitmap::WORD_BITS
    }

    /// The guarded fields.
    ///
    /// # Safety
    /// The caller holds the lock of the list the span belongs to (or is the only one who knows the span)
    /// and no other reference from this function.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the lock, not the borrow, makes it exclusive")]
    pub(crate) unsafe fn guarded(&self) -> &mut Guarded {
        // SAFETY: exclusive by the caller's promise.
        unsafe { &mut *self.guarded.get() }
    }

    /// The bitmap of objects that are out.
    ///
    /// # Safety
    /// As for [`Self::guarded`].
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the lock, not the borrow, makes it exclusive")]
    unsafe fn out_bits(&self) -> &mut [u64] {
        // SAFETY: passed on to the caller.
        unsafe { self.bits_of(self.objects()) }
    }

    /// The bitmap of objects that are out, for a span known to hold `objects`.
    ///
    /// # Safety
    /// As for [`Self::guarded`].
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the lock, not the borrow, makes it exclusive")]
    unsafe fn bits_of(&self, objects: usize) -> &mut [u64] {
        let words = objects.div_ceil(bitmap::WORD_BITS);
        if words <= INLINE_WORDS {
            // SAFETY: exclusive by the caller's promise.
            return unsafe { &mut (&mut *self.guarded.get()).out[..words] };
        }
        let rows: *mut [u64; MAX_WORDS] = Addr(WIDE_BITS.load(Relaxed)).ptr();
        // SAFETY: the row of this span's first page belongs to this span; exclusive by the caller's promise.
        unsafe { &mut *rows.add(self.page().0 as usize) }
    }

    /// Prepares the bitmap of a new small span: all objects free.
    ///
    /// # Safety
    /// As for [`Self::guarded`].
    pub(super) unsafe fn clear_objects(&self) {
        // SAFETY: passed on to the caller.
        unsafe {
            self.out_bits().fill(0);
            *self.guarded() = Guarded {
                next: 0,
                prev: 0,
                free_objects: self.objects() as u16,
                first_word: 0,
                cached_at: 0,
                out: [0; INLINE_WORDS],
            };
        }
    }

    /// Takes up to `into.len()` free objects, lowest first, and returns how many.
    ///
    /// # Safety
    /// As for [`Self::guarded`].
    pub(super) unsafe fn take(&self, into: &mut [Addr]) -> usize {
        let (base, bytes, objects) = (self.base(), self.object_bytes(), self.objects());
        // SAFETY: passed on to the caller.
        let first_word = unsafe { self.guarded() }.first_word as usize;
        let mut taken = 0;
        let mut word = first_word;
        // SAFETY: passed on to the caller.
        let bits = unsafe { self.out_bits() };
        while word < bits.len() && taken < into.len() {
            let below = objects - word * bitmap::WORD_BITS;
            let valid = if below >= bitmap::WORD_BITS { u64::MAX } else { (1 << below) - 1 };
            let mut free = !bits[word] & valid;
            let first = base.plus(word * bitmap::WORD_BITS * bytes);
            if free == u64::MAX
                && let Some(all) = into[taken..].first_chunk_mut::<{ bitmap::WORD_BITS }>()
            {
                // What a flood meets: nothing to search for.
                let mut object = first;
                for place in all {
                    *place = object;
                    object = object.plus(bytes);
                }
                taken += bitmap::WORD_BITS;
                bits[word] = u64::MAX;
                word += 1;
                continue;
            }
            for place in &mut into[taken..] {
                if free == 0 {
                    break;
                }
                *place = first.plus(free.trailing_zeros() as usize * bytes);
                free &= free - 1;
                taken += 1;
            }
            bits[word] = !free & valid;
            if free == 0 {
                word += 1;
            }
        }
        // SAFETY: passed on to the caller.
        let guarded = unsafe { self.guarded() };
        guarded.first_word = word as u16;
        guarded.free_objects -= taken as u16;
        taken
    }

    /// Puts objects back, given as indices below `objects`, which is how many the span holds; the index that
    /// is not out, or is no index of this span, if there is one: a double free looks like that.
    ///
    /// # Safety
    /// As for [`Self::guarded`].
    #[inline]
    pub(super) unsafe fn put(
        &self,
        indices: impl Iterator<Item = usize>,
        objects: usize,
    ) -> Result<(), usize> {
        // SAFETY: passed on to the caller.
        let bits = unsafe { self.bits_of(objects) };
        let (mut count, mut lowest) = (0, usize::MAX);
        // Neighbours share a word of the bitmap: it is kept in a register as long as they do.
        let (mut word, mut value) = (0, bits[0]);
        for index in indices {
            let (its_word, mask) = (index / bitmap::WORD_BITS, 1 << (index % bitmap::WORD_BITS));
            if its_word != word {
                bits[word] = value;
                if index >= objects {
                    return Err(index);
                }
                (word, value) = (its_word, bits[its_word]);
            }
            // Bits behind the last object are never set.
            if value & mask == 0 {
                bits[word] = value;
                return Err(index);
            }
            value &= !mask;
            count += 1;
            lowest = lowest.min(word);
        }
        bits[word] = value;
        // SAFETY: passed on to the caller; `bits` is not used any more.
        let guarded = unsafe { self.guarded() };
        guarded.first_word = guarded.first_word.min(lowest as u16);
        guarded.free_objects += count;
        Ok(())
    }

    /// Whether object `index` is out.
    ///
    /// # Safety
    /// As for [`Self::guarded`].
    #[cfg(test)]
    pub(crate) unsafe fn is_out(&self, index: usize) -> bool {
        // SAFETY: passed on to the caller.
        index < self.objects() && bitmap::test(unsafe { self.out_bits() }, index)
    }

    /// How many objects the bitmap says are out: for checks.
    ///
    /// # Safety
    /// As for [`Self::guarded`].
    #[cfg(test)]
    pub(crate) unsafe fn count_out(&self) -> usize {
        // SAFETY: passed on to the caller.
        unsafe { self.out_bits() }.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Pages a span of `class` has, for the page heap.
    pub(super) fn pages_of_class(class: usize) -> usize {
        SPAN_PAGES[class] as usize
    }
}

/// A doubly linked list of spans, all guarded by one lock. It is one word, as there are many: before the first span comes
/// the last.
pub(crate) struct List {
    head: Link,
}

impl List {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self { head: 0 }
    }

    /// The first span.
    pub(crate) fn first(&self) -> Option<&'static Span> {
        Self::follow(self.head)
    }

    /// The last span.
    ///
    /// # Safety
    /// The caller holds the lock that guards the list.
    pub(crate) unsafe fn last(&self) -> Option<&'static Span> {
        // SAFETY: the list's lock guards its spans' links.
        self.first().and_then(|first| Self::follow(unsafe { first.guarded() }.prev))
    }

    /// Whether there is no span in the list.
    pub(crate) fn is_empty(&self) -> bool {
        self.head == 0
    }

    fn follow(link: Link) -> Option<&'static Span> {
        (link != 0).then(|| record(PageId(link - 1)))
    }

    /// Puts a span in front.
    ///
    /// # Safety
    /// The caller holds the lock that guards the list; the span is in no list.
    pub(crate) unsafe fn push(&mut self, span: &'static Span) {
        let link = span.page().0 + 1;
        // SAFETY: the list's lock guards its spans' links; each reference ends before the next is made.
        unsafe {
            let last = match self.first() {
                Some(first) => core::mem::replace(&mut first.guarded().prev, link),
                None => link,
            };
            (span.guarded().next, span.guarded().prev) = (self.head, last);
        }
        self.head = link;
    }

    /// Takes a span out.
    ///
    /// # Safety
    /// The caller holds the lock that guards the list, and the span is in it.
    pub(crate) unsafe fn remove(&mut self, span: &'static Span) {
        // SAFETY: as in `push`.
        unsafe {
            let (next, prev) = (span.guarded().next, span.guarded().prev);
            if self.head == span.page().0 + 1 {
                self.head = next;
            } else if let Some(before) = Self::follow(prev) {
                before.guarded().next = next;
            }
            // Behind the last one comes none, whose place the first one knows; if that was the only one, there is neither.
            if let Some(after) = Self::follow(next).or_else(|| self.first()) {
                after.guarded().prev = prev;
            }
            (span.guarded().next, span.guarded().prev) = (0, 0);
        }
    }
}
