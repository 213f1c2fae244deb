//! All mappings of the process, sorted into what they mean for root finding.

use super::image;
use crate::leak::own_memory::{Buffer, NoMemory};
use crate::leak::{glibc::Read, peek};
use crate::sys::proc_maps::{Mapping, for_each_mapping};

/// What a mapping is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Data of a loaded object: of its file, and the zero-initialised part behind.
    Globals,
    /// Other private memory, anonymous or of a file.
    Private,
    /// The main thread's stack.
    MainStack,
    /// Memory shared between processes, of no file with a name.
    SharedMemory,
    /// A shared mapping of a file.
    SharedFile,
    /// Not memory of the program: a device, a file of the kernel's own, code in the kernel's pages.
    Other,
}

/// A readable mapping, or a part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Area {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) class: Class,
    pub(super) writable: bool,
    pub(super) executable: bool,
}

/// The readable mappings, in the order of addresses.
pub(super) struct MapTable {
    areas: Buffer<Area>,
    /// Whether there is memory of a loaded object's variables that can't be read.
    has_hidden_data: bool,
}

/// The loaded object that the lines being read belong to.
#[derive(Default)]
struct Image {
    file: (u32, u32, u64),
    end: usize,
    /// Whether it has code or data: a file that is only read has one mapping and neither.
    is_loaded: bool,
}

impl MapTable {
    /// Reads `/proc/self/maps`, and headers of loaded objects by `read`; `Ok(None)` if it is hidden.
    pub(super) fn read(read: Read<'_>) -> Result<Option<Self>, NoMemory> {
        let mut table = Self::empty();
        let mut image = Image::default();
        let mut result = Ok(());
        let found = for_each_mapping(|mapping| {
            if mapping.readable {
                result = result.and(table.add(mapping, &mut image, read));
            }
            // What the linker leaves out between segments belongs to the object's file.
            let is_hidden = !mapping.readable && mapping.inode == 0 && mapping.start < image.end;
            table.has_hidden_data |= is_hidden && image.is_loaded;
        });
        result.map(|()| found.then_some(table))
    }

    /// A table without mappings, for [`Self::push`].
    pub(super) fn empty() -> Self {
        Self { areas: Buffer::new(), has_hidden_data: false }
    }

    /// Appends an area; they must come in order, or [`Self::sort`] must follow.
    pub(super) fn push(&mut self, area: Area) -> Result<(), NoMemory> {
        if area.start < area.end { self.areas.push(area) } else { Ok(()) }
    }

    /// Brings the areas into order.
    pub(super) fn sort(&mut self) {
        self.areas.items_mut().sort_unstable_by_key(|area| area.start);
    }

    fn add(&mut self, mapping: &Mapping<'_>, image: &mut Image, read: Read<'_>) -> Result<(), NoMemory> {
        let Mapping { start, end, writable, executable, .. } = *mapping;
        let class = classify(mapping, image, read);
        let area = Area { start, end, class, writable, executable };
        let anonymous = mapping.inode == 0 && class == Class::Private && mapping.path != b"[heap]";
        if !anonymous || start >= image.end {
            return self.push(area);
        }
        // The kernel may have joined an object's last pages with a mapping that happens to follow.
        let split = end.min(image.end);
        self.push(Area { end: split, class: Class::Globals, ..area })?;
        self.push(Area { start: split, ..area })
    }

    /// Whether there is memory of a loaded object's variables that can't be read.
    pub(super) fn has_hidden_data(&self) -> bool {
        self.has_hidden_data
    }

    /// The areas.
    pub(super) fn areas(&self) -> &[Area] {
        self.areas.items()
    }

    /// The area that holds `at`.
    pub(super) fn find(&self, at: usize) -> Option<&Area> {
        let after = self.areas().partition_point(|area| area.start <= at);
        self.areas().get(after.checked_sub(1)?).filter(|area| at < area.end)
    }

    /// The word at `at`, if memory is mapped there that can be read.
    pub(super) fn word(&self, at: usize) -> Option<usize> {
        self.find(at).filter(|area| area.class != Class::Other)?;
        // SAFETY: mapped readable, and the world is stopped; pages without content behind them are caught.
        Some(unsafe { peek::directly(at) })
    }
}

