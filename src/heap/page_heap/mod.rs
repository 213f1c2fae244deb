//! The page heap: runs of 8 KiB pages, address-ordered first fit.
//!
//! The heap's range is cut into chunks of 512 pages. A chunk has two bits for each page, *allocated*
//! and *idle* (free, with memory behind it); a free page that is not idle reads as zeros. Free runs
//! need no list and no coalescing: neighbours are together because their bits are.
//!
//! Above the bits stands a tree of summaries, up to five levels with eight children to an entry: how many
//! pages are free at the start, in the longest run, and at the end of what the entry covers. The idea
//! (bitmaps, packed summaries in a radix tree, first fit by address) is that of the Go runtime's
//! `mpagealloc.go`, described in its proposal 35112 "Scaling the Go page allocator". Go descends from
//! the root; here the search begins at a leaf, where the last one ended, and climbs:
//!
//! ```text
//! find(from, len):
//!   look in from's own chunk, bit by bit, at or above from
//!   open := free pages at that chunk's end, at or above from
//!   entry := the next leaf
//!   loop:
//!     while entry is the first of its siblings, and below the root: entry := its parent
//!     if open + entry.start >= len:  the run begins `open` pages before the entry
//!     if entry.max >= len:           descend: the same test on its children, then on the chunk's bits
//!     open := open + all, if all of the entry is free, else entry.end
//!     entry := the next one at this level
//! ```
//!
//! Where to begin is kept for each length up to 16 pages: no free run of n pages lies below `hints[n]`.
//! So the usual request looks into one chunk and needs no tree. Taking and freeing pages recomputes the
//! chunk's leaf and then the levels above it, up to the first that does not change.
//!
//! What the operating system gives comes through [`Backing`], so tests run on made-up memory.

mod alloc;
#[cfg(test)]
mod check;
mod chunk;
mod driver;
mod grow;
mod policy;
mod scavenge;
mod summary;
mod tree;

#[cfg(test)]
mod tests;

pub(crate) use chunk::{CHUNK_BYTES, CHUNK_PAGES, Chunk};
pub(crate) use driver::{alloc_run, extend_run, free_run, release_excess, scavenge};
use policy::Policy;
pub(crate) use policy::{Limits, Thp};
pub(crate) use summary::{LEAF, LEVELS, Summary};
pub(crate) use tree::entries;

use crate::base::{Addr, PAGE_BYTES};
use core::ops::Range;
use tree::Tree;

/// The longest run that has a hint of its own.
const HINTED_PAGES: usize = 16;
/// Kinds of blocks the scavenger looks for, in this order.
const SCAVENGE_PASSES: usize = 3;

/// Most runs on their way to the kernel at once: more threads releasing would only queue in the kernel.
const TRANSIT_SLOTS: usize = 8;

/// A page of the heap, counted from the heap's base.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(transparent)]
pub(crate) struct PageId(pub(crate) u32);

impl PageId {
    #[inline]
    const fn new(page: usize) -> Self {
        Self(page as u32)
    }

    /// The number as an index.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Pages that lie together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// The first page.
    pub(crate) page: PageId,
    /// How many there are.
    pub(crate) pages: usize,
    /// Whether all of them are known to read as zeros.
    pub(crate) zeroed: bool,
}

/// Why the heap did not grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommitError {
    /// Something of the program's own is mapped there.
    Taken,
    /// The system gives no more.
    NoMemory,
}

/// Advice on huge pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HugePages {
    /// Use them when the range is touched.
    Use,
    /// Never use them there.
    Avoid,
}

/// What the page heap needs of the operating system.
///
/// `commit`, `advise` and `reuse` are called with the heap's lock held, `release` without it.
pub(crate) trait Backing: Sync {
    /// Makes `count` chunks from chunk `first` on usable memory that reads as zeros, with the parts of
    /// the arrays that belong to them. When it fails with
    /// [`CommitError::Taken`] the arrays are usable all the same; what it has done is not undone.
    fn commit(&self, first: usize, count: usize) -> Result<(), CommitError>;

    /// Gives the memory behind the pages back; they read as zeros afterwards. `false` if refused. A chunk where that
    /// leaves a part of a huge page has none from then on.
    fn release(&self, page: PageId, pages: usize) -> bool;

    /// Chunks that were free as a whole are used again, or are all in use: they may have huge pages once more, if they
    /// had been advised to.
    fn reuse(&self, chunks: Range<usize>);

    /// Advises on chunks that have just been committed and never touched.
    fn advise(&self, first: usize, count: usize, huge: HugePages);

    /// Bytes that the arrays beside the heap may hold at most, as far as they have been committed.
    fn metadata_bytes(&self) -> usize;

    /// A monotonic clock, in nanoseconds; milliseconds are fine enough.
    fn now(&self) -> u64;
}

