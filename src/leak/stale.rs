//! Words that lead to no object, though they look as if: addresses of freed blocks, for the most part.
//!
//! A check finds them while it marks; while [`Avoided`] lives, no block gets a place that one of them leads to
//! (`heap::aside`). So they hide nothing that is allocated meanwhile.

use super::own_memory;
use crate::base::Addr;
use crate::heap::{self, aside};
use core::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Most words that are remembered: 1 MiB, only touched as far as used.
const MOST: usize = 1 << 17;
const BYTES: usize = (1 + MOST) * size_of::<usize>();

/// The words that a check has found, in memory that parent and child share: their number and then they.
pub(crate) struct Stale(Addr);

impl Stale {
    /// None so far; `None` without memory.
    pub(crate) fn new() -> Option<Self> {
        own_memory::map_shared(BYTES).map(Self)
    }

    fn words(&self) -> (&AtomicUsize, &[AtomicUsize]) {
        // SAFETY: the mapping has room for the number and the words, zeros are values of them, and it lives as
        // long as `self`.
        let all = unsafe { core::slice::from_raw_parts(self.0.ptr::<AtomicUsize>(), 1 + MOST) };
        (&all[0], &all[1..])
    }

    /// Notes a word, if it leads into the heap's range and there is room.
    pub(crate) fn note(&self, word: usize) {
        if !heap::may_lie_in(Addr(word)) {
            return;
        }
        let (count, words) = self.words();
        if count.load(Relaxed) >= MOST {
            return;
        }
        if let Some(place) = words.get(count.fetch_add(1, Relaxed)) {
            place.store(word, Relaxed);
        }
    }

    /// The places that the words lead to are avoided from now on. `None` if another thread has this done already,
    /// or without memory.
    pub(crate) fn avoid(&self) -> Option<Avoided> {
        /// Where the words lie while they count. Never given back: another thread may be looking at them.
        static KEPT: AtomicUsize = AtomicUsize::new(0);
        if IN_USE.swap(true, Acquire) {
            return None;
        }
        let avoided = Avoided(());
        if KEPT.load(Relaxed) == 0 {
            KEPT.store(own_memory::map(BYTES)?.0, Relaxed);
        }
        let (count, words) = self.words();
        let count = count.load(Acquire).min(MOST);
        // SAFETY: the mapping has room for so many words, for which zeros are values, and stays.
        let kept =
            unsafe { core::slice::from_raw_parts(Addr(KEPT.load(Relaxed)).ptr::<AtomicUsize>(), count) };
        kept.iter().zip(words).for_each(|(kept, word)| kept.store(word.load(Relaxed), Relaxed));
        sort(kept);
        // SAFETY: every list is at the beginning of `KEPT`, which has room for the longest and stays.
        unsafe { aside::begin(kept) };
        Some(avoided)
    }
}

impl Drop for Stale {
    fn drop(&mut self) {
        // SAFETY: made by `new`; a child that wrote there has ended or has a mapping of its own.
        unsafe { own_memory::unmap(self.0) };
    }
}

/// Sorts words that others may look at meanwhile, in place (heapsort).
fn sort(words: &[AtomicUsize]) {
    let get = |at: usize| words[at].load(Relaxed);
    let swap = |a: usize, b: usize| {
        let (first, second) = (get(a), get(b));
        words[a].store(second, Relaxed);
        words[b].store(first, Relaxed);
    };
    let sift_down = |mut at: usize, end: usize| {
        while 2 * at + 1 < end {
            let left = 2 * at + 1;
            let larger = if left + 1 < end && get(left + 1) > get(left) { left + 1 } else { left };
            if get(larger) <= get(at) {
                break;
            }
            swap(at, larger);
            at = larger;
        }
    };
    (0..words.len() / 2).rev().for_each(|at| sift_down(at, words.len()));
    for end in (1..words.len()).rev() {
        swap(0, end);
        sift_down(0, end);
    }
}

static IN_USE: AtomicBool = AtomicBool::new(false);

/// In a child of `fork`, in which the thread that avoids places may not exist.
pub(super) fn reset_after_fork() {
    aside::forget();
    IN_USE.store(false, Relaxed);
}

/// While it lives, the places are avoided.
pub(crate) struct Avoided(());

impl Drop for Avoided {
    fn drop(&mut self) {
        aside::end();
        IN_USE.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted() {
        for count in 0..40usize {
            let words: Vec<_> = (0..count).map(|i| AtomicUsize::new(i * 7919 % 31)).collect();
            sort(&words);
            assert!(words.is_sorted_by_key(|word| word.load(Relaxed)));
        }
    }
}
