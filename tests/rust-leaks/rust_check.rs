// Proves that leak::check counts every kind.
// preload: no the program is built with its allocator
// options: leak_at_exit=0
// expect-leaks: definitely=24/1 indirectly=440/11 possibly=80/1
// expect-exit: 0

use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

static INSIDE: AtomicPtr<u64> = AtomicPtr::new(null_mut());

#[inline(never)]
fn build() {
    let texts: Vec<String> = (0..10).map(|_| "x".repeat(20)).collect();
    black_box(Box::leak(Box::new(texts)));
    INSIDE.store(&raw mut Box::leak(Box::new([1u64; 10]))[5], Relaxed);
    black_box(&INSIDE);
}

#[inline(never)]
fn wipe() {
    black_box([0u64; 4096]);
}

fn main() {
    assert!(besom::leak::is_on());
    build();
    wipe();
    let found = besom::leak::check();
    assert_eq!((found.definitely_lost.bytes, found.definitely_lost.blocks), (24, 1));
    assert_eq!((found.indirectly_lost.bytes, found.indirectly_lost.blocks), (440, 11));
    assert_eq!((found.possibly_lost.bytes, found.possibly_lost.blocks), (80, 1));
    assert_eq!(found.leaked().bytes, 464);
}
