//! Objects that a program frees and takes again in turn, more of them than a transfer cache holds.
//!
//! A loop that makes 100,000 objects and then frees them overflows the transfer cache each time round, and each of
//! its objects would go back to its span, bit by bit, only to be taken out again. Here they wait instead, in blocks
//! of a batch each, which change hands whole.
//!
//! Waiting objects keep their spans from becoming free pages, so a class has to show that it is worth it: it may
//! keep one block more for each block that went to the spans and that the program then asked for. All classes
//! together may keep [`MAX_BYTES`], and what nobody wants is taken away again; see `central::trim_transfers`.

use super::central::{MAX_BATCH, batch_of};
use super::size_class::OBJECT_BYTES;
use crate::base::Addr;
use core::cell::UnsafeCell;
use core::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Bytes of objects that all classes together may keep: enough for loops that a second-level cache cannot hold
/// any more, and little beside the free pages that the heap keeps anyway.
const MAX_BYTES: usize = 8 << 20;

/// Blocks in all: [`MAX_BYTES`] in full batches of 64-byte objects. Full of smaller objects, they hold fewer bytes.
const BLOCK_COUNT: usize = MAX_BYTES / (MAX_BATCH * 64);

/// A place for a batch. Who has taken its number from [`POOL`] owns it.
struct Block {
    objects: UnsafeCell<[Addr; MAX_BATCH]>,
    /// Objects in it.
    len: AtomicU32,
    /// The block below it, in a backlog or in the pool.
    next: AtomicU32,
}

// SAFETY: a block is only used by who owns its number; see `Pool`.
unsafe impl Sync for Block {}

static BLOCKS: [Block; BLOCK_COUNT] = [const {
    Block {
        objects: UnsafeCell::new([Addr(0); MAX_BATCH]),
        len: AtomicU32::new(0),
        next: AtomicU32::new(NONE),
    }
}; BLOCK_COUNT];

/// The number of no block: a zero, so that the blocks cost nothing until they are used. Others count from 1.
const NONE: u32 = 0;

fn block(number: u32) -> &'static Block {
    &BLOCKS[number as usize - 1]
}

/// The free blocks: a stack without a lock, since a backlog has its class's lock already. It is only used under such
/// a lock: fork and the leak check take all of those, and so find no block on its way.
struct Pool {
    /// Low half: the uppermost block. High half: grows with each change, so that a stack that looks the same after
    /// others have taken and returned blocks does not pass for unchanged.
    top: AtomicU64,
    /// Blocks used at least once: others are handed out in order, so that memory is touched as it is needed.
    used: AtomicU32,
}

static POOL: Pool = Pool { top: AtomicU64::new(NONE as u64), used: AtomicU32::new(0) };

impl Pool {
    fn take(&self) -> Option<u32> {
        let mut top = self.top.load(Acquire);
        while top as u32 != NONE {
            // Another thread may own this block by now and write its `next`; then `top` has changed, too.
            let next = block(top as u32).next.load(Relaxed);
            match self.top.compare_exchange_weak(top, above(top, next), AcqRel, Acquire) {
                Ok(_) => return Some(top as u32),
                Err(now) => top = now,
            }
        }
        let fresh = |used: u32| ((used as usize) < BLOCK_COUNT).then_some(used + 1);
        self.used.fetch_update(Relaxed, Relaxed, fresh).ok().map(|used| used + 1)
    }

