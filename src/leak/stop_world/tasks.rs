//! The threads of this process, and which of them the stop has met already.

use crate::leak::glibc::Layout;
use crate::leak::own_memory::{self, NoMemory};
use crate::sys::{directory, message::thread_id, signal};
use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// One more than the highest thread number of Linux (`PID_MAX_LIMIT`).
const TIDS: usize = 4 << 20;

/// One bit per thread number: 512 KiB, of which only the pages of numbers in use get memory.
static SEEN: AtomicPtr<AtomicU64> = AtomicPtr::new(core::ptr::null_mut());

/// Where the list of threads came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// `/proc/self/task`.
    Proc,
    /// libc's own list, because `/proc` is hidden or shows another namespace. Threads that libc did not
    /// make are missing.
    Libc,
    /// Neither could be read: only the calling thread is known.
    Nothing,
}

/// Calls `each` for every thread of this process, the caller's too.
pub(super) fn for_each(pid: u32, layout: Option<&Layout>, mut each: impl FnMut(u32)) -> Source {
    let own = thread_id();
    let mut found_own = false;
    directory::for_each_number(c"/proc/self/task", |tid| {
        found_own |= tid == own;
        each(tid);
    });
    // In a namespace of processes without a /proc of its own the numbers are those of the outer one:
    // they belong to nobody here, and the own one is missing.
    if found_own {
        return Source::Proc;
    }
    each(own);
    let Some(layout) = layout else { return Source::Nothing };
    let complete = layout.for_each_thread(&super::super::peek::through_kernel, &mut |thread| {
        if thread.tid > 0 && signal::thread_exists(pid, thread.tid as u32) {
            each(thread.tid as u32);
        }
    });
    if complete { Source::Libc } else { Source::Nothing }
}

/// Makes the table of numbers seen.
pub(super) fn prepare() -> Result<(), NoMemory> {
    if SEEN.load(Acquire).is_null() {
        let fresh = own_memory::map(TIDS / 8).ok_or(NoMemory)?;
        if SEEN.compare_exchange(core::ptr::null_mut(), fresh.ptr(), AcqRel, Acquire).is_err() {
            // SAFETY: another thread was first; nobody has seen this mapping.
            unsafe { own_memory::unmap(fresh) };
        }
    }
    Ok(())
}

fn word(tid: u32) -> Option<&'static AtomicU64> {
    let first = SEEN.load(Acquire);
    if first.is_null() || tid as usize >= TIDS {
        return None;
    }
    // SAFETY: the mapping holds a bit for every number below TIDS and is never unmapped.
    Some(unsafe { &*first.add(tid as usize / 64) })
}

/// Notes `tid`; whether it is new in this stop.
///
/// A number can't come back within a stop: the kernel hands numbers out in rotation.
pub(super) fn is_new(tid: u32) -> bool {
    let bit = 1 << (tid % 64);
    word(tid).is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0)
}

/// Forgets `tid`.
pub(super) fn forget(tid: u32) {
    if let Some(word) = word(tid) {
        word.fetch_and(!(1 << (tid % 64)), Relaxed);
    }
}
