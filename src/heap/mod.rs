//! The heap: Go's layers from the size class down to the operating system.
//!
//! The functions here are what the interfaces (`abi`) call. Each has a fast path of a table look-up and a
//! restartable section, and one slow path that sorts out everything else: start-up, tracking, large and
//! tiny objects, empty and full caches, wrong pointers.

pub(crate) mod address_space;
pub(crate) mod arena;
pub(crate) mod aside;
mod bootstrap;
pub(crate) mod central;
#[cfg(test)]
pub(crate) mod check;
pub(crate) mod diagnose;
pub(crate) mod fork;
mod init;
mod large;
mod maintenance;
pub(crate) mod mcache;
#[cfg(besom_measure)]
pub mod measure;
#[cfg(test)]
mod oracle;
pub(crate) mod page_heap;
pub(crate) mod page_map;
pub(crate) mod pages;
mod realloc;
pub(crate) mod run_cache;
pub(crate) mod size_class;
pub(crate) mod snapshot;
pub(crate) mod span;
mod start_bits;
mod tiny;
pub(crate) mod tracking;
pub(crate) mod word_map;

pub(crate) use diagnose::Operation;
pub(crate) use init::{ensure_started, is_started};
#[cfg(feature = "override")]
pub(crate) use large::counts as large_counts;
#[cfg(feature = "dlopen")]
pub(crate) use maintenance::code as maintenance_code;
pub(crate) use maintenance::{maintain, release_free_memory};
#[cfg(any(test, feature = "override"))]
pub(crate) use realloc::realloc;
pub(crate) use realloc::realloc_layout;
pub(crate) use snapshot::snapshot;

use crate::base::Addr;
use core::ptr::null_mut;
use size_class::{
    LARGE_PAGES, TINY_PAGES, c_class_of, c_class_of_aligned, class_of_aligned, is_object_start,
};

/// What a caller of the slow path wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Bytes.
    pub(crate) bytes: usize,
    /// A power of two.
    pub(crate) align: usize,
    /// The class that the fast path found: 0 for large, [`TINY_PAGES`] for packed.
    pub(crate) class: usize,
    /// Whether the memory must be zero.
    pub(crate) zeroed: bool,
    /// Whether it will hold no pointers.
    pub(crate) noscan: bool,
}

/// The alignment that C promises for every request.
pub(crate) const C_ALIGN: usize = 16;

/// The fast path for C: `bytes` at the alignment that an object of that size may need. `None`: it takes
/// [`alloc_c_slow`].
#[inline(always)]
pub(crate) fn alloc_c_fast(bytes: usize) -> Option<Addr> {
    if bytes > size_class::MAX_SMALL_BYTES {
        return None;
    }
    mcache::pop(c_class_of(bytes))
}

/// The rest of [`alloc_c_fast`]. Null: no memory.
pub(crate) fn alloc_c_slow(bytes: usize, zeroed: bool, noscan: bool) -> *mut u8 {
    alloc_slow(Request { bytes, align: C_ALIGN, class: c_class_of(bytes), zeroed, noscan })
}

/// Allocates for C, zeroed on the fast path's side if `zeroed`. Null: no memory.
#[inline(always)]
pub(crate) fn alloc_c(bytes: usize, zeroed: bool) -> *mut u8 {
    match alloc_c_fast(bytes) {
        Some(object) => {
            if zeroed {
                // SAFETY: an object of the class, of at least `bytes`, that nobody else has.
                unsafe { core::ptr::write_bytes(object.ptr::<u8>(), 0, bytes) };
            }
            object.ptr()
        }
        None => alloc_c_slow(bytes, zeroed, false),
    }
}

/// Allocates for C memory that will hold no pointers. Null: no memory.
#[inline]
pub(crate) fn alloc_c_noscan(bytes: usize) -> *mut u8 {
    match alloc_c_fast(bytes) {
        // Nothing is tracked, or the fast path would have been off: nobody wants to know.
        Some(object) => object.ptr(),
        None => alloc_c_slow(bytes, false, true),
    }
}

/// Allocates `bytes` at `align`, a power of two. Null: no memory.
#[inline(always)]
pub(crate) fn alloc_aligned(bytes: usize, align: usize) -> *mut u8 {
    if align <= C_ALIGN {
        return alloc_c(bytes.max(align), false);
    }
    let class = c_class_of_aligned(bytes, align);
    match mcache::pop(class) {
        Some(object) => object.ptr(),
        None => alloc_slow(Request { bytes, align, class, zeroed: false, noscan: false }),
    }
}

/// The class of a Rust layout: a pure function, on which [`dealloc_layout`] relies.
#[inline(always)]
fn class_of_layout(bytes: usize, align: usize) -> usize {
    if tiny::is_tiny(bytes, align) { TINY_PAGES } else { class_of_aligned(bytes, align) }
}

