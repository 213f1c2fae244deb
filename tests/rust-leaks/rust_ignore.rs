// Proves that leak::ignore takes a block out of the report, and what only it holds.
// preload: no the program is built with its allocator
// expect-leaks: definitely=16/1

use std::hint::black_box;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn leak() {
    let texts: &'static Vec<String> = Box::leak(Box::new(vec!["x".repeat(20)]));
    assert!(besom::leak::ignore(texts));
    let slice: &'static [u64] = Box::leak(Box::new([1u64; 7]));
    assert!(besom::leak::ignore(&slice[3]));
    assert!(!besom::leak::ignore(&slice));
    black_box(Box::leak(Box::new([1u64; 2])));
}

fn main() {
    leak();
}
