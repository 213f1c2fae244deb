//! ELF files: segments, sections (decompressed if need be), notes.
//!
//! Everything that comes from a file is checked; what does not hold together is as if it were not there.

use super::lazy_section::LazySection;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::ops::ControlFlow;
use object::LittleEndian as Little;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{ElfFile64, FileHeader, NoteIterator, ProgramHeader, Sym, SymbolTable};
use object::{CompressedData, CompressionFormat, Object, ObjectSection};

/// A debug section is not decompressed beyond this: it would be the memory of a large program again.
const MOST_SECTION_BYTES: u64 = 1 << 30;
/// zlib can't shrink data to less than a 1032nd, zstd can, but debug information never gets there; a
/// section that claims more is corrupt.
const MOST_RATIO: u64 = 1032;

/// A 64-bit little-endian ELF file that stays mapped.
pub(super) struct Elf(ElfFile64<'static, Little>);

impl Elf {
    /// Looks at the headers; `None` for anything that is no such file.
    pub(super) fn parse(data: &'static [u8]) -> Option<Self> {
        ElfFile64::parse(data).ok().map(Self)
    }

    /// The contents of a section; `None` if there is no such section, or it is empty or corrupt.
    ///
    /// Before compression was a property of sections, GNU tools said so in the name: `.zdebug_info`.
    pub(super) fn section(&self, name: &str) -> Option<&'static [u8]> {
        let old_name = || alloc::format!(".z{}", name.trim_start_matches('.'));
        let section = self.0.section_by_name(name).or_else(|| self.0.section_by_name(&old_name()))?;
        let data = section.compressed_data().ok()?;
        let contents = match data.format {
            CompressionFormat::None => data.data,
            _ => decompress(&data)?.leak(),
        };
        (!contents.is_empty()).then_some(contents)
    }

    /// As [`Self::section`], decompressed when it is read, and no further.
    pub(super) fn lazy_section(&self, name: &str) -> Option<LazySection> {
        let section = self.0.section_by_name(name)?;
        let data = section.compressed_data().ok()?;
        if data.format != CompressionFormat::Zlib {
            return self.section(name).map(LazySection::ready);
        }
        Some(LazySection::inflating(data.data, room_for(&data)?))
    }

    /// The virtual address, as the linker gave it, of a byte of the file that is loaded.
    pub(super) fn address_of(&self, in_file: u64) -> Option<u64> {
        self.loads().find_map(|(offset, bytes, address)| {
            let into = in_file.checked_sub(offset).filter(|into| *into < bytes)?;
            address.checked_add(into)
        })
    }

    /// The lowest address of a segment: what is mapped at the module's base.
    pub(super) fn lowest_address(&self) -> u64 {
        self.loads().map(|(offset, _, address)| address.saturating_sub(offset)).min().unwrap_or(0)
    }

    /// Offset, bytes and address of each loaded segment.
    fn loads(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let segments = self.0.elf_program_headers().iter();
        segments
            .filter(|segment| segment.p_type(Little) == elf::PT_LOAD)
            .map(|segment| (segment.p_offset(Little), segment.p_filesz(Little), segment.p_vaddr(Little)))
    }

    /// The build id.
    pub(super) fn build_id(&self) -> Option<&'static [u8]> {
        self.0.build_id().ok()?.filter(|id| id.len() > 1)
    }

    /// Name and checksum of the file that holds this one's debug information.
    pub(super) fn debug_link(&self) -> Option<(&'static [u8], u32)> {
        self.0.gnu_debuglink().ok()?
    }

    /// Path and build id of the file that holds what several debug files have in common (made by `dwz`).
    pub(super) fn common_link(&self) -> Option<(&'static [u8], &'static [u8])> {
        self.0.gnu_debugaltlink().ok()?
    }

    /// Whether there is a table of symbols beside those for dynamic linking.
    pub(super) fn has_symbols(&self) -> bool {
        !self.0.elf_symbol_table().is_empty()
    }

    fn fuller_table(&self) -> &SymbolTable<'static, FileHeader64<Little>> {
        match self.0.elf_symbol_table() {
            full if !full.is_empty() => full,
            _ => self.0.elf_dynamic_symbol_table(),
        }
    }

    /// Symbols in the fuller table, functions and others.
    pub(super) fn symbols(&self) -> usize {
        self.fuller_table().len()
    }

    /// Calls `f` with name, address, size and binding of every function in the fuller symbol table.
    pub(super) fn each_function(&self, mut f: impl FnMut(&'static [u8], u64, u64, elf::SymbolBind)) {
        let table = self.fuller_table();
        for symbol in table.iter() {
            let is_code = matches!(symbol.st_type(), elf::STT_FUNC | elf::STT_GNU_IFUNC | elf::STT_NOTYPE);
            if is_code
                && symbol.st_shndx(Little) != elf::SHN_UNDEF
                && let Ok(name) = table.symbol_name(Little, symbol)
                && !name.is_empty()
            {
                f(name, symbol.st_value(Little), symbol.st_size(Little), symbol.st_bind());
            }
        }
    }
}

