//! The mcaches: per CPU and class a stack of free objects, used without locks or locked instructions.
//!
//! Stacks of objects rather than the Go runtime's one span per class: explicit `free` wants last-in
//! first-out order, and nothing is ever written into free memory. The fast path is a restartable section
//! (`sections_*.rs`); everything here is what happens when it misses: give the CPU a slab, adapt the
//! capacity of its stacks under a budget, refill from the central list or return to it.
//!
//! Three ways lead to a slab, and `stats` says which one the process uses:
//! - a thread that glibc registered for rseq uses the slab of its CPU (`mm_cid`, else `cpu_id`);
//! - without rseq, and for single threads that are not registered, a slab under a lock, chosen by thread;
//! - who has stopped all CPUs (draining, checks) uses all slabs, plainly.

mod capacity;
#[cfg(all(besom_measure, target_arch = "x86_64"))]
mod made_up_ids;
#[cfg(target_arch = "aarch64")]
#[path = "sections_aarch64.rs"]
mod sections;
#[cfg(target_arch = "x86_64")]
#[path = "sections_x86_64.rs"]
mod sections;
mod shard;
pub(crate) mod slab;
mod stop;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use shard::fork_locks;
pub(crate) use slab::TINY_WORD;
#[cfg(test)]
pub(crate) use stop::for_each_slab_stopped;
pub(crate) use stop::{drain, reclaim_idle, stop_for_fork};
pub(crate) use table::MAX_CPUS;

use crate::base::Addr;
use crate::heap::central;
use crate::heap::size_class::ALL_CLASSES;
use crate::stats::CacheMode;
use crate::sync::{Mutex, Rank};
use crate::sys::{memory, rseq};
use capacity::Budget;
use core::sync::atomic::{
    AtomicBool, AtomicIsize, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use slab::{SLAB_BYTES, Slab};
use table::CpuTable;

/// Distance of the rseq area from the thread pointer; 0 until it is known and where there is none, which
/// sends every request to the slow path.
static RSEQ_OFFSET: AtomicIsize = AtomicIsize::new(0);
/// The same for good, also while sections are suspended.
static AREA_OFFSET: AtomicIsize = AtomicIsize::new(0);
/// Distance of the id that indexes the table.
static RSEQ_ID_OFFSET: AtomicIsize = AtomicIsize::new(0);

/// Where this thread's rseq area and its id lie, relative to the thread pointer: as values, so that a
/// section and the test before it load them once.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    area: isize,
    id: isize,
}

impl Place {
    /// The place, or `None` if there is no rseq or the heap has not started.
    #[inline(always)]
    fn get() -> Option<Self> {
        match RSEQ_OFFSET.load(Acquire) {
            0 => None,
            area => Some(Self { area, id: RSEQ_ID_OFFSET.load(Relaxed) }),
        }
    }
}

/// The table that the fast path uses.
static FAST_TABLE: CpuTable = CpuTable::new();
/// The table behind it when every request must take the slow path (leak mode, `check=1`): the fast
/// path's then stays on the dummy for good.
static TRACKED_TABLE: CpuTable = CpuTable::new();
/// Whether the slow path's table is [`TRACKED_TABLE`].
static TRACKED: AtomicBool = AtomicBool::new(false);

/// What the slow path knows of a CPU, or of a shard.
struct Cache {
    /// Its slab; 0 until it is first used.
    slab: AtomicUsize,
    budget: Budget,
}

impl Cache {
    const fn new() -> Self {
        Self { slab: AtomicUsize::new(0), budget: Budget::new() }
    }

    fn slab(&self) -> Option<Slab> {
        match self.slab.load(Acquire) {
            0 => None,
            at => Some(Slab(Addr(at))),
        }
    }

    /// Maps a slab; `None` when out of memory. Two callers at once would leak one: they hold a lock.
    fn create_slab(&self) -> Option<Slab> {
        let at = memory::map(SLAB_BYTES, memory::Access::ReadWrite).ok()?;
        // SAFETY: fresh, zeroed, and known to nobody else; slabs are never unmapped.
        let slab = unsafe { Slab::create(at) };
        self.slab.store(at.0, Release);
        CACHES.fetch_add(1, Relaxed);
        Some(slab)
    }
}

