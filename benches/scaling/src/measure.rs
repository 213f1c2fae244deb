//! The measurements, in the order of the output.

use besom::__bench_heap::{LockTimes, SLAB_BYTES, for_each_slab, kernel_page_bytes, take_lock_times, ticks};
use besom::{Besom, release_free_memory, stats};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::Barrier;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Threads, and so caches, in each step.
const CPUS: [usize; 6] = [1, 4, 16, 64, 128, 256];
/// Objects replaced on each CPU: enough that filling the caches does not count.
const OPS_EACH: usize = 200_000;
/// Objects handed over by all pairs of threads together, and forty times the page runs.
const OPS: usize = 4_000_000;

pub(super) fn run() {
    let ticks_per_ns = ticks_per_ns();
    empty_caches();
    by_cpus(ticks_per_ns);
    many_threads();
    large_heap(ticks_per_ns);
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("sizes here are far below isize::MAX")
}

fn make(size: usize) -> *mut u8 {
    // SAFETY: no caller asks for size zero.
    let object = unsafe { Besom.alloc(layout(size)) };
    assert!(!object.is_null(), "out of memory");
    object
}

fn free(object: *mut u8, size: usize) {
    // SAFETY: every object here comes from `make` with the same size and is freed once.
    unsafe { Besom.dealloc(object, layout(size)) };
}

fn ticks_per_ns() -> f64 {
    let (start, from) = (Instant::now(), ticks());
    std::thread::sleep(Duration::from_millis(50));
    (ticks() - from) as f64 / start.elapsed().as_nanos() as f64
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * n as u64) >> 32) as usize
    }
}

/// This process's CPU time.
fn cpu_ns() -> f64 {
    // SAFETY: an all-zero timespec is valid, and the call writes one.
    let time = unsafe {
        let mut time: libc::timespec = core::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time);
        time
    };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn resident_kib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("there is a /proc");
    let pages: f64 = statm.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    pages * kernel_page_bytes() as f64 / 1024.0
}

/// Caches that exist, and KiB of each that are memory on average.
fn slabs() -> (usize, f64) {
    let (mut count, mut pages) = (0, 0);
    for_each_slab(|at, bytes| {
        let mut present = vec![0u8; bytes / kernel_page_bytes()];
        // SAFETY: the slab is mapped for good, and the vector has a byte for each of its pages.
        let done = unsafe { libc::mincore(at as *mut libc::c_void, bytes, present.as_mut_ptr()) };
        assert_eq!(done, 0, "mincore");
        count += 1;
        pages += present.iter().filter(|page| **page & 1 != 0).count();
    });
    (count, (pages * kernel_page_bytes()) as f64 / 1024.0 / count.max(1) as f64)
}

/// Runs `body` in `threads` threads at once, each with its index; they end together.
fn together(threads: usize, body: impl Fn(usize) + Sync) {
    let (begin, end) = (Barrier::new(threads), Barrier::new(threads));
    std::thread::scope(|scope| {
        for index in 0..threads {
            let (body, begin, end) = (&body, &begin, &end);
            let builder = std::thread::Builder::new().stack_size(128 << 10);
            let run = move || {
                begin.wait();
                body(index);
                end.wait();
            };
            builder.spawn_scoped(scope, run).expect("a thread can be started");
        }
    });
}

fn empty_caches() {
    println!("## One CPU's caches\n");
    println!("address space of a slab: {} KiB", SLAB_BYTES >> 10);
    free(make(100), 100);
    let (_, one) = slabs();
    println!("memory after one object: {one:.0} KiB");
    let sizes: Vec<usize> = (1..=64).map(|i| i * 512).chain((1..64).map(|i| i * 8)).collect();
    for round in 0..200 {
        let objects: Vec<_> = sizes.iter().map(|&size| (make(size), size)).collect();
        objects.into_iter().skip(round % 2).for_each(|(object, size)| free(object, size));
    }
    println!("memory after objects of all classes: {:.0} KiB", slabs().1);
}

