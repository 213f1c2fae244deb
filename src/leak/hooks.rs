//! What a program written for LeakSanitizer says about itself: functions that it may define and besom calls.
//!
//! They are weak references. A program linked with besom needs nothing; one that is run with `LD_PRELOAD`
//! has to export them (`-rdynamic`, or `-Wl,--export-dynamic-symbol=__lsan_default_suppressions`), for the
//! dynamic linker sees no others. With LeakSanitizer itself the compiler's driver exports them.

use core::arch::asm;
use core::ffi::{CStr, c_char, c_int};

/// The address of a weak symbol, 0 if nobody defines it.
macro_rules! address_of_weak {
    ($name:literal) => {{
        let address: usize;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: reads a constant that the linker filled in before any code of this library ran.
        unsafe {
            asm!(concat!(".weak ", $name), concat!("mov {0}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address, options(pure, readonly, nostack, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            asm!(concat!(".weak ", $name), concat!("adrp {0}, :got:", $name), concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address, options(pure, readonly, nostack, preserves_flags));
        }
        address
    }};
}

/// Whether the program turns leak checking off (`__lsan_is_turned_off` returns something but 0). Asked
/// before the check at exit and those of LeakSanitizer's interface.
pub(crate) fn is_turned_off() -> bool {
    let address = address_of_weak!("__lsan_is_turned_off");
    if address == 0 {
        return false;
    }
    // SAFETY: <sanitizer/lsan_interface.h> declares `int __lsan_is_turned_off(void)`, and who defines a
    // function of this name means that one.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn() -> c_int>(address) };
    function() != 0
}

/// The program's suppressions (`__lsan_default_suppressions`), empty if it has none.
pub(crate) fn default_suppressions() -> &'static [u8] {
    text_of(address_of_weak!("__lsan_default_suppressions"))
}

/// The program's options (`__lsan_default_options`), in the syntax of `LSAN_OPTIONS`; empty if it has none.
pub(crate) fn default_options() -> &'static [u8] {
    text_of(address_of_weak!("__lsan_default_options"))
}

fn text_of(function: usize) -> &'static [u8] {
    if function == 0 {
        return &[];
    }
    // SAFETY: as above: `const char *NAME(void)`.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn() -> *const c_char>(function) };
    let text = function();
    if text.is_null() {
        return &[];
    }
    // SAFETY: the interface asks for a text that ends with NUL and stays as long as the process.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}
