//! What is known of the free pages in a stretch of the heap: one packed word.

use super::chunk::CHUNK_PAGES;

/// Levels of the tree of summaries.
pub(crate) const LEVELS: usize = 5;
/// The level whose entries stand for one chunk each.
pub(crate) const LEAF: usize = LEVELS - 1;
/// Log2 of the children of an entry: eight summaries fill one cache line.
pub(crate) const FAN_OUT_SHIFT: usize = 3;
/// Children of an entry.
pub(crate) const FAN_OUT: usize = 1 << FAN_OUT_SHIFT;

/// Log2 of the pages that an entry of `level` covers.
pub(crate) const fn page_shift(level: usize) -> usize {
    CHUNK_PAGES.trailing_zeros() as usize + FAN_OUT_SHIFT * (LEAF - level)
}

const FIELD_BITS: usize = 21;
const FIELD_MASK: u64 = (1 << FIELD_BITS) - 1;
/// The one value that does not fit a field: all pages of a root entry are free.
const ROOT_PAGES: usize = 1 << FIELD_BITS;
const ALL_ROOT_FREE: u64 = 1 << 63;
const _: () = assert!(page_shift(0) == FIELD_BITS && 3 * FIELD_BITS == 63);

/// Free pages of a stretch: how many at its start, how many in its longest run, how many at its end.
///
/// Three fields of 21 bits. Zero, and so untouched memory, means that nothing is free. Bit 63 stands
/// for three times 2^21.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Summary(u64);

impl Summary {
    /// Packs the three numbers; each at most 2^21, and `start` and `end` at most `max`.
    #[inline]
    pub(crate) const fn new(start: usize, max: usize, end: usize) -> Self {
        if max == ROOT_PAGES {
            return Self(ALL_ROOT_FREE);
        }
        Self(start as u64 | (max as u64) << FIELD_BITS | (end as u64) << (2 * FIELD_BITS))
    }

    /// The summary of `pages` pages all free.
    #[inline]
    pub(crate) const fn all(pages: usize) -> Self {
        Self::new(pages, pages, pages)
    }

    #[inline]
    const fn field(self, i: usize) -> usize {
        if self.0 == ALL_ROOT_FREE {
            return ROOT_PAGES;
        }
        (self.0 >> (i * FIELD_BITS) & FIELD_MASK) as usize
    }

    /// Free pages at the start.
    #[inline]
    pub(crate) const fn start(self) -> usize {
        self.field(0)
    }

    /// Pages of the longest free run.
    #[inline]
    pub(crate) const fn max(self) -> usize {
        self.field(1)
    }

    /// Free pages at the end.
    #[inline]
    pub(crate) const fn end(self) -> usize {
        self.field(2)
    }

    /// The summary of neighbours, each of `pages` pages, in the order of their addresses; none is a whole
    /// root entry.
    #[inline]
    pub(crate) fn merge(parts: &[Self], pages: usize) -> Self {
        let (mut start, mut max, mut end) = (0, 0, 0);
        for (i, part) in parts.iter().enumerate() {
            // Most parts of a heap in use have nothing free.
            if part.0 == 0 {
                end = 0;
                continue;
            }
            let [part_start, part_max, part_end] =
                [0, 1, 2].map(|field| (part.0 >> (field * FIELD_BITS) & FIELD_MASK) as usize);
            if start == i * pages {
                start += part_start;
            }
            max = max.max(part_max).max(end + part_start);
            end = if part_start == pages { end + pages } else { part_end };
        }
        Self::new(start, max, end)
    }
}

impl core::fmt::Debug for Summary {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "({}, {}, {})", self.start(), self.max(), self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn naive(pages: &[bool]) -> Summary {
        let run = |it: &mut dyn Iterator<Item = &bool>| it.take_while(|&&free| free).count();
        let longest = pages.split(|&free| !free).map(|run| run.len()).max().unwrap_or(0);
        Summary::new(run(&mut pages.iter()), longest, run(&mut pages.iter().rev()))
    }

    #[test]
    fn the_largest_numbers_fit() {
        for n in [0, 1, 512, ROOT_PAGES - 1, ROOT_PAGES] {
            let all = Summary::all(n);
            assert_eq!((all.start(), all.max(), all.end()), (n, n, n));
        }
        let mixed = Summary::new(1, ROOT_PAGES - 1, 0);
        assert_eq!((mixed.start(), mixed.max(), mixed.end()), (1, ROOT_PAGES - 1, 0));
    }

    proptest! {
        #[test]
        fn merging_agrees_with_counting(parts in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.8), 6), 1..9)) {
            let summaries: Vec<_> = parts.iter().map(|p| naive(p)).collect();
            prop_assert_eq!(Summary::merge(&summaries, 6), naive(&parts.concat()));
        }
    }
}
