//! How much idle memory to keep.
//!
//! Nobody calls the allocator in a program that has gone idle, so what may stay after a `free` is
//! decided in that `free`: a base allowance. A program that needs released pages again at once (it
//! allocates and frees 1 GiB in a loop) would pay a page fault for each of them every time:
//!
//! ```text
//! regret          = a page is released, then taken again within REGRET_NS
//! next release:     keep the regretted pages more than the base allowance
//! every WINDOW_NS:  keep no more than use went up and down by in the last two windows
//! ```
//!
//! So growing once, however far, keeps nothing, unless it gives back on the way what it then takes again, as a vector
//! does that grows by copies; swinging pays for its second round only, and keeps the swing for as long as it goes on.

use crate::{
    base::PAGE_BYTES,
    config::{self, Key},
    sys::limits,
};

/// Idle memory that is always kept: a few rounds of the caches above, and what a small program frees.
const BASE_PAGES: usize = (12 << 20) / PAGE_BYTES;
/// Or this share of what is in use. A heap of which nine tenths were freed should hold no more than 15 % and
/// 16 MiB beyond what lives, and rounding sizes up to classes takes most of the 15 %.
const BASE_SHARE: usize = 40;
/// Releasing begins when this share of the allowance (and at least `LEAST_EXCESS_PAGES`) is exceeded, so
/// that a system call gives back many pages.
const EXCESS_SHARE: usize = 8;
/// 1 MiB: 256 kernel pages for a system call's cost of a few page faults.
const LEAST_EXCESS_PAGES: usize = (1 << 20) / PAGE_BYTES;
/// Pages taken again this soon after a release should not have been released.
const REGRET_NS: u64 = 2_000_000_000;
/// Demand is looked at over windows of this length.
const WINDOW_NS: u64 = 10_000_000_000;

/// The values of the option `thp`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Thp {
    /// No huge pages, whatever the system's setting.
    Never,
    /// For heaps that have grown.
    Auto,
    /// For all of the heap.
    Always,
}

impl Thp {
    /// What the option says.
    pub(crate) fn from_config() -> Self {
        match config::get(Key::Thp) {
            0 => Self::Never,
            1 => Self::Auto,
            _ => Self::Always,
        }
    }
}

/// What the options and the system allow. In pages; `usize::MAX` is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Whether idle pages are given back without being asked.
    pub(crate) scavenge: bool,
    /// Beyond this much in use and idle, idle pages are given back at once.
    pub(crate) soft: usize,
    /// Beyond this much in use, requests fail.
    pub(crate) hard: usize,
    /// Use of huge pages.
    pub(crate) thp: Thp,
}

impl Limits {
    /// No limits, no scavenging.
    pub(crate) const NONE: Self =
        Self { scavenge: false, soft: usize::MAX, hard: usize::MAX, thp: Thp::Auto };

    /// The limits that the options set; `limit=auto` is 90 % of the control group's.
    pub(crate) fn from_config() -> Self {
        let soft = match config::get(Key::Limit) {
            config::AUTO => limits::cgroup_bytes().map_or(0, |bytes| bytes / 10 * 9),
            bytes => bytes,
        };
        let pages = |bytes| if bytes == 0 { usize::MAX } else { bytes / PAGE_BYTES };
        let hard = pages(config::get(Key::HardLimit));
        Self { scavenge: config::is_on(Key::Scavenge), soft: pages(soft), hard, thp: Thp::from_config() }
    }
}

/// The lowest and the highest use in a stretch of time.
#[derive(Clone, Copy)]
struct Swing {
    low: usize,
    high: usize,
}

/// The policy and what it remembers.
pub(super) struct Policy {
    limits: Limits,
    /// Idle pages kept beyond the base allowance.
    kept: usize,
    /// Pages released and not taken again, while that would still be regretted.
    regrettable: usize,
    last_release: u64,
    last_regret: u64,
    /// Pages regretted since the last release.
    regretted: usize,
    window_start: u64,
    window: Swing,
    previous_swing: usize,
    /// The kernel refused; nothing is tried before this time.
    retry_at: u64,
}

