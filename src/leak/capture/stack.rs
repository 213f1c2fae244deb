//! Which memory above a stack pointer may be read.
//!
//! Stacks come from everywhere: the kernel, libc, `sigaltstack`, coroutine libraries, the program's own
//! heap. So no list of stacks is kept. What is known is what was proven: the page that the stack pointer
//! is in can be read, and each page above it is asked for once, from the kernel, when a walk first wants
//! to cross into it. How far the readable memory above a page reaches is remembered in a table.
//!
//! A remembered proof can be out of date: the stack was unmapped, and a shorter one lies there now. Two
//! kinds of walk are told apart for that reason.
//!
//! * A *trusted* walk has followed call frame information from a running function only. What it reads,
//!   the program itself will read when these functions return, so it stays below the end of the present
//!   stack whatever was remembered. It uses the table as a second line of defence.
//! * An *untrusted* walk has guessed (code without call frame information) or passed a signal frame. It
//!   takes nothing from the table and asks the kernel for every page.

use crate::sys::probe;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The unit of proofs: no kernel has smaller pages.
const PROBE_SHIFT: u32 = 12;
const PROBE_BYTES: usize = 1 << PROBE_SHIFT;
/// The most pages that one frame may make a walk cross: 64 MiB, more than the usual limit of a whole stack.
const MAX_PROBES: usize = (64 << 20) / PROBE_BYTES;

/// Log2 of the remembered pages. Each thread or coroutine uses about one.
const SLOT_BITS: u32 = 12;
/// Bits for the number of proven pages (1 TiB); the rest of an entry is the page's number.
const REACH_BITS: u32 = 28;
const PAGE_BITS: u32 = u64::BITS - REACH_BITS;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// `page | pages proven readable from this one on`, in one word so that no half is ever seen alone.
static PROVEN: [AtomicU64; 1 << SLOT_BITS] = [const { AtomicU64::new(0) }; 1 << SLOT_BITS];

fn slot(page: u64) -> &'static AtomicU64 {
    &PROVEN[(page.wrapping_mul(MULTIPLIER) >> (u64::BITS - SLOT_BITS)) as usize]
}

/// The end of the page that holds the byte below `address`.
fn page_end(address: usize) -> usize {
    (address.wrapping_sub(1) | (PROBE_BYTES - 1)).wrapping_add(1)
}

/// The readable part of a stack, as far as it is proven for this walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// The lowest address.
    start: usize,
    /// One past the highest.
    end: usize,
    trusted: bool,
}

impl Range {
    /// The range above the stack pointer of a running function, with what is remembered about it.
    #[inline(always)]
    pub(super) fn above(sp: usize) -> Self {
        let page = (sp >> PROBE_SHIFT) as u64;
        let entry = slot(page).load(Relaxed);
        let reach = if entry >> REACH_BITS == page { entry & ((1 << REACH_BITS) - 1) } else { 1 };
        Self { start: sp, end: (sp & !(PROBE_BYTES - 1)) + ((reach as usize) << PROBE_SHIFT), trusted: true }
    }

    /// A range about which nothing is known but that `sp`, an alleged stack pointer, is its start.
    pub(super) fn unproven(sp: usize) -> Self {
        Self { start: sp, end: sp & !(PROBE_BYTES - 1), trusted: false }
    }

    /// As [`Self::unproven`], for a function that a signal interrupted: with what it keeps below its stack pointer, which
    /// is what an epilogue has just popped, or a leaf's variables. Not where that can't be read: the stack may be full.
    pub(super) fn interrupted(sp: usize) -> Self {
        /// Bytes that signals leave alone (System V ABI for x86-64, 3.2.2).
        const RED_ZONE_BYTES: usize = 128;
        let lowest = sp.wrapping_sub(RED_ZONE_BYTES);
        Self::unproven(if probe::is_readable(lowest) { lowest } else { sp })
    }

    /// The same stack from `sp` on, with nothing believed above the page below `sp`, from which the walk
    /// has read.
    pub(super) fn untrusted(self, sp: usize) -> Self {
        Self { start: sp, end: page_end(sp).min(self.end), trusted: false }
    }

    /// Whether the walk has followed nothing but call frame information.
    pub(super) fn is_trusted(self) -> bool {
        self.trusted
    }

    /// One past the highest address proven readable.
    #[inline(always)]
    pub(super) fn end(self) -> usize {
        self.end
    }

    /// The word at `address`, if it lies in the range and can be read. The range grows as needed.
    pub(super) fn read(&mut self, address: usize) -> Option<usize> {
        let end = address.checked_add(size_of::<usize>())?;
        if address < self.start || !self.reach(end) {
            return None;
        }
        // SAFETY: the page of the address and all from the range's start up to it were proven readable:
        // in a trusted walk perhaps earlier, which the head of this file argues about, else just now.
        // Nobody but this thread unmaps the stack that it runs on.
        Some(unsafe { load(address) })
    }

