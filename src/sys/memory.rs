//! Mappings.

use super::syscall::{Errno, call};
use crate::base::Addr;

const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

/// Access to a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Address space only; not charged to the overcommit limit.
    None,
    /// Reads as zeros; not charged either.
    Read,
    /// Memory.
    ReadWrite,
}

impl Access {
    const fn prot(self) -> i32 {
        match self {
            Self::None => libc::PROT_NONE,
            Self::Read => libc::PROT_READ,
            Self::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

fn mmap(at: Addr, bytes: usize, access: Access, flags: i32) -> Result<Addr, Errno> {
    let args = [at.0, bytes, access.prot() as usize, flags as usize, usize::MAX, 0];
    // SAFETY: without MAP_FIXED the kernel never replaces a mapping; the callers below that pass
    // MAP_FIXED_NOREPLACE fail instead of replacing one, and `replace` has its caller's word.
    unsafe { call(libc::SYS_mmap, args) }.map(Addr)
}

/// Maps `bytes` of zeroed private memory anywhere.
pub(crate) fn map(bytes: usize, access: Access) -> Result<Addr, Errno> {
    mmap(Addr(0), bytes, access, ANONYMOUS)
}

/// Maps `bytes` of zeroed memory that this process and its later children share.
#[cfg(feature = "leak")]
pub(crate) fn map_shared(bytes: usize) -> Result<Addr, Errno> {
    mmap(Addr(0), bytes, Access::ReadWrite, libc::MAP_SHARED | libc::MAP_ANONYMOUS)
}

/// Replaces whatever is mapped at `at .. at + bytes` by zeroed private memory.
///
/// # Safety
/// The range must be the caller's to overwrite.
#[cfg(feature = "leak")]
pub(crate) unsafe fn replace(at: Addr, bytes: usize) -> Result<(), Errno> {
    mmap(at, bytes, Access::ReadWrite, ANONYMOUS | libc::MAP_FIXED).map(drop)
}

/// Maps `bytes` at `at`, or fails with `EEXIST` if anything is mapped there.
///
/// Kernels before 4.17 take the flag for a hint; a mapping elsewhere is undone and reported as `EEXIST`.
pub(crate) fn map_at(at: Addr, bytes: usize, access: Access) -> Result<(), Errno> {
    let got = mmap(at, bytes, access, ANONYMOUS | libc::MAP_FIXED_NOREPLACE)?;
    if got == at {
        return Ok(());
    }
    // SAFETY: the kernel has just made this mapping for us and nobody else knows of it.
    unsafe { unmap(got, bytes) };
    Err(Errno(libc::EEXIST))
}

/// Removes the mappings of `at .. at + bytes`.
///
/// # Safety
/// The range must be the caller's own, and nothing may use it any more.
pub(crate) unsafe fn unmap(at: Addr, bytes: usize) {
    // SAFETY: the caller owns the range. The only possible error, a bad range, would be a bug above.
    let _ = unsafe { call(libc::SYS_munmap, [at.0, bytes, 0, 0, 0, 0]) };
}

/// Changes the access to `at .. at + bytes`.
///
/// # Safety
/// The range must be the caller's own mapping, and nobody may need more than `access` gives.
pub(crate) unsafe fn protect(at: Addr, bytes: usize, access: Access) -> Result<(), Errno> {
    // SAFETY: the caller owns the range and accepts the loss of access.
    unsafe { call(libc::SYS_mprotect, [at.0, bytes, access.prot() as usize, 0, 0, 0]) }.map(drop)
}

/// Gives the kernel advice (`MADV_*`) about `at .. at + bytes`.
///
/// # Safety
/// The range must be the caller's own mapping; advice that discards contents discards them.
pub(crate) unsafe fn advise(at: Addr, bytes: usize, advice: i32) -> Result<(), Errno> {
    // SAFETY: the caller owns the range and accepts the advice's effect.
    unsafe { call(libc::SYS_madvise, [at.0, bytes, advice as usize, 0, 0, 0]) }.map(drop)
}

/// Why [`move_pages`] failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MoveError {
    /// Nothing has changed.
    Refused,
    /// The contents are where they were, but what was mapped at the target may be gone.
    TargetLost,
}

/// Moves the pages of `from .. from + bytes` to `to`, where they replace what is mapped. The old range
/// stays mapped and reads as zeros. Fails before Linux 5.7 and where the range is of several mappings.
///
/// Two moves, over a place of the kernel's choice: before Linux 6.17 `mremap` unmaps a target that is
/// given before it looks whether the source can be moved at all (it can't if the program has changed a
/// part of it by `madvise`, `mlock` or `mprotect`), and would leave a hole for other mappings to fall into.
///
/// # Safety
/// Both ranges must be the caller's own anonymous mappings, not overlap, and the contents of the target
/// be of no interest.
pub(crate) unsafe fn move_pages(from: Addr, bytes: usize, to: Addr) -> Result<(), MoveError> {
    const PARK: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
    // SAFETY: the caller owns the range; the kernel picks a target where nothing is.
    let parked = unsafe { mremap(from, bytes, PARK, Addr(0)) }.map_err(|_| MoveError::Refused)?;
    // SAFETY: the first range is ours since the line above, the second the caller's.
    if unsafe { mremap(parked, bytes, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, to) }.is_ok() {
        return Ok(());
    }
    // SAFETY: the pages are still parked, and their old place is mapped and as long. Nobody else knows the
    // parked ones.
    unsafe {
        core::ptr::copy_nonoverlapping(parked.ptr::<u8>(), from.ptr::<u8>(), bytes);
        unmap(parked, bytes);
    }
    Err(MoveError::TargetLost)
}

/// `mremap` without a change of length.
///
/// # Safety
/// The caller must own the range and, with `MREMAP_FIXED`, the target.
unsafe fn mremap(from: Addr, bytes: usize, flags: i32, to: Addr) -> Result<Addr, Errno> {
    // SAFETY: passed on to the caller.
    unsafe { call(libc::SYS_mremap, [from.0, bytes, bytes, flags as usize, to.0, 0]) }.map(Addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 1 << 20;

    fn bytes_at(at: Addr) -> [u8; 2] {
        // SAFETY: the tests pass mappings of that length.
        unsafe { [at.ptr::<u8>().read(), at.plus(BYTES - 1).ptr::<u8>().read()] }
    }

    fn fill(at: Addr, with: u8) {
        // SAFETY: as above.
        unsafe { core::ptr::write_bytes(at.ptr::<u8>(), with, BYTES) };
    }

    #[test]
    fn pages_move_and_leave_zeros() {
        let (from, to) = (map(BYTES, Access::ReadWrite).unwrap(), map(BYTES, Access::ReadWrite).unwrap());
        fill(from, 3);
        fill(to, 4);
        // SAFETY: both mappings are the test's.
        assert_eq!(unsafe { move_pages(from, BYTES, to) }, Ok(()));
        assert_eq!((bytes_at(from), bytes_at(to)), ([0, 0], [3, 3]));
        fill(from, 5);
        assert_eq!((bytes_at(from), bytes_at(to)), ([5, 5], [3, 3]));
    }

    #[test]
    fn a_range_of_two_mappings_stays_and_so_does_the_target() {
        let (from, to) = (map(BYTES, Access::ReadWrite).unwrap(), map(BYTES, Access::ReadWrite).unwrap());
        fill(from, 3);
        fill(to, 4);
        // SAFETY: the part is the test's; the advice concerns core files.
        unsafe { advise(from, BYTES / 2, libc::MADV_DONTDUMP) }.unwrap();
        // SAFETY: both mappings are the test's.
        assert_eq!(unsafe { move_pages(from, BYTES, to) }, Err(MoveError::Refused));
        assert_eq!((bytes_at(from), bytes_at(to)), ([3, 3], [4, 4]));
    }
}
