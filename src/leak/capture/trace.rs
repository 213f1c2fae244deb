//! Traces: the steps of walks that were made before, to be made again without looking anything up.
//!
//! A program allocates from the same places in the same order, over and over. So for each stack it is kept which two
//! came after it the last times ([`Traces::after`]), and for each of those a trace: a word for each frame, with its
//! return address and its rule. To follow a trace is to walk: a frame's rule is applied only after its return address
//! has been found to be the trace's. What is spared is the search for rules, the hash of the frames, and the search in
//! the depot: who comes to the end of a trace knows the stack's number.
//!
//! ```text
//! bits 0..47    return address
//! bit  47       the frame keeps a frame pointer
//! bits 48..52   bytes from the saved frame pointer up to the CFA / 8, if the frame saved it without keeping one
//! bits 52..64   bytes of the frame / 8: from its stack pointer to the CFA; 0 for the last one
//! ```
//!
//! A frame with a frame pointer has the rule that its CFA lies 16 bytes above where that points. The trace says where
//! that was the last time, counted from the stack pointer. If it is there again, the next loads need not wait for the
//! frame pointer to be loaded: the comparison is all that does.
//!
//! Traces are shared by all threads, and replaced when others need their place. A sequence number tells readers that
//! one has been replaced meanwhile. Each word is right by itself, as far as rules are, so they have read nothing then
//! but their own stack.

use super::{
    memo::{self, Memo},
    rule::{Base, FRAME_POINTER_CFA, Packed, Rule},
    stack,
    table::{ADDRESS_BITS, Table},
    walk::Cursor,
};
use crate::leak::depot::{Hasher, StackId};
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// Stacks that a trace has led to.
#[cfg(test)]
pub(super) static FOLLOWED: super::statistics::Counter = super::statistics::Counter::new();

/// Most steps of a trace: the default depth, and nearly as much again, in eight cache lines with what stands before.
const STEPS: usize = 60;
/// Log2 of the traces: half a MiB, of which a program touches half a KiB for each stack that comes again.
const TRACE_BITS: u32 = if cfg!(test) { 6 } else { 10 };
/// Log2 of the stacks for which it is known what came after them.
const AFTER_BITS: u32 = 12;

const SLOT_BYTES: usize = 8;
const HAS_BP: u64 = 1 << ADDRESS_BITS;
const BELOW_SHIFT: u32 = ADDRESS_BITS + 1;
const BELOW_BITS: u32 = 4;
const SIZE_SHIFT: u32 = BELOW_SHIFT + BELOW_BITS;
const SIZE_BITS: u32 = u64::BITS - SIZE_SHIFT;

/// A step: a return address, and how to get from its frame to the next one.
#[derive(Clone, Copy)]
struct Step(u64);

impl Step {
    /// The step from a frame of `size` bytes by `rule`; `None` if the rule or a number is unusual.
    fn new(pc: usize, rule: Packed, size: usize) -> Option<Self> {
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
            && below < 1 << BELOW_BITS;
        let word = has_bp | (below as u64) << BELOW_SHIFT | (slots as u64) << SIZE_SHIFT;
        (fits && pc >> ADDRESS_BITS == 0).then_some(Self(pc as u64 | word))
    }

    /// The outermost frame, or the last one that is wanted.
    fn last(pc: usize) -> Option<Self> {
        (pc >> ADDRESS_BITS == 0).then_some(Self(pc as u64))
    }

    /// Whether it is the step from the frame of `pc`.
    #[inline(always)]
    fn is_from(self, pc: usize) -> bool {
        // What stands above an address is zero in all return addresses.
        (self.0 ^ pc as u64) << (u64::BITS - ADDRESS_BITS) == 0
    }

    #[inline(always)]
    fn has_bp(self) -> bool {
        self.0 & HAS_BP != 0
    }

    #[inline(always)]
    fn bp_below(self) -> usize {
        (self.0 >> BELOW_SHIFT) as usize % (1 << BELOW_BITS) * SLOT_BYTES
    }

