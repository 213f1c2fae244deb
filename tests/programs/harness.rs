//! Runs one program's script on a bare system, under the preloaded library and in leak mode, and compares.

use serde_json::Value;
use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, thread};

/// A script that runs longer than this is taken to hang; it is no measure of speed.
const HANG_LIMIT: Duration = Duration::from_secs(480);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How much of a failed run's output a failure quotes, in bytes.
const QUOTED_BYTES: usize = 4000;

/// How a script runs: which options the preloaded library gets.
struct Mode<'a> {
    /// Part of the run's directory name and of failure messages.
    name: &'static str,
    /// The value of `BESOM_OPTIONS`; none is a run without preload.
    options: Option<&'a str>,
    /// What the statistics say of the caches.
    statistics: &'static str,
}

const BARE: Mode<'static> = Mode { name: "bare", options: None, statistics: "" };

/// What leak mode finds in the programs of a script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaks {
    /// Nothing is lost in any of them: exit status 23 would show.
    None,
    /// Some of [`KNOWN_TO_LEAK`] run, so that the exit statuses must stay as they are.
    Known,
}

/// Programs that lose blocks, as docs/leaks-in-real-programs.md tells. All others must not.
const KNOWN_TO_LEAK: [&str; 24] = [
    "as",
    "awk",
    "bash",
    "cc",
    "cc1",
    "cc1plus",
    "collect2",
    "c++",
    "g++",
    "gcc",
    "ld",
    "ld.bfd",
    "lto-wrapper",
    "make",
    "mawk",
    "perl",
    "python3",
    "sed",
    "shuf",
    "sort",
    "split",
    "tail",
    "tar",
    "tr",
];

/// Both forms of the caches. The first may still choose the locked form, where the kernel has no rseq.
const PRELOADED: [Mode<'static>; 2] = [
    Mode { name: "default", options: Some(""), statistics: "besom:   caches: " },
    Mode { name: "locked-caches", options: Some("rseq=0"), statistics: "besom:   caches: locked shards" },
];

/// What a run left behind.
struct Outcome {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

/// The script `tests/programs/NAME.sh` prints the same, and ends the same, without and with the
/// library, in both forms of its caches; and `probe`, a cheap call of the same program, shows
/// by its statistics that the library is really in it. In leak mode, too, it prints and ends the same; every
/// process writes its report, and only programs of which `leaks` says so lose anything.
///
/// Panics with what differs, and leaves the files of the run where the message says.
pub(crate) fn same_under_preload(name: &str, probe: &[&str], leaks: Leaks) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.sh"));
    let dir = fresh_dir(name);
    for mode in &PRELOADED {
        assert_probe_reports(probe, mode);
    }
    let bare = run(&script, &dir, &BARE);
    assert!(
        bare.status.success(),
        "{name} fails without besom ({}); are the tests' programs installed? Run tests/install-test-deps.sh\n{}",
        bare.status,
        quote(&bare.stderr)
    );
    assert!(!bare.stdout.trim().is_empty(), "{name} printed nothing to compare");
    for mode in &PRELOADED {
        let outcome = run(&script, &dir, mode);
        assert_same(name, mode, &bare, &outcome, &dir);
    }
    let reports = dir.join("reports");
    fs::create_dir(&reports).unwrap_or_else(|e| panic!("{}: {e}", reports.display()));
    let status = if leaks == Leaks::Known { ":exitcode=0" } else { "" };
    let options = format!("leak=1:report=json:log_path={}/of{status}", reports.display());
    let mode = Mode { name: "leak", options: Some(&options), statistics: "" };
    let outcome = run(&script, &dir, &mode);
    assert_same(name, &mode, &bare, &outcome, &dir);
    assert_reports(name, probe[0], &reports);
    fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
}

