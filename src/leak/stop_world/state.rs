//! What a stop is asked for and what it tells.

use crate::leak::own_memory::NoMemory;
use crate::sys::syscall::Errno;
use core::fmt;

/// How to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The signal; see [`super::DEFAULT_SIGNAL`].
    pub(crate) signal: i32,
    /// How long to wait for answers, in all.
    pub(crate) limit_milliseconds: u64,
    /// The calling thread.
    pub(crate) caller: Caller,
}

/// What of the calling thread is to be scanned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// Where its stack begins. At exit: the frame that called `exit` or returned from `main`, so that
    /// stale words below hide no leak.
    pub(crate) stack_pointer: usize,
    /// Its registers that hold values of callers; `None` at exit.
    pub(crate) registers: Option<Registers>,
}

/// The stack pointer of the function that this is inlined into. No word of it or of its callers lies below but
/// for the red zone; a variable's address would not be enough, for others may lie below it.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let stack_pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) stack_pointer, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) stack_pointer, options(nomem, nostack, preserves_flags));
    }
    stack_pointer
}

/// Registers that survive calls: the others are on the stack, if they matter.
pub(crate) type Registers = [usize; 18];

/// Fetches the registers that survive calls. Inlined, so that they are the caller's.
#[inline(always)]
pub(crate) fn save_registers() -> Registers {
    let mut saved: Registers = [0; 18];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: stores six words into the array.
    unsafe {
        core::arch::asm!(
            "mov [{0}], rbx", "mov [{0} + 8], rbp", "mov [{0} + 16], r12",
            "mov [{0} + 24], r13", "mov [{0} + 32], r14", "mov [{0} + 40], r15",
            in(reg) saved.as_mut_ptr(), options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: stores eighteen words into the array.
    unsafe {
        core::arch::asm!(
            "stp x19, x20, [{0}]", "stp x21, x22, [{0}, 16]", "stp x23, x24, [{0}, 32]",
            "stp x25, x26, [{0}, 48]", "stp x27, x28, [{0}, 64]",
            "stp d8, d9, [{0}, 80]", "stp d10, d11, [{0}, 96]", "stp d12, d13, [{0}, 112]",
            "stp d14, d15, [{0}, 128]",
            in(reg) saved.as_mut_ptr(), options(nostack, preserves_flags));
    }
    saved
}

/// Why the world could not be stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StopError {
    /// Another thread is stopping it.
    Busy,
    /// No memory for the slots.
    NoMemory,
    /// The signal's handler could not be set.
    Signal(Errno),
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another thread is at it"),
            Self::NoMemory => f.write_str("no memory"),
            Self::Signal(error) => write!(f, "the signal can't be handled ({error})"),
        }
    }
}

impl From<NoMemory> for StopError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// Why nothing is known of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Reason {
    /// It ran on until the time limit: it blocks the signal, or gets no processor.
    Running = 1,
    /// It did not answer, and `/proc/self/task/TID/syscall` can't be read.
    Hidden = 2,
    /// The signal could not be queued: too many are pending for this user (RLIMIT_SIGPENDING).
    QueueFull = 3,
}

impl Reason {
    pub(super) fn of(number: u32) -> Self {
        match number {
            2 => Self::Hidden,
            3 => Self::QueueFull,
            _ => Self::Running,
        }
    }

    /// The reason in words, for the report.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Running => "did not answer the stop signal in time",
            Self::Hidden => "did not answer the stop signal, and /proc does not show where it is",
            Self::QueueFull => "the stop signal could not be queued (limit of pending signals)",
        }
    }
}

/// How a thread's state was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// It is the calling thread.
    Caller,
    /// It answered the signal.
    Signal,
    /// From `/proc`: its stack pointer is known, its other registers are not.
    Sampled,
    /// Not at all.
    NotSeen(Reason),
}

/// A range of addresses: first and end.
pub(crate) type Range = (usize, usize);

/// A stopped thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ThreadState {
    /// Its number.
    pub(crate) tid: u32,
    /// Its stack pointer at the interruption; 0 if not seen.
    pub(crate) stack_pointer: usize,
    /// Where its registers are saved; empty if they are not known.
    pub(crate) registers: Range,
    /// Its thread pointer; 0 if not known.
    pub(crate) thread_pointer: usize,
    /// Its alternate signal stack; empty if it has none.
    pub(crate) alternate: Range,
    /// How this was found.
    pub(crate) how: How,
}
