//! Writes that fail without a signal.

use super::syscall::{Errno, call};

/// A set of signals: bit `n - 1` stands for signal `n`.
type Set = u64;

const fn bit(signal: i32) -> Set {
    1 << (signal - 1)
}

/// The signals by which the kernel tells a thread that it has written to a pipe that nobody reads or beyond the limit of a
/// file. Nearly every program dies of them.
const WRITE_SIGNALS: Set = bit(libc::SIGPIPE) | bit(libc::SIGXFSZ);

/// While it lives, this thread's failed writes are errors and nothing else.
///
/// The signals are blocked, and one that a write by [`Self::write`] has raised is taken away again, unless it was waiting
/// already. As long as all is written, that is two system calls that every filter allows, and one more where the program
/// blocks the signals already.
pub(crate) struct WriteGuard {
    blocked_before: Set,
    pending_before: Set,
    has_fallen_short: bool,
}

impl WriteGuard {
    /// Blocks the signals.
    pub(crate) fn new() -> Self {
        let blocked_before = change_blocked(libc::SIG_BLOCK, WRITE_SIGNALS);
        // What was not blocked does not wait.
        let could_wait = blocked_before & WRITE_SIGNALS;
        let pending_before = if could_wait == 0 { 0 } else { pending() & could_wait };
        Self { blocked_before, pending_before, has_fallen_short: false }
    }

    /// Writes some of `bytes` to descriptor `fd`; how many.
    pub(crate) fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
        let args = [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
        // SAFETY: the kernel only reads the bytes, which are borrowed for the call.
        let written = unsafe { call(libc::SYS_write, args) };
        // The last reader of a pipe may leave in the middle: then some bytes are written, and the signal comes, too.
        self.has_fallen_short |= written != Ok(bytes.len());
        written
    }

    /// Takes the signals away that writes have raised.
    #[cold]
    fn take_raised(&self) {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let ours = WRITE_SIGNALS & !self.pending_before;
        let args = [&raw const ours as usize, 0, &raw const at_once as usize, size_of::<Set>(), 0, 0];
        // SAFETY: the kernel reads the set and the time, which live for the call, and takes one waiting signal away.
        while matches!(unsafe { call(libc::SYS_rt_sigtimedwait, args) }, Ok(1..)) {}
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        if self.has_fallen_short {
            self.take_raised();
        }
        change_blocked(libc::SIG_SETMASK, self.blocked_before);
    }
}

/// Blocks a set of signals beside or instead of those blocked, as `how` (`SIG_*`) says, and returns those before.
pub(super) fn change_blocked(how: i32, set: Set) -> Set {
    let mut old: Set = 0;
    let args = [how as usize, &raw const set as usize, &raw mut old as usize, size_of::<Set>(), 0, 0];
    // SAFETY: the kernel reads one set and writes the other, both alive; it cannot fail with these.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, args) };
    old
}

/// Signals that wait for this thread or the process to unblock them.
fn pending() -> Set {
    let mut pending: Set = 0;
    let args = [&raw mut pending as usize, size_of::<Set>(), 0, 0, 0, 0];
    // SAFETY: the kernel writes one set, which lives for the call.
    let _ = unsafe { call(libc::SYS_rt_sigpending, args) };
    pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_write_to_a_pipe_that_nobody_reads_is_an_error_only() {
        let mut ends = [0; 2];
        // SAFETY: makes two descriptors; the first is closed at once, the second at the end.
        unsafe { assert_eq!((libc::pipe(ends.as_mut_ptr()), libc::close(ends[0])), (0, 0)) };
        // Rust's runtime ignores the signal; blocked and handled by default it would wait.
        let before = change_blocked(libc::SIG_SETMASK, bit(libc::SIGPIPE));
        // SAFETY: the default action, of a signal that is blocked here and that no other thread of the tests raises.
        let action = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        {
            let mut guard = WriteGuard::new();
            assert_eq!(guard.write(ends[1], b"x"), Err(Errno(libc::EPIPE)));
            assert_eq!(pending() & WRITE_SIGNALS, bit(libc::SIGPIPE));
        }
        assert_eq!(pending() & WRITE_SIGNALS, 0);
        assert_eq!(change_blocked(libc::SIG_SETMASK, before), bit(libc::SIGPIPE));
        // SAFETY: puts back what was there, and closes what was opened here.
        unsafe { (libc::signal(libc::SIGPIPE, action), libc::close(ends[1])) };
    }
}
