//! The tiny allocator: several objects of a few bytes share one 16-byte block.
//!
//! Go frees such a block when its collector finds nothing that points into it. Here `free` is explicit, so
//! each block needs to know which of its objects are alive, and it must know out of line, since nothing is
//! written into free memory: 16 bits per block, one per byte, set where a live object starts.
//!
//! One block is being carved per CPU. Block, offset and the starts given out so far are packed into one
//! word of the slab ([`Carving`]), so that one store commits and no locked instruction is needed. For that
//! the block's bits are all set when it is taken; when it is used up they are and-ed once with the starts
//! really given out. A free is one atomic and-not, and whoever leaves no bit set returns the block. Bit 15
//! doubles as "still being carved": no object starts at the last byte.
//!
//! The other shape that was tried, a biased live count per block, costs the same locked instruction per
//! free and half the memory, but can't tell a double free or an object's size; `benches/tiny.rs` has both.

use super::page_map;
use super::size_class::{self, TINY_BLOCK, TINY_BLOCK_BYTES, TINY_PAGES};
use super::start_bits::{Freed, StartBits};
use super::{central, diagnose::Operation, mcache, pages};
use crate::base::{Addr, PAGE_BYTES};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Largest object that is packed: three of 5 bytes fit into a block, which saves memory over two blocks
/// of 8 bytes; of 6 bytes only two fit, which does not.
pub(crate) const MAX_BYTES: usize = 5;

/// The class of an object that could be packed but is not.
pub(super) const OWN_CLASS: usize = 1;

/// Whether a Rust layout is one that packing saves memory for. A pure function, so that `dealloc` agrees.
#[inline(always)]
pub(crate) const fn is_tiny(size: usize, align: usize) -> bool {
    // An object takes up its size rounded to its alignment.
    align < 8 && size.wrapping_sub(1) < MAX_BYTES && (size + align - 1) & !(align - 1) <= MAX_BYTES
}

/// The state of the block that a CPU carves, in one word:
/// bits 0..5 offset of the next byte, 5..21 starts given out, 21..61 block, counted from the heap's base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Carving(pub(crate) u64);

const OFFSET_BITS: u32 = 5;
const START_BITS: u32 = 16;
const BLOCK_SHIFT: u32 = OFFSET_BITS + START_BITS;

impl Carving {
    /// No block: nothing fits behind offset 16.
    pub(crate) const NONE: Self = Self(TINY_BLOCK_BYTES as u64);

    pub(crate) fn of_block(block: usize) -> Self {
        Self((block as u64) << BLOCK_SHIFT)
    }

    fn offset(self) -> usize {
        (self.0 & ((1 << OFFSET_BITS) - 1)) as usize
    }

    fn starts(self) -> u16 {
        (self.0 >> OFFSET_BITS) as u16
    }

    fn block(self) -> usize {
        (self.0 >> BLOCK_SHIFT) as usize
    }

    /// The word after carving `size` bytes at `align`, and where they begin; `None` if they don't fit.
    pub(crate) fn carve(self, size: usize, align: usize) -> Option<(Self, usize)> {
        let at = (self.offset() + align - 1) & !(align - 1);
        let end = at + size;
        if end > TINY_BLOCK_BYTES || at == TINY_BLOCK_BYTES - 1 {
            return None;
        }
        let starts = self.starts() | 1 << at;
        Some((Self((self.block() as u64) << BLOCK_SHIFT | (starts as u64) << OFFSET_BITS | end as u64), at))
    }
}

/// Bytes of the map per page of the heap.
pub(super) const MAP_BYTES_PER_PAGE: usize = PAGE_BYTES / TINY_BLOCK_BYTES * 2;

/// One word of start bits per 16 bytes of the heap; only what tiny spans use is ever touched.
static MAP: AtomicUsize = AtomicUsize::new(0);

