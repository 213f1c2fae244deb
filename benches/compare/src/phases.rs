//! The catalogue of fragmentation workloads (`workloads/phases.c`).

use crate::cli::Family::Fragmentation;
use crate::compile::Tools;
use crate::machine::memory_mib;
use crate::measure::Task;
use crate::workload::Workload;

/// All fragmentation workloads. The full ones watch ten seconds after each phase that freed memory and take
/// minutes; the quick ones watch one second, after few phases, over small heaps.
pub fn workloads(tools: &Tools, quick: bool) -> Vec<Workload> {
    let add = |name: &str, arguments: String| {
        Workload::command(Fragmentation, name, Task::new(tools.path("phases"), arguments.split(' ')))
    };
    if quick {
        return vec![
            add("phases-mixed", "mixed 32m 0 work".into()),
            add("phases-shift", "shift 32m 0 work".into()),
            add("phases-arrays", "arrays 128m 0 work".into()),
            add("phases-tides", "tides 16m 0 work".into()),
            add("give-back", "giveback 64m 1 work".into()),
        ];
    }
    // The heap of the bar is 4 GiB; a small machine gets a third of its memory.
    let large = (memory_mib() / 3).min(4096);
    vec![
        add("phases-mixed", "mixed 512m 10 work".into()),
        add("phases-shift", "shift 512m 10 work".into()),
        add("phases-arrays", "arrays 1g 10 work".into()),
        add("phases-tides", "tides 256m 10 work".into()),
        add("give-back", format!("giveback {large}m 10 work")),
        add("give-back-asleep", format!("giveback {large}m 10 sleep")),
    ]
}
