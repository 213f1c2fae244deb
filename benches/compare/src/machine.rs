//! What the numbers were measured on.

use crate::install::first_line;
use serde::Serialize;
use std::fs::read_to_string;

/// The machine, as the report names it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Logical CPUs this process may use.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// C library, as it names itself.
    pub glibc: String,
    /// C compiler.
    pub compiler: String,
    /// Rust compiler.
    pub rustc: String,
    /// Transparent huge pages: the active mode in brackets.
    pub huge_pages: String,
    /// Load averages when the run began: a busy machine is a bad place to measure.
    pub load: String,
    /// Date and time, UTC.
    pub date: String,
    /// The commit of the tree the bench was run from.
    pub commit: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Machine {
        let cpuinfo = read("/proc/cpuinfo");
        let cpu = [field(&cpuinfo, "model name"), std::env::consts::ARCH.to_string()].join(" ");
        let frequency = field(&cpuinfo, "cpu MHz");
        Machine {
            cpu: if frequency.is_empty() { cpu } else { format!("{cpu}, {frequency} MHz now") },
            cores: cores(),
            memory_mib: memory_mib(),
            kernel: first_line("uname", &["-sr"]),
            glibc: first_line("getconf", &["GNU_LIBC_VERSION"]),
            compiler: first_line("cc", &["--version"]),
            rustc: first_line("rustc", &["--version"]),
            huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled").trim().into(),
            load: read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            date: first_line("date", &["-u", "+%F %T"]),
            commit: first_line("git", &["describe", "--always", "--dirty"]),
        }
    }
}

/// The machine's memory in MiB.
pub fn memory_mib() -> u64 {
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kib: u64 = memory.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
    kib / 1024
}

/// Logical CPUs this process may run on.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn read(file: &str) -> String {
    read_to_string(file).unwrap_or_default()
}

/// The value behind `name :` in files such as /proc/cpuinfo.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map(|(_, value)| value.trim().to_string()).unwrap_or_default()
}
