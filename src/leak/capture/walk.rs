//! The walk from frame to frame, for x86-64.
//!
//! ```text
//! fast loop (run)              an entry of the table, two loads from the stack per frame
//!   entry not where predicted
//!       └─> looked up by hash
//!   no rule yet, an odd one, or beyond what is proven readable
//!       └─> careful step       finds the module, evaluates its table, remembers the rule
//!             guessed, or passed a signal frame
//!                 └─> careful steps to the end of the stack
//! ```

use super::{
    Sink, Writer,
    cfi::{self, Cfa, Row, Saved},
    expression::{self, Inputs},
    memo::{self, Frame, Memo},
    modules,
    rule::{Base, FRAME_POINTER_CFA, Packed, Rule},
    stack::{self, Range},
    statistics,
    table::{ADDRESS_BITS, Key, Place, Table},
};
use crate::sys::probe;

/// No code lies in the first page.
const LOWEST_CODE: usize = 4096;
/// The largest frame that is believed without call frame information.
const MAX_GUESSED_FRAME_BYTES: usize = 1 << 20;

/// The registers of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pc: usize,
    sp: usize,
    bp: usize,
    range: Range,
    /// `pc` is an instruction that was interrupted, not one that a call returns to.
    is_interrupted: bool,
}

impl Cursor {
    /// The registers of the function that this is inlined into, which must not return while they are used.
    #[inline(always)]
    pub(super) fn here() -> Self {
        let (pc, sp, bp): (usize, usize, usize);
        // SAFETY: copies three registers. The address is that after the first instruction, so that no
        // call can return to it, and the rule remembered for it is that of this place.
        unsafe {
            core::arch::asm!("lea {pc}, [rip]", "mov {sp}, rsp", "mov {bp}, rbp",
                pc = out(reg) pc, sp = out(reg) sp, bp = out(reg) bp,
                options(nostack, nomem, preserves_flags));
        }
        Self { pc, sp, bp, range: Range::above(sp), is_interrupted: false }
    }

    /// Program counter, stack pointer and frame pointer.
    #[inline(always)]
    pub(super) fn registers(&self) -> (usize, usize, usize) {
        (self.pc, self.sp, self.bp)
    }

    /// One past the highest address of the stack that is proven readable.
    #[inline(always)]
    pub(super) fn readable_up_to(&self) -> usize {
        self.range.end()
    }
}

#[inline(always)]
fn is_code_address(address: usize) -> bool {
    (LOWEST_CODE..1 << ADDRESS_BITS).contains(&address)
}

/// Puts the address of every frame, from that of `cursor` outwards, into `sink`, until it has enough or the
/// stack ends. With `PREDICTED` entries of the table are found by prediction first, else by hash only.
///
/// # Safety
/// `cursor` must hold the registers of a running function of this thread.
#[inline(always)]
pub(super) unsafe fn walk<'a, const PREDICTED: bool>(
    cursor: Cursor,
    rules: &Table,
    mut sink: Sink<'a>,
) -> Sink<'a> {
    let mut range = cursor.range;
    let place = Key::new(cursor.pc).place();
    let mut at = Position { pc: cursor.pc, sp: cursor.sp, bp: cursor.bp, place, callee: place };
    loop {
        // SAFETY: these are the registers of a running function, or of one that waits for it, found by
        // call frame information alone: an untrusted range leaves the loop below.
        at = unsafe { run::<PREDICTED>(at, range.end(), rules, &mut sink) };
        if sink.is_full() {
            if !sink.start_over() {
                return sink;
            }
            continue;
        }
        if !is_code_address(at.pc) {
            return sink;
        }
        if let Some(found) = rules.locate(at.pc).filter(|&found| found != at.place) {
            // Not every time, or threads would fight over the line of a function with many callers.
            if PREDICTED && (sink.hasher.one_in_16() || !rules.has_prediction(at.callee)) {
                rules.predict(at.callee, found);
            }
            at.place = found;
            continue;
        }
        if !sink.push(at.pc) {
            return sink;
        }
        let here = Cursor { pc: at.pc, sp: at.sp, bp: at.bp, range, is_interrupted: false };
        let Some(next) = careful_step(here, rules) else { return sink };
        if !next.range.is_trusted() {
            return walk_carefully(next, rules, sink);
        }
        range = next.range;
        let place = Key::new(next.pc).place();
        at = Position { pc: next.pc, sp: next.sp, bp: next.bp, place, callee: at.place };
    }
}

