//! Which pages of a mapping can hold pointers at all.
//!
//! A page of private memory that was never written is not in the page table, or it is the file's own:
//! nothing that the program stored is there. `/proc/self/pagemap` tells them apart without touching
//! them, so a reserved terabyte costs nothing, a page past the end of a file is never read, and neither
//! is one that userfaultfd would have to fill while its thread is stopped.

use crate::leak::stop_world::Range;
use crate::sys::{
    auxv::kernel_page_bytes,
    file::File,
    message::process_id,
    syscall::{Errno, call},
};

/// Pages asked about in one system call: two megabytes of memory, 4 KiB of answers.
const BATCH_PAGES: usize = 512;

/// Bits of an entry, from the kernel's `Documentation/admin-guide/mm/pagemap.rst`.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;

/// Whether an entry's page holds something that the program wrote into private memory.
const fn is_written(entry: u64) -> bool {
    entry & (PRESENT | SWAPPED) != 0 && entry & (OF_FILE | GUARD) == 0
}

/// This process's page table, as far as it is shown.
pub(super) struct PageTable(Option<File>);

impl PageTable {
    /// Opens it. In a child: its own.
    pub(super) fn open() -> Self {
        Self(File::open(c"/proc/self/pagemap").ok())
    }

    /// Whether the kernel shows it.
    pub(super) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Calls `each` for the runs of pages in a private mapping that were written; for the whole range if
    /// the kernel does not tell.
    pub(super) fn written(&self, range: Range, each: &mut dyn FnMut(Range)) {
        let page = kernel_page_bytes();
        let (mut from, end) = (range.0 & !(page - 1), range.1.next_multiple_of(page));
        while from < end {
            let mut regions = [scan::Region::default(); scan::REGIONS];
            match self.0.as_ref().map(|file| scan::written(file, (from, end), &mut regions)) {
                Some(Ok((found, walked))) if walked > from => {
                    for region in regions.iter().take(found) {
                        each((region.start().max(range.0), region.end().min(range.1)));
                    }
                    from = walked;
                }
                _ => return self.written_by_entries((from.max(range.0), range.1), each),
            }
        }
    }

    /// As [`Self::written`], for kernels before 6.7, which show every page's entry.
    fn written_by_entries(&self, range: Range, each: &mut dyn FnMut(Range)) {
        let mut runs = Runs::new(range, each);
        let mut entries = [0u64; BATCH_PAGES];
        for_each_batch(range, |first, pages| {
            let known = self.entries(first, entries.get_mut(..pages).unwrap_or(&mut []));
            for (i, &entry) in entries.iter().enumerate().take(pages) {
                runs.page(i >= known || is_written(entry));
            }
        });
        runs.finish();
    }

    /// Fills `entries` for the pages from address `first`; returns how many are known.
    fn entries(&self, first: usize, entries: &mut [u64]) -> usize {
        let Some(file) = &self.0 else { return 0 };
        let offset = first / kernel_page_bytes() * size_of::<u64>();
        let args = [file.fd() as usize, entries.as_mut_ptr() as usize, size_of_val(entries), offset, 0, 0];
        // SAFETY: the kernel writes at most the slice's bytes into the slice.
        unsafe { call(libc::SYS_pread64, args) }.unwrap_or(0) / size_of::<u64>()
    }
}

/// The kernel's own search of the page table (`PAGEMAP_SCAN`, Linux 6.7): it passes over what has no
/// page tables at all in one step, where reading the entries takes seconds per terabyte.
mod scan {
    use super::{Errno, File, Range, call};

    /// Runs returned by one call.
    pub(super) const REGIONS: usize = 64;

    /// `_IOWR('f', 16, struct pm_scan_arg)`.
    const REQUEST: usize = 3 << 30 | size_of::<Arguments>() << 16 | 0x66 << 8 | 16;
    const IS_FILE: u64 = 1 << 2;
    const IS_PRESENT: u64 = 1 << 3;
    const IS_SWAPPED: u64 = 1 << 4;
    const IS_ZERO: u64 = 1 << 5;

    /// The kernel's `struct pm_scan_arg`.
    #[repr(C)]
    struct Arguments {
        size: u64,
        flags: u64,
        start: u64,
        end: u64,
        walk_end: u64,
        regions: u64,
        regions_len: u64,
        max_pages: u64,
        inverted: u64,
        all_of: u64,
        any_of: u64,
        returned: u64,
    }

