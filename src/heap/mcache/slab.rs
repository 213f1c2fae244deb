//! A slab: one CPU's stacks of free objects, one stack per class, and of runs for large objects, one per
//! length.
//!
//! ```text
//! word 0            50               BEGIN[c]-1  BEGIN[c]                    BEGIN[c]+room(c)
//! ┌────────────────┬──────┬────┬──────┬───────────┬───┬───┬───┬───────────────┬───   ┬───────────────
//! │ header per     │ idle │tiny│ last │   mark    │ p │ p │ p │   (empty)     │ …    │ longer stacks …
//! │ class: u16 ×2  │ mark │word│ free │   (odd)   │   │   │   │               │      │
//! └────────────────┴──────┴────┴──────┴───────────┴───┴───┴───┴───────────────┴───   ┴───────────────
//!                                                             ↑ current       ↑ end
//! ```
//!
//! A header holds two word indices: `current`, the slot the next pushed object goes to, and `end`, where
//! the class's capacity ends. The slot below the first holds an odd mark, so that "empty" is one bit test
//! on the popped word. A class not used yet has `current == end`, pointing behind the idle mark: empty
//! and full at once; its own mark is written when it is first given capacity. So a fresh slab is one
//! touched page.
//!
//! A class has up to four places for its stack: with room for 32 objects, for 64, for 256, and for as much as it may ever
//! hold. Places of the same room lie side by side: most classes of most programs never need more than the first two, and
//! all first ones together take five pages, one more than one of the last. Among them objects of a power of two in bytes
//! come first: buffers have such sizes, so that the first page has what small programs use. An empty stack moves to
//! another place with the header that changes its capacity; requests need not know.

use crate::base::Addr;
use crate::base::PAGE_BYTES;
use crate::heap::size_class::{ALL_CLASSES, LARGE_PAGES, TINY_BLOCK};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Word index in a slab.
pub(super) type SlotIndex = u16;

/// An odd word: no object's address. Below a stack it says "empty".
pub(super) const MARK: u64 = 1;

/// Shortest run for a large object that has a stack, in pages: the first beyond the classes.
pub(super) const MIN_RUN_PAGES: usize = crate::heap::size_class::MAX_SMALL_BYTES / PAGE_BYTES + 1;
/// Longest one: 256 KiB. Above that what a lock costs is little beside touching the memory.
pub(super) const MAX_RUN_PAGES: usize = (256 << 10) / PAGE_BYTES;

/// Stacks in a slab: one for every class and, behind those, one for every length of runs.
pub(super) const STACKS: usize = ALL_CLASSES + MAX_RUN_PAGES + 1 - MIN_RUN_PAGES;
const _: () = assert!(STACKS.is_multiple_of(2), "two headers to a word");

/// The stack for runs of `pages` pages, if there is one.
#[inline]
pub(super) const fn stack_of_run(pages: usize) -> Option<usize> {
    if pages < MIN_RUN_PAGES || pages > MAX_RUN_PAGES {
        None
    } else {
        Some(ALL_CLASSES + pages - MIN_RUN_PAGES)
    }
}

/// Headers take the first words.
const HEADER_WORDS: usize = STACKS / 2;
/// The mark of classes without capacity.
const IDLE_MARK_WORD: usize = HEADER_WORDS;
/// The tiny allocator's word; see `heap::tiny`.
pub(crate) const TINY_WORD: usize = IDLE_MARK_WORD + 1;
/// The object that was pushed last for a caller who had to look its class up, and that class: a hint, see
/// `sections::push_looked_up`.
pub(super) const LAST_OBJECT_WORD: usize = TINY_WORD + 1;
pub(super) const LAST_CLASS_WORD: usize = LAST_OBJECT_WORD + 1;
/// So far up that no header of a real stack equals the dummy's.
const FIRST_STACK_WORD: usize = LAST_CLASS_WORD + 1;

/// Bytes of objects that one class may hold on one CPU at most …
const MAX_CLASS_BYTES: usize = 512 << 10;
/// … but at least this many objects, so that large classes are cached too …
const MIN_SLOTS: usize = 8;
/// … and at most this many, which bounds the slab.
const MAX_MAX_SLOTS: usize = 1792;

/// Places of a stack.
const PLACES: usize = 4;
/// Room of all places but the last, in objects: the first for a batch of 128 bytes or more each.
static ROOM: [u16; PLACES - 1] = [32, 64, 256];
/// A class has no place between the first and the last that has not so many times less room than the last.
const LEAST_STEP: u16 = 4;

