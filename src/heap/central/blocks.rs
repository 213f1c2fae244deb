//! Blocks with room for the largest batch of objects each, and chains of them.
//!
//! What a class keeps in front of its spans lies in a chain. All classes take blocks from one pool, so that a program
//! touches no more of them than it needs places for objects, however many classes those are of.

use super::super::size_class::{TINY_BLOCK, object_bytes_of};
use super::transfer::{MAX_BACKLOG_BYTES, most_transferred};
use super::{MAX_BATCH, batch_of_bytes};
use crate::base::Addr;
use core::cell::UnsafeCell;
use core::sync::atomic::{
    AtomicU16, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Blocks for the backlogs of all classes: full batches of 64-byte objects. Full of smaller objects, they hold fewer
/// bytes than the classes may keep.
pub(super) const BACKLOG_BLOCKS: usize = MAX_BACKLOG_BYTES / (MAX_BATCH * 64);

/// Blocks in all: enough for what all classes may keep, the backlogs apart, and for a spare one each.
const BLOCK_COUNT: usize = BACKLOG_BLOCKS + {
    let (mut count, mut class) = (0, 1);
    while class <= TINY_BLOCK {
        let bytes = object_bytes_of(class);
        if bytes != 0 {
            count += most_transferred(bytes, batch_of_bytes(bytes)).div_ceil(MAX_BATCH) + 1;
        }
        class += 1;
    }
    count
};

/// A place for [`MAX_BATCH`] objects. Who has taken its number from [`POOL`] owns it.
struct Block {
    objects: UnsafeCell<[Addr; MAX_BATCH]>,
    /// The block below it, in a chain or in the pool.
    next: AtomicNumber,
}

// SAFETY: a block is only used by who owns its number; see `Pool`.
unsafe impl Sync for Block {}

static BLOCKS: [Block; BLOCK_COUNT] =
    [const { Block { objects: UnsafeCell::new([Addr(0); MAX_BATCH]), next: AtomicNumber::new(NONE) } };
        BLOCK_COUNT];

/// The number of a block, or of blocks.
type Number = u16;
type AtomicNumber = AtomicU16;
const _: () = assert!(BLOCK_COUNT <= Number::MAX as usize);

/// The number of no block: a zero, so that the blocks cost nothing until they are used. Others count from 1.
const NONE: Number = 0;

fn block(number: Number) -> &'static Block {
    &BLOCKS[number as usize - 1]
}

/// The free blocks: a stack without a lock, since a chain has its class's lock already. It is only used under such
/// a lock: fork and the leak check take all of those, and so find no block on its way.
struct Pool {
    /// Low bits: the uppermost block. The rest grows with each change, so that a stack that looks the same after
    /// others have taken and returned blocks does not pass for unchanged.
    top: AtomicU64,
    /// Blocks used at least once: others are handed out in order, so that memory is touched as it is needed.
    used: AtomicNumber,
}

static POOL: Pool = Pool { top: AtomicU64::new(NONE as u64), used: AtomicNumber::new(0) };

impl Pool {
    fn take(&self) -> Option<Number> {
        let mut top = self.top.load(Acquire);
        while top as Number != NONE {
            // Another thread may own this block by now and write its `next`; then `top` has changed, too.
            let next = block(top as Number).next.load(Relaxed);
            match self.top.compare_exchange_weak(top, above(top, next), AcqRel, Acquire) {
                Ok(_) => return Some(top as Number),
                Err(now) => top = now,
            }
        }
        let fresh = |used: Number| ((used as usize) < BLOCK_COUNT).then_some(used + 1);
        self.used.fetch_update(Relaxed, Relaxed, fresh).ok().map(|used| used + 1)
    }

