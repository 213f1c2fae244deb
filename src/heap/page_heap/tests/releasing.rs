//! The scavenger and its policy, on made-up memory and a made-up clock.

use super::*;
use crate::sync::{Mutex, Rank};

const MIB: usize = (1 << 20) / PAGE_BYTES;
const SECOND: u64 = 1_000_000_000;

fn locked(os: &'static Made, limits: Limits) -> Mutex<PageHeap> {
    Mutex::new(Rank::PageHeap, heap_on(os, 2048, limits))
}

fn held(heap: &Mutex<PageHeap>) -> usize {
    let heap = heap.lock();
    heap.check().unwrap();
    heap.stats().in_use + heap.stats().idle
}

/// Takes `pages` in runs of `each`.
fn fill(heap: &Mutex<PageHeap>, pages: usize, each: usize) -> Vec<PageId> {
    (0..pages / each).map(|_| alloc_run(heap, each, 1).unwrap().page).collect()
}

#[test]
fn a_heap_freed_at_random_is_small_at_once() {
    for each in [1, 3, 40] {
        let heap = locked(made(2048, &[]), SCAVENGING);
        let runs = fill(&heap, 512 * MIB, each);
        let kept = |i: usize| (i * 7919).is_multiple_of(10);
        runs.iter().enumerate().filter(|(i, _)| !kept(*i)).for_each(|(_, &page)| free_run(&heap, page, each));
        let live = heap.lock().stats().in_use;
        assert!(held(&heap) <= live * 115 / 100 + 16 * MIB, "{} for {live}", held(&heap));
    }
}

#[test]
fn a_loop_stops_paying_for_its_memory_and_later_gives_it_back() {
    let os = made(2048, &[]);
    let heap = locked(os, SCAVENGING);
    let mut refaults = Vec::new();
    for _ in 0..8 {
        let before = heap.lock().stats().refaulted_total;
        for page in fill(&heap, 1024 * MIB, 128) {
            free_run(&heap, page, 128);
        }
        refaults.push(heap.lock().stats().refaulted_total - before);
        os.now.fetch_add(SECOND / 10, Relaxed);
    }
    assert!(refaults[1] > 900 * MIB, "{refaults:?}");
    assert!(refaults[2..].iter().all(|&pages| pages < 10 * MIB), "{refaults:?}");
    assert!(heap.lock().stats().kept_for_reuse > 900 * MIB);
    os.now.fetch_add(11 * SECOND, Relaxed);
    release_excess(&heap);
    os.now.fetch_add(11 * SECOND, Relaxed);
    release_excess(&heap);
    assert!(held(&heap) <= 16 * MIB);
}

#[test]
fn one_growth_keeps_nothing() {
    let heap = locked(made(2048, &[]), SCAVENGING);
    let mut size = MIB;
    let mut old: Option<(PageId, usize)> = None;
    while size <= 1024 * MIB {
        let page = alloc_run(&heap, size, 1).unwrap().page;
        if let Some((page, pages)) = old.replace((page, size)) {
            free_run(&heap, page, pages);
        }
        size *= 2;
    }
    let (page, pages) = old.unwrap();
    free_run(&heap, page, pages);
    assert!(held(&heap) <= 16 * MIB, "{}", held(&heap));
}

#[test]
fn the_soft_limit_takes_idle_pages_first() {
    let limits = Limits { soft: 100 * MIB, ..SCAVENGING };
    let heap = locked(made(2048, &[]), limits);
    let runs = fill(&heap, 90 * MIB, 128);
    runs[..10].iter().for_each(|&page| free_run(&heap, page, 128));
    assert!(held(&heap) >= 88 * MIB);
    alloc_run(&heap, 18 * MIB, 1).unwrap();
    assert!(held(&heap) <= 100 * MIB);
    // Above the limit with nothing idle the program goes on.
    alloc_run(&heap, 20 * MIB, 1).unwrap();
    assert_eq!(heap.lock().stats().idle, 0);
}

#[test]
fn switched_off_nothing_is_released_unasked() {
    let heap = locked(made(2048, &[]), Limits::NONE);
    for page in fill(&heap, 100 * MIB, 128) {
        free_run(&heap, page, 128);
    }
    assert_eq!(held(&heap), 100 * MIB);
    assert!(scavenge(&heap, 10 * MIB) >= 10 * MIB);
    assert!(held(&heap) <= 90 * MIB);
    let rest = held(&heap);
    assert_eq!((scavenge(&heap, usize::MAX), held(&heap)), (rest, 0));
}

#[test]
fn a_kernel_that_refuses_is_left_alone_for_a_while() {
    let os = made(2048, &[]);
    let heap = locked(os, SCAVENGING);
    os.refuses.store(true, Relaxed);
    for page in fill(&heap, 100 * MIB, 128) {
        free_run(&heap, page, 128);
    }
    assert_eq!(held(&heap), 100 * MIB);
    assert_eq!(heap.lock().stats().release_failures, 1);
    os.refuses.store(false, Relaxed);
    os.now.fetch_add(11 * SECOND, Relaxed);
    release_excess(&heap);
    assert!(held(&heap) <= 16 * MIB);
}

/// As when the process is restored elsewhere: its clock begins anew.
#[test]
fn a_clock_that_was_put_back_keeps_nothing_for_long() {
    let os = made(2048, &[]);
    os.now.store(1000 * SECOND, Relaxed);
    let heap = locked(os, SCAVENGING);
    let swing = || fill(&heap, 1024 * MIB, 128).into_iter().for_each(|page| free_run(&heap, page, 128));
    (0..4).for_each(|_| swing());
    assert!(heap.lock().stats().kept_for_reuse > 900 * MIB);
    os.now.store(SECOND, Relaxed);
    release_excess(&heap);
    for _ in 0..2 {
        os.now.fetch_add(11 * SECOND, Relaxed);
        release_excess(&heap);
    }
    assert!(held(&heap) <= 16 * MIB, "{}", held(&heap));

    os.now.store(1000 * SECOND, Relaxed);
    release_excess(&heap);
    os.refuses.store(true, Relaxed);
    swing();
    assert_eq!(held(&heap), 1024 * MIB);
    os.refuses.store(false, Relaxed);
    os.now.store(SECOND, Relaxed);
    release_excess(&heap);
    os.now.fetch_add(11 * SECOND, Relaxed);
    release_excess(&heap);
    assert!(held(&heap) <= 16 * MIB, "{}", held(&heap));
}

#[test]
fn a_child_takes_back_what_was_on_its_way() {
    let mut heap = heap_on(made(100, &[]), 100, SCAVENGING);
    let run = heap.alloc(2000, 1).unwrap();
    heap.free(run.page, 2000);
    let away = heap.take_for_release(300).unwrap();
    assert!(heap.stats().in_transit >= 300);
    heap.abandon_releases();
    heap.check().unwrap();
    // A block that was partly without memory comes back as idle.
    assert_eq!((heap.stats().in_transit, heap.stats().idle), (0, 4 * CHUNK_PAGES));
    heap.finish_release(away, true);
    heap.check().unwrap();
}
