//! `_exit(2)`: ends the process at once, without the handlers of `exit`, where the check at exit would be
//! made. With `check_on__exit=1` it is made here.

use crate::sys::clone;
use core::arch::naked_asm;
use core::ffi::c_int;

/// `_exit(2)`.
// Notes where the caller's frame ends: the stack is searched from there.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn _exit(status: c_int) -> ! {
    naked_asm!("lea rsi, [rsp + 8]", "sub rsp, 8", "call {end}", "ud2", end = sym end)
}

/// `_exit(2)`.
// As above.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn _exit(status: c_int) -> ! {
    naked_asm!("mov x1, sp", "b {end}", end = sym end)
}

extern "C" fn end(status: c_int, stack_pointer: usize) -> ! {
    // The kernel takes the low byte of a status.
    clone::exit_process(super::lifecycle::status_at_quick_exit(status, stack_pointer) as u8)
}

/// `_Exit(3)`.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn _Exit(status: c_int) -> ! {
    naked_asm!("jmp {exit}", exit = sym _exit)
}

/// `_Exit(3)`.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn _Exit(status: c_int) -> ! {
    naked_asm!("b {exit}", exit = sym _exit)
}
