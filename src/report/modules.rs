//! The modules of the process: which file is mapped where.

use super::{elf, files, input::UnloadedModule};
use alloc::vec::Vec;

/// A module and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Module {
    /// The file's path, or a name in brackets (`[vdso]`).
    pub(super) path: Vec<u8>,
    /// Where its first segment is mapped.
    pub(super) base: usize,
    /// The build id of what is mapped, if known: a file with another one has been replaced.
    pub(super) build_id: Option<Vec<u8>>,
    /// Whether the file may be opened: not if it was deleted, or never was a file.
    pub(super) is_file: bool,
    /// Whether it was unloaded; then only `base` is known of its mappings.
    pub(super) is_unloaded: bool,
}

/// One mapping.
#[derive(Clone, Debug)]
struct Mapping {
    start: usize,
    end: usize,
    /// Where in the file it begins.
    offset: usize,
    module: usize,
}

/// All modules, loaded and unloaded.
#[derive(Debug, Default)]
pub(super) struct Modules {
    modules: Vec<Module>,
    mappings: Vec<Mapping>,
}

/// An address found in a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The module's number.
    pub(super) module: usize,
    /// Bytes from the module's base.
    pub(super) from_base: usize,
    /// The address's byte in the file; `None` for an unloaded module.
    pub(super) in_file: Option<usize>,
}

impl Modules {
    /// The modules of this process, and those the caller remembers.
    pub(super) fn of_process(unloaded: &[UnloadedModule<'_>]) -> Self {
        let mut modules = Self::parse(&files::read(b"/proc/self/maps").unwrap_or_default());
        for module in &mut modules.modules {
            module.build_id = module.is_file.then(|| build_id_in_memory(module.base)).flatten();
        }
        unloaded.iter().for_each(|module| modules.add_unloaded(module));
        modules
    }

    /// Reads the format of `/proc/PID/maps`. Mappings without a name are of no module.
    pub(super) fn parse(maps: &[u8]) -> Self {
        let mut new = Self::default();
        maps.split(|&b| b == b'\n').filter_map(Line::parse).for_each(|line| new.add(line));
        new
    }

    /// Adds a mapping: to the last module if that has the same name, else as a new one. A library that is
    /// loaded twice has its first byte mapped twice.
    fn add(&mut self, line: Line<'_>) {
        let path = unescape(line.path);
        let same = self.modules.last().is_some_and(|last| last.path == path)
            && (line.offset != 0 || self.mappings.last().is_some_and(|last| last.offset == 0));
        if !same {
            let is_file = path.starts_with(b"/") && !path.ends_with(b" (deleted)");
            let base = line.start.wrapping_sub(line.offset);
            let (build_id, is_unloaded) = (None, false);
            self.modules.push(Module { path, base, build_id, is_file, is_unloaded });
        }
        let module = self.modules.len() - 1;
        self.mappings.push(Mapping { start: line.start, end: line.end, offset: line.offset, module });
    }

    fn add_unloaded(&mut self, unloaded: &UnloadedModule<'_>) {
        let build_id = (!unloaded.build_id.is_empty()).then(|| unloaded.build_id.to_vec());
        let path = unloaded.path.to_vec();
        let is_file = path.starts_with(b"/");
        self.modules.push(Module { path, base: unloaded.start, build_id, is_file, is_unloaded: true });
        let module = self.modules.len() - 1;
        self.mappings.push(Mapping { start: unloaded.start, end: unloaded.end, offset: 0, module });
    }

    /// Finds an address; what is loaded now comes before what was unloaded.
    pub(super) fn find(&self, address: usize) -> Option<Place> {
        let mapping = self.mappings.iter().find(|m| (m.start..m.end).contains(&address))?;
        let module = self.modules.get(mapping.module)?;
        let in_file = (address - mapping.start).wrapping_add(mapping.offset);
        Some(Place {
            module: mapping.module,
            from_base: address.wrapping_sub(module.base),
            in_file: (!module.is_unloaded).then_some(in_file),
        })
    }

    /// The module with a number from [`Place`].
    pub(super) fn get(&self, number: usize) -> Option<&Module> {
        self.modules.get(number)
    }
}

/// A line of `/proc/PID/maps` with a name.
struct Line<'a> {
    start: usize,
    end: usize,
    offset: usize,
    path: &'a [u8],
}

impl<'a> Line<'a> {
    /// `START-END PERM OFFSET DEV INODE PATH`; `None` for a mapping without a path.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (range, rest) = word(line)?;
        let (_, rest) = word(rest)?;
        let (offset, rest) = word(rest)?;
        let (_, rest) = word(rest)?;
        let (_, path) = word(rest)?;
        let dash = range.iter().position(|&b| b == b'-')?;
        let (start, end) = (hex(range.get(..dash)?)?, hex(range.get(dash + 1..)?)?);
        let path = path.trim_ascii_start();
        (start < end && !path.is_empty()).then_some(Self { start, end, offset: hex(offset)?, path })
    }
}