    /// Proves that memory can be read up to `end`.
    pub(super) fn reach(&mut self, end: usize) -> bool {
        if end.saturating_sub(self.end) >> PROBE_SHIFT > MAX_PROBES {
            return false;
        }
        while self.end < end {
            match self.next_page() {
                Some(next) => self.end = next,
                None => return false,
            }
        }
        true
    }

    /// Proves one more page, or takes a remembered proof; `None` if it can't be read.
    #[cold]
    fn next_page(&self) -> Option<usize> {
        if self.trusted {
            let remembered = Self::above(self.end).end;
            if remembered > self.end + PROBE_BYTES {
                return Some(remembered);
            }
        }
        probe::is_readable(self.end).then(|| self.end + PROBE_BYTES)
    }

    /// Remembers how far the range reaches, for the next walk that starts in the same page.
    pub(super) fn remember(self) {
        let page = (self.start >> PROBE_SHIFT) as u64;
        let reach = (self.end >> PROBE_SHIFT) as u64 - page;
        if self.trusted && page >> PAGE_BITS == 0 && reach >> REACH_BITS == 0 {
            slot(page).store(page << REACH_BITS | reach, Relaxed);
        }
    }
}

/// The word at `address`, aligned or not.
///
/// # Safety
/// The eight bytes there must be readable.
#[inline(always)]
pub(super) unsafe fn load(address: usize) -> usize {
    // SAFETY: the caller says so. What is read belongs to functions that wait for this one to return, so
    // nobody writes it meanwhile.
    unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::{Access, map, protect, unmap};

    #[test]
    fn what_was_interrupted_has_the_words_below_its_stack_pointer_if_there_are_any() {
        const PAGE: usize = PROBE_BYTES;
        let at = map(2 * PAGE, Access::ReadWrite).unwrap();
        let stack = at.plus(PAGE);
        let below = |sp: usize| Range::interrupted(sp).read(sp - 8).is_some();
        assert!(below(stack.0) && below(stack.0 + 200));
        assert!(Range::interrupted(stack.0 + 200).read(stack.0 + 200 - 136).is_none());
        // SAFETY: the mapping is this test's.
        unsafe { protect(at, PAGE, Access::None) }.unwrap();
        assert!(!below(stack.0) && below(stack.0 + 200));
        assert!(Range::interrupted(stack.0).read(stack.0).is_some(), "a full stack");
        // SAFETY: as above.
        unsafe { unmap(at, 2 * PAGE) };
    }

    #[test]
    fn reading_stops_at_memory_that_cannot_be_read() {
        let at = map(4 * PROBE_BYTES, Access::ReadWrite).unwrap();
        let guard = at.plus(3 * PROBE_BYTES);
        // SAFETY: mapped above, for this test alone.
        unsafe { protect(guard, PROBE_BYTES, Access::None).unwrap() };
        let mut range = Range::unproven(at.0 + 16);
        assert_eq!(range.read(at.0 + 16), Some(0));
        assert_eq!(range.read(at.0 + 8), None, "below the stack pointer");
        assert_eq!(range.read(guard.0 - 8), Some(0));
        assert_eq!(range.read(guard.0 - 4), None, "half outside");
        assert_eq!(range.read(guard.0), None);
        assert_eq!(range.read(usize::MAX - 3), None);
        assert_eq!(range.end(), guard.0);
        // SAFETY: as above; nothing reads it after.
        unsafe { unmap(at, 4 * PROBE_BYTES) };
    }

    #[test]
    fn proofs_are_remembered_by_trusted_walks_only() {
        let at = map(8 * PROBE_BYTES, Access::ReadWrite).unwrap();
        let sp = at.0 + 100;
        let mut untrusted = Range::unproven(sp);
        assert!(untrusted.reach(at.0 + 4 * PROBE_BYTES));
        untrusted.remember();
        let mut trusted = Range::above(sp);
        assert_eq!(trusted.end(), at.0 + PROBE_BYTES);
        assert!(trusted.reach(at.0 + 4 * PROBE_BYTES));
        trusted.remember();
        assert_eq!(Range::above(sp + 8).end(), at.0 + 4 * PROBE_BYTES);
        let distrusting = Range::above(sp).untrusted(at.0 + 2 * PROBE_BYTES);
        assert_eq!(distrusting.end(), at.0 + 2 * PROBE_BYTES);
        // SAFETY: mapped above, for this test alone.
        unsafe { unmap(at, 8 * PROBE_BYTES) };
        assert!(!Range::unproven(sp).reach(sp + 8));
    }
}
