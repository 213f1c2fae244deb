//! The catalogue of fragmentation workloads (`workloads/phases.c`).

use crate::cli::{Family, Options, Size};
use crate::compile::Tools;
use crate::machine::memory_mib;
use crate::measure::Task;
use crate::workload::Workload;

/// The row of the bar: memory held after most of a large heap was freed.
pub const GIVE_BACK: &str = "give-back";

/// All fragmentation workloads. The full ones watch ten seconds after each phase that freed memory and take minutes.
/// The medium ones do so after the last phase, one second after the others; the quick ones watch one second, after
/// few phases, over small heaps.
pub fn workloads(tools: &Tools, options: &Options) -> Vec<Workload> {
    let size = options.size();
    let wait = size.pick("0", "1,10", "10");
    let add = |name: &str, bytes: &str, wait: &str, mode: &str| {
        let loop_name = name.strip_prefix("phases-").unwrap_or("giveback");
        let arguments = [loop_name, bytes, wait, mode];
        Workload::command(Family::Fragmentation, name, Task::new(tools.path("phases"), arguments))
            .watched(at_once(bytes))
    };
    let mut list = vec![
        add("phases-mixed", size.pick("32m", "128m", "512m"), wait, "work"),
        add("phases-shift", size.pick("32m", "128m", "512m"), wait, "work"),
        add("phases-arrays", size.pick("128m", "512m", "1g"), wait, "work"),
        add("phases-tides", size.pick("16m", "64m", "256m"), wait, "work"),
        give_back(tools, options, GIVE_BACK, "work"),
    ];
    if size != Size::Quick {
        list.push(give_back(tools, options, "give-back-asleep", "sleep"));
    }
    list
}

/// One large heap, most of which is freed; watched while the program works a little or sleeps.
pub fn give_back(tools: &Tools, options: &Options, name: &str, mode: &str) -> Workload {
    // The heap of the bar is 4 GiB; a small machine gets a third of its memory, the sleeper of the medium bench less.
    let large = (memory_mib() / 3).min(4096).min(options.largest_heap() >> 20);
    let mib = options.size().pick(64, if mode == "sleep" { large / 4 } else { large }, large);
    let bytes = format!("{mib}m");
    let wait = options.size().pick("1", "10", "10");
    let task = Task::new(tools.path("phases"), ["giveback", &bytes, wait, mode]);
    Workload::command(Family::Fragmentation, name, task).watched(at_once(&bytes))
}

/// How many heaps of this size may exist at once, with room to spare for those that never give anything back.
fn at_once(bytes: &str) -> usize {
    let digits = bytes.trim_end_matches(char::is_alphabetic);
    let mib = digits.parse().unwrap_or(1) * if bytes.ends_with('g') { 1024 } else { 1 };
    (memory_mib() / 2 / (mib * 5 / 4)).clamp(1, 8) as usize
}
