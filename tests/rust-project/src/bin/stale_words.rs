//! `assert_no_leaks` where many stale words of the program point into freed memory, a way to hold them for each argument.
//! Prints what each assertion says.

use besom::leak::{assert_no_leaks, check};
use std::alloc::{Layout, alloc};
use std::hint::black_box;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

#[global_allocator]
static ALLOCATOR: besom::Besom = besom::Besom;

const MANY: usize = 140_000;
static STALE: [AtomicUsize; MANY] = [const { AtomicUsize::new(0) }; MANY];

fn name(at: usize, address: usize) {
    STALE[at].store(address, Relaxed);
}

#[inline(never)]
fn wipe() {
    black_box([0u64; 8192]);
}

fn says(body: impl FnOnce() + UnwindSafe) {
    match catch_unwind(|| assert_no_leaks(body)) {
        Ok(()) => println!("nothing"),
        Err(panic) => match panic.downcast_ref::<String>() {
            Some(text) => println!("{text}"),
            None => println!("{}", panic.downcast_ref::<&str>().expect("a text")),
        },
    }
}

#[inline(never)]
fn lose(blocks: usize, words: usize) {
    (0..blocks).for_each(|_| forget(black_box(vec![7u64; words])));
}

fn allocate(blocks: usize, words: usize) -> Vec<Vec<u64>> {
    black_box((0..blocks).map(|_| vec![1; words]).collect())
}

/// The addresses of blocks that are freed then, below one that stays.
#[inline(never)]
fn freed(blocks: usize, words: usize) -> Vec<usize> {
    let mut blocks = allocate(blocks + 1, words);
    forget(blocks.pop());
    blocks.iter().map(|block| block.as_ptr().addr()).collect()
}

/// Names the places of freed blocks, `inside` bytes into each.
#[inline(never)]
fn name_freed(blocks: usize, words: usize, inside: usize) {
    freed(blocks, words).iter().enumerate().for_each(|(at, address)| name(at, address + inside));
    wipe();
}

/// Names the pages of eight MiB from `start` on, `inside` bytes into each, as far as `names` picks them.
fn name_pages(start: usize, inside: usize, names: fn(usize) -> bool) {
    (0..1024).filter(|&page| names(page)).for_each(|page| name(page, start + page * 8192 + inside));
    wipe();
}

#[inline(never)]
fn address_at_the_end() -> usize {
    allocate(1, 1 << 20)[0].as_ptr().addr()
}

/// At the heap's end.
fn freed_at_the_end() {
    name_pages(address_at_the_end(), 0, |_| true);
    says(|| lose(100, 1024));
}

/// In pages that other sizes take then.
fn freed_and_cut_anew() {
    for (block, address) in freed(100, 20480).iter().enumerate() {
        (0..20).for_each(|page| name(20 * block + page, address + page * 8192));
    }
    wipe();
    says(|| lose(200, 1024));
}

/// In the last bytes of places whose blocks do not need them.
fn behind_what_is_requested() {
    name_freed(100, 5120, 40960 - 64);
    says(|| lose(10, 4600));
}

/// The same, where the alignment and not the size says how large the place is.
fn behind_what_is_aligned() {
    name_pages(freed(1, 1 << 20)[0], 8192 - 64, |_| true);
    says(|| {
        let layout = Layout::from_size_align(64, 16384).expect("a layout");
        for _ in 0..100 {
            // SAFETY: the layout has a size.
            black_box(unsafe { alloc(layout) });
        }
    });
}

/// Where blocks might grow.
fn behind_a_block_that_grows() {
    name_pages(freed(1, 1 << 20)[0], 0, |page| page % 8 >= 5);
    says(|| {
        for _ in 0..20 {
            let mut block: Vec<u64> = Vec::with_capacity(5120);
            block.push(1);
            block.reserve_exact(8000);
            forget(black_box(block));
        }
    });
}

/// The same address over and over, before others.
fn more_than_fit_in_a_list() {
    let inside = freed(1, 3 << 20)[0] + (16 << 20);
    (0..MANY - 400).for_each(|at| name(at, inside));
    freed(400, 5).iter().enumerate().for_each(|(at, &address)| name(MANY - 400 + at, address));
    wipe();
    says(|| lose(50, 5));
}

