//! The heap's range of addresses, and the arrays beside it.
//!
//! One contiguous range, so that "is this pointer ours" is one comparison and every array is indexed by
//! the distance from its base. It has one of two forms, chosen once at the start:
//!
//! - *reserved*: mappings without access (or read-only, for arrays that are read before it is known that
//!   there is anything) cover the range and the arrays. They are not charged where the kernel does not
//!   overcommit. Growing makes the next part writable.
//! - *claimed*: address space itself is limited (`ulimit -v`), the kernel grants no large reservation, or it is an
//!   emulator, for which a large one is costly.
//!   A range is picked and only what the heap grows to is mapped, wherever nobody else is.

mod arrays;
mod backing;

pub(crate) use arrays::Array;

use super::page_heap::{CHUNK_BYTES, PageId};
use crate::{
    base::{Addr, PAGE_BYTES, align_up},
    sync::{Mutex, Rank},
    sys::{
        auxv, limits,
        memory::{self, Access},
        syscall::Errno,
    },
};
use arrays::{ALL, Mode, SHARED_BYTES, STEP_BYTES};
use core::{
    ops::Range,
    sync::atomic::{
        AtomicBool, AtomicU8, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
    },
};

/// The range: more than any machine's memory, an eighth of the addresses a process has on x86-64.
const MAX_RANGE_BYTES: usize = 16 << 40;
/// The least range worth having; also the alignment of its base (Go's arena).
const MIN_RANGE_BYTES: usize = 64 << 20;
/// The range where the kernel is an emulator: some keep a record of some 30 bytes for every page that is mapped,
/// with access or without. That makes 25 MiB for the arrays of this range, and 64 GiB and more for the largest one.
const EMULATED_RANGE_BYTES: usize = 256 << 30;
/// Addresses to claim at, from this one up in steps of 1 TiB: the Go runtime's choice, where no system
/// puts anything by itself.
const FIRST_CLAIM: usize = if cfg!(target_arch = "aarch64") { 0x40 << 32 } else { 0xc0 << 32 };
/// The bit in [`Array::Commits`] for chunks that the page heap was granted: that of an array not on demand.
const GRANTED: u8 = 1 << Array::PageMap as u8;
/// The bit for chunks that were advised against huge pages after a part of them had been given back.
const AVOIDS_HUGE: u8 = 1 << Array::Chunks as u8;
/// The bit for chunks that were advised to have huge pages when they were granted.
const WANTS_HUGE: u8 = 1 << Array::Leaves as u8;
/// Most chunks, of 4 MiB, that are advised against huge pages one by one: each may take two mappings of the 65530
/// that a process has.
const MAX_SPARSE: usize = 8192;
const CLAIM_STEP_BYTES: usize = 1 << 40;
const CLAIM_TRIES: usize = 127;

/// The heap's address range. One per process; [`Self::init`] comes before everything else.
pub(crate) struct AddressSpace {
    base: AtomicUsize,
    chunks: AtomicUsize,
    claimed: AtomicBool,
    arrays: [AtomicUsize; ALL.len()],
    /// Bytes of each array's address space that are memory, from its start, or of a downward one from its end, for the
    /// modes with the heap.
    committed: [AtomicUsize; ALL.len()],
    /// Bytes committed on demand.
    on_demand: AtomicUsize,
    on_demand_lock: Mutex<()>,
    /// Chunks that were advised against huge pages when a part of them was given back.
    sparse: AtomicUsize,
}

impl AddressSpace {
    /// No range yet.
    pub(crate) const fn new() -> Self {
        Self {
            base: AtomicUsize::new(0),
            chunks: AtomicUsize::new(0),
            claimed: AtomicBool::new(false),
            arrays: [const { AtomicUsize::new(0) }; ALL.len()],
            committed: [const { AtomicUsize::new(0) }; ALL.len()],
            on_demand: AtomicUsize::new(0),
            on_demand_lock: Mutex::new(Rank::SpanTable, ()),
            sparse: AtomicUsize::new(0),
        }
    }

    /// Gets the range, once, before any other thread uses it. Fails if not even 64 MiB of addresses, or no
    /// memory for the first arrays, can be had.
    pub(crate) fn init(&self) -> Result<(), Errno> {
        match limits::address_space_bytes() {
            Some(limit) => self.init_claimed(limit),
            None if !auxv::has_kernel_code() => self.init_claimed(EMULATED_RANGE_BYTES),
            None => self.init_reserved().or_else(|_| self.init_claimed(MAX_RANGE_BYTES)),
        }
    }

