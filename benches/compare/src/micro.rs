//! The catalogue of single-threaded loops (`workloads/micro.c`, `workloads/sized.cc`).

use crate::cli::{Family::Micro, Options, Size};
use crate::compile::Tools;
use crate::measure::Task;
use crate::workload::Workload;

/// The curve of the live heap's size, along which an operation's cost should be flat.
pub const HEAP_CURVE: &str = "live heap, KiB";

/// Ten sizes from the smallest class to beyond the largest.
const HOT_SIZES: [usize; 10] = [8, 16, 32, 64, 128, 256, 512, 1024, 4096, 32768];

/// Large sizes and operations in the quick bench, each of which touches the whole object.
const LARGE: [(&str, usize); 8] = [
    ("32k", 50_000),
    ("64k", 50_000),
    ("128k", 20_000),
    ("256k", 10_000),
    ("1m", 2_000),
    ("4m", 100),
    ("16m", 20),
    ("64m", 5),
];

/// All micro workloads; in quick mode fewer operations and no loop that needs gigabytes.
pub fn workloads(tools: &Tools, options: &Options) -> Vec<Workload> {
    let mut list = Vec::new();
    let size = options.size();
    let scale = size.pick(1, 5, 10);
    hot(tools, size.pick(1, 10, 20) * 1_000_000, &mut list);
    batches(tools, scale * 1_000_000, &mut list);
    churn(tools, size, &mut list);
    heap(tools, options, &mut list);
    operators(tools, scale * 1_000_000, &mut list);
    zeroed_and_aligned(tools, scale, &mut list);
    grow(tools, size, &mut list);
    large(tools, size.pick(1, 2, 4), &mut list);
    list
}

fn micro(tools: &Tools, arguments: &str) -> Task {
    Task::new(tools.path("micro"), arguments.split(' '))
}

fn add(list: &mut Vec<Workload>, tools: &Tools, name: String, arguments: String) {
    list.push(Workload::command(Micro, name, micro(tools, &arguments)));
}

fn hot(tools: &Tools, ops: usize, list: &mut Vec<Workload>) {
    for size in HOT_SIZES {
        // One stack for each CPU, by restartable sections, where the control has them.
        let limit = if cfg!(target_arch = "x86_64") { "limit" } else { "plain" };
        let bare = micro(tools, &format!("{limit} {size} {ops}"));
        let task = micro(tools, &format!("hot {size} {ops}"));
        list.push(
            Workload::command(Micro, format!("hot-{size}"), task)
                .bare(bare)
                .on_curve("hot pair, bytes", size),
        );
    }
}

fn batches(tools: &Tools, ops: usize, list: &mut Vec<Workload>) {
    for order in ["fifo", "lifo"] {
        for (size, length) in [(16, 100), (64, 1000), (64, 100_000), (512, 1000), (2048, 1000)] {
            // Where the C library returns memory and takes it back in each batch, a million takes seconds.
            let ops = if size == 2048 { ops / 5 } else { ops };
            add(list, tools, format!("{order}-{size}x{length}"), format!("{order} {size} {length} {ops}"));
        }
    }
}

fn churn(tools: &Tools, size: Size, list: &mut Vec<Workload>) {
    for exponent in 3..=size.pick(6, 7, 7) {
        // Each has to make them all first, which in the medium bench is work enough for the largest number.
        let many = if exponent == 7 { 500_000 } else { 2_500_000 };
        let (live, ops) = (10usize.pow(exponent), size.pick(500_000, many, 5_000_000));
        let bare = micro(tools, &format!("array {live} {ops}"));
        let task = micro(tools, &format!("churn {live} {ops}"));
        let name = format!("churn-1e{exponent}");
        list.push(
            Workload::command(Micro, name, task).bare(bare).on_curve("random churn, live objects", live),
        );
    }
}

/// Live heaps from 1 KiB up to a few MiB in quick mode, else to the largest that is wanted. In medium mode the peers
/// are left out where filling the heap takes seconds.
fn heap(tools: &Tools, options: &Options, list: &mut Vec<Workload>) {
    let (ops, largest_kib, peers_kib) = options.size().pick(
        (300_000, options.largest_heap() >> 10, u64::MAX),
        (1_000_000, options.largest_heap() >> 10, 1 << 18),
        (3_000_000, options.largest_heap() >> 10, u64::MAX),
    );
    for (name, kib) in [("1k", 1), ("64k", 64), ("1m", 1 << 10), ("16m", 16 << 10), ("256m", 1 << 18)]
        .into_iter()
        .chain([("1g", 1 << 20), ("4g", 4 << 20), ("8g", 8 << 20), ("16g", 16 << 20)])
        .filter(|&(_, kib)| kib as u64 <= largest_kib)
    {
        let bare = micro(tools, &format!("heap-array {name} {ops}"));
        let task = micro(tools, &format!("heap {name} {ops}"));
        let workload = Workload::command(Micro, format!("heap-{name}"), task).bare(bare);
        let workload = workload.on_curve(HEAP_CURVE, kib);
        list.push(if kib as u64 > peers_kib { workload.alone() } else { workload });
    }
}

fn operators(tools: &Tools, ops: usize, list: &mut Vec<Workload>) {
    let mut push = |name: String, arguments: String| {
        list.push(Workload::command(Micro, name, Task::new(tools.path("sized"), arguments.split(' '))));
    };
    for size in [16, 64, 512] {
        push(format!("new-delete-sized-{size}"), format!("sized {size} {ops}"));
        push(format!("new-delete-{size}"), format!("unsized {size} {ops}"));
    }
    push("new-delete-sized-mixed".into(), format!("mixed {ops}"));
    push("new-delete-mixed".into(), format!("mixed-unsized {ops}"));
}

fn zeroed_and_aligned(tools: &Tools, scale: usize, list: &mut Vec<Workload>) {
    for (size, ops) in [("32", 1_000_000), ("1k", 500_000), ("64k", 10_000), ("1m", 300)] {
        add(list, tools, format!("calloc-{size}"), format!("calloc {size} {}", ops * scale));
    }
    for (align, size, ops) in [("32", "32", 500_000), ("64", "100", 500_000), ("4k", "4k", 50_000)] {
        add(
            list,
            tools,
            format!("aligned-{align}-{size}"),
            format!("aligned {align} {size} {}", ops * scale),
        );
    }
}

fn grow(tools: &Tools, size: Size, list: &mut Vec<Workload>) {
    let one = size.pick("64m", "256m", "1g");
    add(list, tools, format!("realloc-one-{one}"), format!("grow 1 {one} 10"));
    let many = size.pick("16k", "64k", "512k");
    add(list, tools, format!("realloc-1000-{many}"), format!("grow 1000 {many} 50"));
}

fn large(tools: &Tools, scale: usize, list: &mut Vec<Workload>) {
    for (size, ops) in LARGE {
        // 64 MiB are a second of page faults each run: not in the quick bench.
        if scale > 1 || size != "64m" {
            add(list, tools, format!("large-{size}"), format!("large {size} {}", ops * scale));
        }
    }
    add(list, tools, "large-mixed".into(), format!("mixed {}", 600 * scale));
}
