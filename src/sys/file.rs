//! Files read and written without libc and without a heap.

use super::syscall::{Errno, call};
use super::write_guard::WriteGuard;
use crate::base::Addr;
use core::ffi::CStr;

/// An open file, closed on drop.
pub(crate) struct File(i32);

impl File {
    /// Opens `path` for reading.
    pub(crate) fn open(path: &CStr) -> Result<Self, Errno> {
        Self::open_with(path, libc::O_RDONLY, 0)
    }

    /// Opens `path` with the flags of `open(2)` and, for a new file, `mode`. Close-on-exec is added.
    pub(crate) fn open_with(path: &CStr, flags: i32, mode: u32) -> Result<Self, Errno> {
        let flags = (flags | libc::O_CLOEXEC) as usize;
        let args = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags, mode as usize, 0, 0];
        // SAFETY: the path is a C string that outlives the call.
        unsafe { call(libc::SYS_openat, args) }.map(|fd| Self(fd as i32))
    }

    /// The descriptor's number.
    pub(crate) fn fd(&self) -> i32 {
        self.0
    }

    /// Maps all of the file for reading; the mapping's address and bytes. An empty file is an error (`EINVAL`).
    pub(crate) fn map(&self) -> Result<(Addr, usize), Errno> {
        let fd = self.fd() as usize;
        // SAFETY: seeking moves the file's own position and touches no memory.
        let len = unsafe { call(libc::SYS_lseek, [fd, 0, libc::SEEK_END as usize, 0, 0, 0]) }?;
        let args = [0, len, libc::PROT_READ as usize, libc::MAP_PRIVATE as usize, fd, 0];
        // SAFETY: a new read-only mapping at an address of the kernel's choice replaces nothing.
        unsafe { call(libc::SYS_mmap, args) }.map(|start| (Addr(start), len))
    }

    /// Reads into `buffer`; 0 bytes at the end of the file.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let args = [self.0 as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most `len` bytes into the buffer, which is borrowed for the call.
        unsafe { call(libc::SYS_read, args) }
    }

    /// Reads the file into `buffer` until either is exhausted; returns what was read.
    pub(crate) fn read_all<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        let mut len = 0;
        while len < buffer.len() {
            match self.read(&mut buffer[len..]) {
                Ok(0) | Err(_) => break,
                Ok(n) => len += n,
            }
        }
        &buffer[..len]
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and not used after this.
        let _ = unsafe { call(libc::SYS_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Writes all of `bytes` to descriptor `fd`; gives up at the first error but an interruption. A pipe that nobody reads
/// and a file at its limit are errors, not the end of the process.
pub(crate) fn write_all(fd: i32, mut bytes: &[u8]) {
    let mut guard = WriteGuard::new();
    while !bytes.is_empty() {
        match guard.write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno(libc::EINTR)) => {}
            Err(_) => return,
        }
    }
}

/// The lines of a file, one at a time, in a buffer of `N` bytes; a longer line is cut to `N` bytes.
pub(crate) struct Lines<const N: usize> {
    file: File,
    buffer: [u8; N],
    start: usize,
    end: usize,
}

impl<const N: usize> Lines<N> {
    /// Starts reading `file`.
    pub(crate) fn new(file: File) -> Self {
        Self { file, buffer: [0; N], start: 0, end: 0 }
    }

    /// The next line without its newline, or `None` at the end.
    pub(crate) fn next_line(&mut self) -> Option<&[u8]> {
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(len) = held.iter().position(|&b| b == b'\n') {
                let from = self.start;
                self.start += len + 1;
                return Some(&self.buffer[from..from + len]);
            }
            if self.end - self.start == N {
                return self.cut_line();
            }
            if !self.refill() {
                let (from, to) = (self.start, self.end);
                self.start = to;
                return (from < to).then(|| &self.buffer[from..to]);
            }
        }
    }

    /// Moves the rest to the front and reads more; `false` at the end of the file.
    fn refill(&mut self) -> bool {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let read = self.file.read(&mut self.buffer[self.end..]).unwrap_or(0);
        self.end += read;
        read > 0
    }

    /// Returns the full buffer as a line and skips the rest of that line in the file.
    fn cut_line(&mut self) -> Option<&[u8]> {
        let mut byte = [0];
        while matches!(self.file.read(&mut byte), Ok(1)) && byte[0] != b'\n' {}
        (self.start, self.end) = (0, 0);
        Some(&self.buffer[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::CString, string::String, vec::Vec};

    #[test]
    fn lines_are_cut_at_the_buffer_and_the_last_needs_no_newline() {
        let path = std::env::temp_dir().join(std::format!("besom-lines-{}", std::process::id()));
        std::fs::write(&path, "one\n\nabcdefghijklmnop\nlast").unwrap();
        let file = File::open(&CString::new(path.to_str().unwrap()).unwrap()).unwrap();
        let mut lines = Lines::<8>::new(file);
        let mut got = Vec::new();
        while let Some(line) = lines.next_line() {
            got.push(String::from_utf8(line.to_vec()).unwrap());
        }
        std::fs::remove_file(path).unwrap();
        assert_eq!(got, ["one", "", "abcdefgh", "last"]);
    }
}