    /// Reserves the largest range there is, halving from 16 TiB.
    fn init_reserved(&self) -> Result<(), Errno> {
        let mut bytes = MAX_RANGE_BYTES;
        loop {
            match self.reserve(bytes) {
                Err(_) if bytes > MIN_RANGE_BYTES => bytes /= 2,
                result => return result,
            }
        }
    }

    fn reserve(&self, bytes: usize) -> Result<(), Errno> {
        let mapped = bytes + MIN_RANGE_BYTES;
        let at = memory::map(mapped, Access::None)?;
        let base = Addr(align_up(at.0, MIN_RANGE_BYTES));
        let placed = self.place_arrays(bytes, |tiny_bytes| memory::map(tiny_bytes, Access::None));
        if placed.is_err() {
            // SAFETY: the mapping was made above and nothing has used it.
            unsafe { memory::unmap(at, mapped) };
        } else {
            self.set_range(base, bytes, false);
        }
        placed
    }

    /// Picks a range for a process that may map `limit` bytes.
    fn init_claimed(&self, limit: usize) -> Result<(), Errno> {
        let bytes = limit.clamp(MIN_RANGE_BYTES, MAX_RANGE_BYTES).next_power_of_two();
        // The array on demand would take an eighth of the range: it is claimed, too, behind the heap.
        let on_demand: usize = ALL
            .iter()
            .filter(|a| a.mode() == Mode::OnDemand)
            .map(|a| a.range_bytes(bytes / CHUNK_BYTES))
            .sum();
        let base = find_claim(bytes + on_demand)?;
        self.place_arrays(bytes, |_| Ok(base.plus(bytes)))?;
        self.set_range(base, bytes, true);
        Ok(())
    }

    fn set_range(&self, base: Addr, bytes: usize, claimed: bool) {
        self.base.store(base.0, Relaxed);
        self.claimed.store(claimed, Relaxed);
        self.chunks.store(bytes / CHUNK_BYTES, Relaxed);
    }

    /// Maps the arrays for a range; those on demand lie where `on_demand` says.
    fn place_arrays(
        &self,
        range_bytes: usize,
        on_demand: impl FnOnce(usize) -> Result<Addr, Errno>,
    ) -> Result<(), Errno> {
        let chunks = range_bytes / CHUNK_BYTES;
        let total = |late: bool| -> usize {
            ALL.iter().filter(|a| (a.mode() == Mode::OnDemand) == late).map(|a| a.range_bytes(chunks)).sum()
        };
        let start = memory::map(total(false), Access::Read)?;
        let late_start = self.whole_arrays(start, chunks).and_then(|()| on_demand(total(true)));
        let Ok(late_start) = late_start else {
            // SAFETY: the mapping was made above and nothing has used it.
            unsafe { memory::unmap(start, total(false)) };
            return late_start.map(drop);
        };
        let (mut next, mut next_late) = (start, late_start);
        for array in ALL {
            let place = if array.mode() == Mode::OnDemand { &mut next_late } else { &mut next };
            let end = place.plus(array.range_bytes(chunks));
            let entry_0 = match array.grows_down() {
                true => end.plus(SHARED_BYTES),
                false => place.plus(array.shared_bytes()),
            };
            self.arrays[array.index()].store(entry_0.0, Relaxed);
            *place = end;
        }
        Ok(())
    }

    /// Gives the arrays of other modes than [`Mode::WithHeap`] their access, before their places are known to all.
    fn whole_arrays(&self, start: Addr, chunks: usize) -> Result<(), Errno> {
        let mut at = start;
        for array in ALL.into_iter().filter(|a| a.mode() != Mode::OnDemand) {
            let bytes = array.range_bytes(chunks);
            let access = match array.mode() {
                Mode::Whole => Access::ReadWrite,
                Mode::WithHeapAlone => Access::None,
                _ => Access::Read,
            };
            if access != Access::Read {
                // SAFETY: the part lies in the mapping the caller has just made.
                unsafe { memory::protect(at, bytes, access) }?;
            }
            at = at.plus(bytes);
        }
        // A huge page would make 2 MiB of a few entries. It is advice: without it only memory is lost.
        // SAFETY: the mapping is the caller's; the advice changes no contents.
        let _ = unsafe { memory::advise(start, at.0 - start.0, libc::MADV_NOHUGEPAGE) };
        Ok(())
    }

