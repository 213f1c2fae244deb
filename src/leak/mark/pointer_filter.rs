//! Which of several words can't be pointers into the heap, told for all of them at once; the others are gathered.
//!
//! Most words that marking reads are no pointers. Looked at one by one they cost four instructions each, and those of
//! a few objects fill the window in which a processor looks for loads that it can start early. Which word of an object
//! is a pointer, if any is, no processor can predict; so words are gathered without asking, and looked at when there
//! are many.

use crate::base::Addr;
use crate::sys::cpu::CACHE_LINE_BYTES;

/// Words that are looked at together.
pub(super) const GROUP_WORDS: usize = 4;
/// Bytes of these.
pub(super) const GROUP_BYTES: usize = GROUP_WORDS * size_of::<usize>();

const UPPER_SHIFT: u32 = 32;

/// Words that may be pointers, gathered from several ranges.
pub(crate) struct Gathered {
    words: [usize; MOST_GATHERED + ROOM_BEYOND],
    len: usize,
}

/// Words, at least, that are looked at together: so many that the misses of one step overlap.
const MOST_GATHERED: usize = 64;
/// How many more may be put in before anyone asks whether that is enough, a cache line's, and one group of which none may
/// count.
const ROOM_BEYOND: usize = CACHE_LINE_BYTES / size_of::<usize>() + GROUP_WORDS;

impl Gathered {
    /// More than these are never in it.
    pub(super) const MOST: usize = MOST_GATHERED + ROOM_BEYOND;

    /// Nothing.
    pub(super) fn new() -> Self {
        Self { words: [0; MOST_GATHERED + ROOM_BEYOND], len: 0 }
    }

    /// How many words it has.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether it is time to look at the words; if it is not, there is room for those of a cache line.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.len >= MOST_GATHERED
    }

    /// The words; there are none from now on.
    #[inline]
    pub(super) fn take(&mut self) -> &[usize] {
        let len = core::mem::take(&mut self.len);
        &self.words[..len]
    }

    /// Puts a word in.
    #[inline(always)]
    pub(super) fn push(&mut self, word: usize) {
        self.words[self.len] = word;
        self.len += 1;
    }

    /// Puts those of a group's words in whose bit is set in `candidates`. Without branches: all are written, and those
    /// that don't count are written over.
    ///
    /// # Safety
    /// As for [`PointerFilter::candidates`].
    #[inline(always)]
    pub(super) unsafe fn push_group(&mut self, at: usize, candidates: u32) {
        let room: &mut [usize] = &mut self.words[self.len..][..GROUP_WORDS];
        let mut used = 0;
        for number in 0..GROUP_WORDS {
            // SAFETY: the caller answers for the memory; the read needs no alignment.
            let word = unsafe { Addr(at + number * size_of::<usize>()).ptr::<usize>().read_unaligned() };
            // SAFETY: at most one place further for each word before this one.
            unsafe { *room.get_unchecked_mut(used) = word };
            used += (candidates >> number & 1) as usize;
        }
        self.len += used;
    }
}

/// The upper halves of the heap's addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct PointerFilter {
    lowest: u32,
    /// How many there are.
    count: u32,
}

impl PointerFilter {
    /// For a heap of `bytes` bytes at `base`.
    pub(super) fn new(base: usize, bytes: usize) -> Self {
        let lowest = (base >> UPPER_SHIFT) as u32;
        Self { lowest, count: ((base + bytes) >> UPPER_SHIFT) as u32 - lowest + 1 }
    }

