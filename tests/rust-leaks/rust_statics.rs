// Proves that statics and thread-local values keep what they hold.
// preload: no the program is built with its allocator
// expect-leaks: definitely=0/0 possibly=0/0

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
static MAP: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

thread_local! {
    static LOCAL: RefCell<Vec<Box<u64>>> = const { RefCell::new(Vec::new()) };
}

#[inline(never)]
fn fill() {
    TEXTS.set((0..10).map(|_| "x".repeat(20)).collect()).unwrap();
    (0..1000).for_each(|n| drop(MAP.lock().unwrap().insert(n, n.to_string())));
    LOCAL.with_borrow_mut(|boxes| boxes.extend((0..10).map(Box::new)));
}

fn main() {
    fill();
    assert_eq!(TEXTS.get().unwrap().len(), 10);
}
