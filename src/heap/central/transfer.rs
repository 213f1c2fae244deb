//! The transfer cache of a class: objects on their way from one CPU to another, in front of its spans.
//!
//! It may hold some, and beyond that a *backlog* if the class has shown that it is worth it. A loop that makes 100,000
//! objects and then frees them overflows the transfer cache each time round, and each of its objects would go back to
//! its span, bit by bit, only to be taken out again. But waiting objects keep their spans from becoming free pages, so a
//! class may keep one batch more for each that went to the spans and that the program then asked for, or some of it. All
//! classes together may keep [`MAX_BACKLOG_BYTES`], and what nobody wants is taken away again; see
//! `central::trim_transfers`.

use super::super::size_class::{OBJECT_BYTES, TINY_BLOCK, object_bytes_of};
use super::blocks::{BACKLOG_BLOCKS, Chain};
use super::{CENTRALS, MAX_BATCH, batch_of, batch_of_bytes};
use crate::base::Addr;
use crate::sync::MutexGuard;
use core::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};

/// Batches a transfer cache may hold, the backlog apart.
const TRANSFER_BATCHES: usize = 64;
/// Bytes it may hold, but at least one batch: 67 of them must not add up to much.
const TRANSFER_BYTES: usize = 1 << 20;

/// Objects that the transfer cache of a class may hold at most, the backlog apart, if an object has `bytes` and a batch
/// so many objects.
pub(super) const fn most_transferred(bytes: usize, batch: usize) -> usize {
    let objects = TRANSFER_BYTES / bytes;
    if objects < batch {
        batch
    } else if objects > batch * TRANSFER_BATCHES {
        batch * TRANSFER_BATCHES
    } else {
        objects
    }
}

/// Bytes of objects that all backlogs together may keep: enough for loops that a second-level cache cannot hold
/// any more, and little beside the free pages that the heap keeps anyway.
pub(super) const MAX_BACKLOG_BYTES: usize = 8 << 20;

// [`charge`] grants no more of them.
const _: () = assert!(BACKLOG_BLOCKS <= u16::MAX as usize);

/// Bytes that all backlogs together may keep at the moment.
static GRANTED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes that all backlogs together may keep at the moment.
#[inline]
pub(crate) fn granted_bytes() -> usize {
    GRANTED_BYTES.load(Relaxed)
}

/// How large a class's backlog may be, and why.
pub(super) struct Allowance {
    /// Batches it may keep.
    batches: AtomicU16,
    /// Batches that went to the spans for want of room and have not been asked for since.
    overflowed: AtomicU16,
}

impl Allowance {
    pub(super) const fn new() -> Self {
        Self { batches: AtomicU16::new(0), overflowed: AtomicU16::new(0) }
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
        if GRANTED_BYTES.fetch_add(bytes, Relaxed) + bytes <= MAX_BACKLOG_BYTES {
            self.batches.fetch_add(1, Relaxed);
        } else {
            GRANTED_BYTES.fetch_sub(bytes, Relaxed);
        }
    }

    /// Whether the class may keep any batch.
    pub(super) fn is_given(&self) -> bool {
        self.batches.load(Relaxed) > 0
    }

    /// Objects of `class` that it allows.
    pub(super) fn objects(&self, class: usize) -> usize {
        self.batches.load(Relaxed) as usize * batch_of(class)
    }

    /// Takes back leave to keep `batches` batches of `class`, or as many as there were.
    pub(super) fn withdraw(&self, class: usize, batches: u16) {
        // Most classes never have any, and a look at all of them should not cost a locked operation for each. One
        // without objects has none, and could not be charged.
        if self.batches.load(Relaxed) == 0 {
            return;
        }
        let less = |held: u16| Some(held.saturating_sub(batches));
        let held = self.batches.fetch_update(Relaxed, Relaxed, less).unwrap_or(0);
        GRANTED_BYTES.fetch_sub(held.min(batches) as usize * charge(class), Relaxed);
    }

    /// Takes back all leave, and forgets what spoke for it.
    pub(super) fn withdraw_all(&self, class: usize) {
        self.overflowed.store(0, Relaxed);
        self.withdraw(class, u16::MAX);
    }
}

/// No class's backlog needs more blocks than there are for all.
const _: () = {
    let mut class = 1;
    while class <= TINY_BLOCK {
        let bytes = object_bytes_of(class);
        assert!(bytes == 0 || MAX_BACKLOG_BYTES / charge_of(bytes) <= BACKLOG_BLOCKS);
        class += 1;
    }
};

/// What a batch of `class`, a class with objects, takes of [`MAX_BACKLOG_BYTES`]: its bytes, but at least a block's
/// share, so that no more is promised than there are blocks for.
fn charge(class: usize) -> usize {
    charge_of(OBJECT_BYTES[class] as usize)
}

/// The same, for objects of `bytes`.
const fn charge_of(bytes: usize) -> usize {
    let (batch, share) = (batch_of_bytes(bytes) * bytes, MAX_BACKLOG_BYTES / BACKLOG_BLOCKS);
    if batch > share { batch } else { share }
}

