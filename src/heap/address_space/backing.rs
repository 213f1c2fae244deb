//! The address range as what the page heap runs on.

use super::{AVOIDS_HUGE, AddressSpace, Array, MAX_SPARSE, WANTS_HUGE, arrays::upper_level_offset};
use crate::{
    base::{Addr, PAGE_BYTES, align_up},
    heap::page_heap::{
        Backing, CHUNK_BYTES, CHUNK_PAGES, CommitError, HugePages, LEAF, LEVELS, Layout, Limits, PageHeap,
        PageId,
    },
    heap::span::RECORD_BYTES,
    sys::{auxv, memory, syscall::Errno, time},
};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};

/// Runs from this length on, 2 MiB, take the span records of their pages with them, 32 KiB, and what fills a page of
/// the page map: a heap that was large once would keep 1.6 % of it in these.
const RELEASE_ROWS_FROM_PAGES: usize = (2 << 20) / PAGE_BYTES;

impl AddressSpace {
    /// Gives the rows of free pages in an array back to the kernel, as far as they fill its pages. They read as
    /// zeros then, as those of pages that were never used.
    fn release_rows(&self, array: Array, row_bytes: usize, page: PageId, pages: usize) {
        let kernel_page = auxv::kernel_page_bytes();
        let row_0 = self.array_base(array).0;
        let (near, far) = (page.index() * row_bytes, (page.index() + pages) * row_bytes);
        let rows = match array.grows_down() {
            true => row_0 - far..row_0 - near,
            false => row_0 + near..row_0 + far,
        };
        let (start, end) = (align_up(rows.start, kernel_page), rows.end & !(kernel_page - 1));
        if start < end {
            // SAFETY: the page heap has taken the pages out of its bits, so no span begins there or will before
            // this is over; entries of free pages are zero already. Who reads a record all the same, of a pointer
            // that is wrong, finds that there is no span. If the advice fails the rows stay, which is as good.
            let _ = unsafe { memory::advise(Addr(start), end - start, libc::MADV_DONTNEED) };
        }
    }

    /// Keeps the kernel from making a huge page of what is left of one, with memory for the pages that were given back:
    /// khugepaged does that with every huge page of which it finds a single page (`max_ptes_none`), and in minutes a
    /// heap would hold again what it had released.
    pub(crate) fn avoid_refill(&self, page: PageId, pages: usize) {
        let (first, end) = (page.index(), page.index() + pages);
        // As many pages of the kernel as fit into one as entries of 8 bytes.
        let huge_pages = auxv::kernel_page_bytes() * (auxv::kernel_page_bytes() / 8) / PAGE_BYTES;
        if huge_pages > CHUNK_PAGES {
            (first / CHUNK_PAGES..end.div_ceil(CHUNK_PAGES)).for_each(|chunk| self.make_sparse(chunk));
        } else {
            let cut = [first, end].into_iter().filter(|edge| !edge.is_multiple_of(huge_pages));
            cut.for_each(|edge| self.make_sparse(edge / CHUNK_PAGES));
        }
    }

    fn make_sparse(&self, chunk: usize) {
        if self.advice_for(chunk) != Some(HugePages::Use) || self.sparse.load(Relaxed) >= MAX_SPARSE {
            return;
        }
        // Counted first, so that whoever takes the bit back finds it counted.
        self.sparse.fetch_add(1, Relaxed);
        if self.commits(chunk).fetch_or(AVOIDS_HUGE, Relaxed) & AVOIDS_HUGE == 0 {
            self.give_advice(chunk * CHUNK_PAGES..(chunk + 1) * CHUNK_PAGES, HugePages::Avoid);
        } else {
            self.sparse.fetch_sub(1, Relaxed);
        }
    }

    /// What holds for a chunk that was advised to have huge pages when the heap grew by it; `None` for others.
    fn advice_for(&self, chunk: usize) -> Option<HugePages> {
        match self.commits(chunk).load(Relaxed) & (WANTS_HUGE | AVOIDS_HUGE) {
            WANTS_HUGE => Some(HugePages::Use),
            0 | AVOIDS_HUGE => None,
            _ => Some(HugePages::Avoid),
        }
    }

    /// Gives the advice that holds for the chunks of the pages once more, `otherwise` where none does: `mremap` brings
    /// that of its source along.
    pub(crate) fn renew_advice(&self, pages: Range<usize>, otherwise: Option<HugePages>) {
        let mut at = pages.start;
        while at < pages.end {
            let advice = self.advice_for(at / CHUNK_PAGES);
            let from = at;
            while at < pages.end && self.advice_for(at / CHUNK_PAGES) == advice {
                at = (at / CHUNK_PAGES + 1) * CHUNK_PAGES;
            }
            if let Some(advice) = advice.or(otherwise) {
                self.give_advice(from..at.min(pages.end), advice);
            }
        }
    }

    /// Makes one mapping of pages that are several because of different advice, as `mremap` needs it; whether that was
    /// so. Then [`Self::renew_advice`] must follow.
    pub(crate) fn unify_advice(&self, pages: Range<usize>) -> bool {
        if self.sparse.load(Relaxed) == 0 {
            return false;
        }
        let has = |advice| move |chunk: usize| self.advice_for(chunk) == advice;
        let chunks = pages.start / CHUNK_PAGES..pages.end.div_ceil(CHUNK_PAGES);
        let any = |advice| chunks.clone().any(has(advice));
        let differ = any(Some(HugePages::Avoid)) && any(Some(HugePages::Use)) && !any(None);
        if differ {
            self.give_advice(pages, HugePages::Use);
        }
        differ
    }

    fn give_advice(&self, pages: Range<usize>, huge: HugePages) {
        let advice = match huge {
            HugePages::Use => libc::MADV_HUGEPAGE,
            HugePages::Avoid => libc::MADV_NOHUGEPAGE,
        };
        let at = self.base().plus(pages.start * PAGE_BYTES);
        // A kernel without huge pages refuses, which leaves things as they are.
        // SAFETY: the chunks were committed by us; the advice changes no contents.
        let _ = unsafe { memory::advise(at, pages.len() * PAGE_BYTES, advice) };
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
            chunks_end: self.array_base(Array::Chunks),
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
        if released {
            self.avoid_refill(page, pages);
        }
        released
    }

    fn reuse(&self, chunks: Range<usize>) {
        // Without any such chunk the array is not read: a small process has no page for it.
        if self.sparse.load(Relaxed) == 0 {
            return;
        }
        let mut changed = false;
        for chunk in chunks.clone().filter(|&chunk| self.advice_for(chunk) == Some(HugePages::Avoid)) {
            self.commits(chunk).fetch_and(!AVOIDS_HUGE, Relaxed);
            self.sparse.fetch_sub(1, Relaxed);
            changed = true;
        }
        if !changed {
            return;
        }
        self.renew_advice(chunks.start * CHUNK_PAGES..chunks.end * CHUNK_PAGES, None);
    }

    fn advise(&self, first: usize, count: usize, huge: HugePages) {
        if huge == HugePages::Use {
            for chunk in first..first + count {
                self.commits(chunk).fetch_or(WANTS_HUGE, Relaxed);
            }
        }
        self.give_advice(first * CHUNK_PAGES..(first + count) * CHUNK_PAGES, huge);
    }

    fn metadata_bytes(&self) -> usize {
        let with_heap: usize = self.committed.iter().map(|bytes| bytes.load(Relaxed)).sum();
        with_heap + self.on_demand.load(Relaxed)
    }

    fn now(&self) -> u64 {
        time::coarse_nanoseconds()
    }
}