/// A request that nothing could satisfy changes nothing.
fn failed_request() {
    name_freed(200, 5, 0);
    for bytes in [isize::MAX as usize, 1 << 45] {
        says(move || {
            drop(black_box(vec![1u64; 5]));
            assert!(Vec::<u8>::new().try_reserve_exact(bytes).is_err());
            lose(50, 5);
        });
    }
}

/// More of them than may be kept free.
fn too_much() {
    name_freed(3000, 5120, 0);
    says(|| drop(allocate(2500, 5120)));
}

/// More than there is memory for: what is kept free is used then.
fn exhausted() {
    name_freed(1000, 5120, 0);
    says(|| {
        let mut blocks: Vec<Vec<u64>> = Vec::with_capacity(1000);
        for _ in 0..900 {
            let mut block = Vec::new();
            block.try_reserve_exact(5120).expect("what is kept free");
            blocks.push(block);
        }
    });
}

/// What an assertion kept free does not name the rest of it.
fn none_of_its_own() {
    name_freed(400, 5, 0);
    assert_no_leaks(|| drop(allocate(100, 5)));
    STALE.iter().for_each(|word| word.store(0, Relaxed));
    wipe();
    let kept = lose_every_other();
    wipe();
    let lost = check().leaked().blocks;
    black_box(&kept);
    println!("{}", if lost >= 990 { "found" } else { "hidden" });
}

/// Of blocks that are not written.
#[inline(never)]
fn lose_every_other() -> Vec<Vec<u64>> {
    let blocks: Vec<Vec<u64>> = (0..2000).map(|_| Vec::with_capacity(5)).collect();
    let mut kept = Vec::new();
    for (number, block) in blocks.into_iter().enumerate() {
        if number % 2 == 0 { forget(block) } else { kept.push(block) }
    }
    kept
}

/// Losses from before count in no difference.
fn lost_before() {
    lose(10, 5);
    wipe();
    (0..3).for_each(|_| says(|| lose(3, 5)));
}

/// A check after the end of the assertion that began first, which reclaims if it may.
fn overlapping() {
    lose(3, 5);
    wipe();
    check();
    let (begun, may_end) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            says(AssertUnwindSafe(|| {
                begun.wait();
                may_end.wait();
            }));
        });
        begun.wait();
        says(AssertUnwindSafe(|| {
            may_end.wait();
            first.join().expect("its end");
            check();
            lose(3, 300);
        }));
    });
}

fn small_stack() {
    let thread = thread::Builder::new().stack_size(64 << 10).spawn(|| says(|| lose(1, 5)));
    thread.expect("a thread").join().expect("its end");
}

/// A process that the body forks goes on with the assertion.
fn forked() {
    unsafe extern "C" {
        fn fork() -> i32;
        fn waitpid(child: i32, status: *mut i32, options: i32) -> i32;
    }
    name_freed(200, 5, 0);
    says(|| {
        drop(black_box(vec![1u64; 5]));
        // SAFETY: the child goes on as this process does.
        let child = unsafe { fork() };
        if child > 0 {
            // SAFETY: a status is not asked for.
            unsafe { waitpid(child, std::ptr::null_mut(), 0) };
        }
        lose(50, 5);
    });
}

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    match &*std::env::args().nth(1).expect("a case") {
        "freed_at_the_end" => freed_at_the_end(),
        "freed_and_cut_anew" => freed_and_cut_anew(),
        "behind_what_is_requested" => behind_what_is_requested(),
        "behind_what_is_aligned" => behind_what_is_aligned(),
        "behind_a_block_that_grows" => behind_a_block_that_grows(),
        "more_than_fit_in_a_list" => more_than_fit_in_a_list(),
        "failed_request" => failed_request(),
        "too_much" => too_much(),
        "exhausted" => exhausted(),
        "none_of_its_own" => none_of_its_own(),
        "lost_before" => lost_before(),
        "overlapping" => overlapping(),
        "small_stack" => small_stack(),
        "forked" => forked(),
        other => panic!("{other}?"),
    }
    // Read, so that they are not optimized away.
    assert!(STALE.iter().all(|word| word.load(Relaxed) != 1));
}
