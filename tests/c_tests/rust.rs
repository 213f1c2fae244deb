//! Builds the Rust programs, with besom as their global allocator.

use crate::common::root;
use crate::compile::output_directory;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The directory that the library for Rust programs was built into. One builder at a time.
static LIBRARY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Builds besom as a Rust library, in the features that a user asks for who wants leaks found.
fn build_library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("leak-rlib");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--lib", "--quiet", "--offline", "--features", "leak"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success(), "cargo builds the library");
    target.join("debug")
}

/// Builds one program, if it is older than its source or the library.
pub(crate) fn program(source: &Path) -> PathBuf {
    let mut library = LIBRARY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let library = library.get_or_insert_with(build_library);
    let rlib = library.join("libbesom.rlib");
    let target = output_directory().join(format!("rust-{}", source.file_stem().unwrap().to_str().unwrap()));
    let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if modified(&target) > modified(&rlib).max(modified(source)) {
        return target;
    }
    std::fs::create_dir_all(output_directory()).unwrap();
    let unfinished = target.with_extension("new");
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition", "2024", "-g", "-C", "opt-level=1", "--extern"])
        .arg(format!("besom={}", rlib.display()))
        .arg("-L")
        .arg(format!("dependency={}", library.join("deps").display()))
        .arg(source)
        .arg("-o")
        .arg(&unfinished)
        .output()
        .expect("rustc starts");
    assert!(output.status.success(), "{}:\n{}", source.display(), String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&unfinished, &target).unwrap();
    target
}
