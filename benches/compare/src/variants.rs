//! besom beside itself: the same library with other options.

use crate::cli::{Family, Options as Arguments};
use crate::compile::{Tools, source_folder};
use crate::measure::Task;
use crate::peers::{Allocator, BESOM};
use crate::phases;
use crate::workload::{Subject, Suite, Workload};

/// The suites of `besom`, if it is measured: one per group of options.
pub fn suites(tools: &Tools, options: &Arguments, allocators: &[Allocator]) -> Vec<Suite> {
    let Some(besom) = allocators.iter().find(|one| one.name == BESOM) else { return Vec::new() };
    groups(tools, options)
        .into_iter()
        .map(|(settings, workloads)| {
            let variant = |setting: &&str| Subject {
                allocator: Allocator {
                    name: setting.to_string(),
                    options: Some(setting.to_string()),
                    ..besom.clone()
                },
                binary: None,
            };
            Suite { subjects: settings.iter().map(variant).collect(), workloads }
        })
        .collect()
}

/// All rows, for `--list`.
pub fn workloads(tools: &Tools, options: &Arguments) -> Vec<Workload> {
    groups(tools, options).into_iter().flat_map(|(_, workloads)| workloads).collect()
}

type Group = (&'static [&'static str], Vec<Workload>);

fn groups(tools: &Tools, options: &Arguments) -> Vec<Group> {
    vec![
        (&["thp=never", "thp=auto", "thp=always"], huge_pages(tools, options)),
        (&["scavenge_thread=0", "scavenge_thread=1"], vec![asleep(tools, options)]),
    ]
}

/// A heap that is filled and used at random, one that breathes, a small program, and a large one.
fn huge_pages(tools: &Tools, options: &Arguments) -> Vec<Workload> {
    let size = options.size();
    let micro = |name: &str, arguments: &str| row(name, Task::new(tools.path("micro"), arguments.split(' ')));
    let mut rows = vec![
        micro(
            "thp: churn-1e6",
            size.pick("churn 1000000 300000", "churn 1000000 2000000", "churn 1000000 9000000"),
        ),
        micro("thp: heap-512m", size.pick("heap 64m 300000", "heap 512m 1000000", "heap 512m 5000000")),
        row("thp: phases-mixed", {
            let bytes = size.pick("32m", "128m", "512m");
            Task::new(tools.path("phases"), ["mixed", bytes, "0", "work"])
        }),
        row("thp: true", Task::new("/bin/true", [""; 0])),
    ];
    let script = source_folder().join("tables.pl").into_os_string();
    rows.push(row("thp: perl", Task::new("perl", [script, size.pick("1", "3", "20").into()])));
    rows
}

fn asleep(tools: &Tools, options: &Arguments) -> Workload {
    let mut workload = phases::asleep(tools, options, "scavenge_thread: give-back-asleep");
    workload.family = Family::Options;
    workload
}

fn row(name: &str, task: Task) -> Workload {
    Workload::command(Family::Options, name, task)
}
