//! Source positions and inlined functions, from DWARF.
//!
//! `addr2line` does the reading: the headers of all units at once, the line tables and functions of a unit
//! when the first address in it is asked for. Of a program built with `-gsplit-dwarf` only the part in the
//! program itself is read: files and lines, but no inlined functions.

use super::elf::Elf;
use addr2line::Context;
use alloc::{string::String, vec::Vec};
use gimli::{AbbreviationsCacheStrategy, Dwarf, EndianSlice, LittleEndian, Section, SectionId};

type Reader = EndianSlice<'static, LittleEndian>;

/// The debug information of a module.
pub(super) struct Debug(Context<Reader>);

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
    /// there is none, or none that can be read.
    pub(super) fn of(elf: &Elf, common: Option<&Elf>) -> Option<Self> {
        let mut dwarf = load(elf);
        if dwarf.debug_info.reader().is_empty() {
            return None;
        }
        if let Some(common) = common {
            dwarf.set_sup(load(common));
        }
        // Units that share their abbreviations (LTO, dwz) would each parse them again.
        dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
        Context::from_dwarf(dwarf).ok().map(Self)
    }

    /// The functions that hold `address`, innermost first: all but the last are inlined into the next.
    /// Empty if the address is not covered; what is read before an error counts.
    pub(super) fn find(&self, address: u64) -> Vec<SourceFrame> {
        let mut found = Vec::new();
        if let Ok(mut frames) = self.0.find_frames(address).skip_all_loads() {
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
}

fn load(elf: &Elf) -> Dwarf<Reader> {
    let section = |id: SectionId| -> Result<Reader, core::convert::Infallible> {
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
        let data = if unused { None } else { elf.section(id.name()) };
        Ok(EndianSlice::new(data.unwrap_or(&[]), LittleEndian))
    };
    let Ok(dwarf) = Dwarf::load(section);
    dwarf
}
