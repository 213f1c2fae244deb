//! Where a loaded module keeps its call frame information, from its own headers in memory.

use crate::sys::probe;
use core::ops::Range;

/// A module's ELF header and program headers, as mapped.
#[derive(Clone, Copy)]
pub(super) struct Image {
    headers: &'static [libc::Elf64_Phdr],
    /// What to add to a file's addresses to get those in memory.
    bias: usize,
}

impl Image {
    /// The image whose first byte is mapped at `base`, or `None` if there is no ELF header.
    ///
    /// # Safety
    /// If `base` can be read, it must be the start of a loaded module (or of anything else that stays
    /// mapped for as long as the image is used).
    pub(super) unsafe fn at(base: usize) -> Option<Self> {
        // SAFETY: passed on to the caller.
        if base != 0 && probe::is_readable(base) { unsafe { Self::at_readable(base) } } else { None }
    }

    /// As [`Self::at`], for an address that can be read.
    ///
    /// # Safety
    /// `base` must be readable, and the start of a loaded module as there.
    pub(super) unsafe fn at_readable(base: usize) -> Option<Self> {
        if !base.is_multiple_of(PAGE_BYTES) {
            return None;
        }
        // SAFETY: a page that can be read starts here (modules are mapped by pages), the type holds
        // nothing but numbers, and nobody writes to a module's header.
        let header = unsafe { &*core::ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(base) };
        let known = header.e_ident.starts_with(b"\x7fELF")
            && usize::from(header.e_ident[libc::EI_CLASS]) == libc::ELFCLASS64 as usize
            && usize::from(header.e_phentsize) == size_of::<libc::Elf64_Phdr>()
            && (header.e_phoff as usize).is_multiple_of(align_of::<libc::Elf64_Phdr>());
        // The table usually follows the header. One that patching tools moved elsewhere is not looked for.
        let bytes = usize::from(header.e_phnum) * size_of::<libc::Elf64_Phdr>();
        let end = (header.e_phoff as usize).checked_add(bytes)?;
        if !known || end > MAX_HEADER_BYTES {
            return None;
        }
        let start = core::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(base + header.e_phoff as usize);
        // SAFETY: the table lies in the page that can be read; it is aligned as checked, holds only numbers, and
        // nobody writes to it.
        let headers = unsafe { core::slice::from_raw_parts(start, usize::from(header.e_phnum)) };
        let lowest = headers.iter().filter(|h| h.p_type == libc::PT_LOAD).map(|h| h.p_vaddr).min()?;
        let bias = base.wrapping_sub(lowest as usize & !(PAGE_BYTES - 1));
        Some(Self { headers, bias })
    }

    /// The memory from `address` to the end of the segment that holds it.
    pub(super) fn rest_of_segment(&self, address: usize) -> Option<Range<usize>> {
        let segment = self.segments().find(|segment| segment.contains(&address))?;
        Some(address..segment.end)
    }

    /// The address of `.eh_frame_hdr`.
    pub(super) fn eh_frame_hdr(&self) -> Option<usize> {
        let header = self.headers.iter().find(|h| h.p_type == libc::PT_GNU_EH_FRAME)?;
        Some(self.bias.wrapping_add(header.p_vaddr as usize))
    }

    /// The build id that the linker has noted in the module.
    pub(super) fn build_id(&self) -> Option<&'static [u8]> {
        let notes = self.headers.iter().filter(|h| h.p_type == libc::PT_NOTE);
        notes.filter_map(|h| self.note_bytes(h)).find_map(build_id_in)
    }

    fn note_bytes(&self, header: &libc::Elf64_Phdr) -> Option<&'static [u8]> {
        let start = self.bias.wrapping_add(header.p_vaddr as usize);
        let bytes = header.p_filesz as usize;
        let rest = self.rest_of_segment(start).filter(|rest| rest.len() >= bytes)?;
        if bytes > PAGE_BYTES || !probe::is_readable(start) || !probe::is_readable(start + bytes - 1) {
            return None;
        }
        // SAFETY: part of a segment of the module, which stays mapped; both ends can be read, and so can what
        // is between them, since it is no longer than a page. Nobody writes to notes.
        Some(unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(rest.start), bytes) })
    }

    /// One past the last byte of the last segment.
    pub(super) fn end(&self) -> usize {
        self.segments().map(|segment| segment.end).max().unwrap_or(0)
    }

    /// The readable segments in memory.
    fn segments(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let readable = |h: &&libc::Elf64_Phdr| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_R != 0;
        self.headers.iter().filter(readable).map(|h| {
            let start = self.bias.wrapping_add(h.p_vaddr as usize);
            start..start.wrapping_add(h.p_memsz as usize)
        })
    }
}

/// The build id among notes: sizes of name and contents and the type, then both, padded to four bytes.
fn build_id_in(mut notes: &'static [u8]) -> Option<&'static [u8]> {
    const BUILD_ID: usize = 3;
    const HEADER_BYTES: usize = 12;
    loop {
        let number = |at: usize| {
            notes.get(at..at + 4)?.try_into().ok().map(|bytes| u32::from_le_bytes(bytes) as usize)
        };
        let (name_bytes, bytes, kind) = (number(0)?, number(4)?, number(8)?);
        let name_end = HEADER_BYTES + name_bytes.min(PAGE_BYTES).next_multiple_of(4);
        let contents = notes.get(name_end..name_end + bytes.min(PAGE_BYTES))?;
        if kind == BUILD_ID && notes.get(HEADER_BYTES..HEADER_BYTES + 4) == Some(b"GNU\0") {
            return Some(contents);
        }
        notes = notes.get(name_end + bytes.next_multiple_of(4)..)?;
    }
}

/// The unit of mappings on x86-64, the only architecture that is walked by call frame information.
pub(super) const PAGE_BYTES: usize = 4096;
/// Headers lie in the first page, or are not looked at.
const MAX_HEADER_BYTES: usize = PAGE_BYTES;
