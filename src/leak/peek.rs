//! Words of memory that may not be there.

use crate::base::Addr;
use crate::sys::syscall::call;

/// The word at `at`, read by the kernel: `None` if it is not readable. About half a microsecond.
///
/// Where a filter of system calls forbids `process_vm_readv`, nothing is readable this way.
pub(crate) fn through_kernel(at: usize) -> Option<usize> {
    let mut word = [0u8; size_of::<usize>()];
    (copy(at, &mut word) == word.len()).then(|| usize::from_ne_bytes(word))
}

/// Copies memory from `at` into `to` until an unreadable page; returns the bytes copied.
pub(crate) fn copy(at: usize, to: &mut [u8]) -> usize {
    let local = [to.as_mut_ptr().addr(), to.len()];
    let remote = [at, to.len()];
    let pid = crate::sys::message::process_id() as usize;
    let args = [pid, &raw const local as usize, 1, &raw const remote as usize, 1, 0];
    // SAFETY: the kernel reads the remote range with checks and writes only the local buffer.
    unsafe { call(libc::SYS_process_vm_readv, args) }.unwrap_or(0)
}

/// The word at `at`.
///
/// # Safety
/// It must be readable, or unreadable pages must be caught (`super::snapshot::faults`).
pub(crate) unsafe fn directly(at: usize) -> usize {
    // SAFETY: readable by the caller's word. Volatile: other threads or processes may write it.
    unsafe { core::ptr::read_volatile(Addr(at & !7).ptr::<usize>()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::{self, Access};

    #[test]
    fn what_is_not_mapped_is_not_read() {
        let word = 42usize;
        assert_eq!(through_kernel(&raw const word as usize), Some(42));
        assert_eq!(through_kernel(0), None);
        let hole = memory::map(4096, Access::None).unwrap();
        assert_eq!(through_kernel(hole.0), None);
    }
}
