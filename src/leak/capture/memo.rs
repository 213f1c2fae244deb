//! The stack that a thread walked last: the next walk goes on only until the two meet.
//!
//! Where a walk goes from a frame depends on its registers (program counter, stack and frame pointer), the
//! rules, and the words that it reads from the stack. So a memo holds each frame's registers and where they
//! were read. A walk that comes to a frame with registers of the memo need not walk on: if, frame by frame
//! outwards, each of these places still holds the same, the rest of the stack is the same. That takes two
//! loads and comparisons for each frame, none of which waits for another. Where a place holds something
//! else, the walk goes on from there, and may meet the memo again.
//!
//! Reading these places is as safe as walking: each belongs to a frame that the one before, verified, says
//! is there. Steps that read more than two words (call frame expressions, realigned stacks) are walked again
//! and compared. Walks that had to guess are not remembered.
//!
//! Memos lie in a table that is indexed by thread. Each has a flag that says it is in use, which nobody
//! waits for: a signal handler in between, or another thread with the same place, walks all the way.

use super::{stack, trace::Record};
use crate::leak::depot::{self, Hasher, StackId};
use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Frames in a memo: the most that are kept of a stack, and those of recursion that comes and goes below.
pub(super) const CAPACITY: usize = super::MAX_FRAMES + 64;
/// Log2 of the memos.
const MEMO_BITS: u32 = 8;
const MEMOS: usize = 1 << MEMO_BITS;

/// How a frame was reached.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) pc: usize,
    pub(super) sp: usize,
    pub(super) bp: usize,
    /// Where the frame pointer was read, and what was there; the place of the return address if it was not
    /// read; [`REWALK`] if the step was of another kind.
    bp_at: usize,
    bp_word: usize,
}

/// The powers of the hash's base.
static POWERS: [u64; CAPACITY + 1] = powers(Hasher::MULTIPLIER);
/// Those of the number that the base makes 1: modulo 2^64 every odd number has one.
static INVERSE_POWERS: [u64; CAPACITY + 1] = powers(inverse(Hasher::MULTIPLIER));

const fn powers(base: u64) -> [u64; CAPACITY + 1] {
    let mut powers = [1; CAPACITY + 1];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = base.wrapping_mul(powers[i - 1]);
        i += 1;
    }
    powers
}

/// The odd number's inverse by Newton's method, which doubles the bits that are right: 3, 6, … 96.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}
const _: () = assert!(Hasher::MULTIPLIER.wrapping_mul(inverse(Hasher::MULTIPLIER)) == 1);

/// What is found at `REWALK` is never what is asked for.
static REWALK: AtomicUsize = AtomicUsize::new(1);

impl Frame {
    /// A frame from a step that read the return address below `sp`, and the frame pointer `below` bytes
    /// below, or, if that is 0, left it as it was.
    #[inline(always)]
    pub(super) fn plain(pc: usize, sp: usize, bp: usize, below: usize) -> Self {
        let (bp_at, bp_word) = if below != 0 { (sp - below, bp) } else { (sp - size_of::<usize>(), pc) };
        Self { pc, sp, bp, bp_at, bp_word }
    }

    /// A frame to be reached again by a whole step.
    pub(super) fn by_rewalk(pc: usize, sp: usize, bp: usize) -> Self {
        let bp_at = (&raw const REWALK).expose_provenance();
        Self { pc, sp, bp, bp_at, bp_word: 0 }
    }

    /// Whether the walk from the frame before leads here.
    ///
    /// # Safety
    /// The walk did so when the frame was noted, and the frame before is one of the running stack.
    #[inline(always)]
    unsafe fn is_reached(&self) -> bool {
        // SAFETY: the step from the frame before reads these two words.
        let (pc, bp_word) = unsafe { (stack::load(self.sp - size_of::<usize>()), stack::load(self.bp_at)) };
        (pc ^ self.pc) | (bp_word ^ self.bp_word) == 0
    }
}

/// A thread's last stack.
pub(super) struct Memo {
    /// The value of [`PROCESS`] while the memo is in use.
    user: AtomicU32,
    /// How often rules had been forgotten when the frames were walked.
    epoch: usize,
    /// The thread.
    thread: usize,
    /// Walks so far.
    walks: u32,
    /// Walks that are to do without the memo.
    pub(super) pause: u32,
    /// The innermost frame; `CAPACITY` if there is none. The outermost is the last.
    start: usize,
    /// Whether the stack ends behind the last frame.
    pub(super) is_whole: bool,
    /// The number of the stack in the depot and which frames it has, 0 and none if not known.
    pub(super) id: StackId,
    pub(super) id_frames: (usize, usize),
    /// The number of the stack that was found last, by a walk or a trace, or stored.
    pub(super) last_id: StackId,
    /// How well traces serve whoever uses the memo.
    pub(super) traces: Record,
    frames: Frames,
    /// The same frames' addresses, as the depot wants them.
    addresses: [usize; CAPACITY],
    /// For each frame the sum of the addresses of itself and all outer ones, each times its number's power of
    /// the hash's base, and zero behind the last. The hash of some frames is a difference of two of these times
    /// an inverse power: no product waits for another.
    sums: [u64; CAPACITY + 1],
    fresh: Fresh,
}

