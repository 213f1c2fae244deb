//! The table on stdout.

use crate::peers::BESOM;
use crate::ratios::{Quantity, against_each, best, best_single, ratio_to_best, relative_means};
use crate::report::names;
use crate::runner::{BARE, Cell, Row};

/// A time with three significant digits and its unit.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{value:.*} {unit}", digits(value))
}

/// Memory with three significant digits and its unit, from KiB.
pub fn memory(kib: f64) -> String {
    let (value, unit) = match kib {
        kib if kib < 1024.0 => (kib, "KiB"),
        kib if kib < 1024.0 * 1024.0 => (kib / 1024.0, "MiB"),
        kib => (kib / 1024.0 / 1024.0, "GiB"),
    };
    format!("{value:.*} {unit}", digits(value))
}

fn digits(value: f64) -> usize {
    match value {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    }
}

/// Prints the heading of a family's table.
pub fn print_heading(family: &str, names: &[&str]) {
    let columns: String = names.iter().chain([&BARE]).map(|name| format!("{name:>19}")).collect();
    println!("\n{family:<26}{columns}   {BESOM} / best (time, peak memory)");
}

/// Prints one finished workload.
pub fn print_row(row: &Row, names: &[&str]) {
    let known = names.iter().copied().chain([BARE]);
    let columns: String =
        known.map(|name| row.cell(name).map_or_else(|| format!("{:>19}", "-"), column)).collect();
    println!("{:<26}{columns}   {}", row.workload, verdict(row));
}

fn column(cell: &Cell) -> String {
    format!("{:>10}{:>9}", time(cell.time.value), memory(cell.peak.value).replace(' ', "").replace("iB", ""))
}

fn verdict(row: &Row) -> String {
    let part = |quantity| {
        let (ratio, spread) = ratio_to_best(row, quantity)?;
        let name = &best(row, quantity)?.allocator;
        Some(format!("{ratio:.2} ± {:.0} % {name}", spread * 100.0))
    };
    match (part(Quantity::Time), part(Quantity::Peak)) {
        (Some(time), Some(peak)) => format!("{time}, {peak}"),
        _ => String::new(),
    }
}

/// Prints the geometric means over all rows of `title`.
pub fn print_means(title: &str, rows: &[&Row]) {
    let names: Vec<_> = names(rows).into_iter().filter(|name| name != BARE).collect();
    if names.is_empty() {
        return;
    }
    for quantity in [Quantity::Time, Quantity::Peak] {
        let means = relative_means(rows, &names, quantity);
        let list: Vec<_> = means.iter().map(|(name, mean)| format!("{name} {mean:.3}")).collect();
        // Families have different peers, so that no row may have them all.
        if !list.is_empty() {
            let what = quantity.name();
            println!("{title}, geometric mean of {what} (best of each row = 1): {}", list.join("  "));
        }
        let each = against_each(rows, quantity);
        if let Some(best) = best_single(&each) {
            let list: Vec<_> = each.iter().map(|one| format!("{} {:.3}", one.peer, one.mean)).collect();
            println!("{title}, {}: {BESOM} over each peer: {}", quantity.name(), list.join("  "));
            println!(
                "{title}, {}: {BESOM} over the best single peer, {}: {:.3}",
                quantity.name(),
                best.peer,
                best.mean
            );
        }
    }
}