/// Allocates for a Rust layout. Null: no memory.
#[inline(always)]
pub(crate) fn alloc_layout(bytes: usize, align: usize, zeroed: bool) -> *mut u8 {
    let class = class_of_layout(bytes, align);
    if class == TINY_PAGES {
        return alloc_packed(bytes, align, zeroed);
    }
    if let Some(object) = mcache::pop(class) {
        if zeroed {
            // SAFETY: an object of the class, of at least `bytes`, that nobody else has.
            unsafe { core::ptr::write_bytes(object.ptr::<u8>(), 0, bytes) };
        }
        return object.ptr();
    }
    alloc_layout_slow(bytes, align, zeroed)
}

/// A packed object for a Rust layout. Not inline: the other sizes' way needs no frame, and this one some registers.
#[inline(never)]
fn alloc_packed(bytes: usize, align: usize, zeroed: bool) -> *mut u8 {
    let Some(object) = tiny::alloc_fast(bytes, align) else {
        // Jumped to, not called, so that the program's stacks are the same for all sizes.
        return alloc_layout_slow(bytes, align, zeroed);
    };
    if zeroed {
        // SAFETY: an object of `bytes` that nobody else has.
        unsafe { core::ptr::write_bytes(object.ptr::<u8>(), 0, bytes) };
    }
    object.ptr()
}

/// [`alloc_layout`] by the slow path.
#[cold]
#[inline(never)]
fn alloc_layout_slow(bytes: usize, align: usize, zeroed: bool) -> *mut u8 {
    // Memory that can't hold an aligned pointer need not be searched for one.
    let noscan = align < align_of::<usize>();
    alloc_slow(Request { bytes, align, class: class_of_layout(bytes, align), zeroed, noscan })
}

/// Frees an object of a Rust layout.
///
/// # Safety
/// `object` came from [`alloc_layout`] with this layout and is not used any more.
#[inline(always)]
pub(crate) unsafe fn dealloc_layout(object: *mut u8, bytes: usize, align: usize) {
    let class = class_of_layout(bytes, align);
    if class == TINY_PAGES {
        return dealloc_packed(Addr::of(object));
    }
    // SAFETY: an object of this class, by the caller's promise. Large ones, and all objects where the fast path is off,
    // are not taken here: their stacks are full.
    if unsafe { mcache::push(class, Addr::of(object)) } {
        return;
    }
    free_slow(Addr::of(object), Operation::Free);
}

/// Frees an object of a Rust layout that is packed, or was not for want of a CPU to pack it on.
#[inline(never)]
fn dealloc_packed(object: Addr) {
    if page_map::entry(object).class() != TINY_PAGES || mcache::is_tracked() {
        return free_slow(object, Operation::Free);
    }
    if let Some(block) = tiny::free_fast(object, Operation::Free) {
        give_tiny_block(block);
    }
}

/// Returns an empty block of packed objects, for which the CPU's stack has no room.
#[cold]
#[inline(never)]
fn give_tiny_block(block: usize) {
    if fork::is_holder() {
        return fork::step_aside(|| tiny::give_block(block));
    }
    tiny::give_block(block);
    maintenance::tick();
}

/// Frees an object of the C interface, whatever its class; null is fine.
///
/// # Safety
/// The program does not use the object any more. A pointer that is no object is found and ends the
/// process, unless it is an object that was freed before: that is found when it reaches its span.
#[inline(always)]
pub(crate) unsafe fn free(object: *mut u8, operation: Operation) {
    let addr = Addr::of(object);
    let entry = page_map::entry(addr);
    if is_object_start(entry.class(), entry.span_offset(addr))
        // SAFETY: the pointer is where an object of the class begins.
        && unsafe { mcache::push_looked_up(entry.class(), addr) }
    {
        return;
    }
    free_slow(addr, operation);
}

/// Frees an object of the C interface of known size; null is fine. A size of another class than the
/// object's ends the process.
///
/// # Safety
/// As for [`free`].
#[inline(always)]
pub(crate) unsafe fn free_sized(object: *mut u8, bytes: usize, align: usize, operation: Operation) {
    let addr = Addr::of(object);
    let entry = page_map::entry(addr);
    let class = c_class_of_aligned(bytes, align);
    if class == entry.class()
        && is_object_start(class, entry.span_offset(addr))
        // SAFETY: the pointer is where an object of the class begins.
        && unsafe { mcache::push(class, addr) }
    {
        return;
    }
    free_sized_slow(addr, bytes, class, operation);
}

