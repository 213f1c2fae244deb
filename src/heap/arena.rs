//! The leak report's own memory: while a check works on the stopped process, or in its frozen copy, the
//! heap may not be touched, and what the report allocates comes from here instead. Nothing is freed until
//! the report is done, and then everything.
//!
//! One thread at a time: the one that writes the report. In the copy it is the only one; in the process
//! itself all others are stopped.

use crate::base::{Addr, align_up};
use crate::sys::memory;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

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

// SAFETY: only the thread that writes the report uses it; see the module's text.
unsafe impl Sync for TheArena {}

static ARENA: TheArena = TheArena(UnsafeCell::new(Arena {
    next: Addr(0),
    end: Addr(0),
    blocks: [(Addr(0), 0); MAX_BLOCKS],
    block_count: 0,
}));
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Whether requests are served from here.
#[inline]
pub(crate) fn is_active() -> bool {
    ACTIVE.load(Relaxed)
}

/// Serves all requests of this process from here while `work` runs, then gives the memory back.
///
/// # Safety
/// Every other thread of the process is stopped or does not exist.
pub(crate) unsafe fn serve<R>(work: impl FnOnce() -> R) -> R {
    ACTIVE.store(true, Relaxed);
    let result = work();
    ACTIVE.store(false, Relaxed);
    // SAFETY: no other thread runs.
    let arena = unsafe { &mut *ARENA.0.get() };
    for (at, bytes) in arena.blocks.iter().take(arena.block_count) {
        // SAFETY: the block is the arena's, and the work that used it is over.
        unsafe { memory::unmap(*at, *bytes) };
    }
    (arena.next, arena.end, arena.block_count) = (Addr(0), Addr(0), 0);
    result
}

/// Allocates zeroed memory. `None`: the kernel gives none.
///
/// # Safety
/// Only while [`is_active`], by the thread that [`serve`]s.
pub(super) unsafe fn alloc(bytes: usize, align: usize) -> Option<Addr> {
    // SAFETY: the caller is the only thread that runs.
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
