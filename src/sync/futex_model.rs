//! A futex for loom, from a lock and a condition: unlike a sleeper that only yields, one that is never
//! woken is found.

use super::atomic::{AtomicU32, Ordering::SeqCst};
use loom::sync::{Condvar, Mutex};

/// The kernel's queue of one futex word.
pub(super) struct Futex {
    queue: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::new(()), woken: Condvar::new() }
    }

    /// Sleeps if `word` still holds `expected`, which is looked at under the queue's lock as in the kernel.
    pub(super) fn wait(&self, word: &AtomicU32, expected: u32) {
        let queue = self.queue.lock().unwrap();
        if word.load(SeqCst) == expected {
            drop(self.woken.wait(queue).unwrap());
        }
    }

    pub(super) fn wake_one(&self) {
        let _queue = self.queue.lock().unwrap();
        self.woken.notify_one();
    }
}
