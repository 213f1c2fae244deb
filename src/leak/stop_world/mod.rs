//! Stopping every thread of the process but one, by a signal, without ptrace.
//!
//! 1. The gate closes: a number turns odd.
//! 2. Every thread in `/proc/self/task` that is new gets the signal; its handler (`handler`) publishes
//!    where its registers and stack lie, answers, and sleeps until the gate opens.
//! 3. When all have answered, the list is read again, for a thread not yet stopped may have made others;
//!    when a reading shows none that is new, all that exist are stopped, so none can be made.
//! 4. A thread that does not answer is looked at from outside (`silent`): one that has ended is
//!    forgotten; one that sleeps in the kernel with the same stack pointer twice (it blocks the signal,
//!    or is in an uninterruptible sleep, as in `vfork`) is taken as sampled, with its stack from there up
//!    but without its other registers; anything else is waited for until the time limit and then named
//!    as not seen. A thread that was given up and then takes the signal after all still stops.
//!
//! The signal aborts restartable sequences: a stopped thread is never inside one.
//!
//! Calls that the kernel does not restart after a handler (`poll`, `nanosleep`, `epoll_wait` and others,
//! listed in signal(7)) return `EINTR` in the stopped threads, as after any other signal.
//!
//! The caller takes, before [`stop`], every lock that it needs until [`StoppedWorld::resume`]: a stopped
//! thread gives none back. The order that can't block: the dynamic linker's (`dl_iterate_phdr`), if at
//! all, then the heap's. Threads that wait for such a lock still answer.

mod handler;
mod silent;
mod slots;
mod state;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use silent::name as thread_name;
pub(crate) use state::{
    Caller, How, Options, Range, Reason, StopError, ThreadState, save_registers, stack_pointer,
};
pub(crate) use tasks::Source;

use crate::leak::{
    glibc::{self, Layout},
    own_memory::NoMemory,
};
use crate::sys::{
    futex,
    message::{process_id, thread_id},
    signal,
    syscall::Errno,
    time,
};
use core::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use handler::{ANSWERS, Cookie, GATE, WANTED};
use silent::Look;
use slots::{Phase, SLOTS, Slot};

/// The signal used if no option says otherwise: the one that glibc keeps for `setuid` in threads.
///
/// Programs can't block it (libc takes it out of every set they pass), don't wait for it in `sigwait`,
/// and can't have a handler of their own; gdb passes it on without stopping. glibc's handler ignores
/// signals without its mark, as ours passes on signals without ours.
pub(crate) const DEFAULT_SIGNAL: i32 = 33;

/// Bytes below the stack pointer that a function may use without moving it (System V ABI, x86-64).
pub(crate) const RED_ZONE_BYTES: usize = 128;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
/// The first wait for answers before looking at silent threads; doubled while nothing moves.
const FIRST_SLICE_NANOSECONDS: u64 = NANOSECONDS_PER_MILLISECOND;
const LONGEST_SLICE_NANOSECONDS: u64 = 16 * NANOSECONDS_PER_MILLISECOND;
/// Two looks at a sleeping thread must lie this far apart before it counts as parked: it may be on its
/// way through `pthread_create`, which blocks all signals for a while.
const PARKED_NANOSECONDS: u64 = 4 * NANOSECONDS_PER_MILLISECOND;

static BUSY: AtomicBool = AtomicBool::new(false);

/// Stops all other threads; they go on when the value is dropped.
///
/// Uses about 4 KiB of stack. The caller may hold locks of libc or of the heap.
pub(crate) fn stop(options: &Options) -> Result<StoppedWorld, StopError> {
    if BUSY.swap(true, Acquire) {
        return Err(StopError::Busy);
    }
    // From here on dropping the world opens the gate and lets others stop it.
    let mut world = StoppedWorld::closed(options);
    tasks::prepare()?;
    handler::install(options.signal).map_err(StopError::Signal)?;
    world.stop_all()?;
    Ok(world)
}

/// In a child of a fork made by the program: forgets a stop that was under way in the parent.
pub(crate) fn reset_after_fork() {
    let generation = GATE.load(Relaxed);
    GATE.store(generation + (generation & 1), Relaxed);
    BUSY.store(false, Release);
}

/// All threads but the caller's, asleep.
pub(crate) struct StoppedWorld {
    signal: i32,
    generation: u32,
    pid: u32,
    /// Slots in use.
    slots: usize,
    /// Answers to wait for.
    expected: u32,
    deadline_nanoseconds: u64,
    caller: Caller,
    layout: Option<Layout>,
    source: Source,
}

