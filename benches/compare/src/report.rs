//! `report.md` and `report.json`.

use crate::bars;
use crate::cli::{Family, Options, Size};
use crate::install::Missing;
use crate::machine::Machine;
use crate::peers::{Allocator, BESOM};
use crate::programs::START_UP;
use crate::ratios::{Quantity, against_each, best, best_single, peers, ratio, ratio_to_best, relative_means};
use crate::runner::{BARE, Cell, Row};
use crate::sections;
use crate::table::{memory, time};
use serde::Serialize;
use std::fmt::Write;

/// Everything one run found out.
#[derive(Serialize)]
pub struct Report {
    /// Of this layout; it changes when a reader of report.json would have to.
    pub format: u32,
    /// Where it was measured.
    pub machine: Machine,
    /// How much work the workloads did.
    pub size: Size,
    /// How long measuring took.
    pub seconds: f64,
    /// Rounds per pair.
    pub rounds: u32,
    /// How the rounds became one number.
    pub statistic: crate::cli::Statistic,
    /// Which time was compared.
    pub clock: crate::cli::Clock,
    /// Everyone compared.
    pub allocators: Vec<Allocator>,
    /// Everyone and everything that could not be, or failed.
    pub missing: Vec<Missing>,
    /// The numbers.
    pub rows: Vec<Row>,
}

impl Report {
    /// The rows of one family.
    pub fn family(&self, family: Family) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.family == family).collect()
    }

    /// The rows that count in means: allocators are compared, not options, and all of them are loaded, which the C
    /// library's is not for the start-up.
    pub fn compared(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.family != Family::Options && row.workload != START_UP).collect()
    }

    /// Writes report.md and report.json; the pictures are listed, not drawn.
    pub fn write(&self, options: &Options, pictures: &[String]) -> Result<(), String> {
        let save = |name: &str, text: String| {
            let file = options.out.join(name);
            std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
        };
        save("report.json", serde_json::to_string_pretty(self).map_err(|error| error.to_string())?)?;
        // Writing into a String can't fail.
        let mut text = String::new();
        let _ = self.markdown(pictures, &mut text);
        save("report.md", text)
    }

    fn markdown(&self, pictures: &[String], out: &mut String) -> std::fmt::Result {
        self.header(out)?;
        bars::table(&self.rows, &self.compared(), out)?;
        self.means(out)?;
        self.behind(out)?;
        sections::limit(&self.rows, out)?;
        sections::flat(&self.rows, out)?;
        sections::threads(&self.rows, out)?;
        sections::start_up(&self.rows, out)?;
        sections::options(&self.rows, out)?;
        for family in Family::ALL {
            let rows = self.family(family);
            if !rows.is_empty() && family != Family::Options {
                writeln!(out, "\n## {}\n", title(family))?;
                values(&rows, out)?;
                for quantity in [Quantity::Time, Quantity::Peak] {
                    ratios(&rows, quantity, out)?;
                }
                crate::held::table(&rows, out)?;
            }
        }
        writeln!(out, "\n## Pictures\n")?;
        pictures.iter().try_for_each(|file| writeln!(out, "![{0}]({0})\n", file))
    }

    fn header(&self, out: &mut String) -> std::fmt::Result {
        let machine = &self.machine;
        writeln!(out, "# {BESOM} and its peers, side by side\n")?;
        writeln!(out, "| | |\n|---|---|")?;
        writeln!(out, "| CPU | {}, {} cores |", machine.cpu, machine.cores)?;
        writeln!(out, "| memory | {} MiB; huge pages: {} |", machine.memory_mib, machine.huge_pages)?;
        writeln!(out, "| system | {}, {} |", machine.kernel, machine.glibc)?;
        writeln!(out, "| compilers | {}; {} |", machine.compiler, machine.rustc)?;
        writeln!(
            out,
            "| run | {}, commit {}, load before: {} |",
            machine.date, machine.commit, machine.load
        )?;
        let (statistic, clock) = (self.statistic.name(), self.clock.name());
        writeln!(out, "| rounds | {}, in turns; {statistic} of them; {clock} |", self.rounds)?;
        let (workloads, minutes) = (self.rows.len(), self.seconds / 60.0);
        writeln!(
            out,
            "| workloads | {workloads}, {} size; {minutes:.0} minutes in all |\n",
            self.size.name()
        )?;
        self.allocators.iter().try_for_each(|one| writeln!(out, "- **{}**: {}", one.name, one.version))?;
        writeln!(out)?;
        if self.missing.is_empty() {
            return writeln!(out, "Nothing is missing, nothing failed.");
        }
        writeln!(out, "Missing or failed:\n")?;
        self.missing
            .iter()
            .try_for_each(|one| writeln!(out, "- **{}**: {}", one.name, one.reason.replace('\n', " ")))
    }

    fn means(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n## Geometric means: {BESOM} over each peer (below 1: {BESOM} is better)")?;
        for quantity in [Quantity::Time, Quantity::Peak] {
            writeln!(
                out,
                "\n| {} | rows | best single peer | all peers |\n|---|---:|---|---|",
                quantity.name()
            )?;
            for family in Family::ALL {
                let rows: Vec<_> = self.compared().into_iter().filter(|row| row.family == family).collect();
                mean_line(family.name(), &rows, quantity, out)?;
            }
            let all = self.compared();
            mean_line("**all**", &all, quantity, out)?;
            if quantity == Quantity::Peak {
                let large: Vec<_> =
                    all.into_iter().filter(|row| best(row, quantity).is_some_and(large)).collect();
                mean_line("all with 8 MiB or more", &large, quantity, out)?;
            }
        }
        Ok(())
    }

    /// Where besom is worse than the best peer by more than the runs spread.
    fn behind(&self, out: &mut String) -> std::fmt::Result {
        for quantity in [Quantity::Time, Quantity::Peak] {
            writeln!(out, "\n## Behind the best peer by more than the spread: {}\n", quantity.name())?;
            let mut worst: Vec<_> = self
                .compared()
                .into_iter()
                .filter_map(|row| ratio_to_best(row, quantity).map(|(ratio, spread)| (row, ratio, spread)))
                .filter(|(_, ratio, spread)| *ratio > 1.0 + spread)
                .collect();
            worst.sort_by(|a, b| b.1.total_cmp(&a.1));
            if worst.is_empty() {
                writeln!(out, "None.")?;
            }
            for (row, ratio, spread) in worst {
                let name = best(row, quantity).map_or("", |cell| cell.allocator.as_str());
                writeln!(out, "- {}: {ratio:.2} × {name} (± {:.0} %)", row.workload, spread * 100.0)?;
            }
        }
        Ok(())
    }
}

