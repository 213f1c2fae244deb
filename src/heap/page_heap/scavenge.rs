//! Giving idle pages back to the kernel.
//!
//! Two steps, so that no system call is made under the heap's lock: [`PageHeap::take_for_release`] takes
//! a run out of the bitmaps, as if it were allocated; the caller drops the lock, releases the memory,
//! takes the lock again, and [`PageHeap::finish_release`] frees the run as one without memory.
//!
//! Whole free huge pages go first, because each of them is one entry of the processor's TLB less to
//! break up; then aligned blocks of 64 KiB; then single pages, without which a heap freed at random would
//! keep most of its memory. Each from high addresses down, because first fit takes the low ones.

use super::{CHUNK_PAGES, PageHeap, PageId, Run, SCAVENGE_PASSES, chunk};
use crate::base::PAGE_BYTES;

/// Pages in a huge page (2 MiB).
const HUGE_PAGES: usize = (2 << 20) / PAGE_BYTES;
/// Pages in a quantum: 64 KiB, the Go scavenger's, where a system call costs little against what it gives.
const QUANTUM_PAGES: usize = (64 << 10) / PAGE_BYTES;
const GRANULES: [usize; SCAVENGE_PASSES] = [HUGE_PAGES, QUANTUM_PAGES, 1];

impl PageHeap {
    /// How many idle pages the policy wants released now.
    #[inline]
    pub(crate) fn excess(&mut self) -> usize {
        self.excess_when(false)
    }

    /// As [`Self::excess`], after releasing has begun: what is left to do.
    pub(super) fn remaining_excess(&mut self) -> usize {
        self.excess_when(true)
    }

    #[inline]
    fn excess_when(&mut self, begun: bool) -> usize {
        let Some(backing) = self.backing else { return 0 };
        let now = (self.stats.in_use, self.stats.idle);
        self.policy.excess(begun, now, || backing.metadata_bytes(), || backing.now())
    }

    /// Takes a run of about `max_pages` (rounded up to one whole block) with idle pages out of the free
    /// ones. [`Self::finish_release`] must follow. `None` if nothing can be released.
    pub(crate) fn take_for_release(&mut self, max_pages: usize) -> Option<Run> {
        let backing = self.backing?;
        let slot = self.in_transit.iter().position(Option::is_none)?;
        let (page, pages) = self.find_releasable(max_pages)?;
        let (idle, _) = self.take_bits(page, pages);
        self.policy.note_release(idle, backing.now());
        self.stats.in_transit += pages;
        self.stats.released_total += idle;
        let run = Run { page: PageId::new(page), pages, zeroed: false };
        self.in_transit[slot] = Some(run);
        Some(run)
    }

    /// Frees a run from [`Self::take_for_release`]: as one without memory if `released`, else as idle.
    pub(crate) fn finish_release(&mut self, run: Run, released: bool) {
        let Some(slot) = self.in_transit.iter_mut().find(|slot| **slot == Some(run)) else { return };
        *slot = None;
        self.stats.in_transit -= run.pages;
        self.give_bits(run.page.index(), run.pages, !released);
        if !released {
            self.stats.release_failures += 1;
            if let Some(backing) = self.backing {
                self.policy.note_refusal(backing.now());
            }
        }
    }

    /// In a child after fork: takes back what other threads of the parent were releasing.
    pub(crate) fn abandon_releases(&mut self) {
        for i in 0..self.in_transit.len() {
            if let Some(run) = self.in_transit[i].take() {
                self.stats.in_transit -= run.pages;
                self.give_bits(run.page.index(), run.pages, true);
            }
        }
    }

    /// Pages in a block of a pass: never less than the kernel can release.
    pub(super) fn granule(&self, pass: usize) -> usize {
        GRANULES[pass].max(self.least_release)
    }

    /// The highest run of releasable blocks, of the largest kind there is.
    fn find_releasable(&mut self, max_pages: usize) -> Option<(usize, usize)> {
        (0..SCAVENGE_PASSES).find_map(|pass| {
            let granule = self.granule(pass);
            let mut below = self.scavenge_from[pass].min(self.top);
            loop {
                let chunk = below.checked_sub(1)?;
                if self.tree.chunk(chunk).releasable(granule).iter().any(|&word| word != 0) {
                    return Some(self.releasable_below(chunk, granule, max_pages));
                }
                below = chunk;
                self.scavenge_from[pass] = below;
            }
        })
    }

    /// The highest releasable run that ends in `chunk`, continued into the chunks below, cut to about
    /// `max_pages` at its upper end.
    fn releasable_below(&self, mut chunk: usize, granule: usize, max_pages: usize) -> (usize, usize) {
        let (mut first, mut len) =
            chunk::last_run(&self.tree.chunk(chunk).releasable(granule)).unwrap_or((0, 0));
        let end = chunk * CHUNK_PAGES + first + len;
        while first == 0 && len < max_pages && chunk > 0 {
            chunk -= 1;
            let more = chunk::ones_below(&self.tree.chunk(chunk).releasable(granule), CHUNK_PAGES);
            first = CHUNK_PAGES - more;
            len += more;
        }
        let most = max_pages.div_ceil(granule).max(1) * granule;
        let pages = len.min(most);
        (end - pages, pages)
    }
}
