//! A word is planted in one place of the process, and must be found there and nowhere else.
//!
//! The word is the complement of a key, made by one instruction and never left in a register or on a
//! stack of the test, so that the plant is its only copy.

mod mappings;
mod threads;

use super::*;
use crate::leak::snapshot::{self, Outcome, Place, Plain, Plan};
use crate::leak::stop_world::{self, tests::alone};
use crate::sys::futex;
use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::{process::Command, string::String, sync::mpsc, thread, vec::Vec};

/// Keys differ from test to test, so that one test's remains are not found by another.
fn fresh_key() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0x4141_5e5e_1234_0000);
    NEXT.fetch_add(0x10, SeqCst)
}

/// Stores the word of `key` at `place`.
#[inline(always)]
fn plant(place: *mut usize, key: usize) {
    // SAFETY: the caller's place is a word of its own; the register is cleared after the store.
    unsafe {
        asm!("not {key}", "mov [{place}], {key}", "xor {key:e}, {key:e}", place = in(reg) place,
             key = inout(reg) key => _);
    }
}

const MOST: usize = 16;

/// Where the word was found.
#[derive(Clone, Copy)]
struct Found {
    count: usize,
    at: [(u8, u32); MOST],
    objects: usize,
    object: [(u8, u32, usize, bool); 4096],
    notes: Option<Notes>,
}

// SAFETY: numbers, and an option of flags whose zero bytes are a value of it.
unsafe impl Plain for Found {}

impl Found {
    fn root(&mut self, root: Root, key: usize) {
        match root.what {
            What::Words((start, end)) => {
                for at in (start..end).step_by(WORD) {
                    // SAFETY: the search names only memory that can be read.
                    if !unsafe { crate::leak::peek::directly(at) } == key && self.count < MOST {
                        self.at[self.count] = (root.kind as u8, root.tid);
                        self.count += 1;
                    }
                }
            }
            What::Object(at) | What::Keep(at) => {
                if let Some(row) = self.object.get_mut(self.objects) {
                    *row = (root.kind as u8, root.tid, at, matches!(root.what, What::Keep(_)));
                    self.objects += 1;
                }
            }
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        let kind = |&(kind, _): &(u8, u32)| Kind::ALL[kind as usize];
        let mut kinds: Vec<_> = self.at[..self.count].iter().map(kind).collect();
        kinds.sort();
        kinds
    }

    /// Whether the object around or before `at`, at most `reach` below, was named, and as what.
    fn object_at(&self, at: usize, reach: usize) -> Option<(Kind, bool)> {
        let row = self.object[..self.objects].iter().find(|row| row.2 <= at && at - row.2 <= reach);
        row.map(|row| (Kind::ALL[row.0 as usize], row.3))
    }
}

/// Looks for the word of `key` in a child, or in the process itself.
#[inline(never)]
fn search(key: usize, kinds: Kinds, in_place: bool, own_stack: usize) -> Found {
    let found = search_noting(key, kinds, in_place, own_stack);
    assert_eq!(found.notes, Some(Notes::default()), "nothing is hidden here");
    found
}

#[inline(never)]
fn search_noting(key: usize, kinds: Kinds, in_place: bool, own_stack: usize) -> Found {
    // A page of the result is shared with the child: no copy of the word may come from there.
    let caller = stop_world::Caller { stack_pointer: own_stack, registers: None };
    let options = stop_world::Options { caller, ..stop_world::tests::options() };
    let plan = Plan { wait: true, limit_seconds: 60, keep_file: -1, stack_bytes: 1 << 20, in_place };
    let world = stop_world::stop(&options).unwrap();
    let outcome = snapshot::run(
        world,
        &plan,
        || (),
        |world, place, found: &mut Found| {
            let search =
                Search { world, kinds, owned: &|_| (), in_place: place != Place::Child, unaligned: false };
            found.notes = find(&search, &mut |root| found.root(root, key)).ok();
        },
    );
    match outcome {
        Outcome::Done(found, place) => {
            assert_eq!(place != Place::Child, in_place);
            found
        }
        Outcome::Failed(failure) => panic!("{failure:?}"),
        Outcome::Running(_) => unreachable!("waited for"),
    }
}

/// Asserts that the word of `key` is found once, as `kind`, in a child and in place, and not at all if
/// that kind is turned off.
#[track_caller]
fn assert_found(key: usize, kind: Kind) -> Found {
    let marker = 0usize;
    let own_stack = &raw const marker as usize;
    let found = search(key, Kinds::DEFAULT, false, own_stack);
    assert_eq!(found.kinds(), [kind]);
    assert_eq!(search(key, Kinds::DEFAULT, true, own_stack).kinds(), [kind], "in place");
    assert_eq!(search(key, Kinds::DEFAULT.without(kind), false, own_stack).kinds(), [], "turned off");
    found
}

#[track_caller]
fn assert_not_found(key: usize) {
    let marker = 0usize;
    for in_place in [false, true] {
        assert_eq!(search(key, Kinds::DEFAULT, in_place, &raw const marker as usize).kinds(), []);
    }
}

fn prepared() -> std::sync::MutexGuard<'static, ()> {
    let guard = alone();
    learn();
    guard
}

/// A thread that has done `first` and sleeps until dropped.
struct Parked {
    tid: u32,
    end: &'static AtomicU32,
    thread: Option<thread::JoinHandle<()>>,
}

impl Parked {
    fn new(body: impl FnOnce(&dyn Fn()) + Send + 'static) -> Self {
        let end: &'static AtomicU32 = std::boxed::Box::leak(std::boxed::Box::new(AtomicU32::new(0)));
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            body(&move || {
                sender.send(crate::sys::message::thread_id()).unwrap();
                while end.load(SeqCst) == 0 {
                    futex::wait(end, 0);
                }
            });
        });
        Self { tid: receiver.recv().unwrap(), end, thread: Some(thread) }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.end.store(1, SeqCst);
        futex::wake(self.end, 1);
        self.thread.take().unwrap().join().unwrap();
    }
}
