//! The heap as marking sees it: its spans numbered, its records read, its memory read directly or through
//! the kernel.

use super::frozen::{Frozen, Hit, Note};
use super::grey::GROUP_OBJECTS;
use super::pointer_filter::{GROUP_BYTES, Gathered, PointerFilter};
use crate::base::{Addr, PAGE_BYTES, PAGE_SHIFT};
use crate::heap::page_map::{self, Entry, PageId};
use crate::heap::pages;
use crate::heap::size_class::{LARGE_PAGES, OBJECT_BYTES, SPAN_OBJECTS, TINY_PAGES, object_index};
use crate::heap::span::{self, Span};
use crate::heap::tracking::{self, Record};
use crate::leak::own_memory::{NoMemory, Table, Zeroable};
use crate::leak::peek;
use crate::sys::cpu::{self, CACHE_LINE_BYTES};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const WORD_BYTES: usize = size_of::<usize>();

/// How far ahead in a long range lines are fetched: a page of the kernel. The processor's own prefetching ends with
/// each, and the first touch of a page in a new process costs hundreds of cycles more, to note it in the page table.
const PREFETCH_BYTES: usize = 4096;

const RECORDS_OF_LINE: usize = CACHE_LINE_BYTES / size_of::<Record>();

/// How to read the program's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// As this process's own: a copy of the program's, where faults are caught.
    Direct,
    /// Through the kernel, which reports unreadable pages instead of raising a signal.
    ThroughKernel,
}

const NO_OBJECT: Hit = Hit { number: 0, start: 0, bytes: 0 };

/// What finding an object needs of a page, in one cache line.
#[repr(C)]
#[derive(Clone, Copy)]
struct Row {
    /// As in the page map.
    entry: Entry,
    /// The number of the first object of the page's span.
    first_number: u32,
}

// SAFETY: of zeros it is the row of a page that no span has.
unsafe impl Zeroable for Row {}

/// Where the objects of a span begin.
#[repr(C)]
#[derive(Clone, Copy)]
struct Run {
    first_number: u32,
    first_page: u32,
}

// SAFETY: two numbers.
unsafe impl Zeroable for Run {}

