//! Peers that come as Rust crates, built from the crates' own C and C++ sources as shared libraries for preloading.

use crate::cli::{Options, repository};
use crate::install::Missing;
use crate::peers::Allocator;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How one crate's sources become a shared library.
struct Recipe {
    name: &'static str,
    package: &'static str,
    library: &'static str,
    build: fn(&Path, &Path) -> Result<(), String>,
}

const RECIPES: [Recipe; 4] = [
    Recipe { name: "mimalloc3", package: "libmimalloc-sys", library: "libmimalloc3.so", build: mimalloc },
    Recipe {
        name: "jemalloc-tikv",
        package: "tikv-jemalloc-sys",
        library: "libjemalloctikv.so",
        build: jemalloc,
    },
    Recipe { name: "snmalloc", package: "snmalloc-sys", library: "libsnmalloc.so", build: snmalloc },
    Recipe { name: "rpmalloc", package: "rpmalloc-sys", library: "librpmalloc.so", build: rpmalloc },
];

/// Builds what is not built yet into `folder`; what can't be built is in the second list with the reason.
/// In the quick bench only those that the command line names.
pub fn find(folder: &Path, options: &Options) -> (Vec<Allocator>, Vec<Missing>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let packages = packages();
    for recipe in RECIPES.iter().filter(|recipe| options.wants_allocator(recipe.name)) {
        if options.quick && options.allocator.is_empty() {
            let reason = format!("left out of the quick bench; `--allocator {}` brings it in", recipe.name);
            missing.push(Missing::new(format!("{} under preload", recipe.name), reason));
            continue;
        }
        match packages.as_ref().map_err(Clone::clone).and_then(|packages| recipe.library(packages, folder)) {
            Ok(allocator) => found.push(allocator),
            Err(reason) => missing.push(Missing::new(format!("{} under preload", recipe.name), reason)),
        }
    }
    if options.wants_allocator("tcmalloc-google") {
        let reason =
            "the crate tcmalloc-better builds no C symbols, so it is compared only among the Rust programs";
        missing.push(Missing::new("tcmalloc-google under preload", reason));
    }
    (found, missing)
}

impl Recipe {
    fn library(&self, packages: &Value, folder: &Path) -> Result<Allocator, String> {
        let (source, version) = package(packages, self.package).ok_or("not among the dependencies")?;
        let library = folder.join(format!("{version}-{}", self.library));
        if !library.is_file() {
            eprintln!("compare: building {} {version} as a shared library", self.package);
            let unfinished = folder.join("unfinished.so");
            (self.build)(&source, &unfinished)?;
            std::fs::rename(&unfinished, &library)
                .map_err(|error| format!("{}: {error}", library.display()))?;
        }
        let version = format!("crate {} {version}, its C sources as a shared library", self.package);
        Ok(Allocator::new(self.name, Some(library), version))
    }
}

/// All packages that the Rust programs may depend on; downloads their sources if they are not there yet.
fn packages() -> Result<Value, String> {
    let manifest = repository().join("benches/rust-programs/Cargo.toml");
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--all-features", "--locked", "--manifest-path"])
        .arg(manifest)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(last_line(&output.stderr, "cargo metadata failed"));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// The folder and the version of one package.
fn package(packages: &Value, name: &str) -> Option<(PathBuf, String)> {
    let package = packages["packages"].as_array()?.iter().find(|package| package["name"] == name)?;
    let manifest = Path::new(package["manifest_path"].as_str()?);
    Some((manifest.parent()?.to_path_buf(), package["version"].as_str()?.to_string()))
}

/// What every one of these is compiled with: as fast as its authors build it, hidden symbols, TLS without calls.
const COMMON: [&str; 5] = ["-O3", "-DNDEBUG", "-fPIC", "-shared", "-ftls-model=initial-exec"];

fn mimalloc(source: &Path, output: &Path) -> Result<(), String> {
    let folder = source.join("c_src/mimalloc/v3");
    let mut cc = Command::new("cc");
    cc.args(COMMON).args([
        "-DMI_MALLOC_OVERRIDE",
        "-DMI_SHARED_LIB",
        "-DMI_SHARED_LIB_EXPORT",
        "-fno-builtin-malloc",
    ]);
    cc.args(["-fvisibility=hidden", "-Iinclude", "src/static.c", "-lpthread", "-o"])
        .arg(output)
        .current_dir(folder);
    run(cc)
}

fn snmalloc(source: &Path, output: &Path) -> Result<(), String> {
    let mut cc = Command::new("c++");
    cc.args(COMMON).args(["-std=c++20", "-DSNMALLOC_USE_WAIT_ON_ADDRESS=1", "-fvisibility=hidden", "-I."]);
    if cfg!(target_arch = "x86_64") {
        cc.arg("-mcx16");
    }
    cc.args(["snmalloc/override/malloc.cc", "snmalloc/override/new.cc", "-lpthread", "-o"]).arg(output);
    cc.current_dir(source.join("upstream/src"));
    run(cc)
}

fn rpmalloc(source: &Path, output: &Path) -> Result<(), String> {
    let mut cc = Command::new("cc");
    cc.args(COMMON).args(["-D_GNU_SOURCE", "-DENABLE_PRELOAD=1", "-DENABLE_OVERRIDE=1"]);
    cc.args(["-DENABLE_THREAD_CACHE=1", "-DENABLE_GLOBAL_CACHE=1", "rpmalloc.c", "-lpthread", "-o"])
        .arg(output);
    cc.current_dir(source.join("rpmalloc/rpmalloc"));
    run(cc)
}

fn jemalloc(source: &Path, output: &Path) -> Result<(), String> {
    // Its build writes beside its sources, and the registry's copy is not ours to write to.
    let copy = output.with_extension("jemalloc");
    let mut cp = Command::new("cp");
    cp.arg("-r").arg("-T").arg(source.join("jemalloc")).arg(&copy);
    run(cp)?;
    // The crate ships the generated script outside the sources, and no VERSION file of git's.
    let script = copy.join("configure");
    std::fs::copy(source.join("configure/configure"), script)
        .map_err(|error| format!("configure: {error}"))?;
    let mut configure = Command::new("sh");
    configure.args(["configure", "--disable-doc", "--with-version=5.3.1-0-g0"]).current_dir(&copy);
    run(configure)?;
    let mut make = Command::new("make");
    make.args(["-j2", "build_lib_shared"]).current_dir(&copy);
    run(make)?;
    std::fs::copy(copy.join("lib/libjemalloc.so.2"), output)
        .map_err(|error| format!("libjemalloc.so.2: {error}"))?;
    std::fs::remove_dir_all(&copy).map_err(|error| error.to_string())
}

fn run(mut command: Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(last_line(&output.stderr, "the build failed")),
        Err(error) => Err(format!("{}: {error}", command.get_program().to_string_lossy())),
    }
}

/// The line that most likely names the cause: the first with "error", else the last.
fn last_line(stderr: &[u8], otherwise: &str) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().find(|line| line.contains("error")).or(text.lines().last());
    line.unwrap_or(otherwise).trim().to_string()
}
