//! Source positions and inlined functions, from DWARF.
//!
//! `addr2line` does the reading: the headers of all units at once, the line tables and functions of a unit
//! when the first address in it is asked for. Of a program built with `-gsplit-dwarf` only the part in the
//! program itself is read: files and lines, but no inlined functions.
//!
//! The headers of all units are a lot: libc has two thousand, with 18 MiB of abbreviations. So where `.debug_aranges`
//! says which unit holds an address, `addr2line` gets to see that unit alone, if it refers to no other.

use super::elf::Elf;
use super::lazy_section::LazySection;
use addr2line::Context;
use alloc::{collections::BTreeMap, rc::Rc, string::String, vec::Vec};
use core::cell::{OnceCell, RefCell};
use gimli::{
    AbbreviationsCacheStrategy, DebugAranges, DebugInfo, DebugInfoOffset, DwForm, Dwarf, DwarfSections,
    EndianSlice, LittleEndian, Reader as _, Section, SectionId, UnitHeader,
};

type Reader = EndianSlice<'static, LittleEndian>;
type Sections = DwarfSections<&'static [u8]>;

/// The debug information of a module.
pub(super) struct Debug {
    /// `.debug_info`.
    info: LazySection,
    /// The others.
    sections: Sections,
    /// Those of the file it shares with others.
    common: Option<Sections>,
    /// Where the units lie that hold code, by the first address.
    ranges: Vec<UnitRange>,
    /// Units that were looked at alone, by their place; `None` for those that can't be.
    units: RefCell<BTreeMap<usize, Option<Rc<Context<Reader>>>>>,
    whole: OnceCell<Option<Context<Reader>>>,
}

/// Bytes that say how long a unit is, at most: an escape and a number of 64 bits.
const LONGEST_LENGTH: usize = size_of::<u32>() + size_of::<u64>();

/// Addresses of a unit.
struct UnitRange {
    begin: u64,
    end: u64,
    unit: DebugInfoOffset,
}

/// What the debug information says of an address in one function, inlined or not.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct SourceFrame {
    /// The function's name as the linker knows it, or as the source has it.
    pub(super) function: Option<String>,
    /// The path of the source file.
    pub(super) file: Option<String>,
    /// The line, from 1.
    pub(super) line: Option<u32>,
}

impl Debug {
    /// Prepares the debug information in `elf`, and in `common`, the file it shares with others. `None` if
    /// there is none, or its first unit can't be read.
    pub(super) fn of(elf: &Elf, common: Option<&Elf>) -> Option<Self> {
        let info = elf.lazy_section(SectionId::DebugInfo.name()).or_else(|| {
            // Under the name that compressed sections once had.
            elf.section(SectionId::DebugInfo.name()).map(LazySection::ready)
        })?;
        let sections = load(elf, |id| id != SectionId::DebugInfo);
        let ranges = ranges_of(&read(&sections).debug_aranges);
        let common = common.map(|common| load(common, |_| true));
        let units = RefCell::default();
        let new = Self { info, sections, common, ranges, units, whole: OnceCell::new() };
        let (first, header) = new.unit_at(DebugInfoOffset(0))?;
        first.abbreviations(&header).is_ok().then_some(new)
    }

    /// The functions that hold `address`, innermost first: all but the last are inlined into the next.
    /// Empty if the address is not covered; what is read before an error counts.
    pub(super) fn find(&self, address: u64) -> Vec<SourceFrame> {
        let alone = self.unit_of(address).map(|context| find_in(&context, address)).unwrap_or_default();
        if !alone.is_empty() {
            return alone;
        }
        self.whole().map(|context| find_in(context, address)).unwrap_or_default()
    }

    /// The unit that holds `address`, if it can be looked at alone.
    fn unit_of(&self, address: u64) -> Option<Rc<Context<Reader>>> {
        let behind = self.ranges.partition_point(|range| range.begin <= address);
        let range = self.ranges.get(behind.checked_sub(1)?).filter(|range| address < range.end)?;
        let mut units = self.units.borrow_mut();
        units.entry(range.unit.0).or_insert_with(|| self.alone(range.unit).map(Rc::new)).clone()
    }

    /// A context of one unit; `None` if it refers to others.
    fn alone(&self, unit: DebugInfoOffset) -> Option<Context<Reader>> {
        let (mut dwarf, header) = self.unit_at(unit)?;
        if refers_to_others(*dwarf.debug_abbrev.reader(), header.debug_abbrev_offset().0).unwrap_or(true) {
            return None;
        }
        // What it says of places of units is wrong now; the unit says itself which addresses it has.
        dwarf.debug_aranges = DebugAranges::new(&[], LittleEndian);
        if let Some(common) = &self.common {
            let mut common = read(common);
            // The unit refers to no units there either, but to names.
            common.debug_info = DebugInfo::new(&[], LittleEndian);
            dwarf.set_sup(common);
        }
        Context::from_dwarf(dwarf).ok()
    }

