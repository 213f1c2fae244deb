//! `include/besom.h`, read back with bindgen, agrees with the implementation.

mod common;

use common::{output_of, root, shared_library};
use std::collections::BTreeMap;

/// What bindgen makes of the header.
fn bindings() -> String {
    let header = root().join("include/besom.h");
    bindgen::Builder::default()
        .header(header.to_str().unwrap())
        .allowlist_function("besom_.*")
        .allowlist_type("besom_.*")
        .allowlist_var("BESOM_.*")
        // Only libclang's library may be installed, without the headers that come with the compiler.
        .clang_args(["-isystem", &compiler_headers()])
        .generate()
        .expect("bindgen reads the header")
        .to_string()
}

/// The directory of the C compiler's own headers, such as `stddef.h`.
fn compiler_headers() -> String {
    output_of("cc", &["-print-file-name=include"]).trim().to_owned()
}

/// All of the implementation's C interface.
fn implementation() -> String {
    let files = std::fs::read_dir(root().join("src/abi")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Every `fn besom_name(a: T, b: U) -> V` as name and `(T, U) -> V`, types without their paths.
fn functions(code: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (at, _) in code.match_indices("fn besom_") {
        let declaration = &code[at + 3..];
        let Some(end) = declaration.find([';', '{']) else { continue };
        let Some((name, rest)) = declaration[..end].split_once('(') else { continue };
        let Some((parameters, result)) = rest.rsplit_once(')') else { continue };
        let types = parameters.split(',').filter_map(|p| p.split_once(':')).map(|(_, ty)| simple(ty));
        let types = types.collect::<Vec<_>>().join(", ");
        found.insert(name.to_owned(), format!("({types}) {}", simple(result)));
    }
    found
}

/// A type without path and spaces; a structure's C name and Rust name are the same but for their case.
fn simple(ty: &str) -> String {
    let words = ty.split_whitespace().map(|word| word.rsplit("::").next().unwrap_or(word));
    words.map(|word| word.to_lowercase().replace('_', "")).collect::<Vec<_>>().join(" ")
}

/// The fields of `pub struct NAME`, as bindgen or the implementation writes it.
fn fields(code: &str, name: &str) -> Vec<(String, String)> {
    let start = code.find(&format!("struct {name} {{")).unwrap_or_else(|| panic!("no struct {name}"));
    let body = code[start..].split_once('{').unwrap().1.split_once("\n}").unwrap().0;
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
    let pairs =
        lines.filter_map(|line| line.trim_end_matches(',').trim_start_matches("pub ").split_once(": "));
    pairs.map(|(field, ty)| (field.to_owned(), simple(&constant_lengths(ty)))).collect()
}

/// Array lengths are a number in one and a name in the other: only that there is one is compared here.
fn constant_lengths(ty: &str) -> String {
    ty.split_once(';').map_or_else(|| ty.to_owned(), |(element, _)| format!("{element}; N]"))
}

#[test]
fn every_function_is_implemented_as_declared() {
    let (declared, implemented) = (functions(&bindings()), functions(&implementation()));
    assert!(declared.len() >= 4, "the header's functions are found: {declared:?}");
    for (name, signature) in &declared {
        assert_eq!(implemented.get(name), Some(signature), "{name}");
    }
}

#[test]
fn every_function_of_the_library_is_declared() {
    let declared = functions(&bindings());
    let exported =
        output_of("nm", &["-D", "--defined-only", "--format=posix", shared_library().to_str().unwrap()]);
    let exported: Vec<&str> = exported
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("besom_"))
        .collect();
    assert_eq!(exported.len(), declared.len(), "{exported:?}");
    for name in exported {
        assert!(declared.contains_key(name), "{name} is not in the header");
    }
}

#[test]
fn structures_have_the_same_fields() {
    let (header, code) = (bindings(), implementation());
    for (c_name, rust_name) in [("besom_stats", "BesomStats"), ("besom_class_stats", "BesomClassStats")] {
        let declared = fields(&header, c_name);
        assert!(declared.len() >= 4, "{declared:?}");
        assert_eq!(declared, fields(&code, rust_name), "{c_name}");
    }
}

/// bindgen writes the size of each structure as an assertion; the library fills in as much as it knows.
#[test]
fn the_library_fills_in_as_many_bytes_as_the_header_declares() {
    let text = bindings();
    let size = text.split("[\"Size of besom_stats\"]").nth(1).expect("bindgen's layout assertions");
    let size: usize = size
        .split("size_of::<besom_stats>() - ")
        .nth(1)
        .unwrap()
        .split("usize")
        .next()
        .unwrap()
        .parse()
        .unwrap();
    // More room than the structure has, so that a longer one in the library shows as well.
    let mut room = vec![0usize; size / size_of::<usize>() * 2];
    room[0] = size;
    assert_eq!(call_besom_stats(room.as_mut_ptr()), 0);
    assert_eq!(room[0], size);
    let after = &room[size / size_of::<usize>()..];
    assert!(after.iter().all(|&word| word == 0), "the library writes behind the structure");
}

/// Calls the library's `besom_stats`. Opened this way it serves nobody's malloc in this process.
fn call_besom_stats(stats: *mut usize) -> i32 {
    let path = std::ffi::CString::new(shared_library().into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: the library's constructor starts a heap of its own and touches nothing else.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "dlopen");
    // SAFETY: the handle is open, and stays: the library is never unloaded.
    let function = unsafe { libc::dlsym(library, c"besom_stats".as_ptr()) };
    assert!(!function.is_null(), "dlsym");
    // SAFETY: the header, which the other tests hold against the implementation, declares this type.
    let function: unsafe extern "C" fn(*mut usize) -> i32 = unsafe { std::mem::transmute(function) };
    // SAFETY: the structure's first field says how much room there is, and there is more.
    unsafe { function(stats) }
}
