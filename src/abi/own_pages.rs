//! Gives back the library's own pages that only its start needs: relocations, the code that reads options and lays out the
//! heap, and its constants. They come back by themselves, from the file, when they are needed again.
//!
//! Breakpoints that a debugger or a probe has set in that code before go with them, without a word. The entry points
//! that a program uses most (`build.rs` names them) are not in it; for others, such as `memalign`, set them when
//! `main` has begun.

use crate::base::{Addr, align_up};
use crate::sys::memory;

/// Name and value.
type DynamicEntry = [libc::size_t; 2];

unsafe extern "C" {
    /// Where the library begins in memory. The linker makes it.
    #[link_name = "__ehdr_start"]
    static IMAGE: libc::Elf64_Ehdr;
    /// The table of what the dynamic linker needs. The linker makes it.
    #[link_name = "_DYNAMIC"]
    static DYNAMIC: DynamicEntry;
}

/// Names of entries of that table, and the one behind the last, of the ELF specification.
const DT_NULL: usize = 0;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;

/// The smallest page of any kernel: `build.rs` reckons with it.
const PAGE: usize = 4096;

/// As much as the kernel maps at once. `build.rs` puts what requests need at the end of the code, in one of these.
const WINDOW_BYTES: usize = 64 << 10;

/// Where such pages begin, and their bytes.
pub(super) type Unneeded = [(Addr, usize); 3];

/// Finds what is needed no more when the start has ended. Where the linker knows no such order, that is other code, which
/// comes back. Also makes the two parts of the code of maintenance mappings of their own.
#[inline(never)]
pub(super) fn find() -> Unneeded {
    // SAFETY: the linker says that this is the header of this file, which stays loaded.
    let (image, header) = unsafe { (Addr::of(&raw const IMAGE), &IMAGE) };
    let mut unneeded = [(Addr(0), 0); 3];
    // A library's addresses count from where it is loaded; a program's may not.
    if header.e_type != libc::ET_DYN {
        return unneeded;
    }
    let first = image.plus(header.e_phoff as usize).ptr::<libc::Elf64_Phdr>();
    // SAFETY: the header says where they are, and how many.
    let segments = unsafe { core::slice::from_raw_parts(first, usize::from(header.e_phnum)) };
    let is_code = |segment: &&libc::Elf64_Phdr| {
        segment.p_type == libc::PT_LOAD && segment.p_flags & (libc::PF_W | libc::PF_X) == libc::PF_X
    };
    // Counted from the image, as the linker aligns it.
    let window = (release as *const () as usize - image.0) & !(WINDOW_BYTES - 1);
    // There is one.
    if let Some(segment) = segments.iter().find(is_code) {
        let (start, bytes) = (segment.p_vaddr as usize, segment.p_memsz as usize);
        let end = start + bytes;
        // A flag that its neighbours do not have makes a mapping. The one keeps the kernel from reading ahead; the other
        // keeps the code, which is in the library's file, out of core files that would have all pages of files.
        let maintenance = crate::heap::maintenance_code();
        set_apart(image.plus(start), maintenance, libc::MADV_RANDOM);
        set_apart(maintenance, Addr(super::thread::start as *const () as usize), libc::MADV_DONTDUMP);
        unneeded[0] = pages_in(image.plus(start), image.plus(end.min(window.max(start))));
        unneeded[1] = pages_in(image.plus(start.max(window + WINDOW_BYTES)), image.plus(end));
    }
    let (start, bytes) = relocations(image);
    let end_of = |segment: &libc::Elf64_Phdr| image.plus((segment.p_vaddr + segment.p_memsz) as usize);
    let holds_them = |segment: &&libc::Elf64_Phdr| {
        segment.p_type == libc::PT_LOAD
            && segment.p_flags & libc::PF_W == 0
            && image.plus(segment.p_vaddr as usize) <= start
            && start < end_of(segment)
    };
    if let Some(segment) = segments.iter().find(holds_them) {
        let (rest, end) = (Addr(align_up(start.0 + bytes, PAGE)), Addr(align_up(end_of(segment).0, PAGE)));
        // By our order little follows, which the start alone needs; by others' it may be all constants.
        let has_little_more = end.0 - rest.0 <= WINDOW_BYTES;
        unneeded[2] = pages_in(start, if has_little_more { end } else { start.plus(bytes) });
        set_apart(rest, end, libc::MADV_RANDOM);
    }
    unneeded
}

/// Gives back what [`find`] has found. It does no more than that, since it lies among the code of requests, which every
/// process holds.
///
/// Never inline: its own address tells where the window is.
#[inline(never)]
pub(super) fn release(unneeded: &Unneeded) {
    for &(start, bytes) in unneeded.iter().filter(|(_, bytes)| *bytes > 0) {
        // SAFETY: pages of the file, of its code, relocations and constants, all in segments that nobody writes, so that they
        // come back as they were. This function is in none of them, or comes back. An error (larger pages, or locked
        // ones) leaves them where they are.
        let _ = unsafe { memory::advise(start, bytes, libc::MADV_DONTNEED) };
    }
}

/// Makes what lies from the page of `start` up to that of `end` (`build.rs` has them begin with pages) a mapping of its
/// own, so that a program which needs it gets no more than that.
fn set_apart(start: Addr, end: Addr, advice: libc::c_int) {
    let (start, end) = (Addr(start.0 & !(PAGE - 1)), Addr(end.0 & !(PAGE - 1)));
    if start < end && end.0 - start.0 <= WINDOW_BYTES {
        // An error leaves all as it is.
        // SAFETY: pages of the file that nobody writes, and they stay as they are.
        let _ = unsafe { memory::advise(start, end.0 - start.0, advice) };
    }
}

/// Where the relocations are, and their bytes; address 0 if there are none.
fn relocations(image: Addr) -> (Addr, usize) {
    let (mut start, mut bytes) = (0, 0);
    let mut at = Addr::of(&raw const DYNAMIC);
    loop {
        // SAFETY: the table goes on up to an entry that says that it ends.
        let [name, value] = unsafe { at.ptr::<DynamicEntry>().read() };
        match name {
            DT_NULL => break,
            DT_RELA => start = value,
            DT_RELASZ => bytes = value,
            _ => {}
        }
        at = at.plus(size_of::<DynamicEntry>());
    }
    // Some dynamic linkers have made it an address, others leave the distance from the beginning.
    (if start != 0 && start < image.0 { image.plus(start) } else { Addr(start) }, bytes)
}

/// The pages that begin from `start` up to `end`.
fn pages_in(start: Addr, end: Addr) -> (Addr, usize) {
    let (start, end) = (align_up(start.0, PAGE), align_up(end.0, PAGE));
    (Addr(start), end.saturating_sub(start))
}
