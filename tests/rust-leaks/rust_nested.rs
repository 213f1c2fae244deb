// Proves that a lost vector of strings loses its texts indirectly.
// preload: no the program is built with its allocator
// expect-leaks: definitely=24/1 indirectly=440/11

use std::hint::black_box;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn leak() {
    let texts: Vec<String> = (0..10).map(|_| "x".repeat(20)).collect();
    black_box(Box::leak(Box::new(texts)));
}

fn main() {
    leak();
}
