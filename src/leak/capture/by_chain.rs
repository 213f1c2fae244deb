//! Captures along frame pointers: nothing to prepare, to remember or to check.

use super::{Sink, chain};
use crate::base::Addr;

pub(super) use super::chain::Cursor;

/// Nothing is needed.
pub(super) fn init() -> bool {
    true
}

/// How modules are found: not at all.
#[cfg(test)]
pub(super) fn source() -> &'static str {
    "frame pointers"
}

/// See [`chain::walk`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn walk<'a, const PREDICTED: bool>(cursor: Cursor, sink: Sink<'a>) -> Sink<'a> {
    // SAFETY: passed on to the caller.
    unsafe { chain::walk(cursor, sink) }
}

/// See [`chain::caller_of_function`].
pub(crate) fn caller_of_function(code: core::ops::Range<usize>) -> Option<usize> {
    // SAFETY: the registers are this function's, which runs until the walk is over.
    unsafe { chain::caller_of_function(Cursor::here(), code) }
}

/// Nothing is remembered that could change.
pub(super) fn epoch() -> usize {
    0
}

/// As [`epoch`].
pub(super) fn is_unchanged(_frames: &[usize], _epoch_before: usize) -> bool {
    true
}

/// There are no mappings.
pub(crate) fn for_each_mapping(_each: impl FnMut(Addr, usize)) {}

/// There is no lock.
pub(crate) fn lock_comes_free(_deadline: u64) -> bool {
    true
}

/// There is no lock.
pub(crate) fn before_fork() {}

/// There is no lock.
///
/// # Safety
/// None; the other way of capturing has a duty here.
pub(crate) unsafe fn after_fork(_in_child: bool) {}

/// Modules are not looked at here, so those that are unloaded later have no names in a report.
pub(crate) fn modules_seen() -> impl Iterator<Item = crate::report::SeenModule<'static>> {
    core::iter::empty()
}

/// As [`modules_seen`]: none is expected to be noted.
pub(crate) fn modules_missed() -> usize {
    0
}
