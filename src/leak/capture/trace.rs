//! Traces: the steps of walks that were made before, to be made again without looking anything up.
//!
//! A program allocates from the same places in the same order, over and over. So for each stack it is kept which two
//! came after it the last times ([`Traces::after`]), and with each stack in the depot the step from each of its frames
//! to the next. To follow a trace is to walk: a step is made only after the frame's return address has been found to be
//! the stored one. What is spared is the search for rules, the hash of the frames, and the search in the depot: who
//! comes to the end of a trace knows the stack's number.
//!
//! ```text
//! step     bit  0       the frame keeps a frame pointer
//!          bits 1..5    bytes from the saved frame pointer up to the CFA / 8, if the frame saved it without keeping one
//!          bits 5..16   bytes of the frame / 8: from its stack pointer to the CFA; 0 for the last one
//! stamp    bits 0..16   number of frames
//!          bits 16..24  how many were wanted at most
//!          bits 24..32  whether there are steps: [`State`]
//!          bits 32..64  how often rules had been forgotten when they were written, cut off
//! ```
//!
//! A frame with a frame pointer has the rule that its CFA lies 16 bytes above where that points. The step says where
//! that was the last time, counted from the stack pointer. If it is there again, the next loads need not wait for the
//! frame pointer to be loaded: the comparison is all that does.
//!
//! Traces are shared by all threads. They are written when a stack is found for the second time, and again when rules
//! have been forgotten since. The stamp tells readers that this has happened meanwhile.

use super::{
    memo::Memo,
    rule::{Base, FRAME_POINTER_CFA, Packed, Rule},
    stack,
    table::{ADDRESS_BITS, Table},
    walk::Cursor,
};
use crate::leak::depot::{self, Hasher, LEN_BITS, StackId, Stored};
use core::sync::atomic::{
    AtomicU16, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// Stacks that a trace has led to.
#[cfg(test)]
pub(super) static FOLLOWED: super::statistics::Counter = super::statistics::Counter::new();

/// Log2 of the stacks for which it is known what came after them.
const AFTER_BITS: u32 = 15;
/// Frames left out of a stack that is stored: the walk's own one, which has no step there.
const SKIPPED: usize = 1;

const SLOT_BYTES: usize = 8;
const HAS_BP: u16 = 1;
const BELOW_SHIFT: u32 = 1;
const BELOW_BITS: u32 = 4;
const SIZE_SHIFT: u32 = BELOW_SHIFT + BELOW_BITS;
const SIZE_BITS: u32 = u16::BITS - SIZE_SHIFT;

/// How to get from a frame to the next one.
#[derive(Clone, Copy)]
struct Step(u16);

impl Step {
    /// From the outermost frame, or the last one that is wanted.
    const LAST: Self = Self(0);

    /// From a frame of `size` bytes by `rule`; `None` if the rule or a number is unusual.
    fn new(rule: Packed, size: usize) -> Option<Self> {
        let Some(Rule::Frame { base, cfa, bp_below }) = rule.unpack() else { return None };
        let (has_bp, below) = match base {
            Base::Sp if cfa as usize == size => (0, bp_below as usize / SLOT_BYTES),
            Base::Bp if rule == Packed::FRAME_POINTER => (HAS_BP, 0),
            _ => return None,
        };
        let slots = size / SLOT_BYTES;
        let fits = size.is_multiple_of(SLOT_BYTES)
            && slots != 0
            && slots < 1 << SIZE_BITS
            && below < 1 << BELOW_BITS
            && below <= slots
            && (has_bp == 0 || size >= FRAME_POINTER_CFA);
        fits.then_some(Self(has_bp | (below << BELOW_SHIFT) as u16 | (slots << SIZE_SHIFT) as u16))
    }

    #[inline(always)]
    fn has_bp(self) -> bool {
        self.0 & HAS_BP != 0
    }

    #[inline(always)]
    fn bp_below(self) -> usize {
        usize::from(self.0 >> BELOW_SHIFT) % (1 << BELOW_BITS) * SLOT_BYTES
    }

    #[inline(always)]
    fn size(self) -> usize {
        usize::from(self.0 >> SIZE_SHIFT) * SLOT_BYTES
    }
}

/// What is known of a stack's steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Somebody writes them, or did so when the process was forked.
    Writing = 1,
    /// They lead from the innermost frame to the outermost.
    Written = 2,
    /// A frame has none.
    Unusual = 3,
}

