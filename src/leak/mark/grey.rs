//! Which objects have been met, which of them are grey, and a queue of the groups that have grey ones.
//!
//! A pointer that is found changes two bits of its object and nothing else: few enough to stay in a cache. What is noted
//! of an object lies with that of its neighbours, and is looked at when theirs is.
//!
//! A group is 64 objects that follow each other in memory. It waits in the queue from when its first object turns grey,
//! and while it waits, others do. Then all are scanned, one behind the other. So a heap is read in the order of its
//! addresses and not in the order in which pointers happen to run through it, as far as enough is known to be grey: the
//! idea of the Go runtime's "Green Tea" collector (go.dev/issue/73581), which queues spans. First in, first out, since
//! those that wait longest gather most.
//!
//! There are no locks, and no group is in the queue twice, so that it never needs more room than there are groups. Who
//! sets the first bit of a group puts it in; who takes it out takes all its bits at once, and what is set from then on
//! is the first bit again. loom explores it.

use crate::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Objects of a group: the bits of a word.
pub(super) const GROUP_OBJECTS: usize = 64;

impl Memory<'_> {
    /// The address of what [`Queue::add`] changes.
    #[inline(always)]
    pub(super) fn address(self, number: u32) -> usize {
        (&raw const self.groups[place_of(number).0]).addr()
    }
}

/// A group's bits, in one cache line.
#[repr(C, align(16))]
pub(super) struct Group {
    /// Objects that have turned grey at some time.
    met: AtomicU64,
    /// Those that have not been scanned since.
    grey: AtomicU64,
}

// SAFETY: two atomic numbers.
#[cfg(not(loom))]
unsafe impl crate::leak::own_memory::Zeroable for Group {}

/// Memory of the queue for some number of objects, zeros at first.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    pub(super) groups: &'a [Group],
    /// The queue: numbers of groups plus one, 0 where there is none. At least as many as groups, a power of two.
    pub(super) slots: &'a [AtomicU32],
}

#[cfg(test)]
impl Group {
    fn new() -> Self {
        Self { met: AtomicU64::new(0), grey: AtomicU64::new(0) }
    }
}

/// How many slots the queue of so many groups has.
pub(super) fn slots_of(groups: usize) -> usize {
    groups.next_power_of_two()
}

/// Keeps counters that different workers change out of each other's cache lines.
#[repr(align(128))]
struct Counter(AtomicUsize);

/// Where the queue begins and ends.
pub(super) struct Queue {
    /// Groups taken out so far.
    taken: Counter,
    /// Groups put in so far.
    put: Counter,
    /// One worker alone uses it.
    alone: bool,
}

impl Queue {
    /// An empty queue. If `alone`, no two threads may use it at the same time.
    pub(super) fn new(alone: bool) -> Self {
        Self { taken: Counter(AtomicUsize::new(0)), put: Counter(AtomicUsize::new(0)), alone }
    }

    /// Whether there was nothing in it a moment ago.
    pub(super) fn is_empty(&self) -> bool {
        let taken = self.taken.0.load(Acquire);
        taken == self.put.0.load(Acquire)
    }

    /// Makes an object grey, by its number, unless it has been met before.
    #[inline]
    pub(super) fn add(&self, memory: Memory<'_>, number: u32) {
        let (index, bit) = place_of(number);
        let group = &memory.groups[index];
        if self.set(&group.met, bit) & bit == 0 && self.set(&group.grey, bit) == 0 {
            self.put(memory, index);
        }
    }

    /// Sets a bit; returns what was there before.
    #[inline(always)]
    fn set(&self, word: &AtomicU64, bit: u64) -> u64 {
        let before = word.load(Relaxed);
        if before & bit != 0 {
            return before;
        }
        if self.alone {
            word.store(before | bit, Relaxed);
            return before;
        }
        word.fetch_or(bit, AcqRel)
    }

    /// Takes an object for one that has been met, without making it grey.
    pub(super) fn pass_over(&self, memory: Memory<'_>, number: u32) {
        let (index, bit) = place_of(number);
        memory.groups[index].met.fetch_or(bit, Relaxed);
    }

    /// Takes an object that is not grey for one that has not been met.
    pub(super) fn forget(&self, memory: Memory<'_>, number: u32) {
        let (index, bit) = place_of(number);
        memory.groups[index].met.fetch_and(!bit, Relaxed);
    }

    fn put(&self, memory: Memory<'_>, group: usize) {
        let place = if self.alone {
            let place = self.put.0.load(Relaxed);
            self.put.0.store(place + 1, Relaxed);
            place
        } else {
            self.put.0.fetch_add(1, AcqRel)
        };
        let slot = &memory.slots[place & (memory.slots.len() - 1)];
        // Of the last round there may be a group whose taker has the place, but has not emptied it.
        wait_until(|| (slot.load(Acquire) == 0).then_some(()));
        slot.store(group as u32 + 1, Release);
    }

    /// The group that will be taken after so many others, if it is known.
    #[inline]
    pub(super) fn upcoming(&self, memory: Memory<'_>, others: usize) -> Option<usize> {
        let place = self.taken.0.load(Relaxed) + others;
        memory.slots[place & (memory.slots.len() - 1)]
            .load(Relaxed)
            .checked_sub(1)
            .map(|group| group as usize)
    }

