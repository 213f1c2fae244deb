//! Where a report goes.
//!
//! Without `log_path`, or with the word `stderr`, to standard error; with `stdout`, to standard output; else
//! to a file of this process: `log_path` with `.` and the process's number behind it, as LeakSanitizer does.
//! A `%p` in it stands for the number instead, and nothing is put behind it. The file is readable by its
//! owner only, since it tells addresses and command lines, and never a symbolic link (its name can be
//! guessed, and its folder is often `/tmp`). It is made when there is something to write: most processes lose
//! nothing, and a shell script would leave an empty file for every command.

use crate::config::Ascii;
use crate::sys::message;
use crate::sys::{
    file::File,
    message::say,
    syscall::{Errno, call},
    write_guard::WriteGuard,
};
use alloc::{ffi::CString, format, vec::Vec};
use core::fmt;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;
const OWNER_ONLY: u32 = 0o600;
/// How long a full pipe may keep the report waiting before the rest is given up.
const WAIT_SECONDS: i64 = 10;

/// A place for a report; text goes in by [`fmt::Write`].
pub(super) struct Output {
    fd: i32,
    /// The name of a file that is not open yet, and whether to go on in it.
    unopened: Option<(Vec<u8>, bool)>,
    /// Keeps the descriptor open.
    _file: Option<File>,
    buffer: Vec<u8>,
    has_written: bool,
    error: Option<Errno>,
}

impl Output {
    /// The place that `log_path` names, to be begun or (`append`) gone on with.
    pub(super) fn new(log_path: &[u8], pid: u32, append: bool) -> Self {
        let (fd, unopened) = match log_path {
            b"" | b"stderr" => (message::output_fd(), None),
            b"stdout" => (libc::STDOUT_FILENO, None),
            _ => (message::output_fd(), Some((file_name(log_path, pid), append))),
        };
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Self { fd, unopened, _file: None, buffer, has_written: false, error: None }
    }

    /// Opens the file. One that can't be opened is said, and standard error stays the place.
    fn open(&mut self) {
        let Some((path, append)) = self.unopened.take() else { return };
        match create(&path, append) {
            Ok(file) => (self.fd, self._file) = (file.fd(), Some(file)),
            Err(error) => say!("cannot write the leak report to {} ({error})", Ascii(&path)),
        }
    }

    /// Writes bytes that need not be text.
    pub(super) fn write_bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    /// Writes what is left, and says so if some of the report is missing. Whether there was anything to write.
    pub(super) fn finish(mut self) -> bool {
        self.flush();
        if let Some(error) = self.error {
            say!("the leak report is incomplete ({error}, on descriptor {})", self.fd);
        }
        self.has_written
    }

    /// Gives up at the first error: a report with holes would mislead.
    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        self.open();
        self.has_written = true;
        // In a copy of the program these signals are ignored; a check in place needs it.
        let mut guard = WriteGuard::new();
        let mut rest = &self.buffer[..];
        while self.error.is_none() && !rest.is_empty() {
            match write(&mut guard, self.fd, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or(&[]),
                Err(error) => self.error = Some(error),
            }
        }
        self.buffer.clear();
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes());
        Ok(())
    }
}

/// Writes some of `bytes`; waits if the descriptor is full and does not block by itself.
fn write(guard: &mut WriteGuard, fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    match guard.write(fd, bytes) {
        Ok(0) => Err(Errno(libc::EIO)),
        Err(Errno(libc::EINTR)) => Ok(0),
        Err(Errno(libc::EAGAIN)) => wait_until_writable(fd).map(|()| 0),
        result => result,
    }
}

fn wait_until_writable(fd: i32) -> Result<(), Errno> {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    let mut limit = libc::timespec { tv_sec: WAIT_SECONDS, tv_nsec: 0 };
    let args = [&raw mut poll as usize, 1, &raw mut limit as usize, 0, 0, 0];
    // SAFETY: the kernel reads and writes the two structures, which live across the call; no signal mask.
    match unsafe { call(libc::SYS_ppoll, args) } {
        Ok(0) => Err(Errno(libc::EAGAIN)),
        Ok(_) | Err(Errno(libc::EINTR)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn create(path: &[u8], append: bool) -> Result<File, Errno> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let begin = if append { libc::O_APPEND } else { libc::O_TRUNC };
    File::open_with(&path, libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW | begin, OWNER_ONLY)
}

fn file_name(log_path: &[u8], pid: u32) -> Vec<u8> {
    let pid = format!("{pid}");
    let mut name = Vec::new();
    let mut rest = log_path;
    while let Some((&first, others)) = rest.split_first() {
        match rest.strip_prefix(b"%p") {
            Some(others) => {
                name.extend_from_slice(pid.as_bytes());
                rest = others;
            }
            None => {
                name.push(first);
                rest = others;
            }
        }
    }
    if !log_path.windows(2).any(|two| two == b"%p") {
        name.push(b'.');
        name.extend_from_slice(pid.as_bytes());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, string::String};

    #[test]
    fn the_process_number_goes_behind_or_where_it_is_asked_for() {
        assert_eq!(file_name(b"/tmp/leaks", 17), b"/tmp/leaks.17");
        assert_eq!(file_name(b"/tmp/%p/leaks-%p.json", 17), b"/tmp/17/leaks-17.json");
        assert_eq!(file_name(b"a%", 17), b"a%.17");
    }

    #[test]
    fn a_file_is_begun_and_gone_on_with_and_private() {
        use core::fmt::Write;
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = std::env::temp_dir().join(std::format!("besom-output-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let base = String::from(folder.join("log").to_str().unwrap());
        let path = folder.join("log.7");
        assert!(!Output::new(base.as_bytes(), 7, false).finish());
        assert!(!path.exists(), "nothing was written");
        for (append, text) in [(false, "lost"), (false, "one\n"), (true, "two\n")] {
            let mut output = Output::new(base.as_bytes(), 7, append);
            output.write_str(text).unwrap();
            output.finish();
        }
        let large = "x".repeat(3 * BUFFER_BYTES / 2);
        let mut output = Output::new(base.as_bytes(), 7, true);
        (0..3).for_each(|_| output.write_str(&large).unwrap());
        output.finish();
        let got = fs::read_to_string(&path).unwrap();
        assert!(got.starts_with("one\ntwo\nx") && got.len() == 8 + 3 * large.len());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        symlink(&path, folder.join("log.8")).unwrap();
        let output = Output::new(base.as_bytes(), 8, false);
        assert_eq!(output.fd, libc::STDERR_FILENO);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn words_are_descriptors() {
        assert_eq!(Output::new(b"", 1, false).fd, libc::STDERR_FILENO);
        assert_eq!(Output::new(b"stderr", 1, false).fd, libc::STDERR_FILENO);
        assert_eq!(Output::new(b"stdout", 1, false).fd, libc::STDOUT_FILENO);
    }

    #[test]
    fn a_full_disk_is_an_error_not_a_loop() {
        let full = File::open_with(c"/dev/full", libc::O_WRONLY, 0).unwrap();
        let mut output = Output { fd: full.fd(), _file: Some(full), ..Output::new(b"", 7, false) };
        output.write_bytes(b"text");
        output.flush();
        assert_eq!(output.error, Some(Errno(libc::ENOSPC)));
    }
}
