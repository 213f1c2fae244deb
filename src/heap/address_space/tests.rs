//! The address range on the real operating system, in both forms.

use super::*;
use crate::heap::page_heap::{Backing, PageHeap};
use std::boxed::Box;

fn fresh() -> &'static AddressSpace {
    Box::leak(Box::new(AddressSpace::new()))
}

/// Nothing holds a claimed range's addresses until the heap grows to them, so two of these tests at once would pick
/// the same ones.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static CLAIMING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    CLAIMING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn heap_of(space: &'static AddressSpace) -> PageHeap {
    let mut heap = PageHeap::new();
    // SAFETY: the space has its range and no other heap.
    unsafe { heap.init(space) };
    heap
}

/// Every byte of the run reads as zero; leaves it filled with ones.
fn use_zeroed(space: &AddressSpace, page: PageId, pages: usize) {
    // SAFETY: the run was just taken from the heap and is used by nobody else.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(space.address_of(page).ptr::<u8>(), pages * PAGE_BYTES) };
    assert!(bytes.iter().all(|&byte| byte == 0));
    bytes.fill(1);
}

fn exercise(space: &'static AddressSpace) {
    assert_eq!(space.base().0 % MIN_RANGE_BYTES, 0);
    let mut heap = heap_of(space);
    let run = heap.alloc(700, 1).unwrap();
    assert!(run.zeroed);
    use_zeroed(space, run.page, 700);
    heap.free(run.page, 700);
    while let Some(run) = heap.take_for_release(100) {
        let released = space.release(run.page, run.pages);
        assert!(released);
        heap.finish_release(run, released);
    }
    let again = heap.alloc(700, 1).unwrap();
    assert_eq!((again.page, again.zeroed), (run.page, true));
    use_zeroed(space, again.page, 700);
    arrays_are_memory(space, heap.top_chunks());
    heap.check().unwrap();
}

fn arrays_are_memory(space: &AddressSpace, top: usize) {
    for array in [Array::PageMap, Array::SpanRecords, Array::TinyMap] {
        let bytes = array.bytes_per_chunk() * top;
        if array == Array::TinyMap {
            space.commit_array(array, 0..bytes).unwrap();
            space.commit_array(array, 5..6).unwrap();
        }
        let base = space.array_base(array).ptr::<u8>();
        // SAFETY: the part of the array that belongs to the grown heap is memory and nobody else's.
        let part = unsafe { core::slice::from_raw_parts_mut(base, bytes) };
        assert!(part.iter().all(|&byte| byte == 0));
        part.fill(1);
    }
    let far = Array::PageMap.range_bytes(space.range_bytes() / CHUNK_BYTES) - 1;
    // SAFETY: the page map is readable for the whole range.
    assert_eq!(unsafe { space.array_base(Array::PageMap).plus(far).ptr::<u8>().read() }, 0);
    assert!(space.commit_array(Array::TinyMap, 1 << 39..1 << 40).is_err());
}

#[test]
fn a_reserved_range_works() {
    let space = fresh();
    space.init_reserved().unwrap();
    assert!(!space.is_claimed());
    assert!(space.range_bytes() >= 1 << 36);
    exercise(space);
}

#[test]
fn a_claimed_range_works_around_others() {
    let _alone = alone();
    let space = fresh();
    space.init_claimed(1 << 30).unwrap();
    assert!(space.is_claimed());
    assert_eq!(space.range_bytes(), 1 << 30);
    exercise(space);

    // A stranger's page in the third chunk: the heap passes by that chunk and stays off it.
    let space = fresh();
    space.init_claimed(1 << 28).unwrap();
    let stranger = space.base().plus(2 * CHUNK_BYTES + 5 * STEP_BYTES);
    memory::map_at(stranger, STEP_BYTES, Access::Read).unwrap();
    let mut heap = heap_of(space);
    let run = heap.alloc(3 * 512, 1).unwrap();
    assert_eq!(run.page, PageId(3 * 512));
    use_zeroed(space, run.page, run.pages);
    assert_eq!(heap.stats().holes, 512);
    heap.check().unwrap();
    let mut own = std::vec::Vec::new();
    space.for_each_own(|at, bytes| own.push(at.0..at.0 + bytes));
    let is_own = |at: Addr| own.iter().any(|range| range.contains(&at.0));
    assert!(is_own(space.base()) && is_own(space.address_of(run.page)));
    assert!(!is_own(stranger), "others may keep pointers there");
    // SAFETY: the test's own mapping.
    unsafe { memory::unmap(stranger, STEP_BYTES) };
}

