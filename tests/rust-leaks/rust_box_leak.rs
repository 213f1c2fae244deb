// Proves that a leaked box is definitely lost once nobody holds the reference.
// preload: no the program is built with its allocator
// expect-leaks: definitely=40/1
// expect-function: rust_box_leak::leak

use std::hint::black_box;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn leak() {
    black_box(Box::leak(Box::new([1u64; 5])));
}

fn main() {
    leak();
}
