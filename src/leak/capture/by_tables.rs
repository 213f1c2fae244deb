//! Captures by call frame information: the table of rules, and the walk with it.

use super::{Sink, modules, table::Table, walk};
use crate::base::Addr;
use crate::leak::depot::map_once;
use core::sync::atomic::{AtomicUsize, Ordering::Acquire};

pub(super) use super::modules::{epoch, source};
pub(super) use super::walk::Cursor;

/// The address of the table of rules, 0 until it is mapped.
static TABLE: AtomicUsize = AtomicUsize::new(0);

/// Maps the table; `false` if there is no memory for it.
pub(super) fn init() -> bool {
    modules::init();
    table().is_some() || map_once(&TABLE, size_of::<Table>()).is_some()
}

#[inline(always)]
pub(super) fn table() -> Option<&'static Table> {
    let address = TABLE.load(Acquire);
    // SAFETY: a non-zero address is that of a mapping of this size, aligned to pages, zeroed, which is
    // an empty table, and never unmapped.
    (address != 0).then(|| unsafe { &*Addr(address).ptr::<Table>() })
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
    if let Some(table) = table() {
        each(Addr::of(table), size_of::<Table>());
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
pub(crate) unsafe fn after_fork() {
    // SAFETY: the caller took it.
    unsafe { modules::CHANGES.release_after_fork() };
}