#[cold]
#[inline(never)]
fn free_sized_slow(object: Addr, bytes: usize, class: usize, operation: Operation) {
    let found = page_map::entry(object).class();
    let expected = if class == 0 { LARGE_PAGES } else { class };
    // Where small objects are packed, a size says only that the class is one of two. A foreign pointer is
    // diagnosed below.
    let packed = found == TINY_PAGES || (class == TINY_PAGES && found == tiny::OWN_CLASS);
    if found != 0 && found != expected && !packed || !large::may_be_of_size(object, bytes) {
        operation.bad_size(object, bytes);
    }
    free_slow(object, operation);
}

/// Everything that the fast path of an allocation does not do. Null: no memory.
#[cold]
#[inline(never)]
pub(crate) fn alloc_slow(request: Request) -> *mut u8 {
    let mut may_keep = true;
    loop {
        let popped = if mcache::is_tracked() { pop_tracked(&request) } else { None };
        match popped.map_or_else(|| alloc_missed(request), Taken::ToNote) {
            Taken::ToNote(object) if aside::keeps(object, may_keep) => continue,
            Taken::ToNote(object) => {
                // One call for all, or the same stack of the program's would be two by the frames that it has in here.
                if tracking::note_alloc(object, request.bytes, request.noscan) {
                    return object.ptr();
                }
                free_to_cache(object, Operation::Free);
            }
            Taken::Done(object) if !object.is_null() => return object,
            Taken::Done(_) => {}
        }
        // No memory: what is put aside or waits to be freed is some. Once, and not where the heap's locks are held.
        if !may_keep || arena::is_active() || fork::is_holder() || !find_memory() {
            return null_mut();
        }
        may_keep = false;
    }
}

/// Frees what the program does not have and nobody needs; `false`: nothing is left of that.
#[cold]
fn find_memory() -> bool {
    let was_aside = aside::give_back();
    tracking::relieve() || was_aside
}

/// What came of a request.
enum Taken {
    /// An object that tracking has to note.
    ToNote(Addr),
    /// What the program gets; null: no memory.
    Done(*mut u8),
}

/// The usual case in tracked mode: a small object from the cache. `None`: not this case.
#[inline(always)]
fn pop_tracked(request: &Request) -> Option<Addr> {
    if fork::is_holder() || arena::is_active() {
        return None;
    }
    let class = if request.class == TINY_PAGES { tiny::OWN_CLASS } else { request.class };
    let object = mcache::pop_tracked(class)?;
    if request.zeroed {
        // SAFETY: an object of the class, of at least `bytes`, that nobody else has.
        unsafe { core::ptr::write_bytes(object.ptr::<u8>(), 0, request.bytes) };
    }
    Some(object)
}

#[inline(never)]
fn alloc_missed(request: Request) -> Taken {
    if request.bytes > isize::MAX as usize {
        return Taken::Done(null_mut());
    }
    if !ensure_started() {
        return Taken::Done(bootstrap::alloc(request.bytes, request.align).map_or(null_mut(), Addr::ptr));
    }
    if fork::is_holder() {
        return Taken::Done(fork::step_aside(|| alloc_slow(request)));
    }
    if !mcache::is_tracked() {
        let object = alloc_or_empty_caches(request);
        maintenance::tick();
        return Taken::Done(object.map_or(null_mut(), Addr::ptr));
    }
    if arena::is_active() {
        // The heap's locks may be held by threads that are stopped: nothing below may run.
        // SAFETY: the arena is active for this thread.
        let object = unsafe { arena::alloc(request.bytes, request.align) };
        return Taken::Done(object.map_or(null_mut(), Addr::ptr));
    }
    // Never packed, so that there is a record per object.
    let class = if request.class == TINY_PAGES { tiny::OWN_CLASS } else { request.class };
    let object = alloc_or_empty_caches(Request { class, ..request });
    maintenance::tick();
    object.map_or(Taken::Done(null_mut()), Taken::ToNote)
}

/// As [`alloc_untracked`], and once more if what waits in caches may help: that is no reason to fail.
fn alloc_or_empty_caches(request: Request) -> Option<Addr> {
    alloc_untracked(request)
        .or_else(|| maintenance::empty_caches_for(request.bytes).then(|| alloc_untracked(request)).flatten())
}

fn alloc_untracked(request: Request) -> Option<Addr> {
    let object = match request.class {
        0 => return large::alloc(request.bytes, request.align, request.zeroed),
        TINY_PAGES => alloc_tiny(request)?,
        class => mcache::alloc_miss(class)?,
    };
    if request.zeroed {
        // SAFETY: an object of the class, of at least `bytes`, that nobody else has.
        unsafe { core::ptr::write_bytes(object.ptr::<u8>(), 0, request.bytes) };
    }
    Some(object)
}