    /// The kernel's `struct page_region`.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    pub(super) struct Region {
        start: u64,
        end: u64,
        categories: u64,
    }

    impl Region {
        pub(super) fn start(&self) -> usize {
            self.start as usize
        }

        pub(super) fn end(&self) -> usize {
            self.end as usize
        }
    }

    /// Fills `regions` with the first written runs of a range of whole pages; returns how many there are
    /// and up to where the range was looked at. `ENOTTY` before Linux 6.7.
    pub(super) fn written(
        page_map: &File,
        (start, end): Range,
        regions: &mut [Region; REGIONS],
    ) -> Result<(usize, usize), Errno> {
        let mut arguments = Arguments {
            size: size_of::<Arguments>() as u64,
            flags: 0,
            start: start as u64,
            end: end as u64,
            walk_end: 0,
            regions: regions.as_mut_ptr().addr() as u64,
            regions_len: REGIONS as u64,
            max_pages: 0,
            inverted: IS_FILE | IS_ZERO,
            all_of: IS_FILE | IS_ZERO,
            any_of: IS_PRESENT | IS_SWAPPED,
            returned: IS_PRESENT,
        };
        let args = [page_map.fd() as usize, REQUEST, (&raw mut arguments).addr(), 0, 0, 0];
        // SAFETY: the kernel reads the arguments, writes `walk_end` into them and at most the array's
        // length of regions into the array; both live for the call.
        let found = unsafe { call(libc::SYS_ioctl, args) }?;
        Ok((found.min(REGIONS), arguments.walk_end as usize))
    }
}

/// Calls `each` for the runs of pages in a shared mapping that are in memory: the others hold no
/// pointer of this process, and reading them would fetch them from a file or fill holes.
pub(super) fn resident(range: Range, each: &mut dyn FnMut(Range)) {
    let mut runs = Runs::new(range, each);
    let mut flags = [0u8; BATCH_PAGES];
    for_each_batch(range, |first, pages| {
        let args = [first, pages * kernel_page_bytes(), flags.as_mut_ptr() as usize, 0, 0, 0];
        // SAFETY: the kernel writes one byte per page, and a batch has no more pages than the array.
        let known = unsafe { call(libc::SYS_mincore, args) }.is_ok();
        flags.iter().take(pages).for_each(|flag| runs.page(known && flag & 1 != 0));
    });
    runs.finish();
}

/// What came of trying pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tried {
    /// The kernel does try them: no filter of system calls forbids it.
    pub(super) allowed: bool,
    /// All can be read.
    pub(super) whole: bool,
}

/// Calls `each` for the runs of pages that can be read, found by having the kernel read a byte of each;
/// if it refuses to, for the whole range.
pub(super) fn readable(range: Range, each: &mut dyn FnMut(Range)) -> Tried {
    let mut runs = Runs::new(range, each);
    let mut tried = Tried { allowed: true, whole: true };
    for_each_batch(range, |first, pages| {
        let mut page = 0;
        while page < pages {
            let got = match probe(first + page * kernel_page_bytes(), pages - page) {
                Ok(got) => got,
                Err(Errno(libc::EFAULT)) => 0,
                Err(_) => {
                    tried.allowed = false;
                    pages - page
                }
            };
            (0..got).for_each(|_| runs.page(true));
            page += got;
            if page < pages {
                tried.whole = false;
                runs.page(false);
                page += 1;
            }
        }
    });
    runs.finish();
    tried
}

/// How many of `pages` pages from `first` on can be read before one that can't.
fn probe(first: usize, pages: usize) -> Result<usize, Errno> {
    let mut bytes = [0u8; BATCH_PAGES];
    let mut remote = [[0usize; 2]; BATCH_PAGES];
    for (i, vector) in remote.iter_mut().enumerate().take(pages) {
        *vector = [first + i * kernel_page_bytes(), 1];
    }
    let local = [bytes.as_mut_ptr().addr(), pages.min(BATCH_PAGES)];
    let args = [process_id() as usize, &raw const local as usize, 1, remote.as_ptr() as usize, pages, 0];
    // SAFETY: the kernel reads this process's memory with checks and writes only the array of bytes.
    unsafe { call(libc::SYS_process_vm_readv, args) }
}

/// Calls `each` with the first address and the number of the pages of each batch that the range touches.
fn for_each_batch((start, end): Range, mut each: impl FnMut(usize, usize)) {
    let page = kernel_page_bytes();
    let mut first = start & !(page - 1);
    while first < end {
        let pages = (end - first).div_ceil(page).min(BATCH_PAGES);
        each(first, pages);
        first += pages * page;
    }
}

/// Joins pages into runs, cut to the range asked about.
struct Runs<'a> {
    range: Range,
    next: usize,
    run_start: Option<usize>,
    each: &'a mut dyn FnMut(Range),
}