/// Largest capacity per class, in objects; 0 for pseudo-classes.
pub(crate) static MAX_SLOTS: [u16; STACKS] = max_slots();
/// First slot of each class's stack in each of its places; 0 where it has none.
static BEGIN: [[SlotIndex; PLACES]; STACKS] = LAYOUT.begin;
/// Where the stacks of each place end.
static END: [SlotIndex; PLACES] = LAYOUT.end;
/// Words of an object on each stack.
static OBJECT_WORDS: [u16; STACKS] = object_words();

/// Bytes of an object on a stack.
#[inline]
pub(super) fn object_bytes(stack: usize) -> usize {
    OBJECT_WORDS[stack] as usize * size_of::<u64>()
}

const fn object_words() -> [u16; STACKS] {
    let mut words = [0; STACKS];
    let mut stack = 0;
    while stack < STACKS {
        let bytes = object_bytes_of(stack);
        assert!(bytes.is_multiple_of(8) && bytes / 8 <= u16::MAX as usize);
        words[stack] = (bytes / 8) as u16;
        stack += 1;
    }
    words
}

const fn max_slots() -> [u16; STACKS] {
    let mut slots = [0; STACKS];
    let mut class = 1;
    while class < STACKS {
        let bytes = object_bytes_of(class);
        if let Some(n) = MAX_CLASS_BYTES.checked_div(bytes) {
            slots[class] = if n < MIN_SLOTS {
                MIN_SLOTS
            } else if n > MAX_MAX_SLOTS {
                MAX_MAX_SLOTS
            } else {
                n
            } as u16;
        }
        class += 1;
    }
    slots
}

/// Bytes of an object on a stack, for constants.
const fn object_bytes_of(stack: usize) -> usize {
    if stack >= ALL_CLASSES {
        return (stack - ALL_CLASSES + MIN_RUN_PAGES) * PAGE_BYTES;
    }
    crate::heap::size_class::object_bytes_of(stack)
}

/// Where stacks lie.
struct Layout {
    begin: [[SlotIndex; PLACES]; STACKS],
    end: [SlotIndex; PLACES],
}

const LAYOUT: Layout = {
    let slots = max_slots();
    let mut layout = Layout { begin: [[0; PLACES]; STACKS], end: [0; PLACES] };
    let mut word = FIRST_STACK_WORD;
    let mut place = 0;
    while place < PLACES {
        let mut turn = 0;
        while turn < 2 * STACKS {
            let (stack, is_first_turn) = (turn % STACKS, turn < STACKS);
            if has_place(slots[stack], place) && object_bytes_of(stack).is_power_of_two() == is_first_turn {
                layout.begin[stack][place] = word as SlotIndex + 1;
                word += 1 + room(slots[stack], place) as usize;
            }
            turn += 1;
        }
        assert!(word <= SlotIndex::MAX as usize);
        layout.end[place] = word as SlotIndex;
        place += 1;
    }
    layout
};

/// Whether a class that may have `max_slots` objects has such a place for its stack.
const fn has_place(max_slots: u16, place: usize) -> bool {
    const LAST: usize = PLACES - 1;
    match place {
        0 => max_slots != 0,
        LAST => max_slots > ROOM[0],
        _ => max_slots >= ROOM[place] * LEAST_STEP,
    }
}

/// The room of a place for a class that may have `max_slots` objects.
const fn room(max_slots: u16, place: usize) -> u16 {
    if place == PLACES - 1 || max_slots < ROOM[place] { max_slots } else { ROOM[place] }
}

/// Bytes of a slab, a multiple of every kernel page size.
pub(crate) const SLAB_BYTES: usize = crate::base::align_up(END[PLACES - 1] as usize * 8, 64 << 10);
const _: () = assert!(TINY_BLOCK < LARGE_PAGES, "the last class with a stack");

/// A class's header as one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(super) struct Header(pub(super) u32);

impl Header {
    /// Empty and full: no capacity yet.
    pub(super) const IDLE: Self = Self::new(IDLE_MARK_WORD as SlotIndex + 1, IDLE_MARK_WORD as SlotIndex + 1);

    pub(super) const fn new(current: SlotIndex, end: SlotIndex) -> Self {
        Self(current as u32 | (end as u32) << 16)
    }

    pub(super) const fn current(self) -> SlotIndex {
        self.0 as u16
    }

    pub(super) const fn end(self) -> SlotIndex {
        (self.0 >> 16) as u16
    }

    /// The place of its stack.
    fn place(self) -> usize {
        END[..PLACES - 1].iter().filter(|&&end| self.end() > end).count()
    }

    /// The first slot of the stack.
    ///
    /// Never inline: slow paths use it all over, and code of requests counts as memory of every process.
    #[inline(never)]
    fn begin(self, class: usize) -> SlotIndex {
        BEGIN[class][self.place()]
    }

