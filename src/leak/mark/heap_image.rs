//! The heap as marking sees it: its spans numbered, its records read, its memory read directly or through
//! the kernel.

use super::frozen::{Frozen, Hit, Note};
use super::pointer_filter::{GROUP_BYTES, PointerFilter};
use crate::base::{Addr, PAGE_BYTES, PAGE_SHIFT};
use crate::heap::page_map::{self, Entry, PageId};
use crate::heap::pages;
use crate::heap::size_class::{LARGE_PAGES, OBJECT_BYTES, SPAN_OBJECTS, TINY_PAGES, object_index};
use crate::heap::span::{self, Span};
use crate::heap::tracking::{self, Record};
use crate::leak::own_memory::{self, NoMemory};
use crate::leak::peek;
use crate::sys::cpu::{self, CACHE_LINE_BYTES};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const WORD_BYTES: usize = size_of::<usize>();

/// How far ahead in a long range lines are fetched: a page of the kernel. The processor's own prefetching ends with
/// each, and the first touch of a page in a new process costs hundreds of cycles more, to note it in the page table.
const PREFETCH_BYTES: usize = 4096;

/// How to read the program's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// As this process's own: a copy of the program's, where faults are caught.
    Direct,
    /// Through the kernel, which reports unreadable pages instead of raising a signal.
    ThroughKernel,
}

/// What finding an object needs of a page, in one cache line.
#[repr(C)]
#[derive(Clone, Copy)]
struct Row {
    /// As in the page map.
    entry: Entry,
    /// The number of the first object of the page's span.
    first_number: u32,
}

/// The heap with a number for the first object of every span.
pub(crate) struct HeapImage {
    reader: Reader,
    base: usize,
    /// Pages the heap has grown to.
    top: usize,
    /// A [`Row`] per page.
    rows: Addr,
    count: usize,
    /// Pages could not be read through the kernel.
    unread: AtomicBool,
}

impl HeapImage {
    /// Numbers the objects of the heap.
    ///
    /// The heap must not change meanwhile: this is a frozen copy, or all threads are stopped.
    pub(crate) fn new(reader: Reader) -> Result<Self, NoMemory> {
        // Not the end of the last span: words that lead behind it, to what was freed there, are looked at, too.
        let (top, mut count) = (pages::noted_pages(), 0);
        pages::for_each_span_unlocked(|span| count += span.objects());
        if count > u32::MAX as usize {
            return Err(NoMemory);
        }
        let rows = own_memory::map_dense(top.max(1) * size_of::<Row>()).ok_or(NoMemory)?;
        let mut next = 0;
        pages::for_each_span_unlocked(|span| {
            let first = span.page().index();
            for page in first..first + span.pages() {
                let row = Row { entry: page_map::entry_of(PageId(page as u32)), first_number: next };
                // SAFETY: the table has a row for every page below `top`.
                unsafe { rows.ptr::<Row>().add(page).write(row) };
            }
            next += span.objects() as u32;
        });
        Ok(Self { reader, base: page_map::base().0, top, rows, count, unread: AtomicBool::new(false) })
    }

    /// The row of a page below `top`; zero for one that no span has.
    #[inline]
    fn row(&self, page: usize) -> Row {
        debug_assert!(page < self.top, "callers have compared the page with the top");
        // SAFETY: the table has a row for every page below `top`, and zero is a value of a row.
        unsafe { self.rows.ptr::<Row>().add(page).read() }
    }

    /// The record of an object; none in a span that has never held one.
    #[inline]
    fn record(&self, hit: Hit) -> Option<&'static Record> {
        let page = (hit.start - self.base) >> PAGE_SHIFT;
        let first = page_map::span_start(PageId(page as u32));
        let index = (hit.number - self.row(page).first_number) as usize;
        tracking::record(span::record(first), index)
    }

    fn through_kernel(&self, start: usize, end: usize, step: usize, mut visit: impl FnMut(usize)) {
        let mut chunk = [0; 1024];
        let mut at = start;
        while at + WORD_BYTES <= end {
            let bytes = (end - at).min(chunk.len());
            if !peek::copy_or_zeros(at, &mut chunk[..bytes]) {
                self.unread.store(true, Relaxed);
            }
            let words = bytes - (WORD_BYTES - 1);
            for offset in (0..words).step_by(step) {
                let mut word = [0; WORD_BYTES];
                word.copy_from_slice(&chunk[offset..offset + WORD_BYTES]);
                visit(usize::from_ne_bytes(word));
            }
            // The next chunk goes on where no word has begun.
            at += words.next_multiple_of(step);
        }
    }

    /// Whether there were pages that could not be read and were taken for empty. (In a child they are counted
    /// by the handler of their faults.)
    pub(crate) fn has_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }
}

