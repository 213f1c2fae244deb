//! Where the threads publish what they were doing when they were stopped.
//!
//! A slot's state goes one way within a stop: `Sent` (or `Unsent` before it), then either the thread
//! takes it (`Writing`, `Stopped`) or the stopper gives up on the thread (`Sampled`, `Unseen`, `Gone`).
//! Both sides move on by compare-and-exchange on a word that also holds the number of the stop, so a
//! signal handler that comes late, even one stop too late, can't write into a slot that is not its own.

use crate::leak::chunks::{Chunks, Zeroed};
use core::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// What is known of a slot's thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    /// The signal is still to be queued: the user's limit of pending signals was reached.
    Unsent = 1,
    /// The signal is under way.
    Sent = 2,
    /// The thread's handler is filling the slot.
    Writing = 3,
    /// The thread sleeps in the handler; the slot is complete.
    Stopped = 4,
    /// The thread did not answer, but sleeps in the kernel with a known stack pointer.
    Sampled = 5,
    /// The thread did not answer, and nothing is known of it.
    Unseen = 6,
    /// The thread has ended.
    Gone = 7,
    /// The thread that stops the others.
    Caller = 8,
}

impl Phase {
    fn of(word: u64) -> Self {
        match word as u8 {
            1 => Self::Unsent,
            2 => Self::Sent,
            3 => Self::Writing,
            4 => Self::Stopped,
            5 => Self::Sampled,
            6 => Self::Unseen,
            8 => Self::Caller,
            _ => Self::Gone,
        }
    }
}

/// One thread's row. Two cache lines: neighbours are written by threads of other processors.
#[repr(C, align(128))]
pub(super) struct Slot {
    state: AtomicU64,
    /// The thread's number.
    pub(super) tid: AtomicU32,
    /// Why it was not seen, as a [`super::Reason`].
    pub(super) reason: AtomicU32,
    /// The stack pointer at the interruption.
    pub(super) stack_pointer: AtomicUsize,
    /// First address of the saved registers.
    pub(super) frame: AtomicUsize,
    /// Address behind the saved registers.
    pub(super) frame_end: AtomicUsize,
    /// Stack pointer and program counter at the last look from outside. Only the stopper writes them.
    pub(super) looked: [AtomicUsize; 2],
    /// What the thread pointer register holds, 0 if unknown.
    pub(super) thread_pointer: AtomicUsize,
    /// First address of the alternate signal stack, 0 if there is none.
    pub(super) alternate: AtomicUsize,
    /// Its size in bytes.
    pub(super) alternate_bytes: AtomicUsize,
}

// SAFETY: atomic numbers are zero when their bytes are.
unsafe impl Zeroed for Slot {}

/// The slots of the current stop are the first ones. They are never unmapped: see the module text.
pub(super) static SLOTS: Chunks<Slot> = Chunks::new();

impl Slot {
    /// Starts the slot over for `tid` in the stop `generation`.
    pub(super) fn begin(&self, generation: u32, tid: u32, phase: Phase) {
        self.tid.store(tid, Relaxed);
        for word in [
            &self.stack_pointer,
            &self.frame,
            &self.frame_end,
            &self.looked[0],
            &self.looked[1],
            &self.thread_pointer,
            &self.alternate,
            &self.alternate_bytes,
        ] {
            word.store(0, Relaxed);
        }
        self.state.store(pack(generation, phase), Release);
    }

    /// The phase, with everything that was stored before it was reached.
    pub(super) fn phase(&self) -> Phase {
        Phase::of(self.state.load(Acquire))
    }

    /// Goes from one phase of stop `generation` to another; `false` if the slot is not in the first.
    pub(super) fn advance(&self, generation: u32, from: Phase, to: Phase) -> bool {
        let (from, to) = (pack(generation, from), pack(generation, to));
        self.state.compare_exchange(from, to, AcqRel, Acquire).is_ok()
    }
}

fn pack(generation: u32, phase: Phase) -> u64 {
    u64::from(generation) << 8 | phase as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_handler_cannot_take_a_slot() {
        let slot = SLOTS.get_or_grow(100_000).unwrap();
        slot.begin(3, 7, Phase::Sent);
        assert!(slot.advance(3, Phase::Sent, Phase::Unseen));
        assert!(!slot.advance(3, Phase::Sent, Phase::Writing), "given up already");
        slot.begin(5, 8, Phase::Sent);
        assert!(!slot.advance(3, Phase::Sent, Phase::Writing), "of an earlier stop");
        assert_eq!(slot.phase(), Phase::Sent);
        assert!(slot.advance(5, Phase::Sent, Phase::Writing));
    }

    #[test]
    fn phases_survive_packing() {
        for phase in [
            Phase::Unsent,
            Phase::Sent,
            Phase::Writing,
            Phase::Stopped,
            Phase::Sampled,
            Phase::Unseen,
            Phase::Gone,
            Phase::Caller,
        ] {
            assert_eq!(Phase::of(pack(u32::MAX, phase)), phase);
        }
    }
}
