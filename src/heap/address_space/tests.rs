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
        let entry_0 = space.array_base(array).0;
        let base = Addr(if array.grows_down() { entry_0 - bytes } else { entry_0 }).ptr::<u8>();
        // SAFETY: the part of the array that belongs to the grown heap is memory and nobody else's.
        let part = unsafe { core::slice::from_raw_parts_mut(base, bytes) };
        assert!(part.iter().all(|&byte| byte == 0));
        part.fill(1);
    }
    let far = Array::PageMap.bytes_per_chunk() * (space.range_bytes() / CHUNK_BYTES) - 1;
    // SAFETY: the page map is readable for the whole range.
    assert_eq!(unsafe { space.array_base(Array::PageMap).plus(far).ptr::<u8>().read() }, 0);
    assert!(space.commit_array(Array::TinyMap, 1 << 39..1 << 40).is_err());
}

/// Also those that begin in one page and grow apart, for a small heap and for the largest.
#[test]
fn arrays_lie_apart() {
    let space = fresh();
    space.reserve(1 << 36).unwrap();
    let all = space.range_bytes() / CHUNK_BYTES;
    let mut own = std::vec::Vec::new();
    space.for_each_own(|at, bytes| own.push(at.0..at.0 + bytes));
    assert!(own.iter().all(|range| range.start % STEP_BYTES == 0 && range.end % STEP_BYTES == 0));
    own.sort_by_key(|range| range.start);
    assert!(own.is_sorted_by(|a, b| a.end <= b.start), "{own:x?}");
    for chunks in [1, 100, all] {
        let mut parts: std::vec::Vec<_> = ALL
            .into_iter()
            .filter(|array| array.bytes_per_chunk() > 0)
            .map(|array| {
                let (entry_0, bytes) = (space.array_base(array).0, chunks * array.bytes_per_chunk());
                if array.grows_down() { entry_0 - bytes..entry_0 } else { entry_0..entry_0 + bytes }
            })
            .collect();
        parts.sort_by_key(|part| part.start);
        assert!(parts.is_sorted_by(|a, b| a.end <= b.start), "{chunks}: {parts:x?}");
        let ends = parts.iter().flat_map(|part| [part.start, part.end - 1]);
        assert!(ends.into_iter().all(|end| own.iter().any(|range| range.contains(&end))), "{chunks}");
    }
    let page = |array| space.array_base(array).0 >> 12;
    assert_eq!(page(Array::SpanRecords), page(Array::PageMap));
    assert_eq!(page(Array::Chunks), page(Array::Leaves));
}

/// `count` entries of `array`, of `bytes` each, from the one numbered `first` on.
fn rows(space: &'static AddressSpace, array: Array, bytes: usize, first: usize, count: usize) -> *mut [u8] {
    let (entry_0, near, far) = (space.array_base(array).0, first * bytes, (first + count) * bytes);
    let start = if array.grows_down() { entry_0 - far } else { entry_0 + near };
    core::ptr::slice_from_raw_parts_mut(Addr(start).ptr::<u8>(), count * bytes)
}

/// Whether each byte of some entries, which must be memory, has this value.
fn all_are(value: u8, rows: *mut [u8]) -> bool {
    // SAFETY: the caller has committed them, in a space that is the test's own.
    unsafe { &*rows }.iter().all(|&byte| byte == value)
}

#[test]
fn rows_of_released_pages_go_with_them_and_others_stay() {
    let _alone = alone();
    for claimed in [false, true] {
        let space = fresh();
        if claimed { space.init_claimed(1 << 30) } else { space.reserve(1 << 30) }.unwrap();
        // By pieces, as a heap grows.
        [(0, 1), (1, 2), (3, 7)].into_iter().for_each(|(first, count)| space.commit(first, count).unwrap());
        let (pages, first, count) = (10 * CHUNK_BYTES / PAGE_BYTES, 600, 2048);
        let arrays = [(Array::SpanRecords, crate::heap::span::RECORD_BYTES), (Array::PageMap, 4)];
        for (array, bytes) in arrays {
            // SAFETY: the heap has grown to these pages, and the space is the test's own.
            unsafe { &mut *rows(space, array, bytes, 0, pages) }.fill(1);
        }
        assert!(space.release(PageId(first as u32), count));
        for (array, bytes) in arrays {
            assert!(all_are(1, rows(space, array, bytes, 0, first)), "{array:?}");
            assert!(all_are(1, rows(space, array, bytes, first + count, pages - first - count)), "{array:?}");
            if auxv::kernel_page_bytes() == 4096 {
                assert!(all_are(0, rows(space, array, bytes, first + count / 2, 1)), "{array:?}");
            }
        }
    }
}

#[test]
fn arrays_become_memory_bit_by_bit() {
    let space = fresh();
    space.reserve(1 << 36).unwrap();
    for chunks in [1, 2, 600, 1100] {
        space.cover(chunks).unwrap();
        for array in [Array::Chunks, Array::Leaves] {
            // SAFETY: the array is memory for so many chunks, and the space is the test's own.
            let all = unsafe { &mut *rows(space, array, array.bytes_per_chunk(), 0, chunks) };
            all[0] = 1;
            all[all.len() - 1] = 1;
        }
    }
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
