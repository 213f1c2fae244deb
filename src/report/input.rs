//! What a report is made of.

use crate::config::{self, Key};

/// What became of a block, in Valgrind's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// Nothing points to it.
    Definite,
    /// Only lost blocks point to it.
    Indirect,
    /// Only pointers into its inside keep it.
    Possible,
    /// A root or a reachable block points to it.
    Reachable,
    /// A lost block that a suppression hides.
    Suppressed,
}

impl Kind {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = 5;
    /// All kinds, in the order of reports.
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Definite, Self::Indirect, Self::Possible, Self::Reachable, Self::Suppressed];

    /// The words for people.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Definite => "definitely lost",
            Self::Indirect => "indirectly lost",
            Self::Possible => "possibly lost",
            Self::Reachable => "still reachable",
            Self::Suppressed => "suppressed",
        }
    }

    /// The word for programs.
    pub(crate) const fn identifier(self) -> &'static str {
        match self {
            Self::Definite => "definitely_lost",
            Self::Indirect => "indirectly_lost",
            Self::Possible => "possibly_lost",
            Self::Reachable => "still_reachable",
            Self::Suppressed => "suppressed",
        }
    }

    /// Whether suppressions apply: only what would be reported as lost can be suppressed.
    pub(crate) const fn is_lost(self) -> bool {
        matches!(self, Self::Definite | Self::Indirect | Self::Possible)
    }
}

/// A number of blocks and the bytes that were asked for in them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Amount {
    /// Bytes as requested, without rounding.
    pub(crate) bytes: usize,
    /// Number of blocks.
    pub(crate) blocks: usize,
}

impl Amount {
    /// The sum, at most the largest number.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            blocks: self.blocks.saturating_add(other.blocks),
        }
    }

    /// The difference, at least zero.
    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            blocks: self.blocks.saturating_sub(other.blocks),
        }
    }
}

/// An amount of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Totals([Amount; Kind::COUNT]);

impl Totals {
    /// Nothing of any kind.
    pub(crate) const NONE: Self = Self([Amount { bytes: 0, blocks: 0 }; Kind::COUNT]);

    /// The amount of one kind.
    pub(crate) fn get(&self, kind: Kind) -> Amount {
        self.0.get(kind as usize).copied().unwrap_or_default()
    }

    /// Adds to the amount of one kind.
    pub(crate) fn add(&mut self, kind: Kind, amount: Amount) {
        if let Some(total) = self.0.get_mut(kind as usize) {
            *total = total.plus(amount);
        }
    }

    /// Moves an amount from one kind to `Suppressed`.
    #[cfg(test)]
    pub(crate) fn suppress(&mut self, kind: Kind, amount: Amount) {
        if let Some(total) = self.0.get_mut(kind as usize) {
            *total = total.minus(amount);
        }
        self.add(Kind::Suppressed, amount);
    }

    /// What the summary line and the exit status go by: definitely and indirectly lost.
    pub(crate) fn leaked(&self) -> Amount {
        self.get(Kind::Definite).plus(self.get(Kind::Indirect))
    }

    /// Whether anything is lost, be it only possibly.
    pub(crate) fn any_lost(&self) -> bool {
        self.leaked().plus(self.get(Kind::Possible)).blocks > 0
    }
}

/// The blocks of one kind that one stack allocated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    /// What became of them.
    pub(crate) kind: Kind,
    /// How many and how large.
    pub(crate) amount: Amount,
    /// The stack that allocated them: return addresses, innermost first. Two groups may share it, of
    /// different kinds.
    pub(crate) stack: &'a [usize],
    /// The caller's number for the stack: later ones have higher numbers.
    pub(crate) id: usize,
    /// Address and size of each block; may be empty, is read for `report_objects=1` only.
    pub(crate) objects: &'a [(usize, usize)],
}

/// A module that stacks lie in, as it was mapped then: it may be unloaded by now, and another in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenModule<'a> {
    /// The first address of its first segment.
    pub(crate) start: usize,
    /// The address after its last segment.
    pub(crate) end: usize,
    /// Its file.
    pub(crate) path: &'a [u8],
    /// Its build id, to know the file again; empty if it had none or nobody looked.
    pub(crate) build_id: &'a [u8],
    /// Stacks with this number and higher ones may have frames in it, until the next module there.
    pub(crate) first_stack: usize,
    /// Whether it is there now.
    pub(crate) is_loaded: bool,
}

/// A finished leak check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeakReport<'a> {
    /// The process that was checked (not the one that writes the report).
    pub(crate) pid: u32,
    /// Its command line, as in `/proc/PID/cmdline`.
    pub(crate) command: &'a [u8],
    /// How much of each kind there is.
    pub(crate) totals: Totals,
    /// What the check could not look at, a sentence each.
    pub(crate) not_seen: &'a [&'a str],
    /// The blocks by stack and kind, in any order. Reachable ones may be left out if they are not asked
    /// for.
    pub(crate) groups: &'a [Group<'a>],
}

/// The format of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// For people, in LeakSanitizer's manner.
    Text,
    /// For programs, as `docs/leak-report.md` says.
    Json,
}

/// What to write where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportOptions<'a> {
    /// Text or JSON.
    pub(crate) format: Format,
    /// The file to write to, see [`super::output`]; empty is standard error.
    pub(crate) log_path: &'a [u8],
    /// Whether this process has written a report to its file before, so that this one goes behind it.
    pub(crate) append: bool,
    /// The file of suppressions; empty is none.
    pub(crate) suppressions: &'a [u8],
    /// The text of `__lsan_default_suppressions()`.
    pub(crate) program_suppressions: &'a [u8],
    /// Whether to list the suppressions that matched.
    pub(crate) print_suppressions: bool,
    /// How many calls of the program to show of a stack at most.
    pub(crate) stack_depth: usize,
    /// How many groups to list at most; 0 is all.
    pub(crate) max_leaks: usize,
    /// Whether to list every block.
    pub(crate) report_objects: bool,
    /// Whether to list reachable blocks.
    pub(crate) show_reachable: bool,
    /// Whether to write a text report also if nothing is lost. (A JSON report is always written.)
    pub(crate) print_clean: bool,
}

impl ReportOptions<'static> {
    /// The options as the user set them.
    pub(crate) fn from_config() -> Self {
        Self {
            format: if config::get(Key::Report) == 1 { Format::Json } else { Format::Text },
            log_path: config::text(Key::LogPath),
            append: false,
            suppressions: config::text(Key::Suppressions),
            program_suppressions: &[],
            print_suppressions: config::is_on(Key::PrintSuppressions),
            stack_depth: config::get(Key::StackDepth),
            max_leaks: config::get(Key::MaxLeaks),
            report_objects: config::is_on(Key::ReportObjects),
            show_reachable: config::is_on(Key::ShowReachable),
            print_clean: config::get(Key::Verbosity) > 0 || config::is_on(Key::ShowReachable),
        }
    }
}