/// What comes after which stack. All zeros is nothing.
#[repr(C)]
pub(super) struct Traces {
    /// By the hash of a stack's number and the next one's stack pointer: the numbers of the two that came then the last
    /// times, the newer one in the low half.
    after: [AtomicU64; 1 << AFTER_BITS],
    /// The step from the walk's own frame, above the address in it, which takes the lowest [`ADDRESS_BITS`]: not to
    /// begin each trace with a search for a rule.
    own: AtomicU64,
}

/// Where a trace begins: the registers of the innermost frame that it has, and how far the stack is proven readable.
struct Start {
    pc: usize,
    sp: usize,
    bp: usize,
    end: usize,
}

/// What is asked of a walk.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// Frames to be left out, the walk's own included.
    pub(super) skip: usize,
    /// Most frames that are kept.
    pub(super) depth: usize,
    /// Most frames with those left out.
    pub(super) frames: usize,
    /// How often rules have been forgotten.
    pub(super) epoch: usize,
}

/// How well traces serve a thread. All zeros is where it begins.
#[derive(Clone, Copy)]
pub(super) struct Record {
    /// Walks since a trace was followed.
    misses: u32,
}

impl Record {
    /// After so many walks without a trace only one in [`Self::PAUSE`] looks for one.
    const PATIENCE: u32 = 32;
    const PAUSE: u32 = 8;

    /// Whether to look for a trace now.
    #[inline(always)]
    pub(super) fn is_worth_trying(self) -> bool {
        self.misses < Self::PATIENCE || self.misses.is_multiple_of(Self::PAUSE)
    }

    /// A trace was followed to its end.
    #[inline(always)]
    pub(super) fn note_followed(&mut self) {
        self.misses = 0;
    }

    /// A walk was made.
    #[inline(always)]
    pub(super) fn note_walked(&mut self) {
        self.misses = self.misses.wrapping_add(1);
    }
}

impl Wanted {
    /// The upper bits of the stamp of steps in this state.
    #[inline(always)]
    fn stamp(self, state: State) -> u64 {
        let depth = self.depth.min(u8::MAX.into()) as u64;
        (self.epoch as u64) << u32::BITS | (state as u64) << 24 | depth << LEN_BITS
    }
}

impl Traces {
    /// What came after `last` where the stack pointer was that of `cursor`. Of that only the lowest bits count, which are
    /// the same in threads that do the same.
    #[inline(always)]
    fn after(&self, last: StackId, cursor: &Cursor) -> &AtomicU64 {
        let (_, sp, _) = cursor.registers();
        let key = u64::from(last.0) << u16::BITS ^ (sp % (1 << u16::BITS)) as u64;
        &self.after[(key.wrapping_mul(Hasher::MULTIPLIER) >> (u64::BITS - AFTER_BITS)) as usize]
    }

    /// The number of the stack from `cursor` on, if it is one of the two that came after `last` the last times.
    ///
    /// # Safety
    /// `cursor` must hold the registers of a running function of this thread.
    #[inline(always)]
    pub(super) unsafe fn follow(
        &self,
        cursor: &Cursor,
        last: StackId,
        rules: &Table,
        wanted: Wanted,
    ) -> Option<StackId> {
        if wanted.skip != SKIPPED {
            return None;
        }
        let after = self.after(last, cursor);
        let both = after.load(Relaxed);
        let (newer, older) = (StackId(both as u32), StackId((both >> 32) as u32));
        // SAFETY: passed on to the caller.
        let start = unsafe { self.start(cursor, rules) }?;
        // SAFETY: passed on to the caller, twice.
        if unsafe { leads_to(newer, &start, wanted) } {
            #[cfg(test)]
            FOLLOWED.count();
            return Some(newer);
        }
        // SAFETY: as above.
        if unsafe { leads_to(older, &start, wanted) } {
            after.store(both.rotate_left(32), Relaxed);
            #[cfg(test)]
            FOLLOWED.count();
            return Some(older);
        }
        None
    }

