//! C's interface: the malloc family of POSIX, C23 and glibc.
//!
//! Results and errors are those of the manual pages. Where glibc and a standard differ, glibc's choice is
//! taken, because that is what programs have been tested with: `realloc(p, 0)` frees.

use crate::heap::{self, Operation, size_class};
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

/// Sets errno and returns null if `object` is null.
#[inline(always)]
fn or_no_memory(object: *mut u8) -> *mut c_void {
    if object.is_null() { no_memory() } else { object.cast() }
}

#[cold]
fn no_memory() -> *mut c_void {
    set_errno(libc::ENOMEM);
    null_mut()
}

#[cold]
fn set_errno(value: c_int) {
    // SAFETY: libc returns the address of this thread's errno.
    unsafe { *libc::__errno_location() = value };
}

/// `malloc(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(bytes: usize) -> *mut c_void {
    // The slow path is a tail call with the same argument, so that the fast path needs no frame.
    match heap::alloc_c_fast(bytes) {
        Some(object) => object.ptr(),
        None => malloc_slow(bytes),
    }
}

#[cold]
#[inline(never)]
extern "C" fn malloc_slow(bytes: usize) -> *mut c_void {
    or_no_memory(heap::alloc_c_slow(bytes, false, false))
}

/// `free(3)`. Keeps errno.
///
/// # Safety
/// As the manual page says; a wrong pointer ends the process with a message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(object: *mut c_void) {
    // SAFETY: the program gives the object up.
    unsafe { heap::free(object.cast(), Operation::Free) }
}

/// `cfree(3)`, which glibc dropped in 2.26 and old binaries still ask for.
///
/// # Safety
/// As for [`free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(object: *mut c_void) {
    // SAFETY: the program gives the object up.
    unsafe { heap::free(object.cast(), Operation::Free) }
}

/// `calloc(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, bytes: usize) -> *mut c_void {
    match count.checked_mul(bytes) {
        Some(total) => or_no_memory(heap::alloc_c(total, true)),
        None => no_memory(),
    }
}

/// `realloc(3)`; size 0 frees and returns null, as in glibc.
///
/// # Safety
/// As the manual page says; a wrong pointer ends the process with a message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(object: *mut c_void, bytes: usize) -> *mut c_void {
    // SAFETY: passed on to the caller.
    unsafe { resize(object, bytes) }
}

/// [`realloc`]. The entry point alone lies with those of other requests: this is longer than all of theirs, and goes on
/// in code that lies elsewhere.
///
/// # Safety
/// As for [`realloc`].
#[inline(never)]
unsafe fn resize(object: *mut c_void, bytes: usize) -> *mut c_void {
    if object.is_null() {
        return malloc(bytes);
    }
    if bytes == 0 {
        // SAFETY: the program gives the object up.
        unsafe { heap::free(object.cast(), Operation::Realloc) };
        return null_mut();
    }
    let class = size_class::c_class_of(bytes);
    // SAFETY: the program gives the object up if this succeeds; its size comes from the heap.
    or_no_memory(unsafe { heap::realloc(object.cast(), bytes, class, None, || heap::alloc_c(bytes, false)) })
}

/// `reallocarray(3)`.
///
/// # Safety
/// As for [`realloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(object: *mut c_void, count: usize, bytes: usize) -> *mut c_void {
    match count.checked_mul(bytes) {
        // SAFETY: passed on to the caller.
        Some(total) => unsafe { realloc(object, total) },
        None => no_memory(),
    }
}

/// `posix_memalign(3)`: the result is an error number, errno and (on failure) `*result` stay as they are.
///
/// # Safety
/// `result` points to writable memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(result: *mut *mut c_void, align: usize, bytes: usize) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return libc::EINVAL;
    }
    let object = heap::alloc_aligned(bytes, align);
    if object.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *result = object.cast() };
    0
}

/// `aligned_alloc(3)`: an alignment that is no power of two is refused with EINVAL, as C17 says.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, bytes: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        set_errno(libc::EINVAL);
        return null_mut();
    }
    or_no_memory(heap::alloc_aligned(bytes, align))
}

/// `memalign(3)`: an alignment that is no power of two is raised to the next one, as in glibc.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, bytes: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) => or_no_memory(heap::alloc_aligned(bytes, align)),
        None => {
            set_errno(libc::EINVAL);
            null_mut()
        }
    }
}

/// `valloc(3)`: at a page of the kernel.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(bytes: usize) -> *mut c_void {
    or_no_memory(heap::alloc_aligned(bytes, crate::sys::auxv::kernel_page_bytes()))
}

/// `pvalloc(3)`: whole pages of the kernel.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(bytes: usize) -> *mut c_void {
    let page = crate::sys::auxv::kernel_page_bytes();
    match bytes.checked_next_multiple_of(page) {
        Some(bytes) => or_no_memory(heap::alloc_aligned(bytes, page)),
        None => no_memory(),
    }
}

/// `malloc_usable_size(3)`.
///
/// # Safety
/// `object` is null or a live object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(object: *mut c_void) -> usize {
    heap::usable_bytes(object.cast(), Operation::UsableSize)
}

/// `free_sized` of C23, for objects of `malloc`, `calloc` and `realloc`.
///
/// # Safety
/// `object` is null or a live object that was requested with `bytes`; another class ends the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(object: *mut c_void, bytes: usize) {
    // SAFETY: the program gives the object up.
    unsafe { heap::free_sized(object.cast(), bytes, 1, Operation::FreeSized) }
}

/// `free_aligned_sized` of C23, for objects of `aligned_alloc`.
///
/// # Safety
/// As for [`free_sized`], with the alignment requested.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(object: *mut c_void, align: usize, bytes: usize) {
    // SAFETY: the program gives the object up.
    unsafe { heap::free_sized(object.cast(), bytes, align, Operation::FreeAlignedSized) }
}
