//! besom against each peer and against the best of them, row by row.

use crate::peers::BESOM;
use crate::runner::{BARE, Cell, Row};
use crate::statistics::{Summary, geometric_mean};

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quantity {
    /// Nanoseconds per operation.
    Time,
    /// Peak memory in KiB.
    Peak,
}

impl Quantity {
    /// That quantity of a cell.
    pub fn of(self, cell: &Cell) -> Summary {
        match self {
            Quantity::Time => cell.time,
            Quantity::Peak => cell.peak,
        }
    }

    /// Its name in headings.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Time => "time",
            Quantity::Peak => "peak memory",
        }
    }
}

/// The peers of a row: everything but besom and the control.
pub fn peers(row: &Row) -> impl Iterator<Item = &Cell> {
    row.cells.iter().filter(|cell| cell.allocator != BESOM && cell.allocator != BARE)
}

/// The best peer of a row.
pub fn best(row: &Row, quantity: Quantity) -> Option<&Cell> {
    peers(row).min_by(|a, b| quantity.of(a).value.total_cmp(&quantity.of(b).value))
}

/// besom over `other`; below one is better.
pub fn ratio(row: &Row, other: &Cell, quantity: Quantity) -> Option<f64> {
    Some(quantity.of(row.cell(BESOM)?).value / quantity.of(other).value)
}

/// besom over the best peer of the row, with the spreads of both added up.
pub fn ratio_to_best(row: &Row, quantity: Quantity) -> Option<(f64, f64)> {
    let (best, besom) = (best(row, quantity)?, row.cell(BESOM)?);
    Some((ratio(row, best, quantity)?, quantity.of(best).spread + quantity.of(besom).spread))
}

/// Over all rows: the geometric mean of each allocator, relative to the best allocator of each row.
/// Only rows that every named allocator finished count, so that none wins by failing.
pub fn relative_means(rows: &[&Row], names: &[String], quantity: Quantity) -> Vec<(String, f64)> {
    let complete: Vec<_> =
        rows.iter().filter(|row| names.iter().all(|name| row.cell(name).is_some())).collect();
    let relative = |row: &Row, name: &str| {
        let least = names.iter().filter_map(|other| row.cell(other)).map(|cell| quantity.of(cell).value);
        quantity.of(row.cell(name)?).value.checked_div_positive(least.fold(f64::INFINITY, f64::min))
    };
    names
        .iter()
        .filter_map(|name| {
            let mean = geometric_mean(complete.iter().filter_map(|row| relative(row, name)))?;
            Some((name.clone(), mean))
        })
        .collect()
}

/// besom against one peer over all rows that both finished.
pub struct Against {
    /// The peer.
    pub peer: String,
    /// The geometric mean of besom over the peer.
    pub mean: f64,
    /// The number of rows behind it.
    pub rows: usize,
}

/// besom against each peer, in the order in which they appear.
pub fn against_each(rows: &[&Row], quantity: Quantity) -> Vec<Against> {
    let mut names: Vec<&str> = Vec::new();
    for cell in rows.iter().flat_map(|row| peers(row)) {
        if !names.contains(&cell.allocator.as_str()) {
            names.push(&cell.allocator);
        }
    }
    let against = |name: &str| {
        let ratios: Vec<f64> = rows
            .iter()
            .filter_map(|row| ratio(row, row.cell(name)?, quantity))
            .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
            .collect();
        let mean = geometric_mean(ratios.iter().copied())?;
        Some(Against { peer: name.to_string(), mean, rows: ratios.len() })
    };
    names.into_iter().filter_map(against).collect()
}

/// The best single peer: the one against which besom does worst, among those that ran at least half as many rows
/// as the one that ran most.
pub fn best_single(all: &[Against]) -> Option<&Against> {
    let most = all.iter().map(|against| against.rows).max()?;
    all.iter().filter(|against| 2 * against.rows >= most).max_by(|a, b| a.mean.total_cmp(&b.mean))
}

trait PositiveDivision: Sized {
    fn checked_div_positive(self, by: Self) -> Option<Self>;
}

impl PositiveDivision for f64 {
    /// A ratio whose logarithm exists.
    fn checked_div_positive(self, by: f64) -> Option<f64> {
        (self > 0.0 && by > 0.0).then(|| self / by)
    }
}
