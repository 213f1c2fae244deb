//! Directories whose entries are numbers: `/proc/self/task`, `/proc/self/fd`.

use super::{file::File, syscall::call};
use core::ffi::CStr;

/// Bytes read at a time: about forty entries.
const BUFFER_BYTES: usize = 1024;

/// Entries as `getdents64` lays them out: inode, offset, record length, type, name.
const LENGTH_AT: usize = 16;
const NAME_AT: usize = 19;

#[repr(align(8))]
struct Buffer([u8; BUFFER_BYTES]);

/// Calls `each` for every entry of the directory that is a number; `false` if it cannot be read.
pub(crate) fn for_each_number(path: &CStr, mut each: impl FnMut(u32)) -> bool {
    let Ok(directory) = File::open_with(path, libc::O_DIRECTORY, 0) else { return false };
    let mut buffer = Buffer([0; BUFFER_BYTES]);
    loop {
        let args = [directory.fd() as usize, buffer.0.as_mut_ptr() as usize, BUFFER_BYTES, 0, 0, 0];
        // SAFETY: the kernel writes at most the buffer's length into the buffer, which is ours.
        match unsafe { call(libc::SYS_getdents64, args) } {
            Ok(0) => return true,
            Ok(bytes) => numbers(&buffer.0[..bytes.min(BUFFER_BYTES)], &mut each),
            Err(_) => return false,
        }
    }
}

/// Calls `each` for the numbers among the names of a run of entries.
fn numbers(mut entries: &[u8], each: &mut impl FnMut(u32)) {
    while let (Some(&[low, high]), Some(_)) = (entries.get(LENGTH_AT..LENGTH_AT + 2), entries.get(NAME_AT)) {
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let Some(name) = entries.get(NAME_AT..length) else { return };
        if let Some(number) = leading_number(name) {
            each(number);
        }
        entries = &entries[length..];
    }
}

fn leading_number(name: &[u8]) -> Option<u32> {
    let end = name.iter().position(|&b| b == 0)?;
    core::str::from_utf8(name.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_thread_is_among_the_tasks() {
        let mut found = false;
        assert!(for_each_number(c"/proc/self/task", |tid| found |= tid == crate::sys::message::thread_id()));
        assert!(found);
        assert!(!for_each_number(c"/proc/no/such", |_| ()));
    }

    #[test]
    fn broken_entries_end_the_walk() {
        let mut entry = [0u8; 24];
        (entry[LENGTH_AT], entry[NAME_AT], entry[NAME_AT + 1]) = (24, b'4', b'2');
        let mut got = std::vec::Vec::new();
        numbers(&entry, &mut |n| got.push(n));
        numbers(&entry[..20], &mut |n| got.push(n));
        assert_eq!(got, [42]);
    }
}
