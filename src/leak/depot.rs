//! Stacks, each stored once, named by 32-bit ids.
//!
//! A closed hash table of chains. A chain's nodes and a bucket's head are ids, and an id is the index of
//! a node's first word in the depot's storage, so a node costs two words beside its frames and their steps:
//!
//! ```text
//! word 0   hash (upper 32 bits) | id of the next node in the chain (lower 32)
//! word 1   what the steps are (upper 48 bits), number of frames (lower 16)
//! word 2.. frames, innermost first
//! then     16 bits for each frame: the step from it to the next one outwards
//! ```
//!
//! The steps belong to whoever walks stacks; they are zero at first (x86-64 only: see `capture/trace.rs`).
//!
//! Nothing here locks, so a stack may be stored in a signal handler and in the child of a fork. Storage
//! is claimed by moving one counter and published by one compare-and-swap of the bucket's head; whoever
//! loses that race looks at the newcomers and tries again, so equal stacks always get equal ids. The
//! storage is never given back: ids stay valid to the end of the process.

use crate::base::Addr;
use crate::sys::memory::{Access, map, unmap};
#[cfg(target_arch = "x86_64")]
use core::sync::atomic::AtomicU16;
use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The name of a stored stack. [`StackId::NONE`] names no stack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub(crate) struct StackId(pub(crate) u32);

impl StackId {
    /// No stack: nothing was captured, or the depot had no memory for it.
    pub(crate) const NONE: Self = Self(0);
}

/// Bytes per word of storage.
const WORD_BYTES: usize = size_of::<u64>();
/// Log2 of the words in a chunk: 1 MiB, some four thousand stacks of two dozen frames, per system call.
const CHUNK_SHIFT: usize = 17;
const CHUNK_WORDS: usize = 1 << CHUNK_SHIFT;
const CHUNK_BYTES: usize = CHUNK_WORDS * WORD_BYTES;
/// Chunks that 32-bit word indices can name: 32 GiB of stacks.
const CHUNKS: usize = 1 << (32 - CHUNK_SHIFT);
/// Log2 of the buckets. A quarter of a million: chains stay short up to about a million stacks.
const BUCKET_SHIFT: usize = 18;
const BUCKETS: usize = 1 << BUCKET_SHIFT;
/// Words of a node before its frames.
const HEADER_WORDS: usize = 2;
/// The longest stack: a node must fit in a chunk, with room for many.
const MAX_FRAMES: usize = 1024;

/// Steps in a word.
const WORD_STEPS: usize = WORD_BYTES / size_of::<u16>();
/// Bits of a node's second word that say how many frames there are.
pub(crate) const LEN_BITS: u32 = 16;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;

const _: () = assert!(MAX_FRAMES as u64 <= LEN_MASK && node_words(MAX_FRAMES) <= CHUNK_WORDS);

/// Words of a node with so many frames.
const fn node_words(frames: usize) -> usize {
    let steps = if cfg!(target_arch = "x86_64") { frames.div_ceil(WORD_STEPS) } else { 0 };
    HEADER_WORDS + frames + steps
}

/// The heads of all chains and the addresses of all chunks, in one mapping.
#[repr(C)]
struct Tables {
    heads: [core::sync::atomic::AtomicU32; BUCKETS],
    chunks: [AtomicUsize; CHUNKS],
}

/// Stores stacks. There is one, [`DEPOT`]; tests make their own.
struct Depot {
    tables: AtomicUsize,
    /// The next free word. Word 0 is never used: id 0 is [`StackId::NONE`].
    next: AtomicUsize,
    stacks: AtomicUsize,
    chunks: AtomicUsize,
    dropped: AtomicUsize,
}

static DEPOT: Depot = Depot::new();

/// How much the depot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// Different stacks stored.
    pub(crate) stacks: usize,
    /// Bytes of storage in use, headers included.
    pub(crate) bytes: usize,
    /// Bytes mapped, the hash table included.
    pub(crate) mapped_bytes: usize,
    /// Stacks not stored for want of memory; they were given [`StackId::NONE`].
    pub(crate) dropped: usize,
}

