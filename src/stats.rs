//! Statistics: a snapshot of the heap in the manner of Go's `MemStats`, as a struct and as text.

use core::fmt;

/// Number of size classes; class 0 is the large objects.
pub const CLASSES: usize = 68;

/// How a request finds its cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum CacheMode {
    /// Restartable sequences, one cache per concurrency id of the process.
    RseqMmCid = 0,
    /// Restartable sequences, one cache per CPU number.
    RseqCpuId = 1,
    /// Caches under locks: there are no restartable sequences, or an option forbids them.
    LockedShards = 2,
}

impl CacheMode {
    /// The mode in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LockedShards => "locked shards",
            Self::RseqMmCid => "per-CPU (rseq, mm_cid)",
            Self::RseqCpuId => "per-CPU (rseq, cpu_id)",
        }
    }
}

/// What one size class holds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ClassStats {
    /// Bytes of an object; 0 for class 0, the large objects.
    pub object_bytes: usize,
    /// Objects that the program holds.
    pub objects: usize,
    /// Free objects in caches.
    pub cached_objects: usize,
    /// Spans cut into objects of this class; for class 0 the large objects.
    pub spans: usize,
}

/// A snapshot of the heap, in bytes where nothing else is said. Threads go on while it is taken, so that
/// numbers of different fields may be a little apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// How requests find their cache.
    pub cache_mode: CacheMode,
    /// Whether every object is tracked (options `leak`, `check`).
    pub tracked: bool,
    /// Caches that exist: CPUs, or shards, that have been used.
    pub caches: usize,
    /// Objects that the program holds, each with its class's size.
    pub heap_in_use: usize,
    /// Free memory that has not been given back to the kernel, that in caches included.
    pub heap_idle: usize,
    /// Free memory that has been given back.
    pub heap_released: usize,
    /// Address space that the heap has grown to: the three above together.
    pub heap_mapped: usize,
    /// Of the idle memory, free objects in the caches of CPUs and between them.
    pub cached: usize,
    /// Of the idle memory, pages that wait for the next large object.
    pub cached_runs: usize,
    /// besom's own tables, at most.
    pub metadata: usize,
    /// Objects that the program holds; packed ones (tiny allocator) count by their blocks.
    pub heap_objects: usize,
    /// Memory given back so far.
    pub released_total: usize,
    /// Memory that was given back and then needed again.
    pub refaulted_total: usize,
    /// Requests refused because of the hard limit.
    pub limit_failures: usize,
    /// Blocks of 16 bytes that packed objects share.
    pub tiny_blocks: usize,
    /// Every class.
    pub by_class: [ClassStats; CLASSES],
}

/// Bytes in the unit that suits.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let unit = (self.0.max(1).ilog2() / 10).min(4) as usize;
        if unit == 0 {
            return write!(f, "{} B", self.0);
        }
        let tenths = (self.0 as u128 * 10) >> (10 * unit);
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

impl Stats {
    /// Calls `line` for each line of the text form. `docs/statistics.md` explains every number.
    pub(crate) fn for_each_line(&self, mut line: impl FnMut(fmt::Arguments<'_>)) {
        let s = Size;
        let tracked = if self.tracked { ", every object tracked" } else { "" };
        line(format_args!("statistics (explained in docs/statistics.md)"));
        line(format_args!("  caches: {}, {} in use{tracked}", self.cache_mode.name(), self.caches));
        line(format_args!("  in use: {} in {} objects", s(self.heap_in_use), self.heap_objects));
        line(format_args!(
            "  idle: {}, of which {} in caches and {} in runs for large objects",
            s(self.heap_idle),
            s(self.cached),
            s(self.cached_runs)
        ));
        line(format_args!(
            "  released: {} of {} mapped; {} in all, {} needed again",
            s(self.heap_released),
            s(self.heap_mapped),
            s(self.released_total),
            s(self.refaulted_total)
        ));
        line(format_args!("  metadata: at most {}", s(self.metadata)));
        if self.limit_failures > 0 {
            line(format_args!("  refused because of the hard limit: {} requests", self.limit_failures));
        }
        if self.tiny_blocks > 0 {
            line(format_args!("  packed: {} blocks of 16 bytes", self.tiny_blocks));
        }
        for class in self.by_class.iter().filter(|class| class.spans > 0) {
            match class.object_bytes {
                0 => line(format_args!("  large: {} objects", class.objects)),
                bytes => line(format_args!(
                    "  {bytes:>6} B: {} objects, {} cached, {} spans",
                    class.objects, class.cached_objects, class.spans
                )),
            }
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        self.for_each_line(|line| result = result.and_then(|()| writeln!(f, "{line}")));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn sizes_are_shown_in_the_unit_that_suits() {
        let shown = [0, 1, 1023, 1024, 1536, 1 << 20, 5 << 30].map(|n| Size(n).to_string());
        assert_eq!(shown, ["0 B", "1 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "5.0 GiB"]);
    }
}