    /// The word of the mark below the stack of `class`; not for [`Self::IDLE`].
    pub(super) fn mark_word(self, class: usize) -> usize {
        self.begin(class) as usize - 1
    }

    /// Objects on the stack of `class`.
    pub(super) fn objects(self, class: usize) -> usize {
        if self == Self::IDLE { 0 } else { (self.current() - self.begin(class)) as usize }
    }

    /// Objects that the stack of `class` has room for.
    pub(super) fn capacity(self, class: usize) -> usize {
        if self == Self::IDLE { 0 } else { (self.end() - self.begin(class)) as usize }
    }

    /// The same stack with another capacity, clamped to what it holds and to what there is room for. Only an empty stack
    /// moves, to the first place with room enough.
    pub(super) fn with_capacity(self, class: usize, capacity: usize) -> Self {
        let (objects, slots) = (self.objects(class), MAX_SLOTS[class]);
        let place = if objects == 0 { place_for(slots, capacity) } else { self.place() };
        let capacity = capacity.clamp(objects, room(slots, place) as usize);
        let begin = BEGIN[class][place];
        Self::new(begin + objects as u16, begin + capacity as u16)
    }
}

/// The first place with room for `capacity` objects of a class that may have `max_slots`, or else its last one.
fn place_for(max_slots: u16, capacity: usize) -> usize {
    let places = (0..PLACES).filter(|&place| has_place(max_slots, place));
    let mut last = 0;
    for place in places {
        last = place;
        if capacity <= room(max_slots, place) as usize {
            break;
        }
    }
    last
}

/// A slab's address. Who uses the plain operations below owns the slab: holds its shard's lock, or has
/// stopped its CPU. Loads and stores are atomic and relaxed because statistics may read at any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slab(pub(super) Addr);

impl Slab {
    /// Makes zeroed memory of [`SLAB_BYTES`] a slab without capacity.
    ///
    /// # Safety
    /// The memory is writable, zeroed, stays mapped for good, and nobody else uses it yet.
    pub(super) unsafe fn create(at: Addr) -> Self {
        let slab = Self(at);
        // Once for each CPU: a loop, instead of a store for each class in the code of requests.
        for class in 0..core::hint::black_box(STACKS) {
            slab.header(class).store(Header::IDLE.0, Relaxed);
        }
        slab.word(IDLE_MARK_WORD).store(MARK, Relaxed);
        slab.word(TINY_WORD).store(crate::heap::tiny::Carving::NONE.0, Relaxed);
        slab
    }

