//! Starting something once, by whichever thread comes first.
//!
//! The thread that starts may come back in from what it calls: it is told "not yet" instead of waiting for
//! itself. A start that fails is not tried again.

use super::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
#[cfg(loom)]
use loom::sync::Mutex;
#[cfg(not(loom))]
use spin::Mutex;

const NOT_STARTED: u32 = 0;
const STARTED: u32 = 1;
const FAILED: u32 = 2;

/// Something that has to be started.
pub(crate) struct Once {
    state: AtomicU32,
    /// The thread that starts it, by its thread pointer; 0: none.
    starter: AtomicUsize,
    /// Held while it starts.
    starting: Mutex<()>,
}

impl Once {
    /// Not started.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU32::new(NOT_STARTED), starter: AtomicUsize::new(0), starting: Mutex::new(()) }
    }

    /// Not started, under loom.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(NOT_STARTED), starter: AtomicUsize::new(0), starting: Mutex::new(()) }
    }

    /// Whether it has started; what the start did is visible then.
    #[inline]
    pub(crate) fn is_started(&self) -> bool {
        self.state.load(Acquire) == STARTED
    }

    /// Starts it by `start`, which says whether that worked, or waits until another thread has. `me` is
    /// this thread's own number, not 0. `false`: it has failed, or this is the thread that starts it.
    #[cold]
    pub(crate) fn start(&self, me: usize, start: impl FnOnce() -> bool) -> bool {
        // Relaxed: only this thread stores its own number, and takes it back.
        if self.state.load(Relaxed) == FAILED || self.starter.load(Relaxed) == me {
            return self.is_started();
        }
        let _starting = lock(&self.starting);
        if self.state.load(Relaxed) == NOT_STARTED {
            self.starter.store(me, Relaxed);
            let state = if start() { STARTED } else { FAILED };
            self.state.store(state, Release);
            self.starter.store(0, Relaxed);
        }
        self.is_started()
    }
}

#[cfg(not(loom))]
fn lock(mutex: &Mutex<()>) -> spin::MutexGuard<'_, ()> {
    mutex.lock()
}
#[cfg(loom)]
fn lock(mutex: &Mutex<()>) -> loom::sync::MutexGuard<'_, ()> {
    mutex.lock().unwrap()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_not_tried_again() {
        let once = Once::new();
        assert!(!once.start(1, || false));
        assert!(!once.start(2, || panic!("tried again")) && !once.is_started());
    }

    #[test]
    fn the_starter_may_come_back_in() {
        let once = Once::new();
        assert!(once.start(1, || !once.start(1, || panic!("started twice"))));
        assert!(once.is_started() && once.start(2, || panic!("started twice")));
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::{cell::UnsafeCell, sync::Arc, thread};

    struct Thing {
        once: Once,
        /// Written by the start alone: loom finds a second start and a reader that is not ordered after it.
        value: UnsafeCell<u32>,
    }

    fn use_it(thing: &Thing, me: usize) {
        // SAFETY: what is tested: starts exclude each other and come before all reads.
        let start = || unsafe {
            thing.value.with_mut(|value| *value += 1);
            !thing.once.is_started() && !thing.once.start(me, || false)
        };
        assert!(thing.once.is_started() || thing.once.start(me, start));
        // SAFETY: as above.
        assert_eq!(thing.value.with(|value| unsafe { *value }), 1);
    }

    #[test]
    fn it_starts_once_and_everybody_sees_it() {
        loom::model(|| {
            let thing = Arc::new(Thing { once: Once::new(), value: UnsafeCell::new(0) });
            let other = thing.clone();
            let thread = thread::spawn(move || use_it(&other, 2));
            use_it(&thing, 1);
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_failed_start_is_tried_by_one_thread_only() {
        loom::model(|| {
            let once = Arc::new((Once::new(), UnsafeCell::new(0)));
            let other = once.clone();
            // SAFETY: what is tested: the starts exclude each other.
            let fail = |count: &UnsafeCell<u32>| count.with_mut(|n| unsafe { *n += 1 });
            let thread = thread::spawn(move || {
                assert!(!other.0.start(2, || {
                    fail(&other.1);
                    false
                }))
            });
            assert!(!once.0.start(1, || {
                fail(&once.1);
                false
            }));
            thread.join().unwrap();
            // SAFETY: both threads are done.
            assert_eq!(once.1.with(|n| unsafe { *n }), 1);
        });
    }
}