/// The functions of these names in a file's own table of symbols, which a stripped one lacks: what to add to the address
/// of the file's program headers in memory. Allocates nothing.
pub(crate) fn functions_in<const N: usize>(data: &[u8], names: [&[u8]; N]) -> [Option<u64>; N] {
    functions_if_valid(data, names).unwrap_or([None; N])
}

fn functions_if_valid<const N: usize>(data: &[u8], names: [&[u8]; N]) -> Option<[Option<u64>; N]> {
    let header = FileHeader64::<Little>::parse(data).ok()?;
    let headers_at = header.e_phoff(Little);
    let is_of_headers = |segment: &&ProgramHeader64<Little>| {
        let (offset, bytes) = (segment.p_offset(Little), segment.p_filesz(Little));
        segment.p_type(Little) == elf::PT_LOAD && headers_at.wrapping_sub(offset) < bytes
    };
    let segment = header.program_headers(Little, data).ok()?.iter().find(is_of_headers)?;
    let headers_at = headers_at - segment.p_offset(Little) + segment.p_vaddr(Little);
    let sections = header.sections(Little, data).ok()?;
    let table = sections.symbols(Little, data, elf::SHT_SYMTAB).ok()?;
    let mut found = [None; N];
    for symbol in table.iter() {
        if symbol.st_type() == elf::STT_FUNC
            && symbol.st_shndx(Little) != elf::SHN_UNDEF
            && let Ok(name) = table.symbol_name(Little, symbol)
            && let Some(which) = names.iter().position(|wanted| *wanted == name)
        {
            found[which] = Some(symbol.st_value(Little).wrapping_sub(headers_at));
        }
    }
    Some(found)
}

/// Zeros, as many as the contents of a section; `None` if that can't be right or there is no memory.
fn room_for(data: &CompressedData<'_>) -> Option<Vec<u8>> {
    let size = data.uncompressed_size;
    if size > MOST_SECTION_BYTES || size / MOST_RATIO > data.data.len() as u64 {
        return None;
    }
    crate::heap::arena::may_fail(|| zeros(size as usize))
}

fn decompress(data: &CompressedData<'_>) -> Option<Vec<u8>> {
    let mut contents = room_for(data)?;
    let written = match data.format {
        CompressionFormat::Zlib => inflate(data.data, &mut contents),
        CompressionFormat::Zstandard => {
            ruzstd::decoding::FrameDecoder::new().decode_all(data.data, &mut contents).ok()
        }
        _ => None,
    };
    (written? == contents.len()).then_some(contents)
}

/// So many zeros, which the heap gives without writing any; `None` if it has no memory.
fn zeros(len: usize) -> Option<Vec<u8>> {
    let layout = Layout::array::<u8>(len).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc::alloc::alloc_zeroed(layout) };
    // SAFETY: the allocator's memory for `len` bytes, all of which are zero.
    (!start.is_null()).then(|| unsafe { Vec::from_raw_parts(start, len, len) })
}

/// The checksum is not verified: DWARF readers check what they read anyway.
fn inflate(data: &[u8], contents: &mut [u8]) -> Option<usize> {
    use miniz_oxide::inflate::decompress_slice_iter_to_slice;
    decompress_slice_iter_to_slice(contents, core::iter::once(data), true, true).ok()
}

/// Where a mapped module keeps a segment of notes.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoteSegment {
    /// Bytes from the module's base.
    pub(super) from_base: usize,
    /// How many bytes.
    pub(super) bytes: usize,
    /// The alignment of its notes.
    pub(super) align: u64,
}

/// The segments of notes that a module's header names.
pub(super) struct NoteSegments<'a> {
    headers: &'a [ProgramHeader64<Little>],
    base: u64,
}

impl<'a> NoteSegments<'a> {
    /// Reads the first bytes of a module, of a file or in memory.
    pub(super) fn parse(header: &'a [u8]) -> Option<Self> {
        let file = FileHeader64::<Little>::parse(header).ok()?;
        let headers = file.program_headers(Little, header).ok()?;
        let loads = headers.iter().filter(|segment| segment.p_type(Little) == elf::PT_LOAD);
        let base = loads.map(|s| s.p_vaddr(Little).saturating_sub(s.p_offset(Little))).min()?;
        Some(Self { headers, base })
    }

    /// The segments, in the file's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = NoteSegment> {
        let notes = self.headers.iter().filter(|segment| segment.p_type(Little) == elf::PT_NOTE);
        notes.map(|segment| NoteSegment {
            from_base: segment.p_vaddr(Little).wrapping_sub(self.base) as usize,
            bytes: segment.p_memsz(Little) as usize,
            align: segment.p_align(Little),
        })
    }
}

/// The build id among the notes in `data`.
pub(super) fn build_id_in_notes(data: &[u8], align: u64) -> Option<&[u8]> {
    let mut notes = NoteIterator::<FileHeader64<Little>>::new(Little, align, data).ok()?;
    let found = notes.try_for_each(|note| match note {
        Ok(note) if note.name() == elf::ELF_NOTE_GNU && note.n_type(Little) == elf::NT_GNU_BUILD_ID => {
            ControlFlow::Break(Some(note.desc()))
        }
        Ok(_) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(None),
    });
    found.break_value().flatten()
}