    #[inline(always)]
    fn size(self) -> usize {
        (self.0 >> SIZE_SHIFT) as usize * SLOT_BYTES
    }
}

/// A trace. All zeros is none.
#[repr(C, align(64))]
struct Trace {
    /// Odd while somebody writes; grows with each change.
    sequence: AtomicU32,
    /// The stack's number.
    id: AtomicU32,
    /// How often rules had been forgotten when it was written, cut off.
    epoch: AtomicU32,
    /// What was asked for: see [`Wanted::packed`].
    wanted: AtomicU32,
    /// Frames, those left out included.
    len: AtomicU32,
    /// Bytes of all frames but the last: how far up the stack it reads.
    bytes: AtomicU32,
    /// Whether it was followed to its end since somebody wanted its place.
    is_used: AtomicU32,
    steps: [AtomicU64; STEPS],
}

/// All traces, and what comes after which stack. All zeros is none of either.
#[repr(C)]
pub(super) struct Traces {
    traces: [Trace; 1 << TRACE_BITS],
    /// By the hash of a stack's number: the numbers of the two that came after it last, the newer one in the low half.
    after: [AtomicU64; 1 << AFTER_BITS],
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

/// How well traces serve a thread. A program that goes through more stacks than there is room for would do nothing but
/// write traces that nobody follows.
#[derive(Clone, Copy)]
pub(super) struct Record {
    /// What may be spent on writing.
    credit: u32,
    /// Walks since a trace was followed.
    misses: u32,
}

impl Record {
    /// Where a thread begins.
    pub(super) const NEW: Self = Self { credit: Self::MOST_CREDIT, misses: 0 };
    /// What writing a trace costs, or trying to, in quarters of the walk that it spares.
    const PRICE: u32 = 64;
    const MOST_CREDIT: u32 = 64 * Self::PRICE;
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
        self.credit = (self.credit + 4).min(Self::MOST_CREDIT);
        self.misses = 0;
    }

    /// A walk was made.
    #[inline(always)]
    pub(super) fn note_walked(&mut self) {
        self.misses = self.misses.wrapping_add(1);
        self.credit = (self.credit + 1).min(Self::MOST_CREDIT);
    }

    /// Whether to write a trace now, which is then paid for.
    fn spend(&mut self) -> bool {
        let has = self.credit >= Self::PRICE;
        if has {
            self.credit -= Self::PRICE;
        }
        has
    }
}

impl Wanted {
    /// Both numbers of frames, of which the second is small, in 16 bits each.
    #[inline(always)]
    fn packed(self) -> u32 {
        (self.frames << 16 | self.skip.min(usize::from(u16::MAX))) as u32
    }
}

impl Traces {
    fn trace(&self, id: StackId) -> &Trace {
        &self.traces[(u64::from(id.0).wrapping_mul(Hasher::MULTIPLIER) >> (u64::BITS - TRACE_BITS)) as usize]
    }

    #[inline(always)]
    fn after(&self, id: StackId) -> &AtomicU64 {
        &self.after[(u64::from(id.0).wrapping_mul(Hasher::MULTIPLIER) >> (u64::BITS - AFTER_BITS)) as usize]
    }

    /// The number of the stack from `cursor` on, if it is one of the two that came after `last` the last times.
    ///
    /// # Safety
    /// `cursor` must hold the registers of a running function of this thread.
    #[inline(always)]
    pub(super) unsafe fn follow(&self, cursor: &Cursor, last: StackId, wanted: Wanted) -> Option<StackId> {
        let after = self.after(last);
        let both = after.load(Relaxed);
        let (newer, older) = (StackId(both as u32), StackId((both >> 32) as u32));
        // SAFETY: passed on to the caller, twice.
        if unsafe { self.trace(newer).leads_to(newer, cursor, wanted) } {
            #[cfg(test)]
            FOLLOWED.count();
            return Some(newer);
        }
        // SAFETY: as above.
        if unsafe { self.trace(older).leads_to(older, cursor, wanted) } {
            after.store(both.rotate_left(32), Relaxed);
            #[cfg(test)]
            FOLLOWED.count();
            return Some(older);
        }
        None
    }

