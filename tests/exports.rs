//! What the libraries show to the linker: exactly the symbols meant, and nothing that could break a start.

mod common;

use common::{output_of, root, shared_library, static_library};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The symbols in a table of `nm`, without versions.
fn symbols(args: &[&str], path: &Path) -> BTreeSet<String> {
    let mut all = args.to_vec();
    all.push(path.to_str().unwrap());
    let table = output_of("nm", &all);
    let names = table.lines().filter_map(|line| line.split_whitespace().next());
    names.map(|name| name.split('@').next().unwrap_or(name).to_owned()).collect()
}

/// The meant symbols. Each replaces one of libc's or libstdc++'s, or is declared in `include/besom.h`. Another
/// exported name could take the place of a program's own; a missing one would let some objects come from
/// libc and be freed by besom.
fn meant() -> BTreeSet<String> {
    let path = root().join("tests/exported-symbols.txt");
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// Those of the shared library that the static one must not define: there is no other behind it.
const SHARED_ONLY: &[&str] = &["__register_atfork", "dlopen"];

/// The dynamic section as `readelf` prints it.
fn dynamic_section() -> String {
    output_of("readelf", &["-dW", shared_library().to_str().unwrap()])
}

#[test]
fn the_shared_library_exports_what_is_meant() {
    let exported = symbols(&["-D", "--defined-only", "--format=posix"], &shared_library());
    let meant = meant();
    let surplus: Vec<_> = exported.difference(&meant).collect();
    let missing: Vec<_> = meant.difference(&exported).collect();
    assert!(surplus.is_empty() && missing.is_empty(), "surplus: {surplus:?}, missing: {missing:?}");
}

#[test]
fn the_static_library_defines_what_is_meant() {
    let defined = symbols(&["-g", "--defined-only", "--format=posix"], &static_library());
    let (absent, meant): (Vec<_>, Vec<_>) =
        meant().into_iter().partition(|name| SHARED_ONLY.contains(&name.as_str()));
    let missing: Vec<_> = meant.into_iter().filter(|name| !defined.contains(name)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert!(!absent.is_empty() && absent.iter().all(|name| !defined.contains(name)), "surplus: {absent:?}");
}

/// Where the kernel maps code, it maps 64 KiB: what every program runs fills them, and what comes behind is given back
/// when the library has started.
#[test]
fn what_every_program_runs_lies_in_the_first_window_of_code() {
    const WINDOW_BYTES: u64 = 64 << 10;
    const USUAL: &[&str] = &[
        "malloc",
        "free",
        "calloc",
        "realloc",
        "_Znwm",
        "_Znam",
        "_ZdlPv",
        "_ZdlPvm",
        "_ZdaPv",
        "_ZdaPvm",
        "heap10alloc_slow",
        "heap9free_slow",
        "mcache10alloc_miss",
        "mcache9free_miss",
        "central4take",
        "central4give",
        "central13give_to_spans",
        "central14trim_transfers",
        "pages10alloc_span",
        "12commit_array",
        "maintenance4look",
        "12usable_bytes",
        "own_pages7release",
    ];
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let library = shared_library();
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let table = output_of("nm", &["--defined-only", library.to_str().unwrap()]);
    // As the library finds it.
    let release = table.lines().find(|line| line.contains("own_pages7release")).unwrap();
    let start = hexadecimal(release.split_whitespace().next().unwrap()) & !(WINDOW_BYTES - 1);
    for usual in USUAL {
        let mut found = 0;
        // Rust's names hold the length of each part.
        let is_part = usual.contains(|c: char| c.is_ascii_digit());
        let is_usual = |name: &str| if is_part { name.contains(usual) } else { name == *usual };
        for line in table.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [address, kind, name] = words[..] else { continue };
            if "tT".contains(kind) && is_usual(name) {
                let window = start..start + WINDOW_BYTES;
                assert!(
                    window.contains(&hexadecimal(address)),
                    "{name} lies at {address}, not in {window:x?}"
                );
                found += 1;
            }
        }
        assert!(found > 0, "{usual} is not in the table: inlined, or called otherwise now");
    }
}

#[test]
fn the_shared_library_has_its_name() {
    assert!(dynamic_section().contains("Library soname: [libbesom.so.0]"), "{}", dynamic_section());
}

/// The kernel may look at a descriptor of a restartable sequence after its last use: it has to stay mapped.
#[test]
fn the_shared_library_is_never_unloaded() {
    let flags: Vec<_> =
        dynamic_section().lines().filter(|l| l.contains("FLAGS")).map(str::to_owned).collect();
    assert!(flags.iter().any(|line| line.contains("NODELETE")), "{flags:?}");
}

/// A libc already runs in every program. Any other library would call malloc before besom is ready.
#[test]
fn the_shared_library_needs_libc_alone() {
    let section = dynamic_section();
    for line in section.lines().filter(|line| line.contains("(NEEDED)")) {
        assert!(line.contains("[libc.so.6]") || line.contains("[ld-linux"), "{line}");
    }
}

/// Dynamic thread-local storage is allocated on first use, by malloc.
#[test]
fn thread_local_storage_is_static() {
    let undefined = symbols(&["-D", "--undefined-only", "--format=posix"], &shared_library());
    assert!(!undefined.contains("__tls_get_addr"), "__tls_get_addr is called");
    assert!(!undefined.contains("__cxa_thread_atexit_impl"), "a thread-local object has a destructor");
    let headers = output_of("readelf", &["-lW", shared_library().to_str().unwrap()]);
    let has_tls = headers.lines().any(|line| line.trim_start().starts_with("TLS "));
    assert!(
        !has_tls || dynamic_section().contains("STATIC_TLS"),
        "thread-local storage that is not initial-exec"
    );
}

/// Nothing unwinds through besom, and the library that could is not needed.
#[test]
fn the_shared_library_needs_no_unwinder() {
    let undefined = symbols(&["-D", "--undefined-only", "--format=posix"], &shared_library());
    let unwinder: Vec<_> = undefined.iter().filter(|name| name.starts_with("_Unwind_")).collect();
    assert!(unwinder.is_empty(), "{unwinder:?}");
}

/// An allocator that calls another one would free objects that it did not give out.
#[test]
fn the_shared_library_calls_no_allocator() {
    let undefined = symbols(&["-D", "--undefined-only", "--format=posix"], &shared_library());
    for name in meant() {
        assert!(!undefined.contains(&name), "{name} is imported");
    }
}

/// A dependant that only wants `besom::Besom` keeps libc's malloc for C: the plain rlib must not define one.
#[test]
fn the_plain_rlib_defines_no_c_symbol() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plain-rlib");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--lib", "--quiet", "--offline", "--no-default-features"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(build.success());
    let defined = symbols(&["-g", "--defined-only", "--format=posix"], &target.join("debug/libbesom.rlib"));
    assert!(defined.len() > 10, "nm shows the rlib's own symbols");
    for name in meant() {
        assert!(!defined.contains(&name), "{name} is defined");
    }
}
