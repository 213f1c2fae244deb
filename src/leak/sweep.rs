//! Freeing what checks found lost twice running (option `reclaim`): a little with each request, as Go's sweeper does,
//! and the rest on besom's own thread, where there is one. The next check frees what is left before it marks.
//!
//! The check leaves a list in memory of its own, so nothing is allocated for it. Whoever takes the broom frees the next
//! few objects; who finds it taken does something else: another thread, or a signal handler that interrupted a sweep.
//! An object is freed if it is still what the check found: lost, and never given back since.
//!
//! A child of `fork` goes on with what its parent had left: its copies of the objects are lost, too. Of the object that
//! another thread of the parent was just freeing the child may never get the memory.

use super::own_memory;
use crate::base::Addr;
use crate::heap::{self, tracking};
use crate::sys::{futex, rseq, signal, thread, time};
use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Objects that one request frees at most: more would be felt.
const PER_REQUEST: usize = 8;
/// Bytes after which a request frees no more: large objects go back to the page heap, which takes longer.
const BYTES_PER_REQUEST: usize = 64 << 10;
/// Objects that besom's own thread, or a check, frees at once: about a tenth of a millisecond, for which requests need
/// not wait.
const STRETCH: usize = 1024;
/// How long a check sleeps that waits for the broom.
const NAP_NANOSECONDS: u64 = 1_000_000;
/// Naps, about a second, after which besom's own thread waits no longer.
const MOST_NAPS: u32 = 1000;

/// Nobody has the broom. Else its holder's name stands there, so that a handler that forks, and the child, know it.
const FREE: u32 = 0;

/// This thread's name: its thread pointer, which is a multiple of 64 with glibc. It is the same in a child of fork.
fn own_name() -> u32 {
    (rseq::thread_pointer() >> 6) as u32 | 1 << (u32::BITS - 1)
}

/// Objects to free.
struct Queue {
    /// Who is at it.
    broom: AtomicU32,
    /// How many objects are left. They are taken from the list's end.
    left: AtomicUsize,
    /// The list of their addresses, in a mapping of `own_memory`; 0: none.
    list: AtomicUsize,
    /// The check that found them.
    number: AtomicU32,
}

static QUEUE: Queue = Queue::new();

impl Queue {
    const fn new() -> Self {
        Self {
            broom: AtomicU32::new(FREE),
            left: AtomicUsize::new(0),
            list: AtomicUsize::new(0),
            number: AtomicU32::new(0),
        }
    }

    /// Whether there is something to free.
    #[inline(always)]
    fn is_due(&self) -> bool {
        self.left.load(Relaxed) != 0
    }

    /// Takes over the `count` objects in the list at `list`, which check `number` found.
    ///
    /// # Safety
    /// The queue is empty, and one thread at a time calls this. The list is a mapping of `own_memory` with as many
    /// addresses, which the queue gives back.
    unsafe fn put(&self, list: Addr, count: usize, number: u32) {
        self.number.store(number, Relaxed);
        let before = self.list.swap(list.0, Relaxed);
        // Last: whoever sees it sees the others, too.
        self.left.store(count, Release);
        if before != 0 {
            // In a child of fork: the parent had just emptied the queue, and not yet come to this.
            // SAFETY: the queue's, by the promise above, and nobody reads an empty one.
            unsafe { own_memory::unmap(Addr(before)) };
        }
    }

    /// Takes the broom, if it is free.
    fn try_take(&self) -> Option<Broom<'_>> {
        let is_free = self.broom.load(Relaxed) == FREE
            && self.broom.compare_exchange(FREE, own_name(), Acquire, Relaxed).is_ok();
        is_free.then(|| Broom(self))
    }

    /// Waits for the broom to come free, for so long at most.
    fn wait(&self, nanoseconds: u64) {
        match self.broom.load(Relaxed) {
            FREE => {}
            holder => futex::wait_for(&self.broom, holder, nanoseconds),
        }
    }

    /// Takes the broom when it is free. For ever, if code that this thread interrupted has it.
    fn take(&self) -> Broom<'_> {
        loop {
            if let Some(broom) = self.try_take() {
                return broom;
            }
            self.wait(NAP_NANOSECONDS);
        }
    }
}

/// The right to free what is in the queue, given back on drop.
struct Broom<'a>(&'a Queue);

impl Broom<'_> {
    /// Frees up to `count` objects by `free`, which returns their bytes, until these are `bytes` or more.
    fn sweep(&self, count: usize, bytes: usize, free: impl Fn(Addr, u32) -> usize) {
        let mut freed = 0;
        for _ in 0..count {
            let left = self.0.left.load(Acquire);
            if left == 0 || freed >= bytes {
                return;
            }
            // SAFETY: `put` promised a list of as many addresses. It is unmapped by who holds the broom, which is this
            // thread.
            let object = unsafe { Addr(self.0.list.load(Relaxed)).ptr::<Addr>().add(left - 1).read() };
            // Before the object is freed: a fork in between loses it for the child, and does not free it twice.
            self.0.left.store(left - 1, Relaxed);
            freed += free(object, self.0.number.load(Relaxed));
            if left == 1 {
                self.drop_list();
            }
        }
    }

    fn drop_list(&self) {
        // SAFETY: `put` promised a mapping that is the queue's; the queue is empty, so nobody reads it any more.
        unsafe { own_memory::unmap(Addr(self.0.list.swap(0, Relaxed))) };
    }
}

impl Drop for Broom<'_> {
    fn drop(&mut self) {
        self.0.broom.store(FREE, Release);
    }
}

/// Frees the object, if check `number` found it lost and nothing has happened to it since; its bytes.
fn free(object: Addr, number: u32) -> usize {
    // SAFETY: two checks have found that nothing leads to the object. That a program which hides its pointers is broken
    // by this, the option's documentation says.
    unsafe { heap::reclaim(object, number) }.unwrap_or(0)
}

