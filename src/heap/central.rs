//! The central lists (mcentral): per class the spans that have free objects, ordered by how full they are,
//! and in front of them a transfer cache of objects on their way from one CPU to another.
//!
//! Objects come from the fullest span, so that the emptiest drain and go back to the page heap. Go's
//! division into swept and unswept sets has no place here, where `free` is explicit.

mod blocks;
mod transfer;

use super::page_map::{self, PageId};
use super::size_class::{
    ALL_CLASSES, OBJECT_BYTES, SPAN_OBJECTS, TINY_BLOCK, TINY_PAGES, object_bytes_of, object_index,
};
use super::span::{List, Span, State};
use super::{diagnose, maintenance, pages};
use crate::base::{Addr, PAGE_BYTES};
use crate::sync::{Mutex, MutexGuard, Rank};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
pub(crate) use transfer::granted_bytes;
use transfer::{Allowance, LockedTransfer, Transfer, most_transferred};

/// Most objects that move at once between a cache and a central list.
pub(crate) const MAX_BATCH: usize = 64;
/// Fewest: the large ones.
pub(crate) const MIN_BATCH: usize = 2;
/// Bytes of a batch of more than [`FEW`] objects at most. Where threads hand objects on, each class has about three batches
/// on the way, beside what is in use.
const BATCH_BYTES: usize = 4 << 10;
/// So many make the lock cheap …
const FEW: usize = 16;
/// … but no more bytes than these should wait.
const MAX_BATCH_BYTES: usize = 64 << 10;

/// Where objects go round from one CPU to another, the first request that finds none on the way gets this part of what
/// it asks for from the spans: some may come back soon, and each more would go round for good.
const SPARING: usize = 4;

/// The fewest objects of `bytes` that fill whole cache lines: if what two CPUs get of a fresh span is a multiple of it,
/// they share none.
const fn whole_lines(bytes: usize) -> usize {
    let power_of_two = 1 << bytes.trailing_zeros();
    if power_of_two < 64 { 64 / power_of_two } else { 1 }
}

/// Objects that move at once, by class; 1 for classes without objects.
static BATCH: [u8; ALL_CLASSES] = {
    let (mut batch, mut class) = ([1; ALL_CLASSES], 0);
    while class < ALL_CLASSES {
        let bytes = object_bytes_of(class);
        if bytes != 0 {
            batch[class] = batch_of_bytes(bytes) as u8;
        }
        class += 1;
    }
    batch
};

/// Objects that move at once, for a class that has objects.
#[inline]
pub(crate) fn batch_of(class: usize) -> usize {
    // It has nothing else; said because slices and divisions would be checked.
    usize::from(BATCH[class]).clamp(1, MAX_BATCH)
}

/// The same, for objects of `bytes`.
const fn batch_of_bytes(bytes: usize) -> usize {
    match (MAX_BATCH_BYTES / bytes, BATCH_BYTES / bytes) {
        (..MIN_BATCH, _) => MIN_BATCH,
        (objects @ ..FEW, _) => objects,
        (_, ..FEW) => FEW,
        (_, objects @ ..MAX_BATCH) => objects - objects % whole_lines(bytes),
        _ => MAX_BATCH,
    }
}

/// Calls `each` with address and bytes of the lists of free objects. A place behind the end of a list still
/// names the object that was taken from it.
pub(crate) fn for_each_list(mut each: impl FnMut(Addr, usize)) {
    let (blocks, bytes) = blocks::memory();
    each(blocks, bytes);
}

/// Lists by the log2 of the number of free objects.
const LISTS: usize = usize::BITS as usize - super::size_class::MAX_OBJECTS_PER_SPAN.leading_zeros() as usize;

/// The spans of a class.
struct Spans {
    /// `with_free[k]`: spans with `2^k .. 2^(k+1)` free objects. Full spans are in no list.
    with_free: [List; LISTS],
    /// Bit k: `with_free[k]` is not empty.
    nonempty: u32,
}

impl Spans {
    const fn new() -> Self {
        Self { with_free: [const { List::new() }; LISTS], nonempty: 0 }
    }

