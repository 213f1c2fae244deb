// Proves that bytes are not searched for pointers and that words are.
// preload: no the program is built with its allocator
// expect-leaks: definitely=32/1

use std::sync::OnceLock;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
static WORDS: OnceLock<Vec<usize>> = OnceLock::new();

#[inline(never)]
fn address_of_new<const N: usize>() -> usize {
    Box::leak(Box::new([1u64; N])).as_ptr().addr()
}

#[inline(never)]
fn fill() {
    let mut bytes = vec![0; 64];
    bytes[16..24].copy_from_slice(&address_of_new::<4>().to_ne_bytes());
    BYTES.set(bytes).unwrap();
    WORDS.set(vec![0, address_of_new::<6>()]).unwrap();
}

fn main() {
    fill();
}