    /// The caller of the function that `cursor` is in; `None` if that has an unusual frame, or no rule yet.
    ///
    /// # Safety
    /// As for [`Self::follow`].
    #[inline(always)]
    unsafe fn start(&self, cursor: &Cursor, rules: &Table) -> Option<Start> {
        let ((pc, sp, bp), end) = (cursor.registers(), cursor.readable_up_to());
        let own = self.own.load(Relaxed);
        let step = if own % (1 << ADDRESS_BITS) == pc as u64 {
            Step((own >> ADDRESS_BITS) as u16)
        } else {
            self.find_own(pc, sp, bp, rules)?
        };
        let cfa =
            if step.has_bp() { bp.wrapping_add(FRAME_POINTER_CFA) } else { sp.wrapping_add(step.size()) };
        if cfa <= sp || cfa > end {
            return None;
        }
        let bp_below = if step.has_bp() { FRAME_POINTER_CFA } else { step.bp_below() };
        // SAFETY: the caller vouches for the frame, whose rule says that it lies there, below the end.
        let bp = if bp_below == 0 { bp } else { unsafe { stack::load(cfa - bp_below) } };
        // SAFETY: as above, of the frame's return address.
        Some(Start { pc: unsafe { stack::load(cfa - SLOT_BYTES) }, sp: cfa, bp, end })
    }

    /// Looks the walk's own frame up, and remembers its step.
    #[cold]
    fn find_own(&self, pc: usize, sp: usize, bp: usize, rules: &Table) -> Option<Step> {
        let rule = rules.find(pc);
        let size = match rule.unpack()? {
            Rule::Frame { base: Base::Sp, cfa, .. } => cfa as usize,
            _ => bp.wrapping_add(FRAME_POINTER_CFA).wrapping_sub(sp),
        };
        let step = Step::new(rule, size)?;
        self.own.store(pc as u64 | u64::from(step.0) << ADDRESS_BITS, Relaxed);
        Some(step)
    }

    /// Notes that `id`, which is the stack that was just walked from `cursor` to `memo`, came after `last`, and writes
    /// its steps if it has none.
    pub(super) fn learn(
        &self,
        cursor: &Cursor,
        last: StackId,
        id: StackId,
        memo: &Memo,
        rules: &Table,
        wanted: Wanted,
    ) {
        if wanted.skip != SKIPPED {
            return;
        }
        let after = self.after(last, cursor);
        let both = after.load(Relaxed);
        if both as u32 != id.0 {
            after.store(both << 32 | u64::from(id.0), Relaxed);
        }
        let Some(stored) = depot::stored(id) else { return };
        let stamp = stored.stamp.load(Relaxed) >> LEN_BITS << LEN_BITS;
        if [State::Written, State::Unusual].iter().all(|&state| stamp != wanted.stamp(state)) {
            write(&stored, memo, rules, wanted);
        }
    }
}

/// Whether the stack from `start` on is that of number `id` and has a trace.
///
/// # Safety
/// As for [`is_followed`].
#[inline(always)]
unsafe fn leads_to(id: StackId, start: &Start, wanted: Wanted) -> bool {
    if id == StackId::NONE {
        return false;
    }
    let Some(stored) = depot::stored(id) else { return false };
    // Who wrote that there are steps had found the stack in the depot. So whoever sees it sees the frames, too, however
    // the number came here.
    let stamp = stored.stamp.load(Acquire);
    if stamp >> LEN_BITS << LEN_BITS != wanted.stamp(State::Written) {
        return false;
    }
    // SAFETY: passed on to the caller.
    if !unsafe { is_followed(start, stored.frames, stored.steps) } {
        return false;
    }
    // The steps that were read belong together only if nobody has begun to write meanwhile. (Two others may have written
    // and the second one the same stamp; then they are right as far as rules are, see `is_followed`.)
    fence(Acquire);
    stored.stamp.load(Relaxed) == stamp
}

/// Walks from `start` along the steps; whether every return address is as stored. A function of its own, so that nothing
/// but its few values competes for registers.
///
/// Somebody may write other steps meanwhile, for rules of other modules at the same addresses. Each single one is then that
/// of its return address by the rules of one time or the other, and the frames never change. What is read lies between
/// the first frame's return address and the end that is proven readable whatever the steps are.
///
/// # Safety
/// `start` must hold the registers of a function of this thread that waits for one that runs.
#[inline(never)]
unsafe fn is_followed(start: &Start, frames: &[usize], steps: &[AtomicU16]) -> bool {
    let Start { mut pc, mut sp, mut bp, end } = *start;
    let Some((&last, inner)) = frames.split_last() else { return false };
    for (&frame, step) in inner.iter().zip(steps) {
        let step = Step(step.load(Relaxed));
        if frame != pc {
            return false;
        }
        sp = sp.wrapping_add(step.size());
        if sp > end {
            return false;
        }
        if step.has_bp() {
            if bp.wrapping_add(FRAME_POINTER_CFA) != sp {
                return false;
            }
            // SAFETY: a frame with a frame pointer has two words at least, so that this one lies at or above the start's
            // return address, and below the end.
            bp = unsafe { stack::load(sp - FRAME_POINTER_CFA) };
        } else if step.bp_below() != 0 {
            // SAFETY: it lies in the frame, by `Step::new`, and so above the start and below the end.
            bp = unsafe { stack::load(sp - step.bp_below()) };
        }
        // SAFETY: this word ends a frame, or the start's own if a step of no bytes stood here for a moment; below the end.
        pc = unsafe { stack::load(sp - SLOT_BYTES) };
    }
    last == pc
}