    /// A bit for each of the [`GROUP_WORDS`] words at `at` that may point into the heap, the first word's lowest: words
    /// within 4 GiB of it, and some of those are not in it.
    ///
    /// # Safety
    /// The words must be readable, or faults must be caught and mended (`crate::leak::snapshot::faults`). Others may
    /// write them at the same time only if it does not matter which value is seen.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) unsafe fn candidates(self, at: usize) -> u32 {
        use core::arch::x86_64::{
            _mm_castps_si128, _mm_castsi128_ps, _mm_cmpgt_epi32, _mm_loadu_ps, _mm_movemask_ps,
            _mm_set1_epi32, _mm_shuffle_ps, _mm_sub_epi32,
        };
        /// SSE2 compares signed numbers: with this bit turned over, unsigned ones have their order.
        const SIGN: u32 = 1 << 31;
        const UPPER_HALVES: i32 = 0b11_01_11_01;
        let at = Addr(at);
        // SAFETY: SSE2 is part of every x86-64, the loads need no alignment, and the caller answers for the memory.
        unsafe {
            let words = [_mm_loadu_ps(at.ptr::<f32>()), _mm_loadu_ps(at.plus(GROUP_BYTES / 2).ptr::<f32>())];
            let upper = _mm_castps_si128(_mm_shuffle_ps::<UPPER_HALVES>(words[0], words[1]));
            let above_lowest = _mm_sub_epi32(upper, _mm_set1_epi32((self.lowest ^ SIGN) as i32));
            let is_below = _mm_cmpgt_epi32(_mm_set1_epi32((self.count ^ SIGN) as i32), above_lowest);
            _mm_movemask_ps(_mm_castsi128_ps(is_below)) as u32
        }
    }

    /// As on x86-64.
    ///
    /// # Safety
    /// As there.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    pub(super) unsafe fn candidates(self, at: usize) -> u32 {
        // SAFETY: the caller answers for the memory.
        unsafe { self.candidates_by_word(at) }
    }

    /// [`Self::candidates`] with the instructions that every processor has.
    ///
    /// # Safety
    /// As there.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    #[inline(always)]
    unsafe fn candidates_by_word(self, at: usize) -> u32 {
        let mut found = 0;
        for number in 0..GROUP_WORDS {
            let word = Addr(at + number * size_of::<usize>());
            // SAFETY: the caller answers for the memory; the read needs no alignment.
            let word = unsafe { word.ptr::<usize>().read_unaligned() };
            let above_lowest = ((word >> UPPER_SHIFT) as u32).wrapping_sub(self.lowest);
            found |= u32::from(above_lowest < self.count) << number;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const GIB: usize = 1 << 30;

    /// Words around the ends of a heap, and others.
    fn word(base: usize, bytes: usize) -> impl Strategy<Value = usize> {
        let around =
            |at: usize| (0..2 * GIB).prop_map(move |offset| at.wrapping_add(offset).wrapping_sub(GIB));
        prop_oneof![around(base), around(base + bytes), base..=base + bytes, 0..1000usize, any::<usize>()]
    }

    proptest! {
        #[test]
        fn words_are_gathered_in_their_order(groups in prop::collection::vec((any::<[usize; 4]>(), 0u32..16), 1..100)) {
            let (mut gathered, mut taken, mut expected) = (Gathered::new(), Vec::new(), Vec::new());
            for (words, candidates) in groups {
                // SAFETY: the words are this test's own.
                unsafe { gathered.push_group(words.as_ptr() as usize, candidates) };
                expected.extend((0..GROUP_WORDS).filter(|i| candidates >> i & 1 == 1).map(|i| words[i]));
                gathered.push(1);
                expected.push(1);
                if gathered.is_full() {
                    taken.extend_from_slice(gathered.take());
                }
            }
            taken.extend_from_slice(gathered.take());
            prop_assert_eq!(taken, expected);
            prop_assert!(gathered.take().is_empty());
        }

        #[test]
        fn no_pointer_is_missed_and_nothing_far_is_taken_for_one(
            (base, bytes, words) in (0usize..1 << 46, 0usize..64 * GIB).prop_flat_map(|(base, bytes)| {
                (Just(base), Just(bytes), prop::array::uniform5(word(base, bytes)))
            }),
            is_unaligned: bool,
        ) {
            let filter = PointerFilter::new(base, bytes);
            let at = &raw const words as usize + if is_unaligned { 3 } else { 0 };
            // SAFETY: the five words are this test's own, and the group ends in the fifth at the latest.
            let found = unsafe { filter.candidates(at) };
            // SAFETY: as above.
            prop_assert_eq!(found, unsafe { filter.candidates_by_word(at) });
            for number in 0..GROUP_WORDS {
                let from = at + number * size_of::<usize>();
                // SAFETY: as above.
                let word = unsafe { Addr(from).ptr::<usize>().read_unaligned() };
                let is_found = found >> number & 1 == 1;
                prop_assert!(is_found || !(base..=base + bytes).contains(&word), "{word:#x} was missed");
                let far = 1usize << UPPER_SHIFT;
                let is_near = word < (base + bytes).saturating_add(far) && word >= base.saturating_sub(far);
                prop_assert!(is_near || !is_found, "{word:#x} is far off");
            }
            prop_assert_eq!(found >> GROUP_WORDS, 0);
        }
    }
}
