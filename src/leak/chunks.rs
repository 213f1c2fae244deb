//! Arrays that grow without moving: readers need no lock and hold references for ever.

use super::own_memory::{self, NoMemory};
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire},
};

/// Items of the first chunk; every further one is twice as large as the one before.
const FIRST: usize = 256;
/// Chunks: room for sixteen million items, more than Linux can have threads.
const CHUNKS: usize = 16;

/// A type for which a run of zero bytes is a valid value, and which is shared between threads.
///
/// # Safety
/// All-zero bytes must be a valid value.
pub(crate) unsafe trait Zeroed: Sync + 'static {}

/// An array of items that begin as zero bytes and never move or go away.
pub(crate) struct Chunks<T: Zeroed>([AtomicPtr<T>; CHUNKS]);

/// The chunk that holds item `index` and the place in it.
fn locate(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2() as usize;
    (chunk, index - FIRST * ((1 << chunk) - 1))
}

impl<T: Zeroed> Chunks<T> {
    /// An array without memory yet.
    pub(crate) const fn new() -> Self {
        Self([const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS])
    }

    /// Item `index`, if its chunk exists.
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (chunk, place) = locate(index);
        let first = self.0.get(chunk)?.load(Acquire);
        if first.is_null() {
            return None;
        }
        // SAFETY: the chunk has `FIRST << chunk` items, above every place `locate` returns for it; they
        // began as zeros, which is valid for the type, and the chunk is never unmapped.
        Some(unsafe { &*first.add(place) })
    }

    /// Item `index`, whose chunk is made if need be.
    pub(crate) fn get_or_grow(&self, index: usize) -> Result<&T, NoMemory> {
        let (chunk, _) = locate(index);
        let head = self.0.get(chunk).ok_or(NoMemory)?;
        if head.load(Acquire).is_null() {
            let fresh = own_memory::map(size_of::<T>() * (FIRST << chunk)).ok_or(NoMemory)?;
            if head.compare_exchange(core::ptr::null_mut(), fresh.ptr(), AcqRel, Acquire).is_err() {
                // SAFETY: another thread was first; nobody has seen this mapping.
                unsafe { own_memory::unmap(fresh) };
            }
        }
        self.get(index).ok_or(NoMemory)
    }

    /// The items of all chunks that exist.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..).map_while(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    // SAFETY: an atomic number is zero when its bytes are.
    unsafe impl Zeroed for AtomicUsize {}

    #[test]
    fn items_are_distinct_and_stay() {
        static NUMBERS: Chunks<AtomicUsize> = Chunks::new();
        assert!(NUMBERS.get(0).is_none());
        for i in 0..5000 {
            NUMBERS.get_or_grow(i).unwrap().store(i + 1, Relaxed);
        }
        assert!((0..5000).all(|i| NUMBERS.get(i).unwrap().load(Relaxed) == i + 1));
        assert!(NUMBERS.iter().count() >= 5000);
        assert_eq!(locate(255), (0, 255));
        assert_eq!(locate(256), (1, 0));
        assert_eq!(locate(767), (1, 511));
        assert_eq!(locate(768), (2, 0));
    }
}
