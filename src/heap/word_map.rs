//! A bit for each word of the heap's memory, in memory that others provide. Any number of bits may be set: what is
//! never set is never touched.

use super::page_map;
use crate::base::{Addr, bitmap};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const WORD_BYTES: usize = size_of::<usize>();
/// Bytes of the heap that one word of bits stands for.
const COVERED_BYTES: usize = bitmap::WORD_BITS * WORD_BYTES;

/// The map, by its address: the number of its words of bits, and then they. A copy is the same map.
#[derive(Clone, Copy)]
pub(crate) struct WordMap(Addr);

impl WordMap {
    /// Bytes that a map of the heap's first `heap_bytes` takes up.
    pub(crate) const fn bytes_for(heap_bytes: usize) -> usize {
        (1 + heap_bytes.div_ceil(COVERED_BYTES)) * WORD_BYTES
    }

    /// The map of the heap's first `heap_bytes`.
    ///
    /// # Safety
    /// At `at` must begin zeroed memory of [`Self::bytes_for`] as many, which is the map's as long as it or a copy is
    /// used.
    pub(crate) unsafe fn new(at: Addr, heap_bytes: usize) -> Self {
        // SAFETY: the memory is ours, by the caller's word.
        unsafe { at.ptr::<usize>().write(heap_bytes.div_ceil(COVERED_BYTES)) };
        Self(at)
    }

    /// The map that [`Self::addr`] named.
    ///
    /// # Safety
    /// Its memory must be the map's still.
    pub(super) const unsafe fn at(addr: Addr) -> Self {
        Self(addr)
    }

    /// Where it begins.
    pub(super) const fn addr(self) -> Addr {
        self.0
    }

    fn bits(&self) -> &[AtomicUsize] {
        let start = self.0.ptr::<usize>();
        // SAFETY: `new` wrote the number of words that follow; zeros are values of them, and the memory is the map's.
        unsafe { core::slice::from_raw_parts(start.add(1).cast(), start.read()) }
    }

    /// Sets the bit of the word that `pointer` points to or into, if the map covers it.
    #[inline]
    pub(crate) fn set(self, pointer: usize) {
        let number = number_of(pointer);
        let mask = 1 << (number % bitmap::WORD_BITS);
        if let Some(bits) = self.bits().get(number / bitmap::WORD_BITS)
            && bits.load(Relaxed) & mask == 0
        {
            bits.fetch_or(mask, Relaxed);
        }
    }

    /// Whether the bit of any word from `start` on is set, for `bytes` bytes.
    pub(super) fn is_any_set(self, start: Addr, bytes: usize) -> bool {
        let (bits, mut is_any) = (self.bits(), false);
        bitmap::for_run(number_of(start.0), bytes / WORD_BYTES, |word, mask| {
            is_any |= bits.get(word).is_some_and(|bits| bits.load(Relaxed) & mask as usize != 0);
        });
        is_any
    }
}

fn number_of(pointer: usize) -> usize {
    pointer.wrapping_sub(page_map::base().0) / WORD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_named_by_words_to_and_into_it() {
        const HEAP: usize = 1 << 16;
        assert!(crate::heap::ensure_started());
        let mut memory = std::vec![0usize; WordMap::bytes_for(HEAP) / WORD_BYTES];
        // SAFETY: the memory is used for nothing else.
        let map = unsafe { WordMap::new(Addr::of(memory.as_mut_ptr()), HEAP) };
        let base = page_map::base();
        let is_named = |from: usize, to: usize| map.is_any_set(base.plus(from), to - from);
        assert!(!is_named(0, HEAP));
        [1027, 4096, HEAP, HEAP + 8192, usize::MAX].iter().for_each(|&at| map.set(base.0.wrapping_add(at)));
        map.set(8);
        assert!(is_named(1024, 1032) && is_named(1000, 1048) && is_named(0, HEAP) && is_named(4096, 8192));
        assert!(!is_named(0, 1024) && !is_named(1032, 4096) && !is_named(4104, HEAP));
        assert!(!is_named(HEAP, 2 * HEAP), "the map ends there");
    }
}
