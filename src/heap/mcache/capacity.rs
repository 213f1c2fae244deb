//! How many objects a CPU's stacks may hold: more for classes that miss, within a budget in bytes.
//!
//! A class begins with no capacity. A miss of an allocation doubles it, until the CPU's budget is
//! spent; then, if it pays, other classes that have not missed lately give up room, first what is unused, then
//! objects. So what a CPU holds follows what the program does on it, and 10,000 threads on two CPUs hold
//! no more than two CPUs' worth.
//!
//! But only as far as that pays: a larger stack spares misses and costs bytes. A class may take so many bytes more
//! as it has missed often within the last milliseconds, at [`MISSES_PER_KIB`]. So a class that is used a thousandth
//! as often as another, or whose objects are a thousand times as large, holds less. The clock moves on with every 64th
//! slow path or so: where there are fewer in a window, those count as if they had come within one or two, and buy all
//! classes together some tens of KiB at most.

use super::sections;
use super::slab::{MAX_SLOTS, STACKS, Slab, object_bytes};
use super::table::CpuTable;
use super::{CACHES, Cache, Place, cache_of};
use crate::base::Addr;
use crate::config::{self, Key};
use crate::heap::size_class::ALL_CLASSES;
use crate::heap::{central, large, maintenance, pages};
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Classes looked at for room before a growing class is content with what there was.
const VICTIMS: usize = 16;

/// Tries to change a header before giving up: only moves between CPUs and signals make one fail.
const TRIES: usize = 3;

/// An allocation found the stack empty.
const EMPTY: u8 = 1;
/// A free found it full.
const FULL: u8 = 2;

/// All caches together may hold this share of the heap …
const HEAP_SHARE: usize = 8;
/// … but each may hold this much, which a program with a small heap can do with.
const LEAST_BYTES: usize = 1 << 20;

/// A class begins with room for so many objects …
const FIRST_OBJECTS: usize = 16;
/// … of no more bytes.
const FIRST_BYTES: usize = 16 << 10;

/// Large objects that may wait for the next burst whether they pay or not, as a program's buffers do: so many …
const FREE_OBJECTS: usize = 8;
/// … of no more bytes.
const FREE_BYTES: usize = 256 << 10;

/// Misses of a class within about [`WINDOW_NANOSECONDS`], of allocations and of frees, that are worth a KiB more: a miss
/// takes some fifty nanoseconds, so that a ten-thousandth of the time is spared for each KiB.
const MISSES_PER_KIB: usize = 8;
/// After so long, half as many misses count.
const WINDOW_NANOSECONDS: u64 = 4_000_000;
/// Windows by which a thread that was held up may put the clock back.
const HELD_UP_WINDOWS: u16 = 250;

/// Which window it is, as far as the slow paths have looked at the clock. It wraps after four minutes, when misses of
/// then may count once more.
fn current_window() -> u16 {
    (maintenance::recent_nanoseconds() / WINDOW_NANOSECONDS) as u16
}

/// What the cache of a CPU may hold: what the user said, or by default as much as pays beside the heap.
fn most_bytes() -> usize {
    let most = config::get(Key::CpuCache);
    if config::is_given(Key::CpuCache) {
        return most;
    }
    let share = pages::bytes_in_use() / HEAP_SHARE / CACHES.load(Relaxed).max(1);
    share.max(LEAST_BYTES).min(most)
}

