//! Changing an object's size: in place where its class stays the same, by page tables where it is large.

use super::size_class::{LARGE_PAGES, TINY_PAGES};
use super::{Operation, arena, aside, fork, large, mcache, page_map, span, tracking, usable_bytes};
use crate::base::{Addr, PAGE_BYTES};
use core::ptr::null_mut;

/// Changes the object at `object` to `bytes`, of class `class` (0: large), and returns where it is then.
/// Null: no memory, and the object is as it was.
///
/// An object stays where it is exactly if its class does, so that a sized free finds the class that the
/// size says. `old_bytes` is what is worth copying: what was requested, if the caller knows, else what
/// the object may use. `allocate` makes the new object.
///
/// # Safety
/// The object is live, is the caller's, and at least `old_bytes` long.
pub(crate) unsafe fn realloc(
    object: *mut u8,
    bytes: usize,
    class: usize,
    old_bytes: Option<usize>,
    allocate: impl FnOnce() -> *mut u8,
) -> *mut u8 {
    let addr = Addr::of(object);
    // Also the test that the pointer is an object.
    let usable = usable_bytes(object, Operation::Realloc);
    let old_bytes = old_bytes.unwrap_or(usable);
    let old_class = page_map::entry(addr).class();
    // A packed object's class says nothing of its size, nor of what a longer one's alignment must be.
    let fits = match class {
        0 => false,
        TINY_PAGES => bytes <= old_bytes && addr.0.is_multiple_of(super::c_packed_align(bytes)),
        _ => true,
    };
    if class == old_class && fits {
        note_resize(addr, bytes);
        return object;
    }
    if class == 0
        && old_class == LARGE_PAGES
        && let Some(moved) = resize_large(addr, bytes)
    {
        return moved;
    }
    let new = allocate();
    if new.is_null() {
        return null_mut();
    }
    // SAFETY: the objects are distinct and live, and both are at least as long as what is copied.
    unsafe {
        core::ptr::copy_nonoverlapping(object, new, old_bytes.min(bytes));
        super::free(object, Operation::Realloc);
    }
    new
}

/// Changes the object at `object`, of a Rust layout of `old_bytes` at `align`, to `bytes`.
///
/// # Safety
/// The object came from [`super::alloc_layout`] with that layout and is the caller's.
#[inline]
pub(crate) unsafe fn realloc_layout(
    object: *mut u8,
    old_bytes: usize,
    align: usize,
    bytes: usize,
) -> *mut u8 {
    let class = super::class_of_layout(bytes, align);
    let same_class = class == super::class_of_layout(old_bytes, align);
    // Between two small classes nothing needs to be looked up: the layouts say all there is to know.
    if class != 0 && class != TINY_PAGES && same_class && !mcache::is_tracked() {
        return object;
    }
    // SAFETY: passed on to the caller.
    unsafe {
        if align > PAGE_BYTES
            || class == TINY_PAGES
            || arena::is_active()
            || (class != 0 && !mcache::is_tracked())
        {
            return copy(object, old_bytes, align, bytes);
        }
        realloc(object, bytes, class, Some(old_bytes), || super::alloc_layout(bytes, align, false))
    }
}

/// Moves an object to a new one of another layout.
///
/// # Safety
/// As for [`realloc_layout`].
unsafe fn copy(object: *mut u8, old_bytes: usize, align: usize, bytes: usize) -> *mut u8 {
    let new = super::alloc_layout(bytes, align, false);
    if !new.is_null() {
        // SAFETY: the objects are distinct and live, and both are at least as long as what is copied.
        unsafe {
            core::ptr::copy_nonoverlapping(object, new, old_bytes.min(bytes));
            super::dealloc_layout(object, old_bytes, align);
        }
    }
    new
}

/// A large object that stays large: in place if the pages behind it are free, else by moving its page
/// tables. `None`: it has to be copied.
fn resize_large(object: Addr, bytes: usize) -> Option<*mut u8> {
    let span = span::containing(object)?;
    if bytes > isize::MAX as usize {
        return None;
    }
    if fork::is_holder() {
        return fork::step_aside(|| resize_large(object, bytes));
    }
    let grown = bytes.next_multiple_of(PAGE_BYTES);
    if !aside::is_growth_named(object, span.object_bytes(), grown) && large::resize_in_place(span, bytes) {
        note_resize(object, bytes);
        return Some(object.ptr());
    }
    // In tracked mode the object is copied, so that its record moves with it.
    if mcache::is_tracked() {
        return None;
    }
    large::grow_by_moving_pages(span, bytes).map(Addr::ptr)
}

fn note_resize(object: Addr, bytes: usize) {
    if mcache::is_tracked() {
        tracking::note_resize(object, bytes);
    }
}