    /// The group that has waited longest, and which of its objects are grey; they are not any more.
    #[inline]
    pub(super) fn take(&self, memory: Memory<'_>) -> Option<(usize, u64)> {
        let mut place = self.taken.0.load(Acquire);
        loop {
            if place == self.put.0.load(Acquire) {
                return None;
            }
            if self.alone {
                self.taken.0.store(place + 1, Relaxed);
                break;
            }
            match self.taken.0.compare_exchange_weak(place, place + 1, AcqRel, Acquire) {
                Ok(_) => break,
                Err(now) => place = now,
            }
        }
        let slot = &memory.slots[place & (memory.slots.len() - 1)];
        // Who put it in may have the place, but not have filled it.
        let group = wait_until(|| slot.load(Acquire).checked_sub(1)) as usize;
        slot.store(0, Release);
        let word = &memory.groups[group].grey;
        let bits = if self.alone {
            let bits = word.load(Relaxed);
            word.store(0, Relaxed);
            bits
        } else {
            word.swap(0, AcqRel)
        };
        Some((group, bits))
    }
}

/// An object's group, and its bit there.
#[inline(always)]
fn place_of(number: u32) -> (usize, u64) {
    (number as usize / GROUP_OBJECTS, 1 << (number as usize % GROUP_OBJECTS))
}

/// Waits for another worker to finish what it is in the middle of.
fn wait_until<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(value) = ready() {
            return value;
        }
        #[cfg(not(loom))]
        crate::sys::cpu::yield_now();
        #[cfg(loom)]
        loom::thread::yield_now();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    proptest! {
        /// Against a set and a list of groups.
        #[test]
        fn groups_come_out_in_the_order_of_their_first_bits(
            steps in prop::collection::vec(prop::option::weighted(0.7, 0u32..300), 1..400),
            alone: bool,
        ) {
            let groups = 300usize.div_ceil(GROUP_OBJECTS);
            let bits: Vec<_> = (0..groups).map(|_| Group::new()).collect();
            let slots: Vec<_> = (0..slots_of(groups)).map(|_| AtomicU32::new(0)).collect();
            let (memory, queue) = (Memory { groups: &bits, slots: &slots }, Queue::new(alone));
            let (mut met, mut grey, mut waiting) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
            for step in steps {
                match step {
                    Some(number) if number % 7 == 0 => {
                        queue.pass_over(memory, number);
                        met.insert(number);
                    }
                    Some(number) if met.insert(number) => {
                        queue.add(memory, number);
                        grey.insert(number);
                        let group = number as usize / GROUP_OBJECTS;
                        if !waiting.contains(&group) {
                            waiting.push(group);
                        }
                    }
                    Some(number) if !grey.contains(&number) && number % 2 == 0 => {
                        queue.forget(memory, number);
                        met.remove(&number);
                    }
                    Some(number) => queue.add(memory, number),
                    None => {
                        let expected = (!waiting.is_empty()).then(|| waiting.remove(0)).map(|group| {
                            let first = (group * GROUP_OBJECTS) as u32;
                            let of_group = first..first + GROUP_OBJECTS as u32;
                            let bits = grey.range(of_group.clone()).map(|number| 1 << (number - first)).sum();
                            grey.retain(|number| !of_group.contains(number));
                            (group, bits)
                        });
                        prop_assert_eq!(queue.take(memory), expected);
                    }
                }
                prop_assert_eq!(queue.is_empty(), waiting.is_empty());
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::{sync::Arc, thread};
    use std::vec::Vec;

    /// Two groups, in a queue of two slots that so goes round at once.
    struct Shared {
        queue: Queue,
        groups: [Group; 2],
        slots: [AtomicU32; 2],
    }

    impl Shared {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                queue: Queue::new(false),
                groups: core::array::from_fn(|_| Group::new()),
                slots: core::array::from_fn(|_| AtomicU32::new(0)),
            })
        }

        fn memory(&self) -> Memory<'_> {
            Memory { groups: &self.groups, slots: &self.slots }
        }

        fn add(&self, number: u32) {
            self.queue.add(self.memory(), number);
        }

        fn take(&self) -> Vec<u32> {
            let Some((group, bits)) = self.queue.take(self.memory()) else { return Vec::new() };
            assert_ne!(bits, 0, "who takes a group out finds what was put in");
            let first = (group * GROUP_OBJECTS) as u32;
            (0..GROUP_OBJECTS as u32).filter(|bit| bits >> bit & 1 == 1).map(|bit| first + bit).collect()
        }

        /// Whether `taken` and what is left are the objects below `count`, each once.
        fn check(&self, mut taken: Vec<u32>, numbers: &[u32]) {
            while !self.queue.is_empty() {
                taken.extend(self.take());
            }
            taken.sort_unstable();
            assert_eq!(taken, numbers);
        }
    }

    #[test]
    fn an_object_that_turns_grey_as_its_group_is_taken_is_taken_once() {
        loom::model(|| {
            let shared = Shared::new();
            shared.add(1);
            let other = shared.clone();
            let thread = thread::spawn(move || other.add(2));
            let taken = shared.take();
            thread.join().unwrap();
            shared.check(taken, &[1, 2]);
        });
    }

    #[test]
    fn workers_that_add_and_take_lose_nothing() {
        let mut model = loom::model::Builder::new();
        // Every way to interleave with up to three preemptions.
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Shared::new();
            shared.add(1);
            let (first, second) = (shared.clone(), shared.clone());
            let first = thread::spawn(move || {
                first.add(64);
                // Both meet it.
                first.add(2);
                first.take()
            });
            let second = thread::spawn(move || {
                let mut taken = second.take();
                second.add(2);
                taken.extend(second.take());
                taken
            });
            let mut taken = shared.take();
            taken.extend(first.join().unwrap());
            taken.extend(second.join().unwrap());
            shared.check(taken, &[1, 2, 64]);
        });
    }
}
