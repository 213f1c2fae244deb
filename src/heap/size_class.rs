//! The 68 size classes: Go's table, and the pure functions from a request to its class.
//!
//! Class 0 stands for large objects. The object sizes and, for the small ones, the pages of a span are
//! those of the Go runtime (`internal/runtime/gc/sizeclasses.go`); `docs/size-classes.md` says which
//! spans are longer here and why.

use super::C_ALIGN;
use crate::base::{PAGE_BYTES, PAGE_SHIFT};
use core::cell::UnsafeCell;

/// Number of size classes, class 0 (large) included.
pub(crate) const CLASSES: usize = 68;
/// Largest size in bytes that has a class; more is a large object.
pub(crate) const MAX_SMALL_BYTES: usize = 32 << 10;

/// Pseudo-class of pages cut into blocks of the tiny allocator.
pub(crate) const TINY_PAGES: usize = 68;
/// Cache and central list of whole tiny blocks.
pub(crate) const TINY_BLOCK: usize = 69;
/// Pseudo-class of the pages of a large object.
pub(crate) const LARGE_PAGES: usize = 70;
/// Classes and pseudo-classes: the length of every table that is indexed by the page map's class byte.
pub(crate) const ALL_CLASSES: usize = 72;

/// Bytes of a tiny block.
pub(crate) const TINY_BLOCK_BYTES: usize = 16;

/// Object size in bytes and pages per span of Go's classes 1 to 67.
const GO_TABLE: [(u16, u8); CLASSES - 1] = [
    (8, 1),
    (16, 1),
    (24, 1),
    (32, 1),
    (48, 1),
    (64, 1),
    (80, 1),
    (96, 1),
    (112, 1),
    (128, 1),
    (144, 1),
    (160, 1),
    (176, 1),
    (192, 1),
    (208, 1),
    (224, 1),
    (240, 1),
    (256, 1),
    (288, 1),
    (320, 1),
    (352, 1),
    (384, 1),
    (416, 1),
    (448, 1),
    (480, 1),
    (512, 1),
    (576, 1),
    (640, 1),
    (704, 1),
    (768, 1),
    (896, 1),
    (1024, 1),
    (1152, 1),
    (1280, 1),
    (1408, 2),
    (1536, 1),
    (1792, 2),
    (2048, 1),
    (2304, 2),
    (2688, 1),
    (3072, 3),
    (3200, 2),
    (3456, 3),
    (4096, 1),
    (4864, 3),
    (5376, 2),
    (6144, 3),
    (6528, 4),
    (6784, 5),
    (6912, 6),
    (8192, 1),
    (9472, 7),
    (9728, 6),
    (10240, 5),
    (10880, 4),
    (12288, 3),
    (13568, 5),
    (14336, 7),
    (16384, 2),
    (18432, 9),
    (19072, 7),
    (20480, 5),
    (21760, 8),
    (24576, 3),
    (27264, 10),
    (28672, 7),
    (32768, 4),
];

/// Spans of classes of at least this size are lengthened: Go's one-page spans would hold so few objects
/// that every refill takes the page heap's lock for one or two.
const LONG_SPAN_FROM_BYTES: u16 = 2 << 10;
/// Bytes a lengthened span has at least: 32 objects of 2 KiB, two of 32 KiB.
const LONG_SPAN_BYTES: u32 = 64 << 10;

/// Objects a span may hold at most: the bits of its record.
pub(crate) const MAX_OBJECTS_PER_SPAN: usize = 1024;

/// Object size in bytes per class; 0 for classes without one size.
pub(crate) static OBJECT_BYTES: [u16; ALL_CLASSES] = object_bytes();
/// Pages per span, per class.
pub(crate) static SPAN_PAGES: [u8; ALL_CLASSES] = span_pages();
/// Objects per span, per class.
pub(crate) static SPAN_OBJECTS: [u16; ALL_CLASSES] = span_objects();