/// Frames of which those from some number on are written, the outermost last.
pub(super) struct Frames([MaybeUninit<Frame>; CAPACITY]);

/// Frames of a walk that has not met the memo yet, innermost first.
pub(super) struct Fresh {
    frames: [MaybeUninit<Frame>; CAPACITY],
    /// How many are written.
    pub(super) len: usize,
}

impl Frames {
    #[inline(always)]
    fn get(&self, number: usize) -> Frame {
        // SAFETY: frames lie only in memos, and these only in a mapping that begins as zeros, which are a frame.
        unsafe { self.0[number].assume_init() }
    }

    /// Some frames in a row; none if there are not so many.
    #[inline(always)]
    fn get_range(&self, numbers: core::ops::Range<usize>) -> &[Frame] {
        let frames: *const [MaybeUninit<Frame>] = self.0.get(numbers).unwrap_or(&[]);
        // SAFETY: as above; a `MaybeUninit` is laid out as what it may hold.
        unsafe { &*(frames as *const [Frame]) }
    }

    /// The stack pointer of frame `number`, the highest of all for the number behind the last.
    #[inline(always)]
    pub(super) fn sp_of(&self, number: usize) -> usize {
        if number < CAPACITY { self.get(number).sp } else { usize::MAX }
    }

    /// The first frame from `number` on that lies at or above `sp`.
    #[inline(always)]
    pub(super) fn seek(&self, mut number: usize, sp: usize) -> usize {
        while number < CAPACITY && self.get(number).sp < sp {
            number += 1;
        }
        number
    }

    /// Whether frame `number` has these registers.
    #[inline(always)]
    pub(super) fn is_at(&self, number: usize, pc: usize, sp: usize, bp: usize) -> bool {
        if number >= CAPACITY {
            return false;
        }
        let frame = self.get(number);
        (frame.sp ^ sp) | (frame.pc ^ pc) | (frame.bp ^ bp) == 0
    }
}

impl Fresh {
    /// The places of the first `most` frames.
    #[inline(always)]
    pub(super) fn room(&mut self, most: usize) -> &mut [MaybeUninit<Frame>] {
        &mut self.frames[..most.min(CAPACITY)]
    }
}

/// All memos. All zeros are memos that belong to no thread.
pub(super) struct Memos([core::cell::UnsafeCell<Memo>; MEMOS]);

// SAFETY: a memo is only reached by who has set its flag.
unsafe impl Sync for Memos {}

/// Changes in a child of `fork`, where the threads that used memos do not exist.
static PROCESS: AtomicU32 = AtomicU32::new(1);

/// In a child of `fork`: memos in use are so no more.
pub(super) fn forget_users() {
    PROCESS.store(PROCESS.load(Relaxed).wrapping_add(1).max(1), Relaxed);
}

/// A memo in use by this thread.
pub(super) struct Used<'a>(&'a mut Memo);

impl Memos {
    /// The memo of this thread, as of rules of `epoch`; `None` if somebody uses it.
    #[inline(always)]
    pub(super) fn take(&self, epoch: usize) -> Option<Used<'_>> {
        let thread = thread_pointer();
        let index = (thread as u64).wrapping_mul(Hasher::MULTIPLIER) >> (u64::BITS - MEMO_BITS);
        let memo = self.0[index as usize].get();
        let process = PROCESS.load(Relaxed);
        // SAFETY: the flag is only used atomically; the table lives for good.
        let old = unsafe { &(*memo).user }.swap(process, Acquire);
        if old == process {
            return None;
        }
        // SAFETY: the flag was not set, so nobody else uses the memo until it is dropped. Who set another
        // process's value exists in that one only.
        let memo = unsafe { &mut *memo };
        if old != 0 || (memo.epoch, memo.thread) != (epoch, thread) {
            (memo.epoch, memo.thread, memo.last_id) = (epoch, thread, StackId::NONE);
            memo.clear();
        }
        Some(Used(memo))
    }
}

impl core::ops::Deref for Used<'_> {
    type Target = Memo;
    #[inline(always)]
    fn deref(&self) -> &Memo {
        self.0
    }
}

impl core::ops::DerefMut for Used<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Memo {
        self.0
    }
}

impl Drop for Used<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.user.store(0, Release);
    }
}

/// What tells this thread from others.
#[inline(always)]
fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: x86-64's ABI keeps the thread pointer there.
    unsafe {
        core::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) pointer,
            options(nostack, preserves_flags, pure, readonly));
    }
    pointer
}