    /// Notes that `id`, which is the stack that was just walked to `memo`, came after `last`, and writes its trace if it
    /// has none and `record` says that this pays.
    pub(super) fn learn(
        &self,
        last: StackId,
        id: StackId,
        memo: &Memo,
        rules: &Table,
        wanted: Wanted,
        record: &mut Record,
    ) {
        let after = self.after(last);
        let both = after.load(Relaxed);
        if both as u32 != id.0 {
            after.store(both << 32 | u64::from(id.0), Relaxed);
        }
        let trace = self.trace(id);
        if trace.is_of(id, wanted) {
            return;
        }
        if trace.is_used.load(Relaxed) != 0 {
            // It has another chance.
            trace.is_used.store(0, Relaxed);
        } else if record.spend() {
            trace.write(id, memo, rules, wanted);
        }
    }
}

impl Trace {
    /// Whether it is that of the stack of number `id`, for what is wanted.
    #[inline(always)]
    fn is_of(&self, id: StackId, wanted: Wanted) -> bool {
        self.id.load(Relaxed) == id.0
            && self.epoch.load(Relaxed) == wanted.epoch as u32
            && self.wanted.load(Relaxed) == wanted.packed()
    }

    /// Whether the stack from `cursor` on is that of number `id`, this being its trace.
    ///
    /// # Safety
    /// As for [`Traces::follow`].
    #[inline(always)]
    unsafe fn leads_to(&self, id: StackId, cursor: &Cursor, wanted: Wanted) -> bool {
        let sequence = self.sequence.load(Acquire);
        let len = self.len.load(Relaxed) as usize;
        if id == StackId::NONE || !self.is_of(id, wanted) {
            return false;
        }
        // SAFETY: passed on to the caller.
        if !sequence.is_multiple_of(2) || !unsafe { self.is_followed(cursor, len) } {
            return false;
        }
        // What was read belongs together only if nobody has begun to write meanwhile.
        fence(Acquire);
        if self.sequence.load(Relaxed) != sequence {
            return false;
        }
        if self.is_used.load(Relaxed) == 0 {
            self.is_used.store(1, Relaxed);
        }
        true
    }

    /// Walks from `cursor` along the first `len` steps; whether every return address is as they say. A function of its
    /// own, so that nothing but its few values competes for registers.
    ///
    /// # Safety
    /// As for [`Traces::follow`].
    #[inline(never)]
    unsafe fn is_followed(&self, cursor: &Cursor, len: usize) -> bool {
        let (mut pc, mut sp, mut bp) = cursor.registers();
        let Some((last, steps)) = self.steps.get(..len).and_then(|steps| steps.split_last()) else {
            return false;
        };
        let room = cursor.readable_up_to().wrapping_sub(sp);
        if self.bytes.load(Relaxed) as usize > room {
            return false;
        }
        for step in steps {
            let step = Step(step.load(Relaxed));
            if !step.is_from(pc) {
                return false;
            }
            sp = sp.wrapping_add(step.size());
            if step.has_bp() {
                if bp.wrapping_add(FRAME_POINTER_CFA) != sp {
                    return false;
                }
                // SAFETY: the frame pointer is that of a frame of the running stack, so it points into that frame, and
                // to a place below the end that was looked at above.
                bp = unsafe { stack::load(sp - FRAME_POINTER_CFA) };
            } else if step.bp_below() != 0 {
                // SAFETY: the rule of the frame, whose return address has just been compared, says that it lies there.
                bp = unsafe { stack::load(sp - step.bp_below()) };
            }
            // SAFETY: as above, of the frame's return address.
            pc = unsafe { stack::load(sp - SLOT_BYTES) };
        }
        Step(last.load(Relaxed)).is_from(pc)
    }

