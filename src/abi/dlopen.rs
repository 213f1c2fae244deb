//! `dlopen(3)` without `RTLD_DEEPBIND`, in libbesom.so alone.
//!
//! A library opened with that flag looks its symbols up in itself and its dependencies first, and so finds libc's
//! malloc where the rest of the program finds besom's: what one allocates and the other frees ends the process.
//! PHP and Apache open their modules so. Without the flag such a library shares the program's symbols, malloc
//! among them, as every other one does. `dlmopen` is left alone: a namespace of its own has a libc of its own.
//!
//! The dynamic linker takes the namespace and the search path of the library that calls, which it knows by the
//! return address: so this is a jump to libc's function and no call.
//!
//! libbesom.a has none of this: in a static program there is no other `dlopen` behind it.

use crate::sys::message::fatal;
use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// libc's function; 0 until the first call.
static REAL: AtomicUsize = AtomicUsize::new(0);

/// Every bit of `dlopen`'s second argument but `RTLD_DEEPBIND`.
const MASK: c_int = !libc::RTLD_DEEPBIND;

/// `dlopen(3)`, for which `RTLD_DEEPBIND` means nothing.
///
/// # Safety
/// As the manual page says: the library's constructors run.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void {
    naked_asm!(
        "endbr64",
        "mov rax, qword ptr [rip + {real}]",
        "test rax, rax",
        "jz 3f",
        "2:",
        "and esi, {mask}",
        "jmp rax",
        "3:",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {find}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp 2b",
        real = sym REAL,
        mask = const MASK,
        find = sym find,
    )
}

/// `dlopen(3)`, for which `RTLD_DEEPBIND` means nothing.
///
/// # Safety
/// As the manual page says: the library's constructors run.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void {
    naked_asm!(
        "hint 34", // bti c
        "adrp x16, {real}",
        "ldr x16, [x16, :lo12:{real}]",
        "cbz x16, 3f",
        "2:",
        "and w1, w1, {mask}",
        "br x16",
        "3:",
        "stp x0, x1, [sp, -32]!",
        "stp x29, x30, [sp, 16]",
        "bl {find}",
        "mov x16, x0",
        "ldp x29, x30, [sp, 16]",
        "ldp x0, x1, [sp], 32",
        "b 2b",
        real = sym REAL,
        mask = const MASK,
        find = sym find,
    )
}

/// Finds libc's function, at the first call: most programs open nothing.
extern "C" fn find() -> usize {
    let real = behind(c"dlopen");
    REAL.store(real, Relaxed);
    real
}

/// The function `name` of libc's, behind libbesom.so.
pub(super) fn behind(name: &CStr) -> usize {
    // SAFETY: dlsym takes any name; the scope is that behind this library, which is the caller.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
    if found == 0 {
        fatal!("no {} behind libbesom.so", name.to_str().unwrap_or("such function"));
    }
    found
}