/// Where the kernel has concurrency ids, a process of one thread has 0 alone: its cache lies with what every process uses.
static FIRST_CPU: Cache = Cache::new();
static OTHER_CPUS: [Cache; MAX_CPUS - 1] = [const { Cache::new() }; MAX_CPUS - 1];
/// Held while a CPU gets its slab and while CPUs are stopped.
static STOP: Mutex<()> = Mutex::new(Rank::CacheStop, ());
/// CPUs below this have a slab or have had a chance to get one.
static CPUS_SEEN: AtomicUsize = AtomicUsize::new(0);
/// Slabs of CPUs and shards.
static CACHES: AtomicUsize = AtomicUsize::new(0);

/// The cache of a CPU.
fn cache_of(cpu: usize) -> &'static Cache {
    match cpu.checked_sub(1) {
        None => &FIRST_CPU,
        Some(other) => &OTHER_CPUS[other],
    }
}

/// The caches of CPUs that may have a slab, by number.
fn caches_seen() -> impl Iterator<Item = &'static Cache> {
    (0..CPUS_SEEN.load(Relaxed)).map(cache_of)
}

/// Chooses the mode, once, while the heap starts. `tracked` sends every request to the slow path.
pub(crate) fn init(use_rseq: bool, tracked: bool) {
    TRACKED.store(tracked, Relaxed);
    FAST_TABLE.init();
    if tracked {
        TRACKED_TABLE.init();
    }
    shard::init();
    if let Some(area) = use_rseq.then(rseq::find).flatten() {
        #[cfg(not(all(besom_measure, target_arch = "x86_64")))]
        let id_offset = area.offset + if area.has_mm_cid { rseq::MM_CID } else { rseq::CPU_ID } as isize;
        #[cfg(all(besom_measure, target_arch = "x86_64"))]
        let id_offset = made_up_ids::offset();
        RSEQ_ID_OFFSET.store(id_offset, Relaxed);
        AREA_OFFSET.store(area.offset, Relaxed);
        RSEQ_OFFSET.store(area.offset, Release);
    }
}

/// Children of `vfork` that run; see [`suspend_sections`].
static SUSPENDED: Mutex<usize> = Mutex::new(Rank::Leaf, 0);

/// Sends every request to the caches under locks until [`resume_sections`], which must follow. Sections that
/// run already end as usual.
#[cfg(any(test, feature = "override"))]
pub(crate) fn suspend_sections() {
    let mut suspended = SUSPENDED.lock();
    *suspended += 1;
    RSEQ_OFFSET.store(0, Release);
}

/// Ends one [`suspend_sections`]; the last one lets requests use sections again.
#[cfg(any(test, feature = "override"))]
pub(crate) fn resume_sections() {
    let mut suspended = SUSPENDED.lock();
    *suspended -= 1;
    if *suspended == 0 {
        RSEQ_OFFSET.store(AREA_OFFSET.load(Relaxed), Release);
    }
}

/// The lock of what is suspended, for fork.
pub(crate) fn suspension_for_fork() -> &'static Mutex<usize> {
    &SUSPENDED
}

/// In a child of `fork`, which has none of its parent's children.
pub(crate) fn forget_suspensions() {
    *SUSPENDED.lock() = 0;
    RSEQ_OFFSET.store(AREA_OFFSET.load(Relaxed), Release);
}

/// The mode in use.
pub(crate) fn mode() -> CacheMode {
    match (AREA_OFFSET.load(Relaxed), RSEQ_ID_OFFSET.load(Relaxed)) {
        (0, _) => CacheMode::LockedShards,
        (area, id) if id - area == rseq::MM_CID as isize => CacheMode::RseqMmCid,
        _ => CacheMode::RseqCpuId,
    }
}

/// Whether every request is tracked, and the fast path off.
#[inline]
pub(crate) fn is_tracked() -> bool {
    TRACKED.load(Relaxed)
}

fn slow_table() -> &'static CpuTable {
    if is_tracked() { &TRACKED_TABLE } else { &FAST_TABLE }
}

/// The fast path of an allocation: an object of `class`, or `None` if the slow path must see to it, as it
/// always must for pseudo-classes.
#[inline(always)]
pub(crate) fn pop(class: usize) -> Option<Addr> {
    let place = Place::get()?;
    // SAFETY: classes come from the class tables.
    object_of(unsafe { sections::pop(place, &FAST_TABLE, class) })
}

