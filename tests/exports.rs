//! What the libraries show to the linker: exactly the symbols meant, and nothing that could break a start.

mod common;

use common::{output_of, root, shared_library, static_library};
use std::collections::BTreeSet;
use std::ops::Range;
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

/// Where what the shared library's symbols name lies, of these kinds, as `nm` abbreviates them.
fn symbol_places(kinds: &[&str]) -> Vec<(Range<u64>, String)> {
    let table = output_of("nm", &["--defined-only", "--print-size", shared_library().to_str().unwrap()]);
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let place = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [address, bytes, kind, name] if kinds.contains(&kind) => {
            let start = hexadecimal(address);
            Some((start..start + hexadecimal(bytes), name.to_owned()))
        }
        _ => None,
    };
    table.lines().filter_map(place).collect()
}

/// Where the kernel maps code, it maps 64 KiB, as far as the mapping goes. What every program runs is the end of the
/// code, and fits; what larger programs run is the beginning, in two mappings of their own.
#[test]
fn what_every_program_runs_lies_together() {
    const WINDOW_BYTES: u64 = 64 << 10;
    const REQUESTS: &[&str] = &[
        "malloc",
        "free",
        "calloc",
        "realloc",
        "posix_memalign",
        "aligned_alloc",
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
        "mcache14create_slab_of",
        "mcache10run_missed",
        "central4take",
        "central4give",
        "central13give_to_spans",
        "pages10alloc_span",
        "12commit_array",
        "driver9alloc_run",
        "tree4Tree4take",
        "chunk5Chunk4find",
        "central6blocks5Chain4room",
        "central6blocks5Chain6newest",
        "maintenance4look",
        "mcache8capacity4grow",
        "mcache8capacity17capacity_for_free",
        "own_pages7release",
        "lifecycle11constructor",
        "lifecycle7at_exit",
    ];
    const LOOK: &[&str] =
        &["11trim_unused", "14trim_transfers", "abi1c6resize", "12usable_bytes", "14take_contended"];
    const MAINTENANCE: &[&str] = &[
        "maintenance16look_for_surplus",
        "pages9free_span",
        "pages10free_pages",
        "page_heap4grow",
        "AddressSpace$GT$6commit",
        "driver11release_one",
        "run_cache4trim",
    ];
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let code = symbol_places(&["t", "T"]);
    let address_of = |part: &str| code.iter().find(|(_, name)| name.contains(part)).unwrap().0.start;
    // As the library finds them.
    let requests = address_of("own_pages7release") & !(WINDOW_BYTES - 1);
    let start = address_of("abi6thread5start") & !4095;
    let maintenance = address_of("maintenance16look_for_surplus") & !4095;
    let first = code.iter().map(|(place, _)| place.start).min().unwrap();
    let end = code.iter().map(|(place, _)| place.end).max().unwrap();
    // Some more than they take up: what another compiler makes of it may differ.
    assert!(end <= requests + (36 << 10), "code of requests goes on to {end:x}, from {requests:x}");
    assert!(maintenance - first <= 12 << 10, "code of looks goes on to {maintenance:x}, from {first:x}");
    assert!(
        start - maintenance <= 20 << 10,
        "code of maintenance goes on to {start:x}, from {maintenance:x}"
    );
    for (usual, place) in
        [(REQUESTS, requests..end), (LOOK, first..maintenance), (MAINTENANCE, maintenance..start)]
    {
        for part in usual {
            // Rust's names hold the length of each part.
            let is_whole = !part.contains(|c: char| c.is_ascii_digit());
            let is_it = |name: &str| if is_whole { name == *part } else { name.contains(part) };
            let found: Vec<_> = code.iter().filter(|(_, name)| is_it(name)).collect();
            assert!(!found.is_empty(), "{part} is not in the table: inlined, or called otherwise now");
            for (lies, name) in found {
                assert!(place.contains(&lies.start), "{name} lies at {lies:x?}, not in {place:x?}");
            }
        }
    }
}

/// What small programs use of the heap's constants lies with the dynamic linker's tables, and of its data in one page. What
/// every request reads there has cache lines of its own.
#[test]
fn what_every_program_reads_lies_together() {
    const CONSTANTS: &[&str] = &[
        "size_class10SPAN_PAGES",
        "size_class12NEXT_ALIGNED",
        "size_class12OBJECT_BYTES",
        "size_class12SPAN_OBJECTS",
        "size_class6STARTS",
        "slab12OBJECT_WORDS",
        "slab5BEGIN",
        "slab9MAX_SLOTS",
        "central5BATCH",
    ];
    const READ_BY_ALL: &[&str] = &[
        "page_map4BASE",
        "page_map7ENTRIES",
        "span11RECORDS_END",
        "mcache11RSEQ_OFFSET",
        "mcache14RSEQ_ID_OFFSET",
    ];
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let all = symbol_places(&["r", "d", "b"]);
    let place_of = |part: &str| {
        let found = all.iter().find(|(_, name)| name.contains(part));
        found.unwrap_or_else(|| panic!("{part} is not in the table")).0.clone()
    };
    // A page more than they take up: other linkers' tables may be longer.
    for part in CONSTANTS {
        assert!(place_of(part).end <= 3 << 12, "{part} lies at {:x?}", place_of(part));
    }
    let page = |part: &str| place_of(part).start >> 12;
    assert_eq!(page("size_class15C_CLASS_BY_SIZE"), page("pages4HEAP"), "pages");
    assert_eq!(page("mcache9FIRST_CPU"), page("pages4HEAP"), "pages");

    let lines: BTreeSet<u64> = READ_BY_ALL.iter().map(|part| place_of(part).start >> 6).collect();
    let written = ["maintenance5CALLS", "maintenance5MOVED", "pages6IN_USE", "blocks4POOL"];
    for part in written {
        assert!(!lines.contains(&(place_of(part).start >> 6)), "{part} lies among what every request reads");
    }
    assert!(lines.len() <= 2, "what every request reads lies in lines {lines:x?}");
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

/// What constructors of other libraries allocate gets stacks in leak mode.
#[test]
fn the_shared_library_is_initialised_first() {
    let section = dynamic_section();
    assert!(section.lines().any(|line| line.contains("FLAGS_1") && line.contains("INITFIRST")), "{section}");
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