/// Random objects of up to 512 bytes replaced, a thousand for each thread.
fn churn(index: usize, ops: usize) {
    let mut random = Random(index as u64 * 2 + 1);
    let mut mine: Vec<(*mut u8, usize)> = Vec::with_capacity(1000);
    for _ in 0..ops {
        let size = 8 + random.below(504);
        let new = (make(size), size);
        if mine.len() < 1000 {
            mine.push(new);
        } else {
            let (old, size) = std::mem::replace(&mut mine[random.below(1000)], new);
            free(old, size);
        }
    }
    mine.into_iter().for_each(|(object, size)| free(object, size));
}

/// Pages runs of 9 to 200 KiB, and some beyond what the run cache keeps.
fn runs(index: usize, ops: usize) {
    let mut random = Random(index as u64 * 2 + 1);
    let mut mine = [(std::ptr::null_mut::<u8>(), 0); 16];
    for i in 0..ops {
        let size =
            if i % 16 == 0 { (1 << 20) + random.below(1 << 20) } else { 33_000 + random.below(200_000) };
        let slot = &mut mine[random.below(16)];
        if !slot.0.is_null() {
            free(slot.0, slot.1);
        }
        *slot = (make(size), size);
    }
    mine.into_iter().filter(|one| !one.0.is_null()).for_each(|(object, size)| free(object, size));
}

/// One half of the threads makes what the other half frees: every object passes through the central lists.
fn hand_over(threads: usize, ops: usize) {
    struct Parcel(Vec<*mut u8>);
    // SAFETY: a parcel owns its objects.
    unsafe impl Send for Parcel {}
    let pairs = (threads / 2).max(1);
    std::thread::scope(|scope| {
        for _ in 0..pairs {
            let (sender, receiver) = sync_channel::<Parcel>(4);
            scope.spawn(move || {
                for _ in 0..ops / pairs / 256 {
                    let parcel = Parcel((0..256).map(|i| make(16 + i % 8 * 16)).collect());
                    sender.send(parcel).expect("the consumer takes all");
                }
            });
            scope.spawn(move || {
                for parcel in receiver {
                    parcel.0.into_iter().enumerate().for_each(|(i, object)| free(object, 16 + i % 8 * 16));
                }
            });
        }
    });
}

