//! Taking and freeing runs of pages.

use super::grow::HUGE_REQUEST_PAGES;
use super::{Backing, CHUNK_PAGES, HINTED_PAGES, LEAF, PageHeap, PageId, Run, tree::parts};
use crate::base::align_up;

impl PageHeap {
    /// Takes the lowest free run of `pages` pages (not 0) whose address is a multiple of
    /// `align_pages` pages (a power of two); grows the heap if there is none.
    ///
    /// `None` at the hard limit, at the end of the address range, or if the system gives no more.
    #[inline]
    pub(crate) fn alloc(&mut self, pages: usize, align_pages: usize) -> Option<Run> {
        debug_assert!(pages > 0 && align_pages.is_power_of_two());
        if !self.may_use(pages) {
            return None;
        }
        loop {
            if let Some(page) = self.find_fit(pages, align_pages) {
                return Some(self.take(page, pages));
            }
            if !self.grow_for(pages, align_pages) {
                return None;
            }
        }
    }

    /// Whether the hard limit leaves room for `pages` more; counts a refusal.
    fn may_use(&mut self, pages: usize) -> bool {
        let Some(backing) = self.backing else { return false };
        if self.policy.exceeds_hard_limit(self.stats.in_use, pages, || backing.metadata_bytes()) {
            self.stats.limit_failures += 1;
            return false;
        }
        true
    }

    /// The lowest run that fits.
    #[inline]
    fn find_fit(&mut self, pages: usize, align_pages: usize) -> Option<usize> {
        let hint = pages.min(HINTED_PAGES);
        let from = self.hints[hint] as usize;
        if align_pages > 1 {
            return self.find_aligned(from, pages, align_pages);
        }
        let found = self.tree.find(from, pages, self.top);
        if pages <= HINTED_PAGES {
            // What was found is about to be taken; without it nothing this long lies below its end, and
            // if nothing was found, nothing begins before the last pages of the heap.
            let next = match found {
                Some(page) => page + pages,
                None => (self.top * CHUNK_PAGES).saturating_sub(pages - 1),
            };
            self.hints[hint] = self.hints[hint].max(next as u32);
        }
        found
    }

    fn find_aligned(&self, mut from: usize, pages: usize, align_pages: usize) -> Option<usize> {
        loop {
            let page = self.tree.find(from, pages, self.top)?;
            from = self.aligned(page, align_pages);
            if from == page || self.is_free_run(from, pages) {
                return Some(from);
            }
        }
    }

    /// The first page at or above `page` whose address is a multiple of `align_pages` pages.
    pub(super) fn aligned(&self, page: usize, align_pages: usize) -> usize {
        align_up(self.first_page + page, align_pages) - self.first_page
    }

    /// Whether the pages `page .. page + pages` are free and inside the grown heap.
    pub(super) fn is_free_run(&self, page: usize, pages: usize) -> bool {
        page + pages <= self.top * CHUNK_PAGES
            && parts(page, pages).all(|(chunk, from, len)| self.tree.chunk(chunk).is_free(from, len))
    }

    /// Whether `page` belongs to the heap and to nobody now.
    #[cfg(test)]
    pub(crate) fn is_free(&self, page: PageId) -> bool {
        self.is_free_run(page.index(), 1)
    }

    /// Takes a free run for the program.
    #[inline]
    fn take(&mut self, page: usize, pages: usize) -> Run {
        let (idle, turned) = self.take_bits(page, pages);
        if turned {
            self.note_turned(page, pages);
        }
        self.note_refault(page, pages, idle);
        self.stats.in_use += pages;
        self.stats.peak_in_use = self.stats.peak_in_use.max(self.stats.in_use);
        self.policy.note_use(self.stats.in_use);
        Run { page: PageId::new(page), pages, zeroed: idle == 0 }
    }

    /// Tells the system of the chunks that were all free before the run was taken, and of those that are all taken now.
    #[cold]
    fn note_turned(&mut self, page: usize, pages: usize) {
        let Some(backing) = self.backing else { return };
        let mut turned = 0..0;
        for (chunk, from, len) in parts(page, pages) {
            if !self.has_turned(backing, chunk, from, len) {
                continue;
            }
            if turned.end != chunk {
                backing.reuse(turned);
                turned = chunk..chunk;
            }
            turned.end += 1;
        }
        backing.reuse(turned);
    }

