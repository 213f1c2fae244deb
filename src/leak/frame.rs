//! Where the program's own frames end at exit.
//!
//! When `main` has returned or called `exit`, the stack below still holds what its calls left there, and
//! such stale pointers would hide leaks. So the main thread is searched only from the frame that called
//! `exit` upwards: found by unwinding from the exit handler that makes the check.

use super::capture;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of code of `exit`, which only calls a worker function.
const EXIT_BYTES: usize = 64;

/// Where the code of `exit` begins, 0 until [`learn`].
static EXIT: AtomicUsize = AtomicUsize::new(0);

/// Looks `exit` up, once, at start-up: the dynamic linker locks.
///
/// In a program that is linked to a fixed place and takes the address of `exit`, that address is by the rules of ELF the
/// program's own stub of it, for everybody. What comes after the program and this library is the function itself.
pub(super) fn learn() {
    // SAFETY: looks a name up.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"exit".as_ptr()) }.addr();
    if next == 0 {
        // SAFETY: takes the message away, which the program did not cause.
        unsafe { libc::dlerror() };
    }
    EXIT.store(if next != 0 { next } else { libc::exit as *const () as usize }, Relaxed);
}

/// The stack pointer of the frame that called `exit`, if this thread is inside `exit`.
pub(super) fn of_exit() -> Option<usize> {
    let exit = EXIT.load(Relaxed);
    capture::caller_of_function(exit..exit + EXIT_BYTES)
}
