//! Memory before the heap can start: the dynamic linker may call malloc, from a resolver of another
//! library, before this library has been relocated. Such objects come from a static arena, which is
//! plain data next to the code and needs neither a relocation nor the kernel. They are never reused.

use crate::base::{Addr, align_up};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Enough for what resolvers and the dynamic linker ask for; beyond it such a request fails.
const ARENA_BYTES: usize = 64 << 10;

/// Every object is preceded by its size, for `realloc`.
const HEADER_BYTES: usize = 16;

/// Alignment of the arena, and so the largest of an object in it.
const ARENA_ALIGN: usize = 4096;

#[repr(C, align(4096))]
struct Arena(UnsafeCell<[u8; ARENA_BYTES]>);

const _: () = assert!(align_of::<Arena>() == ARENA_ALIGN);

// SAFETY: the arena is only handed out, in disjoint parts.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));
static USED: AtomicUsize = AtomicUsize::new(0);

fn start() -> Addr {
    Addr::of(ARENA.0.get())
}

/// Whether `addr` lies in the arena.
pub(super) fn contains(addr: Addr) -> bool {
    addr.0.wrapping_sub(start().0) < ARENA_BYTES
}

/// Allocates zeroed memory at `align` (a power of two). `None`: exhausted, or aligned to more than a page.
pub(super) fn alloc(bytes: usize, align: usize) -> Option<Addr> {
    if bytes > ARENA_BYTES || align > ARENA_ALIGN {
        return None;
    }
    // An object of no bytes must lie in the arena, too: that is how `free` knows it.
    let (bytes, align) = (bytes.max(1), align.max(HEADER_BYTES));
    let place = |used: usize| align_up(used + HEADER_BYTES, align);
    let reserve = |used| Some(place(used) + bytes).filter(|&end| end <= ARENA_BYTES);
    let used = USED.fetch_update(Relaxed, Relaxed, reserve).ok()?;
    let object = start().plus(place(used));
    // SAFETY: the word in front of the object lies behind what was handed out before.
    unsafe { object.ptr::<usize>().sub(2).write(bytes) };
    Some(object)
}

/// Bytes of an object of the arena.
pub(super) fn bytes_of(object: Addr) -> usize {
    // SAFETY: every object of the arena is preceded by its size.
    unsafe { object.ptr::<usize>().sub(2).read() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_aligned_apart_and_know_their_size() {
        let a = alloc(10, 8).unwrap();
        let b = alloc(100, 64).unwrap();
        assert!(contains(a) && contains(b) && b.0 >= a.0 + 10 + HEADER_BYTES);
        assert_eq!((a.0 % 16, b.0 % 64), (0, 0));
        assert_eq!((bytes_of(a), bytes_of(b)), (10, 100));
        assert_eq!((alloc(ARENA_BYTES, 8), alloc(1, 2 * ARENA_ALIGN)), (None, None));
        while let Some(last) = alloc(0, 8) {
            assert!(contains(last));
        }
        assert!(!contains(Addr(8)));
    }
}
