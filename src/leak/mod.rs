//! The leak finder: a conservative mark-sweep over a snapshot of the stopped process.
//!
//! Off by default, and then the heap does not know of it. Switched on (option `leak=1`), every allocation
//! takes the slow path and comes by `heap::tracking`, where `capture` adds the stack; `check` is the
//! life of a check; `trigger` says when one is made.

mod api;
#[doc(hidden)]
pub mod bench;
pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod chunks;
pub(crate) mod depot;
mod frame;
pub(crate) mod glibc;
pub(crate) mod hooks;
pub(crate) mod ignore;
pub(crate) mod lsan_options;
mod mark;
pub(crate) mod own_memory;
pub(crate) mod pattern;
pub(crate) mod peek;
pub(crate) mod roots;
pub(crate) mod scope;
pub(crate) mod snapshot;
mod stale;
pub(crate) mod stop_world;
pub(crate) mod suppress;
mod sweep;
mod trace;
pub(crate) mod trigger;

pub use api::{Amount, Disabled, RootRegion, Summary, assert_no_leaks, check, ignore, try_check};

use crate::base::Addr;
use crate::config::{self, Key, environment};
use crate::heap::{self, mcache, tracking};
use crate::sys::message;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Whether the process was started in leak mode (`BESOM_OPTIONS=leak=1`) and has not been told by the
/// program or `LSAN_OPTIONS` to leave it.
pub fn is_on() -> bool {
    config::is_on(Key::Leak) && config::is_on(Key::DetectLeaks) && mcache::is_tracked()
}

/// The process that is checked: noted at start-up and after fork, since a check runs in another.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The number of the process that is checked.
pub(crate) fn process() -> u32 {
    PROCESS.load(Relaxed)
}

/// Gets ready, in leak mode: once, before `main`, when the heap has started. libc can make threads by then, but its own
/// constructor may come later: nothing here may want the program's name or its arguments of it. `may_be_bypassed` tells
/// whether the program may allocate elsewhere.
#[cold]
#[inline(never)]
pub(crate) fn init(may_be_bypassed: impl FnOnce() -> bool) {
    PROCESS.store(message::process_id(), Relaxed);
    if let Some(text) = environment::variable(b"LSAN_OPTIONS") {
        lsan_options::apply(text, "LSAN_OPTIONS");
    }
    lsan_options::apply(hooks::default_options(), "__lsan_default_options");
    if !is_on() {
        return;
    }
    check::set_may_be_bypassed(may_be_bypassed());
    // Where reports go to a file the program keeps all its descriptors' numbers.
    if matches!(config::text(Key::LogPath), b"" | b"stderr") {
        message::keep_output();
    }
    check::set_program_suppressions(hooks::default_suppressions());
    capture::init();
    heap::fork::set_companion(&FORK_LOCK);
    roots::learn();
    excuse_early_objects();
    tracking::set_capture(on_alloc);
    trigger::init();
}

/// Objects allocated from here on have a stack. Those before belong to the dynamic linker, and where besom is not
/// initialised first (`abi::lifecycle`), to constructors of libraries; they are not reported.
fn excuse_early_objects() {
    heap::pages::for_each_span(|span| {
        for index in 0..span.objects() {
            if let Some(record) = tracking::record(span, index).filter(|record| record.is_live()) {
                record.add(tracking::IGNORED);
            }
        }
    });
}

/// The heap's hook: what is noted of a new object.
fn on_alloc(bytes: usize) -> tracking::Captured {
    if trigger::wants_growth() {
        trigger::note_allocated(bytes);
    }
    if sweep::is_due() {
        sweep::some();
    }
    // Frames of besom itself are left out of reports by their names.
    let stack = capture::record(0).0;
    let flags = if scope::is_disabled() { tracking::IGNORED } else { 0 };
    tracking::Captured { stack, generation: check::generation(), flags }
}

/// Calls back with every range of besom's own memory, which holds addresses of objects and is not searched.
pub(crate) fn own_ranges(each: &mut dyn FnMut(stop_world::Range)) {
    heap::pages::for_each_own(|at, bytes| each((at.0, at.0 + bytes)));
    mcache::for_each_slab_mapping(|at, bytes| each((at.0, at.0 + bytes)));
    heap::central::for_each_list(|at, bytes| each((at.0, at.0 + bytes)));
    let mut add = |at: Addr, bytes| each((at.0, at.0 + bytes));
    tracking::for_each_mapping(&mut add);
    depot::for_each_mapping(&mut add);
    capture::for_each_mapping(&mut add);
}

/// The lock of the captures, held around forks.
static FORK_LOCK: heap::fork::Companion =
    heap::fork::Companion { take: capture::before_fork, give: capture::after_fork };

/// After a fork of the program's, in the child.
///
/// # Safety
/// In the copy of the thread that forked, with no lock held.
pub(crate) unsafe fn after_fork() {
    PROCESS.store(message::process_id(), Relaxed);
    stop_world::reset_after_fork();
    // SAFETY: this is the child, by the caller's word.
    unsafe { check::reset_after_fork() };
    stale::reset_after_fork();
    trigger::restart_after_fork();
}
