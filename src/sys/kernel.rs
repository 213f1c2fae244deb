//! The kernel's version.

use super::syscall::call;

/// Bytes of one field of `struct new_utsname`, and which field is the release.
const FIELD_BYTES: usize = 65;
const FIELDS: usize = 6;
const RELEASE: usize = 2;

/// Major and minor number, or `None` where the kernel names itself otherwise.
pub(crate) fn version() -> Option<(u32, u32)> {
    let mut names = [0u8; FIELD_BYTES * FIELDS];
    // SAFETY: the kernel writes one `new_utsname`, six fields of 65 bytes, into the array.
    unsafe { call(libc::SYS_uname, [names.as_mut_ptr() as usize, 0, 0, 0, 0, 0]) }.ok()?;
    parse(names.chunks(FIELD_BYTES).nth(RELEASE)?)
}

/// The first two numbers of a release such as `6.1.0-13-amd64`.
fn parse(release: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = release.split(|b| !b.is_ascii_digit()).map(number);
    Some((numbers.next()??, numbers.next()??))
}

fn number(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_parse() {
        assert_eq!(parse(b"6.1.0-13-amd64\0\0"), Some((6, 1)));
        assert_eq!(parse(b"6.19-rc1\0"), Some((6, 19)));
        assert_eq!(parse(b"4.4\0"), Some((4, 4)));
        assert_eq!(parse(b"unknown\0"), None);
        assert!(version() > Some((4, 0)));
    }
}
