//! The sections on tables of their own: what each does, on a made-up rseq area, so that these tests also
//! run where the kernel has no rseq (valgrind, emulators). `stress` runs them on the real one.

mod stress;

use super::sections;
use super::slab::{Header, LAST_CLASS_WORD, LAST_OBJECT_WORD, MARK, MAX_SLOTS, SLAB_BYTES, Slab, TINY_WORD};
use super::table::CpuTable;
use super::{Place, cpu_at, object_of, tiny_word_at};
use crate::base::Addr;
use crate::heap::tiny::Carving;
use crate::sys::rseq;
use core::sync::atomic::Ordering::Relaxed;
use std::{boxed::Box, vec, vec::Vec};

/// A class in the middle of the table, with small objects.
pub(super) const CLASS: usize = 5;

/// A table of this test's own.
pub(super) fn new_table() -> &'static CpuTable {
    let table = Box::leak(Box::new(CpuTable::new()));
    table.init();
    table
}

/// A slab of this test's own, with `capacity` for [`CLASS`].
pub(super) fn new_slab(capacity: usize) -> Slab {
    let memory = Box::leak(vec![0u64; SLAB_BYTES / 8].into_boxed_slice());
    // SAFETY: zeroed memory of the right length that is never freed.
    let slab = unsafe { Slab::create(Addr(memory.as_ptr().expose_provenance())) };
    slab.set_capacity(CLASS, capacity);
    slab
}

/// An area laid out as the kernel's, for one thread.
#[repr(C, align(32))]
struct FakeArea {
    cpu_id_start: u32,
    cpu_id: u32,
    rseq_cs: u64,
    flags: u32,
    node_id: u32,
    mm_cid: u32,
}

impl FakeArea {
    fn new(cpu_id: i32, mm_cid: u32) -> Box<Self> {
        Box::new(Self { cpu_id_start: 0, cpu_id: cpu_id as u32, rseq_cs: 0, flags: 0, node_id: 0, mm_cid })
    }

    /// Where the area is for this thread: the distance from its thread pointer.
    fn place(&mut self) -> Place {
        let at = (&raw mut *self).expose_provenance();
        let area = at.wrapping_sub(rseq::thread_pointer()) as isize;
        Place { area, id: area + rseq::MM_CID as isize }
    }
}

/// Words that look like objects. The sections prefetch them, which can't fault.
fn objects(n: usize) -> Vec<Addr> {
    (1..=n).map(|i| Addr(i * 64)).collect()
}

fn pop(place: Place, table: &CpuTable) -> Option<Addr> {
    // SAFETY: the place is a fake area of this thread's; the class has a stack.
    object_of(unsafe { sections::pop(place, table, CLASS) })
}

fn push(place: Place, table: &CpuTable, object: Addr) -> bool {
    // SAFETY: as above; nobody else knows the object.
    unsafe { sections::push(place, table, CLASS, object) }
}

fn push_looked_up(place: Place, table: &CpuTable, class: usize, object: Addr) -> bool {
    // SAFETY: as in `push`, for any class with a stack.
    unsafe { sections::push_looked_up(place, table, class, object) }
}

fn pop_batch(place: Place, table: &CpuTable, n: usize) -> Vec<Addr> {
    let mut into = vec![Addr(0); n];
    // SAFETY: as above.
    let count = unsafe { sections::pop_batch(place, table, CLASS, &mut into) };
    into.truncate(count);
    into
}

fn push_batch(place: Place, table: &CpuTable, objects: &[Addr]) -> usize {
    // SAFETY: as above.
    unsafe { sections::push_batch(place, table, CLASS, objects) }
}

fn replace_header(place: Place, table: &CpuTable, old: Header, new: Header) -> Option<usize> {
    // SAFETY: the class has a stack, and the tests make headers that are valid for it.
    unsafe { sections::replace_header(place, table, CLASS, old, new) }
}

fn replace_tiny(place: Place, table: &CpuTable, old: u64, new: u64) -> bool {
    // SAFETY: the tiny word lies in every slab; nothing carves these.
    unsafe { sections::replace_word(place, table, TINY_WORD, old, new) }
}

