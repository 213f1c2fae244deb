#!/bin/bash
# A small crate of the standard library alone: generics, threads, collections; built and tested offline.
set -eu
unset ${!CARGO_*} RUSTFLAGS RUSTDOCFLAGS RUSTC RUSTC_WRAPPER RUST_LOG 2>/dev/null || true
cargo init -q --lib --vcs none --edition 2021 --name sample sample
cd sample
awk 'BEGIN {
    print "//! Generated.\nuse std::collections::{BTreeMap, HashMap};"
    for (i = 0; i < 80; i++) {
        printf "#[derive(Clone, Debug, Default, PartialEq, PartialOrd)] pub struct S%d { pub a: Vec<String>, pub b: BTreeMap<u32, Box<[u8]>>, pub c: Option<Box<S%d>> }\n", i, i
        printf "pub fn f%d(n: u32) -> usize {\n    let mut s = S%d::default();\n", i, i
        printf "    for i in 0..n { s.a.push(format!(\"{i}-{}\", i * %d)); s.b.insert(i %% 17, vec![0; i as usize %% 50].into()); s.c = Some(Box::new(s.c.take().map_or_else(S%d::default, |c| *c))); }\n", i + 1, i
        print "    let m: HashMap<&str, usize> = s.a.iter().map(|t| (t.as_str(), t.len())).collect();"
        print "    let t = s.clone();\n    assert_eq!(s, t);\n    m.values().sum::<usize>() + t.b.values().map(|b| b.len()).sum::<usize>()\n}"
    }
    print "/// All of them.\npub fn total(n: u32) -> usize {\n    [" 
    for (i = 0; i < 80; i++) printf "f%d as fn(u32) -> usize, ", i
    print "].iter().map(|f| f(n)).sum()\n}"
    print "#[test]\nfn threads_agree() {\n    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| total(200))).collect();\n    for t in threads { assert_eq!(t.join().unwrap(), total(200)); }\n}"
    for (i = 0; i < 20; i++) printf "#[test]\nfn test%d() { assert!(f%d(50) > 50); }\n", i, i
}' >src/lib.rs
printf 'fn main() { println!("{}", sample::total(300)); }\n' >src/main.rs
cargo build -q --offline --release
./target/release/sample
cargo test -q --offline --lib 2>&1 | grep -E '^test result' | sed 's/; finished.*//'
