//! Which numbers an option takes, beside how they are written.

/// The numbers that mean something for an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Values {
    /// Every number that can be written.
    Any,
    /// From the first to the second, both included.
    Between(usize, usize),
    /// 0, or the number of a signal that besom can handle in a program's place.
    Signal,
}

/// The names of the signals from 1 on, as x86-64 and aarch64 count them.
pub(super) const SIGNALS: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT \
     STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
/// The highest signal number.
const LAST_SIGNAL: usize = 64;
/// The kernel allows no handler for the first two. The next are raised by an instruction, to which a handler that
/// does not mend anything returns for ever. The last are glibc's own, for cancelled threads and for `setuid` in all
/// threads (by which a check stops the world).
const TAKEN_SIGNALS: [i32; 10] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGSYS,
    32,
    33,
];

impl Values {
    /// Whether `number` is one of them.
    pub(crate) fn has(self, number: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Between(least, most) => least <= number && number <= most,
            Self::Signal => is_free_signal(number),
        }
    }
}

/// Whether a handler of besom's for this signal does no harm; 0 is none.
fn is_free_signal(number: usize) -> bool {
    number <= LAST_SIGNAL && !TAKEN_SIGNALS.iter().any(|&taken| taken as usize == number)
}

/// What a message on a bad value says behind the option's unit.
impl core::fmt::Display for Values {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Between(least, most) => write!(f, " from {least} to {most}"),
            Self::Signal => f.write_str(" that can be handled and is no fault's, or 0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn both_ends_belong_to_a_range() {
        let range = Values::Between(1, 128);
        assert!(range.has(1) && range.has(128) && !range.has(0) && !range.has(129));
        assert!(Values::Any.has(usize::MAX));
        assert_eq!(format!("a number{range}"), "a number from 1 to 128");
    }

    #[test]
    fn signals_that_a_program_needs_itself_are_left_out() {
        let good = [0, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, 34, 64];
        let bad = [
            libc::SIGKILL,
            libc::SIGSTOP,
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            32,
            33,
            65,
        ];
        assert!(good.iter().all(|&signal| Values::Signal.has(signal as usize)));
        assert!(bad.iter().all(|&signal| !Values::Signal.has(signal as usize)));
        assert!(!Values::Signal.has(usize::MAX));
        let numbers =
            [libc::SIGHUP, libc::SIGKILL, libc::SIGUSR2, libc::SIGCHLD, libc::SIGPROF, libc::SIGSYS];
        let names = ["HUP", "KILL", "USR2", "CHLD", "PROF", "SYS"];
        for (number, name) in numbers.into_iter().zip(names) {
            assert_eq!(SIGNALS.split(' ').nth(number as usize - 1), Some(name));
        }
    }
}
