//! The parts of the report that need more than a ratio: the limit of the design, flatness, threads, start-up, options.

use crate::cli::Family;
use crate::micro::HEAP_CURVE;
use crate::peers::{BESOM, GLIBC};
use crate::programs::START_UP;
use crate::runner::{BARE, Cell, Row};
use crate::statistics::Summary;
use crate::table::{memory, time};
use crate::threads::CROWD_CURVE;
use std::fmt::{Result, Write};

/// The hot pair against a bare stack per CPU behind the same call.
pub fn limit(rows: &[Row], out: &mut String) -> Result {
    let hot = hot_ratios(rows);
    if hot.is_empty() {
        return Ok(());
    }
    let what = if cfg!(target_arch = "x86_64") {
        "A bare push and pop on a stack per CPU, by restartable sections, in a shared library, in the same run."
    } else {
        "A bare push and pop on an array stack in a shared library, in the same run: on this architecture the \
         bench has no stack per CPU."
    };
    writeln!(out, "\n## The hot pair against the limit of the design\n\n{what}\n")?;
    writeln!(out, "| | bare stack | {BESOM} | ratio |\n|---|---:|---:|---:|")?;
    for (row, bare, besom, ratio) in hot {
        let (bare, besom) = (time(bare.time.value), time(besom.time.value));
        writeln!(out, "| {} | {bare} | {besom} | {ratio:.2} |", row.workload)?;
    }
    Ok(())
}

/// The rows of the hot pair with the control's cell, besom's, and their ratio.
pub fn hot_ratios(rows: &[Row]) -> Vec<(&Row, &Cell, &Cell, f64)> {
    rows.iter()
        .filter(|row| row.workload.starts_with("hot-"))
        .filter_map(|row| {
            let (bare, besom) = (row.cell(BARE)?, row.cell(BESOM)?);
            Some((row, bare, besom, besom.time.value / bare.time.value))
        })
        .collect()
}

/// One size of the live heap.
pub struct Flat<'a> {
    /// The row.
    pub row: &'a Row,
    /// The control's time: the cache misses of the loop itself.
    pub bare: f64,
    /// besom's.
    pub besom: f64,
    /// By how much what besom adds differs from the smallest addition, as a part of besom's time.
    pub difference: f64,
    /// The spread of both, as a part of besom's time.
    pub spread: f64,
}

/// What an operation costs beyond its control along the size of the live heap.
pub fn flatness(rows: &[Row]) -> Vec<Flat<'_>> {
    let on_curve = |row: &&Row| row.curve.as_ref().is_some_and(|(name, _)| name == HEAP_CURVE);
    let both: Vec<_> = rows
        .iter()
        .filter(on_curve)
        .filter_map(|row| Some((row, row.cell(BARE)?.time, row.cell(BESOM)?.time)))
        .collect();
    let added = |bare: Summary, besom: Summary| besom.value - bare.value;
    let least = both.iter().map(|(_, bare, besom)| added(*bare, *besom)).fold(f64::INFINITY, f64::min);
    both.into_iter()
        .map(|(row, bare, besom)| Flat {
            row,
            bare: bare.value,
            besom: besom.value,
            difference: (added(bare, besom) - least) / besom.value,
            spread: (bare.spread * bare.value + besom.spread * besom.value) / besom.value,
        })
        .collect()
}

/// Whether the cost of an operation depends on the size of the heap.
pub fn flat(rows: &[Row], out: &mut String) -> Result {
    let flat = flatness(rows);
    if flat.len() < 2 {
        return Ok(());
    }
    writeln!(out, "\n## Time per operation from a small to a large live heap\n")?;
    writeln!(
        out,
        "The control makes the same accesses to an array of pointers and to memory of the same size: its time is \
         the cache misses of the loop itself. *Difference*: what {BESOM} adds to it, less the least that it adds \
         to any size, as a part of {BESOM}'s time.\n"
    )?;
    writeln!(out, "| live heap | control | {BESOM} | added | difference |\n|---|---:|---:|---:|---:|")?;
    for one in flat {
        let (bare, besom, added) = (time(one.bare), time(one.besom), time(one.besom - one.bare));
        let (difference, spread) = (one.difference * 100.0, one.spread * 100.0);
        let name = one.row.workload.trim_start_matches("heap-");
        writeln!(out, "| {name} | {bare} | {besom} | {added} | {difference:.0} % ± {spread:.0} % |")?;
    }
    Ok(())
}

