//! The two shapes of the tiny allocator's books, side by side: how many objects of a block are alive, as a
//! biased count, or where they start, as a map of 16 bits.
//!
//! Each is a small model: blocks of 16 bytes are carved one after the other, the state of the block being
//! carved is a plain value (in the allocator it is committed by a restartable section, for both shapes in
//! the same way), and what is measured is the rest: carving, the books of a free, and returning blocks.
//! `docs/tiny.md` has the numbers that decided.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 16;
const BLOCKS: usize = 1 << 14;

/// What is kept of a block beside it.
trait Books: Default + Send + Sync + 'static {
    const NAME: &'static str;
    /// What the carver remembers of the objects it has carved from a block, in its own word.
    type Carved: Copy + Default;
    fn begin(&self);
    fn carve(carved: Self::Carved, at: usize) -> Self::Carved;
    /// Ends the carving; whether the block is free.
    fn settle(&self, carved: Self::Carved) -> bool;
    /// Frees the object at `at`; whether the block is free.
    fn free(&self, at: usize) -> bool;
}

/// Live objects plus [`Count::BIAS`] while the block is being carved.
#[derive(Default)]
struct Count(AtomicU8);

impl Count {
    /// More than a block has objects, so that frees do not reach zero before the carver has settled.
    const BIAS: u8 = 64;
}

impl Books for Count {
    const NAME: &'static str = "count";
    type Carved = u8;

    fn begin(&self) {
        self.0.store(Self::BIAS, Relaxed);
    }

    fn carve(carved: u8, _: usize) -> u8 {
        carved + 1
    }

    fn settle(&self, carved: u8) -> bool {
        self.0.fetch_sub(Self::BIAS - carved, AcqRel) == Self::BIAS - carved
    }

    fn free(&self, _: usize) -> bool {
        self.0.fetch_sub(1, AcqRel) == 1
    }
}

/// A bit per byte, set where a live object starts; all set while the block is being carved.
#[derive(Default)]
struct Map(AtomicU16);

impl Books for Map {
    const NAME: &'static str = "map";
    type Carved = u16;

    fn begin(&self) {
        self.0.store(u16::MAX, Relaxed);
    }

    fn carve(carved: u16, at: usize) -> u16 {
        carved | 1 << at
    }

    fn settle(&self, carved: u16) -> bool {
        self.0.fetch_and(carved, AcqRel) & carved == 0
    }

    fn free(&self, at: usize) -> bool {
        let start = 1 << at;
        // The shape can tell a double free, so it does.
        assert!(self.0.load(Relaxed) & start != 0, "double free");
        let before = self.0.fetch_sub(start, AcqRel);
        assert!(before & start != 0, "double free");
        before == start
    }
}

/// Blocks, and the one being carved.
struct Tiny<B: Books> {
    books: &'static [B],
    free: Vec<u32>,
    block: u32,
    offset: usize,
    carved: B::Carved,
}

impl<B: Books> Tiny<B> {
    fn new() -> Self {
        let books = Vec::leak((0..BLOCKS).map(|_| B::default()).collect());
        let mut tiny = Self {
            books,
            free: (0..BLOCKS as u32).rev().collect(),
            block: 0,
            offset: 0,
            carved: B::Carved::default(),
        };
        tiny.begin();
        tiny
    }

    fn begin(&mut self) {
        self.block = self.free.pop().expect("the benchmarks hold fewer objects");
        self.books[self.block as usize].begin();
        (self.offset, self.carved) = (0, B::Carved::default());
    }

    #[inline(always)]
    fn alloc(&mut self, bytes: usize) -> usize {
        if self.offset + bytes > BLOCK_BYTES {
            if self.books[self.block as usize].settle(self.carved) {
                self.free.push(self.block);
            }
            self.begin();
        }
        let at = self.offset;
        (self.offset, self.carved) = (at + bytes, B::carve(self.carved, at));
        self.block as usize * BLOCK_BYTES + at
    }

    #[inline(always)]
    fn free(&mut self, object: usize) {
        if self.books[object / BLOCK_BYTES].free(object % BLOCK_BYTES) {
            self.free.push((object / BLOCK_BYTES) as u32);
        }
    }
}

const BYTES: usize = 4;
const BATCH: usize = 4000;

/// An object allocated and freed at once.
fn pair<B: Books>(c: &mut Criterion) {
    let mut tiny = Tiny::<B>::new();
    let mut group = c.benchmark_group("pair");
    group.throughput(Throughput::Elements(1));
    group.bench_function(B::NAME, |bencher| {
        bencher.iter(|| {
            let object = black_box(tiny.alloc(black_box(BYTES)));
            tiny.free(object);
        });
    });
}

/// Many objects allocated, then freed in the same order.
fn batch<B: Books>(c: &mut Criterion) {
    let mut tiny = Tiny::<B>::new();
    let mut objects = Vec::with_capacity(BATCH);
    let mut group = c.benchmark_group("batch, first in, first out");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(B::NAME, |bencher| {
        bencher.iter(|| {
            objects.extend((0..BATCH).map(|_| tiny.alloc(black_box(BYTES))));
            objects.drain(..).for_each(|object| tiny.free(object));
        });
    });
}

/// Frees batches for another thread: returns the objects' empty list, the free blocks and the time taken.
fn remote<B: Books>(books: &'static [B], from: &Receiver<Vec<usize>>, to: &Sender<(Vec<u32>, Duration)>) {
    for objects in from {
        let mut free = Vec::with_capacity(BATCH);
        let start = Instant::now();
        for object in objects {
            if books[object / BLOCK_BYTES].free(object % BLOCK_BYTES) {
                free.push((object / BLOCK_BYTES) as u32);
            }
        }
        let taken = start.elapsed();
        to.send((free, taken)).expect("the allocating thread waits");
    }
}

/// Objects freed by a second thread, whose time is measured: every block's books come from another cache.
fn freed_elsewhere<B: Books>(c: &mut Criterion) {
    let mut tiny = Tiny::<B>::new();
    let (to_other, from_here) = channel();
    let (to_here, from_other) = channel();
    let books = tiny.books;
    let thread = std::thread::spawn(move || remote(books, &from_here, &to_here));
    let mut group = c.benchmark_group("freed by a second thread");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(B::NAME, |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds).fold(Duration::ZERO, |sum, _| {
                let objects = (0..BATCH).map(|_| tiny.alloc(BYTES)).collect();
                to_other.send(objects).expect("the other thread waits");
                let (blocks, taken) = from_other.recv().expect("the other thread answers");
                tiny.free.extend(blocks);
                sum + taken
            })
        });
    });
    drop(to_other);
    thread.join().expect("the other thread ends with the channel");
}

/// Both shapes by turns.
fn both(c: &mut Criterion) {
    println!("bytes per block: count {}, map {}", size_of::<Count>(), size_of::<Map>());
    pair::<Count>(c);
    pair::<Map>(c);
    batch::<Count>(c);
    batch::<Map>(c);
    freed_elsewhere::<Count>(c);
    freed_elsewhere::<Map>(c);
}

criterion_group!(benches, both);
criterion_main!(benches);