#[test]
fn objects_come_back_last_in_first_out_up_to_the_capacity() {
    let (table, slab, mut area) = (new_table(), new_slab(3), FakeArea::new(0, 7));
    table.publish(7, slab);
    let (place, objects) = (area.place(), objects(4));
    assert_eq!(pop(place, table), None);
    assert!(objects[..3].iter().all(|&object| push(place, table, object)));
    assert!(!push(place, table, objects[3]), "full");
    assert_eq!(slab.read(CLASS).objects(CLASS), 3);
    let popped: Vec<_> = (0..4).map(|_| pop(place, table)).collect();
    assert_eq!(popped, [Some(objects[2]), Some(objects[1]), Some(objects[0]), None]);
}

#[test]
fn an_object_goes_to_the_class_it_was_found_in_whatever_was_noted() {
    let (table, slab, mut area) = (new_table(), new_slab(8), FakeArea::new(0, 0));
    const OTHER: usize = CLASS + 1;
    slab.set_capacity(OTHER, 1);
    table.publish(0, slab);
    let (place, objects) = (area.place(), objects(3));
    let push_looked_up = |class, object| push_looked_up(place, table, class, object);
    let held = || [CLASS, OTHER].map(|class| slab.read(class).objects(class));
    let noted = || [LAST_OBJECT_WORD, LAST_CLASS_WORD].map(|word| slab.word(word).load(Relaxed) as usize);
    let is_noted = |class, object: Addr| cfg!(not(target_arch = "x86_64")) || noted() == [object.0, class];
    assert!(push_looked_up(CLASS, objects[0]) && push_looked_up(CLASS, objects[1]));
    assert!(is_noted(CLASS, objects[1]));
    assert_eq!((pop(place, table), held()), (Some(objects[1]), [1, 0]));
    assert!(push_looked_up(CLASS, objects[1]), "as noted");
    assert_eq!((pop(place, table), held()), (Some(objects[1]), [1, 0]));
    assert!(push_looked_up(OTHER, objects[1]), "of another class by now");
    assert_eq!(held(), [1, 1]);
    assert!(!push_looked_up(OTHER, objects[1]) && !push_looked_up(OTHER, objects[2]), "full");
    assert!(is_noted(OTHER, objects[1]), "what found no room is not noted");
    assert_eq!((pop(place, table), held()), (Some(objects[0]), [0, 1]));
    assert!(push_looked_up(CLASS, objects[1]), "noted with the other class");
    assert!(push_looked_up(CLASS, objects[0]), "not the one noted");
    assert_eq!((held(), pop(place, table), pop(place, table)), ([2, 1], Some(objects[0]), Some(objects[1])));
}

#[test]
fn each_cpu_has_its_own_slab() {
    let (table, slabs) = (new_table(), [new_slab(8), new_slab(8)]);
    let (mut first, mut second) = (FakeArea::new(3, 0), FakeArea::new(9, 1));
    table.publish(0, slabs[0]);
    table.publish(1, slabs[1]);
    assert!(push(first.place(), table, Addr(64)) && push(second.place(), table, Addr(128)));
    assert_eq!(slabs.map(|slab| slab.read(CLASS).objects(CLASS)), [1, 1]);
    assert_eq!((pop(second.place(), table), pop(second.place(), table)), (Some(Addr(128)), None));
    second.mm_cid = 0;
    assert_eq!(pop(second.place(), table), Some(Addr(64)), "after a migration");
}

#[test]
fn batches_move_as_many_as_there_are_or_fit() {
    let (table, slab, mut area) = (new_table(), new_slab(10), FakeArea::new(0, 0));
    table.publish(0, slab);
    let (place, objects) = (area.place(), objects(16));
    assert_eq!(push_batch(place, table, &[]), 0);
    assert_eq!(push_batch(place, table, &objects[..4]), 4);
    assert_eq!(push_batch(place, table, &objects[4..]), 6, "as many as fit");
    assert_eq!(push_batch(place, table, &objects[10..]), 0, "full");
    assert!(pop_batch(place, table, 0).is_empty());
    let newest_first: Vec<_> = objects[..10].iter().rev().copied().collect();
    assert_eq!(pop_batch(place, table, 3), newest_first[..3]);
    assert_eq!(pop_batch(place, table, 64), newest_first[3..], "as many as there are");
    assert!(pop_batch(place, table, 64).is_empty());
}

