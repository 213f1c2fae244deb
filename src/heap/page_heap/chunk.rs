//! The pages of one chunk of the heap: two bits each.

use super::summary::Summary;
use crate::base::{PAGE_BYTES, bitmap};

/// Pages in a chunk: 512 as in the Go runtime, so that one chunk's bits of a kind fill a cache line.
pub(crate) const CHUNK_PAGES: usize = 512;
/// Bytes of a chunk: 4 MiB.
pub(crate) const CHUNK_BYTES: usize = CHUNK_PAGES * PAGE_BYTES;
const WORDS: usize = CHUNK_PAGES / bitmap::WORD_BITS;

/// One bit for each page of a chunk.
pub(super) type Bits = [u64; WORDS];

/// The state of a chunk's pages. Zeroed memory is a chunk that is free and was never touched.
#[repr(C)]
pub(crate) struct Chunk {
    /// Pages given out, on their way to the kernel, or never to be used.
    allocated: Bits,
    /// Free pages that still have memory behind them. The other free pages read as zeros.
    idle: Bits,
}

/// The bits of `free` from which on `len` (1..=64) bits are set.
///
/// Doubling: ones that start a run of `have` and have such a one `step` further up start one of `have + step`.
#[inline]
const fn starts_of_runs(mut free: u64, len: usize) -> u64 {
    let mut have = 1;
    while have < len {
        let step = if have < len - have { have } else { len - have };
        free &= free >> step;
        have += step;
    }
    free
}

impl Chunk {
    /// The first `len` free pages together at or above page `from` of the chunk.
    // Not inlined into both of its callers: the code of requests counts as memory of every process.
    #[inline(never)]
    pub(super) fn find(&self, from: usize, len: usize) -> Option<usize> {
        // Free pages that reach up to the word under view.
        let mut open = 0;
        // A loop, instead of eight times its body, for the same reason.
        for w in from / 64..core::hint::black_box(WORDS) {
            let mut free = !self.allocated[w];
            if w == from / 64 {
                free &= u64::MAX << (from % 64);
            }
            if open + free.trailing_ones() as usize >= len {
                return Some(w * 64 - open);
            }
            if len <= 64 {
                let starts = starts_of_runs(free, len);
                if starts != 0 {
                    return Some(w * 64 + starts.trailing_zeros() as usize);
                }
            }
            open = if free == u64::MAX { open + 64 } else { free.leading_ones() as usize };
        }
        None
    }

    /// The chunk's summary, from its bits.
    #[inline]
    pub(super) fn summary(&self) -> Summary {
        let (mut start, mut max, mut end) = (None, 0, 0);
        for (w, &allocated) in self.allocated.iter().enumerate() {
            let free = !allocated;
            let below = free.trailing_ones() as usize;
            max = max.max(end + below);
            if free == u64::MAX {
                end += 64;
                continue;
            }
            start = start.or(Some(w * 64 + below));
            if max < 64 {
                let mut longer = starts_of_runs(free, max + 1);
                while longer != 0 {
                    max += 1;
                    longer &= longer >> 1;
                }
            }
            end = free.leading_ones() as usize;
        }
        Summary::new(start.unwrap_or(CHUNK_PAGES), max, end)
    }

    /// Whether the pages `from .. from + len` are all free.
    pub(super) fn is_free(&self, from: usize, len: usize) -> bool {
        bitmap::count_run(&self.allocated, from, len) == 0
    }

    /// Whether the pages `from .. from + len` are all taken.
    pub(super) fn is_taken(&self, from: usize, len: usize) -> bool {
        bitmap::count_run(&self.allocated, from, len) == len
    }

    /// The free pages around `from .. from + len`, these taken for free as well: first page and end.
    #[inline]
    fn free_around(&self, from: usize, len: usize) -> (usize, usize) {
        let below = run_below(from, |word| !self.allocated[word]);
        (from - below, bitmap::next(&self.allocated, from + len, CHUNK_PAGES, true))
    }

    /// Takes free pages; returns the chunk's new summary, if `old` was the one before, and how many of the
    /// pages were idle.
    #[inline]
    pub(super) fn take(&mut self, from: usize, len: usize, old: Summary) -> (Summary, usize) {
        debug_assert!(self.is_free(from, len));
        let (first, end) = self.free_around(from, len);
        bitmap::set_run(&mut self.allocated, from, len);
        let idle = bitmap::count_run(&self.idle, from, len);
        if idle > 0 {
            bitmap::clear_run(&mut self.idle, from, len);
        }
        let left = (from - first).max(end - from - len);
        // Only if the longest run was cut are the others looked at, and not if they can't be longer.
        let max = if end - first < old.max() {
            old.max()
        } else if left >= CHUNK_PAGES - (end - first) {
            left
        } else {
            return (self.summary(), idle);
        };
        let at_start = if first == 0 { from } else { old.start() };
        let at_end = if end == CHUNK_PAGES { end - from - len } else { old.end() };
        (Summary::new(at_start, max, at_end), idle)
    }

    /// Frees taken pages, as idle ones or as ones without memory; returns the chunk's new summary, if
    /// `old` was the one before.
    #[inline]
    pub(super) fn give(&mut self, from: usize, len: usize, idle: bool, old: Summary) -> Summary {
        debug_assert!(self.is_taken(from, len));
        bitmap::clear_run(&mut self.allocated, from, len);
        if idle {
            bitmap::set_run(&mut self.idle, from, len);
        }
        let (first, end) = self.free_around(from, len);
        let at_start = if first == 0 { end } else { old.start() };
        let at_end = if end == CHUNK_PAGES { end - first } else { old.end() };
        Summary::new(at_start, old.max().max(end - first), at_end)
    }

