//! Lines on standard error, and the end of the process.

use super::{file::write_all, syscall};
use crate::base::text::Line;
use core::fmt::{self, Write};

/// Writes `besom: ` and the message as one line on standard error, in one `write` so that lines of
/// several threads do not mix.
pub(crate) fn line(message: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = write!(line, "besom: {message}");
    line.end();
    write_all(libc::STDERR_FILENO, line.as_bytes());
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