/// How far the fast loop has come: a frame's registers, the place where its entry should stand, and that
/// of the frame before.
#[derive(Clone, Copy)]
struct Position {
    pc: usize,
    sp: usize,
    bp: usize,
    place: Place,
    callee: Place,
}

/// The fast loop: goes on as long as entries are where they should be, rules are plain, and all that they
/// ask for lies below `end`. The frame that it returns with is not yet in the sink.
///
/// A function of its own, so that nothing but its dozen values competes for registers. What waits for a
/// load from the stack is only compared with what was predicted; the address of the next load comes from
/// the table.
///
/// # Safety
/// `at` must hold the registers of a function of this thread that is running or waits for its callee, and
/// everything from its stack pointer up to `end` must be readable.
#[inline(never)]
unsafe fn run<const PREDICTED: bool>(
    at: Position,
    end: usize,
    rules: &Table,
    sink: &mut Sink<'_>,
) -> Position {
    let Position { mut pc, mut sp, mut bp, mut place, mut callee } = at;
    let mut writer = sink.writer();
    loop {
        let key = Key::new(pc);
        let entry = rules.entry(place);
        if !entry.rule_for(key).is_frame() || writer.is_full() {
            break;
        }
        let rule = entry.rule();
        let base = if rule.is_on_sp() {
            sp
        } else if bp.wrapping_sub(sp) < end.wrapping_sub(sp) {
            bp
        } else {
            break;
        };
        // The base lies below `end`, so that adding to it can't wrap around.
        let cfa = base.wrapping_add(rule.cfa());
        if cfa > end {
            break;
        }
        writer.push(pc);
        let below = rule.bp_below();
        if below != 0 {
            // SAFETY: sp <= base <= cfa - below by the rule's invariant, and cfa <= end, so that the
            // caller vouches for the word. Slots are eight bytes or more below the CFA, so it does not
            // reach beyond.
            bp = unsafe { stack::load(cfa - below) };
        }
        // SAFETY: as above: cfa - 8 >= base.
        pc = unsafe { stack::load(cfa - 8) };
        sp = cfa;
        callee = place;
        place = if PREDICTED { rules.predicted(place) } else { Key::new(pc).place() };
    }
    let Writer { next, hasher, .. } = writer;
    sink.accept(next, hasher);
    Position { pc, sp, bp, place, callee }
}

/// Where a walk with a memo stops.
enum Stop {
    /// At this frame of the memo.
    Met(usize),
    /// At a frame that needs another kind of step, or beyond what is proven readable.
    Slow,
    /// There are enough frames.
    Enough,
}

/// Frames walked beyond those asked for, so that a stack that gets shorter has not to be walked again.
const SPARE_FRAMES: usize = 32;
/// Walks without a memo after one that could not be remembered.
const PAUSE: u32 = 64;

/// Walks from `cursor` until the stack meets the one in `memo`, and puts it there: at least the innermost
/// `wanted` frames, if it has so many. `false`: it could not be remembered, and the memo is empty.
///
/// # Safety
/// `cursor` must hold the registers of a running function of this thread, and `memo` be this thread's.
#[inline(always)]
pub(super) unsafe fn walk_to_memo(cursor: Cursor, rules: &Table, memo: &mut Memo, wanted: usize) -> bool {
    // SAFETY: passed on to the caller.
    let walked = unsafe { try_walk_to_memo(cursor, rules, memo, wanted) };
    match walked {
        Walked::Whole => true,
        Walked::TooShort => {
            memo.clear();
            // SAFETY: as above.
            matches!(unsafe { try_walk_to_memo(cursor, rules, memo, wanted) }, Walked::Whole)
        }
        Walked::Untrusted => {
            memo.clear();
            memo.pause = PAUSE;
            false
        }
    }
}

/// What came of a walk to a memo.
enum Walked {
    /// The memo holds the stack.
    Whole,
    /// The memo ends before the stack does.
    TooShort,
    /// The walk had to guess.
    Untrusted,
}

