//! A walk over the whole page heap that verifies what must hold, for tests.

use super::{CHUNK_PAGES, HINTED_PAGES, LEAF, PageHeap, SCAVENGE_PASSES, entries};

/// Chunks above the heap's top whose summaries are looked at: those that it would grow into first. The
/// whole range has millions, and tests check after every step.
const CHUNKS_ABOVE: usize = 512;

impl PageHeap {
    /// Verifies every invariant; the first one broken is named. Takes time in proportion to the heap.
    ///
    /// - no page is idle and taken; the counters agree with the bits;
    /// - every summary is what its chunk or its children say; just above the heap's top nothing is free;
    /// - nothing shorter fits below a hint, nothing releasable lies above where the scavenger looks.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        self.check_counts()?;
        self.check_summaries()?;
        self.check_hints()
    }

    fn check_counts(&self) -> Result<(), &'static str> {
        let (mut free, mut idle) = (0, 0);
        for i in 0..self.top {
            let (f, i) = self.tree.chunk(i).counts().ok_or("a page is idle and taken")?;
            (free, idle) = (free + f, idle + i);
        }
        let s = &self.stats;
        let in_transit: usize = self.in_transit.iter().flatten().map(|run| run.pages).sum();
        if s.idle != idle || s.released != free - idle {
            return Err("the counts of free pages disagree with the bits");
        }
        if s.mapped + s.holes != self.top * CHUNK_PAGES {
            return Err("the mapped pages and the holes are not the heap");
        }
        if s.mapped != s.in_use + s.in_transit + s.idle + s.released || s.in_transit != in_transit {
            return Err("the counts of pages do not add up");
        }
        Ok(())
    }

    fn check_summaries(&self) -> Result<(), &'static str> {
        let end = (self.top + CHUNKS_ABOVE).min(self.tree.range());
        for i in 0..end {
            let summary = self.tree.get(LEAF, i);
            if i < self.top && summary != self.tree.chunk(i).summary() {
                return Err("a chunk's summary disagrees with its bits");
            }
            if i >= self.top && summary.max() != 0 {
                return Err("a summary says that pages above the heap are free");
            }
        }
        for level in 0..LEAF {
            let chunks_per_entry = 8usize.pow((LEAF - level) as u32);
            let below_end = end.div_ceil(chunks_per_entry).min(entries(level + 1, self.tree.range()) / 8);
            for i in 0..below_end {
                if level < self.tree.root() {
                    if self.tree.get(level, i).max() != 0 {
                        return Err("a level above the root has been written");
                    }
                } else if self.tree.get(level, i) != self.tree.merged(level, i) {
                    return Err("a summary disagrees with its children");
                }
            }
        }
        Ok(())
    }

    fn check_hints(&self) -> Result<(), &'static str> {
        for len in 1..=HINTED_PAGES {
            if self.tree.find(0, len, self.top).is_some_and(|page| page < self.hints[len] as usize) {
                return Err("a free run lies below its hint");
            }
        }
        for pass in 0..SCAVENGE_PASSES {
            let none_above = (self.scavenge_from[pass]..self.top)
                .all(|i| self.tree.chunk(i).releasable(self.granule(pass)).iter().all(|&word| word == 0));
            if !none_above {
                return Err("a releasable block lies above where the scavenger looks");
            }
        }
        Ok(())
    }
}