/// Per class the division constant `magic`, which is `ceil(2^32 / size)`, and the bound that the low 32 bits of
/// `offset * magic` stay below where an object begins; together, so that a free loads one line. Zeros for classes whose
/// objects do not lie in rows: no offset passes that test.
///
/// For every offset below a span's length `(offset * magic) >> 32` is the object's index, and the low
/// 32 bits of the product are below `magic` exactly if the offset is a multiple of the size (Lemire,
/// Kaser, Kurz: "Faster remainder by direct computation").
///
/// With `e = size * magic - 2^32` those bits are `q * e` at offset `q * size`, and at least `magic` at
/// any other offset. So the bound `objects * e` lets the spans' objects pass and not the rest behind the
/// last one. Where `e` is 0, the size is a power of two and there is no rest: the bound is `magic`.
static STARTS: [(u32, u32); ALL_CLASSES] = starts();

/// Object size in bytes of a class, for constants: they may not read a static.
pub(crate) const fn object_bytes_of(class: usize) -> usize {
    object_bytes()[class] as usize
}

const fn object_bytes() -> [u16; ALL_CLASSES] {
    let mut bytes = [0; ALL_CLASSES];
    let mut class = 1;
    while class < CLASSES {
        bytes[class] = GO_TABLE[class - 1].0;
        class += 1;
    }
    bytes[TINY_BLOCK] = TINY_BLOCK_BYTES as u16;
    bytes
}

const fn span_pages() -> [u8; ALL_CLASSES] {
    let mut pages = [0; ALL_CLASSES];
    let mut class = 1;
    while class < CLASSES {
        let (bytes, go_pages) = GO_TABLE[class - 1];
        let mut n = go_pages as u32;
        if bytes >= LONG_SPAN_FROM_BYTES {
            // A multiple of Go's span keeps its share of waste at the tail.
            while n << PAGE_SHIFT < LONG_SPAN_BYTES {
                n += go_pages as u32;
            }
        }
        pages[class] = n as u8;
        class += 1;
    }
    pages[TINY_BLOCK] = 1;
    pages
}

const fn span_objects() -> [u16; ALL_CLASSES] {
    let (bytes, pages) = (object_bytes(), span_pages());
    let mut objects = [0; ALL_CLASSES];
    let mut class = 0;
    while class < ALL_CLASSES {
        if bytes[class] != 0 {
            let n = pages[class] as usize * PAGE_BYTES / bytes[class] as usize;
            assert!(n <= MAX_OBJECTS_PER_SPAN);
            objects[class] = n as u16;
        }
        class += 1;
    }
    objects
}

const fn division_magic() -> [u32; ALL_CLASSES] {
    let bytes = object_bytes();
    let mut magic = [0; ALL_CLASSES];
    let mut class = 1;
    while class < CLASSES {
        magic[class] = u32::MAX / bytes[class] as u32 + 1;
        class += 1;
    }
    magic
}

const fn starts() -> [(u32, u32); ALL_CLASSES] {
    let (bytes, magics, objects) = (object_bytes(), division_magic(), span_objects());
    let mut starts = [(0, 0); ALL_CLASSES];
    let mut class = 1;
    while class < CLASSES {
        let magic = magics[class];
        let bound = match (bytes[class] as u32).wrapping_mul(magic) {
            0 => magic,
            e => e * objects[class] as u32,
        };
        assert!(bound <= magic);
        starts[class] = (magic, bound);
        class += 1;
    }
    starts
}

/// Entries of a table indexed by `(size + 7) / 8`.
const TABLE_LEN: usize = MAX_SMALL_BYTES / 8 + 1;

/// Smallest class for a size, by `(size + 7) / 8`: one load instead of Go's two tables and a branch.
/// Only the first lines are hot, since most requests are small.
static CLASS_BY_SIZE: [u8; TABLE_LEN] = class_by_size();

/// As [`CLASS_BY_SIZE`], for C: a result must suit every object that fits into the request, so that
/// requests above 8 bytes need a class whose objects are 16-aligned. Options change its first entries.
static C_CLASS_BY_SIZE: ClassTable = ClassTable(UnsafeCell::new(c_class_by_size()));

/// A table that is changed at most once, while the heap starts. Plain bytes, because an atomic load costs
/// the fast path an instruction.
struct ClassTable(UnsafeCell<[u8; TABLE_LEN]>);

// SAFETY: the one change comes before the process has a second thread: making a thread allocates, and the
// first allocation starts the heap.
unsafe impl Sync for ClassTable {}

