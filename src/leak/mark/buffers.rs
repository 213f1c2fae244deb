//! Work buffers: ranges to scan, which go from worker to worker by lists without locks (`list`). They hold roots, large
//! objects and their parts, and objects given away. Buffers are not unmapped while workers run.

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
const ITEMS: usize = 255;

/// A buffer.
#[repr(C)]
struct Buffer {
    /// The next buffer in the list, as its number plus one. Other workers may look at it at any time.
    next: AtomicU32,
    pad: u32,
    body: Body,
}

/// What of a buffer belongs to the worker that took it from a list.
#[repr(C)]
pub(super) struct Body {
    pub(super) len: u32,
    pad: u32,
    pub(super) items: [Item; ITEMS],
}

/// A worker's buffer: its place is looked up once and not for each item.
pub(super) struct Owned {
    id: BufferId,
    body: *mut Body,
}

impl core::ops::Deref for Owned {
    type Target = Body;
    #[inline(always)]
    fn deref(&self) -> &Body {
        // SAFETY: mapped for as long as the pool lives, which workers borrow; zeros are a body. A list gives a number
        // to one worker only, who has it until this value is put back.
        unsafe { &*self.body }
    }
}

impl core::ops::DerefMut for Owned {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Body {
        // SAFETY: as above.
        unsafe { &mut *self.body }
    }
}

/// Buffers in a block of memory.
const BLOCK_BUFFERS: usize = 256;
/// Most blocks: 64 GiB of ranges.
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

    fn own(&self, id: BufferId) -> Owned {
        // SAFETY: the buffer is mapped; no reference is made.
        Owned { id, body: unsafe { &raw mut (*self.at(id)).body } }
    }

    /// An empty buffer. `None`: no memory.
    pub(super) fn get(&self) -> Option<Owned> {
        if let Some(id) = self.empty.pop(|id| self.next_of(id)) {
            return Some(self.own(id));
        }
        let id = self.made.fetch_add(1, Relaxed) as usize;
        if id >= BLOCKS * BLOCK_BUFFERS || !self.ensure_block(id / BLOCK_BUFFERS) {
            return None;
        }
        Some(self.own(BufferId(id as u32)))
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

    /// Passes a buffer with work to whoever needs some.
    pub(super) fn put_full(&self, buffer: Owned) {
        self.full.push(buffer.id, |id| self.next_of(id));
    }

    /// Takes a buffer with work.
    pub(super) fn take_full(&self) -> Option<Owned> {
        self.full.pop(|id| self.next_of(id)).map(|id| self.own(id))
    }

    /// Puts an empty buffer back.
    pub(super) fn put_empty(&self, buffer: Owned) {
        self.empty.push(buffer.id, |id| self.next_of(id));
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