    /// The header of `class`.
    #[inline]
    pub(super) fn header(self, class: usize) -> &'static AtomicU32 {
        debug_assert!(class < STACKS);
        // SAFETY: a Slab's memory stays mapped for good and its first words are headers.
        unsafe { &*self.0.plus(class * 4).ptr() }
    }

    /// The word at `index`.
    #[inline]
    pub(super) fn word(self, index: usize) -> &'static AtomicU64 {
        debug_assert!(index * 8 < SLAB_BYTES);
        // SAFETY: a Slab's memory stays mapped for good; indices come from headers and layout constants.
        unsafe { &*self.0.plus(index * 8).ptr() }
    }

    /// The header of `class`, read.
    #[inline]
    pub(super) fn read(self, class: usize) -> Header {
        Header(self.header(class).load(Relaxed))
    }

    /// Pops an object, or `None` if there is none. The caller owns the slab.
    #[inline]
    pub(super) fn pop(self, class: usize) -> Option<Addr> {
        let header = self.read(class);
        let object = self.word(header.current() as usize - 1).load(Relaxed);
        if object & MARK != 0 {
            return None;
        }
        self.header(class).store(Header::new(header.current() - 1, header.end()).0, Relaxed);
        Some(Addr(object as usize))
    }

    /// Pushes an object; `false` if the stack is full. The caller owns the slab.
    #[inline]
    pub(super) fn push(self, class: usize, object: Addr) -> bool {
        let header = self.read(class);
        if header.current() == header.end() {
            return false;
        }
        self.word(header.current() as usize).store(object.0 as u64, Relaxed);
        self.header(class).store(Header::new(header.current() + 1, header.end()).0, Relaxed);
        true
    }

    /// Pops up to `into.len()` objects, returns how many. The caller owns the slab.
    pub(super) fn pop_batch(self, class: usize, into: &mut [Addr]) -> usize {
        for (n, place) in into.iter_mut().enumerate() {
            match self.pop(class) {
                Some(object) => *place = object,
                None => return n,
            }
        }
        into.len()
    }

    /// Pushes objects until the stack is full, returns how many. The caller owns the slab.
    pub(super) fn push_batch(self, class: usize, objects: &[Addr]) -> usize {
        objects.iter().take_while(|&&object| self.push(class, object)).count()
    }

    /// Changes the capacity of a stack and returns the old and the new one. The caller owns the slab.
    pub(super) fn set_capacity(self, class: usize, capacity: usize) -> (usize, usize) {
        let old = self.read(class);
        if MAX_SLOTS[class] == 0 || (old == Header::IDLE && capacity == 0) {
            return (0, 0);
        }
        let new = old.with_capacity(class, capacity);
        self.word(new.mark_word(class)).store(MARK, Relaxed);
        self.header(class).store(new.0, Relaxed);
        (old.capacity(class), new.capacity(class))
    }

    /// Makes an empty stack one without capacity. The caller owns the slab.
    pub(super) fn make_idle(self, class: usize) {
        if self.read(class).objects(class) == 0 {
            self.header(class).store(Header::IDLE.0, Relaxed);
        }
    }

    /// Calls `each` with class and address of every object in the stacks of classes; runs say by their spans
    /// that they are free. The caller owns the slab.
    #[cfg(test)]
    pub(super) fn for_each_object(self, each: &mut impl FnMut(usize, Addr)) {
        for class in 1..=TINY_BLOCK {
            let header = self.read(class);
            for i in 0..header.objects(class) {
                each(class, Addr(self.word(header.begin(class) as usize + i).load(Relaxed) as usize));
            }
        }
    }

    /// Bytes of the objects in all stacks; racy unless the caller owns the slab.
    pub(super) fn cached_bytes(self) -> usize {
        (1..STACKS).map(|stack| self.read(stack).objects(stack) * object_bytes(stack)).sum()
    }

    /// Runs in the stacks and their pages; racy unless the caller owns the slab.
    pub(super) fn runs(self) -> (usize, usize) {
        (MIN_RUN_PAGES..=MAX_RUN_PAGES).fold((0, 0), |(runs, pages), length| {
            let stack = ALL_CLASSES + length - MIN_RUN_PAGES;
            let here = self.read(stack).objects(stack);
            (runs + here, pages + here * length)
        })
    }
}

/// What a CPU without a slab, or one that is stopped, works on: every class empty and full. It has
/// headers, one mark, a tiny word and the words of the last free, all constant, so it may be shared and is never written.
///
/// It is filled in while the heap starts, before any section can run: were it constant, the table behind
/// it would lie in the library's data instead of in memory that costs nothing until it is touched.
#[repr(C, align(64))]
pub(super) struct Dummy {
    headers: [AtomicU32; STACKS],
    words: [AtomicU64; DUMMY_WORDS],
}

/// Words of the dummy behind its headers: all that a section may read of it.
const DUMMY_WORDS: usize = LAST_CLASS_WORD + 1 - HEADER_WORDS;

impl Dummy {
    /// The mark lies one word behind where a real slab has its idle mark, so that no header of the dummy
    /// equals [`Header::IDLE`]: code that gives an idle class capacity can't take the dummy for a slab.
    const MARK_WORD: SlotIndex = TINY_WORD as SlotIndex + 1;

    const HEADER: Header = Header::new(Self::MARK_WORD + 1, Self::MARK_WORD + 1);

    /// Not filled in yet: no section may run on it.
    pub(super) const fn new() -> Self {
        Self {
            headers: [const { AtomicU32::new(0) }; STACKS],
            words: [const { AtomicU64::new(0) }; DUMMY_WORDS],
        }
    }