#[test]
fn a_class_at_its_largest_capacity_stays_inside_its_stack() {
    let slots = MAX_SLOTS[CLASS] as usize;
    let (table, slab, mut area) = (new_table(), new_slab(usize::MAX), FakeArea::new(0, 0));
    table.publish(0, slab);
    slab.set_capacity(CLASS + 1, usize::MAX);
    let neighbour = slab.read(CLASS + 1).mark_word(CLASS + 1);
    let (place, objects) = (area.place(), objects(slots + 1));
    assert_eq!(push_batch(place, table, &objects), slots);
    assert_eq!(slab.word(neighbour).load(Relaxed), MARK, "the neighbour's mark");
    assert_eq!(pop_batch(place, table, slots + 1).len(), slots);
}

#[test]
fn a_header_is_replaced_only_if_it_is_the_expected_one() {
    let (table, slab, mut area) = (new_table(), new_slab(0), FakeArea::new(0, 2));
    table.publish(2, slab);
    let place = area.place();
    let wide = Header::IDLE.with_capacity(CLASS, 8);
    assert_eq!(replace_header(place, table, wide, Header::IDLE), None, "not the expected one");
    assert_eq!(slab.word(wide.mark_word(CLASS)).load(Relaxed), 0, "nothing written");
    assert_eq!(replace_header(place, table, Header::IDLE, wide), Some(2));
    assert_eq!((slab.read(CLASS), slab.word(wide.mark_word(CLASS)).load(Relaxed)), (wide, MARK));
    assert!(push(place, table, Addr(64)));
    let held = slab.read(CLASS);
    assert_eq!(replace_header(place, table, wide, wide), None, "an object has been pushed since");
    let narrow = held.with_capacity(CLASS, 0);
    assert_eq!(replace_header(place, table, held, narrow), Some(2));
    assert_eq!((narrow.capacity(CLASS), narrow.objects(CLASS)), (1, 1), "never below what it holds");
    assert!(!push(place, table, Addr(128)) && pop(place, table) == Some(Addr(64)));
}

#[test]
fn a_word_is_replaced_only_if_it_is_the_expected_one() {
    let (table, slab, mut area) = (new_table(), new_slab(0), FakeArea::new(0, 0));
    table.publish(0, slab);
    let place = area.place();
    assert!(!replace_tiny(place, table, 5, 6));
    assert!(replace_tiny(place, table, Carving::NONE.0, u64::MAX - 1));
    assert!(replace_tiny(place, table, u64::MAX - 1, 6));
    assert!(!replace_tiny(place, table, Carving::NONE.0, 7));
    assert_eq!(slab.word(TINY_WORD).load(Relaxed), 6);
}

/// Everything that may be tried on a CPU without a slab or on one that is stopped, with the words that a
/// thread may have read from the slab before.
fn try_everything(place: Place, table: &CpuTable) {
    assert_eq!(pop(place, table), None);
    assert!(!push(place, table, Addr(64)));
    for object in [Addr(64), Addr(MARK as usize)] {
        assert!(!push_looked_up(place, table, CLASS, object));
    }
    assert!(pop_batch(place, table, 8).is_empty());
    assert_eq!(push_batch(place, table, &objects(8)), 0);
    for capacity in 0..=MAX_SLOTS[CLASS] as usize {
        let new = Header::IDLE.with_capacity(CLASS, capacity);
        assert_eq!(replace_header(place, table, Header::IDLE, new), None);
        assert_eq!(replace_header(place, table, new, Header::IDLE), None);
    }
    let carved = |block| Carving::of_block(block).carve(1, 1).map_or(0, |(next, _)| next.0);
    for word in [Carving::NONE.0, Carving::of_block(0).0, Carving::of_block(1 << 39).0, carved(0), carved(9)]
    {
        assert!(!replace_tiny(place, table, word, Carving::of_block(3).0), "{word:#x}");
    }
}

fn bytes_of(table: &CpuTable) -> Vec<u8> {
    // SAFETY: the table is alive and this thread is the only one to use it.
    unsafe { core::slice::from_raw_parts((&raw const *table).cast::<u8>(), size_of::<CpuTable>()) }.to_vec()
}

#[test]
fn the_dummy_is_empty_and_full_and_never_written() {
    let (table, mut area) = (new_table(), FakeArea::new(0, 4));
    let before = bytes_of(table);
    try_everything(area.place(), table);
    assert!(bytes_of(table) == before, "the dummy has changed");
}

