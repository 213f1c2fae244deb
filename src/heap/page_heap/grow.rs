//! Growing the heap at its top.

use super::{Backing, CHUNK_BYTES, CHUNK_PAGES, CommitError, HugePages, LEAF, PageHeap, policy::Thp};
use crate::base::PAGE_BYTES;

/// The heap grows by an eighth of itself, so that a heap of any size has grown only some dozens of times …
const GROWTH_SHARE: usize = 8;
/// … but by no more than this unless one request needs it: committed memory is charged where the kernel
/// does not overcommit.
const MAX_GROWTH_CHUNKS: usize = (64 << 20) / CHUNK_BYTES;

/// With `thp=auto` huge pages come with growth beyond this much in use: a page touched in a huge one
/// costs up to 2 MiB, which is then at most a tenth of the heap. (First fit fills low addresses, so mostly there is
/// one such page, at the end.)
pub(super) const HUGE_FROM_PAGES: usize = (20 << 20) / PAGE_BYTES;
/// A request of this much has huge pages whatever the heap's size: what a program asks for as one, it mostly uses.
pub(super) const HUGE_REQUEST_PAGES: usize = (2 << 20) / PAGE_BYTES;
/// With `thp=auto` the first chunk never has huge pages, also where the system gives them to everybody:
/// most programs need some hundred KiB of heap.
const SMALL_HEAP_CHUNKS: usize = 1;

impl PageHeap {
    /// Grows so that `pages` aligned pages fit behind the last page taken. `false` if that cannot be.
    #[cold]
    pub(super) fn grow_for(&mut self, pages: usize, align_pages: usize) -> bool {
        let free_tail = self.free_tail();
        let start = self.aligned(self.top * CHUNK_PAGES - free_tail, align_pages);
        start.checked_add(pages).is_some_and(|end| self.grow_to(end, pages >= HUGE_REQUEST_PAGES))
    }

    /// Free pages at the heap's end. (Counting whole chunks stops at the first that is not all free.)
    fn free_tail(&self) -> usize {
        let mut tail = 0;
        for chunk in (0..self.top).rev() {
            let end = self.tree.get(LEAF, chunk).end();
            tail += end;
            if end < CHUNK_PAGES {
                break;
            }
        }
        tail
    }

    /// Grows to page `end` or beyond, by at least one chunk; `for_large`: for one large request. `false` if that much
    /// cannot be had; the heap may have grown by part of it.
    pub(super) fn grow_to(&mut self, end: usize, for_large: bool) -> bool {
        let Some(backing) = self.backing else { return false };
        let target = end.div_ceil(CHUNK_PAGES).max(self.top + 1);
        if target > self.tree.range() {
            return false;
        }
        let step = (self.top / GROWTH_SHARE).min(MAX_GROWTH_CHUNKS);
        let generous = target.max(self.top + step).min(self.tree.range());
        if generous > target && backing.commit(self.top, generous - self.top).is_ok() {
            self.add_chunks(backing, generous - self.top, for_large);
            return true;
        }
        self.grow_piecewise(backing, target, for_large)
    }

    /// Grows to chunk `target` exactly, around what others have mapped in the way.
    fn grow_piecewise(&mut self, backing: &'static dyn Backing, target: usize, for_large: bool) -> bool {
        let mut piece = target - self.top;
        while self.top < target {
            piece = piece.min(target - self.top);
            match backing.commit(self.top, piece) {
                Ok(()) => self.add_chunks(backing, piece, for_large),
                Err(CommitError::NoMemory) => return false,
                Err(CommitError::Taken) if piece == 1 => {
                    self.add_hole();
                    piece = target - self.top;
                }
                Err(CommitError::Taken) => piece = piece.div_ceil(2),
            }
        }
        true
    }

    fn add_chunks(&mut self, backing: &'static dyn Backing, count: usize, for_large: bool) {
        self.advise_growth(backing, count, for_large);
        let (first, pages) = (self.top, count * CHUNK_PAGES);
        self.top += count;
        self.tree.add(first, count);
        self.stats.mapped += pages;
        self.stats.released += pages;
        self.lower_hints(first * CHUNK_PAGES);
    }

    /// Passes by a chunk of which somebody else has mapped a part: it counts as taken for good.
    fn add_hole(&mut self) {
        self.tree.add_hole(self.top);
        self.top += 1;
        self.stats.holes += CHUNK_PAGES;
    }

    fn advise_growth(&self, backing: &'static dyn Backing, count: usize, for_large: bool) {
        match self.policy.thp() {
            Thp::Never => backing.advise(self.top, count, HugePages::Avoid),
            Thp::Always => backing.advise(self.top, count, HugePages::Use),
            Thp::Auto => {
                let small = SMALL_HEAP_CHUNKS.saturating_sub(self.top).min(count);
                if small > 0 {
                    backing.advise(self.top, small, HugePages::Avoid);
                }
                if count > small && (for_large || self.stats.in_use >= HUGE_FROM_PAGES) {
                    backing.advise(self.top + small, count - small, HugePages::Use);
                }
            }
        }
    }
}
