//! The environment, also before libc has set `environ`.

use crate::sys::file;
use core::ffi::CStr;

unsafe extern "C" {
    static mut environ: *const *const libc::c_char;
}

/// Sets `environ` to the environment's block, if libc's own constructor, which does the same, has yet to run.
///
/// For functions of the program that are called before it and ask for variables.
///
/// # Safety
/// The block is the one that libc will take, and no other thread uses the environment.
#[cfg(target_env = "gnu")]
pub(crate) unsafe fn provide(block: *const *const libc::c_char) {
    // SAFETY: passed on to the caller.
    unsafe {
        if environ.is_null() {
            environ = block;
        }
    }
}

/// Bytes of `/proc/self/environ` read when libc has no environment yet.
const COPY_BYTES: usize = 32 << 10;

/// The value of a variable, or `None` if it is not set.
pub(crate) fn variable(name: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: libc owns the variable; at start-up, when this is called, no other thread changes it.
    let block = unsafe { environ };
    if block.is_null() { from_proc(name) } else { from_block(block, name) }
}

fn from_block(mut block: *const *const libc::c_char, name: &[u8]) -> Option<&'static [u8]> {
    loop {
        // SAFETY: the block is an array of pointers that ends with a null one, which stops the loop.
        let entry = unsafe { *block };
        if entry.is_null() {
            return None;
        }
        // SAFETY: every entry before the null one is a C string that lives as long as the process.
        if let Some(value) = value_of(unsafe { CStr::from_ptr(entry) }.to_bytes(), name) {
            return Some(value);
        }
        // SAFETY: the entry was not the last.
        block = unsafe { block.add(1) };
    }
}

fn value_of(entry: &'static [u8], name: &[u8]) -> Option<&'static [u8]> {
    entry.strip_prefix(name)?.strip_prefix(b"=")
}

fn from_proc(name: &[u8]) -> Option<&'static [u8]> {
    static COPY: crate::sync::Mutex<[u8; COPY_BYTES]> =
        crate::sync::Mutex::new(crate::sync::Rank::Leaf, [0; COPY_BYTES]);
    let mut copy = COPY.lock();
    let len = file::File::open(c"/proc/self/environ").ok()?.read_all(&mut copy[..COPY_BYTES - 1]).len();
    // SAFETY: the copy is static and written only here, before anybody holds a reference into it: a
    // second call finds the same bytes again, because the kernel's block is fixed at exec.
    let text: &'static [u8] = unsafe { core::slice::from_raw_parts(copy.as_ptr(), len) };
    text.split(|&b| b == 0).find_map(|entry| value_of(entry, name))
}
