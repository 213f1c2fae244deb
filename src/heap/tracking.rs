//! Tracked mode (leak mode, `check=1`): a record per object in an array beside its span.
//!
//! In this mode every malloc and free leaves the fast path and comes through here. A record says what was
//! requested, by which stack and in which generation; its "live" bit finds a double free at once. Records
//! are words, allocated per span on the first object and kept with the span until its pages go back. A span
//! of one object has a second word, for sizes that do not fit in the first.

use super::diagnose::Operation;
use super::page_heap::Thp;
use super::page_map::{self, PageId};
use super::pages;
use super::size_class::{MAX_SMALL_BYTES, is_object_start, object_index};
use super::span::{self, Span};
use crate::base::Addr;
use crate::sync::{Mutex, Rank};
use crate::sys::memory;
use core::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// What is kept of an object, in one word:
///
/// ```text
/// bits 0..32   the stack that allocated it; 0: none recorded
/// bits 32..49  bytes requested; LARGE_SIZE: they stand in the next word
/// bits 49..54  LIVE and the other flags
/// bits 54..64  the number of leak checks that had been made when it was allocated or found lost, cut off
/// ```
#[repr(transparent)]
pub(crate) struct Record(AtomicU64);

/// Bytes of a record: the cost of leak mode per object.
pub(crate) const RECORD_BYTES: usize = core::mem::size_of::<Record>();

const STACK_MASK: u64 = u32::MAX as u64;
const SIZE_SHIFT: u32 = 32;
/// The size of objects that stand alone in a span, from this one on.
const LARGE_SIZE: u64 = (1 << 17) - 1;
const _: () = assert!(MAX_SMALL_BYTES < LARGE_SIZE as usize, "only large objects need a second word");
/// The program has the object.
pub(crate) const LIVE: u64 = 1 << 49;
/// It holds no pointers.
pub(crate) const NOSCAN: u64 = 1 << 50;
/// The program asked not to report it.
pub(crate) const IGNORED: u64 = 1 << 51;
/// A check has reported it as lost.
pub(crate) const REPORTED: u64 = 1 << 52;
/// The last check found it lost.
pub(crate) const LOST: u64 = 1 << 53;
const GENERATION_SHIFT: u32 = 54;
const GENERATION_BITS: u32 = u64::BITS - GENERATION_SHIFT;
/// A record's contents.
#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    /// The same with the generation `number`.
    const fn of_generation(self, number: u32) -> Self {
        Self(self.0 << GENERATION_BITS >> GENERATION_BITS | (number as u64) << GENERATION_SHIFT)
    }

    /// Checks from the word's generation to check `number`, of those that can be told apart.
    fn age(self, number: u32) -> u32 {
        number.wrapping_sub(self.generation()) % GENERATIONS
    }
}

