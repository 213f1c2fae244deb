//! Files, read whole or mapped, without libc.

use crate::heap::arena;
use crate::leak::own_memory;
use crate::sys::{
    file::File,
    syscall::{Errno, call},
};
use alloc::{ffi::CString, vec::Vec};

/// Bytes of a file read at a time: most lists of mappings fit at once.
const CHUNK_BYTES: usize = 64 << 10;
/// A file of suppressions or a list of mappings beyond this is not what it should be.
const MOST_READ_BYTES: usize = 256 << 20;

/// Opens a file for reading; a pipe does not block.
fn open(path: &[u8]) -> Result<File, Errno> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    File::open_with(&path, libc::O_RDONLY | libc::O_NONBLOCK, 0)
}

/// Reads all of a file, of `/proc` as well.
pub(super) fn read(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    loop {
        let len = bytes.len();
        if len > MOST_READ_BYTES || arena::may_fail(|| bytes.try_reserve(CHUNK_BYTES)).is_err() {
            return Err(Errno(libc::EFBIG));
        }
        bytes.resize(len + CHUNK_BYTES, 0);
        let read = bytes.get_mut(len..).map_or(Ok(0), |free| file.read(free))?;
        bytes.truncate(len + read);
        if read == 0 {
            return Ok(bytes);
        }
    }
}

/// Maps all of a file for as long as the report takes: the mapping goes with the process that writes it, or with
/// the check that is made in place.
///
/// A file that somebody cuts short meanwhile ends that process by SIGBUS, as for every debugger that maps
/// its files.
pub(super) fn map(path: &[u8]) -> Result<&'static [u8], Errno> {
    let (start, len) = open(path)?.map()?;
    if arena::is_active() {
        own_memory::adopt(start, len);
    }
    // SAFETY: the kernel has just mapped `len` readable bytes there, and nobody unmaps them before the report is
    // done.
    Ok(unsafe { core::slice::from_raw_parts(start.ptr(), len) })
}

/// The target of a symbolic link.
pub(super) fn read_link(path: &core::ffi::CStr) -> Result<Vec<u8>, Errno> {
    let mut target = alloc::vec![0; libc::PATH_MAX as usize];
    let at = libc::AT_FDCWD as usize;
    let args = [at, path.as_ptr() as usize, target.as_mut_ptr() as usize, target.len(), 0, 0];
    // SAFETY: the kernel reads the path, a C string, and writes at most `len` bytes into the vector.
    let len = unsafe { call(libc::SYS_readlinkat, args) }?;
    target.truncate(len);
    Ok(target)
}

/// Copies this process's memory at `address`, which need not be mapped; returns what could be read.
pub(super) fn peek(address: usize, buffer: &mut [u8]) -> &[u8] {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote =
        libc::iovec { iov_base: core::ptr::with_exposed_provenance_mut(address), iov_len: buffer.len() };
    let pid = crate::sys::message::process_id() as usize;
    let args = [pid, &raw const local as usize, 1, &raw const remote as usize, 1, 0];
    // SAFETY: the kernel writes only into `local`, the borrowed buffer, and checks the remote range: an
    // unmapped or unreadable page ends the copy.
    let len = unsafe { call(libc::SYS_process_vm_readv, args) }.unwrap_or(0);
    buffer.get(..len).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_mapped_whole() {
        let path = std::env::temp_dir().join(std::format!("besom-files-{}", std::process::id()));
        let contents: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
        std::fs::write(&path, &contents).unwrap();
        let name = path.to_str().unwrap().as_bytes();
        assert_eq!(read(name).unwrap(), contents);
        assert_eq!(map(name).unwrap(), contents);
        std::fs::write(&path, b"").unwrap();
        assert_eq!(read(name).unwrap(), b"");
        assert_eq!(map(name).err(), Some(Errno(libc::EINVAL)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(name).err(), Some(Errno(libc::ENOENT)));
        assert!(!read(b"/proc/self/maps").unwrap().is_empty());
    }

    #[test]
    fn peeking_needs_no_mapping() {
        let word = *b"peekaboo";
        let mut buffer = [0; 8];
        assert_eq!(peek(word.as_ptr() as usize, &mut buffer), b"peekaboo");
        assert_eq!(peek(16, &mut buffer), b"");
    }
}