/// Objects that left one CPU's cache and wait for the next to want them: a producer/consumer program's
/// objects never touch a span's bits. It does not know its class, so that the table of all classes is zero at first, and
/// costs no page where no class is used.
pub(super) struct Transfer {
    objects: Chain,
    /// Fewest objects held since the last [`LockedTransfer::take_surplus`] found none: what nobody wanted.
    low_water: u32,
    /// Most objects since the last [`LockedTransfer::return_unused`].
    high_water: u32,
    /// Batches that the class might have kept then and had not.
    unused: u16,
}

impl Transfer {
    pub(super) const fn new() -> Self {
        Self { objects: Chain::new(), low_water: 0, high_water: 0, unused: 0 }
    }

    fn note_fewer(&mut self) {
        self.low_water = self.low_water.min(self.objects.len() as u32);
    }

    fn note_more(&mut self) {
        self.high_water = self.high_water.max(self.objects.len() as u32);
    }
}

/// A class's transfer cache under its lock.
pub(super) struct LockedTransfer {
    class: usize,
    transfer: MutexGuard<'static, Transfer>,
}

impl LockedTransfer {
    /// Waits for the lock of a class.
    pub(super) fn lock(class: usize) -> Self {
        Self { class, transfer: CENTRALS[class].transfer.lock() }
    }

    /// Objects held.
    pub(super) fn objects(&self) -> usize {
        self.transfer.objects.len()
    }

    /// Calls `each` for every object.
    #[cfg(test)]
    pub(super) fn for_each(&mut self, each: &mut impl FnMut(Addr)) {
        self.transfer.objects.for_each(each);
    }

    /// Takes the newest objects.
    pub(super) fn take(&mut self, into: &mut [Addr]) -> usize {
        let n = self.transfer.objects.take(into);
        self.transfer.note_fewer();
        n
    }

    /// Keeps objects until it holds `limit`; returns how many, the first ones.
    pub(super) fn give(&mut self, objects: &[Addr], limit: usize) -> usize {
        let room = limit.saturating_sub(self.objects());
        let n = self.transfer.objects.give(&objects[..objects.len().min(room)]);
        self.transfer.note_more();
        n
    }

    /// Offers some of the newest objects, up to `most`, to `push`, and parts with those that it took, the first of the
    /// slice; how many these are.
    pub(super) fn offer(&mut self, most: usize, push: &mut impl FnMut(&[Addr]) -> usize) -> usize {
        let n = self.transfer.objects.offer(most, push);
        self.transfer.note_fewer();
        n
    }

    /// Lets `pop` fill places for some objects, up to `most`, and until it holds `limit`; how many it has put there.
    pub(super) fn accept(
        &mut self,
        limit: usize,
        most: usize,
        pop: &mut impl FnMut(&mut [Addr]) -> usize,
    ) -> usize {
        let most = most.min(limit.saturating_sub(self.objects()));
        let n = if most == 0 { 0 } else { self.transfer.objects.accept(most, pop) };
        self.transfer.note_more();
        n
    }

    /// Takes objects that nobody has wanted since this last found none, or any if `everything` is to go; 0 if there are
    /// none. The class may keep so much less from then on.
    pub(super) fn take_surplus(
        &mut self,
        everything: bool,
        into: &mut [Addr; MAX_BATCH],
        allowance: &Allowance,
    ) -> usize {
        let surplus = if everything { self.objects() } else { self.transfer.low_water as usize };
        let left = surplus - surplus.min(MAX_BATCH);
        let n = self.transfer.objects.take(&mut into[..surplus.min(MAX_BATCH)]);
        self.transfer.low_water = if n == 0 { self.objects() } else { left.min(self.objects()) } as u32;
        if everything {
            self.release_spare();
        }
        if n > 0 {
            allowance.withdraw(self.class, n.div_ceil(batch_of(self.class)) as u16);
        }
        n
    }

    /// Returns the block that it keeps while it is empty.
    pub(super) fn release_spare(&mut self) {
        self.transfer.objects.release_spare();
    }

