//! Bitmaps over slices of words: runs of set and clear bits.

/// Bits per word.
pub(crate) const WORD_BITS: usize = 64;

/// Whether bit `i` is set.
#[cfg(test)]
#[inline]
pub(crate) fn test(words: &[u64], i: usize) -> bool {
    words[i / WORD_BITS] >> (i % WORD_BITS) & 1 != 0
}

/// A word with `len` ones (1..=64) from bit `from`.
#[inline]
const fn ones(from: usize, len: usize) -> u64 {
    (u64::MAX >> (WORD_BITS - len)) << from
}

/// Calls `each(word, mask)` for every word that the run `start .. start + len` touches.
#[inline]
pub(crate) fn for_run(mut start: usize, mut len: usize, mut each: impl FnMut(usize, u64)) {
    while len > 0 {
        let from = start % WORD_BITS;
        let n = len.min(WORD_BITS - from);
        each(start / WORD_BITS, ones(from, n));
        start += n;
        len -= n;
    }
}

/// Sets the bits `start .. start + len`.
pub(crate) fn set_run(words: &mut [u64], start: usize, len: usize) {
    for_run(start, len, |w, mask| words[w] |= mask);
}

/// Clears the bits `start .. start + len`.
pub(crate) fn clear_run(words: &mut [u64], start: usize, len: usize) {
    for_run(start, len, |w, mask| words[w] &= !mask);
}

/// How many bits of `start .. start + len` are set.
pub(crate) fn count_run(words: &[u64], start: usize, len: usize) -> usize {
    let mut count = 0;
    for_run(start, len, |w, mask| count += (words[w] & mask).count_ones() as usize);
    count
}

/// The first bit at or above `from` whose value is `value`, or `bits` if there is none below `bits`.
pub(crate) fn next(words: &[u64], from: usize, bits: usize, value: bool) -> usize {
    let mut i = from;
    while i < bits {
        let word = words[i / WORD_BITS] ^ if value { 0 } else { u64::MAX };
        let rest = word >> (i % WORD_BITS);
        if rest != 0 {
            return (i + rest.trailing_zeros() as usize).min(bits);
        }
        i = (i / WORD_BITS + 1) * WORD_BITS;
    }
    bits
}

/// The first run of at least `len` clear bits that starts at or above `from`, below `bits`.
#[cfg(test)]
pub(crate) fn find_clear_run(words: &[u64], from: usize, bits: usize, len: usize) -> Option<usize> {
    let mut start = next(words, from, bits, false);
    while start + len <= bits {
        let end = next(words, start, bits.min(start + len), true);
        if end - start >= len {
            return Some(start);
        }
        start = next(words, end, bits, false);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(words: &[u64]) -> std::vec::Vec<bool> {
        (0..words.len() * 64).map(|i| test(words, i)).collect()
    }

    proptest! {
        #[test]
        fn runs_agree_with_bits(mut words in prop::collection::vec(any::<u64>(), 1..5), a in 0usize..320, b in 0usize..320, set: bool) {
            let bits = words.len() * 64;
            let (a, b) = (a.min(b).min(bits), a.max(b).min(bits));
            let mut model = naive(&words);
            prop_assert_eq!(count_run(&words, a, b - a), model[a..b].iter().filter(|&&x| x).count());
            if set { set_run(&mut words, a, b - a) } else { clear_run(&mut words, a, b - a) }
            model[a..b].fill(set);
            prop_assert_eq!(naive(&words), model);
        }

        #[test]
        fn searches_agree_with_bits(words in prop::collection::vec(any::<u64>(), 1..5), from in 0usize..320, len in 1usize..6, value: bool) {
            let model = naive(&words);
            let bits = model.len();
            let from = from.min(bits);
            let expect = (from..bits).find(|&i| model[i] == value).unwrap_or(bits);
            prop_assert_eq!(next(&words, from, bits, value), expect);
            let run = (from..bits).find(|&i| i + len <= bits && model[i..i + len].iter().all(|x| !x));
            prop_assert_eq!(find_clear_run(&words, from, bits, len), run);
        }
    }
}
