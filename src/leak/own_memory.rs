//! Memory that the leak finder takes for itself, straight from the kernel.
//!
//! Every mapping made here is noted in a table, so that root finding can leave it out: the finder's own
//! tables hold addresses of the program's objects and would keep every one of them alive.

use crate::base::{Addr, align_up};
use crate::heap::page_heap::Thp;
use crate::sys::{
    auxv::kernel_page_bytes,
    memory::{self, Access},
    message::thread_id,
};
use core::marker::PhantomData;
use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Mappings noted at the same time: tables that grow by doubling, buffers and stacks of one check, files that its
/// report reads.
const RANGES: usize = 1024;

/// First address, bytes and maker's thread of every mapping; a start of 0 is a free row, 1 one being filled.
static TABLE: [(AtomicUsize, AtomicUsize, AtomicU32); RANGES] =
    [const { (AtomicUsize::new(FREE), AtomicUsize::new(0), AtomicU32::new(0)) }; RANGES];
const FREE: usize = 0;
const CLAIMED: usize = 1;

/// Maps zeroed memory of at least `bytes` and notes it; `None` if there is none or the table is full.
pub(crate) fn map(bytes: usize) -> Option<Addr> {
    note(bytes, || memory::map(align_up(bytes, kernel_page_bytes()), Access::ReadWrite).ok())
}

/// As [`map`], for memory that will be used throughout: in huge pages, if the option `thp` allows them.
fn map_dense(bytes: usize) -> Option<Addr> {
    /// Less is not worth a system call.
    const LEAST_BYTES: usize = 2 << 20;
    let at = map(bytes)?;
    if bytes >= LEAST_BYTES && Thp::from_config() != Thp::Never {
        // A kernel without huge pages refuses, which leaves things as they are.
        // SAFETY: just mapped, to this length at least; the advice changes no contents.
        let _ = unsafe { memory::advise(at, align_up(bytes, kernel_page_bytes()), libc::MADV_HUGEPAGE) };
    }
    Some(at)
}

/// As [`map`], for memory that a child process shares.
pub(crate) fn map_shared(bytes: usize) -> Option<Addr> {
    note(bytes, || memory::map_shared(align_up(bytes, kernel_page_bytes())).ok())
}

fn note(bytes: usize, make: impl FnOnce() -> Option<Addr>) -> Option<Addr> {
    let row = TABLE.iter().find(|row| row.0.compare_exchange(FREE, CLAIMED, Acquire, Relaxed).is_ok())?;
    let made = make();
    row.1.store(align_up(bytes, kernel_page_bytes()), Relaxed);
    row.2.store(thread_id(), Relaxed);
    row.0.store(made.map_or(FREE, |at| at.0), Release);
    made
}

/// Notes a mapping made elsewhere; if the table is full, it is not.
pub(crate) fn adopt(at: Addr, bytes: usize) {
    note(bytes, || Some(at));
}

/// Which rows were in use at some time.
pub(crate) struct Mark([u64; RANGES / 64]);

impl Mark {
    /// The rows in use now.
    pub(crate) fn now() -> Self {
        let mut rows = [0; RANGES / 64];
        for (number, row) in TABLE.iter().enumerate() {
            rows[number / 64] |= u64::from(row.0.load(Relaxed) != FREE) << (number % 64);
        }
        Self(rows)
    }

    /// Gives back what this thread has mapped since, and has not given back.
    ///
    /// # Safety
    /// Nothing may use that memory any more.
    pub(crate) unsafe fn release_since(self) {
        let own = thread_id();
        for (number, row) in TABLE.iter().enumerate() {
            let start = row.0.load(Acquire);
            let is_new = self.0[number / 64] >> (number % 64) & 1 == 0 && row.2.load(Relaxed) == own;
            if is_new && start > CLAIMED {
                // SAFETY: noted here, and by the caller's word not used any more.
                unsafe { unmap(Addr(start)) };
            }
        }
    }
}

/// Gives back memory from [`map`] or [`map_shared`].
///
/// # Safety
/// `at` must come from one of them and nothing may use the memory any more.
pub(crate) unsafe fn unmap(at: Addr) {
    for row in TABLE.iter().filter(|row| row.0.load(Acquire) == at.0) {
        let bytes = row.1.load(Relaxed);
        if row.0.compare_exchange(at.0, CLAIMED, Acquire, Relaxed).is_ok() {
            // SAFETY: the row proves that this module made the mapping; the caller has stopped using it.
            unsafe { memory::unmap(at, bytes) };
            row.0.store(FREE, Release);
            // Another row of this address is of a mapping that another thread has made since.
            return;
        }
    }
}

/// Calls `each` with the first address and the end of every mapping noted.
pub(crate) fn for_each(each: &mut dyn FnMut(usize, usize)) {
    for row in &TABLE {
        let start = row.0.load(Acquire);
        if start > CLAIMED {
            each(start, start + row.1.load(Relaxed));
        }
    }
}

/// Types for which memory of zeros is a value.
///
/// # Safety
/// As said; and dropping a value does nothing.
pub(crate) unsafe trait Zeroable {}