const fn class_by_size() -> [u8; TABLE_LEN] {
    let bytes = object_bytes();
    let mut table = [0; TABLE_LEN];
    let (mut i, mut class) = (0, 1);
    while i < TABLE_LEN {
        while (bytes[class] as usize) < i * 8 {
            class += 1;
        }
        table[i] = class as u8;
        i += 1;
    }
    table
}

const fn c_class_by_size() -> [u8; TABLE_LEN] {
    let plain = class_by_size();
    let mut table = [1; TABLE_LEN];
    let mut i = 2;
    while i < TABLE_LEN {
        table[i] = NEXT_ALIGNED[0][plain[i] as usize];
        i += 1;
    }
    table
}

/// Log2 of the alignments beyond the natural one of 8 bytes, up to a page.
const ALIGN_SHIFTS: usize = PAGE_SHIFT - 3;

/// `NEXT_ALIGNED[log2(align) - 4][class]`: the first class at or above `class` whose objects are all
/// aligned, which is when `align` divides the size, since spans begin at a page. 0: none.
static NEXT_ALIGNED: [[u8; CLASSES]; ALIGN_SHIFTS] = next_aligned();

const fn next_aligned() -> [[u8; CLASSES]; ALIGN_SHIFTS] {
    let bytes = object_bytes();
    let mut table = [[0; CLASSES]; ALIGN_SHIFTS];
    let mut shift = 0;
    while shift < ALIGN_SHIFTS {
        let (mut class, mut next) = (CLASSES - 1, 0);
        while class > 0 {
            if (bytes[class] as usize).is_multiple_of(16 << shift) {
                next = class;
            }
            table[shift][class] = next as u8;
            class -= 1;
        }
        shift += 1;
    }
    table
}

/// The class for `size` bytes at an alignment of at most 8; 0 if it is large.
#[inline(always)]
pub(crate) fn class_of(size: usize) -> usize {
    if size > MAX_SMALL_BYTES {
        return 0;
    }
    // SAFETY: size is at most MAX_SMALL_BYTES, so the index is at most TABLE_LEN - 1.
    unsafe { *CLASS_BY_SIZE.get_unchecked((size + 7) >> 3) as usize }
}

/// The class for a C request of `size` bytes, or 0 if it is large.
#[inline(always)]
pub(crate) fn c_class_of(size: usize) -> usize {
    if size > MAX_SMALL_BYTES {
        return 0;
    }
    // SAFETY: the index as in `class_of`; nobody writes any more when there are threads.
    unsafe { *(&*C_CLASS_BY_SIZE.0.get()).get_unchecked((size + 7) >> 3) as usize }
}

/// The class for `size` bytes at `align` (a power of two), or 0 if only a run of pages will do.
#[inline(always)]
pub(crate) fn class_of_aligned(size: usize, align: usize) -> usize {
    let class = class_of(size);
    if align <= 8 { class } else { next_aligned_to(class, align) }
}

/// The class for a C request of `size` bytes at `align` (a power of two), or 0 if only a run of pages will do.
#[inline(always)]
pub(crate) fn c_class_of_aligned(size: usize, align: usize) -> usize {
    // Not the smallest sizes: options may give those a pseudo-class.
    let class = c_class_of(size.max(align));
    if align <= C_ALIGN { class } else { next_aligned_to(class, align) }
}

/// The first class at or above `class` of which every object is aligned at `align`, more than 8; 0: none.
#[inline(always)]
fn next_aligned_to(class: usize, align: usize) -> usize {
    // What C's sized frees say is as the program has it.
    if align > PAGE_BYTES || !align.is_power_of_two() {
        return 0;
    }
    // SAFETY: log2(align) - 4 is from 0 to ALIGN_SHIFTS - 1 because align, a power of two, is more than 8 and at most a
    // page; class < CLASSES.
    unsafe { *NEXT_ALIGNED.get_unchecked(align.trailing_zeros() as usize - 4).get_unchecked(class) as usize }
}

