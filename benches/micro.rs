//! Micro-benchmarks of the Rust interface: besom beside the system's allocator, in one process.
//!
//! Both are called through `GlobalAlloc` directly, so neither is the allocator of this program itself, and a
//! difference is the allocator's. `cargo bench --bench micro -- hot` runs a part; measurement times are short by
//! default, and criterion's `--measurement-time` makes them longer. The comparison with other allocators, with
//! memory as well as time, is the package in `benches/compare`.

use besom::Besom;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// The allocators compared, each behind the same calls.
const ALLOCATORS: [(&str, &(dyn GlobalAlloc + Sync)); 2] = [("besom", &Besom), ("system", &System)];

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// An object of `size` bytes, aligned as most Rust types are, its first byte written.
fn make(allocator: &dyn GlobalAlloc, size: usize) -> *mut u8 {
    // SAFETY: no caller asks for size zero.
    let object = unsafe { allocator.alloc(layout(size)) };
    assert!(!object.is_null());
    // SAFETY: the object has at least one byte and is ours.
    unsafe { object.write(1) };
    black_box(object)
}

/// Frees what `make` gave for the same size.
fn free(allocator: &dyn GlobalAlloc, object: *mut u8, size: usize) {
    // SAFETY: every object here comes from `make` with the same allocator and size, and is freed once.
    unsafe { allocator.dealloc(object, layout(size)) };
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("sizes here are far below isize::MAX")
}

/// A group with short times: the whole file takes about a minute.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    group
}

fn hot_pair(criterion: &mut Criterion) {
    let mut group = group(criterion, "hot pair");
    for size in [8, 16, 24, 64, 128, 256, 512, 1024, 4096, 32768] {
        for (name, allocator) in ALLOCATORS {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| free(allocator, make(allocator, size), size));
            });
        }
    }
}

fn batches(criterion: &mut Criterion) {
    let mut group = group(criterion, "batches of 1000");
    group.throughput(Throughput::Elements(1000));
    for (order, reverse) in [("fifo", false), ("lifo", true)] {
        for size in [16, 64, 512] {
            for (name, allocator) in ALLOCATORS {
                let mut objects = Vec::with_capacity(1000);
                group.bench_function(BenchmarkId::new(format!("{name} {order}"), size), |bencher| {
                    bencher.iter(|| {
                        objects.extend((0..1000).map(|_| make(allocator, size)));
                        if reverse {
                            objects.reverse();
                        }
                        objects.drain(..).for_each(|object| free(allocator, object, size));
                    });
                });
            }
        }
    }
}

/// xorshift64*: cheap beside an allocation, the same sequence for both allocators.
fn random(state: &mut u64) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize
}

fn churn(criterion: &mut Criterion) {
    let mut group = group(criterion, "random churn");
    for live in [1_000, 100_000] {
        for (name, allocator) in ALLOCATORS {
            let mut state = 7;
            let mut objects: Vec<(*mut u8, usize)> = (0..live)
                .map(|_| 8 + random(&mut state) % 500)
                .map(|size| (make(allocator, size), size))
                .collect();
            group.bench_function(BenchmarkId::new(name, live), |bencher| {
                bencher.iter(|| {
                    let at = random(&mut state) % live;
                    let (old, old_size) = objects[at];
                    free(allocator, old, old_size);
                    let size = 8 + random(&mut state) % 500;
                    objects[at] = (make(allocator, size), size);
                });
            });
            objects.drain(..).for_each(|(object, size)| free(allocator, object, size));
        }
    }
}

/// A batch of objects on its way to the thread that frees it.
struct Parcel(Vec<*mut u8>);

// SAFETY: a parcel owns its objects, and allocators are shared between threads.
unsafe impl Send for Parcel {}

fn producer_consumer(criterion: &mut Criterion) {
    const BATCH: usize = 256;
    let mut group = group(criterion, "producer and consumer");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, allocator) in ALLOCATORS {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|batches| {
                let (sender, receiver) = sync_channel::<Parcel>(16);
                let start = Instant::now();
                std::thread::scope(|scope| {
                    scope.spawn(move || {
                        for parcel in receiver {
                            parcel.0.into_iter().for_each(|object| free(allocator, object, 64));
                        }
                    });
                    for _ in 0..batches {
                        let parcel = Parcel((0..BATCH).map(|_| make(allocator, 64)).collect());
                        sender.send(parcel).expect("the consumer waits for the last parcel");
                    }
                    drop(sender);
                });
                start.elapsed()
            });
        });
    }
}

fn realloc_growth(criterion: &mut Criterion) {
    let mut group = group(criterion, "realloc growth");
    for target in [4 << 10, 1 << 20, 64 << 20] {
        for (name, allocator) in ALLOCATORS {
            group.bench_function(BenchmarkId::new(name, target), |bencher| {
                bencher.iter(|| grow(allocator, target))
            });
        }
    }
}

/// Grows one object from 16 bytes to `target` by halves, as a vector that is pushed to.
fn grow(allocator: &dyn GlobalAlloc, target: usize) {
    let mut size = 16;
    let mut object = make(allocator, size);
    while size < target {
        let larger = size + size / 2;
        // SAFETY: the object was made with this layout, and the new size is not zero.
        object = unsafe { allocator.realloc(object, layout(size), larger) };
        assert!(!object.is_null());
        // SAFETY: the object has `larger` bytes now and is ours.
        unsafe { object.add(larger - 1).write(1) };
        size = larger;
    }
    free(allocator, object, size);
}

fn zeroed(criterion: &mut Criterion) {
    let mut group = group(criterion, "calloc");
    for size in [32, 1 << 10, 64 << 10, 1 << 20] {
        for (name, allocator) in ALLOCATORS {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    // SAFETY: the size is not zero.
                    let object = unsafe { allocator.alloc_zeroed(layout(size)) };
                    assert!(!object.is_null());
                    // Dirtied at both ends, so that the next call has something to clear.
                    // SAFETY: both bytes lie in the object, which is ours.
                    unsafe {
                        object.write(1);
                        object.add(size - 1).write(1);
                    }
                    free(allocator, black_box(object), size);
                });
            });
        }
    }
}

criterion_group!(micro, hot_pair, batches, churn, producer_consumer, realloc_growth, zeroed);
criterion_main!(micro);
