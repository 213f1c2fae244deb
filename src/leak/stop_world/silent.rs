//! What can be known of a thread that does not answer the signal, from `/proc`, without ptrace.

use crate::sys::{file::File, signal};
use core::ffi::CStr;
use core::fmt::{self, Write};

/// What `/proc` says of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// It has ended, or is a zombie that waits for the rest of the process.
    Gone,
    /// It runs or is about to.
    Running,
    /// A debugger holds it, most likely because of our signal, which it passes on in its own time.
    Traced {
        /// Its stack pointer in the program.
        stack_pointer: usize,
    },
    /// It sleeps in the kernel; its registers but these are not shown.
    Asleep {
        /// Its stack pointer in the program.
        stack_pointer: usize,
        /// Its program counter.
        program_counter: usize,
    },
    /// `/proc` does not let us read it.
    Hidden,
}

/// Looks at thread `tid` of process `pid`, which is this process.
pub(super) fn look(pid: u32, tid: u32) -> Look {
    let state = state(tid);
    if !signal::thread_exists(pid, tid) || matches!(state, Some(b'Z' | b'X' | b'x')) {
        return Look::Gone;
    }
    let mut text = [0; 256];
    match (read(tid, "syscall", &mut text).map(parse_syscall), state) {
        (Some(Look::Asleep { stack_pointer, .. }), Some(b't')) => Look::Traced { stack_pointer },
        (Some(look), _) => look,
        (None, _) => Look::Hidden,
    }
}

/// The name of thread `tid` (at most 15 bytes), in `buffer`; empty if it cannot be read.
///
/// Readable from the checking child too, which names the parent's threads through the parent's `pid`.
pub(crate) fn name(pid: u32, tid: u32, buffer: &mut [u8; 16]) -> &[u8] {
    let mut path = Path::new();
    let _ = write!(path, "/proc/{pid}/task/{tid}/comm");
    let Ok(file) = File::open(path.text()) else { return &[] };
    file.read_all(buffer).trim_ascii_end()
}

/// The letter for a thread's state: the third field of `stat`, behind the name in brackets.
fn state(tid: u32) -> Option<u8> {
    let mut text = [0; 256];
    let text = read(tid, "stat", &mut text)?;
    let end = text.iter().rposition(|&b| b == b')')?;
    text.get(end + 2).copied()
}

/// `running`, or the call's number and arguments and at the end the stack pointer and program counter.
fn parse_syscall(text: &[u8]) -> Look {
    let mut words = text.trim_ascii().rsplit(|&b| b == b' ').map(hexadecimal);
    match (words.next(), words.next()) {
        (Some(Some(program_counter)), Some(Some(stack_pointer))) if stack_pointer != 0 => {
            Look::Asleep { stack_pointer, program_counter }
        }
        _ => Look::Running,
    }
}

fn hexadecimal(word: &[u8]) -> Option<usize> {
    usize::from_str_radix(core::str::from_utf8(word.strip_prefix(b"0x")?).ok()?, 16).ok()
}

fn read<'a>(tid: u32, file: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut path = Path::new();
    let _ = write!(path, "/proc/self/task/{tid}/{file}");
    let text = File::open(path.text()).ok()?.read_all(buffer);
    (!text.is_empty()).then_some(text)
}

/// A short path under construction.
struct Path {
    bytes: [u8; 64],
    len: usize,
}

impl Path {
    fn new() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Write for Path {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // The last byte stays 0.
        let end = self.len + part.len();
        let room = self.bytes.len() - 1;
        let to = self.bytes.get_mut(self.len..end).filter(|_| end <= room).ok_or(fmt::Error)?;
        to.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::message::{process_id, thread_id};

    #[test]
    fn sleeping_and_running_threads_are_told_apart() {
        let text = b"202 0x7f00 0x189 0x0 0x0 0x0 0xffffffff 0x7ffc11112220 0x7f22aaaa1234\n";
        let want = Look::Asleep { stack_pointer: 0x7ffc_1111_2220, program_counter: 0x7f22_aaaa_1234 };
        assert_eq!(parse_syscall(text), want);
        assert_eq!(parse_syscall(b"-1 0x7ffc11112220 0x7f22aaaa1234\n"), want);
        for text in ["running\n", "", "-1 0x0 0x0\n"] {
            assert_eq!(parse_syscall(text.as_bytes()), Look::Running);
        }
    }

    #[test]
    fn threads_that_have_ended_are_gone() {
        let tid = std::thread::spawn(thread_id).join().unwrap();
        while look(process_id(), tid) != Look::Gone {
            std::thread::yield_now();
        }
        assert_ne!(look(process_id(), thread_id()), Look::Gone);
    }

    #[test]
    fn a_thread_has_its_name() {
        let named = std::thread::Builder::new().name("kingfisher".into());
        let ask = || name(process_id(), thread_id(), &mut [0; 16]).to_vec();
        assert_eq!(named.spawn(ask).unwrap().join().unwrap(), b"kingfisher");
    }
}