    /// The span with the fewest free objects, to the nearest power of two.
    fn fullest(&self) -> Option<&'static Span> {
        if self.nonempty == 0 {
            None
        } else {
            self.with_free[self.nonempty.trailing_zeros() as usize].first()
        }
    }

    /// Moves a span to the list for its number of free objects, which was `before`.
    ///
    /// # Safety
    /// The caller holds the class's lock; the span is of the class.
    // Not three times in the code that every process holds.
    #[inline(never)]
    unsafe fn update(&mut self, span: &'static Span, before: u16, now: u16) {
        let (from, to) = (list_of(before), list_of(now));
        if from == to {
            return;
        }
        // SAFETY: the lock is held; a span with `before > 0` free objects is in that list, else in none.
        unsafe {
            if let Some(from) = from {
                self.with_free[from].remove(span);
                if self.with_free[from].is_empty() {
                    self.nonempty &= !(1 << from);
                }
            }
            if let Some(to) = to {
                self.with_free[to].push(span);
                self.nonempty |= 1 << to;
            }
        }
    }
}

/// The list for a number of free objects; none for a full span.
fn list_of(free_objects: u16) -> Option<usize> {
    free_objects.checked_ilog2().map(|log| log as usize)
}

/// One class: two locks, since the transfer cache is used far more often, and numbers for statistics.
struct Central {
    transfer: Mutex<Transfer>,
    spans: Mutex<Spans>,
    span_count: AtomicU32,
    /// Objects of all spans that are out: in caches, in the transfer cache or with the program.
    objects_out: AtomicUsize,
    /// Objects in the transfer cache, so that empty ones are not locked.
    transferred: AtomicU32,
    /// Objects that the transfer cache may hold, the backlog apart: none while objects only come back. Those would be
    /// from all over the heap, and each keeps its span from becoming free pages.
    transfer_limit: AtomicU32,
    /// What it may hold beyond that.
    allowance: Allowance,
    /// Whether a CPU has asked for objects since the last [`trim_transfers`].
    wanted: AtomicBool,
    /// Whether the transfer cache had some for the last that asked, and has not been emptied since.
    supplied: AtomicBool,
}

/// By class, up to the last one that has objects.
static CENTRALS: [Central; TINY_BLOCK + 1] = [const { Central::new() }; TINY_BLOCK + 1];

impl Central {
    const fn new() -> Self {
        Self {
            transfer: Mutex::new(Rank::Transfer, Transfer::new()),
            spans: Mutex::new(Rank::Central, Spans::new()),
            span_count: AtomicU32::new(0),
            objects_out: AtomicUsize::new(0),
            transferred: AtomicU32::new(0),
            transfer_limit: AtomicU32::new(0),
            allowance: Allowance::new(),
            wanted: AtomicBool::new(false),
            supplied: AtomicBool::new(false),
        }
    }

    /// Notes what the transfer cache holds, under its lock.
    fn note_transferred(&self, locked: &LockedTransfer) {
        self.transferred.store(locked.objects() as u32, Relaxed);
    }

    /// How many of the `wanted` objects of `bytes` that the transfer cache does not have are to come from the spans.
    fn most_from_spans(&self, wanted: usize, bytes: usize) -> usize {
        // Not locked: who is told wrong takes a batch more, or comes again sooner.
        let go_round = self.supplied.load(Relaxed);
        self.supplied.store(false, Relaxed);
        let lines = whole_lines(bytes);
        if go_round { (wanted.div_ceil(SPARING * lines) * lines).min(wanted) } else { wanted }
    }

    /// Objects that the transfer cache of `class`, this one, may hold, the backlog included.
    fn limit(&self, class: usize) -> usize {
        self.transfer_limit.load(Relaxed) as usize + self.allowance.objects(class)
    }
}

/// All take two pages, with the beginning of the table of slabs, which comes behind them in the library.
const _: () =
    assert!(cfg!(loom) || cfg!(debug_assertions) || cfg!(besom_measure) || size_of::<Central>() <= 104);

