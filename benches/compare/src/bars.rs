//! What is asked of besom, and whether this run met it.

use crate::held::after_ten_seconds;
use crate::peers::BESOM;
use crate::phases::GIVE_BACK;
use crate::ratios::{Quantity, against_each, best_single, ratio_to_best};
use crate::runner::Row;
use crate::sections::{bytes_per_thread, flatness, hot_ratios, start_ups};
use std::fmt::Write;

/// One line of the table.
struct Bar {
    what: &'static str,
    figure: String,
    met: bool,
}

/// Most that one more thread may cost beyond its objects: their rounding to classes, no cache of its own.
const MOST_BYTES_PER_THREAD: f64 = 256.0;
const MIB: f64 = (1u64 << 20) as f64;

/// Writes every bar that this run has the rows for; the others are named. `compared` are the rows that count in means.
pub fn table(rows: &[Row], compared: &[&Row], out: &mut String) -> std::fmt::Result {
    if !rows.iter().any(|row| row.cell(BESOM).is_some()) {
        return Ok(());
    }
    let bars = [
        ("each workload", each_workload(compared)),
        (
            "mean time",
            mean(compared, Quantity::Time, 0.90, "time over all workloads ≤ 0.90 × the best single peer's"),
        ),
        ("mean memory", mean(compared, Quantity::Peak, 1.00, "peak memory ≤ 1.00 × the best single peer's")),
        ("hot pair", hot_pair(rows)),
        ("threads", threads(rows)),
        ("flatness", flat(rows)),
        ("give-back", give_back(rows)),
        ("start-up", start_up(rows)),
    ];
    writeln!(out, "\n## The bars\n\n| asked | measured | met |\n|---|---|---|")?;
    for bar in bars.iter().filter_map(|(_, bar)| bar.as_ref()) {
        writeln!(out, "| {} | {} | {} |", bar.what, bar.figure, if bar.met { "yes" } else { "**no**" })?;
    }
    let absent: Vec<_> = bars.iter().filter(|(_, bar)| bar.is_none()).map(|(name, _)| *name).collect();
    if !absent.is_empty() {
        writeln!(out, "\nNot among the rows of this run: {}.", absent.join(", "))?;
    }
    Ok(())
}

fn each_workload(rows: &[&Row]) -> Option<Bar> {
    let all: Vec<_> = rows.iter().filter_map(|row| ratio_to_best(row, Quantity::Time)).collect();
    let within = all.iter().filter(|(ratio, spread)| *ratio <= 1.0 + spread).count();
    let ahead = all.iter().filter(|(ratio, _)| *ratio <= 1.0).count();
    let figure = format!("{within} of {} workloads, {ahead} of them without the spread", all.len());
    let what = "time ≤ 1.00 × the best peer of the workload, within the spread";
    (!all.is_empty()).then_some(Bar { what, figure, met: within == all.len() })
}

fn mean(rows: &[&Row], quantity: Quantity, most: f64, what: &'static str) -> Option<Bar> {
    let each = against_each(rows, quantity);
    let best = best_single(&each)?;
    let figure = format!("{:.3} × {} ({} rows)", best.mean, best.peer, best.rows);
    Some(Bar { what, figure, met: best.mean <= most })
}

fn hot_pair(rows: &[Row]) -> Option<Bar> {
    let worst = hot_ratios(rows).into_iter().max_by(|a, b| a.3.total_cmp(&b.3))?;
    let figure = format!("at most {:.2} × ({})", worst.3, worst.0.workload);
    Some(Bar {
        what: "hot pair ≤ 1.2 × a bare push and pop on a stack per CPU", figure, met: worst.3 <= 1.2
    })
}

fn threads(rows: &[Row]) -> Option<Bar> {
    let (_, bytes) = bytes_per_thread(rows).into_iter().find(|(name, _)| name == BESOM)?;
    let figure = format!("{bytes:.0} bytes for each thread");
    let what = "memory does not grow with the number of threads (≤ 256 bytes for one, beyond its objects)";
    Some(Bar { what, figure, met: bytes <= MOST_BYTES_PER_THREAD })
}

fn flat(rows: &[Row]) -> Option<Bar> {
    let flat = flatness(rows);
    let worst =
        flat.iter().max_by(|a, b| a.difference.total_cmp(&b.difference)).filter(|_| flat.len() > 1)?;
    let part = worst.difference * 100.0;
    let figure = format!("{part:.0} % ± {:.0} % ({})", worst.spread * 100.0, worst.row.workload);
    let what =
        "time per operation, less the control's, flat within 10 % from the smallest to the largest heap";
    // A spread wider than the bar decides nothing.
    Some(Bar { what, figure, met: worst.difference <= 0.10 + worst.spread.min(0.10) })
}

fn give_back(rows: &[Row]) -> Option<Bar> {
    let row = rows.iter().find(|row| row.workload == GIVE_BACK)?;
    let (live, held) = after_ten_seconds(row.cell(BESOM)?)?;
    let most = 1.15 * live + 16.0 * MIB;
    let figure =
        format!("{:.0} MiB of {:.0} MiB allowed, {:.0} MiB live", held / MIB, most / MIB, live / MIB);
    let what = "held 10 s after 90 % of a large heap was freed ≤ 1.15 × live + 16 MiB, without a thread";
    Some(Bar { what, figure, met: held <= most })
}

fn start_up(rows: &[Row]) -> Option<Bar> {
    let one = start_ups(rows).into_iter().find(|one| one.name == BESOM)?;
    let (ms, kib) = (one.time.0 / 1e6, one.private);
    let figure = format!("{ms:.3} ms and {kib:.0} KiB more ({:.0} KiB with pages of files)", one.resident);
    let what = "start-up of `true` ≤ 0.3 ms and ≤ 300 KiB more than without";
    Some(Bar { what, figure, met: ms <= 0.3 && kib <= 300.0 })
}