// SAFETY: an atomic integer of zeros is 0.
unsafe impl Zeroable for core::sync::atomic::AtomicU8 {}
// SAFETY: as above.
unsafe impl Zeroable for core::sync::atomic::AtomicU64 {}
// SAFETY: an integer of zeros is 0.
unsafe impl Zeroable for u32 {}
// SAFETY: as above.
unsafe impl Zeroable for u64 {}

/// An array of fixed length in memory of this module, zeros at first.
pub(crate) struct Table<T: Zeroable> {
    at: Addr,
    len: usize,
    items: PhantomData<T>,
}

impl<T: Zeroable> Table<T> {
    /// Of `len` values.
    pub(crate) fn new(len: usize) -> Result<Self, NoMemory> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let bytes = len.max(1).checked_mul(size_of::<T>()).ok_or(NoMemory)?;
        Ok(Self { at: map_dense(bytes).ok_or(NoMemory)?, len, items: PhantomData })
    }
}

impl<T: Zeroable> core::ops::Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` values fit into the mapping, which is aligned to a page and gone only after the drop; zeros are
        // values.
        unsafe { core::slice::from_raw_parts(self.at.ptr::<T>(), self.len) }
    }
}

impl<T: Zeroable> core::ops::DerefMut for Table<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is the only one.
        unsafe { core::slice::from_raw_parts_mut(self.at.ptr::<T>(), self.len) }
    }
}

impl<T: Zeroable> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this table's, and the values have no drop.
        unsafe { unmap(self.at) };
    }
}

/// A growing array of plain values in memory of this module.
pub(crate) struct Buffer<T: Copy> {
    at: Addr,
    capacity: usize,
    len: usize,
    items: PhantomData<T>,
}

/// The kernel had no memory left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoMemory;

impl<T: Copy> Buffer<T> {
    const FIRST_BYTES: usize = 64 << 10;

    /// An empty buffer, without memory yet.
    pub(crate) const fn new() -> Self {
        Self { at: Addr(0), capacity: 0, len: 0, items: PhantomData }
    }

    /// Appends `item`.
    pub(crate) fn push(&mut self, item: T) -> Result<(), NoMemory> {
        if self.len == self.capacity {
            self.grow()?;
        }
        // SAFETY: the slot is below the capacity, so inside the mapping, which is aligned to a page.
        unsafe { self.at.ptr::<T>().add(self.len).write(item) };
        self.len += 1;
        Ok(())
    }

    /// Moves the items to a mapping twice as large.
    fn grow(&mut self) -> Result<(), NoMemory> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let bytes = (self.capacity * size_of::<T>() * 2).max(Self::FIRST_BYTES);
        let at = map(bytes).ok_or(NoMemory)?;
        if self.capacity > 0 {
            // SAFETY: the old mapping holds `len` items and the new one, distinct, has room for them.
            unsafe { core::ptr::copy_nonoverlapping(self.at.ptr::<T>(), at.ptr::<T>(), self.len) };
            // SAFETY: the old mapping is ours and its items have moved.
            unsafe { unmap(self.at) };
        }
        self.at = at;
        self.capacity = bytes / size_of::<T>();
        Ok(())
    }

    /// Keeps the first `len` items.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The items.
    pub(crate) fn items(&self) -> &[T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `len` items have been written, and the borrow keeps the mapping in place.
        unsafe { core::slice::from_raw_parts(self.at.ptr::<T>(), self.len) }
    }

    /// The items, to change.
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as above, and the borrow is the only one.
        unsafe { core::slice::from_raw_parts_mut(self.at.ptr::<T>(), self.len) }
    }
}

impl<T: Copy> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: the mapping is ours and the items are plain values without a drop.
            unsafe { unmap(self.at) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_noted(at: usize) -> bool {
        let mut found = false;
        for_each(&mut |start, end| found |= (start..end).contains(&at));
        found
    }

    #[test]
    fn mappings_are_noted_until_given_back() {
        let at = map(100).unwrap();
        assert!(is_noted(at.0 + 99));
        // SAFETY: made above and unused.
        unsafe { unmap(at) };
        assert!(!is_noted(at.0));
    }

    /// Not each time: a row that another test gives back meanwhile was in use at the mark, and another test may map
    /// what is given back. In a check no other thread runs.
    #[test]
    fn what_was_mapped_since_a_mark_is_given_back() {
        let is_given_back = |_| {
            let before = map(100).unwrap();
            let mark = Mark::now();
            let (first, second) = (map(100).unwrap(), map(100).unwrap());
            let other = std::thread::spawn(|| map(100).unwrap()).join().unwrap();
            // SAFETY: made above and unused.
            unsafe { unmap(first) };
            // SAFETY: nobody uses what this thread has mapped.
            unsafe { mark.release_since() };
            assert!(is_noted(before.0) && is_noted(other.0));
            // SAFETY: made above and unused.
            unsafe { (unmap(before), unmap(other)) };
            !is_noted(second.0)
        };
        assert!((0..20).any(is_given_back));
    }

    #[test]
    fn a_buffer_keeps_its_items_as_it_grows() {
        let mut buffer = Buffer::new();
        for i in 0..100_000u64 {
            buffer.push(i).unwrap();
        }
        assert!(buffer.items().iter().copied().eq(0..100_000));
        assert!(is_noted(buffer.items().as_ptr() as usize));
    }
}
