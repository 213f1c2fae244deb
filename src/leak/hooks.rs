//! What a program written for LeakSanitizer says about itself: functions that it may define and besom calls.
//!
//! They are weak references. Of a program that is run with `LD_PRELOAD` and does not export them (by `-rdynamic`, as the
//! compiler's driver does for LeakSanitizer itself), the dynamic linker knows nothing; these are looked for in the
//! program's own table of symbols, if it has one.

use crate::report;
use crate::sys::file::File;
use core::arch::asm;
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The functions, as the table of symbols has them.
const NAMES: [&[u8]; 3] =
    [b"__lsan_is_turned_off", b"__lsan_default_suppressions", b"__lsan_default_options"];
const IS_TURNED_OFF: usize = 0;
const DEFAULT_SUPPRESSIONS: usize = 1;
const DEFAULT_OPTIONS: usize = 2;

/// Where they are in the program, 0 if it has none. Found once.
static IN_PROGRAM: [AtomicUsize; NAMES.len()] = [const { AtomicUsize::new(0) }; NAMES.len()];

/// The address of a function that the program has without exporting it, 0 if it has none.
fn in_program(which: usize) -> usize {
    static IS_KNOWN: AtomicBool = AtomicBool::new(false);
    if !IS_KNOWN.swap(true, Relaxed) {
        find_in_program();
    }
    IN_PROGRAM[which].load(Relaxed)
}

fn find_in_program() {
    // SAFETY: reads the auxiliary vector.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
    let Ok((start, bytes)) = File::open(c"/proc/self/exe").and_then(|file| file.map()) else { return };
    // SAFETY: just mapped, and unmapped below. Who cuts the file of a running program short loses its code as well.
    let data = unsafe { core::slice::from_raw_parts(start.ptr::<u8>(), bytes) };
    for (place, offset) in IN_PROGRAM.iter().zip(report::functions_in(data, NAMES)) {
        place.store(offset.map_or(0, |offset| headers.wrapping_add(offset as usize)), Relaxed);
    }
    // SAFETY: nothing of the mapping is used any more.
    unsafe { crate::sys::memory::unmap(start, bytes) };
}

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

/// What the dynamic linker knows, or else what the program has.
fn either(weak: usize, which: usize) -> usize {
    if weak != 0 { weak } else { in_program(which) }
}

/// Whether the program turns leak checking off (`__lsan_is_turned_off` returns something but 0). Asked
/// before the check at exit and those of LeakSanitizer's interface.
pub(crate) fn is_turned_off() -> bool {
    let address = either(address_of_weak!("__lsan_is_turned_off"), IS_TURNED_OFF);
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
    text_of(either(address_of_weak!("__lsan_default_suppressions"), DEFAULT_SUPPRESSIONS))
}

/// The program's options (`__lsan_default_options`), in the syntax of `LSAN_OPTIONS`; empty if it has none.
pub(crate) fn default_options() -> &'static [u8] {
    text_of(either(address_of_weak!("__lsan_default_options"), DEFAULT_OPTIONS))
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