/// The books of one CPU. Threads that share the CPU keep them together, so all are atomic; they may be
/// off for a moment but add up.
pub(super) struct Budget {
    /// Bytes that the capacities of all stacks would hold.
    capacity_bytes: AtomicUsize,
    /// The class that is asked for room next.
    next_victim: AtomicU32,
    /// Per class: whether it has missed since it was last asked for room.
    missed: [AtomicU8; STACKS],
    /// Misses, for finding idle CPUs.
    pub(super) misses: AtomicU32,
    /// What [`Self::is_idle`] saw last.
    seen: AtomicU32,
    /// Per class: the header that [`trim_unused`] saw last.
    headers: [AtomicU32; STACKS],
    /// Per class: [`EMPTY`] and [`FULL`], as it was found since the last [`trim_unused`].
    found: [AtomicU8; STACKS],
    /// Per class: misses that found its stack empty, and those that found it full, half as many after each window.
    recent: [[AtomicU16; 2]; STACKS],
    /// Per class: the window of the last one.
    window: [AtomicU16; STACKS],
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self {
            capacity_bytes: AtomicUsize::new(0),
            next_victim: AtomicU32::new(0),
            missed: [const { AtomicU8::new(0) }; STACKS],
            misses: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            headers: [const { AtomicU32::new(0) }; STACKS],
            found: [const { AtomicU8::new(0) }; STACKS],
            recent: [const { [AtomicU16::new(0), AtomicU16::new(0)] }; STACKS],
            window: [const { AtomicU16::new(0) }; STACKS],
        }
    }

    /// Whether nothing has changed in the slab since the last call.
    pub(super) fn is_idle(&self, slab: Slab) -> bool {
        let headers = (0..STACKS).fold(self.misses.load(Relaxed), |sum, class| {
            sum.rotate_left(5).wrapping_add(slab.header(class).load(Relaxed))
        });
        self.seen.swap(headers, Relaxed) == headers
    }

    fn note_found(&self, class: usize, how: u8) {
        // Not locked: the thread that it shares the CPU with will come again.
        self.found[class].store(self.found[class].load(Relaxed) | how, Relaxed);
    }

    /// Notes that a request found the stack of `class` as `how` says.
    fn note_miss(&self, class: usize, how: u8) {
        self.note_found(class, how);
        if how == EMPTY {
            self.missed[class].store(1, Relaxed);
            self.misses.fetch_add(1, Relaxed);
        }
        let now = current_window();
        if self.window[class].load(Relaxed) != now {
            let recent = self.recent_misses(class);
            (0..2).for_each(|how| self.recent[class][how].store(recent[how], Relaxed));
            self.window[class].store(now, Relaxed);
        }
        let recent = &self.recent[class][usize::from(how == FULL)];
        recent.store(recent.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Whether an allocation has found the stack of `class` empty since the last [`trim_unused`].
    fn was_asked_for(&self, class: usize) -> bool {
        self.found[class].load(Relaxed) & EMPTY != 0
    }

    /// Misses that found the stack empty, and those that found it full, those of earlier windows discounted.
    fn recent_misses(&self, class: usize) -> [u16; 2] {
        let windows = current_window().wrapping_sub(self.window[class].load(Relaxed));
        let windows = if windows > u16::MAX - HELD_UP_WINDOWS { 0 } else { windows };
        [0, 1].map(|how| self.recent[class][how].load(Relaxed).checked_shr(windows.into()).unwrap_or(0))
    }

    /// Recent misses that more than `capacity` might have spared. Up to a batch, that makes each miss bring or take more;
    /// beyond, it spares those only that go one way and then the other: what passes through from one CPU to
    /// another comes and goes in batches whatever the capacity. Of runs only those that found none are noted.
    fn spared_misses(&self, class: usize, capacity: usize) -> usize {
        let [empty, full] = self.recent_misses(class).map(|misses| misses as usize);
        if class >= ALL_CLASSES {
            2 * empty
        } else if capacity < batch_of(class) {
            empty + full
        } else {
            2 * empty.min(full)
        }
    }

    /// What a miss may raise the capacity of `class` to: twice as much if the class has missed so often lately that it
    /// pays, or else what everyone may have; and whether it pays.
    fn next_capacity(&self, class: usize, capacity: usize) -> (usize, bool) {
        let wanted = next_capacity(class, capacity);
        let bytes = (wanted - capacity) * object_bytes(class);
        let pays = self.spared_misses(class, capacity) >= bytes * MISSES_PER_KIB / 1024;
        (if pays { wanted } else { wanted.min(free_capacity(class)).max(capacity) }, pays)
    }

    /// Bytes left. The sum is below zero for a moment if less capacity is accounted before the more that
    /// it was taken from.
    fn room(&self) -> usize {
        self.balance().max(0) as usize
    }

    /// The capacity that a stack of `capacity` may have with what is left.
    fn affordable(&self, class: usize, capacity: usize) -> usize {
        capacity + self.room() / object_bytes(class)
    }

    /// Bytes left, or, below zero, too many: the budget shrinks with the heap.
    fn balance(&self) -> isize {
        most_bytes().min(isize::MAX as usize) as isize - (self.capacity_bytes.load(Relaxed) as isize).max(0)
    }

    /// Notes a change of capacity that has been made. Every change is noted as a difference, also when a
    /// stopped slab is emptied: a thread on that CPU may still owe the note of a change it made before.
    pub(super) fn account(&self, class: usize, old: usize, new: usize) {
        let bytes = object_bytes(class);
        self.capacity_bytes.fetch_add(new.wrapping_sub(old).wrapping_mul(bytes), Relaxed);
    }

    /// The next class to ask for room: round robin, but one that has missed lately is let off once.
    fn victim(&self, not: usize) -> Option<usize> {
        (0..2 * STACKS).find_map(|_| {
            let class = 1 + self.next_victim.fetch_add(1, Relaxed) as usize % (STACKS - 1);
            let spared = self.missed[class].swap(0, Relaxed) != 0;
            (class != not && !spared && MAX_SLOTS[class] != 0).then_some(class)
        })
    }
}

/// The operations by which capacities change, on a CPU by sections or on an owned slab plainly.
pub(super) trait Access {
    /// The cache whose books to keep.
    fn cache(&self) -> &'static Cache;
    /// The slab.
    fn slab(&self) -> Slab;
    /// Sets the capacity of `class`; old and new capacity, equal if nothing changed.
    fn set_capacity(&self, class: usize, capacity: usize) -> (usize, usize);
    /// Takes objects off a stack.
    fn pop_batch(&self, class: usize, into: &mut [Addr]) -> usize;
    /// [`take_from_others`]: a function of its own, which the code that every process holds does not contain.
    fn ask_others(&self, class: usize, bytes: usize);
}

/// A CPU's slab, reached by sections.
struct OnCpu {
    place: Place,
    table: &'static CpuTable,
    cpu: usize,
    slab: Slab,
}

impl Access for OnCpu {
    fn cache(&self) -> &'static Cache {
        cache_of(self.cpu)
    }

    fn slab(&self) -> Slab {
        self.slab
    }

    fn set_capacity(&self, class: usize, capacity: usize) -> (usize, usize) {
        for _ in 0..TRIES {
            let old = self.slab.read(class);
            let new = old.with_capacity(class, capacity);
            if new == old {
                return (0, 0);
            }
            // SAFETY: `with_capacity` keeps the header inside the class's stack, in any slab that has `old`.
            match unsafe { sections::replace_header(self.place, self.table, class, old, new) } {
                Some(cpu) if cpu == self.cpu => return (old.capacity(class), new.capacity(class)),
                Some(cpu) => {
                    // Moved: the change is good, but it belongs into the other CPU's books.
                    cache_of(cpu).budget.account(class, old.capacity(class), new.capacity(class));
                    return (0, 0);
                }
                None => {}
            }
        }
        (0, 0)
    }

    fn pop_batch(&self, class: usize, into: &mut [Addr]) -> usize {
        // SAFETY: there is rseq, or there would be no CPU.
        unsafe { sections::pop_batch(self.place, self.table, class, into) }
    }

    #[cold]
    #[inline(never)]
    fn ask_others(&self, class: usize, bytes: usize) {
        take_from_others(self, class, bytes);
    }
}

