//! C and C++ compiled and loaded at test time.

use std::{
    ffi::{CString, c_void},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    vec::Vec,
};

/// The signature of all functions in the libraries.
pub(super) type Function = unsafe extern "C" fn(i32, extern "C" fn(*mut c_void), *mut c_void) -> i32;

/// A shared library built from one of the files beside this one.
pub(super) struct Library {
    handle: *mut c_void,
    path: PathBuf,
}

impl Library {
    /// Builds `source` with `-O2` and `flags` and loads it.
    pub(super) fn build(source: &str, flags: &[&str]) -> Self {
        let path = compile(source, flags);
        let name = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the library was just built from a source that has no constructors.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "{source} can't be loaded");
        Self { handle, path }
    }

    /// Removes the file, for a library that stays loaded: what is mapped of it remains.
    pub(super) fn remove_file(&self) {
        std::fs::remove_file(&self.path).unwrap();
    }

    /// One of its functions.
    pub(super) fn function(&self, name: &str) -> Function {
        let name = CString::new(name).unwrap();
        // SAFETY: the handle is open.
        let symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        assert!(!symbol.is_null(), "no function {name:?}");
        // SAFETY: all functions of the libraries have this signature, or one that differs in the result.
        unsafe { std::mem::transmute::<*mut c_void, Function>(symbol) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the tests call no function of a library that they have dropped.
        unsafe { libc::dlclose(self.handle) };
        let _ = std::fs::remove_file(&self.path);
    }
}

fn compile(source: &str, flags: &[&str]) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/leak/capture/tests").join(source);
    let name = std::format!("besom-unwind-{}-{number}.so", std::process::id());
    let output = std::env::temp_dir().join(name);
    let target = "x86_64-unknown-linux-gnu";
    let mut build = cc::Build::new();
    build.cargo_metadata(false).target(target).host(target).opt_level(2).out_dir(std::env::temp_dir());
    build.cpp(source.extension().is_some_and(|e| e == "cc"));
    let mut command = build.get_compiler().to_command();
    let args: Vec<_> = ["-shared", "-fPIC", "-fno-optimize-sibling-calls"].iter().chain(flags).collect();
    let status = command.args(args).arg("-o").arg(&output).arg(&source).status();
    assert!(status.unwrap().success(), "{} can't be compiled", source.display());
    output
}