    /// Gives up leave to keep more than `limit` that was not used from the call before the last one on: other classes
    /// may have it.
    pub(super) fn return_unused(&mut self, limit: usize, allowance: &Allowance) {
        let transfer = &mut *self.transfer;
        let backlog = (transfer.high_water as usize).saturating_sub(limit);
        let used = backlog.div_ceil(batch_of(self.class)) as u16;
        let unused = allowance.batches.load(Relaxed).saturating_sub(used);
        allowance.withdraw(self.class, unused.min(transfer.unused));
        transfer.unused = unused;
        transfer.high_water = transfer.objects.len() as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Classes that no other test uses, each for one test; the lock is held throughout, since the objects are made up.
    const CLASSES: [usize; 4] = [63, 64, 65, 66];

    fn objects(count: usize) -> Vec<Addr> {
        (1..=count).map(|i| Addr(i * 16)).collect()
    }

    /// Lets the class keep a batch more, whatever other tests of this process have been granted.
    fn allow_one(class: usize, allowance: &Allowance) {
        let before = allowance.batches.load(Relaxed);
        while allowance.batches.load(Relaxed) == before {
            allowance.note_overflow();
            allowance.note_underflow(class);
            if allowance.batches.load(Relaxed) == before {
                // Takes no lock that the caller has: nothing of its class is noted as transferred.
                CENTRALS
                    .iter()
                    .enumerate()
                    .for_each(|(class, central)| central.allowance.withdraw_all(class));
            }
        }
    }

    fn clear(locked: &mut LockedTransfer) {
        let allowance = Allowance::new();
        while locked.take_surplus(true, &mut [Addr(0); MAX_BATCH], &allowance) > 0 {}
        assert_eq!(locked.objects(), 0);
    }

    #[test]
    fn holds_no_more_than_the_limit() {
        let mut locked = LockedTransfer::lock(CLASSES[0]);
        let given = objects(200);
        assert_eq!(locked.give(&given[..10], 150), 10);
        assert_eq!(locked.give(&given[10..], 150), 140);
        assert_eq!((locked.give(&given, 150), locked.give(&given, 0)), (0, 0));
        let mut seen = 0;
        locked.for_each(&mut |_| seen += 1);
        assert_eq!((seen, locked.objects()), (150, 150));
        let mut taken = [Addr(0); 30];
        assert_eq!(locked.take(&mut taken), 30);
        let mut fill = |places: &mut [Addr]| places.len();
        assert_eq!(locked.accept(120, 99, &mut fill), 0);
        assert_eq!(locked.accept(125, 99, &mut fill), 5);
        assert_eq!(locked.accept(999, 2, &mut fill), 2);
        assert_eq!(locked.offer(3, &mut |offered| offered.len()), 3);
        assert_eq!(locked.objects(), 124);
        clear(&mut locked);
    }

    #[test]
    fn surplus_is_what_stayed() {
        let mut locked = LockedTransfer::lock(CLASSES[1]);
        let (allowance, mut out) = (Allowance::new(), [Addr(0); MAX_BATCH]);
        let batch = batch_of(CLASSES[1]);
        (0..100).for_each(|_| allow_one(CLASSES[1], &allowance));
        assert_eq!(locked.give(&objects(150), 999), 150);
        assert_eq!(locked.take_surplus(false, &mut out, &allowance), 0, "all of it has come since the start");
        assert_eq!(locked.take(&mut out[..50]), 50);
        assert_eq!(locked.give(&objects(7), 999), 7);
        assert_eq!(locked.take_surplus(false, &mut out, &allowance), MAX_BATCH);
        assert_eq!(locked.take_surplus(false, &mut out, &allowance), 100 - MAX_BATCH);
        assert_eq!(locked.take_surplus(false, &mut out, &allowance), 0);
        assert_eq!(locked.objects(), 7);
        let gone = MAX_BATCH.div_ceil(batch) + (100 - MAX_BATCH).div_ceil(batch);
        assert_eq!(
            allowance.batches.load(Relaxed) as usize,
            100 - gone,
            "leave goes with what nobody wanted"
        );
        allowance.withdraw_all(CLASSES[1]);
        clear(&mut locked);
    }

    #[test]
    fn leave_is_for_what_was_missed_and_goes_if_it_is_not_used() {
        let class = CLASSES[2];
        let (mut locked, allowance) = (LockedTransfer::lock(class), Allowance::new());
        allowance.note_underflow(class);
        assert!(!allowance.is_given(), "what was asked for had not been there before");
        (0..3).for_each(|_| allow_one(class, &allowance));
        assert_eq!(allowance.objects(class), 3 * batch_of(class));
        let limit = 5;
        let look = |locked: &mut LockedTransfer| {
            locked.return_unused(limit, &allowance);
            allowance.batches.load(Relaxed)
        };
        assert_eq!(locked.give(&objects(limit + 1), 999), limit + 1);
        assert_eq!(look(&mut locked), 3, "the program may not have come to use it");
        assert_eq!(look(&mut locked), 1);
        assert_eq!(locked.take(&mut [Addr(0); 1]), 1);
        assert_eq!(look(&mut locked), 1, "it was used since the last look");
        assert_eq!((look(&mut locked), look(&mut locked)), (1, 0));
        clear(&mut locked);
    }

    #[test]
    fn all_leave_together_is_bounded() {
        let (class, allowance) = (CLASSES[3], Allowance::new());
        for _ in 0..2 * MAX_BACKLOG_BYTES / charge(class) {
            allowance.note_overflow();
            allowance.note_underflow(class);
        }
        let granted = allowance.batches.load(Relaxed) as usize * charge(class);
        assert!(granted <= MAX_BACKLOG_BYTES && granted_bytes() <= MAX_BACKLOG_BYTES);
        allowance.withdraw_all(class);
        assert!(!allowance.is_given());
    }
}
