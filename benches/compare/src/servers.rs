//! Servers under preload, each with its own client, which runs without.

use crate::cli::{Clock, Options};
use crate::compile::Tools;
use crate::install;
use crate::measure::Measurement;
use crate::peers::Allocator;
use crate::workload::Workload;
use std::fs::read_to_string;
use std::os::unix::{fs::symlink, net::UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// redis-server under redis-benchmark, over a socket; operations are requests.
pub fn redis(options: &Options, requests: usize) -> Result<Workload, String> {
    // The package of tools holds the server too, under its other name, and starts no service when installed.
    let server = install::program("redis-check-rdb", "redis-tools", options.no_install)?;
    let client = install::program("redis-benchmark", "redis-tools", options.no_install)?;
    let script = move |tools: &Tools, allocator: &Allocator| {
        let (link, socket) = (tools.path("redis-server"), tools.path("redis.sock"));
        let _ = std::fs::remove_file(&link);
        let _ = std::fs::remove_file(&socket);
        symlink(&server, &link).map_err(|error| format!("{}: {error}", link.display()))?;
        let mut command = Command::new(&link);
        command.args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            "--unixsocket",
        ]);
        command.arg(&socket);
        // Debian links redis with jemalloc: for glibc's own, the C library has to be asked first.
        command.env("LD_PRELOAD", allocator.library.clone().unwrap_or_else(|| "libc.so.6".into()));
        let server = Server::start(command, || UnixStream::connect(&socket).is_ok())?;
        let tests = "set,get,lpush,rpop,sadd,hset,zadd,lrange_100,mset";
        let mut client = Command::new(&client);
        client
            .arg("-s")
            .arg(&socket)
            .args(["-q", "-r", "100000", "-d", "200", "-c", "20", "-P", "8", "-t", tests, "-n"]);
        client.arg(requests.to_string());
        let count = 9.0 * requests as f64;
        server.measure(client, count, tools.clock)
    };
    Ok(Workload::script("redis", Box::new(script)))
}

/// PostgreSQL under pgbench's default transactions; operations are transactions.
pub fn postgresql(options: &Options, transactions: usize) -> Result<Workload, String> {
    install::program("psql", "postgresql", options.no_install)?;
    let folder = programs_of_postgresql()
        .ok_or("no /usr/lib/postgresql/*/bin/pgbench; run: apt-get install postgresql")?;
    let script = move |tools: &Tools, allocator: &Allocator| {
        let data = tools.folder.with_file_name("postgresql");
        let data = prepare(&folder, &data)?;
        let mut command = as_postgres(&folder.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&data).args([
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
        ]);
        let preload = allocator.library.as_ref().map_or(String::new(), |file| file.display().to_string());
        command.env("BENCH_PRELOAD", preload);
        let server = Server::start(command, || answers(&folder, &data))?;
        let mut client = Command::new(folder.join("pgbench"));
        client.arg("-h").arg(&data).args(["-U", "postgres", "-n", "-c", "4", "-j", "2", "-t"]);
        client.arg((transactions / 4).to_string()).arg("postgres");
        server.measure(client, transactions as f64, tools.clock)
    };
    Ok(Workload::script("postgresql", Box::new(script)))
}

/// The folder of the newest installed version that has everything.
fn programs_of_postgresql() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<_> = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    folders.retain(|folder| folder.join("pgbench").is_file() && folder.join("postgres").is_file());
    folders.sort();
    folders.pop()
}

/// A command that root runs as the user postgres, since PostgreSQL refuses root. LD_PRELOAD is set behind the
/// change of user, so that only the server gets it.
fn as_postgres(program: &Path) -> Command {
    let inner = "[ -n \"$BENCH_PRELOAD\" ] && export LD_PRELOAD=\"$BENCH_PRELOAD\"; exec \"$@\"";
    let mut command = if install::is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh", "-c", inner, "sh"]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", inner, "sh"]);
        command
    };
    command.arg(program).env_remove("BENCH_PRELOAD").current_dir("/");
    command
}

/// Whether the PostgreSQL in `data` takes connections: its socket is there some time before.
fn answers(folder: &Path, data: &Path) -> bool {
    let mut client = Command::new(folder.join("psql"));
    client.arg("-h").arg(data).args(["-U", "postgres", "-q", "-c", "select 1"]);
    run(&mut client).is_ok()
}

