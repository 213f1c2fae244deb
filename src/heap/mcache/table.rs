//! From a CPU's index to its slab, and the way to take a slab away from its CPU.

use super::slab::{Dummy, Slab};
use crate::base::Addr;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// CPU indices there is room for; Linux is built for at most 8192 CPUs, and concurrency ids stay below
/// the number of CPUs a process may run on. More than this falls back to locked caches.
pub(crate) const MAX_CPUS: usize = 8192;

/// The table that sections index: per CPU the distance of its slab from the table itself. Zero, the
/// value in fresh memory, is thereby the dummy in front, so the table needs no
/// relocation, and a CPU that nobody has prepared finds every class empty and full.
///
/// The first CPUs' places lie in an odd cache line. Objects whose size is a power of two, 512 bytes say, begin in few
/// sets of the cache, all of them even, and would displace what every request reads: a fifth of the time of a loop over
/// a thousand.
#[repr(C, align(128))]
pub(super) struct CpuTable {
    dummy: Dummy,
    slabs: [AtomicUsize; MAX_CPUS],
}

/// Where `slabs` lies in the table, for the sections.
pub(super) const SLABS_OFFSET: usize = core::mem::offset_of!(CpuTable, slabs);

const _: () = assert!(!(SLABS_OFFSET / 64).is_multiple_of(2), "an odd line from the table's beginning");

impl CpuTable {
    pub(super) const fn new() -> Self {
        Self { dummy: Dummy::new(), slabs: [const { AtomicUsize::new(0) }; MAX_CPUS] }
    }

    /// Fills in the dummy, before any section runs on the table.
    pub(super) fn init(&self) {
        self.dummy.init();
    }

    /// Gives a CPU its slab. Release: the slab's contents are there before its address is.
    pub(super) fn publish(&self, cpu: usize, slab: Slab) {
        self.slabs[cpu].store(slab.0.0.wrapping_sub(Addr::of(self).0), Release);
    }

    /// What sections on `cpu` work on; of the dummy only headers, marks, tiny word and notes are there.
    #[inline(always)]
    pub(super) fn slab_or_dummy(&self, cpu: usize) -> Slab {
        // Acquire: see `publish`. The dummy is the table's beginning.
        Slab(Addr(Addr::of(self).0.wrapping_add(self.slabs[cpu].load(Acquire))))
    }

    /// Makes a CPU work on the dummy from its next section on. Sections that run already still use the
    /// slab until [`crate::sys::rseq::fence`] has returned.
    pub(super) fn take_away(&self, cpu: usize) {
        self.slabs[cpu].store(0, Relaxed);
    }
}
