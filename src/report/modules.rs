//! The modules of the process: which file is mapped where.

use super::{elf, files, input::SeenModule};
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
    /// Whether it was unloaded; then nothing is known of its mappings but `base`.
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
    /// What stood where some module was unloaded, in the order it was met.
    past: Vec<Past>,
}

/// A module that stood somewhere when stacks from `first_stack` on were made.
#[derive(Debug)]
struct Past {
    start: usize,
    end: usize,
    first_stack: usize,
    /// The module; `None` if it is loaded.
    module: Option<usize>,
}

impl Past {
    fn holds(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Which of the modules that stood at an address, one after the other, a stack lies in: the place in the list of
/// past ones, or [`Self::NOW`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Era(usize);

impl Era {
    /// What is loaded now.
    pub(super) const NOW: Self = Self(usize::MAX);
}

/// An address found in a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The module's number.
    pub(super) module: usize,
    /// Bytes from the module's base.
    pub(super) from_base: usize,
    /// The address's byte in the file; not known for an unloaded module.
    pub(super) in_file: Option<usize>,
}

impl Modules {
    /// The modules of this process, and those the caller has seen.
    pub(super) fn of_process(seen: &[SeenModule<'_>]) -> Self {
        let mut modules = Self::parse(&files::read(b"/proc/self/maps").unwrap_or_default());
        for module in &mut modules.modules {
            module.build_id = module.is_file.then(|| build_id_in_memory(module.base)).flatten();
        }
        modules.add_past(seen);
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

    /// Adds what stood where some module was unloaded.
    fn add_past(&mut self, seen: &[SeenModule<'_>]) {
        let unloaded = || seen.iter().filter(|module| !module.is_loaded);
        for module in seen {
            if unloaded().any(|gone| gone.start < module.end && module.start < gone.end) {
                let &SeenModule { start, end, first_stack, .. } = module;
                let module = (!module.is_loaded).then(|| self.add_unloaded(module));
                self.past.push(Past { start, end, first_stack, module });
            }
        }
    }

    /// Adds an unloaded module; returns its number. Where it is loaded again elsewhere, it is another one.
    fn add_unloaded(&mut self, unloaded: &SeenModule<'_>) -> usize {
        let build_id = (!unloaded.build_id.is_empty()).then(|| unloaded.build_id.to_vec());
        let (path, base) = (unloaded.path.to_vec(), unloaded.start);
        let same = |module: &Module| {
            module.is_unloaded && module.base == base && module.path == path && module.build_id == build_id
        };
        self.modules.iter().position(same).unwrap_or_else(|| {
            let is_file = path.starts_with(b"/");
            self.modules.push(Module { path, base, build_id, is_file, is_unloaded: true });
            self.modules.len() - 1
        })
    }

    /// Which module stood at `address` when stack number `stack` was made.
    pub(super) fn era(&self, address: usize, stack: usize) -> Era {
        let here = || self.past.iter().enumerate().filter(|(_, past)| past.holds(address));
        let then = here().rfind(|(_, past)| past.first_stack <= stack);
        // None was noted before it: its turn may have been missed.
        match then.or_else(|| here().next()) {
            Some((number, Past { module: Some(_), .. })) => Era(number),
            _ => Era::NOW,
        }
    }

    /// Finds an address in what stood there in `era`.
    pub(super) fn find(&self, address: usize, era: Era) -> Option<Place> {
        if let Some(past) = self.past.get(era.0) {
            let (module, from_base) = (past.module?, address.wrapping_sub(past.start));
            return Some(Place { module, from_base, in_file: None });
        }
        let mapping = self.mappings.iter().find(|m| (m.start..m.end).contains(&address))?;
        let module = self.modules.get(mapping.module)?;
        Some(Place {
            module: mapping.module,
            from_base: address.wrapping_sub(module.base),
            in_file: Some((address - mapping.start).wrapping_add(mapping.offset)),
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
        let place = modules.find(address, Era::NOW)?;
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
        let (first, second) = (
            modules.find(0x7f0000001004, Era::NOW).unwrap(),
            modules.find(0x7f0000011004, Era::NOW).unwrap(),
        );
        assert_ne!(first.module, second.module);
        assert_eq!(first.from_base, second.from_base);
    }

    #[test]
    fn only_files_that_are_there_are_files() {
        let modules = Modules::parse(MAPS);
        let is_file = |address| modules.get(modules.find(address, Era::NOW).unwrap().module).unwrap().is_file;
        assert!(is_file(0x7f0000001000));
        assert!(!is_file(0x7f0000020000));
        assert!(!is_file(0x7ffe00000000));
    }

    #[test]
    fn a_stack_lies_in_what_was_loaded_when_it_was_made() {
        let mut modules = Modules::parse(MAPS);
        let seen = |start, first_stack, path, is_loaded| {
            let end = start + 0x3000;
            SeenModule { start, end, path, build_id: b"\x01", first_stack, is_loaded }
        };
        let (here, alone) = (0x7f0000000000, 0x600000000000);
        modules.add_past(&[
            seen(here, 10, b"/lib/gone.so", false),
            seen(alone, 20, b"/lib/alone.so", false),
            seen(here, 30, b"/lib/x\ny.so", true),
            seen(here, 40, b"/lib/gone.so", false),
            seen(here, 50, b"/lib/x\ny.so", true),
            seen(0x55d0c0400000, 1, b"/usr/bin/a program", true),
        ]);
        let name = |address, stack| {
            let place = modules.find(address, modules.era(address, stack)).unwrap();
            let module = modules.get(place.module).unwrap();
            (core::str::from_utf8(&module.path).unwrap(), module.is_unloaded, place.from_base)
        };
        let (gone, now) = (("/lib/gone.so", true, 8), ("/lib/x\ny.so", false, 8));
        for (stack, expected) in [(9, gone), (10, gone), (29, gone), (30, now), (40, gone), (55, now)] {
            assert_eq!(name(here + 8, stack), expected, "{stack}");
        }
        assert_eq!(name(alone + 8, 5).0, "/lib/alone.so");
        assert_eq!(name(0x55d0c0401010, 5).0, "/usr/bin/a program");
        assert_eq!(modules.modules.iter().filter(|module| module.is_unloaded).count(), 2);
    }

    #[test]
    fn this_process_knows_its_own_build_ids() {
        let modules = Modules::of_process(&[]);
        let place = modules.find(libc::getenv as *const () as usize, Era::NOW).unwrap();
        let libc = modules.get(place.module).unwrap();
        assert!(libc.path.windows(5).any(|w| w == b"libc."), "{libc:?}");
        assert_eq!(libc.build_id.as_ref().map(Vec::len), Some(20));
    }
}
