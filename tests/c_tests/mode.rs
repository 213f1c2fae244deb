//! The modes that programs run in, and how one is run.

use crate::{compile, directives, launch};

/// How the per-CPU caches are made to work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// As the machine allows: restartable sequences wherever kernel and libc have them.
    Native,
    /// `rseq=0`: the locked caches, though the machine could do better.
    Locked,
    /// libc registers no thread for rseq: besom has to find that out itself.
    Unregistered,
}

impl Mode {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Native, Self::Locked, Self::Unregistered];

    /// The name in test names and `skip` directives.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Locked => "locked",
            Self::Unregistered => "unregistered",
        }
    }

    /// What it adds to `BESOM_OPTIONS`.
    pub(crate) fn options(self) -> Option<&'static str> {
        (self == Self::Locked).then_some("rseq=0")
    }

    /// What it sets `GLIBC_TUNABLES` to.
    pub(crate) fn tunables(self) -> Option<&'static str> {
        (self == Self::Unregistered).then_some("glibc.pthread.rseq=0")
    }
}

/// Runs one program in one mode as its header says.
pub(crate) fn run(file: &str, mode: Mode) {
    let directives = directives::Directives::read(&compile::sources().join(file));
    match directives.skipped(mode) {
        Some(reason) => eprintln!("{file} is not run in mode {}: {reason}", mode.name()),
        None => launch::check(file, &directives, mode),
    }
}
