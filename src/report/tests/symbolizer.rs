//! Names and lines of compiled programs, against their sources.

use super::programs::{Folder, Printed, line_of, run, short};
use crate::report::input::SeenModule;
use crate::report::modules::{Era, Modules};
use crate::report::symbolize::Symbolizer;
use std::process::Command;
use std::{format, fs, string::String};

const C: &[&str] = &["-g", "-O1", "-fno-optimize-sibling-calls"];

fn check_c(printed: &Printed) {
    for name in ["second", "hidden", "main"] {
        let line = line_of("plain.c", &format!("here(\"{name}\")"));
        let frames = printed.frames(name);
        assert_eq!(short(&frames), [(name, "plain.c", line)]);
        assert!(frames[0].module.as_deref().unwrap().ends_with("/program"));
        assert_eq!(frames[0].address, printed.addresses[name] - 1);
        assert_eq!(frames[0].mangled, None);
    }
}

fn functions_only(printed: &Printed, name: &str) -> String {
    let frames = printed.frames(name);
    assert_eq!((frames.len(), &frames[0].file, frames[0].line), (1, &None, None));
    assert!(frames[0].module.is_some());
    frames[0].function.clone().unwrap_or_default()
}

#[test]
fn c_in_both_versions_of_dwarf_and_not_relocatable() {
    for flag in ["-gdwarf-5", "-gdwarf-4", "-no-pie", "-static", "-gdwarf-3"] {
        let folder = Folder::new(&format!("c{flag}"));
        check_c(&Printed::by(&folder.compile("plain.c", &[C, &[flag]].concat())));
    }
}

#[test]
fn compressed_sections() {
    for kind in ["zlib", "zlib-gnu", "zstd"] {
        let folder = Folder::new(kind);
        let program = folder.compile("plain.c", C);
        run(Command::new("objcopy").arg(format!("--compress-debug-sections={kind}")).arg(&program));
        let sections = run(Command::new("readelf").arg("-SW").arg(&program));
        let is_compressed = sections.lines().any(|line| {
            line.contains(".zdebug_info") || (line.contains(".debug_info") && line.contains(" C "))
        });
        assert!(is_compressed, "objcopy did not compress: {sections}");
        check_c(&Printed::by(&program));
    }
}

#[test]
fn the_offset_is_what_addr2line_takes() {
    for flag in ["-pie", "-no-pie"] {
        let folder = Folder::new(&format!("offset{flag}"));
        let program = folder.compile("plain.c", &[C, &[flag]].concat());
        let frames = Printed::by(&program).frames("second");
        let offset = format!("{:#x}", frames[0].offset);
        let output = run(Command::new("addr2line").arg("-fse").arg(&program).arg(offset));
        assert_eq!(output, format!("second\nplain.c:{}\n", frames[0].line.unwrap()));
    }
}

#[test]
fn debug_information_in_a_file_of_its_own() {
    for (place, build_id) in [("", "sha1"), (".debug/", "sha1"), ("", "none"), (".debug/", "none")] {
        let folder = Folder::new(&format!("link-{}-{build_id}", place.len()));
        let program = folder.compile("plain.c", &[C, &[&format!("-Wl,--build-id={build_id}")]].concat());
        fs::create_dir_all(folder.path(".debug")).unwrap();
        let debug = folder.path(&format!("{place}program.debug"));
        run(Command::new("objcopy").arg("--only-keep-debug").arg(&program).arg(&debug));
        run(Command::new("strip").arg(&program));
        run(Command::new("objcopy").arg("--add-gnu-debuglink").arg(&debug).arg(&program));
        let printed = Printed::by(&program);
        check_c(&printed);

        // Another program's file under that name is not taken.
        let other = Folder::new("link-other");
        let other_id = if build_id == "none" { "none" } else { "0x0123456789abcdef" };
        let other_id = format!("-Wl,--build-id={other_id}");
        fs::copy(other.compile("plain.c", &[C, &[&other_id]].concat()), &debug).unwrap();
        assert_eq!(functions_only(&printed, "second"), "");
    }
}

#[test]
fn symbol_tables_without_debug_information() {
    let folder = Folder::new("symbols");
    let program = folder.compile("plain.c", &["-O1", "-fno-optimize-sibling-calls", "-rdynamic"]);
    let printed = Printed::by(&program);
    assert_eq!(functions_only(&printed, "second"), "second");
    assert_eq!(functions_only(&printed, "hidden"), "hidden");
    run(Command::new("strip").arg(&program));
    let printed = Printed::by(&program);
    assert_eq!(functions_only(&printed, "second"), "second");
    // Not exported, and no other symbol reaches to it.
    assert_eq!(functions_only(&printed, "hidden"), "");
}

