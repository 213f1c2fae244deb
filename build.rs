//! Link options of libbesom.so, which only the Makefile builds (feature `shared`). Others get none.

use std::{env, fs, path::Path};

/// The order of code and data. Where a program touches a page of the file, the kernel maps the 64 KiB around it (a
/// *window*) as far as the segment goes, and all of that counts as the program's. So the first segment has only the
/// tables that the dynamic linker reads and the heap's few constants: two pages, and then what only the start reads. The
/// second begins with the code of `realloc` and of maintenance, which larger programs need, and ends with that of
/// requests, [`REQUESTS`], in the beginning of a window. Between them lies what the start and the reporter need, ten
/// times as much. All but the requests' code is given back when the library has started (`abi::own_pages`). Data begin
/// with a page, and all that small programs use lies together there, before the large part of the table of classes, and
/// before the large tables of which the beginnings are used.
///
/// A name that no longer exists costs memory, not function: a test of `tests/exports.rs` notices, and
/// `c-tests/memory_true.c`.
const REQUESTS: &str = "\
  .text.requests : ALIGN(65536)
  {
    *(.text.*5besom3abi9own_pages7release* .text.*5besom3abi9lifecycle11constructor* .text.*5besom3abi9lifecycle7at_exit*)
    . = ALIGN(64);
    *(.text.malloc)
    . = ALIGN(64);
    *(.text.free .text.cfree)
    *(.text.*besom_rseq .text.calloc .text.realloc .text.posix_memalign .text.aligned_alloc)
    *(.text.*5besom3abi1c11malloc_slow*)
    *(.text.*5besom4heap10alloc_slow* .text.*5besom4heap12alloc_missed* .text.*5besom4heap15alloc_untracked*)
    *(.text.*5besom4heap13free_to_cache* .text.*5besom4heap9free_slow* .text.*5besom4heap15free_sized_slow*)
    *(.text.*5besom4heap6mcache10alloc_miss* .text.*5besom4heap6mcache9free_miss* .text.*mcache4slab6Header*)
    *(.text.*mcache8capacity4grow* .text.*mcache8capacity5raise* .text.*mcache8capacity17capacity_for_free*)
    *(.text.*mcache..capacity..OnCpu*12set_capacity*)
    *(.text.*5besom4heap6mcache14create_slab_of*)
    *(.text.*5besom4heap7central4take* .text.*5besom4heap7central4give* .text.*5besom4heap7central5Spans6update* .text.*5besom4heap7central6blocks*)
    . = ALIGN(64);
    *(.text._Znwm .text._Znam)
    . = ALIGN(64);
    *(.text._ZdlPv .text._ZdaPv)
    . = ALIGN(64);
    *(.text._ZdlPvm .text._ZdaPvm)
    *(.text.*5besom3abi3cxx8allocate*)
    *(.text.*5besom4heap7central13give_to_spans* .text.*5besom4heap11maintenance4*)
    *(.text.*5besom4heap5pages10alloc_span* .text.*5besom4heap13address_space12AddressSpace12commit_array*)
    *(.text.*5besom4heap6mcache10run_missed*)
    *(.text.*5besom4heap9page_heap6driver9alloc_run* .text.*5besom4heap9page_heap5alloc*PageHeap*5alloc*)
    *(.text.*5besom4heap9page_heap4tree* .text.*5besom4heap9page_heap5chunk5Chunk4find*)
  }
";

/// What is before the code of requests. The code that looks at all caches from time to time and that of `realloc` get
/// one mapping of their own at the start, what such a look finds to do, what frees spans and what grows the heap another.
const MAINTENANCE: &str = "\
  .text.look : ALIGN(65536)
  {
    *(.text.*5besom4heap6mcache11trim_unused* .text.*5besom4heap7central14trim_transfers*)
    *(.text.*5besom3abi1c6resize* .text.*5besom4heap12usable_bytes* .text.*5besom4sync5mutex*)
  }
  .text.maintenance : ALIGN(4096)
  {
    *(.text.*5besom4heap11maintenance16look_for_surplus*)
    *(.text.*5besom4heap5pages9free_span* .text.*5besom4heap5pages10free_pages* .text.*5besom4heap9page_heap5alloc*)
    *(.text.*5besom4heap6mcache4stop5empty* .text.*mcache..capacity..OnCpu*)
    *(.text.*5besom4heap9page_heap4grow* .text.*5besom4heap13address_space7backing*page_heap..Backing*)
    *(.text.*5besom4heap9page_heap6driver* .text.*5besom4heap9page_heap5chunk5Chunk10releasable*)
    *(.text.*5besom4heap9page_heap6policy* .text.*5besom4heap9run_cache*)
  }
  .text.start : ALIGN(4096)
  {
    *(.text.*5besom3abi6thread5start*)
    *(.text.*5besom3abi6dlopen4find* .text.*5besom4sync4once* .text.*5besom6config*)
    *(.text.*5besom4heap13address_space*)
    *(.text._Zn* .text._Zd* .text.*5besom3abi1c* .text.*5besom4heap5pages* .text.*5besom4heap??alloc_*)
    *(.text.*5besom4heap??free_* .text.*5besom4heap6mcache* .text.*besom..heap..mcache* .text.*5besom4heap7central*)
    *(.text.*5besom4heap* .text.*besom..heap*)
    *(.text.*5besom3abi* .text.*5besom4sync* .text.*5besom3sys*)
  }
";