/// Takes up to `into.len()` objects of `class`, returns how many: as many as there are on the way between CPUs, or some
/// from the spans; 0 only when out of memory.
pub(crate) fn take(class: usize, into: &mut [Addr]) -> usize {
    let central = &CENTRALS[class];
    central.wanted.store(true, Relaxed);
    if central.transferred.load(Relaxed) != 0 {
        let mut locked = LockedTransfer::lock(class);
        let n = locked.take(into);
        central.note_transferred(&locked);
        if n > 0 {
            central.supplied.store(true, Relaxed);
            return n;
        }
    }
    central.allowance.note_underflow(class);
    let (limit, batch) = (central.transfer_limit.load(Relaxed) as usize, batch_of(class));
    let most = most_transferred(OBJECT_BYTES[class] as usize, batch);
    if limit < most {
        // Two at once may count as one: the limit is a guess.
        central.transfer_limit.store((2 * limit).clamp(batch, most) as u32, Relaxed);
    }
    let most = central.most_from_spans(into.len(), OBJECT_BYTES[class] as usize);
    take_from_spans(class, &mut into[..most])
}

/// Returns objects of `class`.
pub(crate) fn give(class: usize, objects: &[Addr]) {
    if objects.is_empty() {
        return;
    }
    let central = &CENTRALS[class];
    maintenance::note_returned(objects.len() * OBJECT_BYTES[class] as usize);
    let limit = central.limit(class);
    let mut kept = 0;
    if limit > 0 {
        let mut locked = LockedTransfer::lock(class);
        kept = locked.give(objects, limit);
        central.note_transferred(&locked);
        if kept < objects.len() {
            central.allowance.note_overflow();
        }
    }
    give_to_spans(class, &objects[kept..]);
}

/// As [`take`] for a class that has shown to free and take again more than its caches hold: many batches at once, by
/// way of `push`, which takes as many of a slice as it has room for, the first ones. At most about `most` objects; 0
/// for other classes, and if none wait. The lock is held for as many as move, some microseconds for a thousand.
pub(crate) fn take_many(class: usize, most: usize, mut push: impl FnMut(&[Addr]) -> usize) -> usize {
    let central = &CENTRALS[class];
    if most == 0 || !central.allowance.is_given() || central.transferred.load(Relaxed) == 0 {
        return 0;
    }
    central.wanted.store(true, Relaxed);
    let mut locked = LockedTransfer::lock(class);
    let taken = repeat(most, |most| locked.offer(most, &mut push));
    central.note_transferred(&locked);
    if taken > 0 {
        central.supplied.store(true, Relaxed);
    }
    taken
}

/// As [`give`] for such a class, by way of `pop`, which fills a slice from its beginning as far as it has objects.
pub(crate) fn give_many(class: usize, most: usize, mut pop: impl FnMut(&mut [Addr]) -> usize) -> usize {
    let central = &CENTRALS[class];
    if most == 0 || !central.allowance.is_given() {
        return 0;
    }
    let limit = central.limit(class);
    let mut locked = LockedTransfer::lock(class);
    let given = repeat(most, |most| locked.accept(limit, most, &mut pop));
    central.note_transferred(&locked);
    drop(locked);
    maintenance::note_returned(given * OBJECT_BYTES[class] as usize);
    given
}

/// Calls `some` with what is left of `most` until nothing is, or it does nothing; the sum of what it did.
fn repeat(most: usize, mut some: impl FnMut(usize) -> usize) -> usize {
    let mut done = 0;
    while done < most {
        match some(most - done) {
            0 => break,
            n => done += n,
        }
    }
    done
}

fn take_from_spans(class: usize, into: &mut [Addr]) -> usize {
    let central = &CENTRALS[class];
    let mut spans = central.spans.lock();
    let mut taken = 0;
    while taken < into.len() {
        let span = match spans.fullest() {
            Some(span) => span,
            None => {
                let (again, span) = add_span(class, spans);
                spans = again;
                // Out of memory is no reason to stop if another thread has returned objects meanwhile.
                match span.or_else(|| spans.fullest()) {
                    Some(span) => span,
                    None => break,
                }
            }
        };
        // SAFETY: the class's lock is held, and the span is of the class.
        unsafe {
            let before = span.guarded().free_objects;
            taken += span.take(&mut into[taken..]);
            spans.update(span, before, span.guarded().free_objects);
        }
    }
    central.objects_out.fetch_add(taken, Relaxed);
    // A cache pops in the reverse of the order it is filled in: the lowest address comes out first.
    // By hand: `reverse` makes 800 bytes of it, of code that counts as memory of every process.
    let (mut low, mut high) = (0, taken);
    while low + 1 < high {
        high -= 1;
        into.swap(low, high);
        low += 1;
    }
    taken
}

