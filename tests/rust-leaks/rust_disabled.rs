// Proves that the guard leak::Disabled ends with its scope, nests, and concerns its thread alone.
// preload: no the program is built with its allocator
// expect-leaks: definitely=48/2

use besom::leak::Disabled;
use std::hint::black_box;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn leak<const N: usize>() {
    black_box(Box::leak(Box::new([1u64; N])));
}

fn main() {
    {
        let _outer = Disabled::new();
        leak::<10>();
        drop(Disabled::new());
        leak::<11>();
        let lock = &std::sync::Barrier::new(1);
        lock.wait();
    }
    leak::<2>();
    let guard = Disabled::new();
    std::thread::scope(|scope| scope.spawn(leak::<4>).join().unwrap());
    drop(guard);
}