#[test]
fn a_claimed_range_has_an_end() {
    let _alone = alone();
    let space = fresh();
    space.init_claimed(1).unwrap();
    let mut heap = heap_of(space);
    assert_eq!(heap.alloc(MIN_RANGE_BYTES / PAGE_BYTES + 1, 1), None);
    assert!(heap.alloc(MIN_RANGE_BYTES / PAGE_BYTES, 1).is_some());
    assert_eq!(heap.alloc(1, 1), None);
}

/// The flags that the kernel shows for the mapping at `address`; `None` where it has no huge pages.
fn flags_at(address: Addr) -> Option<std::string::String> {
    std::fs::metadata("/sys/kernel/mm/transparent_hugepage").ok()?;
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let mut inside = false;
    for line in maps.lines() {
        let range = line.split_whitespace().next().and_then(|range| range.split_once('-'));
        let bound = |text| usize::from_str_radix(text, 16);
        if let Some((Ok(start), Ok(end))) = range.map(|(start, end)| (bound(start), bound(end))) {
            inside = (start..end).contains(&address.0);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
            return Some(std::format!("{flags} "));
        }
    }
    None
}

#[test]
fn what_is_left_of_a_huge_page_does_not_become_one_again() {
    const CHUNK: usize = CHUNK_BYTES / PAGE_BYTES;
    let _alone = alone();
    let space = fresh();
    space.init().unwrap();
    let mut heap = heap_of(space);
    heap.alloc(CHUNK, 1).unwrap();
    let large = heap.alloc(4 * CHUNK, 1).unwrap();
    let chunk = |i: usize| PageId(large.page.0 + (i * CHUNK) as u32);
    // Emulators may show no such flags.
    if !flags_at(space.address_of(chunk(1))).is_some_and(|flags| flags.contains(" hg ")) {
        return;
    }
    // The kernel gives nothing smaller back, and a larger huge page makes other chunks sparse.
    if auxv::kernel_page_bytes() != 4096 {
        return;
    }
    // Half of chunk 1, a whole huge page, and one page of chunk 2.
    let give_back = |heap: &mut PageHeap, page: PageId, pages: usize| {
        heap.free(page, pages);
        let run = heap.take_for_release(pages).unwrap();
        let released = space.release(run.page, run.pages);
        heap.finish_release(run, released);
    };
    give_back(&mut heap, chunk(1), CHUNK / 2);
    assert!(flags_at(space.address_of(chunk(1))).unwrap().contains(" hg "));
    give_back(&mut heap, chunk(2), 1);
    let is_sparse = || flags_at(space.address_of(chunk(2))).unwrap().contains(" nh ");
    assert!(is_sparse() && flags_at(space.address_of(chunk(3))).unwrap().contains(" hg "));
    // Full again, first one and, after a tick of the clock, the other.
    heap.alloc(CHUNK / 2, 1).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    heap.alloc(1, 1).unwrap();
    assert!(!is_sparse());
    // Sparse, then all free, then used anew.
    give_back(&mut heap, chunk(2), 1);
    assert!(is_sparse());
    heap.free(PageId(chunk(2).0 + 1), CHUNK - 1);
    assert!(is_sparse());
    heap.alloc(7, 1).unwrap();
    assert!(!is_sparse());
    heap.check().unwrap();
}