    /// Writes the steps of the walk that led to `memo`, unless somebody writes already or they are unusual.
    #[cold]
    #[inline(never)]
    fn write(&self, id: StackId, memo: &Memo, rules: &Table, wanted: Wanted) {
        let start = memo.start();
        let len = (memo::CAPACITY - start).min(wanted.frames);
        if len == 0 || len > STEPS {
            return;
        }
        let mut steps = [0; STEPS];
        for (i, word) in steps[..len].iter_mut().enumerate() {
            let frame = memo.frame(start + i);
            let rule = rules.find(frame.pc);
            let step = if i + 1 < len {
                Step::new(frame.pc, rule, memo.frame(start + i + 1).sp.wrapping_sub(frame.sp))
            } else if len == wanted.frames || rule.unpack() == Some(Rule::Outermost) {
                Step::last(frame.pc)
            } else {
                None
            };
            let Some(step) = step else { return };
            *word = step.0;
        }
        let bytes = memo.frame(start + len - 1).sp - memo.frame(start).sp;
        let before = self.sequence.load(Relaxed);
        if !before.is_multiple_of(2)
            || self.sequence.compare_exchange(before, before + 1, Acquire, Relaxed).is_err()
        {
            return;
        }
        // Nobody may see what follows without the odd number.
        fence(Release);
        self.id.store(id.0, Relaxed);
        self.epoch.store(wanted.epoch as u32, Relaxed);
        self.wanted.store(wanted.packed(), Relaxed);
        self.len.store(len as u32, Relaxed);
        self.bytes.store(bytes as u32, Relaxed);
        for (place, word) in self.steps.iter().zip(&steps[..len]) {
            place.store(*word, Relaxed);
        }
        self.sequence.store(before.wrapping_add(2), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: usize = 0x7fff_1234_5678;

    fn step(base: Base, cfa: u32, bp_below: u32, size: usize) -> Option<Step> {
        Step::new(PC, Packed::new(Rule::Frame { base, cfa, bp_below }), size)
    }

    #[test]
    fn steps_say_what_the_rule_did() {
        let plain = step(Base::Sp, 96, 24, 96).unwrap();
        assert!(plain.is_from(PC) && !plain.is_from(PC + 1) && !plain.is_from(PC ^ 1 << 46));
        assert_eq!((plain.has_bp(), plain.bp_below(), plain.size()), (false, 24, 96));
        let largest = step(Base::Sp, 32760, 120, 32760).unwrap();
        assert_eq!((largest.has_bp(), largest.bp_below(), largest.size()), (false, 120, 32760));
        let framed = step(Base::Bp, 16, 16, 48).unwrap();
        assert_eq!((framed.is_from(PC), framed.has_bp(), framed.size()), (true, true, 48));
        assert!(Step::last(PC).unwrap().is_from(PC));
    }

    #[test]
    fn what_a_step_cannot_say_has_none() {
        for unusual in [
            step(Base::Sp, 96, 24, 88),
            step(Base::Sp, 32768, 0, 32768),
            step(Base::Sp, 256, 128, 256),
            step(Base::Bp, 24, 16, 48),
            step(Base::Bp, 16, 0, 48),
            step(Base::Bp, 16, 16, 20),
            Step::new(PC, Packed::new(Rule::Signal), 48),
            Step::new(PC | 1 << 47, Packed::FRAME_POINTER, 48),
            Step::last(1 << 47),
        ] {
            assert!(unusual.is_none());
        }
    }

    #[test]
    fn a_thread_that_follows_nothing_pauses_and_runs_out_of_credit() {
        let mut record = Record::NEW;
        let written = (0..64 * 64).filter(|_| {
            record.note_walked();
            record.spend()
        });
        assert_eq!(written.count(), 64 + 63);
        record.note_followed();
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
