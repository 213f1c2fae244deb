// Proves that hash maps, which point into the middle of their tables, keep these: of any size, in statics and in each other.
// preload: no the program is built with its allocator
// expect-leaks: definitely=0/0 possibly=0/0

use std::collections::HashMap;
use std::sync::OnceLock;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

static MAP: OnceLock<HashMap<u64, String>> = OnceLock::new();
static NESTED: OnceLock<HashMap<u16, HashMap<u16, Box<u16>>>> = OnceLock::new();

#[inline(never)]
fn fill() {
    MAP.set((0..1000).map(|n| (n, n.to_string())).collect()).unwrap();
    let nested = |n: u16| (0..n).map(|i| (i, Box::new(i))).collect::<HashMap<_, _>>();
    NESTED.set((0..100).map(|n| (n, nested(n))).collect()).unwrap();
}

fn main() {
    fill();
    assert_eq!(MAP.get().unwrap()[&7], "7");
}
