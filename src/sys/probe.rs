//! Asking the kernel whether memory can be read, where reading it might end the process.

use super::syscall::{Errno, call};

/// A futex value that memory is unlikely to hold, so that the kernel answers without queueing.
const UNLIKELY_VALUE: usize = 0x6265_736f;

/// Whether the four bytes around `address` can be read now. About as cheap as a system call can be.
///
/// `futex(FUTEX_WAIT)` loads the word before anything else and says `EFAULT` if it can't. Unlike
/// `process_vm_readv` seccomp filters let it pass, and unlike `rt_sigprocmask` with a bad `how` it keeps
/// this order under emulators too.
pub(crate) fn is_readable(address: usize) -> bool {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let op = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    let args = [address & !3, op, UNLIKELY_VALUE, &raw const at_once as usize, 0, 0];
    // SAFETY: the kernel only reads the word and the time; a bad address is an error, not a fault. With
    // a timeout of zero it never sleeps, even if the word holds the value.
    let answer = unsafe { call(libc::SYS_futex, args) };
    answer != Err(Errno(libc::EFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::{Access, map, protect, unmap};

    #[test]
    fn readable_memory_is_told_from_the_rest() {
        let at = map(4096, Access::ReadWrite).unwrap();
        assert!(is_readable(at.0));
        // SAFETY: the page was mapped above, for this test alone.
        unsafe { (at.ptr::<u32>()).write(UNLIKELY_VALUE as u32) };
        assert!(is_readable(at.0), "also when the word holds the expected value");
        // SAFETY: as above; nothing reads it after.
        unsafe { protect(at, 4096, Access::None).unwrap() };
        assert!(!is_readable(at.0));
        // SAFETY: as above.
        unsafe { unmap(at, 4096) };
        assert!(!is_readable(at.0));
        assert!(!is_readable(0));
        assert!(!is_readable(usize::MAX));
    }
}
