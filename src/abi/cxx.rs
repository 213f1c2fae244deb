//! C++'s operators new and delete, in all their forms.
//!
//! A throwing form that finds no memory calls the new handler until there is memory or no handler, and
//! then throws `std::bad_alloc`. Both may leave by an exception, which Rust frames must not be in the way
//! of: the loop is written in assembly with unwind information, and the throw is a jump into the C++
//! library's own function, as if the program had called that. The C++ library is looked up at that moment,
//! so that C programs need none.

use crate::heap::{self, Operation};
use crate::sys::message::fatal;
use core::arch::naked_asm;
use core::ffi::{CStr, c_void};
use core::ptr::null_mut;

/// The alignment of forms that name none: whatever `malloc` gives for the size.
const DEFAULT_ALIGN: usize = 1;

/// The slow path of a throwing form: a plain request once more, then the loop.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn new_or_throw(bytes: usize, align: usize) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "push rbx",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbx, -16",
        "push r12",
        ".cfi_def_cfa_offset 24",
        ".cfi_offset r12, -24",
        "sub rsp, 8",
        ".cfi_def_cfa_offset 32",
        "mov rbx, rdi",
        "mov r12, rsi",
        "2:",
        "mov rdi, rbx",
        "mov rsi, r12",
        "call {allocate}",
        "test rax, rax",
        "jnz 3f",
        "call {new_handler}",
        "test rax, rax",
        "jz 4f",
        "call rax",
        "jmp 2b",
        "3:",
        ".cfi_remember_state",
        "add rsp, 8",
        ".cfi_def_cfa_offset 24",
        "pop r12",
        ".cfi_def_cfa_offset 16",
        "pop rbx",
        ".cfi_def_cfa_offset 8",
        "ret",
        "4:",
        ".cfi_restore_state",
        "call {thrower}",
        "add rsp, 8",
        ".cfi_def_cfa_offset 24",
        "pop r12",
        ".cfi_def_cfa_offset 16",
        "pop rbx",
        ".cfi_def_cfa_offset 8",
        "jmp rax",
        ".cfi_endproc",
        allocate = sym allocate,
        new_handler = sym new_handler,
        thrower = sym thrower,
    )
}

/// The slow path of a throwing form: a plain request once more, then the loop.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn new_or_throw(bytes: usize, align: usize) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "stp x29, x30, [sp, -32]!",
        ".cfi_def_cfa_offset 32",
        ".cfi_offset x29, -32",
        ".cfi_offset x30, -24",
        "stp x19, x20, [sp, 16]",
        ".cfi_offset x19, -16",
        ".cfi_offset x20, -8",
        "mov x19, x0",
        "mov x20, x1",
        "2:",
        "mov x0, x19",
        "mov x1, x20",
        "bl {allocate}",
        "cbnz x0, 3f",
        "bl {new_handler}",
        "cbz x0, 4f",
        "blr x0",
        "b 2b",
        "3:",
        ".cfi_remember_state",
        "ldp x19, x20, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        ".cfi_def_cfa_offset 0",
        "ret",
        "4:",
        ".cfi_restore_state",
        "bl {thrower}",
        "mov x16, x0",
        "ldp x19, x20, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        ".cfi_def_cfa_offset 0",
        "br x16",
        ".cfi_endproc",
        allocate = sym allocate,
        new_handler = sym new_handler,
        thrower = sym thrower,
    )
}

extern "C" fn allocate(bytes: usize, align: usize) -> *mut c_void {
    heap::alloc_aligned(bytes, align).cast()
}

/// A symbol of the C++ library, whether the program links it or a plug-in brought it along.
fn cxx_symbol(name: &CStr) -> *mut c_void {
    const LIBRARIES: [&CStr; 2] = [c"libstdc++.so.6", c"libc++.so.1"];
    // SAFETY: dlsym takes any name; the default scope needs no handle.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if !symbol.is_null() {
        return symbol;
    }
    for library in LIBRARIES {
        // SAFETY: RTLD_NOLOAD only finds a library that is there; the handle is kept, which does no harm.
        let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        if !handle.is_null() {
            // SAFETY: the handle is open.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if !symbol.is_null() {
                return symbol;
            }
        }
    }
    null_mut()
}

