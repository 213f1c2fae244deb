//! Words that lead to no object, though they look as if: addresses of freed blocks, for the most part.
//!
//! The check that begins an assertion finds them while it marks. From then on, until the assertion is over, no block
//! gets a place that one of them leads to (`heap::aside`). So they hide nothing that is allocated meanwhile.

use super::own_memory::{self, NoMemory};
use crate::base::Addr;
use crate::heap::{aside, pages, word_map::WordMap};
use crate::sys::rseq;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// The thread whose assertion it is that goes on, by its thread pointer; 0: there is none.
static OWNER: AtomicUsize = AtomicUsize::new(0);

/// Assertions that go on, of all threads.
static ASSERTIONS: AtomicUsize = AtomicUsize::new(0);

/// An assertion that goes on as long as this lives.
pub(crate) struct Assertion(());

impl Assertion {
    /// One more.
    pub(crate) fn begin() -> Self {
        ASSERTIONS.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for Assertion {
    fn drop(&mut self) {
        ASSERTIONS.fetch_sub(1, Relaxed);
    }
}

/// Whether an assertion goes on. What is lost must stay until it is over: it compares what two checks find. Checks come
/// one after the other, so those of an assertion see it.
pub(super) fn is_assertion_on() -> bool {
    ASSERTIONS.load(Relaxed) != 0
}

/// The stale words of the one assertion at a time that avoids them: a bit for each word of the heap that one points to,
/// in memory that parent and child share, since the child finds them. Nobody writes there after that check, so that a
/// process which the assertion's body forks may go on reading.
pub(crate) struct Stale {
    at: Addr,
    words: WordMap,
}

impl Stale {
    /// None so far. `Ok(None)` if an assertion goes on: within or beside it another avoids nothing.
    pub(crate) fn new() -> Result<Option<Self>, NoMemory> {
        if OWNER.compare_exchange(0, rseq::thread_pointer(), Acquire, Relaxed).is_err() {
            return Ok(None);
        }
        let heap_bytes = pages::grown_bytes();
        let Some(at) = own_memory::map_shared(WordMap::bytes_for(heap_bytes)) else {
            OWNER.store(0, Release);
            return Err(NoMemory);
        };
        // SAFETY: zeroed memory of as many bytes, which goes when nobody uses the map.
        let words = unsafe { WordMap::new(at, heap_bytes) };
        Ok(Some(Self { at, words }))
    }

    /// Notes a word, if it leads into the heap.
    pub(crate) fn note(&self, word: usize) {
        self.words.set(word);
    }

    /// The places that the words lead to are avoided from now on, as long as `self` lives.
    pub(crate) fn avoid(&self) {
        // SAFETY: `drop` unmaps them only if nobody looks at them.
        unsafe { aside::begin(self.words) };
    }

    /// Whether a block got such a place all the same: memory ran out, or too many places are avoided.
    pub(crate) fn could_not_avoid(&self) -> bool {
        aside::has_failed()
    }
}

impl Drop for Stale {
    fn drop(&mut self) {
        // A thread that stands still while it looks at them, for a moment as a rule, keeps them for good.
        if aside::end() {
            // SAFETY: made by `new`, and nobody looks at them.
            unsafe { own_memory::unmap(self.at) };
        }
        OWNER.store(0, Release);
    }
}

/// In a child of `fork`: it goes on with the stale words of the thread that forked, and with no others. Whose
/// [`ASSERTIONS`] go on there is not known, so all are taken to.
pub(super) fn reset_after_fork() {
    if OWNER.load(Relaxed) != rseq::thread_pointer() {
        aside::end();
        OWNER.store(0, Relaxed);
    }
}