/// A popped word as an object, if it is none of the marks.
#[inline(always)]
fn object_of(word: Addr) -> Option<Addr> {
    (word.0 as u64 & slab::MARK == 0).then_some(word)
}

/// The fast path of a free: `false` if the slow path must see to it. For pseudo-classes always `false`.
///
/// # Safety
/// `object` is an object of `class` that the caller gives up.
#[inline(always)]
pub(crate) unsafe fn push(class: usize, object: Addr) -> bool {
    let Some(place) = Place::get() else { return false };
    // SAFETY: the caller's promise.
    unsafe { sections::push(place, &FAST_TABLE, class, object) }
}

/// As [`push`], for a class that the page map says: faster if the object was the last one that this was called for.
///
/// # Safety
/// As for [`push`].
#[inline(always)]
pub(crate) unsafe fn push_looked_up(class: usize, object: Addr) -> bool {
    let Some(place) = Place::get() else { return false };
    // SAFETY: the caller's promise.
    unsafe { sections::push_looked_up(place, &FAST_TABLE, class, object) }
}

/// The CPU that this thread runs on, or `None` if the thread is not registered for rseq (or nothing is).
/// Only a hint: it may have moved on by the time this returns.
fn current_cpu() -> Option<(Place, usize)> {
    let place = Place::get()?;
    Some((place, cpu_at(place)?))
}

/// The CPU that the area at `place` names.
fn cpu_at(place: Place) -> Option<usize> {
    // SAFETY: both offsets lie in the area that glibc has placed for every thread.
    let (registered, cpu) =
        unsafe { (rseq::read_field(place.area, rseq::CPU_ID), rseq::read_field(place.id, 0)) };
    #[cfg(all(besom_measure, target_arch = "x86_64"))]
    if place.id == made_up_ids::offset() && registered as i32 >= 0 {
        return made_up_ids::own();
    }
    (registered as i32 >= 0 && (cpu as usize) < MAX_CPUS).then_some(cpu as usize)
}

/// The slab of `cpu`, made on first use.
fn slab_of(cpu: usize) -> Option<Slab> {
    cache_of(cpu).slab().or_else(|| create_slab_of(cpu))
}

#[cold]
fn create_slab_of(cpu: usize) -> Option<Slab> {
    let _stop = STOP.lock();
    if let Some(slab) = cache_of(cpu).slab() {
        return Some(slab);
    }
    let slab = cache_of(cpu).create_slab()?;
    CPUS_SEEN.fetch_max(cpu + 1, Relaxed);
    slow_table().publish(cpu, slab);
    Some(slab)
}

/// As [`pop`], in tracked mode.
#[inline(always)]
pub(super) fn pop_tracked(class: usize) -> Option<Addr> {
    let place = Place::get()?;
    // SAFETY: classes come from the class tables.
    object_of(unsafe { sections::pop(place, &TRACKED_TABLE, class) })
}

/// As [`push`], in tracked mode.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn push_tracked(class: usize, object: Addr) -> bool {
    let Some(place) = Place::get() else { return false };
    // SAFETY: the caller's promise.
    unsafe { sections::push(place, &TRACKED_TABLE, class, object) }
}

/// The slow path of an allocation: an object of `class` from the cache if it has one after all, else a
/// batch from the central list, one to return and the rest for the cache. `None`: out of memory. A class with leave for
/// a backlog gets up to half its stack.
pub(crate) fn alloc_miss(class: usize) -> Option<Addr> {
    let Some((place, cpu)) = current_cpu() else { return shard::alloc(class) };
    let table = slow_table();
    if is_tracked() {
        // SAFETY: a class with a stack.
        if let Some(object) = object_of(unsafe { sections::pop(place, table, class) }) {
            return Some(object);
        }
    }
    let stack = slab_of(cpu)
        .map_or(capacity::Emptied::NO_STACK, |slab| capacity::grow(place, table, cpu, slab, class));
    // SAFETY: the objects are of this class, and free.
    let push = |objects: &[Addr]| unsafe { sections::push_batch(place, table, class, objects) };
    if central::take_many(class, stack.capacity / 2, push) > 0
        // SAFETY: a class with a stack.
        && let Some(object) = object_of(unsafe { sections::pop(place, table, class) })
    {
        return Some(object);
    }
    let mut batch = [Addr(0); central::MAX_BATCH];
    let taken = central::take(class, &mut batch[..stack.wanted]);
    let (&first, rest) = batch[..taken].split_last()?;
    // SAFETY: the objects are of this class and ours.
    let kept = unsafe { sections::push_batch(place, table, class, rest) };
    central::give(class, &rest[kept..]);
    Some(first)
}

