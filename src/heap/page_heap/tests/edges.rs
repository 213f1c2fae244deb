//! Where runs, ranges, limits and systems end.

use super::super::grow::HUGE_FROM_PAGES;
use super::*;

#[test]
fn nothing_is_given_out_before_the_start() {
    let mut heap = PageHeap::new();
    assert_eq!(heap.alloc(1, 1), None);
    assert_eq!(heap.take_for_release(1), None);
    assert_eq!(heap.excess(), 0);
    assert!(!heap.is_free(PageId(0)));
}

#[test]
fn runs_cross_chunks_and_root_entries() {
    // A root entry covers 4096 chunks: 16 GiB.
    let mut heap = heap(3 * 4096);
    let chunks = |n: usize| n * CHUNK_PAGES;
    assert_eq!(page_of(heap.alloc(chunks(4095) + 500, 1)), 0);
    assert_eq!(page_of(heap.alloc(24, 1)), chunks(4095) + 500);
    let all_of_a_root = chunks(4096) + 100;
    assert_eq!(page_of(heap.alloc(all_of_a_root, 1)), chunks(4096) + 12);
    heap.check().unwrap();
    heap.free(PageId::new(0), chunks(4095) + 500);
    heap.free(PageId::new(chunks(4096) + 12), all_of_a_root);
    heap.free(PageId::new(chunks(4095) + 500), 24);
    heap.check().unwrap();
    assert_eq!(page_of(heap.alloc(chunks(8192) + 5, 1)), 0);
    heap.check().unwrap();
}

#[test]
fn the_end_of_the_range_is_the_end() {
    let mut heap = heap(2);
    assert_eq!(heap.alloc(2 * CHUNK_PAGES + 1, 1), None);
    assert_eq!(page_of(heap.alloc(2 * CHUNK_PAGES, 1)), 0);
    assert_eq!(heap.alloc(1, 1), None);
    assert_eq!(heap.alloc(usize::MAX / 2, 1), None);
    heap.free(PageId(700), 3);
    assert_eq!(page_of(heap.alloc(3, 1)), 700);
    assert_eq!(heap.try_extend(PageId(700), 3, 4), None);
    heap.check().unwrap();
}

#[test]
fn a_system_without_memory_is_survived() {
    let mut heap = heap_on(made(3, &[]), 100, Limits::NONE);
    assert_eq!(heap.alloc(4 * CHUNK_PAGES, 1), None);
    assert_eq!(page_of(heap.alloc(3 * CHUNK_PAGES, 1)), 0);
    assert_eq!(heap.alloc(1, 1), None);
    heap.check().unwrap();
}

#[test]
fn what_others_have_mapped_is_passed_by() {
    let mut heap = heap_on(made(100, &[0, 3]), 10, Limits::NONE);
    assert_eq!(page_of(heap.alloc(1, 1)), CHUNK_PAGES);
    assert_eq!(page_of(heap.alloc(3 * CHUNK_PAGES, 1)), 4 * CHUNK_PAGES);
    assert_eq!(page_of(heap.alloc(2 * CHUNK_PAGES - 1, 1)), CHUNK_PAGES + 1);
    assert!(!heap.is_free(PageId(0)));
    assert_eq!(heap.stats().holes, 2 * CHUNK_PAGES);
    heap.check().unwrap();
}

#[test]
fn free_pages_below_many_holes_are_found() {
    let holes: Vec<usize> = (1..9).collect();
    let mut heap = heap_on(made(100, &holes), 20, Limits::NONE);
    assert_eq!(page_of(heap.alloc(1, 1)), 0);
    assert_eq!(page_of(heap.alloc(CHUNK_PAGES, 1)), 9 * CHUNK_PAGES);
    heap.check().unwrap();
    assert_eq!(page_of(heap.alloc(CHUNK_PAGES - 1, 1)), 1);
    heap.check().unwrap();
}

#[test]
fn alignment_is_of_addresses_not_of_page_numbers() {
    let mut heap = heap(64);
    heap.first_page = 5;
    assert_eq!(page_of(heap.alloc(1, 1024)), 1019);
    assert_eq!(page_of(heap.alloc(2, 8)), 3);
    heap.check().unwrap();
}

#[test]
fn the_hard_limit_refuses() {
    let mut heap = heap_on(made(100, &[]), 100, Limits { hard: 1000, ..Limits::NONE });
    assert_eq!(heap.alloc(1001, 1), None);
    let run = heap.alloc(1000, 1).unwrap();
    assert_eq!(heap.alloc(1, 1), None);
    assert_eq!(heap.try_extend(run.page, 1000, 1001), None);
    assert_eq!(heap.stats().limit_failures, 3);
    heap.free(run.page, 1);
    assert_eq!(heap.alloc(1, 1).unwrap().page, run.page);
}

#[test]
fn huge_pages_come_with_a_grown_heap() {
    let os = made(1000, &[]);
    let mut heap = heap_on(os, 1000, Limits::NONE);
    let chunks = HUGE_FROM_PAGES / CHUNK_PAGES;
    (0..chunks * CHUNK_PAGES / 128).for_each(|_| assert!(heap.alloc(128, 1).is_some()));
    assert_eq!(*os.advice.lock().unwrap(), [(0, 1, HugePages::Avoid)]);
    heap.alloc(1, 1).unwrap();
    assert_eq!(os.advice.lock().unwrap()[1], (chunks, 1, HugePages::Use));
}

#[test]
fn a_large_request_has_huge_pages_but_in_the_first_chunk() {
    let os = made(1000, &[]);
    let mut heap = heap_on(os, 1000, Limits::NONE);
    let run = heap.alloc(2 * CHUNK_PAGES, 1).unwrap();
    assert_eq!(*os.advice.lock().unwrap(), [(0, 1, HugePages::Avoid), (1, 1, HugePages::Use)]);
    heap.try_extend(run.page, run.pages, run.pages + 1).unwrap();
    assert_eq!(os.advice.lock().unwrap()[2], (2, 1, HugePages::Use));
}

#[test]
fn the_system_hears_of_chunks_that_are_used_anew_and_of_full_ones() {
    let os = made(1000, &[]);
    let mut heap = heap_on(os, 1000, Limits::NONE);
    let reused = || core::mem::take(&mut *os.reused.lock().unwrap());
    let first = heap.alloc(CHUNK_PAGES - 1, 1).unwrap();
    assert_eq!(reused(), [0]);
    let last = heap.alloc(1, 1).unwrap();
    assert_eq!(reused(), [0]);
    heap.free(first.page, first.pages);
    heap.alloc(10, 1).unwrap();
    assert!(reused().is_empty());
    heap.free(first.page, 10);
    heap.free(last.page, 1);
    // Into the second chunk: only that one was free.
    heap.alloc(10, 1).unwrap();
    assert_eq!(reused(), [0]);
    heap.alloc(CHUNK_PAGES - 11, 1).unwrap();
    os.now.fetch_add(1, Relaxed);
    let across = heap.alloc(2, 1).unwrap();
    assert_eq!((across.page.index(), reused()), (CHUNK_PAGES - 1, vec![0, 1]));
    heap.free(across.page, 2);
    heap.free(first.page, 10);
    heap.alloc(2, 1).unwrap();
    assert!(reused().is_empty());
    assert_eq!(heap.alloc(CHUNK_PAGES, 1).unwrap().page.index(), CHUNK_PAGES - 1);
    assert_eq!(reused(), [1], "not the first, which has holes");
}