/// The heap with a number for the first object of every span.
pub(crate) struct HeapImage {
    reader: Reader,
    base: usize,
    /// Pages the heap has grown to.
    top: usize,
    /// Of every page.
    rows: Table<Row>,
    filter: PointerFilter,
    /// Of every span in the order of addresses, and one behind the last.
    runs: Table<Run>,
    /// For each group the run that its first object is in.
    run_of_group: Table<u32>,
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
        let (top, mut count, mut spans) = (pages::noted_pages(), 0, 0);
        pages::for_each_span_unlocked(|span| {
            count += span.objects();
            spans += 1;
        });
        if count > u32::MAX as usize {
            return Err(NoMemory);
        }
        let mut rows = Table::<Row>::new(top)?;
        let mut runs = Table::<Run>::new(spans + 1)?;
        let mut run_of_group = Table::<u32>::new(count.div_ceil(GROUP_OBJECTS))?;
        let (mut next, mut run, mut group) = (0, 0, 0);
        pages::for_each_span_unlocked(|span| {
            let first = span.page().index();
            for page in first..first + span.pages() {
                rows[page] = Row { entry: page_map::entry_of(PageId(page as u32)), first_number: next };
            }
            runs[run] = Run { first_number: next, first_page: first as u32 };
            next += span.objects() as u32;
            while group * GROUP_OBJECTS < next as usize {
                run_of_group[group] = run as u32;
                group += 1;
            }
            run += 1;
        });
        runs[run].first_number = next;
        let (base, unread) = (page_map::base().0, AtomicBool::new(false));
        let filter = PointerFilter::new(base, top << PAGE_SHIFT);
        Ok(Self { reader, base, top, filter, rows, runs, run_of_group, count, unread })
    }

    /// The row of a page below `top`; zero for one that no span has.
    #[inline]
    fn row(&self, page: usize) -> Row {
        debug_assert!(page < self.top, "callers have compared the page with the top");
        // SAFETY: the table has a row for every page below `top`.
        unsafe { *self.rows.get_unchecked(page) }
    }

    /// The record of an object; none in a span that has never held one.
    #[inline]
    fn record(&self, hit: Hit) -> Option<&'static Record> {
        let page = (hit.start - self.base) >> PAGE_SHIFT;
        let first = page_map::span_start(PageId(page as u32));
        let index = (hit.number - self.row(page).first_number) as usize;
        tracking::record(span::record(first), index)
    }

    /// The first object of a run.
    #[inline]
    fn first_object(&self, run: Run) -> Hit {
        let page = run.first_page as usize;
        let class = self.row(page).entry.class();
        let bytes = match class {
            LARGE_PAGES => span::record(PageId(run.first_page)).pages() * PAGE_BYTES,
            _ => OBJECT_BYTES[class] as usize,
        };
        Hit { number: run.first_number, start: self.base + (page << PAGE_SHIFT), bytes }
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
        stack: record.stack(),
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
        for pair in self.runs.windows(2) {
            let first = self.first_object(pair[0]);
            each(first, (pair[1].first_number - first.number) as usize);
        }
    }

    #[inline]
    fn for_each_of_group(&self, group: usize, mut bits: u64, mut each: impl FnMut(Hit)) {
        let (mut run, mut end, mut first) = (self.run_of_group[group] as usize, 0, NO_OBJECT);
        while bits != 0 {
            let number = (group * GROUP_OBJECTS) as u32 + bits.trailing_zeros();
            bits &= bits - 1;
            if number >= end {
                while number >= self.runs[run + 1].first_number {
                    run += 1;
                }
                (end, first) = (self.runs[run + 1].first_number, self.first_object(self.runs[run]));
            }
            let start = first.start + (number - first.number) as usize * first.bytes;
            debug_assert_eq!(self.find(start), Some(Hit { number, start, ..first }), "one numbering");
            each(Hit { number, start, ..first });
        }
    }

    #[inline]
    fn prefetch_group(&self, group: usize) {
        cpu::prefetch((&raw const self.run_of_group[group]).addr());
    }

    fn for_each(&self, each: &mut dyn FnMut(Hit, Note)) {
        let mut next = 0;
        pages::for_each_span_unlocked(|span: &Span| {
            let (start, bytes) = (span.base().0, span.object_bytes());
            for (index, record) in tracking::records(span).iter().enumerate() {
                if index % RECORDS_OF_LINE == 0 {
                    // Most often the records of the spans that follow.
                    cpu::prefetch((&raw const *record).addr() + PREFETCH_BYTES);
                }
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
        // Most words are no pointers into the heap: one comparison with what stays in registers.
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
        while step == WORD_BYTES && at + PREFETCH_BYTES + CACHE_LINE_BYTES <= end {
            cpu::prefetch(at + PREFETCH_BYTES);
            (at..at + CACHE_LINE_BYTES).step_by(WORD_BYTES).for_each(&mut look_at);
            at += CACHE_LINE_BYTES;
        }
        while at + WORD_BYTES <= end {
            look_at(at);
            at += step;
        }
    }

    #[inline]
    fn gather(
        &self,
        start: usize,
        end: usize,
        step: usize,
        gathered: &mut Gathered,
        mut look: impl FnMut(&mut Gathered),
    ) {
        let filter = self.filter;
        let (mut at, by_groups) = (start, self.reader == Reader::Direct && step == WORD_BYTES);
        // Long ranges are often the same all through, so that a processor predicts whether a group has candidates.
        while by_groups && at + PREFETCH_BYTES + CACHE_LINE_BYTES <= end {
            cpu::prefetch(at + PREFETCH_BYTES);
            for group in (at..at + CACHE_LINE_BYTES).step_by(GROUP_BYTES) {
                // SAFETY: as in `for_each_word`.
                let candidates = unsafe { filter.candidates(group) };
                if candidates != 0 {
                    // SAFETY: as above.
                    unsafe { gathered.push_group(group, candidates) };
                }
            }
            if gathered.is_full() {
                look(gathered);
            }
            at += CACHE_LINE_BYTES;
        }
        while by_groups && at + GROUP_BYTES <= end {
            // SAFETY: as in `for_each_word`.
            unsafe { gathered.push_group(at, filter.candidates(at)) };
            if gathered.is_full() {
                look(gathered);
            }
            at += GROUP_BYTES;
        }
        self.for_each_word(at, end, step, |word| {
            gathered.push(word);
            if gathered.is_full() {
                look(gathered);
            }
        });
    }

    #[inline(always)]
    fn prefetch_finding(&self, word: usize) {
        let page = word.wrapping_sub(self.base) >> PAGE_SHIFT;
        cpu::prefetch(self.rows.as_ptr().wrapping_add(page).addr());
    }

    #[inline(always)]
    fn prefetch(&self, at: usize) {
        cpu::prefetch(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A heap of one page that holds nothing.
    fn empty(base: usize, reader: Reader) -> HeapImage {
        HeapImage {
            reader,
            base,
            top: 1,
            filter: PointerFilter::new(base, PAGE_BYTES),
            rows: Table::new(1).unwrap(),
            runs: Table::new(1).unwrap(),
            run_of_group: Table::new(0).unwrap(),
            count: 0,
            unread: AtomicBool::new(false),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_gathered_are_the_words_into_the_heap_and_words_near_it(
            seed in prop::collection::vec(prop::option::weighted(0.3, 0..2 * PAGE_BYTES), 1..60),
            words in 0usize..1500,
            (start, end) in (0usize..16, 0usize..16),
            step in prop::sample::select(&[1, WORD_BYTES][..]),
            reader in prop::sample::select(&[Reader::Direct, Reader::ThroughKernel][..]),
        ) {
            const BASE: usize = 0x7e12_0000_0000;
            let memory: Vec<usize> =
                seed.iter().cycle().take(words + 4).map(|offset| offset.map_or(7, |offset| BASE + offset)).collect();
            let image = empty(BASE, reader);
            let first = memory.as_ptr().addr();
            let (start, end) = (first + start, first + (words + 4) * WORD_BYTES - end);
            let (mut expected, mut gathered, mut all) = (Vec::new(), Gathered::new(), Vec::new());
            image.for_each_word(start, end, step, |word| expected.push(word));
            image.gather(start, end, step, &mut gathered, |gathered| all.extend_from_slice(gathered.take()));
            all.extend_from_slice(gathered.take());
            let is_inside = |word: &usize| word.wrapping_sub(BASE) < PAGE_BYTES;
            let inside: Vec<usize> = all.iter().copied().filter(is_inside).collect();
            expected.retain(is_inside);
            prop_assert_eq!(inside, expected);
            let is_near = |word: &usize| *word >> 32 == BASE >> 32;
            prop_assert!(step != WORD_BYTES || reader != Reader::Direct || all.iter().all(is_near));
        }
    }
}
