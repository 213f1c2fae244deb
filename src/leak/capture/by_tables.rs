//! Captures by call frame information: the table of rules, and the walk with it.

use super::{
    Sink,
    memo::{self, Memo, Memos},
    modules,
    table::Table,
    trace::{Traces, Wanted},
    walk,
};
use crate::base::Addr;
use crate::leak::depot::{self, StackId, map_once};
use core::sync::atomic::{AtomicUsize, Ordering::Acquire};

pub(super) use super::modules::epoch;
#[cfg(test)]
pub(super) use super::modules::source;
pub(super) use super::walk::Cursor;

/// What captures remember: a mapping of its own.
#[repr(C)]
struct Tables {
    rules: Table,
    traces: Traces,
    memos: Memos,
}

/// The address of the tables, 0 until they are mapped.
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// Maps the tables; `false` if there is no memory for them.
pub(super) fn init() -> bool {
    modules::init();
    tables().is_some() || map_once(&TABLES, size_of::<Tables>()).is_some()
}

#[inline(always)]
fn tables() -> Option<&'static Tables> {
    let address = TABLES.load(Acquire);
    // SAFETY: a non-zero address is that of a mapping of this size, aligned to pages, zeroed, which is
    // what empty tables are, and never unmapped.
    (address != 0).then(|| unsafe { &*Addr(address).ptr::<Tables>() })
}

#[inline(always)]
pub(super) fn table() -> Option<&'static Table> {
    tables().map(|tables| &tables.rules)
}

/// Follows a trace, or else walks the stack as far as it is not that of this thread's last walk, and looks it up: the
/// frames from the caller of the function that this is inlined into on, without `skip`, and at most `depth`.
/// [`StackId::NONE`] if they are not in the depot, `None` if the walk can't be made this way.
#[inline(always)]
pub(super) fn find_known(skip: usize, depth: usize) -> Option<StackId> {
    let tables = tables().filter(|_| depth > 0)?;
    let epoch = epoch();
    let mut memo = tables.memos.take(epoch)?;
    if memo.pause > 0 {
        memo.pause -= 1;
        return None;
    }
    let skip = skip.saturating_add(1);
    let frames = skip.saturating_add(depth).min(super::MAX_FRAMES + 1);
    let (cursor, wanted, last) = (Cursor::here(), Wanted { skip, depth, frames, epoch }, memo.last_id);
    let is_tried = memo.traces.is_worth_trying();
    if is_tried {
        // SAFETY: the registers are those of the function around, which runs until the walk is over.
        if let Some(id) = unsafe { tables.traces.follow(&cursor, last, &tables.rules, wanted) } {
            if cfg!(debug_assertions) {
                // SAFETY: as above.
                let walked = unsafe { walk_to_known(cursor, tables, &mut memo, wanted) };
                // The walk goes a little further, and may have to guess there; and rules may have been forgotten since.
                let is_right = walked.is_none_or(|walked| walked == id) || modules::epoch() != epoch;
                assert!(is_right, "a trace leads where a walk does");
            }
            memo.traces.note_followed();
            memo.last_id = id;
            return Some(id);
        }
    }
    memo.traces.note_walked();
    // SAFETY: as above; the memo is this thread's.
    let id = unsafe { walk_to_known(cursor, tables, &mut memo, wanted) }?;
    if id != StackId::NONE {
        memo.last_id = id;
        if is_tried {
            tables.traces.learn(&cursor, last, id, &memo, &tables.rules, wanted);
        }
    }
    Some(id)
}

/// Walks from `cursor` as far as the stack is not that of the last walk, and looks it up; as [`find_known`].
///
/// # Safety
/// `cursor` must hold the registers of a running function of this thread, and `memo` be this thread's.
#[inline(always)]
unsafe fn walk_to_known(cursor: Cursor, tables: &Tables, memo: &mut Memo, wanted: Wanted) -> Option<StackId> {
    // SAFETY: passed on to the caller.
    if !unsafe { walk::walk_to_memo(cursor, &tables.rules, memo, wanted.frames) } {
        return None;
    }
    let (from, depth) = (memo.start().saturating_add(wanted.skip), wanted.depth);
    if memo.id_frames == (from, depth) {
        return Some(memo.id);
    }
    let (frames, hash) = memo.stack(from, depth);
    let id = depot::find_hashed(frames, hash);
    if id != StackId::NONE {
        (memo.id, memo.id_frames) = (id, (from, depth));
    }
    Some(id)
}

/// Forgets this thread's last walk, which may not have been as it should be; the stack was stored as `new`.
#[cold]
pub(super) fn forget_last(new: StackId) {
    if let Some(mut memo) = tables().and_then(|tables| tables.memos.take(epoch())) {
        memo.clear();
        memo.last_id = new;
    }
}

/// See [`walk::walk`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn walk<'a, const PREDICTED: bool>(cursor: Cursor, sink: Sink<'a>) -> Sink<'a> {
    match table() {
        // SAFETY: passed on to the caller.
        Some(rules) => unsafe { walk::walk::<PREDICTED>(cursor, rules, sink) },
        None => sink,
    }
}

/// The stack pointer of the frame that called the function whose code lies in `code`, if one of the
/// calling thread's frames is in it.
pub(crate) fn caller_of_function(code: core::ops::Range<usize>) -> Option<usize> {
    // SAFETY: the registers are this function's, which runs until the walk is over.
    unsafe { walk::caller_of_function(Cursor::here(), table()?, code) }
}

/// Whether the rules that led to `frames` are still those of the modules loaded now. `epoch` is what
/// [`epoch`] said before the walk. If not, the wrong rules are forgotten.
pub(super) fn is_unchanged(frames: &[usize], epoch_before: usize) -> bool {
    table().is_none_or(|rules| modules::unchanged(frames, rules)) && epoch() == epoch_before
}

/// Calls `each(start, bytes)` for every mapping of the captures, so that a search for pointers leaves
/// them out.
pub(crate) fn for_each_mapping(mut each: impl FnMut(Addr, usize)) {
    if let Some(tables) = tables() {
        each(Addr::of(tables), size_of::<Tables>());
    }
}

/// Whether that lock comes free before the monotonic clock shows `deadline` nanoseconds.
pub(crate) fn lock_comes_free(deadline: u64) -> bool {
    modules::CHANGES.comes_free(deadline)
}

/// Takes the one lock before a fork, so that the child does not inherit it held by a thread it lacks.
/// After all other locks: its rank is the last. (It is only ever tried, so a child without this call
/// would be slower, not stuck.)
pub(crate) fn before_fork() {
    modules::CHANGES.acquire_for_fork();
}

/// Gives the lock back, in the parent and in the child.
///
/// # Safety
/// This thread must have called [`before_fork`] before the fork, once.
pub(crate) unsafe fn after_fork(in_child: bool) {
    if in_child {
        memo::forget_users();
    }
    // SAFETY: the caller took it.
    unsafe { modules::CHANGES.release_after_fork() };
}