/// The slow path of a free: onto the stack after making room, by more capacity or by returning a batch, or half the
/// stack if that is less and the class is also asked for, or if it has leave for a backlog.
///
/// # Safety
/// `object` is an object of `class`, a class with objects, that the caller gives up.
pub(crate) unsafe fn free_miss(class: usize, object: Addr) {
    let Some((place, cpu)) = current_cpu() else { return shard::free(class, object) };
    let table = slow_table();
    // SAFETY: the object is ours to push.
    if is_tracked() && unsafe { sections::push(place, table, class, object) } {
        return;
    }
    let slab = slab_of(cpu);
    let half = slab.map_or(0, |slab| capacity::grow_for_free(place, table, cpu, slab, class) / 2);
    // SAFETY: as above.
    if unsafe { sections::push(place, table, class, object) } {
        return;
    }
    // SAFETY: a class with a stack.
    let pop = |into: &mut [Addr]| unsafe { sections::pop_batch(place, table, class, into) };
    // SAFETY: as above.
    if central::give_many(class, half, pop) > 0 && unsafe { sections::push(place, table, class, object) } {
        return;
    }
    // Of large objects only this one goes, so that the stack stays full: from a stack less two, bursts of as many as it
    // has room for would miss one each time.
    if central::batch_of(class) == central::MIN_BATCH {
        return central::give(class, &[object]);
    }
    let mut batch = [Addr(0); central::MAX_BATCH];
    let popped = slab.map_or(0, |slab| capacity::pop_surplus(place, table, cpu, slab, class, &mut batch));
    // SAFETY: as above.
    if unsafe { sections::push(place, table, class, object) } {
        central::give(class, &batch[..popped]);
    } else {
        central::give(class, &batch[..popped]);
        central::give(class, &[object]);
    }
}

/// Returns to the spans what this CPU, or a shard, holds of classes that have not been used since the last call.
pub(crate) fn trim_unused() {
    match current_cpu() {
        Some((place, cpu)) => {
            if let Some(slab) = cache_of(cpu).slab() {
                capacity::trim_unused(place, slow_table(), cpu, slab);
            }
        }
        None => {
            if let Some(locked) = shard::lock_current() {
                capacity::trim_unused_by(&locked);
            }
        }
    }
}

/// The word of the tiny allocator on this CPU for the fast path, with all that it takes to replace it.
#[derive(Clone, Copy)]
pub(crate) struct FastTinyWord {
    place: Place,
    /// The word as it was a moment ago.
    pub(crate) word: u64,
}

/// Reads this CPU's tiny word; `None` where the fast path is off, or the CPU stopped or without a slab.
#[inline(always)]
pub(crate) fn fast_tiny_word() -> Option<FastTinyWord> {
    let place = Place::get()?;
    Some(FastTinyWord { place, word: tiny_word_at(place, &FAST_TABLE)? })
}

#[inline(always)]
fn tiny_word_at(place: Place, table: &CpuTable) -> Option<u64> {
    let word = table.slab_or_dummy(cpu_at(place)?).word(TINY_WORD).load(Relaxed);
    // The dummy's would be found there again, and replaced.
    (word != slab::MARK).then_some(word)
}

impl FastTinyWord {
    /// Replaces the word; `false` if this thread's CPU has another by now.
    #[inline(always)]
    pub(crate) fn replace(self, new: u64) -> bool {
        // SAFETY: the tiny word is in every slab; it is not the dummy's; and it says all about the state that it
        // stands for, so an equal word may be replaced wherever it is found.
        unsafe { sections::replace_word(self.place, &FAST_TABLE, TINY_WORD, self.word, new) }
    }
}

/// The word of the tiny allocator on this CPU, and a handle to replace it.
pub(crate) enum TinySlot {
    /// The CPU's own word as it was a moment ago.
    Cpu(Place, u64),
    /// This thread is not registered: the shard's word, under its lock.
    Shard(shard::Locked),
}

