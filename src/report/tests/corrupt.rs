//! Files with random damage: less is known, nothing panics.

use super::programs::{Folder, Printed, run};
use crate::report::elf::Elf;
use crate::report::symbolize::ImageFile;
use proptest::prelude::*;
use std::{fs, process::Command, sync::OnceLock, vec::Vec};

/// A program's file, plain and with compressed sections, and addresses in it as the linker gave them.
struct Originals {
    files: Vec<Vec<u8>>,
    addresses: Vec<u64>,
}

fn originals() -> &'static Originals {
    static ORIGINALS: OnceLock<Originals> = OnceLock::new();
    ORIGINALS.get_or_init(|| {
        let folder = Folder::new("corrupt");
        let program = folder.compile("inlined.cc", &["-g", "-O1", "-fno-optimize-sibling-calls"]);
        let printed = Printed::by(&program);
        let addresses = printed.addresses.keys().map(|name| printed.frames(name)[0].offset as u64).collect();
        let mut files = std::vec![fs::read(&program).unwrap()];
        for kind in ["zlib", "zlib-gnu", "zstd"] {
            let compressed = folder.path(kind);
            let option = std::format!("--compress-debug-sections={kind}");
            run(Command::new("objcopy").arg(option).arg(&program).arg(&compressed));
            files.push(fs::read(compressed).unwrap());
        }
        Originals { files, addresses }
    })
}

fn look_up_all(bytes: Vec<u8>, addresses: &[u64]) -> usize {
    let data: &'static [u8] = bytes.leak();
    let Some(elf) = Elf::parse(data) else { return 0 };
    let file = ImageFile::new(elf, b"/nowhere/program");
    addresses.iter().map(|address| file.look_up(*address).len()).sum()
}

#[test]
fn undamaged_files_are_read() {
    let originals = originals();
    for file in &originals.files {
        // Three functions inlined into each other, and two more.
        assert_eq!(look_up_all(file.clone(), &originals.addresses), 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn damaged_bytes(which in 0..4usize, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        let originals = originals();
        let mut bytes = originals.files[which].clone();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        look_up_all(bytes, &originals.addresses);
    }

    #[test]
    fn damaged_headers(which in 0..4usize, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let originals = originals();
        let mut bytes = originals.files[which].clone();
        // The section headers are at the end, 64 bytes each.
        let len = bytes.len();
        for (place, value) in damage {
            bytes[len - 1 - place.index(40 * 64)] = value;
        }
        look_up_all(bytes, &originals.addresses);
    }

    #[test]
    fn files_cut_short(which in 0..4usize, place in any::<prop::sample::Index>()) {
        let originals = originals();
        let mut bytes = originals.files[which].clone();
        bytes.truncate(place.index(bytes.len()));
        look_up_all(bytes, &originals.addresses);
    }
}
