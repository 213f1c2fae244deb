//! Text in a fixed buffer: formatting where nothing may allocate.

use core::fmt;

/// Bytes of one line: long enough for a message with a path in it.
const LINE_BYTES: usize = 1024;

/// A line under construction; what does not fit is cut off.
pub(crate) struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    /// An empty line.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; LINE_BYTES], len: 0 }
    }

    /// What has been written so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Ends the line, at the cost of its last byte if it is full.
    pub(crate) fn end(&mut self) {
        self.len = self.len.min(LINE_BYTES - 1);
        self.bytes[self.len] = b'\n';
        self.len += 1;
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let n = s.len().min(LINE_BYTES - self.len);
        self.bytes[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn a_line_too_long_is_cut_and_still_ends() {
        let mut line = Line::new();
        for _ in 0..LINE_BYTES {
            write!(line, "ab").unwrap();
        }
        line.end();
        assert_eq!(line.as_bytes().len(), LINE_BYTES);
        assert_eq!(line.as_bytes().last(), Some(&b'\n'));
    }
}
