//! The tree of summaries over the chunks, and first fit in it.

use super::{
    chunk::{CHUNK_PAGES, Chunk},
    summary::{FAN_OUT, FAN_OUT_SHIFT, LEAF, LEVELS, Summary, page_shift},
};
use crate::{base::Addr, sys::message::fatal};

/// Entries of `level` for a range of `chunks` chunks, rounded up to whole groups of siblings.
pub(crate) const fn entries(level: usize, chunks: usize) -> usize {
    let shift = FAN_OUT_SHIFT * (LEAF - level);
    let count = (chunks + (1 << shift) - 1) >> shift;
    (count + FAN_OUT - 1) & !(FAN_OUT - 1)
}

/// The chunks that a run of pages touches, with the part of each: (chunk, first page in it, pages).
pub(super) fn parts(page: usize, pages: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = page + pages;
    (page / CHUNK_PAGES..end.div_ceil(CHUNK_PAGES)).map(move |chunk| {
        let from = page.max(chunk * CHUNK_PAGES);
        let to = end.min((chunk + 1) * CHUNK_PAGES);
        (chunk, from % CHUNK_PAGES, to - from)
    })
}

/// The chunks and the levels of summaries above them: where they lie, and how many there can be.
///
/// The arrays cover the whole range. They read as zeros above the part in use, and only the part in use
/// (rounded up to groups) is ever written: no level above the one whose first entry covers all chunks that have been
/// added, since the first entry of each level costs a page of its own.
pub(super) struct Tree {
    /// Where the array of chunks ends: the first lies last.
    chunks_end: *mut Chunk,
    levels: [*mut Summary; LEVELS],
    range: usize,
    /// The uppermost level in use.
    root: usize,
}

impl Tree {
    /// A tree over nothing.
    pub(super) const EMPTY: Self = Self {
        chunks_end: core::ptr::null_mut(),
        levels: [core::ptr::null_mut(); LEVELS],
        range: 0,
        root: LEAF,
    };

    /// A tree over `range` chunks, whose levels begin at the given addresses, and whose array of chunks ends at
    /// `chunks_end` with the first of them.
    ///
    /// # Safety
    /// There must be room in front of `chunks_end` for `range` chunks and in `levels[l]` for [`entries`]`(l, range)`
    /// summaries. They must be all zero, readable for good, writable wherever chunks are added, and used by nobody else.
    pub(super) unsafe fn new(chunks_end: Addr, levels: [Addr; LEVELS], range: usize) -> Self {
        Self { chunks_end: chunks_end.ptr(), levels: levels.map(Addr::ptr), range, root: LEAF }
    }

    /// Chunks in the range.
    pub(super) fn range(&self) -> usize {
        self.range
    }

    /// Chunk `i` of the range.
    #[inline]
    pub(super) fn chunk(&self, i: usize) -> &Chunk {
        check(i < self.range);
        // SAFETY: `new`'s caller gave room for `range` chunks, which are only changed through `&mut self`,
        // and zeroed memory is a valid chunk.
        unsafe { &*self.chunks_end.sub(i + 1) }
    }

    /// Chunk `i` of the range, to change it; what depends on it must follow.
    #[inline]
    fn chunk_mut(&mut self, i: usize) -> &mut Chunk {
        check(i < self.range);
        // SAFETY: as in `chunk`, and `&mut self` makes this the only reference.
        unsafe { &mut *self.chunks_end.sub(i + 1) }
    }

    /// Takes a run of free pages; returns how many of them were idle, and whether a chunk was all free before or is
    /// all taken now.
    #[inline]
    pub(super) fn take(&mut self, page: usize, pages: usize) -> (usize, bool) {
        let (mut idle, mut changed, mut turned) = (0, false, false);
        for (i, from, len) in parts(page, pages) {
            let old = self.get(LEAF, i);
            let (summary, idle_here) = self.chunk_mut(i).take(from, len, old);
            changed |= self.set(LEAF, i, summary);
            turned |= old.max() == CHUNK_PAGES || summary.max() == 0;
            idle += idle_here;
        }
        self.refresh_above(page, pages, changed);
        (idle, turned)
    }

    /// Frees a run of taken pages, as idle ones or as ones without memory.
    #[inline]
    pub(super) fn give(&mut self, page: usize, pages: usize, idle: bool) {
        let mut changed = false;
        for (i, from, len) in parts(page, pages) {
            let old = self.get(LEAF, i);
            let summary = self.chunk_mut(i).give(from, len, idle, old);
            changed |= self.set(LEAF, i, summary);
        }
        self.refresh_above(page, pages, changed);
    }

    /// Adds `count` free chunks without memory from chunk `first` on, which were never added before.
    pub(super) fn add(&mut self, first: usize, count: usize) {
        for i in first..first + count {
            self.set(LEAF, i, Summary::all(CHUNK_PAGES));
        }
        let end = first + count;
        let mut begin = first;
        while self.root > 0 && (end - 1) >> (FAN_OUT_SHIFT * (LEAF - self.root)) > 0 {
            self.root -= 1;
            // Where holes lie between, the chunks before have other parents, which nobody has computed.
            begin = 0;
        }
        self.refresh_above(begin * CHUNK_PAGES, (end - begin) * CHUNK_PAGES, true);
    }

