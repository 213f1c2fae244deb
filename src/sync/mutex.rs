//! A mutual exclusion lock on a futex word.
//!
//! The three states are those of Drepper's "Futexes Are Tricky": free, held, held with sleepers. A
//! waiter spins for about as long as a critical section lasts, then sleeps: a holder may be preempted,
//! and then spinning only takes the processor away from it.

use super::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use super::rank::{self, Rank, Ranked};
use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

const FREE: u32 = 0;
const HELD: u32 = 1;
const HELD_WITH_SLEEPERS: u32 = 2;

/// Looks at the word before going to sleep: about a microsecond, the length of a usual refill.
const SPINS: usize = if cfg!(loom) { 1 } else { 100 };

/// A lock without a value: one copy of what is done where it is not free.
struct Lock {
    word: AtomicU32,
    #[cfg(loom)]
    futex: super::futex_model::Futex,
}

/// A value that one thread at a time may use.
pub(crate) struct Mutex<T> {
    lock: Lock,
    rank: Ranked,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time, so the value must only be movable between threads.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: moving the lock moves the value.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// A free lock.
    #[cfg(not(loom))]
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        let lock = Lock { word: AtomicU32::new(FREE) };
        Self { lock, rank: rank::ranked(rank), value: UnsafeCell::new(value) }
    }

    /// A free lock, under loom.
    #[cfg(loom)]
    pub(crate) fn new(rank: Rank, value: T) -> Self {
        let lock = Lock { word: AtomicU32::new(FREE), futex: super::futex_model::Futex::new() };
        Self { lock, rank: rank::ranked(rank), value: UnsafeCell::new(value) }
    }

    /// Waits for the lock and takes it.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        rank::acquire(self.rank);
        if !self.lock.take() {
            #[cfg(besom_measure)]
            let since = super::lock_times::now();
            self.lock.take_contended();
            #[cfg(besom_measure)]
            super::lock_times::waited(self.rank, since);
        }
        MutexGuard::new(self)
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.lock.take().then(|| {
            rank::acquire(self.rank);
            MutexGuard::new(self)
        })
    }

    /// Takes the lock without a guard, for the span of a fork.
    pub(crate) fn acquire_for_fork(&self) {
        core::mem::forget(self.lock());
    }

    /// The value, for who holds the lock by [`Self::acquire_for_fork`].
    ///
    /// # Safety
    /// This thread must hold the lock that way, and the reference end before it gives it back.
    pub(crate) unsafe fn value_while_held(&self) -> &T {
        // SAFETY: the caller holds the lock.
        unsafe { &*self.value.get() }
    }

    /// Gives back a lock taken by [`Self::acquire_for_fork`].
    ///
    /// # Safety
    /// This thread, or in a child the thread that forked, must hold the lock from `acquire_for_fork`.
    pub(crate) unsafe fn release_after_fork(&self) {
        drop(MutexGuard::new(self));
    }

    #[inline]
    fn unlock(&self) {
        rank::release(self.rank);
        self.lock.give_back();
    }

    /// Whether the lock comes free before the monotonic clock shows `deadline` nanoseconds. In a signal handler:
    /// then it was not the interrupted code of this thread that held it, and waiting for it is safe.
    #[cfg(not(loom))]
    pub(crate) fn comes_free(&self, deadline: u64) -> bool {
        self.lock.comes_free(deadline)
    }
}

impl Lock {
    /// Takes the lock if it is free.
    #[inline]
    fn take(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn take_contended(&self) {
        for _ in 0..SPINS {
            if self.word.load(Relaxed) == FREE && self.take() {
                return;
            }
            relax();
        }
        // From here on the word says "with sleepers", also when nobody else sleeps: one wake too many.
        while self.word.swap(HELD_WITH_SLEEPERS, Acquire) != FREE {
            self.sleep();
        }
    }

    #[inline]
    fn give_back(&self) {
        if self.word.swap(FREE, Release) == HELD_WITH_SLEEPERS {
            self.wake_one();
        }
    }
}

#[cfg(not(loom))]
impl Lock {
    fn sleep(&self) {
        crate::sys::futex::wait(&self.word, HELD_WITH_SLEEPERS);
    }

    #[cold]
    #[inline(never)]
    fn wake_one(&self) {
        crate::sys::futex::wake(&self.word, 1);
    }

