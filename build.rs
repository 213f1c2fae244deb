//! Link options of libbesom.so, which only the Makefile builds (feature `shared`). Others get none.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_SHARED").is_none() {
        return;
    }
    let arguments = [
        "-Wl,-soname,libbesom.so.0",
        // The kernel keeps pointers to descriptors of restartable sections: the library is never unmapped.
        "-Wl,-z,nodelete",
        // Calls between our own functions need no detour through the procedure linkage table.
        "-Wl,-Bsymbolic-functions",
        // Bind everything at load time: a lazy binding would run the dynamic linker inside malloc.
        "-Wl,-z,now",
        "-Wl,--as-needed",
    ];
    for argument in arguments {
        println!("cargo:rustc-link-arg={argument}");
    }
}
