//! How capacities grow and shrink, on slabs of the tests' own.

use super::super::tests::{CLASS, new_slab};
use super::*;
use std::boxed::Box;

/// So many that some windows which other tests let pass meanwhile do not matter.
const MANY_MISSES: usize = 2 * u16::MAX as usize;

/// A slab with books of its own.
struct Own {
    cache: &'static Cache,
    slab: Slab,
}

impl Own {
    fn new() -> Self {
        Self { cache: Box::leak(Box::new(Cache::new())), slab: new_slab(0) }
    }

    /// As if [`CLASS`] had missed so often just now, half of it either way.
    fn set_recent(&self, misses: usize) {
        self.set_recent_of(CLASS, misses);
    }

    /// As if the class had.
    fn set_recent_of(&self, class: usize, misses: usize) {
        self.set_recent_ways(class, [misses - misses / 2, misses / 2]);
    }

    /// As if the class had so often been found empty, and so often full.
    fn set_recent_ways(&self, class: usize, misses: [usize; 2]) {
        self.cache.budget.window[class].store(current_window(), Relaxed);
        let recent = &self.cache.budget.recent[class];
        recent
            .iter()
            .zip(misses)
            .for_each(|(recent, misses)| recent.store(misses.min(u16::MAX.into()) as u16, Relaxed));
    }

    fn fill(&self, class: usize) {
        while self.slab.push(class, Addr(0x1000)) {}
    }
}

impl Access for Own {
    fn cache(&self) -> &'static Cache {
        self.cache
    }
    fn slab(&self) -> Slab {
        self.slab
    }
    fn set_capacity(&self, class: usize, capacity: usize) -> (usize, usize) {
        self.slab.set_capacity(class, capacity)
    }
    fn pop_batch(&self, class: usize, into: &mut [Addr]) -> usize {
        self.slab.pop_batch(class, into)
    }
    fn ask_others(&self, class: usize, bytes: usize) {
        take_from_others(self, class, bytes);
    }
}

#[test]
fn a_class_grows_as_far_as_it_misses_often() {
    let own = Own::new();
    let budget = &own.cache.budget;
    let first = first_capacity(CLASS);
    assert_eq!(grow_by(&own, CLASS).capacity, first, "the first capacity is for everyone");
    own.set_recent(MANY_MISSES);
    assert_eq!(grow_by(&own, CLASS).capacity, 2 * first);
    let price = 2 * first * object_bytes(CLASS) * MISSES_PER_KIB / 1024;
    own.set_recent(price - 2);
    assert_eq!(grow_by(&own, CLASS).capacity, 2 * first, "one too few, with the miss itself");
    own.set_recent(MANY_MISSES);
    assert_eq!(grow_by(&own, CLASS).capacity, 4 * first);
    own.set_recent(MANY_MISSES);
    budget.window[CLASS].fetch_sub(31, Relaxed);
    assert_eq!(grow_by(&own, CLASS).capacity, 4 * first, "long ago");
    assert_eq!([0, 1].map(|how: usize| budget.recent[CLASS][how].load(Relaxed)), [1, 0]);
    let bytes = 4 * first * object_bytes(CLASS);
    assert_eq!(budget.capacity_bytes.load(Relaxed), bytes, "the books agree");
}

#[test]
fn a_full_stack_does_not_grow_by_misses_of_long_ago() {
    // Of a few objects, or a stack that is full could not grow where it is.
    let class = (1..ALL_CLASSES).find(|&class| object_bytes(class) == 8 << 10).unwrap();
    let own = Own::new();
    let budget = &own.cache.budget;
    let grow_to_the_end = || {
        for _ in 0..20 {
            own.fill(class);
            grow_for_free_by(&own, class);
        }
        own.slab.read(class).capacity(class)
    };
    let end = (batch_of(class)).max(free_capacity(class));
    budget.note_found(class, EMPTY);
    own.set_recent_of(class, MANY_MISSES);
    budget.window[class].fetch_sub(31, Relaxed);
    assert_eq!(grow_to_the_end(), end);
    own.set_recent_of(class, MANY_MISSES);
    assert!(grow_to_the_end() > end);
}