fn note_of(record: &Record) -> Note {
    Note {
        requested: record.requested(),
        stack: record.stack.load(Relaxed),
        noscan: record.has(tracking::NOSCAN),
        ignored: record.has(tracking::IGNORED),
        reported: record.has(tracking::REPORTED),
    }
}

impl Frozen for HeapImage {
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn find(&self, word: usize) -> Option<Hit> {
        let page = word.wrapping_sub(self.base) >> PAGE_SHIFT;
        if page >= self.top {
            return None;
        }
        let Row { entry, first_number: number } = self.row(page);
        let class = entry.class();
        if class == 0 || class == TINY_PAGES {
            return None;
        }
        if class == LARGE_PAGES {
            let first = page_map::span_start(PageId(page as u32));
            let start = self.base + (first.index() << PAGE_SHIFT);
            return Some(Hit { number, start, bytes: span::record(first).pages() * PAGE_BYTES });
        }
        // The place of a page in a span of small objects is never cut off.
        let start = self.base + ((page - entry.place()) << PAGE_SHIFT);
        let index = object_index(class, word - start);
        let bytes = OBJECT_BYTES[class] as usize;
        // Behind the last object there may be a rest of the span.
        (index < SPAN_OBJECTS[class] as usize).then(|| Hit {
            number: number + index as u32,
            start: start + index * bytes,
            bytes,
        })
    }

    #[inline]
    fn requested(&self, hit: Hit) -> usize {
        self.record(hit).map_or(hit.bytes, Record::requested).min(hit.bytes)
    }

    fn note(&self, hit: Hit) -> Note {
        self.record(hit).map_or(Note::default(), note_of)
    }

    fn for_each_run(&self, each: &mut dyn FnMut(Hit, usize)) {
        let mut number = 0;
        pages::for_each_span_unlocked(|span| {
            each(Hit { number, start: span.base().0, bytes: span.object_bytes() }, span.objects());
            number += span.objects() as u32;
        });
    }

    fn for_each(&self, each: &mut dyn FnMut(Hit, Note)) {
        let mut next = 0;
        pages::for_each_span_unlocked(|span: &Span| {
            let (start, bytes) = (span.base().0, span.object_bytes());
            for index in 0..span.objects() {
                // A span without records has never held an object.
                let Some(record) = tracking::record(span, index) else { break };
                if record.is_live() {
                    let hit = Hit { number: next + index as u32, start: start + index * bytes, bytes };
                    each(hit, note_of(record));
                }
            }
            next += span.objects() as u32;
        });
    }

    fn word(&self, at: usize) -> usize {
        match self.reader {
            // SAFETY: as in `for_each_word`.
            Reader::Direct => unsafe { peek::directly(at) },
            Reader::ThroughKernel => peek::through_kernel(at).unwrap_or(0),
        }
    }

    #[inline]
    fn for_each_word(&self, start: usize, end: usize, step: usize, mut visit: impl FnMut(usize)) {
        if self.reader == Reader::ThroughKernel {
            return self.through_kernel(start, end, step, visit);
        }
        let (base, heap_bytes) = (self.base, self.top << PAGE_SHIFT);
        let mut look_at = |at: usize| {
            // SAFETY: the range was the program's when the snapshot was made; in this copy of it a page
            // that can't be read is replaced by the fault handler. Unaligned only with `use_unaligned`.
            let word = unsafe { Addr(at).ptr::<usize>().read_unaligned() };
            if word.wrapping_sub(base) < heap_bytes {
                visit(word);
            }
        };
        let mut at = start;
        if step == WORD_BYTES {
            let filter = PointerFilter::new(base, heap_bytes);
            let mut look_at_group = |at: usize| {
                // SAFETY: as for a single word above.
                let mut candidates = unsafe { filter.candidates(at) };
                while candidates != 0 {
                    look_at(at + candidates.trailing_zeros() as usize * WORD_BYTES);
                    candidates &= candidates - 1;
                }
            };
            while at + PREFETCH_BYTES + CACHE_LINE_BYTES <= end {
                cpu::prefetch(at + PREFETCH_BYTES);
                for offset in (0..CACHE_LINE_BYTES).step_by(GROUP_BYTES) {
                    look_at_group(at + offset);
                }
                at += CACHE_LINE_BYTES;
            }
            while at + GROUP_BYTES <= end {
                look_at_group(at);
                at += GROUP_BYTES;
            }
        }
        while at + WORD_BYTES <= end {
            look_at(at);
            at += step;
        }
    }

    #[inline(always)]
    fn prefetch(&self, at: usize) {
        cpu::prefetch(at);
    }
}

impl Drop for HeapImage {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nothing borrows from it any more.
        unsafe { own_memory::unmap(self.rows) };
    }
}
