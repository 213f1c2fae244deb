//! When a check is made: at exit, on a signal, every N seconds, on growth.
//!
//! Checks that nobody calls for run on a thread of besom's own, which exists only if one of these options
//! is set. A signal's handler may interrupt the heap, so it only wakes that thread; so does the slow path
//! that notices growth. Allocation is counted, which is cheap, only to know when the heap can have grown enough; what
//! it has in use is looked at then.

use super::check::{self, Trigger};
use super::{is_on, message, sweep};
use crate::config::{self, Key};
use crate::heap;
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
const TO_SWEEP: u32 = 4;

/// Bytes allocated, counted from the start, at which the heap is looked at; `usize::MAX`: not before the thread has
/// come to look.
static NEXT_LOOK: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Bytes allocated since the start.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static GROWTH_ON: AtomicBool = AtomicBool::new(false);
/// Bytes in use from which growth counts, and those at which a check is due.
static BASE: AtomicUsize = AtomicUsize::new(0);
static GOAL: AtomicUsize = AtomicUsize::new(MIN_GROWTH_BYTES);
/// Growth of a heap smaller than this is no reason to check (Go's smallest heap).
const MIN_GROWTH_BYTES: usize = 4 << 20;
/// The heap is looked at this often, at most, while it allocates as much as the growth that counts: a program whose
/// heap stays just below the goal would be looked at all the time.
const LOOKS_PER_GROWTH: usize = 8;
/// What the smallest object takes: a request of no bytes counts, too.
const MIN_OBJECT_BYTES: usize = 8;

const SECOND: u64 = 1_000_000_000;
/// Without an interval the thread sleeps until it is woken.
const FOREVER: u64 = 365 * 86_400 * SECOND;

/// Installs what the options ask for.
pub(super) fn init() {
    if config::get(Key::LeakGrowth) > 0 {
        GROWTH_ON.store(true, Relaxed);
        NEXT_LOOK.store(MIN_GROWTH_BYTES, Relaxed);
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

/// Lets this thread take the signal: all of the program's may block it, as those of a server do that waits for its
/// signals in one place. The others stay blocked here.
fn take_signal() {
    let number = config::get(Key::LeakSignal) as i32;
    if number != 0 {
        signal::unblock(number);
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
    take_signal();
    let interval = config::get(Key::LeakInterval) as u64 * SECOND;
    let period = if interval == 0 { FOREVER } else { interval };
    let mut due = time::nanoseconds() + period;
    loop {
        let now = time::nanoseconds();
        if WANTED.load(Acquire) == 0 && now < due {
            futex::wait_for(&WANTED, 0, due - now);
            continue;
        }
        let bits = WANTED.swap(0, AcqRel);
        if bits & TO_SWEEP != 0 {
            sweep::all();
        }
        let Some(trigger) = trigger_of(bits) else { continue };
        if is_on() && check::run(trigger).is_none() {
            rearm();
        }
        due = time::nanoseconds() + period;
    }
}

/// Why a check is to be made when the thread was woken for `bits`; `None`: it need not.
fn trigger_of(bits: u32) -> Option<Trigger> {
    match bits {
        0 => Some(Trigger::Interval),
        _ if bits & BY_SIGNAL != 0 => Some(Trigger::Signal),
        _ if bits & BY_GROWTH != 0 => has_grown().then_some(Trigger::Growth),
        _ => None,
    }
}

/// Whether the heap has grown enough for a check; if not, sets the next look.
fn has_grown() -> bool {
    let (base, goal) = (BASE.load(Relaxed), GOAL.load(Relaxed));
    let in_use = bytes_in_use();
    if in_use < goal {
        arm(bytes_to_look(base, goal, in_use));
    }
    in_use >= goal
}

/// Bytes of the objects that the program has, each with its class's size. Takes the heap's locks.
fn bytes_in_use() -> usize {
    heap::snapshot().heap_in_use
}

/// The bytes in use that call for a check, if there were `base` after the last one.
fn goal_after(base: usize, percent: usize) -> usize {
    base.saturating_add((base.saturating_mul(percent) / 100).max(MIN_GROWTH_BYTES))
}

/// Bytes to request before the next look at a heap of `in_use` bytes, by which it will not be far beyond `goal`: it grows
/// by the classes' sizes, most of which are up to an eighth larger.
fn bytes_to_look(base: usize, goal: usize, in_use: usize) -> usize {
    goal.saturating_sub(in_use).max(goal.saturating_sub(base) / LOOKS_PER_GROWTH)
}

/// Sets the next look, after so many bytes more are allocated.
fn arm(bytes: usize) {
    NEXT_LOOK.store(ALLOCATED.load(Relaxed).saturating_add(bytes), Release);
}

/// There is something to sweep: for the thread, if there is one.
pub(super) fn wake_to_sweep() {
    want(TO_SWEEP);
}

/// Whether growth is looked at.
#[inline]
pub(super) fn wants_growth() -> bool {
    GROWTH_ON.load(Relaxed)
}

/// `bytes` have been requested of the heap.
#[inline]
pub(super) fn note_allocated(bytes: usize) {
    let bytes = bytes.max(MIN_OBJECT_BYTES);
    if ALLOCATED.fetch_add(bytes, Relaxed) + bytes >= NEXT_LOOK.load(Relaxed) {
        // One wake for one look, which sets the next mark.
        NEXT_LOOK.store(usize::MAX, Relaxed);
        want(BY_GROWTH);
    }
}

/// A check has been made: the next one is due when the heap has grown by `leak_growth` percent from here, without what
/// is about to be freed.
pub(super) fn note_checked(to_free: usize) {
    if wants_growth() {
        let base = bytes_in_use().saturating_sub(to_free);
        count_from(base, goal_after(base, config::get(Key::LeakGrowth)));
    }
}

/// Growth counts from `base` to `goal`.
fn count_from(base: usize, goal: usize) {
    BASE.store(base, Relaxed);
    GOAL.store(goal, Relaxed);
    arm(goal - base);
}

/// Without a check, be it that it failed: growth counts from here, and the least suffices.
fn rearm() {
    if wants_growth() {
        let base = bytes_in_use();
        count_from(base, goal_after(base, 0));
    }
}

/// In a child of the program's, which has only the thread that forked.
pub(super) fn restart_after_fork() {
    // Of what the parent's thread was about to do only the sweep goes on here: the child has the objects, too.
    WANTED.store(if sweep::is_due() { TO_SWEEP } else { 0 }, Relaxed);
    if is_on() {
        rearm();
        start_thread();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_heap_is_checked_when_it_has_grown_by_the_percentage_and_the_least() {
        assert_eq!(goal_after(100 * MIB, 50), 150 * MIB);
        assert_eq!(goal_after(MIB, 100), MIB + MIN_GROWTH_BYTES);
        assert_eq!(goal_after(0, 100), MIN_GROWTH_BYTES);
        assert_eq!(goal_after(usize::MAX - 1, usize::MAX), usize::MAX);
    }

    #[test]
    fn a_look_comes_when_the_goal_may_be_reached_but_not_all_the_time() {
        let goal = goal_after(100 * MIB, 80);
        assert_eq!(bytes_to_look(100 * MIB, goal, 100 * MIB), 80 * MIB);
        assert_eq!(bytes_to_look(100 * MIB, goal, 20 * MIB), 160 * MIB, "it has shrunk");
        assert_eq!(bytes_to_look(100 * MIB, goal, goal - 1), 10 * MIB);
    }
}