impl Record {
    fn word(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Whether the program has the object.
    pub(crate) fn is_live(&self) -> bool {
        self.0.load(Acquire) & LIVE != 0
    }

    /// The stack that allocated it; 0: none recorded.
    pub(crate) fn stack(&self) -> u32 {
        self.word() as u32
    }

    /// Bytes requested.
    #[inline]
    pub(crate) fn requested(&self) -> usize {
        match self.word() >> SIZE_SHIFT & LARGE_SIZE {
            LARGE_SIZE => self.large_size().load(Relaxed) as usize,
            small => small as usize,
        }
    }

    /// Whether `flag` ([`NOSCAN`], [`IGNORED`], …) is set.
    pub(crate) fn has(&self, flag: u64) -> bool {
        self.word() & flag != 0
    }

    /// Notes that check `number` found the object lost.
    pub(crate) fn note_lost(&self, number: u32) {
        self.update(|word| Word(word).of_generation(number).0 | LOST);
    }

    /// Whether the check before check `number` found the object lost.
    pub(crate) fn lost_before(&self, number: u32) -> bool {
        let word = self.word();
        word & LOST != 0 && Word(word).age(number) == 1
    }

    /// Takes the object from the program if check `number` found it lost, and it is neither freed nor excused since.
    /// `true` for one caller only, who has to free its place.
    pub(crate) fn take_lost(&self, number: u32) -> bool {
        let is_lost = |word| word & (LIVE | LOST | IGNORED) == LIVE | LOST && Word(word).age(number) == 0;
        self.0.fetch_update(AcqRel, Relaxed, |word| is_lost(word).then_some(0)).is_ok()
    }

    /// Notes that the program gets the object.
    #[inline(always)]
    fn fill(&self, bytes: usize, noscan: bool) {
        let Captured { stack, generation, flags } = capture(bytes);
        let flags = flags | LIVE | if noscan { NOSCAN } else { 0 };
        let word = Word(flags | u64::from(stack) | self.note_size(bytes));
        self.0.store(word.of_generation(generation).0, Release);
    }

    /// The bits for a size, which is written to the second word if they cannot hold it.
    #[inline(always)]
    fn note_size(&self, bytes: usize) -> u64 {
        if bytes as u64 >= LARGE_SIZE {
            self.large_size().store(bytes as u64, Relaxed);
        }
        (bytes as u64).min(LARGE_SIZE) << SIZE_SHIFT
    }

    /// The second word.
    #[cold]
    fn large_size(&self) -> &AtomicU64 {
        let second = Addr::of(self).plus(RECORD_BYTES);
        // SAFETY: so large an object stands alone in its span, and an array for one object has room for two words.
        unsafe { &*second.ptr::<AtomicU64>() }
    }

    /// Sets a flag, if the program has the object: the words of others may be no records any more.
    pub(crate) fn add(&self, flag: u64) {
        self.update(|word| word | flag);
    }

    /// Forgets that the object was found lost, if that was not by check `number` or the one before.
    fn forget_lost(&self, number: u32) {
        let is_old = |word| word & LOST != 0 && Word(word).age(number) > 1;
        self.update(|word| if is_old(word) { word & !LOST } else { word });
    }

    /// Changes the record of a live object.
    fn update(&self, change: impl Fn(u64) -> u64) {
        let _ = self.0.fetch_update(Release, Relaxed, |word| (word & LIVE != 0).then(|| change(word)));
    }
}

/// Before check `number` + 1: forgets of all objects what was found lost before the last check, if that was not done in
/// the last [`FORGET_AFTER`] checks. Of what was found lost [`GENERATIONS`] checks before the last one, it would seem that
/// the last one had found it.
///
/// # Safety
/// The caller must hold the heap's locks, by [`super::fork::prepare`], so that no span comes or goes, and have called
/// [`pages::note_top`].
pub(crate) unsafe fn forget_lost_if_due(number: u32) {
    static DONE_AT: AtomicU32 = AtomicU32::new(0);
    if number.wrapping_sub(DONE_AT.load(Relaxed)) >= FORGET_AFTER {
        DONE_AT.store(number, Relaxed);
        pages::for_each_span_unlocked(|span| {
            records(span).iter().for_each(|record| record.forget_lost(number))
        });
    }
}

/// Generations that can be told apart.
const GENERATIONS: u32 = 1 << GENERATION_BITS;
/// Checks between two calls that find everything young enough.
const FORGET_AFTER: u32 = GENERATIONS / 2;

/// What the leak checker adds to an allocation of so many bytes.
pub(crate) struct Captured {
    /// The stack's number; 0: none.
    pub(crate) stack: u32,
    /// The number of checks made so far.
    pub(crate) generation: u32,
    /// Flags besides [`LIVE`].
    pub(crate) flags: u64,
}

/// The leak checker's hook.
pub(crate) type Capture = fn(usize) -> Captured;

static CAPTURE: AtomicUsize = AtomicUsize::new(0);

/// Installs the leak checker's part. Before the first object, or some have no stack.
pub(crate) fn set_capture(capture: Capture) {
    CAPTURE.store(capture as usize, Release);
}

#[inline]
fn capture(bytes: usize) -> Captured {
    match CAPTURE.load(Acquire) {
        0 => Captured { stack: 0, generation: 0, flags: 0 },
        // SAFETY: only `set_capture` stores here, and it stores a function of this type.
        address => (unsafe { core::mem::transmute::<usize, Capture>(address) })(bytes),
    }
}

/// What the leak checker does when memory runs out: whether it freed some.
pub(crate) type Relief = fn() -> bool;

static RELIEF: AtomicUsize = AtomicUsize::new(0);

/// Installs it.
pub(crate) fn set_relief(relief: Relief) {
    RELIEF.store(relief as usize, Release);
}

/// Has the leak checker free what it can; whether that was anything.
pub(super) fn relieve() -> bool {
    match RELIEF.load(Acquire) {
        0 => false,
        // SAFETY: only `set_relief` stores here, and it stores a function of this type.
        address => (unsafe { core::mem::transmute::<usize, Relief>(address) })(),
    }
}

/// A small object's class and record, found by one look at the page map.
#[derive(Clone, Copy)]
pub(super) struct Small {
    /// Its class.
    pub(super) class: usize,
    record: &'static Record,
}

/// The small object that begins at `object`; `None` if none does, or if its span has no records yet.
#[inline(always)]
pub(super) fn small(object: Addr) -> Option<Small> {
    let page = page_map::page_of(object)?;
    let entry = page_map::entry_of(page);
    let (class, offset) = (entry.class(), entry.span_offset(object));
    if !is_object_start(class, offset) {
        return None;
    }
    // The place of a page in a span of small objects is never cut off.
    let span = span::record(PageId(page.0 - entry.place() as u32));
    let records = span.side().load(Acquire);
    if records == 0 {
        return None;
    }
    // SAFETY: an object of the span begins here, and the array has a record for each; it lives as long as the
    // span, which does not end while one of its objects is out.
    let record = unsafe { &*Addr(records).ptr::<Record>().add(object_index(class, offset)) };
    Some(Small { class, record })
}

impl Small {
    /// As [`note_free`]; `false` if the program does not have the object.
    #[inline(always)]
    pub(super) fn note_free(self) -> bool {
        self.record.0.swap(0, AcqRel) & LIVE != 0
    }
}

/// Notes that the program gets `object`. `false`: no memory for the span's records, the object has to go
/// back.
pub(super) fn note_alloc(object: Addr, bytes: usize, noscan: bool) -> bool {
    let known = small(object).map(|small| small.record);
    let Some(record) = known.or_else(|| record_to_be(object)) else { return false };
    record.fill(bytes, noscan);
    true
}

/// The record of an object, made if there is none.
#[cold]
#[inline(never)]
fn record_to_be(object: Addr) -> Option<&'static Record> {
    record_of(span::containing(object)?, object, true)
}

