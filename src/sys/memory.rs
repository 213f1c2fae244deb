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

/// Moves the pages of `from .. from + bytes` to `to`, where they replace what is mapped. The old range
/// stays mapped and reads as zeros. Fails before Linux 5.7, leaving both ranges as they were.
///
/// # Safety
/// Both ranges must be the caller's own anonymous mappings, not overlap, and the contents of the target
/// be of no interest.
pub(crate) unsafe fn move_pages(from: Addr, bytes: usize, to: Addr) -> Result<(), Errno> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    // SAFETY: the caller owns both ranges and accepts what the call does to them.
    unsafe { call(libc::SYS_mremap, [from.0, bytes, bytes, flags as usize, to.0, 0]) }.map(drop)
}