/// A fresh cluster with pgbench's tables, made once by an unchanged server and copied for each run.
fn prepare(folder: &Path, pattern: &Path) -> Result<PathBuf, String> {
    // In /tmp, because the user postgres may not be able to enter the repository.
    let data = std::env::temp_dir().join(format!("besom-bench-postgresql-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    let failed = |error: std::io::Error| format!("{}: {error}", data.display());
    if pattern.join("PG_VERSION").is_file() {
        run(Command::new("cp").arg("-a").arg(pattern).arg(&data))?;
        return Ok(data);
    }
    std::fs::create_dir_all(&data).map_err(failed)?;
    if install::is_root() {
        run(Command::new("chown").arg("postgres:postgres").arg(&data))?;
    }
    run(as_postgres(&folder.join("initdb")).arg("-D").arg(&data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
    ]))?;
    let mut command = as_postgres(&folder.join("postgres"));
    command.arg("-D").arg(&data).arg("-k").arg(&data).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
    let server = Server::start(command, || answers(folder, &data))?;
    run(Command::new(folder.join("pgbench"))
        .arg("-h")
        .arg(&data)
        .args(["-U", "postgres", "-i", "-q", "-s", "2", "postgres"]))?;
    drop(server);
    run(Command::new("cp").arg("-a").arg(&data).arg(pattern))?;
    Ok(data)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", command.get_program().to_string_lossy(), words.lines().last().unwrap_or("failed")))
}

/// A server that is stopped when it goes out of scope.
struct Server {
    process: Child,
}

impl Server {
    /// Starts it and waits, half a minute at most, until it is `ready`.
    fn start(mut command: Command, ready: impl Fn() -> bool) -> Result<Server, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|error| error.to_string())?;
        let mut server = Server { process };
        let start = Instant::now();
        while !ready() {
            if let Ok(Some(status)) = server.process.try_wait() {
                return Err(format!("the server ended at once: {status}"));
            }
            if start.elapsed() > Duration::from_secs(30) {
                return Err("the server was not ready after half a minute".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Runs the client, watching the memory of the server and its children; `count` operations.
    fn measure(mut self, mut client: Command, count: f64, clock: Clock) -> Result<Measurement, String> {
        let pid = self.process.id();
        let done = AtomicBool::new(false);
        let start = Instant::now();
        let (result, peak) = std::thread::scope(|scope| {
            let watching = scope.spawn(|| watch(pid, &done));
            let result = run(client.stdout(Stdio::null()));
            done.store(true, Ordering::Relaxed);
            (result, watching.join().unwrap_or(0.0))
        });
        let wall_ns = start.elapsed().as_nanos() as f64;
        result?;
        if let Ok(Some(status)) = self.process.try_wait() {
            return Err(format!("the server ended during the run: {status}"));
        }
        let cpu_ns: f64 = family(pid).iter().map(|pid| cpu_ns(*pid)).sum();
        let time = if clock == Clock::Cpu { cpu_ns } else { wall_ns };
        Ok(Measurement {
            ns_per_op: time / count,
            ops: count,
            wall_ns,
            cpu_ns,
            peak_kib: peak,
            ..Measurement::default()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown; redis takes it for an ordinary one.
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// The largest sum of the private memory of a process and its children, looked at twenty times a second, in KiB.
fn watch(pid: u32, done: &AtomicBool) -> f64 {
    let mut peak: f64 = 0.0;
    while !done.load(Ordering::Relaxed) {
        peak = peak.max(family(pid).iter().map(|pid| private_kib(*pid)).sum());
        std::thread::sleep(Duration::from_millis(50));
    }
    peak
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
    let children = read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid).chain(children.split_whitespace().filter_map(|child| child.parse().ok())).collect()
}

/// Anonymous resident memory: PostgreSQL's shared buffers would hide everything else.
fn private_kib(pid: u32) -> f64 {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// User and system time of a process that lives, in the kernel's hundredths of a second.
fn cpu_ns(pid: u32) -> f64 {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // Own and waited-for children's times are the fields 14 to 17, counted from one, of which two come before.
    after_name.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<f64>().ok()).sum::<f64>()
        * 1e7
}