impl Policy {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            kept: 0,
            regrettable: 0,
            last_release: 0,
            last_regret: 0,
            regretted: 0,
            window_start: 0,
            window: Swing { low: 0, high: 0 },
            previous_swing: 0,
            retry_at: 0,
        }
    }

    pub(super) fn thp(&self) -> Thp {
        self.limits.thp
    }

    pub(super) fn kept_for_reuse(&self) -> usize {
        self.kept
    }

    /// Whether `more` pages in use would exceed the hard limit.
    #[inline]
    pub(super) fn exceeds_hard_limit(
        &self,
        in_use: usize,
        more: usize,
        metadata_bytes: impl FnOnce() -> usize,
    ) -> bool {
        self.limits.hard != usize::MAX
            && in_use.saturating_add(more).saturating_add(metadata_bytes() / PAGE_BYTES) > self.limits.hard
    }

    /// Follows the use.
    #[inline]
    pub(super) fn note_use(&mut self, in_use: usize) {
        self.window.low = self.window.low.min(in_use);
        self.window.high = self.window.high.max(in_use);
    }

    /// How many idle pages are to be released now; `begun` if releasing has begun, which then goes on down
    /// to the allowance.
    #[inline]
    pub(super) fn excess(
        &mut self,
        begun: bool,
        (in_use, idle): (usize, usize),
        metadata_bytes: impl FnOnce() -> usize,
        now: impl FnOnce() -> u64,
    ) -> usize {
        let base = BASE_PAGES.max(in_use / BASE_SHARE);
        if !self.limits.scavenge || (idle <= base && self.limits.soft == usize::MAX) {
            return 0;
        }
        self.excess_over(begun, base, (in_use, idle), metadata_bytes() / PAGE_BYTES, now())
    }

    #[cold]
    fn excess_over(
        &mut self,
        begun: bool,
        base: usize,
        (in_use, idle): (usize, usize),
        metadata: usize,
        now: u64,
    ) -> usize {
        self.turn_window(in_use, now);
        if now < self.retry_at {
            return 0;
        }
        let limited = self.limits.soft.saturating_sub(in_use.saturating_add(metadata));
        let allowance = base + self.kept;
        let slack = if begun { 0 } else { (allowance / EXCESS_SHARE).max(LEAST_EXCESS_PAGES) };
        if idle > allowance + slack { idle - allowance.min(limited) } else { idle.saturating_sub(limited) }
    }

    /// Looks at the swing of use once per window, and lets go what is no longer used.
    fn turn_window(&mut self, in_use: usize, now: u64) {
        // The clock was put back: the process was restored elsewhere, or forked into a time namespace. By less it may
        // seem so to a thread that read it before another.
        if now.saturating_add(WINDOW_NS) < self.window_start {
            self.window_start = now;
            self.last_release = self.last_release.min(now);
            self.last_regret = self.last_regret.min(now);
            self.retry_at = self.retry_at.min(now + WINDOW_NS);
        }
        let age = now.saturating_sub(self.window_start);
        if age >= WINDOW_NS {
            // Nobody looked for two windows: what was swinging then is over.
            self.previous_swing = if age < 2 * WINDOW_NS { self.window.high - self.window.low } else { 0 };
            self.window = Swing { low: in_use, high: in_use };
            self.window_start = now;
        }
        self.kept = self.kept.min(self.swing());
    }

    fn swing(&self) -> usize {
        self.previous_swing.max(self.window.high - self.window.low)
    }

    /// Idle pages are being released.
    pub(super) fn note_release(&mut self, pages: usize, now: u64) {
        if now.saturating_sub(self.last_release) > REGRET_NS {
            self.regrettable = 0;
        }
        if now.saturating_sub(self.last_regret) <= WINDOW_NS {
            self.kept = (self.kept + self.regretted).min(self.swing());
        }
        self.regretted = 0;
        self.regrettable += pages;
        self.last_release = now;
    }

    /// Whether a page taken again may be a regret: spares the clock otherwise.
    #[inline]
    pub(super) fn has_regrettable(&self) -> bool {
        self.regrettable > 0
    }

    /// Pages that had been released were taken again.
    pub(super) fn note_refault(&mut self, pages: usize, now: u64) {
        if now.saturating_sub(self.last_release) > REGRET_NS {
            self.regrettable = 0;
            return;
        }
        let regretted = pages.min(self.regrettable);
        self.regrettable -= regretted;
        self.regretted += regretted;
        self.last_regret = now;
    }

    /// The kernel refused a release, as it does for locked memory; it is asked again after a window.
    pub(super) fn note_refusal(&mut self, now: u64) {
        self.retry_at = now + WINDOW_NS;
    }
}