/// Constants of the heap between the dynamic linker's tables: relocations come last of those, with constants that only
/// the start needs. The class of a Rust layout is asked for by the reporter alone. What a compiler makes of loops over
/// whole vectors has constants that belong to no function: code of requests has no such loops.
const CONSTANTS: &str = "\
SECTIONS
{
  .rodata.layouts :
  {
    *(.rodata.*5besom4heap10size_class13CLASS_BY_SIZE*)
  }
}
INSERT AFTER .rodata;
SECTIONS
{
  .rodata.besom :
  {
    *(.rodata.*5besom4heap10size_class* .rodata.*5besom4heap6mcache4slab* .rodata.*5besom4heap7central*)
  }
}
INSERT BEFORE .rela.dyn;
SECTIONS
{
  .rodata.start : ALIGN(4096)
  {
    *(.rodata.*5besom4heap* .rodata.*5besom6config* .rodata.*5besom3abi* .rodata.cst*)
    *(.rodata..Lswitch*5besom4heap* .rodata..Lswitch*besom..heap*)
  }
}
INSERT AFTER .rela.dyn;
";

/// All other code. The index of call frame information must lie on one side of all code.
const OTHER_CODE: &str = "\
  .text :
  {
    *(.text .text.*)
  }
";

/// Of data without contents, the small ones lie among those with contents; what every request reads has cache lines to
/// itself, where nobody writes. The table of classes comes last: most requests are small, so that only its beginning is
/// used. The part with contents ends with a page, or the dynamic linker would write the rest of that, zeros.
const DATA: &str = "\
SECTIONS
{
  .data.rel.ro : ALIGN(4096)
  {
    *(.data.rel.ro .data.rel.ro.*)
  }
}
INSERT BEFORE .init_array;
SECTIONS
{
  .bss.tables (NOLOAD) : ALIGN(4096)
  {
    *(.bss.*5besom4heap*CENTRALS*)
    *(.bss.*5besom4heap*FAST_TABLE*)
    *(.bss.*5besom4heap*6BLOCKS*)
    *(.bss.*5besom4heap*_TABLE* .bss.*5besom4heap*OTHER_CPUS* .bss.*5besom4heap*SHARDS*)
    *(.bss.*5besom4heap*ARENA*)
  }
}
INSERT AFTER .bss;
SECTIONS
{
  .data.classes :
  {
    . = ALIGN(64);
    *(.data.*C_CLASS_BY_SIZE*)
    . = ALIGN(4096);
  }
}
INSERT BEFORE .bss;
SECTIONS
{
  .data : ALIGN(4096)
  {
    *(.data .data._* .data.DW.*)
    . = ALIGN(64);
    *(.bss.*5besom4heap8page_map* .bss.*5besom4heap6mcache*OFFSET* .bss.*5besom4heap4span* .bss.*5besom4heap4tiny3MAP*)
    . = ALIGN(64);
    *(.bss.*5besom4heap* .bss.*5besom6config5GIVEN* .bss.*5besom3abi* .bss.*5besom3sys*)
  }
}
INSERT BEFORE .data.classes;
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_SHARED").is_none() {
        return;
    }
    let mut arguments = vec![
        "-Wl,-soname,libbesom.so.0".to_owned(),
        // The kernel keeps pointers to descriptors of restartable sections: the library is never unmapped.
        "-Wl,-z,nodelete".to_owned(),
        // Before the constructors of all libraries, so that what these allocate has a stack (`abi::lifecycle`).
        "-Wl,-z,initfirst".to_owned(),
        // Calls between our own functions need no detour through the procedure linkage table.
        "-Wl,-Bsymbolic-functions".to_owned(),
        // Bind everything at load time: a lazy binding would run the dynamic linker inside malloc.
        "-Wl,-z,now".to_owned(),
        "-Wl,--as-needed".to_owned(),
        // The C compiler's start-up code for libraries registers destructors that there are none of.
        "-nostartfiles".to_owned(),
        // Code begins where the kernel's windows of 64 KiB do.
        "-Wl,-z,max-page-size=65536".to_owned(),
    ];
    if takes_scripts() {
        arguments.push("-Wl,-z,separate-code".to_owned());
        arguments.push(script());
    } else {
        println!(
            "cargo:warning=this linker takes no script: every process will hold more of libbesom.so in memory"
        );
    }
    for argument in arguments {
        println!("cargo:rustc-link-arg={argument}");
    }
}

/// Whether the linker takes a script that is added to its own: GNU's and LLVM's do, the others do not.
fn takes_scripts() -> bool {
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let chosen = ["CARGO_ENCODED_RUSTFLAGS", "RUSTC_LINKER"].map(|key| env::var(key).unwrap_or_default());
    !["mold", "gold", "wild"].iter().any(|linker| chosen.iter().any(|flags| flags.contains(linker)))
}

/// The argument that names the script.
fn script() -> String {
    let directory = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let order = Path::new(&directory).join("order.ld");
    // Names are looked up in the order of the script; INSERT says where they come.
    let insert = |sections: &str, place: &str| format!("SECTIONS\n{{\n{sections}}}\nINSERT {place};\n");
    // On x86-64 calls into other libraries go through the table of addresses. Elsewhere the linker makes code of its
    // own for them, which has to stay in the segment of the rest.
    let is_x86_64 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    let code = if is_x86_64 {
        let before = [MAINTENANCE, OTHER_CODE].concat();
        [CONSTANTS, &insert(REQUESTS, "BEFORE .rodata"), &insert(&before, "BEFORE .text.requests")].concat()
    } else {
        [insert(REQUESTS, "AFTER .text"), insert(MAINTENANCE, "BEFORE .text")].concat()
    };
    fs::write(&order, [&code, DATA].concat()).expect("OUT_DIR can be written");
    format!("-Wl,-T,{}", order.display())
}