#[test]
fn a_file_that_is_gone_leaves_module_and_offset() {
    let folder = Folder::new("gone");
    let program = folder.compile("plain.c", &[C, &["-pie"]].concat());
    let printed = Printed::by(&program);
    let offset = printed.frames("second")[0].offset;
    fs::remove_file(&program).unwrap();
    assert_eq!(functions_only(&printed, "second"), "");
    assert_eq!(printed.frames("second")[0].offset, offset);
}

#[test]
fn an_unloaded_module_is_known_by_its_build_id() {
    let folder = Folder::new("unloaded");
    let program = folder.compile("plain.c", &[C, &["-pie", "-Wl,--build-id=0x00112233"]].concat());
    let printed = Printed::by(&program);
    let path = program.to_str().unwrap().as_bytes();
    let place = Modules::parse(printed.maps.as_bytes()).find(printed.addresses["second"], Era::NOW).unwrap();
    // Where nothing of this test process is mapped.
    let start = 0x1000_0000_0000;
    let address = start + place.from_base;
    for (build_id, expected) in
        [(&[0, 0x11, 0x22, 0x33][..], Some("second")), (&[1, 2, 3, 4], None), (&[], Some("second"))]
    {
        let end = start + 0x10000;
        let seen = SeenModule { start, end, path, build_id, first_stack: 1, is_loaded: false };
        let frames = Symbolizer::new(&[seen]).frames(7, address);
        assert!(frames[0].is_unloaded);
        assert_eq!(frames[0].function.as_deref(), expected);
        assert_eq!(frames[0].module.as_deref().map(str::as_bytes), Some(path));
    }
}

#[test]
fn addresses_outside_of_modules() {
    let frames = Symbolizer::new(&[]).frames(1, 0x10);
    assert_eq!((frames.len(), frames[0].address, &frames[0].module), (1, 0xf, &None));
}

#[test]
fn cpp_with_inlined_functions_templates_and_lambdas() {
    let folder = Folder::new("cpp");
    let printed = Printed::by(&folder.compile("inlined.cc", C));
    let line = |text| line_of("inlined.cc", text);
    let frames = printed.frames("inlined");
    let expected = [
        ("shapes::inner(int)", "inlined.cc", line("here(\"inlined\")")),
        ("void shapes::middle<long>(long)", "inlined.cc", line("inner(n + 1)")),
        ("shapes::outer(int)", "inlined.cc", line("middle<long>(n)")),
    ];
    assert_eq!(short(&frames), expected);
    assert_eq!(frames[0].mangled.as_deref(), Some("_ZN6shapes5innerEi"));

    let list = "shapes::List<std::vector<int, std::allocator<int> > >";
    let push = format!("{list}::push(std::vector<int, std::allocator<int> > const&)");
    let frames = printed.frames("template");
    assert_eq!(short(&frames), [(push.as_str(), "inlined.cc", line("here(\"template\")"))]);

    let frames = printed.frames("lambda");
    let (function, file, number) = short(&frames)[0];
    assert_eq!((file, number), ("inlined.cc", line("here(\"lambda\")")));
    assert!(function.starts_with("main::{lambda(int)#1}::operator()(int)"), "{function}");
}

#[test]
fn rust_with_inlined_functions_and_traits() {
    for mangling in ["legacy", "v0"] {
        let folder = Folder::new(&format!("rust-{mangling}"));
        let mangling_flag = format!("-Csymbol-mangling-version={mangling}");
        let mut flags = std::vec!["-g", "-O", "--edition=2024", &mangling_flag];
        if mangling == "legacy" {
            // Still there on stable compilers, behind this flag.
            flags.push("-Zunstable-options");
        }
        if mangling == "legacy" && !accepts(&flags) {
            continue;
        }
        let printed = Printed::by(&folder.compile("generic.rs", &flags));
        let line = |text| line_of("generic.rs", text);
        let expected = [
            ("generic::shop::tiny", "generic.rs", line("return_address() + n")),
            ("generic::shop::outer", "generic.rs", line("tiny(n))")),
        ];
        assert_eq!(short(&printed.frames("inlined")), expected);
        let frames = printed.frames("trait");
        let expected = "<generic::shop::Till<alloc::vec::Vec<&str>> as generic::shop::Ring>::ring";
        let legacy = "<generic::shop::Till<T> as generic::shop::Ring>::ring";
        let (function, file, number) = short(&frames)[0];
        assert!(function == expected || function == legacy, "{function}");
        assert_eq!((file, number), ("generic.rs", line("\"trait {:#x}\"")));
    }
}

fn accepts(flags: &[&str]) -> bool {
    Command::new("rustc").args(flags).args(["--print", "cfg"]).output().is_ok_and(|out| out.status.success())
}
