//! Finding a module in `/proc/self/maps`, for C libraries without a finder.

use super::elf::Image;
use crate::sys::proc_maps::for_each_mapping;

/// The first address of the module that `address` lies in, one past its last, and the address of its
/// `.eh_frame_hdr` (0 if it has none). `None` if no module lies there, or `/proc` can't be read.
pub(super) fn find(address: usize) -> Option<(usize, usize, usize)> {
    let base = find_base(address)?;
    // SAFETY: code of the file mapped from here on is running, so its mappings stay.
    let image = unsafe { Image::at(base) }?;
    Some((base, image.end(), image.eh_frame_hdr().unwrap_or(0)))
}

/// Where the file that is mapped at `address` begins: the last mapping of its start before the address.
fn find_base(address: usize) -> Option<usize> {
    let (mut first, mut found) = (None, None);
    for_each_mapping(|mapping| {
        let file = (mapping.device, mapping.inode);
        if mapping.offset == 0 {
            first = Some((mapping.start, file));
        }
        if (mapping.start..mapping.end).contains(&address) {
            found = first.filter(|(_, of)| *of == file).map(|(start, _)| start);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_program_and_the_c_library_but_no_stack() {
        let here = finds_this_program_and_the_c_library_but_no_stack as fn() as usize;
        let (start, end, eh_frame_hdr) = find(here).unwrap();
        assert!(start < here && here < end && (start..end).contains(&eh_frame_hdr));
        let libc = libc::qsort as unsafe extern "C" fn(_, _, _, _) as usize;
        let (start, end, _) = find(libc).unwrap();
        assert!(start < libc && libc < end && !(start..end).contains(&here));
        assert_eq!(find(&raw const start as usize), None);
        assert_eq!(find(8), None);
    }
}