    /// Takes back a block, of which the caller was the owner.
    fn give(&self, number: u32) {
        let mut top = self.top.load(Relaxed);
        loop {
            block(number).next.store(top as u32, Relaxed);
            match self.top.compare_exchange_weak(top, above(top, number), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

/// The pool's word after `top`, with `number` uppermost.
fn above(top: u64, number: u32) -> u64 {
    ((top >> 32).wrapping_add(1) << 32) | u64::from(number)
}

/// Bytes that all classes together may keep at the moment.
static GRANTED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes that all classes together may keep at the moment.
#[inline]
pub(super) fn granted_bytes() -> usize {
    GRANTED_BYTES.load(Relaxed)
}

/// How many blocks a class may keep, and why.
pub(super) struct Allowance {
    /// Blocks it may keep.
    blocks: AtomicU32,
    /// Batches that went to the spans for want of room and have not been asked for since.
    overflowed: AtomicU32,
}

impl Allowance {
    pub(super) const fn new() -> Self {
        Self { blocks: AtomicU32::new(0), overflowed: AtomicU32::new(0) }
    }

    /// Notes that a batch went to the spans because nothing else had room for it.
    pub(super) fn note_overflow(&self) {
        // Not locked: a batch that is not counted makes the loop one round slower.
        self.overflowed.store(self.overflowed.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Notes that a batch of `class` was asked for and had to come from the spans: had one been kept, it would
    /// have been there.
    pub(super) fn note_underflow(&self, class: usize) {
        let overflowed = self.overflowed.load(Relaxed);
        if overflowed == 0 {
            return;
        }
        self.overflowed.store(overflowed - 1, Relaxed);
        let bytes = charge(class);
        if GRANTED_BYTES.fetch_add(bytes, Relaxed) + bytes <= MAX_BYTES {
            self.blocks.fetch_add(1, Relaxed);
        } else {
            GRANTED_BYTES.fetch_sub(bytes, Relaxed);
        }
    }

    /// Whether the class may keep any block.
    pub(super) fn is_given(&self) -> bool {
        self.blocks.load(Relaxed) > 0
    }

    /// Takes back leave to keep `blocks` blocks of `class`, or as many as there were.
    fn withdraw(&self, class: usize, blocks: u32) {
        // Most classes never have any, and a look at all of them should not cost a locked operation for each. One
        // without objects has none, and could not be charged.
        if self.blocks.load(Relaxed) == 0 {
            return;
        }
        let less = |held: u32| Some(held.saturating_sub(blocks));
        let held = self.blocks.fetch_update(Relaxed, Relaxed, less).unwrap_or(0);
        GRANTED_BYTES.fetch_sub(held.min(blocks) as usize * charge(class), Relaxed);
    }

    /// Takes back all leave, and forgets what spoke for it.
    pub(super) fn withdraw_all(&self, class: usize) {
        self.overflowed.store(0, Relaxed);
        self.withdraw(class, u32::MAX);
    }
}

/// What a block for `class`, a class with objects, takes of [`MAX_BYTES`]: a batch's bytes, but at least its share, so
/// that no more blocks are promised than there are.
fn charge(class: usize) -> usize {
    (batch_of(class) * OBJECT_BYTES[class] as usize).max(MAX_BYTES / BLOCK_COUNT)
}

/// The blocks of one class, last in, first out; behind the lock of its transfer cache. It does not know its class, so
/// that it is all zero at first.
pub(super) struct Backlog {
    /// The uppermost block.
    top: u32,
    blocks: u32,
    /// Objects in all blocks.
    objects: u32,
    /// Fewest blocks since the last [`Self::surplus`] was taken away.
    low_water: u32,
    /// Most blocks since the last [`Self::return_unused`].
    high_water: u32,
    /// Blocks that the class might have kept then and had not.
    unused: u32,
}

impl Backlog {
    pub(super) const fn new() -> Self {
        Self { top: NONE, blocks: 0, objects: 0, low_water: 0, high_water: 0, unused: 0 }
    }

    /// Objects that it holds.
    pub(super) fn objects(&self) -> usize {
        self.objects as usize
    }

    /// Keeps objects in the uppermost block if it has room for them, else in a new one, if the class may have it and
    /// there is one; whether it did. More than a batch is refused: a block would hold more than it is charged for.
    pub(super) fn give(&mut self, class: usize, objects: &[Addr], allowance: &Allowance) -> bool {
        if self.append(class, objects) {
            return true;
        }
        if objects.len() > batch_of(class) || self.blocks >= allowance.blocks.load(Relaxed) {
            return false;
        }
        let Some(number) = POOL.take() else { return false };
        let block = block(number);
        // SAFETY: the block came from the pool, so it is this thread's alone.
        unsafe { (&mut *block.objects.get())[..objects.len()].copy_from_slice(objects) };
        block.len.store(objects.len() as u32, Relaxed);
        self.push(number, objects.len());
        true
    }

    /// Keeps objects in the uppermost block, if there is room: remainders and single objects should not take a block
    /// each.
    fn append(&mut self, class: usize, objects: &[Addr]) -> bool {
        if self.top == NONE {
            return false;
        }
        let block = block(self.top);
        let len = block.len.load(Relaxed) as usize;
        if len + objects.len() > batch_of(class) {
            return false;
        }
        // SAFETY: a block of this backlog, which is borrowed mutably.
        unsafe { (&mut *block.objects.get())[len..len + objects.len()].copy_from_slice(objects) };
        block.len.store((len + objects.len()) as u32, Relaxed);
        self.objects += objects.len() as u32;
        true
    }

    /// Takes objects from the uppermost block, as many as there are and `into` has room for.
    pub(super) fn take(&mut self, into: &mut [Addr]) -> usize {
        if self.top == NONE {
            return 0;
        }
        let block = block(self.top);
        let len = block.len.load(Relaxed) as usize;
        let n = into.len().min(len);
        // SAFETY: a block of this backlog, which is borrowed mutably.
        into[..n].copy_from_slice(unsafe { &(&*block.objects.get())[len - n..len] });
        self.took(block, len - n, n);
        n
    }

    /// Offers up to `most` objects of the uppermost block to `push`, and parts with those that it took, the first ones
    /// of the slice; how many these are.
    pub(super) fn offer(&mut self, most: usize, push: &mut impl FnMut(&[Addr]) -> usize) -> usize {
        if self.top == NONE {
            return 0;
        }
        let block = block(self.top);
        let len = block.len.load(Relaxed) as usize;
        // SAFETY: a block of this backlog, which is borrowed mutably.
        let objects = unsafe { &mut (&mut *block.objects.get())[..len] };
        let first = len - len.min(most);
        let n = push(&objects[first..]);
        objects.copy_within(first + n.., first);
        self.took(block, len - n, n);
        n
    }

    /// Notes that `n` objects have been taken from the uppermost block, and how many are left in it.
    fn took(&mut self, block: &Block, left: usize, n: usize) {
        block.len.store(left as u32, Relaxed);
        self.objects -= n as u32;
        if left == 0 {
            let number = self.top;
            self.top = block.next.load(Relaxed);
            self.blocks -= 1;
            self.low_water = self.low_water.min(self.blocks);
            POOL.give(number);
        }
    }

    /// Lets `pop` fill a place for up to `most` objects, in the uppermost block, or, if that is full, in a new one that
    /// the class may have; how many it has put there.
    pub(super) fn accept(
        &mut self,
        class: usize,
        most: usize,
        allowance: &Allowance,
        pop: &mut impl FnMut(&mut [Addr]) -> usize,
    ) -> usize {
        let batch = batch_of(class);
        let mut fill = |number: u32, len: usize| {
            let room = (batch - len).min(most);
            // SAFETY: a block of this backlog, which is borrowed mutably, or one that came from the pool.
            let n = pop(unsafe { &mut (&mut *block(number).objects.get())[len..len + room] });
            block(number).len.store((len + n) as u32, Relaxed);
            n
        };
        if self.top != NONE {
            let len = block(self.top).len.load(Relaxed) as usize;
            if len < batch {
                let n = fill(self.top, len);
                self.objects += n as u32;
                return n;
            }
        }
        if self.blocks >= allowance.blocks.load(Relaxed) {
            return 0;
        }
        let Some(number) = POOL.take() else { return 0 };
        let n = fill(number, 0);
        if n == 0 {
            POOL.give(number);
        } else {
            self.push(number, n);
        }
        n
    }

    /// Puts a block with `objects` objects on top.
    fn push(&mut self, number: u32, objects: usize) {
        block(number).next.store(self.top, Relaxed);
        self.top = number;
        self.blocks += 1;
        self.high_water = self.high_water.max(self.blocks);
        self.objects += objects as u32;
    }

    /// Takes a block that nobody has wanted since this last found none, or any if `everything` is to go; 0 if there
    /// is none. The class may keep one block less from then on.
    pub(super) fn surplus(
        &mut self,
        class: usize,
        everything: bool,
        into: &mut [Addr; MAX_BATCH],
        allowance: &Allowance,
    ) -> usize {
        if self.blocks == 0 || (self.low_water == 0 && !everything) {
            self.low_water = self.blocks;
            return 0;
        }
        self.low_water = self.low_water.saturating_sub(1);
        let low_water = self.low_water;
        let n = self.take(into);
        self.low_water = low_water;
        allowance.withdraw(class, 1);
        n
    }

    /// Gives up leave that was not used from the call before the last one on: other classes may have it.
    pub(super) fn return_unused(&mut self, class: usize, allowance: &Allowance) {
        let unused = allowance.blocks.load(Relaxed).saturating_sub(self.high_water);
        allowance.withdraw(class, unused.min(self.unused));
        self.unused = unused;
        self.high_water = self.blocks;
    }

    /// Calls `each` for every object.
    #[cfg(test)]
    pub(super) fn for_each(&self, mut each: impl FnMut(Addr)) {
        let mut number = self.top;
        while number != NONE {
            let block = block(number);
            // SAFETY: a block of this backlog, which nobody changes while it is borrowed.
            let objects = unsafe { &(&*block.objects.get())[..block.len.load(Relaxed) as usize] };
            objects.iter().for_each(|&object| each(object));
            number = block.next.load(Relaxed);
        }
    }
}

/// Address and bytes of all blocks. A place behind a block's end still names the object that was taken from it.
pub(super) fn memory() -> (Addr, usize) {
    (Addr::of(&raw const BLOCKS), size_of_val(&BLOCKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A class with batches of at least four objects, so that two fill no block.
    const CLASS: usize = 40;

    /// Objects of a full batch.
    fn full() -> usize {
        batch_of(CLASS)
    }

    /// Lets the class keep a block more, whatever other tests of this process have been granted.
    fn allow_one(allowance: &Allowance) {
        let before = allowance.blocks.load(Relaxed);
        while allowance.blocks.load(Relaxed) == before {
            allowance.note_overflow();
            allowance.note_underflow(CLASS);
            if allowance.blocks.load(Relaxed) == before {
                crate::heap::central::trim_transfers(true);
            }
        }
    }

    fn batch(first: usize) -> [Addr; MAX_BATCH] {
        core::array::from_fn(|i| Addr((first + i) * 16))
    }

    #[test]
    fn keeps_as_many_blocks_as_were_missed() {
        let (mut backlog, allowance) = (Backlog::new(), Allowance::new());
        let (one, other) = (batch(1), batch(101));
        assert!(!backlog.give(CLASS, &one[..full()], &allowance), "nothing has been missed yet");
        allowance.note_underflow(CLASS);
        assert!(
            !backlog.give(CLASS, &one[..full()], &allowance),
            "what was asked for had not been there before"
        );
        allow_one(&allowance);
        assert!(backlog.give(CLASS, &one[..full()], &allowance));
        assert!(!backlog.give(CLASS, &other[..1], &allowance), "one block and no more");
        allow_one(&allowance);
        assert!(backlog.give(CLASS, &other[..full()], &allowance));
        assert_eq!(backlog.objects(), 2 * full());
        allowance.withdraw_all(CLASS);
        let mut out = [Addr(0); MAX_BATCH];
        while backlog.surplus(CLASS, true, &mut out, &allowance) > 0 {}
        assert_eq!(backlog.objects(), 0);
    }

    #[test]
    fn gives_the_newest_first_and_parts_of_a_block() {
        let (mut backlog, allowance) = (Backlog::new(), Allowance::new());
        for first in [1, 101] {
            allow_one(&allowance);
            assert!(backlog.give(CLASS, &batch(first)[..full()], &allowance));
        }
        let mut out = [Addr(0); MAX_BATCH];
        assert_eq!(backlog.take(&mut out[..3]), 3);
        assert_eq!(out[..3], batch(101)[full() - 3..full()]);
        assert_eq!(backlog.take(&mut out), full() - 3, "no more than the rest of the block");
        assert_eq!((backlog.take(&mut out), backlog.take(&mut out)), (full(), 0));
        allowance.withdraw_all(CLASS);
    }

    #[test]
    fn takes_in_place_and_offers_in_place() {
        let (mut backlog, allowance) = (Backlog::new(), Allowance::new());
        let objects = batch(1);
        let mut next = 0;
        let mut fill = |into: &mut [Addr]| {
            for place in into.iter_mut() {
                *place = objects[next % full()];
                next += 1;
            }
            into.len()
        };
        assert_eq!(backlog.accept(CLASS, 9999, &allowance, &mut fill), 0, "the class may keep nothing");
        allow_one(&allowance);
        assert_eq!(backlog.accept(CLASS, 9999, &allowance, &mut |_| 0), 0, "nothing came");
        assert_eq!((backlog.blocks, backlog.objects()), (0, 0), "so no block is used");
        assert_eq!(backlog.accept(CLASS, 1, &allowance, &mut fill), 1);
        assert_eq!(backlog.accept(CLASS, 9999, &allowance, &mut fill), full() - 1, "the rest of the block");
        assert_eq!(backlog.accept(CLASS, 9999, &allowance, &mut fill), 0, "one block and no more");

        // Who has room for two takes the first two of what is offered; the others stay, in their order.
        let mut two = |offered: &[Addr]| {
            assert_eq!(offered, &objects[full() - 3..full()]);
            2
        };
        assert_eq!(backlog.offer(3, &mut two), 2);
        let mut rest = |offered: &[Addr]| {
            assert_eq!(offered[..full() - 3], objects[..full() - 3]);
            assert_eq!(offered[full() - 3], objects[full() - 1]);
            offered.len()
        };
        assert_eq!(backlog.offer(9999, &mut rest), full() - 2);
        assert_eq!((backlog.offer(9999, &mut rest), backlog.blocks, backlog.objects()), (0, 0, 0));
        allowance.withdraw_all(CLASS);
    }

    #[test]
    fn few_objects_share_a_block_and_more_than_a_batch_is_refused() {
        let (mut backlog, allowance) = (Backlog::new(), Allowance::new());
        allow_one(&allowance);
        let objects = batch(1);
        for object in objects[..full()].chunks(1) {
            assert!(backlog.give(CLASS, object, &allowance));
        }
        assert_eq!((backlog.blocks, backlog.objects()), (1, full()));
        let mut out = [Addr(0); MAX_BATCH];
        assert_eq!(backlog.take(&mut out), full());
        assert_eq!(out[..full()], objects[..full()]);
        if full() < MAX_BATCH {
            assert!(!backlog.give(CLASS, &objects[..full() + 1], &allowance));
        }
        allowance.withdraw_all(CLASS);
    }

    #[test]
    fn no_more_blocks_are_promised_than_there_are() {
        assert!(
            (1..=super::super::size_class::TINY_BLOCK)
                .filter(|&class| OBJECT_BYTES[class] != 0)
                .all(|class| { MAX_BYTES / charge(class) <= BLOCK_COUNT })
        );
    }

    #[test]
    fn surplus_is_what_stayed() {
        let (mut backlog, allowance) = (Backlog::new(), Allowance::new());
        for first in [1, 101, 201] {
            allow_one(&allowance);
            assert!(backlog.give(CLASS, &batch(first)[..full()], &allowance));
        }
        let mut out = [Addr(0); MAX_BATCH];
        assert_eq!(
            backlog.surplus(CLASS, false, &mut out, &allowance),
            0,
            "all of it has come since the start"
        );
        assert_eq!(backlog.take(&mut out), full());
        assert_eq!(backlog.surplus(CLASS, false, &mut out, &allowance), full());
        assert_eq!(backlog.surplus(CLASS, false, &mut out, &allowance), full());
        assert_eq!(backlog.surplus(CLASS, false, &mut out, &allowance), 0);
        assert_eq!(allowance.blocks.load(Relaxed), 1, "leave goes with what nobody wanted");
        allowance.withdraw_all(CLASS);
    }

    #[test]
    fn leave_that_is_not_used_goes() {
        let (mut backlog, allowance) = (Backlog::new(), Allowance::new());
        (0..3).for_each(|_| allow_one(&allowance));
        let look = |backlog: &mut Backlog| {
            backlog.return_unused(CLASS, &allowance);
            allowance.blocks.load(Relaxed)
        };
        assert!(backlog.give(CLASS, &batch(1)[..full()], &allowance));
        assert_eq!(look(&mut backlog), 3, "the program may not have come to use it");
        assert_eq!(look(&mut backlog), 1);
        assert_eq!(backlog.take(&mut [Addr(0); MAX_BATCH]), full());
        assert_eq!(look(&mut backlog), 1, "it was used since the last look");
        assert_eq!((look(&mut backlog), look(&mut backlog)), (1, 0));
        allowance.withdraw_all(CLASS);
    }

    #[test]
    fn threads_never_get_the_same_block() {
        use std::{thread, vec::Vec};
        let take_and_give = |seed: usize| {
            for round in 0..2000 {
                let taken: Vec<u32> = (0..1 + (seed + round) % 7).filter_map(|_| POOL.take()).collect();
                for &number in &taken {
                    block(number).len.store(seed as u32, Relaxed);
                }
                for &number in &taken {
                    assert_eq!(block(number).len.load(Relaxed), seed as u32, "two have block {number}");
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