/// A stack that an allocation has found empty.
#[derive(Clone, Copy)]
pub(super) struct Emptied {
    /// Objects that it has room for now.
    pub(super) capacity: usize,
    /// Objects to ask for, the one that was missed included.
    pub(super) wanted: usize,
}

impl Emptied {
    /// Where there is no stack.
    pub(super) const NO_STACK: Self = Self { capacity: 0, wanted: 1 };
}

/// Gives `class` more capacity after an allocation found its stack empty.
pub(super) fn grow(place: Place, table: &'static CpuTable, cpu: usize, slab: Slab, class: usize) -> Emptied {
    grow_by(&OnCpu { place, table, cpu, slab }, class)
}

/// Gives `class` more capacity after a free found its stack full; returns the capacity.
pub(super) fn grow_for_free(
    place: Place,
    table: &'static CpuTable,
    cpu: usize,
    slab: Slab,
    class: usize,
) -> usize {
    grow_for_free_by(&OnCpu { place, table, cpu, slab }, class)
}

/// Takes off a full stack what is to make room for more; how many objects.
pub(super) fn pop_surplus(
    place: Place,
    table: &'static CpuTable,
    cpu: usize,
    slab: Slab,
    class: usize,
    into: &mut [Addr; central::MAX_BATCH],
) -> usize {
    pop_surplus_by(&OnCpu { place, table, cpu, slab }, class, into)
}