/// Writes the steps of the walk that led to `memo`, unless somebody writes already.
#[cold]
#[inline(never)]
fn write(stored: &Stored, memo: &Memo, rules: &Table, wanted: Wanted) {
    let before = stored.stamp.load(Relaxed);
    let len = before % (1 << LEN_BITS);
    let is_being_written = before >> 24 & 0xff == State::Writing as u64;
    let stamp = |state| wanted.stamp(state) | len;
    if is_being_written
        || stored.stamp.compare_exchange(before, stamp(State::Writing), Acquire, Relaxed).is_err()
    {
        return;
    }
    // Nobody may see what follows without that stamp.
    fence(Release);
    let after = match write_steps(stored, memo, rules, wanted) {
        Ok(()) => stamp(State::Written),
        Err(Packed::NONE) => len,
        Err(_) => stamp(State::Unusual),
    };
    stored.stamp.store(after, Release);
}

/// The rule of a frame without a step; none if it has been forgotten since the walk.
fn write_steps(stored: &Stored, memo: &Memo, rules: &Table, wanted: Wanted) -> Result<(), Packed> {
    let start = memo.start() + SKIPPED;
    for (i, (&pc, place)) in stored.frames.iter().zip(stored.steps).enumerate() {
        let rule = rules.find(pc);
        let (number, next) = (start + i, start + i + 1);
        let step = if i + 1 < stored.frames.len() {
            Step::new(rule, memo.frame(next).sp.wrapping_sub(memo.frame(number).sp)).ok_or(rule)?
        } else if stored.frames.len() == wanted.depth || rule.unpack() == Some(Rule::Outermost) {
            Step::LAST
        } else {
            return Err(rule);
        };
        place.store(step.0, Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(base: Base, cfa: u32, bp_below: u32, size: usize) -> Option<Step> {
        Step::new(Packed::new(Rule::Frame { base, cfa, bp_below }), size)
    }

    #[test]
    fn steps_say_what_the_rule_did() {
        let plain = step(Base::Sp, 96, 24, 96).unwrap();
        assert_eq!((plain.has_bp(), plain.bp_below(), plain.size()), (false, 24, 96));
        let largest = step(Base::Sp, 16376, 120, 16376).unwrap();
        assert_eq!((largest.has_bp(), largest.bp_below(), largest.size()), (false, 120, 16376));
        let framed = step(Base::Bp, 16, 16, 48).unwrap();
        assert_eq!((framed.has_bp(), framed.size()), (true, 48));
    }

    #[test]
    fn what_a_step_cannot_say_has_none() {
        for unusual in [
            step(Base::Sp, 96, 24, 88),
            step(Base::Sp, 16384, 0, 16384),
            step(Base::Sp, 256, 128, 256),
            step(Base::Bp, 24, 16, 48),
            step(Base::Bp, 16, 0, 48),
            step(Base::Bp, 16, 16, 20),
            step(Base::Bp, 16, 16, 8),
            step(Base::Sp, 8, 16, 8),
            Step::new(Packed::new(Rule::Signal), 48),
        ] {
            assert!(unusual.is_none());
        }
    }

    #[test]
    fn a_thread_that_follows_nothing_pauses() {
        let mut record = Record { misses: 0 };
        for _ in 0..Record::PATIENCE {
            assert!(record.is_worth_trying());
            record.note_walked();
        }
        let tries = (0..80)
            .filter(|_| {
                record.note_walked();
                record.is_worth_trying()
            })
            .count();
        assert_eq!(tries, 10);
        record.note_followed();
        assert!(record.is_worth_trying());
    }
}
