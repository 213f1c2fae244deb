//! The leak report's own memory: while a check works on the stopped process, or in its frozen copy, the
//! heap may not be touched, and what the report allocates comes from here instead. Nothing is freed until
//! the report is done, and then everything.
//!
//! Only the thread that writes the report is served. In the copy it is the only one. In the process itself all
//! others are stopped, but for those that did not take the signal: if these allocate, they wait for the heap's
//! locks, which the check holds.

use crate::base::{Addr, align_up};
use crate::sys::{memory, rseq};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes asked of the kernel at once; larger requests get a mapping of their own.
const BLOCK_BYTES: usize = 4 << 20;
/// Most blocks: 4 GiB of report.
const MAX_BLOCKS: usize = 1024;

struct Arena {
    next: Addr,
    end: Addr,
    blocks: [(Addr, usize); MAX_BLOCKS],
    block_count: usize,
}

struct TheArena(UnsafeCell<Arena>);

// SAFETY: only the thread that is served uses it; see the module's text.
unsafe impl Sync for TheArena {}

static ARENA: TheArena = TheArena(UnsafeCell::new(Arena {
    next: Addr(0),
    end: Addr(0),
    blocks: [(Addr(0), 0); MAX_BLOCKS],
    block_count: 0,
}));
/// The thread that is served, by its thread pointer, which it keeps in a copy of the process; 0: none.
static SERVED: AtomicUsize = AtomicUsize::new(0);

/// What is called when memory runs out; 0: nothing, the request fails.
static GIVE_UP: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread's requests are served from here.
#[inline]
pub(crate) fn is_active() -> bool {
    SERVED.load(Relaxed) == rseq::thread_pointer()
}

/// Serves all requests of this thread from here while `work` runs, then gives the memory back. If the kernel gives
/// none, `give_up` is called: Rust's collections would end the process.
///
/// # Safety
/// One thread of the process at a time, and threads that `work` starts allocate nothing. If `give_up` leaves
/// `work` by another way, [`finish`] must follow.
pub(crate) unsafe fn serve<R>(work: impl FnOnce() -> R, give_up: fn() -> !) -> R {
    GIVE_UP.store(give_up as usize, Relaxed);
    SERVED.store(rseq::thread_pointer(), Relaxed);
    let result = work();
    // SAFETY: the work is over.
    unsafe { finish() };
    result
}

/// Ends serving, if this thread is served, and gives the memory back.
///
/// # Safety
/// Nothing uses the memory any more.
pub(crate) unsafe fn finish() {
    if !is_active() {
        return;
    }
    SERVED.store(0, Relaxed);
    // SAFETY: only this thread was served.
    let arena = unsafe { &mut *ARENA.0.get() };
    for (at, bytes) in arena.blocks.iter().take(arena.block_count) {
        // SAFETY: the block is the arena's, and the work that used it is over.
        unsafe { memory::unmap(*at, *bytes) };
    }
    (arena.next, arena.end, arena.block_count) = (Addr(0), Addr(0), 0);
}

/// Runs `body`, which can do without memory that is not there (`Vec::try_reserve`).
pub(crate) fn may_fail<R>(body: impl FnOnce() -> R) -> R {
    let give_up = GIVE_UP.swap(0, Relaxed);
    let result = body();
    GIVE_UP.store(give_up, Relaxed);
    result
}

/// Allocates zeroed memory. `None`: the kernel gives none, and the caller can do without.
///
/// # Safety
/// Only while [`is_active`].
pub(super) unsafe fn alloc(bytes: usize, align: usize) -> Option<Addr> {
    // SAFETY: passed on to the caller.
    let found = unsafe { find(bytes, align) };
    match GIVE_UP.load(Relaxed) {
        0 => found,
        give_up if found.is_none() => {
            // SAFETY: only `serve` stores here, a function of this type.
            let give_up: fn() -> ! = unsafe { core::mem::transmute::<usize, fn() -> !>(give_up) };
            give_up()
        }
        _ => found,
    }
}

/// Zeroed memory. `None`: the kernel gives none.
///
/// # Safety
/// Only while [`is_active`].
unsafe fn find(bytes: usize, align: usize) -> Option<Addr> {
    // SAFETY: the caller is the thread that is served.
    let arena = unsafe { &mut *ARENA.0.get() };
    let at = align_up(arena.next.0, align);
    if bytes <= arena.end.0.saturating_sub(at) && at != 0 {
        arena.next = Addr(at + bytes);
        return Some(Addr(at));
    }
    let block_bytes = align_up(bytes.checked_add(align)?, BLOCK_BYTES);
    let slot = arena.blocks.get_mut(arena.block_count)?;
    let block = memory::map(block_bytes, memory::Access::ReadWrite).ok()?;
    *slot = (block, block_bytes);
    arena.block_count += 1;
    let at = align_up(block.0, align);
    (arena.next, arena.end) = (Addr(at + bytes), block.plus(block_bytes));
    Some(Addr(at))
}
