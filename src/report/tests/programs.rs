//! Programs compiled and run by the tests, and what they print of themselves.

use crate::report::modules::Modules;
use crate::report::symbolize::{Frame, Symbolizer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{collections::BTreeMap, format, fs, rc::Rc, string::String, vec::Vec};

/// A folder that goes with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// An empty folder with `name` in its own.
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("besom-report-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Compiles a source file beside this one with the compiler for its language.
    pub(super) fn compile(&self, source: &str, flags: &[&str]) -> PathBuf {
        let program = self.path("program");
        let compiler = match source.rsplit('.').next() {
            Some("c") => "cc",
            Some("cc") => "c++",
            _ => "rustc",
        };
        run(Command::new(compiler).args(flags).arg(source_path(source)).arg("-o").arg(&program));
        program
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The path of a test program's source.
pub(super) fn source_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/tests/programs").join(name)
}

/// Runs a command to its successful end and returns what it printed.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a test program printed: return addresses by name, and its mappings.
pub(super) struct Printed {
    pub(super) addresses: BTreeMap<String, usize>,
    pub(super) maps: String,
}

impl Printed {
    pub(super) fn by(program: &Path) -> Self {
        let output = run(&mut Command::new(program));
        let (lines, maps) = output.split_once("mappings\n").unwrap();
        let addresses = lines
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (name, address) = line.split_once(" 0x").unwrap();
                (name.into(), usize::from_str_radix(address, 16).unwrap())
            })
            .collect();
        Self { addresses, maps: maps.into() }
    }

    pub(super) fn symbolizer(&self) -> Symbolizer {
        Symbolizer::with(Modules::parse(self.maps.as_bytes()))
    }

    /// The frames at the place with this name.
    pub(super) fn frames(&self, name: &str) -> Rc<[Frame]> {
        self.symbolizer().frames(1, self.addresses[name])
    }
}

/// The line, from 1, of the only place in a source file that holds `text`.
pub(super) fn line_of(source: &str, text: &str) -> u32 {
    let contents = fs::read_to_string(source_path(source)).unwrap();
    let lines: Vec<usize> =
        contents.lines().enumerate().filter(|(_, line)| line.contains(text)).map(|(i, _)| i + 1).collect();
    assert_eq!(lines.len(), 1, "{text} in {source}");
    lines[0] as u32
}

/// Function, file name and line of each frame.
pub(super) fn short(frames: &[Frame]) -> Vec<(&str, &str, u32)> {
    frames
        .iter()
        .map(|frame| {
            let file = frame.file.as_deref().and_then(|file| file.rsplit('/').next());
            (frame.function.as_deref().unwrap_or(""), file.unwrap_or(""), frame.line.unwrap_or(0))
        })
        .collect()
}
