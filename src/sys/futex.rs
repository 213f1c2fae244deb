//! Waiting for a word to change.

use super::syscall::call;
use core::sync::atomic::AtomicU32;

/// Sleeps while `word` holds `expected`, until woken; may return early for no reason.
pub(crate) fn wait(word: &AtomicU32, expected: u32) {
    let op = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the kernel only reads the word, which the reference keeps alive; no timeout.
    let _ = unsafe { call(libc::SYS_futex, [word.as_ptr() as usize, op, expected as usize, 0, 0, 0]) };
}

/// As [`wait`], for a word that the kernel wakes by itself when a thread ends (`CLONE_CHILD_CLEARTID`):
/// that wake is not a private one.
#[cfg(feature = "leak")]
pub(crate) fn wait_for_kernel(word: &AtomicU32, expected: u32) {
    let args = [word.as_ptr() as usize, libc::FUTEX_WAIT as usize, expected as usize, 0, 0, 0];
    // SAFETY: the kernel only reads the word, which the reference keeps alive; no timeout.
    let _ = unsafe { call(libc::SYS_futex, args) };
}

/// As [`wait`], for at most `nanoseconds`.
pub(crate) fn wait_for(word: &AtomicU32, expected: u32, nanoseconds: u64) {
    let op = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    let limit = libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as _,
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    };
    let args = [word.as_ptr() as usize, op, expected as usize, &raw const limit as usize, 0, 0];
    // SAFETY: the kernel only reads the word and the time, both alive for the call.
    let _ = unsafe { call(libc::SYS_futex, args) };
}

/// Wakes up to `count` threads that sleep on `word`.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    let op = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: a wake takes the word for a name only.
    let _ = unsafe { call(libc::SYS_futex, [word.as_ptr() as usize, op, count as usize, 0, 0, 0]) };
}
