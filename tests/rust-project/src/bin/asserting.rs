//! Every way to lose a single block makes `assert_no_leaks` panic, whatever stale words the program holds.

use besom::leak::assert_no_leaks;
use std::hint::black_box;
use std::mem::forget;
use std::panic::{UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[global_allocator]
static ALLOCATOR: besom::Besom = besom::Besom;

/// Addresses of freed blocks, as frames and threads hold them by chance.
static STALE: [AtomicUsize; 400] = [const { AtomicUsize::new(0) }; 400];

/// Names the places that the next blocks of these sizes would get. Big enough for the caches to give each out again.
#[inline(never)]
fn leave_stale_words() {
    let mut blocks: Vec<(Box<[u8]>, Vec<u64>)> = Vec::new();
    for round in 0..STALE.len() / 2 {
        let size = [3, 4, 8, 11, 12, 24, 40, 48][round % 8];
        blocks.push((vec![0u8; size].into_boxed_slice(), vec![0u64; size.div_ceil(8)]));
    }
    for (pair, (bytes, words)) in STALE.chunks(2).zip(&blocks) {
        pair[0].store(bytes.as_ptr().addr(), Relaxed);
        pair[1].store(words.as_ptr().addr(), Relaxed);
    }
}

#[inline(never)]
fn wipe() {
    black_box([0u64; 8192]);
}

fn loses(name: &str, bytes: usize, blocks: usize, body: impl FnOnce() + UnwindSafe) {
    let expected = format!("{bytes} bytes leaked in {blocks} blocks");
    let panic = catch_unwind(|| assert_no_leaks(body)).expect_err(name);
    assert_eq!(panic.downcast_ref::<String>(), Some(&expected), "{name}");
}

fn lose_each() {
    loses("array", 40, 1, || forget(black_box(Box::new([1u64; 5]))));
    loses("vector", 12, 1, || forget(black_box(vec![1, 2, 3])));
    loses("vector of words", 24, 1, || forget(black_box(vec![1u64, 2, 3])));
    loses("raw", 4, 1, || {
        black_box(Box::into_raw(black_box(Box::new(3u32))));
    });
    loses("string", 11, 1, || forget(black_box(String::from("hello world"))));
    loses("seven", 56, 7, || (0..7u64).for_each(|i| forget(black_box(Box::new(i)))));
    assert_no_leaks(|| drop(black_box(vec![Box::new(1u64), Box::new(2)])));
    let kept = assert_no_leaks(|| black_box(vec![Box::new(1u64), Box::new(2)]));
    assert_eq!(*kept[1], 2);
    assert_no_leaks(|| drop(kept));
}

fn main() {
    // Words that a panic's message leaves are stale too, but its backtrace would fill the report.
    std::panic::set_hook(Box::new(|_| ()));
    lose_each();
    leave_stale_words();
    wipe();
    lose_each();
    std::thread::spawn(lose_each).join().expect("the same in a thread");
    assert!(STALE.iter().all(|word| word.load(Relaxed) != 0));
    println!("each was found");
}
