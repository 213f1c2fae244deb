//! The catalogue of real programs under LD_PRELOAD.

use crate::cli::{Family::Programs, Options};
use crate::compile::{Tools, source_folder};
use crate::install::{self, Missing};
use crate::measure::Task;
use crate::peers::Allocator;
use crate::servers;
use crate::workload::Workload;
use std::fmt::Write;
use std::path::PathBuf;

/// All programs that are there or can be installed; the others are missing, with what to install.
pub fn workloads(tools: &Tools, options: &Options, missing: &mut Vec<Missing>) -> Vec<Workload> {
    let mut list = vec![start_up(options)];
    for (name, candidate) in candidates(tools, options) {
        if !options.wants(Programs, name) {
            continue;
        }
        match candidate() {
            Ok(workload) => list.push(workload),
            Err(reason) => missing.push(Missing::new(name, reason)),
        }
    }
    list
}

/// The names of all programs, for `--list`.
pub fn names(tools: &Tools, options: &Options) -> Vec<&'static str> {
    std::iter::once(START_UP).chain(candidates(tools, options).into_iter().map(|(name, _)| name)).collect()
}

type Candidate<'a> = Box<dyn Fn() -> Result<Workload, String> + 'a>;

fn candidates<'a>(tools: &'a Tools, options: &'a Options) -> Vec<(&'static str, Candidate<'a>)> {
    let scale = options.size().pick(1, 3, 20);
    let program = move |name, package| install::program(name, package, options.no_install);
    let script = move |file: &str| source_folder().join(file).into_os_string();
    let amount = move |number: usize| (number * scale).to_string().into();
    let command = |name: &'static str, task| Ok(Workload::command(Programs, name, task));
    vec![
        (
            "python3",
            Box::new(move || {
                command("python3", Task::new(python(options)?, [script("objects.py"), amount(1)]))
            }),
        ),
        (
            "python3-malloc",
            Box::new(move || {
                let task = Task::new(python(options)?, [script("objects.py"), amount(1)]);
                command("python3-malloc", task.variable("PYTHONMALLOC", "malloc"))
            }),
        ),
        (
            "perl",
            Box::new(move || {
                command("perl", Task::new(program("perl", "perl")?, [script("tables.pl"), amount(1)]))
            }),
        ),
        (
            "node",
            Box::new(move || {
                command("node", Task::new(program("node", "nodejs")?, [script("workers.js"), amount(1)]))
            }),
        ),
        (
            "sqlite3",
            Box::new(move || {
                let read = format!(".read {}", source_folder().join("bulk.sql").display());
                let repeated =
                    std::iter::repeat_n(read, scale.min(4)).flat_map(|read| [".open :memory:".into(), read]);
                let arguments = std::iter::once(":memory:".to_string()).chain(repeated);
                command("sqlite3", Task::new(program("sqlite3", "sqlite3")?, arguments))
            }),
        ),
        ("gcc", Box::new(move || command("gcc", compile(tools, &program("gcc", "gcc")?, scale)?))),
        ("clang", Box::new(move || command("clang", compile(tools, &program("clang", "clang")?, scale)?))),
        ("redis", Box::new(move || servers::redis(options, 5_000 * scale))),
        ("postgresql", Box::new(move || servers::postgresql(options, 500 * scale))),
    ]
}

/// The row of the shortest program.
pub const START_UP: &str = "start-up-of-true";

/// What a preloaded library adds to the shortest program: the median of many starts.
fn start_up(options: &Options) -> Workload {
    let starts = options.size().pick(30, 200, 500);
    let script = move |tools: &Tools, allocator: &Allocator| {
        let arguments = [allocator.preload(), starts.to_string().into(), "/bin/true".into()];
        let task = Task { is_tracer: true, ..Task::new(tools.path("startup"), arguments) };
        let mut run = task.measure(tools, &Allocator::new("", None, ""))?;
        run.cpu_ns /= run.ops;
        run.faults /= run.ops;
        Ok(run)
    };
    Workload::script(START_UP, Box::new(script))
}

/// The interpreter itself: what PATH holds may be a shell script that chooses one.
fn python(options: &Options) -> Result<PathBuf, String> {
    let python = install::program("python3", "python3", options.no_install)?;
    let real = install::first_line(&python, &["-c", "import sys; print(sys.executable)"]);
    if real.is_empty() { Err(format!("{python} does not run")) } else { Ok(real.into()) }
}

/// `cc -O2` of a generated file.
fn compile(tools: &Tools, compiler: &str, scale: usize) -> Result<Task, String> {
    let source = tools.path(&format!("large-{scale}.c"));
    std::fs::write(&source, large_source(25 * scale))
        .map_err(|error| format!("{}: {error}", source.display()))?;
    Ok(Task::new(
        compiler,
        ["-O2".into(), "-c".into(), source.into_os_string(), "-o".into(), "/dev/null".into()],
    ))
}

/// Functions with loops, branches, structs and calls of each other: work for every pass of a compiler.
fn large_source(functions: usize) -> String {
    let mut text = String::from(
        "#include <stdio.h>\n#include <string.h>\ntypedef struct { int a[8]; double d; char s[16]; } thing;\n",
    );
    for id in 0..functions {
        let callee = id.saturating_sub(1 + id % 7);
        let call = if id == 0 { "0".into() } else { format!("work{callee}(t + 1, n / 2)") };
        // Writing into a String can't fail.
        let _ = writeln!(
            text,
            "int work{id}(thing *t, int n) {{
                int total = {id};
                for (int i = 0; i < n; i++) {{
                    switch ((i + {id}) % 6) {{
                    case 0: total += t->a[i % 8] * {id}; break;
                    case 1: t->d += total / 3.0; break;
                    case 2: total ^= (int)t->d << (i % 5); break;
                    case 3: snprintf(t->s, sizeof t->s, \"%d-%d\", total, i); break;
                    case 4: if (strlen(t->s) > {}) total -= n; else total += 2; break;
                    default: for (int k = 0; k < 8; k++) t->a[k] += total * k - i; }}
                }}
                return n > 4 ? total + {call} : total;
            }}",
            id % 13
        );
    }
    text
}