    /// The unit at this place, as if there were no other one.
    fn unit_at(&self, unit: DebugInfoOffset) -> Option<(Dwarf<Reader>, UnitHeader<Reader>)> {
        let bytes = match *self.info.part(unit.0..unit.0.checked_add(LONGEST_LENGTH)?)? {
            [0xff, 0xff, 0xff, 0xff, a, b, c, d, e, f, g, h] => {
                usize::from_le_bytes([a, b, c, d, e, f, g, h]).checked_add(LONGEST_LENGTH)?
            }
            [a, b, c, d, ..] => u32::from_le_bytes([a, b, c, d]) as usize + size_of::<u32>(),
            _ => return None,
        };
        let mut dwarf = read(&self.sections);
        let info = self.info.part(unit.0..unit.0.checked_add(bytes)?)?;
        dwarf.debug_info = DebugInfo::new(info, LittleEndian);
        let header = dwarf.debug_info.header_from_offset(DebugInfoOffset(0)).ok()?;
        Some((dwarf, header))
    }

    /// A context of all units.
    fn whole(&self) -> Option<&Context<Reader>> {
        let make = || {
            let mut dwarf = read(&self.sections);
            dwarf.debug_info = DebugInfo::new(self.info.all()?, LittleEndian);
            if let Some(common) = &self.common {
                dwarf.set_sup(read(common));
            }
            // Units that share their abbreviations (LTO, dwz) would each parse them again.
            dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
            Context::from_dwarf(dwarf).ok()
        };
        self.whole.get_or_init(make).as_ref()
    }
}

#[cfg(test)]
impl Debug {
    /// As [`Self::find`], with all units at once.
    pub(super) fn find_in_whole(&self, address: u64) -> Vec<SourceFrame> {
        find_in(self.whole().unwrap(), address)
    }

    /// Whether the unit that holds `address` is looked at alone.
    pub(super) fn is_found_alone(&self, address: u64) -> bool {
        self.unit_of(address).is_some()
    }
}

/// The ranges that `.debug_aranges` lists, as far as they can be read.
fn ranges_of(section: &DebugAranges<Reader>) -> Vec<UnitRange> {
    let (mut headers, mut ranges) = (section.headers(), Vec::new());
    while let Ok(Some(header)) = headers.next() {
        let mut entries = header.entries();
        loop {
            let range = match entries.next() {
                Ok(Some(entry)) => entry.range(),
                Ok(None) => break,
                // One that can't be; those behind it may be right.
                Err(_) => continue,
            };
            // What the linker left out lies at 0.
            if range.begin != 0 && range.begin < range.end {
                let (begin, end) = (range.begin, range.end);
                ranges.push(UnitRange { begin, end, unit: header.debug_info_offset() });
            }
        }
    }
    ranges.sort_unstable_by_key(|range| range.begin);
    ranges
}

/// Whether entries that are made by the table of abbreviations at `offset` may refer to those of other units: that is how
/// units of a program optimized as a whole name inlined functions, and how those that `dwz` has been at name anything.
/// `None` if the table is corrupt.
fn refers_to_others(debug_abbrev: Reader, offset: usize) -> Option<bool> {
    let mut table = debug_abbrev;
    table.skip(offset).ok()?;
    while table.read_uleb128().ok()? != 0 {
        let _tag = table.read_uleb128().ok()?;
        let _has_children = table.read_u8().ok()?;
        loop {
            let name = table.read_uleb128().ok()?;
            let form = DwForm(table.read_uleb128_u16().ok()?);
            if (name, form) == (0, DwForm(0)) {
                break;
            }
            match form {
                gimli::DW_FORM_ref_addr
                | gimli::DW_FORM_GNU_ref_alt
                | gimli::DW_FORM_ref_sup4
                | gimli::DW_FORM_ref_sup8
                // Any of them.
                | gimli::DW_FORM_indirect => return Some(true),
                gimli::DW_FORM_implicit_const => drop(table.read_sleb128().ok()?),
                _ => {}
            }
        }
    }
    Some(false)
}

fn find_in(context: &Context<Reader>, address: u64) -> Vec<SourceFrame> {
    let mut found = Vec::new();
    if let Ok(mut frames) = context.find_frames(address).skip_all_loads() {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|name| name.raw_name().ok());
            let location = frame.location.as_ref();
            found.push(SourceFrame {
                function: name.map(|name| name.into_owned()).filter(|name| !name.is_empty()),
                file: location.and_then(|location| location.file).map(String::from),
                line: location.and_then(|location| location.line).filter(|line| *line > 0),
            });
        }
    }
    found
}

fn read(sections: &Sections) -> Dwarf<Reader> {
    sections.borrow(|section| EndianSlice::new(section, LittleEndian))
}

/// The sections that are read, of those `wanted`.
fn load(elf: &Elf, wanted: impl Fn(SectionId) -> bool) -> Sections {
    let section = |id: SectionId| -> Result<&'static [u8], core::convert::Infallible> {
        // What tells names, macros, types and variables would only be decompressed in vain.
        let unused = matches!(
            id,
            SectionId::DebugNames
                | SectionId::DebugMacro
                | SectionId::DebugMacinfo
                | SectionId::DebugTypes
                | SectionId::DebugLoc
                | SectionId::DebugLocLists
        );
        let data = if unused || !wanted(id) { None } else { elf.section(id.name()) };
        Ok(data.unwrap_or(&[]))
    };
    let Ok(sections) = DwarfSections::load(section);
    sections
}
