//! A lock whose word is the number of the thread that holds it.
//!
//! A signal handler can tell, at any instant, whether the code that it interrupted holds the lock: taking it and
//! saying who has it are one store. With a lock and the name of its holder in two words there would be a moment
//! between the two in which the handler waits for its own thread.

use super::rank::{self, Rank, Ranked};
use crate::sys::{futex, message::thread_id};
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

const NOBODY: u32 = 0;

/// A lock that knows its holder, for what is done rarely: giving it back is a system call.
pub(crate) struct OwnerLock {
    holder: AtomicU32,
    rank: Ranked,
}

impl OwnerLock {
    /// A free lock.
    pub(crate) const fn new(rank: Rank) -> Self {
        Self { holder: AtomicU32::new(NOBODY), rank: rank::ranked(rank) }
    }

    /// Waits for the lock and takes it, until the guard is dropped in this thread. Waits for ever if this thread
    /// [holds it](Self::is_held_here).
    pub(crate) fn lock(&self) -> OwnerGuard<'_> {
        let own = thread_id();
        while let Err(holder) = self.holder.compare_exchange(NOBODY, own, Acquire, Relaxed) {
            futex::wait(&self.holder, holder);
        }
        // Not before the wait, in which a signal handler may come here, too.
        rank::acquire(self.rank);
        OwnerGuard(self)
    }

    /// Whether this thread holds the lock; in a signal handler, whether the interrupted code does.
    pub(crate) fn is_held_here(&self) -> bool {
        // Relaxed: only this thread stores its own number, and takes it back.
        self.holder.load(Relaxed) == thread_id()
    }

    /// Makes the lock free in the child of a fork, where a thread that held it does not exist.
    ///
    /// # Safety
    /// This is the child's only thread, and it does not hold the lock.
    pub(crate) unsafe fn reset_in_child(&self) {
        self.holder.store(NOBODY, Relaxed);
    }
}

/// Holds an [`OwnerLock`] until it is dropped.
pub(crate) struct OwnerGuard<'a>(&'a OwnerLock);

impl Drop for OwnerGuard<'_> {
    fn drop(&mut self) {
        rank::release(self.0.rank);
        self.0.holder.store(NOBODY, Release);
        // Whoever wakes and finds the lock taken again sleeps for its new holder, who wakes somebody in turn.
        futex::wake(&self.0.holder, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn one_thread_at_a_time_holds_it_and_all_get_it() {
        let lock = OwnerLock::new(Rank::Leaf);
        let (inside, times) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let guard = lock.lock();
                        assert_eq!(inside.fetch_add(1, Relaxed), 0);
                        times.fetch_add(1, Relaxed);
                        inside.fetch_sub(1, Relaxed);
                        drop(guard);
                    }
                });
            }
        });
        assert_eq!(times.load(Relaxed), 16_000);
    }

    #[test]
    fn a_thread_knows_whether_it_is_the_holder() {
        let lock = OwnerLock::new(Rank::Leaf);
        assert!(!lock.is_held_here());
        let guard = lock.lock();
        assert!(lock.is_held_here());
        assert!(!thread::scope(|scope| scope.spawn(|| lock.is_held_here()).join().unwrap()));
        drop(guard);
        assert!(!lock.is_held_here());
    }
}
