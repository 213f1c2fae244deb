//! `/proc/self/maps`: what is mapped where.

use super::file::{File, Lines};

/// Bytes of the longest line kept: the numbers and a path of the usual length. A longer path is cut.
const LINE_BYTES: usize = 2048;

/// One line of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mapping<'a> {
    /// First address.
    pub(crate) start: usize,
    /// Address behind the last.
    pub(crate) end: usize,
    /// May be read.
    pub(crate) readable: bool,
    /// May be written.
    pub(crate) writable: bool,
    /// May be executed.
    pub(crate) executable: bool,
    /// Writes go to the file or to other processes.
    pub(crate) shared: bool,
    /// Bytes from the file's beginning.
    pub(crate) offset: u64,
    /// Major and minor number of the file's device.
    pub(crate) device: (u32, u32),
    /// The file's inode, 0 for anonymous memory.
    pub(crate) inode: u64,
    /// The file's path, the kernel's name in brackets, or nothing.
    pub(crate) path: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// Reads one line, without its newline; `None` if it is not of the known form.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut rest = line;
        let start = usize::try_from(hexadecimal(&mut rest, b'-')?).ok()?;
        let end = usize::try_from(hexadecimal(&mut rest, b' ')?).ok()?;
        let (access, mut rest) = rest.split_at_checked(5)?;
        let offset = hexadecimal(&mut rest, b' ')?;
        let major = u32::try_from(hexadecimal(&mut rest, b':')?).ok()?;
        let minor = u32::try_from(hexadecimal(&mut rest, b' ')?).ok()?;
        let (inode, path) = inode_and_path(rest)?;
        Some(Self {
            start,
            end,
            readable: access.first() == Some(&b'r'),
            writable: access.get(1) == Some(&b'w'),
            executable: access.get(2) == Some(&b'x'),
            shared: access.get(3) == Some(&b's'),
            offset,
            device: (major, minor),
            inode,
            path,
        })
    }
}

/// Takes a hexadecimal number and the `end` byte behind it off the front.
fn hexadecimal(rest: &mut &[u8], end: u8) -> Option<u64> {
    let len = rest.iter().position(|&b| b == end)?;
    let (digits, behind) = rest.split_at_checked(len)?;
    let digits = core::str::from_utf8(digits).ok()?;
    *rest = behind.get(1..)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The inode is decimal; the path, if any, follows after blanks and may hold blanks itself.
fn inode_and_path(rest: &[u8]) -> Option<(u64, &[u8])> {
    let len = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, path) = rest.split_at_checked(len)?;
    Some((core::str::from_utf8(digits).ok()?.parse().ok()?, path.trim_ascii_start()))
}

/// Calls `each` for the mappings of this process in the order of addresses; lines of unknown form are
/// passed over. `false` where `/proc` is hidden.
pub(crate) fn for_each_mapping(mut each: impl FnMut(&Mapping<'_>)) -> bool {
    let Ok(file) = File::open(c"/proc/self/maps") else { return false };
    let mut lines = Lines::<LINE_BYTES>::new(file);
    while let Some(line) = lines.next_line() {
        if let Some(mapping) = Mapping::parse(line) {
            each(&mapping);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_read() {
        let line = b"7f1234560000-7f1234570000 rw-p 0001e000 fd:01 1234567   /lib/a b.so (deleted)";
        let want = Mapping {
            start: 0x7f12_3456_0000,
            end: 0x7f12_3457_0000,
            readable: true,
            writable: true,
            executable: false,
            shared: false,
            offset: 0x1e000,
            device: (0xfd, 1),
            inode: 1_234_567,
            path: b"/lib/a b.so (deleted)",
        };
        assert_eq!(Mapping::parse(line), Some(want));
    }

    #[test]
    fn anonymous_shared_and_kernel_mappings_are_read() {
        let anonymous = Mapping::parse(b"1000-2000 ---p 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.path, anonymous.readable, anonymous.inode), (&b""[..], false, 0));
        let bare = Mapping::parse(b"1000-2000 r-xs 00000000 00:00 0").unwrap();
        assert!(bare.shared && bare.executable && !bare.writable);
        let vsyscall = b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]";
        assert_eq!(Mapping::parse(vsyscall).unwrap().path, b"[vsyscall]");
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in ["", "1000", "1000-2000", "1000-xyz rw-p 0 0:0 0", "1000-2000 rw", "1-2 rw-p 0 0 0"] {
            assert_eq!(Mapping::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn the_own_code_is_mapped_executable() {
        let here = the_own_code_is_mapped_executable as *const () as usize;
        let (mut found, mut last) = (false, 0);
        assert!(for_each_mapping(|mapping| {
            assert!(mapping.start >= last && mapping.end > mapping.start);
            last = mapping.end;
            found |= (mapping.start..mapping.end).contains(&here) && mapping.executable;
        }));
        assert!(found);
    }
}
