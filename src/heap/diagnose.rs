//! What is wrong with a pointer: one line that names the address and what it is, then SIGABRT.

use super::page_map;
use super::size_class::{self, LARGE_PAGES, TINY_PAGES, object_index};
use super::span::{self, Span, State};
use super::{bootstrap, tiny};
use crate::base::Addr;
use crate::sys::file::{File, Lines};
use crate::sys::message::fatal;

/// What the program was doing with the pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// `free`, and Rust's `dealloc`.
    Free,
    /// `realloc`.
    Realloc,
    /// `malloc_usable_size`.
    UsableSize,
    /// `free_sized`.
    FreeSized,
    /// `free_aligned_sized`.
    FreeAlignedSized,
    /// Any form of C++'s `operator delete`.
    Delete,
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Free => "free()",
            Self::Realloc => "realloc()",
            Self::UsableSize => "malloc_usable_size()",
            Self::FreeSized => "free_sized()",
            Self::FreeAlignedSized => "free_aligned_sized()",
            Self::Delete => "operator delete",
        }
    }

    /// Ends the process: `object` is not a live object's address.
    #[cold]
    pub(crate) fn bad_pointer(self, object: Addr) -> ! {
        let name = self.name();
        match kind(object) {
            Kind::Stack => fatal!("invalid {name}: {object} is on a stack"),
            Kind::Static => fatal!("invalid {name}: {object} is static data"),
            Kind::Foreign => fatal!("invalid {name}: {object} was never given out by besom"),
            Kind::FreePage => fatal!("invalid {name}: {object} is in free memory"),
            Kind::Inside { base, bytes } => {
                let offset = object.0 - base.0;
                fatal!("invalid {name}: {object} is {offset} bytes inside a {bytes}-byte object at {base}")
            }
            Kind::Object { bytes } => {
                fatal!("double {name}: {object}, a {bytes}-byte object, is free already")
            }
        }
    }

    /// Ends the process: the size given with `object` belongs to another class than the object.
    #[cold]
    pub(crate) fn bad_size(self, object: Addr, given: usize) -> ! {
        let bytes = span::containing(object).map_or(0, Span::object_bytes);
        fatal!("wrong size in {}: {given} bytes given for {object}, a {bytes}-byte object", self.name())
    }
}

/// Ends the process: an object came back to its span that is not out. By then only `free` can be named.
#[cold]
pub(crate) fn free_of_free(object: Addr) -> ! {
    Operation::Free.bad_pointer(object)
}

/// What an address is.
enum Kind {
    Stack,
    Static,
    Foreign,
    /// A page of the heap without an object.
    FreePage,
    Inside {
        base: Addr,
        bytes: usize,
    },
    /// The start of an object, of which only a double free complains.
    Object {
        bytes: usize,
    },
}

fn kind(addr: Addr) -> Kind {
    if page_map::page_of(addr).is_none() {
        return if bootstrap::contains(addr) { Kind::Object { bytes: 0 } } else { foreign_kind(addr) };
    }
    match span::containing(addr) {
        Some(span) => kind_in_span(span, addr),
        None => Kind::FreePage,
    }
}

fn kind_in_span(span: &'static Span, addr: Addr) -> Kind {
    let (class, offset) = (page_map::entry(addr).class(), addr.0 - span.base().0);
    let bytes = span.object_bytes();
    match class {
        LARGE_PAGES if span.state() != State::Large => Kind::FreePage,
        LARGE_PAGES => Kind::Inside { base: span.base(), bytes },
        TINY_PAGES if tiny::is_live(addr) => Kind::Foreign,
        TINY_PAGES => Kind::Object { bytes: size_class::TINY_BLOCK_BYTES },
        _ => {
            let index = object_index(class, offset);
            let base = span.base().plus(index * bytes);
            match (index < span.objects(), addr == base) {
                (false, _) => Kind::Foreign,
                (true, true) => Kind::Object { bytes },
                (true, false) => Kind::Inside { base, bytes },
            }
        }
    }
}

/// Finds the mapping of an address that is not the heap's. A stack is `[stack]` or the mapping that this
/// thread runs on; static data is mapped from a file, or the zeroed rest of such data right behind it.
fn foreign_kind(addr: Addr) -> Kind {
    let here = 0u8;
    let sp = Addr::of(&raw const here);
    let Ok(file) = File::open(c"/proc/self/maps") else { return Kind::Foreign };
    let mut lines = Lines::<512>::new(file);
    let (mut last_end, mut last_static) = (0, false);
    while let Some(line) = lines.next_line() {
        let Some((start, end)) = range_of(line) else { continue };
        let from_file = line.contains(&b'/');
        let is_static = from_file || (last_static && start == last_end && !line.contains(&b'['));
        if (start..end).contains(&addr.0) {
            let is_stack = (start..end).contains(&sp.0) || line.ends_with(b"[stack]");
            return match (is_stack, is_static) {
                (true, _) => Kind::Stack,
                (false, true) => Kind::Static,
                (false, false) => Kind::Foreign,
            };
        }
        (last_end, last_static) = (end, is_static);
    }
    Kind::Foreign
}

/// The addresses that a line of `/proc/self/maps` begins with.
fn range_of(line: &[u8]) -> Option<(usize, usize)> {
    let range = line.split(|&b| b == b' ').next()?;
    let mut ends = range.split(|&b| b == b'-').map(hexadecimal);
    Some((ends.next()??, ends.next()??))
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}
