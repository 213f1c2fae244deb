//! What several test files need: where the library under test lies, and the tools they run.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shared library under test: `BESOM_LIB`, or what `make` built.
pub(crate) fn shared_library() -> PathBuf {
    let path = std::env::var_os("BESOM_LIB")
        .map_or_else(|| root().join("target/release/libbesom.so"), PathBuf::from);
    assert!(path.is_file(), "{} is missing: run `make` first", path.display());
    path
}

/// The static library beside the shared one.
pub(crate) fn static_library() -> PathBuf {
    shared_library().with_file_name("libbesom.a")
}

/// What `program` prints on standard output; a failure ends the test with what it said.
pub(crate) fn output_of(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