    /// As [`Mutex::comes_free`].
    fn comes_free(&self, deadline: u64) -> bool {
        if self.word.load(Relaxed) == FREE {
            return true;
        }
        while self.word.swap(HELD_WITH_SLEEPERS, Acquire) != FREE {
            let Some(left) = deadline.checked_sub(crate::sys::time::nanoseconds()) else { return false };
            crate::sys::futex::wait_for(&self.word, HELD_WITH_SLEEPERS, left);
        }
        // Taken, without a rank: the interrupted code may hold locks of any.
        self.give_back();
        true
    }
}

#[cfg(loom)]
impl Lock {
    fn sleep(&self) {
        self.futex.wait(&self.word, HELD_WITH_SLEEPERS);
    }

    fn wake_one(&self) {
        self.futex.wake_one();
    }
}

#[cfg(not(loom))]
fn relax() {
    core::hint::spin_loop();
}
#[cfg(loom)]
fn relax() {
    loom::thread::yield_now();
}

/// The right to use a [`Mutex`]'s value, given back on drop.
pub(crate) struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    #[cfg(besom_measure)]
    since: u64,
}

impl<'a, T> MutexGuard<'a, T> {
    #[inline(always)]
    fn new(lock: &'a Mutex<T>) -> Self {
        Self {
            lock,
            #[cfg(besom_measure)]
            since: super::lock_times::now(),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard exists only while this thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed mutably, so this is the only reference.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        #[cfg(besom_measure)]
        let ticks = super::lock_times::now().saturating_sub(self.since);
        self.lock.unlock();
        #[cfg(besom_measure)]
        super::lock_times::held(self.lock.rank, ticks);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::{sync::Arc, thread, vec::Vec};

    #[test]
    fn counts_of_many_threads_add_up() {
        let total = Arc::new(Mutex::new(Rank::Leaf, 0u64));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let total = total.clone();
                thread::spawn(move || (0..20_000).for_each(|_| *total.lock() += 1))
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*total.lock(), 160_000);
        assert!(total.try_lock().is_some());
    }

    #[test]
    fn a_lock_comes_free_unless_its_holder_waits_itself() {
        let now = crate::sys::time::nanoseconds;
        let lock = Mutex::new(Rank::Leaf, ());
        assert!(lock.comes_free(0));
        let guard = lock.lock();
        assert!(!lock.comes_free(now() + 1_000_000));
        drop(guard);
        assert!(lock.comes_free(0) && lock.try_lock().is_some());
        thread::scope(|scope| {
            let guard = lock.lock();
            let waiter = scope.spawn(|| lock.comes_free(now() + 60_000_000_000));
            thread::yield_now();
            drop(guard);
            assert!(waiter.join().unwrap() && lock.try_lock().is_some());
        });
    }

    #[test]
    fn a_held_lock_is_not_taken_twice() {
        let lock = Mutex::new(Rank::Leaf, ());
        let guard = lock.lock();
        assert!(lock.try_lock().is_none());
        drop(guard);
        assert!(lock.try_lock().is_some());
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::{cell::UnsafeCell, sync::Arc, thread};
    use std::vec::Vec;

    /// `threads` threads add 1 each. loom finds a use of the value that is not ordered after the last one,
    /// and a thread that sleeps for ever.
    fn count(threads: u32) {
        let total = Arc::new(Mutex::new(Rank::Leaf, UnsafeCell::new(0)));
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let total = total.clone();
                // SAFETY: the lock is held, which is what is tested.
                thread::spawn(move || total.lock().with_mut(|n| unsafe { *n += 1 }))
            })
            .collect();
        // SAFETY: as above.
        total.lock().with_mut(|n| unsafe { *n += 1 });
        others.into_iter().for_each(|thread| thread.join().unwrap());
        // SAFETY: as above.
        assert_eq!(total.lock().with(|n| unsafe { *n }), threads);
    }

    #[test]
    fn two_threads_use_the_value_one_after_the_other() {
        loom::model(|| count(2));
    }

    #[test]
    fn three_threads_use_the_value_one_after_the_other() {
        let mut model = loom::model::Builder::new();
        // All interleavings of three threads with at most two preemptions: more takes hours.
        model.preemption_bound = Some(2);
        model.check(|| count(3));
    }
}