/// Gets a span from the page heap, with the lock released, since that may take system calls.
fn add_span(
    class: usize,
    spans: MutexGuard<'static, Spans>,
) -> (MutexGuard<'static, Spans>, Option<&'static Span>) {
    drop(spans);
    let map_class = if class == TINY_BLOCK { TINY_PAGES } else { class };
    let span =
        pages::alloc_span(Span::pages_of_class(class), 1, State::Small, map_class).map(|(span, is_fresh)| {
            if is_fresh {
                maintenance::note_growth(span.pages() * PAGE_BYTES);
            }
            span
        });
    if let Some(span) = span {
        // SAFETY: nobody else knows the span yet.
        unsafe { span.clear_objects() };
        CENTRALS[class].span_count.fetch_add(1, Relaxed);
    }
    let mut spans = CENTRALS[class].spans.lock();
    if let Some(span) = span {
        // SAFETY: the lock is held; the span is in no list yet.
        unsafe { spans.update(span, 0, span.guarded().free_objects) };
    }
    (spans, span)
}

/// Returns objects of `class` past the transfer cache: nobody is going to want them soon.
pub(crate) fn give_to_spans(class: usize, objects: &[Addr]) {
    for objects in objects.chunks(MAX_BATCH) {
        let mut spans_of = [const { MaybeUninit::uninit() }; MAX_BATCH];
        let spans_of = locate(objects, &mut spans_of);
        let mut empty = [const { MaybeUninit::uninit() }; MAX_BATCH];
        let mut count = 0;
        let mut spans = CENTRALS[class].spans.lock();
        let mut next = 0;
        while next < objects.len() {
            let span = spans_of[next];
            // Objects that were allocated together tend to be freed together: the lists see them as one.
            let same = spans_of[next..].iter().take_while(|other| core::ptr::eq(**other, span)).count();
            if put(class, &mut spans, span, &objects[next..next + same]) {
                empty[count].write(span);
                count += 1;
            }
            next += same;
        }
        CENTRALS[class].objects_out.fetch_sub(objects.len(), Relaxed);
        drop(spans);
        CENTRALS[class].span_count.fetch_sub(count as u32, Relaxed);
        for span in &empty[..count] {
            // SAFETY: the first `count` have been written.
            pages::free_span(unsafe { span.assume_init() });
        }
    }
}

