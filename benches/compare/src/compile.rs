//! Builds the C and C++ workloads with the system's compiler.

use crate::cli::{Clock, repository};
use crate::measure::Warmth;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the built workloads lie.
pub struct Tools {
    /// The folder of binaries and of scratch files.
    pub folder: PathBuf,
    /// The time that the workloads measure.
    pub clock: Clock,
    /// What is done about memory that the host has taken back.
    pub warmth: Warmth,
}

impl Tools {
    /// Compiles everything under `benches/workloads` into `folder`; an error holds the compiler's words.
    pub fn build(folder: PathBuf, clock: Clock) -> Result<Tools, String> {
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let tools = Tools { folder, clock, warmth: Warmth::default() };
        // -fno-builtin: no malloc/free pair is folded, no malloc and memset become a calloc.
        let c = ["-O2", "-g", "-fno-builtin", "-pthread"];
        tools.compile("cc", &["-O2", "-static"], "measure.c", "measure", &[])?;
        tools.compile("cc", &["-O2", "-static"], "startup.c", "startup", &[])?;
        tools.compile("cc", &["-O2", "-fPIC", "-shared"], "stack_limit.c", "libstacklimit.so", &[])?;
        let rpath = format!("-Wl,-rpath,{}", tools.folder.display());
        let search = format!("-L{}", tools.folder.display());
        tools.compile("cc", &c, "micro.c", "micro", &[&search, "-lstacklimit", &rpath])?;
        tools.compile(
            "c++",
            &["-O2", "-g", "-std=c++17", "-fsized-deallocation"],
            "sized.cc",
            "sized",
            &[],
        )?;
        tools.compile("cc", &c, "threads.c", "threads", &[])?;
        tools.compile("cc", &c, "phases.c", "phases", &[])?;
        Ok(tools)
    }

    /// The path of a built workload.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn compile(
        &self,
        compiler: &str,
        flags: &[&str],
        file: &str,
        output: &str,
        tail: &[&str],
    ) -> Result<(), String> {
        let source = source_folder().join(file);
        let target = self.path(output);
        if up_to_date(&target, &source) {
            return Ok(());
        }
        let run = Command::new(compiler).args(flags).arg(&source).arg("-o").arg(&target).args(tail).output();
        match run {
            Ok(run) if run.status.success() => Ok(()),
            Ok(run) => Err(format!("{file}: {}", String::from_utf8_lossy(&run.stderr))),
            Err(error) => {
                Err(format!("{compiler}: {error}; install a C compiler (Debian: apt-get install gcc g++)"))
            }
        }
    }
}

/// Where the workloads' sources lie.
pub fn source_folder() -> PathBuf {
    repository().join("benches/workloads")
}

fn up_to_date(target: &Path, source: &Path) -> bool {
    let time = |file: &Path| file.metadata().and_then(|meta| meta.modified()).ok();
    let header = time(&source_folder().join("common.h"));
    time(target).is_some_and(|built| Some(built) > time(source) && Some(built) > header)
}
