//! The transfer cache of a class: objects on their way from one CPU to another, in front of its spans.

use super::super::backlog::{Allowance, Backlog};
use super::super::size_class::ALL_CLASSES;
use super::{CENTRALS, MAX_BATCH, TRANSFER_BATCHES};
use crate::base::Addr;
use crate::sync::MutexGuard;
use core::cell::UnsafeCell;

/// Objects a transfer cache has room for.
const TRANSFER_SLOTS: usize = MAX_BATCH * TRANSFER_BATCHES;
/// They lie in rows of so many, of which those of all classes lie side by side: the fewer a class holds, the more
/// classes share its pages.
const ROWS: [usize; 3] = [64, 256, TRANSFER_SLOTS - 64 - 256];
/// The place with which each row begins, and the end of the last. A static lies with the heap's other constants, where
/// `build.rs` says.
static BOUNDS: [usize; 4] = [0, ROWS[0], ROWS[0] + ROWS[1], TRANSFER_SLOTS];

/// Objects that left one CPU's cache and wait for the next to want them: a producer/consumer program's
/// objects never touch a span's bits.
pub(super) struct Transfer {
    /// Objects in the transfer cache.
    pub(super) len: usize,
    /// Fewest objects held since the last [`super::trim_transfers`]: what nobody wanted.
    pub(super) low_water: usize,
    /// What found no room here, if the class may keep it.
    pub(super) backlog: Backlog,
}

/// The objects of all transfer caches, apart from their locks: fork touches every lock, and a class that is
/// not used should cost no page.
#[repr(C)]
struct TransferSlots(Rows<{ ROWS[0] }>, Rows<{ ROWS[1] }>, Rows<{ ROWS[2] }>);

/// One row for each class.
type Rows<const SLOTS: usize> = [UnsafeCell<[Addr; SLOTS]>; ALL_CLASSES];

const fn rows<const SLOTS: usize>() -> Rows<SLOTS> {
    [const { UnsafeCell::new([Addr(0); SLOTS]) }; ALL_CLASSES]
}

// SAFETY: a row is only reached through the `LockedTransfer` of its class, and that holds the class's lock.
unsafe impl Sync for TransferSlots {}

static TRANSFER_OBJECTS: TransferSlots = TransferSlots(rows(), rows(), rows());

impl Transfer {
    pub(super) const fn new() -> Self {
        Self { len: 0, low_water: 0, backlog: Backlog::new() }
    }
}

/// A class's transfer cache under its lock. (The class is not a part of [`Transfer`], so that the table of all classes
/// is zero at first, and costs no page where no class is used.)
pub(super) struct LockedTransfer {
    class: usize,
    pub(super) transfer: MutexGuard<'static, Transfer>,
}

impl LockedTransfer {
    /// Waits for the lock of a class.
    pub(super) fn lock(class: usize) -> Self {
        Self { class, transfer: CENTRALS[class].transfer.lock() }
    }

    /// Objects held here and in the backlog.
    pub(super) fn objects(&self) -> usize {
        self.transfer.len + self.transfer.backlog.objects()
    }

    /// The places from `from` on that lie in a row, up to `end` at most.
    fn slots(&mut self, from: usize, end: usize) -> &mut [Addr] {
        let TransferSlots(first, second, third) = &TRANSFER_OBJECTS;
        let row = row_of(from);
        // SAFETY: all rows of a class go with its lock, which this value holds, and this value is borrowed mutably.
        let slots: &mut [Addr] = unsafe {
            match row {
                0 => &mut *first[self.class].get(),
                1 => &mut *second[self.class].get(),
                _ => &mut *third[self.class].get(),
            }
        };
        &mut slots[from - BOUNDS[row]..end.min(BOUNDS[row + 1]) - BOUNDS[row]]
    }

    /// The last up to `most` objects that lie in a row, and how many there are before them.
    fn newest(&mut self, most: usize) -> (usize, &mut [Addr]) {
        let len = self.transfer.len;
        let row = row_of(len.saturating_sub(1));
        let first = len.saturating_sub(most).max(BOUNDS[row]);
        (first, self.slots(first, len))
    }

    /// Calls `each` for every object of the transfer cache.
    #[cfg(test)]
    pub(super) fn for_each(&mut self, each: &mut impl FnMut(Addr)) {
        let mut from = 0;
        while from < self.transfer.len {
            let row = self.slots(from, self.transfer.len);
            row.iter().for_each(|&object| each(object));
            from += row.len();
        }
    }

    /// Takes objects from here, or, if there are none, from the backlog.
    pub(super) fn take_any(&mut self, into: &mut [Addr]) -> usize {
        if self.transfer.len > 0 { self.take(into) } else { self.transfer.backlog.take(into) }
    }

    /// Takes the newest objects.
    pub(super) fn take(&mut self, into: &mut [Addr]) -> usize {
        let mut taken = 0;
        while taken < into.len() && self.transfer.len > 0 {
            let (first, newest) = self.newest(into.len() - taken);
            into[taken..taken + newest.len()].copy_from_slice(newest);
            taken += newest.len();
            self.transfer.len = first;
        }
        self.note_len();
        taken
    }

    /// Notes that it holds fewer.
    fn note_len(&mut self) {
        self.transfer.low_water = self.transfer.low_water.min(self.transfer.len);
    }