    /// Where the range begins: a multiple of 64 MiB.
    #[inline(always)]
    pub(crate) fn base(&self) -> Addr {
        Addr(self.base.load(Relaxed))
    }

    /// Bytes of the range; 0 before [`Self::init`].
    #[inline(always)]
    pub(crate) fn range_bytes(&self) -> usize {
        self.chunks.load(Relaxed) * CHUNK_BYTES
    }

    /// Whether the range is claimed piece by piece instead of reserved.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Relaxed)
    }

    /// Where an array's entry 0 begins, or, of a downward one, ends. Its entries for addresses inside the range read as
    /// zeros where the heap has not grown yet, except the span records, which can't be read there, and those of an array
    /// on demand, which need [`Self::commit_array`].
    #[inline(always)]
    pub(crate) fn array_base(&self, array: Array) -> Addr {
        Addr(self.arrays[array.index()].load(Relaxed))
    }

    /// Where the address space of an array begins, without what it has of the next one's first page.
    fn array_start(&self, array: Array) -> Addr {
        let entry_0 = self.array_base(array).0;
        if array.grows_down() {
            return Addr(entry_0 - SHARED_BYTES - array.range_bytes(self.chunks.load(Relaxed)));
        }
        Addr(entry_0 - array.shared_bytes())
    }

    /// The address of a page of the heap.
    #[inline(always)]
    pub(crate) fn address_of(&self, page: PageId) -> Addr {
        self.base().plus(page.index() * PAGE_BYTES)
    }

    /// Makes the part `bytes` (offsets from its base) of an array on demand memory, zeroed the first time.
    /// The chunks whose part it is must be grown. May be called again, and by several threads.
    ///
    /// Fails if the system gives no memory, or (claimed form) somebody else has the place.
    pub(crate) fn commit_array(&self, array: Array, bytes: Range<usize>) -> Result<(), Errno> {
        debug_assert!(array.mode() == Mode::OnDemand);
        let part = array.bytes_per_chunk();
        (bytes.start / part..bytes.end.div_ceil(part)).try_for_each(|chunk| self.commit_part(array, chunk))
    }

    fn commit_part(&self, array: Array, chunk: usize) -> Result<(), Errno> {
        if chunk >= self.committed[Array::Commits.index()].load(Acquire) {
            return Err(Errno(libc::EFAULT));
        }
        let done = self.commits(chunk);
        let bit = 1 << array.index();
        if done.load(Acquire) & bit != 0 {
            return Ok(());
        }
        let _one_at_a_time = self.on_demand_lock.lock();
        if done.load(Relaxed) & bit == 0 {
            let part = array.bytes_per_chunk();
            self.make_writable(self.array_base(array).plus(chunk * part), part)?;
            self.on_demand.fetch_add(part, Relaxed);
            done.fetch_or(bit, Release);
        }
        Ok(())
    }

    /// Whether the lock for committing on demand comes free before `deadline`.
    pub(crate) fn lock_comes_free(&self, deadline: u64) -> bool {
        self.on_demand_lock.comes_free(deadline)
    }

    /// Takes the lock for committing on demand, for fork: another thread may be at it.
    pub(crate) fn acquire_for_fork(&self) {
        self.on_demand_lock.acquire_for_fork();
    }

    /// Gives it back.
    ///
    /// # Safety
    /// After [`Self::acquire_for_fork`], in the same thread or its copy in the child.
    pub(crate) unsafe fn release_after_fork(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.on_demand_lock.release_after_fork() };
    }

    /// Calls `each` with address and bytes of what is the heap's: the range and the arrays, in the claimed form
    /// only the parts that are mapped, since others may have mapped something between them.
    pub(crate) fn for_each_own(&self, mut each: impl FnMut(Addr, usize)) {
        let chunks = self.chunks.load(Relaxed);
        if self.is_claimed() {
            self.for_each_part(GRANTED, self.base(), CHUNK_BYTES, &mut each);
        } else {
            each(self.base(), chunks * CHUNK_BYTES);
        }
        for array in ALL {
            let at = self.array_start(array);
            if self.is_claimed() && array.mode() == Mode::OnDemand {
                self.for_each_part(1 << array.index(), at, array.bytes_per_chunk(), &mut each);
            } else {
                each(at, array.range_bytes(chunks));
            }
        }
    }

    /// Calls `each` for the runs of chunks that have `bit` in [`Array::Commits`], as parts of `bytes` from `start` on.
    fn for_each_part(&self, bit: u8, start: Addr, bytes: usize, each: &mut impl FnMut(Addr, usize)) {
        let chunks = self.committed[Array::Commits.index()].load(Acquire).min(self.chunks.load(Relaxed));
        let mut run = 0;
        for chunk in 0..chunks {
            if self.commits(chunk).load(Acquire) & bit != 0 {
                run += 1;
            } else if run > 0 {
                each(start.plus((chunk - run) * bytes), run * bytes);
                run = 0;
            }
        }
        if run > 0 {
            each(start.plus((chunks - run) * bytes), run * bytes);
        }
    }

    /// Notes that chunks are the heap's.
    fn note_granted(&self, chunks: Range<usize>) {
        for chunk in chunks {
            self.commits(chunk).fetch_or(GRANTED, Release);
        }
    }

    /// What of `chunk`, which [`Array::Commits`] must cover, is memory: see there.
    fn commits(&self, chunk: usize) -> &AtomicU8 {
        debug_assert!(chunk < self.committed[Array::Commits.index()].load(Relaxed));
        // SAFETY: the entry lies in the part of the array that is memory and is only used atomically.
        unsafe { &*self.array_base(Array::Commits).plus(chunk).ptr::<AtomicU8>() }
    }

    /// Makes a part of the range, or of an array that takes its form, memory.
    fn make_writable(&self, at: Addr, bytes: usize) -> Result<(), Errno> {
        if self.is_claimed() {
            return memory::map_at(at, bytes, Access::ReadWrite);
        }
        // SAFETY: the part lies inside our reservation, where only more access is given.
        unsafe { memory::protect(at, bytes, Access::ReadWrite) }
    }

    /// Makes the arrays memory for the first `chunks` chunks.
    fn cover(&self, chunks: usize) -> Result<(), Errno> {
        let with_heap = |a: &Array| matches!(a.mode(), Mode::WithHeap | Mode::WithHeapAlone);
        ALL.into_iter().filter(with_heap).try_for_each(|array| self.cover_array(array, chunks))
    }

    fn cover_array(&self, array: Array, chunks: usize) -> Result<(), Errno> {
        // What a downward array has of the first page behind it is memory with that one's first part.
        let needed = align_up(array.shared_bytes() + chunks * array.bytes_per_chunk(), STEP_BYTES);
        let have = self.committed[array.index()].load(Relaxed);
        if needed <= have {
            return Ok(());
        }
        let entry_0 = self.array_base(array).0;
        let at = Addr(match array.grows_down() {
            true => entry_0 - SHARED_BYTES - needed,
            false => entry_0 - array.shared_bytes() + have,
        });
        // SAFETY: the part lies inside the array's mapping, where only more access is given.
        unsafe { memory::protect(at, needed - have, Access::ReadWrite) }?;
        self.committed[array.index()].store(needed, Release);
        Ok(())
    }
}

/// A base, aligned to 64 MiB, from which on `bytes` of addresses exist and the first chunk is nobody's.
fn find_claim(bytes: usize) -> Result<Addr, Errno> {
    let mut result = Err(Errno(libc::ENOMEM));
    for i in 0..CLAIM_TRIES {
        let at = Addr(FIRST_CLAIM + i * CLAIM_STEP_BYTES);
        let last = at.plus(bytes - CHUNK_BYTES);
        result = probe(at).and_then(|()| probe(last)).map(|()| at);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Whether a chunk could be mapped at `at`.
fn probe(at: Addr) -> Result<(), Errno> {
    memory::map_at(at, CHUNK_BYTES, Access::None)?;
    // SAFETY: the mapping was made in the line above and nothing has used it.
    unsafe { memory::unmap(at, CHUNK_BYTES) };
    Ok(())
}

#[cfg(test)]
mod tests;
