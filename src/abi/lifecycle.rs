//! Start-up, fork and exit of the process that besom lives in.
//!
//! Nothing here is needed to allocate: the heap starts on the first request, which may come earlier than any
//! constructor. The constructor registers what must happen around `fork` and at exit.
//!
//! It runs as early as it can, because in leak mode objects get stacks only from then on, and what is registered
//! first, for `fork` and `exit`, has its turn last. In libbesom.so a flag puts it before the constructors of all
//! libraries, libc's own among them (`-z initfirst`, `build.rs`); glibc heeds it for one library, the one loaded last
//! of those that have the flag. In libbesom.a a section does, which only programs may have. In Rust programs, and with
//! dynamic linkers that know neither, the libraries' constructors come first.

#[cfg(target_env = "gnu")]
use crate::config::environment;
use crate::config::{self, Key};
use crate::heap;
#[cfg(feature = "leak")]
use crate::report::Totals;
#[cfg(all(feature = "leak", feature = "override"))]
use crate::sys::futex;
use crate::sys::message;
#[cfg(target_env = "gnu")]
use core::ffi::c_char;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Run by the dynamic linker, or by the start-up code of a static program, before `main`.
#[used]
#[cfg_attr(
    all(feature = "shared", not(feature = "dlopen"), target_env = "gnu"),
    unsafe(link_section = ".preinit_array")
)]
// Constructors of the program run in the order of such numbers, and then those without.
#[cfg_attr(
    not(all(feature = "shared", not(feature = "dlopen"), target_env = "gnu")),
    unsafe(link_section = ".init_array.00001")
)]
static CONSTRUCTOR: Constructor = constructor;

#[cfg(target_env = "gnu")]
type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);
#[cfg(not(target_env = "gnu"))]
type Constructor = extern "C" fn();

/// glibc gives constructors what it gives `main`.
#[cfg(target_env = "gnu")]
extern "C" fn constructor(_: c_int, _: *const *const c_char, block: *const *const c_char) {
    // SAFETY: the third argument is the environment that libc has or will have. Before `main` this is the only thread;
    // where a running program opens the library, libc has its environment already.
    unsafe { environment::provide(block) };
    start();
}

#[cfg(not(target_env = "gnu"))]
extern "C" fn constructor() {
    start();
}

#[inline(always)]
fn start() {
    start_all();
    // Last: what runs after this takes its pages back.
    #[cfg(feature = "dlopen")]
    super::own_pages::release(&super::own_pages::find());
}

/// Never inline: what calls it stays in memory.
#[inline(never)]
fn start_all() {
    heap::ensure_started();
    if config::is_on(Key::Stats) {
        message::keep_output();
    }
    #[cfg(feature = "leak")]
    if config::is_on(Key::Leak) {
        crate::leak::init(may_be_bypassed);
    }
    #[cfg(not(feature = "leak"))]
    if config::is_on(Key::Leak) {
        message::say!("leak=1 needs besom built with its feature 'leak'; objects are tracked, not reported");
    }
    register_fork_handlers();
    // SAFETY: the functions stay as long as the process: the library is never unloaded. Registration may
    // allocate, which the heap can serve by now.
    unsafe {
        register_atfork(None, None, Some(restart_in_child));
        on_exit(at_exit, core::ptr::null_mut());
    }
    super::thread::start();
}

/// Whether the program's malloc is another one than besom's.
#[cfg(all(feature = "leak", feature = "override"))]
fn may_be_bypassed() -> bool {
    // SAFETY: looks a name up.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr()) };
    found.addr() != super::c::malloc as *const () as usize
}

/// A Rust program names its allocator, which nothing here can see.
#[cfg(all(feature = "leak", not(feature = "override")))]
fn may_be_bypassed() -> bool {
    true
}

/// Registers what keeps the heap whole around forks, once: by the constructor, or earlier, with the first
/// handlers of anybody's, where besom learns of them.
pub(super) fn register_fork_handlers() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if REGISTERED.swap(true, Relaxed) {
        return;
    }
    // SAFETY: the functions stay as long as the process. Registration fails only without memory, and then fork
    // is as safe as with an allocator that registers nothing.
    unsafe {
        register_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child));
    }
}

