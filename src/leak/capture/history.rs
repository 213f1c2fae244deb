//! The modules that stored stacks lie in, for the time when they are unloaded: path, build id and place, and
//! from which stack on. What stood at an address when a stack was stored is the last module noted there before.
//!
//! A module is noted with the first stack that has a frame in it, under the lock of the known modules; rows
//! and texts stay for good. Readers need no lock.

use super::elf::Image;
use super::modules;
use crate::base::Addr;
use crate::leak::chunks::{Chunks, Zeroed};
use crate::leak::depot;
use crate::leak::own_memory;
use crate::report::SeenModule;
use crate::sys::proc_maps;
use core::ffi::CStr;
use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// A text that stays: address and length.
struct Text(AtomicUsize, AtomicUsize);

/// A module. All words are zero in a fresh row.
struct Row {
    start: AtomicUsize,
    end: AtomicUsize,
    header: AtomicUsize,
    eh_frame_hdr: AtomicUsize,
    identity: AtomicU64,
    first_stack: AtomicUsize,
    path: Text,
    build_id: Text,
}

// SAFETY: atomic numbers are zero when their bytes are.
unsafe impl Zeroed for Row {}

static ROWS: Chunks<Row> = Chunks::new();
/// Rows in use.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Most rows: a program may load and unload plugins for ever.
const MAX_ROWS: usize = 1 << 14;
/// Modules that were not noted for want of memory or rows.
static MISSED: AtomicUsize = AtomicUsize::new(0);

/// Where texts are put, and how many bytes are left there.
static FREE: Text = Text::new();
const TEXT_BLOCK_BYTES: usize = 64 << 10;
pub(super) const MAX_PATH_BYTES: usize = 4096;

impl Text {
    const fn new() -> Self {
        Self(AtomicUsize::new(0), AtomicUsize::new(0))
    }

    fn set(&self, at: usize, bytes: usize) {
        self.0.store(at, Relaxed);
        self.1.store(bytes, Relaxed);
    }

    fn bytes(&self) -> &'static [u8] {
        match self.0.load(Relaxed) {
            0 => &[],
            // SAFETY: `keep` copied so many bytes there, and its memory is never given back.
            at => unsafe { core::slice::from_raw_parts(Addr(at).ptr(), self.1.load(Relaxed)) },
        }
    }

    /// Makes this a copy of `bytes`, in memory that stays; `None` if there is none.
    fn keep(&self, bytes: &[u8]) -> Option<()> {
        if bytes.is_empty() {
            return Some(());
        }
        if FREE.1.load(Relaxed) < bytes.len() {
            FREE.set(
                own_memory::map(TEXT_BLOCK_BYTES.max(bytes.len()))?.0,
                TEXT_BLOCK_BYTES.max(bytes.len()),
            );
        }
        let at = FREE.0.load(Relaxed);
        // SAFETY: so many bytes are free there, and the lock makes this the only writer.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), Addr(at).ptr(), bytes.len()) };
        FREE.set(at + bytes.len(), FREE.1.load(Relaxed) - bytes.len());
        self.set(at, bytes.len());
        Some(())
    }
}

/// Notes a module in which a frame of the calling thread lies. `path` is room to work in; it comes with the lock of
/// `modules::CHANGES`, which the caller holds.
pub(super) fn add(module: &modules::Module, path: &mut [u8; MAX_PATH_BYTES]) {
    let latest = rows().filter(|row| row.overlaps(module)).last();
    if latest.is_some_and(|row| row.is(module)) {
        return;
    }
    if try_add(module, path).is_none() {
        MISSED.fetch_add(1, Relaxed);
    }
}

