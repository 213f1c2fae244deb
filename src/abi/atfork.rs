//! `__register_atfork`, glibc's function behind `pthread_atfork(3)`, in libbesom.so alone: with the first handlers that
//! anybody registers, besom's are registered before.
//!
//! What was registered first is called last before a fork. Only there may an allocator's locks be taken: a handler
//! that waits for a lock of its library's waits for ever if the thread that holds it waits for one of besom's. And
//! where besom is not the first library that is initialised (`lifecycle`), others' constructors run before besom's,
//! often without a request before.
//!
//! libbesom.a has none of this: a static program's `fork` is one object file with the function. Its constructor comes
//! before those of libraries.

use super::dlopen::behind;
use super::lifecycle::{Handler, register_fork_handlers};
use core::ffi::{CStr, c_int, c_void};

/// `__register_atfork`: adds handlers to be called around `fork`, for a library to be known by `library`.
/// 0, or an error number.
///
/// # Safety
/// The functions stay until the library is unloaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __register_atfork(
    prepare: Handler,
    parent: Handler,
    child: Handler,
    library: *mut c_void,
) -> c_int {
    register_fork_handlers();
    // SAFETY: passed on to the caller.
    unsafe { real(prepare, parent, child, library) }
}

/// The name as a static, whose place in the file is known: what the start reads lies together (`build.rs`).
static NAME: [u8; 18] = *b"__register_atfork\0";

type Register = unsafe extern "C" fn(Handler, Handler, Handler, *mut c_void) -> c_int;

/// glibc's function.
///
/// # Safety
/// As for [`__register_atfork`].
pub(super) unsafe fn real(prepare: Handler, parent: Handler, child: Handler, library: *mut c_void) -> c_int {
    // SAFETY: the name ends with a zero.
    let address = behind(unsafe { CStr::from_bytes_with_nul_unchecked(&NAME) });
    // SAFETY: glibc's function of this name and type; the rest is passed on to the caller.
    unsafe { core::mem::transmute::<usize, Register>(address)(prepare, parent, child, library) }
}