/// Reads this CPU's tiny word; `None` when out of memory for a slab.
pub(crate) fn tiny_slot() -> Option<TinySlot> {
    match current_cpu() {
        Some((place, cpu)) => Some(TinySlot::Cpu(place, slab_of(cpu)?.word(TINY_WORD).load(Relaxed))),
        None => shard::lock_current().map(TinySlot::Shard),
    }
}

impl TinySlot {
    /// The word.
    pub(crate) fn word(&self) -> u64 {
        match self {
            Self::Cpu(_, word) => *word,
            Self::Shard(locked) => locked.slab().word(TINY_WORD).load(Relaxed),
        }
    }

    /// Replaces the word; `false` if it has changed since it was read.
    pub(crate) fn replace(&self, new: u64) -> bool {
        match self {
            // SAFETY: the tiny word is in every slab; the word says all about the state that it stands for,
            // so an equal word may be replaced wherever it is found.
            Self::Cpu(place, old) => unsafe {
                sections::replace_word(*place, slow_table(), TINY_WORD, *old, new)
            },
            Self::Shard(locked) => {
                locked.slab().word(TINY_WORD).store(new, Relaxed);
                true
            }
        }
    }
}

/// A run of `pages` pages for a large object from this CPU's stack, if it has one; never in tracked mode.
#[inline]
pub(crate) fn pop_run(pages: usize) -> Option<Addr> {
    let stack = slab::stack_of_run(pages)?;
    let place = Place::get()?;
    // SAFETY: a stack of the slab.
    let run = object_of(unsafe { sections::pop(place, &FAST_TABLE, stack) });
    if run.is_none() && !is_tracked() {
        run_missed(place, stack);
    }
    run
}

/// Lets this CPU keep more runs on `stack`, which a request has found empty.
#[cold]
fn run_missed(place: Place, stack: usize) {
    if let Some(cpu) = cpu_at(place)
        && let Some(slab) = slab_of(cpu)
    {
        capacity::grow(place, slow_table(), cpu, slab, stack);
    }
}

/// Keeps a run of `pages` pages on this CPU's stack; `false` if it is for others to keep.
///
/// # Safety
/// The run is free, and the caller's.
#[inline]
pub(crate) unsafe fn push_run(pages: usize, run: Addr) -> bool {
    let (Some(stack), Some(place)) = (slab::stack_of_run(pages), Place::get()) else { return false };
    // SAFETY: the caller's promise.
    unsafe { sections::push(place, &FAST_TABLE, stack, run) }
}

/// Runs on all CPUs' stacks and their pages, racy.
pub(crate) fn waiting_runs() -> (usize, usize) {
    let cpus = caches_seen().filter_map(Cache::slab);
    cpus.map(Slab::runs).fold((0, 0), |(runs, pages), (more, more_pages)| (runs + more, pages + more_pages))
}

/// Bytes in all caches, racy.
pub(crate) fn cached_bytes() -> usize {
    let cpus = caches_seen().filter_map(Cache::slab);
    cpus.chain(shard::slabs()).map(Slab::cached_bytes).sum()
}

/// Objects of each class in all caches, racy.
pub(crate) fn cached_objects() -> [usize; ALL_CLASSES] {
    let mut objects = [0; ALL_CLASSES];
    let cpus = caches_seen().filter_map(Cache::slab);
    for slab in cpus.chain(shard::slabs()) {
        for (class, count) in objects.iter_mut().enumerate().filter(|(class, _)| slab::MAX_SLOTS[*class] != 0)
        {
            *count += slab.read(class).objects(class);
        }
    }
    objects
}

/// CPUs and shards that have a slab.
pub(crate) fn slab_count() -> usize {
    caches_seen().filter(|cpu| cpu.slab().is_some()).count() + shard::slabs().count()
}

/// Calls `each` with address and bytes of every slab.
pub(crate) fn for_each_slab_mapping(mut each: impl FnMut(Addr, usize)) {
    let cpus = caches_seen().filter_map(Cache::slab);
    cpus.chain(shard::slabs()).for_each(|slab| each(slab.0, SLAB_BYTES));
}

/// Bytes of the slabs, as far as they may be backed by memory.
pub(crate) fn metadata_bytes() -> usize {
    slab_count() * SLAB_BYTES
}
