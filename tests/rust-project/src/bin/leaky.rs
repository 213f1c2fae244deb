//! Loses some blocks and keeps others, in all the ways that `besom::leak` knows.

use besom::leak;
use std::hint::black_box;
use std::sync::Mutex;

#[global_allocator]
static ALLOCATOR: besom::Besom = besom::Besom;

static KEPT: Mutex<Vec<Box<[u64; 20]>>> = Mutex::new(Vec::new());

/// Regions may lie anywhere.
static ELSEWHERE: [u64; 4] = [0; 4];

#[inline(never)]
fn lost_by_forgetting() {
    std::mem::forget(black_box(vec![7u8; 1000]));
}

#[inline(never)]
fn lost_while_disabled() {
    let _scope = leak::Disabled::new();
    std::mem::forget(black_box(vec![7u64; 50]));
}

#[inline(never)]
fn lost_but_ignored() {
    let block = Box::leak(Box::new([7u64; 60]));
    assert!(leak::ignore(black_box(block)));
}

#[inline(never)]
fn work() {
    // Many sizes and threads, so that every lock of the heap is taken.
    let threads: Vec<_> = (1..5usize)
        .map(|seed| {
            std::thread::spawn(move || {
                let mut blocks: Vec<Vec<u8>> = Vec::new();
                for i in 0..3000 {
                    blocks.push(vec![0; (i * seed * 7919) % 70_000]);
                    if blocks.len() > 100 {
                        blocks.swap_remove(i % 100);
                    }
                }
                KEPT.lock().unwrap().push(Box::new([seed as u64; 20]));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[inline(never)]
fn wipe() {
    black_box([0u64; 8192]);
}

fn main() {
    assert!(leak::is_on());
    work();
    wipe();
    leak::assert_no_leaks(|| drop(black_box(vec![1, 2, 3])));
    let failed = std::panic::catch_unwind(|| leak::assert_no_leaks(lost_by_forgetting));
    assert!(failed.is_err(), "a leak fails the assertion");
    lost_while_disabled();
    lost_but_ignored();
    wipe();
    let region = leak::RootRegion::new(ELSEWHERE.as_ptr().cast(), size_of_val(&ELSEWHERE)).unwrap();
    let found = leak::try_check().expect("checks are possible");
    assert_eq!((found.definitely_lost.bytes, found.definitely_lost.blocks), (1000, 1), "{found:?}");
    assert_eq!(found.leaked(), found.definitely_lost);
    assert!(found.still_reachable.bytes >= 4 * 160, "{found:?}");
    drop(region);
}
