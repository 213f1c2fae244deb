//! The objects of the snapshot, numbered, with a colour each.

use crate::base::{Addr, PAGE_BYTES, PAGE_SHIFT};
use crate::heap::page_map::{self, PageId};
use crate::heap::size_class::{LARGE_PAGES, TINY_PAGES, object_index};
use crate::heap::span::{self, Span};
use crate::heap::{pages, tracking};
use crate::leak::own_memory::{self, NoMemory};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What is known of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Color {
    /// The program does not have it.
    Free = 0,
    /// Not reached so far.
    White = 1,
    /// A pointer to its inside was found; its own pointers have not been followed.
    InsideOnly = 2,
    /// Still reachable.
    Reachable = 3,
    /// Possibly lost.
    Possible = 4,
    /// Lost, and a suppression hides it.
    Suppressed = 5,
    /// Lost, and so is what points at it.
    Indirect = 6,
    /// Lost.
    Definite = 7,
}

const COLOR_MASK: u8 = 7;
/// The object is not to be scanned.
const NOSCAN: u8 = 8;
/// The program asked not to report it.
const IGNORED: u8 = 16;

impl Color {
    fn of(byte: u8) -> Self {
        match byte & COLOR_MASK {
            1 => Self::White,
            2 => Self::InsideOnly,
            3 => Self::Reachable,
            4 => Self::Possible,
            5 => Self::Suppressed,
            6 => Self::Indirect,
            7 => Self::Definite,
            _ => Self::Free,
        }
    }
}

/// An object that a word points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hit {
    /// The object's number.
    pub(crate) number: u32,
    /// Where it begins.
    pub(crate) start: usize,
    /// Bytes that it takes up.
    pub(crate) bytes: usize,
}

/// All objects: a number for the first object of every span, by page, and a byte per object.
pub(crate) struct Objects {
    base: usize,
    /// Pages the heap has grown to.
    top: usize,
    /// One `u32` per page.
    first_numbers: Addr,
    /// One byte per object.
    marks: Addr,
    count: usize,
    live: (usize, usize),
}

impl Objects {
    /// Numbers the objects of the heap and notes which of them the program has.
    ///
    /// The heap must not change meanwhile: this is a frozen copy, or all threads are stopped.
    pub(crate) fn new() -> Result<Self, NoMemory> {
        let (mut top, mut count) = (0, 0);
        pages::for_each_span_unlocked(|span| {
            top = span.page().index() + span.pages();
            count += span.objects();
        });
        let first_numbers = own_memory::map(top.max(1) * size_of::<u32>()).ok_or(NoMemory)?;
        let marks = own_memory::map(count.max(1)).ok_or(NoMemory)?;
        let base = page_map::base().0;
        let mut objects = Self { base, top, first_numbers, marks, count, live: (0, 0) };
        let mut next = 0;
        pages::for_each_span_unlocked(|span| {
            // SAFETY: the table has an entry for every page below `top`.
            unsafe { first_numbers.ptr::<u32>().add(span.page().index()).write(next as u32) };
            objects.enter(span, next);
            next += span.objects();
        });
        Ok(objects)
    }

    /// Sets the marks of the objects of one span.
    fn enter(&mut self, span: &Span, first: usize) {
        for index in 0..span.objects() {
            let Some(record) = tracking::record(span, index) else { return };
            if !record.is_live() {
                continue;
            }
            let noscan = if record.has(tracking::NOSCAN) { NOSCAN } else { 0 };
            let ignored = if record.has(tracking::IGNORED) { IGNORED } else { 0 };
            self.mark(first + index).store(Color::White as u8 | noscan | ignored, Relaxed);
            self.live = (self.live.0 + record.requested(), self.live.1 + 1);
        }
    }

    /// Bytes requested and number of the objects that the program has.
    pub(crate) fn live(&self) -> (usize, usize) {
        self.live
    }

