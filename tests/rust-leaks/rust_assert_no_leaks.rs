// Proves that leak::assert_no_leaks lets code without leaks pass, also after earlier leaks, and panics at others.
// preload: no the program is built with its allocator
// reports: text
// options: leak_at_exit=0
// expect-exit: 0
// expect-stderr-has: 24 bytes leaked in 1 blocks

use besom::leak::assert_no_leaks;
use std::hint::black_box;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn leak() {
    black_box(Box::leak(Box::new([1u64; 3])));
}

fn main() {
    leak();
    let sum = assert_no_leaks(|| black_box(vec![1, 2, 3]).iter().sum::<i32>());
    assert_eq!(sum, 6);
    let kept = assert_no_leaks(|| vec![1u64; 100]);
    assert_eq!(kept.len(), 100);
    assert!(std::panic::catch_unwind(|| assert_no_leaks(leak)).is_err());
    assert_no_leaks(|| ());
}
