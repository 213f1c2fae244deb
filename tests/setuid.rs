//! A setuid program: whoever starts it has no say in how its memory works.

mod common;

use common::shared_library;
use std::fs::{self, Permissions};
use std::os::unix::{fs::PermissionsExt, process::CommandExt};
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = "#include <stdio.h>\n#include <stdlib.h>\n#include <sys/auxv.h>\n\
    int main(void) { free(malloc(100)); printf(\"%lu\\n\", getauxval(AT_SECURE)); return 0; }\n";

const NOBODY: u32 = 65534;

fn run_as_nobody(program: &Path) -> Output {
    let mut command = Command::new(program);
    command.env("BESOM_OPTIONS", "stats=1:no_such_option=1").uid(NOBODY).gid(NOBODY).current_dir("/");
    command.output().unwrap()
}

/// The preload is ignored in such a program, too, so it is linked with the library, by an absolute path.
#[test]
fn options_are_not_read_in_a_setuid_program() {
    let directory = std::env::temp_dir().join(format!("besom-setuid-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let said = test_in(&directory);
    fs::remove_dir_all(&directory).unwrap();
    if let Err(reason) = said {
        eprintln!("SKIPPED: {reason}");
    }
}

/// `Err`: why it can't be tested here.
fn test_in(directory: &Path) -> Result<(), String> {
    let (source, program) = (directory.join("program.c"), directory.join("program"));
    fs::write(&source, PROGRAM).unwrap();
    let library = directory.join("libbesom.so.0");
    fs::copy(shared_library(), &library).unwrap();
    let built = Command::new("cc")
        .arg(&source)
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", directory.display()))
        .arg("-o")
        .arg(&program)
        .status()
        .unwrap();
    assert!(built.success());
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return Err("only root can make a setuid program of another user's".into());
    }
    let plain = run_as_nobody(&program);
    let messages = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert!(plain.status.success() && messages.contains("unknown option 'no_such_option'"), "{messages}");
    fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
    let secure = run_as_nobody(&program);
    if secure.stdout == b"0\n" {
        return Err(format!("setuid programs have no privileges in {}", directory.display()));
    }
    assert!(secure.status.success());
    assert_eq!(String::from_utf8_lossy(&secure.stderr), "");
    Ok(())
}