    fn mark(&self, number: usize) -> &AtomicU8 {
        debug_assert!(number < self.count);
        // SAFETY: numbers come from spans, for all of whose objects there is a byte.
        unsafe { &*self.marks.plus(number).ptr() }
    }

    /// The object that `word` points into, whether the program has it or not.
    #[inline]
    pub(super) fn find(&self, word: usize) -> Option<Hit> {
        let page = word.wrapping_sub(self.base) >> PAGE_SHIFT;
        if page >= self.top {
            return None;
        }
        let entry = page_map::entry_of(PageId(page as u32));
        let class = entry.class();
        if class == 0 || class == TINY_PAGES {
            return None;
        }
        let first = page_map::span_start(PageId(page as u32));
        let start = self.base + (first.index() << PAGE_SHIFT);
        // SAFETY: the page lies below `top`.
        let first_number = unsafe { self.first_numbers.ptr::<u32>().add(first.index()).read() };
        if class == LARGE_PAGES {
            let bytes = span::record(first).pages() * PAGE_BYTES;
            return Some(Hit { number: first_number, start, bytes });
        }
        let index = object_index(class, word - start);
        let bytes = crate::heap::size_class::OBJECT_BYTES[class] as usize;
        if index >= crate::heap::size_class::SPAN_OBJECTS[class] as usize {
            return None;
        }
        Some(Hit { number: first_number + index as u32, start: start + index * bytes, bytes })
    }

    /// The colour of an object.
    #[inline]
    pub(super) fn color(&self, number: u32) -> Color {
        Color::of(self.mark(number as usize).load(Relaxed))
    }

    /// Paints an object if its colour is below `limit` and it is the program's; whether this call did it.
    #[inline]
    pub(super) fn paint(&self, number: u32, limit: Color, color: Color) -> bool {
        let mark = self.mark(number as usize);
        let mut old = mark.load(Relaxed);
        while Color::of(old) != Color::Free && Color::of(old) < limit {
            let new = old & !COLOR_MASK | color as u8;
            match mark.compare_exchange_weak(old, new, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// Paints an object, whatever its colour.
    pub(super) fn repaint(&self, number: u32, color: Color) {
        let mark = self.mark(number as usize);
        mark.store(mark.load(Relaxed) & !COLOR_MASK | color as u8, Relaxed);
    }

    /// Whether an object's words are to be scanned.
    #[inline]
    pub(super) fn is_scanned(&self, number: u32) -> bool {
        self.mark(number as usize).load(Relaxed) & NOSCAN == 0
    }

    /// Whether the program asked not to report an object.
    pub(super) fn is_ignored(&self, number: u32) -> bool {
        self.mark(number as usize).load(Relaxed) & IGNORED != 0
    }

    /// The words of an object that were requested: the rest of its slot may hold what an earlier object
    /// left there.
    #[inline]
    pub(super) fn extent(&self, hit: Hit) -> (usize, usize) {
        let span = span::record(page_map::span_start(PageId(((hit.start - self.base) >> PAGE_SHIFT) as u32)));
        let index = (hit.start - span.base().0) / hit.bytes;
        let requested = tracking::record(span, index).map_or(hit.bytes, tracking::Record::requested);
        (hit.start, hit.start + requested.min(hit.bytes))
    }

    /// Calls `each` for every object that the program has, in the order of addresses.
    pub(super) fn for_each(&self, mut each: impl FnMut(Hit, &'static tracking::Record)) {
        let mut next = 0;
        pages::for_each_span_unlocked(|span| {
            let (start, bytes) = (span.base().0, span.object_bytes());
            for index in 0..span.objects() {
                let number = (next + index) as u32;
                if self.color(number) == Color::Free {
                    continue;
                }
                if let Some(record) = tracking::record(span, index) {
                    each(Hit { number, start: start + index * bytes, bytes }, record);
                }
            }
            next += span.objects();
        });
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // SAFETY: both came from `map`, and nothing borrows from them any more.
        unsafe {
            own_memory::unmap(self.first_numbers);
            own_memory::unmap(self.marks);
        }
    }
}
