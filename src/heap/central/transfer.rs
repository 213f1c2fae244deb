//! The transfer cache of a class: objects on their way from one CPU to another, in front of its spans.

use super::super::backlog::{Allowance, Backlog};
use super::super::size_class::ALL_CLASSES;
use super::{CENTRALS, MAX_BATCH, TRANSFER_BATCHES};
use crate::base::Addr;
use crate::sync::MutexGuard;
use core::cell::UnsafeCell;

/// Objects a transfer cache has room for.
const TRANSFER_SLOTS: usize = MAX_BATCH * TRANSFER_BATCHES;

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
struct TransferSlots([UnsafeCell<[Addr; TRANSFER_SLOTS]>; ALL_CLASSES]);

// SAFETY: a row is only reached through the `LockedTransfer` of its class, and that holds the class's lock.
unsafe impl Sync for TransferSlots {}

static TRANSFER_OBJECTS: TransferSlots =
    TransferSlots([const { UnsafeCell::new([Addr(0); TRANSFER_SLOTS]) }; ALL_CLASSES]);

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

    /// The places of the transfer cache's objects.
    pub(super) fn slots(&mut self) -> &mut [Addr; TRANSFER_SLOTS] {
        // SAFETY: the row goes with the lock of its class, which this value holds, and this value is borrowed mutably.
        unsafe { &mut *TRANSFER_OBJECTS.0[self.class].get() }
    }

    /// Takes objects from here, or, if there are none, from the backlog.
    pub(super) fn take_any(&mut self, into: &mut [Addr]) -> usize {
        if self.transfer.len > 0 { self.take(into) } else { self.transfer.backlog.take(into) }
    }

    /// Takes the newest objects.
    pub(super) fn take(&mut self, into: &mut [Addr]) -> usize {
        let n = into.len().min(self.transfer.len);
        let rest = self.transfer.len - n;
        into[..n].copy_from_slice(&self.slots()[rest..rest + n]);
        self.transfer.len = rest;
        self.transfer.low_water = self.transfer.low_water.min(rest);
        n
    }

    /// Keeps objects until it holds `limit`; returns how many.
    pub(super) fn give(&mut self, objects: &[Addr], limit: usize) -> usize {
        let len = self.transfer.len;
        let n = objects.len().min(limit.saturating_sub(len));
        self.slots()[len..len + n].copy_from_slice(&objects[..n]);
        self.transfer.len += n;
        n
    }

    /// Offers up to `most` objects to `push`, the newest of the transfer cache or else of the backlog, and parts with
    /// those that it took; how many it took, the first of the slice.
    pub(super) fn offer(&mut self, most: usize, push: &mut impl FnMut(&[Addr]) -> usize) -> usize {
        let len = self.transfer.len;
        if len == 0 {
            return self.transfer.backlog.offer(most, push);
        }
        let first = len - len.min(most).min(MAX_BATCH);
        let slots = self.slots();
        let n = push(&slots[first..len]);
        slots.copy_within(first + n..len, first);
        self.transfer.len = len - n;
        self.transfer.low_water = self.transfer.low_water.min(len - n);
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
        let n = pop(&mut self.slots()[len..len + room]);
        self.transfer.len = len + n;
        n
    }
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