impl Memo {
    /// Forgets the stack.
    pub(super) fn clear(&mut self) {
        (self.start, self.is_whole, self.pause) = (CAPACITY, false, 0);
        (self.id, self.id_frames) = (StackId::NONE, (0, 0));
    }

    /// The innermost frame's number; the numbers rise outwards, up to `CAPACITY`.
    #[inline(always)]
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Frame `number`, from `start` on.
    #[inline(always)]
    pub(super) fn frame(&self, number: usize) -> Frame {
        self.frames.get(number)
    }

    /// The frames of the last walk, those from `start` on, and those of this one.
    #[inline(always)]
    pub(super) fn parts(&mut self) -> (&Frames, &mut Fresh) {
        (&self.frames, &mut self.fresh)
    }

    /// How far the stack is the same outwards of frame `number`: the number of the first frame that is not reached,
    /// `end` if all below are. Reads nothing above `limit`.
    ///
    /// Frame by frame, though a comparison of several at a time would be faster: nothing but a frame itself proves that
    /// the one above it is there. What was proven readable once may be another, shorter stack by now.
    ///
    /// # Safety
    /// `number` must be that of a frame of the running stack.
    #[inline(always)]
    pub(super) unsafe fn same_up_to(&self, number: usize, end: usize, limit: usize) -> usize {
        let mut next = number + 1;
        while next < end {
            let frame = self.frame(next);
            // SAFETY: the caller's promise for the first frame, and this comparison for the others.
            if frame.sp > limit || !unsafe { frame.is_reached() } {
                break;
            }
            next += 1;
        }
        next
    }

    /// Notes how frame `number` is reached now: where the frame pointer was read depends on the frame inwards of it.
    #[inline(always)]
    pub(super) fn note_reached(&mut self, number: usize, frame: Frame) {
        self.frames.0[number].write(frame);
    }

    /// Begins a walk.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.fresh.len = 0;
        self.walks = self.walks.wrapping_add(1);
    }

    /// True in one of sixteen walks.
    pub(super) fn one_in_16(&self) -> bool {
        self.walks.is_multiple_of(16)
    }

    /// Frames of the walk that are not in the memo.
    #[inline(always)]
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len
    }

    /// Adds a frame of the walk; `false` if there are too many.
    #[inline(always)]
    pub(super) fn add(&mut self, frame: Frame) -> bool {
        let Some(place) = self.fresh.frames.get_mut(self.fresh.len) else { return false };
        place.write(frame);
        self.fresh.len += 1;
        true
    }

    /// Ends a walk that met the memo at frame `met`, `CAPACITY` if it did not: its frames take the place
    /// of the inner ones.
    #[inline(always)]
    pub(super) fn join(&mut self, met: usize) {
        if self.fresh.len == 0 && met == self.start {
            return;
        }
        let met = if self.fresh.len <= met { met } else { self.drop_outermost(met) };
        self.id_frames = (0, 0);
        self.start = met - self.fresh.len;
        let (from, to) = (self.fresh.frames.as_ptr(), &raw mut self.frames.0[self.start..met]);
        // SAFETY: the ranges are as long as each other, and of different arrays.
        unsafe { core::ptr::copy_nonoverlapping(from, to.cast(), self.fresh.len) };
        self.sum_up(met);
    }

    /// Computes addresses and sums from frame `end` inwards.
    #[inline(always)]
    fn sum_up(&mut self, end: usize) {
        let mut sum = self.sums[end];
        let numbers = self.start..end;
        let (sums, addresses) = (&mut self.sums[numbers.clone()], &mut self.addresses[numbers.clone()]);
        let frames = self.frames.get_range(numbers.clone());
        for (((place, address), power), frame) in
            sums.iter_mut().zip(addresses).zip(&POWERS[numbers]).zip(frames).rev()
        {
            sum = sum.wrapping_add((frame.pc as u64).wrapping_mul(*power));
            (*place, *address) = (sum, frame.pc);
        }
    }

    /// Makes room at the inner end for the frames of the walk by dropping outer ones; returns the new number
    /// of frame `met`.
    #[cold]
    fn drop_outermost(&mut self, met: usize) -> usize {
        let by = self.fresh.len - met;
        self.frames.0.copy_within(met..CAPACITY - by, met + by);
        self.is_whole = false;
        self.start = met + by;
        self.sum_up(CAPACITY);
        met + by
    }

    /// The frames `from ..` outwards, at most `depth`, with their hash.
    #[inline(always)]
    pub(super) fn stack(&self, from: usize, depth: usize) -> (&[usize], u32) {
        let from = from.min(CAPACITY);
        let end = (from + depth).min(CAPACITY);
        let sum = self.sums[from].wrapping_sub(self.sums[end]).wrapping_mul(INVERSE_POWERS[from]);
        let (frames, hash) = (&self.addresses[from..end], Hasher::of_sum(sum).finish());
        debug_assert_eq!(hash, depot::hash(frames), "a hash from sums is that of the frames");
        (frames, hash)
    }
}