/// Sets the map.
///
/// # Safety
/// `map` is the start of one `u16` per 16 bytes of the heap's range, zero and mapped for good; writable
/// where [`pages::commit_tiny_map`] has made it so.
pub(super) unsafe fn init(map: Addr) {
    MAP.store(map.0, Relaxed);
}

fn block_of(addr: Addr) -> usize {
    (addr.0 - page_map::base().0) / TINY_BLOCK_BYTES
}

fn block_addr(block: usize) -> Addr {
    page_map::base().plus(block * TINY_BLOCK_BYTES)
}

fn bits_of(block: usize) -> &'static StartBits {
    let map: *const StartBits = Addr(MAP.load(Relaxed)).ptr();
    // SAFETY: blocks lie in the heap's range, for all of which the map is mapped.
    unsafe { &*map.add(block) }
}

/// Tries to carve before an object of its own will do: a migration in between makes a try fail, and on a
/// CPU that is stopped all fail until it goes on. Whoever waits for that in a signal handler of the thread
/// that has stopped it would wait for ever.
const TRIES: usize = 8;

/// Allocates `size` bytes (1 to [`MAX_BYTES`]) at `align` (below 8), packed unless the CPU is stopped just
/// now. `None`: out of memory.
pub(super) fn alloc(size: usize, align: usize) -> Option<Addr> {
    for _ in 0..TRIES {
        let slot = mcache::tiny_slot()?;
        let carving = Carving(slot.word());
        if let Some((next, offset)) = carving.carve(size, align) {
            if slot.replace(next.0) {
                return Some(block_addr(next.block()).plus(offset));
            }
        } else {
            drop(slot);
            renew(carving)?;
        }
    }
    mcache::alloc_miss(OWN_CLASS)
}

/// As [`alloc`], where that takes no more than a few bytes of the block that the CPU has; `None` otherwise.
#[inline(always)]
pub(super) fn alloc_fast(size: usize, align: usize) -> Option<Addr> {
    let carved = mcache::fast_tiny_word()?;
    let (next, offset) = Carving(carved.word).carve(size, align)?;
    carved.replace(next.0).then(|| block_addr(next.block()).plus(offset))
}

/// Gives the CPU another block to carve, if it still has `used`, and settles `used`.
#[cold]
fn renew(used: Carving) -> Option<()> {
    let block = take_block()?;
    bits_of(block).begin();
    let Some(slot) = mcache::tiny_slot() else {
        bits_of(block).abandon();
        give_block(block);
        return None;
    };
    if slot.word() == used.0 && slot.replace(Carving::of_block(block).0) {
        drop(slot);
        settle(used);
    } else {
        // Another thread on this CPU was first.
        drop(slot);
        bits_of(block).abandon();
        give_block(block);
    }
    Some(())
}

/// Clears the bits of a used-up block that no object stands for.
fn settle(used: Carving) {
    if used == Carving::NONE {
        return;
    }
    if bits_of(used.block()).settle(used.starts()) {
        give_block(used.block());
    }
}

fn take_block() -> Option<usize> {
    let object = mcache::pop(TINY_BLOCK).or_else(|| mcache::alloc_miss(TINY_BLOCK))?;
    if !pages::commit_tiny_map(object) {
        // Without start bits the block is useless: hand it back and report no memory.
        central::give(TINY_BLOCK, &[object]);
        return None;
    }
    Some(block_of(object))
}

/// Returns a block of which no object is left; with no lock held.
pub(super) fn give_block(block: usize) {
    let object = block_addr(block);
    // SAFETY: the block is ours: no bit is set, and who cleared the last one is the only one to know.
    unsafe {
        if !mcache::push(TINY_BLOCK, object) {
            mcache::free_miss(TINY_BLOCK, object);
        }
    }
}

/// Frees the packed object at `object`, an address in a tiny span; diagnoses anything else.
pub(super) fn free(object: Addr, operation: Operation) {
    if let Some(block) = free_fast(object, operation) {
        give_block(block);
    }
}