impl<'a> Runs<'a> {
    fn new(range: Range, each: &'a mut dyn FnMut(Range)) -> Self {
        Self { range, next: range.0 & !(kernel_page_bytes() - 1), run_start: None, each }
    }

    /// The next page, and whether it belongs to a run.
    fn page(&mut self, wanted: bool) {
        if !wanted {
            self.finish();
        } else if self.run_start.is_none() {
            self.run_start = Some(self.next);
        }
        self.next += kernel_page_bytes();
    }

    fn finish(&mut self) {
        if let Some(start) = self.run_start.take() {
            (self.each)((start.max(self.range.0), self.next.min(self.range.1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::{self, Access};
    use std::{vec, vec::Vec};

    const PAGES: usize = 2 * BATCH_PAGES + 10;

    fn runs(of: impl FnOnce(&mut dyn FnMut(Range))) -> Vec<Range> {
        let mut runs = vec![];
        of(&mut |range| runs.push(range));
        runs
    }

    #[test]
    fn only_written_pages_are_named() {
        let page = kernel_page_bytes();
        let at = memory::map(PAGES * page, Access::ReadWrite).unwrap();
        // Huge pages would make neighbours present too.
        // SAFETY: advice about a fresh mapping.
        let _ = unsafe { memory::advise(at, PAGES * page, libc::MADV_NOHUGEPAGE) };
        for i in [0, 3, BATCH_PAGES - 1, BATCH_PAGES, PAGES - 1] {
            // SAFETY: inside the mapping.
            unsafe { at.plus(i * page).ptr::<u8>().write(1) };
        }
        let table = PageTable::open();
        assert!(table.is_shown());
        let end = at.0 + PAGES * page;
        let got = runs(|each| table.written((at.0 + 8, end), each));
        let run = |from: usize, to: usize| (at.0 + from * page, at.0 + to * page);
        let want = [
            (at.0 + 8, at.0 + page),
            run(3, 4),
            run(BATCH_PAGES - 1, BATCH_PAGES + 1),
            run(PAGES - 1, PAGES),
        ];
        assert_eq!(got, want);
        assert_eq!(runs(|each| table.written_by_entries((at.0 + 8, end), each)), want);
        assert_eq!(runs(|each| PageTable(None).written((at.0, end), each)), [(at.0, end)]);
    }

    #[test]
    fn more_runs_than_one_call_returns_are_all_named() {
        let page = kernel_page_bytes();
        let at = memory::map(1 << 40, Access::ReadWrite).unwrap();
        // SAFETY: advice about a fresh mapping.
        let _ = unsafe { memory::advise(at, 1 << 40, libc::MADV_NOHUGEPAGE) };
        let places: Vec<usize> = (0..300).map(|i| at.0 + i * 2 * page + (i << 30)).collect();
        for &place in &places {
            // SAFETY: inside the mapping.
            unsafe { crate::base::Addr(place).ptr::<u8>().write(1) };
        }
        let table = PageTable::open();
        let file = table.0.as_ref().unwrap();
        let whole = (at.0, at.0 + (1 << 40));
        if scan::written(file, whole, &mut [scan::Region::default(); scan::REGIONS]).is_ok() {
            let want: Vec<_> = places.iter().map(|&place| (place, place + page)).collect();
            assert_eq!(runs(|each| table.written(whole, each)), want);
        }
        // SAFETY: the test's own mapping.
        unsafe { memory::unmap(at, 1 << 40) };
    }

    #[test]
    fn pages_without_access_are_left_out() {
        let page = kernel_page_bytes();
        let at = memory::map(PAGES * page, Access::ReadWrite).unwrap();
        for i in [5, BATCH_PAGES] {
            // SAFETY: inside the mapping, which nothing else uses.
            unsafe { memory::protect(at.plus(i * page), page, Access::None) }.unwrap();
        }
        let mut got = vec![];
        let tried = readable((at.0, at.0 + PAGES * page), &mut |range| got.push(range));
        assert_eq!(tried, Tried { allowed: true, whole: false });
        let run = |from: usize, to: usize| (at.0 + from * page, at.0 + to * page);
        assert_eq!(got, [run(0, 5), run(6, BATCH_PAGES), run(BATCH_PAGES + 1, PAGES)]);
    }

    #[test]
    fn untouched_shared_pages_are_left_out() {
        let page = kernel_page_bytes();
        let at = memory::map_shared(4 * page).unwrap();
        // SAFETY: inside the mapping.
        unsafe { at.plus(2 * page).ptr::<u8>().write(1) };
        let got = runs(|each| resident((at.0, at.0 + 4 * page), each));
        assert_eq!(got, [(at.0 + 2 * page, at.0 + 3 * page)]);
    }
}