/// The id of `frames`, which are stored if they are new. An empty stack and a stack for which there is
/// no memory get [`StackId::NONE`]; frames beyond the thousandth are cut off.
#[cfg(test)]
pub(crate) fn insert(frames: &[usize]) -> StackId {
    DEPOT.insert(frames, hash(frames))
}

/// As [`insert`], with `hash(frames)` known from the walk.
#[inline]
pub(crate) fn insert_hashed(frames: &[usize], hash: u32) -> StackId {
    DEPOT.insert(frames, hash)
}

/// The id of `frames` if they are stored, [`StackId::NONE`] otherwise.
#[inline]
pub(crate) fn find_hashed(frames: &[usize], hash: u32) -> StackId {
    DEPOT.find(frames, hash)
}

/// The stack that `id` names, innermost frame first; empty for [`StackId::NONE`] and numbers that are no id.
pub(crate) fn frames(id: StackId) -> &'static [usize] {
    DEPOT.frames(id)
}

/// A stored stack, for who walks stacks.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Stored {
    /// What the steps are, above the number of frames, which takes the lowest [`LEN_BITS`] and stays.
    pub(crate) stamp: &'static AtomicU64,
    /// The frames, innermost first.
    pub(crate) frames: &'static [usize],
    /// One for each frame.
    pub(crate) steps: &'static [AtomicU16],
}

/// The stack that `id` names; `None` for [`StackId::NONE`] and numbers that are no id.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn stored(id: StackId) -> Option<Stored> {
    let node = DEPOT.tables().and_then(|tables| DEPOT.node(tables, id))?;
    let (stamp, frames) = (node.get(1)?, DEPOT.stored(node));
    let steps = node.get(HEADER_WORDS + frames.len()..node_words(frames.len()))?.as_ptr().cast();
    // SAFETY: these words are in the mapping and have room for a step for each frame. Nobody uses them in another way,
    // and nothing but atomically.
    let steps = unsafe { core::slice::from_raw_parts(steps, frames.len()) };
    Some(Stored { stamp, frames, steps })
}

/// A number above those of all stacks stored so far, and not above those of later ones.
pub(crate) fn next() -> StackId {
    StackId(DEPOT.next.load(Relaxed) as u32)
}

/// How much is stored.
pub(crate) fn statistics() -> Statistics {
    DEPOT.statistics()
}

/// Calls `each(start, bytes)` for every mapping of the depot, so that a search for pointers leaves them out.
pub(crate) fn for_each_mapping(mut each: impl FnMut(Addr, usize)) {
    DEPOT.for_each_mapping(&mut each);
}

/// A stack's hash: the frames as digits of a number, the innermost the lowest, to the base of an odd number
/// without pattern.
///
/// So it can be computed from either end, and the hash of any part of a stack from sums over the whole. A multiplication at the end brings the upper bits down.
#[derive(Clone, Copy)]
pub(crate) struct Hasher {
    sum: u64,
    /// What the next outer frame counts.
    weight: u64,
}

impl Hasher {
    /// The base: the golden ratio's fraction.
    pub(crate) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

    /// No frames yet.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { sum: 0, weight: 1 }
    }

    /// Takes in the next frame outwards.
    #[inline(always)]
    pub(crate) const fn add(self, frame: usize) -> Self {
        let sum = self.sum.wrapping_add((frame as u64).wrapping_mul(self.weight));
        Self { sum, weight: self.weight.wrapping_mul(Self::MULTIPLIER) }
    }

    /// Frames whose sum was computed elsewhere; no more can be added.
    #[inline(always)]
    pub(crate) const fn of_sum(sum: u64) -> Self {
        Self { sum, weight: 0 }
    }

    /// True for one in sixteen stacks, about.
    #[inline(always)]
    pub(crate) const fn one_in_16(self) -> bool {
        self.sum >> 60 == 0
    }

    /// The hash of the frames so far.
    #[inline(always)]
    pub(crate) const fn finish(self) -> u32 {
        ((self.sum ^ self.sum >> 29).wrapping_mul(Self::MULTIPLIER) >> 32) as u32
    }
}

