//! Lines on standard error, and the end of the process.

use super::{file::write_all, syscall};
use crate::base::text::Line;
use core::ffi::CStr;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

/// Writes `besom: ` and the message as one line on standard error, in one `write` so that lines of
/// several threads do not mix.
pub(crate) fn line(message: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = write!(line, "besom: {message}");
    line.end();
    write_all(output_fd(), line.as_bytes());
}

/// A copy of standard error, or -1.
static KEPT_OUTPUT: AtomicI32 = AtomicI32::new(-1);
/// What it leads to: device and inode.
static KEPT_DEVICE: AtomicU64 = AtomicU64::new(0);
static KEPT_INODE: AtomicU64 = AtomicU64::new(0);
/// Copies have numbers from here on, where programs do not count on them being free.
const FIRST_KEPT_FD: usize = 200;

/// Keeps a copy of standard error for messages at exit: programs such as `ls` close it in a handler that
/// runs before.
pub(crate) fn keep_output() {
    let args = [libc::STDERR_FILENO as usize, libc::F_DUPFD_CLOEXEC as usize, FIRST_KEPT_FD, 0, 0, 0];
    // SAFETY: makes a new descriptor, which nobody else knows of.
    if let Ok(fd) = unsafe { syscall::call(libc::SYS_fcntl, args) }
        && let Some((device, inode)) = target_of(fd as i32)
    {
        KEPT_DEVICE.store(device, Relaxed);
        KEPT_INODE.store(inode, Relaxed);
        KEPT_OUTPUT.store(fd as i32, Relaxed);
    }
}

/// Device and inode of what a descriptor leads to; `None` if it is closed.
fn target_of(fd: i32) -> Option<(u64, u64)> {
    let mut stat = core::mem::MaybeUninit::<libc::stat>::uninit();
    let args = [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes a `stat`, which in 64-bit Linux is libc's, and all of it if it says so.
    let stat = unsafe {
        syscall::call(libc::SYS_fstat, args).ok()?;
        stat.assume_init()
    };
    Some((stat.st_dev, stat.st_ino))
}

/// Where messages go: standard error; or the copy of it, if one is kept and the program has closed the
/// original. It may have opened a file of its own since, which then has the number of standard error.
pub(crate) fn output_fd() -> i32 {
    let kept = KEPT_OUTPUT.load(Relaxed);
    if kept < 0 {
        return libc::STDERR_FILENO;
    }
    let target = Some((KEPT_DEVICE.load(Relaxed), KEPT_INODE.load(Relaxed)));
    let is_ours = |fd| target_of(fd) == target;
    if !is_ours(libc::STDERR_FILENO) && is_ours(kept) { kept } else { libc::STDERR_FILENO }
}

/// Names the calling thread for lists of threads.
pub(crate) fn name_thread(name: &CStr) {
    let args = [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel copies the name.
    let _ = unsafe { syscall::call(libc::SYS_prctl, args) };
}

/// Says `message` as [`line`] does and ends the process with SIGABRT.
#[cold]
pub(crate) fn abort_with(message: fmt::Arguments<'_>) -> ! {
    line(message);
    // SAFETY: abort(3) may be called anywhere; it only ends the process.
    unsafe { libc::abort() }
}

/// The number of this process.
pub(crate) fn process_id() -> u32 {
    // SAFETY: getpid has no arguments and no effect.
    unsafe { syscall::raw(libc::SYS_getpid, [0; 6]) as u32 }
}

/// The number of this thread, from the kernel.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: gettid has no arguments and no effect.
    unsafe { syscall::raw(libc::SYS_gettid, [0; 6]) as u32 }
}

/// [`message::line`](line) with `format!`'s arguments.
macro_rules! say {
    ($($arg:tt)*) => { $crate::sys::message::line(format_args!($($arg)*)) };
}

/// [`message::abort_with`](abort_with) with `format!`'s arguments.
macro_rules! fatal {
    ($($arg:tt)*) => { $crate::sys::message::abort_with(format_args!($($arg)*)) };
}

pub(crate) use {fatal, say};