fn assert_same(name: &str, mode: &Mode<'_>, bare: &Outcome, outcome: &Outcome, dir: &Path) {
    let context = || format!("files in {}\nstderr:\n{}", dir.display(), quote(&outcome.stderr));
    assert!(outcome.status.success(), "{name}, {}: {}\n{}", mode.name, outcome.status, context());
    assert_eq!(outcome.stdout, bare.stdout, "{name}, {}: output differs; {}", mode.name, context());
    // The library says something only of itself, its options or a wrong use: none is expected here. But in leak mode
    // it says of a program with an allocator of its own, as rustc is, that there is nothing to find.
    let bystander = |line: &str| mode.name == "leak" && line.contains("does not allocate with besom");
    let said = outcome.stderr.lines().find(|line| line.starts_with("besom:") && !bystander(line));
    assert_eq!(said, None, "{name}, {}: {}", mode.name, context());
}

/// Every report is of the documented form, `program` wrote one, and what is lost is lost by programs known for it.
fn assert_reports(name: &str, program: &str, folder: &Path) {
    let files = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut programs = Vec::new();
    for file in files.map(|file| file.expect("a file of reports").path()) {
        for line in read(&file).lines() {
            let report: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            assert_eq!(report["version"], 1, "{}", file.display());
            let command = report["command"].as_str().unwrap_or_else(|| panic!("{}", file.display()));
            let path = command.split(' ').next().unwrap_or_default();
            let program = path.rsplit('/').next().unwrap_or_default().to_owned();
            let blocks = |kind: &str| report[kind]["blocks"].as_u64().expect("a number of blocks");
            let lost = blocks("definitely_lost") + blocks("indirectly_lost");
            assert!(
                lost == 0 || KNOWN_TO_LEAK.iter().any(|known| is_called(&program, known)),
                "{name}, leak: {program} loses {lost} blocks, see {}",
                file.display()
            );
            programs.push(program);
        }
    }
    assert!(
        programs.iter().any(|one| is_called(one, program)),
        "{name}, leak: no report of {program} among {} in {}",
        programs.len(),
        folder.display()
    );
}

/// Whether a program's file is the one meant, be it with its version (`python3.11`) or the name of a target
/// before it (`x86_64-linux-gnu-ld`).
fn is_called(file: &str, name: &str) -> bool {
    let versionless = file.trim_end_matches(|c: char| c == '.' || c == '-' || c.is_ascii_digit());
    let wanted = name.trim_end_matches(|c: char| c.is_ascii_digit());
    versionless == wanted || versionless.strip_suffix(wanted).is_some_and(|target| target.ends_with('-'))
}