/// Empties the stacks of `cpu` that have not changed since the last call nor missed an object, and halves those that
/// only took objects in: the program frees what it had, and each object that is kept here keeps its span from becoming
/// free pages.
pub(super) fn trim_unused(place: Place, table: &'static CpuTable, cpu: usize, slab: Slab) {
    trim_unused_by(&OnCpu { place, table, cpu, slab });
}

/// As [`trim_unused`], for any way of access.
pub(super) fn trim_unused_by(access: &impl Access) {
    let budget = &access.cache().budget;
    for class in 1..STACKS {
        let (header, found) = (access.slab().read(class), budget.found[class].load(Relaxed));
        let is_same = budget.headers[class].load(Relaxed) == header.0;
        // A loop that frees as much as it takes comes by with the same header again and again.
        let is_unused = is_same && found & EMPTY == 0;
        // Not locked, and not written for nothing: this goes over all stacks, few of which are in use, and what it
        // notes are guesses.
        if found != 0 {
            budget.found[class].store(0, Relaxed);
        }
        if !is_same {
            budget.headers[class].store(header.0, Relaxed);
        }
        let capacity = header.capacity(class);
        if capacity == 0 {
            continue;
        }
        if is_unused {
            lower(access, class, 0);
        } else if found == FULL && capacity > batch_of(class) {
            lower(access, class, (capacity / 2).max(batch_of(class)));
        }
    }
}

/// Lowers the capacity of `class`, and returns to the spans what it holds beyond that.
fn lower(access: &impl Access, class: usize, capacity: usize) {
    let mut surplus = access.slab().read(class).objects(class).saturating_sub(capacity);
    let mut batch = [Addr(0); central::MAX_BATCH];
    while surplus > 0 {
        let wanted = surplus.min(batch.len());
        let popped = access.pop_batch(class, &mut batch[..wanted]);
        give_back_for_good(class, &batch[..popped]);
        surplus -= popped;
        if popped < wanted {
            break;
        }
    }
    let (old, new) = access.set_capacity(class, capacity);
    access.cache().budget.account(class, old, new);
}

/// As [`grow`], for any way of access.
pub(super) fn grow_by(access: &impl Access, class: usize) -> Emptied {
    let budget = &access.cache().budget;
    budget.note_miss(class, EMPTY);
    let mut capacity = access.slab().read(class).capacity(class);
    let (wanted, pays) = budget.next_capacity(class, capacity);
    if wanted > capacity {
        // What need not pay takes what nobody else has.
        if pays {
            make_room(access, class, (wanted - capacity) * object_bytes(class));
        }
        capacity = raise(access, class, capacity, wanted);
    }
    let batch = batch_of(class);
    // Who only takes need not leave room for what comes back.
    let is_one_way = budget.found[class].load(Relaxed) & FULL == 0;
    Emptied {
        capacity,
        wanted: if capacity >= batch && is_one_way { batch } else { wanted_at(capacity).min(batch) },
    }
}

/// As [`grow_for_free`], for any way of access: only what the budget has left, without asking others.
pub(super) fn grow_for_free_by(access: &impl Access, class: usize) -> usize {
    access.cache().budget.note_miss(class, FULL);
    raise_for_free(access, class)
}

/// Raises the capacity for objects that come in, no further than to a batch unless objects of the class were also asked
/// for since the last look for surplus: a phase that only frees has no claim on room that others use.
fn raise_for_free(access: &impl Access, class: usize) -> usize {
    let (capacity, wanted) = capacity_for_free(&access.cache().budget, access.slab(), class);
    raise(access, class, capacity, wanted)
}

/// The capacity of a stack, and what it may become for objects that come in.
// Once in the code that every process holds.
#[inline(never)]
fn capacity_for_free(budget: &Budget, slab: Slab, class: usize) -> (usize, usize) {
    let capacity = slab.read(class).capacity(class);
    let (mut wanted, _) = budget.next_capacity(class, capacity);
    if !budget.was_asked_for(class) {
        wanted = wanted.min(batch_of(class));
    }
    (capacity, wanted.min(budget.affordable(class, capacity)))
}

