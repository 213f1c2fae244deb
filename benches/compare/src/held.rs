//! Memory held after each phase of the fragmentation workloads.

use crate::cli::Statistic;
use crate::measure::Measurement;
use crate::runner::{BARE, Cell, Row};
use crate::statistics::Summary;
use std::fmt::Write;

/// Writes, for each phase, live bytes and the multiple of them that each allocator holds, at once, after one second
/// and after ten; nothing for rows without phases.
pub fn table(rows: &[&Row], out: &mut String) -> std::fmt::Result {
    for row in rows {
        let cells: Vec<&Cell> = row.cells.iter().filter(|cell| cell.allocator != BARE).collect();
        let Some(phases) = cells.first().and_then(|cell| cell.rounds.first()).map(|round| &round.phases)
        else {
            continue;
        };
        if phases.is_empty() {
            continue;
        }
        let names: Vec<_> = cells.iter().map(|cell| cell.allocator.as_str()).collect();
        writeln!(out, "\n{}: MiB held at once / after 1 s / after 10 s\n", row.workload)?;
        writeln!(
            out,
            "| phase | live MiB | {} |\n|---|---:|{}",
            names.join(" | "),
            "---:|".repeat(names.len())
        )?;
        for (at, phase) in phases.iter().enumerate() {
            let held: Vec<_> = cells.iter().map(|cell| held(cell, at)).collect();
            writeln!(out, "| {} {} | {:.1} | {} |", at + 1, phase.name, phase.live / MIB, held.join(" | "))?;
        }
    }
    Ok(())
}

/// Live bytes and bytes held ten seconds after the last phase, the median of the rounds.
pub fn after_ten_seconds(cell: &Cell) -> Option<(f64, f64)> {
    let last = |round: &Measurement| round.phases.last().map(|phase| (phase.live, phase.held[2]));
    let ends: Vec<_> = cell.rounds.iter().filter_map(last).filter(|(_, held)| *held >= 0.0).collect();
    let held: Vec<f64> = ends.iter().map(|(_, held)| *held).collect();
    Some((ends.first()?.0, Summary::of(&held, Statistic::Median)?.value))
}

const MIB: f64 = 1024.0 * 1024.0;

/// The median over the rounds for each of the three moments; those not watched are left out.
fn held(cell: &Cell, phase: usize) -> String {
    let moment = |moment: usize| {
        let values: Vec<f64> = cell
            .rounds
            .iter()
            .filter_map(|round| Some(round.phases.get(phase)?.held[moment]))
            .filter(|v| *v >= 0.0)
            .collect();
        Some(format!("{:.1}", Summary::of(&values, Statistic::Median)?.value / MIB))
    };
    (0..3).filter_map(moment).collect::<Vec<_>>().join(" / ")
}