impl StoppedWorld {
    /// Closes the gate.
    fn closed(options: &Options) -> Self {
        let generation = GATE.load(Relaxed).wrapping_add(1) & Cookie::GENERATION_MASK;
        ANSWERS.store(0, SeqCst);
        WANTED.store(u32::MAX, SeqCst);
        GATE.store(generation, SeqCst);
        Self {
            signal: options.signal,
            generation,
            pid: process_id(),
            slots: 0,
            expected: 0,
            deadline_nanoseconds: time::nanoseconds()
                .saturating_add(options.limit_milliseconds * NANOSECONDS_PER_MILLISECOND),
            caller: options.caller,
            layout: glibc::layout(),
            source: Source::Nothing,
        }
    }

    fn stop_all(&mut self) -> Result<(), StopError> {
        loop {
            let before = self.slots;
            let outcome = self.signal_new_threads();
            if outcome.is_err() {
                // No answer may be under way when the next stop begins to count.
                self.wait_for_answers();
            }
            outcome?;
            if self.slots == before {
                return Ok(());
            }
            self.wait_for_answers();
        }
    }

    /// Signals the threads that have no slot yet.
    fn signal_new_threads(&mut self) -> Result<(), NoMemory> {
        let (pid, layout) = (self.pid, self.layout);
        let mut result = Ok(());
        self.source = tasks::for_each(pid, layout.as_ref(), |tid| {
            if tasks::is_new(tid) {
                result = result.and(self.add(tid));
            }
        });
        result
    }

    fn add(&mut self, tid: u32) -> Result<(), NoMemory> {
        let slot = SLOTS.get_or_grow(self.slots).inspect_err(|_| tasks::forget(tid))?;
        let index = self.slots;
        self.slots += 1;
        if tid == thread_id() {
            slot.begin(self.generation, tid, Phase::Caller);
            slot.stack_pointer.store(self.caller.stack_pointer, Relaxed);
            slot.thread_pointer.store(handler::own_thread_pointer(), Relaxed);
            let (start, end) = own_alternate_stack();
            slot.alternate.store(start, Relaxed);
            slot.alternate_bytes.store(end - start, Relaxed);
        } else {
            slot.begin(self.generation, tid, Phase::Sent);
            self.expected += 1;
            self.send(slot, index);
        }
        Ok(())
    }

    fn send(&mut self, slot: &Slot, index: usize) {
        let tid = slot.tid.load(Relaxed);
        let cookie = Cookie { generation: self.generation, index };
        // SAFETY: our handler is set for this signal.
        match unsafe { signal::queue(self.pid, tid, self.signal, cookie.word()) } {
            Ok(()) => {}
            Err(Errno(libc::EAGAIN)) => {
                slot.advance(self.generation, Phase::Sent, Phase::Unsent);
            }
            Err(_) => self.give_up(slot, Phase::Gone),
        }
    }

    /// Stops waiting for a thread, unless it is just answering.
    fn give_up(&mut self, slot: &Slot, to: Phase) {
        let generation = self.generation;
        if slot.advance(generation, Phase::Sent, to) || slot.advance(generation, Phase::Unsent, to) {
            self.expected -= 1;
        }
    }

    fn wait_for_answers(&mut self) {
        let mut slice = FIRST_SLICE_NANOSECONDS;
        let mut last_look = 0;
        loop {
            WANTED.store(self.expected, SeqCst);
            let answers = ANSWERS.load(SeqCst);
            if answers >= self.expected {
                return;
            }
            futex::wait_for(&ANSWERS, answers, slice);
            let now = time::nanoseconds();
            if ANSWERS.load(SeqCst) != answers && now < self.deadline_nanoseconds {
                slice = FIRST_SLICE_NANOSECONDS;
                continue;
            }
            slice = (slice * 2).min(LONGEST_SLICE_NANOSECONDS);
            let settled = now - last_look >= PARKED_NANOSECONDS;
            self.look_at_silent_threads(settled, now >= self.deadline_nanoseconds);
            last_look = if settled { now } else { last_look };
        }
    }