fn try_add(module: &modules::Module, path: &mut [u8; MAX_PATH_BYTES]) -> Option<()> {
    let number = COUNT.load(Relaxed);
    let row = ROWS.get_or_grow(number).ok().filter(|_| number < MAX_ROWS)?;
    let path = path_of(module.start, path);
    if path.is_empty() {
        // The program itself, or the kernel's pages: never unloaded.
        return Some(());
    }
    row.path.keep(path)?;
    // SAFETY: the module is loaded, since a frame of this thread lies in it.
    let image = unsafe { Image::at(module.header) };
    row.build_id.keep(image.as_ref().and_then(Image::build_id).unwrap_or(&[]))?;
    row.start.store(module.start, Relaxed);
    row.end.store(module.end, Relaxed);
    row.header.store(module.header, Relaxed);
    row.eh_frame_hdr.store(module.eh_frame_hdr, Relaxed);
    row.identity.store(module.identity(), Relaxed);
    row.first_stack.store(depot::next().0 as usize, Relaxed);
    COUNT.store(number + 1, Release);
    Some(())
}

/// The path of the module that begins at `start`: from the dynamic linker's record, or `/proc/self/maps`.
fn path_of(start: usize, buffer: &mut [u8; MAX_PATH_BYTES]) -> &[u8] {
    /// Where `struct link_map` of <link.h> has the name.
    const NAME_AT: usize = 8;
    let mut len = 0;
    let mut copy = |path: &[u8]| {
        len = path.len().min(buffer.len());
        buffer[..len].copy_from_slice(&path[..len]);
    };
    match modules::link_map_at(start) {
        Some(link_map) => {
            // SAFETY: the record of a loaded module; its name is a C string or null.
            let name = unsafe { Addr(link_map + NAME_AT).ptr::<usize>().read() };
            if name != 0 {
                // SAFETY: as above.
                copy(unsafe { CStr::from_ptr(Addr(name).ptr()) }.to_bytes());
            }
        }
        None => {
            proc_maps::for_each_mapping(|mapping| {
                if mapping.start == start && mapping.path.starts_with(b"/") {
                    copy(mapping.path);
                }
            });
        }
    }
    &buffer[..len]
}

impl Row {
    fn overlaps(&self, module: &modules::Module) -> bool {
        self.start.load(Relaxed) < module.end && module.start < self.end.load(Relaxed)
    }

    fn is(&self, module: &modules::Module) -> bool {
        self.start.load(Relaxed) == module.start && self.identity.load(Relaxed) == module.identity()
    }

    fn seen(&self) -> SeenModule<'static> {
        let (start, end) = (self.start.load(Relaxed), self.end.load(Relaxed));
        let header = self.header.load(Relaxed);
        let now = modules::Module::new(start, end, header, self.eh_frame_hdr.load(Relaxed));
        SeenModule {
            // The file's addresses count from its beginning.
            start: header,
            end,
            path: self.path.bytes(),
            build_id: self.build_id.bytes(),
            first_stack: self.first_stack.load(Relaxed),
            is_loaded: now.is_some_and(|now| self.is(&now)),
        }
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().take(COUNT.load(Acquire))
}

/// The modules that stored stacks lie in, but for the program itself, in the order they were met.
pub(crate) fn modules_seen() -> impl Iterator<Item = SeenModule<'static>> {
    rows().map(Row::seen)
}

/// How many modules were not noted for want of memory: stacks in them get no names once they are unloaded.
pub(crate) fn modules_missed() -> usize {
    MISSED.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn the_c_library_is_noted_with_path_and_build_id_the_program_is_not() {
        crate::leak::capture::init();
        // Called by the C library: a frame of it stands in the stack.
        extern "C" fn compare(_: *const libc::c_void, _: *const libc::c_void) -> i32 {
            crate::leak::capture::record(0);
            0
        }
        let mut words = [2usize, 1];
        // SAFETY: sorts two words.
        unsafe { libc::qsort(words.as_mut_ptr().cast(), 2, size_of::<usize>(), Some(compare)) };
        let at = libc::qsort as *const () as usize;
        let here = compare as *const () as usize;
        let seen: Vec<SeenModule<'_>> = modules_seen().collect();
        let libc = seen.iter().find(|module| (module.start..module.end).contains(&at)).unwrap();
        assert!(String::from_utf8_lossy(libc.path).contains("/libc."), "{libc:?}");
        assert!(libc.build_id.len() == 20 && libc.is_loaded && libc.first_stack > 0, "{libc:?}");
        assert!(!seen.iter().any(|module| (module.start..module.end).contains(&here)));
    }
}