    /// The uppermost level in use: none above it has been written.
    #[cfg(test)]
    pub(super) fn root(&self) -> usize {
        self.root
    }

    /// Adds a chunk of which nothing is ever free.
    pub(super) fn add_hole(&mut self, i: usize) {
        self.chunk_mut(i).make_hole();
    }

    /// The siblings that begin with entry `first` of `level`.
    #[inline]
    fn siblings(&self, level: usize, first: usize) -> &[Summary; FAN_OUT] {
        check(level < LEVELS && first + FAN_OUT <= entries(level, self.range));
        // SAFETY: the level has `entries` summaries, changed only through `&mut self`; zero is a valid one.
        unsafe { &*self.levels[level].add(first).cast() }
    }

    #[inline]
    pub(super) fn get(&self, level: usize, i: usize) -> Summary {
        self.siblings(level, i & !(FAN_OUT - 1))[i % FAN_OUT]
    }

    /// Stores a summary; `false` if it was there already.
    #[inline]
    fn set(&mut self, level: usize, i: usize, summary: Summary) -> bool {
        check(level < LEVELS && i < entries(level, self.range));
        // SAFETY: the entry is inside the level's array, and the chunks it covers have been added, so it
        // is writable; `&mut self` makes this the only access.
        let entry = unsafe { &mut *self.levels[level].add(i) };
        let changed = *entry != summary;
        *entry = summary;
        changed
    }

    /// Brings the summaries above the leaves of a run of pages up to date, if a leaf has changed.
    ///
    /// Most changes stop below the root: once nothing changes at a level, nothing does above it.
    #[inline]
    fn refresh_above(&mut self, page: usize, pages: usize, mut changed: bool) {
        let (mut first, mut last) = (page / CHUNK_PAGES, (page + pages - 1) / CHUNK_PAGES);
        for level in (self.root..LEAF).rev() {
            if !changed {
                return;
            }
            (first, last) = (first >> FAN_OUT_SHIFT, last >> FAN_OUT_SHIFT);
            changed = false;
            for i in first..=last {
                let summary = self.merged(level, i);
                changed |= self.set(level, i, summary);
            }
        }
    }

    /// What the summary of an inner entry must be, from its children.
    pub(super) fn merged(&self, level: usize, i: usize) -> Summary {
        Summary::merge(self.siblings(level + 1, i << FAN_OUT_SHIFT), 1 << page_shift(level + 1))
    }

    /// The first `len` free pages together at or above page `from`, in the first `top` chunks.
    ///
    /// Pseudo-code is in the [module's](super) description.
    pub(super) fn find(&self, from: usize, len: usize, top: usize) -> Option<usize> {
        let first = from / CHUNK_PAGES;
        if first >= top {
            return None;
        }
        let leaf = self.get(LEAF, first);
        if leaf.max() >= len
            && let Some(i) = self.chunk(first).find(from % CHUNK_PAGES, len)
        {
            return Some(first * CHUNK_PAGES + i);
        }
        let mut open = leaf.end().min(CHUNK_PAGES - from % CHUNK_PAGES);
        let (mut level, mut i) = (LEAF, first + 1);
        loop {
            while level > self.root && i % FAN_OUT == 0 {
                (level, i) = (level - 1, i >> FAN_OUT_SHIFT);
            }
            let begin = i << page_shift(level);
            if begin >= top * CHUNK_PAGES {
                return None;
            }
            let summary = self.get(level, i);
            if open + summary.start() >= len {
                return Some(begin - open);
            }
            if summary.max() >= len {
                return Some(self.find_inside(level, i, len));
            }
            let all = summary.start() == 1 << page_shift(level);
            open = if all { open + summary.start() } else { summary.end() };
            i += 1;
        }
    }

    /// The first `len` free pages together inside what the entry covers, which has them.
    fn find_inside(&self, mut level: usize, mut i: usize, len: usize) -> usize {
        while level < LEAF {
            (level, i) = (level + 1, i << FAN_OUT_SHIFT);
            let mut open = 0;
            let mut inner = None;
            for (child, summary) in self.siblings(level, i).iter().enumerate() {
                let begin = (i + child) << page_shift(level);
                if open + summary.start() >= len {
                    return begin - open;
                }
                if summary.max() >= len {
                    inner = Some(i + child);
                    break;
                }
                let all = summary.start() == 1 << page_shift(level);
                open = if all { open + summary.start() } else { summary.end() };
            }
            i = inner.unwrap_or_else(|| corrupt());
        }
        i * CHUNK_PAGES + self.chunk(i).find(0, len).unwrap_or_else(|| corrupt())
    }
}

/// Stops the process where an index leaves its array: always a mistake in this module, never the user's.
#[inline(always)]
fn check(inside: bool) {
    if !inside {
        corrupt();
    }
}

/// A summary promised what its children lack: somebody wrote into the heap's own memory.
#[cold]
fn corrupt() -> ! {
    fatal!("the page heap's summaries contradict each other: its memory was overwritten")
}