/// `pthread_atfork(3)`. In libbesom.so by the function behind it: glibc's own is linked into every library
/// that calls it, together with a procedure linkage table, and would lie apart from the code of the start.
///
/// # Safety
/// The functions stay as long as the process.
unsafe fn register_atfork(prepare: Handler, parent: Handler, child: Handler) {
    #[cfg(all(feature = "dlopen", target_env = "gnu"))]
    use super::atfork::real as __register_atfork;
    #[cfg(all(feature = "shared", target_env = "gnu"))]
    // SAFETY: passed on to the caller. No library is named, so no unloading takes the handlers away.
    unsafe {
        __register_atfork(prepare, parent, child, core::ptr::null_mut());
    }
    #[cfg(not(all(feature = "shared", target_env = "gnu")))]
    // SAFETY: passed on to the caller.
    unsafe {
        libc::pthread_atfork(prepare, parent, child);
    }
}

/// What is called around a fork, if anything is.
pub(super) type Handler = Option<unsafe extern "C" fn()>;

unsafe extern "C" {
    #[cfg(all(feature = "shared", not(feature = "dlopen"), target_env = "gnu"))]
    fn __register_atfork(prepare: Handler, parent: Handler, child: Handler, library: *mut c_void) -> c_int;
    /// glibc's `on_exit(3)`: as `atexit`, but the handler learns the exit status.
    fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}

unsafe extern "C" fn before_fork() {
    heap::fork::begin();
}

unsafe extern "C" fn after_fork_in_parent() {
    // SAFETY: this thread has run `before_fork`.
    unsafe { heap::fork::end(false) };
}

unsafe extern "C" fn after_fork_in_child() {
    // SAFETY: the thread that forked has run `before_fork`, and this is its copy.
    unsafe { heap::fork::end(true) };
}

/// Starts anew in a child what does not come along: after [`after_fork_in_child`], since threads allocate.
unsafe extern "C" fn restart_in_child() {
    #[cfg(feature = "leak")]
    // SAFETY: the child's only thread, which holds no lock any more.
    unsafe {
        crate::leak::after_fork();
    }
    super::thread::start();
}

/// The process whose handler of `exit` has been called.
static AT_EXIT: AtomicU32 = AtomicU32::new(0);

extern "C" fn at_exit(status: c_int, _: *mut c_void) {
    AT_EXIT.store(message::process_id(), Relaxed);
    if config::is_on(Key::Stats) {
        heap::snapshot().for_each_line(message::line);
    }
    #[cfg(feature = "leak")]
    check_at_exit(status);
    #[cfg(not(feature = "leak"))]
    let _ = status;
}

/// Makes the check at exit; changes the exit status of a program that ended well but leaks.
#[cfg(feature = "leak")]
fn check_at_exit(status: c_int) {
    use crate::leak::check;
    let new_status = checked_status(status, || check::run(check::Trigger::Exit));
    if new_status != status {
        // glibc lets a handler call `exit` again: the handlers that are left and the flushing of streams go
        // on, with the new status.
        // SAFETY: this runs as a handler of `exit`.
        unsafe { libc::exit(new_status) };
    }
}

/// Checks, unless an option or the program is against it, and returns the status to end with: a program that
/// failed by itself keeps its own.
#[cfg(feature = "leak")]
fn checked_status(status: c_int, check: impl FnOnce() -> Option<Totals>) -> c_int {
    use crate::leak::hooks;
    if !crate::leak::is_on() || !config::is_on(Key::LeakAtExit) || hooks::is_turned_off() {
        return status;
    }
    let leaked = check().is_some_and(|totals| totals.leaked().blocks > 0);
    let exit_code = config::get(Key::ExitCode) as c_int;
    if leaked && status == 0 && exit_code != 0 { exit_code } else { status }
}

/// The same for a process that ends by `_exit`, if option `check_on__exit` is set; `stack_pointer` is that of the
/// frame that called it.
///
/// Not in a child of `vfork` or of a bare `clone`: it was never made ready for a check, and the first shares
/// its memory with a parent that sleeps.
#[cfg(all(feature = "leak", feature = "override"))]
pub(super) fn status_at_quick_exit(status: c_int, stack_pointer: usize) -> c_int {
    let own = message::process_id();
    // In a static program `exit` ends here too.
    let is_due = || crate::leak::process() == own && AT_EXIT.load(Relaxed) != own;
    if !config::is_on(Key::CheckOnQuickExit) || !is_due() {
        return status;
    }
    /// The process in which a thread has got here: a child of `fork` begins anew.
    static CHECKED: AtomicU32 = AtomicU32::new(0);
    if CHECKED.swap(own, Relaxed) == own {
        if crate::leak::check::is_made_here() {
            // A signal handler, in the middle of the check.
            return status;
        }
        // Ending the process now would end the check of the first thread, which ends the process.
        loop {
            futex::wait(&CHECKED, own);
        }
    }
    checked_status(status, || crate::leak::check::run_at_exit(stack_pointer))
}