/// Whether there is something to free.
#[inline(always)]
pub(super) fn is_due() -> bool {
    QUEUE.is_due()
}

/// Takes over a list of `count` lost objects, which check `number` found.
///
/// # Safety
/// Only in a check, which has called [`finish`]. The list is a mapping of `own_memory` with as many addresses, and
/// nobody else's any more.
pub(super) unsafe fn put(list: Addr, count: usize, number: u32) {
    tracking::set_relief(relieve);
    // SAFETY: one check at a time, and `finish` has emptied the queue; the rest is the caller's promise.
    unsafe { QUEUE.put(list, count, number) };
}

/// With a request, when no lock is held: frees a few objects.
#[cold]
#[inline(never)]
pub(super) fn some() {
    if heap::may_reclaim()
        && let Some(broom) = QUEUE.try_take()
    {
        broom.sweep(PER_REQUEST, BYTES_PER_REQUEST, free);
    }
}

/// For a request that found no memory, when no lock is held: frees all that is left, unless another thread, or code that
/// this one interrupted, is at it. Whether there was anything.
fn relieve() -> bool {
    let was_due = is_due();
    while is_due()
        && let Some(broom) = QUEUE.try_take()
    {
        broom.sweep(STRETCH, usize::MAX, free);
    }
    was_due
}

/// On besom's own thread: frees all that is left, and lets requests do their part meanwhile. Gives up if nobody gets on: a
/// signal handler that interrupted a sweep may never return.
pub(super) fn all() {
    let mut naps = 0;
    while is_due() && naps < MOST_NAPS {
        match QUEUE.try_take() {
            Some(broom) => {
                broom.sweep(STRETCH, usize::MAX, free);
                naps = 0;
            }
            None => {
                QUEUE.wait(NAP_NANOSECONDS);
                naps += 1;
            }
        }
        thread::give_way();
    }
}

/// Before a check: frees all that is left. Handlers of signals run between stretches only, for they may allocate.
pub(super) fn finish() {
    while is_due() {
        let signals = signal::set_blocked(signal::ASYNCHRONOUS);
        QUEUE.take().sweep(STRETCH, usize::MAX, free);
        signal::set_blocked(signals);
    }
    // Whoever freed the last one may not have come to the end of it.
    drop(QUEUE.take());
}

/// Whether the broom comes free before the monotonic clock shows `deadline` nanoseconds. Not so in a signal handler that
/// interrupted a sweep: [`finish`] would hang.
pub(super) fn comes_free(deadline: u64) -> bool {
    while QUEUE.broom.load(Relaxed) != FREE {
        let Some(left) = deadline.checked_sub(time::nanoseconds()) else { return false };
        if QUEUE.broom.load(Relaxed) == own_name() {
            return false;
        }
        QUEUE.wait(left.min(NAP_NANOSECONDS));
    }
    true
}

/// In a child of fork, where another thread that held the broom does not exist. A handler that has interrupted this one's
/// sweep and forked goes back to it.
///
/// # Safety
/// This is the child's only thread.
pub(super) unsafe fn reset_after_fork() {
    if QUEUE.broom.load(Relaxed) != own_name() {
        QUEUE.broom.store(FREE, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU8;
    use std::vec::Vec;

    /// A queue of made-up objects, the numbers from 1 up.
    fn queue_of(count: usize) -> Queue {
        let (queue, list) = (Queue::new(), own_memory::map(count * size_of::<usize>()).unwrap());
        for index in 0..count {
            // SAFETY: the mapping has room for as many.
            unsafe { list.ptr::<usize>().add(index).write(index + 1) };
        }
        // SAFETY: the queue is new, and the list is what it asks for.
        unsafe { queue.put(list, count, 7) };
        queue
    }

    #[test]
    fn a_request_frees_a_few_objects_and_few_bytes() {
        let queue = queue_of(100);
        let free = |_, number| number as usize;
        queue.try_take().unwrap().sweep(8, 100, free);
        assert_eq!(queue.left.load(Relaxed), 92);
        queue.try_take().unwrap().sweep(8, 2 * 7, free);
        assert_eq!(queue.left.load(Relaxed), 90);
        queue.try_take().unwrap().sweep(1000, usize::MAX, free);
        assert_eq!((queue.is_due(), queue.list.load(Relaxed)), (false, 0), "the list is given back");
        queue.try_take().unwrap().sweep(1, 1, |_, _| panic!("there is none"));
    }

    #[test]
    fn who_interrupts_a_sweep_does_not_sweep() {
        let queue = queue_of(3);
        let free = |_, _| {
            assert!(queue.try_take().is_none());
            1
        };
        queue.try_take().unwrap().sweep(3, 100, free);
        assert!(!queue.is_due() && queue.try_take().is_some());
    }

    #[test]
    fn threads_free_each_object_once() {
        const COUNT: usize = 10_000;
        let queue = queue_of(COUNT);
        let times: Vec<_> = (0..=COUNT).map(|_| AtomicU8::new(0)).collect();
        let free = |object: Addr, _| {
            times[object.0].fetch_add(1, Relaxed);
            1
        };
        std::thread::scope(|scope| {
            for stretch in [1, 2, 8, 100] {
                let (queue, free) = (&queue, &free);
                scope.spawn(move || {
                    while queue.is_due() {
                        queue.take().sweep(stretch, usize::MAX, free);
                    }
                });
            }
        });
        assert!(times[1..].iter().all(|times| times.load(Relaxed) == 1));
        assert_eq!((times[0].load(Relaxed), queue.list.load(Relaxed)), (0, 0));
    }
}