    /// Takes all pages for good.
    pub(super) fn make_hole(&mut self) {
        *self = Self { allocated: [u64::MAX; WORDS], idle: [0; WORDS] };
    }

    /// The pages of the aligned blocks of `granule` pages (a power of two, at most 256) that are free as
    /// a whole and have at least one idle page.
    pub(super) fn releasable(&self, granule: usize) -> Bits {
        let mut found = [0; WORDS];
        let words_per_block = granule.div_ceil(64);
        for first in (0..WORDS).step_by(words_per_block) {
            let block = first..first + words_per_block;
            if self.idle[block.clone()].iter().all(|&idle| idle == 0) {
                continue;
            }
            if granule > 64 {
                if self.allocated[block.clone()].iter().all(|&taken| taken == 0) {
                    found[block].fill(u64::MAX);
                }
            } else {
                let taken = spread(self.allocated[first], granule);
                found[first] = spread(self.idle[first], granule) & !taken;
            }
        }
        found
    }

    /// Free pages and idle pages; `None` if a page is idle and taken at once.
    #[cfg(test)]
    pub(super) fn counts(&self) -> Option<(usize, usize)> {
        let apart = self.allocated.iter().zip(&self.idle).all(|(taken, idle)| taken & idle == 0);
        let free = CHUNK_PAGES - bitmap::count_run(&self.allocated, 0, CHUNK_PAGES);
        apart.then(|| (free, bitmap::count_run(&self.idle, 0, CHUNK_PAGES)))
    }
}

/// Sets every bit of each aligned block of `granule` (up to 64) bits in which any is set.
fn spread(word: u64, granule: usize) -> u64 {
    let mut any = word;
    let mut step = 1;
    while step < granule {
        any |= any >> step;
        step *= 2;
    }
    // One bit for each block, at its bottom; the subtraction fills each block from there.
    let bottoms = if granule == 64 { 1 } else { u64::MAX / ((1 << granule) - 1) };
    let block = if granule == 64 { u64::MAX } else { (1 << granule) - 1 };
    (any & bottoms).wrapping_mul(block)
}

/// The highest run of set bits: its first bit and its length.
pub(super) fn last_run(bits: &Bits) -> Option<(usize, usize)> {
    let top = bits.iter().rposition(|&word| word != 0)?;
    let end = top * 64 + 64 - bits[top].leading_zeros() as usize;
    Some((end - ones_below(bits, end), ones_below(bits, end)))
}

/// How many bits right below bit `end` are set.
pub(super) fn ones_below(bits: &Bits, end: usize) -> usize {
    run_below(end, |word| bits[word])
}

/// How many bits right below bit `end` are set in the words that `word` gives.
#[inline]
fn run_below(end: usize, word: impl Fn(usize) -> u64) -> usize {
    let mut at = end;
    while at > 0 {
        let in_word = (at - 1) % 64 + 1;
        let ones = ((word((at - 1) / 64) << (64 - in_word)).leading_ones() as usize).min(in_word);
        at -= ones;
        if ones < in_word {
            break;
        }
    }
    end - at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn bools(bits: &Bits) -> Vec<bool> {
        (0..CHUNK_PAGES).map(|i| bitmap::test(bits, i)).collect()
    }

    /// Words that are mostly all zeros or all ones, so that long runs occur.
    fn words() -> impl Strategy<Value = Bits> {
        prop::array::uniform8(prop_oneof![
            Just(0),
            Just(u64::MAX),
            any::<u64>(),
            any::<u64>().prop_map(|w| w & w >> 9 & w << 3)
        ])
    }

    proptest! {
        #[test]
        fn find_and_summary_agree_with_bits(allocated in words(), from in 0usize..512, len in 1usize..300) {
            let chunk = Chunk { allocated, idle: [0; WORDS] };
            let taken = bools(&allocated);
            let first = (from..CHUNK_PAGES).find(|&i| i + len <= CHUNK_PAGES && taken[i..i + len].iter().all(|t| !t));
            prop_assert_eq!(chunk.find(from, len), first);
            let start = taken.iter().take_while(|&&t| !t).count();
            let end = taken.iter().rev().take_while(|&&t| !t).count();
            let max = taken.split(|&t| t).map(|run| run.len()).max().unwrap_or(0);
            prop_assert_eq!(chunk.summary(), Summary::new(start, max, end));
        }

        #[test]
        fn releasable_blocks_agree_with_bits(allocated in words(), idle in words(), shift in 0usize..9) {
            let idle: Bits = core::array::from_fn(|i| idle[i] & !allocated[i]);
            let chunk = Chunk { allocated, idle };
            let granule = 1 << shift;
            let (taken, idle) = (bools(&allocated), bools(&idle));
            let expected: Vec<bool> = (0..CHUNK_PAGES)
                .map(|i| i / granule * granule..(i / granule + 1) * granule)
                .map(|block| taken[block.clone()].iter().all(|t| !t) && idle[block].iter().any(|&i| i))
                .collect();
            let found = chunk.releasable(granule);
            prop_assert_eq!(bools(&found), expected.clone());
            let end = expected.iter().rposition(|&b| b).map(|i| i + 1);
            let run = end.map(|end| {
                let len = expected[..end].iter().rev().take_while(|&&b| b).count();
                (end - len, len)
            });
            prop_assert_eq!(last_run(&found), run);
        }
    }
}
