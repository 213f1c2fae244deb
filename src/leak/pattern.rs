//! Patterns of suppressions, as LeakSanitizer reads them.
//!
//! A pattern matches where its pieces, the texts between `*`, occur one after the other. `^` at the start
//! and `$` at the end tie the first and the last piece to the ends of the text.
//!
//! Two departures from LeakSanitizer: a last piece tied by `$` is looked for at the end, not where it
//! first occurs (`foo$` matches `foofoo`), and a `$` before the end is an ordinary character, because
//! Rust's mangled names hold it (`$LT$`).

use alloc::vec::Vec;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern<'a> {
    pieces: Vec<&'a [u8]>,
    from_start: bool,
    to_end: bool,
}

impl<'a> Pattern<'a> {
    /// Compiles what stands behind `leak:` in a suppression.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let (text, from_start) = text.strip_prefix(b"^").map_or((text, false), |rest| (rest, true));
        let (text, to_end) = text.strip_suffix(b"$").map_or((text, false), |rest| (rest, true));
        Self { pieces: text.split(|&b| b == b'*').collect(), from_start, to_end }
    }

    /// Whether the pattern occurs in `text`. Nothing occurs in an empty text: a name that is not known.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        !text.is_empty() && self.rest_after_pieces(text).is_some()
    }

    /// Takes every piece at its first place, which leaves the most for the next one.
    fn rest_after_pieces<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let last = self.pieces.len().checked_sub(1)?;
        self.pieces.iter().enumerate().try_fold(text, |rest, (i, piece)| {
            let (starts, ends) = (self.from_start && i == 0, self.to_end && i == last);
            match (starts, ends) {
                (true, true) => (rest == *piece).then_some(&rest[..0]),
                (true, false) => rest.strip_prefix(*piece),
                (false, true) => rest.strip_suffix(*piece).map(|_| &rest[..0]),
                (false, false) => after(rest, piece),
            }
        })
    }
}

/// What follows the first place of `piece` in `text`.
fn after<'t>(text: &'t [u8], piece: &[u8]) -> Option<&'t [u8]> {
    if piece.is_empty() {
        return Some(text);
    }
    let at = text.windows(piece.len()).position(|window| window == piece)?;
    text.get(at + piece.len()..)
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_as_the_table_says() {
        let table: &[(&str, &str, bool)] = &[
            ("foo", "foo", true),
            ("foo", "a foo b", true),
            ("foo", "fo", false),
            ("foo", "", false),
            ("", "anything", true),
            ("", "", false),
            ("*", "anything", true),
            ("^foo", "foobar", true),
            ("^foo", "a foo", false),
            ("^*foo", "a foo", true),
            ("foo$", "a foo", true),
            ("foo$", "foofoo", true),
            ("foo$", "foo ", false),
            ("foo*$", "foo bar", true),
            ("^foo$", "foo", true),
            ("^foo$", "foofoo", false),
            ("^foo*bar$", "foo and bar", true),
            ("^foo*bar$", "foo and bar.", false),
            ("^foo*bar$", "foobar", true),
            ("^foob*bar$", "foobar", false),
            ("foo*bar", "bar foo", false),
            ("a*a", "a", false),
            ("a**b", "ab", true),
            ("operator new(*)", "operator new(unsigned long)", true),
            ("_$LT$impl", "_ZN4_$LT$impl$GT$", true),
            ("^$", "x", false),
            ("libz.so", "/usr/lib/libz.so.1", true),
        ];
        for &(pattern, text, expected) in table {
            let got = Pattern::new(pattern.as_bytes()).matches(text.as_bytes());
            assert_eq!(got, expected, "leak:{pattern} on '{text}'");
        }
    }

    proptest::proptest! {
        /// Against the definition: some split of the text around the pieces exists.
        #[test]
        fn first_places_find_every_match(pattern in "\\^?[ab*]{0,5}\\$?", text in "[ab]{0,8}") {
            let fast = Pattern::new(pattern.as_bytes()).matches(text.as_bytes());
            let anchored = pattern.strip_prefix('^');
            let body = anchored.unwrap_or(&pattern);
            let (body, end) = body.strip_suffix('$').map_or((body, false), |b| (b, true));
            let mut glob = std::string::String::new();
            if anchored.is_none() { glob.push('*'); }
            glob.push_str(body);
            if !end { glob.push('*'); }
            let slow = !text.is_empty() && glob_matches(glob.as_bytes(), text.as_bytes());
            proptest::prop_assert_eq!(fast, slow, "{} on {}", pattern, text);
        }
    }

    fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|i| glob_matches(rest, &text[i..])),
            Some((byte, rest)) => text.first() == Some(byte) && glob_matches(rest, &text[1..]),
        }
    }
}
