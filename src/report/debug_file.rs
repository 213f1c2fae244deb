//! Debug information that lies in a file of its own, as distributions ship it.
//!
//! Found the way gdb finds it: by build id below `/usr/lib/debug`, else by the name in `.gnu_debuglink`
//! beside the program, in `.debug` beside it, or in the same folder below `/usr/lib/debug`.

use super::{elf::Elf, files};
use alloc::vec::Vec;

const DEBUG_ROOT: &[u8] = b"/usr/lib/debug";

/// The file with the debug information of the module `elf` from `path`.
pub(super) fn find(elf: &Elf, path: &[u8]) -> Option<(Elf, Vec<u8>)> {
    by_build_id(elf).or_else(|| by_link(elf, path))
}

fn by_build_id(elf: &Elf) -> Option<(Elf, Vec<u8>)> {
    let id = elf.build_id()?;
    open(path_of_build_id(id)?).filter(|(found, _)| found.build_id() == Some(id))
}

/// `/usr/lib/debug/.build-id/ab/cdef….debug`
fn path_of_build_id(id: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = id.split_first()?;
    let mut path = [DEBUG_ROOT, b"/.build-id/"].concat();
    path.extend(hex(*first));
    path.push(b'/');
    path.extend(rest.iter().copied().flat_map(hex));
    path.extend(b".debug");
    Some(path)
}

fn hex(byte: u8) -> [u8; 2] {
    let digit = |nibble| b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'?');
    [digit(byte >> 4), digit(byte & 15)]
}

fn by_link(elf: &Elf, path: &[u8]) -> Option<(Elf, Vec<u8>)> {
    let (name, checksum) = elf.debug_link()?;
    let folder = folder_of(path);
    let candidates = [
        [folder, b"/", name].concat(),
        [folder, b"/.debug/", name].concat(),
        [DEBUG_ROOT, folder, b"/", name].concat(),
    ];
    candidates.into_iter().filter(|candidate| candidate != path).find_map(|candidate| {
        let data = files::map(&candidate).ok()?;
        let found = Elf::parse(data)?;
        // Equal build ids are as good as the checksum, and need no reading of the whole file.
        let is_it = match (elf.build_id(), found.build_id()) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => crc32(data) == checksum,
        };
        is_it.then_some((found, candidate))
    })
}

/// The file that `dwz` made of what the debug file `elf` from `path` has in common with others.
pub(super) fn find_common(elf: &Elf, path: &[u8]) -> Option<Elf> {
    let (name, id) = elf.common_link()?;
    let beside = [folder_of(path), b"/", name].concat();
    let named = if name.starts_with(b"/") { name.to_vec() } else { beside };
    let candidates = [Some(named), path_of_build_id(id)];
    candidates
        .into_iter()
        .flatten()
        .find_map(|candidate| open(candidate).map(|(found, _)| found).filter(|f| f.build_id() == Some(id)))
}

fn open(path: Vec<u8>) -> Option<(Elf, Vec<u8>)> {
    Some((Elf::parse(files::map(&path).ok()?)?, path))
}

fn folder_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
    path.get(..slash).unwrap_or(&[])
}

/// The CRC-32 of IEEE 802.3 that `.gnu_debuglink` holds, a nibble at a time.
fn crc32(data: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut i = 0;
        while i < table.len() {
            let (mut value, mut bit) = (i as u32, 0);
            while bit < 4 {
                value = (value >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(value & 1));
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    let step = |crc: u32| (crc >> 4) ^ TABLE[(crc & 15) as usize];
    !data.iter().fold(!0, |crc, &byte| step(step(crc ^ u32::from(byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standard_one() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn paths_are_made_as_gdb_makes_them() {
        let path = path_of_build_id(&[0xab, 0x01, 0xf0]).unwrap();
        assert_eq!(path, b"/usr/lib/debug/.build-id/ab/01f0.debug");
        assert_eq!(folder_of(b"/usr/bin/x"), b"/usr/bin");
        assert_eq!(folder_of(b"/x"), b"");
    }
}
