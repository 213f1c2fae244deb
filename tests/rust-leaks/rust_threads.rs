// Proves that values on the stacks of threads, in channels and in handles are not lost.
// preload: no the program is built with its allocator
// expect-leaks: definitely=32/1 possibly=0/0

use std::hint::black_box;
use std::sync::mpsc::channel;

#[global_allocator]
static ALLOC: besom::Besom = besom::Besom;

#[inline(never)]
fn leak() {
    black_box(Box::leak(Box::new([1u64; 4])));
}

fn main() {
    let (to_main, from_threads) = channel();
    let handles: Vec<_> = (0..8u64)
        .map(|n| {
            let to_main = to_main.clone();
            std::thread::spawn(move || {
                let kept = black_box(Box::new([n; 10]));
                to_main.send(Box::new(n)).unwrap();
                loop {
                    std::thread::park();
                    black_box(&kept);
                }
            })
        })
        .collect();
    let sum: u64 = (0..4).map(|_| *from_threads.recv().unwrap()).sum();
    assert!(sum < 64);
    black_box(&handles);
    leak();
    black_box([0u64; 4096]);
    std::process::exit(0);
}