/// Notes that the program gives `object` back; ends the process if it does not have it.
pub(super) fn note_free(object: Addr, operation: Operation) {
    let record = find(object);
    if record.is_none_or(|record| record.0.swap(0, AcqRel) & LIVE == 0) {
        operation.bad_pointer(object);
    }
}

/// Notes a new size of an object that stays where it is.
pub(super) fn note_resize(object: Addr, bytes: usize) {
    if let Some(record) = find(object) {
        let noted = u64::from(capture(bytes).stack) | record.note_size(bytes);
        record.update(|word| word & !(STACK_MASK | (LARGE_SIZE << SIZE_SHIFT)) | noted);
    }
}

/// The record of the object that begins at `object`, if records are kept for its span.
pub(crate) fn find(object: Addr) -> Option<&'static Record> {
    let span = span::containing(object)?;
    let index = index_in(span, object);
    (index < span.objects() && span.base().0 + index * span.object_bytes() == object.0)
        .then(|| record_of(span, object, false))
        .flatten()
}

/// The record of object `index` of `span`, if records are kept for it.
pub(crate) fn record(span: &Span, index: usize) -> Option<&'static Record> {
    let records = span.side().load(Acquire);
    if records == 0 || index >= span.objects() {
        return None;
    }
    // SAFETY: the array has a record for every object of the span and lives as long as the span does.
    Some(unsafe { &*Addr(records).ptr::<Record>().add(index) })
}

/// The records of a span's objects, in their order; none if it has never held an object.
pub(crate) fn records(span: &Span) -> &'static [Record] {
    let records = span.side().load(Acquire);
    if records == 0 {
        return &[];
    }
    // SAFETY: the array has a record, all of atomics, for every object of the span and lives as long as the span does.
    unsafe { core::slice::from_raw_parts(Addr(records).ptr::<Record>(), span.objects()) }
}