/// The hash of a whole stack.
pub(crate) fn hash(frames: &[usize]) -> u32 {
    frames.iter().fold(Hasher::new(), |hasher, &frame| hasher.add(frame)).finish()
}

/// A node's first word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Link(u64);

impl Link {
    const fn new(hash: u32, next: StackId) -> Self {
        Self((hash as u64) << 32 | next.0 as u64)
    }
    const fn hash(self) -> u32 {
        (self.0 >> 32) as u32
    }
    const fn next(self) -> StackId {
        StackId(self.0 as u32)
    }
}

impl Depot {
    const fn new() -> Self {
        Self {
            tables: AtomicUsize::new(0),
            next: AtomicUsize::new(1),
            stacks: AtomicUsize::new(0),
            chunks: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
        }
    }

    fn insert(&self, frames: &[usize], hash: u32) -> StackId {
        let frames = &frames[..frames.len().min(MAX_FRAMES)];
        if frames.is_empty() {
            return StackId::NONE;
        }
        self.insert_new(frames, hash).unwrap_or_else(|| {
            self.dropped.fetch_add(1, Relaxed);
            StackId::NONE
        })
    }

    /// `None` if there is no memory.
    fn insert_new(&self, frames: &[usize], hash: u32) -> Option<StackId> {
        let tables = self.tables_or_map()?;
        let head = &tables.heads[hash as usize % BUCKETS];
        let mut first = StackId(head.load(Acquire));
        if let Some(id) = self.search(tables, first, StackId::NONE, frames, hash) {
            return Some(id);
        }
        let (id, node) = self.claim(tables, node_words(frames.len()))?;
        write_frames(node, frames);
        loop {
            node[0].store(Link::new(hash, first).0, Relaxed);
            // Release: whoever sees the id sees the node.
            match head.compare_exchange(first.0, id.0, Release, Acquire) {
                Ok(_) => break,
                Err(now) => {
                    // Only what came in since the last look can be equal. The claimed words stay unused.
                    let equal = self.search(tables, StackId(now), first, frames, hash);
                    if equal.is_some() {
                        return equal;
                    }
                    first = StackId(now);
                }
            }
        }
        self.stacks.fetch_add(1, Relaxed);
        Some(id)
    }

    #[inline]
    fn find(&self, frames: &[usize], hash: u32) -> StackId {
        let frames = &frames[..frames.len().min(MAX_FRAMES)];
        let Some(tables) = self.tables() else { return StackId::NONE };
        let first = StackId(tables.heads[hash as usize % BUCKETS].load(Acquire));
        self.search(tables, first, StackId::NONE, frames, hash).unwrap_or(StackId::NONE)
    }

    /// Looks for `frames` in the chain from `id` up to `end`.
    #[inline]
    fn search(
        &self,
        tables: &Tables,
        mut id: StackId,
        end: StackId,
        frames: &[usize],
        hash: u32,
    ) -> Option<StackId> {
        while id != end && id != StackId::NONE {
            let node = self.node(tables, id)?;
            let link = Link(node[0].load(Relaxed));
            if link.hash() == hash && self.stored(node) == frames {
                return Some(id);
            }
            id = link.next();
        }
        None
    }

