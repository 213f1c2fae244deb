//! Unreadable pages met while the child reads the program's memory.
//!
//! Programs take access to pages of their data or heap away, install guards that no list of mappings
//! shows, and map files that have shrunk. In the child, whose memory is its own copy, the handler for
//! SIGSEGV and SIGBUS puts a page of zeros there, and the read is done again: such a page holds no
//! pointer. Only for use in a child: it writes over the program's memory.

use crate::base::Addr;
use crate::sys::{
    auxv::kernel_page_bytes,
    memory,
    signal::{self, Action, Info},
};
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Pages replaced so far.
static REPLACED: AtomicUsize = AtomicUsize::new(0);

/// Faults below are the marker's own mistake, not a page of the program's.
const LOWEST: usize = 64 << 10;
/// More pages than this, 64 GiB, are no accident of the program either.
const MOST: usize = 1 << 24;

/// Catches faults of all threads of this child from now on.
pub(crate) fn catch_in_child() {
    let action = Action::handle(replace_page, libc::SA_NODEFER);
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler makes only raw system calls; it may interrupt anything.
        let _ = unsafe { signal::set_action(signal, &action) };
    }
}

/// How many unreadable pages were met.
pub(crate) fn pages() -> usize {
    REPLACED.load(Relaxed)
}

unsafe extern "C" fn replace_page(signal: i32, info: *const Info, _: *mut c_void) {
    // SAFETY: the kernel passes the signal's information.
    let info = unsafe { &*info };
    let page = Addr(info.fault_address() & !(kernel_page_bytes() - 1));
    let by_access = info.code > 0 && info.code != libc::SI_KERNEL && page.0 >= LOWEST;
    let replaced = by_access
        && REPLACED.fetch_add(1, Relaxed) < MOST
        // SAFETY: this child owns its copy of the program's memory, and the page could not be read.
        && unsafe { memory::replace(page, kernel_page_bytes()) }.is_ok();
    if !replaced {
        // The access is done again and ends the child, which its parent reports.
        // SAFETY: the default action runs no code.
        let _ = unsafe { signal::set_action(signal, &Action::DEFAULT) };
    }
}