/// Where the heap's arrays lie and how far they reach.
pub(crate) struct Layout {
    /// Where the heap's range begins, at a multiple of the bytes of a page.
    pub(crate) base: Addr,
    /// Chunks in the range.
    pub(crate) chunks: usize,
    /// The end of the array of [`Chunk`]s, of which the first lies last.
    pub(crate) chunks_end: Addr,
    /// The levels of summaries, root first; each has [`entries`] entries.
    pub(crate) levels: [Addr; LEVELS],
    /// Pages of the heap in a page of the kernel, at least 1: nothing smaller can be released.
    pub(crate) least_release: usize,
}

/// Counts of pages and of what happened to them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct PageStats {
    /// Pages of the heap as far as it has grown, in any state.
    pub(crate) mapped: usize,
    /// Pages given out.
    pub(crate) in_use: usize,
    /// Free pages with memory behind them.
    pub(crate) idle: usize,
    /// Free pages without memory.
    pub(crate) released: usize,
    /// Pages on their way to the kernel.
    pub(crate) in_transit: usize,
    /// Pages inside the grown heap that belong to somebody else.
    pub(crate) holes: usize,
    /// Most pages in use at any time.
    pub(crate) peak_in_use: usize,
    /// Idle pages given back so far.
    pub(crate) released_total: usize,
    /// Pages given out again after they had been used and given back.
    pub(crate) refaulted_total: usize,
    /// Releases the kernel refused (locked memory).
    pub(crate) release_failures: usize,
    /// Requests refused because of the hard limit.
    pub(crate) limit_failures: usize,
    /// Idle pages that the policy keeps at present because they were needed again soon.
    pub(crate) kept_for_reuse: usize,
}

/// The page heap. One lock, of rank `PageHeap`, guards it.
pub(crate) struct PageHeap {
    backing: Option<&'static dyn Backing>,
    tree: Tree,
    /// Chunks the heap has grown to, holes included.
    top: usize,
    /// Page above which nothing was ever given out.
    high_water: usize,
    /// `hints[n]`: below this page no `n` free pages begin that lie together.
    hints: [u32; HINTED_PAGES + 1],
    /// For each pass: no releasable block lies in this chunk or above.
    scavenge_from: [usize; SCAVENGE_PASSES],
    least_release: usize,
    /// The base's address as a page number, for alignments larger than the base's own.
    first_page: usize,
    in_transit: [Option<Run>; TRANSIT_SLOTS],
    /// When the system was last told of a chunk that had filled up.
    filled_at: u64,
    stats: PageStats,
    policy: Policy,
}

// SAFETY: the raw pointers inside lead to arrays that only this value uses, from whatever thread holds it.
unsafe impl Send for PageHeap {}

impl PageHeap {
    /// A heap that gives out nothing until [`Self::init`].
    pub(crate) const fn new() -> Self {
        Self {
            backing: None,
            tree: Tree::EMPTY,
            top: 0,
            high_water: 0,
            hints: [0; HINTED_PAGES + 1],
            scavenge_from: [0; SCAVENGE_PASSES],
            least_release: 1,
            first_page: 0,
            in_transit: [None; TRANSIT_SLOTS],
            filled_at: 0,
            stats: PageStats {
                mapped: 0,
                in_use: 0,
                idle: 0,
                released: 0,
                in_transit: 0,
                holes: 0,
                peak_in_use: 0,
                released_total: 0,
                refaulted_total: 0,
                release_failures: 0,
                limit_failures: 0,
                kept_for_reuse: 0,
            },
            policy: Policy::new(Limits::NONE),
        }
    }

    /// Starts the heap, once, on arrays and an operating system.
    ///
    /// # Safety
    /// The arrays must be as [`Layout`] says: zeroed, readable for good, writable for the chunks that
    /// `backing` has committed, and used by nobody else.
    pub(crate) unsafe fn init_on(&mut self, backing: &'static dyn Backing, layout: Layout, limits: Limits) {
        // SAFETY: passed on to the caller.
        self.tree = unsafe { Tree::new(layout.chunks_end, layout.levels, layout.chunks) };
        self.least_release = layout.least_release;
        self.first_page = layout.base.0 / PAGE_BYTES;
        self.policy = Policy::new(limits);
        self.backing = Some(backing);
    }

    /// The operating system the heap was started on.
    fn backing(&self) -> Option<&'static dyn Backing> {
        self.backing
    }

    /// The counters as they are now.
    pub(crate) fn stats(&self) -> PageStats {
        PageStats { kept_for_reuse: self.policy.kept_for_reuse(), ..self.stats }
    }

    /// Chunks the heap has grown to: every page below has entries in the arrays beside the heap.
    pub(crate) fn top_chunks(&self) -> usize {
        self.top
    }
}
