//! The address range as what the page heap runs on.

use super::{AVOIDS_HUGE, AddressSpace, Array, MAX_SPARSE, WANTS_HUGE, arrays::upper_level_offset};
use crate::{
    base::{Addr, PAGE_BYTES, align_up},
    heap::page_heap::{
        Backing, CHUNK_BYTES, CHUNK_PAGES, CommitError, HUGE_PAGES, HugePages, LEAF, LEVELS, Layout, Limits,
        PageHeap, PageId,
    },
    heap::span::RECORD_BYTES,
    sys::{auxv, memory, syscall::Errno, time},
};
use core::sync::atomic::Ordering::Relaxed;

/// Runs from this length on, 2 MiB, take the span records of their pages with them, 32 KiB, and what fills a page of
/// the page map: a heap that was large once would keep 1.6 % of it in these.
const RELEASE_ROWS_FROM_PAGES: usize = (2 << 20) / PAGE_BYTES;

impl AddressSpace {
    /// Gives the rows of free pages in an array back to the kernel, as far as they fill its pages. They read as
    /// zeros then, as those of pages that were never used.
    fn release_rows(&self, array: Array, row_bytes: usize, page: PageId, pages: usize) {
        let kernel_page = auxv::kernel_page_bytes();
        let rows = self.array_base(array).0;
        let start = align_up(rows + page.index() * row_bytes, kernel_page);
        let end = (rows + (page.index() + pages) * row_bytes) & !(kernel_page - 1);
        if start < end {
            // SAFETY: the page heap has taken the pages out of its bits, so no span begins there or will before
            // this is over; entries of free pages are zero already. Who reads a record all the same, of a pointer
            // that is wrong, finds that there is no span. If the advice fails the rows stay, which is as good.
            let _ = unsafe { memory::advise(Addr(start), end - start, libc::MADV_DONTNEED) };
        }
    }

    /// Keeps the kernel from making a huge page of what is left of one, with memory for the part that was given back:
    /// khugepaged does that with every huge page of which it finds a single page (`max_ptes_none`), and in minutes a
    /// heap would hold again what it had released.
    fn avoid_refill(&self, chunk: usize) {
        let bits = self.commits(chunk);
        if bits.load(Relaxed) & AVOIDS_HUGE != 0 || self.sparse.load(Relaxed) >= MAX_SPARSE {
            return;
        }
        if bits.fetch_or(AVOIDS_HUGE, Relaxed) & AVOIDS_HUGE == 0 {
            self.sparse.fetch_add(1, Relaxed);
            self.give_advice(chunk, 1, HugePages::Avoid);
        }
    }

    fn give_advice(&self, first: usize, count: usize, huge: HugePages) {
        let advice = match huge {
            HugePages::Use => libc::MADV_HUGEPAGE,
            HugePages::Avoid => libc::MADV_NOHUGEPAGE,
        };
        let at = self.base().plus(first * CHUNK_BYTES);
        // A kernel without huge pages refuses, which leaves things as they are.
        // SAFETY: the chunks were committed by us; the advice changes no contents.
        let _ = unsafe { memory::advise(at, count * CHUNK_BYTES, advice) };
    }

    /// Where the page heap's arrays lie.
    fn layout(&self) -> Layout {
        let chunks = self.chunks.load(Relaxed);
        let upper = self.array_base(Array::UpperSummaries);
        let levels: [Addr; LEVELS] = core::array::from_fn(|level| match level {
            LEAF => self.array_base(Array::Leaves),
            level => upper.plus(upper_level_offset(level, chunks)),
        });
        let least_release = (auxv::kernel_page_bytes() / PAGE_BYTES).max(1);
        Layout {
            base: self.base(),
            chunks,
            chunk_array: self.array_base(Array::Chunks),
            levels,
            least_release,
        }
    }
}

impl PageHeap {
    /// Starts the heap on the process's address range, with the limits that the options set.
    ///
    /// # Safety
    /// `space` must have its range, and no other page heap may use it.
    pub(crate) unsafe fn init(&mut self, space: &'static AddressSpace) {
        // SAFETY: the arrays are fresh mappings, which are zero, of the lengths that `Layout` asks for,
        // readable from the start, and `commit` makes them writable before it grants a chunk.
        unsafe { self.init_on(space, space.layout(), Limits::from_config()) };
    }
}

impl Backing for AddressSpace {
    fn commit(&self, first: usize, count: usize) -> Result<(), CommitError> {
        self.cover(first + count).map_err(|_| CommitError::NoMemory)?;
        let at = self.base().plus(first * CHUNK_BYTES);
        self.make_writable(at, count * CHUNK_BYTES).map_err(|errno| match errno {
            Errno(libc::EEXIST) => CommitError::Taken,
            _ => CommitError::NoMemory,
        })?;
        if self.is_claimed() {
            self.note_granted(first..first + count);
        }
        Ok(())
    }

    fn release(&self, page: PageId, pages: usize) -> bool {
        if pages >= RELEASE_ROWS_FROM_PAGES {
            self.release_rows(Array::SpanRecords, RECORD_BYTES, page, pages);
            self.release_rows(Array::PageMap, size_of::<u32>(), page, pages);
        }
        // SAFETY: the page heap has taken the pages out of its bits, so nobody uses what they hold.
        let released =
            unsafe { memory::advise(self.address_of(page), pages * PAGE_BYTES, libc::MADV_DONTNEED) }.is_ok();
        for edge in [page.index(), page.index() + pages] {
            if released && !edge.is_multiple_of(HUGE_PAGES) {
                self.avoid_refill(edge / CHUNK_PAGES);
            }
        }
        released
    }

    fn reuse(&self, chunk: usize) {
        // Without any such chunk the array is not read: a small process has no page for it.
        if self.sparse.load(Relaxed) == 0 {
            return;
        }
        let bits = self.commits(chunk);
        if bits.load(Relaxed) & (AVOIDS_HUGE | WANTS_HUGE) == AVOIDS_HUGE | WANTS_HUGE {
            bits.fetch_and(!AVOIDS_HUGE, Relaxed);
            self.sparse.fetch_sub(1, Relaxed);
            self.give_advice(chunk, 1, HugePages::Use);
        }
    }

    fn advise(&self, first: usize, count: usize, huge: HugePages) {
        if huge == HugePages::Use {
            for chunk in first..first + count {
                self.commits(chunk).fetch_or(WANTS_HUGE, Relaxed);
            }
        }
        self.give_advice(first, count, huge);
    }

    fn metadata_bytes(&self) -> usize {
        let with_heap: usize = self.committed.iter().map(|bytes| bytes.load(Relaxed)).sum();
        with_heap + self.on_demand.load(Relaxed)
    }

    fn now(&self) -> u64 {
        time::coarse_nanoseconds()
    }
}