/// The span of each object, with its record on the way to the cache: spans are found before the lock is taken,
/// so that it covers no look-up and waits for memory once, not once for each span. Ends the process if one
/// does not lie in a span of the class.
fn locate<'a>(
    objects: &[Addr],
    spans: &'a mut [MaybeUninit<&'static Span>; MAX_BATCH],
) -> &'a [&'static Span] {
    let mut last: Option<(PageId, &'static Span)> = None;
    for (&object, span) in objects.iter().zip(spans.iter_mut()) {
        let Some(page) = page_map::page_of(object) else { diagnose::free_of_free(object) };
        let record = match last {
            Some((same, record)) if same == page => record,
            _ => {
                // Spans of classes are short, so their entries always say the whole way to the first page.
                let record = super::span::record(PageId(page.0 - page_map::entry_of(page).place() as u32));
                record.prefetch();
                record
            }
        };
        last = Some((page, record));
        span.write(record);
    }
    // SAFETY: the loop has written as many as there are objects; the type adds nothing to a reference.
    unsafe { core::slice::from_raw_parts(spans.as_ptr().cast(), objects.len()) }
}

/// Puts objects back into their span; `true` if it is empty now, and taken out of the lists. Ends the process
/// if one is not out: this is where a double free shows at the latest.
fn put(class: usize, spans: &mut Spans, span: &'static Span, objects: &[Addr]) -> bool {
    let map_class = if class == TINY_BLOCK { TINY_PAGES } else { class };
    // An object that was freed twice may have lain in a span that is gone.
    if span.state() != State::Small || span.class() != map_class {
        diagnose::free_of_free(objects[0]);
    }
    let (base, capacity) = (span.base(), SPAN_OBJECTS[class]);
    // SAFETY: the class's lock is held, and the span is of the class.
    unsafe {
        let before = span.guarded().free_objects;
        let indices = objects.iter().map(|object| object_index(map_class, object.0.wrapping_sub(base.0)));
        if let Err(index) = span.put(indices, capacity as usize) {
            diagnose::free_of_free(base.plus(index * OBJECT_BYTES[class] as usize));
        }
        let now = before + objects.len() as u16;
        let is_empty = now == capacity;
        spans.update(span, before, if is_empty { 0 } else { now });
        is_empty
    }
}

/// Returns to the spans what transfer caches have held without need since the last call, or everything.
pub(crate) fn trim_transfers(everything: bool) {
    for (class, central) in (1..).zip(&CENTRALS[1..=TINY_BLOCK]) {
        // Not locked, as most classes are not in use: a request between the two counts for this look.
        let wanted = central.wanted.load(Relaxed);
        if wanted {
            central.wanted.store(false, Relaxed);
        }
        let everything = everything || !wanted;
        if everything {
            central.allowance.withdraw_all(class);
            if central.transfer_limit.load(Relaxed) != 0 {
                central.transfer_limit.store(0, Relaxed);
                central.supplied.store(false, Relaxed);
                LockedTransfer::lock(class).release_spare();
            }
        }
        if central.allowance.is_given() {
            let limit = central.transfer_limit.load(Relaxed) as usize;
            LockedTransfer::lock(class).return_unused(limit, &central.allowance);
        }
        // No more than there are now: others may give as fast as this takes.
        let mut left = central.transferred.load(Relaxed) as usize;
        while left > 0 {
            let mut batch = [Addr(0); MAX_BATCH];
            let mut locked = LockedTransfer::lock(class);
            let n = locked.take_surplus(everything, &mut batch, &central.allowance);
            central.note_transferred(&locked);
            drop(locked);
            if n == 0 {
                break;
            }
            give_to_spans(class, &batch[..n]);
            left = left.saturating_sub(n);
        }
    }
}

/// Bytes of the objects in all transfer caches, racy.
pub(crate) fn transferred_bytes() -> usize {
    let transferred = |(class, central): (usize, &Central)| {
        central.transferred.load(Relaxed) as usize * OBJECT_BYTES[class] as usize
    };
    CENTRALS.iter().enumerate().map(transferred).sum()
}

/// What a class holds.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ClassCounts {
    /// Spans in use.
    pub(crate) spans: usize,
    /// Objects in caches or with the program.
    pub(crate) objects_out: usize,
    /// Of these, objects in the transfer cache.
    pub(crate) transferred: usize,
}

/// What `class` holds, racy.
pub(crate) fn counts(class: usize) -> ClassCounts {
    let central = &CENTRALS[class];
    ClassCounts {
        spans: central.span_count.load(Relaxed) as usize,
        objects_out: central.objects_out.load(Relaxed),
        transferred: central.transferred.load(Relaxed) as usize,
    }
}

/// Calls `each` for every object in the transfer cache of `class`, under its lock.
#[cfg(test)]
pub(crate) fn for_each_transferred(class: usize, mut each: impl FnMut(Addr)) {
    let mut locked = LockedTransfer::lock(class);
    locked.for_each(&mut each);
}

/// Whether these locks come free before `deadline`: see [`Mutex::comes_free`].
pub(crate) fn locks_come_free(deadline: u64) -> bool {
    CENTRALS.iter().all(|central| central.transfer.comes_free(deadline) && central.spans.comes_free(deadline))
}

/// Takes the locks of all classes, for fork.
pub(crate) fn acquire_for_fork() {
    CENTRALS.iter().for_each(|central| central.transfer.acquire_for_fork());
    CENTRALS.iter().for_each(|central| central.spans.acquire_for_fork());
}

/// Gives them back.
///
/// # Safety
/// After [`acquire_for_fork`], in the same thread or its copy in the child.
pub(crate) unsafe fn release_after_fork() {
    // SAFETY: passed on to the caller.
    unsafe {
        CENTRALS.iter().rev().for_each(|central| central.spans.release_after_fork());
        CENTRALS.iter().rev().for_each(|central| central.transfer.release_after_fork());
    }
}

#[cfg(test)]
mod tests;