#[test]
fn more_than_a_batch_is_for_what_comes_and_goes() {
    let (own, batch) = (Own::new(), batch_of(CLASS));
    let grow_to_the_end = |misses| {
        (0..20).fold(0, |_, _| {
            own.set_recent_ways(CLASS, misses);
            grow_by(&own, CLASS).capacity
        })
    };
    assert_eq!(grow_to_the_end([MANY_MISSES, 0]), batch);
    assert_eq!(grow_to_the_end([0, MANY_MISSES]), batch);
    assert!(grow_to_the_end([MANY_MISSES, MANY_MISSES]) > batch);
}

#[test]
fn who_only_takes_gets_whole_batches() {
    let (own, batch) = (Own::new(), batch_of(CLASS));
    let mut stack = grow_by(&own, CLASS);
    while stack.capacity < batch {
        assert_eq!(stack.wanted, wanted_at(stack.capacity));
        own.set_recent(MANY_MISSES);
        stack = grow_by(&own, CLASS);
    }
    assert_eq!((stack.capacity, stack.wanted), (batch, batch));
    own.cache.budget.note_found(CLASS, FULL);
    own.set_recent(0);
    assert_eq!(grow_by(&own, CLASS).wanted, batch / 2, "room for what comes back");
}

#[test]
fn runs_that_are_missed_often_may_have_more_than_wait_anyway() {
    let stack = (0..STACKS).find(|&stack| object_bytes(stack) == 64 << 10).unwrap();
    let own = Own::new();
    let grow_to_the_end = || {
        (0..10).fold(0, |_, _| {
            own.set_recent_ways(stack, [MANY_MISSES, 0]);
            grow_by(&own, stack).capacity
        })
    };
    assert!(grow_to_the_end() > free_capacity(stack));
}

#[test]
fn a_stack_that_may_have_more_leaves_its_place_also_if_it_is_asked_for() {
    let own = Own::new();
    let mut popped = [Addr(0); central::MAX_BATCH];
    grow_by(&own, CLASS);
    own.set_recent(MANY_MISSES);
    let first = grow_by(&own, CLASS).capacity;
    own.fill(CLASS);
    own.set_recent(MANY_MISSES);
    assert_eq!(grow_for_free_by(&own, CLASS), first, "no room where it lies");
    assert_eq!(pop_surplus_by(&own, CLASS, &mut popped), first);
    assert_eq!(own.slab.read(CLASS).capacity(CLASS), 2 * first);
}

#[test]
fn a_full_stack_gives_a_batch_or_half_and_moves_when_empty() {
    let (own, batch) = (Own::new(), batch_of(CLASS));
    let mut popped = [Addr(0); central::MAX_BATCH];
    let mut free_to_full = || {
        own.fill(CLASS);
        grow_for_free_by(&own, CLASS);
        let full = own.slab.read(CLASS).objects(CLASS);
        (full, pop_surplus_by(&own, CLASS, &mut popped), own.slab.read(CLASS).capacity(CLASS))
    };
    let first = first_capacity(CLASS);
    assert_eq!(free_to_full(), (0, 0, first), "it begins with no capacity");
    own.set_recent(MANY_MISSES);
    assert_eq!(free_to_full(), (first, first, 4 * first), "more where it lay, and then it moved");
    for _ in 0..10 {
        own.set_recent(MANY_MISSES);
        free_to_full();
    }
    assert_eq!(free_to_full(), (batch, batch, batch), "and no more while nobody asks");
    own.cache.budget.note_found(CLASS, EMPTY);
    own.set_recent(0);
    assert_eq!(free_to_full(), (batch, batch / 2, batch));
}

