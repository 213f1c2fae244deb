//! The catalogue of loops over many threads (`workloads/threads.c`).

use crate::cli::{Family::Threads, Size};
use crate::compile::Tools;
use crate::machine::cores;
use crate::measure::Task;
use crate::workload::Workload;

/// Loops that are run over the whole range of threads, with arguments around the number of threads:
/// `OPS` operations in all, however many threads share them.
const SCALED: [(&str, &str, &str); 5] = [
    ("private", "private THREADS OPS", "private churn"),
    ("larson", "larson THREADS 1000 OPS", "larson"),
    ("handoff", "handoff THREADS OPS", "producer and consumer"),
    ("migrate", "migrate THREADS OPS", "migrating objects"),
    ("bursts", "bursts THREADS BURSTS", "bursts"),
];

/// The curve of the number of threads alive together, along which memory should not grow.
pub const CROWD_CURVE: &str = "threads alive together";

/// All thread workloads; in quick mode with two thread counts instead of the whole range.
pub fn workloads(tools: &Tools, size: Size) -> Vec<Workload> {
    let (quick, ops) = (size == Size::Quick, size.pick(300_000, 5_000_000, 20_000_000));
    let mut list = Vec::new();
    for (name, arguments, curve) in SCALED {
        for threads in thread_counts(quick) {
            // A hand-over needs two.
            if name == "handoff" && threads < 2 {
                continue;
            }
            let arguments = arguments
                .replace("THREADS", &threads.to_string())
                .replace("OPS", &ops.to_string())
                .replace("BURSTS", &(ops / 2000).to_string());
            let workload = Workload::command(Threads, format!("{name}-{threads}"), task(tools, &arguments));
            list.push(workload.on_curve(&format!("{curve}, threads"), threads));
        }
    }
    sharing(tools, ops / 5, &mut list);
    lives(tools, size, &mut list);
    list
}

/// 1, 2, 4 … up to eight threads per core; in quick mode one per core and four per core.
fn thread_counts(quick: bool) -> Vec<usize> {
    if quick {
        return vec![cores(), 4 * cores()];
    }
    std::iter::successors(Some(1), |threads| Some(threads * 2))
        .take_while(|&threads| threads <= 8 * cores())
        .collect()
}

fn task(tools: &Tools, arguments: &str) -> Task {
    Task::new(tools.path("threads"), arguments.split(' '))
}

fn sharing(tools: &Tools, ops: usize, list: &mut Vec<Workload>) {
    let threads = cores().clamp(2, 16);
    for (name, what) in [("false-sharing-active", "thrash"), ("false-sharing-passive", "scratch")] {
        list.push(Workload::command(Threads, name, task(tools, &format!("{what} {threads} {ops} 100"))));
    }
}

fn lives(tools: &Tools, size: Size, list: &mut Vec<Workload>) {
    let short = size.pick(2_000, 10_000, 50_000);
    list.push(Workload::command(Threads, "short-lived-threads", task(tools, &format!("short {short} 100"))));
    // In the medium bench only besom has ten thousand: its peers' take seconds each.
    for (crowd, alone) in [(100, false), (1_000, false), (10_000, size == Size::Medium)] {
        if crowd > size.pick(1_000, 10_000, 10_000) {
            continue;
        }
        let bare = task(tools, &format!("crowd-bare {crowd}"));
        let task = task(tools, &format!("crowd {crowd}"));
        let workload = Workload::command(Threads, format!("{crowd}-threads"), task);
        let workload = if alone { workload.alone() } else { workload };
        list.push(workload.bare(bare).on_curve(CROWD_CURVE, crowd));
    }
}