/// Whether the heap is what a program holds: below this the code of program and libraries is.
fn large(cell: &Cell) -> bool {
    const LEAST_KIB: f64 = 8.0 * 1024.0;
    cell.peak.value >= LEAST_KIB
}

fn title(family: Family) -> &'static str {
    match family {
        Family::Micro => "One thread, one path each",
        Family::Threads => "Many threads",
        Family::Fragmentation => "Fragmentation and return",
        Family::Rust => "Rust programs, linked with each allocator",
        Family::Programs => "Real programs under LD_PRELOAD",
        Family::Options => "Options",
    }
}

fn mean_line(name: &str, rows: &[&Row], quantity: Quantity, out: &mut String) -> std::fmt::Result {
    let each = against_each(rows, quantity);
    let Some(best) = best_single(&each) else { return Ok(()) };
    let list: Vec<_> =
        each.iter().map(|one| format!("{} {:.2} ({})", one.peer, one.mean, one.rows)).collect();
    writeln!(out, "| {name} | {} | {} {:.3} | {} |", rows.len(), best.peer, best.mean, list.join(", "))
}

/// The names in the rows, besom first, the control last.
pub fn names(rows: &[&Row]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if !names.contains(&cell.allocator) {
            names.push(cell.allocator.clone());
        }
    }
    names.sort_by_key(|name| (name == BARE, name != BESOM));
    names
}

fn values(rows: &[&Row], out: &mut String) -> std::fmt::Result {
    let names = names(rows);
    writeln!(out, "Time per operation (± half the distance between the quartiles), peak memory:\n")?;
    writeln!(out, "| | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()))?;
    for row in rows {
        let cells: Vec<_> = names
            .iter()
            .map(|name| match row.cell(name) {
                Some(cell) => {
                    let (value, spread) = (time(cell.time.value), cell.time.spread * 100.0);
                    format!("{value} ± {spread:.0} %, {}", memory(cell.peak.value))
                }
                None => "–".into(),
            })
            .collect();
        writeln!(out, "| {} | {} |", row.workload, cells.join(" | "))?;
    }
    let contenders: Vec<_> = names.iter().filter(|name| *name != BARE).cloned().collect();
    for quantity in [Quantity::Time, Quantity::Peak] {
        let means = relative_means(rows, &contenders, quantity);
        let list: Vec<_> = means.iter().map(|(name, mean)| format!("{name} {mean:.2}")).collect();
        writeln!(
            out,
            "\nGeometric mean of {}, the best of each row being 1: {}.",
            quantity.name(),
            list.join(", ")
        )?;
    }
    Ok(())
}

fn ratios(rows: &[&Row], quantity: Quantity, out: &mut String) -> std::fmt::Result {
    if !rows.iter().any(|row| row.cell(BESOM).is_some()) {
        return Ok(());
    }
    let names: Vec<_> = names(rows).into_iter().filter(|name| name != BESOM && name != BARE).collect();
    writeln!(out, "\n{BESOM} over each peer, {}:\n", quantity.name())?;
    writeln!(out, "| | {} | best |\n|---|{}---|", names.join(" | "), "---:|".repeat(names.len()))?;
    for row in rows {
        let one = |name: &String| {
            peers(row).find(|cell| cell.allocator == *name).and_then(|c| ratio(row, c, quantity))
        };
        let cells: Vec<_> =
            names.iter().map(|name| one(name).map_or("–".into(), |ratio| format!("{ratio:.2}"))).collect();
        let best = match (ratio_to_best(row, quantity), best(row, quantity)) {
            (Some((ratio, spread)), Some(cell)) => {
                let mark = if ratio > 1.0 + spread { " **behind**" } else { "" };
                format!("{ratio:.2} ± {:.0} % {}{mark}", spread * 100.0, cell.allocator)
            }
            _ => "–".into(),
        };
        writeln!(out, "| {} | {} | {best} |", row.workload, cells.join(" | "))?;
    }
    Ok(())
}