fn by_cpus(ticks_per_ns: f64) {
    println!("\n## By the number of CPUs, one thread on each\n");
    println!("Ids are not used again, so that the caches of each step come on top of those before.\n");
    println!(
        "| CPUs | churn, CPU ns per operation | caches | KiB of slab each | KiB cached by each | emptying all |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    let mut locks = Vec::new();
    for cpus in CPUS {
        release_free_memory();
        take_lock_times();
        let before = cpu_ns();
        together(cpus, |index| churn(index, OPS_EACH));
        let ns = (cpu_ns() - before) / (OPS_EACH * cpus) as f64;
        locks.push((format!("churn, {cpus}"), take_lock_times()));
        let (count, each) = slabs();
        let cached = stats().cached as f64 / 1024.0 / cpus as f64;
        let before = cpu_ns();
        release_free_memory();
        let emptied = (cpu_ns() - before) / 1e6;
        println!("| {cpus} | {ns:.1} | {count} | {each:.0} | {cached:.0} | {emptied:.2} ms |");
    }
    for cpus in CPUS {
        take_lock_times();
        hand_over(cpus, OPS);
        locks.push((format!("handed over, {cpus}"), take_lock_times()));
        together(cpus, |index| runs(index, OPS / 40 / cpus));
        locks.push((format!("page runs, {cpus}"), take_lock_times()));
    }
    println!("\n## Locks, in nanoseconds\n");
    println!(
        "| load, CPUs | lock | taken | contended | waited each | held: median | 99 % | 99.9 % | longest |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for (load, times) in &locks {
        times.iter().for_each(|times| print_lock(load, times, ticks_per_ns));
    }
}

fn print_lock(load: &str, times: &LockTimes, ticks_per_ns: f64) {
    let taken: u64 = times.held.iter().sum();
    if taken < 1000 {
        return;
    }
    // The middle of the bucket that holds this part of all.
    let quantile = |part: f64| {
        let mut left = (taken as f64 * part) as u64;
        let bucket = times.held.iter().position(|&n| {
            let here = n > left;
            left = left.saturating_sub(n);
            here
        });
        1.4 * 2f64.powi(bucket.unwrap_or(0) as i32) / ticks_per_ns
    };
    let longest = times.held.iter().rposition(|&n| n != 0).unwrap_or(0);
    let longest = 2f64.powi(longest as i32 + 1) / ticks_per_ns;
    let waited = times.waited_sum as f64 / times.contended.max(1) as f64 / ticks_per_ns;
    println!(
        "| {load} | {} | {taken} | {:.2} % | {waited:.0} | {:.0} | {:.0} | {:.0} | < {longest:.0} |",
        times.name,
        times.contended as f64 * 100.0 / taken as f64,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
    );
}

/// Threads beyond the number of CPUs share caches in the real world; here each gets one: the worst case.
fn many_threads() {
    println!("\n## 2000 threads alive, each with a cache of its own and 20 objects\n");
    let (before, caches) = (resident_kib(), slabs().0);
    let most_resident = std::sync::Mutex::new(0.0f64);
    together(2000, |index| {
        let objects: Vec<_> = (0..20).map(|i| make(16 + (i * 37 + index) % 256)).collect();
        let mut most = most_resident.lock().unwrap_or_else(|error| error.into_inner());
        *most = most.max(resident_kib());
        drop(most);
        objects.into_iter().enumerate().for_each(|(i, object)| free(object, 16 + (i * 37 + index) % 256));
    });
    let resident = *most_resident.lock().unwrap_or_else(|error| error.into_inner());
    let (now, each) = slabs();
    println!("caches: {now}, {} more than before, {each:.0} KiB of slab each", now - caches);
    println!("resident: {:.0} KiB more, stacks of 2000 threads included", resident - before);
}

/// 1 TiB of heap: large objects that are never touched, so that only besom's tables take memory.
fn large_heap(ticks_per_ns: f64) {
    const OBJECT: usize = 64 << 20;
    const COUNT: usize = (1 << 40) / OBJECT;
    println!("\n## A heap of 1 TiB, of objects of 64 MiB that are never touched\n");
    release_free_memory();
    take_lock_times();
    let (before, start) = (resident_kib(), cpu_ns());
    let mut objects: Vec<*mut u8> = (0..COUNT).map(|_| make(OBJECT)).collect();
    let each = (cpu_ns() - start) / 1e3 / COUNT as f64;
    println!("mapped: {} GiB, {each:.1} µs for each object", stats().heap_mapped >> 30);
    println!("resident: {:.0} KiB more, of which 16384 addresses 128", resident_kib() - before);
    // Every second object gone: 8192 holes of 64 MiB.
    objects.iter().step_by(2).for_each(|&object| free(object, OBJECT));
    let start = cpu_ns();
    let small: Vec<_> = (0..10_000).map(|i| (make(40_000 + i % 7 * 8192), 40_000 + i % 7 * 8192)).collect();
    println!("a run of 5 to 11 pages then: {:.2} µs", (cpu_ns() - start) / 1e3 / 10_000.0);
    let start = cpu_ns();
    let huge: Vec<_> = (0..16).map(|_| make(100 << 20)).collect();
    println!("100 MiB, which fit in no hole: {:.1} µs", (cpu_ns() - start) / 1e3 / 16.0);
    small.into_iter().for_each(|(object, size)| free(object, size));
    huge.into_iter().for_each(|object| free(object, 100 << 20));
    for (i, object) in objects.drain(..).enumerate().filter(|(i, _)| i % 2 != 0) {
        debug_assert!(i < COUNT);
        free(object, OBJECT);
    }
    for times in take_lock_times() {
        print_lock("1 TiB", &times, ticks_per_ns);
    }
    println!("resident after all is freed: {:.0} KiB more", resident_kib() - before);
}