fn classify(mapping: &Mapping<'_>, image: &mut Image, read: Read<'_>) -> Class {
    let path = mapping.path;
    if mapping.shared {
        return classify_shared(path);
    }
    if path.starts_with(b"[") {
        return match path {
            b"[stack]" => Class::MainStack,
            b"[heap]" => Class::Private,
            _ if path.starts_with(b"[anon") => Class::Private,
            _ => Class::Other,
        };
    }
    if mapping.inode == 0 {
        return Class::Private;
    }
    let file = (mapping.device.0, mapping.device.1, mapping.inode);
    if mapping.offset == 0 && (image.file != file || mapping.start >= image.end) {
        *image = Image { file, end: image::end_of(mapping.start, read).unwrap_or(0), is_loaded: false };
    }
    image.is_loaded |= image.file == file && (mapping.executable || mapping.writable);
    match () {
        () if is_device(path) => Class::Other,
        () if image.file == file && mapping.start < image.end => Class::Globals,
        () => Class::Private,
    }
}

fn classify_shared(path: &[u8]) -> Class {
    const MEMORY: [&[u8]; 5] = [b"/dev/zero", b"/dev/shm/", b"/memfd:", b"/SYSV", b"[anon_shmem"];
    if MEMORY.iter().any(|prefix| path.starts_with(prefix)) {
        Class::SharedMemory
    } else if path.starts_with(b"/") && !is_device(path) {
        Class::SharedFile
    } else {
        Class::Other
    }
}

/// Reading a device's memory may do anything, or wait for ever. `anon_inode:` are mappings of the
/// kernel's own objects: rings of io_uring and perf, graphics memory.
fn is_device(path: &[u8]) -> bool {
    let device =
        path.starts_with(b"/dev/") && !path.starts_with(b"/dev/shm/") && !path.starts_with(b"/dev/zero");
    device || path.starts_with(b"anon_inode:") || path.starts_with(b"/proc/") || path.starts_with(b"/sys/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// An object at 0x10000 with one segment, which ends at 0x14800.
    fn header(at: usize) -> Option<usize> {
        Some(match at.checked_sub(0x10000)? {
            0 => 0x464c_457f,
            32 => 64,
            48 => 56 << 48,
            56 => 1,
            64 => 1 | 6 << 32,
            80 => 0,
            104 => 0x4800,
            _ => return None,
        })
    }

    fn classes(lines: &str) -> Vec<(usize, usize, Class)> {
        let mut table = MapTable::empty();
        let mut image = Image::default();
        for line in lines.lines() {
            table.add(&Mapping::parse(line.as_bytes()).unwrap(), &mut image, &header).unwrap();
        }
        table.areas().iter().map(|area| (area.start, area.end, area.class)).collect()
    }

    #[test]
    fn an_object_ends_with_its_zeroed_data() {
        let got = classes(
            "10000-12000 r--p 00000000 08:01 42 /lib/libx.so\n\
             12000-14000 rw-p 00002000 08:01 42 /lib/libx.so\n\
             14000-18000 rw-p 00000000 00:00 0 \n\
             18000-19000 rw-p 00000000 08:01 43 /tmp/data\n",
        );
        let want = [
            (0x10000, 0x12000, Class::Globals),
            (0x12000, 0x14000, Class::Globals),
            (0x14000, 0x15000, Class::Globals),
            (0x15000, 0x18000, Class::Private),
            (0x18000, 0x19000, Class::Private),
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn names_tell_what_a_mapping_is() {
        let class = |access: &str, path: &str| {
            let inode = usize::from(path.starts_with(['/', 'a']));
            classes(&std::format!("1000-2000 {access} 00000000 00:01 {inode} {path}"))[0].2
        };
        assert_eq!(class("rw-p", ""), Class::Private);
        assert_eq!(class("rw-p", "[heap]"), Class::Private);
        assert_eq!(class("rw-p", "[anon:arena]"), Class::Private);
        assert_eq!(class("rw-p", "[stack]"), Class::MainStack);
        assert_eq!(class("r-xp", "[vdso]"), Class::Other);
        assert_eq!(class("rw-p", "/dev/dri/card0"), Class::Other);
        assert_eq!(class("rw-p", "/dev/zero"), Class::Private);
        assert_eq!(class("rw-s", "/dev/zero (deleted)"), Class::SharedMemory);
        assert_eq!(class("rw-s", "/memfd:x (deleted)"), Class::SharedMemory);
        assert_eq!(class("rw-s", "/SYSV00000000 (deleted)"), Class::SharedMemory);
        assert_eq!(class("rw-s", "anon_inode:[io_uring]"), Class::Other);
        assert_eq!(class("rw-s", "/dev/nvidia0"), Class::Other);
        assert_eq!(class("rw-s", "/var/db"), Class::SharedFile);
    }

    #[test]
    fn areas_are_found_by_address() {
        let table = MapTable::read(&peek::through_kernel).unwrap().unwrap();
        let local = 7usize;
        assert_eq!(table.word(&raw const local as usize), Some(7));
        assert_eq!(table.word(0), None);
        assert!(table.areas().is_sorted_by_key(|area| area.start));
    }
}
