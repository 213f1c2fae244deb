//! Clocks, in nanoseconds.

/// The coarse monotonic clock: one to four milliseconds fine, a few nanoseconds to read.
pub(crate) fn coarse_nanoseconds() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// The monotonic clock.
pub(crate) fn nanoseconds() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Processor time of this process, all threads together.
#[cfg(feature = "leak")]
pub(crate) fn process_cpu_nanoseconds() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: libc writes the one timespec it is given; through the vDSO it neither locks nor fails,
    // and nor does the system call for the processor time.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