    fn frames(&self, id: StackId) -> &'static [usize] {
        let node = self.tables().and_then(|tables| self.node(tables, id));
        node.map_or(&[], |node| self.stored(node))
    }

    /// The words from a node's first to its chunk's last, if `id` lies in a mapped chunk.
    #[inline]
    fn node(&self, tables: &Tables, id: StackId) -> Option<&'static [AtomicU64]> {
        let word = id.0 as usize;
        let chunk = tables.chunks[word >> CHUNK_SHIFT].load(Acquire);
        if chunk == 0 || word == 0 {
            return None;
        }
        let offset = word % CHUNK_WORDS;
        let start = Addr(chunk + offset * WORD_BYTES).ptr::<AtomicU64>();
        // SAFETY: a chunk is mapped, zeroed, never unmapped and only used as atomic words; from `offset`
        // on it has CHUNK_WORDS - offset of them.
        Some(unsafe { core::slice::from_raw_parts(start, CHUNK_WORDS - offset) })
    }

    /// The frames of a published node; cut at the chunk's end if the words are no node.
    #[inline]
    fn stored(&self, node: &'static [AtomicU64]) -> &'static [usize] {
        let [_, len, rest @ ..] = node else { return &[] };
        let len = ((len.load(Relaxed) & LEN_MASK) as usize).min(rest.len()).min(MAX_FRAMES);
        // SAFETY: the words are mapped for good. They were written before the node's id was published
        // and are never written again, so plain reads race with nothing.
        unsafe { core::slice::from_raw_parts(rest.as_ptr().cast::<usize>(), len) }
    }

    /// Takes `words` fresh words within one chunk; `None` without memory or free ids.
    fn claim(&self, tables: &Tables, words: usize) -> Option<(StackId, &'static [AtomicU64])> {
        let mut next = self.next.load(Relaxed);
        loop {
            let crosses = next % CHUNK_WORDS + words > CHUNK_WORDS;
            let start = if crosses { (next >> CHUNK_SHIFT).checked_add(1)? << CHUNK_SHIFT } else { next };
            if start >> CHUNK_SHIFT >= CHUNKS {
                return None;
            }
            self.chunk_or_map(tables, start >> CHUNK_SHIFT)?;
            match self.next.compare_exchange_weak(next, start + words, Relaxed, Relaxed) {
                Ok(_) => {
                    let id = StackId(start as u32);
                    return self.node(tables, id).map(|node| (id, &node[..words]));
                }
                Err(now) => next = now,
            }
        }
    }

    fn chunk_or_map(&self, tables: &Tables, chunk: usize) -> Option<()> {
        if tables.chunks[chunk].load(Acquire) == 0 && map_once(&tables.chunks[chunk], CHUNK_BYTES)? {
            self.chunks.fetch_add(1, Relaxed);
        }
        Some(())
    }

    #[inline]
    fn tables(&self) -> Option<&'static Tables> {
        let address = self.tables.load(Acquire);
        // SAFETY: a non-zero address is that of a mapping of this size, zeroed, which is a valid value
        // of the type, and never unmapped.
        (address != 0).then(|| unsafe { &*Addr(address).ptr::<Tables>() })
    }

    fn tables_or_map(&self) -> Option<&'static Tables> {
        if self.tables().is_none() {
            map_once(&self.tables, size_of::<Tables>())?;
        }
        self.tables()
    }

    fn statistics(&self) -> Statistics {
        let tables = if self.tables().is_some() { size_of::<Tables>() } else { 0 };
        Statistics {
            stacks: self.stacks.load(Relaxed),
            bytes: (self.next.load(Relaxed) - 1) * WORD_BYTES,
            mapped_bytes: tables + self.chunks.load(Relaxed) * CHUNK_BYTES,
            dropped: self.dropped.load(Relaxed),
        }
    }

    fn for_each_mapping(&self, each: &mut dyn FnMut(Addr, usize)) {
        let Some(tables) = self.tables() else { return };
        each(Addr::of(tables), size_of::<Tables>());
        for chunk in &tables.chunks {
            match chunk.load(Acquire) {
                0 => return,
                address => each(Addr(address), CHUNK_BYTES),
            }
        }
    }
}

fn write_frames(node: &[AtomicU64], frames: &[usize]) {
    if let [_, len, rest @ ..] = node {
        len.store(frames.len() as u64, Relaxed);
        rest.iter().zip(frames).for_each(|(word, &frame)| word.store(frame as u64, Relaxed));
    }
}

/// Maps `bytes` and stores the address in `slot`, unless another thread is faster. `Some(true)` if this
/// call's mapping is the one kept; `None` without memory.
pub(super) fn map_once(slot: &AtomicUsize, bytes: usize) -> Option<bool> {
    let fresh = map(bytes, Access::ReadWrite).ok()?;
    let won = slot.compare_exchange(0, fresh.0, AcqRel, Acquire).is_ok();
    if !won {
        // SAFETY: mapped above, and nobody else has seen the address.
        unsafe { unmap(fresh, bytes) };
    }
    Some(won)
}

#[cfg(test)]
#[path = "depot_tests.rs"]
mod tests;
