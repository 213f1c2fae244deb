//! What the kernel lets this process have: resource limits and the memory limit of its control group.

use super::{
    file::{File, Lines},
    syscall::call,
};
use core::ffi::CStr;

/// The soft limit of address space in bytes (`ulimit -v`), or `None` if there is none.
pub(crate) fn address_space_bytes() -> Option<usize> {
    let mut limit = [libc::RLIM64_INFINITY; 2];
    let args = [0, libc::RLIMIT_AS as usize, 0, limit.as_mut_ptr() as usize, 0, 0];
    // SAFETY: the kernel writes one `rlimit64`, which is two 64-bit words, into the array.
    let done = unsafe { call(libc::SYS_prlimit64, args) };
    (done.is_ok() && limit[0] != libc::RLIM64_INFINITY).then_some(limit[0] as usize)
}

/// Longest path of a control group's file that is read; a longer one counts as no limit.
const PATH_BYTES: usize = 512;

/// The least memory limit in bytes of this process's control group and all above it, or `None`.
///
/// Version 2 (`memory.max`) and version 1 (`memory.limit_in_bytes`) at the usual mount points, also in
/// the mixed arrangement. In a container the group's own path may not exist below its mount: then the
/// directories above it, up to the mount point, which is the container's group, are what counts.
pub(crate) fn cgroup_bytes() -> Option<usize> {
    let mut lines = Lines::<PATH_BYTES>::new(File::open(c"/proc/self/cgroup").ok()?);
    let mut least = None;
    while let Some(line) = lines.next_line() {
        for (mount, name) in places(line) {
            let path = line.splitn(3, |&b| b == b':').nth(2).unwrap_or(b"/");
            least = min_known(least, least_upwards(mount, path, name));
        }
    }
    least
}

type Place = (&'static [u8], &'static [u8]);

/// Where the limit of the hierarchy that `line` of `/proc/self/cgroup` names may be read.
fn places(line: &[u8]) -> &'static [Place] {
    const V2: &[Place] = &[(b"/sys/fs/cgroup", b"/memory.max"), (b"/sys/fs/cgroup/unified", b"/memory.max")];
    const V1: &[Place] = &[(b"/sys/fs/cgroup/memory", b"/memory.limit_in_bytes")];
    let controllers = line.split(|&b| b == b':').nth(1).unwrap_or(b"");
    match controllers {
        b"" if line.starts_with(b"0:") => V2,
        list if list.split(|&b| b == b',').any(|c| c == b"memory") => V1,
        _ => &[],
    }
}

/// The least limit in the files `mount/path/name`, `mount/parent-of-path/name` … `mount/name`.
fn least_upwards(mount: &[u8], path: &[u8], name: &[u8]) -> Option<usize> {
    let mut path = path.strip_suffix(b"/").unwrap_or(path);
    let mut least = None;
    loop {
        least = min_known(least, read_limit(&[mount, path, name]));
        let Some(slash) = path.iter().rposition(|&b| b == b'/') else { return least };
        path = &path[..slash];
    }
}

/// The number in the file whose path is `parts` together; `None` for `max` or without such a file.
fn read_limit(parts: &[&[u8]]) -> Option<usize> {
    let mut path = [0; PATH_BYTES];
    let mut len = 0;
    for part in parts {
        path.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    let file = File::open(CStr::from_bytes_until_nul(&path).ok()?).ok()?;
    let mut text = [0; 32];
    parse_limit(file.read_all(&mut text))
}

/// A limit file's text as bytes. Version 1 writes "none" as the largest multiple of a page below 2^63.
fn parse_limit(text: &[u8]) -> Option<usize> {
    const NO_LIMIT_BYTES: usize = 1 << 62;
    let text = core::str::from_utf8(text).ok()?;
    text.trim_ascii().parse().ok().filter(|&bytes| bytes < NO_LIMIT_BYTES)
}

fn min_known(a: Option<usize>, b: Option<usize>) -> Option<usize> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_parse() {
        assert_eq!(parse_limit(b"max\n"), None);
        assert_eq!(parse_limit(b"1048576\n"), Some(1 << 20));
        assert_eq!(parse_limit(b"9223372036854771712\n"), None);
        assert_eq!(parse_limit(b""), None);
    }

    #[test]
    fn hierarchies_are_told_apart() {
        assert_eq!(places(b"0::/user.slice").len(), 2);
        assert_eq!(places(b"4:memory:/a"), [(&b"/sys/fs/cgroup/memory"[..], &b"/memory.limit_in_bytes"[..])]);
        assert_eq!(places(b"3:cpu,memory:/a").len(), 1);
        assert!(places(b"9:name=systemd:/").is_empty());
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let root = std::env::temp_dir().join(std::format!("besom-cgroup-{}", std::process::id()));
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("memory.max"), "max\n").unwrap();
        std::fs::write(root.join("a/memory.max"), "1000\n").unwrap();
        std::fs::write(root.join("a/b/memory.max"), "2000\n").unwrap();
        let mount = root.to_str().unwrap().as_bytes();
        assert_eq!(least_upwards(mount, b"/a/b", b"/memory.max"), Some(1000));
        assert_eq!(least_upwards(mount, b"/not/there/", b"/memory.max"), None);
        assert_eq!(least_upwards(mount, b"/a/not/there", b"/memory.max"), Some(1000));
        std::fs::remove_dir_all(root).unwrap();
    }
}