    /// Keeps objects until it holds `limit`; returns how many.
    pub(super) fn give(&mut self, objects: &[Addr], limit: usize) -> usize {
        let mut given = 0;
        while given < objects.len() && self.transfer.len < limit {
            let len = self.transfer.len;
            let slots = self.slots(len, limit.min(len + objects.len() - given));
            let n = slots.len();
            slots.copy_from_slice(&objects[given..given + n]);
            given += n;
            self.transfer.len += n;
        }
        given
    }

    /// Offers up to `most` objects to `push`, the newest of the transfer cache or else of the backlog, and parts with
    /// those that it took; how many it took, the first of the slice.
    pub(super) fn offer(&mut self, most: usize, push: &mut impl FnMut(&[Addr]) -> usize) -> usize {
        if self.transfer.len == 0 {
            return self.transfer.backlog.offer(most, push);
        }
        let (_, newest) = self.newest(most.min(MAX_BATCH));
        let n = push(newest);
        newest.copy_within(n.., 0);
        self.transfer.len -= n;
        self.note_len();
        n
    }

    /// Lets `pop` fill a place for up to `most` objects, in the transfer cache up to `limit` or else in the backlog;
    /// how many it has put there.
    pub(super) fn accept(
        &mut self,
        limit: usize,
        most: usize,
        allowance: &Allowance,
        pop: &mut impl FnMut(&mut [Addr]) -> usize,
    ) -> usize {
        let (class, len) = (self.class, self.transfer.len);
        let room = limit.saturating_sub(len).min(most).min(MAX_BATCH);
        if room == 0 {
            return self.transfer.backlog.accept(class, most, allowance, pop);
        }
        let n = pop(self.slots(len, len + room));
        self.transfer.len = len + n;
        n
    }
}

/// The row in which a place lies.
fn row_of(place: usize) -> usize {
    BOUNDS[1..3].iter().filter(|&&begin| place >= begin).count()
}

/// Address and bytes of all rows of objects.
pub(super) fn memory() -> (Addr, usize) {
    (Addr::of(&raw const TRANSFER_OBJECTS), size_of::<TransferSlots>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A class that no other test uses; its lock is held throughout, since the objects are made up.
    const CLASS: usize = 66;

    #[test]
    fn objects_come_back_from_all_rows() {
        const CLASS: usize = 65;
        let [first, second, _] = ROWS;
        let limit = first + second + 7;
        let objects: Vec<Addr> = (1..=limit + 20).map(|i| Addr(i * 16)).collect();
        let mut locked = LockedTransfer::lock(CLASS);
        assert_eq!(locked.give(&objects[..10], TRANSFER_SLOTS), 10);
        assert_eq!(locked.give(&objects[10..], limit), limit - 10, "up to the limit");
        let mut seen = Vec::new();
        locked.for_each(&mut |object| seen.push(object));
        assert_eq!(seen, objects[..limit]);
        let mut newest = std::vec![Addr(0); second + 7 + 5];
        assert_eq!(locked.take(&mut newest), newest.len());
        newest.sort_unstable_by_key(|object| object.0);
        assert_eq!(newest, objects[first - 5..limit]);
        let mut rest = objects.clone();
        assert_eq!(locked.take(&mut rest), first - 5);
        assert_eq!((&rest[..first - 5], locked.objects()), (&objects[..first - 5], 0));
        // An offer and an acceptance end where a row does.
        for end in [first, first + second] {
            assert_eq!(locked.give(&objects[..end + 3], TRANSFER_SLOTS), end + 3);
            assert_eq!(locked.offer(9, &mut |offered| offered.len()), 3);
            assert_eq!(locked.offer(9, &mut |offered| offered.len()), 9);
            let allowance = Allowance::new();
            assert_eq!(locked.accept(TRANSFER_SLOTS, MAX_BATCH, &allowance, &mut |places| places.len()), 9);
            assert_eq!(locked.take(&mut rest), end);
        }
    }

    #[test]
    fn what_a_cache_does_not_take_of_an_offer_stays_in_order() {
        let mut locked = LockedTransfer::lock(CLASS);
        assert_eq!(locked.objects(), 0);
        let allowance = Allowance::new();
        let mut next = 0;
        let mut fill = |into: &mut [Addr]| {
            into.fill_with(|| {
                next += 1;
                Addr(next * 16)
            });
            into.len()
        };
        assert_eq!(locked.accept(5, 3, &allowance, &mut fill), 3);
        assert_eq!(locked.accept(5, 9, &allowance, &mut fill), 2, "up to the limit");
        assert_eq!(locked.accept(5, 9, &allowance, &mut fill), 0, "the backlog may keep nothing");
        let mut seen = Vec::new();
        let mut two = |offered: &[Addr]| {
            seen.extend(offered.iter().map(|object| object.0 / 16));
            2
        };
        assert_eq!(locked.offer(3, &mut two), 2);
        assert_eq!((locked.offer(9, &mut two), locked.objects()), (2, 1));
        assert_eq!(seen, [3, 4, 5, 1, 2, 5]);
        let mut all = |offered: &[Addr]| offered.len();
        assert_eq!((locked.offer(9, &mut all), locked.offer(9, &mut all), locked.objects()), (1, 0, 0));
    }
}
