// Proves that a counted value given away as a raw pointer, which points behind the counters, is reachable.
// preload: no the program is built with its allocator
// expect-leaks: definitely=0/0 possibly=0/0

use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::{
    Arc,
    atomic::{AtomicPtr, Ordering::Relaxed},
};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

static RAW: AtomicPtr<[u64; 3]> = AtomicPtr::new(null_mut());

#[inline(never)]
fn give() {
    RAW.store(Arc::into_raw(Arc::new([1, 2, 3])).cast_mut(), Relaxed);
    black_box(&RAW);
}

fn main() {
    give();
}