    /// Looks at the threads that have not answered. `settled`: the last look lies long enough back for a
    /// thread that has not moved since to be called parked. `late`: the time is up.
    fn look_at_silent_threads(&mut self, settled: bool, late: bool) {
        // glibc sets its own handler for our usual signal when the first thread is made; signals that
        // went there are sent again. A second one does no harm.
        let lost = settled && handler::install(self.signal) == Ok(true);
        for index in 0..self.slots {
            let Some(slot) = SLOTS.get(index) else { continue };
            match slot.phase() {
                Phase::Unsent if late => self.leave_unseen(slot, Reason::QueueFull),
                Phase::Unsent => {
                    slot.advance(self.generation, Phase::Unsent, Phase::Sent);
                    self.send(slot, index);
                }
                Phase::Sent if lost && !late => self.send(slot, index),
                Phase::Sent => self.look_at(slot, settled, late),
                _ => {}
            }
        }
    }

    fn look_at(&mut self, slot: &Slot, settled: bool, late: bool) {
        match silent::look(self.pid, slot.tid.load(Relaxed)) {
            Look::Gone => self.give_up(slot, Phase::Gone),
            Look::Asleep { stack_pointer, program_counter } if settled || late => {
                let same_stack = slot.looked[0].swap(stack_pointer, Relaxed) == stack_pointer;
                let same_place = slot.looked[1].swap(program_counter, Relaxed) == program_counter;
                if late || (same_stack && same_place) {
                    self.give_up(slot, Phase::Sampled);
                }
            }
            Look::Traced { stack_pointer } if late => {
                slot.looked[0].store(stack_pointer, Relaxed);
                self.give_up(slot, Phase::Sampled);
            }
            Look::Hidden if late => self.leave_unseen(slot, Reason::Hidden),
            Look::Running if late => self.leave_unseen(slot, Reason::Running),
            _ => {}
        }
    }

    fn leave_unseen(&mut self, slot: &Slot, reason: Reason) {
        slot.reason.store(reason as u32, Relaxed);
        self.give_up(slot, Phase::Unseen);
    }

    /// The threads that exist.
    pub(crate) fn threads(&self) -> impl Iterator<Item = ThreadState> {
        (0..self.slots).filter_map(|index| self.state(SLOTS.get(index)?))
    }

    fn state(&self, slot: &Slot) -> Option<ThreadState> {
        let phase = slot.phase();
        let how = match phase {
            Phase::Caller => How::Caller,
            Phase::Stopped => How::Signal,
            Phase::Sampled => How::Sampled,
            Phase::Gone => return None,
            _ => How::NotSeen(Reason::of(slot.reason.load(Relaxed))),
        };
        let registers = match (how, &self.caller.registers) {
            (How::Signal, _) => (slot.frame.load(Relaxed), slot.frame_end.load(Relaxed)),
            (How::Caller, Some(saved)) => {
                let start = saved.as_ptr().addr();
                (start, start + size_of_val(saved))
            }
            _ => (0, 0),
        };
        let stack_pointer = match how {
            How::NotSeen(_) => 0,
            How::Sampled => slot.looked[0].load(Relaxed),
            _ => slot.stack_pointer.load(Relaxed),
        };
        let alternate = slot.alternate.load(Relaxed);
        Some(ThreadState {
            tid: slot.tid.load(Relaxed),
            stack_pointer,
            registers,
            thread_pointer: slot.thread_pointer.load(Relaxed),
            alternate: (alternate, alternate + slot.alternate_bytes.load(Relaxed)),
            how,
        })
    }

    /// The process: also the number of its main thread.
    pub(crate) fn process(&self) -> u32 {
        self.pid
    }

    /// What is known of libc's threads.
    pub(crate) fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// Where the list of threads came from.
    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// Lets the threads go on, as dropping the value does.
    pub(crate) fn resume(self) {}
}

impl Drop for StoppedWorld {
    fn drop(&mut self) {
        GATE.store((self.generation + 1) & Cookie::GENERATION_MASK, SeqCst);
        futex::wake(&GATE, i32::MAX as u32);
        for slot in (0..self.slots).filter_map(|index| SLOTS.get(index)) {
            tasks::forget(slot.tid.load(Relaxed));
        }
        BUSY.store(false, Release);
    }
}

/// This thread's alternate signal stack.
fn own_alternate_stack() -> Range {
    let mut stack = libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: the kernel writes the structure, which lives for the call.
    let _ =
        unsafe { crate::sys::syscall::call(libc::SYS_sigaltstack, [0, &raw mut stack as usize, 0, 0, 0, 0]) };
    if stack.ss_flags & libc::SS_DISABLE != 0 {
        return (0, 0);
    }
    (stack.ss_sp.addr(), stack.ss_sp.addr() + stack.ss_size)
}
