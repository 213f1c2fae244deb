//! Link options of libbesom.so. A plain Rust dependant gets none of them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let arguments = [
        "-Wl,-soname,libbesom.so.0",
        // The kernel keeps pointers to descriptors of restartable sections: the library must never be unmapped.
        "-Wl,-z,nodelete",
        // Calls between our own functions need no detour through the procedure linkage table.
        "-Wl,-Bsymbolic-functions",
        // Bind everything at load time: a lazy binding would run the dynamic linker inside malloc.
        "-Wl,-z,now",
        "-Wl,--as-needed",
    ];
    for argument in arguments {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
