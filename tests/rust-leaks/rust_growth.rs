// Proves that a vector that grew by pushing counts once, with its last size.
// preload: no the program is built with its allocator
// expect-leaks: definitely=4096/1

use std::{hint::black_box, mem::forget};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn grow() {
    let mut numbers = Vec::new();
    (0..1000u32).for_each(|n| numbers.push(n));
    assert_eq!(numbers.capacity(), 1024);
    forget(black_box(numbers));
}

fn main() {
    grow();
}
