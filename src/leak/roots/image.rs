//! Loaded objects: how far an ELF image reaches, and where its writable data lies.

use crate::leak::glibc::Read;
use crate::leak::stop_world::Range;
use crate::sys::auxv::kernel_page_bytes;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The first four bytes of every ELF file, little-endian.
const MAGIC: usize = 0x464c_457f;
const PHOFF_AT: usize = 32;
const PHENTSIZE_AT: usize = 48;
const PHNUM_AT: usize = 56;
/// Offsets in a 64-bit program header.
const VADDR_AT: usize = 16;
const MEMSZ_AT: usize = 40;
const LOAD: usize = 1;
const WRITABLE: usize = 2;
/// Headers looked at: objects have about a dozen.
const MOST_HEADERS: usize = 256;

/// A segment of an image: addresses as linked, before the load bias is added.
#[derive(Clone, Copy)]
struct Segment {
    start: usize,
    end: usize,
    writable: bool,
}

/// Calls `each` for the loaded segments in the header table at `table` of `count` entries of `bytes`.
fn for_each_segment(table: usize, count: usize, bytes: usize, read: Read<'_>, each: &mut dyn FnMut(Segment)) {
    for header in (0..count.min(MOST_HEADERS)).map(|i| table.wrapping_add(i * bytes)) {
        let (Some(kind), Some(start), Some(size)) =
            (read(header), read(header + VADDR_AT), read(header + MEMSZ_AT))
        else {
            return;
        };
        if kind & 0xffff_ffff == LOAD {
            let end = start.saturating_add(size);
            each(Segment { start, end, writable: kind >> 32 & WRITABLE != 0 });
        }
    }
}

/// Calls `each` for the loaded segments of the image whose file header is mapped at `base`.
fn segments_of(base: usize, read: Read<'_>, each: &mut dyn FnMut(Segment)) -> Option<()> {
    if read(base)? & 0xffff_ffff != MAGIC {
        return None;
    }
    let bytes = read(base + PHENTSIZE_AT)? >> 48;
    let count = read(base + PHNUM_AT)? & 0xffff;
    let table = base.checked_add(read(base + PHOFF_AT)?).filter(|table| table % 8 == 0 && bytes % 8 == 0)?;
    for_each_segment(table, count, bytes, read, each);
    Some(())
}

/// The end of the image whose file header is mapped at `base`: behind its zero-initialised data, whose
/// last pages belong to no file. `None` if there is no ELF header.
pub(super) fn end_of(base: usize, read: Read<'_>) -> Option<usize> {
    let (mut first, mut end) = (usize::MAX, 0);
    segments_of(base, read, &mut |segment| {
        first = first.min(segment.start);
        end = end.max(segment.end);
    })?;
    let page = kernel_page_bytes();
    let span = end.checked_sub(first & !(page - 1))?;
    base.checked_add(span)?.checked_next_multiple_of(page)
}

/// The dynamic linker's list of objects for debuggers (`_r_debug` of `<link.h>`), if it was looked up.
static DEBUG: AtomicUsize = AtomicUsize::new(0);

/// Looks the list up, once. Not while the world is stopped: the dynamic linker locks.
pub(super) fn learn() {
    // SAFETY: looks a name up; glibc locks and may allocate, which the caller allows.
    let at = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_r_debug".as_ptr()) };
    DEBUG.store(at.addr(), Relaxed);
}

/// Calls `each` for the writable data of every loaded object, without `/proc` and without the dynamic
/// linker's lock: from the program's headers and the debuggers' list.
pub(super) fn for_each_data(read: Read<'_>, each: &mut dyn FnMut(Range)) {
    const LIST_AT: usize = 8;
    const NEXT_AT: usize = 24;
    const MOST_OBJECTS: usize = 1 << 16;
    let debug = DEBUG.load(Relaxed);
    let mut object = if debug == 0 { None } else { read(debug + LIST_AT) };
    let mut first = true;
    for _ in 0..MOST_OBJECTS {
        let Some(map) = object.filter(|&map| map != 0) else { break };
        let Some(bias) = read(map) else { break };
        let mut data = |segment: Segment| {
            if segment.writable {
                each((bias.wrapping_add(segment.start), bias.wrapping_add(segment.end)));
            }
        };
        if first {
            // The program itself: its header need not be mapped, but the kernel says where its table is.
            // SAFETY: getauxval reads an array the kernel made.
            let value = |key| unsafe { libc::getauxval(key) as usize };
            let (table, count) = (value(libc::AT_PHDR), value(libc::AT_PHNUM));
            for_each_segment(table, count, value(libc::AT_PHENT), read, &mut data);
        } else {
            segments_of(bias, read, &mut data);
        }
        first = false;
        object = read(map + NEXT_AT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leak::peek::through_kernel;

    static mut DATA: u64 = 7;

    #[test]
    fn the_own_data_is_found_without_proc() {
        learn();
        let (here, libc_data) = (&raw const DATA as usize, &raw const libc_environ as usize);
        let (mut own, mut libc) = (false, false);
        for_each_data(&through_kernel, &mut |(start, end)| {
            own |= (start..end).contains(&here);
            libc |= (start..end).contains(&libc_data);
        });
        assert!(own && libc);
    }

    unsafe extern "C" {
        #[link_name = "environ"]
        static libc_environ: usize;
    }

    #[test]
    fn an_image_ends_behind_its_data() {
        let mut ends = std::vec::Vec::new();
        crate::sys::proc_maps::for_each_mapping(|map| {
            if map.offset == 0 && map.path.starts_with(b"/") && map.readable {
                ends.push((map.start, end_of(map.start, &through_kernel).unwrap_or(0)));
            }
        });
        let here = &raw const DATA as usize;
        assert!(ends.iter().any(|&(start, end)| (start..end).contains(&here)));
    }

    #[test]
    fn what_is_not_elf_has_no_end() {
        let words = [1usize; 64];
        assert_eq!(end_of(words.as_ptr() as usize, &through_kernel), None);
    }
}
