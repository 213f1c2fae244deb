//! The model: where each live object is, how long it is and what is in it.

use crate::base::Addr;
use crate::heap::{self, Operation, size_class::c_class_of};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

/// An operation. `victim` chooses among the live objects, modulo their number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Alloc { bytes: usize, align: usize, zeroed: bool },
    AllocC { bytes: usize },
    Calloc { bytes: usize },
    AllocAligned { bytes: usize, align: usize },
    Realloc { victim: usize, bytes: usize },
    Free { victim: usize, sized: bool },
    Release,
}

/// Sizes of every kind of object: packed, of each class, around the border of the large, and large.
fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0usize..=16,
        6 => 17usize..=1024,
        4 => 1025usize..=32 << 10,
        2 => (32usize << 10) - 64..=(32 << 10) + 64,
        2 => 32usize << 10..=1 << 20,
        1 => 1usize << 20..=5 << 20,
    ]
}

fn any_align() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0u32..=4, 2 => 5u32..=12, 1 => 13u32..=16].prop_map(|shift| 1 << shift)
}

/// Any operation.
pub(super) fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any_size(), any_align(), any::<bool>())
            .prop_map(|(bytes, align, zeroed)| Op::Alloc { bytes: bytes.max(1), align, zeroed }),
        4 => any_size().prop_map(|bytes| Op::AllocC { bytes }),
        2 => any_size().prop_map(|bytes| Op::Calloc { bytes }),
        1 => (any_size(), any_align()).prop_map(|(bytes, align)| Op::AllocAligned { bytes, align }),
        5 => (any::<usize>(), any_size()).prop_map(|(victim, bytes)| Op::Realloc { victim, bytes: bytes.max(1) }),
        9 => (any::<usize>(), any::<bool>()).prop_map(|(victim, sized)| Op::Free { victim, sized }),
        1 => Just(Op::Release),
    ]
}

/// By which interface an object was allocated, and so has to be freed; with its alignment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Rust { align: usize },
    C { align: usize },
}

/// A live object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    at: Addr,
    bytes: usize,
    kind: Kind,
    pattern: u8,
}

impl Object {
    /// What the program wrote.
    fn contents(&self) -> &[u8] {
        // SAFETY: the object is live and that long.
        unsafe { core::slice::from_raw_parts(self.at.ptr(), self.bytes) }
    }

    fn fill(&self) {
        // SAFETY: as above; nobody else writes there.
        unsafe { core::ptr::write_bytes(self.at.ptr::<u8>(), self.pattern, self.bytes) };
    }

    /// Panics unless the first `bytes` still are what was written.
    pub(super) fn check_contents(&self, bytes: usize) {
        assert!(is_all(&self.contents()[..bytes], self.pattern), "contents have changed: {self:?}");
    }

    /// Bytes that are the object's alone.
    fn extent(&self) -> usize {
        match self.kind {
            Kind::Rust { .. } => self.bytes,
            Kind::C { .. } => heap::usable_bytes(self.at.ptr(), Operation::UsableSize),
        }
    }

    /// Frees the object through its interface.
    pub(super) fn free(self, sized: bool) {
        self.check_contents(self.bytes);
        let (at, bytes) = (self.at.ptr(), self.bytes);
        // SAFETY: the object is live, was allocated by this interface with this size, and is given up.
        unsafe {
            match self.kind {
                Kind::Rust { align } => heap::dealloc_layout(at, bytes, align),
                Kind::C { align } if sized => heap::free_sized(at, bytes, align, Operation::FreeAlignedSized),
                Kind::C { .. } => heap::free(at, Operation::Free),
            }
        }
    }

    /// The object as it is after a change of its size; `None`: no memory, and it is unchanged.
    fn realloc(self, bytes: usize) -> Option<Self> {
        let at = self.at.ptr();
        // SAFETY: the object is live and was allocated by this interface with this size.
        let (new, kind) = unsafe {
            match self.kind {
                Kind::Rust { align } => (heap::realloc_layout(at, self.bytes, align, bytes), self.kind),
                Kind::C { .. } => {
                    let again = || heap::alloc_c(bytes, false);
                    let new = heap::realloc(at, bytes, c_class_of(bytes), None, again);
                    (new, Kind::C { align: c_align(bytes) })
                }
            }
        };
        (!new.is_null()).then(|| Self { at: Addr::of(new), bytes, kind, ..self })
    }
}

fn is_all(bytes: &[u8], value: u8) -> bool {
    // Equal to itself moved by one: a comparison that is fast in debug builds, too.
    bytes.first().is_none_or(|&first| first == value && bytes[1..] == bytes[..bytes.len() - 1])
}

/// The alignment that C's objects of `bytes` need whatever the options: that of the largest fundamental
/// type that fits.
fn c_align(bytes: usize) -> usize {
    1 << bytes.clamp(1, 16).ilog2()
}

