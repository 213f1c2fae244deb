//! The times of a check's phases.

use crate::sys::time;
use core::fmt;

/// The parts of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Until all threads were stopped.
    Stop,
    /// Until the copy of the process was there.
    Fork,
    /// Numbering the objects.
    Number,
    /// Marking from the roots.
    Mark,
    /// What is lost, and how.
    Classify,
    /// Symbols, text, output.
    Report,
}

const PHASES: usize = 6;
const NAMES: [&str; PHASES] = ["stop", "fork", "number", "mark", "classify", "report"];

/// When each phase ended, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    started: u64,
    ends: [u64; PHASES],
}

impl Times {
    /// The clock runs.
    pub(crate) fn start() -> Self {
        Self { started: time::nanoseconds(), ends: [0; PHASES] }
    }

    /// A phase has ended.
    pub(crate) fn note(&mut self, phase: Phase) {
        self.ends[phase as usize] = time::nanoseconds();
    }

    /// How long the program stood still: stop and fork, and what was in between.
    pub(crate) fn pause(&self) -> Milliseconds {
        Milliseconds(self.ends[Phase::Fork as usize].saturating_sub(self.started))
    }
}

/// Nanoseconds shown as milliseconds.
pub(crate) struct Milliseconds(pub(super) u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = self.started;
        for (i, (&end, name)) in self.ends.iter().zip(NAMES).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {}", Milliseconds(end.saturating_sub(before)))?;
            before = end.max(before);
        }
        Ok(())
    }
}