/// Bytes that one thread adds, per allocator: beyond what it adds in the control, which has the same objects.
pub fn bytes_per_thread(rows: &[Row]) -> Vec<(String, f64)> {
    let mut crowds: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            row.curve.as_ref().filter(|(name, _)| name == CROWD_CURVE).map(|(_, at)| (row, *at))
        })
        .collect();
    crowds.sort_by(|a, b| a.1.total_cmp(&b.1));
    // From the smallest to the largest crowd that it has.
    let slope = |name: &str| {
        let both =
            |(row, at): &(&Row, f64)| Some((row.cell(name)?.peak.value, row.cell(BARE)?.peak.value, *at));
        let (few, many) = (crowds.iter().find_map(both)?, crowds.iter().rev().find_map(both)?);
        let threads = many.2 - few.2;
        (threads > 0.0).then(|| ((many.0 - few.0) - (many.1 - few.1)) * 1024.0 / threads)
    };
    let Some((few, _)) = crowds.first() else { return Vec::new() };
    let names = few.cells.iter().map(|cell| &cell.allocator).filter(|name| *name != BARE);
    names.filter_map(|name| Some((name.clone(), slope(name)?))).collect()
}

/// Whether memory grows with the number of threads.
pub fn threads(rows: &[Row], out: &mut String) -> Result {
    let per_thread = bytes_per_thread(rows);
    if per_thread.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Memory that one more thread costs\n")?;
    writeln!(
        out,
        "Peak memory with the most threads less that with the fewest, by the difference in threads, less the \
         same of a control whose threads have equal objects in mapped memory. Each thread has 20 objects of \
         together about 300 bytes.\n"
    )?;
    writeln!(out, "| | bytes for each thread |\n|---|---:|")?;
    per_thread.iter().try_for_each(|(name, bytes)| writeln!(out, "| {name} | {bytes:.0} |"))
}

/// What an allocator adds to the start of a program.
pub struct StartUp {
    /// The allocator.
    pub name: String,
    /// Nanoseconds, and half of the distance between the quartiles.
    pub time: (f64, f64),
    /// Private memory in KiB.
    pub private: f64,
    /// Resident memory in KiB, with pages of files.
    pub resident: f64,
}

/// What each preloaded allocator adds to a start without any.
pub fn start_ups(rows: &[Row]) -> Vec<StartUp> {
    let Some(row) = rows.iter().find(|row| row.workload == START_UP) else { return Vec::new() };
    let held = |cell: &Cell, which: usize| {
        let values: Vec<f64> = cell.rounds.iter().filter_map(|round| Some(round.at_exit?[which])).collect();
        Some(Summary::of(&values, crate::cli::Statistic::Median)?.value)
    };
    let Some(without) = row.cell(GLIBC) else { return Vec::new() };
    let more = |cell: &Cell| {
        let spread = cell.time.spread * cell.time.value + without.time.spread * without.time.value;
        Some(StartUp {
            name: cell.allocator.clone(),
            time: (cell.time.value - without.time.value, spread),
            private: held(cell, 0)? - held(without, 0)?,
            resident: held(cell, 1)? - held(without, 1)?,
        })
    };
    row.cells.iter().filter(|cell| cell.allocator != GLIBC).filter_map(more).collect()
}

/// The cost of being loaded.
pub fn start_up(rows: &[Row], out: &mut String) -> Result {
    let all = start_ups(rows);
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## What a preloaded allocator adds to `true`\n")?;
    writeln!(
        out,
        "Private: memory of its own when it exits. Resident: also pages of files, which processes share.\n"
    )?;
    writeln!(out, "| | time | private | resident |\n|---|---:|---:|---:|")?;
    for one in all {
        let (name, more, spread) = (one.name, one.time.0 / 1e6, one.time.1 / 1e6);
        let (private, resident) = (one.private, one.resident);
        writeln!(out, "| {name} | {more:.3} ms ± {spread:.3} | {private:.0} KiB | {resident:.0} KiB |")?;
    }
    Ok(())
}

/// besom beside itself with other options: time, peak memory, page faults, memory held.
pub fn options(rows: &[Row], out: &mut String) -> Result {
    let rows: Vec<_> = rows.iter().filter(|row| row.family == Family::Options).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## {BESOM} with other options\n")?;
    writeln!(out, "| | options | time | peak memory | page faults |\n|---|---|---:|---:|---:|")?;
    for (row, cell) in rows.iter().flat_map(|row| row.cells.iter().map(move |cell| (row, cell))) {
        let (time, spread) = (time(cell.time.value), cell.time.spread * 100.0);
        let (peak, faults) = (memory(cell.peak.value), cell.faults.value);
        let name = row.workload.split_once(": ").map_or(row.workload.as_str(), |(_, name)| name);
        writeln!(out, "| {name} | {} | {time} ± {spread:.0} % | {peak} | {faults:.0} |", cell.allocator)?;
    }
    crate::held::table(&rows, out)
}