/// # Safety
/// As for [`walk_to_memo`].
#[inline(never)]
unsafe fn try_walk_to_memo(cursor: Cursor, rules: &Table, memo: &mut Memo, wanted: usize) -> Walked {
    let mut range = cursor.range;
    let place = Key::new(cursor.pc).place();
    let mut at = Position { pc: cursor.pc, sp: cursor.sp, bp: cursor.bp, place, callee: place };
    let mut frame = Frame::by_rewalk(at.pc, at.sp, at.bp);
    let mut next = memo.start();
    memo.begin();
    loop {
        let enough = (wanted + SPARE_FRAMES).min(memo::CAPACITY);
        // SAFETY: these are the registers of a running function, or of one that waits for it, found by
        // call frame information alone.
        let stop = unsafe { run_to_memo(&mut at, &mut frame, &mut next, range.end(), rules, memo, enough) };
        match stop {
            Stop::Met(met) => {
                if memo.fresh() > 0 {
                    memo.note_reached(met, frame);
                }
                let end = (met + wanted.saturating_sub(memo.fresh())).min(memo::CAPACITY);
                // SAFETY: the walk has come to this frame.
                let same = unsafe { memo.same_up_to(met, end, range.end()) };
                if same >= end {
                    let is_short = memo.fresh() + (memo::CAPACITY - met) < wanted && !memo.is_whole;
                    if is_short && goes_on_behind(memo, range, rules) {
                        return Walked::TooShort;
                    }
                    memo.join(met);
                    return Walked::Whole;
                }
                for number in met..same - 1 {
                    let frame = memo.frame(number);
                    memo.add(frame);
                }
                frame = memo.frame(same - 1);
                let place = Key::new(frame.pc).place();
                at = Position { pc: frame.pc, sp: frame.sp, bp: frame.bp, place, callee: place };
                next = same;
                continue;
            }
            Stop::Enough => {
                memo.is_whole = false;
                memo.join(memo::CAPACITY);
                return Walked::Whole;
            }
            Stop::Slow => {}
        }
        if !is_code_address(at.pc) {
            memo.is_whole = false;
            memo.join(memo::CAPACITY);
            return Walked::Whole;
        }
        if let Some(found) = rules.locate(at.pc).filter(|&found| found != at.place) {
            // Not every time, or threads would fight over the line of a function with many callers.
            if memo.one_in_16() || !rules.has_prediction(at.callee) {
                rules.predict(at.callee, found);
            }
            at.place = found;
            continue;
        }
        if !memo.add(frame) {
            return Walked::Untrusted;
        }
        let here = Cursor { pc: at.pc, sp: at.sp, bp: at.bp, range, is_interrupted: false };
        let stepped = careful_step(here, rules);
        let rule = rules.find(at.pc).unpack();
        let Some(caller) = stepped else {
            memo.is_whole = rule == Some(Rule::Outermost);
            memo.join(memo::CAPACITY);
            return Walked::Whole;
        };
        if !caller.range.is_trusted() {
            return Walked::Untrusted;
        }
        range = caller.range;
        frame = match rule {
            Some(Rule::Frame { bp_below, .. }) => {
                Frame::plain(caller.pc, caller.sp, caller.bp, bp_below as usize)
            }
            _ => Frame::by_rewalk(caller.pc, caller.sp, caller.bp),
        };
        let place = Key::new(caller.pc).place();
        at = Position { pc: caller.pc, sp: caller.sp, bp: caller.bp, place, callee: at.place };
    }
}

/// Whether the stack has more frames than the memo.
#[cold]
fn goes_on_behind(memo: &Memo, range: Range, rules: &Table) -> bool {
    let Frame { pc, sp, bp, .. } = memo.frame(memo::CAPACITY - 1);
    careful_step(Cursor { pc, sp, bp, range, is_interrupted: false }, rules).is_some()
}

