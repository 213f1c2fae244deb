//! The allocators that are compared: besom, glibc, and the peers' shared libraries.

use crate::cli::{Options, repository};
use crate::install::{self, Missing};
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The name under which besom stands in every table.
pub const BESOM: &str = "besom";

/// The C library's own allocator: nothing is preloaded.
pub const GLIBC: &str = "glibc";

/// One allocator that runs under unchanged programs.
#[derive(Clone, Debug, Serialize)]
pub struct Allocator {
    /// Short name, also that of its column.
    pub name: String,
    /// What LD_PRELOAD gets; none for the C library's own allocator.
    pub library: Option<PathBuf>,
    /// Where it comes from and which version.
    pub version: String,
    /// `BESOM_OPTIONS`, where it is besom with other options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

impl Allocator {
    /// An allocator without options.
    pub fn new(name: impl Into<String>, library: Option<PathBuf>, version: impl Into<String>) -> Allocator {
        Allocator { name: name.into(), library, version: version.into(), options: None }
    }

    /// The value of LD_PRELOAD, `-` for none.
    pub fn preload(&self) -> OsString {
        self.library.as_ref().map_or("-".into(), |library| library.clone().into_os_string())
    }
}

/// A peer that Debian packages.
struct Packaged {
    name: &'static str,
    package: &'static str,
    soname: &'static str,
}

const PACKAGED: [Packaged; 3] = [
    Packaged { name: "jemalloc", package: "libjemalloc2", soname: "libjemalloc.so.2" },
    Packaged { name: "mimalloc", package: "libmimalloc2.0", soname: "libmimalloc.so.2" },
    Packaged { name: "tcmalloc", package: "libtcmalloc-minimal4", soname: "libtcmalloc_minimal.so.4" },
];

/// Finds besom and the peers; whatever can't be had is in the second list, with the reason.
pub fn find(options: &Options, glibc: &str) -> (Vec<Allocator>, Vec<Missing>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let library = besom_library(options);
    match library.canonicalize() {
        Ok(path) => {
            let version = format!("{}, built {}", display_name(&path), install::modified(&path));
            found.push(Allocator::new(BESOM, Some(path), version));
        }
        Err(_) => missing
            .push(Missing::new(BESOM, format!("no {}: run `make`, or set BESOM_LIB", library.display()))),
    }
    found.push(Allocator::new(GLIBC, None, glibc));
    for peer in &PACKAGED {
        match install::debian(peer.package, options.no_install).and_then(|version| located(peer, version)) {
            Ok(allocator) => found.push(allocator),
            Err(reason) => missing.push(Missing::new(peer.name, reason)),
        }
    }
    for (name, file) in &options.extra {
        found.push(Allocator::new(name, file.canonicalize().ok(), display_name(file)));
    }
    found.retain(|allocator| options.wants_allocator(&allocator.name));
    missing.retain(|missing| options.wants_allocator(&missing.name));
    (found, missing)
}

fn besom_library(options: &Options) -> PathBuf {
    options.besom.clone().unwrap_or_else(|| match std::env::var_os("BESOM_LIB") {
        Some(file) => file.into(),
        None => repository().join("target/release/libbesom.so"),
    })
}

fn located(peer: &Packaged, version: String) -> Result<Allocator, String> {
    let folders = ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib"].map(PathBuf::from);
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let library = std::iter::once(PathBuf::from(multiarch))
        .chain(folders)
        .map(|folder| folder.join(peer.soname))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            format!("{} is installed, but {} is nowhere to be found", peer.package, peer.soname)
        })?;
    let version = format!("{} {version} ({})", peer.package, display_name(&library));
    Ok(Allocator::new(peer.name, Some(library), version))
}

fn display_name(file: &Path) -> String {
    file.canonicalize()
        .unwrap_or_else(|_| file.into())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into()
}
