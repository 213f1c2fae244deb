//! `<sanitizer/lsan_interface.h>`: programs written for LeakSanitizer work unchanged.
//!
//! The hooks that such a program may define (`__lsan_default_options` and others) are in `leak::hooks`.
//! Where LeakSanitizer ends the process on a misuse, a line is said instead.

use crate::base::Addr;
use crate::config::{self, Key};
use crate::leak::check::{self, Trigger};
use crate::leak::ignore::{self, Ignored};
use crate::leak::{self, hooks, roots, scope};
use crate::sys::message::say;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What this thread allocates from here on is not reported, until as many calls of [`__lsan_enable`].
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_disable() {
    scope::disable();
}

/// Undoes one [`__lsan_disable`] of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_enable() {
    scope::enable();
}

/// The object around `p` is not reported, nor is what only it holds.
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_ignore_object(p: *const c_void) {
    let ignored = ignore::object(Addr::of(p));
    if leak::is_on() && config::get(Key::Verbosity) > 0 {
        match ignored {
            Ignored::Now => {}
            Ignored::Already => say!("__lsan_ignore_object(): {p:p} is ignored already"),
            Ignored::NotAnObject => say!("__lsan_ignore_object(): there is no object at {p:p}"),
        }
    }
}

/// Pointers in the `size` bytes from `p` on keep objects reachable. Regions may overlap and repeat.
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_register_root_region(p: *const c_void, size: usize) {
    if roots::register(p.addr(), size).is_err() {
        say!("__lsan_register_root_region(): no memory to note {p:p}");
    }
}

/// Undoes one [`__lsan_register_root_region`] with the same values.
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_unregister_root_region(p: *const c_void, size: usize) {
    if !roots::unregister(p.addr(), size) {
        say!("__lsan_unregister_root_region(): {p:p} with {size} bytes was not registered");
    }
}

/// The check that belongs to the end of the process, made now: ends the process if something is definitely
/// or indirectly lost and `exitcode` is not 0. Only the first call checks, and the end does not again. Nothing if the
/// program's `__lsan_is_turned_off` says so.
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_do_leak_check() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !leak::is_on() || DONE.swap(true, Relaxed) || hooks::is_turned_off() {
        return;
    }
    config::set(Key::LeakAtExit, 0);
    let lost = check::run(Trigger::Call).is_some_and(|totals| totals.leaked().blocks > 0);
    let status = config::get(Key::ExitCode) as c_int;
    if lost && status != 0 {
        // SAFETY: any thread may write out all streams; what the program has printed is not to be lost.
        unsafe { libc::fflush(core::ptr::null_mut()) };
        // SAFETY: ends the process, as the interface promises.
        unsafe { libc::_exit(status) };
    }
}

/// Checks now and reports. 1 if something is definitely or indirectly lost, else 0, also if the program's
/// `__lsan_is_turned_off` says so.
#[unsafe(no_mangle)]
pub extern "C" fn __lsan_do_recoverable_leak_check() -> c_int {
    let totals = (leak::is_on() && !hooks::is_turned_off()).then(|| check::run(Trigger::Call)).flatten();
    totals.is_some_and(|totals| totals.leaked().blocks > 0) as c_int
}