fn index_in(span: &Span, object: Addr) -> usize {
    let offset = object.0 - span.base().0;
    if span.objects() == 1 { 0 } else { object_index(page_map::entry(object).class(), offset) }
}

fn record_of(span: &'static Span, object: Addr, create: bool) -> Option<&'static Record> {
    if create && span.side().load(Acquire) == 0 {
        let array = ARRAYS.lock().alloc(words_of(span))?;
        if span.side().compare_exchange(0, array.0, AcqRel, Acquire).is_err() {
            ARRAYS.lock().free(array, words_of(span));
        }
    }
    record(span, index_in(span, object))
}

/// Gives a span's records back before its pages go.
pub(super) fn drop_records(span: &Span) {
    let records = span.side().swap(0, AcqRel);
    if records != 0 {
        ARRAYS.lock().free(Addr(records), words_of(span));
    }
}

/// Words of a span's array: of one object it may be large.
fn words_of(span: &Span) -> usize {
    span.objects().max(2)
}

/// Arrays of words, by powers of two of their length: a freed one is chained through its first word.
struct Arrays {
    free: [Addr; SIZES],
    /// The unused rest of the last block from the kernel.
    fresh: Addr,
    fresh_end: Addr,
}

/// Lengths 1, 2, … 1024; the first is not asked for.
const SIZES: usize = 11;
/// Bytes asked of the kernel at once.
const BLOCK_BYTES: usize = 16 << 20;
/// Most blocks: 64 GiB of records, for eight billion small objects.
const MAX_BLOCKS: usize = 4096;
/// Where the blocks are.
static BLOCKS: [AtomicUsize; MAX_BLOCKS] = [const { AtomicUsize::new(0) }; MAX_BLOCKS];

static ARRAYS: Mutex<Arrays> =
    Mutex::new(Rank::LeakTables, Arrays { free: [Addr(0); SIZES], fresh: Addr(0), fresh_end: Addr(0) });

/// Bytes that arrays of records have taken from the kernel.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes that records have taken from the kernel, for statistics.
pub(crate) fn bytes() -> usize {
    BYTES.load(Relaxed)
}

impl Arrays {
    /// A zeroed array of at least `len` words.
    fn alloc(&mut self, len: usize) -> Option<Addr> {
        let size = len.next_power_of_two().ilog2() as usize;
        let bytes = RECORD_BYTES << size;
        let head = self.free[size];
        if head != Addr(0) {
            // SAFETY: a free array of this length, whose first word chains to the next; it is ours now.
            unsafe {
                self.free[size] = head.ptr::<Addr>().read();
                core::ptr::write_bytes(head.ptr::<u8>(), 0, bytes);
            }
            return Some(head);
        }
        if self.fresh_end.0 - self.fresh.0 < bytes {
            let slot = BLOCKS.get(BYTES.load(Relaxed) / BLOCK_BYTES)?;
            self.fresh = memory::map(BLOCK_BYTES, memory::Access::ReadWrite).ok()?;
            self.fresh_end = self.fresh.plus(BLOCK_BYTES);
            advise_block(self.fresh, BYTES.load(Relaxed) == 0);
            slot.store(self.fresh.0, Release);
            BYTES.fetch_add(BLOCK_BYTES, Relaxed);
        }
        let array = self.fresh;
        self.fresh = array.plus(bytes);
        Some(array)
    }

    fn free(&mut self, array: Addr, len: usize) {
        let size = len.next_power_of_two().ilog2() as usize;
        // SAFETY: the array came from `alloc` with this length and nobody uses it any more.
        unsafe { array.ptr::<Addr>().write(self.free[size]) };
        self.free[size] = array;
    }
}

/// Asks for huge pages, as the heap does: a check copies the page tables of what it reads, and records take an
/// eighth as many small pages as objects of 64 bytes. The first block, which few programs fill, waits for
/// `thp=always`.
fn advise_block(block: Addr, is_first: bool) {
    let advice = match Thp::from_config() {
        Thp::Never => libc::MADV_NOHUGEPAGE,
        Thp::Auto if is_first => return,
        Thp::Auto | Thp::Always => libc::MADV_HUGEPAGE,
    };
    // A kernel without huge pages refuses, which leaves things as they are.
    // SAFETY: the block has just been mapped; the advice changes no contents.
    let _ = unsafe { memory::advise(block, BLOCK_BYTES, advice) };
}

/// Whether the lock comes free before `deadline`: see [`Mutex::comes_free`].
pub(super) fn lock_comes_free(deadline: u64) -> bool {
    ARRAYS.comes_free(deadline)
}

/// The lock, for fork.
pub(super) fn acquire_for_fork() {
    ARRAYS.acquire_for_fork();
}

/// Gives it back.
///
/// # Safety
/// After [`acquire_for_fork`], in the same thread or its copy in the child.
pub(super) unsafe fn release_after_fork() {
    // SAFETY: passed on to the caller.
    unsafe { ARRAYS.release_after_fork() };
}

/// Calls `each` for every mapping that holds records, as far as they are known: whole blocks.
pub(crate) fn for_each_mapping(mut each: impl FnMut(Addr, usize)) {
    for block in &BLOCKS {
        match block.load(Acquire) {
            0 => {}
            at => each(Addr(at), BLOCK_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zeroed words as a span of one object has them.
    fn alone() -> [Record; 2] {
        [const { Record(AtomicU64::new(0)) }; 2]
    }

    #[test]
    fn a_record_keeps_every_size() {
        let records = alone();
        let sizes = [0, 1, 32 << 10, LARGE_SIZE as usize - 1, LARGE_SIZE as usize, 1 << 20, (1 << 47) - 1];
        for bytes in sizes {
            records[0].fill(bytes, bytes % 2 == 1);
            assert_eq!((records[0].requested(), records[0].is_live()), (bytes, true));
            assert_eq!(records[0].has(NOSCAN), bytes % 2 == 1);
            records[0].add(REPORTED);
            assert_eq!(records[0].requested(), bytes);
        }
    }

    #[test]
    fn lost_twice_running_is_told_from_lost_long_ago() {
        let [record, _] = alone();
        record.note_lost(6);
        assert!(!record.has(LOST), "nobody has the object");
        record.fill(100, false);
        for number in [7, GENERATIONS - 1, GENERATIONS, u32::MAX] {
            record.note_lost(number);
            assert!(record.lost_before(number.wrapping_add(1)));
            assert!(!record.lost_before(number) && !record.lost_before(number.wrapping_add(2)));
            assert_eq!(record.requested(), 100);
        }
        record.fill(100, false);
        assert!(!record.has(LOST));
    }

    #[test]
    fn what_a_check_found_lost_is_taken_once_and_only_as_it_was_found() {
        let [record, _] = alone();
        let lose = || {
            record.fill(100, false);
            record.note_lost(6);
        };
        lose();
        assert!(!record.take_lost(5) && !record.take_lost(7) && record.is_live());
        assert!(record.take_lost(6) && !record.is_live() && !record.take_lost(6));
        record.fill(100, false);
        assert!(!record.take_lost(6), "another object in its place");
        lose();
        record.add(IGNORED);
        assert!(!record.take_lost(6), "excused since");
    }

    #[test]
    fn what_was_lost_long_ago_is_forgotten_before_it_seems_new() {
        for found_at in [5, FORGET_AFTER - 1, FORGET_AFTER, GENERATIONS + 3] {
            let [record, _] = alone();
            record.fill(100, false);
            record.note_lost(found_at);
            record.forget_lost(found_at);
            record.forget_lost(found_at + 1);
            assert!(record.lost_before(found_at + 1), "of the last two checks nothing is forgotten");
            assert!(record.lost_before(found_at + 1 + GENERATIONS), "else it would seem so");
            // Some check is the first to look again, at the latest after so many.
            record.forget_lost(found_at + 2 + FORGET_AFTER);
            assert!(!record.lost_before(found_at + 1 + GENERATIONS) && record.is_live());
            assert_eq!(record.requested(), 100);
        }
    }

    #[test]
    fn the_record_of_no_object_stays_as_it_is() {
        let [record, _] = alone();
        record.0.store(0x7fff_1234_5678, Relaxed);
        record.add(REPORTED | IGNORED);
        record.note_lost(3);
        record.forget_lost(9);
        assert_eq!(record.word(), 0x7fff_1234_5678, "a word that chains free arrays");
    }
}
