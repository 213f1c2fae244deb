//! Words of memory that may not be there.

use crate::base::Addr;
use crate::sys::{auxv::kernel_page_bytes, syscall::call};

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

/// Copies memory from `at` into all of `to`, zeros for pages that can't be read; whether there were none.
pub(crate) fn copy_or_zeros(at: usize, to: &mut [u8]) -> bool {
    let page = kernel_page_bytes();
    let (mut done, mut whole) = (0, true);
    while done < to.len() {
        done += copy(at + done, &mut to[done..]);
        if done < to.len() {
            whole = false;
            let next_page = (at + done + 1).next_multiple_of(page) - at;
            let end = next_page.min(to.len());
            to[done..end].fill(0);
            done = end;
        }
    }
    whole
}

/// How to read words that may not be there: through the kernel; where a filter of system calls forbids that,
/// in a child that catches its faults (`is_child`), directly.
pub(crate) fn reader(is_child: bool) -> &'static dyn Fn(usize) -> Option<usize> {
    if is_child && !is_allowed() { &where_faults_are_caught } else { &through_kernel }
}

/// Whether the kernel reads this process's memory for it.
pub(crate) fn is_allowed() -> bool {
    let here = 0usize;
    through_kernel(Addr::of(&raw const here).0).is_some()
}

/// The word at `at`, for [`reader`].
fn where_faults_are_caught(at: usize) -> Option<usize> {
    // SAFETY: only `reader` hands this out, for a child that catches faults.
    (at >= LOWEST).then(|| unsafe { directly(at) })
}

/// No word of a program lies below.
const LOWEST: usize = 64 << 10;

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

    #[test]
    fn pages_without_access_are_zeros_between_others() {
        let page = kernel_page_bytes();
        let at = memory::map(4 * page, Access::ReadWrite).unwrap();
        // SAFETY: fresh memory of the test's own.
        unsafe { core::ptr::write_bytes(at.ptr::<u8>(), 7, 4 * page) };
        // SAFETY: inside the mapping.
        unsafe { memory::protect(at.plus(page), 2 * page, Access::None) }.unwrap();
        let mut got = std::vec![1; 2 * page + 20];
        assert!(!copy_or_zeros(at.0 + page - 10, &mut got));
        assert!(got[..10].iter().chain(&got[2 * page + 10..]).all(|&byte| byte == 7));
        assert!(got[10..2 * page + 10].iter().all(|&byte| byte == 0));
        assert!(copy_or_zeros(at.0 + 3, &mut got[..page - 3]));
    }
}