#[test]
fn capacity_that_need_not_pay_takes_none_from_others() {
    let stack = (0..STACKS).find(|&stack| object_bytes(stack) == 32 << 10).unwrap();
    let own = Own::new();
    let budget = &own.cache.budget;
    own.slab.set_capacity(CLASS, 64);
    budget.account(CLASS, 0, 64);
    // Nothing is left.
    let rest = budget.room();
    budget.capacity_bytes.fetch_add(rest, Relaxed);
    assert_eq!(grow_by(&own, stack).capacity, 0);
    assert_eq!(own.slab.read(CLASS).capacity(CLASS), 64);
    budget.capacity_bytes.fetch_sub(rest, Relaxed);
    assert_eq!(grow_by(&own, stack).capacity, 1);
}

#[test]
fn a_stack_is_unused_if_it_has_neither_changed_nor_missed() {
    let own = Own::new();
    let budget = &own.cache.budget;
    let looked_at = || {
        trim_unused_by(&own);
        own.slab.read(CLASS).capacity(CLASS)
    };
    let capacity = grow_by(&own, CLASS).capacity;
    assert_eq!((looked_at(), looked_at()), (capacity, 0), "the miss, and then nothing");
    assert_eq!(budget.capacity_bytes.load(Relaxed), 0, "also without an object");
    let capacity = grow_by(&own, CLASS).capacity;
    looked_at();
    for _ in 0..3 {
        budget.note_miss(CLASS, EMPTY);
        assert_eq!(looked_at(), capacity, "the same header, but in use");
    }
    assert_eq!(looked_at(), 0);
}

#[test]
fn misses_age_across_the_end_of_the_count_of_windows() {
    let budget = Budget::new();
    budget.recent[CLASS][1].store(u16::MAX, Relaxed);
    // Other tests may let windows pass meanwhile: not each time.
    let is_old = |windows: u16| {
        budget.window[CLASS].store(current_window().wrapping_sub(windows), Relaxed);
        budget.recent_misses(CLASS)[1] == 0
    };
    // Not yet, since a thread that was held up has put the clock back; now; then; and long ago.
    for windows in [0u16.wrapping_sub(100), 0, 1] {
        assert!((0..10).any(|_| !is_old(windows)), "{windows} windows ago");
    }
    for windows in [40, 1 << 14, u16::MAX / 2 + 2] {
        assert!(is_old(windows), "{windows} windows ago");
    }
}

#[test]
fn what_is_asked_for_fills_half_a_stack_by_whole_cache_lines() {
    for capacity in 0..2048 {
        let wanted = wanted_at(capacity);
        assert!(wanted >= 1 && wanted <= capacity.max(1), "{capacity}");
        assert!(capacity < 16 || wanted.is_multiple_of(8) && wanted >= 8, "{capacity}");
    }
}

/// Lengths of which no power of two is what they may have, and a stack that has lost one place to another class.
#[test]
fn some_large_objects_may_wait_whatever_they_pay() {
    let stack_of = |kib: usize| (0..STACKS).find(|&stack| object_bytes(stack) == kib << 10).unwrap();
    for (kib, most) in [(32, 8), (40, 6), (48, 5), (72, 3)] {
        let (own, stack) = (Own::new(), stack_of(kib));
        let grow_to_the_end = || (0..10).fold(0, |_, _| grow_by(&own, stack).capacity);
        assert_eq!((free_capacity(stack), grow_to_the_end()), (most, most), "{kib} KiB");
        own.slab.set_capacity(stack, most - 1);
        assert_eq!(grow_to_the_end(), most, "{kib} KiB, once more");
        own.slab.set_capacity(stack, most - 1);
        own.cache.budget.note_found(stack, EMPTY);
        grow_for_free_by(&own, stack);
        assert_eq!(own.slab.read(stack).capacity(stack), most, "{kib} KiB, by a free");
    }
}
