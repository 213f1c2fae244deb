//! Places that the program shall not get for a while (tracked mode).
//!
//! Words that are out of use often still hold the address of a block that was freed: slots of frames that wait
//! for a call to return, the argument of a thread's start routine. The block that takes that place next would
//! be kept by them in a leak check, though nobody put its address there. Who wants to see all that a piece of
//! code loses names such words here; allocation then puts the places that they lead to aside and takes others.

use super::{span, word_map::WordMap};
use crate::base::Addr;
use core::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};

/// Larger objects come from where they come from: what is put aside is memory that nobody can use.
const MOST_BYTES: usize = 64 << 10;
/// Bytes that are put aside at most: stale words may name the whole of a heap that was freed.
const MOST_ASIDE_BYTES: usize = 64 << 20;

/// Where the map is of what stale words point to; 0: nothing is avoided.
static NAMED: AtomicUsize = AtomicUsize::new(0);
/// Threads that may be looking at it. A child of `fork` goes on counting those of its parent's that were, and so never
/// unmaps a map: better than to lose count of a reader that a signal handler which forks has interrupted.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are put aside.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// The object put aside last, which holds the address of the one before; 0: none.
static LAST: AtomicUsize = AtomicUsize::new(0);
/// Whether the program got a place that was to be avoided.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// From now on no object gets a place whose bit in `named` is set. One map at a time.
///
/// # Safety
/// The map's memory must stay until [`end`] says that nobody looks at it.
pub(crate) unsafe fn begin(named: WordMap) {
    HAS_FAILED.store(false, Relaxed);
    NAMED.store(named.addr().0, SeqCst);
}

/// Whether, since [`begin`], the program has got a place that was to be avoided, for want of others.
pub(crate) fn has_failed() -> bool {
    HAS_FAILED.load(Relaxed)
}

/// All places may be used again. `false`: another thread is looking at the map yet.
pub(crate) fn end() -> bool {
    NAMED.store(0, SeqCst);
    give_back();
    READERS.load(SeqCst) == 0
}

/// What is put aside may be used again; `false`: nothing is.
pub(super) fn give_back() -> bool {
    BYTES.store(0, Relaxed);
    let mut object = LAST.swap(0, Acquire);
    let is_any = object != 0;
    while object != 0 {
        // No address stays there: it would be a stale word itself.
        // SAFETY: `put` wrote the word into an object that is nobody else's.
        let before = unsafe { Addr(object).ptr::<usize>().replace(0) };
        super::free_to_cache(Addr(object), super::Operation::Free);
        object = before;
    }
    is_any
}

/// Whether `object`, just allocated, is put aside, so that its request needs another. Unless `may_keep`, it has to serve.
#[inline(always)]
pub(super) fn keeps(object: Addr, may_keep: bool) -> bool {
    NAMED.load(Relaxed) != 0 && keeps_named(object, may_keep)
}

#[cold]
#[inline(never)]
fn keeps_named(object: Addr, may_keep: bool) -> bool {
    // All of its place counts: a word into what was not requested leads to the object, too.
    let Some(bytes) = span::containing(object).map(span::Span::object_bytes) else { return false };
    if bytes > MOST_BYTES || !is_named(object, bytes) {
        return false;
    }
    if !may_keep || BYTES.load(Relaxed) + bytes > MOST_ASIDE_BYTES {
        HAS_FAILED.store(true, Relaxed);
        return false;
    }
    BYTES.fetch_add(bytes, Relaxed);
    // SAFETY: the caller has just allocated it, and its request is served with another one.
    unsafe { put(object) };
    true
}

/// Whether a stale word points into what `object` would get if it grew in place from `old` to `new` bytes.
pub(super) fn is_growth_named(object: Addr, old: usize, new: usize) -> bool {
    NAMED.load(Relaxed) != 0 && old < new && new <= MOST_BYTES && is_named(object.plus(old), new - old)
}

fn is_named(start: Addr, bytes: usize) -> bool {
    READERS.fetch_add(1, SeqCst);
    let is_named = match NAMED.load(SeqCst) {
        0 => false,
        // SAFETY: `begin` stored it. Either `end` sees this reader, and the map stays, or it is not found here: all
        // accesses of the two words are in one order.
        at => unsafe { WordMap::at(Addr(at)) }.is_any_set(start, bytes),
    };
    READERS.fetch_sub(1, SeqCst);
    is_named
}

/// Puts an object aside until [`give_back`].
///
/// # Safety
/// It has been allocated and nobody else has it.
unsafe fn put(object: Addr) {
    let mut before = LAST.load(Relaxed);
    loop {
        // SAFETY: an object has room for a word, and this one is the caller's.
        unsafe { object.ptr::<usize>().write(before) };
        match LAST.compare_exchange_weak(before, object.0, AcqRel, Relaxed) {
            Ok(_) => return,
            Err(now) => before = now,
        }
    }
}
