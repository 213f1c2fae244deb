//! System calls without libc.

use core::arch::asm;

/// An error number of the kernel, as in `errno.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Errno(pub(crate) i32);

/// The number, and what those that a user can do something about mean.
impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let meaning = match self.0 {
            libc::EPERM => "not permitted",
            libc::ENOENT => "no such file or directory",
            libc::EIO => "input or output failed",
            libc::EBADF => "the descriptor is closed",
            libc::EAGAIN => "too many processes or threads",
            libc::ENOMEM => "no memory",
            libc::EACCES => "permission denied",
            libc::ENOTDIR => "not a directory",
            libc::EISDIR => "is a directory",
            libc::EMFILE | libc::ENFILE => "too many open files",
            libc::EFBIG => "the file would be too large",
            libc::ENOSPC => "no space left on the device",
            libc::EROFS => "the file system is read-only",
            libc::EPIPE => "nobody reads it any more",
            libc::ENAMETOOLONG => "the name is too long",
            libc::ENOSYS => "the kernel has no such call",
            libc::ELOOP => "too many symbolic links",
            libc::EDQUOT => "the quota is used up",
            _ => return write!(f, "error {}", self.0),
        };
        write!(f, "error {}, {meaning}", self.0)
    }
}

/// Makes system call `number` with six arguments and returns the kernel's word unchanged.
///
/// # Safety
/// The call and its arguments must be sound for this process: the kernel may write wherever they point.
#[inline(always)]
pub(crate) unsafe fn raw(number: libc::c_long, args: [usize; 6]) -> isize {
    let result: isize;
    let [a, b, c, d, e, f] = args;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the `syscall` instruction with the kernel's registers; it clobbers rcx and r11 and whatever
    // memory the arguments name, for which the caller answers.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
             in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above, with aarch64's convention: number in x8, arguments and result from x0.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => result,
             in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f, options(nostack));
    }
    result
}

/// Makes a system call and tells an error from a result.
///
/// # Safety
/// As for [`raw`].
#[inline(always)]
pub(crate) unsafe fn call(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: passed on to the caller.
    let word = unsafe { raw(number, args) };
    if (-4095..0).contains(&word) { Err(Errno(-word as i32)) } else { Ok(word as usize) }
}
