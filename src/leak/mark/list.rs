//! Stacks of work buffers without locks.
//!
//! The head packs a buffer's number and a counter that changes with every push and pop, so that a head that
//! was popped and pushed again in between is noticed (the ABA problem). A push releases and a pop acquires:
//! who gets a buffer sees what its last owner wrote. loom explores it.

use crate::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// A buffer's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BufferId(pub(super) u32);

/// A stack of buffers by number, which every worker may push to and pop from.
pub(super) struct List(AtomicU64);

impl List {
    /// An empty list.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether there was nothing in it a moment ago.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Acquire) as u32 == 0
    }

    /// Puts a buffer in; `next_of` finds its link.
    pub(super) fn push<'a>(&self, id: BufferId, next_of: impl Fn(BufferId) -> &'a AtomicU32) {
        let mut head = self.0.load(Relaxed);
        loop {
            next_of(id).store(head as u32, Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | (id.0 as u64 + 1);
            // Release: who pops the buffer sees its items and its link.
            match self.0.compare_exchange_weak(head, new, AcqRel, Acquire) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes a buffer out.
    pub(super) fn pop<'a>(&self, next_of: impl Fn(BufferId) -> &'a AtomicU32) -> Option<BufferId> {
        let mut head = self.0.load(Acquire);
        loop {
            let id = BufferId((head as u32).checked_sub(1)?);
            // The link may be another worker's by now; then the counter has changed, and so fails the exchange.
            let next = next_of(id).load(Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | next as u64;
            match self.0.compare_exchange_weak(head, new, AcqRel, Acquire) {
                Ok(_) => return Some(id),
                Err(now) => head = now,
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::{cell::UnsafeCell, sync::Arc, thread};
    use std::vec::Vec;

    const BUFFERS: usize = 3;

    /// Lists, links, and in each buffer a count of its owners, which loom lets only one thread touch at a time.
    struct Pool {
        full: List,
        empty: List,
        links: [AtomicU32; BUFFERS],
        owners: [UnsafeCell<u32>; BUFFERS],
    }

    impl Pool {
        /// The first `count` buffers are full, in one list.
        fn new(count: u32) -> Arc<Self> {
            let pool = Self {
                full: List::new(),
                empty: List::new(),
                links: core::array::from_fn(|_| AtomicU32::new(0)),
                owners: core::array::from_fn(|_| UnsafeCell::new(0)),
            };
            (0..count).for_each(|id| pool.put(&pool.full, BufferId(id)));
            Arc::new(pool)
        }

        fn put(&self, list: &List, id: BufferId) {
            list.push(id, |id| &self.links[id.0 as usize]);
        }

        fn take(&self, list: &List) -> Option<BufferId> {
            let id = list.pop(|id| &self.links[id.0 as usize])?;
            // SAFETY: what is tested: the buffer is this thread's alone.
            self.owners[id.0 as usize].with_mut(|count| unsafe { *count += 1 });
            Some(id)
        }

        /// Takes what is left and checks that each of `count` buffers is there once.
        fn check(&self, count: usize, held: Vec<BufferId>) {
            let mut all: Vec<u32> = held.iter().map(|id| id.0).collect();
            for list in [&self.full, &self.empty] {
                all.extend(core::iter::from_fn(|| self.take(list)).take(BUFFERS + 1).map(|id| id.0));
                assert!(list.is_empty());
            }
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..count as u32), "{all:?}");
        }
    }

    /// The pop in one thread meets a head that was taken and put back with another one behind it.
    #[test]
    fn a_head_that_came_back_is_noticed() {
        loom::model(|| {
            let pool = Pool::new(2);
            let other = pool.clone();
            let thread = thread::spawn(move || {
                let (first, second) = (other.take(&other.full), other.take(&other.full));
                first.into_iter().for_each(|id| other.put(&other.full, id));
                second
            });
            let mine = pool.take(&pool.full);
            let theirs = thread.join().unwrap();
            pool.check(2, mine.into_iter().chain(theirs).collect());
        });
    }

    /// Work moves as in a marker: who takes a full buffer puts it among the empty ones, where another takes
    /// it to fill it.
    #[test]
    fn buffers_that_go_round_are_neither_lost_nor_doubled() {
        loom::model(|| {
            let pool = Pool::new(2);
            let other = pool.clone();
            let thread = thread::spawn(move || {
                if let Some(id) = other.take(&other.full) {
                    other.put(&other.empty, id);
                }
            });
            if let Some(id) = pool.take(&pool.empty).or_else(|| pool.take(&pool.full)) {
                pool.put(&pool.full, id);
            }
            thread.join().unwrap();
            pool.check(2, Vec::new());
        });
    }

    #[test]
    fn three_threads_lose_nothing() {
        let mut model = loom::model::Builder::new();
        // Every way to interleave with up to three preemptions.
        model.preemption_bound = Some(3);
        model.check(|| {
            let pool = Pool::new(2);
            let taker = pool.clone();
            let giver = pool.clone();
            let taker = thread::spawn(move || taker.take(&taker.full));
            let giver = thread::spawn(move || giver.put(&giver.full, BufferId(2)));
            if let Some(id) = pool.take(&pool.full) {
                pool.put(&pool.full, id);
            }
            let taken = taker.join().unwrap();
            giver.join().unwrap();
            pool.check(3, taken.into_iter().collect());
        });
    }
}
