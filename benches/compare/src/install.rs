//! What the bench needs from the system, and how it says what it could not have.

use serde::Serialize;
use std::path::Path;
use std::process::{Command, Stdio};

/// Something that was to be measured and could not be, and why. Every one is in the report.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// The allocator or workload.
    pub name: String,
    /// One line for the reader, with what to do about it where something can be done.
    pub reason: String,
}

impl Missing {
    /// A thing that is missing, with the reason.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Missing {
        Missing { name: name.into(), reason: reason.into() }
    }
}

/// Makes sure that a Debian package is there and gives its version; installs it when run by root.
pub fn debian(package: &str, no_install: bool) -> Result<String, String> {
    if let Some(version) = debian_version(package) {
        return Ok(version);
    }
    let advice = format!("not installed; run: apt-get install {package}");
    if no_install || !is_root() {
        return Err(advice);
    }
    eprintln!("compare: installing {package}");
    let status = Command::new("apt-get")
        .args(["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match (status, debian_version(package)) {
        (Ok(status), Some(version)) if status.success() => Ok(version),
        _ => Err(format!("`apt-get install {package}` failed")),
    }
}

/// The path of a program, from its package if need be.
pub fn program(name: &str, package: &str, no_install: bool) -> Result<String, String> {
    if let Some(path) = which(name) {
        return Ok(path);
    }
    debian(package, no_install)?;
    which(name).ok_or_else(|| format!("{package} is installed, but there is no {name} in PATH"))
}

/// The first standard output line of a command, empty if it can't be run.
pub fn first_line(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_string()
}

/// When a file was last changed, as UTC date and time.
pub fn modified(file: &Path) -> String {
    first_line("date", &["-u", "-r", &file.to_string_lossy(), "+%F %T UTC"])
}

/// Whether this process may install packages.
pub fn is_root() -> bool {
    first_line("id", &["-u"]) == "0"
}

fn which(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let file = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())?;
    Some(file.to_string_lossy().into_owned())
}

fn debian_version(package: &str) -> Option<String> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status} ${Version}", package])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_prefix("installed ").map(str::to_string)
}
