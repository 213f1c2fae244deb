//! The thread that gives memory back while the program idles (`scavenge_thread=1`).
//!
//! Without it the work is done on slow paths of the program's own requests, and a program that has gone quiet
//! keeps what it last had.

use crate::config::{self, Key};
use crate::heap;
use crate::sys::{futex, message, message::say, syscall::Errno, thread};
use core::ffi::c_void;
use core::sync::atomic::AtomicU32;

/// Between two looks.
const PERIOD_NANOSECONDS: u64 = 1_000_000_000;

/// Starts the thread if the options ask for it. Also in a child of fork, which does not inherit it.
///
/// Never inline: its address tells where the code of the start begins, since `build.rs` names it first.
#[inline(never)]
pub(super) fn start() {
    if !config::is_on(Key::ScavengeThread) {
        return;
    }
    if let Err(error) = thread::start(run) {
        say!("scavenge_thread=1: the thread could not be started ({})", Errno(error));
    }
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    /// Nobody wakes this.
    static NEVER: AtomicU32 = AtomicU32::new(0);
    message::name_thread(c"besom-scavenge");
    loop {
        futex::wait_for(&NEVER, 0, PERIOD_NANOSECONDS);
        heap::maintain();
    }
}