    /// Takes back a block, of which the caller was the owner.
    fn give(&self, number: Number) {
        let mut top = self.top.load(Relaxed);
        loop {
            block(number).next.store(top as Number, Relaxed);
            match self.top.compare_exchange_weak(top, above(top, number), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

/// The pool's word after `top`, with `number` uppermost.
fn above(top: u64, number: Number) -> u64 {
    ((top >> Number::BITS).wrapping_add(1) << Number::BITS) | u64::from(number)
}

/// Objects in blocks, last in, first out. All blocks below the uppermost one are full; that one may be empty, so that
/// who comes and goes at a block's edge does not trouble the pool.
pub(super) struct Chain {
    /// The uppermost block.
    top: Number,
    blocks: Number,
    /// Objects in all blocks.
    objects: u32,
}

impl Chain {
    pub(super) const fn new() -> Self {
        Self { top: NONE, blocks: 0, objects: 0 }
    }

    /// Objects in it.
    pub(super) fn len(&self) -> usize {
        self.objects as usize
    }

    /// The places of the uppermost block, and how many of them hold objects; there must be one.
    fn uppermost(&mut self) -> (&mut [Addr; MAX_BATCH], usize) {
        // SAFETY: `top` came from the pool, which hands a number to one taker only, so no other chain names this block,
        // and this chain is borrowed mutably.
        let places = unsafe { &mut *block(self.top).objects.get() };
        (places, self.len() - (self.blocks as usize - 1) * MAX_BATCH)
    }

    /// The newest objects, up to `most`, that lie in one block; none only if the chain has none.
    fn newest(&mut self, most: usize) -> &mut [Addr] {
        if self.objects == 0 {
            return &mut [];
        }
        if self.uppermost().1 == 0 {
            self.drop_uppermost();
        }
        let (places, len) = self.uppermost();
        &mut places[len - len.min(most)..len]
    }

    /// Places for up to `most` objects more that lie in one block; none only if there is no block.
    fn room(&mut self, most: usize) -> &mut [Addr] {
        if self.blocks == 0 || self.uppermost().1 == MAX_BATCH {
            let Some(number) = POOL.take() else { return &mut [] };
            block(number).next.store(self.top, Relaxed);
            self.top = number;
            self.blocks += 1;
        }
        let (places, len) = self.uppermost();
        &mut places[len..MAX_BATCH.min(len + most)]
    }

    /// Returns the uppermost block, which is empty, to the pool.
    fn drop_uppermost(&mut self) {
        let number = self.top;
        self.top = block(number).next.load(Relaxed);
        self.blocks -= 1;
        POOL.give(number);
    }

    /// Returns the block that an empty chain keeps. (Nobody else does: a class that is used goes on with it.)
    pub(super) fn release_spare(&mut self) {
        if self.objects == 0 && self.blocks > 0 {
            self.drop_uppermost();
        }
    }

    /// Takes the newest objects, as many as there are and `into` has room for.
    pub(super) fn take(&mut self, into: &mut [Addr]) -> usize {
        let mut taken = 0;
        while taken < into.len() && self.objects > 0 {
            let newest = self.newest(into.len() - taken);
            let n = newest.len();
            into[taken..taken + n].copy_from_slice(newest);
            self.objects -= n as u32;
            taken += n;
        }
        taken
    }

    /// Keeps objects; how many, the first ones: all unless there is no block left.
    pub(super) fn give(&mut self, objects: &[Addr]) -> usize {
        let mut given = 0;
        while given < objects.len() {
            let room = self.room(objects.len() - given);
            let n = room.len();
            if n == 0 {
                break;
            }
            room.copy_from_slice(&objects[given..given + n]);
            self.objects += n as u32;
            given += n;
        }
        given
    }

    /// Offers up to `most` of the newest objects that lie in a block to `push`, and parts with those that it took, the
    /// first ones of the slice; how many these are.
    pub(super) fn offer(&mut self, most: usize, push: &mut impl FnMut(&[Addr]) -> usize) -> usize {
        let newest = self.newest(most);
        let n = push(newest);
        newest.copy_within(n.., 0);
        self.objects -= n as u32;
        n
    }

    /// Lets `pop` fill places for up to `most` objects in a block; how many it has put there.
    pub(super) fn accept(&mut self, most: usize, pop: &mut impl FnMut(&mut [Addr]) -> usize) -> usize {
        let room = self.room(most);
        let n = if room.is_empty() { 0 } else { pop(room) };
        self.objects += n as u32;
        n
    }

    /// Calls `each` for every object.
    #[cfg(test)]
    pub(super) fn for_each(&mut self, mut each: impl FnMut(Addr)) {
        let (mut number, mut left) = (self.top, self.len());
        while left > 0 {
            let block = block(number);
            let here = if number == self.top { self.uppermost().1 } else { MAX_BATCH };
            // SAFETY: a block of this chain, which is borrowed mutably.
            unsafe { (&*block.objects.get())[..here].iter().for_each(|&object| each(object)) };
            left -= here;
            number = block.next.load(Relaxed);
        }
    }
}

/// Address and bytes of all blocks. A place behind the end of a chain still names the object that was taken from it.
pub(super) fn memory() -> (Addr, usize) {
    (Addr::of(&raw const BLOCKS), size_of_val(&BLOCKS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn objects(count: usize) -> Vec<Addr> {
        (1..=count).map(|i| Addr(i * 16)).collect()
    }

    fn all(chain: &mut Chain) -> Vec<usize> {
        let mut seen = Vec::new();
        chain.for_each(|object| seen.push(object.0 / 16));
        seen.sort_unstable();
        seen
    }

    /// Empties it and returns its block.
    fn clear(chain: &mut Chain) {
        while chain.take(&mut [Addr(0); MAX_BATCH]) > 0 {}
        chain.release_spare();
        assert_eq!((chain.top, chain.blocks), (NONE, 0));
    }

    #[test]
    fn the_newest_come_first_whatever_the_blocks() {
        let mut chain = Chain::new();
        let given = objects(3 * MAX_BATCH + 7);
        // In pieces that fit no block.
        for piece in given.chunks(13) {
            assert_eq!(chain.give(piece), piece.len());
        }
        assert_eq!((chain.len(), chain.blocks), (given.len(), 4));
        assert!(all(&mut chain).into_iter().eq(1..=given.len()));
        let mut left = given.len();
        for wanted in [1, 6, 20, MAX_BATCH, 50, 70] {
            let mut taken = std::vec![Addr(0); wanted];
            let n = chain.take(&mut taken);
            assert_eq!(n, wanted.min(left));
            taken.truncate(n);
            taken.sort_unstable_by_key(|object| object.0);
            assert_eq!(taken, given[left - n..left]);
            left -= n;
        }
        assert_eq!((left, chain.len()), (0, 0));
        clear(&mut chain);
    }

    #[test]
    fn a_block_s_edge_does_not_trouble_the_pool() {
        let mut chain = Chain::new();
        let (given, mut taken) = (objects(MAX_BATCH + 1), [Addr(0); 2]);
        assert_eq!(chain.give(&given), given.len());
        let uppermost = chain.top;
        for _ in 0..3 {
            assert_eq!(chain.take(&mut taken[..1]), 1);
            assert_eq!((chain.top, chain.blocks), (uppermost, 2), "it is kept, empty");
            assert_eq!(chain.give(&taken[..1]), 1);
        }
        assert_eq!(chain.take(&mut taken), 2);
        assert_eq!(chain.blocks, 1);
        chain.release_spare();
        assert_eq!(chain.blocks, 1, "not one with objects");
        clear(&mut chain);
    }

    #[test]
    fn what_is_not_taken_of_an_offer_stays_in_order() {
        let mut chain = Chain::new();
        let mut next = 0;
        let mut fill = |into: &mut [Addr]| {
            into.fill_with(|| {
                next += 1;
                Addr(next * 16)
            });
            into.len()
        };
        assert_eq!(chain.accept(9, &mut |_| 0), 0);
        assert_eq!(chain.accept(5, &mut fill), 5);
        let mut seen = Vec::new();
        let mut two = |offered: &[Addr]| {
            seen.extend(offered.iter().map(|object| object.0 / 16));
            2
        };
        assert_eq!(chain.offer(3, &mut two), 2);
        assert_eq!((chain.offer(9, &mut two), chain.len()), (2, 1));
        assert_eq!(seen, [3, 4, 5, 1, 2, 5]);
        let mut all = |offered: &[Addr]| offered.len();
        assert_eq!((chain.offer(9, &mut all), chain.offer(9, &mut all), chain.len()), (1, 0, 0));
        // As far as the block goes.
        assert_eq!(chain.accept(999, &mut fill), MAX_BATCH);
        assert_eq!((chain.accept(3, &mut fill), chain.blocks), (3, 2));
        assert_eq!((chain.offer(999, &mut all), chain.offer(999, &mut all)), (3, MAX_BATCH));
        clear(&mut chain);
    }

    #[test]
    fn threads_never_get_the_same_block() {
        use std::thread;
        let take_and_give = |seed: usize| {
            for round in 0..2000 {
                let taken: Vec<Number> = (0..1 + (seed + round) % 7).filter_map(|_| POOL.take()).collect();
                for &number in &taken {
                    block(number).next.store(seed as Number, Relaxed);
                }
                for &number in &taken {
                    assert_eq!(block(number).next.load(Relaxed), seed as Number, "two have block {number}");
                    POOL.give(number);
                }
            }
        };
        thread::scope(|scope| {
            for seed in 1..5 {
                scope.spawn(move || take_and_give(seed));
            }
        });
    }
}