/// Cuts off the next word and the space behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&b| b == b' ')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn hex(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// The kernel writes a newline in a path as `\012`.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, others)) = rest.split_first() {
        let newline = rest.strip_prefix(b"\\012");
        plain.push(if newline.is_some() { b'\n' } else { first });
        rest = newline.unwrap_or(others);
    }
    plain
}

/// Bytes looked at for the header of a mapped module and for its notes: both fit a page.
const HEADER_BYTES: usize = 4096;

/// The build id of the module whose first segment is mapped at `base`.
fn build_id_in_memory(base: usize) -> Option<Vec<u8>> {
    let (mut header, mut notes) = ([0; HEADER_BYTES], [0; HEADER_BYTES]);
    let segments = elf::NoteSegments::parse(files::peek(base, &mut header))?;
    segments.iter().find_map(|segment| {
        let notes = notes.get_mut(..segment.bytes.min(HEADER_BYTES))?;
        elf::build_id_in_notes(files::peek(base.wrapping_add(segment.from_base), notes), segment.align)
            .map(<[u8]>::to_vec)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"\
55d0c0400000-55d0c0401000 r--p 00000000 fe:00 131 /usr/bin/a program
55d0c0401000-55d0c0402000 r-xp 00001000 fe:00 131 /usr/bin/a program
55d0c0402000-55d0c0403000 rw-p 00000000 00:00 0 
7f0000000000-7f0000001000 r--p 00000000 fe:00 7 /lib/x\\012y.so
7f0000001000-7f0000002000 r-xp 00003000 fe:00 7 /lib/x\\012y.so
7f0000010000-7f0000011000 r--p 00000000 fe:00 7 /lib/x\\012y.so
7f0000011000-7f0000012000 r-xp 00003000 fe:00 7 /lib/x\\012y.so
7f0000020000-7f0000021000 r-xp 00000000 00:01 9 /memfd:jit (deleted)
7ffe00000000-7ffe00002000 r-xp 00000000 00:00 0                          [vdso]
";

    fn path(modules: &Modules, address: usize) -> Option<(&str, Place)> {
        let place = modules.find(address)?;
        Some((core::str::from_utf8(&modules.get(place.module)?.path).unwrap(), place))
    }

    #[test]
    fn addresses_are_found_with_their_place_in_the_file() {
        let modules = Modules::parse(MAPS);
        let (name, place) = path(&modules, 0x55d0c0401010).unwrap();
        assert_eq!(name, "/usr/bin/a program");
        assert_eq!((place.from_base, place.in_file), (0x1010, Some(0x1010)));
        let (name, place) = path(&modules, 0x7f0000001004).unwrap();
        assert_eq!(name, "/lib/x\ny.so");
        assert_eq!((place.from_base, place.in_file), (0x1004, Some(0x3004)));
        assert_eq!(path(&modules, 0x55d0c0402010), None);
        assert_eq!(path(&modules, 0x7f0000002000), None);
    }

    #[test]
    fn a_library_loaded_twice_is_two_modules() {
        let modules = Modules::parse(MAPS);
        let (first, second) = (modules.find(0x7f0000001004).unwrap(), modules.find(0x7f0000011004).unwrap());
        assert_ne!(first.module, second.module);
        assert_eq!(first.from_base, second.from_base);
    }

    #[test]
    fn only_files_that_are_there_are_files() {
        let modules = Modules::parse(MAPS);
        let is_file = |address| modules.get(modules.find(address).unwrap().module).unwrap().is_file;
        assert!(is_file(0x7f0000001000));
        assert!(!is_file(0x7f0000020000));
        assert!(!is_file(0x7ffe00000000));
    }

    #[test]
    fn what_is_loaded_now_comes_first() {
        let mut modules = Modules::parse(MAPS);
        let gone = |start, end| UnloadedModule { start, end, path: b"/lib/gone.so", build_id: b"\x01" };
        modules.add_unloaded(&gone(0x7f0000000000, 0x7f0000001000));
        modules.add_unloaded(&gone(0x600000000000, 0x600000001000));
        assert_eq!(path(&modules, 0x7f0000000008).unwrap().0, "/lib/x\ny.so");
        let (name, place) = path(&modules, 0x600000000008).unwrap();
        assert_eq!((name, place.from_base, place.in_file), ("/lib/gone.so", 8, None));
    }

    #[test]
    fn this_process_knows_its_own_build_ids() {
        let modules = Modules::of_process(&[]);
        let place = modules.find(libc::getenv as *const () as usize).unwrap();
        let libc = modules.get(place.module).unwrap();
        assert!(libc.path.windows(5).any(|w| w == b"libc."), "{libc:?}");
        assert_eq!(libc.build_id.as_ref().map(Vec::len), Some(20));
    }
}
