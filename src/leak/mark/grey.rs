//! Which objects have been met, and which of them wait to be scanned: a bit for each.
//!
//! A pointer that is found changes these bits and nothing else: few enough to stay in a cache. What is noted of an object
//! lies with that of its neighbours, and is looked at when theirs is.
//!
//! A group is 64 objects that follow each other in memory. It waits in a worker's queue from when the first of its
//! objects turns grey, and while it waits, others do. Then all are scanned, one behind the other. So a heap is read in
//! the order of its addresses and not in the order in which pointers happen to run through it, as far as enough is known
//! to be grey: the idea of the Go runtime's "Green Tea" collector (go.dev/issue/73581), which queues spans. First in,
//! first out, since those that wait longest gather most.
//!
//! Workers share the bits that say what was met: whoever sets one has the object in its own queue. Nothing else is shared;
//! a worker whose neighbours have nothing to do gives them ranges (`super::buffers`).

use crate::leak::own_memory::{NoMemory, Table};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Objects of a group: the bits of a word.
pub(super) const GROUP_OBJECTS: usize = 64;

/// An object's group, and its bit there.
#[inline(always)]
fn place_of(number: u32) -> (usize, u64) {
    (number as usize / GROUP_OBJECTS, 1 << (number as usize % GROUP_OBJECTS))
}

/// Which objects have been met.
pub(super) struct Met {
    groups: Table<AtomicU64>,
    /// One thread alone changes it.
    alone: bool,
}

impl Met {
    /// None of so many objects. If `alone`, no two threads may use it at the same time.
    pub(super) fn new(objects: usize, alone: bool) -> Result<Self, NoMemory> {
        Ok(Self { groups: Table::new(objects.div_ceil(GROUP_OBJECTS))?, alone })
    }

    /// Notes that an object was met; whether it is the first time.
    #[inline(always)]
    pub(super) fn add(&self, number: u32) -> bool {
        let (group, bit) = place_of(number);
        let word = &self.groups[group];
        let before = word.load(Relaxed);
        if before & bit != 0 {
            return false;
        }
        if self.alone {
            word.store(before | bit, Relaxed);
            return true;
        }
        // Nothing goes from who meets an object to who met it first: what each writes of it lies in its own memory.
        word.fetch_or(bit, Relaxed) & bit == 0
    }

    /// Takes an object for one that has not been met.
    pub(super) fn forget(&self, number: u32) {
        let (group, bit) = place_of(number);
        self.groups[group].fetch_and(!bit, Relaxed);
    }

    /// The address of what [`Self::add`] changes.
    #[inline(always)]
    pub(super) fn address(&self, number: u32) -> usize {
        (&raw const self.groups[place_of(number).0]).addr()
    }
}

/// A worker's grey objects.
pub(super) struct Grey {
    /// For each group which of its objects are grey.
    groups: Table<u64>,
    /// The queue, a ring: numbers of groups, none of them twice.
    slots: Table<u32>,
    /// Groups taken out so far.
    taken: usize,
    /// Groups put in so far.
    put: usize,
}

impl Grey {
    /// None of so many objects.
    pub(super) fn new(objects: usize) -> Result<Self, NoMemory> {
        let groups = objects.div_ceil(GROUP_OBJECTS);
        let slots = Table::new(groups.next_power_of_two())?;
        Ok(Self { groups: Table::new(groups)?, slots, taken: 0, put: 0 })
    }

    #[inline(always)]
    fn slot_of(&self, place: usize) -> usize {
        place & (self.slots.len() - 1)
    }

    /// Makes an object grey.
    #[inline(always)]
    pub(super) fn add(&mut self, number: u32) {
        let (group, bit) = place_of(number);
        let before = self.groups[group];
        self.groups[group] = before | bit;
        if before == 0 {
            let slot = self.slot_of(self.put);
            self.slots[slot] = group as u32;
            self.put += 1;
        }
    }

    /// The address of what [`Self::add`] changes.
    #[inline(always)]
    pub(super) fn address(&self, number: u32) -> usize {
        (&raw const self.groups[place_of(number).0]).addr()
    }

    /// Groups in the queue.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.put - self.taken
    }

    /// The group that will be taken after so many others.
    #[inline]
    pub(super) fn upcoming(&self, others: usize) -> Option<usize> {
        (others < self.len()).then(|| self.slots[self.slot_of(self.taken + others)] as usize)
    }

    /// The group that has waited longest, and which of its objects are grey; they are not any more.
    #[inline]
    pub(super) fn take(&mut self) -> Option<(usize, u64)> {
        let group = self.upcoming(0)?;
        self.taken += 1;
        Some((group, core::mem::take(&mut self.groups[group])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const OBJECTS: usize = 300;

    proptest! {
        /// Against a set and a list of groups.
        #[test]
        fn groups_come_out_in_the_order_of_their_first_bits(
            steps in prop::collection::vec(prop::option::weighted(0.7, 0..OBJECTS as u32), 1..400),
        ) {
            let mut queue = Grey::new(OBJECTS).unwrap();
            let (mut grey, mut waiting) = (BTreeSet::new(), Vec::new());
            for step in steps {
                if let Some(number) = step {
                    queue.add(number);
                    grey.insert(number);
                    let group = number as usize / GROUP_OBJECTS;
                    if !waiting.contains(&group) {
                        waiting.push(group);
                    }
                } else {
                    let expected = (!waiting.is_empty()).then(|| waiting.remove(0)).map(|group| {
                        let first = (group * GROUP_OBJECTS) as u32;
                        let of_group = first..first + GROUP_OBJECTS as u32;
                        let bits = grey.range(of_group.clone()).map(|number| 1 << (number - first)).sum();
                        grey.retain(|number| !of_group.contains(number));
                        (group, bits)
                    });
                    prop_assert_eq!(queue.take(), expected);
                }
                prop_assert_eq!(queue.len(), waiting.len());
                prop_assert_eq!((queue.upcoming(0), queue.upcoming(1)), (waiting.first().copied(), waiting.get(1).copied()));
            }
        }

        #[test]
        fn an_object_is_met_for_the_first_time_once(
            steps in prop::collection::vec((0..OBJECTS as u32, any::<bool>()), 1..400),
            alone: bool,
        ) {
            let (met, mut model) = (Met::new(OBJECTS, alone).unwrap(), BTreeSet::new());
            for (number, forget) in steps {
                if forget {
                    met.forget(number);
                    model.remove(&number);
                } else {
                    prop_assert_eq!(met.add(number), model.insert(number));
                }
            }
        }
    }

    #[test]
    fn of_several_threads_one_is_the_first_to_meet_an_object() {
        let met = Met::new(OBJECTS, false).unwrap();
        let count = || (0..OBJECTS as u32).filter(|&number| met.add(number)).count();
        let sum: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sum, OBJECTS);
    }
}