/// As [`run`], but until the stack meets `memo`, at or outwards of its frame `next`. The
/// frame that it returns with is not yet among the memo's fresh ones, of which there will be no more than
/// `enough`.
///
/// # Safety
/// As for [`run`]; the stack pointer must not lie above `end`.
#[inline(always)]
unsafe fn run_to_memo(
    at: &mut Position,
    frame: &mut Frame,
    next: &mut usize,
    end: usize,
    rules: &Table,
    memo: &mut Memo,
    enough: usize,
) -> Stop {
    let Position { mut pc, mut sp, mut bp, mut place, mut callee } = *at;
    let (known, fresh) = memo.parts();
    let mut len = fresh.len;
    let room = fresh.room(enough);
    // Below this the stack can't meet the memo.
    let mut next_sp = known.sp_of(*next);
    let stop = loop {
        if sp >= next_sp {
            *next = known.seek(*next, sp);
            if known.is_at(*next, pc, sp, bp) {
                break Stop::Met(*next);
            }
            next_sp = known.sp_of(*next);
        }
        let key = Key::new(pc);
        let mut entry = rules.entry(place);
        let has_bp = bp.wrapping_sub(sp) < end.wrapping_sub(sp);
        // The rule of every frame that keeps a frame pointer. Compared with a constant it spares the next loads
        // from waiting for this one: the processor goes on while the comparison is still to come.
        let keeps_bp = entry.rule_for(key) == Packed::FRAME_POINTER;
        let below = if keeps_bp && has_bp && bp.wrapping_add(FRAME_POINTER_CFA) <= end {
            let Some(slot) = room.get_mut(len) else { break Stop::Enough };
            slot.write(*frame);
            len += 1;
            sp = bp.wrapping_add(FRAME_POINTER_CFA);
            // SAFETY: `bp` lies at or above the stack pointer, which is not above `end`, and at least two words
            // below that.
            (bp, pc) = unsafe { (stack::load(bp), stack::load(sp - 8)) };
            FRAME_POINTER_CFA
        } else {
            if !entry.rule_for(key).is_frame() {
                // Not in the slot that the address prefers: in the one where it was found the last time?
                let predicted = rules.predicted(callee);
                entry = rules.entry(predicted);
                if !entry.rule_for(key).is_frame() {
                    break Stop::Slow;
                }
                place = predicted;
            }
            let rule = entry.rule();
            let base = if rule.is_on_sp() {
                sp
            } else if has_bp {
                bp
            } else {
                break Stop::Slow;
            };
            // The base lies below `end`, so that adding to it can't wrap around.
            let cfa = base.wrapping_add(rule.cfa());
            if cfa > end {
                break Stop::Slow;
            }
            let Some(slot) = room.get_mut(len) else { break Stop::Enough };
            slot.write(*frame);
            len += 1;
            let below = rule.bp_below();
            if below != 0 {
                // SAFETY: as in `run`: sp <= base <= cfa - below, and cfa <= end.
                bp = unsafe { stack::load(cfa - below) };
            }
            // SAFETY: as in `run`: cfa - 8 >= base.
            pc = unsafe { stack::load(cfa - 8) };
            sp = cfa;
            below
        };
        *frame = Frame::plain(pc, sp, bp, below);
        callee = place;
        // Not the predicted place: this walk is made where a stack differs from the last one, and there a
        // prediction is as often wrong as not.
        place = Key::new(pc).place();
    };
    fresh.len = len;
    *at = Position { pc, sp, bp, place, callee };
    stop
}

/// The rest of a walk that has guessed or passed a signal frame, from a frame not yet in the sink.
#[cold]
#[inline(never)]
fn walk_carefully<'a>(mut cursor: Cursor, rules: &Table, mut sink: Sink<'a>) -> Sink<'a> {
    while sink.push(cursor.pc) {
        match careful_step(cursor, rules) {
            Some(next) => cursor = next,
            None => break,
        }
    }
    sink
}

/// Walks until a frame lies in `code` and returns its caller's stack pointer.
///
/// # Safety
/// As for [`walk`].
pub(super) unsafe fn caller_of_function(
    mut cursor: Cursor,
    rules: &Table,
    code: core::ops::Range<usize>,
) -> Option<usize> {
    loop {
        let next = careful_step(cursor, rules)?;
        if code.contains(&cursor.pc) {
            return Some(next.sp);
        }
        cursor = next;
    }
}

