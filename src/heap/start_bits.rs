//! The bits of a block of the tiny allocator: where its live objects start, and who returns the block.
//!
//! All bits are set while the block is being carved. A free clears its object's bit; when the block is used
//! up, the bits that no object stands for are cleared at once. Whoever clears the last bit returns the
//! block: exactly one does, since each of these steps is one read-modify-write, and it sees all that others
//! did to their objects, since each of them releases and the last acquires. loom explores it.

use crate::sync::atomic::{
    AtomicU16,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// Bytes of a block, one per bit.
const BLOCK_BYTES: usize = 16;
/// The bit that says "still being carved": no object starts at the last byte.
const CARVED: u16 = 1 << 15;

/// One block's bits; zero while it is not the tiny allocator's.
#[repr(transparent)]
pub(super) struct StartBits(AtomicU16);

/// What a free found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Freed {
    /// No object starts there.
    NoObject,
    /// An object; others are left, or the block is still being carved.
    Object,
    /// The last one: the block is the caller's to return.
    LastObject,
}

impl StartBits {
    /// Of a block that nobody has.
    #[cfg(test)]
    pub(super) fn new() -> Self {
        Self(AtomicU16::new(0))
    }

    /// Begins to carve a block that is the caller's.
    pub(super) fn begin(&self) {
        self.0.store(u16::MAX, Relaxed);
    }

    /// Takes [`Self::begin`] back: nothing has been carved.
    pub(super) fn abandon(&self) {
        self.0.store(0, Relaxed);
    }

    /// Ends the carving, of objects at `starts`. `true`: all of them have been freed, and the block is the
    /// caller's to return.
    pub(super) fn settle(&self, starts: u16) -> bool {
        self.0.fetch_and(starts, AcqRel) & starts == 0
    }

    /// Frees the object at byte `at`.
    pub(super) fn free(&self, at: usize) -> Freed {
        let start = 1 << at;
        if start == CARVED || self.0.load(Relaxed) & start == 0 {
            return Freed::NoObject;
        }
        // Subtracting a bit that is set clears it, and unlike `fetch_and`, whose result x86 can only have by
        // a loop, it is one instruction. Two threads that free the same object at once borrow from other
        // bits; the second to come sees it, puts them back and ends the process.
        match self.0.fetch_sub(start, AcqRel) {
            before if before & start == 0 => {
                self.0.fetch_add(start, AcqRel);
                Freed::NoObject
            }
            before if before == start => Freed::LastObject,
            _ => Freed::Object,
        }
    }

    /// Clears the bits inside the object of `size` bytes at `at`, which its allocator still has: while the
    /// block is carved they are set otherwise.
    pub(super) fn note_size(&self, at: usize, size: usize) {
        let inside = ((1u32 << size) - 1) << at & !(1 << at);
        self.0.fetch_and(!(inside as u16) | CARVED, AcqRel);
    }

    /// Bytes from `at` up to the next start or the end of the block.
    pub(super) fn usable_bytes(&self, at: usize) -> usize {
        let bits = self.0.load(Acquire) & !CARVED;
        let behind = (bits as u32 | 1 << BLOCK_BYTES) >> (at + 1);
        (1 + behind.trailing_zeros() as usize).min(BLOCK_BYTES - at)
    }

    /// Whether a live object starts at `at`, or may: while the block is carved all bytes may.
    pub(super) fn is_live(&self, at: usize) -> bool {
        self.0.load(Acquire) & 1 << at != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_free_or_the_settling_returns_the_block() {
        let bits = StartBits::new();
        bits.begin();
        assert_eq!((bits.free(0), bits.free(0)), (Freed::Object, Freed::NoObject));
        assert!(!bits.settle(0b1001));
        assert_eq!(
            (bits.free(5), bits.free(3), bits.free(3)),
            (Freed::NoObject, Freed::LastObject, Freed::NoObject)
        );
        bits.begin();
        assert_eq!(bits.free(4), Freed::Object);
        assert!(bits.settle(1 << 4));
    }

    #[test]
    fn a_free_of_the_last_byte_never_ends_the_carving() {
        let bits = StartBits::new();
        bits.begin();
        assert_eq!(bits.free(15), Freed::NoObject);
    }

    #[test]
    fn sizes_reach_to_the_next_start() {
        let bits = StartBits::new();
        bits.begin();
        bits.note_size(0, 3);
        bits.note_size(3, 5);
        assert_eq!((bits.usable_bytes(0), bits.usable_bytes(3)), (3, 5));
        bits.settle(0b1001);
        assert_eq!((bits.usable_bytes(0), bits.usable_bytes(3)), (3, 13));
        assert!(bits.is_live(0) && !bits.is_live(1));
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::{
        cell::UnsafeCell,
        sync::{Arc, atomic::AtomicUsize},
        thread,
    };

    /// A block of three objects of 5 bytes.
    struct Block {
        bits: StartBits,
        /// What is in the objects. Who frees one writes to it before, who returns the block writes to all:
        /// loom finds it if the two are not ordered.
        objects: [UnsafeCell<u32>; 3],
        returned: AtomicUsize,
    }

    impl Block {
        fn new() -> Arc<Self> {
            let objects = [UnsafeCell::new(0), UnsafeCell::new(0), UnsafeCell::new(0)];
            let block = Self { bits: StartBits::new(), objects, returned: AtomicUsize::new(0) };
            block.bits.begin();
            Arc::new(block)
        }

        fn free(&self, i: usize) {
            // SAFETY: the object is this thread's until it is freed.
            self.objects[i].with_mut(|object| unsafe { *object += 1 });
            match self.bits.free(5 * i) {
                Freed::LastObject => self.give_back(),
                freed => assert_eq!(freed, Freed::Object),
            }
        }

        fn settle(&self, starts: u16) {
            if self.bits.settle(starts) {
                self.give_back();
            }
        }

        fn give_back(&self) {
            // SAFETY: what is tested: nobody has an object of the block any more.
            self.objects.iter().for_each(|object| object.with_mut(|object| unsafe { *object += 1 }));
            self.returned.fetch_add(1, Relaxed);
        }
    }

    fn starts(objects: usize) -> u16 {
        (0..objects).fold(0, |starts, i| starts | 1 << (5 * i))
    }

    #[test]
    fn frees_race_with_the_end_of_carving() {
        loom::model(|| {
            let block = Block::new();
            let threads = [0, 1].map(|i| {
                let block = block.clone();
                thread::spawn(move || block.free(i))
            });
            block.settle(starts(2));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(block.returned.load(Relaxed), 1);
        });
    }

    #[test]
    fn the_carver_frees_too_and_notes_sizes() {
        loom::model(|| {
            let block = Block::new();
            let other = block.clone();
            block.bits.note_size(0, 5);
            let thread = thread::spawn(move || other.free(0));
            // The second object is carved while the first is freed.
            block.bits.note_size(5, 5);
            assert_eq!(block.bits.usable_bytes(5), 5);
            block.free(1);
            block.bits.note_size(10, 4);
            block.settle(starts(3));
            block.free(2);
            thread.join().unwrap();
            assert_eq!(block.returned.load(Relaxed), 1);
        });
    }

    #[test]
    fn a_block_with_a_live_object_is_not_returned() {
        loom::model(|| {
            let block = Block::new();
            let other = block.clone();
            let thread = thread::spawn(move || other.free(1));
            block.settle(starts(2));
            thread.join().unwrap();
            assert_eq!(block.returned.load(Relaxed), 0);
            block.free(0);
            assert_eq!(block.returned.load(Relaxed), 1);
        });
    }
}
