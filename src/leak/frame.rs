//! Where the program's own frames end at exit.
//!
//! When `main` has returned or called `exit`, the stack below still holds what its calls left there, and
//! such stale pointers would hide leaks. So the main thread is searched only from the frame that called
//! `exit` upwards: found by unwinding from the exit handler that makes the check.

use super::capture;

/// Bytes of code of `exit`, which only calls a worker function.
const EXIT_BYTES: usize = 64;

/// The stack pointer of the frame that called `exit`, if this thread is inside `exit`.
pub(super) fn of_exit() -> Option<usize> {
    let exit = libc::exit as *const () as usize;
    capture::caller_of_function(exit..exit + EXIT_BYTES)
}
