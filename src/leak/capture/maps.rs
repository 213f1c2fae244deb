//! Finding a module in `/proc/self/maps`, for C libraries without a finder.

use super::elf::Image;
use crate::sys::file::{File, Lines};

/// Bytes of a line that are read: all numbers and the start of the path, which is not needed.
const LINE_BYTES: usize = 256;

/// A line's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mapping {
    start: usize,
    end: usize,
    offset: usize,
    /// Device and inode, (0, 0) for memory without a file.
    file: (usize, usize),
}

/// The first address of the module that `address` lies in, one past its last, and the address of its
/// `.eh_frame_hdr` (0 if it has none). `None` if no module lies there, or `/proc` can't be read.
pub(super) fn find(address: usize) -> Option<(usize, usize, usize)> {
    let base = find_base(Lines::<LINE_BYTES>::new(File::open(c"/proc/self/maps").ok()?), address)?;
    // SAFETY: code of the file mapped from here on is running, so its mappings stay.
    let image = unsafe { Image::at(base) }?;
    Some((base, image.end(), image.eh_frame_hdr().unwrap_or(0)))
}

/// Where the file that is mapped at `address` begins: the last mapping of its start before the address.
fn find_base(mut lines: Lines<LINE_BYTES>, address: usize) -> Option<usize> {
    let mut first: Option<Mapping> = None;
    while let Some(mapping) = lines.next_line().map(parse) {
        let mapping = mapping?;
        if mapping.offset == 0 {
            first = Some(mapping);
        }
        if (mapping.start..mapping.end).contains(&address) {
            return first.filter(|first| first.file == mapping.file).map(|first| first.start);
        }
    }
    None
}

/// Reads `start-end perms offset major:minor inode path`.
fn parse(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.split(|&b| b == b' ').filter(|field| !field.is_empty());
    let (start, end) = pair(fields.next()?, b'-')?;
    let offset = number(fields.nth(1)?, 16)?;
    let (major, minor) = pair(fields.next()?, b':')?;
    let inode = number(fields.next()?, 10)?;
    Some(Mapping { start, end, offset, file: (major << 32 | minor, inode) })
}

fn pair(field: &[u8], separator: u8) -> Option<(usize, usize)> {
    let at = field.iter().position(|&b| b == separator)?;
    Some((number(&field[..at], 16)?, number(&field[at + 1..], 16)?))
}

fn number(digits: &[u8], radix: u32) -> Option<usize> {
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = b"7f0a12345000-7f0a12346000 r-xp 0002a000 fd:01 1234    /usr/lib/a file.so";
        let expect = Mapping {
            start: 0x7f0a_1234_5000,
            end: 0x7f0a_1234_6000,
            offset: 0x2a000,
            file: (0xfd << 32 | 1, 1234),
        };
        assert_eq!(parse(line), Some(expect));
        assert_eq!(parse(b"7ffd000-7ffe000 rw-p 00000000 00:00 0").unwrap().file, (0, 0));
        assert_eq!(parse(b"garbage"), None);
    }

    #[test]
    fn finds_this_program_and_the_c_library_but_no_stack() {
        let here = finds_this_program_and_the_c_library_but_no_stack as fn() as usize;
        let (start, end, eh_frame_hdr) = find(here).unwrap();
        assert!(start < here && here < end && (start..end).contains(&eh_frame_hdr));
        let libc = libc::qsort as unsafe extern "C" fn(_, _, _, _) as usize;
        let (start, end, _) = find(libc).unwrap();
        assert!(start < libc && libc < end && !(start..end).contains(&here));
        assert_eq!(find(&raw const start as usize), None);
        assert_eq!(find(8), None);
    }
}
