//! Builds the programs and their libraries with the C compiler that `cc` finds, into `target/c-tests`.

use crate::common::{root, shared_library, static_library};
use crate::directives::{Directives, Use};
use crate::rust;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::SystemTime;

/// One compiler at a time: three tests share a program, and the first of them builds it.
static COMPILER: Mutex<()> = Mutex::new(());

/// Without these the compiler would remove or merge the very calls that a test is about, or warn of the
/// misuse that it means to commit.
const COMMON_FLAGS: [&str; 6] =
    ["-g", "-w", "-fno-builtin", "-fno-omit-frame-pointer", "-D_GNU_SOURCE", "-rdynamic"];

/// The directory of the sources.
pub(crate) fn sources() -> PathBuf {
    root().join("c-tests")
}

/// The directory of what is built.
pub(crate) fn output_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("c-tests")
}

/// Builds one program with `build`'s options; only if something it is made of is newer.
pub(crate) fn program(file: &str, directives: &Directives, build: &str) -> PathBuf {
    let source = sources().join(file);
    if source.extension().is_some_and(|e| e == "rs") {
        return rust::program(&source);
    }
    let mut flags: Vec<OsString> = build.split_whitespace().map(Into::into).collect();
    flags.push(format!("-I{}", root().join("include").display()).into());
    let mut inputs = Vec::new();
    for (name, _) in directives.libraries.iter().filter(|(_, how)| *how == Use::Link) {
        let path = library(name);
        flags.push(format!("-Wl,-rpath,{}", output_directory().display()).into());
        inputs.push(path);
    }
    for flag in &directives.flags {
        match flag.as_str() {
            "{so}" => inputs.push(shared_library()),
            "{a}" => inputs.push(static_library()),
            _ => flags.push(flag.into()),
        }
    }
    let name = format!("{}{}", file.replace(['.', '/'], "_"), build.replace(' ', ""));
    compile(&source, &output_directory().join(name), &flags, &inputs)
}

/// Builds a library of `c-tests/lib`, with the options of a line `// flags: …`, if its source begins with one.
pub(crate) fn library(file: &str) -> PathBuf {
    let source = sources().join("lib").join(file);
    let target = output_directory().join(format!("lib{}.so", file.replace('.', "_")));
    let text = std::fs::read_to_string(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
    let own = text.lines().next().and_then(|line| line.strip_prefix("// flags: ")).unwrap_or_default();
    let flags: Vec<OsString> =
        ["-O1", "-shared", "-fPIC"].into_iter().chain(own.split_whitespace()).map(Into::into).collect();
    compile(&source, &target, &flags, &[])
}

fn compile(source: &Path, target: &Path, flags: &[OsString], inputs: &[PathBuf]) -> PathBuf {
    let _one = COMPILER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if is_current(target, source, inputs) {
        return target.into();
    }
    std::fs::create_dir_all(output_directory()).unwrap();
    let unfinished = target.with_extension("new");
    let output = compiler(source)
        .arg(source)
        .args(COMMON_FLAGS)
        .args(inputs)
        .args(flags)
        .arg("-ldl")
        .arg("-o")
        .arg(&unfinished)
        .output()
        .expect("the C compiler starts");
    assert!(output.status.success(), "{}:\n{}", source.display(), String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&unfinished, target).unwrap();
    target.into()
}

/// Whether `target` is newer than all it is made of: source, shared headers, libraries.
fn is_current(target: &Path, source: &Path, inputs: &[PathBuf]) -> bool {
    let Some(built) = modified(target) else { return false };
    let headers = [
        "c-tests/test.h",
        "c-tests/misuse.h",
        "c-tests/leaks/leak.h",
        "c-tests/leaks/forbid.h",
        "c-tests/leaks/check_failed.h",
        "include/besom.h",
    ];
    let headers = headers.map(|header| root().join(header));
    let mut made_of =
        std::iter::once(source).chain(headers.iter().map(|h| &**h)).chain(inputs.iter().map(|i| &**i));
    made_of.all(|path| modified(path).is_some_and(|time| time < built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The compiler for a source: `cc` knows `CC`, `CXX` and what the platform calls them.
fn compiler(source: &Path) -> Command {
    let is_cpp = source.extension().is_some_and(|e| e == "cpp");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let tool = cc::Build::new()
        .cpp(is_cpp)
        .target(&target)
        .host(&target)
        .opt_level(0)
        .cargo_metadata(false)
        .no_default_flags(true)
        .get_compiler();
    let mut command = tool.to_command();
    if is_cpp {
        // new and delete that cancel out are the test.
        command.args(["-std=c++17", "-fno-allocation-dce", "-faligned-new"]);
    }
    command
}