/// One step with every check, whatever the rule. `None` at the end of the stack.
#[cold]
#[inline(never)]
fn careful_step(mut cursor: Cursor, rules: &Table) -> Option<Cursor> {
    let start = cursor.range;
    let next = match rule_at(&cursor, rules) {
        Rule::Frame { base, cfa, bp_below } => frame_step(&mut cursor, base, cfa as usize, bp_below as usize),
        Rule::Realigned { offset } => realigned_step(&mut cursor, offset),
        Rule::Outermost => None,
        Rule::Signal => return signal_step(&mut cursor),
        Rule::Complex => complex_step(&mut cursor),
        Rule::Unknown => return guess(&mut cursor),
    };
    if next.is_none_or(|next| next.range.end() > start.end()) {
        cursor.range.remember();
    }
    next
}

/// The address that stands for the frame's code: a call that never returns may be a function's last
/// instruction, so that its return address belongs to the next function.
fn lookup_address(cursor: &Cursor) -> usize {
    if cursor.is_interrupted { cursor.pc } else { cursor.pc - 1 }
}

/// The rule for the frame, from the table or from its module.
fn rule_at(cursor: &Cursor, rules: &Table) -> Rule {
    if cursor.is_interrupted {
        // The same address may be remembered as one to return to, for which another row counts.
        return row_at(cursor).map_or(Rule::Unknown, |row| row.rule());
    }
    if let Some(rule) = rules.find(cursor.pc).unpack() {
        return rule;
    }
    statistics::MISSES.count();
    let address = lookup_address(cursor);
    let (rule, noted) = match modules::find(address) {
        Some(module) => {
            let rule = cfi::row_at(address, &module).map(|row| row.rule());
            (rule.unwrap_or_else(|| rule_by_code(cursor.pc)), modules::note(&module, rules))
        }
        None => {
            modules::note_foreign();
            (Rule::Unknown, modules::Noted::Yes)
        }
    };
    if noted != modules::Noted::Busy {
        rules.insert(cursor.pc, Packed::new(rule));
    }
    rule
}

/// Without call frame information a signal trampoline is known by its code. musl's has none.
fn rule_by_code(pc: usize) -> Rule {
    // mov $15 (rt_sigreturn), %rax or %eax; syscall
    const TRAMPOLINES: [&[u8]; 2] =
        [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]];
    let is_trampoline = TRAMPOLINES.iter().any(|code| {
        let start = core::ptr::with_exposed_provenance::<u8>(pc);
        let can_read = probe::is_readable(pc) && probe::is_readable(pc + code.len() - 1);
        // SAFETY: the first and the last byte can be read, so all of these few can, and code that is
        // running or waiting stays mapped.
        can_read && unsafe { core::slice::from_raw_parts(start, code.len()) } == *code
    });
    if is_trampoline { Rule::Signal } else { Rule::Unknown }
}

fn row_at(cursor: &Cursor) -> Option<Row> {
    let address = lookup_address(cursor);
    cfi::row_at(address, &modules::find(address)?)
}

/// The caller's frame from its CFA, with the return address below it.
fn caller(cursor: &mut Cursor, cfa: usize, pc: usize, bp: usize) -> Option<Cursor> {
    // Where the return address does not lie just below the CFA, nothing has proven yet that memory reaches so far.
    (cfa > cursor.sp && is_code_address(pc) && cursor.range.reach(cfa)).then_some(Cursor {
        pc,
        sp: cfa,
        bp,
        range: cursor.range,
        is_interrupted: false,
    })
}

fn frame_step(cursor: &mut Cursor, base: Base, cfa: usize, bp_below: usize) -> Option<Cursor> {
    let cfa = (if base == Base::Sp { cursor.sp } else { cursor.bp }).wrapping_add(cfa);
    let pc = cursor.range.read(cfa.wrapping_sub(8))?;
    let bp = if bp_below == 0 { cursor.bp } else { cursor.range.read(cfa.wrapping_sub(bp_below))? };
    caller(cursor, cfa, pc, bp)
}