/// As [`free`], without a lock: `Some` if the object was its block's last one and the CPU's stack has no room for the
/// block, which the caller is to return with [`give_block`].
#[inline(always)]
pub(super) fn free_fast(object: Addr, operation: Operation) -> Option<usize> {
    let block = block_of(object);
    match bits_of(block).free(object.0 % TINY_BLOCK_BYTES) {
        Freed::NoObject => operation.bad_pointer(object),
        Freed::Object => None,
        // SAFETY: as in `give_block`.
        Freed::LastObject => (!unsafe { mcache::push(TINY_BLOCK, block_addr(block)) }).then_some(block),
    }
}

/// Makes the start bits of a just allocated object exact, for C programs, which may ask for its size: a
/// block that is still being carved has all bits set otherwise.
pub(super) fn note_size(object: Addr, size: usize) {
    if page_map::entry(object).class() != TINY_PAGES {
        return;
    }
    bits_of(block_of(object)).note_size(object.0 % TINY_BLOCK_BYTES, size);
}

/// Bytes that the packed object at `object` may use: up to the next start or the end of its block. Exact
/// for objects of known size only; see [`note_size`].
pub(super) fn usable_bytes(object: Addr) -> usize {
    bits_of(block_of(object)).usable_bytes(object.0 % TINY_BLOCK_BYTES)
}

/// Whether a live packed object starts at `object`.
pub(super) fn is_live(object: Addr) -> bool {
    bits_of(block_of(object)).is_live(object.0 % TINY_BLOCK_BYTES)
}

const _: () = {
    assert!(TINY_PAGES != TINY_BLOCK && size_class::ALL_CLASSES > TINY_BLOCK);
    assert!(size_class::object_bytes_of(OWN_CLASS) >= MAX_BYTES);
    assert!(core::mem::size_of::<StartBits>() == 2);
    // 16 TiB of blocks fit above the other fields.
    assert!((16u64 << 40) / TINY_BLOCK_BYTES as u64 <= 1 << (64 - BLOCK_SHIFT));
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_layouts_that_gain_are_packed() {
        let packed = |size, align| is_tiny(size, align);
        assert!(packed(1, 1) && packed(5, 1) && packed(4, 4) && packed(2, 4));
        assert!(
            !packed(0, 1)
                && !packed(6, 1)
                && !packed(5, 4)
                && !packed(8, 8)
                && !packed(5, 2)
                && !packed(1, 8)
        );
    }

    /// Nothing else would show if it were never taken.
    #[test]
    fn the_fast_path_carves_and_frees() {
        assert!(alloc(4, 4).is_some_and(|object| {
            free(object, Operation::Free);
            true
        }));
        if mcache::mode() == crate::CacheMode::LockedShards {
            return;
        }
        // The CPU may change or be stopped, and its block be used up.
        let carved = (0..1000).find_map(|_| alloc(4, 4).and_then(|_| alloc_fast(4, 4)));
        let object = carved.expect("the fast path has never been taken");
        assert!(is_live(object));
        assert_eq!(free_fast(object, Operation::Free), None);
    }

    #[test]
    fn nothing_fits_into_no_block() {
        assert_eq!(Carving::NONE.carve(1, 1), None);
        assert_eq!(Carving::of_block(7).block(), 7);
    }

    proptest! {
        #[test]
        fn carved_objects_are_disjoint_aligned_and_remembered(block in 0usize..1 << 40, sizes in prop::collection::vec((1usize..=5, 0u32..3), 1..20)) {
            let mut carving = Carving::of_block(block);
            let (mut end, mut starts) = (0, 0);
            for (size, align) in sizes.into_iter().map(|(s, a)| (s, 1 << a)) {
                let Some((next, at)) = carving.carve(size, align) else { continue };
                prop_assert!(at >= end && at % align == 0 && at + size <= 16 && at != 15);
                (end, starts) = (at + size, starts | 1 << at);
                prop_assert_eq!((next.block(), next.starts(), next.offset()), (block, starts, end));
                carving = next;
            }
        }
    }
}
