//! A unit that is looked at alone says what it says among all.

use super::programs::{Folder, run};
use crate::report::dwarf::Debug;
use crate::report::elf::Elf;
use std::{fs, process::Command, vec::Vec};

const FIRST: &str = r#"
#include <stdio.h>
#include <string>
int second(int);
static inline __attribute__((always_inline)) int inner(int n) { puts("inner"); return n * 3; }
int shared(int n) { return inner(n) + 1; }
int main(int argc, char **) { std::string text(argc, 'x'); return second(shared(argc)) + inner((int)text.size()); }
"#;
const SECOND: &str = r#"
#include <vector>
int shared(int);
__attribute__((noinline)) int second(int n) { std::vector<int> all(n, 1); return shared(all[0]) + (int)all.size(); }
"#;

#[test]
fn every_address_has_the_same_functions_and_lines() {
    // Optimized as a whole, a unit's functions are inlined into another's.
    for (flags, is_alone) in [
        (&["-gdwarf-5"][..], true),
        (&["-gdwarf-4", "-O2"], true),
        (&["-gdwarf-3", "-O1"], true),
        (&["-g", "-O2", "-flto"], false),
    ] {
        let folder = Folder::new(&std::format!("units{}", flags.concat()));
        let sources = [("first.cc", FIRST), ("second.cc", SECOND)].map(|(name, text)| {
            fs::write(folder.path(name), text).unwrap();
            folder.path(name)
        });
        let program = folder.path("program");
        run(Command::new("c++").args(flags).args(&sources).arg("-o").arg(&program));
        let elf = Elf::parse(fs::read(&program).unwrap().leak()).unwrap();
        let mut code = Vec::new();
        elf.each_function(|_, start, bytes, _| code.extend((start..start + bytes).step_by(3)));
        assert!(code.len() > 100);
        let debug = Debug::of(&elf, None).unwrap();
        let mut alone = 0;
        for &address in &code {
            assert_eq!(debug.find(address), debug.find_in_whole(address), "{flags:?} {address:#x}");
            alone += usize::from(debug.is_found_alone(address));
        }
        assert_eq!(alone > 0, is_alone, "{flags:?}");
        let found = code.iter().filter(|&&address| debug.find(address).len() > 1).count();
        assert!(found > 0, "something is inlined: {flags:?}");
    }
}
