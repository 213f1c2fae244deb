//! Start-up, fork and exit of the process that besom lives in.
//!
//! Nothing here is needed to allocate: the heap starts on the first request, which comes earlier than any
//! constructor. The constructor registers what must happen around `fork` and at exit.

use crate::config::{self, Key};
use crate::heap;
use crate::sys::message;

/// Run by the dynamic linker, or by the start-up code of a static program, before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    heap::ensure_started();
    // SAFETY: the functions stay as long as the process: the library is never unloaded. Registration
    // allocates, which the heap can serve by now; it fails only without memory, and then fork is as
    // safe as with an allocator that registers nothing.
    unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child));
        libc::atexit(at_exit);
    }
}

unsafe extern "C" fn before_fork() {
    heap::fork::prepare();
}

unsafe extern "C" fn after_fork_in_parent() {
    // SAFETY: this thread has run `before_fork`.
    unsafe { heap::fork::release(false) };
}

unsafe extern "C" fn after_fork_in_child() {
    // SAFETY: the thread that forked has run `before_fork`, and this is its copy.
    unsafe { heap::fork::release(true) };
}

extern "C" fn at_exit() {
    if config::is_on(Key::Stats) {
        heap::snapshot().for_each_line(message::line);
    }
}
