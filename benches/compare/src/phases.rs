//! The catalogue of fragmentation workloads (`workloads/phases.c`).

use crate::cli::{Family, Options, Size};
use crate::compile::Tools;
use crate::machine::memory_mib;
use crate::measure::Task;
use crate::workload::Workload;

/// The row of the bar: memory held after most of a large heap was freed.
pub const GIVE_BACK: &str = "give-back";

/// All fragmentation workloads. The full ones watch ten seconds after each phase that freed memory and take minutes.
/// The medium ones watch one second and mostly smaller heaps, but `phases-mixed` and those that give back ten at the
/// end; the quick ones watch one second, after few phases, over small heaps.
pub fn workloads(tools: &Tools, options: &Options) -> Vec<Workload> {
    let size = options.size();
    let add = |name: &str, bytes: &str, wait: &str| {
        phases(tools, name, name.trim_start_matches("phases-"), bytes, wait, "work")
    };
    let wait = size.pick("0", "1", "10");
    let last = size.pick("0", "1,10", "10");
    let large = format!("{}m", give_back_mib(options));
    let half = size.pick("64m", "512m", &large);
    let end = size.pick("1", "10", "10");
    let mut list = vec![
        add("phases-mixed", size.pick("32m", "128m", "512m"), last),
        add("phases-shift", size.pick("32m", "128m", "512m"), wait),
        add("phases-arrays", size.pick("128m", "512m", "1g"), wait),
        add("phases-tides", size.pick("16m", "64m", "256m"), wait),
        phases(tools, GIVE_BACK, "giveback", &large, end, "work"),
        phases(tools, "give-back-random", "random", half, end, "work"),
    ];
    match size {
        Size::Quick => {}
        // The bar's heap takes seconds to fill; the peers get one that takes less.
        Size::Medium => {
            list.push(phases(tools, "give-back-512m", "giveback", half, end, "work"));
            let bar = list.remove(4).alone();
            list.push(bar);
        }
        Size::Full => list.push(phases(tools, "give-back-asleep", "giveback", &large, end, "sleep")),
    }
    list
}

/// A heap that is given back by a program that then sleeps.
pub fn asleep(tools: &Tools, options: &Options, name: &str) -> Workload {
    let large = format!("{}m", give_back_mib(options));
    let bytes = options.size().pick("64m", "512m", &large);
    phases(tools, name, "giveback", bytes, options.size().pick("1", "10", "10"), "sleep")
}

/// The heap of the bar is 4 GiB; a small machine gets a third of its memory.
fn give_back_mib(options: &Options) -> u64 {
    let large = (memory_mib() / 3).min(4096).min(options.largest_heap() >> 20);
    options.size().pick(64, large, large)
}

fn phases(tools: &Tools, name: &str, which: &str, bytes: &str, wait: &str, mode: &str) -> Workload {
    let task = Task::new(tools.path("phases"), [which, bytes, wait, mode]);
    Workload::command(Family::Fragmentation, name, task).watched(at_once(bytes))
}

/// How many heaps of this size may exist at once, with room to spare for those that never give anything back.
fn at_once(bytes: &str) -> usize {
    let digits = bytes.trim_end_matches(char::is_alphabetic);
    let mib = digits.parse().unwrap_or(1) * if bytes.ends_with('g') { 1024 } else { 1 };
    (memory_mib() / 2 / (mib * 5 / 4)).clamp(1, 12) as usize
}
