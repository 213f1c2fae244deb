// Proves that forgotten values lose their memory: what the vector had room for, not what it held.
// preload: no the program is built with its allocator
// expect-leaks: definitely=1180/3

use std::{hint::black_box, mem::forget};

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn forget_all() {
    forget(black_box(vec![1u64; 10]));
    forget(black_box(String::from("x").repeat(100)));
    forget(black_box(Vec::<u32>::with_capacity(250)));
}

fn main() {
    forget_all();
}
