//! Addresses and pages as types.

use core::fmt;

/// Log2 of the bytes in a page.
pub(crate) const PAGE_SHIFT: usize = 13;
/// Bytes in a page of the heap: 8 KiB as in the Go runtime, independent of the kernel's page size.
pub(crate) const PAGE_BYTES: usize = 1 << PAGE_SHIFT;

/// An address in this process: a number that may or may not be mapped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub(crate) struct Addr(pub(crate) usize);

impl Addr {
    /// The address of a pointer.
    #[inline(always)]
    pub(crate) fn of<T: ?Sized>(ptr: *const T) -> Self {
        Self(ptr.cast::<u8>().addr())
    }

    /// The address as a pointer; who dereferences it proves that it may.
    #[inline(always)]
    pub(crate) fn ptr<T>(self) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0)
    }

    /// The address `bytes` further up.
    #[inline(always)]
    pub(crate) const fn plus(self, bytes: usize) -> Self {
        Self(self.0 + bytes)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The smallest multiple of `align` (a power of two) at or above `n`. `n + align` must not overflow.
#[inline(always)]
pub(crate) const fn align_up(n: usize, align: usize) -> usize {
    (n + align - 1) & !(align - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn align_up_rounds_to_the_next_multiple() {
        assert_eq!(align_up(0, 16), 0);
        assert_eq!(align_up(1, 16), 16);
        assert_eq!(align_up(16, 16), 16);
        assert_eq!(align_up(PAGE_BYTES + 1, PAGE_BYTES), 2 * PAGE_BYTES);
    }
}
