//! Places that the program shall not get for a while (tracked mode).
//!
//! Words that are out of use often still hold the address of a block that was freed: slots of frames that wait
//! for a call to return, the argument of a thread's start routine. The block that takes that place next would
//! be kept by them in a leak check, though nobody put its address there. Who wants to see all that a piece of
//! code loses names such words here; allocation then puts the places that they lead to aside and takes others.

use super::size_class::{OBJECT_BYTES, TINY_PAGES};
use super::{Request, tiny};
use crate::base::Addr;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Larger objects come from where they come from: what is put aside is memory that nobody can use.
const MOST_BYTES: usize = 64 << 10;

/// Where the words begin, and how many there are; none: nothing is avoided.
static FIRST: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are put aside at most: stale words may name the whole of a heap that was freed.
const MOST_ASIDE_BYTES: usize = 64 << 20;
/// Bytes that are put aside.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// The object put aside last, which holds the address of the one before; 0: none.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// From now on no object gets a place that one of `words`, which are sorted, points to or into. One list at a
/// time.
///
/// # Safety
/// All lists must begin at the same address, in memory as long as the longest of them that is never given back:
/// another thread may look at it after [`end`], with the length of the list before.
pub(crate) unsafe fn begin(words: &'static [AtomicUsize]) {
    FIRST.store(words.as_ptr().expose_provenance(), Relaxed);
    COUNT.store(words.len(), Release);
}

/// Whether anything is put aside.
pub(super) fn is_any() -> bool {
    LAST.load(Relaxed) != 0
}

/// In a child of `fork`, in which the thread that began this may not exist: nothing is avoided. What is put aside is
/// given back by [`end`] if it does.
pub(crate) fn forget() {
    COUNT.store(0, Release);
}

/// All places may be used again.
pub(crate) fn end() {
    COUNT.store(0, Release);
    BYTES.store(0, Relaxed);
    let mut object = LAST.swap(0, Acquire);
    while object != 0 {
        // SAFETY: `put` wrote the word into an object that is nobody else's.
        let before = unsafe { Addr(object).ptr::<usize>().read() };
        super::free_to_cache(Addr(object), super::Operation::Free);
        object = before;
    }
}

/// Whether a request is not to be served with `object`.
#[inline(always)]
pub(super) fn is_named(object: Addr, request: &Request) -> bool {
    let count = COUNT.load(Acquire);
    count > 0 && is_among(count, object, request)
}

#[cold]
#[inline(never)]
fn is_among(count: usize, object: Addr, request: &Request) -> bool {
    let bytes = match request.class {
        0 => request.bytes,
        TINY_PAGES => OBJECT_BYTES[tiny::OWN_CLASS] as usize,
        class => OBJECT_BYTES[class] as usize,
    };
    if bytes > MOST_BYTES || BYTES.load(Relaxed) + bytes > MOST_ASIDE_BYTES {
        return false;
    }
    // SAFETY: `begin` stored the parts of a static slice, and by its contract its memory has room for every list.
    let words = unsafe { core::slice::from_raw_parts(Addr(FIRST.load(Relaxed)).ptr::<AtomicUsize>(), count) };
    // Another thread may be writing the next list by now: a word that was above may be below when it is read again.
    let next = words.partition_point(|word| word.load(Relaxed) < object.0);
    let is_named = words.get(next).is_some_and(|word| word.load(Relaxed).wrapping_sub(object.0) < bytes);
    if is_named {
        BYTES.fetch_add(bytes, Relaxed);
    }
    is_named
}

/// Puts an object aside until [`end`].
///
/// # Safety
/// It has been allocated and nobody else has it.
pub(super) unsafe fn put(object: Addr) {
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