/// The program that the script is about loads the library: with `stats=1` it prints statistics at exit.
fn assert_probe_reports(probe: &[&str], mode: &Mode<'_>) {
    let options = match mode.options {
        Some("") | None => "stats=1".to_owned(),
        Some(options) => format!("{options}:stats=1"),
    };
    let output = Command::new(probe[0])
        .args(&probe[1..])
        .env("LD_PRELOAD", library())
        .env("BESOM_OPTIONS", options)
        .output()
        .unwrap_or_else(|e| panic!("{probe:?}: {e}; if it is missing, run tests/install-test-deps.sh"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{probe:?}, {}: {}\n{}", mode.name, output.status, quote(&stderr));
    assert!(
        stderr.lines().any(|line| line.starts_with(mode.statistics)),
        "{probe:?}, {}: no line `{}` at exit, so the library is not in this program or not in this mode\n{}",
        mode.name,
        mode.statistics,
        quote(&stderr)
    );
}

/// Every run of a script gets the same directory name as seen from inside, `work`, since some
/// programs write their paths into what they make.
fn run(script: &Path, dir: &Path, mode: &Mode<'_>) -> Outcome {
    let work = dir.join("work");
    let (out_path, err_path) =
        (dir.join(format!("{}.out", mode.name)), dir.join(format!("{}.err", mode.name)));
    fs::create_dir(&work).unwrap_or_else(|e| panic!("{}: {e}", work.display()));
    let mut command = Command::new("bash");
    command
        .arg(script)
        .current_dir(&work)
        .env("TMPDIR", &work)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env_remove("LD_PRELOAD")
        .env_remove("BESOM_OPTIONS")
        .stdin(File::open("/dev/null").expect("/dev/null"))
        .stdout(File::create(&out_path).expect("output file"))
        .stderr(File::create(&err_path).expect("error file"))
        .process_group(0);
    if let Some(options) = mode.options {
        command.env("LD_PRELOAD", library()).env("BESOM_OPTIONS", options);
    }
    // SAFETY: `wait_for_descendants` makes only system calls, as is asked of what runs between fork and exec.
    unsafe { command.pre_exec(wait_for_descendants) };
    let child = command.spawn().unwrap_or_else(|e| panic!("bash {}: {e}", script.display()));
    let status = wait_or_kill(child);
    let outcome = Outcome { status, stdout: read(&out_path), stderr: read(&err_path) };
    if outcome.status.success() {
        fs::remove_dir_all(&work).unwrap_or_else(|e| panic!("{}: {e}", work.display()));
    }
    outcome
}

/// Puts a process between the test and the script, which ends as the script does, but not before every process that
/// the script left behind has ended: those still write into the directory, reports in leak mode among it.
fn wait_for_descendants() -> io::Result<()> {
    // SAFETY: the process has one thread here; all of these are system calls but for `fork`, which glibc allows in a
    // child of a process with threads, and `status` outlives them.
    unsafe {
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        let script = libc::fork();
        if script < 0 {
            return Err(io::Error::last_os_error());
        }
        if script == 0 {
            return Ok(());
        }
        // Or `spawn` would wait for the end of the pipe that tells it of a failed exec.
        if libc::close_range(0, u32::MAX, 0) != 0 {
            (0..libc::sysconf(libc::_SC_OPEN_MAX) as c_int).for_each(|descriptor| {
                libc::close(descriptor);
            });
        }
        let (mut status, mut script_status) = (0, 1 << 8);
        loop {
            match libc::waitpid(-1, &mut status, 0) {
                -1 if *libc::__errno_location() == libc::EINTR => {}
                -1 => break,
                pid if pid == script => script_status = status,
                _ => {}
            }
        }
        if libc::WIFSIGNALED(script_status) {
            libc::signal(libc::WTERMSIG(script_status), libc::SIG_DFL);
            libc::raise(libc::WTERMSIG(script_status));
        }
        libc::_exit(libc::WEXITSTATUS(script_status))
    }
}

/// A process and all that it started and that has not ended.
fn family(process: libc::pid_t) -> Vec<libc::pid_t> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let families = children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(family);
    std::iter::once(process).chain(families).collect()
}

/// Waits for a script; one that hangs is killed with all that it started, and ends by SIGKILL.
fn wait_or_kill(mut child: Child) -> ExitStatus {
    let deadline = Instant::now() + HANG_LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("wait for a child") {
            return status;
        }
        if Instant::now() > deadline {
            let process = libc::pid_t::try_from(child.id()).expect("a process id");
            let hung = family(process);
            eprintln!("processes {hung:?} do not end");
            for hung in hung {
                // SAFETY: no pointers. The child is not reaped yet, nor are its descendants as long as it waits.
                unsafe { libc::kill(hung, libc::SIGKILL) };
            }
            child.wait().expect("wait for a killed child");
            return ExitStatus::from_raw(libc::SIGKILL);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The shared library under test.
fn library() -> PathBuf {
    let path = env::var_os("BESOM_LIB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/libbesom.so"),
        PathBuf::from,
    );
    assert!(path.is_file(), "{} is missing: run `make` first", path.display());
    path
}

/// An empty directory for one test, cleared of what an earlier failure left.
fn fresh_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    }
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    dir
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of a long text.
fn quote(text: &str) -> String {
    let skipped = text.len().saturating_sub(QUOTED_BYTES);
    String::from_utf8_lossy(&text.as_bytes()[skipped..]).into_owned()
}
