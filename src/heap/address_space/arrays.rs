//! The arrays beside the heap: one entry in the table for each.

use crate::{
    base::{PAGE_BYTES, align_up},
    heap::page_heap::{CHUNK_BYTES, CHUNK_PAGES, Chunk, LEAF, Summary, entries},
    heap::{page_map::Entry, span, tiny},
};

/// An array with a part for every chunk of the heap, at a fixed place beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Array {
    /// A record per page, used for the first page of each span.
    SpanRecords,
    /// The page map's entries.
    PageMap,
    /// The page heap's bits.
    Chunks,
    /// The page heap's summaries of single chunks.
    Leaves,
    /// One byte per chunk: which arrays have been committed on demand there (bit = number of the array). The bits of
    /// other arrays say how the chunk stands to huge pages, and in the claimed form whether it is the heap's.
    Commits,
    /// The page heap's summaries above the leaves. Small; memory from the start, written as far as the heap needs levels.
    UpperSummaries,
    /// Starts of packed objects.
    TinyMap,
    /// The longer bitmaps of spans of the smallest class.
    WideBits,
}

/// When an array becomes memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// At once.
    Whole,
    /// For each chunk when the heap grows by it; above the heap it reads as zeros.
    WithHeap,
    /// The same, but above the heap it must not be touched. Without access it costs a program that locks all
    /// that it has mapped nothing, and it is the largest array by far.
    WithHeapAlone,
    /// For each chunk when asked for; must not be touched where it was not.
    OnDemand,
}

/// Every array, in the order in which they lie; those on demand last.
pub(super) const ALL: [Array; 8] = [
    Array::SpanRecords,
    Array::PageMap,
    Array::Chunks,
    Array::Leaves,
    Array::Commits,
    Array::UpperSummaries,
    Array::TinyMap,
    Array::WideBits,
];

/// Arrays begin at multiples of this and become memory in steps of it: the largest page any kernel uses.
pub(super) const STEP_BYTES: usize = 64 << 10;

/// Bytes that a downward array has of the first page of the array behind it. Small programs use a few entries of each
/// array, so two arrays that grow apart take one page where they begin instead of two: 24 span records and the page
/// map of 2 MiB, or as many chunks and their summaries.
pub(super) const SHARED_BYTES: usize = 3 << 10;

impl Array {
    /// Its number, which is its place in [`ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// When it becomes memory.
    pub(super) const fn mode(self) -> Mode {
        match self {
            Self::TinyMap | Self::WideBits => Mode::OnDemand,
            Self::UpperSummaries => Mode::Whole,
            Self::SpanRecords => Mode::WithHeapAlone,
            _ => Mode::WithHeap,
        }
    }

    /// Bytes for one chunk of 4 MiB; 0 for an array that is not cut that way.
    pub(crate) const fn bytes_per_chunk(self) -> usize {
        match self {
            Self::PageMap => size_of::<Entry>() * CHUNK_PAGES,
            Self::SpanRecords => span::RECORD_BYTES * CHUNK_PAGES,
            Self::Chunks => size_of::<Chunk>(),
            Self::Leaves => size_of::<Summary>(),
            Self::Commits => 1,
            Self::UpperSummaries => 0,
            Self::TinyMap => tiny::MAP_BYTES_PER_PAGE * CHUNK_PAGES,
            Self::WideBits => span::WIDE_BITS_BYTES * CHUNK_PAGES,
        }
    }

    /// Whether entry 0 lies at the end of the array and the others in front of it.
    pub(super) const fn grows_down(self) -> bool {
        matches!(self, Self::SpanRecords | Self::Chunks)
    }

    /// Bytes of its address space that belong to the array in front of it, which grows down.
    pub(super) const fn shared_bytes(self) -> usize {
        match self {
            Self::PageMap | Self::Leaves => SHARED_BYTES,
            _ => 0,
        }
    }

    /// Bytes of address space for a range of `chunks` chunks. What a downward array has beyond its end counts as that
    /// of the array behind it.
    pub(super) const fn range_bytes(self, chunks: usize) -> usize {
        let bytes = match self {
            Self::UpperSummaries => upper_level_offset(LEAF, chunks),
            Self::Leaves => entries(LEAF, chunks) * size_of::<Summary>(),
            _ => chunks * self.bytes_per_chunk(),
        };
        align_up(self.shared_bytes() + bytes, STEP_BYTES)
    }
}

const _: () = assert!(ALL.len() <= u8::BITS as usize, "Commits has a bit for each array");
const _: () = assert!(Array::SpanRecords.index() + 1 == Array::PageMap.index());
const _: () = assert!(Array::Chunks.index() + 1 == Array::Leaves.index());
const _: () = assert!(SHARED_BYTES.is_multiple_of(span::RECORD_BYTES) && SHARED_BYTES < 4096);
const _: () = assert!(SHARED_BYTES.is_multiple_of(size_of::<Chunk>()) && SHARED_BYTES.is_multiple_of(64));
const _: () = assert!(Array::TinyMap.bytes_per_chunk().is_multiple_of(STEP_BYTES));
const _: () = assert!(CHUNK_BYTES.is_multiple_of(PAGE_BYTES));

/// Where `level` begins in [`Array::UpperSummaries`], in bytes; for [`LEAF`], where the array ends.
pub(super) const fn upper_level_offset(level: usize, chunks: usize) -> usize {
    let (mut bytes, mut above) = (0, 0);
    while above < level {
        bytes += entries(above, chunks) * size_of::<Summary>();
        above += 1;
    }
    bytes
}