/// The program's new handler, or null.
extern "C" fn new_handler() -> *mut c_void {
    let get = cxx_symbol(c"_ZSt15get_new_handlerv");
    if get.is_null() {
        return null_mut();
    }
    // SAFETY: `std::get_new_handler` takes nothing and returns a function pointer or null.
    unsafe { core::mem::transmute::<*mut c_void, extern "C" fn() -> *mut c_void>(get)() }
}

/// `std::__throw_bad_alloc`, which both C++ libraries have; without any the program could not catch.
extern "C" fn thrower() -> *mut c_void {
    let throw = cxx_symbol(c"_ZSt17__throw_bad_allocv");
    if throw.is_null() {
        fatal!("out of memory in operator new, and there is no C++ library to throw std::bad_alloc");
    }
    throw
}

#[inline(always)]
fn new(bytes: usize) -> *mut c_void {
    match heap::alloc_c_fast(bytes) {
        Some(object) => object.ptr(),
        // SAFETY: a request like this one, in the form of a tail call: no frame of ours stays below it.
        None => unsafe { new_or_throw(bytes, DEFAULT_ALIGN) },
    }
}

#[inline(always)]
fn new_aligned(bytes: usize, align: usize) -> *mut c_void {
    let object = heap::alloc_aligned(bytes, align);
    if object.is_null() {
        // SAFETY: as in `new`.
        return unsafe { new_or_throw(bytes, align) };
    }
    object.cast()
}

type NothrowNew = unsafe extern "C" fn(usize, *const c_void) -> *mut c_void;
type NothrowNewAligned = unsafe extern "C" fn(usize, usize, *const c_void) -> *mut c_void;

/// The C++ library's own form of a nothrow operator, if a new handler is set: it calls our throwing form
/// and turns an exception of the handler into null, which only C++ can do.
#[cold]
fn with_handler(name: &CStr) -> *mut c_void {
    if new_handler().is_null() {
        return null_mut();
    }
    // SAFETY: dlsym takes any name.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

#[inline(always)]
fn new_nothrow(bytes: usize, tag: *const c_void, name: &CStr) -> *mut c_void {
    let object = heap::alloc_c(bytes, false);
    if !object.is_null() {
        return object.cast();
    }
    let next = with_handler(name);
    if next.is_null() {
        return null_mut();
    }
    // SAFETY: the next definition of the same operator, in the C++ library.
    unsafe { core::mem::transmute::<*mut c_void, NothrowNew>(next)(bytes, tag) }
}

#[inline(always)]
fn new_aligned_nothrow(bytes: usize, align: usize, tag: *const c_void, name: &CStr) -> *mut c_void {
    let object = heap::alloc_aligned(bytes, align);
    if !object.is_null() {
        return object.cast();
    }
    let next = with_handler(name);
    if next.is_null() {
        return null_mut();
    }
    // SAFETY: as in `new_nothrow`.
    unsafe { core::mem::transmute::<*mut c_void, NothrowNewAligned>(next)(bytes, align, tag) }
}

macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)? = $body:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As C++ says of this operator.
            #[allow(non_snake_case, unused_unsafe)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($arg: $ty),*) $(-> $result)? {
                // SAFETY: what the operator requires is its caller's promise.
                unsafe { $body }
            }
        )*
    };
}

/// Frees an object of any form of `new`.
///
/// # Safety
/// As for [`heap::free`].
#[inline(always)]
unsafe fn delete(object: *mut c_void) {
    // SAFETY: passed on to the caller.
    unsafe { heap::free(object.cast(), Operation::Delete) }
}

/// Frees an object of a form of `new` with this size and alignment.
///
/// # Safety
/// As for [`heap::free_sized`].
#[inline(always)]
unsafe fn delete_sized(object: *mut c_void, bytes: usize, align: usize) {
    // SAFETY: passed on to the caller.
    unsafe { heap::free_sized(object.cast(), bytes, align, Operation::Delete) }
}

