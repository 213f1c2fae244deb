//! When a check is made: at exit, on a signal, every N seconds, on growth.
//!
//! Checks that nobody calls for run on a thread of besom's own, which exists only if one of these options
//! is set. A signal's handler may interrupt the heap, so it only wakes that thread; so does the slow path
//! that notices growth.

use super::check::{self, Trigger};
use super::{is_on, message};
use crate::config::{self, Key};
use crate::sys::message::say;
use crate::sys::{futex, signal, syscall::Errno, thread, time};
use core::ffi::c_void;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// What the thread is to do: bits.
static WANTED: AtomicU32 = AtomicU32::new(0);
const BY_SIGNAL: u32 = 1;
const BY_GROWTH: u32 = 2;

/// Bytes allocated, counted from the start, at which growth triggers the next check; `usize::MAX`: never.
static NEXT_BY_GROWTH: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Bytes allocated when a check was last made.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static GROWTH_ON: AtomicBool = AtomicBool::new(false);
/// Growth of a heap smaller than this is no reason to check (Go's smallest heap).
const MIN_GROWTH_BYTES: usize = 4 << 20;

const SECOND: u64 = 1_000_000_000;
/// Without an interval the thread sleeps until it is woken.
const FOREVER: u64 = 365 * 86_400 * SECOND;

/// Installs what the options ask for.
pub(super) fn init() {
    if config::get(Key::LeakGrowth) > 0 {
        GROWTH_ON.store(true, Relaxed);
        NEXT_BY_GROWTH.store(MIN_GROWTH_BYTES, Relaxed);
    }
    install_signal();
    start_thread();
}

fn install_signal() {
    let number = config::get(Key::LeakSignal) as i32;
    if number == 0 {
        return;
    }
    let action = signal::Action::handle(on_signal, libc::SA_RESTART);
    // SAFETY: the handler only sets a word and wakes a thread by a raw system call.
    if let Err(error) = unsafe { signal::set_action(number, &action) } {
        say!("leak_signal={number}: the signal can't be handled ({error})");
    }
}

unsafe extern "C" fn on_signal(_: i32, _: *const signal::Info, _: *mut c_void) {
    want(BY_SIGNAL);
}

fn want(bit: u32) {
    if WANTED.fetch_or(bit, AcqRel) & bit == 0 {
        futex::wake(&WANTED, 1);
    }
}

/// Whether the thread is needed.
fn is_thread_wanted() -> bool {
    config::get(Key::LeakSignal) != 0 || config::get(Key::LeakInterval) != 0 || GROWTH_ON.load(Relaxed)
}

fn start_thread() {
    if !is_thread_wanted() {
        return;
    }
    if let Err(error) = thread::start(run) {
        say!(
            "the thread for leak checks could not be started ({}): checks are made at exit only",
            Errno(error)
        );
    }
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    message::name_thread(c"besom-leak");
    let interval = config::get(Key::LeakInterval) as u64 * SECOND;
    let period = if interval == 0 { FOREVER } else { interval };
    let mut due = time::nanoseconds() + period;
    loop {
        let now = time::nanoseconds();
        if WANTED.load(Acquire) == 0 && now < due {
            futex::wait_for(&WANTED, 0, due - now);
            continue;
        }
        let trigger = match WANTED.swap(0, AcqRel) {
            0 => Trigger::Interval,
            bits if bits & BY_SIGNAL != 0 => Trigger::Signal,
            _ => Trigger::Growth,
        };
        if is_on() && check::run(trigger).is_none() {
            rearm();
        }
        due = time::nanoseconds() + period;
    }
}

/// Whether growth is looked at.
#[inline]
pub(super) fn wants_growth() -> bool {
    GROWTH_ON.load(Relaxed)
}

/// `bytes` have been allocated since the start.
#[inline]
pub(super) fn note_allocated(bytes: usize) {
    ALLOCATED.store(bytes, Relaxed);
    if bytes >= NEXT_BY_GROWTH.load(Relaxed) {
        // One wake for one check: the check sets the next mark.
        NEXT_BY_GROWTH.store(usize::MAX, Relaxed);
        want(BY_GROWTH);
    }
}

/// A check has found so many bytes live: the next one is due when the program has allocated
/// `leak_growth` percent of that again. (Go's GOGC, which counts allocation, not what is still held.)
pub(super) fn note_live_bytes(live: usize) {
    if wants_growth() {
        let growth = live.saturating_mul(config::get(Key::LeakGrowth)) / 100;
        let next = ALLOCATED.load(Relaxed).saturating_add(growth.max(MIN_GROWTH_BYTES));
        NEXT_BY_GROWTH.store(next, Release);
    }
}

/// After a check that failed: growth counts from here.
fn rearm() {
    note_live_bytes(0);
}

/// In a child of the program's, which has only the thread that forked.
pub(super) fn restart_after_fork() {
    WANTED.store(0, Relaxed);
    if is_on() {
        // What the parent's thread was about to do is not done here.
        rearm();
        start_thread();
    }
}
