//! Rust's interface.

use crate::heap;
use core::alloc::{GlobalAlloc, Layout};

/// besom as a Rust allocator.
///
/// ```
/// #[global_allocator]
/// static ALLOC: besom::Besom = besom::Besom;
///
/// assert_eq!("many small objects".split(' ').count(), 3);
/// assert!(besom::stats().heap_in_use > 0);
/// ```
///
/// A layout says the alignment, which a C request does not: 24-byte objects with an alignment of 8, such
/// as `String` and `Vec`, take 24 bytes here and 32 under C's rules. `dealloc` finds the class by the
/// layout, without looking at the heap.
#[derive(Clone, Copy, Default, Debug)]
pub struct Besom;

// SAFETY: the heap gives out memory of at least the size and alignment asked for, to one owner at a time,
// keeps it until it is freed, and reports failure by null; nothing in it unwinds.
unsafe impl GlobalAlloc for Besom {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        heap::alloc_layout(layout.size(), layout.align(), false)
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        heap::alloc_layout(layout.size(), layout.align(), true)
    }

    #[inline]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        // SAFETY: the caller got the object for this layout and gives it up.
        unsafe { heap::dealloc_layout(object, layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn realloc(&self, object: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller got the object for this layout and gives it up if this succeeds.
        unsafe { heap::realloc_layout(object, layout.size(), layout.align(), new_size) }
    }
}

/// The same for the report's own memory in libbesom.so: a fast path inlined into each of its few hundred
/// requests would have a restartable section there, whose descriptor the dynamic linker relocates at every
/// start.
#[cfg(all(feature = "shared", not(test)))]
pub(crate) struct OutOfLine;

// SAFETY: as for `Besom`, which does it all.
#[cfg(all(feature = "shared", not(test)))]
unsafe impl GlobalAlloc for OutOfLine {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on to the caller.
        unsafe { Besom.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on to the caller.
        unsafe { Besom.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        unsafe { Besom.dealloc(object, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, object: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: passed on to the caller.
        unsafe { Besom.realloc(object, layout, new_size) }
    }
}
