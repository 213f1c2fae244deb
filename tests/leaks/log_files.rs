//! `log_path`: a file for each process that has something to report, and none for the others.

use crate::common::shared_library;
use crate::compile::{output_directory, program, sources};
use crate::directives::Directives;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a command under besom with a folder of its own to report to, and returns the files that it leaves there.
fn files_left_by(name: &str, command: &mut Command) -> Vec<PathBuf> {
    let folder = output_directory().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let options = format!("leak=1:exitcode=0:log_path={}", folder.join("log").display());
    let output = command.env("LD_PRELOAD", shared_library()).env("BESOM_OPTIONS", options).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    files.collect()
}

fn built(file: &str) -> PathBuf {
    program(file, &Directives::read(&sources().join(file)), "-O1")
}

#[test]
fn processes_that_lose_nothing_leave_no_file() {
    let clean = built("leaks/option_text_clean.c");
    assert_eq!(files_left_by("log-clean", &mut Command::new(&clean)), [] as [&Path; 0]);
    let script = format!("{0}; {0}; ({0} & wait)", clean.display());
    assert_eq!(files_left_by("log-shell", Command::new("sh").args(["-c", &script])), [] as [&Path; 0]);
}

#[test]
fn a_process_that_loses_something_leaves_one() {
    let files = files_left_by("log-leak", &mut Command::new(built("leaks/option_text.c")));
    let [file] = &files[..] else { panic!("{files:?}") };
    assert!(std::fs::read_to_string(file).unwrap().contains("SUMMARY: besom: "));
}