    /// Fills it in. The tiny word is a mark, too: no state of carving equals it (something is carved, but
    /// nothing starts), so nobody who has read a slab's word can replace it.
    pub(super) fn init(&self) {
        self.headers.iter().for_each(|header| header.store(Self::HEADER.0, Relaxed));
        self.words.iter().for_each(|word| word.store(MARK, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::size_class::CLASSES;
    use std::{vec, vec::Vec};

    fn with_slab(test: impl FnOnce(Slab)) {
        let memory = vec![0u64; SLAB_BYTES / 8];
        // SAFETY: the vector outlives the test's use of the slab.
        test(unsafe { Slab::create(Addr::of(memory.as_ptr())) });
    }

    #[test]
    fn stacks_do_not_overlap_and_fit() {
        let mut end = FIRST_STACK_WORD;
        for place in 0..PLACES {
            let mut classes: Vec<_> =
                (0..STACKS).filter(|&class| has_place(MAX_SLOTS[class], place)).collect();
            classes.sort_unstable_by_key(|&class| BEGIN[class][place]);
            for class in classes {
                assert_eq!(BEGIN[class][place] as usize, end + 1);
                end = BEGIN[class][place] as usize + room(MAX_SLOTS[class], place) as usize;
            }
            assert_eq!(end, END[place] as usize);
        }
        assert!(end * 8 <= SLAB_BYTES);
        for class in (1..CLASSES).chain([TINY_BLOCK]).chain(ALL_CLASSES..STACKS) {
            let most = (0..PLACES)
                .filter(|&place| BEGIN[class][place] != 0)
                .map(|place| room(MAX_SLOTS[class], place))
                .max();
            assert_eq!(most, Some(MAX_SLOTS[class]));
        }
    }

    #[test]
    fn a_small_program_s_stacks_lie_in_the_first_page() {
        for class in (1..CLASSES).chain([TINY_BLOCK]).filter(|&class| object_bytes(class).is_power_of_two()) {
            let end = BEGIN[class][0] + room(MAX_SLOTS[class], 0);
            assert!(end as usize * 8 <= 4096, "{} bytes", object_bytes(class));
        }
    }

    #[test]
    fn only_an_empty_stack_moves_and_knows_where_it_is() {
        let slots = MAX_SLOTS[5];
        let most = slots as usize;
        let rooms = [0, 1, 2, 3].map(|place| room(slots, place) as usize);
        let full = rooms.map(|capacity| Header::IDLE.with_capacity(5, capacity));
        assert_eq!(full.map(Header::place), [0, 1, 2, 3]);
        assert_eq!(full.map(|header| header.capacity(5)), rooms);
        for (place, header) in full.into_iter().enumerate() {
            assert_eq!(header.with_capacity(5, usize::MAX), full[3]);
            assert_eq!(header.with_capacity(5, rooms[0] + 1).place(), 1);
            assert_eq!(
                (header.with_capacity(5, 0).place(), header.with_capacity(5, rooms[1]).place()),
                (0, 1)
            );
            let held = Header::new(header.current() + 1, header.end());
            for capacity in [0, 1, rooms[0], rooms[0] + 1, most, usize::MAX] {
                let same = held.with_capacity(5, capacity);
                assert_eq!((same.place(), same.current(), same.objects(5)), (place, held.current(), 1));
                assert_eq!(same.capacity(5), capacity.clamp(1, rooms[place]));
            }
        }
        let wide = ALL_CLASSES - 1 + MAX_RUN_PAGES + 1 - MIN_RUN_PAGES;
        assert_eq!(Header::IDLE.with_capacity(wide, usize::MAX).place(), 0, "one place is enough");
        let middling = (1..CLASSES)
            .find(|&class| (ROOM[0] + 1..ROOM[1] * LEAST_STEP).contains(&MAX_SLOTS[class]))
            .unwrap();
        let header = Header::IDLE.with_capacity(middling, ROOM[0] as usize + 1);
        assert_eq!((header.place(), header.capacity(middling)), (3, ROOM[0] as usize + 1));
    }

    #[test]
    fn no_header_of_a_slab_equals_the_dummy_s() {
        let dummy = Dummy::HEADER;
        assert_ne!(dummy, Header::IDLE);
        assert!((0..STACKS).all(|class| BEGIN[class][0] == 0 || dummy.end() < BEGIN[class][0]));
    }

    #[test]
    fn a_fresh_stack_is_empty_and_full_until_it_has_capacity() {
        with_slab(|slab| {
            assert_eq!(slab.pop(5), None);
            assert!(!slab.push(5, Addr(64)));
            assert_eq!(slab.set_capacity(5, 2), (0, 2));
            assert!(slab.push(5, Addr(64)) && slab.push(5, Addr(128)) && !slab.push(5, Addr(192)));
            assert_eq!(slab.set_capacity(5, 0), (2, 2), "never below what it holds");
            assert_eq!((slab.pop(5), slab.pop(5), slab.pop(5)), (Some(Addr(128)), Some(Addr(64)), None));
            assert_eq!(slab.set_capacity(5, 1 << 20), (2, MAX_SLOTS[5] as usize));
            assert_eq!(slab.cached_bytes(), 0);
        });
    }

    #[test]
    fn pseudo_classes_never_get_capacity() {
        with_slab(|slab| {
            for class in [0, LARGE_PAGES, crate::heap::size_class::TINY_PAGES] {
                assert_eq!(slab.set_capacity(class, 10), (0, 0));
                assert!(slab.pop(class).is_none() && !slab.push(class, Addr(64)));
            }
        });
    }
}
