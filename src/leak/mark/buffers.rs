//! Work buffers: grey ranges, which go from worker to worker by lists without locks (`list`). Buffers are not
//! unmapped while workers run.

use super::list::{BufferId, List};
use crate::leak::own_memory;
use crate::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Words to scan: first address and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Item {
    pub(super) start: usize,
    pub(super) bytes: usize,
}

/// Items of a buffer: 4 KiB of them, like Go's 2 KiB of single addresses.
pub(super) const ITEMS: usize = 255;

/// A buffer. Its owner is the worker that took it from a list.
#[repr(C)]
pub(super) struct Buffer {
    /// The next buffer in the list, as its number plus one.
    next: AtomicU32,
    pub(super) len: u32,
    pad: u64,
    pub(super) items: [Item; ITEMS],
}

/// A worker's buffer: its place is looked up once and not for each item.
pub(super) struct Owned {
    pub(super) id: BufferId,
    buffer: *mut Buffer,
}

impl core::ops::Deref for Owned {
    type Target = Buffer;
    #[inline(always)]
    fn deref(&self) -> &Buffer {
        // SAFETY: mapped, initialized by zeros, and by the word of who made this its alone.
        unsafe { &*self.buffer }
    }
}

impl core::ops::DerefMut for Owned {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Buffer {
        // SAFETY: as above.
        unsafe { &mut *self.buffer }
    }
}

/// Buffers in a block of memory.
const BLOCK_BUFFERS: usize = 256;
/// Most blocks: 64 GiB of grey ranges.
const BLOCKS: usize = 65536;

/// All buffers: those that hold work, those that are empty, and the memory of both.
pub(super) struct Pool {
    pub(super) full: List,
    empty: List,
    /// Addresses of the blocks; 0: not there yet.
    blocks: crate::base::Addr,
    made: AtomicU32,
}

impl Pool {
    /// A pool without buffers. `None`: no memory.
    pub(super) fn new() -> Option<Self> {
        let blocks = own_memory::map(BLOCKS * 8)?;
        Some(Self { full: List::new(), empty: List::new(), blocks, made: AtomicU32::new(0) })
    }

    fn block(&self, block: usize) -> &core::sync::atomic::AtomicUsize {
        // SAFETY: numbers come from `get`, which stays below BLOCKS blocks; zeroed words are valid.
        unsafe { &*self.blocks.plus(block * 8).ptr() }
    }

    fn at(&self, id: BufferId) -> *mut Buffer {
        let block = self.block(id.0 as usize / BLOCK_BUFFERS).load(core::sync::atomic::Ordering::Acquire);
        // SAFETY: the block of a buffer that was handed out has been mapped, with room for all its buffers.
        unsafe { crate::base::Addr(block).ptr::<Buffer>().add(id.0 as usize % BLOCK_BUFFERS) }
    }

    fn next_of(&self, id: BufferId) -> &AtomicU32 {
        // SAFETY: the buffer is mapped; its link is only used atomically.
        unsafe { &(*self.at(id)).next }
    }

    /// An empty buffer. `None`: no memory.
    pub(super) fn get(&self) -> Option<BufferId> {
        if let Some(id) = self.empty.pop(|id| self.next_of(id)) {
            return Some(id);
        }
        let id = self.made.fetch_add(1, Relaxed) as usize;
        if id >= BLOCKS * BLOCK_BUFFERS || !self.ensure_block(id / BLOCK_BUFFERS) {
            return None;
        }
        Some(BufferId(id as u32))
    }

    fn ensure_block(&self, block: usize) -> bool {
        use core::sync::atomic::Ordering::{AcqRel, Acquire};
        if self.block(block).load(Acquire) != 0 {
            return true;
        }
        let Some(fresh) = own_memory::map(BLOCK_BUFFERS * size_of::<Buffer>()) else { return false };
        if self.block(block).compare_exchange(0, fresh.0, AcqRel, Acquire).is_err() {
            // SAFETY: another worker was first; nobody has seen this mapping.
            unsafe { own_memory::unmap(fresh) };
        }
        true
    }

    /// A buffer to work with.
    ///
    /// # Safety
    /// The caller owns the buffer: it came from [`Self::get`] or a list, and is put back, or dropped with the pool,
    /// no sooner than this is.
    pub(super) unsafe fn own(&self, id: BufferId) -> Owned {
        Owned { id, buffer: self.at(id) }
    }

    /// Passes a buffer with work to whoever needs some.
    pub(super) fn put_full(&self, id: BufferId) {
        self.full.push(id, |id| self.next_of(id));
    }

    /// Takes a buffer with work.
    pub(super) fn take_full(&self) -> Option<BufferId> {
        self.full.pop(|id| self.next_of(id))
    }

    /// Puts an empty buffer back.
    pub(super) fn put_empty(&self, id: BufferId) {
        self.empty.push(id, |id| self.next_of(id));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for block in 0..BLOCKS {
            match self.block(block).load(core::sync::atomic::Ordering::Acquire) {
                // Blocks are made in order.
                0 => break,
                // SAFETY: made by `ensure_block`; no worker runs any more.
                at => unsafe { own_memory::unmap(crate::base::Addr(at)) },
            }
        }
        // SAFETY: made by `new`.
        unsafe { own_memory::unmap(self.blocks) };
    }
}

const _: () = assert!(size_of::<Buffer>() == 4096);