/// Changes the class that C requests of up to 8 bytes get (option `min_align`).
///
/// # Safety
/// Only while the heap starts.
pub(crate) unsafe fn set_c_class_of_smallest(class: usize) {
    // SAFETY: the process has one thread, by the caller's promise, and it is here.
    let table = unsafe { &mut *C_CLASS_BY_SIZE.0.get() };
    table[0] = class as u8;
    table[1] = class as u8;
}

/// Index of the object at `offset` bytes into a span of `class`.
#[inline]
pub(crate) fn object_index(class: usize, offset: usize) -> usize {
    if class == TINY_PAGES || class == TINY_BLOCK {
        return offset / TINY_BLOCK_BYTES;
    }
    (offset * STARTS[class].0 as usize) >> 32
}

/// Whether `offset` bytes into a span of `class` is where an object begins. Never, for pseudo-classes and
/// behind the last object.
#[inline(always)]
pub(crate) fn is_object_start(class: usize, offset: usize) -> bool {
    // SAFETY: class comes from the page map or this module, all of whose classes are below ALL_CLASSES.
    let (magic, bound) = unsafe { *STARTS.get_unchecked(class) };
    (offset as u32).wrapping_mul(magic) < bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn classes() -> impl Iterator<Item = usize> {
        1..CLASSES
    }

    #[test]
    fn every_small_size_gets_the_smallest_class_that_holds_it() {
        for size in 0..=MAX_SMALL_BYTES {
            let naive = classes().find(|&c| OBJECT_BYTES[c] as usize >= size).unwrap();
            assert_eq!(class_of(size), naive, "{size}");
        }
        assert_eq!(class_of(MAX_SMALL_BYTES + 1), 0);
    }

    #[test]
    fn c_requests_are_as_aligned_as_an_object_of_that_size_may_need() {
        for size in 0..=MAX_SMALL_BYTES {
            let align = if size <= 8 { 8 } else { 16 };
            let naive = classes()
                .find(|&c| OBJECT_BYTES[c] as usize >= size && OBJECT_BYTES[c].is_multiple_of(align));
            assert_eq!(c_class_of(size), naive.unwrap(), "{size}");
        }
    }

    #[test]
    fn aligned_requests_get_the_first_class_that_suits() {
        for shift in 0..=14 {
            for size in (0..=MAX_SMALL_BYTES + 8).step_by(8) {
                let align = 1usize << shift;
                let naive = classes().find(|&c| {
                    OBJECT_BYTES[c] as usize >= size
                        && (OBJECT_BYTES[c] as usize).is_multiple_of(align.max(8))
                });
                let naive = naive.filter(|_| align <= PAGE_BYTES).unwrap_or(0);
                assert_eq!(class_of_aligned(size, align), naive, "{size} at {align}");
                // Options may have changed what the smallest get.
                if align > 8 {
                    assert_eq!(c_class_of_aligned(size, align), naive, "{size} at {align} in C");
                }
            }
        }
    }

    #[test]
    fn division_is_exact_at_every_offset_of_every_span() {
        for class in classes() {
            let size = OBJECT_BYTES[class] as usize;
            for offset in 0..SPAN_PAGES[class] as usize * PAGE_BYTES {
                assert_eq!(object_index(class, offset), offset / size, "{class} {offset}");
                let is_start = offset % size == 0 && offset / size < SPAN_OBJECTS[class] as usize;
                assert_eq!(is_object_start(class, offset), is_start, "{class} {offset}");
            }
        }
        assert!(
            (0..PAGE_BYTES)
                .all(|offset| [0, TINY_PAGES, LARGE_PAGES].iter().all(|&c| !is_object_start(c, offset)))
        );
    }

    #[test]
    fn the_table_is_go_s() {
        let text = include_str!("../../tests/data/size_classes.tsv");
        let rows: Vec<Vec<u64>> = text
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
            .map(|line| line.split('\t').map(|field| field.parse().unwrap_or(0)).collect())
            .collect();
        assert_eq!(rows.len(), CLASSES - 1);
        for row in rows {
            let class = row[0] as usize;
            assert_eq!(vec![OBJECT_BYTES[class] as u64, STARTS[class].0 as u64], vec![row[1], row[8]]);
            assert_eq!(SPAN_PAGES[class] as u64 % row[7], 0, "a multiple of Go's span");
        }
    }
}
