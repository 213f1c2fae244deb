//! glibc's extensions to the malloc family, and besom's own C functions (`include/besom.h`).

use crate::heap;
use crate::stats::{CLASSES, ClassStats, Stats};
use crate::sys::message;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::fmt::{self, Write};
use core::ptr::null_mut;

/// `malloc_trim(3)`: gives all free memory back; 1 if there was any. The padding has no meaning here.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_padding: usize) -> c_int {
    (heap::release_free_memory() > 0) as c_int
}

/// `mallopt(3)`: none of glibc's parameters has a meaning here, and 0 says so. `BESOM_OPTIONS` has besom's.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(_parameter: c_int, _value: c_int) -> c_int {
    0
}

/// `mallinfo2(3)`, as far as its fields mean something here.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let stats = heap::snapshot();
    let (large_objects, large_bytes) = heap::large_counts();
    libc::mallinfo2 {
        arena: stats.heap_mapped
            - stats.heap_released
            - large_bytes.min(stats.heap_mapped - stats.heap_released),
        ordblks: stats.by_class.iter().map(|class| class.cached_objects).sum(),
        smblks: 0,
        hblks: large_objects,
        hblkhd: large_bytes,
        usmblks: 0,
        fsmblks: 0,
        uordblks: stats.heap_in_use,
        fordblks: stats.heap_idle,
        keepcost: stats.heap_idle,
    }
}

/// `mallinfo(3)`: as [`mallinfo2`], in fields of `int`, which end at 2 GiB.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    let wide = mallinfo2();
    let narrow = |n: usize| n.min(c_int::MAX as usize) as c_int;
    libc::mallinfo {
        arena: narrow(wide.arena),
        ordblks: narrow(wide.ordblks),
        smblks: narrow(wide.smblks),
        hblks: narrow(wide.hblks),
        hblkhd: narrow(wide.hblkhd),
        usmblks: narrow(wide.usmblks),
        fsmblks: narrow(wide.fsmblks),
        uordblks: narrow(wide.uordblks),
        fordblks: narrow(wide.fordblks),
        keepcost: narrow(wide.keepcost),
    }
}

/// `malloc_stats(3)`: the statistics on standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    heap::snapshot().for_each_line(message::line);
}

/// A stream of C's as a place to write text to.
struct Stream(*mut libc::FILE);

impl Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the caller of `malloc_info` gave an open stream; the text is `len` readable bytes.
        let written = unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), self.0) };
        if written == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// `malloc_info(3)`: the statistics as XML. -1 with EINVAL for options other than 0.
///
/// # Safety
/// `stream` is an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    if options != 0 || stream.is_null() {
        // SAFETY: libc returns the address of this thread's errno.
        unsafe { *libc::__errno_location() = libc::EINVAL };
        return -1;
    }
    if write_xml(&mut Stream(stream), &heap::snapshot()).is_ok() { 0 } else { -1 }
}

fn write_xml(out: &mut Stream, stats: &Stats) -> fmt::Result {
    writeln!(out, "<malloc version=\"besom-1\">")?;
    writeln!(out, "<caches mode=\"{}\" count=\"{}\"/>", stats.cache_mode.name(), stats.caches)?;
    writeln!(out, "<sizes>")?;
    for class in stats.by_class.iter().filter(|class| class.spans > 0) {
        let ClassStats { object_bytes, objects, cached_objects, spans } = class;
        writeln!(
            out,
            "<size bytes=\"{object_bytes}\" objects=\"{objects}\" cached=\"{cached_objects}\" spans=\"{spans}\"/>"
        )?;
    }
    writeln!(out, "</sizes>")?;
    writeln!(
        out,
        "<total type=\"in-use\" count=\"{}\" size=\"{}\"/>",
        stats.heap_objects, stats.heap_in_use
    )?;
    writeln!(out, "<total type=\"idle\" size=\"{}\"/>", stats.heap_idle)?;
    writeln!(out, "<system type=\"current\" size=\"{}\"/>", stats.heap_mapped - stats.heap_released)?;
    writeln!(out, "<aspace type=\"total\" size=\"{}\"/>", stats.heap_mapped)?;
    writeln!(out, "</malloc>")
}

/// Version of [`BesomStats`].
const STATS_VERSION: c_uint = 1;

/// `struct besom_class_stats`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BesomClassStats {
    object_bytes: usize,
    objects: usize,
    cached_objects: usize,
    spans: usize,
}

/// `struct besom_stats`.
#[repr(C)]
pub struct BesomStats {
    size: usize,
    version: c_uint,
    cache_mode: c_uint,
    in_use_bytes: usize,
    idle_bytes: usize,
    released_bytes: usize,
    mapped_bytes: usize,
    cached_bytes: usize,
    metadata_bytes: usize,
    objects: usize,
    classes: [BesomClassStats; CLASSES],
}

impl BesomStats {
    fn of(stats: &Stats) -> Self {
        Self {
            size: size_of::<Self>(),
            version: STATS_VERSION,
            cache_mode: stats.cache_mode as c_uint,
            in_use_bytes: stats.heap_in_use,
            idle_bytes: stats.heap_idle,
            released_bytes: stats.heap_released,
            mapped_bytes: stats.heap_mapped,
            cached_bytes: stats.cached,
            metadata_bytes: stats.metadata,
            objects: stats.heap_objects,
            classes: stats.by_class.map(|class| BesomClassStats {
                object_bytes: class.object_bytes,
                objects: class.objects,
                cached_objects: class.cached_objects,
                spans: class.spans,
            }),
        }
    }
}

/// `besom_stats`: fills in the structure, up to the size that the caller has set. 0, or -1 with EINVAL.
///
/// # Safety
/// `stats` is null or points to as much writable memory as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn besom_stats(stats: *mut BesomStats) -> c_int {
    // SAFETY: null, or a structure whose first field the caller has set.
    if stats.is_null() || unsafe { (*stats).size } < size_of::<BesomStats>() {
        // SAFETY: libc returns the address of this thread's errno.
        unsafe { *libc::__errno_location() = libc::EINVAL };
        return -1;
    }
    // SAFETY: the caller's structure is at least as long as ours.
    unsafe { stats.write(BesomStats::of(&heap::snapshot())) };
    0
}

/// `besom_release_free_memory`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_release_free_memory() {
    heap::release_free_memory();
}

/// `besom_malloc_noscan`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_malloc_noscan(bytes: usize) -> *mut c_void {
    let object = heap::alloc_c_noscan(bytes);
    if object.is_null() {
        // SAFETY: libc returns the address of this thread's errno.
        unsafe { *libc::__errno_location() = libc::ENOMEM };
        return null_mut();
    }
    object.cast()
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version without NUL"),
};

/// `besom_version`.
#[unsafe(no_mangle)]
pub extern "C" fn besom_version() -> *const c_char {
    VERSION.as_ptr()
}
