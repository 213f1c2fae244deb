//! Sections of which only the beginning is wanted, decompressed no further than that.
//!
//! libc's `.debug_info` is 6 MiB in 20 ms, and what nearly every stack needs of it stands in the first hundredth.

use alloc::{boxed::Box, vec::Vec};
use core::{cell::RefCell, ops::Range};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress_with_limit, inflate_flags};

/// A section's contents, there or to be had.
pub(super) struct LazySection(RefCell<State>);

enum State {
    Ready(&'static [u8]),
    Inflating(Inflating),
}

/// What was decompressed so far, and how to go on.
struct Inflating {
    /// As long as the contents; behind `done` zeros.
    contents: Vec<u8>,
    done: usize,
    input: &'static [u8],
    inflater: Box<DecompressorOxide>,
}

impl LazySection {
    /// Contents that are there.
    pub(super) fn ready(contents: &'static [u8]) -> Self {
        Self(RefCell::new(State::Ready(contents)))
    }

    /// Contents that `input` decompresses to with zlib, as many as `contents`, which are zeros.
    pub(super) fn inflating(input: &'static [u8], contents: Vec<u8>) -> Self {
        let inflater = Box::new(DecompressorOxide::new());
        Self(RefCell::new(State::Inflating(Inflating { contents, done: 0, input, inflater })))
    }

    /// Part of the contents; `None` if they are shorter or corrupt.
    pub(super) fn part(&self, range: Range<usize>) -> Option<&'static [u8]> {
        let mut state = self.0.borrow_mut();
        if let State::Inflating(inflating) = &mut *state {
            let so_far = inflating.up_to(range.end)?;
            if so_far.len() < inflating.contents.len() {
                // A copy: what lies behind is still to be written.
                return copy(inflating.contents.get(range)?);
            }
            *state = State::Ready(core::mem::take(&mut inflating.contents).leak());
        }
        match &*state {
            State::Ready(contents) => contents.get(range),
            State::Inflating(_) => None,
        }
    }

    /// The contents; `None` if they are corrupt.
    pub(super) fn all(&self) -> Option<&'static [u8]> {
        let len = match &*self.0.borrow() {
            State::Ready(contents) => contents.len(),
            State::Inflating(inflating) => inflating.contents.len(),
        };
        self.part(0..len)
    }
}

/// `None`: no memory.
fn copy(part: &[u8]) -> Option<&'static [u8]> {
    let mut copy = Vec::new();
    crate::heap::arena::may_fail(|| copy.try_reserve_exact(part.len())).ok()?;
    copy.extend_from_slice(part);
    Some(copy.leak())
}

impl Inflating {
    /// The contents up to `end`, or a little further.
    fn up_to(&mut self, end: usize) -> Option<&[u8]> {
        /// Decompressed at once: what is wanted next stands near.
        const STEP_BYTES: usize = 64 << 10;
        if end > self.contents.len() {
            return None;
        }
        if self.done < end {
            let wanted = end.next_multiple_of(STEP_BYTES).min(self.contents.len()) - self.done;
            // The checksum is not verified: DWARF readers check what they read anyway.
            let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
                | inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
                | inflate_flags::TINFL_FLAG_IGNORE_ADLER32;
            let (status, read, written) = decompress_with_limit(
                &mut self.inflater,
                self.input,
                &mut self.contents,
                self.done,
                wanted,
                flags,
            );
            self.input = self.input.get(read..)?;
            self.done += written;
            if self.done < end || !matches!(status, TINFLStatus::Done | TINFLStatus::HasMoreOutput) {
                return None;
            }
        }
        self.contents.get(..self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec_zlib;
    use proptest::prelude::*;
    use std::vec;

    proptest! {
        #[test]
        fn parts_in_any_order_are_those_of_the_whole(
            seed in prop::collection::vec(any::<u8>(), 1..200),
            len in 1usize..400_000,
            ranges in prop::collection::vec((any::<prop::sample::Index>(), 0usize..5000), 0..20),
        ) {
            let contents: Vec<u8> = (0..len).map(|i| seed[i % seed.len()] ^ (i / 1000) as u8).collect();
            let input = compress_to_vec_zlib(&contents, 6).leak();
            let lazy = LazySection::inflating(input, vec![0; len]);
            for (start, bytes) in ranges {
                let range = start.index(len)..start.index(len) + bytes;
                prop_assert_eq!(lazy.part(range.clone()), contents.get(range));
            }
            prop_assert_eq!(lazy.all(), Some(&contents[..]));
            prop_assert_eq!(lazy.part(0..len), Some(&contents[..]));
        }

        #[test]
        fn corrupt_input_ends(input in prop::collection::vec(any::<u8>(), 0..300), len in 1usize..100_000) {
            let mut input = input;
            input.splice(0..0, [0x78, 0x9c]);
            let lazy = LazySection::inflating(input.leak(), vec![0; len]);
            let _ = (lazy.part(0..len / 2), lazy.part(len / 2..len), lazy.all());
        }
    }

    #[test]
    fn less_than_was_claimed_is_corrupt() {
        let input = compress_to_vec_zlib(&[7; 1000], 6).leak();
        let lazy = LazySection::inflating(input, vec![0; 1001]);
        assert_eq!(lazy.part(0..1000), Some(&[7; 1000][..]));
        assert_eq!(lazy.part(1000..1001), None);
        assert_eq!(lazy.all(), None);
    }
}
