//! `_exit(2)`: ends the process at once, without the handlers of `exit`, where the check at exit would be
//! made. With `check_on__exit=1` it is made here.

use crate::sys::clone;
use core::ffi::c_int;

/// `_exit(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn _exit(status: c_int) -> ! {
    // The kernel takes the low byte of a status.
    clone::exit_process(super::lifecycle::status_at_quick_exit(status) as u8)
}

/// `_Exit(3)`.
#[unsafe(no_mangle)]
pub extern "C" fn _Exit(status: c_int) -> ! {
    _exit(status)
}