operators! {
    /// `operator new(size_t)`
    _Znwm(bytes: usize) -> *mut c_void = new(bytes);
    /// `operator new[](size_t)`
    _Znam(bytes: usize) -> *mut c_void = new(bytes);
    /// `operator new(size_t, std::align_val_t)`
    _ZnwmSt11align_val_t(bytes: usize, align: usize) -> *mut c_void = new_aligned(bytes, align);
    /// `operator new[](size_t, std::align_val_t)`
    _ZnamSt11align_val_t(bytes: usize, align: usize) -> *mut c_void = new_aligned(bytes, align);
    /// `operator new(size_t, const std::nothrow_t &)`
    _ZnwmRKSt9nothrow_t(bytes: usize, tag: *const c_void) -> *mut c_void =
        new_nothrow(bytes, tag, c"_ZnwmRKSt9nothrow_t");
    /// `operator new[](size_t, const std::nothrow_t &)`
    _ZnamRKSt9nothrow_t(bytes: usize, tag: *const c_void) -> *mut c_void =
        new_nothrow(bytes, tag, c"_ZnamRKSt9nothrow_t");
    /// `operator new(size_t, std::align_val_t, const std::nothrow_t &)`
    _ZnwmSt11align_val_tRKSt9nothrow_t(bytes: usize, align: usize, tag: *const c_void) -> *mut c_void =
        new_aligned_nothrow(bytes, align, tag, c"_ZnwmSt11align_val_tRKSt9nothrow_t");
    /// `operator new[](size_t, std::align_val_t, const std::nothrow_t &)`
    _ZnamSt11align_val_tRKSt9nothrow_t(bytes: usize, align: usize, tag: *const c_void) -> *mut c_void =
        new_aligned_nothrow(bytes, align, tag, c"_ZnamSt11align_val_tRKSt9nothrow_t");

    /// `operator delete(void *)`
    _ZdlPv(object: *mut c_void) = delete(object);
    /// `operator delete[](void *)`
    _ZdaPv(object: *mut c_void) = delete(object);
    /// `operator delete(void *, const std::nothrow_t &)`
    _ZdlPvRKSt9nothrow_t(object: *mut c_void, _tag: *const c_void) = delete(object);
    /// `operator delete[](void *, const std::nothrow_t &)`
    _ZdaPvRKSt9nothrow_t(object: *mut c_void, _tag: *const c_void) = delete(object);
    /// `operator delete(void *, std::align_val_t)`
    _ZdlPvSt11align_val_t(object: *mut c_void, _align: usize) = delete(object);
    /// `operator delete[](void *, std::align_val_t)`
    _ZdaPvSt11align_val_t(object: *mut c_void, _align: usize) = delete(object);
    /// `operator delete(void *, std::align_val_t, const std::nothrow_t &)`
    _ZdlPvSt11align_val_tRKSt9nothrow_t(object: *mut c_void, _align: usize, _tag: *const c_void) = delete(object);
    /// `operator delete[](void *, std::align_val_t, const std::nothrow_t &)`
    _ZdaPvSt11align_val_tRKSt9nothrow_t(object: *mut c_void, _align: usize, _tag: *const c_void) = delete(object);
    /// `operator delete(void *, size_t)`
    _ZdlPvm(object: *mut c_void, bytes: usize) = delete_sized(object, bytes, 1);
    /// `operator delete[](void *, size_t)`
    _ZdaPvm(object: *mut c_void, bytes: usize) = delete_sized(object, bytes, 1);
    /// `operator delete(void *, size_t, std::align_val_t)`
    _ZdlPvmSt11align_val_t(object: *mut c_void, bytes: usize, align: usize) = delete_sized(object, bytes, align);
    /// `operator delete[](void *, size_t, std::align_val_t)`
    _ZdaPvmSt11align_val_t(object: *mut c_void, bytes: usize, align: usize) = delete_sized(object, bytes, align);
}