    /// Whether `chunk`, of which the pages `from .. from + len` were just taken, was all free before, or is all taken
    /// now and no page of it is about to lose its memory. Of chunks that fill up by and by, one for each tick of the
    /// clock: a heap at its soft limit may take and release the same page again and again.
    fn has_turned(&mut self, backing: &dyn Backing, chunk: usize, from: usize, len: usize) -> bool {
        let summary = self.tree.get(LEAF, chunk);
        if summary.start() == from && summary.end() == CHUNK_PAGES - from - len {
            return true;
        }
        let pages = chunk * CHUNK_PAGES..(chunk + 1) * CHUNK_PAGES;
        let overlaps = |run: &Run| run.page.index() < pages.end && pages.start < run.page.index() + run.pages;
        if summary.max() > 0 || self.in_transit.iter().flatten().any(overlaps) {
            return false;
        }
        let now = backing.now();
        core::mem::replace(&mut self.filled_at, now) != now
    }

    /// Takes a free run out of the bits; returns what [`Tree::take`](super::tree::Tree::take) does.
    #[inline]
    pub(super) fn take_bits(&mut self, page: usize, pages: usize) -> (usize, bool) {
        let (idle, turned) = self.tree.take(page, pages);
        self.stats.idle -= idle;
        self.stats.released -= pages - idle;
        (idle, turned)
    }

    /// Tells the policy of pages that had been used before and come back without memory.
    #[inline]
    fn note_refault(&mut self, page: usize, pages: usize, idle: usize) {
        let used_before = self.high_water.saturating_sub(page).min(pages);
        self.high_water = self.high_water.max(page + pages);
        let refaulted = used_before.saturating_sub(idle);
        if refaulted == 0 {
            return;
        }
        self.stats.refaulted_total += refaulted;
        if let Some(backing) = self.backing
            && self.policy.has_regrettable()
        {
            self.policy.note_refault(refaulted, backing.now());
        }
    }

    /// Frees a run that [`Self::alloc`] gave, or part of one. Its memory stays; see
    /// [`scavenge`](super::scavenge).
    #[inline]
    pub(crate) fn free(&mut self, page: PageId, pages: usize) {
        self.give_bits(page.index(), pages, true);
        self.stats.in_use -= pages;
        self.policy.note_use(self.stats.in_use);
    }

    /// As [`Self::free`], for a run whose memory is gone (moved away by `mremap`, or discarded): its pages
    /// read as zeros.
    pub(crate) fn free_unbacked(&mut self, page: PageId, pages: usize) {
        self.give_bits(page.index(), pages, false);
        self.stats.in_use -= pages;
        self.policy.note_use(self.stats.in_use);
    }

    /// Puts a run back into the bits.
    #[inline]
    pub(super) fn give_bits(&mut self, page: usize, pages: usize, idle: bool) {
        self.tree.give(page, pages, idle);
        let last = (page + pages - 1) / CHUNK_PAGES;
        self.lower_hints(page);
        // Pages without memory count here, too: they may complete a block with idle ones.
        self.scavenge_from = self.scavenge_from.map(|from| from.max(last + 1));
        if idle {
            self.stats.idle += pages;
        } else {
            self.stats.released += pages;
        }
    }

    /// Lets the searches see what has become free at `page`, with what was free right before it.
    #[inline]
    pub(super) fn lower_hints(&mut self, page: usize) {
        // One by one: vectors would take constants from a page of the library that small programs do without.
        for (len, hint) in self.hints.iter_mut().enumerate() {
            *hint = (*hint).min(core::hint::black_box((page + 1).saturating_sub(len) as u32));
        }
    }

    /// Makes a run of `pages` pages longer, up to `new_pages`, by what lies right behind it; grows the heap
    /// if it ends there. Whether the added pages read as zeros, or `None` if they are not to be had.
    pub(crate) fn try_extend(&mut self, page: PageId, pages: usize, new_pages: usize) -> Option<bool> {
        let more = new_pages.checked_sub(pages).filter(|&more| more > 0)?;
        let next = page.index() + pages;
        let inside = more.min((self.top * CHUNK_PAGES).saturating_sub(next));
        if !self.is_free_run(next, inside) || !self.may_use(more) {
            return None;
        }
        if inside < more
            && !(self.grow_to(next + more, new_pages >= HUGE_REQUEST_PAGES) && self.is_free_run(next, more))
        {
            return None;
        }
        Some(self.take(next, more).zeroed)
    }
}