/// All live objects of one thread.
pub(super) struct Model {
    live: BTreeMap<Addr, Object>,
    count: u8,
}

impl Model {
    /// No objects.
    pub(super) const fn new() -> Self {
        Self { live: BTreeMap::new(), count: 0 }
    }

    /// Does `op` and checks its result. `false`: no memory, and nothing has changed.
    pub(super) fn step(&mut self, op: Op) -> bool {
        match op {
            Op::Alloc { bytes, align, zeroed } => {
                self.add(heap::alloc_layout(bytes, align, zeroed), bytes, Kind::Rust { align }, zeroed)
            }
            Op::AllocC { bytes } => {
                self.add(heap::alloc_c(bytes, false), bytes, Kind::C { align: c_align(bytes) }, false)
            }
            Op::Calloc { bytes } => {
                self.add(heap::alloc_c(bytes, true), bytes, Kind::C { align: c_align(bytes) }, true)
            }
            Op::AllocAligned { bytes, align } => {
                self.add(heap::alloc_aligned(bytes, align), bytes, Kind::C { align }, false)
            }
            Op::Realloc { victim, bytes } => self.choose(victim).is_none_or(|at| self.realloc(at, bytes)),
            Op::Free { victim, sized } => {
                if let Some(object) = self.choose(victim).and_then(|at| self.live.remove(&at)) {
                    object.free(sized);
                }
                true
            }
            Op::Release => {
                heap::release_free_memory();
                true
            }
        }
    }

    fn choose(&self, victim: usize) -> Option<Addr> {
        let n = self.live.len().max(1);
        self.live.keys().nth(victim % n).copied()
    }

    fn add(&mut self, at: *mut u8, bytes: usize, kind: Kind, zeroed: bool) -> bool {
        if at.is_null() {
            return false;
        }
        let (Kind::Rust { align } | Kind::C { align }) = kind;
        self.count = self.count.wrapping_add(1);
        let object = Object { at: Addr::of(at), bytes, kind, pattern: self.count | 1 };
        assert_eq!(object.at.0 % align, 0, "alignment of {object:?}");
        assert!(!zeroed || is_all(object.contents(), 0), "not zero: {object:?}");
        self.insert(object);
        true
    }

    fn insert(&mut self, object: Object) {
        object.fill();
        assert!(object.extent() >= object.bytes, "too short: {object:?}");
        let old = self.live.insert(object.at, object);
        assert!(old.is_none(), "given out twice: {object:?} and {old:?}");
    }

    fn realloc(&mut self, at: Addr, bytes: usize) -> bool {
        let Some(object) = self.live.remove(&at) else { return true };
        object.check_contents(object.bytes);
        let Some(new) = object.realloc(bytes) else {
            object.check_contents(object.bytes);
            self.live.insert(at, object);
            return false;
        };
        let (Kind::Rust { align } | Kind::C { align }) = new.kind;
        assert_eq!(new.at.0 % align, 0, "alignment of {new:?}");
        new.check_contents(object.bytes.min(bytes));
        self.insert(new);
        true
    }

    /// Panics if an object reaches into the next.
    pub(super) fn check_neighbours(&self) {
        for (object, next) in self.live.values().zip(self.live.values().skip(1)) {
            assert!(object.at.0 + object.extent() <= next.at.0, "{object:?} reaches into {next:?}");
        }
    }

    /// Panics if an object's contents are not what the program wrote.
    pub(super) fn check_contents(&self) {
        self.live.values().for_each(|object| object.check_contents(object.bytes));
    }

    /// Frees every other object, in the order of addresses.
    pub(super) fn free_every_other(&mut self) {
        let odd: Vec<_> = self.live.keys().copied().step_by(2).collect();
        odd.iter().filter_map(|at| self.live.remove(at)).for_each(|object| object.free(false));
    }

    /// Frees everything.
    pub(super) fn free_all(&mut self) {
        while let Some((at, object)) = self.live.pop_first() {
            object.free((at.0 / 16).is_multiple_of(2));
        }
    }

    /// Gives up an object, for another thread to free.
    pub(super) fn take(&mut self, victim: usize) -> Option<Object> {
        self.choose(victim).and_then(|at| self.live.remove(&at))
    }

    /// Takes over an object of another thread.
    pub(super) fn adopt(&mut self, object: Object) {
        object.check_contents(object.bytes);
        self.insert(object);
    }
}

/// Panics if the heap counts an object as the program's. Blocks that are being carved are, one per cache.
pub(super) fn check_nothing_left() {
    let stats = heap::snapshot();
    for (class, counts) in stats.by_class.iter().enumerate() {
        assert_eq!(counts.objects, 0, "objects of class {class} are left: {counts:?}");
    }
    assert!(stats.tiny_blocks <= stats.caches, "{} blocks in {} caches", stats.tiny_blocks, stats.caches);
}
