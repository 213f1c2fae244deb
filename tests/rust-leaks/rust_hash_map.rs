// Proves that a hash map in a static, which points into the middle of its table, is never called definitely lost.
// preload: no the program is built with its allocator
// expect-leaks: definitely=0/0 possibly=0/0

use std::collections::HashMap;
use std::sync::OnceLock;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

static MAP: OnceLock<HashMap<u64, String>> = OnceLock::new();

#[inline(never)]
fn fill() {
    MAP.set((0..1000).map(|n| (n, n.to_string())).collect()).unwrap();
}

fn main() {
    fill();
    assert_eq!(MAP.get().unwrap()[&7], "7");
}