/// As [`pop_surplus`], for any way of access: a batch, but only half the stack if objects of the class are asked for as
/// well: in the middle, it comes to neither end soon.
pub(super) fn pop_surplus_by(
    access: &impl Access,
    class: usize,
    into: &mut [Addr; central::MAX_BATCH],
) -> usize {
    let batch = batch_of(class);
    let (capacity, wanted) = capacity_for_free(&access.cache().budget, access.slab(), class);
    // If it may have more, it is full in a place without room for that, which it leaves only when it is empty.
    if wanted <= capacity && access.cache().budget.was_asked_for(class) {
        return access.pop_batch(class, &mut into[..batch.min((capacity / 2).max(1))]);
    }
    let popped = access.pop_batch(class, &mut into[..batch]);
    raise_for_free(access, class);
    popped
}

/// Objects to ask for when a stack of `capacity` is empty that others fill, too: about half of it, the one that was missed
/// included.
///
/// Where that are many, as of small objects, a multiple of eight, so that what two CPUs get of a fresh span shares no
/// cache line: or each batch would end in the middle of one, and the CPUs' writes to the objects there meet for good.
fn wanted_at(capacity: usize) -> usize {
    if capacity >= 16 { (capacity / 2) & !7 } else { capacity / 2 + 1 }
}

/// Objects that leave a stack at once.
fn batch_of(class: usize) -> usize {
    if class < ALL_CLASSES { central::batch_of(class) } else { 1 }
}

/// Returns what came off a stack to where others find it.
pub(super) fn give_back(class: usize, objects: &[Addr]) {
    if class < ALL_CLASSES {
        central::give(class, objects);
    } else {
        objects.iter().for_each(|&run| large::release_run(run));
    }
}

/// Returns what came off a stack to where it may become free pages.
fn give_back_for_good(class: usize, objects: &[Addr]) {
    if class < ALL_CLASSES {
        central::give_to_spans(class, objects);
    } else {
        give_back(class, objects);
    }
}

/// Twice the capacity, at most what the slab has room for.
fn next_capacity(class: usize, capacity: usize) -> usize {
    (2 * capacity).max(first_capacity(class)).min(MAX_SLOTS[class] as usize)
}

/// What a class may have without paying: the first capacity, or some large objects.
fn free_capacity(class: usize) -> usize {
    first_capacity(class).max((FREE_BYTES / object_bytes(class).max(1)).min(FREE_OBJECTS))
}

/// What a class begins with: few objects and few bytes.
fn first_capacity(class: usize) -> usize {
    (FIRST_BYTES / object_bytes(class).max(1)).clamp(1, FIRST_OBJECTS)
}

/// Raises the capacity as far as the budget allows; returns what it is then.
fn raise(access: &impl Access, class: usize, capacity: usize, wanted: usize) -> usize {
    let budget = &access.cache().budget;
    let wanted = wanted.min(budget.affordable(class, capacity));
    if wanted <= capacity {
        return capacity;
    }
    let (old, new) = access.set_capacity(class, wanted);
    budget.account(class, old, new);
    new.max(capacity)
}

/// Takes capacity from other classes until `bytes` are free in the budget or enough have been asked.
fn make_room(access: &impl Access, class: usize, bytes: usize) {
    if access.cache().budget.balance() < bytes as isize {
        access.ask_others(class, bytes);
    }
}

/// As [`make_room`], where there is none.
pub(super) fn take_from_others(access: &impl Access, class: usize, bytes: usize) {
    let budget = &access.cache().budget;
    for _ in 0..VICTIMS {
        let balance = budget.balance();
        if balance >= bytes as isize {
            return;
        }
        let Some(victim) = budget.victim(class) else { return };
        // What is too much goes soon, or each miss would come here for nothing.
        shrink(access, victim, bytes.max((-balance).max(0) as usize / 2));
    }
}

/// Takes up to `bytes` of capacity from `class`: what is unused first, then up to a batch of objects.
fn shrink(access: &impl Access, class: usize, bytes: usize) {
    let header = access.slab().read(class);
    let (objects, capacity) = (header.objects(class), header.capacity(class));
    let wanted = capacity - capacity.min(bytes.div_ceil(object_bytes(class)));
    if capacity == 0 {
        return;
    }
    if objects > wanted {
        let mut batch = [Addr(0); central::MAX_BATCH];
        let surplus = (objects - wanted).min(batch_of(class));
        let popped = access.pop_batch(class, &mut batch[..surplus]);
        give_back(class, &batch[..popped]);
    }
    let (old, new) = access.set_capacity(class, wanted);
    access.cache().budget.account(class, old, new);
}

#[cfg(test)]
mod tests;