fn realigned_step(cursor: &mut Cursor, offset: i32) -> Option<Cursor> {
    let cfa = cursor.range.read(cursor.bp.wrapping_add_signed(offset as isize))?;
    let bp = cursor.range.read(cursor.bp)?;
    let pc = cursor.range.read(cfa.wrapping_sub(8))?;
    caller(cursor, cfa, pc, bp)
}

/// Evaluates the frame's row as it stands in the module's table.
fn complex_step(cursor: &mut Cursor) -> Option<Cursor> {
    let row = row_at(cursor)?;
    let Cursor { pc, sp, bp, mut range, .. } = *cursor;
    let mut inputs = Inputs { pc, sp, bp, read: &mut |address| range.read(address) };
    let cfa = match &row.cfa {
        Cfa::Register(register, offset) => inputs.register(*register)?.wrapping_add_signed(*offset as isize),
        Cfa::Expression(cfa) => expression::evaluate(row.operations(cfa)?, None, &mut inputs)?,
        Cfa::Unset => return None,
    };
    let return_address = restore(&row, &row.return_address, None, cfa, &mut inputs)?;
    // A frame pointer that is lost matters only to callers that use it, so it does not end the walk.
    let caller_bp = restore(&row, &row.bp, Some(bp), cfa, &mut inputs).unwrap_or(bp);
    cursor.range = range;
    caller(cursor, cfa, return_address, caller_bp)
}

/// The caller's value of a register whose present value is `now`.
fn restore(
    row: &Row,
    saved: &Saved,
    now: Option<usize>,
    cfa: usize,
    inputs: &mut Inputs<'_>,
) -> Option<usize> {
    match saved {
        Saved::Same => now,
        Saved::At(offset) => (inputs.read)(cfa.wrapping_add_signed(*offset as isize)),
        Saved::Value(offset) => Some(cfa.wrapping_add_signed(*offset as isize)),
        Saved::AtExpression(at) => {
            let address = expression::evaluate(row.operations(at)?, Some(cfa), inputs)?;
            (inputs.read)(address)
        }
        Saved::Undefined | Saved::Lost => None,
    }
}

/// From a signal handler's trampoline to what it interrupted, perhaps on another stack.
///
/// When the handler has returned to the trampoline the stack pointer is at the kernel's `ucontext`; its
/// registers, as `<sys/ucontext.h>` lays them out, start 40 bytes in.
fn signal_step(cursor: &mut Cursor) -> Option<Cursor> {
    const REGISTERS: usize = core::mem::offset_of!(libc::ucontext_t, uc_mcontext);
    let mut register = |index: i32| {
        cursor.range.read(cursor.sp.wrapping_add(REGISTERS + index as usize * size_of::<libc::greg_t>()))
    };
    let (pc, sp, bp) = (register(libc::REG_RIP)?, register(libc::REG_RSP)?, register(libc::REG_RBP)?);
    let range = Range::interrupted(sp);
    is_code_address(pc).then_some(Cursor { pc, sp, bp, range, is_interrupted: true })
}

/// Steps by the frame pointer where there is no call frame information: generated code mostly keeps one.
fn guess(cursor: &mut Cursor) -> Option<Cursor> {
    statistics::GUESSES.count();
    let bp = cursor.bp;
    let near = bp.checked_sub(cursor.sp).is_some_and(|size| size < MAX_GUESSED_FRAME_BYTES);
    if !near || !bp.is_multiple_of(size_of::<usize>()) {
        return None;
    }
    cursor.range = cursor.range.untrusted(cursor.sp);
    let (caller_bp, pc) = (cursor.range.read(bp)?, cursor.range.read(bp.wrapping_add(8))?);
    let is_code = is_code_address(pc) && (modules::find(pc - 1).is_some() || probe::is_readable(pc));
    if is_code { caller(cursor, bp.wrapping_add(16), pc, caller_bp) } else { None }
}

/// A walk from made-up registers, for tests. It trusts nothing, so any registers do.
#[cfg(test)]
pub(super) fn walk_from<'a>(
    [pc, sp, bp]: [usize; 3],
    is_interrupted: bool,
    rules: &Table,
    sink: Sink<'a>,
) -> Sink<'a> {
    let range = Range::unproven(sp);
    walk_carefully(Cursor { pc, sp, bp, range, is_interrupted }, rules, sink)
}