/// A packed object; for C, whose sizes are not known at `free`, with its size noted.
fn alloc_tiny(request: Request) -> Option<Addr> {
    if request.align < C_ALIGN {
        return tiny::alloc(request.bytes, request.align);
    }
    let bytes = request.bytes.max(1);
    if bytes > tiny::MAX_BYTES {
        return alloc_untracked(Request { class: tiny::OWN_CLASS, ..request });
    }
    let object = tiny::alloc(bytes, c_packed_align(bytes))?;
    tiny::note_size(object, bytes);
    Some(object)
}

/// The alignment of a packed C object: one of n bytes may need the largest power of two up to n.
fn c_packed_align(bytes: usize) -> usize {
    init::c_min_align().max(1 << bytes.max(1).ilog2())
}

/// The usual case in tracked mode: a small object that the cache has room for. `false`: not this case.
#[inline(always)]
fn free_small_tracked(object: Addr, operation: Operation) -> bool {
    if fork::is_holder() || arena::is_active() {
        return false;
    }
    let Some(small) = tracking::small(object) else { return false };
    if !small.note_free() {
        operation.bad_pointer(object);
    }
    // SAFETY: an object of the class that the program had, and has given back.
    unsafe {
        if !mcache::push_tracked(small.class, object) {
            mcache::free_miss(small.class, object);
            maintenance::tick();
        }
    }
    true
}

/// Everything that the fast path of a free does not do.
#[cold]
#[inline(never)]
pub(crate) fn free_slow(object: Addr, operation: Operation) {
    if mcache::is_tracked() && free_small_tracked(object, operation) {
        return;
    }
    if object == Addr(0) || bootstrap::contains(object) {
        return;
    }
    if !ensure_started() {
        operation.bad_pointer(object);
    }
    if fork::is_holder() {
        return fork::step_aside(|| free_slow(object, operation));
    }
    if mcache::is_tracked() {
        if arena::is_active() {
            return;
        }
        check_start(object, operation);
        tracking::note_free(object, operation);
    }
    free_to_cache(object, operation);
    maintenance::tick();
}

/// Whether this thread may call [`reclaim`]: it holds none of the heap's locks, nor is it served from elsewhere.
pub(crate) fn may_reclaim() -> bool {
    !fork::is_holder() && !arena::is_active()
}

/// Frees an object that leak check `number` found lost, unless something has happened to it since; its bytes if it was
/// freed.
///
/// # Safety
/// The program does not use the object, if it is still the one that the check saw. The thread [may](may_reclaim).
pub(crate) unsafe fn reclaim(object: Addr, number: u32) -> Option<usize> {
    let record = tracking::find(object)?;
    let bytes = span::containing(object)?.object_bytes();
    if !record.take_lost(number) {
        return None;
    }
    free_to_cache(object, Operation::Free);
    maintenance::tick();
    Some(bytes)
}

/// Ends the process if no object begins at `object`.
fn check_start(object: Addr, operation: Operation) {
    let entry = page_map::entry(object);
    let ok = match entry.class() {
        0 => false,
        LARGE_PAGES => span::containing(object).is_some_and(|span| span.base() == object),
        TINY_PAGES => true,
        class => is_object_start(class, entry.span_offset(object)),
    };
    if !ok {
        operation.bad_pointer(object);
    }
}

fn free_to_cache(object: Addr, operation: Operation) {
    let entry = page_map::entry(object);
    match (entry.class(), span::containing(object)) {
        (TINY_PAGES, Some(_)) => tiny::free(object, operation),
        (LARGE_PAGES, Some(span)) => large::free(span, object, operation),
        (class, Some(_)) if is_object_start(class, entry.span_offset(object)) => {
            // SAFETY: an object of the class begins here.
            unsafe { mcache::free_miss(class, object) };
        }
        _ => operation.bad_pointer(object),
    }
}

/// Bytes that the object at `object` may use, at least what was requested; 0 for null.
pub(crate) fn usable_bytes(object: *mut u8, operation: Operation) -> usize {
    let addr = Addr::of(object);
    if object.is_null() {
        return 0;
    }
    if bootstrap::contains(addr) {
        return bootstrap::bytes_of(addr);
    }
    check_start(addr, operation);
    if mcache::is_tracked() && tracking::find(addr).is_none_or(|record| !record.is_live()) {
        operation.bad_pointer(addr);
    }
    match (page_map::entry(addr).class(), span::containing(addr)) {
        (TINY_PAGES, _) => tiny::usable_bytes(addr),
        (LARGE_PAGES, Some(span)) if span.state() != span::State::Large => operation.bad_pointer(addr),
        (_, Some(span)) => span.object_bytes(),
        (_, None) => operation.bad_pointer(addr),
    }
}