#[test]
fn a_stopped_cpu_works_on_the_dummy_until_it_is_published_again() {
    let (table, slab, mut area) = (new_table(), new_slab(8), FakeArea::new(0, 4));
    let place = area.place();
    table.publish(4, slab);
    assert!(push(place, table, Addr(64)));
    table.take_away(4);
    try_everything(place, table);
    assert_eq!(slab.pop(CLASS), Some(Addr(64)), "the stopper's");
    table.publish(4, slab);
    assert!(pop(place, table).is_none() && push(place, table, Addr(192)));
}

#[test]
fn nobody_takes_the_dummy_s_tiny_word_for_a_block_to_carve() {
    let (table, slab, mut area) = (new_table(), new_slab(8), FakeArea::new(0, 4));
    let place = area.place();
    assert_eq!(tiny_word_at(place, table), None, "no slab yet");
    table.publish(4, slab);
    assert_eq!(tiny_word_at(place, table), Some(Carving::NONE.0));
    let (carving, _) = Carving::of_block(7).carve(3, 1).unwrap();
    assert!(replace_tiny(place, table, Carving::NONE.0, carving.0));
    assert_eq!(tiny_word_at(place, table), Some(carving.0));
    table.take_away(4);
    assert_eq!(tiny_word_at(place, table), None, "stopped");
    assert_eq!(slab.word(TINY_WORD).load(Relaxed), carving.0);
}

#[test]
fn a_thread_without_registration_leaves_every_slab_alone() {
    for cpu_id in [-1, -2] {
        // Such a thread's `mm_cid` reads 0, which looks like a CPU.
        let (table, slab, mut area) = (new_table(), new_slab(8), FakeArea::new(cpu_id, 0));
        table.publish(0, slab);
        assert!(slab.push(CLASS, Addr(64)));
        let before = slab.read(CLASS);
        try_everything(area.place(), table);
        assert_eq!(replace_header(area.place(), table, before, Header::IDLE), None);
        assert_eq!(slab.read(CLASS), before);
        assert_eq!(cpu_at(area.place()), None);
        area.cpu_id = 0;
        assert_eq!((cpu_at(area.place()), pop(area.place(), table)), (Some(0), Some(Addr(64))));
    }
}

/// The kernel's `struct rseq_cs`.
#[repr(C)]
struct Descriptor {
    version: u32,
    flags: u32,
    start: u64,
    length: u64,
    abort: u64,
}

/// Checks the descriptor that a section has announced in `area`, as the kernel will.
fn check_descriptor(area: &FakeArea) {
    const SIGNATURE: u32 = if cfg!(target_arch = "x86_64") { 0x5305_3053 } else { 0xd428_bc00 };
    // A section is a few instructions; a longer one would be one with a wrong end.
    const MOST_BYTES: u64 = 200;
    assert_eq!(area.rseq_cs % 32, 0);
    // SAFETY: the section has left its descriptor's address there; it is a constant of this program.
    let found = unsafe { &*core::ptr::with_exposed_provenance::<Descriptor>(area.rseq_cs as usize) };
    assert_eq!((found.version, found.flags), (0, 0));
    assert!(found.length > 0 && found.length < MOST_BYTES, "{} bytes", found.length);
    assert!(!(found.start..found.start + found.length).contains(&found.abort));
    let before_abort = core::ptr::with_exposed_provenance::<u32>(found.abort as usize - 4);
    // SAFETY: the handler is code, which is readable, and so are the bytes in front of it.
    assert_eq!(unsafe { before_abort.read_unaligned() }, SIGNATURE);
}

#[test]
fn every_section_announces_what_the_kernel_expects() {
    let (table, mut area) = (new_table(), FakeArea::new(0, 0));
    table.publish(0, new_slab(8));
    let place = area.place();
    let sections: [&dyn Fn(); 7] = [
        &|| _ = pop(place, table),
        &|| _ = push(place, table, Addr(64)),
        &|| _ = push_looked_up(place, table, CLASS, Addr(64)),
        &|| _ = pop_batch(place, table, 2),
        &|| _ = push_batch(place, table, &objects(2)),
        &|| _ = replace_header(place, table, Header::IDLE, Header::IDLE),
        &|| _ = replace_tiny(place, table, 1, 2),
    ];
    let mut seen = vec![0];
    for section in sections {
        section();
        check_descriptor(&area);
        assert!(!seen.contains(&area.rseq_cs), "two sections share a descriptor");
        seen.push(area.rseq_cs);
    }
}
